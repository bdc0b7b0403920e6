/*
 * Bodies of back ends: read into messages, given back when the last of them is done; and what can never become a
 * message is put among the dead letters.
 */
#include "base/json.h"
#include "hub/ingress_body_internal.h"

#define JSON_LEVELS 64
/** Dead letters that wait for the broker. A body of a million items that are none is read no faster than they are kept.
 */
#define DEAD_MAX 128

struct ingress_dead {
    struct bus_deposit deposit;
    struct ingress_body *body;
};

/* ---- bodies ---- */

void hub_ingress_give_back(struct hub *h, struct bus_delivery *d)
{
    list_remove(&d->link);
    hub_gauge(h, HUB_METRIC_INGRESS_LINE, --h->ingress->bodies);
    bus_delivery_done(h->bus, d);
}

static void body_free(struct ingress_body *b)
{
    assert(b->open == 0);
    list_remove(&b->link);
    if (b->delivery)
        hub_ingress_give_back(b->hub, b->delivery);
    free(b->items);
    free(b);
}

static void body_close_one(struct ingress_body *b)
{
    assert(b->open > 0);
    if (--b->open == 0)
        body_free(b);
}

void hub_ingress_item_done(struct ingress_item *item)
{
    item->message = message_unref(item->message);
    item->is_out = false;
    body_close_one(item->body);
}

void hub_ingress_body_forget(struct ingress_body *b)
{
    b->is_void = true;
    b->open++; /* so that it stays until the walk is over */
    for (size_t i = b->next; i < b->count; i++) {
        if (b->items[i].message && !b->items[i].is_out)
            hub_ingress_item_done(&b->items[i]);
    }
    body_close_one(b);
}

/* ---- dead letters ---- */

static void on_dead_kept(struct bus_deposit *d, int result base_unused)
{
    struct ingress_dead *dead = container_of(d, struct ingress_dead, deposit);
    struct ingress_body *b = dead->body;
    struct hub_ingress *in = b->hub->ingress;

    in->dead--;
    if (in->reading && in->dead <= DEAD_MAX / 2)
        hub_ingress_run_soon(b->hub);

    /* Only a bus that was stopped refuses; then the acknowledgement of its body does not leave either. */
    free(dead);
    body_close_one(b);
}

static void note_dead(struct hub *h, const struct bus_delivery *d, const char *reason)
{
    uint64_t suppressed;

    hub_count(h, HUB_METRIC_INGRESS_DEAD, 1);
    if (log_limit_pass(&h->ingress->dead_limit, loop_now_ms(h->loop), &suppressed))
        log_event(LOG_WARNING, "a message of a back end can never be delivered, and is among the dead letters",
                  LOG_TEXT("why", reason), LOG_SLICE("message_id", d->message_id), LOG_SLICE("app_id", d->app_id),
                  LOG_SLICE("content_type", d->content_type), LOG_UINT("suppressed", suppressed));
}

/** Item @index of a body, or (@reader NULL) all of it. 0, -ENOMEM. */
static int bury(struct ingress_body *b, const struct bus_reader *reader, const char *reason)
{
    const struct bus_delivery *d = b->delivery;
    base_cleanup(buffer_deinit)
    struct buffer body = {0};
    base_cleanup(buffer_deinit)
    struct buffer id = {0};
    struct ingress_dead *dead = calloc(1, sizeof(*dead));
    int result = dead ? 0 : -ENOMEM;

    if (reader)
        bus_reader_write_item(reader, &body);
    /* A sibling keeps the id that it had in its body. */
    if (slice_is_set(d->message_id))
        buffer_append_slice(&id, d->message_id);
    if (slice_is_set(d->message_id) && reader && !reader->broken && reader->index > 0 && reader->index < reader->count)
        buffer_printf(&id, "#%zu", reader->index);
    if (!result && (buffer_error(&body) || buffer_error(&id)))
        result = -ENOMEM;
    if (!result) {
        dead->body = b;
        dead->deposit = (struct bus_deposit){
            .shelf = BUS_SHELF_DEAD,
            .body = reader ? buffer_slice(&body) : payload_slice(d->body),
            .content_type = d->content_type,
            .message_id = id.size ? buffer_slice(&id) : SLICE_NONE,
            .app_id = d->app_id,
            .reason = slice_from(reason),
            .routing_key = d->routing_key,
            .whole_bytes = d->whole_bytes,
            .done = on_dead_kept,
        };
        result = bus_deposit(b->hub->bus, &dead->deposit);
    }
    if (result) {
        free(dead);
        return -ENOMEM; /* or the bus is stopped: then nothing matters any more */
    }
    b->open++;
    b->hub->ingress->dead++;
    note_dead(b->hub, d, reason);
    return 0;
}

