/*
 * The consuming connection: declares what must exist, holds the node's queue, puts deliveries together from their
 * frames and acknowledges.
 *
 * A delivery is three kinds of frames: basic.deliver, a header that tells the body's size, and the body in pieces. The
 * size is looked at before memory is taken: a body that is too large is swallowed piece by piece and acknowledged
 * unread.
 *
 * Acknowledgements: tags are consecutive within a connection (its number is the generation). The owner marks in a
 * window what was given back, in any order; this thread acknowledges up to the first gap with one `multiple`. The
 * prefetch bounds the window. A tag of an older generation means nothing any more.
 */
#include "base/clock.h"
#include "base/log.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <poll.h>
#include <stdio.h>

/** Deliveries handed over at the latest after so many, so that the hub works while the rest is read. */
#define BATCH_MAX 64
#define CONSUMER_TAG "warren"
#define LEFTOVER_CHANNEL 2

struct rabbitmq_delivery {
    struct bus_delivery delivery;
    uint64_t tag;
    uint64_t generation;
    char texts[]; /* content type, routing key, message id, app id */
};

static struct rabbitmq_consumer *consumer_of(struct rabbitmq_worker *w)
{
    return container_of(w, struct rabbitmq_consumer, worker);
}

static void delivery_free(struct rabbitmq_delivery *d)
{
    if (!d)
        return;
    (void)payload_unref(d->delivery.body);
    free(d);
}

/* ---- declaring ---- */

static int declare_exchange(struct rabbitmq_connection *c, const char *name, const char *type)
{
    (void)amqp_exchange_declare(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(type), 0, 1, 0,
                                0, amqp_empty_table);
    return rabbitmq_connection_reply(c, "exchange.declare");
}

static int declare_queue(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    amqp_table_entry_t arguments[] = {
        {.key = amqp_cstring_bytes("x-expires"),
         .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = bus->config->queue_expires_ms}},
        {.key = amqp_cstring_bytes("x-max-length"),
         .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = bus->config->queue_max_length}},
    };
    amqp_table_t table = {.num_entries = BASE_ARRAY_SIZE(arguments), .entries = arguments};
    bool is_durable = bus->config->queue == RABBITMQ_QUEUE_DURABLE;
    int result;

    (void)amqp_queue_declare(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(bus->queue), 0, is_durable, !is_durable, 0,
                             is_durable ? table : amqp_empty_table);
    result = rabbitmq_connection_reply(c, "queue.declare");
    return result && c->reply_code == AMQP_RESOURCE_LOCKED ? RABBITMQ_E_LOCKED : result;
}

static int bind_queue(struct rabbitmq_bus *bus, struct rabbitmq_connection *c, const char *exchange, const char *key)
{
    (void)amqp_queue_bind(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(bus->queue), amqp_cstring_bytes(exchange),
                          amqp_cstring_bytes(key), amqp_empty_table);
    return rabbitmq_connection_reply(c, "queue.bind");
}

static int consume(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    bool is_durable = bus->config->queue == RABBITMQ_QUEUE_DURABLE;
    int result;

    (void)amqp_basic_qos(c->amqp, RABBITMQ_CHANNEL, 0, (uint16_t)bus->config->prefetch, 0);
    result = rabbitmq_connection_reply(c, "basic.qos");
    if (result)
        return result;
    /* A durable queue is not locked by its connection; the exclusive consumer is what refuses a second node of that
     * name. */
    (void)amqp_basic_consume(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(bus->queue),
                             amqp_cstring_bytes(CONSUMER_TAG), 0, 0, is_durable, amqp_empty_table);
    result = rabbitmq_connection_reply(c, "basic.consume");
    if (result && (c->reply_code == AMQP_RESOURCE_LOCKED ||
                   (c->reply_code == AMQP_ACCESS_REFUSED && strstr(c->error, "exclusive"))))
        return RABBITMQ_E_LOCKED;
    return result;
}

/**
 * A durable queue that this node left behind when its mode was changed is refused with the same 405 as one that is
 * held. If nobody consumes from it, it is removed (on a channel of its own: the refusal has closed the first). Return:
 * whether the name is free now.
 */
static bool remove_leftover(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    const bool if_unused = true, if_empty = false;
    amqp_queue_delete_t request = {
        .queue = amqp_cstring_bytes(bus->queue),
        .if_unused = if_unused,
        .if_empty = if_empty,
    };
    amqp_method_number_t answers[] = {AMQP_QUEUE_DELETE_OK_METHOD, 0};
    amqp_rpc_reply_t reply;

    (void)amqp_channel_open(c->amqp, LEFTOVER_CHANNEL);
    if (amqp_get_rpc_reply(c->amqp).reply_type != AMQP_RESPONSE_NORMAL)
        return false;
    reply = amqp_simple_rpc(c->amqp, LEFTOVER_CHANNEL, AMQP_QUEUE_DELETE_METHOD, answers, &request);
    return reply.reply_type == AMQP_RESPONSE_NORMAL;
}

