/*
 * The bus over RabbitMQ: two workers, and one state that is made of theirs.
 *
 * The owner holds the state; the workers report. A node is ready when its consumer consumes and its publisher may
 * publish.
 */
#include "bus/rabbitmq/rabbitmq_internal.h"

#include "base/clock.h"

#include <stdio.h>

#define WATCHDOG_PERIOD_MS 500
/** How long bus_stop() lets the publisher flush, and when it takes the sockets away. */
#define FLUSH_MS 1500
#define STOP_MS 2200

static const struct metrics_row rows[RABBITMQ_METRICS] = {
    [RABBITMQ_PUBLISHED_BODIES] = {"warren_amqp_published_bodies_total", METRICS_COUNTER,
                                   "Bodies sent to the broker, repeated ones included."},
    [RABBITMQ_PUBLISHED_MESSAGES] = {"warren_amqp_published_messages_total", METRICS_COUNTER,
                                     "Messages in these bodies."},
    [RABBITMQ_CONFIRMED] = {"warren_amqp_confirmed_bodies_total", METRICS_COUNTER, "Bodies that the broker confirmed."},
    [RABBITMQ_NACKED] = {"warren_amqp_nacked_bodies_total", METRICS_COUNTER,
                         "Bodies that the broker refused; they go again."},
    [RABBITMQ_RETURNED] = {"warren_amqp_returned_bodies_total", METRICS_COUNTER, "Bodies that the broker gave back."},
    [RABBITMQ_REPUBLISHED] = {"warren_amqp_republished_bodies_total", METRICS_COUNTER,
                              "Bodies sent again after a cut or a refusal."},
    [RABBITMQ_EXPIRED] = {"warren_amqp_expired_messages_total", METRICS_COUNTER,
                          "Messages whose confirm did not come in time."},
    [RABBITMQ_REFUSED_BUSY] = {"warren_amqp_refused_messages_total", METRICS_COUNTER,
                               "Messages refused because too many were waiting."},
    [RABBITMQ_CONSUMED_BODIES] = {"warren_amqp_consumed_bodies_total", METRICS_COUNTER, "Bodies received."},
    [RABBITMQ_CONSUMED_BYTES] = {"warren_amqp_consumed_bytes_total", METRICS_COUNTER, "Bytes of these bodies."},
    [RABBITMQ_REDELIVERED] = {"warren_amqp_redelivered_bodies_total", METRICS_COUNTER,
                              "Bodies received that had been delivered before."},
    [RABBITMQ_OVERSIZED] = {"warren_amqp_oversized_bodies_total", METRICS_COUNTER,
                            "Bodies dropped unread because they were too large."},
    [RABBITMQ_RECONNECTS] = {"warren_amqp_reconnects_total", METRICS_COUNTER, "Connections made again."},
    [RABBITMQ_STUCK] = {"warren_amqp_stuck_total", METRICS_COUNTER, "Connections cut because a call was stuck."},
    [RABBITMQ_BLOCKED] = {"warren_amqp_blocked_total", METRICS_COUNTER, "Times that the broker blocked publishing."},
    [RABBITMQ_NAME_LOCKED] = {"warren_amqp_name_locked_total", METRICS_COUNTER,
                              "Attempts refused because the queue's name was held."},
    [RABBITMQ_PENDING] = {"warren_amqp_pending_messages", METRICS_GAUGE,
                          "Messages waiting to be published or confirmed."},
    [RABBITMQ_PENDING_BYTES] = {"warren_amqp_pending_bytes", METRICS_GAUGE, "Bytes of these messages."},
    [RABBITMQ_UNACKED] = {"warren_amqp_unacked_bodies", METRICS_GAUGE, "Bodies that the hub has not given back."},
    [RABBITMQ_CONNECTIONS] = {"warren_amqp_connections", METRICS_GAUGE, "Broker connections in use."},
};

static struct rabbitmq_bus *bus_of(struct bus *b)
{
    return container_of(b, struct rabbitmq_bus, bus);
}

/* ---- state ---- */

