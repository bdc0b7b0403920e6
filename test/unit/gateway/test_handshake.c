/* The handshake as a table: a request in, a decision and its response out. No sockets. */
#include "gateway/handshake_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define EXTENSIONS "Sec-WebSocket-Extensions: "
#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n"

static bool ready;

static bool is_ready(void *userdata base_unused, char reason[128])
{
    if (!ready)
        snprintf(reason, 128, "no broker");
    return ready;
}

static struct gateway_routes routes;
static const struct ws_deflate_policy deflate = {.client_window_bits = 15};
static struct gateway_site site = {.routes = &routes, .demo = true, .deflate = &deflate, .is_ready = is_ready};

static int setup(void **state base_unused)
{
    struct buffer errors = {0};

    return gateway_routes_load(&routes, NULL, true, &errors);
}

static int teardown(void **state base_unused)
{
    gateway_routes_deinit(&routes);
    return 0;
}

/** The response to @text in @out; what was decided. */
static enum gateway_answer answer(const char *text, struct buffer *out, struct gateway_decision *ret_decision)
{
    const struct http_limits limits = {.head_bytes = 8192, .headers = 64};
    const struct http_message *request;
    struct http_parser *parser;
    enum gateway_answer decided;
    size_t consumed;

    assert_int_equal(http_parser_new_request(&limits, &parser), 0);
    assert_int_equal(http_parser_feed(parser, text, strlen(text), &consumed, &request), 0);
    assert_int_equal(gateway_handshake_decide(&site, request, ret_decision), 0);
    decided = ret_decision->answer;
    buffer_reset(out, 0);
    gateway_handshake_write(ret_decision, out);
    assert_int_equal(buffer_error(out), 0);
    ret_decision->key = SLICE_NONE;
    http_parser_free(parser);
    return decided;
}

static void assert_has(const struct buffer *out, const char *text)
{
    if (!strstr(out->data, text))
        fail_msg("\"%s\" is not in:\n%s", text, out->data);
}

static void test_upgrade(void **state base_unused)
{
    static const struct {
        const char *request, *response;
    } rows[] = {
        /* RFC 6455 section 1.3 has this key and answer. */
        {GET("/ws") UPGRADE KEY VERSION "\r\n", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"},
        {GET("/ws") "upgrade: h2c, WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n" KEY VERSION "\r\n",
         "HTTP/1.1 101 Switching Protocols\r\n"},
        {GET("/ws") UPGRADE KEY VERSION "Sec-WebSocket-Protocol: x, warren.json.v1\r\n\r\n",
         "Sec-WebSocket-Protocol: warren.json.v1\r\n"},
        {GET("/ws") UPGRADE KEY VERSION "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: warren.json.v1\r\n\r\n",
         "Sec-WebSocket-Protocol: warren.json.v1\r\n"},
        {GET("/echo") UPGRADE KEY VERSION "\r\n", "HTTP/1.1 101 "},
        {GET("/echo") UPGRADE KEY VERSION EXTENSIONS "foo\r\n" EXTENSIONS
                                                     "permessage-deflate;server_max_window_bits=9\r\n\r\n",
         "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=9\r\n"},
        {GET("/websocket/42/7?since=1:2") UPGRADE KEY VERSION "\r\n", "HTTP/1.1 101 "},
    };
    struct gateway_decision decision;
    struct buffer out = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        assert_int_equal(answer(rows[i].request, &out, &decision), GATEWAY_ANSWER_UPGRADE);
        assert_has(&out, rows[i].response);
        assert_has(&out, "Upgrade: websocket\r\n");
        assert_has(&out, "Connection: Upgrade\r\n");
        assert_null(strstr(out.data, "Content-Length"));
        assert_string_equal(out.data + out.size - 4, "\r\n\r\n");
    }
    /* Compression is answered only to those who ask, and with the subprotocol. */
    assert_int_equal(answer(GET("/ws") UPGRADE KEY VERSION EXTENSIONS "foo\r\n\r\n", &out, &decision),
                     GATEWAY_ANSWER_UPGRADE);
    assert_null(strstr(out.data, "Sec-WebSocket-Extensions"));
    assert_false(decision.has_deflate);
    assert_int_equal(answer(GET("/ws") UPGRADE KEY VERSION EXTENSIONS
                            "permessage-deflate\r\nSec-WebSocket-Protocol: warren.json.v1\r\n\r\n",
                            &out, &decision),
                     GATEWAY_ANSWER_UPGRADE);
    assert_has(&out, "Sec-WebSocket-Protocol: warren.json.v1\r\nSec-WebSocket-Extensions: permessage-deflate; ");
    /* Unknown subprotocols are not chosen, and no reason to refuse. */
    assert_int_equal(answer(GET("/ws") UPGRADE KEY VERSION "Sec-WebSocket-Protocol: x, y\r\n\r\n", &out, &decision),
                     GATEWAY_ANSWER_UPGRADE);
    assert_null(strstr(out.data, "Sec-WebSocket-Protocol"));
    assert_ptr_equal(decision.codec, &proto_codec_json);
    assert_int_equal(answer(GET("/websocket/4%202/7") UPGRADE KEY VERSION "\r\n", &out, &decision),
                     GATEWAY_ANSWER_UPGRADE);
    assert_true(slice_equal_text(gateway_name_slice(&decision.target.room), "4 2"));
    assert_true(slice_equal_text(gateway_name_slice(&decision.target.user), "7"));
    buffer_deinit(&out);
}

