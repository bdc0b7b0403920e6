/* The wall before the bus. */
#include "hub_wall.h"

#include <stdio.h>
#include <string.h>

struct injected {
    struct bus_delivery delivery;
    uint32_t magic;
    bool is_ingress;
    size_t round; /* of the ingress */
};

#define INJECTED_MAGIC 0x1d1c7ed5u

static struct world_bus *bus_of(struct bus *b)
{
    return container_of(b, struct world_bus, base);
}

static void forward_delivery(void *userdata, struct bus_delivery *d)
{
    struct world_bus *b = userdata;

    if (b->is_deaf)
        bus_delivery_done(b->inner, d);
    else
        b->base.callbacks.on_delivery(b->base.callbacks.userdata, d);
}

static void forward_bus_state(void *userdata, const struct bus_status *status)
{
    struct world_bus *b = userdata;

    if (!b->is_starting)
        b->base.callbacks.on_state(b->base.callbacks.userdata, status);
}

void world_bus_ready(struct world *w)
{
    const struct bus_status status = {.state = BUS_STATE_READY};

    w->bus.is_starting = false;
    w->bus.base.callbacks.on_state(w->bus.base.callbacks.userdata, &status);
}

static int wall_bus_start(struct bus *b)
{
    struct world_bus *w = bus_of(b);

    w->inner->callbacks =
        (struct bus_callbacks){.on_delivery = forward_delivery, .on_state = forward_bus_state, .userdata = w};
    return bus_start(w->inner);
}

static int wall_bus_publish(struct bus *b, struct bus_publication *p)
{
    struct world_bus *w = bus_of(b);
    struct world_published *kept;
    int result = w->publish_result ? w->publish_result : bus_publish(w->inner, p);

    if (result || w->published++ >= BASE_ARRAY_SIZE(w->kept))
        return result;
    kept = &w->kept[w->published - 1];
    kept->route = p->route;
    (void)snprintf(kept->channel, sizeof(kept->channel), "%.*s", SLICE_PRINTF(p->message->channel));
    (void)snprintf(kept->data, sizeof(kept->data), "%.*s", SLICE_PRINTF(p->message->data));
    for (size_t i = 0; i < p->node_count; i++) {
        strncat(kept->nodes, p->nodes[i], sizeof(kept->nodes) - strlen(kept->nodes) - 1);
        strncat(kept->nodes, " ", sizeof(kept->nodes) - strlen(kept->nodes) - 1);
    }
    return 0;
}

size_t world_published(const struct world *w, const char *data, const struct world_published **ret_last)
{
    size_t count = 0;

    for (size_t i = 0; i < w->bus.published && i < BASE_ARRAY_SIZE(w->bus.kept); i++) {
        if (strcmp(w->bus.kept[i].data, data) != 0)
            continue;
        *ret_last = &w->bus.kept[i];
        count++;
    }
    return count;
}

static bool wall_bus_delivery_is_void(struct bus *b, const struct bus_delivery *d)
{
    return bus_of(b)->are_deliveries_void || container_of(d, struct injected, delivery)->round != bus_of(b)->round;
}

static void wall_bus_done(struct bus *b, struct bus_delivery *d)
{
    struct world_bus *w = bus_of(b);

    w->done_count++;
    /* Deliveries of the local bus always have an app_id, those of the test never. */
    if (slice_is_set(d->app_id)) {
        bus_delivery_done(w->inner, d);
        return;
    }
    assert_int_equal(container_of(d, struct injected, delivery)->magic, INJECTED_MAGIC);
    assert_true(w->deliveries_out > 0);
    w->deliveries_out--;
    w->acknowledged += container_of(d, struct injected, delivery)->is_ingress && !wall_bus_delivery_is_void(b, d);
    payload_unref(d->body);
    free(container_of(d, struct injected, delivery));
}