static int declare_all(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    int result = declare_exchange(c, bus->fanout_exchange, "fanout");

    if (!result)
        result = declare_exchange(c, bus->node_exchange, "direct");
    if (!result)
        result = declare_queue(bus, c);
    if (!result)
        result = bind_queue(bus, c, bus->fanout_exchange, "");
    if (!result)
        result = bind_queue(bus, c, bus->node_exchange, bus->node_id);
    if (!result)
        result = consume(bus, c);
    return result;
}

/* ---- deliveries ---- */

static struct slice copy_text(char **at, amqp_bytes_t text, bool is_present)
{
    char *begin = *at;

    if (!is_present)
        return SLICE_NONE;
    if (text.len > 0)
        memcpy(begin, text.bytes, text.len);
    *at += text.len;
    return slice_make(begin, text.len);
}

static struct rabbitmq_delivery *delivery_new(struct rabbitmq_consumer *c, const amqp_basic_properties_t *p,
                                              size_t body_size)
{
    amqp_bytes_t key = amqp_cstring_bytes(c->routing_key);
    bool has_type = p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG, has_id = p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG;
    bool has_app = p->_flags & AMQP_BASIC_APP_ID_FLAG;
    size_t texts = (has_type ? p->content_type.len : 0) + key.len + (has_id ? p->message_id.len : 0) +
                   (has_app ? p->app_id.len : 0);
    struct rabbitmq_delivery *d = calloc(1, sizeof(*d) + texts + 1);
    char *at;

    if (!d)
        return NULL;
    at = d->texts;
    d->delivery.body = payload_new(body_size);
    if (!d->delivery.body) {
        free(d);
        return NULL;
    }
    list_init(&d->delivery.link);
    d->delivery.content_type = copy_text(&at, p->content_type, has_type);
    d->delivery.routing_key = copy_text(&at, key, true);
    d->delivery.message_id = copy_text(&at, p->message_id, has_id);
    d->delivery.app_id = copy_text(&at, p->app_id, has_app);
    d->delivery.time_ms = clock_realtime_ms();
    d->delivery.redelivered = c->deliver.redelivered;
    d->tag = c->deliver.delivery_tag;
    d->generation = c->worker.connections;
    return d;
}

/** Puts what came in where the owner takes it. */
static void hand_over(struct rabbitmq_consumer *c)
{
    if (list_is_empty(&c->incoming))
        return;
    (void)pthread_mutex_lock(&c->worker.lock);
    list_splice(&c->inbox, &c->incoming);
    rabbitmq_worker_notify(&c->worker);
    (void)pthread_mutex_unlock(&c->worker.lock);
}

/** As if it had been given back at once. */
static void swallow(struct rabbitmq_consumer *c)
{
    metrics_add(c->worker.cells, RABBITMQ_OVERSIZED, 1);
    (void)pthread_mutex_lock(&c->worker.lock);
    c->is_done[c->deliver.delivery_tag % c->window] = true;
    c->has_acks = true;
    (void)pthread_mutex_unlock(&c->worker.lock);
}

static void complete(struct rabbitmq_consumer *c)
{
    struct rabbitmq_delivery *d = base_take(c->partial);

    c->in_body = false;
    metrics_add(c->worker.cells, RABBITMQ_CONSUMED_BODIES, 1);
    metrics_add(c->worker.cells, RABBITMQ_CONSUMED_BYTES, (int64_t)c->body_size);
    if (c->deliver.redelivered)
        metrics_add(c->worker.cells, RABBITMQ_REDELIVERED, 1);
    if (c->is_swallowed)
        swallow(c);
    else
        list_append(&c->incoming, &d->delivery.link);
}

static int protocol_error(struct rabbitmq_connection *c, const char *text)
{
    (void)snprintf(c->error, sizeof(c->error), "protocol: %s", text);
    return RABBITMQ_E_LOST;
}

static int on_deliver(struct rabbitmq_consumer *c, const amqp_basic_deliver_t *m)
{
    /* Beyond the window it would overwrite the mark of another. */
    if (m->delivery_tag <= c->acked || m->delivery_tag > c->acked + c->window)
        return protocol_error(&c->worker.connection, "a delivery beyond the prefetch");
    c->deliver = *m;
    (void)snprintf(c->routing_key, sizeof(c->routing_key), "%.*s", (int)m->routing_key.len,
                   (const char *)m->routing_key.bytes);
    c->in_header = true;
    return RABBITMQ_OK;
}

