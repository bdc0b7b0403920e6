/** TLS records: those that the socket does not take at once, and where their bytes lie when they are offered again; and
 * those that bring nothing. */
#include "unit/net/tls_fixture.h"

#include <sys/ioctl.h>

/* A frame that waits alone is offered from where it lies; with others behind it, from a copy elsewhere. */
static void test_blocked_record_moves(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_open, &server);
    run_until(&t->f, peer_is_open, &client);
    net_stream_pause(&client.stream);
    while (!server.stream.want_write) {
        send_pattern(&server.stream, &sent, 9000);
        run_until(&t->f, at_once, NULL);
    }
    assert_int_equal(net_queue_count(&server.stream), 1);
    for (int i = 0; i < 10; i++)
        send_pattern(&server.stream, &sent, 100);
    net_stream_resume(&client.stream);
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

/* A newer frame of the same tag does not take back the one that a record of OpenSSL's was made of. */
static void test_blocked_record_stays(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    uint64_t tag = 0;
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_open, &server);
    run_until(&t->f, peer_is_open, &client);
    net_stream_pause(&client.stream);
    while (!server.stream.want_write) {
        struct net_frame *frame = pattern_frame(sent, 9000);

        frame->delivery = NET_FRAME_LATEST;
        frame->tag = ++tag;
        assert_int_equal(net_stream_send(&server.stream, frame), 0);
        net_frame_unref(frame);
        sent += 9000;
        run_until(&t->f, at_once, NULL);
    }
    assert_int_equal(server.stream.record_frames, 1);
    for (int i = 0; i < 3; i++) {
        struct net_frame *frame = pattern_frame(sent, 100);

        frame->delivery = NET_FRAME_LATEST;
        frame->tag = tag;
        assert_int_equal(net_stream_send(&server.stream, frame), 0);
        net_frame_unref(frame);
    }
    sent += 100;
    assert_int_equal(net_loop_counters(t->f.net)->frames_replaced, 2);
    net_stream_resume(&client.stream);
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

/** A client of OpenSSL's alone, which reads when the test says so, over a socket that holds a few kilobytes. */
struct narrow {
    struct peer server;
    SSL *ssl;
    int fds[2];
    struct buffer in;
};

