/*
 * The publishing connection: turns what waits into bodies, publishes them persistently, and answers when the broker has
 * confirmed.
 *
 *     publish() -> queue -> [encode] -> in_flight -> confirmed -> finished -> done()
 *                                        |    ^
 *                          cut or nack   v    |  first of all on the next connection
 *                                        resend
 *
 * A body is what was waiting at one moment for the same route, in order; a lone publication does not wait for company.
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

#define BODY_MAX_MESSAGES 128
#define BODY_MAX_BYTES 32768
#define NACK_PAUSE_MS 100

struct body {
    struct list link;
    struct list publications; /* those that still wait for it */
    uint64_t tag;
    size_t messages;
    enum bus_route route;
    char routing_key[256];
    struct buffer bytes;
    struct buffer more_nodes; /* ids for the BCC header, each ended by a NUL */
    size_t more_count;
};

static struct rabbitmq_publisher *publisher_of(struct rabbitmq_worker *w)
{
    return container_of(w, struct rabbitmq_publisher, worker);
}

static struct bus_publication *first_publication(struct list *l)
{
    return list_is_empty(l) ? NULL : container_of(l->next, struct bus_publication, link);
}

static void body_free(struct body *b)
{
    buffer_deinit(&b->bytes);
    buffer_deinit(&b->more_nodes);
    free(b);
}

/* ---- making a body (under the lock) ---- */

static bool same_route(const struct bus_publication *a, const struct bus_publication *b)
{
    if (a->route != b->route)
        return false;
    if (a->route == BUS_ROUTE_FANOUT)
        return true;
    if (a->node_count != b->node_count)
        return false;
    for (size_t i = 0; i < a->node_count; i++) {
        if (a->nodes[i] != b->nodes[i] && strcmp(a->nodes[i], b->nodes[i]) != 0)
            return false;
    }
    return true;
}

/** How many publications at the head of the queue travel together. */
static size_t count_batch(const struct rabbitmq_publisher *p)
{
    const struct bus_publication *head = container_of(p->queue.next, struct bus_publication, link);
    size_t count = 0, bytes = 0;

    list_for_each (it, &p->queue) {
        const struct bus_publication *publication = container_of(it, struct bus_publication, link);

        bytes += bus_body_message_bound(publication->message);
        if (count > 0 && (count == BODY_MAX_MESSAGES || bytes > BODY_MAX_BYTES || !same_route(head, publication)))
            break;
        count++;
    }
    return count;
}

/** Targeted: the first node. Else the channel that all its messages have in common, or nothing. */
static void set_routing_key(struct body *b, const struct bus_publication *head, size_t count)
{
    const struct list *it = &head->link;
    struct slice channel = head->message->channel;

    if (b->route == BUS_ROUTE_NODES) {
        (void)snprintf(b->routing_key, sizeof(b->routing_key), "%s", head->nodes[0]);
        return;
    }
    for (size_t i = 0; i < count; i++, it = it->next) {
        const struct bus_publication *publication = container_of(it, struct bus_publication, link);

        if (!slice_equal(publication->message->channel, channel))
            return;
    }
    if (channel.size < sizeof(b->routing_key))
        memcpy(b->routing_key, channel.data, channel.size);
}

static void finish(struct rabbitmq_publisher *p, struct bus_publication *publication, int result)
{
    publication->result = result;
    list_append(&p->finished, &publication->link);
}

/** The next body from the queue; NULL: nothing waits, or no memory (then the first one is told). */
static struct body *body_from_queue(struct rabbitmq_publisher *p)
{
    struct bus_publication *head = first_publication(&p->queue);
    size_t count = head ? count_batch(p) : 0;
    struct body *b = head ? calloc(1, sizeof(*b)) : NULL;

    if (!head)
        return NULL;
    if (b) {
        struct list *it = &head->link;

        list_init(&b->link);
        list_init(&b->publications);
        b->route = head->route;
        b->messages = count;
        set_routing_key(b, head, count);
        for (size_t i = 1; b->route == BUS_ROUTE_NODES && i < head->node_count; i++, b->more_count++)
            buffer_append(&b->more_nodes, head->nodes[i], strlen(head->nodes[i]) + 1);
        bus_body_begin(&b->bytes, count);
        for (size_t i = 0; i < count; i++, it = it->next)
            bus_body_append(&b->bytes, container_of(it, struct bus_publication, link)->message);
    }
    if (!b || buffer_error(&b->bytes) || buffer_error(&b->more_nodes)) {
        if (b)
            body_free(b);
        list_remove(&head->link);
        finish(p, head, BUS_E_UNAVAILABLE);
        rabbitmq_worker_notify(&p->worker);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        list_append(&b->publications, list_pop(&p->queue));
    return b;
}

/* ---- publishing ---- */

/** The next body in order, already among those in flight under its tag. */
static struct body *take_next(struct rabbitmq_publisher *p, bool *ret_is_repeated)
{
    struct body *b = NULL;
    struct list *member;

