/** Streams over socket pairs and loopback TCP. */
#include "support/alloc.h"
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

static void test_echo(void **state)
{
    struct fixture *f = *state;
    struct peer p = {.echo = true};
    int fds[2];

    make_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    assert_int_equal(p.opened, 0); /* never from inside the call */
    struct raw r = {.fd = fds[1], .want = 11};
    assert_int_equal(send(r.fd, "hello world", 11, 0), 11);
    run_until(f, raw_read, &r);
    assert_memory_equal(r.in.data, "hello world", 11);
    assert_int_equal(p.opened, 1);
    assert_int_equal(p.drained, 1);
    assert_int_equal(net_loop_counters(f->net)->bytes_in, 11);
    assert_int_equal(net_loop_counters(f->net)->bytes_out, 11);
    shutdown(r.fd, SHUT_WR);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_EOF);
    assert_true(net_stream_is_ending(&p.stream));
    peer_deinit(&p);
    raw_deinit(&r);
}

static void test_sent_before_open_leaves(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    int fds[2];

    make_pair(fds, false);
    struct raw r = {.fd = fds[1], .want = 5};
    peer_accept(f, &p, fds[0], NULL);
    assert_int_equal(net_stream_send_bytes(&p.stream, SLICE_LITERAL("early")), 0);
    run_until(f, raw_read, &r);
    assert_memory_equal(r.in.data, "early", 5);
    peer_abort(f, &p);
    raw_deinit(&r);
}

static void test_pause_keeps_the_rest(void **state)
{
    struct fixture *f = *state;
    struct peer p = {.pause_after = 3};
    int fds[2];

    make_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    assert_int_equal(send(fds[1], "abcdefgh", 8, 0), 8);
    run_until(f, has_read, &(struct expectation){&p, 3});
    assert_int_equal(p.in.size, 3);
    /* What comes meanwhile stays in the kernel, behind what is held. */
    assert_int_equal(send(fds[1], "ijk", 3, 0), 3);
    for (size_t size = 6; size <= 11; size += 3) {
        net_stream_resume(&p.stream);
        run_until(f, has_read, &(struct expectation){&p, size < 8 ? size : size == 9 ? 8 : 11});
        assert_true(p.in.size <= size);
    }
    p.pause_after = 0;
    net_stream_resume(&p.stream);
    run_until(f, has_read, &(struct expectation){&p, 11});
    assert_memory_equal(p.in.data, "abcdefghijk", 11);
    assert_null(p.stream.held);
    peer_abort(f, &p);
    close(fds[1]);
}

static void test_close_drops_what_is_held(void **state)
{
    struct fixture *f = *state;
    struct peer p = {.pause_after = 1};
    int fds[2];

    make_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    assert_int_equal(send(fds[1], "xyz", 3, 0), 3);
    run_until(f, has_read, &(struct expectation){&p, 1});
    net_stream_close(&p.stream);
    net_stream_resume(&p.stream);
    struct raw r = {.fd = fds[1]};
    run_until(f, raw_read, &r);
    shutdown(r.fd, SHUT_WR);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_CLOSED);
    assert_int_equal(p.in.size, 1);
    peer_deinit(&p);
    raw_deinit(&r);
}

static void test_close_sends_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    int fds[2];
    size_t sent = 0;

    make_tcp_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    run_until(f, peer_is_open, &p);
    for (int i = 0; i < 200; i++)
        send_pattern(&p.stream, &sent, 40000);
    net_stream_close(&p.stream);
    assert_int_equal(p.closed, 0);
    assert_true(net_stream_is_ending(&p.stream));
    assert_int_equal(net_stream_send_bytes(&p.stream, SLICE_LITERAL("too late")), 0);
    struct raw r = {.fd = fds[1]};
    run_until(f, raw_read, &r);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.in.size, sent);
    assert_pattern(buffer_slice(&r.in));
    assert_int_equal(p.closed, 0); /* it lingers until we end too */
    shutdown(r.fd, SHUT_WR);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_CLOSED);
    assert_int_equal(p.drained, 0);
    peer_deinit(&p);
    raw_deinit(&r);
}

