/*
 * The publishing connection: turns what waits into bodies, publishes them persistently, and answers when the broker has
 * confirmed.
 *
 *     publish() -> queue -> formed -> [encode] -> in_flight -> confirmed -> finished -> done()
 *                                                    |    ^
 *                                      cut or nack   v    |  first of all on the next connection
 *                                                    resend
 *
 * A body is what was waiting at one moment for the same route (body.c); a lone publication does not wait for company.
 * Everything stands under one lock, held only to move things and to encode (never while the library is called), so that
 * the owner can answer an overdue publication at once although this thread may be stuck in a write: it unlinks the
 * publication, and the body, which has its own bytes, goes on without it. Bodies that nobody waits for any more are not
 * repeated.
 *
 * After a connect the window begins at one body and grows by one with each confirm: a broker that takes connections but
 * blocks publishers says so after the first body, before the socket's buffers are full and the thread is stuck.
 */
#include "base/clock.h"
#include "bus/body.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <poll.h>
#include <stdio.h>

#define NACK_PAUSE_MS 100

static struct rabbitmq_publisher *publisher_of(struct rabbitmq_worker *w)
{
    return container_of(w, struct rabbitmq_publisher, worker);
}

static void finish(struct rabbitmq_publisher *p, struct bus_publication *publication, int result)
{
    publication->result = result;
    list_append(&p->finished, &publication->link);
}

/** No memory for it: those who wait for it are told. */
static void give_up(struct rabbitmq_publisher *p, struct list *publications)
{
    struct list *member;

    while ((member = list_pop(publications)))
        finish(p, container_of(member, struct bus_publication, link), BUS_E_UNAVAILABLE);
    rabbitmq_worker_notify(&p->worker);
}

/** The first of @bodies, to be sent; NULL: nobody waited for it any more, or no memory. */
static struct rabbitmq_body *body_take(struct rabbitmq_publisher *p, struct list *bodies)
{
    struct rabbitmq_body *b = container_of(list_pop(bodies), struct rabbitmq_body, link);

    if (!list_is_empty(&b->publications) && !b->bytes.size && rabbitmq_body_encode(b) < 0)
        give_up(p, &b->publications);
    return list_is_empty(&b->publications) ? rabbitmq_body_free(b) : b;
}

/* ---- publishing ---- */

/** The next body in order, already among those in flight under its tag. */
static struct rabbitmq_body *take_next(struct rabbitmq_publisher *p, bool *ret_is_repeated)
{
    struct rabbitmq_body *b = NULL;

    *ret_is_repeated = false;
    (void)pthread_mutex_lock(&p->worker.lock);
    while (!b && !list_is_empty(&p->resend)) {
        b = body_take(p, &p->resend);
        *ret_is_repeated = b != NULL;
    }
    while (!b && (!list_is_empty(&p->formed) || !list_is_empty(&p->queue))) {
        if (list_is_empty(&p->formed) && rabbitmq_bodies_form(&p->queue, &p->formed) < 0)
            give_up(p, &p->queue);
        else
            b = body_take(p, &p->formed);
    }
    if (b) {
        if (!b->order)
            b->order = ++p->sent;
        b->tag = ++p->next_tag;
        list_append(&p->in_flight, &b->link);
        p->in_flight_count++;
    }
    rabbitmq_worker_unlock(&p->worker);
    return b;
}

/** The nodes beyond the first, as the header that RabbitMQ calls blind carbon copy. */
static amqp_field_value_t *carbon_copies(const struct rabbitmq_body *b)
{
    amqp_field_value_t *values = calloc(b->node_count - 1, sizeof(*values));
    const char *id = b->nodes.data + strlen(b->nodes.data) + 1;

    for (size_t i = 0; values && i < b->node_count - 1; i++, id += strlen(id) + 1)
        values[i] = (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(id)};
    return values;
}

