/*
 * The keeping connection: puts whole bodies into the cluster's queues (dead letters, the archive), one by one, in
 * order, and answers when the broker has confirmed, which for these durable queues means that they are on its disk.
 *
 *     deposit() -> queue -> in_flight -> confirmed -> finished -> done()
 *                    ^          |
 *                    └──────────┘ cut, nacked or given back: first of all on the next connection
 *
 * A deposit has no deadline: it waits for the broker. Bodies are published as mandatory, so that a queue that somebody
 * deleted does not swallow them; when one comes back, the connection is made anew and declares the queue again. Each
 * body is a copy, because this thread may be stuck in a write, and outlive the bus' stop.
 */
#include "base/clock.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <poll.h>
#include <stdio.h>

/** Bodies without a confirm; they may be large. */
#define WINDOW 16
#define NACK_PAUSE_MS 100
/** A body that is too large and was sent so often in vain may be more than the way to the broker takes before the
 * watchdog thinks that it is stuck: then only its beginning goes. */
#define WHOLE_TRIES 3

struct kept {
    struct list link;
    struct bus_deposit *deposit; /* NULL: answered */
    uint64_t tag;
    uint64_t order; /* of the deposits */
    enum bus_shelf shelf;
    struct slice body, content_type, message_id, app_id, reason, routing_key; /* in @bytes */
    uint64_t whole_bytes;
    unsigned tries;
    char bytes[];
};

static struct rabbitmq_keeper *keeper_of(struct rabbitmq_worker *w)
{
    return container_of(w, struct rabbitmq_keeper, worker);
}

static struct slice copy(char **at, struct slice s)
{
    char *begin = *at;

    if (!slice_is_set(s))
        return SLICE_NONE;
    if (s.size > 0)
        memcpy(begin, s.data, s.size);
    *at += s.size;
    return slice_make(begin, s.size);
}

static struct kept *kept_new(struct bus_deposit *d)
{
    size_t size = d->body.size + d->content_type.size + d->message_id.size + d->app_id.size + d->reason.size +
                  d->routing_key.size;
    struct kept *k = malloc(sizeof(*k) + size + 1);
    char *at;

    if (!k)
        return NULL;
    at = k->bytes;
    *k = (struct kept){.deposit = d, .shelf = d->shelf, .whole_bytes = d->whole_bytes};
    list_init(&k->link);
    k->body = copy(&at, d->body);
    k->content_type = copy(&at, d->content_type);
    k->message_id = copy(&at, d->message_id);
    k->app_id = copy(&at, d->app_id);
    k->reason = copy(&at, d->reason);
    k->routing_key = copy(&at, d->routing_key);
    return k;
}

/* ---- publishing ---- */

static void add_header(amqp_table_t *headers, const char *name, struct slice value)
{
    if (slice_is_set(value))
        headers->entries[headers->num_entries++] = (amqp_table_entry_t){
            .key = amqp_cstring_bytes(name),
            .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = rabbitmq_bytes(value)},
        };
}

static int send_kept(struct rabbitmq_keeper *keeper, const struct kept *k)
{
    const int is_mandatory = 1;
    struct rabbitmq_worker *w = &keeper->worker;
    amqp_table_entry_t entries[4];
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TIMESTAMP_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .timestamp = (uint64_t)clock_realtime_ms() / 1000,
        .content_type = rabbitmq_bytes(k->content_type),
        .message_id = rabbitmq_bytes(k->message_id),
        .app_id = rabbitmq_bytes(k->app_id),
        .headers = {.entries = entries},
    };
    int status;

    add_header(&properties.headers, "x-warren-reason", k->reason);
    add_header(&properties.headers, "x-warren-routing-key", k->routing_key);
    if (k->shelf == BUS_SHELF_DEAD)
        add_header(&properties.headers, "x-warren-node", slice_from(w->bus->node_id));
    if (k->whole_bytes)
        entries[properties.headers.num_entries++] = (amqp_table_entry_t){
            .key = amqp_cstring_bytes("x-warren-bytes"),
            .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = (int64_t)k->whole_bytes},
        };
    if (properties.headers.num_entries > 0)
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    if (slice_is_set(k->content_type))
        properties._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
    if (slice_is_set(k->message_id))
        properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    if (slice_is_set(k->app_id))
        properties._flags |= AMQP_BASIC_APP_ID_FLAG;
    rabbitmq_worker_call(w, clock_monotonic_ms());
    status = amqp_basic_publish(w->connection.amqp, RABBITMQ_CHANNEL, amqp_empty_bytes,
                                amqp_cstring_bytes(w->bus->shelves[k->shelf]), is_mandatory, 0, &properties,
                                rabbitmq_bytes(k->body));
    rabbitmq_worker_call(w, 0);
    return rabbitmq_connection_status(&w->connection, "basic.publish", status);
}

