/** Streams that share a loop: nobody has a turn for itself. */
#include "unit/net/fixture.h"

#include <sys/ioctl.h>

static int setup(void **state)
{
    static struct fixture f;

    fixture_begin(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    return fixture_end(*state);
}

struct quiet {
    struct peer peer;
    struct peer *noisy;
    size_t noisy_bytes; /* read by the noisy one when the quiet one was first heard */
};

static size_t quiet_on_data(struct net_stream *s, char *data base_unused, size_t size)
{
    struct quiet *q = container_of(s, struct quiet, peer.stream);

    q->noisy_bytes = q->noisy->in.size;
    q->peer.in.size += size;
    return size;
}

static void test_noisy_peer_does_not_starve(void **state)
{
    struct fixture *f = *state;
    const struct net_stream_ops quiet_ops = {.on_data = quiet_on_data, .on_closed = peer_on_closed};
    struct peer noisy = {0};
    struct quiet quiet = {.noisy = &noisy, .noisy_bytes = SIZE_MAX};
    char noise[65536] = {0};
    int noisy_fds[2], quiet_fds[2];
    size_t filled = 0;

    make_tcp_pair(noisy_fds, true);
    make_pair(quiet_fds, false);
    peer_accept(f, &noisy, noisy_fds[0], NULL);
    assert_int_equal(
        net_stream_accept(&quiet.peer.stream, f->net, quiet_fds[0], &(struct net_stream_options){0}, &quiet_ops), 0);
    for (ssize_t size; (size = send(noisy_fds[1], noise, sizeof(noise), 0)) > 0;)
        filled += (size_t)size;
    assert_true(filled > 4 * NET_READ_SIZE);
    assert_int_equal(send(quiet_fds[1], "x", 1, 0), 1);
    run_until(f, has_read, &(struct expectation){&noisy, filled});
    assert_true(quiet.noisy_bytes <= NET_READ_SIZE);
    quiet.peer.in = (struct buffer){0};
    peer_abort(f, &noisy);
    peer_abort(f, &quiet.peer);
    close(noisy_fds[1]);
    close(quiet_fds[1]);
}

struct flood {
    struct peer peer;
    unsigned left;
    unsigned left_at_timer; /* what a timer that was due at once still saw */
};

static void flood_on_drained(struct net_stream *s)
{
    struct flood *flood = container_of(s, struct flood, peer.stream);

    if (flood->left == 0)
        return;
    flood->left--;
    (void)net_stream_send_bytes(s, SLICE_LITERAL("."));
}

static void flood_on_timer(void *userdata)
{
    struct flood *flood = userdata;

    flood->left_at_timer = flood->left;
}

/* An owner that sends whenever its queue is empty does not hold up the turn. */
static void test_refilling_yields(void **state)
{
    struct fixture *f = *state;
    const struct net_stream_ops ops = {
        .on_data = peer_on_data, .on_drained = flood_on_drained, .on_closed = peer_on_closed};
    struct flood flood = {.left = 100};
    struct loop_timer timer;
    int fds[2];

    make_pair(fds, false);
    assert_int_equal(net_stream_accept(&flood.peer.stream, f->net, fds[0], &(struct net_stream_options){0}, &ops), 0);
    assert_int_equal(net_stream_send_bytes(&flood.peer.stream, SLICE_LITERAL(".")), 0);
    loop_timer_init(&timer, f->loop, flood_on_timer, &flood);
    loop_timer_start(&timer, 0);
    struct raw r = {.fd = fds[1], .want = 101};
    run_until(f, raw_read, &r);
    assert_int_equal(flood.left, 0);
    assert_true(flood.left_at_timer > 0);
    peer_abort(f, &flood.peer);
    loop_timer_deinit(&timer);
    raw_deinit(&r);
}

#define CROWD 64

struct crowd {
    struct member {
        struct peer peer;
        struct crowd *crowd;
        int fd;
    } members[CROWD];
    struct loop_timer news;
    bool has_news;
    size_t drained;
};

static void crowd_send(struct crowd *c)
{
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(net_stream_send_bytes(&c->members[i].peer.stream, SLICE_LITERAL(".")), 0);
}

static void crowd_on_news(void *userdata)
{
    struct crowd *c = userdata;

    c->has_news = true;
    crowd_send(c);
}

/** Each write takes a while; with the first one something becomes due. */
static void crowd_on_drained(struct net_stream *s)
{
    struct crowd *c = container_of(s, struct member, peer.stream)->crowd;

    if (c->drained++ == 0)
        loop_timer_start(&c->news, 0);
    for (uint64_t until_us = clock_monotonic_us() + NET_FLUSH_US_PER_TURN / 4; clock_monotonic_us() < until_us;)
        ;
}

static bool crowd_has_all(void *userdata)
{
    struct crowd *c = userdata;
    int waiting = 0;

    for (size_t i = 0; i < CROWD; i++) {
        if (ioctl(c->members[i].fd, FIONREAD, &waiting) < 0 || waiting < 2)
            return false;
    }
    return true;
}

/* What comes while many are written to leaves with what those wait for whose turn has not come. */
static void test_input_meets_a_long_flush(void **state)
{
    const struct net_stream_ops ops = {
        .on_data = peer_on_data, .on_drained = crowd_on_drained, .on_closed = peer_on_closed};
    struct fixture *f = *state;
    struct crowd *c = calloc(1, sizeof(*c));
    const struct net_loop_counters *counters = net_loop_counters(f->net);

    loop_timer_init(&c->news, f->loop, crowd_on_news, c);
    for (size_t i = 0; i < CROWD; i++) {
        int fds[2];

        make_pair(fds, false);
        c->members[i].crowd = c;
        c->members[i].fd = fds[1];
        assert_int_equal(
            net_stream_accept(&c->members[i].peer.stream, f->net, fds[0], &(struct net_stream_options){0}, &ops), 0);
    }
    crowd_send(c);
    run_until(f, crowd_has_all, c);
    assert_true(c->has_news);
    assert_in_range(counters->writes, CROWD, 2 * CROWD - CROWD / 4);
    assert_int_equal(counters->frames_out, 2 * CROWD);
    loop_timer_deinit(&c->news);
    for (size_t i = 0; i < CROWD; i++) {
        peer_abort(f, &c->members[i].peer);
        close(c->members[i].fd);
    }
    free(c);
}

/** Takes a byte a turn, and notes how many the other one had then. */
struct sated {
    struct peer peer;
    struct sated *other;
    size_t ahead; /* of the other, at most */
};

static size_t sated_on_data(struct net_stream *s, char *data, size_t size base_unused)
{
    struct sated *me = container_of(s, struct sated, peer.stream);

    buffer_append(&me->peer.in, data, 1);
    if (me->peer.in.size > me->other->peer.in.size + me->ahead)
        me->ahead = me->peer.in.size - me->other->peer.in.size;
    return 1;
}

static bool sated_have_all(void *userdata)
{
    struct sated *s = userdata;

    return s[0].peer.in.size == 1000 && s[1].peer.in.size == 1000;
}

/* What an owner leaves over without pausing comes in the next turn: two such take turns. */
static void test_the_rest_in_the_next_turn(void **state)
{
    struct fixture *f = *state;
    const struct net_stream_ops ops = {.on_data = sated_on_data, .on_closed = peer_on_closed};
    struct sated sated[2] = {{.other = &sated[1]}, {.other = &sated[0]}};
    struct net_frame *frame = pattern_frame(0, 1000);
    int fds[2][2];

    for (size_t i = 0; i < 2; i++) {
        make_pair(fds[i], false);
        assert_int_equal(
            net_stream_accept(&sated[i].peer.stream, f->net, fds[i][0], &(struct net_stream_options){0}, &ops), 0);
        assert_int_equal(send(fds[i][1], frame->data, 1000, 0), 1000);
    }
    run_until(f, sated_have_all, sated);
    for (size_t i = 0; i < 2; i++) {
        assert_true(sated[i].ahead <= 2);
        assert_pattern(buffer_slice(&sated[i].peer.in));
        peer_abort(f, &sated[i].peer);
        close(fds[i][1]);
    }
    net_frame_unref(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_noisy_peer_does_not_starve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refilling_yields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_input_meets_a_long_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_rest_in_the_next_turn, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
