/*
 * Interest: which channels this node listens to, as the store knows it, and where their logs stood when it was told.
 *
 * The two are one moment in the store, so a message is either behind that position, or was appended when this node was
 * known to listen. What a turn asks for travels together; and when many come at once, what some milliseconds ask for:
 * then a crowd of clients costs the store what the time costs, not a statement each. The first after a rest does not
 * wait, and nobody's message overtakes a listener's beginning: who sends has it stated first. Ends are gathered for
 * longer, but never beyond the next statement, which may be about one of the same channels.
 */
#include "hub/sequence_internal.h"

/** Ends gathered or under way at one time; beyond, the interest expires by itself. */
#define ENDS_MAX 16384
/** Ends within this time travel together: nobody waits for them. */
#define ENDS_GATHER_MS 20

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
    bool have_rest[STORE_INTEREST_MAX];
    uint64_t known_ms[STORE_INTEREST_MAX];
};

/** An end that is gathered. */
struct interest_end {
    struct list link;
    uint64_t known_ms;
    size_t size;
    char text[];
};

/** Ends that are under way; names and ages lie behind it. */
struct interest_ends {
    struct store_interest_put request;
    struct hub *hub;
    struct list items; /* of struct interest_end: their texts */
};

static void refused(struct hub *h, struct hub_sequence *s)
{
    s->status = HUB_SEQUENCE_UNKNOWN;
    hub_join_resume(h, s, true);
}

static void on_put(struct store_interest_put *request, int result)
{
    struct interest_put *put = container_of(request, struct interest_put, request);
    struct hub *h = put->hub;

    for (size_t i = 0; i < put->count; i++) {
        struct hub_channel *c = put->items[i].channel;
        struct hub_sequence *s = c->sequence;
        bool is_asked =
            s->generation == put->items[i].generation && s->status == HUB_SEQUENCE_POSITIONING && !put->is_restated;

        if (is_asked && (result || h->is_stopped))
            refused(h, s);
        else if (is_asked)
            hub_sequence_begin(h, s, put->positions[i], put->have_rest[i]);
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
    put->known_ms[put->count] = hub_rule_known_ms(c->rule, c->kind);
    put->count++;
}

static void put_send(struct interest_put *put)
{
    hub_interest_flush(put->hub);
    put->request = (struct store_interest_put){
        .channels = put->names,
        .count = put->count,
        .known_ms = put->known_ms,
        .positions = put->positions,
        .have_rest = put->have_rest,
        .done = on_put,
    };
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
            refused(h, s);
            continue;
        }
        put_add(put, s);
        if (put->count == STORE_INTEREST_MAX)
            put_send(base_take(put));
        h->interest_stated_ms = loop_now_ms(h->loop);
    }
    if (put)
        put_send(put);
}

void hub_interest_pace(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop), due_ms = h->interest_stated_ms + (uint64_t)h->config.interest_gather_ms;

    if (list_is_empty(&h->unpositioned) || h->is_stopped || loop_timer_is_pending(&h->state_timer))
        return;
    if (now_ms >= due_ms)
        hub_interest_run(h);
    else
        loop_timer_start(&h->state_timer, due_ms - now_ms);
}

void hub_interest_restate(struct hub *h, bool then_sweep)
{
    struct interest_put *put = NULL;

    list_for_each (it, &h->sequences) {
        struct hub_sequence *s = container_of(it, struct hub_sequence, link);

        if (s->status == HUB_SEQUENCE_UNKNOWN && (s->is_blind || s->channel == h->all || !list_is_empty(&s->joins)))
            hub_interest_want(h, s);
        if (s->status == HUB_SEQUENCE_LIVE && !list_is_empty(&s->joins))
            hub_log_want(h, s);
        if (s->status != HUB_SEQUENCE_LIVE)
            continue;
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

static void ends_free(struct list *items)
{
    for (struct list *it; (it = list_pop(items));)
        free(container_of(it, struct interest_end, link));
}

static void on_ends(struct store_interest_put *request, int result base_unused)
{
    struct interest_ends *ends = container_of(request, struct interest_ends, request);

    ends->hub->interest_ends -= request->count;
    ends_free(&ends->items);
    free(ends);
}

/** They expire in the store. */
static void forget_ends(struct hub *h)
{
    h->interest_ends -= h->idle_count;
    h->idle_count = 0;
    ends_free(&h->idle_names);
}

/** The first of them, as many as fit. */
static void send_ends(struct hub *h)
{
    size_t count = h->idle_count < STORE_INTEREST_MAX ? h->idle_count : STORE_INTEREST_MAX;
    struct interest_ends *ends = malloc(sizeof(*ends) + count * (sizeof(struct slice) + sizeof(uint64_t)));
    struct slice *names;
    uint64_t *known_ms;

    if (!ends) {
        forget_ends(h);
        return;
    }
    names = (struct slice *)(ends + 1);
    known_ms = (uint64_t *)(names + count);
    list_init(&ends->items);
    for (size_t i = 0; i < count; i++) {
        struct interest_end *end = container_of(list_pop(&h->idle_names), struct interest_end, link);

        names[i] = slice_make(end->text, end->size);
        known_ms[i] = end->known_ms;
        list_append(&ends->items, &end->link);
    }
    h->idle_count -= count;
    ends->hub = h;
    ends->request = (struct store_interest_put){
        .channels = names, .count = count, .known_ms = known_ms, .is_end = true, .done = on_ends};
    store_interest_put(h->store, &ends->request);
}

void hub_interest_flush(struct hub *h)
{
    loop_timer_stop(&h->interest_timer);
    while (h->idle_count > 0)
        send_ends(h);
}

void hub_interest_end(struct hub *h, struct hub_sequence *s)
{
    const struct hub_channel *c = s->channel;
    struct interest_end *end = h->interest_ends < ENDS_MAX ? malloc(sizeof(*end) + c->name_size) : NULL;

    if (!end)
        return; /* it expires */
    list_init(&end->link);
    memcpy(end->text, c->name, c->name_size);
    end->size = c->name_size;
    end->known_ms = hub_rule_known_ms(c->rule, c->kind);
    list_append(&h->idle_names, &end->link);
    h->idle_count++;
    h->interest_ends++;
    if (!loop_timer_is_pending(&h->interest_timer))
        loop_timer_start(&h->interest_timer, ENDS_GATHER_MS);
}

static void on_timer(void *userdata)
{
    hub_interest_flush(userdata);
}

static void on_state_timer(void *userdata)
{
    hub_interest_run(userdata);
}

void hub_interest_start(struct hub *h)
{
    loop_timer_init(&h->state_timer, h->loop, on_state_timer, h);
    loop_timer_init(&h->interest_timer, h->loop, on_timer, h);
}

void hub_interest_stop(struct hub *h)
{
    loop_timer_deinit(&h->interest_timer);
    loop_timer_deinit(&h->state_timer);
    forget_ends(h);
}