static int on_header(struct rabbitmq_consumer *c, const amqp_frame_t *frame)
{
    if (!c->in_header || frame->payload.properties.class_id != AMQP_BASIC_CLASS)
        return protocol_error(&c->worker.connection, "a header out of place");
    c->in_header = false;
    c->in_body = true;
    c->body_size = frame->payload.properties.body_size;
    c->body_received = 0;
    c->is_swallowed = c->body_size > (uint64_t)c->worker.bus->config->max_body_bytes;
    if (!c->is_swallowed) {
        c->partial = delivery_new(c, frame->payload.properties.decoded, (size_t)c->body_size);
        if (!c->partial) {
            (void)snprintf(c->worker.connection.error, sizeof(c->worker.connection.error), "out of memory");
            return RABBITMQ_E_LOST; /* it will be delivered again */
        }
    }
    if (c->body_size == 0)
        complete(c);
    return RABBITMQ_OK;
}

static int on_body(struct rabbitmq_consumer *c, const amqp_frame_t *frame)
{
    amqp_bytes_t piece = frame->payload.body_fragment;

    if (!c->in_body || piece.len > c->body_size - c->body_received)
        return protocol_error(&c->worker.connection, "a body out of place");
    if (c->partial && piece.len > 0)
        memcpy(c->partial->delivery.body->data + c->body_received, piece.bytes, piece.len);
    c->body_received += piece.len;
    if (c->body_received == c->body_size)
        complete(c);
    return RABBITMQ_OK;
}

static int on_frame(struct rabbitmq_consumer *c, const amqp_frame_t *frame)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_HEADER:
        return on_header(c, frame);
    case AMQP_FRAME_BODY:
        return on_body(c, frame);
    case AMQP_FRAME_METHOD:
        break;
    default:
        return RABBITMQ_OK;
    }
    if (frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD)
        return on_deliver(c, frame->payload.method.decoded);
    if (frame->payload.method.id == AMQP_BASIC_CANCEL_METHOD) {
        (void)snprintf(c->worker.connection.error, sizeof(c->worker.connection.error),
                       "the broker cancelled the consumer");
        return RABBITMQ_E_CANCELLED;
    }
    return RABBITMQ_OK; /* connection.blocked does not concern who only consumes */
}

/** Takes everything that has arrived, at most a batch. */
static int drain(struct rabbitmq_consumer *c)
{
    int result = RABBITMQ_OK;

    for (int frames = 0; !result && frames < 4 * BATCH_MAX; frames++) {
        amqp_frame_t frame;
        bool is_frame;

        rabbitmq_worker_call(&c->worker, clock_monotonic_ms()); /* it may send a heartbeat */
        result = rabbitmq_connection_next(&c->worker.connection, &frame, &is_frame);
        rabbitmq_worker_call(&c->worker, 0);
        if (result || !is_frame)
            break;
        result = on_frame(c, &frame);
    }
    hand_over(c);
    return result;
}

/* ---- acknowledging ---- */

static int acknowledge(struct rabbitmq_consumer *c)
{
    uint64_t taken;
    int status;

    (void)pthread_mutex_lock(&c->worker.lock);
    while (c->has_acks && c->is_done[(c->taken + 1) % c->window])
        c->is_done[++c->taken % c->window] = false;
    c->has_acks = false;
    taken = c->taken;
    (void)pthread_mutex_unlock(&c->worker.lock);
    if (taken == c->acked)
        return RABBITMQ_OK;
    rabbitmq_worker_call(&c->worker, clock_monotonic_ms());
    status = amqp_basic_ack(c->worker.connection.amqp, RABBITMQ_CHANNEL, taken, 1);
    rabbitmq_worker_call(&c->worker, 0);
    c->acked = taken;
    return rabbitmq_connection_status(&c->worker.connection, "basic.ack", status);
}

/** A new connection counts its tags from 1. */
static void begin_generation(struct rabbitmq_consumer *c, uint64_t generation)
{
    (void)pthread_mutex_lock(&c->worker.lock);
    c->generation = generation;
    c->taken = 0;
    c->has_acks = false;
    memset(c->is_done, 0, c->window * sizeof(*c->is_done));
    (void)pthread_mutex_unlock(&c->worker.lock);
    c->acked = 0;
    c->in_header = c->in_body = false;
}

