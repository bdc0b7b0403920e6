/*
 * The response parser: status lines, how a body ends (RFC 9112 section 6.3), and the end of the stream.
 */
#include "unit/http/transcript.h"

static const struct http_limits limits = {.head_bytes = 4096, .headers = 16, .body_bytes = 8};

static const struct {
    const char *bytes;
    const char *transcript;
    bool to_head;
} cases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 204 No Content\r\n\r\n",
     "200 \"OK\" 1.1 keep [Content-Length=2] hi\n204 \"No Content\" 1.1 keep [] \nidle", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", "cut short", false},
    {"HTTP/1.1 200 OK\r\nContent-Len", "cut short", false},
    {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 \"\" 1.1 keep [Content-Length=0] \nidle", false},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 \"\" 1.1 keep [Content-Length=0] \nidle", false},
    {"HTTP/1.1 404 Not \xc3\xa9 Found\r\nContent-Length: 0\r\n\r\n",
     "404 \"Not \xc3\xa9 Found\" 1.1 keep [Content-Length=0] \nidle", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
     "200 \"OK\" 1.1 keep [Transfer-Encoding=chunked] hi\nidle", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "cut short", false},
    /* to the end of the stream */
    {"HTTP/1.1 200 OK\r\n\r\nall of it", "refused 413", false},
    {"HTTP/1.1 200 OK\r\n\r\nall", "200 \"OK\" 1.1 close [] all\nended", false},
    {"HTTP/1.0 200 OK\r\n\r\n", "200 \"OK\" 1.0 close [] \nended", false},
    /* no body, whatever it says */
    {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "200 \"OK\" 1.1 keep [Content-Length=1000] \nidle", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 \"OK\" 1.1 keep [Transfer-Encoding=chunked] \nidle",
     true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
     "304 \"Not Modified\" 1.1 keep [Content-Length=1000] \nidle", false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
     "100 \"Continue\" 1.1 keep [] \n200 \"OK\" 1.1 keep [Content-Length=1] x\nidle", false},
    /* refused */
    {"\r\nHTTP/1.1 200 OK\r\n", "refused 400", false},
    {"HTTP/2 200 OK\r\n", "refused 400", false},
    {"HTTP/2.0 200 OK\r\n", "refused 505", false},
    {"HTTP/1.1  200 OK\r\n", "refused 400", false},
    {"HTTP/1.1 20 OK\r\n", "refused 400", false},
    {"HTTP/1.1 2000 OK\r\n", "refused 400", false},
    {"HTTP/1.1 099 OK\r\n", "refused 400", false},
    {"HTTP/1.1 2x0 OK\r\n", "refused 400", false},
    {"HTTP/1.1\r\n", "refused 400", false},
    {"ICY 200 OK\r\n", "refused 400", false},
    {"HTTP/1.1 200 OK\n", "refused 400", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "refused 413", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "refused 400", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "refused 400", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "refused 501", false},
};

static void test_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        transcript_check(&limits, true, cases[i].to_head, slice_from(cases[i].bytes), cases[i].transcript);
}

/* Frames may follow the 101 in the same segment; they stay the caller's. */
static void test_switching_protocols(void **state)
{
    static const char bytes[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81";
    struct http_parser *p = NULL;
    const struct http_message *m = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(http_parser_new_response(&limits, false, &p), 0);
    assert_false(http_parser_has_begun(p));
    assert_int_equal(http_parser_feed(p, bytes, sizeof(bytes) - 1, &n, &m), 0);
    assert_int_equal(n, sizeof(bytes) - 2);
    assert_int_equal(m->status, 101);
    assert_true(http_message_has_token(m, "connection", "upgrade"));
    http_parser_free(p);
}

static void test_end_before_any_byte(void **state)
{
    struct http_parser *p = NULL;
    const struct http_message *m = NULL;
    const char *sentence = NULL;

    (void)state;
    assert_int_equal(http_parser_new_response(&limits, false, &p), 0);
    assert_int_equal(http_parser_end(p, &m), HTTP_E_BAD);
    assert_int_equal(http_parser_error(p, &sentence), 400);
    assert_null(m);
    http_parser_free(p);
    assert_null(http_parser_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_switching_protocols),
        cmocka_unit_test(test_end_before_any_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
