/* A whole gateway and hub on real sockets, seen by clients that send bytes. */
#include "support/alloc.h"
#include "unit/gateway/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FIN 0x80u
#define UPGRADE_REQUEST                                                                                                \
    "GET /ws?user=p HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                           \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static int start(void **state)
{
    static const char *const assignments[] = {"listen.echo=yes", "listen.demo=yes", "limits.frame_bytes=64k", NULL};

    *state = node_start(assignments);
    return 0;
}

static int stop(void **state)
{
    node_stop(*state);
    return 0;
}

/* ---- sessions ---- */

static void test_welcome(void **state)
{
    struct client *c = client_upgrade(*state, "/websocket/42/Ann%20Lee");
    const char *text = client_expect(c, "\"event\":\"welcome\"");

    assert_non_null(strstr(text, "\"user\":\"Ann Lee\""));
    assert_non_null(strstr(text, "\"node\":\"127.0.0.1:1\""));
    assert_non_null(strstr(text, "\"heartbeat_s\":25"));
    assert_non_null(strstr(text, "\"room:42\""));
    assert_non_null(strstr(text, "\"user:Ann Lee\""));
    assert_non_null(strstr(text, "\"all\""));
    client_close(c);
}

static void test_join_and_send(void **state)
{
    struct client *a = client_upgrade(*state, "/ws?user=a"), *b = client_upgrade(*state, "/ws?user=b");
    struct client *both[] = {a, b};
    const char *text;

    for (size_t i = 0; i < 2; i++) {
        client_expect(both[i], "welcome");
        client_send_json(both[i], "{\"id\":1,\"op\":\"join\",\"room\":\"r 1\"}");
        text = client_expect(both[i], "\"id\":1");
        assert_non_null(strstr(text, "\"channel\":\"room:r 1\""));
    }
    client_send_json(a, "{\"id\":\"x\",\"op\":\"send\",\"room\":\"r 1\",\"data\":{\"n\":1.50,\"u\":\"\\u00e9\"}}");
    /* The sender hears its own message; data arrives byte for byte. */
    for (size_t i = 0; i < 2; i++) {
        text = client_expect(both[i], "\"event\":\"message\"");
        assert_non_null(strstr(text, "\"from\":\"a\""));
        assert_non_null(strstr(text, "\"data\":{\"n\":1.50,\"u\":\"\\u00e9\"}"));
    }
    client_send_json(a, "{\"id\":2,\"op\":\"online\",\"room\":\"r 1\"}");
    client_expect(a, "\"id\":2,\"ok\":{\"count\":");
    client_send_json(a, "{\"id\":3,\"op\":\"leave\",\"room\":\"r 1\"}");
    client_expect(a, "\"id\":3,\"ok\":");
    client_send_json(a, "{\"id\":4,\"op\":\"send\",\"room\":\"r 1\",\"data\":1}");
    client_expect(a, "\"id\":4,\"error\":{\"code\":\"not_joined\"");
    client_send_json(b, "{\"id\":5,\"op\":\"whisper\",\"user\":\"a\",\"data\":\"psst\"}");
    text = client_expect(a, "psst");
    assert_non_null(strstr(text, "\"channel\":\"user:a\""));
    client_expect(b, "\"id\":5,\"ok\":");
    client_close(a);
    client_close(b);
}

#define RUN 90

/** Sends RUN messages in one frame: they reach the hub, and come back, together. */
static void send_run(struct client *c)
{
    struct buffer json = {0};

    for (unsigned i = 0; i < RUN; i++)
        buffer_printf(&json, "%c{\"op\":\"send\",\"room\":\"run\",\"data\":\"n%u.\"}", i ? ',' : '[', i);
    buffer_append_text(&json, "]");
    assert_int_equal(buffer_error(&json), 0);
    client_send_frame(c, FIN | WS_OPCODE_TEXT, json.data, json.size);
    buffer_deinit(&json);
}

