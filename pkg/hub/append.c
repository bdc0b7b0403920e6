/*
 * Sending into a sequenced channel.
 *
 *     place in the window ─▶ store: position and log ─▶ this node's own channel ─▶ bus ─▶ confirm ─▶ ok
 *                  └ busy         └ unavailable                     targeted, nobody else: ─────────▶ ok
 *
 * A targeted channel's message goes to the nodes that had stated interest at the moment of its append: who states it
 * later learns a position that includes the message (interest.c). A repeated one goes to those of now, for the same
 * reason. The interest of a dead node names a queue that is not there, which costs little and loses nothing.
 *
 * What the store has taken is never refused any more: without the broker, or with one that does not confirm within
 * CONFIRM_MS, the answer follows the append, this node counts as cut, and the sweeps of all nodes deliver. So `ok`
 * means that the message is in the log, and with the broker as long as there is one.
 */
#include "hub/append_internal.h"
#include "hub/archive_internal.h"
#include "hub/lease_internal.h"
#include "hub/request_internal.h"
#include "hub/sequence_internal.h"
#include "hub/targets_internal.h"

/** Places in the window: appends without an answer of the store, or published without one of the broker. */
#define APPENDS_MAX 8192
/** A broker that takes longer is as good as none. */
#define CONFIRM_MS 500
/** How long the store may take, over a lost connection, before the sender is told to try again. */
#define APPEND_DEADLINE_MS 5000
/** What a sender gave no key for is known by its id, for as long as the store may be asked twice. */
#define ID_AGE_MS 60000
#define RETRY_MS 20

struct hub_append {
    struct store_append request;
    struct bus_publication publication;
    struct list link; /* hub->confirming or hub->unpublished */
    struct hub *hub;
    struct hub_append_order *order; /* NULL: answered */
    struct message *message;
    struct buffer record;
    struct store_log_limits limits;
    enum hub_audience audience;
    struct hub_targets *targets; /* of HUB_TO_NODES */
    struct hub_archive_ticket ticket;
    uint64_t published_ms;
    bool is_late;
    bool is_published; /* confirmed, or there was nobody to publish it to: waits for the archive alone */
};

static void append_free(struct hub_append *a)
{
    if (!a)
        return;
    assert(!a->order);
    list_remove(&a->link);
    hub_archive_forget(&a->ticket);
    message_unref(a->message);
    buffer_deinit(&a->record);
    hub_targets_unref(a->targets);
    free(a);
}

static void answer(struct hub_append *a, int result)
{
    struct hub_append_order *o = base_take(a->order);

    if (!o)
        return;
    if (!result)
        o->position = a->request.position;
    o->done(o, result);
}

static void append_end(struct hub_append *a)
{
    a->hub->appends--;
    append_free(a);
}

static void set_late(struct hub *h, size_t late)
{
    bool was_late = h->late > 0;

    h->late = late;
    if (was_late == (late > 0) || h->is_stopped)
        return;
    hub_lease_renew(h);
    hub_sweep_pace(h);
}

/* ---- the broker ---- */