static int send_body(struct rabbitmq_publisher *p, const struct rabbitmq_body *b)
{
    struct rabbitmq_worker *w = &p->worker;
    amqp_field_value_t *copies base_cleanup(base_free_p)
    = b->node_count > 1 ? carbon_copies(b) : NULL;
    amqp_table_entry_t header = {
        .key = amqp_cstring_bytes("BCC"),
        .value = {.kind = AMQP_FIELD_KIND_ARRAY,
                  .value.array = {.num_entries = (int)b->node_count - 1, .entries = copies}},
    };
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
                  AMQP_BASIC_APP_ID_FLAG,
        .content_type = amqp_cstring_bytes(BUS_CONTENT_TYPE),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .timestamp = (uint64_t)clock_realtime_ms() / 1000,
        .app_id = amqp_cstring_bytes("warren"),
    };
    const char *exchange = b->route == BUS_ROUTE_FANOUT ? w->bus->fanout_exchange : w->bus->node_exchange;
    int status;

    if (b->node_count > 1 && !copies)
        return rabbitmq_connection_status(&w->connection, "basic.publish", AMQP_STATUS_NO_MEMORY);
    if (copies) {
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
        properties.headers = (amqp_table_t){.num_entries = 1, .entries = &header};
    }
    rabbitmq_worker_call(w, clock_monotonic_ms());
    status = amqp_basic_publish(w->connection.amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(exchange),
                                amqp_cstring_bytes(b->routing_key), 0, 0, &properties,
                                rabbitmq_bytes(buffer_slice(&b->bytes)));
    rabbitmq_worker_call(w, 0);
    return rabbitmq_connection_status(&w->connection, "basic.publish", status);
}

static bool is_writable(const struct rabbitmq_publisher *p)
{
    struct pollfd fd = {.fd = p->worker.connection.fd, .events = POLLOUT};

    return poll(&fd, 1, 0) > 0;
}

/** Publishes while there is something, room in the window and room in the socket. *ret_is_full: wait until the socket
 * is writable. */
static int send_waiting(struct rabbitmq_publisher *p, bool *ret_is_full)
{
    int result = RABBITMQ_OK;
    bool is_repeated;

    *ret_is_full = false;
    while (!result && !p->is_blocked && p->in_flight_count < p->window && clock_monotonic_ms() >= p->resend_at_ms) {
        struct rabbitmq_body *b;

        if (rabbitmq_connection_has_input(&p->worker.connection))
            break; /* confirms first, or that publishing is blocked */
        if (!is_writable(p)) {
            *ret_is_full = true;
            break;
        }
        b = take_next(p, &is_repeated);
        if (!b)
            break;
        metrics_add(p->worker.cells, RABBITMQ_PUBLISHED_BODIES, 1);
        metrics_add(p->worker.cells, RABBITMQ_PUBLISHED_MESSAGES, (int64_t)b->messages);
        if (is_repeated)
            metrics_add(p->worker.cells, RABBITMQ_REPUBLISHED, 1);
        result = send_body(p, b);
    }
    return result;
}

/* ---- what the broker answers ---- */

static void on_confirm(struct rabbitmq_publisher *p, uint64_t tag, bool is_multiple)
{
    bool is_any = false;

    (void)pthread_mutex_lock(&p->worker.lock);
    list_for_each_safe (it, &p->in_flight) {
        struct rabbitmq_body *b = container_of(it, struct rabbitmq_body, link);
        struct list *member;

        if (b->tag > tag && tag != 0)
            break;
        if (b->tag != tag && !is_multiple)
            continue;
        list_remove(&b->link);
        p->in_flight_count--;
        while ((member = list_pop(&b->publications))) {
            finish(p, container_of(member, struct bus_publication, link), 0);
            is_any = true;
        }
        rabbitmq_body_free(b);
        metrics_add(p->worker.cells, RABBITMQ_CONFIRMED, 1);
        if (p->window < (size_t)p->worker.bus->config->confirm_window)
            p->window++;
    }
    if (is_any)
        rabbitmq_worker_notify(&p->worker);
    rabbitmq_worker_unlock(&p->worker);
}

