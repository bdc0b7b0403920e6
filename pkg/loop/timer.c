/**
 * Precise timers: a pairing heap whose nodes lie inside the timers, so that starting one needs no memory.
 *
 * The root is due first. A start is one comparison; what is left of a removed root is put together again in two passes
 * (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap", 1986), without recursion.
 */
#include "loop/loop_internal.h"

#include "base/clock.h"

/* Far enough for everything and far from overflow: ten years. */
#define TIMER_DELAY_MAX_MS (UINT64_C(10) * 366 * 24 * 3600 * 1000)

static struct loop_timer_node *timer_node(const struct loop_timer *t)
{
    return (struct loop_timer_node *)(uintptr_t)t->node;
}

/** Joins two heaps; neither root has siblings. */
static struct loop_timer_node *heap_merge(struct loop_timer_node *a, struct loop_timer_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->due_us < a->due_us) {
        struct loop_timer_node *later = a;

        a = b;
        b = later;
    }
    b->previous = a;
    b->sibling = a->child;
    if (a->child)
        a->child->previous = b;
    a->child = b;
    return a;
}

/** Joins a list of siblings: neighbours in pairs from the left, then the pairs from the right. */
static struct loop_timer_node *heap_merge_siblings(struct loop_timer_node *first)
{
    struct loop_timer_node *pairs = NULL, *root = NULL;

    while (first) {
        struct loop_timer_node *a = first, *b = a->sibling, *pair;

        first = b ? b->sibling : NULL;
        a->sibling = a->previous = NULL;
        if (b)
            b->sibling = b->previous = NULL;
        pair = heap_merge(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct loop_timer_node *next = pairs->sibling;

        pairs->sibling = NULL;
        root = heap_merge(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_remove(struct loop *l, struct loop_timer_node *n)
{
    struct loop_timer_node *rest = heap_merge_siblings(n->child);

    if (l->timers == n) {
        l->timers = rest;
    } else {
        if (n->previous->child == n)
            n->previous->child = n->sibling;
        else
            n->previous->sibling = n->sibling;
        if (n->sibling)
            n->sibling->previous = n->previous;
        l->timers = heap_merge(l->timers, rest);
    }
    *n = (struct loop_timer_node){.due_us = n->due_us};
}

void loop_timer_init(struct loop_timer *t, struct loop *l, loop_timer_fn *run, void *userdata)
{
    *t = (struct loop_timer){.loop = l, .run = run, .userdata = userdata};
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms)
{
    struct loop_timer_node *n = timer_node(t);

    assert(loop_is_current(t->loop));
    loop_timer_stop(t);
    if (delay_ms > TIMER_DELAY_MAX_MS)
        delay_ms = TIMER_DELAY_MAX_MS;
    *n = (struct loop_timer_node){.due_us = clock_monotonic_us() + delay_ms * 1000, .pending = true};
    t->loop->timers = heap_merge(t->loop->timers, n);
    if (!delay_ms && t->loop->in_turn)
        t->loop->is_alarm_due = true; /* the next turn does not wait, and no alarm is needed */
    else
        loop_alarm_set(t->loop, n->due_us);
}

void loop_timer_stop(struct loop_timer *t)
{
    assert(loop_is_current(t->loop));
    if (timer_node(t)->pending)
        heap_remove(t->loop, timer_node(t));
}

bool loop_timer_is_pending(const struct loop_timer *t)
{
    return timer_node(t)->pending;
}

void loop_timer_deinit(struct loop_timer *t)
{
    if (t->loop)
        loop_timer_stop(t);
}

void loop_timers_run(struct loop *l)
{
    const uint64_t now_us = clock_monotonic_us();

    /* A callback may stop, start and free any timer: only the root is looked at, anew each time. What is started now is
     * due later than now_us, but for one of no delay within this very microsecond, which the comparison leaves for the
     * next turn. */
    while (l->timers && l->timers->due_us < now_us) {
        struct loop_timer *t = container_of(l->timers, struct loop_timer, node);

        heap_remove(l, l->timers);
        t->run(t->userdata);
    }
}

uint64_t loop_timers_next_us(const struct loop *l)
{
    return l->timers ? l->timers->due_us : LOOP_ALARM_NEVER;
}