static int wall_bus_deposit(struct bus *b, struct bus_deposit *d)
{
    struct world_bus *w = bus_of(b);
    struct world_deposit *kept = &w->deposits[w->deposit_count];

    assert_true(w->deposit_count < BASE_ARRAY_SIZE(w->deposits));
    w->deposit_count++;
    *kept = (struct world_deposit){.shelf = d->shelf, .waiting = d};
    (void)snprintf(kept->body, sizeof(kept->body), "%.*s", SLICE_PRINTF(d->body));
    kept->size = d->body.size;
    (void)snprintf(kept->reason, sizeof(kept->reason), "%.*s", SLICE_PRINTF(d->reason));
    (void)snprintf(kept->message_id, sizeof(kept->message_id), "%.*s", SLICE_PRINTF(d->message_id));
    return 0;
}

static void confirm_deposits(struct world_bus *b, int result)
{
    for (size_t i = 0; i < b->deposit_count; i++) {
        struct bus_deposit *d = base_take(b->deposits[i].waiting);

        if (d)
            d->done(d, result);
    }
}

void world_confirm_deposits(struct world *w)
{
    confirm_deposits(&w->bus, 0);
}

static void wall_bus_ingress(struct bus *b, bool is_wanted)
{
    bus_of(b)->is_ingress_wanted = is_wanted;
    bus_of(b)->round += !is_wanted;
}

static void wall_bus_status(struct bus *b, struct bus_status *ret_status)
{
    bus_status(bus_of(b)->inner, ret_status);
}

static void wall_bus_stop(struct bus *b)
{
    bus_stop(bus_of(b)->inner);
    confirm_deposits(bus_of(b), BUS_E_UNAVAILABLE);
}

static struct bus *wall_bus_free(struct bus *b)
{
    return bus_free(bus_of(b)->inner);
}

const struct bus_ops wall_bus_ops = {
    .name = "wall",
    .start = wall_bus_start,
    .publish = wall_bus_publish,
    .delivery_done = wall_bus_done,
    .deposit = wall_bus_deposit,
    .ingress = wall_bus_ingress,
    .delivery_is_void = wall_bus_delivery_is_void,
    .status = wall_bus_status,
    .stop = wall_bus_stop,
    .free = wall_bus_free,
};

static struct injected *injected_new(struct world *w, const char *content_type, const void *body, size_t size)
{
    struct injected *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->magic = INJECTED_MAGIC;
    d->delivery.body = payload_copy(slice_make(body, size));
    assert_non_null(d->delivery.body);
    d->delivery.content_type = slice_from(content_type);
    list_init(&d->delivery.link);
    w->bus.deliveries_out++;
    return d;
}

void world_deliver(struct world *w, const char *content_type, const void *body, size_t size)
{
    struct injected *d = injected_new(w, content_type, body, size);

    w->bus.base.callbacks.on_delivery(w->bus.base.callbacks.userdata, &d->delivery);
}

void world_ingress(struct world *w, const char *message_id, const char *body)
{
    struct injected *d = injected_new(w, NULL, body, strlen(body));

    d->is_ingress = true;
    d->round = w->bus.round;
    d->delivery.message_id = slice_from(message_id);
    d->delivery.time_ms = 1;
    w->bus.base.callbacks.on_ingress(w->bus.base.callbacks.userdata, &d->delivery);
}

void world_deliver_messages(struct world *w, const char *channel, ...)
{
    struct message m = {.channel = slice_from(channel), .time_ms = 1, .content_type = CONTENT_TYPE_TEXT};
    base_cleanup(buffer_deinit)
    struct buffer body = {0};
    const char *id;
    size_t count = 0;
    va_list args;

    va_start(args, channel);
    while (va_arg(args, const char *))
        count++;
    va_end(args);
    bus_body_begin(&body, count / 2);
    va_start(args, channel);
    while ((id = va_arg(args, const char *))) {
        m.kind = *id ? MESSAGE_KIND_MESSAGE : MESSAGE_KIND_SIGNAL;
        m.id = *id ? slice_from(id) : SLICE_LITERAL("signal");
        m.data = slice_from(va_arg(args, const char *));
        bus_body_append(&body, &m);
    }
    va_end(args);
    assert_int_equal(buffer_error(&body), 0);
    world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
}