    *ret_is_repeated = false;
    (void)pthread_mutex_lock(&p->worker.lock);
    while (!b && (member = list_pop(&p->resend))) {
        b = container_of(member, struct body, link);
        *ret_is_repeated = true;
        if (list_is_empty(&b->publications)) {
            body_free(b); /* all answered meanwhile */
            b = NULL;
            *ret_is_repeated = false;
        }
    }
    while (!b && !list_is_empty(&p->queue))
        b = body_from_queue(p);
    if (b) {
        b->tag = ++p->next_tag;
        list_append(&p->in_flight, &b->link);
        p->in_flight_count++;
    }
    (void)pthread_mutex_unlock(&p->worker.lock);
    return b;
}

/** The nodes beyond the first, as the header that RabbitMQ calls blind carbon copy. */
static amqp_field_value_t *carbon_copies(const struct body *b)
{
    amqp_field_value_t *values = calloc(b->more_count, sizeof(*values));
    const char *id = b->more_nodes.data;

    for (size_t i = 0; values && i < b->more_count; i++, id += strlen(id) + 1)
        values[i] = (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(id)};
    return values;
}

static int send_body(struct rabbitmq_publisher *p, const struct body *b)
{
    struct rabbitmq_worker *w = &p->worker;
    amqp_field_value_t *copies base_cleanup(base_free_p)
    = b->more_count ? carbon_copies(b) : NULL;
    amqp_table_entry_t header = {
        .key = amqp_cstring_bytes("BCC"),
        .value = {.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {.num_entries = (int)b->more_count, .entries = copies}},
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

    if (b->more_count && !copies)
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
        struct body *b;

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
        struct body *b = container_of(it, struct body, link);
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
        body_free(b);
        metrics_add(p->worker.cells, RABBITMQ_CONFIRMED, 1);
        if (p->window < (size_t)p->worker.bus->config->confirm_window)
            p->window++;
    }
    if (is_any)
        rabbitmq_worker_notify(&p->worker);
    (void)pthread_mutex_unlock(&p->worker.lock);
}

/** The broker could not take them: again after a moment, before anything newer. */
static void on_nack(struct rabbitmq_publisher *p, uint64_t tag, bool is_multiple)
{
    (void)pthread_mutex_lock(&p->worker.lock);
    list_for_each_safe (it, &p->in_flight) {
        struct body *b = container_of(it, struct body, link);

        if (b->tag > tag && tag != 0)
            break;
        if (b->tag != tag && !is_multiple)
            continue;
        list_remove(&b->link);
        p->in_flight_count--;
        list_append(&p->resend, &b->link);
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
    idle = list_is_empty(&p->queue) && list_is_empty(&p->in_flight) && list_is_empty(&p->resend);
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
    list_splice(&p->in_flight, &p->resend);
    list_splice(&p->resend, &p->in_flight);
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
    struct bus_publication *publication;

    while ((publication = first_publication(l)) && publication->deadline_ms <= now_ms) {
        list_remove(&publication->link);
        publication->result = BUS_E_UNAVAILABLE;
        list_append(finished, &publication->link);
    }
    return publication && publication->deadline_ms < next ? publication->deadline_ms : next;
}

static uint64_t expire_bodies(struct list *bodies, uint64_t now_ms, uint64_t next, struct list *finished)
{
    list_for_each (it, bodies)
        next = expire_list(&container_of(it, struct body, link)->publications, now_ms, next, finished);
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
    next = expire_list(&p->queue, now_ms, next, &finished);
    (void)pthread_mutex_unlock(&p->worker.lock);
    if (next != UINT64_MAX)
        loop_timer_start(&p->deadline, next - now_ms);
    list_for_each (it, &finished)
        metrics_add(p->worker.bus->cells, RABBITMQ_EXPIRED, 1);
    answer(p, &finished);
}

int rabbitmq_publisher_publish(struct rabbitmq_publisher *p, struct bus_publication *publication)
{
    const struct rabbitmq_config *config = p->worker.bus->config;
    size_t bytes = bus_body_message_bound(publication->message);
    bool was_empty;

    assert(publication->route == BUS_ROUTE_FANOUT || publication->node_count > 0);
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
        rabbitmq_worker_wake(&p->worker);
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
        list_splice(&open, &container_of(it, struct body, link)->publications);
    list_for_each (it, &p->resend)
        list_splice(&open, &container_of(it, struct body, link)->publications);
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
    list_init(&p->in_flight);
    list_init(&p->resend);
    list_init(&p->finished);
    loop_timer_init(&p->deadline, bus->bus.owner, on_deadline, p);
    return rabbitmq_worker_init(&p->worker, bus, &rabbitmq_publisher_role);
}

void rabbitmq_publisher_deinit(struct rabbitmq_publisher *p)
{
    struct list *member;

    if (!p->worker.role)
        return;
    list_splice(&p->resend, &p->in_flight);
    while ((member = list_pop(&p->resend)))
        body_free(container_of(member, struct body, link));
    assert(p->pending == 0);
    rabbitmq_worker_deinit(&p->worker);
}