static void cut_if_vain(const struct rabbitmq_config *config, struct kept *k)
{
    if (k->tries++ < WHOLE_TRIES || k->shelf != BUS_SHELF_DEAD || k->body.size <= (size_t)config->max_body_bytes)
        return;
    k->whole_bytes = k->body.size;
    k->body.size = (size_t)config->max_body_bytes;
}

/** The next one, already among those in flight. */
static struct kept *take_next(struct rabbitmq_keeper *keeper)
{
    struct list *member;
    struct kept *k = NULL;

    (void)pthread_mutex_lock(&keeper->worker.lock);
    member = keeper->in_flight_count < WINDOW ? list_pop(&keeper->queue) : NULL;
    if (member) {
        k = container_of(member, struct kept, link);
        k->tag = ++keeper->next_tag;
        cut_if_vain(keeper->worker.bus->config, k);
        list_append(&keeper->in_flight, &k->link);
        keeper->in_flight_count++;
    }
    (void)pthread_mutex_unlock(&keeper->worker.lock);
    return k;
}

static int send_waiting(struct rabbitmq_keeper *keeper, bool *ret_is_full)
{
    struct pollfd fd = {.fd = keeper->worker.connection.fd, .events = POLLOUT};
    int result = RABBITMQ_OK;
    const struct kept *k;

    *ret_is_full = false;
    while (!result && !keeper->is_blocked && clock_monotonic_ms() >= keeper->resend_at_ms) {
        if (rabbitmq_connection_has_input(&keeper->worker.connection))
            break; /* confirms first, or that publishing is blocked */
        if (poll(&fd, 1, 0) <= 0) {
            *ret_is_full = true;
            break;
        }
        k = take_next(keeper);
        if (!k)
            break;
        result = send_kept(keeper, k);
    }
    return result;
}

/* ---- what the broker answers ---- */

/** In its old place in the queue. */
static void again(struct rabbitmq_keeper *keeper, struct kept *k)
{
    struct list *it = keeper->queue.next;

    list_remove(&k->link);
    while (it != &keeper->queue && container_of(it, struct kept, link)->order < k->order)
        it = it->next;
    list_insert_before(it, &k->link);
}

static void on_confirm(struct rabbitmq_keeper *keeper, uint64_t tag, bool is_multiple, bool is_nack)
{
    (void)pthread_mutex_lock(&keeper->worker.lock);
    list_for_each_safe (it, &keeper->in_flight) {
        struct kept *k = container_of(it, struct kept, link);

        if (k->tag > tag && tag != 0)
            break;
        if (k->tag != tag && !is_multiple)
            continue;
        keeper->in_flight_count--;
        if (is_nack) {
            again(keeper, k);
            continue;
        }
        list_remove(&k->link);
        if (k->deposit) {
            k->deposit->result = 0;
            list_append(&keeper->finished, &k->deposit->link);
        }
        free(k);
        metrics_add(keeper->worker.cells, RABBITMQ_DEPOSITED, 1);
    }
    rabbitmq_worker_notify(&keeper->worker);
    rabbitmq_worker_unlock(&keeper->worker);
    if (is_nack)
        keeper->resend_at_ms = clock_monotonic_ms() + NACK_PAUSE_MS;
}

