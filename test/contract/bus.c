/*
 * The contract of bus.h, held against every backend: contract_bus local, contract_bus rabbitmq. What only a broker can
 * do stands in bus_rabbitmq.c.
 */
#include "contract/bus_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* after the standard headers it needs */
#include <cmocka.h>

#define ANSWER_MS 60000

int bus_rabbitmq_run(void);
int bus_ingress_run(void);

static void becomes_ready(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    struct bus_status status;

    node_start(n);
    bus_status(n->bus, &status);
    assert_int_equal(n->states_seen[BUS_STATE_READY], 0); /* callbacks come later, never from inside a call */
    assert_true(run_until(b, first_is_ready, ANSWER_MS));
    bus_status(n->bus, &status);
    assert_int_equal(status.state, BUS_STATE_READY);
    assert_int_equal(status.pending, 0);
    assert_int_equal(status.reconnects, 0);
    assert_null(strstr(status.broker, ":gateway@"));
}

static void every_field_arrives(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    const struct message sent = {
        .kind = MESSAGE_KIND_RELAY,
        .channel = SLICE_LITERAL("room:caf\xc3\xa9 \xf0\x9f\x90\xb0"),
        .id = SLICE_LITERAL("01J"),
        .time_ms = 1760000000123,
        .from = SLICE_LITERAL("7"),
        .content_type = CONTENT_TYPE_OCTETS,
        .data = SLICE_LITERAL("\x01\x02\xff"),
        .epoch = 1760000000001,
        .offset = UINT64_C(5000000000),
    };
    const struct heard *h = n->heard;

    node_start_ready(n);
    assert_int_equal(bench_publish(b, n, &sent, BUS_ROUTE_FANOUT, NULL, 0), 0);
    assert_int_equal(b->done_count, 0); /* never from inside bus_publish() */
    b->wanted = 1;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
    assert_int_equal(h->kind, MESSAGE_KIND_RELAY);
    assert_string_equal(h->channel, sent.channel.data);
    assert_string_equal(h->routing_key, sent.channel.data);
    assert_string_equal(h->id, "01J");
    assert_string_equal(h->from, "7");
    assert_string_equal(h->content_type, "application/octet-stream");
    assert_int_equal(h->data_size, 3);
    assert_memory_equal(h->data, "\x01\x02\xff", 3);
    assert_true(h->time_ms == sent.time_ms && h->epoch == sent.epoch && h->offset == sent.offset);
    assert_true(h->has_stable_id);
}

static void order_is_kept(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    n->config.max_pending = 5000;
    node_start_ready(n);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(bench_publish_number(b, n, i % 3 ? "room:1" : "user:7", i), 0);
    b->wanted = 3000;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(strtoul(n->heard[i].data, NULL, 10), i);
}

static void busy_at_the_limit(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    struct bus_status status;

    n->config.max_pending = 5;
    node_start_ready(n);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
    assert_int_equal(bench_publish_number(b, n, "room:1", 5), BUS_E_BUSY);
    bus_status(n->bus, &status);
    assert_int_equal(status.pending, 5);
    assert_true(status.pending_bytes > 0);
    b->wanted = 5;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(bench_publish_number(b, n, "room:1", 6), 0);
    assert_true(run_until(b, all_done, ANSWER_MS));
    bus_status(n->bus, &status);
    assert_int_equal(status.pending, 0);
    assert_int_equal(status.pending_bytes, 0);
}

static void unavailable_before_start_is_ready(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    if (b->backend == BACKEND_LOCAL)
        return; /* it is ready from the start */
    node_start(n);
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), BUS_E_UNAVAILABLE);
}

static void stop_answers_everything(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    node_start_ready(n);
    for (size_t i = 0; i < 500; i++)
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
    bus_stop(n->bus);
    assert_true(all_done(b));
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), BUS_E_UNAVAILABLE);
}

static void never_told(struct bus_deposit *d base_unused, int result base_unused)
{
    fail();
}

/** Neither a node alone nor one whose options say no has a queue to keep anything in, or one to read. */
static void nothing_is_kept_where_there_is_no_queue(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    struct bus_deposit d = {.body = SLICE_LITERAL("x"), .done = never_told};

    node_start_ready(n);
    bus_ingress(n->bus, true);
    for (size_t i = 0; i < BUS_SHELVES; i++) {
        d.shelf = (enum bus_shelf)i;
        assert_int_equal(bus_deposit(n->bus, &d), BUS_E_UNAVAILABLE);
    }
    n->keeps_deliveries = true;
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    b->wanted = 1;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_false(bus_delivery_is_void(n->bus, container_of(n->kept.next, struct bus_delivery, link)));
}

static void deliveries_may_outlive_the_stop(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    n->keeps_deliveries = true;
    node_start_ready(n);
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    b->wanted = 1;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    node_stop(n); /* gives the delivery back between stop and free */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(becomes_ready, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(every_field_arrives, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(order_is_kept, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(busy_at_the_limit, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(unavailable_before_start_is_ready, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(stop_answers_everything, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_kept_where_there_is_no_queue, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(deliveries_may_outlive_the_stop, bench_setup, bench_teardown),
    };
    bool is_rabbitmq = argc > 1 && strcmp(argv[1], "rabbitmq") == 0;
    int failed;

    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    if (is_rabbitmq && !bench_has_broker()) {
        (void)fprintf(stderr, "SKIPPED: WARREN_TEST_AMQP_URL and WARREN_TEST_AMQP_MANAGEMENT_URL name no broker\n");
        return 77;
    }
    bench_backend = is_rabbitmq ? BACKEND_RABBITMQ : BACKEND_LOCAL;
    failed = cmocka_run_group_tests_name(is_rabbitmq ? "bus over RabbitMQ" : "local bus", tests, NULL, NULL);
    return failed + (is_rabbitmq ? bus_rabbitmq_run() + bus_ingress_run() : 0);
}