static enum bus_state combine(const struct rabbitmq_bus *b, enum rabbitmq_link consumer, enum rabbitmq_link publisher)
{
    if (consumer == RABBITMQ_LINK_LOCKED)
        return BUS_STATE_NAME_LOCKED;
    if (consumer == RABBITMQ_LINK_UP && publisher == RABBITMQ_LINK_UP)
        return BUS_STATE_READY;
    if (consumer == RABBITMQ_LINK_UP && publisher == RABBITMQ_LINK_BLOCKED)
        return BUS_STATE_BLOCKED;
    return b->was_ready ? BUS_STATE_DOWN : BUS_STATE_STARTING;
}

static struct rabbitmq_report report_of(struct rabbitmq_worker *w)
{
    struct rabbitmq_report report;

    (void)pthread_mutex_lock(&w->lock);
    report = w->report;
    (void)pthread_mutex_unlock(&w->lock);
    return report;
}

void rabbitmq_bus_update(struct rabbitmq_bus *b)
{
    struct rabbitmq_report consumer = report_of(&b->consumer.worker), publisher = report_of(&b->publisher.worker);
    const struct rabbitmq_report *worse = consumer.link != RABBITMQ_LINK_UP ? &consumer : &publisher;
    enum bus_state state = combine(b, consumer.link, publisher.link);
    bool is_changed = state != b->status.state || strcmp(worse->detail, b->status.detail) != 0;

    if (state == BUS_STATE_READY)
        b->was_ready = true;
    b->status.reconnects = consumer.reconnects + publisher.reconnects;
    (void)snprintf(b->status.broker, sizeof(b->status.broker), "%s", worse->broker);
    (void)snprintf(b->status.detail, sizeof(b->status.detail), "%s", worse->detail);
    if (state != b->status.state)
        b->status.since_ms = loop_now_ms(b->bus.owner);
    b->status.state = state;
    if (is_changed && b->bus.callbacks.on_state) {
        struct bus_status status;

        bus_status(&b->bus, &status);
        b->bus.callbacks.on_state(b->bus.callbacks.userdata, &status);
    }
}

static void on_watchdog(void *userdata)
{
    struct rabbitmq_bus *b = userdata;
    uint64_t now_ms = clock_monotonic_ms();
    int stuck =
        rabbitmq_worker_watch(&b->consumer.worker, now_ms) + rabbitmq_worker_watch(&b->publisher.worker, now_ms);

    metrics_add(b->cells, RABBITMQ_STUCK, stuck);
    loop_timer_start(&b->watchdog, WATCHDOG_PERIOD_MS);
}

/* ---- the interface ---- */

static void rabbitmq_stop(struct bus *bus)
{
    struct rabbitmq_bus *b = bus_of(bus);
    uint64_t now_ms = clock_monotonic_ms();

    if (b->is_stopped)
        return;
    b->is_stopped = true;
    rabbitmq_worker_stop(&b->publisher.worker, now_ms + FLUSH_MS);
    rabbitmq_worker_join(&b->publisher.worker, now_ms + STOP_MS);
    rabbitmq_worker_stop(&b->consumer.worker, now_ms);
    rabbitmq_worker_join(&b->consumer.worker, now_ms + STOP_MS);
    loop_timer_deinit(&b->watchdog);
    loop_timer_deinit(&b->publisher.deadline);
    loop_deferred_cancel(&b->consumer.wake);
    rabbitmq_publisher_abandon(&b->publisher);
}

static int rabbitmq_start(struct bus *bus)
{
    struct rabbitmq_bus *b = bus_of(bus);
    int result;

    assert(!b->is_started && !b->is_stopped);
    b->is_started = true;
    b->status.since_ms = loop_now_ms(bus->owner);
    result = rabbitmq_worker_start(&b->consumer.worker);
    if (!result)
        result = rabbitmq_worker_start(&b->publisher.worker);
    if (result) {
        rabbitmq_stop(bus);
        return result;
    }
    loop_timer_start(&b->watchdog, WATCHDOG_PERIOD_MS);
    return 0;
}

