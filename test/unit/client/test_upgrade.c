/* The WebSocket client: its upgrade, what it offers, and whom it does not reach. */
#include "socket_fixture.h"

/* ---- the upgrade ---- */

static void test_upgrade(void **state base_unused)
{
    struct server s = {FRAMES("\x81\x05hello" CLOSE_1000)};
    struct user u = {.sends = "hi there"};
    char host[64];

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_string_equal(messages_of(&u), "hello|");
    assert_int_equal(u.opcodes[0], WS_OPCODE_TEXT);
    assert_int_equal(u.code, 1000);
    assert_int_equal(u.http_status, 0);
    assert_string_equal(u.text, "");
    assert_memory_equal(s.request, "GET /chat?a=b HTTP/1.1\r\n", 24);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", s.port);
    assert_non_null(strstr(s.request, host));
    assert_non_null(strstr(s.request, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strstr(s.request, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(s.request, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_null(strstr(s.request, "Sec-WebSocket-Protocol"));
    assert_int_equal(expect_frame(&s, expect_frame(&s, 0, 1, SLICE_LITERAL("hi there")), 8, SLICE_LITERAL("\x03\xe8")),
                     s.got_size);
    user_end(&u);
}

static void test_byte_by_byte(void **state base_unused)
{
    struct server s = {.splits = true, FRAMES("\x81\x05hello\x82\x01\xff" CLOSE_1000)};
    struct user u = {0};

    converse(&s, &u);
    assert_string_equal(messages_of(&u), "hello|\xff|");
    assert_int_equal(u.opcodes[1], WS_OPCODE_BINARY);
    assert_int_equal(u.code, 1000);
    user_end(&u);
}

static void test_subprotocol_and_headers(void **state base_unused)
{
    struct server s = {
        .response = "HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n"
                    "Sec-WebSocket-Protocol: warren.json.v1\r\nSec-WebSocket-Accept: %s\r\n\r\n",
        FRAMES(CLOSE_1000),
    };
    struct user u = {0};

    converse_with(
        &s, &u,
        (struct client_socket_options){.subprotocol = "warren.json.v1", .headers = "Cookie: a=b\r\nX-Y: z\r\n"});
    assert_int_equal(u.opened, 1);
    assert_non_null(strstr(s.request, "\r\nSec-WebSocket-Protocol: warren.json.v1\r\n"));
    assert_non_null(strstr(s.request, "\r\nCookie: a=b\r\nX-Y: z\r\n\r\n"));
    user_end(&u);
}

#define UPGRADE "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

/* Section 4.1: what a client must not take for an upgrade. */
static void test_wrong_upgrades(void **state base_unused)
{
    static const char *const rows[][2] = {
        {UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "Accept is wrong"},
        {UPGRADE "\r\n", "Accept is wrong"},
        {UPGRADE "Sec-WebSocket-Accept:\r\n\r\n", "Accept is wrong"},
        {"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", "lacks Upgrade"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", "lacks Upgrade"},
        {"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", "lacks Upgrade"},
        {UPGRADE "Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Accept: %s\r\n\r\n", "subprotocol"},
        {UPGRADE "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: %s\r\n\r\n", "extension"},
        {"HTTP/1.1 abc\r\n\r\n", ""},
        {"no HTTP at all\r\n\r\n", ""},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.response = rows[i][0], FRAMES("\x81\x05hello")};
        struct user u = {0};

        converse_with(&s, &u, (struct client_socket_options){.subprotocol = "mine"});
        assert_int_equal(u.opened, 0);
        assert_string_equal(messages_of(&u), "");
        assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
        assert_int_equal(u.http_status, 0);
        assert_true(u.text[0]);
        assert_non_null(strstr(u.text, rows[i][1]));
        assert_int_equal(s.got_size, 0);
        user_end(&u);
    }
}

/* ---- compression ---- */

#define DEFLATE UPGRADE "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: "
#define LONG_TEXT "the same again, the same again, the same again"

/* RFC 7692: offered, answered, both ways; with takeover as the server likes, and a window of ours as it says. */
static void test_deflate(void **state base_unused)
{
    static const struct {
        const char *response;
        bool keeps, is_none;
    } rows[] = {
        {DEFLATE "permessage-deflate\r\n\r\n", true, false},
        {DEFLATE "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n", false, false},
        {DEFLATE "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8\r\n\r\n", true, false},
        {UPGRADE "Sec-WebSocket-Accept: %s\r\n\r\n", false, true},
    };

    for (size_t i = 0; i < 2 * BASE_ARRAY_SIZE(rows); i++) {
        size_t row = i / 2;
        struct server s = {.response = rows[row].response, .splits = i % 2 != 0};
        struct user u = {.sends = LONG_TEXT};
        struct client_deflate *deflate = client_deflate_new();
        struct ws_inflate_pool pool = {0};
        const struct ws_parser_options server_side = {
            .expect_masked = true, .allowed_rsv = WS_RSV1, .max_message_bytes = 1000, .inflate = &pool};
        struct ws_parser p;
        struct ws_event e;
        size_t n;

        /* Section 7.2.3.2, or the first message twice */
        if (rows[row].is_none) {
            s.frames = "\x81\x05Hello\x81\x05Hello" CLOSE_1000;
            s.frames_size = 18;
        } else if (rows[row].keeps) {
            s.frames = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00" CLOSE_1000;
            s.frames_size = 20;
        } else {
            s.frames = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00" CLOSE_1000;
            s.frames_size = 22;
        }
        assert_non_null(deflate);
        converse_with(&s, &u, (struct client_socket_options){.deflate = deflate});
        assert_string_equal(u.text, "");
        assert_string_equal(messages_of(&u), "Hello|Hello|");
        assert_non_null(
            strstr(s.request, "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"));
        ws_parser_init(&p, &server_side);
        assert_int_equal(ws_parser_feed(&p, (char *)s.got, s.got_size, &n, &e), 0);
        assert_true(slice_equal_text(e.payload, LONG_TEXT));
        assert_int_equal(e.rsv, rows[row].is_none ? 0 : WS_RSV1);
        ws_parser_deinit(&p);
        ws_inflate_pool_deinit(&pool);
        user_end(&u);
        client_deflate_free(deflate);
    }
}

static void test_wrong_answers_to_deflate(void **state base_unused)
{
    static const char *const rows[] = {
        DEFLATE "foo\r\n\r\n",
        DEFLATE "permessage-deflate; foo\r\n\r\n",
        DEFLATE "permessage-deflate; client_max_window_bits\r\n\r\n",
        DEFLATE "permessage-deflate; server_max_window_bits=7\r\n\r\n",
        DEFLATE "permessage-deflate; server_no_context_takeover; server_no_context_takeover\r\n\r\n",
        DEFLATE "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        DEFLATE "permessage-deflate;\r\n\r\n",
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.response = rows[i]};
        struct user u = {0};
        struct client_deflate *deflate = client_deflate_new();

        assert_non_null(deflate);
        converse_with(&s, &u, (struct client_socket_options){.deflate = deflate});
        assert_int_equal(u.opened, 0);
        assert_string_equal(u.text, "the response has an extension that does not answer ours");
        user_end(&u);
        client_deflate_free(deflate);
    }
}

/* With a length, chunked, and up to the end of the stream. */
static void test_refusals(void **state base_unused)
{
    static const struct {
        const char *response;
        unsigned status;
        bool ends;
    } rows[] = {
        {"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nfull", 503, false},
        {"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 404, false},
        {"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno, not you", 403, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false},
        {"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 301, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.response = rows[i].response, .ends = rows[i].ends};
        struct user u = {0};

        converse(&s, &u);
        assert_int_equal(u.opened, 0);
        assert_int_equal(u.http_status, rows[i].status);
        assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
        assert_string_equal(u.text, "the upgrade was refused");
        user_end(&u);
    }
}

static void test_no_upgrade(void **state base_unused)
{
    struct server silent = {.response = ""}, ends = {.response = "HTTP/1.1 101", .ends = true};
    struct user u = {0}, v = {0};

    converse_with(&silent, &u, (struct client_socket_options){.timeout_ms = 200});
    assert_string_equal(u.text, "no upgrade in time");
    assert_int_equal(u.opened + u.http_status, 0);
    user_end(&u);
    converse(&ends, &v);
    assert_string_equal(v.text, "eof");
    assert_int_equal(v.opened + v.http_status, 0);
    user_end(&v);
}

static void test_nobody_listens(void **state base_unused)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const char *error = NULL;
    struct user u = {0};
    char url[64];

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0); /* bound, not listening: the port stays ours */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    (void)snprintf(url, sizeof(url), "ws://localhost:%u", ntohs(a.sin_port));
    user_begin(&u);
    assert_int_equal(client_socket_new(u.net, &(struct client_socket_options){.url = url}, &ops, &u, &error, &u.socket),
                     0);
    loop_run(u.loop);
    assert_int_equal(u.closed, 1);
    assert_string_equal(u.text, "Connection refused");
    user_end(&u);
    close(fd);
}

static void test_wrong_urls(void **state base_unused)
{
    static const char *const urls[] = {"",
                                       "http://127.0.0.1/",
                                       "ws://",
                                       "ws://127.0.0.1:x/",
                                       "wss://127.0.0.1/",
                                       "ws://127.0.0.1/a b",
                                       "ws://127.0.0.1/\r\nX: y"};
    struct user u = {0};

    user_begin(&u);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(urls); i++) {
        const char *error = NULL;

        assert_int_equal(
            client_socket_new(u.net, &(struct client_socket_options){.url = urls[i]}, &ops, &u, &error, &u.socket),
            -EINVAL);
        assert_non_null(error);
        assert_null(u.socket);
    }
    user_end(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_subprotocol_and_headers),
        cmocka_unit_test(test_wrong_upgrades),
        cmocka_unit_test(test_deflate),
        cmocka_unit_test(test_wrong_answers_to_deflate),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_upgrade),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_wrong_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
