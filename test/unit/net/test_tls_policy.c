/** What a listener's TLS agrees to, whom it lets resume, and how many handshakes it bears at once. */
#include "unit/net/tls_fixture.h"

/* ---- what is negotiated ---- */

static bool both_have_ended(void *userdata)
{
    struct peer *const *peers = userdata;

    return peers[0]->closed && peers[1]->closed;
}

static bool both_are_open(void *userdata)
{
    struct peer *const *peers = userdata;

    return (peers[0]->opened && peers[1]->opened) || peers[0]->closed || peers[1]->closed;
}

struct pair {
    struct peer server, client;
};

/** Beginning of a handshake; what the client can may be narrowed before the first run. */
static SSL *begin(struct tls_fixture *t, struct pair *p)
{
    memset(p, 0, sizeof(*p));
    connect_pair(t, &p->server, &p->client, "warren.test");
    return p->client.stream.ssl;
}

/** Shakes hands and says a byte each way, so that tickets have come. Return: whether that worked. */
static bool shake(struct tls_fixture *t, struct pair *p)
{
    struct peer *peers[] = {&p->server, &p->client};

    run_until(&t->f, both_are_open, peers);
    if (p->server.closed || p->client.closed) {
        if (!p->server.closed)
            net_stream_abort(&p->server.stream);
        run_until(&t->f, both_have_ended, peers);
        return false;
    }
    assert_int_equal(net_stream_send_bytes(&p->server.stream, SLICE_LITERAL("x")), 0);
    expect(t, &p->client, 1);
    return true;
}

static void end_pair(struct tls_fixture *t, struct pair *p)
{
    peer_abort(&t->f, &p->server);
    peer_abort(&t->f, &p->client);
    buffer_deinit(&p->server.in);
    buffer_deinit(&p->client.in);
}

static void use_server(struct tls_fixture *t, const struct net_tls_server_options *options)
{
    struct buffer error = {0};

    net_tls_unref(t->server);
    t->server = NULL;
    assert_int_equal(net_tls_server_new(options, &error, &t->server), 0);
    /* names are verified elsewhere */
    net_tls_unref(t->client);
    assert_int_equal(net_tls_client_new(NULL, false, &error, &t->client), 0);
}

/** Of two certificates the client's abilities choose, with either version; a client that can both gets ECDSA. */
static void test_two_certificates(void **state)
{
    static const struct {
        const char *algorithms;
        int kind;
    } cases[] = {
        {"rsa_pss_rsae_sha256:RSA+SHA256", EVP_PKEY_RSA},
        {"ECDSA+SHA256", EVP_PKEY_EC},
        {"rsa_pss_rsae_sha256:RSA+SHA256:ECDSA+SHA256", EVP_PKEY_EC},
    };
    const struct net_tls_pair pairs[] = {{made_rsa.certificate_path, made_rsa.key_path},
                                         {made.certificate_path, made.key_path}};
    const struct net_tls_server_options options = {.pairs = pairs, .pair_count = 2};
    const struct net_tls_pair twice[] = {pairs[0], pairs[0]};
    const struct net_tls_server_options options_twice = {.pairs = twice, .pair_count = 2};
    struct tls_fixture *t = *state;
    struct buffer error = {0};
    struct net_tls *refused;
    struct pair p;

    use_server(t, &options);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            SSL *ssl = begin(t, &p);
            char algorithms[128]; /* OpenSSL's macro takes the const away */

            (void)snprintf(algorithms, sizeof(algorithms), "%s", cases[i].algorithms);
            assert_int_equal(SSL_set_max_proto_version(ssl, version), 1);
            assert_int_equal(SSL_set1_sigalgs_list(ssl, algorithms), 1);
            assert_true(shake(t, &p));
            assert_int_equal(SSL_version(ssl), version);
            assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(ssl))), cases[i].kind);
            end_pair(t, &p);
        }
    }
    assert_int_equal(net_tls_server_new(&options_twice, &error, &refused), -EINVAL);
    assert_non_null(strstr(error.data, "both have a key of the kind rsaEncryption"));
    buffer_deinit(&error);
}

