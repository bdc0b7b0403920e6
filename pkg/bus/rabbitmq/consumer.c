/*
 * The consuming connection: declares what must exist, holds the node's queue, puts deliveries together from their
 * frames and acknowledges.
 *
 * A delivery is three kinds of frames: basic.deliver, a header that tells the body's size, and the body in pieces. The
 * size is looked at before memory is taken: a body that is too large is swallowed piece by piece and acknowledged
 * unread. One of the ingress queue is delivered, so that it can be put among the dead letters, whole if it can be;
 * while the owner has it, nothing else is read, so that there is one in memory and not a prefetch of them: for one
 * heartbeat, before the broker misses ours.
 *
 * Acknowledgements: tags are consecutive within a connection (its number is the generation). The owner marks in a
 * window what was given back, in any order; this thread acknowledges up to the first gap with one `multiple`. The
 * prefetch bounds the window. A tag of an older generation means nothing any more. It does so when it is awake anyway,
 * because something else arrived; it is woken for it after ACK_DELAY_MS, or when a quarter of the window waits for it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <poll.h>
#include <stdio.h>

/** Deliveries handed over at the latest after so many, so that the hub works while the rest is read. */
#define BATCH_MAX 64
#define ACK_DELAY_MS 20
#define CONSUMER_TAG "warren"
#define LEFTOVER_CHANNEL 2

