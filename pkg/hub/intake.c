/*
 * The intake: a line of bodies from the broker.
 *
 *     arrives ─▶ decoded at once ─▶ waits for the store's word on its ids ─▶ head of the line ─▶ ports ─▶ acknowledged
 *
 * Bodies leave strictly in the order in which they came, whoever's answer is late: only so a publisher's order holds.
 * What needs no answer (signals, relays, unstable ids) waits in line behind what does. When a port has too much before
 * it, the line stops; then bodies are not acknowledged and the prefetch ends the broker's deliveries.
 *
 * An id is remembered the moment it is read, not when it is delivered, so a second copy in the same body or in one that
 * arrives while the store is asked is dropped too. Messages with a position are not asked about: their channel's
 * sequence knows what it has had.
 */
#include "hub/control_internal.h"
#include "hub/intake_internal.h"
#include "hub/room_internal.h"
#include "hub/sequence_internal.h"

#include "base/clock.h"

struct intake_item {
    struct message *message;     /* NULL: a duplicate */
    struct hub_channel *channel; /* held; NULL: a control message */
    bool is_asked;               /* the store has not answered yet, or was not asked yet */
};

struct hub_intake {
    struct list link;     /* hub->intakes */
    struct list ask_link; /* hub->asking */
    struct bus_delivery *delivery;
    struct intake_item *items;
    size_t count, capacity;
    size_t open; /* items with is_asked */
};

/** One question to the store, over the ids of a turn. */
struct intake_lookup {
    struct store_seen request;
    struct hub *hub;
    size_t count;
    struct {
        struct hub_intake *intake;
        struct intake_item *item;
    } targets[STORE_SEEN_MAX];
    struct slice ids[STORE_SEEN_MAX];
    bool seen[STORE_SEEN_MAX];
};

static bool is_wanted(void *userdata, struct slice channel)
{
    struct hub *h = userdata;
    struct hub_channel *c = hub_channel_find(h, channel);

    if (c && c == h->all)
        return true; /* its sequence goes on without listeners, so that the next session begins at once */
    return c ? c->listener_count > 0 : slice_equal_text(channel, h->node_channel) || hub_call_is(channel);
}

static void item_drop(struct hub *h, struct intake_item *item)
{
    item->message = message_unref(item->message);
    if (item->channel)
        hub_channel_release(h, item->channel);
    item->channel = NULL;
}

static void intake_free(struct hub *h, struct hub_intake *in)
{
    for (size_t i = 0; i < in->count; i++)
        item_drop(h, &in->items[i]);
    list_remove(&in->link);
    list_remove(&in->ask_link);
    h->intake_count--;
    hub_gauge(h, HUB_METRIC_INTAKE_QUEUE, h->intake_count);
    bus_delivery_done(h->bus, in->delivery);
    free(in->items);
    free(in);
}

static int intake_reserve(struct hub_intake *in)
{
    size_t capacity = in->capacity ? in->capacity * 2 : 4;
    struct intake_item *items;

    if (in->count < in->capacity)
        return 0;
    items = realloc(in->items, capacity * sizeof(*items));
    if (!items)
        return -ENOMEM;
    in->items = items;
    in->capacity = capacity;
    return 0;
}

/** Whether the message's place is decided by its position. */
static bool has_place(const struct hub_channel *c, const struct message *m)
{
    return c && c->sequence && m->kind == MESSAGE_KIND_MESSAGE && m->epoch > 0 && m->offset > 0;
}

static int intake_add(struct hub *h, struct hub_intake *in, struct bus_reader *reader, const struct message *fields)
{
    struct hub_channel *c = hub_channel_find(h, fields->channel);
    bool is_control = fields->kind == MESSAGE_KIND_CONTROL;
    bool is_checked = fields->kind == MESSAGE_KIND_MESSAGE && fields->has_stable_id && !has_place(c, fields);
    struct message *m;
    int known;

    /* Nobody's (foreign bodies are decoded before anyone asks), or a control message for somebody else. */
    if (is_control ? !slice_equal_text(fields->channel, h->node_channel) && !hub_call_is(fields->channel) : !c)
        return 0;
    if (intake_reserve(in) < 0)
        return -ENOMEM;
    m = bus_reader_take(reader, fields);
    if (!m)
        return -ENOMEM;
    known = is_checked ? hub_dedup_add(&h->dedup, m->id, loop_now_ms(h->loop)) : 0;
    if (known == HUB_DEDUP_KNOWN) {
        hub_count(h, HUB_METRIC_DUPLICATES_LOCAL, 1);
        message_unref(m);
        return 0;
    }
    /* What could not be remembered is not asked about either: ids of one question have to differ. */
    if (known < 0) {
        hub_count(h, HUB_METRIC_UNCHECKED, 1);
        is_checked = false;
    }
    if (!is_control)
        hub_channel_hold(c);
    in->items[in->count++] =
        (struct intake_item){.message = m, .channel = is_control ? NULL : c, .is_asked = is_checked};
    in->open += is_checked;
    return 0;
}

static void note_poison(struct hub *h, const struct bus_reader *reader)
{
    const struct bus_delivery *d = reader->delivery;
    uint64_t suppressed;

    hub_count(h, HUB_METRIC_POISON, 1);
    if (!log_limit_pass(&h->poison_limit, loop_now_ms(h->loop), &suppressed))
        return;
    log_event(LOG_WARNING, "a body from the broker is no message and was dropped", LOG_TEXT("why", reader->error),
              LOG_UINT("offset", reader->error_offset), LOG_SLICE("content_type", d->content_type),
              LOG_SLICE("routing_key", d->routing_key), LOG_SLICE("app_id", d->app_id),
              LOG_UINT("bytes", d->body->size), LOG_UINT("suppressed", suppressed));
}

