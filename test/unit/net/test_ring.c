/** Writes of several streams in one call: told apart, and nobody harmed by another's end or by the ring's own. */
#include "support/alloc.h"
#include "unit/net/fixture.h"

#include <liburing.h>

#define STREAMS_MAX 40

/* ---- a kernel that says what the test wants ---- */

static unsigned submissions;  /* calls of io_uring_submit_and_wait() */
static int refusal;           /* what the next of them returns, if it is not 0 */
static bool is_refused_late;  /* it has done its work all the same */
static int refusal_of_a_ring; /* the same for io_uring_queue_init() */

int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
    int result = refusal;

    submissions++;
    if (!result)
        return __real_io_uring_submit_and_wait(ring, count);
    refusal = 0;
    if (is_refused_late)
        (void)__real_io_uring_submit_and_wait(ring, count);
    return result;
}

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    return refusal_of_a_ring ? refusal_of_a_ring : __real_io_uring_queue_init(entries, ring, flags);
}

/* ---- many streams ---- */

struct crowd {
    struct fixture f;
    size_t count;
    struct peer peers[STREAMS_MAX];
    struct raw raws[STREAMS_MAX];
    size_t sent[STREAMS_MAX];
};

static int setup(void **state)
{
    struct crowd *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    fixture_begin(&c->f);
    net_loop_use_ring(c->f.net);
    submissions = 0;
    refusal = refusal_of_a_ring = 0;
    is_refused_late = false;
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct crowd *c = *state;
    int result;

    for (size_t i = 0; i < c->count; i++) {
        if (c->peers[i].closed)
            peer_deinit(&c->peers[i]);
        else
            peer_abort(&c->f, &c->peers[i]);
        raw_deinit(&c->raws[i]);
    }
    result = fixture_end(&c->f);
    free(c);
    return result;
}

static bool all_open(void *userdata)
{
    struct crowd *c = userdata;

    for (size_t i = 0; i < c->count; i++)
        if (!c->peers[i].opened)
            return false;
    return true;
}

static bool all_read(void *userdata)
{
    struct crowd *c = userdata;
    bool is_all = true;

    for (size_t i = 0; i < c->count; i++)
        is_all &= c->raws[i].ended || raw_read(&c->raws[i]);
    return is_all;
}

static void gather_crowd(struct crowd *c, size_t count)
{
    for (; c->count < count; c->count++) {
        int fds[2];

        make_tcp_pair(fds, false);
        c->raws[c->count] = (struct raw){.fd = fds[1]};
        peer_accept(&c->f, &c->peers[c->count], fds[0], NULL);
    }
    run_until(&c->f, all_open, c);
}

static void say(struct crowd *c, size_t i, size_t size)
{
    send_pattern(&c->peers[i].stream, &c->sent[i], size);
    c->raws[i].want = c->sent[i];
}

static void assert_heard(struct crowd *c)
{
    run_until(&c->f, all_read, c);
    for (size_t i = 0; i < c->count; i++) {
        assert_int_equal(c->raws[i].in.size, c->sent[i]);
        assert_pattern(buffer_slice(&c->raws[i].in));
    }
}

static void skip_without_ring(void)
{
    int result = net_ring_probe();

    if (result == 0)
        return;
    print_message("skipped: this kernel gives no io_uring: %s\n", strerror(-result));
    skip();
}

/* ---- tests ---- */

static void test_many_in_one_call(void **state)
{
    struct crowd *c = *state;
    const struct net_loop_counters *counters = net_loop_counters(c->f.net);

    skip_without_ring();
    gather_crowd(c, STREAMS_MAX);
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j <= i % 3; j++) /* one frame, or a few in one write */
            say(c, i, 100 + i);
    assert_heard(c);
    assert_int_equal(counters->writes, STREAMS_MAX);
    assert_int_equal(counters->ring_writes, STREAMS_MAX);
    assert_in_range(submissions, 1, STREAMS_MAX / NET_FLUSH_STREAMS + 1);
    for (size_t i = 0; i < c->count; i++) {
        assert_int_equal(c->peers[i].drained, 1);
        assert_int_equal(c->peers[i].stream.queued_bytes, 0);
    }
}

static void test_one_alone_makes_a_call(void **state)
{
    struct crowd *c = *state;

    gather_crowd(c, 3);
    say(c, 1, 100);
    run_until(&c->f, raw_read, &c->raws[1]);
    assert_int_equal(submissions, 0);
    assert_int_equal(net_loop_counters(c->f.net)->ring_writes, 0);
}

/** Sockets that take a part, or nothing; more frames than a write may have. */
static void test_slow_readers(void **state)
{
    struct crowd *c = *state;
    const int few = 4096;

    skip_without_ring();
    gather_crowd(c, 20);
    for (size_t i = 0; i < c->count; i++)
        assert_int_equal(setsockopt(c->peers[i].stream.io.fd, SOL_SOCKET, SO_SNDBUF, &few, sizeof(few)), 0);
    for (size_t round = 0; round < 40; round++) {
        for (size_t i = 0; i < c->count; i++)
            for (size_t j = 0; j < 1 + (round * 31 + i * 7) % 90; j++)
                say(c, i, 1 + (round * 977 + i * 7919 + j * 131) % (j % 20 ? 90 : 9000));
        if (round % 4 == 3)
            assert_heard(c);
    }
    assert_heard(c);
    assert_true(net_loop_counters(c->f.net)->ring_writes > 0);
    for (size_t i = 0; i < c->count; i++)
        assert_null(c->peers[i].stream.backlog);
}