/** AES with 128 bits, unless the client asks for ChaCha20 first. */
static void test_ciphers(void **state)
{
    static const struct {
        int version;
        const char *offered; /* NULL: what OpenSSL offers */
        const char *chosen;
    } cases[] = {
        {TLS1_2_VERSION, NULL, "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {TLS1_2_VERSION, "ECDHE+CHACHA20:ECDHE+AESGCM", "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {TLS1_2_VERSION, "ECDHE+AES256:ECDHE+CHACHA20", "ECDHE-ECDSA-AES256-GCM-SHA384"},
        {TLS1_3_VERSION, NULL, "TLS_AES_128_GCM_SHA256"},
        {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
    };
    struct tls_fixture *t = *state;
    struct pair p;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        SSL *ssl = begin(t, &p);

        assert_int_equal(SSL_set_max_proto_version(ssl, cases[i].version), 1);
        if (cases[i].offered && cases[i].version == TLS1_3_VERSION)
            assert_int_equal(SSL_set_ciphersuites(ssl, cases[i].offered), 1);
        else if (cases[i].offered)
            assert_int_equal(SSL_set_cipher_list(ssl, cases[i].offered), 1);
        assert_true(shake(t, &p));
        assert_string_equal(SSL_get_cipher_name(ssl), cases[i].chosen);
        end_pair(t, &p);
    }
}

static void test_versions_and_protocols(void **state)
{
    static const unsigned char h2[] = "\x02h2", both[] = "\x02h2\x08http/1.1";
    const struct net_tls_pair pair = {made.certificate_path, made.key_path};
    const struct net_tls_server_options options = {.pairs = &pair, .pair_count = 1, .minimum = NET_TLS_1_3};
    struct tls_fixture *t = *state;
    const unsigned char *chosen;
    unsigned size;
    struct pair p;
    SSL *ssl = begin(t, &p);

    SSL_set_min_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_security_level(ssl, 0);
    assert_false(shake(t, &p));
    assert_int_equal(p.server.end, NET_END_TLS);
    ssl = begin(t, &p); /* nothing without forward secrecy */
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    assert_int_equal(SSL_set_cipher_list(ssl, "AES128-GCM-SHA256"), 1);
    assert_false(shake(t, &p));
    ssl = begin(t, &p);
    assert_int_equal(SSL_set_alpn_protos(ssl, h2, sizeof(h2) - 1), 0);
    assert_false(shake(t, &p));
    ssl = begin(t, &p);
    assert_int_equal(SSL_set_alpn_protos(ssl, both, sizeof(both) - 1), 0);
    assert_true(shake(t, &p));
    SSL_get0_alpn_selected(ssl, &chosen, &size);
    assert_int_equal(size, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    end_pair(t, &p);
    use_server(t, &options);
    ssl = begin(t, &p);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    assert_false(shake(t, &p));
    (void)begin(t, &p);
    assert_true(shake(t, &p));
    end_pair(t, &p);
}

/** A connection with @session (may be NULL); returns the session to resume next. */
static SSL_SESSION *visit(struct tls_fixture *t, int version, SSL_SESSION *session, bool expect_resumed)
{
    uint64_t resumed_before = net_loop_counters(t->f.net)->resumed;
    struct pair p;
    SSL *ssl = begin(t, &p);
    SSL_SESSION *next;

    SSL_set_max_proto_version(ssl, version);
    if (session)
        assert_int_equal(SSL_set_session(ssl, session), 1);
    assert_true(shake(t, &p));
    assert_int_equal(SSL_session_reused(ssl), expect_resumed);
    /* both ends live on this loop */
    assert_int_equal(net_loop_counters(t->f.net)->resumed - resumed_before, expect_resumed ? 2 : 0);
    next = SSL_get1_session(ssl);
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* a session that broke off does not resume */
    end_pair(t, &p);
    SSL_SESSION_free(session);
    return next;
}

/** Sessions resume by another context with the same keys, until their key has been replaced too often. */
static void test_tickets(void **state)
{
    const struct net_tls_pair pair = {made.certificate_path, made.key_path};
    struct net_tls_server_options options = {.pairs = &pair, .pair_count = 1};
    struct tls_fixture *t = *state;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct net_tls_tickets *other;
        SSL_SESSION *session;

        assert_int_equal(net_tls_tickets_new(&options.tickets), 0);
        use_server(t, &options);
        session = visit(t, version, NULL, false);
        session = visit(t, version, session, true);
        use_server(t, &options); /* as a reload does */
        session = visit(t, version, session, true);
        net_tls_tickets_rotate(options.tickets);
        net_tls_tickets_rotate(options.tickets);
        session = visit(t, version, session, true);
        net_tls_tickets_rotate(options.tickets);
        net_tls_tickets_rotate(options.tickets);
        session = visit(t, version, session, true); /* the last visit gave a new one */
        for (unsigned i = 0; i < 3; i++)
            net_tls_tickets_rotate(options.tickets);
        session = visit(t, version, session, false);
        assert_int_equal(net_tls_tickets_new(&other), 0);
        net_tls_tickets_unref(options.tickets);
        options.tickets = other;
        use_server(t, &options);
        session = visit(t, version, session, false);
        net_tls_tickets_unref(options.tickets);
        options.tickets = NULL;
        use_server(t, &options);
        session = visit(t, version, session, false);
        session = visit(t, version, session, false);
        SSL_SESSION_free(session);
    }
}

/** A handshake under way keeps what it needs of a context that was replaced. */
static void test_context_replaced_meanwhile(void **state)
{
    const struct net_tls_pair pair = {made.certificate_path, made.key_path};
    struct net_tls_server_options options = {.pairs = &pair, .pair_count = 1};
    struct tls_fixture *t = *state;
    struct pair p;

    assert_int_equal(net_tls_tickets_new(&options.tickets), 0);
    use_server(t, &options);
    (void)begin(t, &p);
    options.tickets = net_tls_tickets_unref(options.tickets);
    use_server(t, &options);
    assert_true(shake(t, &p));
    end_pair(t, &p);
}

/* ---- handshakes at once ---- */

static bool turn_is_over(void *userdata)
{
    return (*(unsigned *)userdata)++ > 3;
}

/** Two may shake hands, three wait, one is too many; when one ends, the next one begins; who waits costs no SSL. */
static void test_handshakes_at_once(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_options options = {.tls = t->server, .handshake_timeout_ms = 5000};
    struct peer silent[6];
    size_t handshaking, waiting;
    unsigned turns = 0;
    int fds[6][2];
    struct pair p;

    memset(silent, 0, sizeof(silent));
    net_loop_set_handshake_limit(t->f.net, 2, 3);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        peer_accept(&t->f, &silent[i], fds[i][0], &options);
    }
    run_until(&t->f, turn_is_over, &turns);
    net_loop_handshakes(t->f.net, &handshaking, &waiting);
    assert_int_equal(handshaking, 2);
    assert_int_equal(waiting, 3);
    assert_null(silent[2].stream.ssl);
    assert_int_equal(silent[5].closed, 1);
    assert_int_equal(silent[5].end, NET_END_BUSY);
    peer_abort(&t->f, &silent[0]);
    peer_abort(&t->f, &silent[3]); /* while it waits */
    assert_non_null(silent[2].stream.ssl);
    assert_null(silent[4].stream.ssl);
    net_loop_handshakes(t->f.net, &handshaking, &waiting);
    assert_int_equal(handshaking, 2);
    assert_int_equal(waiting, 1);
    net_loop_set_handshake_limit(t->f.net, 4, 3); /* the room there is now is used */
    (void)begin(t, &p);
    assert_true(shake(t, &p));
    assert_non_null(silent[4].stream.ssl);
    end_pair(t, &p);
    peer_abort(&t->f, &silent[1]);
    peer_abort(&t->f, &silent[2]);
    peer_abort(&t->f, &silent[4]);
    net_loop_handshakes(t->f.net, &handshaking, &waiting);
    assert_int_equal(handshaking + waiting, 0);
    for (size_t i = 0; i < 6; i++)
        close(fds[i][1]);
}

/** Nobody waits for ever: the time for the handshake runs meanwhile. */
static void test_waiting_ends(void **state)
{
    struct tls_fixture *t = *state;
    const struct net_stream_options options = {.tls = t->server, .handshake_timeout_ms = 100};
    struct peer silent[2], *peers[2] = {&silent[0], &silent[1]};
    int fds[2][2];

    memset(silent, 0, sizeof(silent));
    net_loop_set_handshake_limit(t->f.net, 1, 1);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        peer_accept(&t->f, &silent[i], fds[i][0], &options);
    }
    run_until(&t->f, both_have_ended, peers);
    assert_int_equal(silent[0].end, NET_END_TIMEOUT);
    assert_int_equal(silent[1].end, NET_END_TIMEOUT);
    close(fds[0][1]);
    close(fds[1][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_certificates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ciphers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions_and_protocols, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tickets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_context_replaced_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshakes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_ends, setup, teardown),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
