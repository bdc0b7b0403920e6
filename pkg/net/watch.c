/**
 * Readers that are behind: streams whose sockets take no more, and what may wait for them.
 *
 * No event tells of a reader that stands still, so a deadline looks at those who are behind, and at nobody else. How
 * much may wait at once is judged where a frame is queued; here it is judged for how long (soft limit, age) and how
 * much by all together (the budget).
 *
 * The budget is one counter of several loops. Each tells it what has changed at the end of a turn; when it is passed,
 * the loops with more than their part end their worst readers, so those who cause it go first.
 */
#include "net/net_internal.h"

/* Readers ended for the budget at one time; with each its bytes are gone, so the next look sees what is left to do. */
#define VICTIMS_PER_TURN 16

int net_watch_behind(struct net_stream *s)
{
    struct net_loop *n = s->owner;

    if (net_queue_open_backlog(s) < 0)
        return -ENOMEM;
    if (list_is_linked(&s->backlog->link))
        return 0;
    if (list_is_empty(&n->behind))
        loop_deadline_start(n->loop, &n->watch, NET_WATCH_MS);
    list_append(&n->behind, &s->backlog->link);
    n->counters.streams_behind++;
    return 0;
}

void net_watch_settled(struct net_stream *s)
{
    struct net_loop *n = s->owner;

    if (!list_is_linked(&s->backlog->link))
        return;
    list_remove(&s->backlog->link);
    n->counters.streams_behind--;
    if (list_is_empty(&n->behind))
        loop_deadline_stop(&n->watch);
}

/** The age of the oldest frame that has to arrive. */
static uint32_t oldest_age_ms(const struct net_stream *s, uint64_t now_ms)
{
    for (uint32_t i = 0; i < net_queue_count(s); i++) {
        const struct net_frame *frame = net_queue_at(s, i);

        if (frame->delivery == NET_FRAME_MUST)
            return (uint32_t)now_ms - frame->born_ms;
    }
    return 0;
}

static enum net_slow judge(struct net_stream *s, uint64_t now_ms)
{
    const struct net_queue_limits *limits = s->limits;
    struct net_backlog *b = s->backlog;
    uint32_t age_ms;

    if (!limits)
        return NET_SLOW_NOT;
    if (!limits->soft_bytes || s->queued_bytes <= limits->soft_bytes)
        b->soft_since_ms = 0;
    else if (!b->soft_since_ms)
        b->soft_since_ms = now_ms;
    else if (now_ms - b->soft_since_ms >= limits->soft_ms)
        return NET_SLOW_SOFT;
    age_ms = limits->age_ms ? oldest_age_ms(s, now_ms) : 0;
    /* A shared frame that was born in this very turn may be a millisecond ahead, by its mark. */
    return age_ms > limits->age_ms && age_ms < UINT32_MAX / 2 ? NET_SLOW_AGE : NET_SLOW_NOT;
}

static void watch_on_deadline(struct loop_deadline *d)
{
    struct net_loop *n = container_of(d, struct net_loop, watch);
    uint64_t now_ms = loop_now_ms(n->loop);

    list_for_each_safe (it, &n->behind) {
        struct net_stream *s = container_of(it, struct net_backlog, link)->stream;
        enum net_slow cause = judge(s, now_ms);

        if (cause != NET_SLOW_NOT)
            net_stream_too_slow(s, cause);
    }
    net_watch_budget(n);
    if (!list_is_empty(&n->behind))
        loop_deadline_start(n->loop, &n->watch, NET_WATCH_MS);
}

/* ---- the budget ---- */

static struct net_stream *worst_reader(struct net_loop *n)
{
    struct net_stream *worst = NULL;

    list_for_each (it, &n->behind) {
        struct net_stream *s = container_of(it, struct net_backlog, link)->stream;

        if (!s->slow && (!worst || s->queued_bytes > worst->queued_bytes))
            worst = s;
    }
    return worst;
}

static size_t budget_tell(struct net_loop *n)
{
    size_t now = (size_t)n->counters.bytes_queued, change = now - n->told_bytes; /* may wrap, and so subtract */

    n->told_bytes = now;
    return atomic_fetch_add_explicit(&n->budget->queued, change, memory_order_relaxed) + change;
}

void net_watch_budget(struct net_loop *n)
{
    const struct net_budget *b = n->budget;

    if (!b)
        return;
    if (n->told_bytes == n->counters.bytes_queued && atomic_load_explicit(&b->queued, memory_order_relaxed) <= b->limit)
        return;
    for (unsigned i = 0; i < VICTIMS_PER_TURN; i++) {
        struct net_stream *worst;

        if (budget_tell(n) <= b->limit || n->counters.bytes_queued <= b->limit / b->loops)
            return;
        worst = worst_reader(n);
        if (!worst)
            return;
        net_stream_too_slow(worst, NET_SLOW_TOTAL);
    }
}

void net_loop_set_budget(struct net_loop *n, struct net_budget *b)
{
    assert(n->streams == 0);
    n->budget = b;
}

void net_watch_init(struct net_loop *n)
{
    list_init(&n->behind);
    loop_deadline_init(&n->watch, watch_on_deadline);
}

void net_watch_deinit(struct net_loop *n)
{
    assert(list_is_empty(&n->behind) && n->counters.bytes_queued == 0);
    loop_deadline_stop(&n->watch);
    if (n->budget)
        (void)budget_tell(n);
}
