/*
 * Interest: which channels this node listens to, as the store knows it, and where their logs stood when it was told.
 *
 * The two are one moment in the store, so a message is either behind that position, or was appended when this node was
 * known to listen. What a turn asks for travels together.
 */
#include "hub/sequence_internal.h"

/** Ends under way at one time; beyond, the interest expires by itself. */
#define ENDS_MAX 4096

struct interest_item {
    struct hub_channel *channel; /* held */
    uint32_t generation;
};

/** One statement about many channels. */
struct interest_put {
    struct store_interest_put request;
    struct hub *hub;
    bool is_restated, then_sweep;
    size_t count;
    struct interest_item items[STORE_INTEREST_MAX];
    struct slice names[STORE_INTEREST_MAX];
    struct store_position positions[STORE_INTEREST_MAX];
};

struct interest_end {
    struct store_interest_put request;
    struct hub *hub;
    struct slice name;
    char text[];
};

static void positioned(struct hub *h, struct hub_sequence *s, int result, struct store_position position)
{
    if (result) {
        s->status = HUB_SEQUENCE_UNKNOWN;
        hub_join_resume(h, s, true);
    } else {
        hub_sequence_begin(h, s, position);
    }
}

/** What a statement that was only repeated tells: whether the store still has what it had. */
static void confirmed(struct hub_sequence *s, struct store_position position)
{
    if (position.epoch == s->last.epoch && position.offset >= s->last.offset)
        s->is_suspect = false;
}

static void on_put(struct store_interest_put *request, int result)
{
    struct interest_put *put = container_of(request, struct interest_put, request);
    struct hub *h = put->hub;

    for (size_t i = 0; i < put->count; i++) {
        struct hub_channel *c = put->items[i].channel;
        struct hub_sequence *s = c->sequence;
        bool is_mine = s->generation == put->items[i].generation;

        if (is_mine && s->status == HUB_SEQUENCE_POSITIONING && !put->is_restated)
            positioned(h, s, h->is_stopped ? STORE_E_UNAVAILABLE : result, put->positions[i]);
        else if (is_mine && s->status == HUB_SEQUENCE_LIVE && !result)
            confirmed(s, put->positions[i]);
        hub_channel_release(h, c);
    }
    if (put->then_sweep && !result && !h->is_stopped)
        hub_sweep_now(h);
    free(put);
}

static struct interest_put *put_new(struct hub *h, bool is_restated)
{
    struct interest_put *put = malloc(sizeof(*put));

    if (!put)
        return NULL;
    put->hub = h;
    put->count = 0;
    put->is_restated = is_restated;
    put->then_sweep = false;
    return put;
}

static void put_add(struct interest_put *put, struct hub_sequence *s)
{
    struct hub_channel *c = s->channel;

    hub_channel_hold(c);
    put->items[put->count] = (struct interest_item){.channel = c, .generation = s->generation};
    put->names[put->count] = slice_make(c->name, c->name_size);
    put->count++;
}

static void put_send(struct interest_put *put)
{
    put->request = (struct store_interest_put){
        .channels = put->names, .count = put->count, .positions = put->positions, .done = on_put};
    store_interest_put(put->hub->store, &put->request);
}

void hub_interest_want(struct hub *h, struct hub_sequence *s)
{
    if (s->status != HUB_SEQUENCE_UNKNOWN || h->is_stopped)
        return;
    s->status = HUB_SEQUENCE_POSITIONING;
    list_append(&h->unpositioned, &s->due_link);
    loop_defer(h->loop, &h->turn_end);
}

void hub_interest_run(struct hub *h)
{
    struct interest_put *put = NULL;

    while (!list_is_empty(&h->unpositioned) && !h->is_stopped) {
        struct hub_sequence *s = container_of(list_pop(&h->unpositioned), struct hub_sequence, due_link);

        if (!put && !(put = put_new(h, false))) {
            hub_note_out_of_memory(h, "a statement of interest");
            positioned(h, s, -ENOMEM, (struct store_position){0});
            continue;
        }
        put_add(put, s);
        if (put->count == STORE_INTEREST_MAX)
            put_send(base_take(put));
    }
    if (put)
        put_send(put);
}

void hub_interest_restate(struct hub *h, bool then_sweep)
{
    struct interest_put *put = NULL;

    list_for_each (it, &h->sequences) {
        struct hub_sequence *s = container_of(it, struct hub_sequence, link);

        if (s->status == HUB_SEQUENCE_UNKNOWN && (s->is_blind || s->channel == h->all))
            hub_interest_want(h, s);
        if (s->status != HUB_SEQUENCE_LIVE)
            continue;
        if (then_sweep)
            s->is_suspect = true;
        if (!put && !(put = put_new(h, true)))
            break; /* it will be stated again */
        put_add(put, s);
        if (put->count == STORE_INTEREST_MAX)
            put_send(base_take(put));
    }
    if (put) {
        put->then_sweep = then_sweep;
        put_send(put);
    }
}

static void on_end(struct store_interest_put *request, int result base_unused)
{
    struct interest_end *end = container_of(request, struct interest_end, request);

    end->hub->interest_ends--;
    free(end);
}

void hub_interest_end(struct hub *h, struct hub_sequence *s)
{
    const struct hub_channel *c = s->channel;
    struct interest_end *end = h->interest_ends < ENDS_MAX ? malloc(sizeof(*end) + c->name_size) : NULL;

    if (!end)
        return; /* it expires */
    memcpy(end->text, c->name, c->name_size);
    end->name = slice_make(end->text, c->name_size);
    end->hub = h;
    end->request = (struct store_interest_put){.channels = &end->name, .count = 1, .is_end = true, .done = on_end};
    h->interest_ends++;
    store_interest_put(h->store, &end->request);
}
