/**
 * What the streams of one loop share: the read buffer, the list of those with something to do at the end of the turn,
 * and the bounds on what one turn may do.
 */
#include "net/net_internal.h"

#include "base/clock.h"

void net_loop_schedule(struct net_loop *n, struct net_stream *s)
{
    list_remove(&s->flush_link);
    list_append(&n->flush, &s->flush_link);
    if (!n->in_turn)
        loop_defer(n->loop, &n->deferred);
}

bool net_loop_may_handshake(struct net_loop *n)
{
    loop_defer(n->loop, &n->deferred); /* which begins a new count */
    if (n->handshakes++ == 0) {
        n->handshakes_at_us = clock_monotonic_us();
        return true;
    }
    return n->handshakes <= NET_HANDSHAKES_PER_TURN &&
           clock_monotonic_us() - n->handshakes_at_us < NET_HANDSHAKE_US_PER_TURN;
}

bool net_loop_has_room(const struct net_loop *n)
{
    return n->handshake_limit == 0 || n->handshaking < n->handshake_limit;
}

void net_loop_set_handshake_limit(struct net_loop *n, size_t limit, size_t waiting)
{
    n->handshake_limit = limit;
    n->waiting_limit = waiting;
    loop_defer(n->loop, &n->deferred);
}

/** Those who wait, in the order of their coming. */
static void admit_waiting(struct net_loop *n)
{
    while (!list_is_empty(&n->waiting) && net_loop_has_room(n))
        net_stream_admit(container_of(list_pop(&n->waiting), struct net_stream, flush_link));
}

/** The end of the turn. What on_drained and its like queue meanwhile still leaves in this turn, up to a bound. */
static void net_loop_turn(void *userdata)
{
    struct net_loop *n = userdata;
    struct list batch;

    n->in_turn = true;
    admit_waiting(n);
    for (unsigned i = 0; i < NET_FLUSHES_PER_TURN && !list_is_empty(&n->flush); i++) {
        list_init(&batch);
        list_splice(&batch, &n->flush);
        for (struct list *it; (it = list_pop(&batch));)
            net_stream_turn(container_of(it, struct net_stream, flush_link));
    }
    net_watch_budget(n);
    n->in_turn = false;
    n->handshakes = 0;
    if ((!list_is_empty(&n->flush) || !list_is_empty(&n->later) ||
         (!list_is_empty(&n->waiting) && net_loop_has_room(n))) &&
        !loop_timer_is_pending(&n->again))
        loop_timer_start(&n->again, 0);
}

static void net_loop_on_again(void *userdata)
{
    struct net_loop *n = userdata;
    struct list batch;

    list_init(&batch);
    list_splice(&batch, &n->later);
    for (struct list *it; (it = list_pop(&batch));)
        net_stream_read_again(container_of(it, struct net_stream, flush_link));
    loop_defer(n->loop, &n->deferred);
}

int net_loop_new(struct loop *l, struct net_loop **ret_net)
{
    struct net_loop *n = malloc(sizeof(*n));

    if (!n)
        return -ENOMEM;
    memset(n, 0, offsetof(struct net_loop, read_buffer)); /* the buffers stay untouched memory until they are used */
    n->loop = l;
    loop_deferred_init(&n->deferred, net_loop_turn, n);
    loop_timer_init(&n->again, l, net_loop_on_again, n);
    list_init(&n->flush);
    list_init(&n->later);
    net_watch_init(n);
    list_init(&n->waiting);
    *ret_net = n;
    return 0;
}

struct net_loop *net_loop_free(struct net_loop *n)
{
    if (!n)
        return NULL;
    assert(n->streams == 0 && list_is_empty(&n->flush) && list_is_empty(&n->later));
    net_watch_deinit(n);
    loop_deferred_cancel(&n->deferred);
    loop_timer_deinit(&n->again);
    free(n);
    return NULL;
}

struct loop *net_loop_loop(const struct net_loop *n)
{
    return n->loop;
}

void net_loop_handshakes(const struct net_loop *n, size_t *ret_handshaking, size_t *ret_waiting)
{
    *ret_handshaking = n->handshaking;
    *ret_waiting = n->waiting_count;
}

const struct net_loop_counters *net_loop_counters(const struct net_loop *n)
{
    return &n->counters;
}