static void confirm_arm(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop), due_ms = UINT64_MAX;

    if (h->is_stopped)
        return;
    if (!list_is_empty(&h->confirming))
        due_ms = container_of(h->confirming.next, struct hub_append, link)->published_ms + CONFIRM_MS;
    if (!list_is_empty(&h->unpublished) && due_ms > now_ms + RETRY_MS)
        due_ms = now_ms + RETRY_MS;
    if (due_ms != UINT64_MAX && (!list_is_empty(&h->unpublished) || !loop_timer_is_pending(&h->confirm_timer)))
        loop_timer_start(&h->confirm_timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void on_archived(struct hub_archive_ticket *t)
{
    struct hub_append *a = container_of(t, struct hub_append, ticket);

    if (!a->is_published)
        return;
    answer(a, 0);
    append_end(a);
}

/** Nothing but the archive may still be waited for, if anybody waits at all. */
static void end_published(struct hub_append *a)
{
    list_remove(&a->link);
    a->is_published = true;
    if (a->order && a->ticket.record)
        return;
    answer(a, 0);
    append_end(a);
}

static void on_published(struct bus_publication *p, int result)
{
    struct hub_append *a = container_of(p, struct hub_append, publication);
    struct hub *h = a->hub;

    h->has_left |= result != 0;
    if (a->is_late)
        set_late(h, h->late - 1);
    end_published(a);
}

/** Hands it to the bus, or leaves it to the sweeps. */
static void publish(struct hub_append *a)
{
    struct hub *h = a->hub;
    int result = BUS_E_UNAVAILABLE;

    if (h->is_bus_ready && !h->is_stopped) {
        a->publication =
            (struct bus_publication){.message = a->message, .route = BUS_ROUTE_FANOUT, .done = on_published};
        if (a->audience == HUB_TO_NODES) {
            a->publication.route = BUS_ROUTE_NODES;
            a->publication.nodes = a->targets->nodes;
            a->publication.node_count = a->targets->count;
        }
        result = bus_publish(h->bus, &a->publication);
    }
    if (result == BUS_E_BUSY && !h->late) {
        list_append(&h->unpublished, &a->link);
        confirm_arm(h);
        return;
    }
    if (result || h->late)
        answer(a, 0);
    if (result) {
        h->has_left = true;
        append_end(a);
        return;
    }
    a->published_ms = loop_now_ms(h->loop);
    list_append(&h->confirming, &a->link);
    confirm_arm(h);
}

static void on_confirm_timer(void *userdata)
{
    struct hub *h = userdata;
    uint64_t now_ms = loop_now_ms(h->loop);
    struct list again;
    size_t late = h->late;

    while (!list_is_empty(&h->confirming)) {
        struct hub_append *a = container_of(h->confirming.next, struct hub_append, link);

        if (a->published_ms + CONFIRM_MS > now_ms)
            break;
        list_remove(&a->link);
        a->is_late = true;
        late++;
        answer(a, 0);
    }
    set_late(h, late);
    list_init(&again);
    list_splice(&again, &h->unpublished);
    for (struct list *it; (it = list_pop(&again));)
        publish(container_of(it, struct hub_append, link));
    confirm_arm(h);
}

/* ---- the store ---- */

static int set_position(struct hub_append *a)
{
    struct message fields = *a->message;
    struct message *m;

    fields.epoch = a->request.position.epoch;
    fields.offset = a->request.position.offset;
    m = message_new(&fields, payload_ref(a->message->backing));
    if (!m)
        return -ENOMEM;
    message_unref(a->message);
    a->message = m;
    return 0;
}

static const enum hub_metric routed[] = {
    [HUB_TO_ALL] = HUB_METRIC_ROUTED_ALL,
    [HUB_TO_NODES] = HUB_METRIC_ROUTED_NODES,
    [HUB_TO_NOBODY] = HUB_METRIC_ROUTED_NOBODY,
};

static void on_appended(struct store_append *request, int result, const struct slice *nodes, size_t count)
{
    struct hub_append *a = container_of(request, struct hub_append, request);
    struct hub *h = a->hub;
    struct hub_channel *c;

    buffer_deinit(&a->record);
    a->record = (struct buffer){0};
    result = result > 0 ? HUB_E_UNAVAILABLE : result;
    if (a->order->appended)
        a->order->appended(a->order, result);
    if (result || !request->position.epoch) { /* or for nobody */
        answer(a, result);
        append_end(a);
        return;
    }
    hub_count(h, HUB_METRIC_APPENDS, 1);
    if (set_position(a) < 0) {
        /* It is in the log, and from there the sweeps deliver it. */
        hub_note_out_of_memory(h, "a message that was appended");
        answer(a, 0);
        append_end(a);
        return;
    }
    a->ticket.done = on_archived;
    (void)hub_archive_keep(h, a->message, &a->ticket);
    c = hub_channel_find(h, a->message->channel);
    if (c && c->sequence && (c->listener_count > 0 || c == h->all))
        hub_sequence_feed(h, c->sequence, a->message);
    if (request->wants_interest)
        a->audience = hub_targets_of(h, nodes, count, &a->targets);
    hub_count(h, routed[a->audience], 1);
    if (a->audience != HUB_TO_NOBODY) {
        publish(a);
    } else {
        end_published(a);
    }
}

static struct hub_append *append_new(struct hub *h, struct hub_append_order *o, const struct hub_channel_config *rule)
{
    struct hub_append *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    list_init(&a->link);
    a->hub = h;
    a->message = message_ref(o->message);
    a->limits = hub_rule_limits(rule, o->message->channel);
    hub_record_write(o->message, &a->record);
    if (buffer_error(&a->record)) {
        append_free(a);
        return NULL;
    }
    a->request = (struct store_append){
        .channel = o->message->channel,
        .sender = o->sender,
        .key = o->key,
        .key_age_ms = o->is_key_lasting ? (uint64_t)rule->key_age_ms : ID_AGE_MS,
        .record = buffer_slice(&a->record),
        .limits = &a->limits,
        .wants_interest = hub_rule_is_targeted(rule, o->message->channel),
        .only_known = o->only_known,
        .deadline_ms = o->is_repeated_by_caller ? 0 : loop_now_ms(h->loop) + APPEND_DEADLINE_MS,
        .done = on_appended,
    };
    a->order = o;
    return a;
}

int hub_append_send(struct hub *h, struct hub_append_order *o, const struct hub_channel_config *rule)
{
    struct hub_append *a;

    if (h->is_stopped)
        return HUB_E_UNAVAILABLE;
    if (h->appends >= APPENDS_MAX)
        return HUB_E_BUSY;
    a = append_new(h, o, rule);
    if (!a)
        return -ENOMEM;
    h->appends++;
    /* Who joined a moment ago begins before what is sent now, and so hears it. */
    hub_interest_run(h);
    store_append(h->store, &a->request);
    return 0;
}

static void on_request_done(struct hub_append_order *o, int result)
{
    struct hub_request *r = container_of(o, struct hub_request, publish.order);
    struct hub *h = r->letter.hub;

    r->publish.position = o->position;
    hub_publish_count(h, result);
    hub_request_answer(h, r, result);
}

void hub_append_handle(struct hub *h, struct hub_request *r, const struct hub_channel_config *rule)
{
    struct message *m = r->publish.message;
    int result;

    r->publish.order = (struct hub_append_order){
        .message = m,
        .sender = slice_is_set(m->from) ? m->from : SLICE_LITERAL(""),
        .key = r->publish.key_size ? slice_skip(m->id, m->id.size - r->publish.key_size) : m->id,
        .is_key_lasting = r->publish.key_size > 0,
        .only_known = r->publish.only_known,
        .done = on_request_done,
    };
    result = hub_append_send(h, &r->publish.order, rule);
    if (result)
        on_request_done(&r->publish.order, result);
}

void hub_append_start(struct hub *h)
{
    loop_timer_init(&h->confirm_timer, h->loop, on_confirm_timer, h);
}

void hub_append_stop(struct hub *h)
{
    struct list left;

    loop_timer_deinit(&h->confirm_timer);
    list_init(&left);
    list_splice(&left, &h->unpublished);
    for (struct list *it; (it = list_pop(&left));) {
        struct hub_append *a = container_of(it, struct hub_append, link);

        answer(a, 0);
        append_end(a);
    }
}