static void test_close_times_out(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    const struct net_stream_options options = {.close_timeout_ms = 50};
    int fds[2];
    size_t sent = 0;

    make_tcp_pair(fds, false);
    peer_accept(f, &p, fds[0], &options);
    for (int i = 0; i < 200; i++)
        send_pattern(&p.stream, &sent, 100000);
    net_stream_close(&p.stream);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_TIMEOUT);
    struct raw r = {.fd = fds[1]};
    run_until(f, raw_read, &r); /* the kernel does not keep its output for a peer that did not read */
    assert_int_equal(r.error, ECONNRESET);
    peer_deinit(&p);
    raw_deinit(&r);
}

/* A refusal reaches a peer that is still sending: closing with input unread would reset the connection. */
static void test_close_does_not_reset(void **state)
{
    struct fixture *f = *state;
    struct peer p = {.close_at_data = true, .echo = true, .pause_after = 4};
    int fds[2];
    char noise[100000] = "stop";

    make_tcp_pair(fds, true);
    peer_accept(f, &p, fds[0], NULL);
    assert_true(send(fds[1], noise, sizeof(noise), 0) > 0);
    struct raw r = {.fd = fds[1], .want = 4};
    run_until(f, raw_read, &r);
    assert_true(send(fds[1], noise, sizeof(noise), MSG_NOSIGNAL) > 0);
    r.want = 0;
    run_until(f, raw_read, &r);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.in.size, 4);
    assert_memory_equal(r.in.data, "stop", 4);
    raw_deinit(&r);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_CLOSED);
    peer_deinit(&p);
}

static void test_abort(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    int fds[2];

    make_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    assert_int_equal(net_stream_send_bytes(&p.stream, SLICE_LITERAL("never")), 0);
    net_stream_abort(&p.stream);
    net_stream_abort(&p.stream);
    net_stream_close(&p.stream);
    assert_int_equal(p.closed, 0);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.closed, 1);
    assert_int_equal(p.opened, 0);
    assert_int_equal(p.end, NET_END_ABORTED);
    peer_deinit(&p);
    close(fds[1]);
}

static void test_peer_resets(void **state)
{
    struct fixture *f = *state;
    const struct linger hard = {.l_onoff = 1};
    struct peer p = {0};
    struct net_address address;
    int fds[2];

    make_tcp_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    assert_int_equal(net_stream_peer(&p.stream, &address), 0);
    assert_true(net_address_is_loopback(&address));
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fds[1]);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_RESET);
    assert_int_equal(p.error, ECONNRESET);
    assert_int_equal(net_stream_peer(&p.stream, &address), -ENOTCONN);
    peer_deinit(&p);
}

static void test_writing_to_a_gone_peer(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    int fds[2];

    signal(SIGPIPE, SIG_DFL); /* plain streams do not raise it */
    make_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    run_until(f, peer_is_open, &p);
    net_stream_pause(&p.stream); /* so that the write meets it first */
    close(fds[1]);
    assert_int_equal(net_stream_send_bytes(&p.stream, SLICE_LITERAL("anyone?")), 0);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_RESET);
    assert_int_equal(p.error, EPIPE);
    peer_deinit(&p);
}

