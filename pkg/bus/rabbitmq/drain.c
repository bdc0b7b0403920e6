/*
 * Empties a queue into whatever is safe: takes a batch, has it made safe, acknowledges it.
 *
 * A batch ends when it is full or when nothing more is there at once, so a file is synchronised as seldom as the queue
 * is long, and at once when it is short. That the queue is empty is what the broker says once nothing came for a
 * moment and nothing is unacknowledged here; what another one has taken and not acknowledged is not waited for.
 */
#include "bus/rabbitmq/drain.h"
#include "base/clock.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <stdio.h>

#define BATCH_MAX 100
#define HEARTBEAT_S 10
#define TIMEOUT_MS 5000
/** How long to wait for a further body: of a batch that was begun, and else. */
#define MORE_MS 5
#define NEXT_MS 100

struct draining {
    const struct rabbitmq_drain *drain;
    struct rabbitmq_connection connection;
    uint64_t last_tag;
    size_t unacked;
};

/** Whether the queue is there, and how much waits in it. */
static int look(struct draining *d, uint32_t *ret_ready)
{
    struct rabbitmq_connection *c = &d->connection;
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(d->drain->queue), 1, 0, 0, 0, amqp_empty_table);
    int result = rabbitmq_connection_reply(c, "queue.declare");

    if (result)
        return c->reply_code == AMQP_NOT_FOUND ? RABBITMQ_DRAIN_E_NO_QUEUE : RABBITMQ_DRAIN_E_BROKER;
    *ret_ready = ok->message_count;
    return 0;
}

static int begin(struct draining *d)
{
    const struct rabbitmq_connect how = {
        .config = d->drain->config,
        .name = d->drain->name,
        .heartbeat_s = HEARTBEAT_S,
        .connect_timeout_ms = TIMEOUT_MS,
        .handshake_timeout_ms = TIMEOUT_MS,
        .rpc_timeout_ms = TIMEOUT_MS,
    };
    struct rabbitmq_connection *c = &d->connection;
    uint32_t ready;
    int result = rabbitmq_connection_open_any(c, &how) ? RABBITMQ_DRAIN_E_BROKER : look(d, &ready);

    if (result)
        return result;
    (void)amqp_basic_qos(c->amqp, RABBITMQ_CHANNEL, 0, 2 * BATCH_MAX, 0);
    if (rabbitmq_connection_reply(c, "basic.qos"))
        return RABBITMQ_DRAIN_E_BROKER;
    (void)amqp_basic_consume(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(d->drain->queue), amqp_empty_bytes, 0, 0, 0,
                             amqp_empty_table);
    return rabbitmq_connection_reply(c, "basic.consume") ? RABBITMQ_DRAIN_E_BROKER : 0;
}

static int hand_over(struct draining *d, const amqp_envelope_t *envelope)
{
    const amqp_basic_properties_t *p = &envelope->message.properties;
    struct bus_delivery delivery = {
        .body = payload_copy(rabbitmq_slice(envelope->message.body)),
        .content_type = p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG ? rabbitmq_slice(p->content_type) : SLICE_NONE,
        .message_id = p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG ? rabbitmq_slice(p->message_id) : SLICE_NONE,
        .app_id = p->_flags & AMQP_BASIC_APP_ID_FLAG ? rabbitmq_slice(p->app_id) : SLICE_NONE,
        .routing_key = rabbitmq_slice(envelope->routing_key),
        .time_ms = clock_realtime_ms(),
        .redelivered = envelope->redelivered,
    };
    bool is_taken;

    if (!delivery.body) {
        (void)snprintf(d->connection.error, sizeof(d->connection.error), "out of memory");
        return RABBITMQ_DRAIN_E_RECEIVER;
    }
    is_taken = d->drain->on_body(d->drain->userdata, &delivery);
    (void)payload_unref(delivery.body);
    if (!is_taken)
        return RABBITMQ_DRAIN_E_RECEIVER;
    d->last_tag = envelope->delivery_tag;
    d->unacked++;
    return 0;
}

/** One body, if there is one within @timeout_ms. */
static int take(struct draining *d, int timeout_ms, bool *ret_is_taken)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000};
    amqp_envelope_t envelope;
    amqp_rpc_reply_t reply;
    int result;

    *ret_is_taken = false;
    amqp_maybe_release_buffers(d->connection.amqp);
    reply = amqp_consume_message(d->connection.amqp, &envelope, &timeout, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
        return 0;
    if (rabbitmq_connection_check(&d->connection, "basic.consume", reply))
        return RABBITMQ_DRAIN_E_BROKER;
    result = hand_over(d, &envelope);
    amqp_destroy_envelope(&envelope);
    *ret_is_taken = !result;
    return result;
}

static int finish_batch(struct draining *d)
{
    if (d->unacked == 0)
        return 0;
    if (!d->drain->on_batch(d->drain->userdata))
        return RABBITMQ_DRAIN_E_RECEIVER;
    d->unacked = 0;
    if (rabbitmq_connection_status(&d->connection, "basic.ack",
                                   amqp_basic_ack(d->connection.amqp, RABBITMQ_CHANNEL, d->last_tag, 1)))
        return RABBITMQ_DRAIN_E_BROKER;
    return 0;
}

static int run(struct draining *d)
{
    uint32_t ready = 1;
    bool is_taken;
    int result = 0;

    while (!result && !d->drain->is_stopping(d->drain->userdata)) {
        result = take(d, d->unacked ? MORE_MS : NEXT_MS, &is_taken);
        if (result || (is_taken && d->unacked < BATCH_MAX))
            continue;
        if (d->unacked > 0) {
            result = finish_batch(d);
        } else if (!d->drain->follows) {
            result = look(d, &ready);
            if (!result && ready == 0)
                return 0;
        }
    }
    return result ? result : finish_batch(d);
}

int rabbitmq_drain(const struct rabbitmq_drain *drain, char error[256])
{
    struct draining d = {.drain = drain, .connection = {.fd = -1}};
    int result = begin(&d);

    if (!result)
        result = run(&d);
    (void)snprintf(error, 256, "%s", result ? d.connection.error : "");
    rabbitmq_connection_close(&d.connection, result != RABBITMQ_DRAIN_E_BROKER);
    return result;
}