static int serve(struct rabbitmq_worker *w)
{
    struct rabbitmq_consumer *c = consumer_of(w);
    int result = RABBITMQ_OK;

    begin_generation(c, w->connections + 1);
    if (!atomic_load(&w->is_stopping))
        result = declare_all(w->bus, &w->connection);
    if (result == RABBITMQ_E_LOCKED && !c->was_locked && w->bus->config->queue == RABBITMQ_QUEUE_EXCLUSIVE &&
        remove_leftover(w->bus, &w->connection)) {
        log_event(LOG_NOTICE, "removed the durable queue of an earlier mode", LOG_TEXT("queue", w->bus->queue));
        return RABBITMQ_E_RETRY;
    }
    c->was_locked = result == RABBITMQ_E_LOCKED; /* tried once: each attempt is an error in the broker's log */
    if (result || atomic_load(&w->is_stopping))
        return result;
    rabbitmq_worker_report(w, RABBITMQ_LINK_UP, "");
    while (!result) {
        result = drain(c);
        if (!result)
            result = acknowledge(c);
        if (result || atomic_load(&w->is_stopping))
            break;
        rabbitmq_worker_wait(w, POLLIN, rabbitmq_worker_patience_ms(w));
    }
    return result;
}

/** What had arrived whole was handed over; the rest comes again. Tags given back from now on mean nothing. */
static void lost(struct rabbitmq_worker *w)
{
    struct rabbitmq_consumer *c = consumer_of(w);

    delivery_free(base_take(c->partial));
    begin_generation(c, 0);
}

/* ---- the owner's side ---- */

static void on_notify(struct rabbitmq_worker *w)
{
    struct rabbitmq_consumer *c = consumer_of(w);
    struct rabbitmq_bus *bus = w->bus;
    struct list batch;
    struct list *member;

    list_init(&batch);
    (void)pthread_mutex_lock(&w->lock);
    list_splice(&batch, &c->inbox);
    (void)pthread_mutex_unlock(&w->lock);
    rabbitmq_bus_update(bus);
    while (!bus->is_stopped && (member = list_pop(&batch))) {
        c->given_out++;
        bus->bus.callbacks.on_delivery(bus->bus.callbacks.userdata, container_of(member, struct bus_delivery, link));
    }
    while ((member = list_pop(&batch))) /* stopped meanwhile */
        delivery_free(container_of(member, struct rabbitmq_delivery, delivery.link));
    metrics_set(bus->cells, RABBITMQ_UNACKED, (int64_t)c->given_out);
}

static void wake_for_acks(void *userdata)
{
    struct rabbitmq_consumer *c = userdata;

    rabbitmq_worker_wake(&c->worker);
}

void rabbitmq_consumer_delivery_done(struct rabbitmq_consumer *c, struct bus_delivery *delivery)
{
    struct rabbitmq_delivery *d = container_of(delivery, struct rabbitmq_delivery, delivery);
    bool is_current;

    assert(c->given_out > 0);
    c->given_out--;
    (void)pthread_mutex_lock(&c->worker.lock);
    is_current = d->generation == c->generation;
    if (is_current) {
        c->is_done[d->tag % c->window] = true;
        c->has_acks = true;
    }
    (void)pthread_mutex_unlock(&c->worker.lock);
    if (is_current && c->worker.is_started)
        loop_defer(c->worker.bus->bus.owner, &c->wake); /* one wake-up for all of this turn */
    delivery_free(d);
}

const struct rabbitmq_role rabbitmq_consumer_role = {
    .name = "consumer",
    .thread_name = "amqp-consumer",
    .serve = serve,
    .lost = lost,
    .on_notify = on_notify,
};

int rabbitmq_consumer_init(struct rabbitmq_consumer *c, struct rabbitmq_bus *bus)
{
    list_init(&c->incoming);
    list_init(&c->inbox);
    c->window = (size_t)bus->config->prefetch;
    c->is_done = calloc(c->window, sizeof(*c->is_done));
    if (!c->is_done)
        return -ENOMEM;
    loop_deferred_init(&c->wake, wake_for_acks, c);
    return rabbitmq_worker_init(&c->worker, bus, &rabbitmq_consumer_role);
}

void rabbitmq_consumer_deinit(struct rabbitmq_consumer *c)
{
    struct list *member;

    if (c->is_done) {
        list_splice(&c->inbox, &c->incoming);
        while ((member = list_pop(&c->inbox)))
            delivery_free(container_of(member, struct rabbitmq_delivery, delivery.link));
    }
    assert(c->given_out == 0);
    rabbitmq_worker_deinit(&c->worker);
    free(c->is_done);
}
