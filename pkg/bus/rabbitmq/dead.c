/*
 * The dead letters in people's hands.
 *
 * A letter that is requeued is published to the ingress queue, confirmed, and only then acknowledged among the dead:
 * who dies in between leaves it in both, and its message_id tells. What is looked at, and what cannot be requeued, is
 * not acknowledged: the end of the connection puts it back in its place.
 */
#include "bus/rabbitmq/dead.h"
#include "base/clock.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <poll.h>
#include <stdio.h>

#define TIMEOUT_MS 3000
#define HEARTBEAT_S 10
#define CONFIRM_MS 5000
/** How long one order may take; what it did not get to stays. */
#define ORDER_MS 15000

struct work {
    struct rabbitmq_connection connection;
    amqp_channel_t channel;
    char ingress[160], dead[160], archive[160];
    uint64_t end_ms;
    const atomic_bool *is_cancelled;
    struct rabbitmq_dead_report *report;
};

static int fail(struct work *w, int result)
{
    if (result && !w->report->error[0])
        (void)snprintf(w->report->error, sizeof(w->report->error), "%s", w->connection.error);
    return result;
}

static int open_any(struct work *w, const struct rabbitmq_config *config)
{
    const struct rabbitmq_connect how = {
        .config = config,
        .name = "warren dead letters",
        .heartbeat_s = HEARTBEAT_S,
        .connect_timeout_ms = TIMEOUT_MS,
        .handshake_timeout_ms = TIMEOUT_MS,
        .rpc_timeout_ms = TIMEOUT_MS,
    };

    return rabbitmq_connection_open_any(&w->connection, &how);
}

/** Whether the queue is there, and what is in it. One that is not closes the channel, so the next one is opened. */
static int look(struct work *w, const char *queue, bool *ret_is_there, uint64_t *ret_ready, uint64_t *ret_consumers)
{
    struct rabbitmq_connection *c = &w->connection;
    const amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c->amqp, w->channel, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    int result = rabbitmq_connection_reply(c, "queue.declare");

    *ret_is_there = !result;
    if (!result) {
        *ret_ready = ok->message_count;
        *ret_consumers = ok->consumer_count;
        return RABBITMQ_OK;
    }
    if (c->reply_code != AMQP_NOT_FOUND)
        return result;
    c->reply_code = 0;
    (void)amqp_channel_open(c->amqp, ++w->channel);
    return rabbitmq_connection_reply(c, "channel.open");
}

static int look_all(struct work *w)
{
    struct rabbitmq_dead_report *r = w->report;
    uint64_t nobody;
    int result = look(w, w->ingress, &r->has_ingress, &r->ingress_ready, &r->consumers);

    if (!result)
        result = look(w, w->dead, &r->has_dead, &r->dead_ready, &nobody);
    if (!result)
        result = look(w, w->archive, &r->has_archive, &r->archive_ready, &nobody);
    return result;
}

/* ---- one letter ---- */

static bool copy_text(char *out, size_t size, amqp_bytes_t text, bool is_there)
{
    (void)snprintf(out, size, "%.*s", is_there ? (int)text.len : 0, is_there ? (const char *)text.bytes : "");
    return is_there;
}

static const amqp_field_value_t *header_of(const amqp_basic_properties_t *p, const char *name)
{
    for (int i = 0; p->_flags & AMQP_BASIC_HEADERS_FLAG && i < p->headers.num_entries; i++) {
        if (slice_equal_text(rabbitmq_slice(p->headers.entries[i].key), name))
            return &p->headers.entries[i].value;
    }
    return NULL;
}

static bool copy_header(char *out, size_t size, const amqp_basic_properties_t *p, const char *name)
{
    const amqp_field_value_t *value = header_of(p, name);
    bool is_text = value && (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES);

    return copy_text(out, size, is_text ? value->value.bytes : amqp_empty_bytes, is_text);
}

static uint64_t whole_bytes(const amqp_basic_properties_t *p)
{
    const amqp_field_value_t *value = header_of(p, "x-warren-bytes");

    return value && value->kind == AMQP_FIELD_KIND_I64 ? (uint64_t)value->value.i64 : 0;
}

static void describe(const amqp_message_t *m, struct rabbitmq_dead_letter *l)
{
    const amqp_basic_properties_t *p = &m->properties;

    (void)copy_header(l->reason, sizeof(l->reason), p, "x-warren-reason");
    l->has_routing_key = copy_header(l->routing_key, sizeof(l->routing_key), p, "x-warren-routing-key");
    l->has_node = copy_header(l->node, sizeof(l->node), p, "x-warren-node");
    l->has_message_id =
        copy_text(l->message_id, sizeof(l->message_id), p->message_id, p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG);
    l->has_app_id = copy_text(l->app_id, sizeof(l->app_id), p->app_id, p->_flags & AMQP_BASIC_APP_ID_FLAG);
    l->has_content_type =
        copy_text(l->content_type, sizeof(l->content_type), p->content_type, p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG);
    l->time_s = p->_flags & AMQP_BASIC_TIMESTAMP_FLAG ? p->timestamp : 0;
    l->bytes = whole_bytes(p);
    l->is_cut = l->bytes > 0;
    if (!l->is_cut)
        l->bytes = m->body.len;
    l->preview_bytes = m->body.len < sizeof(l->preview) ? m->body.len : sizeof(l->preview);
    if (l->preview_bytes > 0)
        memcpy(l->preview, m->body.bytes, l->preview_bytes);
}

