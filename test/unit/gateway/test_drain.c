/* Draining, as clients see it: told at once, served until their own moment, sent away at an even rate. */
#include "unit/gateway/node.h"

#include "base/clock.h"
#include "gateway/gateway_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FIN 0x80u
#define CLIENTS 40
#define PERIOD_MS 1200

static uint64_t retry_after_ms(struct client *c)
{
    const char *text = client_expect(c, "\"event\":\"goodbye\"");

    assert_non_null(strstr(text, "\"code\":4100,\"reason\":\"draining\""));
    return strtoul(strstr(text, "\"retry_after_ms\":") + 17, NULL, 10);
}

/** The client's half of the close, as a polite one does it. */
static void expect_goodbye_close(struct client *c)
{
    client_expect_close(c, 4100);
    client_send_frame(c, FIN | WS_OPCODE_CLOSE, "\x10\x04", 2);
    client_expect_end(c);
}

static void test_period(void **state base_unused)
{
    assert_int_equal(gateway_drain_period_ms(30000, 10, 0), 0);
    assert_int_equal(gateway_drain_period_ms(30000, 10, 1), 100);
    assert_int_equal(gateway_drain_period_ms(30000, 10, 299), 29900);
    assert_int_equal(gateway_drain_period_ms(30000, 10, 300), 30000);
    assert_int_equal(gateway_drain_period_ms(30000, 10, 100000), 30000);
    assert_int_equal(gateway_drain_period_ms(30000, 0, 1), 30000);
    assert_int_equal(gateway_drain_period_ms(0, 10, 100000), 0);
}

/* All are told at once; in each quarter of the period as many leave as in any other, each when it was told. */
static void test_even(void **state base_unused)
{
    struct node *n = node_start(NULL);
    struct client *clients[CLIENTS];
    uint64_t moments[CLIENTS], began_ms;
    size_t in_quarter[4] = {0}, left = CLIENTS;
    bool has_left[CLIENTS] = {false};

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_upgrade(n, "/ws");
        client_expect(clients[i], "welcome");
    }
    began_ms = clock_monotonic_ms();
    node_shutdown(n, PERIOD_MS);
    for (size_t i = 0; i < CLIENTS; i++) {
        moments[i] = retry_after_ms(clients[i]);
        assert_true(moments[i] <= PERIOD_MS);
        in_quarter[moments[i] * 4 / (PERIOD_MS + 1)]++;
    }
    /* Each worker gives each of its clients a part of the period, so at a quarter's edge one may fall to either side.
     */
    for (size_t i = 0; i < 4; i++)
        assert_in_range(in_quarter[i], CLIENTS / 4 - 2, CLIENTS / 4 + 2);
    while (left > 0) { /* in the order in which they leave */
        size_t first = CLIENTS;

        for (size_t i = 0; i < CLIENTS; i++)
            if (!has_left[i] && (first == CLIENTS || moments[i] < moments[first]))
                first = i;
        expect_goodbye_close(clients[first]);
        assert_true(clock_monotonic_ms() >= began_ms + moments[first]);
        has_left[first] = true;
        left--;
    }
    node_wait_down(n);
    assert_int_equal(node_metric(n, "warren_gateway_ended_total{reason=\"draining\"}"), CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(clients[i]);
    node_stop(n);
}

/* Who was told and is still here sends and hears as before. Each worker has three clients with a third of the period
 * each: between the first to leave and the last one lies a third of it at least, however the moments fall. */
static void test_served_until_then(void **state base_unused)
{
    enum { COUNT = 3 * NODE_WORKERS };
    struct node *n = node_start(NULL);
    struct client *clients[COUNT], *last;
    uint64_t moments[COUNT];
    size_t order[COUNT], heard = 0, answered = 0;

    for (size_t i = 0; i < COUNT; i++) {
        clients[i] = client_upgrade(n, "/websocket/r/u");
        client_expect(clients[i], "welcome");
    }
    node_shutdown(n, 6000);
    for (size_t i = 0; i < COUNT; i++) {
        size_t k = i;

        moments[i] = retry_after_ms(clients[i]);
        for (; k > 0 && moments[order[k - 1]] > moments[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    last = clients[order[COUNT - 1]];
    expect_goodbye_close(clients[order[0]]);
    client_send_json(last, "{\"id\":1,\"op\":\"send\",\"room\":\"r\",\"data\":\"still here\"}");
    for (size_t i = 0; i < 2; i++) { /* the message and the answer, in any order */
        const char *text = client_expect(last, "\"offset\":1");

        heard += strstr(text, "still here") != NULL;
        answered += strstr(text, "\"id\":1,\"ok\"") != NULL;
    }
    assert_int_equal(heard, 1);
    assert_int_equal(answered, 1);
    for (size_t i = 1; i < COUNT; i++)
        expect_goodbye_close(clients[order[i]]);
    node_wait_down(n);
    for (size_t i = 0; i < COUNT; i++)
        client_close(clients[i]);
    node_stop(n);
}

/* Whoever leaves without waiting is not waited for; nor is a request that never ends, nor one who does not read. */
static void test_waits_for_nobody_in_vain(void **state base_unused)
{
    static const char *const assignments[] = {"limits.close_timeout=300ms", "limits.handshake_timeout=60s", NULL};
    struct node *n = node_start(assignments);
    struct client *early = client_upgrade(n, "/ws"), *half = client_connect(n), *late = client_connect(n);
    struct buffer response = {0};
    uint64_t began_ms;

    client_expect(early, "welcome");
    client_send_text(half, "GET /ws HTT");
    node_wait_metric(n, "warren_gateway_connections", 3);
    began_ms = clock_monotonic_ms();
    node_shutdown(n, 60000);
    (void)retry_after_ms(early);
    assert_int_equal(client_request(late,
                                    "GET /ws HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                                    &response),
                     503);
    client_send_frame(early, FIN | WS_OPCODE_CLOSE, "\x03\xe8", 2);
    client_expect_end(half);
    node_wait_down(n);
    assert_true(clock_monotonic_ms() - began_ms < 40000); /* and not the minute that either could have taken */
    buffer_deinit(&response);
    client_close(early);
    client_close(half);
    client_close(late);
    node_stop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_period),
        cmocka_unit_test(test_even),
        cmocka_unit_test(test_served_until_then),
        cmocka_unit_test(test_waits_for_nobody_in_vain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
