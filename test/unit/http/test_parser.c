/*
 * The request parser on what is right: forms of requests, pipelining, bodies, limits at their edge, memory that runs
 * out.
 */
#include "support/alloc.h"
#include "unit/http/transcript.h"

#include <stdio.h>

static const struct http_limits limits = {.head_bytes = 8192, .headers = 16, .body_bytes = 1000};

#define H " HTTP/1.1\r\nHost: h\r\n"

static const struct {
    const char *bytes;
    const char *transcript;
} accepted[] = {
    {"", "idle"},
    {"G", "more"},
    {"GET / HTTP/1.1\r\nHost: h\r\n\r", "more"},
    {"GET /" H "\r\n", "GET / 1.1 keep [Host=h] \nidle"},
    {"\r\nGET /" H "\r\n", "GET / 1.1 keep [Host=h] \nidle"},
    {"\r\n", "idle"},
    {"\r", "more"},
    {"GET /" H "\r\n\r\nGET /2" H "\r\n", "GET / 1.1 keep [Host=h] \nGET /2 1.1 keep [Host=h] \nidle"},
    {"GET /a?b=c?d" H "\r\n", "GET /a?b=c?d 1.1 keep [Host=h] \nidle"},
    {"GET /a?" H "\r\n", "GET /a? 1.1 keep [Host=h] \nidle"},
    {"GET //a/../b" H "\r\n", "GET //a/../b 1.1 keep [Host=h] \nidle"},
    {"GET /?q={\"a\":[1]}|\\^`" H "\r\n", "GET /?q={\"a\":[1]}|\\^` 1.1 keep [Host=h] \nidle"},
    {"GET http://x.y:80/p?q" H "\r\n", "GET /p?q 1.1 keep [Host=h] \nidle"},
    {"GET ws://[::1]:80/p" H "\r\n", "GET /p 1.1 keep [Host=h] \nidle"},
    {"GET HTTPS://x" H "\r\n", "GET / 1.1 keep [Host=h] \nidle"},
    {"GET http://x?q" H "\r\n", "GET /?q 1.1 keep [Host=h] \nidle"},
    {"OPTIONS *" H "\r\n", "OPTIONS * 1.1 keep [Host=h] \nidle"},
    {"M-SEARCH /" H "\r\n", "M-SEARCH / 1.1 keep [Host=h] \nidle"},
    {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close [] \nidle"},
    {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / 1.0 close [Host=h] \nidle"},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0 keep [Connection=Keep-Alive] \nidle"},
    {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", "GET / 1.2 keep [Host=h] \nidle"},
    {"GET /" H "Connection: a, CLOSE\r\n\r\n", "GET / 1.1 close [Host=h;Connection=a, CLOSE] \nidle"},
    {"GET /" H "Connection: closed\r\n\r\n", "GET / 1.1 keep [Host=h;Connection=closed] \nidle"},
    {"GET /" H "X:\r\nY:  \t a\tb \t\r\nZ:z\r\n\r\n", "GET / 1.1 keep [Host=h;X=;Y=a\tb;Z=z] \nidle"},
    {"GET /" H "X: \xc3\xa9\r\n\r\n", "GET / 1.1 keep [Host=h;X=\xc3\xa9] \nidle"},
    {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8091\r\n\r\n", "GET / 1.1 keep [Host=[2001:db8::1]:8091] \nidle"},
    {"GET / HTTP/1.1\r\nHost: a_b-c.D:\r\n\r\n", "GET / 1.1 keep [Host=a_b-c.D:] \nidle"},
    /* bodies */
    {"POST /" H "Content-Length: 3\r\n\r\nabcGET /" H "\r\n",
     "POST / 1.1 keep [Host=h;Content-Length=3] abc\nGET / 1.1 keep [Host=h] \nidle"},
    {"POST /" H "Content-Length: 3\r\n\r\nab", "more"},
    {"POST /" H "Content-Length: 0\r\n\r\n", "POST / 1.1 keep [Host=h;Content-Length=0] \nidle"},
    {"POST /" H "\r\n", "POST / 1.1 keep [Host=h] \nidle"},
    {"POST /" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
     "POST / 1.1 keep [Host=h;Content-Length=1;Content-Length=1] a\nidle"},
    {"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n\r\n", "POST / 1.0 close [Content-Length=2] \r\n\nidle"},
    {"POST /" H "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
     "POST / 1.1 keep [Host=h;Transfer-Encoding=Chunked] \nidle"},
    {"POST /" H
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00A;x=\"y;\tz\"\r\n0123456789\r\n000\r\nT: v\r\nU:\r\n\r\nGET /" H
     "\r\n",
     "POST / 1.1 keep [Host=h;Transfer-Encoding=chunked] abc0123456789\nGET / 1.1 keep [Host=h] \nidle"},
    {"POST /" H "Transfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n",
     "POST / 1.1 keep [Host=h;Transfer-Encoding=chunked] \r\n\nidle"},
    {"POST /" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r", "more"},
    /* what follows a handshake is not the parser's */
    {"GET /ws" H "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81\x80zzzz",
     "GET /ws 1.1 keep [Host=h;Connection=keep-alive, Upgrade;Upgrade=WebSocket] \nrest 6"},
    /* Java's HttpClient offers an upgrade with each request. */
    {"POST /" H
     "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 1\r\n\r\nx",
     "POST / 1.1 keep [Host=h;Connection=Upgrade, HTTP2-Settings;Upgrade=h2c;HTTP2-Settings=AA;Content-Length=1] "
     "x\nidle"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(accepted); i++)
        transcript_check(&limits, false, false, slice_from(accepted[i].bytes), accepted[i].transcript);
}

/* A head of exactly the limit passes; a byte more does not. */
static void test_head_limit(void **state)
{
    static const char head[] = "GET /0123456789 HTTP/1.1\r\nHost: h\r\n\r\n";
    struct slice bytes = SLICE_LITERAL("GET /0123456789 HTTP/1.1\r\nHost: h\r\n\r\n");

    (void)state;
    for (size_t max = 1; max <= sizeof(head); max++) {
        struct http_limits l = {.head_bytes = max, .headers = 1, .body_bytes = 0};
        const char *expected = max < 26                 ? "refused 414" /* within the request line */
                               : max < sizeof(head) - 1 ? "refused 431"
                                                        : "GET /0123456789 1.1 keep [Host=h] \nidle";

        transcript_check(&l, false, false, bytes, expected);
    }
}

static void test_header_limit(void **state)
{
    struct http_limits l = {.head_bytes = 100, .headers = 2, .body_bytes = 0};

    (void)state;
    transcript_check(&l, false, false, SLICE_LITERAL("GET /" H "A: b\r\n\r\n"), "GET / 1.1 keep [Host=h;A=b] \nidle");
    transcript_check(&l, false, false, SLICE_LITERAL("GET /" H "A: b\r\nC: d\r\n\r\n"), "refused 431");
}

static void test_body_limit(void **state)
{
    struct http_limits l = {.head_bytes = 100, .headers = 4, .body_bytes = 4};

    (void)state;
    transcript_check(&l, false, false, SLICE_LITERAL("PUT /" H "Content-Length: 4\r\n\r\nabcd"),
                     "PUT / 1.1 keep [Host=h;Content-Length=4] abcd\nidle");
    transcript_check(&l, false, false, SLICE_LITERAL("PUT /" H "Content-Length: 5\r\n\r\n"), "refused 413");
    transcript_check(&l, false, false, SLICE_LITERAL("PUT /" H "Content-Length: 99999999999999999999999\r\n\r\n"),
                     "refused 413");
    transcript_check(&l, false, false,
                     SLICE_LITERAL("PUT /" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
                     "PUT / 1.1 keep [Host=h;Transfer-Encoding=chunked] abcd\nidle");
    transcript_check(&l, false, false, SLICE_LITERAL("PUT /" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\n"),
                     "refused 413");
    transcript_check(&l, false, false,
                     SLICE_LITERAL("PUT /" H "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), "refused 413");
}

/* Extensions and trailers are dropped, yet they are not free. */
static void test_chunk_overhead_limit(void **state)
{
    struct http_limits l = {.head_bytes = 64, .headers = 4, .body_bytes = 100};
    struct buffer bytes = {0};

    (void)state;
    buffer_append_text(&bytes, "PUT /" H "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(bytes.size <= l.head_bytes);
    for (int i = 0; i < 20; i++)
        buffer_append_text(&bytes, "1;ext\r\nx\r\n");
    transcript_check(&l, false, false, buffer_slice(&bytes), "refused 431");
    buffer_truncate(&bytes, strlen("PUT /" H "Transfer-Encoding: chunked\r\n\r\n"));
    buffer_append_text(&bytes, "0\r\n");
    for (int i = 0; i < 20; i++)
        buffer_append_text(&bytes, "T: v\r\n");
    transcript_check(&l, false, false, buffer_slice(&bytes), "refused 431");
    buffer_deinit(&bytes);
}

/* A head of a megabyte, byte by byte: a scan that began again with each byte would need hours. */
static void test_scan_is_linear(void **state)
{
    struct http_limits l = {.head_bytes = 2u << 20, .headers = 4, .body_bytes = 0};
    struct buffer bytes = {0};
    struct http_parser *p = NULL;
    const struct http_message *m = NULL;
    size_t n;

    (void)state;
    buffer_append_text(&bytes, "GET /" H "X: ");
    for (size_t i = 0; i < 1u << 20; i++)
        buffer_append_char(&bytes, 'x');
    buffer_append_text(&bytes, "\r\n\r\n");
    assert_int_equal(http_parser_new_request(&l, &p), 0);
    for (size_t i = 0; i < bytes.size - 1; i++)
        assert_int_equal(http_parser_feed(p, bytes.data + i, 1, &n, &m), HTTP_MORE);
    assert_int_equal(http_parser_feed(p, bytes.data + bytes.size - 1, 1, &n, &m), 0);
    assert_int_equal(http_message_header(m, "x").size, 1u << 20);
    http_parser_free(p);
    buffer_deinit(&bytes);
}

/* Every allocation fails in turn: the same message or -ENOMEM, which stays. */
static void test_out_of_memory(void **state)
{
    static const char *const streams[] = {
        "POST /some/longer/path/so/that/the/head/grows/more/than/once" H "Content-Length: 3\r\n\r\nabc",
        "POST /" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    };

    (void)state;
    for (size_t s = 0; s < BASE_ARRAY_SIZE(streams); s++) {
        bool refused = true;

        for (size_t n = 0; refused; n++) {
            struct http_parser *p = NULL;
            const struct http_message *m = NULL;
            size_t consumed = 0;
            int r;

            alloc_fail_after(n);
            r = http_parser_new_request(&limits, &p);
            for (size_t i = 0; r == 0 && streams[s][i] && !m; i++) {
                r = http_parser_feed(p, streams[s] + i, 1, &consumed, &m);
                r = r == HTTP_MORE ? 0 : r;
            }
            refused = alloc_fail_disarm();
            if (refused) {
                assert_int_equal(r, -ENOMEM);
                assert_null(m);
                if (p)
                    assert_int_equal(http_parser_feed(p, "x", 1, &consumed, &m), -ENOMEM);
            } else {
                assert_int_equal(r, 0);
                assert_true(slice_equal_text(m->body, "abc"));
            }
            http_parser_free(p);
        }
    }
}

/* Who waits to be asked for the body is told so once, and not if some of it has come. */
static void test_awaits_continue(void **state base_unused)
{
    static const struct {
        const char *head, *first; /* of the body, in the same piece */
        bool awaits;
    } cases[] = {
        {"POST /" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "", true},
        {"POST /" H "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "", true},
        {"POST /" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "a", false},
        {"POST /" H "Content-Length: 2\r\n\r\n", "", false},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "", false},
    };
    const struct http_message *m;
    struct http_parser *p;
    char text[200];
    size_t n;

    assert_int_equal(http_parser_new_request(&limits, &p), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        snprintf(text, sizeof(text), "%s%s", cases[i].head, cases[i].first);
        assert_int_equal(http_parser_feed(p, text, strlen(text), &n, &m), HTTP_MORE);
        assert_int_equal(http_parser_awaits_continue(p), cases[i].awaits);
        assert_false(http_parser_awaits_continue(p));
        http_parser_reset(p);
        assert_false(http_parser_awaits_continue(p));
    }
    http_parser_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_head_limit),
        cmocka_unit_test(test_header_limit),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_chunk_overhead_limit),
        cmocka_unit_test(test_scan_is_linear),
        cmocka_unit_test(test_awaits_continue),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