/** In its old place among those that go again. */
static void resend(struct rabbitmq_publisher *p, struct rabbitmq_body *b)
{
    struct list *it = p->resend.next;

    list_remove(&b->link);
    while (it != &p->resend && container_of(it, struct rabbitmq_body, link)->order < b->order)
        it = it->next;
    list_insert_before(it, &b->link);
}

/** The broker could not take them: again after a moment, before anything newer. */
static void on_nack(struct rabbitmq_publisher *p, uint64_t tag, bool is_multiple)
{
    (void)pthread_mutex_lock(&p->worker.lock);
    list_for_each_safe (it, &p->in_flight) {
        struct rabbitmq_body *b = container_of(it, struct rabbitmq_body, link);

        if (b->tag > tag && tag != 0)
            break;
        if (b->tag != tag && !is_multiple)
            continue;
        resend(p, b);
        p->in_flight_count--;
        metrics_add(p->worker.cells, RABBITMQ_NACKED, 1);
    }
    (void)pthread_mutex_unlock(&p->worker.lock);
    p->resend_at_ms = clock_monotonic_ms() + NACK_PAUSE_MS;
}

static void on_method(struct rabbitmq_publisher *p, const amqp_method_t *method)
{
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *m = method->decoded;

        on_confirm(p, m->delivery_tag, m->multiple);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *m = method->decoded;

        on_nack(p, m->delivery_tag, m->multiple);
    } else if (method->id == AMQP_BASIC_RETURN_METHOD) {
        metrics_add(p->worker.cells, RABBITMQ_RETURNED, 1); /* its header and body follow and are ignored */
    } else if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        const amqp_connection_blocked_t *m = method->decoded;
        char reason[128];

        p->is_blocked = true;
        (void)snprintf(reason, sizeof(reason), "%.*s", (int)m->reason.len, (const char *)m->reason.bytes);
        metrics_add(p->worker.cells, RABBITMQ_BLOCKED, 1);
        rabbitmq_worker_report(&p->worker, RABBITMQ_LINK_BLOCKED, reason);
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        p->is_blocked = false;
        rabbitmq_worker_report(&p->worker, RABBITMQ_LINK_UP, "");
    }
}

static int drain(struct rabbitmq_publisher *p)
{
    int result;

    for (;;) {
        amqp_frame_t frame;
        bool is_frame;

        rabbitmq_worker_call(&p->worker, clock_monotonic_ms()); /* it may send a heartbeat */
        result = rabbitmq_connection_next(&p->worker.connection, &frame, &is_frame);
        rabbitmq_worker_call(&p->worker, 0);
        if (result || !is_frame)
            return result;
        if (frame.frame_type == AMQP_FRAME_METHOD)
            on_method(p, &frame.payload.method);
    }
}

/* ---- the thread ---- */

static bool is_idle(struct rabbitmq_publisher *p)
{
    bool idle;

    (void)pthread_mutex_lock(&p->worker.lock);
    idle = list_is_empty(&p->queue) && list_is_empty(&p->formed) && list_is_empty(&p->in_flight) &&
           list_is_empty(&p->resend);
    (void)pthread_mutex_unlock(&p->worker.lock);
    return idle;
}

/** Until when the thread may sleep. */
static int next_look_ms(const struct rabbitmq_publisher *p)
{
    uint64_t now = clock_monotonic_ms();
    int patience = rabbitmq_worker_patience_ms(&p->worker);

    if (p->resend_at_ms > now && (int)(p->resend_at_ms - now) < patience)
        patience = (int)(p->resend_at_ms - now) + 1;
    if (atomic_load(&p->worker.is_stopping) && patience > 50)
        patience = 50;
    return patience;
}

