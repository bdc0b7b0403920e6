/** TLS streams. */
#include "unit/net/tls_fixture.h"

#include <sys/ioctl.h>

static void test_echo(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {.echo = true}, client = {0};
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    send_pattern(&client.stream, &sent, 100); /* before the handshake */
    expect(t, &client, 100);
    assert_int_equal(client.opened, 1);
    assert_int_equal(server.opened, 1);
    for (size_t size = 1; size < 200000; size = size * 3 + 1)
        send_pattern(&client.stream, &sent, size);
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));

    /* A clean end: close_notify, and the other side sees the end of data. */
    net_stream_close(&server.stream);
    run_until(&t->f, peer_is_closed, &client);
    assert_int_equal(client.end, NET_END_EOF);
    run_until(&t->f, peer_is_closed, &server);
    assert_int_equal(server.end, NET_END_CLOSED);
    peer_deinit(&client);
    peer_deinit(&server);
}

/* Many small frames are one record, not many. */
static void test_records_are_coalesced(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    uint64_t writes;
    size_t sent = 0;

    connect_pair(t, &server, &client, "127.0.0.1"); /* verified as an address */
    run_until(&t->f, peer_is_open, &server);
    writes = net_loop_counters(t->f.net)->writes;
    for (int i = 0; i < 300; i++)
        send_pattern(&server.stream, &sent, 100);
    expect(t, &client, sent);
    assert_int_equal(net_loop_counters(t->f.net)->writes - writes, 2);
    assert_pattern(buffer_slice(&client.in));
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

/* A record that the kernel took in part is offered again while the queue grows behind it. */
static void test_slow_reader(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_open, &server);
    run_until(&t->f, peer_is_open, &client);
    net_stream_pause(&client.stream);
    for (size_t i = 0; i < 2000; i++)
        send_pattern(&server.stream, &sent, 1 + i * 7919 % 9000);
    for (size_t i = 0; i < 20; i++) {
        send_pattern(&server.stream, &sent, 10 + i * 1000);
        net_stream_resume(&client.stream);
        run_until(&t->f, has_read, &(struct expectation){&client, (i + 1) * 20000});
        net_stream_pause(&client.stream);
    }
    net_stream_resume(&client.stream);
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));
    assert_int_equal(server.stream.queued_bytes, 0);
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

/* OpenSSL holds a record of which a paused reader took a byte at a time: nothing more comes from the kernel to remind
 * us. */
static void test_pause_within_a_record(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {.pause_after = 1};
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_open, &server);
    for (int i = 0; i < 3; i++) {
        send_pattern(&server.stream, &sent, 10);
        run_until(&t->f, peer_is_drained, &server); /* a record each */
        server.drained = 0;
    }
    for (size_t i = 1; i <= sent; i++) {
        run_until(&t->f, has_read, &(struct expectation){&client, i});
        assert_int_equal(client.in.size, i);
        net_stream_resume(&client.stream);
    }
    assert_pattern(buffer_slice(&client.in));
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

static size_t nibble_on_data(struct net_stream *s, char *data, size_t size base_unused)
{
    buffer_append(&container_of(s, struct peer, stream)->in, data, 1);
    return 1;
}

/* An owner that has had enough for a turn, while OpenSSL holds more: what it left comes first, then what OpenSSL has.
 */
static void test_the_rest_in_the_next_turn(void **state)
{
    const struct net_stream_ops ops = {.on_data = nibble_on_data, .on_open = peer_on_open, .on_closed = peer_on_closed};
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    size_t sent = 0;

    connect_pair(t, &server, &client, "warren.test");
    client.stream.ops = &ops;
    run_until(&t->f, peer_is_open, &server);
    for (int i = 0; i < 20; i++) {
        server.drained = 0;
        send_pattern(&server.stream, &sent, 100);
        run_until(&t->f, peer_is_drained, &server); /* a record each */
    }
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

static void test_close_notify(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_options options = {.tls = t->server};
    struct peer server = {0};
    char bytes[16];
    int fds[2], result;
    SSL *ssl;

    make_tcp_pair(fds, true);
    assert_int_equal(net_tls_session_new(t->client, fds[1], true, "warren.test", &ssl), 0);
    SSL_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    peer_accept(&t->f, &server, fds[0], &options);
    while (SSL_do_handshake(ssl) != 1 || !server.opened)
        run_until(&t->f, at_once, NULL);
    assert_int_equal(net_stream_send_bytes(&server.stream, SLICE_LITERAL("bye")), 0);
    net_stream_close(&server.stream);
    do {
        run_until(&t->f, at_once, NULL);
        result = SSL_read(ssl, bytes, sizeof(bytes));
    } while (result < 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ);
    assert_int_equal(result, 3);
    result = SSL_read(ssl, bytes, sizeof(bytes));
    assert_int_equal(SSL_get_error(ssl, result), SSL_ERROR_ZERO_RETURN);
    SSL_free(ssl);
    close(fds[1]);
    run_until(&t->f, peer_is_closed, &server);
    assert_int_equal(server.end, NET_END_CLOSED);
}

struct crowd {
    struct peer servers[3 * NET_HANDSHAKES_PER_TURN];
    struct peer clients[3 * NET_HANDSHAKES_PER_TURN];
};

static bool crowd_is_served(void *userdata)
{
    struct crowd *c = userdata;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(c->clients); i++)
        if (c->clients[i].in.size < 2)
            return false;
    return true;
}

