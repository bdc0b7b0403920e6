/*
 * The call: what this node left to the sweeps while it had no broker, the others have to look for. A cut may be over
 * before they read in its lease that there was one, and then they would not look before their next turn. So once the
 * broker is back, this node calls: sweep now. Whoever does not hear it had no queue, and sweeps when he has one again.
 */
#include "hub/sequence_internal.h"

#include "base/clock.h"

#include <stdio.h>

/** A channel of no node: builds that do not know it skip it undecoded. */
#define CALL_CHANNEL "node:*"
/** Nodes that were cut together call together: one sweep answers all of them. */
#define CALL_DELAY_MS 30

static void incarnation_print(const struct hub *h, char text[32])
{
    snprintf(text, 32, "%016llx", (unsigned long long)h->identity.incarnation);
}

static void on_call_out(struct bus_publication *p, int result)
{
    struct hub *h = container_of(p, struct hub, call);

    p->message = message_unref(p->message);
    h->is_call_out = false;
    h->has_left |= result != 0;
}

void hub_call_others(struct hub *h)
{
    char id[ID_TEXT_SIZE + 1], incarnation[32];
    struct message fields = {
        .kind = MESSAGE_KIND_CONTROL,
        .channel = SLICE_LITERAL(CALL_CHANNEL),
        .time_ms = clock_realtime_ms(),
        .content_type = CONTENT_TYPE_TEXT,
    };

    if (!h->has_left || !h->is_bus_ready || h->is_call_out || h->is_stopped)
        return;
    id_generate(id);
    fields.id = slice_from(id);
    incarnation_print(h, incarnation);
    fields.data = slice_from(incarnation);
    h->call =
        (struct bus_publication){.message = message_copy(&fields), .route = BUS_ROUTE_FANOUT, .done = on_call_out};
    if (!h->call.message) {
        hub_note_out_of_memory(h, "a call to the other nodes");
        return;
    }
    if (bus_publish(h->bus, &h->call)) {
        h->call.message = message_unref(h->call.message); /* the next sweep's timer tries again */
        return;
    }
    h->is_call_out = true;
    h->has_left = false;
}

bool hub_call_is(struct slice channel)
{
    return slice_equal_text(channel, CALL_CHANNEL);
}

void hub_call_heard(struct hub *h, const struct message *m)
{
    char incarnation[32];

    incarnation_print(h, incarnation);
    if (!slice_equal_text(m->data, incarnation))
        hub_sweep_soon(h, CALL_DELAY_MS);
}
