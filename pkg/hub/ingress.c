/*
 * The ingress: bodies of back ends that came by the ingress queue, sent as a client's messages are.
 *
 *     body ─▶ decoded ─▶ its messages in rounds: appended (sequenced) or published ─▶ confirmed ─▶ acknowledged
 *                  └ what can never become a message ─▶ dead letter, confirmed ─┘
 *
 * Order: bodies stand in one line, and of a channel no message is appended while one before it might still fail. So a
 * round has of each channel what the store takes as one (CHANNEL_MAX_*), and the next one begins when it has answered
 * the whole round, with what it refused. What is repeated, here or by the node that gets the queue next, is known by
 * its key: the message's id, of the sender that the body's app_id names. Publications wait for the broker as long as it
 * takes, in order.
 *
 * Nothing of it is lost or given up for want of the store or the broker: then the line stands still, and after
 * YIELD_MS the queue is left to a node that may have both. What was not acknowledged comes again there.
 */
#include "base/hash.h"
#include "base/json.h"
#include "hub/append_internal.h"
#include "hub/archive_internal.h"
#include "hub/ingress_internal.h"

/** Of one round, and of one channel in it: as many as may be in one script of the store. */
#define ROUND_MAX_MESSAGES 512
#define ROUND_MAX_BYTES ((size_t)1024 * 1024)
#define CHANNEL_MAX_MESSAGES 64
#define CHANNEL_MAX_ROUND_BYTES ((size_t)192 * 1024)
/** Channels are told apart by so many slots: two in one slot share their bound. */
#define CHANNEL_SLOTS 256
/** Messages that wait for the broker's confirm. */
#define OUT_MAX 2048
#define RETRY_MS 200
#define YIELD_MS 1000
#define JSON_LEVELS 64
/** Dead letters that wait for the broker. A body of a million items that are none is read no faster than they are kept.
 */
#define DEAD_MAX 128
/** An outcome: that is the case. */
#define INGRESS_E_LATER 1

struct ingress_item {
    struct ingress_body *body;
    struct message *message; /* NULL: done */
    bool is_out;             /* on its way; else it waits for a round */
    union {
        struct bus_publication publication;
        struct hub_append_order order;
    };
    struct hub_archive_ticket ticket; /* of a publication; what is appended is archived there */
};

/** A body; given back when all its items are done and its dead letters are kept. */
struct ingress_body {
    struct list link; /* ingress->line */
    struct hub *hub;
    struct bus_delivery *delivery; /* NULL: decoding it failed */
    struct ingress_item *items;    /* do not move once the body stands in the line */
    size_t count, capacity;
    size_t next;  /* no item before this one waits */
    size_t open;  /* items that are not done, and dead letters that are not kept */
    bool is_void; /* it comes again elsewhere: what waits is dropped */
};

struct ingress_dead {
    struct bus_deposit deposit;
    struct ingress_body *body;
};

struct hub_ingress {
    struct list arrived;          /* bus_delivery; not decoded before its turn */
    struct list line;             /* ingress_body */
    struct ingress_body *reading; /* of the first that arrived; NULL: not begun */
    struct bus_reader reader;     /* its */
    size_t dead;                  /* dead letters that are not kept */
    size_t bodies;                /* in both */
    size_t appending;             /* of the round: what the store has not answered */
    size_t out;                   /* not done, of all items */
    struct loop_deferred run;
    struct loop_timer retry, yield;
    struct log_limit dead_limit;
    bool is_store_up, is_reading;
};

static void run_soon(struct hub *h)
{
    if (!h->is_stopped)
        loop_defer(h->loop, &h->ingress->run);
}

/* ---- bodies ---- */

static void give_back(struct hub *h, struct bus_delivery *d)
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
        give_back(b->hub, b->delivery);
    free(b->items);
    free(b);
}

static void body_close_one(struct ingress_body *b)
{
    assert(b->open > 0);
    if (--b->open == 0)
        body_free(b);
}

static void item_done(struct ingress_item *item)
{
    item->message = message_unref(item->message);
    item->is_out = false;
    body_close_one(item->body);
}