static int serve(struct rabbitmq_worker *w)
{
    struct rabbitmq_publisher *p = publisher_of(w);
    bool is_full = false;
    int result;

    (void)amqp_confirm_select(w->connection.amqp, RABBITMQ_CHANNEL);
    result = rabbitmq_connection_reply(&w->connection, "confirm.select");
    if (result)
        return result;
    p->next_tag = 0;
    p->window = 1;
    p->in_flight_count = 0;
    p->is_blocked = false;
    p->resend_at_ms = 0;
    rabbitmq_worker_report(w, RABBITMQ_LINK_UP, "");
    for (;;) {
        result = drain(p);
        if (!result)
            result = send_waiting(p, &is_full);
        if (result)
            return result;
        if (atomic_load(&w->is_stopping) && (is_idle(p) || clock_monotonic_ms() >= atomic_load(&w->stop_at_ms)))
            return RABBITMQ_OK;
        rabbitmq_worker_wait(w, (short)(is_full ? POLLIN | POLLOUT : POLLIN), next_look_ms(p));
    }
}

/** Nobody will confirm what was in flight: it goes again, in order, before anything newer. */
static void lost(struct rabbitmq_worker *w)
{
    struct rabbitmq_publisher *p = publisher_of(w);

    (void)pthread_mutex_lock(&w->lock);
    while (!list_is_empty(&p->in_flight)) /* the youngest first: the next one is before it, mostly */
        resend(p, container_of(p->in_flight.previous, struct rabbitmq_body, link));
    (void)pthread_mutex_unlock(&w->lock);
    p->in_flight_count = 0;
}

/* ---- the owner's side ---- */

static void set_gauges(struct rabbitmq_publisher *p)
{
    metrics_set(p->worker.bus->cells, RABBITMQ_PENDING, (int64_t)p->pending);
    metrics_set(p->worker.bus->cells, RABBITMQ_PENDING_BYTES, (int64_t)p->pending_bytes);
}

static void answer(struct rabbitmq_publisher *p, struct list *finished)
{
    struct list *member;

    while ((member = list_pop(finished))) {
        struct bus_publication *publication = container_of(member, struct bus_publication, link);

        p->pending--;
        p->pending_bytes -= bus_body_message_bound(publication->message);
        publication->done(publication, publication->result);
    }
    set_gauges(p);
}

static void on_notify(struct rabbitmq_worker *w)
{
    struct rabbitmq_publisher *p = publisher_of(w);
    struct list finished;
    enum rabbitmq_link link;

    list_init(&finished);
    (void)pthread_mutex_lock(&w->lock);
    list_splice(&finished, &p->finished);
    link = w->report.link;
    (void)pthread_mutex_unlock(&w->lock);
    p->is_up = link == RABBITMQ_LINK_UP || link == RABBITMQ_LINK_BLOCKED;
    rabbitmq_bus_update(w->bus);
    answer(p, &finished);
}

/** Moves what is overdue to @finished. Return: the earliest deadline left on the list, or @next. */
static uint64_t expire_list(struct list *l, uint64_t now_ms, uint64_t next, struct list *finished)
{
    list_for_each_safe (it, l) {
        struct bus_publication *publication = container_of(it, struct bus_publication, link);

        if (publication->is_patient)
            continue;
        if (publication->deadline_ms > now_ms)
            return publication->deadline_ms < next ? publication->deadline_ms : next;
        list_remove(&publication->link);
        publication->result = BUS_E_UNAVAILABLE;
        list_append(finished, &publication->link);
    }
    return next;
}

static uint64_t expire_bodies(struct list *bodies, uint64_t now_ms, uint64_t next, struct list *finished)
{
    list_for_each (it, bodies)
        next = expire_list(&container_of(it, struct rabbitmq_body, link)->publications, now_ms, next, finished);
    return next;
}

/** Answers what waited too long; needs nothing of the publisher's thread. */
static void on_deadline(void *userdata)
{
    struct rabbitmq_publisher *p = userdata;
    uint64_t now_ms = clock_monotonic_ms(), next = UINT64_MAX;
    struct list finished;

    list_init(&finished);
    (void)pthread_mutex_lock(&p->worker.lock);
    next = expire_bodies(&p->in_flight, now_ms, next, &finished);
    next = expire_bodies(&p->resend, now_ms, next, &finished);
    next = expire_bodies(&p->formed, now_ms, next, &finished);
    next = expire_list(&p->queue, now_ms, next, &finished);
    (void)pthread_mutex_unlock(&p->worker.lock);
    if (next != UINT64_MAX)
        loop_timer_start(&p->deadline, next - now_ms);
    list_for_each (it, &finished)
        metrics_add(p->worker.bus->cells, RABBITMQ_EXPIRED, 1);
    answer(p, &finished);
}