static int on_method(struct rabbitmq_keeper *keeper, const amqp_method_t *method)
{
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *m = method->decoded;

        on_confirm(keeper, m->delivery_tag, m->multiple, false);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *m = method->decoded;

        on_confirm(keeper, m->delivery_tag, m->multiple, true);
    } else if (method->id == AMQP_BASIC_RETURN_METHOD) {
        (void)snprintf(keeper->worker.connection.error, sizeof(keeper->worker.connection.error), "a queue was deleted");
        return RABBITMQ_E_CANCELLED; /* before its confirm: so it is among those that go again */
    } else if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        keeper->is_blocked = true;
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        keeper->is_blocked = false;
    }
    return RABBITMQ_OK;
}

static int drain(struct rabbitmq_keeper *keeper)
{
    int result;

    for (;;) {
        amqp_frame_t frame;
        bool is_frame;

        rabbitmq_worker_call(&keeper->worker, clock_monotonic_ms()); /* it may send a heartbeat */
        result = rabbitmq_connection_next(&keeper->worker.connection, &frame, &is_frame);
        rabbitmq_worker_call(&keeper->worker, 0);
        if (!result && is_frame && frame.frame_type == AMQP_FRAME_METHOD)
            result = on_method(keeper, &frame.payload.method);
        if (result || !is_frame)
            return result;
    }
}

/* ---- the thread ---- */

static int prepare(struct rabbitmq_worker *w)
{
    const struct rabbitmq_config *config = w->bus->config;
    const bool is_kept[BUS_SHELVES] = {[BUS_SHELF_DEAD] = config->ingress, [BUS_SHELF_ARCHIVE] = config->archive};
    int result;

    (void)amqp_confirm_select(w->connection.amqp, RABBITMQ_CHANNEL);
    result = rabbitmq_connection_reply(&w->connection, "confirm.select");
    for (size_t i = 0; !result && i < BUS_SHELVES; i++) {
        if (!is_kept[i])
            continue;
        (void)amqp_queue_declare(w->connection.amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(w->bus->shelves[i]), 0, 1, 0,
                                 0, amqp_empty_table);
        result = rabbitmq_connection_reply(&w->connection, "queue.declare");
    }
    return result;
}

static bool is_idle(struct rabbitmq_keeper *keeper)
{
    bool idle;

    (void)pthread_mutex_lock(&keeper->worker.lock);
    idle = list_is_empty(&keeper->queue) && list_is_empty(&keeper->in_flight);
    (void)pthread_mutex_unlock(&keeper->worker.lock);
    return idle;
}

static int next_look_ms(const struct rabbitmq_keeper *keeper)
{
    uint64_t now = clock_monotonic_ms();
    int patience = rabbitmq_worker_patience_ms(&keeper->worker);

    if (keeper->resend_at_ms > now && (int)(keeper->resend_at_ms - now) < patience)
        patience = (int)(keeper->resend_at_ms - now) + 1;
    if (atomic_load(&keeper->worker.is_stopping) && patience > 50)
        patience = 50;
    return patience;
}

static int serve(struct rabbitmq_worker *w)
{
    struct rabbitmq_keeper *keeper = keeper_of(w);
    bool is_full = false;
    int result = prepare(w);

    if (result)
        return result;
    keeper->next_tag = 0;
    keeper->is_blocked = false;
    keeper->resend_at_ms = 0;
    rabbitmq_worker_report(w, RABBITMQ_LINK_UP, "");
    for (;;) {
        result = drain(keeper);
        if (!result)
            result = send_waiting(keeper, &is_full);
        if (result)
            return result;
        if (atomic_load(&w->is_stopping) && (is_idle(keeper) || clock_monotonic_ms() >= atomic_load(&w->stop_at_ms)))
            return RABBITMQ_OK;
        rabbitmq_worker_wait(w, (short)(is_full ? POLLIN | POLLOUT : POLLIN), next_look_ms(keeper));
    }
}