/** Drops what waits; the body may be gone afterwards. */
static void body_forget(struct ingress_body *b)
{
    b->is_void = true;
    b->open++; /* so that it stays until the walk is over */
    for (size_t i = b->next; i < b->count; i++) {
        if (b->items[i].message && !b->items[i].is_out)
            item_done(&b->items[i]);
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
        run_soon(b->hub);

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

/** On from where it stood. 0: all of it; INGRESS_E_LATER; -ENOMEM. */
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
    return INGRESS_E_LATER;
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

/** It goes into the line if all of it was read (@result 0); else nothing of it was sent, and it stays where it was. */
static void end_reading(struct hub *h, int result)
{
    struct ingress_body *b = base_take(h->ingress->reading);

    bus_reader_deinit(&h->ingress->reader);
    if (result) {
        b->delivery = NULL;
        b->next = 0;
        body_forget(b);
    } else {
        list_remove(&b->delivery->link);
        list_append(&h->ingress->line, &b->link);
    }
    body_close_one(b);
}

/** Moves the first body that arrived into the line. 0; INGRESS_E_LATER; -ENOMEM: it is to be tried again (its dead
 * letters may then be there twice). */
static int decode_first(struct hub *h)
{
    struct ingress_body *b;
    int result = h->ingress->reading ? 0 : begin_reading(h);

    if (result)
        return result;
    b = h->ingress->reading;
    result = b->delivery->is_oversized ? bury(b, NULL, "the body is larger than amqp.max_body_bytes") : body_read(b);
    if (result != INGRESS_E_LATER)
        end_reading(h, result);
    return result;
}

/* ---- sending ---- */

static void retry_later(struct hub *h)
{
    if (!h->is_stopped && !loop_timer_is_pending(&h->ingress->retry))
        loop_timer_start(&h->ingress->retry, RETRY_MS);
}

/** It did not go, or may not have: it waits for another round. */
static void item_failed(struct ingress_item *item)
{
    struct ingress_body *b = item->body;
    size_t index = (size_t)(item - b->items);

    item->is_out = false;
    hub_count(b->hub, HUB_METRIC_INGRESS_RETRIES, 1);
    if (b->is_void) {
        item_done(item);
        return;
    }
    b->next = index < b->next ? index : b->next;
    retry_later(b->hub);
}

static void item_ended(struct ingress_item *item, int result)
{
    struct hub *h = item->body->hub;

    h->ingress->out--;
    if (result) {
        item_failed(item);
        return;
    }
    hub_count(h, HUB_METRIC_INGRESS_OK, 1);
    item_done(item);
    run_soon(h);
}

static void on_archived(struct hub_archive_ticket *t)
{
    item_ended(container_of(t, struct ingress_item, ticket), 0);
}

static void on_published(struct bus_publication *p, int result)
{
    struct ingress_item *item = container_of(p, struct ingress_item, publication);

    item->ticket = (struct hub_archive_ticket){.done = on_archived};
    if (!result && item->message->kind == MESSAGE_KIND_MESSAGE &&
        hub_archive_keep(item->body->hub, item->message, &item->ticket))
        return;
    item_ended(item, result);
}

static void on_appended(struct hub_append_order *o, int result base_unused)
{
    struct hub *h = container_of(o, struct ingress_item, order)->body->hub;

    if (--h->ingress->appending == 0)
        run_soon(h);
}

static void on_sent(struct hub_append_order *o, int result)
{
    item_ended(container_of(o, struct ingress_item, order), result);
}

static int item_send(struct hub *h, struct ingress_item *item)
{
    struct message *m = item->message;
    const struct hub_channel_config *rule = hub_rule_find(h, m->channel);
    struct slice sender = item->body->delivery->app_id;
    int result;

    item->is_out = true;
    if (rule->is_sequenced && m->kind == MESSAGE_KIND_MESSAGE) {
        item->order = (struct hub_append_order){
            .message = m,
            .sender = slice_is_set(sender) ? sender : SLICE_LITERAL(""),
            .key = m->id,
            .is_key_lasting = m->has_stable_id,
            .is_repeated_by_caller = true,
            .appended = on_appended,
            .done = on_sent,
        };
        result = hub_append_send(h, &item->order, rule);
        h->ingress->appending += !result;
    } else {
        item->publication =
            (struct bus_publication){.message = m, .route = BUS_ROUTE_FANOUT, .is_patient = true, .done = on_published};
        result = bus_publish(h->bus, &item->publication);
    }
    item->is_out = !result;
    h->ingress->out += !result;
    return result;
}

/** What a round has so far. */
struct round {
    size_t count, bytes;
    struct {
        size_t count, bytes;
    } slots[CHANNEL_SLOTS];
};

/** Whether one more has room, which then is taken; the first always has. */
static bool round_take(struct round *r, const struct message *m)
{
    size_t slot = hash_bytes(m->channel.data, m->channel.size) % CHANNEL_SLOTS, bytes = m->data.size;

    if (r->count > 0 && (r->count == ROUND_MAX_MESSAGES || r->bytes + bytes > ROUND_MAX_BYTES ||
                         r->slots[slot].count == CHANNEL_MAX_MESSAGES ||
                         (r->slots[slot].count > 0 && r->slots[slot].bytes + bytes > CHANNEL_MAX_ROUND_BYTES)))
        return false;
    r->count++;
    r->bytes += bytes;
    r->slots[slot].count++;
    r->slots[slot].bytes += bytes;
    return true;
}

/** Sends what waits in a body. false: the round is full, or cannot go on now. */
static bool body_send(struct ingress_body *b, struct round *r)
{
    for (; b->next < b->count; b->next++) {
        struct ingress_item *item = &b->items[b->next];

        if (!item->message || item->is_out)
            continue;
        if (b->hub->ingress->out >= OUT_MAX)
            return false; /* what comes back goes on */
        if (!round_take(r, item->message)) {
            if (b->hub->ingress->appending == 0)
                run_soon(b->hub);
            return false;
        }
        if (item_send(b->hub, item)) {
            retry_later(b->hub);
            return false;
        }
    }
    return true;
}

static bool may_send(const struct hub *h)
{
    return h->ingress->is_store_up && h->is_bus_ready && !h->is_stopped;
}

/** What comes again elsewhere is not begun here. */
static void drop_void(struct hub *h)
{
    struct hub_ingress *in = h->ingress;

    list_for_each_safe (it, &in->line) {
        struct ingress_body *b = container_of(it, struct ingress_body, link);

        if (!b->is_void && b->next < b->count && bus_delivery_is_void(h->bus, b->delivery))
            body_forget(b);
    }
    while (!list_is_empty(&in->arrived)) {
        struct bus_delivery *d = container_of(in->arrived.next, struct bus_delivery, link);

        if (!bus_delivery_is_void(h->bus, d))
            return;
        if (in->reading)
            end_reading(h, INGRESS_E_LATER);
        give_back(h, d);
    }
}

/** One round. */
static void run(void *userdata)
{
    struct hub *h = userdata;
    struct hub_ingress *in = h->ingress;
    struct round round = {0};

    if (in->appending > 0 || !may_send(h))
        return;
    drop_void(h);
    list_for_each (it, &in->line) {
        if (!body_send(container_of(it, struct ingress_body, link), &round))
            return;
    }
    while (!list_is_empty(&in->arrived)) {
        struct list *last = in->line.previous;
        int result = decode_first(h);

        if (result == INGRESS_E_LATER)
            return; /* goes on when they are kept */
        if (result) {
            hub_note_out_of_memory(h, "a body of a back end, for now");
            retry_later(h);
            return;
        }
        if (in->line.previous != last && !body_send(container_of(in->line.previous, struct ingress_body, link), &round))
            return;
    }
}

static void on_retry(void *userdata)
{
    run_soon(userdata);
}

/* ---- the queue ---- */

void hub_ingress_delivery(void *userdata, struct bus_delivery *d)
{
    struct hub *h = userdata;

    list_append(&h->ingress->arrived, &d->link);
    hub_gauge(h, HUB_METRIC_INGRESS_LINE, ++h->ingress->bodies);
    run_soon(h);
}

static void forget_all(struct hub *h)
{
    if (h->ingress->reading)
        end_reading(h, INGRESS_E_LATER);
    while (!list_is_empty(&h->ingress->arrived))
        give_back(h, container_of(h->ingress->arrived.next, struct bus_delivery, link));
    list_for_each_safe (it, &h->ingress->line)
        body_forget(container_of(it, struct ingress_body, link));
}

static void set_reading(struct hub *h, bool is_reading)
{
    h->ingress->is_reading = is_reading;
    hub_gauge(h, HUB_METRIC_INGRESS_READING, is_reading);
    bus_ingress(h->bus, is_reading);
}

static void on_yield(void *userdata)
{
    struct hub *h = userdata;

    log_event(LOG_NOTICE, "the ingress queue is left to others, until broker and store are there");
    set_reading(h, false);
    forget_all(h);
}

void hub_ingress_update(struct hub *h)
{
    struct hub_ingress *in = h->ingress;

    if (!in || h->is_stopped)
        return;
    if (!may_send(h) || h->is_draining) {
        if (in->is_reading && !loop_timer_is_pending(&in->yield))
            loop_timer_start(&in->yield, YIELD_MS);
        return;
    }
    loop_timer_stop(&in->yield);
    if (!in->is_reading)
        set_reading(h, true);
    run_soon(h);
}

void hub_ingress_store_state(struct hub *h, bool is_up)
{
    if (h->ingress)
        h->ingress->is_store_up = is_up;
    hub_ingress_update(h);
}

/* ---- life ---- */

int hub_ingress_start(struct hub *h)
{
    struct hub_ingress *in;

    if (!h->config.ingress)
        return 0;
    in = calloc(1, sizeof(*in));
    if (!in)
        return -ENOMEM;
    list_init(&in->arrived);
    list_init(&in->line);
    in->dead_limit.period_ms = 10000;
    loop_deferred_init(&in->run, run, h);
    loop_timer_init(&in->retry, h->loop, on_retry, h);
    loop_timer_init(&in->yield, h->loop, on_yield, h);
    h->ingress = in;
    return 0;
}

void hub_ingress_stop(struct hub *h)
{
    struct hub_ingress *in = h->ingress;

    if (!in)
        return;
    forget_all(h);
    assert(list_is_empty(&in->line)); /* bus and store have answered everything */
    loop_deferred_cancel(&in->run);
    loop_timer_deinit(&in->retry);
    loop_timer_deinit(&in->yield);
    free(in);
    h->ingress = NULL;
}