/* What comes together leaves in few writes, one message a frame, each in its place. */
static void test_runs(void **state base_unused)
{
    static const char *const assignments[] = {"channel.run.match=room:run", "channel.run.sequenced=yes", NULL};
    struct node *n = node_start(assignments);
    struct client *clients[3] = {client_upgrade(n, "/websocket/run/a"), client_upgrade(n, "/websocket/run/b"),
                                 client_upgrade(n, "/websocket/run/c")};
    int64_t frames;

    for (size_t i = 0; i < 3; i++)
        client_expect(clients[i], "welcome");
    send_run(clients[0]);
    for (size_t i = 0; i < 3; i++) {
        for (unsigned k = 0; k < RUN; k++) {
            char data[32], offset[32];
            const char *text = client_expect(clients[i], "\"event\":\"message\"");

            snprintf(data, sizeof(data), "\"data\":\"n%u.\"", k);
            assert_non_null(strstr(text, data));
            snprintf(offset, sizeof(offset), "\"offset\":%u", k + 1);
            assert_non_null(strstr(text, offset));
        }
    }
    do
        frames = node_metric(n, "warren_gateway_sent_frames_total"); /* told once a second */
    while (frames < 3 * (RUN + 2));
    assert_in_range(node_metric(n, "warren_gateway_writes_total"), 6, frames / 4);
    for (size_t i = 0; i < 3; i++)
        client_close(clients[i]);
    node_stop(n);
}

static void test_errors_do_not_end(void **state)
{
    struct client *c = client_upgrade(*state, "/ws");

    client_expect(c, "welcome");
    client_send_json(c, "{\"op\":");
    client_expect(c, "\"error\":{\"code\":\"bad_json\"");
    client_send_json(c, "{\"id\":7,\"op\":\"fly\"}");
    client_expect(c, "\"id\":7,\"error\":{\"code\":\"unknown_op\"");
    client_send_json(c, "[{\"id\":8,\"op\":\"join\",\"room\":\"\"},{\"id\":9,\"op\":\"ping\"}]");
    client_expect(c, "\"id\":8,\"error\":{\"code\":\"bad_name\"");
    client_expect(c, "\"id\":9,\"ok\":{}");
    /* without an id: no answer, but errors */
    client_send_json(c, "{\"op\":\"ping\"}");
    client_send_json(c, "{\"op\":\"leave\",\"room\":\"nowhere\"}");
    assert_non_null(strstr(client_expect(c, ""), "{\"error\":{\"code\":\"not_joined\""));
    client_send_frame(c, FIN | WS_OPCODE_BINARY, "x", 1);
    client_expect(c, "\"bad_request\"");
    client_close(c);
}

static void test_relay(void **state)
{
    struct client *a = client_upgrade(*state, "/websocket/voice/a"), *b = client_upgrade(*state, "/ws?user=b");
    struct ws_event event;

    client_expect(a, "welcome");
    client_expect(b, "welcome");
    client_send_json(b, "{\"id\":1,\"op\":\"join\",\"room\":\"voice\",\"binary\":true}");
    client_expect(b, "\"id\":1,\"ok\"");
    client_send_frame(a, FIN | WS_OPCODE_BINARY, "\x00\xff\x01", 3);
    do
        event = client_read(b);
    while (event.opcode == WS_OPCODE_TEXT);
    assert_int_equal(event.opcode, WS_OPCODE_BINARY);
    assert_int_equal(event.payload.size, 3);
    assert_memory_equal(event.payload.data, "\x00\xff\x01", 3);
    client_send_frame(b, FIN | WS_OPCODE_BINARY, "back", 4);
    do
        event = client_read(a);
    while (event.opcode == WS_OPCODE_TEXT);
    /* its own octets did not come back before */
    assert_memory_equal(event.payload.data, "back", 4);
    client_close(a);
    client_close(b);
}

