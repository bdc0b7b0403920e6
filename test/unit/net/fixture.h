#ifndef UNIT_NET_FIXTURE_H
#define UNIT_NET_FIXTURE_H

/** A loop with its net_loop on the test's own thread, streams that record what happens to them, and sockets of both
 * kinds. */

#include "net/net_internal.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

struct fixture {
    struct loop *loop;
    struct net_loop *net;
    struct loop_timer poll;
    bool (*done)(void *userdata);
    void *userdata;
    uint64_t give_up_ms;
    bool timed_out;
};

static void fixture_on_poll(void *userdata)
{
    struct fixture *f = userdata;

    f->timed_out = clock_monotonic_ms() > f->give_up_ms;
    if (f->timed_out || f->done(f->userdata))
        loop_stop(f->loop);
    else
        loop_timer_start(&f->poll, 1);
}

/** Runs the loop until @done says so; fails the test if it never does. */
static void run_until(struct fixture *f, bool (*done)(void *userdata), void *userdata)
{
    f->done = done;
    f->userdata = userdata;
    f->give_up_ms = clock_monotonic_ms() + PATIENCE_MS;
    loop_timer_start(&f->poll, 0);
    loop_run(f->loop);
    assert_false(f->timed_out);
}

static void fixture_begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_new("test", &f->loop), 0);
    assert_int_equal(net_loop_new(f->loop, &f->net), 0);
    if (getenv("WARREN_TEST_RING")) {
        net_loop_use_ring(f->net);
        f->net->ring_streams_min = 1; /* most tests have one stream */
    }
    loop_timer_init(&f->poll, f->loop, fixture_on_poll, f);
}

/** Return: for cmocka. What a test that an assertion broke off has left stays as it is: it is the assertion that shall
 * be told, not what it leads to. */
static int fixture_end(struct fixture *f)
{
    loop_timer_deinit(&f->poll);
    if (f->net->streams > 0) {
        print_error("%zu streams are left\n", (size_t)f->net->streams);
        return -1;
    }
    if (getenv("WARREN_TEST_RING") && net_ring_probe() == 0 && net_loop_counters(f->net)->writes > 0)
        assert_true(f->net->ring || f->net->wants_ring); /* without one the tests would tell nothing new */
    net_loop_free(f->net);
    loop_free(f->loop);
    return 0;
}

/** A stream that keeps what it reads and notes its end. */
struct peer {
    struct net_stream stream;
    struct buffer in;
    unsigned opened, drained, closed;
    enum net_end end;
    int error;
    bool echo;
    size_t pause_after; /* consumes so much of what it is given, then pauses; 0: everything */
    bool close_at_data;
};

static size_t peer_on_data(struct net_stream *s, char *data, size_t size)
{
    struct peer *p = container_of(s, struct peer, stream);
    size_t take = p->pause_after && p->pause_after < size ? p->pause_after : size;

    assert_true(size > 0);
    assert_int_equal(p->opened, 1);
    assert_int_equal(p->closed, 0);
    buffer_append(&p->in, data, take);
    if (p->pause_after)
        net_stream_pause(s);
    if (p->echo)
        (void)net_stream_send_bytes(s, slice_make(data, take));
    if (p->close_at_data)
        net_stream_close(s);
    return take;
}

static void peer_on_open(struct net_stream *s)
{
    container_of(s, struct peer, stream)->opened++;
}

static void peer_on_drained(struct net_stream *s)
{
    container_of(s, struct peer, stream)->drained++;
}

static void peer_on_closed(struct net_stream *s, enum net_end end, int error)
{
    struct peer *p = container_of(s, struct peer, stream);

    p->closed++;
    p->end = end;
    p->error = error;
}

static const struct net_stream_ops peer_ops = {
    .on_data = peer_on_data, .on_open = peer_on_open, .on_drained = peer_on_drained, .on_closed = peer_on_closed};

static base_unused bool peer_is_open(void *userdata)
{
    return ((struct peer *)userdata)->opened > 0;
}

static bool peer_is_closed(void *userdata)
{
    return ((struct peer *)userdata)->closed > 0;
}

static base_unused bool peer_is_drained(void *userdata)
{
    return ((struct peer *)userdata)->drained > 0;
}

/** For run_until(): a peer has read so much. */
struct expectation {
    struct peer *peer;
    size_t size;
};

static base_unused bool has_read(void *userdata)
{
    struct expectation *e = userdata;

    return e->peer->in.size >= e->size;
}

static void peer_deinit(struct peer *p)
{
    buffer_deinit(&p->in);
}

/** Ends it, waits for that, and frees what it read. */
static inline void peer_abort(struct fixture *f, struct peer *p)
{
    net_stream_abort(&p->stream);
    if (!p->closed)
        run_until(f, peer_is_closed, p);
    assert_int_equal(p->closed, 1);
    peer_deinit(p);
}

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/** Two connected sockets; [0] is non-blocking, [1] as well if @both. */
static inline void make_pair(int fds[2], bool both)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    set_nonblocking(fds[0]);
    if (both)
        set_nonblocking(fds[1]);
}

/** The same over loopback TCP. */
static inline void make_tcp_pair(int fds[2], bool both)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    const int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &size), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&a, sizeof(a)), 0);
    setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof(on)); /* no waiting for the other's delayed acknowledgement */
    fds[0] = accept(listener, NULL, NULL);
    assert_true(fds[0] >= 0);
    close(listener);
    set_nonblocking(fds[0]);
    if (both)
        set_nonblocking(fds[1]);
}

static inline void peer_accept(struct fixture *f, struct peer *p, int fd, const struct net_stream_options *options)
{
    const struct net_stream_options none = {0};

    assert_int_equal(net_stream_accept(&p->stream, f->net, fd, options ? options : &none, &peer_ops), 0);
}

/** The other side, read and written with system calls. */
struct raw {
    int fd;
    struct buffer in;
    bool ended;
    int error;
    size_t want;
};

static base_unused bool raw_read(void *userdata)
{
    struct raw *r = userdata;
    static char chunk[65536];

    while (!r->ended) {
        ssize_t size = recv(r->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

        if (size < 0 && errno == EAGAIN)
            break;
        if (size <= 0) {
            r->error = size < 0 ? errno : 0;
            r->ended = true;
            break;
        }
        buffer_append(&r->in, chunk, (size_t)size);
    }
    return r->ended || (r->want && r->in.size >= r->want);
}

static inline void raw_deinit(struct raw *r)
{
    if (r->fd >= 0)
        close(r->fd);
    buffer_deinit(&r->in);
}

/** Bytes in which every position differs from its neighbours, so that loss, doubling and disorder show. */
static inline char pattern_at(size_t position)
{
    return (char)((position * 2654435761u) >> 13);
}

static inline struct net_frame *pattern_frame(size_t position, size_t size)
{
    struct net_frame *frame = net_frame_new(size);

    assert_non_null(frame);
    for (size_t i = 0; i < size; i++)
        frame->data[i] = pattern_at(position + i);
    return frame;
}

static inline void assert_pattern(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] != pattern_at(i))
            fail_msg("byte %zu of %zu is wrong", i, s.size);
}

/** Bytes [*position, *position + size) of the pattern. */
static inline void send_pattern(struct net_stream *s, size_t *position, size_t size)
{
    struct net_frame *frame = pattern_frame(*position, size);

    assert_int_equal(net_stream_send(s, frame), 0);
    net_frame_unref(frame);
    *position += size;
}

#endif