static void test_overflow(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = 100000};
    const struct net_stream_options options = {.limits = &limits};
    struct peer p = {0}, other = {.echo = true};
    int fds[2], others[2];
    size_t sent = 0;

    make_tcp_pair(fds, false);
    make_pair(others, false);
    peer_accept(f, &p, fds[0], &options);
    peer_accept(f, &other, others[0], &options);
    run_until(f, peer_is_open, &p);
    for (int i = 0; i < 10; i++)
        send_pattern(&p.stream, &sent, 10000);
    assert_false(net_stream_is_ending(&p.stream)); /* exactly at the limit */
    assert_int_equal(p.stream.queued_bytes, 100000);
    assert_int_equal(net_stream_send_bytes(&p.stream, SLICE_LITERAL("x")), 0);
    assert_true(net_stream_is_ending(&p.stream));
    assert_int_equal(p.closed, 0);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_OVERFLOW);
    struct raw r = {.fd = others[1], .want = 4};
    assert_int_equal(send(r.fd, "fine", 4, 0), 4);
    run_until(f, raw_read, &r);
    peer_abort(f, &other);
    peer_deinit(&p);
    raw_deinit(&r);
    close(fds[1]);
}

/* The same frames on several queues: counted, in order, and coalesced into few writes. */
static void test_frames_by_reference(void **state)
{
    enum { STREAMS = 3, FRAMES = 1000, SIZE = 37 };
    struct fixture *f = *state;
    struct peer peers[STREAMS] = {0};
    struct raw raws[STREAMS] = {0};
    struct net_frame *frames[FRAMES];

    for (int i = 0; i < STREAMS; i++) {
        int fds[2];

        make_tcp_pair(fds, false);
        raws[i] = (struct raw){.fd = fds[1], .want = FRAMES * SIZE};
        peer_accept(f, &peers[i], fds[0], NULL);
        run_until(f, peer_is_open, &peers[i]);
    }
    for (size_t j = 0; j < FRAMES; j++) {
        frames[j] = pattern_frame(j * SIZE, SIZE);
        for (int i = 0; i < STREAMS; i++)
            assert_int_equal(net_stream_send(&peers[i].stream, frames[j]), 0);
        assert_int_equal(frames[j]->refs, STREAMS + 1);
    }
    for (int i = 0; i < STREAMS; i++) {
        run_until(f, raw_read, &raws[i]);
        assert_int_equal(raws[i].in.size, FRAMES * SIZE);
        assert_pattern(buffer_slice(&raws[i].in));
        assert_null(peers[i].stream.backlog);
        peer_abort(f, &peers[i]);
        raw_deinit(&raws[i]);
    }
    assert_int_equal(net_loop_counters(f->net)->frames_out, STREAMS * FRAMES);
    assert_true(net_loop_counters(f->net)->writes <= STREAMS * (FRAMES / 64 + 1));
    for (size_t j = 0; j < FRAMES; j++) {
        assert_int_equal(frames[j]->refs, 1);
        net_frame_unref(frames[j]);
    }
}

/* A slow reader and frames of all sizes: partial writes and the ring's wrapping. */
static void test_slow_reader(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    int fds[2];
    size_t sent = 0;

    make_pair(fds, false);
    peer_accept(f, &p, fds[0], NULL);
    struct raw r = {.fd = fds[1]};
    for (size_t round = 0; round < 50; round++) {
        for (size_t i = 0; i < 20; i++)
            send_pattern(&p.stream, &sent, 1 + (round * 977 + i * 7919) % 30000);
        r.want = sent / 2;
        run_until(f, raw_read, &r);
        assert_int_equal(p.stream.queued_bytes > 0, net_queue_count(&p.stream) > 0);
    }
    r.want = sent;
    run_until(f, raw_read, &r);
    run_until(f, peer_is_drained, &p);
    assert_pattern(buffer_slice(&r.in));
    assert_int_equal(p.stream.queued_bytes, 0);
    peer_abort(f, &p);
    raw_deinit(&r);
}

