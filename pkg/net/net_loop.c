/**
 * What the streams of one loop share: the read buffer, the list of those with something to do at the end of the turn,
 * and the bounds on what one turn may do.
 */
#include "net/net_internal.h"

#include "base/clock.h"
#include "base/log.h"

void net_loop_schedule(struct net_loop *n, struct net_stream *s)
{
    if (s->is_scheduled)
        return; /* it keeps its place */
    s->is_scheduled = true;
    n->scheduled++;
    list_remove(&s->flush_link); /* from another list */
    list_append(&n->flush, &s->flush_link);
    if (!n->in_turn)
        loop_defer(n->loop, &n->deferred);
}

void net_loop_unschedule(struct net_loop *n, struct net_stream *s)
{
    list_remove(&s->flush_link);
    n->scheduled -= s->is_scheduled;
    s->is_scheduled = false;
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

/** Reads what the last turn left inside OpenSSL. */
static void read_later(struct net_loop *n)
{
    struct list batch;

    list_init(&batch);
    list_splice(&batch, &n->later);
    for (struct list *it; (it = list_pop(&batch));)
        net_stream_read_again(container_of(it, struct net_stream, flush_link));
}

void net_loop_use_ring(struct net_loop *n)
{
    n->wants_ring = true;
    n->ring_streams_min = NET_RING_STREAMS_MIN;
}

static void make_ring(struct net_loop *n)
{
    int result = net_ring_new(&n->ring);

    n->wants_ring = false;
    if (result < 0)
        log_event(LOG_INFO, "no io_uring: each write to a client is a call of its own", LOG_ERRNO(-result));
}

static void write_by_ring(struct net_loop *n, struct net_stream *const *streams, size_t count)
{
    int result;

    if (count == 0 || count < n->ring_streams_min)
        return;
    if (n->wants_ring)
        make_ring(n);
    if (!n->ring)
        return;
    result = net_ring_write(n->ring, streams, count);
    if (result < 0) {
        log_event(LOG_WARNING, "the io_uring failed: each write to a client is a call of its own now",
                  LOG_ERRNO(-result));
        n->ring = net_ring_free(n->ring);
    }
}

/** Moves the next streams to @batch and writes what can be written together. Return: how many there are. */
static size_t take_batch(struct net_loop *n, struct list *batch)
{
    struct net_stream *writing[NET_FLUSH_STREAMS];
    size_t count = 0, writes = 0;

    for (struct list *it; count < NET_FLUSH_STREAMS && (it = list_pop(&n->flush)); count++) {
        struct net_stream *s = container_of(it, struct net_stream, flush_link);

        list_append(batch, it);
        if (net_stream_has_to_write(s))
            writing[writes++] = s;
    }
    write_by_ring(n, writing, writes);
    return count;
}

/**
 * Flushes, in the order in which they were scheduled, for a bounded time.
 *
 * A room of a thousand listeners takes some milliseconds. What arrives meanwhile shall find those whose turn has not
 * come yet, so that it leaves with what they wait for anyway: so a look at the input is taken now and then. Output has
 * the larger share of the time, for a loop that reads more than it can write only gets further behind.
 */
static void flush_some(struct net_loop *n)
{
    uint64_t now_us, until_us;
    size_t count = 0, most = NET_FLUSH_ROUNDS * n->scheduled, taken;
    struct list batch;

    if (!most) {
        n->left_at_us = 0;
        return;
    }
    now_us = clock_monotonic_us();
    until_us = now_us + NET_FLUSH_US_PER_TURN;
    if (n->left_at_us && now_us + NET_FLUSH_SHARE * (now_us - n->left_at_us) > until_us)
        until_us = now_us + NET_FLUSH_SHARE * (now_us - n->left_at_us);
    list_init(&batch);
    for (; count < most && (taken = take_batch(n, &batch)) > 0; count += taken) {
        for (struct list *it; (it = list_pop(&batch));) {
            struct net_stream *s = container_of(it, struct net_stream, flush_link);

            s->is_scheduled = false;
            n->scheduled--;
            net_stream_turn(s); /* it may be gone */
        }
        if (taken == NET_FLUSH_STREAMS && clock_monotonic_us() >= until_us)
            break;
    }
    n->left_at_us = list_is_empty(&n->flush) ? 0 : clock_monotonic_us();
}

/** The end of the turn. What on_drained and its like queue meanwhile still leaves in this turn, while there is time. */
static void net_loop_turn(void *userdata)
{
    struct net_loop *n = userdata;

    n->in_turn = true;
    read_later(n);
    admit_waiting(n);
    flush_some(n);
    net_watch_budget(n);
    n->in_turn = false;
    n->handshakes = 0;
    if (!list_is_empty(&n->flush) || !list_is_empty(&n->later) || (!list_is_empty(&n->waiting) && net_loop_has_room(n)))
        loop_defer_next(n->loop, &n->deferred);
}

int net_loop_new(struct loop *l, struct net_loop **ret_net)
{
    struct net_loop *n = malloc(sizeof(*n));

    if (!n)
        return -ENOMEM;
    memset(n, 0, offsetof(struct net_loop, read_buffer)); /* the buffers stay untouched memory until they are used */
    n->loop = l;
    loop_deferred_init(&n->deferred, net_loop_turn, n);
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
    net_ring_free(n->ring);
    loop_deferred_cancel(&n->deferred);
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