static void on_wake(void *userdata)
{
    struct rabbitmq_publisher *p = userdata;

    rabbitmq_worker_wake(&p->worker);
}

int rabbitmq_publisher_publish(struct rabbitmq_publisher *p, struct bus_publication *publication)
{
    const struct rabbitmq_config *config = p->worker.bus->config;
    size_t bytes = bus_body_message_bound(publication->message);
    bool was_empty;

    assert(publication->route == BUS_ROUTE_FANOUT ||
           (publication->node_count > 0 && publication->node_count <= BUS_NODES_MAX));
    if (!p->is_up)
        return BUS_E_UNAVAILABLE;
    if (p->pending >= (uint64_t)config->max_pending || p->pending_bytes + bytes > (uint64_t)config->max_pending_bytes) {
        metrics_add(p->worker.bus->cells, RABBITMQ_REFUSED_BUSY, 1);
        return BUS_E_BUSY;
    }
    publication->deadline_ms = clock_monotonic_ms() + (uint64_t)config->publish_timeout_ms;
    list_init(&publication->link);
    (void)pthread_mutex_lock(&p->worker.lock);
    was_empty = list_is_empty(&p->queue);
    list_append(&p->queue, &publication->link);
    (void)pthread_mutex_unlock(&p->worker.lock);
    p->pending++;
    p->pending_bytes += bytes;
    set_gauges(p);
    if (was_empty)
        loop_defer(p->worker.bus->bus.owner, &p->wake); /* one wake-up for all of this turn */
    if (!loop_timer_is_pending(&p->deadline))
        loop_timer_start(&p->deadline, (uint64_t)config->publish_timeout_ms);
    return 0;
}

void rabbitmq_publisher_abandon(struct rabbitmq_publisher *p)
{
    struct list open;

    list_init(&open);
    p->is_up = false;
    (void)pthread_mutex_lock(&p->worker.lock);
    list_for_each (it, &p->in_flight)
        list_splice(&open, &container_of(it, struct rabbitmq_body, link)->publications);
    list_for_each (it, &p->resend)
        list_splice(&open, &container_of(it, struct rabbitmq_body, link)->publications);
    list_for_each (it, &p->formed)
        list_splice(&open, &container_of(it, struct rabbitmq_body, link)->publications);
    list_splice(&open, &p->queue);
    list_for_each (it, &open)
        container_of(it, struct bus_publication, link)->result = BUS_E_UNAVAILABLE;
    list_splice(&p->finished, &open);
    list_splice(&open, &p->finished); /* those with an answer first */
    (void)pthread_mutex_unlock(&p->worker.lock);
    answer(p, &open);
}

const struct rabbitmq_role rabbitmq_publisher_role = {
    .name = "publisher",
    .thread_name = "amqp-publisher",
    .serve = serve,
    .lost = lost,
    .on_notify = on_notify,
};

int rabbitmq_publisher_init(struct rabbitmq_publisher *p, struct rabbitmq_bus *bus)
{
    list_init(&p->queue);
    list_init(&p->formed);
    list_init(&p->in_flight);
    list_init(&p->resend);
    list_init(&p->finished);
    loop_timer_init(&p->deadline, bus->bus.owner, on_deadline, p);
    loop_deferred_init(&p->wake, on_wake, p);
    return rabbitmq_worker_init(&p->worker, bus, &rabbitmq_publisher_role);
}

void rabbitmq_publisher_deinit(struct rabbitmq_publisher *p)
{
    struct list *member;

    if (!p->worker.role)
        return;
    list_splice(&p->resend, &p->in_flight);
    list_splice(&p->resend, &p->formed);
    while ((member = list_pop(&p->resend)))
        rabbitmq_body_free(container_of(member, struct rabbitmq_body, link));
    assert(p->pending == 0);
    rabbitmq_worker_deinit(&p->worker);
}