static bool the_gone_are_told(void *userdata)
{
    struct crowd *c = userdata;

    return c->peers[1].closed && c->peers[3].closed;
}

static void test_who_is_gone_harms_nobody(void **state)
{
    struct crowd *c = *state;
    const struct linger reset = {.l_onoff = 1};

    skip_without_ring();
    gather_crowd(c, 5);
    for (size_t i = 1; i <= 3; i += 2) { /* both are met by the write */
        net_stream_pause(&c->peers[i].stream);
        assert_int_equal(setsockopt(c->raws[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        close(c->raws[i].fd);
        c->raws[i].fd = -1;
        c->raws[i].ended = true;
    }
    for (size_t i = 0; i < c->count; i++)
        say(c, i, 1000);
    run_until(&c->f, all_read, c);
    run_until(&c->f, the_gone_are_told, c);
    for (size_t i = 0; i < c->count; i++) {
        assert_int_equal(c->peers[i].closed, i == 1 || i == 3);
        if (c->peers[i].closed)
            assert_int_equal(c->peers[i].end, NET_END_RESET);
        else
            assert_int_equal(c->raws[i].in.size, 1000);
    }
}

static struct crowd *meddled;

/** The first one's turn: what is done to the others finds them written to, and their turns still to come. */
static void meddle(struct net_stream *s base_unused)
{
    struct crowd *c = meddled;

    if (c->peers[0].drained++ > 0)
        return;
    say(c, 1, 500);
    net_stream_close(&c->peers[2].stream);
    net_stream_abort(&c->peers[3].stream);
    net_stream_cork(&c->peers[4].stream);
    say(c, 4, 500);
}

static bool is_meddled(void *userdata)
{
    struct crowd *c = userdata;

    for (size_t i = 1; i <= 3; i++)
        c->raws[i].want = i == 1 ? 1500 : SIZE_MAX; /* until the end */
    c->raws[4].want = 1000;
    return all_read(c) && c->peers[2].closed && c->peers[3].closed;
}

static void test_who_meddles_with_others(void **state)
{
    static struct net_stream_ops meddling;
    struct crowd *c = *state;

    skip_without_ring();
    gather_crowd(c, 6);
    meddled = c;
    meddling = peer_ops;
    meddling.on_drained = meddle;
    c->peers[0].stream.ops = &meddling;
    for (size_t i = 0; i < c->count; i++)
        say(c, i, 1000);
    run_until(&c->f, is_meddled, c);
    for (size_t i = 0; i < c->count; i++) {
        assert_int_equal(c->raws[i].in.size, i == 1 ? 1500 : 1000);
        assert_pattern(buffer_slice(&c->raws[i].in));
    }
    assert_int_equal(c->peers[2].end, NET_END_CLOSED);
    net_stream_uncork(&c->peers[4].stream);
    c->raws[4].want = 1500;
    assert_int_equal(c->peers[4].stream.queued_bytes, 500);
    for (size_t i = 2; i <= 3; i++)
        c->sent[i] = 1000;
    assert_heard(c);
}

static void test_no_ring(void **state)
{
    struct crowd *c = *state;

    refusal_of_a_ring = -EPERM;
    assert_int_equal(net_ring_probe(), -EPERM);
    gather_crowd(c, STREAMS_MAX);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < c->count; i++)
            say(c, i, 100 + i);
        assert_heard(c);
    }
    assert_int_equal(submissions, 0);
    assert_int_equal(net_loop_counters(c->f.net)->ring_writes, 0);
    assert_int_equal(net_loop_counters(c->f.net)->writes, 3 * STREAMS_MAX);
}

static void test_no_memory_for_a_ring(void **state)
{
    struct crowd *c = *state;
    struct net_ring *ring;

    alloc_fail_after(0);
    assert_int_equal(net_ring_new(&ring), -ENOMEM);
    assert_true(alloc_fail_disarm());
    gather_crowd(c, 4);
    for (size_t i = 0; i < c->count; i++) {
        assert_non_null(buffer_reserve(&c->raws[i].in, 4096));
        say(c, i, 100);
    }
    alloc_fail_after(0);
    run_until(&c->f, all_read, c);
    assert_true(alloc_fail_disarm());
    assert_null(c->f.net->ring);
    assert_heard(c);
}

static void fail_at_once_and_late(struct crowd *c, int result, bool is_late)
{
    for (size_t i = 0; i < c->count; i++)
        say(c, i, 100 + i);
    refusal = result;
    is_refused_late = is_late;
    assert_heard(c);
    assert_int_equal(refusal, 0); /* it was met */
}

static void test_a_ring_that_fails(void **state)
{
    struct crowd *c = *state;

    skip_without_ring();
    gather_crowd(c, 30);
    fail_at_once_and_late(c, -EINTR, false);
    fail_at_once_and_late(c, -EINTR, true);
    assert_non_null(c->f.net->ring);
    fail_at_once_and_late(c, -EBUSY, false); /* nothing was handed over */
    assert_null(c->f.net->ring);
    net_loop_use_ring(c->f.net);
    fail_at_once_and_late(c, -EBADR, true); /* all was */
    assert_null(c->f.net->ring);
    for (size_t i = 0; i < c->count; i++)
        say(c, i, 100 + i);
    assert_heard(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_in_one_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_alone_makes_a_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_readers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_gone_harms_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_meddles_with_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_a_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_ring_that_fails, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
