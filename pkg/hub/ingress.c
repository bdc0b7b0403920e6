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
#include "hub/ingress_body_internal.h"

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
        hub_ingress_item_done(item);
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
    hub_ingress_item_done(item);
    hub_ingress_run_soon(h);
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
        hub_ingress_run_soon(h);
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
                hub_ingress_run_soon(b->hub);
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
            hub_ingress_body_forget(b);
    }
    while (!list_is_empty(&in->arrived)) {
        struct bus_delivery *d = container_of(in->arrived.next, struct bus_delivery, link);

        if (!bus_delivery_is_void(h->bus, d))
            return;
        if (in->reading)
            hub_ingress_end_reading(h, HUB_INGRESS_E_LATER);
        hub_ingress_give_back(h, d);
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
        int result = hub_ingress_decode_first(h);

        if (result == HUB_INGRESS_E_LATER)
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
    hub_ingress_run_soon(userdata);
}

/* ---- the queue ---- */

void hub_ingress_delivery(void *userdata, struct bus_delivery *d)
{
    struct hub *h = userdata;

    list_append(&h->ingress->arrived, &d->link);
    hub_gauge(h, HUB_METRIC_INGRESS_LINE, ++h->ingress->bodies);
    hub_ingress_run_soon(h);
}

static void forget_all(struct hub *h)
{
    if (h->ingress->reading)
        hub_ingress_end_reading(h, HUB_INGRESS_E_LATER);
    while (!list_is_empty(&h->ingress->arrived))
        hub_ingress_give_back(h, container_of(h->ingress->arrived.next, struct bus_delivery, link));
    list_for_each_safe (it, &h->ingress->line)
        hub_ingress_body_forget(container_of(it, struct ingress_body, link));
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
    hub_ingress_run_soon(h);
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
