/*
 * The sweep: what lies in the logs past where the channels stand here, group by group, a question at a time. It is the
 * repair for everything that a broker can do to a node.
 */
#include "hub/lease_internal.h"
#include "hub/sequence_internal.h"

#include "base/machine.h"

#define SWEEP_INTERVAL_MS 10000
#define SWEEP_INTERVAL_CUT_MS 1000
#define SWEEP_RECORDS 100
/** Of messages that went from quiet channels, before the heap is trimmed. */
#define TRIM_BYTES_MIN (1024u * 1024u)

struct hub_sweep {
    struct store_sweep request;
    struct hub *hub;
    size_t count;
    struct hub_channel *targets[STORE_SWEEP_MAX]; /* held */
    struct store_sweep_channel channels[STORE_SWEEP_MAX];
};

static void sweep_next(struct hub *h);

static void on_records(struct store_sweep *request, size_t channel_index, const struct store_record *records,
                       size_t count)
{
    struct hub_sweep *sweep = container_of(request, struct hub_sweep, request);
    struct hub *h = sweep->hub;
    struct hub_sequence *s = sweep->targets[channel_index]->sequence;

    for (size_t i = 0; i < count && s->status == HUB_SEQUENCE_LIVE && !h->is_stopped; i++) {
        struct message *m = NULL;

        /* What cannot be opened here leaves a gap, and the read that it causes deals with it. */
        if (hub_record_open(h, &records[i], &m))
            s->is_behind = true;
        else
            hub_sequence_feed(h, s, m);
        message_unref(m);
    }
    if (count >= SWEEP_RECORDS || s->is_behind) {
        s->is_behind = true;
        hub_log_want(h, s);
    }
}

static void on_swept(struct store_sweep *request, int result)
{
    struct hub_sweep *sweep = container_of(request, struct hub_sweep, request);
    struct hub *h = sweep->hub;

    h->sweep = NULL;
    if (!result && sweep->request.has_more)
        h->is_sweep_due = true;
    for (size_t i = 0; i < sweep->count; i++)
        hub_channel_release(h, sweep->targets[i]);
    free(sweep);
    if (!result && !h->is_stopped)
        sweep_next(h);
}

/** The next sequences that this round has not been at; they go to the end of the line. */
static void sweep_fill(struct hub *h, struct hub_sweep *sweep)
{
    while (sweep->count < STORE_SWEEP_MAX && !list_is_empty(&h->sequences)) {
        struct hub_sequence *s = container_of(h->sequences.next, struct hub_sequence, link);
        struct hub_channel *c = s->channel;

        if (s->sweep_round == h->sweep_round)
            return;
        s->sweep_round = h->sweep_round;
        list_remove(&s->link);
        list_append(&h->sequences, &s->link);
        /* The store may have refused it while it had too much to do. */
        if (s->status == HUB_SEQUENCE_UNKNOWN && (s->is_blind || c == h->all))
            hub_interest_want(h, s);
        if (s->status != HUB_SEQUENCE_LIVE)
            continue;
        if (s->is_behind || !hub_sequence_holds_nothing(s))
            hub_log_want(h, s);
        /* What the log has, need not be here as well; but as long as the store is away nobody could read it there. */
        if (h->may_state)
            h->settled_bytes += hub_ring_settle(&h->slab, &s->ring, loop_now_ms(h->loop));
        hub_channel_hold(c);
        sweep->targets[sweep->count] = c;
        sweep->channels[sweep->count++] =
            (struct store_sweep_channel){.channel = slice_make(c->name, c->name_size), .after = s->last};
    }
}

/** What lay between things that stay does not go back to the kernel by itself. */
static void trim(struct hub *h)
{
    if (h->settled_bytes < TRIM_BYTES_MIN)
        return;
    h->settled_bytes = 0;
    machine_trim_memory();
}

static void sweep_next(struct hub *h)
{
    struct hub_sweep *sweep = malloc(sizeof(*sweep));

    if (!sweep) {
        hub_note_out_of_memory(h, "a sweep");
        return;
    }
    sweep->hub = h;
    sweep->count = 0;
    sweep_fill(h, sweep);
    if (!sweep->count && h->is_sweep_due) {
        h->is_sweep_due = false;
        h->sweep_round++;
        sweep_fill(h, sweep);
    }
    if (!sweep->count) {
        free(sweep);
        trim(h);
        return;
    }
    sweep->request = (struct store_sweep){
        .channels = sweep->channels,
        .count = sweep->count,
        .limit_per_channel = SWEEP_RECORDS,
        .on_records = on_records,
        .done = on_swept,
    };
    h->sweep = sweep;
    hub_count(h, HUB_METRIC_SWEEPS, 1);
    store_sweep(h->store, &sweep->request);
}

void hub_sweep_now(struct hub *h)
{
    if (h->is_stopped || !h->is_started)
        return;
    h->is_sweep_due = true;
    hub_log_pump(h);
    if (!h->sweep)
        sweep_next(h);
}

static void on_sweep_timer(void *userdata)
{
    struct hub *h = userdata;

    h->is_sweep_near = false;
    hub_sweep_now(h);
    hub_call_others(h);
    loop_timer_start(&h->sweep_timer, hub_is_any_cut(h) ? SWEEP_INTERVAL_CUT_MS : SWEEP_INTERVAL_MS);
}

void hub_sweep_pace(struct hub *h)
{
    if (hub_is_any_cut(h))
        loop_timer_start(&h->sweep_timer, 0);
}

void hub_sweep_soon(struct hub *h, uint64_t delay_ms)
{
    if (h->is_sweep_near || h->is_stopped)
        return;
    h->is_sweep_near = true;
    loop_timer_start(&h->sweep_timer, delay_ms);
}

void hub_sweep_start(struct hub *h)
{
    loop_timer_init(&h->sweep_timer, h->loop, on_sweep_timer, h);
    /* Without a broker until it says otherwise, which it may never do. */
    loop_timer_start(&h->sweep_timer, SWEEP_INTERVAL_CUT_MS);
}

void hub_sweep_stop(struct hub *h)
{
    loop_timer_deinit(&h->sweep_timer);
}