struct rabbitmq_delivery {
    struct bus_delivery delivery;
    struct rabbitmq_consumer *consumer;
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

int rabbitmq_declare_exchange(struct rabbitmq_connection *c, const char *name, const char *type)
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

int rabbitmq_bind_queue(struct rabbitmq_connection *c, const char *queue, const char *exchange, const char *key)
{
    (void)amqp_queue_bind(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(queue), amqp_cstring_bytes(exchange),
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

/** Whether the broker said that our durable queue is there with another length or expiry than we want now. */
static bool is_of_other_arguments(const struct rabbitmq_bus *bus, const struct rabbitmq_connection *c)
{
    return bus->config->queue == RABBITMQ_QUEUE_DURABLE && c->reply_code == AMQP_PRECONDITION_FAILED &&
           slice_starts_with(slice_from(c->error), SLICE_LITERAL("queue.declare")) && strstr(c->error, bus->queue);
}

/**
 * A durable queue that this node left behind when its mode was changed is refused with the same 405 as one that is
 * held; one of other arguments with 406. If nobody consumes from it, it is removed (on a channel of its own: the
 * refusal has closed the first). Return: whether the name is free now.
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

static int declare(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    int result = rabbitmq_declare_exchange(c, bus->fanout_exchange, "fanout");

    if (!result)
        result = rabbitmq_declare_exchange(c, bus->node_exchange, "direct");
    if (!result)
        result = declare_queue(bus, c);
    if (!result)
        result = rabbitmq_bind_queue(c, bus->queue, bus->fanout_exchange, "");
    if (!result)
        result = rabbitmq_bind_queue(c, bus->queue, bus->node_exchange, bus->node_id);
    return result;
}

static void deliver(struct rabbitmq_bus *bus, struct bus_delivery *d)
{
    bus->bus.callbacks.on_delivery(bus->bus.callbacks.userdata, d);
}

const struct rabbitmq_source rabbitmq_node_source = {
    .declare = declare,
    .consume = consume,
    .deliver = deliver,
    .bodies = RABBITMQ_CONSUMED_BODIES,
    .bytes = RABBITMQ_CONSUMED_BYTES,
    .redelivered = RABBITMQ_REDELIVERED,
    .unacked = RABBITMQ_UNACKED,
};

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
    d->consumer = c;
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
    rabbitmq_worker_unlock(&c->worker);
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
    metrics_add(c->worker.cells, c->source->bodies, 1);
    metrics_add(c->worker.cells, c->source->bytes, (int64_t)c->body_size);
    if (c->deliver.redelivered)
        metrics_add(c->worker.cells, c->source->redelivered, 1);
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
    uint64_t max_size = (uint64_t)c->worker.bus->config->max_body_bytes;
    bool is_oversized, is_cut;

    if (!c->in_header || frame->payload.properties.class_id != AMQP_BASIC_CLASS)
        return protocol_error(&c->worker.connection, "a header out of place");
    c->in_header = false;
    c->in_body = true;
    c->body_size = frame->payload.properties.body_size;
    c->body_received = 0;
    is_oversized = c->body_size > max_size;
    is_cut = is_oversized && c->body_size > RABBITMQ_WHOLE_MAX;
    c->is_swallowed = is_oversized && !c->source->keeps_oversized;
    if (!c->is_swallowed) {
        c->partial = delivery_new(c, frame->payload.properties.decoded, (size_t)(is_cut ? max_size : c->body_size));
        if (!c->partial) {
            (void)snprintf(c->worker.connection.error, sizeof(c->worker.connection.error), "out of memory");
            return RABBITMQ_E_LOST; /* it will be delivered again */
        }
        c->partial->delivery.is_oversized = is_oversized;
        if (is_oversized) {
            c->oversized_tag = c->deliver.delivery_tag;
            c->oversized_until_ms = clock_monotonic_ms() + (uint64_t)c->worker.bus->config->heartbeat_ms;
        }
        if (is_cut)
            c->partial->delivery.whole_bytes = c->body_size;
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
    if (c->partial && piece.len > 0 && c->body_received < c->partial->delivery.body->size) {
        size_t room = c->partial->delivery.body->size - (size_t)c->body_received;

        memcpy(c->partial->delivery.body->data + c->body_received, piece.bytes, piece.len < room ? piece.len : room);
    }
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

/** Whether the owner still has a body that is too large. */
static bool is_burdened(struct rabbitmq_consumer *c)
{
    if (!c->oversized_tag || c->in_header || c->in_body)
        return false;
    (void)pthread_mutex_lock(&c->worker.lock);
    if (c->oversized_tag <= c->taken || c->is_done[c->oversized_tag % c->window] ||
        clock_monotonic_ms() >= c->oversized_until_ms)
        c->oversized_tag = 0;
    (void)pthread_mutex_unlock(&c->worker.lock);
    return c->oversized_tag != 0;
}

/** Takes everything that has arrived, at most a batch. */
static int drain(struct rabbitmq_consumer *c)
{
    int result = RABBITMQ_OK;
    bool is_frame = true;

    for (int frames = 0; !result && frames < 4 * BATCH_MAX && !is_burdened(c); frames++) {
        amqp_frame_t frame;

        rabbitmq_worker_call(&c->worker, clock_monotonic_ms()); /* it may send a heartbeat */
        result = rabbitmq_connection_next(&c->worker.connection, &frame, &is_frame);
        rabbitmq_worker_call(&c->worker, 0);
        if (result || !is_frame)
            break;
        result = on_frame(c, &frame);
    }
    c->has_more = is_frame;
    hand_over(c);
    return result;
}

/* ---- acknowledging ---- */

static int acknowledge(struct rabbitmq_consumer *c)
{
    bool is_given_up;
    uint64_t taken;
    int status;

    (void)pthread_mutex_lock(&c->worker.lock);
    is_given_up = c->generation != c->worker.connections;
    while (c->has_acks && c->is_done[(c->taken + 1) % c->window])
        c->is_done[++c->taken % c->window] = false;
    c->has_acks = false;
    taken = c->taken;
    (void)pthread_mutex_unlock(&c->worker.lock);
    if (is_given_up)
        return RABBITMQ_E_PAUSED; /* the end of the connection gives everything back, in its order */
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
    c->acked = c->oversized_tag = 0;
    c->in_header = c->in_body = false;
}

static bool is_paused(const struct rabbitmq_consumer *c)
{
    return c->source->is_optional && !atomic_load(&c->is_wanted);
}

/** Until it is wanted; heartbeats go on. */
static int wait_until_wanted(struct rabbitmq_consumer *c)
{
    int result = RABBITMQ_OK;

    while (!result && is_paused(c) && !atomic_load(&c->worker.is_stopping)) {
        result = drain(c);
        if (!result)
            rabbitmq_worker_wait(&c->worker, POLLIN, rabbitmq_worker_patience_ms(&c->worker));
    }
    return result;
}

int rabbitmq_consumer_serve(struct rabbitmq_worker *w)
{
    struct rabbitmq_consumer *c = consumer_of(w);
    bool is_exclusive = w->bus->config->queue == RABBITMQ_QUEUE_EXCLUSIVE, is_leftover, was_removed;
    int result = RABBITMQ_OK;

    if (!atomic_load(&w->is_stopping))
        result = c->source->declare(w->bus, &w->connection);
    if (!result)
        result = wait_until_wanted(c);
    begin_generation(c, w->connections + 1);
    if (!result && !atomic_load(&w->is_stopping))
        result = c->source->consume(w->bus, &w->connection);
    /* A held name is asked about once: each attempt is an error in the broker's log. */
    is_leftover = (result == RABBITMQ_E_LOCKED && !c->was_locked && is_exclusive) ||
                  (result == RABBITMQ_E_LOST && is_of_other_arguments(w->bus, &w->connection));
    c->was_locked = result == RABBITMQ_E_LOCKED;
    if (is_leftover && remove_leftover(w->bus, &w->connection)) {
        log_event(LOG_NOTICE, "removed the durable queue of earlier settings", LOG_TEXT("queue", w->bus->queue));
        was_removed = c->was_removed;
        c->was_removed = true;
        return was_removed ? result : RABBITMQ_E_RETRY; /* at once, but not over and over */
    }
    c->was_removed = false;
    if (result || atomic_load(&w->is_stopping))
        return result;
    rabbitmq_worker_report(w, RABBITMQ_LINK_UP, "");
    while (!result) {
        result = drain(c);
        if (!result)
            result = acknowledge(c);
        if (result || atomic_load(&w->is_stopping))
            break;
        if (c->oversized_tag && !c->in_body) { /* the socket would wake it for what it does not want */
            rabbitmq_worker_rest(w, ACK_DELAY_MS);
            continue;
        }
        /* What TLS has read ahead no poll shows. */
        rabbitmq_worker_wait(w, POLLIN, c->has_more ? 0 : rabbitmq_worker_patience_ms(w));
    }
    return result;
}

/** What had arrived whole was handed over; the rest comes again. Tags given back from now on mean nothing. */
void rabbitmq_consumer_lost(struct rabbitmq_worker *w)
{
    struct rabbitmq_consumer *c = consumer_of(w);

    delivery_free(base_take(c->partial));
    begin_generation(c, 0);
}

/* ---- the owner's side ---- */

void rabbitmq_consumer_on_notify(struct rabbitmq_worker *w)
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
        c->source->deliver(bus, container_of(member, struct bus_delivery, link));
    }
    while ((member = list_pop(&batch))) /* stopped meanwhile */
        delivery_free(container_of(member, struct rabbitmq_delivery, delivery.link));
    metrics_set(bus->cells, c->source->unacked, (int64_t)c->given_out);
}