/* ---- decoding ---- */

/** What the reader has let pass and can never be delivered; NULL: nothing. */
static const char *check_message(const struct message *m)
{
    const char *error;

    if (m->kind == MESSAGE_KIND_CONTROL)
        return "control messages are from node to node";
    if (m->data.size == 0)
        return "the data is empty";
    if (slice_equal(m->content_type, CONTENT_TYPE_JSON) && json_validate(m->data, JSON_LEVELS, &error, NULL))
        return error;
    return NULL;
}

static int body_add(struct ingress_body *b, struct bus_reader *reader, struct message *fields)
{
    size_t capacity = b->capacity ? b->capacity * 2 : 1;
    struct ingress_item *items = b->items;

    if (b->count == b->capacity) {
        items = realloc(b->items, capacity * sizeof(*items));
        if (!items)
            return -ENOMEM;
        b->items = items;
        b->capacity = capacity;
    }
    fields->epoch = fields->offset = 0; /* not theirs to say */
    if (fields->time_ms == 0)
        fields->time_ms = b->delivery->time_ms;
    items[b->count] = (struct ingress_item){.body = b, .message = bus_reader_take(reader, fields)};
    if (!items[b->count].message)
        return -ENOMEM;
    b->count++;
    b->open++;
    return 0;
}

/** On from where it stood. 0: all of it; HUB_INGRESS_E_LATER; -ENOMEM. */
static int body_read(struct ingress_body *b)
{
    struct hub_ingress *in = b->hub->ingress;
    struct message fields;

    while (in->dead < DEAD_MAX) {
        int result = bus_reader_next(&in->reader, NULL, NULL, &fields);
        const char *reason;

        if (result != 0 && result != BUS_E_POISON)
            return result == BUS_BODY_END ? 0 : result;
        reason = result ? in->reader.error : check_message(&fields);
        result = reason ? bury(b, &in->reader, reason) : body_add(b, &in->reader, &fields);
        if (result)
            return result;
    }
    return HUB_INGRESS_E_LATER;
}

static int begin_reading(struct hub *h)
{
    struct hub_ingress *in = h->ingress;
    struct ingress_body *b = calloc(1, sizeof(*b));

    if (!b)
        return -ENOMEM;
    *b = (struct ingress_body){
        .hub = h, .delivery = container_of(in->arrived.next, struct bus_delivery, link), .open = 1};
    list_init(&b->link);
    in->reading = b;
    bus_reader_init(&in->reader, b->delivery, (size_t)h->config.message_bytes);
    return 0;
}

void hub_ingress_end_reading(struct hub *h, int result)
{
    struct ingress_body *b = base_take(h->ingress->reading);

    bus_reader_deinit(&h->ingress->reader);
    if (result) {
        b->delivery = NULL;
        b->next = 0;
        hub_ingress_body_forget(b);
    } else {
        list_remove(&b->delivery->link);
        list_append(&h->ingress->line, &b->link);
    }
    body_close_one(b);
}

int hub_ingress_decode_first(struct hub *h)
{
    struct ingress_body *b;
    int result = h->ingress->reading ? 0 : begin_reading(h);

    if (result)
        return result;
    b = h->ingress->reading;
    result = b->delivery->is_oversized ? bury(b, NULL, "the body is larger than amqp.max_body_bytes") : body_read(b);
    if (result != HUB_INGRESS_E_LATER)
        hub_ingress_end_reading(h, result);
    return result;
}