/* Far more requests than may be open: reading stops and goes on, and each is answered. */
static void test_open_requests(void **state)
{
    struct client *c = client_upgrade(*state, "/websocket/flood/f");
    char json[128];
    unsigned answers = 0;

    client_expect(c, "welcome");
    for (unsigned i = 0; i < 500; i++) {
        snprintf(json, sizeof(json), "{\"id\":%u,\"op\":\"send\",\"room\":\"flood\",\"data\":%u}", i, i);
        client_send_json(c, json);
    }
    for (unsigned i = 0; i < 500; i++)
        answers += strstr(client_expect(c, "\"id\":"), "\"event\":\"message\"") == NULL;
    while (answers < 500) {
        client_expect(c, "\"ok\":");
        answers++;
    }
    client_close(c);
}

/* ---- frames ---- */

static void test_fragments(void **state)
{
    struct client *c = client_upgrade(*state, "/ws");
    static const char json[] = "{\"id\":1,\"op\":\"ping\"}";
    struct ws_event event;

    client_expect(c, "welcome");
    client_send_frame(c, WS_OPCODE_TEXT, json, 5);
    client_send_frame(c, FIN | WS_OPCODE_PING, "between", 7);
    event = client_read(c);
    assert_int_equal(event.type, WS_EVENT_PONG);
    assert_memory_equal(event.payload.data, "between", 7);
    for (size_t i = 5; i < sizeof(json) - 2; i++)
        client_send_frame(c, WS_OPCODE_CONTINUATION, json + i, 1);
    client_send_frame(c, FIN | WS_OPCODE_CONTINUATION, json + sizeof(json) - 2, 1);
    client_expect(c, "\"id\":1,\"ok\":{}");
    client_close(c);
}

/* Frames that come with the request, and one cut anywhere, are not lost. */
static void test_pipelined(void **state)
{
    static const uint8_t key[4] = {1, 2, 3, 4};
    struct buffer bytes = {0}, response = {0};

    buffer_append_text(&bytes, UPGRADE_REQUEST);
    for (unsigned i = 1; i <= 3; i++) {
        char json[64];
        int size = snprintf(json, sizeof(json), "{\"id\":%u,\"op\":\"ping\"}", i);

        ws_frame_append(&bytes, WS_OPCODE_TEXT, slice_make(json, (size_t)size), key);
    }
    for (size_t cut = 1; cut < bytes.size; cut += 13) {
        struct client *c = client_connect(*state);

        client_send(c, bytes.data, cut);
        client_send(c, bytes.data + cut, bytes.size - cut);
        assert_int_equal(client_request(c, "", &response), 101);
        client_expect(c, "welcome");
        client_expect(c, "\"id\":1,\"ok\"");
        client_expect(c, "\"id\":2,\"ok\"");
        client_expect(c, "\"id\":3,\"ok\"");
        client_close(c);
    }
    buffer_deinit(&bytes);
    buffer_deinit(&response);
}

static void test_close_codes(void **state)
{
    static const struct {
        unsigned first_byte;
        const char *data;
        size_t size;
        unsigned code;
        const char *reason;
    } rows[] = {
        {FIN | 0x40 | WS_OPCODE_TEXT, "x", 1, 1002, "protocol_error"},
        {FIN | 3, "x", 1, 1002, "protocol_error"},
        {FIN | WS_OPCODE_CONTINUATION, "x", 1, 1002, "protocol_error"},
        {FIN | WS_OPCODE_CLOSE, "\x03", 1, 1002, "protocol_error"},
        {FIN | WS_OPCODE_CLOSE, "\x03\xed", 2, 1002, "protocol_error"}, /* 1005 */
        {FIN | WS_OPCODE_TEXT, "\xff", 1, 1007, "bad_payload"},
        {FIN | WS_OPCODE_TEXT, NULL, 65537, 1009, "too_big"},
        {FIN | WS_OPCODE_CLOSE, "\x03\xe8", 2, 1000, "peer_closed"},
        {FIN | WS_OPCODE_CLOSE, "\x0f\xa0why", 5, 4000, "peer_closed"},
        {FIN | WS_OPCODE_CLOSE, "", 0, WS_CLOSE_NO_STATUS, "peer_closed"},
    };
    static const char zeros[65537];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct client *c = client_upgrade(*state, "/ws");
        char metric[96];
        int64_t before;

        snprintf(metric, sizeof(metric), "warren_gateway_ended_total{reason=\"%s\"}", rows[i].reason);
        before = node_metric(*state, metric);
        client_expect(c, "welcome");
        client_send_frame(c, rows[i].first_byte, rows[i].data ? rows[i].data : zeros, rows[i].size);
        client_expect_close(c, rows[i].code);
        client_expect_end(c);
        assert_int_equal(node_metric(*state, metric), before + 1);
        client_close(c);
    }
}

