/*
 * Publishing: a port's message goes to the bus, the confirm goes back to the port.
 *
 * The message was built by the port. Here is the way of channels without positions, and of relays: the answer follows
 * the broker's confirm. Messages of sequenced channels go by append.c.
 */
#include "hub/append_internal.h"
#include "hub/archive_internal.h"
#include "hub/hub_internal.h"
#include "hub/request_internal.h"

void hub_publish_count(struct hub *h, int result)
{
    if (result == 0)
        hub_count(h, HUB_METRIC_PUBLISHED_OK, 1);
    else if (result == HUB_E_BUSY)
        hub_count(h, HUB_METRIC_PUBLISHED_BUSY, 1);
    else
        hub_count(h, HUB_METRIC_PUBLISHED_UNAVAILABLE, 1);
}

static void publish_answer(struct hub *h, struct hub_request *r, int bus_result)
{
    int result = bus_result == BUS_E_BUSY ? HUB_E_BUSY : bus_result > 0 ? HUB_E_UNAVAILABLE : bus_result;

    hub_publish_count(h, result);
    if (r->kind == HUB_REQUEST_RELAY)
        hub_request_free(r);
    else
        hub_request_answer(h, r, result);
}

static void on_archived(struct hub_archive_ticket *t)
{
    struct hub_request *r = container_of(t, struct hub_request, publish.ticket);

    publish_answer(r->letter.hub, r, 0);
}

static void on_published(struct bus_publication *p, int result)
{
    struct hub_request *r = container_of(p, struct hub_request, publish.publication);

    r->publish.ticket = (struct hub_archive_ticket){.done = on_archived};
    if (!result && r->kind == HUB_REQUEST_PUBLISH &&
        hub_archive_keep(r->letter.hub, r->publish.message, &r->publish.ticket))
        return;
    publish_answer(r->letter.hub, r, result);
}

void hub_publish_handle(struct hub *h, struct hub_request *r)
{
    int result = BUS_E_UNAVAILABLE;

    if (r->kind == HUB_REQUEST_PUBLISH) {
        const struct hub_channel_config *rule = hub_rule_find(h, r->publish.message->channel);

        if (rule->is_sequenced) {
            hub_append_handle(h, r, rule);
            return;
        }
    }
    r->publish.publication = (struct bus_publication){
        .message = r->publish.message,
        .route = BUS_ROUTE_FANOUT,
        .done = on_published,
    };
    if (!h->is_stopped)
        result = bus_publish(h->bus, &r->publish.publication);
    if (result)
        publish_answer(h, r, result);
}

static void append_counted(struct buffer *out, struct slice s)
{
    buffer_append_uint64(out, s.size);
    buffer_append_char(out, ':');
    buffer_append_slice(out, s);
}

void hub_publish_key_id(struct slice channel, struct slice from, struct slice key, struct buffer *out)
{
    /*
     * The lengths keep ("a", "bc") and ("ab", "c") apart, and '-' an absent sender from any name. The same triple gives
     * the same id on every node, so each listener's node knows a repetition by its id.
     */
    buffer_append_text(out, "key/");
    append_counted(out, channel);
    if (slice_is_set(from))
        append_counted(out, from);
    else
        buffer_append_char(out, '-');
    buffer_append_slice(out, key);
}