static void test_connect(void **state)
{
    struct fixture *f = *state;
    struct peer p = {0};
    struct net_address address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_null(net_address_parse(SLICE_LITERAL("127.0.0.1:0"), &address));
    assert_int_equal(bind(listener, (struct sockaddr *)&address.storage, address.size), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address.storage, &address.size), 0);
    assert_int_equal(net_stream_connect(&p.stream, f->net, &address, &(struct net_stream_options){0}, &peer_ops), 0);
    assert_int_equal(p.opened, 0);
    assert_int_equal(net_stream_send_bytes(&p.stream, SLICE_LITERAL("early")), 0);
    net_stream_close(&p.stream); /* what was sent before still arrives */
    assert_true(net_stream_is_ending(&p.stream));
    struct raw r = {.fd = accept(listener, NULL, NULL)};
    run_until(f, raw_read, &r);
    assert_int_equal(r.in.size, 5);
    raw_deinit(&r);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_CLOSED);
    assert_int_equal(p.opened, 0);

    close(listener);
    memset(&p, 0, sizeof(p));
    assert_int_equal(net_stream_connect(&p.stream, f->net, &address, &(struct net_stream_options){0}, &peer_ops), 0);
    run_until(f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_RESET);
    assert_int_equal(p.error, ECONNREFUSED);
    assert_int_equal(p.opened, 0);
}

/* Each allocation fails in turn: the stream that needed it ends, the one beside it goes on. */
static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct peer healthy = {.echo = true};
    struct raw h;
    unsigned ended = 0;
    int fds[2];
    bool refused = true;

    make_pair(fds, false);
    h = (struct raw){.fd = fds[1]};
    peer_accept(f, &healthy, fds[0], NULL);
    for (size_t n = 0; refused; n++) {
        struct peer p = {.pause_after = 3};
        struct net_frame *frames[20];
        bool failed = false;

        buffer_reserve(&p.in, 64);
        make_pair(fds, false);
        assert_int_equal(send(fds[1], "abcdef", 6, 0), 6);
        for (size_t i = 0; i < 20; i++)
            frames[i] = pattern_frame(i, 10);
        peer_accept(f, &p, fds[0], NULL);
        alloc_fail_after(n);
        for (size_t i = 0; i < 20 && !failed; i++)
            failed = net_stream_send(&p.stream, frames[i]) == -ENOMEM;
        failed |= net_stream_send_bytes(&p.stream, SLICE_LITERAL("more")) == -ENOMEM;
        if (!failed)
            run_until(f, has_read, &(struct expectation){&p, 3});
        refused = alloc_fail_disarm();
        if (failed || net_stream_is_ending(&p.stream)) {
            assert_true(refused);
            run_until(f, peer_is_closed, &p);
            assert_int_equal(p.end, NET_END_ERROR);
            assert_int_equal(p.error, ENOMEM);
            ended++;
            peer_deinit(&p);
        } else {
            peer_abort(f, &p);
        }
        for (size_t i = 0; i < 20; i++) {
            assert_int_equal(frames[i]->refs, 1);
            net_frame_unref(frames[i]);
        }
        close(fds[1]);
        assert_int_equal(send(h.fd, "ping", 4, 0), 4);
        h.want += 4;
        run_until(f, raw_read, &h);
    }
    assert_true(ended >= 4); /* the ring grows three times, and there are the bytes and what is held */
    peer_abort(f, &healthy);
    raw_deinit(&h);
}

static void test_frame(void **state base_unused)
{
    struct net_frame *frame = net_frame_new(0);

    assert_non_null(frame);
    assert_int_equal(net_frame_ref(frame)->refs, 2);
    net_frame_unref(frame);
    assert_int_equal(frame->refs, 1);
    assert_null(net_frame_unref(frame));
    assert_null(net_frame_unref(NULL));
    assert_null(net_frame_new((UINT64_C(1) << 31) + 1));
    for (int end = NET_END_EOF; end <= NET_END_ERROR; end++)
        assert_string_not_equal(net_end_name((enum net_end)end), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sent_before_open_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_keeps_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_drops_what_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_sends_what_is_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_does_not_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writing_to_a_gone_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frames_by_reference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test(test_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