static void test_unmasked(void **state)
{
    struct client *c = client_upgrade(*state, "/ws");

    client_expect(c, "welcome");
    client_send(c, "\x81\x01x", 3);
    client_expect_close(c, 1002);
    client_expect_end(c);
    client_close(c);
}

static void test_echo(void **state)
{
    static char big[65536];
    struct client *c = client_upgrade(*state, "/echo");
    struct ws_event event;

    memset(big, 'z', sizeof(big));
    client_send_frame(c, FIN | WS_OPCODE_TEXT, "h\xc3\xa9", 3);
    event = client_read(c);
    assert_int_equal(event.opcode, WS_OPCODE_TEXT);
    assert_memory_equal(event.payload.data, "h\xc3\xa9", 3);
    client_send_frame(c, FIN | WS_OPCODE_BINARY, "", 0);
    event = client_read(c);
    assert_int_equal(event.opcode, WS_OPCODE_BINARY);
    assert_int_equal(event.payload.size, 0);
    for (unsigned i = 0; i < 20; i++) {
        client_send_frame(c, FIN | WS_OPCODE_BINARY, big, sizeof(big));
        event = client_read(c);
        assert_int_equal(event.payload.size, sizeof(big));
        assert_memory_equal(event.payload.data, big, sizeof(big));
    }
    client_send_frame(c, FIN | WS_OPCODE_CLOSE, "\x03\xe8", 2);
    client_expect_close(c, 1000);
    client_close(c);
}

/* ---- requests ---- */