/** Waits until the broker has it. */
static int wait_confirm(struct work *w)
{
    uint64_t end_ms = clock_monotonic_ms() + CONFIRM_MS;
    amqp_frame_t frame;
    bool is_frame;

    while (clock_monotonic_ms() < end_ms) {
        struct pollfd fd = {.fd = w->connection.fd, .events = POLLIN};
        int result = rabbitmq_connection_next(&w->connection, &frame, &is_frame);

        if (result)
            return result;
        if (is_frame && frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
            return RABBITMQ_OK;
        if (is_frame && frame.frame_type == AMQP_FRAME_METHOD &&
            (frame.payload.method.id == AMQP_BASIC_NACK_METHOD || frame.payload.method.id == AMQP_BASIC_RETURN_METHOD))
            break;
        if (!is_frame)
            (void)poll(&fd, 1, 100);
    }
    (void)snprintf(w->connection.error, sizeof(w->connection.error),
                   "the broker did not take it into the ingress queue");
    return RABBITMQ_E_LOST;
}

static int requeue(struct work *w, const amqp_message_t *m)
{
    const int is_mandatory = 1;
    const amqp_basic_properties_t *p = &m->properties;
    amqp_basic_properties_t properties = {
        ._flags = (p->_flags & (AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_APP_ID_FLAG)) |
                  AMQP_BASIC_DELIVERY_MODE_FLAG,
        .content_type = p->content_type,
        .message_id = p->message_id,
        .app_id = p->app_id,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
    };
    int status = amqp_basic_publish(w->connection.amqp, w->channel, amqp_empty_bytes, amqp_cstring_bytes(w->ingress),
                                    is_mandatory, 0, &properties, m->body);
    int result = rabbitmq_connection_status(&w->connection, "basic.publish", status);

    return result ? result : wait_confirm(w);
}

static int act_on(struct work *w, enum rabbitmq_dead_act act, const amqp_message_t *m, uint64_t tag)
{
    struct rabbitmq_dead_report *r = w->report;
    int result = RABBITMQ_OK;

    if (act == RABBITMQ_DEAD_LOOK) {
        describe(m, &r->letters[r->letter_count++]);
        return RABBITMQ_OK;
    }
    if (act == RABBITMQ_DEAD_REQUEUE && whole_bytes(&m->properties)) {
        r->cut++;
        return RABBITMQ_OK;
    }
    if (act == RABBITMQ_DEAD_REQUEUE)
        result = requeue(w, m);
    if (!result)
        result = rabbitmq_connection_status(&w->connection, "basic.ack",
                                            amqp_basic_ack(w->connection.amqp, w->channel, tag, 0));
    r->done += !result;
    return result;
}

/* ---- all of them ---- */

/** The next letter. *ret_is_empty: there is none. */
static int get(struct work *w, amqp_message_t *ret_message, uint64_t *ret_tag, bool *ret_is_empty)
{
    struct rabbitmq_connection *c = &w->connection;
    amqp_rpc_reply_t reply;
    int result;

    amqp_maybe_release_buffers(c->amqp);
    reply = amqp_basic_get(c->amqp, w->channel, amqp_cstring_bytes(w->dead), 0);
    result = rabbitmq_connection_check(c, "basic.get", reply);
    *ret_is_empty = !result && reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD;
    if (result || *ret_is_empty)
        return result;
    *ret_tag = ((const amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
    return rabbitmq_connection_check(c, "basic.get", amqp_read_message(c->amqp, w->channel, ret_message, 0));
}

static int act_on_all(struct work *w, enum rabbitmq_dead_act act, uint64_t count)
{
    bool is_empty = false;
    int result = RABBITMQ_OK;

    for (uint64_t i = 0; i < count && !result && clock_monotonic_ms() < w->end_ms && !atomic_load(w->is_cancelled);
         i++) {
        amqp_message_t m;
        uint64_t tag;

        result = get(w, &m, &tag, &is_empty);
        if (result || is_empty)
            break;
        result = act_on(w, act, &m, tag);
        amqp_destroy_message(&m);
    }
    return result;
}

void rabbitmq_dead_do(const struct rabbitmq_config *config, enum rabbitmq_dead_act act, uint64_t count,
                      const atomic_bool *is_cancelled, struct rabbitmq_dead_report *ret_report)
{
    struct work w = {.connection = {.fd = -1},
                     .channel = RABBITMQ_CHANNEL,
                     .end_ms = clock_monotonic_ms() + ORDER_MS,
                     .is_cancelled = is_cancelled,
                     .report = ret_report};
    struct rabbitmq_dead_report *r = ret_report;
    int result;

    *r = (struct rabbitmq_dead_report){0};
    (void)snprintf(w.ingress, sizeof(w.ingress), "%s.ingress", config->prefix);
    (void)snprintf(w.dead, sizeof(w.dead), "%s.ingress.dead", config->prefix);
    (void)snprintf(w.archive, sizeof(w.archive), "%s.archive", config->prefix);
    result = open_any(&w, config);
    if (!result)
        result = look_all(&w);
    if (!result && r->has_dead) {
        count = count < r->dead_ready ? count : r->dead_ready;
        if (act == RABBITMQ_DEAD_LOOK) {
            count = count < RABBITMQ_DEAD_PEEK_MAX ? count : RABBITMQ_DEAD_PEEK_MAX;
            r->letters = calloc(count + 1, sizeof(*r->letters));
            count = r->letters ? count : 0;
        } else {
            (void)amqp_confirm_select(w.connection.amqp, w.channel);
            result = rabbitmq_connection_reply(&w.connection, "confirm.select");
        }
        if (!result)
            result = act_on_all(&w, act, count);
    }
    (void)fail(&w, result);
    rabbitmq_connection_close(&w.connection, true);
}