/** Nobody will confirm what was in flight: it goes again, in order, before anything newer. */
static void lost(struct rabbitmq_worker *w)
{
    struct rabbitmq_keeper *keeper = keeper_of(w);

    (void)pthread_mutex_lock(&w->lock);
    while (!list_is_empty(&keeper->in_flight))
        again(keeper, container_of(keeper->in_flight.previous, struct kept, link));
    keeper->in_flight_count = 0;
    (void)pthread_mutex_unlock(&w->lock);
}

/* ---- the owner's side ---- */

static void answer(struct rabbitmq_keeper *keeper, struct list *finished)
{
    struct list *member;

    while ((member = list_pop(finished))) {
        struct bus_deposit *d = container_of(member, struct bus_deposit, link);

        keeper->pending--;
        d->done(d, d->result);
    }
    metrics_set(keeper->worker.bus->cells, RABBITMQ_DEPOSITS, (int64_t)keeper->pending);
}

static void on_notify(struct rabbitmq_worker *w)
{
    struct list finished;

    list_init(&finished);
    (void)pthread_mutex_lock(&w->lock);
    list_splice(&finished, &keeper_of(w)->finished);
    (void)pthread_mutex_unlock(&w->lock);
    answer(keeper_of(w), &finished);
}

int rabbitmq_keeper_deposit(struct rabbitmq_keeper *keeper, struct bus_deposit *d)
{
    struct kept *k;

    if (!keeper->worker.is_started)
        return BUS_E_UNAVAILABLE;
    k = kept_new(d);
    if (!k)
        return -ENOMEM;
    list_init(&d->link);
    k->order = ++keeper->deposits;
    (void)pthread_mutex_lock(&keeper->worker.lock);
    list_append(&keeper->queue, &k->link);
    (void)pthread_mutex_unlock(&keeper->worker.lock);
    keeper->pending++;
    metrics_set(keeper->worker.bus->cells, RABBITMQ_DEPOSITS, (int64_t)keeper->pending);
    rabbitmq_worker_wake(&keeper->worker);
    return 0;
}

static void abandon(struct list *kept, struct list *open)
{
    list_for_each (it, kept) {
        struct bus_deposit *d = base_take(container_of(it, struct kept, link)->deposit);

        if (!d)
            continue;
        d->result = BUS_E_UNAVAILABLE;
        list_append(open, &d->link);
    }
}

void rabbitmq_keeper_abandon(struct rabbitmq_keeper *keeper)
{
    struct list open;

    list_init(&open);
    (void)pthread_mutex_lock(&keeper->worker.lock);
    list_splice(&open, &keeper->finished); /* those with an answer first */
    abandon(&keeper->in_flight, &open);
    abandon(&keeper->queue, &open);
    (void)pthread_mutex_unlock(&keeper->worker.lock);
    answer(keeper, &open);
}

const struct rabbitmq_role rabbitmq_keeper_role = {
    .name = "keeper",
    .thread_name = "amqp-keeper",
    .serve = serve,
    .lost = lost,
    .on_notify = on_notify,
};

int rabbitmq_keeper_init(struct rabbitmq_keeper *keeper, struct rabbitmq_bus *bus)
{
    list_init(&keeper->queue);
    list_init(&keeper->in_flight);
    list_init(&keeper->finished);
    return rabbitmq_worker_init(&keeper->worker, bus, &rabbitmq_keeper_role);
}

void rabbitmq_keeper_deinit(struct rabbitmq_keeper *keeper)
{
    struct list *member;

    if (!keeper->worker.role)
        return;
    list_splice(&keeper->queue, &keeper->in_flight);
    while ((member = list_pop(&keeper->queue)))
        free(container_of(member, struct kept, link));
    assert(keeper->pending == 0);
    rabbitmq_worker_deinit(&keeper->worker);
}