/* More newcomers than a turn has handshakes for: all come through, on both sides. */
static void test_crowd(void **state)
{
    struct tls_fixture *t = *state;
    static struct crowd c;

    memset(&c, 0, sizeof(c));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(c.clients); i++) {
        c.servers[i].echo = true;
        connect_pair(t, &c.servers[i], &c.clients[i], "warren.test");
        assert_int_equal(net_stream_send_bytes(&c.clients[i].stream, SLICE_LITERAL("me")), 0);
    }
    run_until(&t->f, crowd_is_served, &c);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(c.clients); i++) {
        peer_abort(&t->f, &c.servers[i]);
        peer_abort(&t->f, &c.clients[i]);
    }
}

static void test_wrong_name(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};

    connect_pair(t, &server, &client, "other.test");
    run_until(&t->f, peer_is_closed, &client);
    assert_int_equal(client.end, NET_END_TLS);
    assert_int_equal(client.opened, 0);
    run_until(&t->f, peer_is_closed, &server);
    peer_deinit(&server);
}

static void test_no_verification(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {.echo = true}, client = {0};
    struct buffer error = {0};

    net_tls_unref(t->client);
    assert_int_equal(net_tls_client_new(NULL, false, &error, &t->client), 0);
    connect_pair(t, &server, &client, "other.test");
    assert_int_equal(net_stream_send_bytes(&client.stream, SLICE_LITERAL("hello")), 0);
    expect(t, &client, 5);
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
}

/* Unknown authority: verified against the system's, which does not know ours. */
static void test_unknown_authority(void **state)
{
    struct tls_fixture *t = *state;
    struct peer server = {0}, client = {0};
    struct buffer error = {0};

    net_tls_unref(t->client);
    assert_int_equal(net_tls_client_new(NULL, true, &error, &t->client), 0);
    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_closed, &client);
    assert_int_equal(client.end, NET_END_TLS);
    run_until(&t->f, peer_is_closed, &server);
    assert_int_equal(server.end, NET_END_TLS); /* by the client's alert */
}

static void test_handshake_timeout(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_options options = {.tls = t->server, .handshake_timeout_ms = 50};
    struct peer p = {0};
    int fds[2];

    make_tcp_pair(fds, false);
    peer_accept(&t->f, &p, fds[0], &options);
    assert_int_equal(send(fds[1], "\x16\x03\x01", 3, 0), 3);
    run_until(&t->f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_TIMEOUT);
    assert_int_equal(p.error, ETIMEDOUT);
    assert_int_equal(p.opened, 0);
    close(fds[1]);
}

static void test_plain_bytes(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: warren.test\r\n\r\n";
    struct tls_fixture *t = *state;
    const struct net_stream_options options = {.tls = t->server};
    struct peer p = {0};
    int fds[2];

    make_tcp_pair(fds, false);
    peer_accept(&t->f, &p, fds[0], &options);
    assert_int_equal(send(fds[1], request, sizeof(request) - 1, 0), sizeof(request) - 1);
    run_until(&t->f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_TLS);
    assert_int_equal(p.opened, 0);
    close(fds[1]);
}

static void test_end_in_the_handshake(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_options options = {.tls = t->server};
    struct peer p = {0}, closing = {0};
    int fds[2], others[2];

    make_tcp_pair(fds, false);
    make_tcp_pair(others, false);
    peer_accept(&t->f, &p, fds[0], &options);
    peer_accept(&t->f, &closing, others[0], &options);
    net_stream_close(&closing.stream); /* nothing was sent: nothing to wait for */
    run_until(&t->f, peer_is_closed, &closing);
    assert_int_equal(closing.end, NET_END_CLOSED);
    close(fds[1]);
    run_until(&t->f, peer_is_closed, &p);
    assert_int_equal(p.end, NET_END_EOF);
    assert_int_equal(p.opened, 0);
    close(others[1]);
}

struct quiet {
    struct peer peer;
    struct peer *noisy;
    size_t noisy_bytes;
};

static size_t quiet_on_data(struct net_stream *s, char *data base_unused, size_t size)
{
    struct quiet *q = container_of(s, struct quiet, peer.stream);

    if (q->noisy_bytes == SIZE_MAX)
        q->noisy_bytes = q->noisy->in.size;
    return size;
}