static void test_http(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
    } rows[] = {
        {"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 200},
        {"GET /readyz HTTP/1.0\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200},
        {"GET /demo.js HTTP/1.1\r\nHost: h\r\n\r\n", 200},
        {"GET /none HTTP/1.1\r\nHost: h\r\n\r\n", 404},
        {"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", 426},
        {"DELETE /ws HTTP/1.1\r\nHost: h\r\n\r\n", 405},
        {"POST /ws HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 405},
        {"POST /ws HTTP/1.1\r\nHost: h\r\nContent-Length: 4097\r\n\r\n", 413},
        {"GET /ws HTTP/1.1\r\n\r\n", 400},
        {"GET /ws HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400},
        {"nonsense\r\n\r\n", 400},
    };
    struct buffer response = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct client *c = client_connect(*state);

        assert_int_equal(client_request(c, rows[i].request, &response), rows[i].status);
        client_expect_end(c);
        client_close(c);
    }
    buffer_deinit(&response);
}

static void test_head_limits(void **state)
{
    struct buffer request = {0}, response = {0};
    struct client *c = client_connect(*state);

    buffer_append_text(&request, "GET /ws HTTP/1.1\r\nHost: h\r\n");
    for (unsigned i = 0; i < 100; i++)
        buffer_printf(&request, "X-%u: y\r\n", i);
    buffer_append_text(&request, "\r\n");
    assert_int_equal(client_request(c, request.data, &response), 431);
    client_close(c);

    c = client_connect(*state);
    buffer_reset(&request, 0);
    buffer_append_text(&request, "GET /ws HTTP/1.1\r\nHost: h\r\nX: ");
    for (unsigned i = 0; i < 9000; i++)
        buffer_append_char(&request, 'x');
    assert_int_equal(client_request(c, request.data, &response), 431);
    client_close(c);

    c = client_connect(*state);
    buffer_reset(&request, 0);
    buffer_append_text(&request, "GET /");
    for (unsigned i = 0; i < 9000; i++)
        buffer_append_char(&request, 'x');
    assert_int_equal(client_request(c, request.data, &response), 414);
    client_close(c);
    buffer_deinit(&request);
    buffer_deinit(&response);
}

/* ---- with limits of their own ---- */

static void test_connection_limit(void **state base_unused)
{
    static const char *const assignments[] = {"limits.connections=2", NULL};
    struct node *n = node_start(assignments);
    struct client *a = client_upgrade(n, "/ws"), *b = client_upgrade(n, "/ws"), *c = client_connect(n);
    struct buffer response = {0};

    assert_int_equal(client_request(c, UPGRADE_REQUEST, &response), 503);
    assert_non_null(strstr(response.data, "Retry-After: "));
    client_expect_end(c);
    client_close(c);
    assert_int_equal(node_metric(n, "warren_gateway_refused_total{status=\"503\"}"), 1);
    client_close(b);
    node_wait_metric(n, "warren_gateway_connections", 1);
    b = client_upgrade(n, "/ws");
    client_expect(b, "welcome");
    client_close(a);
    client_close(b);
    buffer_deinit(&response);
    node_stop(n);
}

static void test_timeouts(void **state base_unused)
{
    static const char *const assignments[] = {"limits.handshake_timeout=3s", "session.heartbeat=3s",
                                              "limits.close_timeout=1s", NULL};
    struct node *n = node_start(assignments);
    struct client *slow = client_connect(n), *idle = client_upgrade(n, "/ws"), *alive = client_upgrade(n, "/ws");
    struct ws_event event;

    client_send_text(slow, "GET /ws HTT");
    client_expect(idle, "welcome");
    client_expect(alive, "welcome");
    client_expect_end(slow);
    event = client_read(alive);
    assert_int_equal(event.type, WS_EVENT_PING);
    client_send_frame(alive, FIN | WS_OPCODE_PONG, "", 0);
    event = client_read(idle);
    assert_int_equal(event.type, WS_EVENT_PING);
    client_expect_close(idle, 4102);
    client_expect_end(idle); /* the close frame was not answered: cut off */
    event = client_read(alive);
    assert_int_equal(event.type, WS_EVENT_PING);
    node_wait_metric(n, "warren_gateway_ended_total{reason=\"handshake_timeout\"}", 1);
    node_wait_metric(n, "warren_gateway_ended_total{reason=\"idle\"}", 1);
    client_close(slow);
    client_close(idle);
    client_close(alive);
    node_stop(n);
}

/* One who does not read is cut off; the others of the room do not notice. */
static void test_too_slow(void **state base_unused)
{
    static const char *const assignments[] = {"limits.queued_bytes=128k", NULL};
    struct node *n = node_start(assignments);
    struct client *slow = client_upgrade(n, "/websocket/r/slow"), *talker = client_upgrade(n, "/websocket/r/talker");
    static char json[32768];
    int size;

    client_expect(slow, "welcome");
    client_expect(talker, "welcome");
    size = snprintf(json, sizeof(json), "{\"id\":1,\"op\":\"send\",\"room\":\"r\",\"data\":\"%030000d\"}", 7);
    for (unsigned i = 0; i < 1000 && node_metric(n, "warren_gateway_ended_total{reason=\"too_slow\"}") == 0; i++) {
        client_send_frame(talker, FIN | WS_OPCODE_TEXT, json, (size_t)size);
        client_expect(talker, "\"event\":\"message\"");
    }
    assert_int_equal(node_metric(n, "warren_gateway_ended_total{reason=\"too_slow\"}"), 1);
    node_wait_metric(n, "warren_gateway_connections", 1);
    client_close(slow);
    client_close(talker);
    node_stop(n);
}

static void test_shutdown(void **state base_unused)
{
    static const char *const assignments[] = {"limits.close_timeout=2s", "listen.echo=yes", NULL};
    struct node *n = node_start(assignments);
    struct client *polite = client_upgrade(n, "/ws"), *rude = client_upgrade(n, "/ws");
    struct client *echo = client_upgrade(n, "/echo"), *reading = client_connect(n);
    const char *text;
    unsigned long wait_ms;

    client_send_text(reading, "GET /ws HTT");
    client_expect(polite, "welcome");
    client_expect(rude, "welcome");
    node_wait_metric(n, "warren_gateway_connections", 4);
    node_shutdown(n, 500);
    text = client_expect(polite, "\"event\":\"goodbye\"");
    assert_non_null(strstr(text, "\"code\":4100,\"reason\":\"draining\""));
    wait_ms = strtoul(strstr(text, "\"retry_after_ms\":") + 17, NULL, 10);
    assert_true(wait_ms <= 500);
    client_expect_close(polite, 4100);
    client_send_frame(polite, FIN | WS_OPCODE_CLOSE, "\x10\x04", 2);
    client_expect_end(polite);
    client_expect_close(echo, 4100);
    client_expect_end(reading);
    client_expect_close(rude, 4100);
    client_expect_end(rude); /* not answered: cut off */
    node_wait_down(n);
    assert_int_equal(node_metric(n, "warren_gateway_ended_total{reason=\"draining\"}"), 4);
    client_close(polite);
    client_close(rude);
    client_close(echo);
    client_close(reading);
    node_stop(n);
}

/*
 * With each allocation of the node failing in turn: a connection may end, the node does not, and it gives everything
 * back. What the client needs was allocated before.
 */
static void test_out_of_memory(void **state base_unused)
{
    static const uint8_t key[4] = {1, 2, 3, 4};
    struct node *n = node_start(NULL);
    struct buffer bytes = {0};
    struct client *c;

    buffer_append_text(&bytes, UPGRADE_REQUEST);
    ws_frame_append(&bytes, WS_OPCODE_TEXT,
                    SLICE_LITERAL("[{\"id\":1,\"op\":\"join\",\"room\":\"r\",\"binary\":true},"
                                  "{\"id\":2,\"op\":\"send\",\"room\":\"r\",\"data\":\"\\u0041\",\"key\":\"k\"}]"),
                    key);
    ws_frame_append(&bytes, WS_OPCODE_BINARY, SLICE_LITERAL("octets"), key);
    for (size_t i = 0; i < 150; i++) {
        c = client_connect(n);
        alloc_fail_after(i);
        client_send(c, bytes.data, bytes.size);
        usleep(5000);
        alloc_fail_disarm();
        client_close(c);
        node_wait_metric(n, "warren_gateway_connections", 0);
    }
    c = client_upgrade(n, "/ws?user=u");
    client_expect(c, "welcome");
    client_send_json(c, "{\"id\":1,\"op\":\"join\",\"room\":\"after\"}");
    client_expect(c, "\"id\":1,\"ok\"");
    client_send_json(c, "{\"id\":2,\"op\":\"send\",\"room\":\"after\",\"data\":true}");
    client_expect(c, "\"event\":\"message\"");
    client_close(c);
    buffer_deinit(&bytes);
    node_stop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_welcome),     cmocka_unit_test(test_join_and_send),
        cmocka_unit_test(test_runs),        cmocka_unit_test(test_errors_do_not_end),
        cmocka_unit_test(test_relay),       cmocka_unit_test(test_open_requests),
        cmocka_unit_test(test_fragments),   cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_close_codes), cmocka_unit_test(test_unmasked),
        cmocka_unit_test(test_echo),        cmocka_unit_test(test_http),
        cmocka_unit_test(test_head_limits), cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_timeouts),    cmocka_unit_test(test_too_slow),
        cmocka_unit_test(test_shutdown),    cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
