/*
 * Messages out: the exact bytes, and that our own parser reads them back.
 */
#include "support/alloc.h"
#include "unit/http/transcript.h"

static const struct http_limits limits = {.head_bytes = 4096, .headers = 16, .body_bytes = 100};

static void check_response(unsigned status, const struct http_header_text *headers, struct slice body, bool keep_alive,
                           bool head_only, const char *expected)
{
    struct buffer out = {0};

    http_write_response(&out, status, headers, body, keep_alive, head_only);
    assert_string_equal(out.data, expected);
    buffer_deinit(&out);
}

static void test_responses(void **state)
{
    static const struct http_header_text json[] = {{"Content-Type", "application/json"}, {"X", ""}, {NULL, NULL}};
    static const struct http_header_text upgrade[] = {
        {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {NULL, NULL}};

    (void)state;
    check_response(200, json, SLICE_LITERAL("{}"), true, false,
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: \r\nContent-Length: 2\r\n\r\n{}");
    check_response(200, NULL, SLICE_LITERAL("{}"), true, true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    check_response(400, NULL, SLICE_NONE, false, false,
                   "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    check_response(101, upgrade, SLICE_NONE, true, false,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    check_response(204, NULL, SLICE_LITERAL("x"), true, false, "HTTP/1.1 204 No Content\r\n\r\n");
    check_response(304, NULL, SLICE_NONE, true, false, "HTTP/1.1 304 Not Modified\r\n\r\n");
}

/* A value with an end of line in it does not become another header. */
static void test_value_cannot_end_its_line(void **state)
{
    static const struct http_header_text headers[] = {{"Location", "/a\r\nSet-Cookie: b\x01\x7f"}, {NULL, NULL}};

    (void)state;
    check_response(302, headers, SLICE_NONE, true, false,
                   "HTTP/1.1 302 Found\r\nLocation: /a  Set-Cookie: b  \r\nContent-Length: 0\r\n\r\n");
}

static void test_requests(void **state)
{
    static const struct http_header_text headers[] = {{"X-A", "b"}, {NULL, NULL}};
    struct buffer out = {0};

    (void)state;
    http_write_request(&out, "GET", "/a?b", "h:80", headers, SLICE_NONE);
    assert_string_equal(out.data, "GET /a?b HTTP/1.1\r\nHost: h:80\r\nX-A: b\r\n\r\n");
    http_write_request(&out, "POST", "/c", "h", NULL, SLICE_LITERAL("xyz"));
    http_write_request(&out, "POST", "/d", "h", NULL, SLICE_LITERAL(""));
    transcript_check(&limits, false, false, buffer_slice(&out),
                     "GET /a?b 1.1 keep [Host=h:80;X-A=b] \nPOST /c 1.1 keep [Host=h;Content-Length=3] xyz\n"
                     "POST /d 1.1 keep [Host=h;Content-Length=0] \nidle");
    buffer_deinit(&out);
}

static void test_responses_are_read_back(void **state)
{
    struct buffer out = {0};

    (void)state;
    http_write_response(&out, 503, NULL, SLICE_LITERAL("later"), true, false);
    http_write_response(&out, 202, NULL, SLICE_LITERAL(""), false, false);
    transcript_check(&limits, true, false, buffer_slice(&out),
                     "503 \"Service Unavailable\" 1.1 keep [Content-Length=5] later\n"
                     "202 \"Accepted\" 1.1 close [Connection=close;Content-Length=0] \nidle");
    buffer_deinit(&out);
}

static void test_out_of_memory(void **state)
{
    bool refused = true;

    (void)state;
    for (size_t n = 0; refused; n++) {
        struct buffer out = {0};

        alloc_fail_after(n);
        http_write_response(&out, 200, NULL, SLICE_LITERAL("a body that makes the buffer grow past its first size"),
                            false, false);
        refused = alloc_fail_disarm();
        assert_int_equal(buffer_error(&out), refused ? -ENOMEM : 0);
        buffer_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_responses),     cmocka_unit_test(test_value_cannot_end_its_line),
        cmocka_unit_test(test_requests),      cmocka_unit_test(test_responses_are_read_back),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
