/** Who is let in, who is told what, and whose address counts. */
#include "gateway/gateway_internal.h"
#include "unit/gateway/node.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define REQUEST(headers)                                                                                               \
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"        \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" headers "\r\n"

/* ---- X-Forwarded-For ---- */

static void assert_client(const char *headers, const char *expected)
{
    const struct http_limits limits = {.head_bytes = 8192, .headers = 64};
    struct gateway_live *live = calloc(1, sizeof(*live) + 2 * sizeof(live->trusted[0]));
    struct net_address client;
    char text[NET_ADDRESS_TEXT_SIZE] = "none";
    const struct http_message *request;
    struct http_parser *parser;
    struct buffer bytes = {0};
    size_t consumed;

    assert_non_null(live);
    live->trusted_count = 2;
    assert_null(net_network_parse(SLICE_LITERAL("10.0.0.0/8"), &live->trusted[0]));
    assert_null(net_network_parse(SLICE_LITERAL("fd00::/8"), &live->trusted[1]));
    buffer_printf(&bytes, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);
    assert_int_equal(http_parser_new_request(&limits, &parser), 0);
    assert_int_equal(http_parser_feed(parser, bytes.data, bytes.size, &consumed, &request), 0);
    if (gateway_forwarded_client(live, request, &client))
        net_address_format(&client, false, text);
    assert_string_equal(text, expected);
    http_parser_free(parser);
    buffer_deinit(&bytes);
    free(live);
}

static void test_forwarded(void **state base_unused)
{
    struct buffer many = {0};

    assert_client("", "none");
    assert_client("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1");
    assert_client("X-Forwarded-For: 192.0.2.1, 10.1.1.1\r\n", "192.0.2.1");
    assert_client("X-Forwarded-For: 198.51.100.7, 192.0.2.1, 10.1.1.1\r\n", "192.0.2.1"); /* the left one is made up */
    assert_client("X-Forwarded-For: 198.51.100.7\r\nX-Other: x\r\nx-forwarded-for: 192.0.2.1,10.9.9.9\r\n",
                  "192.0.2.1");
    assert_client("X-Forwarded-For: 10.1.1.1, 10.1.1.2\r\n", "10.1.1.1");
    assert_client("X-Forwarded-For: 2001:db8::1\r\n", "[2001:db8::1]");
    assert_client("X-Forwarded-For: [2001:db8::1]:5, fd00::9\r\n", "[2001:db8::1]");
    assert_client("X-Forwarded-For: 192.0.2.1:1234\r\n", "192.0.2.1");
    assert_client("X-Forwarded-For: unknown\r\n", "none");
    assert_client("X-Forwarded-For: 192.0.2.1, unknown, 10.1.1.1\r\n", "10.1.1.1");
    assert_client("X-Forwarded-For: \r\n", "none");
    assert_client("X-Forwarded-For: ,,\r\n", "none");
    buffer_append_text(&many, "X-Forwarded-For: 192.0.2.1");
    for (unsigned i = 0; i < 31; i++)
        buffer_append_text(&many, ",10.0.0.1");
    assert_client((buffer_append_text(&many, "\r\n"), many.data), "192.0.2.1");
    buffer_truncate(&many, many.size - 2);
    assert_client((buffer_append_text(&many, ",10.0.0.1\r\n"), many.data), "10.0.0.1"); /* nobody looks that far */
    buffer_deinit(&many);
}

/* ---- counting addresses ---- */

static struct gateway_addresses addresses;

static void *visit_often(void *userdata base_unused)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t key = i % 100;

        if (gateway_addresses_take(&addresses, key, 2))
            gateway_addresses_give(&addresses, key);
    }
    return NULL;
}