static void intake_decode(struct hub *h, struct hub_intake *in)
{
    struct bus_reader reader;
    struct message fields;
    int result;

    bus_reader_init(&reader, in->delivery, (size_t)h->config.message_bytes);
    for (;;) {
        result = bus_reader_next(&reader, is_wanted, h, &fields);
        if (result == BUS_E_POISON)
            note_poison(h, &reader);
        else if (result)
            break;
        else if (intake_add(h, in, &reader, &fields) < 0)
            hub_note_out_of_memory(h, "a message from the broker");
    }
    if (result < 0)
        hub_note_out_of_memory(h, "the rest of a body from the broker");
    bus_reader_deinit(&reader);
}

void hub_intake_delivery(void *userdata, struct bus_delivery *d)
{
    struct hub *h = userdata;
    struct hub_intake *in = h->is_stopped ? NULL : calloc(1, sizeof(*in));

    if (!in) {
        if (!h->is_stopped)
            hub_note_out_of_memory(h, "a body from the broker");
        bus_delivery_done(h->bus, d);
        return;
    }
    in->delivery = d;
    list_init(&in->ask_link);
    list_init(&in->link);
    list_append(&h->intakes, &in->link);
    h->intake_count++;
    hub_gauge(h, HUB_METRIC_INTAKE_QUEUE, h->intake_count);
    intake_decode(h, in);
    if (in->open)
        list_append(&h->asking, &in->ask_link);
    loop_defer(h->loop, &h->turn_end);
}

static void item_hand_over(struct hub *h, struct intake_item *item)
{
    if (!item->message)
        return;
    if (item->message->kind == MESSAGE_KIND_SIGNAL && item->channel->room &&
        !hub_room_hear(h, item->channel->room, item->message)) {
        item_drop(h, item);
        return;
    }
    if (item->message->kind == MESSAGE_KIND_CONTROL)
        hub_control_hear(h, item->message);
    else if (has_place(item->channel, item->message))
        hub_sequence_feed(h, item->channel->sequence, item->message);
    else if (hub_channel_fan(h, item->channel, item->message) < 0)
        hub_note_out_of_memory(h, "a message to a loop");
    item_drop(h, item);
}

void hub_intake_run(struct hub *h)
{
    while (!list_is_empty(&h->intakes)) {
        struct hub_intake *in = container_of(h->intakes.next, struct hub_intake, link);

        if (in->open || (hub_doors_are_full(h) && !h->is_stopped))
            return;
        for (size_t i = 0; i < in->count; i++)
            item_hand_over(h, &in->items[i]);
        intake_free(h, in);
    }
}

/** The answer about one item: it may go, or it is a duplicate. */
static void item_answer(struct hub *h, struct hub_intake *in, struct intake_item *item, int result, bool is_seen)
{
    item->is_asked = false;
    in->open--;
    if (result) {
        hub_count(h, HUB_METRIC_UNCHECKED, 1);
    } else if (is_seen) {
        hub_count(h, HUB_METRIC_DUPLICATES_STORE, 1);
        item_drop(h, item);
    }
}

static void on_seen(struct store_seen *request, int result)
{
    struct intake_lookup *lookup = container_of(request, struct intake_lookup, request);
    struct hub *h = lookup->hub;

    for (size_t i = 0; i < lookup->count; i++)
        item_answer(h, lookup->targets[i].intake, lookup->targets[i].item, result, lookup->seen[i]);
    free(lookup);
    hub_intake_run(h);
}

static void lookup_send(struct hub *h, struct intake_lookup *lookup)
{
    lookup->hub = h;
    lookup->request.ids = lookup->ids;
    lookup->request.seen = lookup->seen;
    lookup->request.count = lookup->count;
    lookup->request.done = on_seen;
    store_seen(h->store, &lookup->request);
}

static void intake_ask(struct hub *h, struct hub_intake *in, struct intake_lookup **lookup)
{
    for (size_t i = 0; i < in->count; i++) {
        struct intake_item *item = &in->items[i];

        if (!item->is_asked)
            continue;
        if (!*lookup && (*lookup = malloc(sizeof(**lookup))))
            (*lookup)->count = 0;
        if (!*lookup) {
            item_answer(h, in, item, -ENOMEM, false);
            continue;
        }
        (*lookup)->ids[(*lookup)->count] = item->message->id;
        (*lookup)->targets[(*lookup)->count].intake = in;
        (*lookup)->targets[(*lookup)->count].item = item;
        if (++(*lookup)->count == STORE_SEEN_MAX)
            lookup_send(h, base_take(*lookup));
    }
}

void hub_intake_ask(struct hub *h)
{
    struct intake_lookup *lookup = NULL;

    for (struct list *it; (it = list_pop(&h->asking));)
        intake_ask(h, container_of(it, struct hub_intake, ask_link), &lookup);
    if (lookup)
        lookup_send(h, lookup);
}

void hub_intake_stop(struct hub *h)
{
    /* The store is stopped and has answered everything; what was never asked goes out unasked. */
    for (struct list *it; (it = list_pop(&h->asking));) {
        struct hub_intake *in = container_of(it, struct hub_intake, ask_link);

        for (size_t i = 0; i < in->count; i++) {
            if (in->items[i].is_asked)
                item_answer(h, in, &in->items[i], STORE_E_UNAVAILABLE, false);
        }
    }
    hub_intake_run(h);
    assert(list_is_empty(&h->intakes));
}