static int rabbitmq_publish(struct bus *bus, struct bus_publication *p)
{
    assert(loop_is_current(bus->owner));
    return rabbitmq_publisher_publish(&bus_of(bus)->publisher, p);
}

static void rabbitmq_delivery_done(struct bus *bus, struct bus_delivery *d)
{
    assert(loop_is_current(bus->owner));
    rabbitmq_consumer_delivery_done(&bus_of(bus)->consumer, d);
}

static void rabbitmq_status(struct bus *bus, struct bus_status *ret_status)
{
    struct rabbitmq_bus *b = bus_of(bus);

    *ret_status = b->status;
    ret_status->pending = b->publisher.pending;
    ret_status->pending_bytes = b->publisher.pending_bytes;
}

struct rabbitmq_bus *rabbitmq_bus_unref(struct rabbitmq_bus *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    rabbitmq_publisher_deinit(&b->publisher);
    rabbitmq_consumer_deinit(&b->consumer);
    free(b->node_exchange);
    free(b->fanout_exchange);
    free(b->queue);
    free(b->node_id);
    free(b);
    return NULL;
}

static struct bus *rabbitmq_free(struct bus *bus)
{
    rabbitmq_stop(bus);
    (void)rabbitmq_bus_unref(bus_of(bus));
    return NULL;
}

static const struct bus_ops rabbitmq_ops = {
    .name = "rabbitmq",
    .start = rabbitmq_start,
    .publish = rabbitmq_publish,
    .delivery_done = rabbitmq_delivery_done,
    .status = rabbitmq_status,
    .stop = rabbitmq_stop,
    .free = rabbitmq_free,
};

static bool urls_are_good(const struct rabbitmq_config *config)
{
    for (size_t i = 0; i < config->url.count; i++) {
        if (rabbitmq_url_check(slice_from(config->url.items[i])))
            return false;
    }
    return config->url.count > 0;
}

static char *format_name(const char *prefix, const char *middle, const char *end)
{
    struct buffer b = {0};

    buffer_printf(&b, "%s%s%s", prefix, middle, end);
    return buffer_steal(&b);
}

static int init(struct rabbitmq_bus *b, struct metrics *metrics)
{
    struct metrics_group *group = metrics_group_new(metrics, rows, RABBITMQ_METRICS);
    int result;

    if (!group)
        return -ENOMEM;
    b->cells = metrics_cells_new(group);
    b->consumer.worker.cells = metrics_cells_new(group);
    b->publisher.worker.cells = metrics_cells_new(group);
    if (!b->cells || !b->consumer.worker.cells || !b->publisher.worker.cells)
        return -ENOMEM;
    b->queue = format_name(b->config->prefix, ".node.", b->node_id);
    b->fanout_exchange = format_name(b->config->prefix, ".fanout", "");
    b->node_exchange = format_name(b->config->prefix, ".node", "");
    if (!b->queue || !b->fanout_exchange || !b->node_exchange)
        return -ENOMEM;
    result = rabbitmq_consumer_init(&b->consumer, b);
    if (!result)
        result = rabbitmq_publisher_init(&b->publisher, b);
    return result;
}

int rabbitmq_bus_new(struct loop *owner, const struct rabbitmq_config *config, const char *node_id,
                     struct metrics *metrics, struct bus **ret_bus)
{
    struct rabbitmq_bus *b;
    int result;

    if (!urls_are_good(config))
        return -EINVAL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    atomic_init(&b->refs, 1);
    b->bus.ops = &rabbitmq_ops;
    b->bus.owner = owner;
    b->config = config;
    b->node_id = strdup(node_id);
    loop_timer_init(&b->watchdog, owner, on_watchdog, b);
    result = b->node_id ? init(b, metrics) : -ENOMEM;
    if (result) {
        loop_timer_deinit(&b->watchdog);
        loop_timer_deinit(&b->publisher.deadline);
        (void)rabbitmq_bus_unref(b);
        return result;
    }
    *ret_bus = &b->bus;
    return 0;
}