/* A sender whose records never end gets its share of a turn. */
static void test_noisy_peer_does_not_starve(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_ops quiet_ops = {.on_data = quiet_on_data, .on_closed = peer_on_closed};
    struct peer server = {0}, client = {0};
    struct quiet quiet = {.noisy = &client, .noisy_bytes = SIZE_MAX};
    size_t sent = 0;
    int fds[2];

    connect_pair(t, &server, &client, "warren.test");
    run_until(&t->f, peer_is_open, &server);
    run_until(&t->f, peer_is_open, &client);
    net_stream_pause(&client.stream);
    for (int i = 0; i < 100; i++)
        send_pattern(&server.stream, &sent, 10000);
    run_until(&t->f, peer_is_drained, &server); /* a megabyte waits in the kernel */
    net_stream_resume(&client.stream);          /* is watched first */
    make_pair(fds, false);
    assert_int_equal(
        net_stream_accept(&quiet.peer.stream, t->f.net, fds[0], &(struct net_stream_options){0}, &quiet_ops), 0);
    assert_int_equal(send(fds[1], "x", 1, 0), 1);
    expect(t, &client, sent);
    assert_pattern(buffer_slice(&client.in));
    assert_true(quiet.noisy_bytes <= NET_READ_SIZE + NET_RECORD_SIZE);
    peer_abort(&t->f, &quiet.peer);
    peer_abort(&t->f, &server);
    peer_abort(&t->f, &client);
    close(fds[1]);
}

static void test_files(void **state base_unused)
{
    struct net_tls *tls = NULL;
    struct buffer error = {0};

    assert_int_equal(load("/nowhere/c.pem", made.key_path, &error, &tls), -ENOENT);
    assert_string_equal(error.data, "cannot read the certificate /nowhere/c.pem: No such file or directory");
    buffer_reset(&error, 0);
    assert_int_equal(load(made.key_path, made.key_path, &error, &tls), -EINVAL);
    assert_non_null(strstr(error.data, "cannot use the certificate"));
    buffer_reset(&error, 0);
    assert_int_equal(load(made.certificate_path, made.certificate_path, &error, &tls), -EINVAL);
    assert_non_null(strstr(error.data, "cannot use the key"));
    buffer_reset(&error, 0);
    assert_int_equal(net_tls_client_new(made.key_path, true, &error, &tls), -EINVAL);
    assert_non_null(strstr(error.data, "cannot use the CA certificates"));
    buffer_deinit(&error);
    assert_null(tls);
    assert_null(net_tls_unref(NULL));
}

/* OpenSSL's allocations come through the wrapped ones in this program (see main). */
static void *openssl_malloc(size_t size, const char *file base_unused, int line base_unused)
{
    return malloc(size);
}

static void *openssl_realloc(void *pointer, size_t size, const char *file base_unused, int line base_unused)
{
    return realloc(pointer, size);
}

static void openssl_free(void *pointer, const char *file base_unused, int line base_unused)
{
    free(pointer);
}

/**
 * A connection whose server side may allocate @n times a turn; the client is OpenSSL alone, does its part between turns
 * and always has memory. Return: whether an allocation was refused.
 */
static bool serve_with_memory_for(struct tls_fixture *t, size_t n, size_t *ended)
{
    const struct net_stream_options options = {.tls = t->server};
    struct peer server = {.pause_after = 3};
    bool refused, asked = false;
    int fds[2], result;
    SSL *ssl;

    make_tcp_pair(fds, true);
    assert_int_equal(net_tls_session_new(t->client, fds[1], true, "warren.test", &ssl), 0);
    buffer_reserve(&server.in, 64);
    alloc_fail_after(n);
    result = net_stream_accept(&server.stream, t->f.net, fds[0], &options, &peer_ops);
    refused = alloc_fail_disarm();
    for (int round = 0; result == 0 && round < 1000 && !server.closed && server.in.size == 0; round++) {
        ERR_clear_error();
        if (SSL_do_handshake(ssl) == 1 && !asked) {
            assert_int_equal(SSL_write(ssl, "ping", 4), 4);
            asked = true;
        }
        alloc_fail_after(n);
        run_until(&t->f, at_once, NULL);
        refused |= alloc_fail_disarm();
    }
    *ended += result < 0 || server.closed;
    if (result < 0) {
        assert_int_equal(result, -ENOMEM);
    } else if (server.closed) {
        assert_true(server.end == NET_END_ERROR || server.end == NET_END_TLS);
    } else {
        assert_memory_equal(server.in.data, "pin", 3);
        net_stream_abort(&server.stream);
        run_until(&t->f, peer_is_closed, &server);
    }
    peer_deinit(&server);
    SSL_free(ssl);
    close(fds[1]);
    return refused;
}

/* Whatever allocation fails while the server takes a connection and reads, that stream ends and nothing else. */
static void test_out_of_memory(void **state)
{
    struct tls_fixture *t = *state;
    size_t ended = 0;

    for (size_t n = 0; serve_with_memory_for(t, n, &ended); n += n < 20 ? 1 : 7)
        ;
    assert_true(ended > 20);
    test_echo(state); /* and after all that it still works */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_are_coalesced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_within_a_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_rest_in_the_next_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_notify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_verification, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_authority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshake_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_in_the_handshake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_noisy_peer_does_not_starve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test(test_files),
    };

    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
