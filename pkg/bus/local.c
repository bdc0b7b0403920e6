/*
 * The bus of one node alone: every publication becomes a body and comes back in a later turn, then is confirmed.
 *
 * The body is really encoded, so that a node alone goes the same way as one in a cluster. Whatever the route names, it
 * is this node. What was not given back by the receiver counts against the limit as well, as a prefetch would.
 */
#include "bus/local.h"

#include "base/clock.h"
#include "bus/body.h"

struct local_bus {
    struct bus bus;
    struct loop_timer timer; /* of no delay: the next turn */
    struct list waiting;     /* bus_publication, in order */
    size_t max_pending;
    size_t pending;
    size_t pending_bytes;
    size_t given_out;
    uint64_t since_ms;
    bool is_started;
    bool is_told; /* on_state() was called */
};

struct local_delivery {
    struct bus_delivery delivery;
    char routing_key[CHANNEL_MAX_BYTES + 1];
};

static struct local_bus *local_of(struct bus *b)
{
    return container_of(b, struct local_bus, bus);
}

static void local_status(struct bus *b, struct bus_status *ret_status)
{
    struct local_bus *l = local_of(b);

    *ret_status = (struct bus_status){
        .state = l->is_started ? BUS_STATE_READY : BUS_STATE_STARTING,
        .since_ms = l->since_ms,
        .pending = l->pending,
        .pending_bytes = l->pending_bytes,
    };
}

static struct local_delivery *delivery_new(const struct message *m)
{
    struct buffer body base_cleanup(buffer_deinit) = {0};
    struct local_delivery *d;

    bus_body_begin(&body, 1);
    bus_body_append(&body, m);
    if (buffer_error(&body))
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->delivery.body = payload_copy(buffer_slice(&body));
    if (!d->delivery.body) {
        free(d);
        return NULL;
    }
    if (m->channel.size <= CHANNEL_MAX_BYTES)
        memcpy(d->routing_key, m->channel.data, m->channel.size);
    list_init(&d->delivery.link);
    d->delivery.content_type = SLICE_LITERAL(BUS_CONTENT_TYPE);
    d->delivery.routing_key = slice_from(d->routing_key);
    d->delivery.app_id = SLICE_LITERAL("warren");
    d->delivery.time_ms = clock_realtime_ms();
    return d;
}

static void finish(struct local_bus *l, struct bus_publication *p, int result)
{
    l->pending--;
    l->pending_bytes -= bus_body_message_bound(p->message);
    p->done(p, result);
}

/** One publication arrives, then is confirmed; without memory it did not arrive and is not. */
static void pass(struct local_bus *l, struct bus_publication *p)
{
    struct local_delivery *d = delivery_new(p->message);

    if (!d) {
        finish(l, p, BUS_E_UNAVAILABLE);
        return;
    }
    l->given_out++;
    l->bus.callbacks.on_delivery(l->bus.callbacks.userdata, &d->delivery);
    finish(l, p, 0);
}

static void on_turn(void *userdata)
{
    struct local_bus *l = userdata;
    size_t count = l->pending; /* what is published meanwhile waits for the next turn */
    struct list *member;

    if (!l->is_told) {
        struct bus_status status;

        l->is_told = true;
        local_status(&l->bus, &status);
        if (l->bus.callbacks.on_state)
            l->bus.callbacks.on_state(l->bus.callbacks.userdata, &status);
    }
    for (; count > 0 && l->is_started && (member = list_pop(&l->waiting)); count--)
        pass(l, container_of(member, struct bus_publication, link));
}

static int local_start(struct bus *b)
{
    struct local_bus *l = local_of(b);

    l->is_started = true;
    l->since_ms = loop_now_ms(b->owner);
    loop_timer_start(&l->timer, 0);
    return 0;
}

static int local_publish(struct bus *b, struct bus_publication *p)
{
    struct local_bus *l = local_of(b);

    assert(loop_is_current(b->owner));
    if (!l->is_started)
        return BUS_E_UNAVAILABLE;
    if (l->pending + l->given_out >= l->max_pending)
        return BUS_E_BUSY;
    l->pending++;
    l->pending_bytes += bus_body_message_bound(p->message);
    list_init(&p->link);
    list_append(&l->waiting, &p->link);
    if (!loop_timer_is_pending(&l->timer))
        loop_timer_start(&l->timer, 0);
    return 0;
}

static void local_delivery_done(struct bus *b, struct bus_delivery *d)
{
    struct local_bus *l = local_of(b);

    assert(l->given_out > 0);
    l->given_out--;
    (void)payload_unref(d->body);
    free(container_of(d, struct local_delivery, delivery));
}

/** A node alone has no queues in which anything could be kept, and none that back ends could reach. */
static int local_deposit(struct bus *b base_unused, struct bus_deposit *d base_unused)
{
    return BUS_E_UNAVAILABLE;
}

static void local_ingress(struct bus *b base_unused, bool is_wanted base_unused)
{
}

static bool local_delivery_is_void(struct bus *b base_unused, const struct bus_delivery *d base_unused)
{
    return false;
}

static void local_stop(struct bus *b)
{
    struct local_bus *l = local_of(b);
    struct list *member;

    l->is_started = false;
    loop_timer_stop(&l->timer);
    while ((member = list_pop(&l->waiting)))
        finish(l, container_of(member, struct bus_publication, link), BUS_E_UNAVAILABLE);
}

static struct bus *local_free(struct bus *b)
{
    struct local_bus *l = local_of(b);

    local_stop(b);
    assert(l->given_out == 0);
    loop_timer_deinit(&l->timer);
    free(l);
    return NULL;
}

static const struct bus_ops local_ops = {
    .name = "local",
    .start = local_start,
    .publish = local_publish,
    .delivery_done = local_delivery_done,
    .deposit = local_deposit,
    .ingress = local_ingress,
    .delivery_is_void = local_delivery_is_void,
    .status = local_status,
    .stop = local_stop,
    .free = local_free,
};

int bus_local_new(struct loop *owner, size_t max_pending, struct bus **ret_bus)
{
    struct local_bus *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    l->bus.ops = &local_ops;
    l->bus.owner = owner;
    l->max_pending = max_pending;
    list_init(&l->waiting);
    loop_timer_init(&l->timer, owner, on_turn, l);
    *ret_bus = &l->bus;
    return 0;
}