static void test_addresses(void **state base_unused)
{
    pthread_t threads[4];

    gateway_addresses_init(&addresses);
    assert_true(gateway_addresses_take(&addresses, 7, 2));
    assert_true(gateway_addresses_take(&addresses, 7, 2));
    assert_false(gateway_addresses_take(&addresses, 7, 2));
    assert_true(gateway_addresses_take(&addresses, 8, 2));
    gateway_addresses_give(&addresses, 7);
    assert_true(gateway_addresses_take(&addresses, 7, 2));
    assert_false(gateway_addresses_take(&addresses, 7, 1)); /* the limit was lowered */
    gateway_addresses_give(&addresses, 7);
    gateway_addresses_give(&addresses, 7);
    gateway_addresses_give(&addresses, 8);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, visit_often, NULL), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    gateway_addresses_deinit(&addresses); /* asserts that nothing is left */
}

/* ---- a whole gateway ---- */

static unsigned status_of(struct node *n, const void *before, size_t size, const char *request)
{
    struct client *c = client_connect(n);
    struct buffer response = {0};
    unsigned status;

    client_send(c, before, size);
    status = client_request(c, request, &response);
    if (status == 429 || status == 503)
        assert_non_null(strstr(response.data, "Retry-After: "));
    client_close(c);
    buffer_deinit(&response);
    return status;
}

static void test_per_address(void **state base_unused)
{
    static const char *const assignments[] = {"limits.connections_per_address=2", NULL};
    struct node *n = node_start(assignments);
    struct client *a = client_upgrade(n, "/ws"), *b = client_upgrade(n, "/ws");

    client_expect(b, "welcome");
    assert_int_equal(status_of(n, "", 0, REQUEST("")), 429);
    assert_int_equal(status_of(n, "", 0, REQUEST("X-Forwarded-For: 192.0.2.1\r\n")),
                     429); /* nobody trusts this client */
    assert_int_equal(node_metric(n, "warren_gateway_ended_total{reason=\"address\"}"), 2);
    client_close(a);
    node_wait_metric(n, "warren_gateway_connections", 1);
    assert_int_equal(status_of(n, "", 0, REQUEST("")), 101);
    client_close(b);
    node_stop(n);
}

/** A proxy's clients are counted one by one; the proxy itself is not. */
static void test_per_forwarded_address(void **state base_unused)
{
    static const char *const assignments[] = {"limits.connections_per_address=1", "listen.trusted=127.0.0.0/8", NULL};
    struct node *n = node_start(assignments);
    struct client *held[3];
    struct buffer response = {0};

    for (unsigned i = 0; i < 3; i++)
        held[i] = client_connect(n);
    assert_int_equal(client_request(held[0], REQUEST("X-Forwarded-For: 192.0.2.1\r\n"), &response), 101);
    buffer_reset(&response, 0);
    assert_int_equal(client_request(held[1], REQUEST("X-Forwarded-For: 192.0.2.2\r\n"), &response), 101);
    buffer_reset(&response, 0);
    assert_int_equal(client_request(held[2], REQUEST(""), &response), 101);
    assert_int_equal(status_of(n, "", 0, REQUEST("X-Forwarded-For: 192.0.2.1\r\n")), 429);
    assert_int_equal(status_of(n, "", 0, REQUEST("X-Forwarded-For: 9.9.9.9, 192.0.2.2\r\n")), 429);
    assert_int_equal(status_of(n, "", 0, REQUEST("")), 101);
    client_close(held[0]);
    node_wait_metric(n, "warren_gateway_connections", 2);
    assert_int_equal(status_of(n, "", 0, REQUEST("X-Forwarded-For: 192.0.2.1\r\n")), 101);
    client_close(held[1]);
    client_close(held[2]);
    buffer_deinit(&response);
    node_stop(n);
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text) (text), sizeof(text) - 1

