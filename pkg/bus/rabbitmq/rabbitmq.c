/*
 * The bus over RabbitMQ: its workers, and one state that is made of two of them.
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
    [RABBITMQ_INGRESS_BODIES] = {"warren_amqp_ingress_bodies_total", METRICS_COUNTER,
                                 "Bodies received from the ingress queue."},
    [RABBITMQ_INGRESS_BYTES] = {"warren_amqp_ingress_bytes_total", METRICS_COUNTER, "Bytes of these bodies."},
    [RABBITMQ_INGRESS_REDELIVERED] = {"warren_amqp_ingress_redelivered_bodies_total", METRICS_COUNTER,
                                      "Bodies of the ingress queue that had been delivered before."},
    [RABBITMQ_INGRESS_UNACKED] = {"warren_amqp_ingress_unacked_bodies", METRICS_GAUGE,
                                  "Bodies of the ingress queue that the hub has not given back."},
    [RABBITMQ_DEPOSITED] = {"warren_amqp_deposits_total", METRICS_COUNTER,
                            "Bodies that the broker has taken into the archive or among the dead letters."},
    [RABBITMQ_DEPOSITS] = {"warren_amqp_pending_deposits", METRICS_GAUGE, "Such bodies that wait for their confirm."},
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
    unsigned reports = atomic_load_explicit(&b->consumer.worker.reports, memory_order_relaxed) +
                       atomic_load_explicit(&b->publisher.worker.reports, memory_order_relaxed);
    struct rabbitmq_report consumer, publisher;
    const struct rabbitmq_report *worse;
    enum bus_state state;
    bool is_changed;

    if (reports == b->reports) /* a later one posts the task again */
        return;
    b->reports = reports;
    consumer = report_of(&b->consumer.worker);
    publisher = report_of(&b->publisher.worker);
    worse = consumer.link != RABBITMQ_LINK_UP ? &consumer : &publisher;
    state = combine(b, consumer.link, publisher.link);
    is_changed = state != b->status.state || strcmp(worse->detail, b->status.detail) != 0;
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
        rabbitmq_worker_watch(&b->consumer.worker, now_ms) + rabbitmq_worker_watch(&b->publisher.worker, now_ms) +
        rabbitmq_worker_watch(&b->ingress_consumer.worker, now_ms) + rabbitmq_worker_watch(&b->keeper.worker, now_ms);

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
    rabbitmq_worker_stop(&b->ingress_consumer.worker, now_ms);
    rabbitmq_worker_stop(&b->keeper.worker, now_ms + FLUSH_MS);
    rabbitmq_worker_stop(&b->publisher.worker, now_ms + FLUSH_MS);
    rabbitmq_worker_join(&b->publisher.worker, now_ms + STOP_MS);
    rabbitmq_worker_join(&b->keeper.worker, now_ms + STOP_MS);
    rabbitmq_worker_join(&b->ingress_consumer.worker, now_ms + STOP_MS);
    rabbitmq_worker_stop(&b->consumer.worker, now_ms);
    rabbitmq_worker_join(&b->consumer.worker, now_ms + STOP_MS);
    loop_timer_deinit(&b->watchdog);
    loop_timer_deinit(&b->publisher.deadline);
    loop_deferred_cancel(&b->consumer.wake);
    loop_deferred_cancel(&b->publisher.wake);
    loop_timer_deinit(&b->consumer.ack_timer);
    loop_deferred_cancel(&b->ingress_consumer.wake);
    loop_timer_deinit(&b->ingress_consumer.ack_timer);
    rabbitmq_publisher_abandon(&b->publisher);
    rabbitmq_keeper_abandon(&b->keeper);
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
    if (!result && b->config->ingress)
        result = rabbitmq_worker_start(&b->ingress_consumer.worker);
    if (!result && (b->config->ingress || b->config->archive))
        result = rabbitmq_worker_start(&b->keeper.worker);
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
    rabbitmq_consumer_delivery_done(d);
}

static bool rabbitmq_delivery_is_void(struct bus *bus base_unused, const struct bus_delivery *d)
{
    return rabbitmq_consumer_delivery_is_void(d);
}

static int rabbitmq_deposit(struct bus *bus, struct bus_deposit *d)
{
    struct rabbitmq_bus *b = bus_of(bus);
    bool has_shelf = d->shelf == BUS_SHELF_DEAD ? b->config->ingress : b->config->archive;

    assert(loop_is_current(bus->owner));
    return has_shelf ? rabbitmq_keeper_deposit(&b->keeper, d) : BUS_E_UNAVAILABLE;
}

static void rabbitmq_ingress(struct bus *bus, bool is_wanted)
{
    rabbitmq_consumer_want(&bus_of(bus)->ingress_consumer, is_wanted);
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
    rabbitmq_keeper_deinit(&b->keeper);
    rabbitmq_consumer_deinit(&b->ingress_consumer);
    rabbitmq_publisher_deinit(&b->publisher);
    rabbitmq_consumer_deinit(&b->consumer);
    for (size_t i = 0; i < BUS_SHELVES; i++)
        free(b->shelves[i]);
    free(b->ingress);
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
    .deposit = rabbitmq_deposit,
    .ingress = rabbitmq_ingress,
    .delivery_is_void = rabbitmq_delivery_is_void,
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
    b->ingress_consumer.worker.cells = metrics_cells_new(group);
    b->keeper.worker.cells = metrics_cells_new(group);
    if (!b->cells || !b->consumer.worker.cells || !b->publisher.worker.cells || !b->ingress_consumer.worker.cells ||
        !b->keeper.worker.cells)
        return -ENOMEM;
    b->queue = format_name(b->config->prefix, ".node.", b->node_id);
    b->fanout_exchange = format_name(b->config->prefix, ".fanout", "");
    b->node_exchange = format_name(b->config->prefix, ".node", "");
    b->ingress = format_name(b->config->prefix, ".ingress", "");
    b->shelves[BUS_SHELF_DEAD] = format_name(b->config->prefix, ".ingress", ".dead");
    b->shelves[BUS_SHELF_ARCHIVE] = format_name(b->config->prefix, ".archive", "");
    if (!b->queue || !b->fanout_exchange || !b->node_exchange || !b->ingress || !b->shelves[BUS_SHELF_DEAD] ||
        !b->shelves[BUS_SHELF_ARCHIVE])
        return -ENOMEM;
    result = rabbitmq_consumer_init(&b->consumer, b, &rabbitmq_consumer_role, &rabbitmq_node_source,
                                    (size_t)b->config->prefetch);
    if (!result)
        result = rabbitmq_publisher_init(&b->publisher, b);
    if (!result)
        result = rabbitmq_consumer_init(&b->ingress_consumer, b, &rabbitmq_ingress_role, &rabbitmq_ingress_source,
                                        b->config->ingress ? (size_t)b->config->ingress_prefetch : 1);
    if (!result)
        result = rabbitmq_keeper_init(&b->keeper, b);
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
        loop_timer_deinit(&b->consumer.ack_timer);
        loop_timer_deinit(&b->ingress_consumer.ack_timer);
        (void)rabbitmq_bus_unref(b);
        return result;
    }
    *ret_bus = &b->bus;
    return 0;
}
