/* The queues of the cluster: what a broker alone can do for back ends, dead letters and the archive. */
#include "contract/bus_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* after the standard headers it needs */
#include <cmocka.h>

#define ANSWER_MS 60000

int bus_ingress_run(void);

static size_t kept_count, refused_count;

static void on_kept(struct bus_deposit *d base_unused, int result)
{
    kept_count += !result;
    refused_count += result != 0;
}

static bool ingress_wanted(struct bench *b)
{
    size_t count = 0;

    for (size_t i = 0; i < b->node_count; i++)
        count += b->nodes[i].ingress_bodies;
    return count >= b->wanted;
}

static bool kept_wanted(struct bench *b)
{
    return kept_count >= b->wanted;
}

/** As many connections as that are in use: consumers, publishers, keepers, and those that read the ingress queue. */
static bool connections_wanted(struct bench *b)
{
    return bench_metric(b, "warren_amqp_connections") == b->wanted;
}

static struct node *reader(struct bench *b)
{
    struct node *n = bench_node(b);

    n->config.ingress = n->config.archive = true;
    kept_count = refused_count = 0;
    return n;
}

static void put(struct bench *b, size_t number)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{\"properties\":{\"delivery_mode\":2},\"routing_key\":\"\",\"payload_encoding\":\"string\","
                   "\"payload\":\"{\\\"room\\\":\\\"1\\\",\\\"data\\\":%zu}\"}",
                   number);
    assert_true(bench_manage(b, "POST", "exchanges/%s/warren.ingress/publish", body));
}

static bool ask(struct bench *b)
{
    return bench_manage(b, "GET", "queues/%s/warren.ingress", "");
}

/** Only while it is wanted, by one node at a time; what one gives up the other one gets, in order. */
static void one_reads_and_another_goes_on(void **state)
{
    struct bench *b = *state;
    struct node *first = reader(b), *second = reader(b);

    first->keeps_deliveries = true;
    first->config.ingress_prefetch = 3;
    node_start_ready(first);
    node_start_ready(second);
    assert_true(run_until(b, ask, ANSWER_MS)); /* it is declared before it is wanted */
    for (size_t i = 0; i < 4; i++)
        put(b, i);
    b->wanted = 6;
    assert_true(run_until(b, connections_wanted, ANSWER_MS));
    run_for(b, 200);
    assert_int_equal(first->ingress_bodies + second->ingress_bodies, 0);
    bus_ingress(first->bus, true);
    b->wanted = 3;
    assert_true(run_until(b, ingress_wanted, ANSWER_MS));
    bus_ingress(second->bus, true);
    b->wanted = 8;
    assert_true(run_until(b, connections_wanted, ANSWER_MS));
    run_for(b, 200);
    assert_int_equal(second->ingress_bodies, 0);
    assert_false(bus_delivery_is_void(first->bus, container_of(first->kept.next, struct bus_delivery, link)));
    /* Given back before it is given up is acknowledged (so the next one comes); afterwards it is not. */
    bus_delivery_done(first->bus, container_of(list_pop(&first->kept), struct bus_delivery, link));
    b->wanted = 4;
    assert_true(run_until(b, ingress_wanted, ANSWER_MS));
    assert_int_equal(second->ingress_bodies, 0);
    bus_ingress(first->bus, false);
    assert_true(bus_delivery_is_void(first->bus, container_of(first->kept.next, struct bus_delivery, link)));
    while (!list_is_empty(&first->kept))
        bus_delivery_done(first->bus, container_of(list_pop(&first->kept), struct bus_delivery, link));
    bus_ingress(first->bus, true); /* at once again: behind the other one */
    b->wanted = 7;
    assert_true(run_until(b, ingress_wanted, ANSWER_MS));
    assert_int_equal(second->ingress_bodies, 3);
    assert_string_equal(second->heard[0].data, "1");
    assert_string_equal(second->heard[1].data, "2");
    assert_string_equal(second->heard[2].data, "3");
    assert_true(second->heard[0].redelivered);
}

/** What is too large comes whole, marked, and one at a time; of what is much too large comes the beginning. */
static void a_body_too_large_comes_alone(void **state)
{
    const size_t size = sizeof("{\"room\":\"1\",\"data\":7}") - 1;
    struct bench *b = *state;
    struct node *n = reader(b);

    n->config.max_body_bytes = (int64_t)size - 1;
    n->keeps_deliveries = true;
    node_start_ready(n);
    bus_ingress(n->bus, true);
    assert_true(run_until(b, ask, ANSWER_MS));
    for (size_t i = 7; i < 10; i++)
        put(b, i);
    for (b->wanted = 1; b->wanted <= 3; b->wanted++) {
        assert_true(run_until(b, ingress_wanted, ANSWER_MS));
        run_for(b, 100);
        assert_int_equal(n->ingress_bodies, b->wanted);
        assert_int_equal(n->oversized, b->wanted);
        assert_int_equal(n->body_bytes, size);
        assert_int_equal(n->whole_bytes, 0);
        bus_delivery_done(n->bus, container_of(list_pop(&n->kept), struct bus_delivery, link));
    }
    assert_int_equal(n->poison, 0);
}

/** Deposits survive cut connections and a queue that somebody deletes; each is answered once. */
static void deposits_are_kept(void **state)
{
    struct bench *b = *state;
    struct node *n = reader(b);
    struct bus_deposit deposits[60];

    node_start_ready(n);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(deposits); i++) {
        deposits[i] = (struct bus_deposit){.shelf = i % 2 ? BUS_SHELF_DEAD : BUS_SHELF_ARCHIVE,
                                           .body = SLICE_LITERAL("body"),
                                           .reason = SLICE_LITERAL("why"),
                                           .done = on_kept};
        assert_int_equal(bus_deposit(n->bus, &deposits[i]), 0);
        if (i == 20)
            proxy_cut(b->proxy);
        if (i % 20 == 0)
            run_for(b, 20);
    }
    assert_int_equal(refused_count, 0);
    b->wanted = BASE_ARRAY_SIZE(deposits);
    assert_true(run_until(b, kept_wanted, ANSWER_MS));
    assert_true(bench_manage(b, "DELETE", "queues/%s/warren.archive", "{}"));
    assert_int_equal(bus_deposit(n->bus, &deposits[0]), 0);
    b->wanted++;
    assert_true(run_until(b, kept_wanted, ANSWER_MS));
    assert_true(bench_manage(b, "GET", "queues/%s/warren.archive", ""));
    assert_int_equal(kept_count, b->wanted);
}

static void the_stop_answers_deposits(void **state)
{
    struct bench *b = *state;
    struct node *n = reader(b);
    struct bus_deposit deposits[10];

    node_start_ready(n);
    proxy_freeze(b->proxy, true);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(deposits); i++) {
        deposits[i] = (struct bus_deposit){.shelf = BUS_SHELF_ARCHIVE, .body = SLICE_LITERAL("body"), .done = on_kept};
        assert_int_equal(bus_deposit(n->bus, &deposits[i]), 0);
    }
    node_stop(n); /* asserts the time */
    assert_int_equal(kept_count + refused_count, BASE_ARRAY_SIZE(deposits));
    assert_true(refused_count > 0);
}

int bus_ingress_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_reads_and_another_goes_on, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_body_too_large_comes_alone, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(deposits_are_kept, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(the_stop_answers_deposits, bench_setup, bench_teardown),
    };

    return cmocka_run_group_tests_name("queues of the cluster", tests, NULL, NULL);
}