static void test_refusals(void **state base_unused)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *response;
    } rows[] = {
        {GET("/nowhere") UPGRADE KEY VERSION "\r\n", 404, "\"code\":\"not_found\""},
        {GET("/nowhere") "\r\n", 404, "\"code\":\"not_found\""},
        {GET("/ws") "\r\n", 426, "Upgrade: websocket\r\n"},
        {GET("/ws") "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 426, "Sec-WebSocket-Version: 13\r\n"},
        {GET("/ws") UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426, "Sec-WebSocket-Version: 13\r\n"},
        {GET("/ws") UPGRADE KEY "Sec-WebSocket-Version: 013\r\n\r\n", 426, "Sec-WebSocket-Version: 13\r\n"},
        {GET("/ws") UPGRADE KEY "\r\n", 400, "Sec-WebSocket-Version is missing"},
        {GET("/ws") UPGRADE VERSION "\r\n", 400, "Sec-WebSocket-Key"},
        {GET("/ws") UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n", 400, "Sec-WebSocket-Key"},
        {GET("/ws") UPGRADE VERSION KEY "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", 400,
         "Sec-WebSocket-Key"},
        {GET("/ws") "Upgrade: websocket\r\n" KEY VERSION "\r\n", 400, "Connection: Upgrade is missing"},
        {"GET /ws HTTP/1.0\r\n" UPGRADE KEY VERSION "\r\n", 400, "HTTP/1.1"},
        {"POST /ws HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION "\r\n", 405, "Allow: GET, HEAD\r\n"},
        {"HEAD /ws HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION "\r\n", 426, "HTTP/1.1 426 "},
        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 405, "Allow: GET, HEAD\r\n"},
        {GET("/ws") UPGRADE KEY VERSION EXTENSIONS "permessage-deflate;\r\n\r\n", 400,
         "Sec-WebSocket-Extensions is not"},
        {GET("/ws") UPGRADE KEY VERSION EXTENSIONS "x\r\n" EXTENSIONS "=\r\n\r\n", 400,
         "Sec-WebSocket-Extensions is not"},
        {GET("/ws") UPGRADE KEY VERSION EXTENSIONS "\r\n\r\n", 400, "Sec-WebSocket-Extensions is empty"},
        {GET("/websocket/42/%ff") UPGRADE KEY VERSION "\r\n", 400, "\"message\":\"user "},
        {GET("/websocket/42/7?since=x") UPGRADE KEY VERSION "\r\n", 400, "\"message\":\"since "},
    };
    struct gateway_decision decision;
    struct buffer out = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        assert_int_equal(answer(rows[i].request, &out, &decision), GATEWAY_ANSWER_REFUSAL);
        assert_int_equal(decision.status, rows[i].status);
        assert_has(&out, rows[i].response);
        assert_has(&out, "Connection: close\r\n");
        assert_has(&out, "Content-Length: ");
    }
    buffer_deinit(&out);
}

/* A full or draining node refuses sessions, but still answers health checks. */
static void test_refusing(void **state base_unused)
{
    struct gateway_decision decision;
    struct buffer out = {0};

    site.refusing = "full";
    site.refusing_status = 503;
    assert_int_equal(answer(GET("/ws") UPGRADE KEY VERSION "\r\n", &out, &decision), GATEWAY_ANSWER_REFUSAL);
    assert_int_equal(decision.status, 503);
    assert_has(&out, "Retry-After: ");
    assert_true(decision.is_turned_away && decision.retry_after_s >= 5 && decision.retry_after_s < 10);
    site.refusing_status = 429;
    assert_int_equal(answer(GET("/ws") UPGRADE KEY VERSION "\r\n", &out, &decision), GATEWAY_ANSWER_REFUSAL);
    assert_int_equal(decision.status, 429);
    assert_has(&out, "Retry-After: ");
    assert_has(&out, "\"code\":\"quota\"");
    assert_int_equal(answer(GET("/healthz") "\r\n", &out, &decision), GATEWAY_ANSWER_TEXT);
    site.refusing = NULL;
    buffer_deinit(&out);
}

static void test_pages(void **state base_unused)
{
    struct gateway_decision decision;
    struct buffer out = {0};

    assert_int_equal(answer(GET("/healthz") "\r\n", &out, &decision), GATEWAY_ANSWER_TEXT);
    assert_has(&out, "HTTP/1.1 200 OK\r\n");
    assert_has(&out, "\r\n\r\nok\n");
    ready = false;
    assert_int_equal(answer(GET("/readyz") "\r\n", &out, &decision), GATEWAY_ANSWER_TEXT);
    assert_has(&out, "HTTP/1.1 503 ");
    assert_has(&out, "\r\n\r\nno broker\n");
    ready = true;
    assert_int_equal(answer(GET("/readyz") "\r\n", &out, &decision), GATEWAY_ANSWER_TEXT);
    assert_has(&out, "HTTP/1.1 200 ");
    assert_int_equal(answer(GET("/?room=x") "\r\n", &out, &decision), GATEWAY_ANSWER_ASSET);
    assert_has(&out, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; ");
    assert_has(&out, "X-Content-Type-Options: nosniff\r\n");
    assert_has(&out, "Referrer-Policy: no-referrer\r\n");
    assert_has(&out, "<!doctype html>");
    assert_int_equal(answer(GET("/demo.js") "\r\n", &out, &decision), GATEWAY_ANSWER_ASSET);
    assert_has(&out, "Content-Type: text/javascript");
    assert_int_equal(answer(GET("/demo.css") "\r\n", &out, &decision), GATEWAY_ANSWER_ASSET);
    assert_int_equal(answer("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", &out, &decision), GATEWAY_ANSWER_ASSET);
    assert_string_equal(out.data + out.size - 4, "\r\n\r\n");
    site.demo = false;
    assert_int_equal(answer(GET("/") "\r\n", &out, &decision), GATEWAY_ANSWER_REFUSAL);
    assert_int_equal(decision.status, 404);
    site.demo = true;
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusing),
        cmocka_unit_test(test_pages),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