static void wake_for_acks(void *userdata)
{
    struct rabbitmq_consumer *c = userdata;

    c->given_back = 0;
    rabbitmq_worker_wake(&c->worker);
}

bool rabbitmq_consumer_delivery_is_void(const struct bus_delivery *delivery)
{
    const struct rabbitmq_delivery *d = container_of(delivery, struct rabbitmq_delivery, delivery);
    struct rabbitmq_consumer *c = d->consumer;
    bool is_void;

    (void)pthread_mutex_lock(&c->worker.lock);
    is_void = d->generation != c->generation;
    (void)pthread_mutex_unlock(&c->worker.lock);
    return is_void;
}

void rabbitmq_consumer_want(struct rabbitmq_consumer *c, bool is_wanted)
{
    bool was_wanted;

    (void)pthread_mutex_lock(&c->worker.lock);
    was_wanted = atomic_exchange(&c->is_wanted, is_wanted);
    if (!is_wanted)
        c->generation = 0;
    (void)pthread_mutex_unlock(&c->worker.lock);
    if (was_wanted != is_wanted && c->worker.is_started)
        rabbitmq_worker_wake(&c->worker);
}

void rabbitmq_consumer_delivery_done(struct bus_delivery *delivery)
{
    struct rabbitmq_delivery *d = container_of(delivery, struct rabbitmq_delivery, delivery);
    struct rabbitmq_consumer *c = d->consumer;
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
    if (is_current && c->worker.is_started) {
        if (++c->given_back > c->window / 4)
            loop_defer(c->worker.bus->bus.owner, &c->wake); /* one wake-up for all of this turn */
        else if (!loop_timer_is_pending(&c->ack_timer))
            loop_timer_start(&c->ack_timer, ACK_DELAY_MS);
    }
    delivery_free(d);
}

const struct rabbitmq_role rabbitmq_consumer_role = {
    .name = "consumer",
    .thread_name = "amqp-consumer",
    .serve = rabbitmq_consumer_serve,
    .lost = rabbitmq_consumer_lost,
    .on_notify = rabbitmq_consumer_on_notify,
};

int rabbitmq_consumer_init(struct rabbitmq_consumer *c, struct rabbitmq_bus *bus, const struct rabbitmq_role *role,
                           const struct rabbitmq_source *source, size_t prefetch)
{
    c->source = source;
    atomic_init(&c->is_wanted, false);
    list_init(&c->incoming);
    list_init(&c->inbox);
    c->window = prefetch;
    c->is_done = calloc(c->window, sizeof(*c->is_done));
    if (!c->is_done)
        return -ENOMEM;
    loop_deferred_init(&c->wake, wake_for_acks, c);
    loop_timer_init(&c->ack_timer, bus->bus.owner, wake_for_acks, c);
    return rabbitmq_worker_init(&c->worker, bus, role);
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