static void narrow_begin(struct tls_fixture *t, struct narrow *n)
{
    const struct net_stream_options options = {.tls = t->server};
    const int least = 1;

    *n = (struct narrow){.fds = {-1, -1}};
    make_pair(n->fds, true);
    assert_int_equal(setsockopt(n->fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
    assert_int_equal(net_tls_session_new(t->client, n->fds[1], true, "warren.test", &n->ssl), 0);
    SSL_set_read_ahead(n->ssl, 0);
    peer_accept(&t->f, &n->server, n->fds[0], &options);
    while (SSL_do_handshake(n->ssl) != 1 || !n->server.opened)
        run_until(&t->f, at_once, NULL);
}

static void narrow_end(struct tls_fixture *t, struct narrow *n)
{
    peer_abort(&t->f, &n->server);
    SSL_free(n->ssl);
    close(n->fds[1]);
    buffer_deinit(&n->in);
}

/** Has the client read until it has @size bytes. */
static void narrow_expect(struct tls_fixture *t, struct narrow *n, size_t size)
{
    uint64_t give_up_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (n->in.size < size) {
        char *at = buffer_reserve(&n->in, size - n->in.size);
        int got;

        ERR_clear_error();
        got = SSL_read(n->ssl, at, (int)(size - n->in.size));
        if (got > 0) {
            buffer_commit(&n->in, (size_t)got);
            continue;
        }
        assert_int_equal(SSL_get_error(n->ssl, got), SSL_ERROR_WANT_READ);
        assert_true(clock_monotonic_ms() < give_up_ms);
        run_until(&t->f, at_once, NULL);
    }
    assert_pattern(buffer_slice(&n->in));
}

static void narrow_send(struct narrow *n, size_t *sent, size_t size, uint64_t tag)
{
    struct net_frame *frame = pattern_frame(*sent, size);

    frame->delivery = NET_FRAME_LATEST;
    frame->tag = tag;
    assert_int_equal(net_stream_send(&n->server.stream, frame), 0);
    net_frame_unref(frame);
    *sent += size;
}

/* What was queued while a record was blocked becomes a record that may be blocked as well: it stays then, too. */
static void test_next_blocked_record_stays(void **state)
{
    struct tls_fixture *t = *state;
    struct narrow n;
    uint64_t tag = 0;
    size_t sent = 0;

    narrow_begin(t, &n);
    while (!n.server.stream.want_write) {
        narrow_send(&n, &sent, 1000, ++tag);
        run_until(&t->f, at_once, NULL);
    }
    narrow_send(&n, &sent, 15000, ++tag);
    narrow_expect(t, &n, sent - 15000); /* so the next record has been begun, and is longer than the socket's buffer */
    assert_true(n.server.stream.want_write);
    narrow_send(&n, &sent, 100, tag);
    assert_int_equal(net_loop_counters(t->f.net)->frames_replaced, 0);
    narrow_expect(t, &n, sent);
    narrow_end(t, &n);
}

/* A record that brings no bytes, or a part of one, comes from a reader that is behind: output goes on once it reads. */
static void test_blocked_record_and_input(void **state)
{
    struct tls_fixture *t = *state;
    struct narrow n;
    size_t sent = 0;

    narrow_begin(t, &n);
    while (!n.server.stream.want_write) {
        send_pattern(&n.server.stream, &sent, 1000);
        run_until(&t->f, at_once, NULL);
    }
    send_pattern(&n.server.stream, &sent, 1000);
    assert_int_equal(SSL_key_update(n.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(n.ssl), 1);
    for (int i = 0; i < 3; i++)
        run_until(&t->f, at_once, NULL);
    assert_true(n.server.stream.want_write);
    narrow_expect(t, &n, sent);
    narrow_end(t, &n);
}

/* A turn's share is used up while OpenSSL holds the last record: the kernel has nothing more to remind us. */
static void test_rest_beyond_the_share(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_open, &server);
    run_until(&t->f, peer_is_open, &client);
    net_stream_pause(&client.stream);
    send_pattern(&server.stream, &sent, NET_READ_SIZE);
    run_until(&t->f, peer_is_drained, &server);
    for (int i = 0; i < 3; i++) {
        server.drained = 0;
        send_pattern(&server.stream, &sent, 10);
        run_until(&t->f, peer_is_drained, &server);
    }
    net_stream_resume(&client.stream);
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

/* A close is told within TLS, so that nobody can cut a stream short unnoticed. */

struct bystander {
    struct peer peer;
    int noisy_fd;
    int unread; /* by the noisy one's stream, when this one's bytes came; -1: they have not */
};

static size_t bystander_on_data(struct net_stream *s, char *data base_unused, size_t size)
{
    struct bystander *b = container_of(s, struct bystander, peer.stream);

    if (b->unread < 0)
        assert_int_equal(ioctl(b->noisy_fd, FIONREAD, &b->unread), 0);
    return size;
}

static bool bystander_has_read(void *userdata)
{
    return ((struct bystander *)userdata)->unread >= 0;
}

/* Records that bring nothing, without an end, are a bounded part of a turn, too. */
static void test_key_updates_do_not_starve(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_ops ops = {.on_data = bystander_on_data, .on_closed = peer_on_closed};
    struct bystander bystander = {.unread = -1};
    struct narrow n;
    BIO *records = BIO_new(BIO_s_mem());
    int fds[2];
    size_t sent;
    char *bytes;

    narrow_begin(t, &n);
    SSL_set0_wbio(n.ssl, records);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(SSL_key_update(n.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(n.ssl), 1);
    }
    sent = (size_t)BIO_get_mem_data(records, &bytes);
    assert_true(sent > NET_READ_SIZE);
    assert_int_equal(send(n.fds[1], bytes, sent, MSG_DONTWAIT), sent);
    make_pair(fds, false);
    bystander.noisy_fd = n.fds[0];
    assert_int_equal(net_stream_accept(&bystander.peer.stream, t->f.net, fds[0], &(struct net_stream_options){0}, &ops),
                     0);
    assert_int_equal(send(fds[1], "x", 1, 0), 1);
    run_until(&t->f, bystander_has_read, &bystander);
    assert_true((size_t)bystander.unread > sent - NET_READ_SIZE / 2);
    peer_abort(&t->f, &bystander.peer);
    close(fds[1]);
    narrow_end(t, &n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_blocked_record_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocked_record_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_blocked_record_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocked_record_and_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rest_beyond_the_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_updates_do_not_starve, setup, teardown),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
