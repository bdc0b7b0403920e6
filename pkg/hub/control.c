/*
 * What nodes say to each other: messages of kind control on the channel "node:<id>", sent to that node's queue.
 *
 * The canary is a text of its own (lease.c), a call has a channel of its own, that of all (call.c). The others are JSON
 * objects whose "do" names a row of the table below; what is unknown or broken is counted as poison, for a later
 * version may say more.
 */
#include "hub/control_internal.h"
#include "hub/lease_internal.h"
#include "hub/sequence_internal.h"

#include "base/clock.h"

struct control_out {
    struct bus_publication publication;
    const char *to;
    char node[];
};

static void on_out(struct bus_publication *p, int result base_unused)
{
    struct control_out *out = container_of(p, struct control_out, publication);

    message_unref(p->message);
    free(out);
}

int hub_control_send(struct hub *h, struct slice node, struct slice json)
{
    char id[ID_TEXT_SIZE + 1], channel[HUB_NODE_ID_MAX_BYTES + 6];
    struct message fields = {
        .kind = MESSAGE_KIND_CONTROL,
        .time_ms = clock_realtime_ms(),
        .content_type = CONTENT_TYPE_JSON,
        .data = json,
    };
    struct control_out *out;
    int result;

    if (h->is_stopped || !h->is_bus_ready || node.size > HUB_NODE_ID_MAX_BYTES)
        return HUB_E_UNAVAILABLE;
    out = calloc(1, sizeof(*out) + node.size + 1);
    if (!out)
        return -ENOMEM;
    memcpy(out->node, node.data, node.size);
    out->to = out->node;
    id_generate(id);
    fields.id = slice_from(id);
    (void)snprintf(channel, sizeof(channel), "node:%s", out->node);
    fields.channel = slice_from(channel);
    out->publication = (struct bus_publication){
        .message = message_copy(&fields),
        .route = BUS_ROUTE_NODES,
        .nodes = &out->to,
        .node_count = 1,
        .done = on_out,
    };
    result = out->publication.message ? bus_publish(h->bus, &out->publication) : -ENOMEM;
    if (result) {
        message_unref(out->publication.message);
        free(out);
    }
    return result > 0 ? HUB_E_UNAVAILABLE : result;
}

static const struct {
    const char *name;
    /** Whether it could be understood. */
    bool (*handle)(struct hub *h, struct slice json);
} orders[] = {
    {"kick", hub_kick_on_order},
    {"kicked", hub_kick_on_answer},
};

bool hub_control_member(struct slice json, const char *name, struct json_value *ret_value)
{
    struct json_reader reader;
    struct json_value value;
    struct slice member;

    json_reader_init(&reader, json, 8);
    if (json_reader_enter_object(&reader))
        return false;
    while (json_reader_member(&reader, &member, &value) == JSON_OK) {
        if (!json_string_equal(member, name))
            continue;
        *ret_value = value;
        return true;
    }
    return false;
}

bool hub_control_text(struct slice json, const char *name, size_t max_bytes, struct buffer *out)
{
    struct json_value value;

    *out = BUFFER_WITH_LIMIT(max_bytes);
    if (!hub_control_member(json, name, &value) || value.type != JSON_STRING)
        return false;
    json_string_decode(json_string_raw(value), out);
    return !buffer_error(out);
}

bool hub_control_number(struct slice json, const char *name, uint64_t *ret_number)
{
    struct json_value value;
    int64_t number;

    if (!hub_control_member(json, name, &value) || value.type != JSON_NUMBER ||
        !json_number_int64(value, 0, INT64_MAX, &number))
        return false;
    *ret_number = (uint64_t)number;
    return true;
}

void hub_control_hear(struct hub *h, const struct message *m)
{
    struct json_value order;

    if (hub_call_is(m->channel)) {
        hub_call_heard(h, m);
        return;
    }
    if (!slice_equal(m->content_type, CONTENT_TYPE_JSON)) {
        hub_canary_came_back(h, m);
        return;
    }
    if (h->is_stopped)
        return;
    if (hub_control_member(m->data, "do", &order) && order.type == JSON_STRING) {
        for (size_t i = 0; i < BASE_ARRAY_SIZE(orders); i++) {
            if (json_string_equal(json_string_raw(order), orders[i].name) && orders[i].handle(h, m->data))
                return;
        }
    }
    hub_count(h, HUB_METRIC_POISON, 1);
}
