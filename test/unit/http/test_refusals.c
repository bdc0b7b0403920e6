/*
 * Requests that must not get through, each with the status that answers it: what has smuggled requests past one of two
 * parsers, what is malformed, what is not served. The same at every cut.
 */
#include "unit/http/transcript.h"

static const struct http_limits limits = {.head_bytes = 8192, .headers = 16, .body_bytes = 1000};

#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

/* With its size: some have NUL bytes. */
#define CASE(status, text)                                                                                             \
    {                                                                                                                  \
        "refused " #status, text, sizeof(text) - 1                                                                     \
    }

static const struct {
    const char *transcript;
    const char *bytes;
    size_t size;
} cases[] = {
    /* the request line */
    CASE(400, "GET /\r\n"),
    CASE(400, "GET / \r\n"),
    CASE(400, "GET  / HTTP/1.1\r\n"),
    CASE(400, "GET /  HTTP/1.1\r\n"),
    CASE(400, "GET / HTTP/1.1 \r\n"),
    CASE(400, "GET\t/\tHTTP/1.1\r\n"),
    CASE(400, " GET / HTTP/1.1\r\n"),
    CASE(400, " / HTTP/1.1\r\n"),
    CASE(400, "G@T / HTTP/1.1\r\n"),
    CASE(400, "GET / http/1.1\r\n"),
    CASE(400, "GET / HTTP/1.10\r\n"),
    CASE(400, "GET / HTTP/1\r\n"),
    CASE(400, "GET / HTTP/11\r\n"),
    CASE(400, "GET / XTTP/1.1\r\n"),
    CASE(400, "GET a HTTP/1.1\r\n"),
    CASE(400, "GET /a#b HTTP/1.1\r\n"),
    CASE(400, "GET /\xc3\xa9 HTTP/1.1\r\n"),
    CASE(400, "GET * HTTP/1.1\r\n"),
    CASE(400, "GET http:// HTTP/1.1\r\n"),
    CASE(400, "GET http:///p HTTP/1.1\r\n"),
    CASE(400, "GET http://u@h/p HTTP/1.1\r\n"),
    CASE(400, "GET http://h:x/p HTTP/1.1\r\n"),
    CASE(400, "GET ftp://h/p HTTP/1.1\r\n"),
    CASE(400, "GET h:80 HTTP/1.1\r\n"),
    CASE(501, "CONNECT h:80 HTTP/1.1\r\n"),
    CASE(505, "GET / HTTP/2.0\r\n"),
    CASE(505, "GET / HTTP/0.9\r\n"),
    CASE(505, "GET / HTTP/3.1\r\n"),
    CASE(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    CASE(400, "\r\n\r\nGET / HTTP/1.1\r\n"),
    CASE(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), /* TLS */
    CASE(400, "SSH-2.0-OpenSSH_9.2\r\n"),
    /* ends of lines and control characters */
    CASE(400, "GET / HTTP/1.1\nHost: h\n\n"),
    CASE(400, "\nGET / HTTP/1.1\r\n"),
    CASE(400, GET "Host: h\n"),
    CASE(400, GET "Host: h\r\n\n"),
    CASE(400, GET "Host: h\rX: y\r\n"),
    CASE(400, GET "Host: h\r\r\n"),
    CASE(400, GET "Host: h\r\n\rX"),
    CASE(400, GET "Host: h\0\r\n"),
    CASE(400, GET "Ho\0st: h\r\n"),
    CASE(400, "GET /\0 HTTP/1.1\r\n"),
    CASE(400, GET "X: \x01\r\n"),
    CASE(400, GET "X: \x0b\r\n"),
    CASE(400, GET "X: \x7f\r\n"),
    /* header lines */
    CASE(400, GET " Host: h\r\n\r\n"),
    CASE(400, GET "\tHost: h\r\n\r\n"),
    CASE(400, GET "Host: h\r\nX: a\r\n b\r\n\r\n"),
    CASE(400, GET "Host: h\r\nX: a\r\n\tb\r\n\r\n"),
    CASE(400, GET "Host: h\r\n \r\n\r\n"),
    CASE(400, GET "Host : h\r\n\r\n"),
    CASE(400, GET "Host\t: h\r\n\r\n"),
    CASE(400, GET "Host: h\r\n: x\r\n\r\n"),
    CASE(400, GET "Host: h\r\nX\r\n\r\n"),
    CASE(400, GET "Host: h\r\nX y: z\r\n\r\n"),
    CASE(400, GET "Host: h\r\nX\xe9: z\r\n\r\n"),
    CASE(400, GET "Host: h\r\n\"X\": z\r\n\r\n"),
    CASE(400, GET "Host: h\r\nX[0]: z\r\n\r\n"),
    /* Host */
    CASE(400, GET "\r\n"),
    CASE(400, GET "Host:\r\n\r\n"),
    CASE(400, GET "Host: a\r\nHost: a\r\n\r\n"),
    CASE(400, GET "Host: a\r\nhost: b\r\n\r\n"),
    CASE(400, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    CASE(400, "GET http://h/ HTTP/1.1\r\n\r\n"),
    CASE(400, GET "Host: a b\r\n\r\n"),
    CASE(400, GET "Host: a/b\r\n\r\n"),
    CASE(400, GET "Host: u@a\r\n\r\n"),
    CASE(400, GET "Host: a?b\r\n\r\n"),
    CASE(400, GET "Host: a:b\r\n\r\n"),
    CASE(400, GET "Host: a:65536\r\n\r\n"),
    CASE(400, GET "Host: a:1:2\r\n\r\n"),
    CASE(400, GET "Host: a%zz\r\n\r\n"),
    CASE(400, GET "Host: a%2\r\n\r\n"),
    CASE(400, GET "Host: \xc3\xa9\r\n\r\n"),
    CASE(400, GET "Host: ::1\r\n\r\n"),
    CASE(400, GET "Host: [::1\r\n\r\n"),
    CASE(400, GET "Host: [::1]x\r\n\r\n"),
    CASE(400, GET "Host: [nonsense]\r\n\r\n"),
    CASE(400, GET "Host: [::1%eth0]\r\n\r\n"),
    CASE(400, GET "Host: []\r\n\r\n"),
    CASE(400, GET "Host: :80\r\n\r\n"),
    /* Content-Length */
    CASE(400, POST "Content-Length:\r\n\r\n"),
    CASE(400, POST "Content-Length: -1\r\n\r\n"),
    CASE(400, POST "Content-Length: +1\r\n\r\n"),
    CASE(400, POST "Content-Length: 0x1\r\n\r\n"),
    CASE(400, POST "Content-Length: 1 1\r\n\r\n"),
    CASE(400, POST "Content-Length: 1, 1\r\n\r\n"),
    CASE(400, POST "Content-Length: 1,2\r\n\r\n"),
    CASE(400, POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    CASE(400, POST "Content-Length: 1\r\ncontent-length: \r\n\r\n"),
    CASE(400, POST "Content-Length: 1;a\r\n\r\n"),
    CASE(400, POST "Content-Length: \"1\"\r\n\r\n"),
    CASE(413, POST "Content-Length: 1001\r\n\r\n"),
    CASE(413, POST "Content-Length: 18446744073709551616\r\n\r\n"),
    CASE(413, POST "Content-Length: 18446744073709551617\r\n\r\n"),
    CASE(411, "POST / HTTP/1.0\r\n\r\n"),
    CASE(411, "PUT / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    /* Transfer-Encoding */
    CASE(400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding:\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked,\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: , chunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked, gzip\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chun ked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding : chunked\r\n\r\n"),
    CASE(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: gzip\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: identity\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: xchunked\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"),
    /* chunks */
    CASE(400, CHUNKED "\r\n"),
    CASE(400, CHUNKED ";x\r\n"),
    CASE(400, CHUNKED "g\r\n"),
    CASE(400, CHUNKED "-1\r\n"),
    CASE(400, CHUNKED "+1\r\n"),
    CASE(400, CHUNKED "0x1\r\n"),
    CASE(400, CHUNKED " 1\r\n"),
    CASE(400, CHUNKED "1 \r\n"),
    CASE(400, CHUNKED "1 ;x\r\n"),
    CASE(400, CHUNKED "1\n"),
    CASE(400, CHUNKED "1\rX"),
    CASE(400, CHUNKED "1;a\nb\r\n"),
    CASE(400, CHUNKED "1;\0\r\n"),
    CASE(400, CHUNKED "1;a\r\r\n"),
    CASE(400, CHUNKED "00000000000000000\r\n"),
    CASE(400, CHUNKED "10000000000000001\r\n"),
    CASE(400, CHUNKED "1\r\nab\r\n"),
    CASE(400, CHUNKED "1\r\na\n"),
    CASE(400, CHUNKED "1\r\na\rX"),
    CASE(400, CHUNKED "1\r\na0\r\n\r\n"),
    CASE(413, CHUNKED "3e9\r\n"),
    CASE(413, CHUNKED "fffffffffffffffe\r\n"),
    CASE(400, CHUNKED "0\r\nX: y\n\r\n"),
    CASE(400, CHUNKED "0\r\nX : y\r\n\r\n"),
    CASE(400, CHUNKED "0\r\n X: y\r\n\r\n"),
    CASE(400, CHUNKED "0\r\nX\r\n\r\n"),
    CASE(400, CHUNKED "0\r\n: y\r\n\r\n"),
    CASE(400, CHUNKED "0\r\nX: \0\r\n\r\n"),
    CASE(400, CHUNKED "0\r\n\rX"),
    CASE(400, CHUNKED "0\r\n\n"),
    /* a body behind which frames would begin */
    CASE(400, POST "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n"),
    CASE(400, POST "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"),
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        transcript_check(&limits, false, false, slice_make(cases[i].bytes, cases[i].size), cases[i].transcript);
}

/* The same bytes with something harmless behind them are refused as well: nothing is let through because more came. */
static void test_refused_with_more_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct buffer bytes = {0};

        buffer_append(&bytes, cases[i].bytes, cases[i].size);
        buffer_append_text(&bytes, "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n");
        transcript_check(&limits, false, false, buffer_slice(&bytes), cases[i].transcript);
        buffer_deinit(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_with_more_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