static void test_proxy_protocol(void **state base_unused)
{
    static const char *const assignments[] = {"limits.connections_per_address=1", "listen.trusted=127.0.0.1",
                                              "listen.proxy_protocol=v2", "limits.handshake_timeout=3s", NULL};
    static const char introduction[] = SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x09\xd4\x31\x01\xbb";
    struct node *n = node_start(assignments);
    struct client *first = client_connect(n), *silent = client_connect(n), *wrong = client_connect(n);
    struct buffer response = {0};

    for (size_t i = 0; i < sizeof(introduction) - 1; i++) /* byte by byte */
        client_send(first, introduction + i, 1);
    assert_int_equal(client_request(first, REQUEST(""), &response), 101);
    assert_int_equal(status_of(n, BYTES(introduction), REQUEST("")), 429);
    assert_int_equal(status_of(n, BYTES(SIGNATURE "\x20\x00\x00\x00"), REQUEST("")), 101);
    client_send_text(wrong, REQUEST(""));
    client_expect_end(wrong);
    client_expect_end(silent);
    node_wait_metric(n, "warren_gateway_ended_total{reason=\"bad_proxy\"}", 1);
    node_wait_metric(n, "warren_gateway_ended_total{reason=\"handshake_timeout\"}", 1);
    client_close(silent);
    client_close(wrong);
    silent = client_connect(n); /* while the node ends */
    node_shutdown(n, 0);
    node_wait_down(n);
    client_close(silent);
    client_close(first);
    buffer_deinit(&response);
    node_stop(n);
}

/** Strangers may not introduce anybody. */
static void test_proxy_header_of_a_stranger(void **state base_unused)
{
    static const char *const assignments[] = {"listen.trusted=10.0.0.0/8", "listen.proxy_protocol=v2", NULL};
    struct node *n = node_start(assignments);

    assert_int_equal(status_of(n, BYTES(SIGNATURE "\x20\x00\x00\x00"), REQUEST("")), 400);
    assert_int_equal(status_of(n, "", 0, REQUEST("")), 101);
    node_stop(n);
}

static void test_memory(void **state base_unused)
{
    static const char *const assignments[] = {"limits.memory=1m", NULL};
    struct node *n = node_start(assignments);

    assert_int_equal(status_of(n, "", 0, REQUEST("")), 503);
    assert_int_equal(status_of(n, "", 0, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    node_wait_metric(n, "warren_gateway_ended_total{reason=\"memory\"}", 1);
    assert_int_equal(node_metric(n, "warren_gateway_memory_limit_bytes"), 1 << 20);
    assert_true(node_metric(n, "warren_process_resident_bytes") > 1 << 20);
    node_stop(n);
}

static void test_first_frame(void **state base_unused)
{
    static const char *const assignments[] = {"limits.first_frame_timeout=3s", NULL};
    struct node *n = node_start(assignments);
    struct client *silent = client_upgrade(n, "/ws"), *speaking = client_upgrade(n, "/ws");

    client_expect(silent, "welcome");
    client_expect(speaking, "welcome");
    client_send_frame(speaking, 0x80 | WS_OPCODE_PING, "", 0);
    client_expect_close(silent, 4102);
    assert_int_equal(client_read(speaking).type, WS_EVENT_PONG);
    client_send_json(speaking, "{\"id\":1,\"op\":\"ping\"}");
    client_expect(speaking, "\"id\":1");
    node_wait_metric(n, "warren_gateway_ended_total{reason=\"no_first_frame\"}", 1);
    client_close(silent);
    client_close(speaking);
    node_stop(n);
}

/** Newcomers wait, and all get in, no faster than they may. */
static void test_accept_rate(void **state base_unused)
{
    static const char *const assignments[] = {"limits.accept_rate=100", NULL};
    struct node *n = node_start(assignments);
    struct client *clients[40];
    struct buffer response = {0};
    struct timespec began, ended;
    int64_t ms;

    clock_gettime(CLOCK_MONOTONIC, &began);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(clients); i++) /* all at once, however slow they are afterwards */
        clients[i] = client_connect(n);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(clients); i++)
        assert_int_equal(client_request(clients[i], REQUEST(""), &response), 101);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    ms = (ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000;
    assert_true(ms >= 300); /* the bucket holds some to start with */
    assert_true(node_metric(n, "warren_gateway_accept_pauses_total") > 3);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(clients); i++)
        client_close(clients[i]);
    buffer_deinit(&response);
    node_stop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forwarded),      cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_per_address),    cmocka_unit_test(test_per_forwarded_address),
        cmocka_unit_test(test_proxy_protocol), cmocka_unit_test(test_proxy_header_of_a_stranger),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_first_frame),
        cmocka_unit_test(test_accept_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
