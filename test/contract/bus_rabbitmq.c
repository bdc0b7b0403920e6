/*
 * What only a broker can do or suffer: several nodes, a name that is held, queues that vanish, connections that are
 * cut, frozen, blocked or refused.
 */
#include "base/clock.h"
#include "contract/bus_fixture.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* after the standard headers it needs */
#include <cmocka.h>

#define ANSWER_MS 60000

int bus_rabbitmq_run(void);

static bool first_is_not_ready(struct bench *b)
{
    return !first_is_ready(b);
}

static bool second_is_ready(struct bench *b)
{
    return b->nodes[1].status.state == BUS_STATE_READY;
}

static bool second_is_locked(struct bench *b)
{
    return b->nodes[1].status.state == BUS_STATE_NAME_LOCKED;
}

static bool first_is_blocked(struct bench *b)
{
    return b->nodes[0].status.state == BUS_STATE_BLOCKED;
}

static bool all_heard_wanted(struct bench *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        if (b->nodes[i].heard_count < b->wanted)
            return false;
    }
    return true;
}

static bool bodies_wanted(struct bench *b)
{
    return b->nodes[0].bodies >= b->wanted;
}

static void fanout_and_targets(void **state)
{
    struct bench *b = *state;
    struct node *a = bench_node(b), *c = bench_node(b), *d = bench_node(b);
    const char *const to_c[] = {c->id}, *const to_a_and_d[] = {a->id, d->id};
    struct message m = {.kind = MESSAGE_KIND_MESSAGE,
                        .channel = SLICE_LITERAL("user:7"),
                        .id = SLICE_LITERAL("i"),
                        .content_type = CONTENT_TYPE_JSON,
                        .data = SLICE_LITERAL("1")};

    node_start(a);
    node_start(c);
    node_start_ready(d);
    assert_int_equal(bench_publish(b, a, &m, BUS_ROUTE_NODES, to_c, 1), 0);
    m.data = SLICE_LITERAL("2");
    assert_int_equal(bench_publish(b, a, &m, BUS_ROUTE_NODES, to_a_and_d, 2), 0);
    m.data = SLICE_LITERAL("3");
    assert_int_equal(bench_publish(b, a, &m, BUS_ROUTE_FANOUT, NULL, 0), 0);
    b->wanted = 2;
    assert_true(run_until(b, all_heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_string_equal(c->heard[0].data, "1");
    assert_string_equal(a->heard[0].data, "2");
    assert_string_equal(d->heard[0].data, "2");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(b->nodes[i].heard_count, 2);
        assert_string_equal(b->nodes[i].heard[1].data, "3");
    }
}

static bool each_heard_the_end(struct bench *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        const struct node *n = &b->nodes[i];

        if (!n->heard_count || strcmp(n->heard[n->heard_count - 1].channel, "all") != 0)
            return false;
    }
    return true;
}

#define TARGETED_COUNT 3000
#define TARGETED_CHANNELS 4

/** Messages of few channels whose nodes change all the time, sometimes to all: each node hears what was sent to it (and
 * perhaps more), and each channel in order; and much travels together. */
static void changing_targets_keep_the_order(void **state)
{
    static const char *const channels[TARGETED_CHANNELS] = {"user:0", "user:1", "user:2", "user:3"};
    static const char *ids[NODES_MAX + 1];
    struct bench *b = *state;
    struct prng random = {11};
    size_t bodies = 0, first[TARGETED_CHANNELS] = {0}, count[TARGETED_CHANNELS] = {1, 1, 1, 1};
    static bool is_wanted[NODES_MAX][TARGETED_COUNT];

    for (size_t i = 0; i < NODES_MAX; i++)
        node_start(bench_node(b));
    for (size_t i = 0; i < NODES_MAX; i++)
        ids[i] = b->nodes[i].id;   /* ascending */
    ids[NODES_MAX] = "10.9.9.9:1"; /* nobody's */
    node_start_ready_all(b);
    for (size_t i = 0; i < TARGETED_COUNT; i++) {
        size_t c = prng_below(&random, TARGETED_CHANNELS);

        if (prng_below(&random, 50) == 0) {
            first[c] = prng_below(&random, NODES_MAX);
            count[c] = prng_below(&random, NODES_MAX + 2 - first[c]); /* 0: to all */
        }
        assert_int_equal(bench_publish_number_to(b, &b->nodes[0], channels[c], i, ids + first[c], count[c]), 0);
        for (size_t n = 0; n < NODES_MAX; n++)
            is_wanted[n][i] = count[c] == 0 || (n >= first[c] && n < first[c] + count[c]);
    }
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(bench_publish_number(b, &b->nodes[0], "all", TARGETED_COUNT), 0);
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_true(run_until(b, each_heard_the_end, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
    for (size_t n = 0; n < NODES_MAX; n++) {
        const struct node *node = &b->nodes[n];
        long last[TARGETED_CHANNELS] = {-1, -1, -1, -1};

        bodies += node->bodies;
        for (size_t i = 0; i < node->heard_count - 1; i++) {
            size_t c = (size_t)(node->heard[i].channel[5] - '0');
            long number = strtol(node->heard[i].data, NULL, 10);

            assert_true(number > last[c]);
            last[c] = number;
            is_wanted[n][number] = false;
        }
        for (size_t i = 0; i < TARGETED_COUNT; i++)
            assert_false(is_wanted[n][i]);
    }
    assert_in_range(bodies, 1, TARGETED_COUNT / 2);
}

/** As many nodes as a publication may name, most of them nobody's: the others hear it. */
static void many_targets(void **state)
{
    static char text[BUS_NODES_MAX][64];
    static const char *ids[BUS_NODES_MAX];
    struct bench *b = *state;
    struct node *a = bench_node(b), *c = bench_node(b), *d = bench_node(b);

    node_start(a);
    node_start(c);
    node_start_ready(d);
    ids[0] = a->id; /* 10.… */
    ids[1] = c->id;
    for (size_t i = 2; i < BUS_NODES_MAX; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "[2001:0db8:1111:2222:3333:4444:5555:%04zx]:65535", i);
        ids[i] = text[i];
    }
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(bench_publish_number_to(b, d, "user:7", i, ids, BUS_NODES_MAX), 0);
    a->wanted = c->wanted = 10;
    assert_true(run_until(b, each_heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
    assert_int_equal(d->heard_count, 0);
    assert_int_equal(d->status.reconnects, 0);
}

/** What waits at the same moment travels together; a lone one does not wait. */
static void waiting_ones_travel_together(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    uint64_t began;

    node_start_ready(n);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
    b->wanted = 1000;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_in_range(n->bodies, 1000 / 128, 200);
    do { /* a busy machine may hold up one of them */
        began = clock_monotonic_ms();
        assert_int_equal(bench_publish_number(b, n, "room:1", b->wanted), 0);
        b->wanted++;
        assert_true(run_until(b, heard_wanted, ANSWER_MS));
    } while (clock_monotonic_ms() - began >= 1000 && b->wanted < 1005);
    assert_true(clock_monotonic_ms() - began < 1000);
}

static void foreign_bodies_arrive(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    node_start_ready(n);
    assert_true(
        bench_manage(b, "POST", "exchanges/%s/warren.fanout/publish",
                     "{\"properties\":{\"content_type\":\"application/json\",\"message_id\":\"m1\"},\"routing_key\":"
                     "\"\",\"payload_encoding\":\"string\",\"payload\":\"[{\\\"room\\\":\\\"42\\\",\\\"data\\\":{"
                     "\\\"a\\\": 1.0}},{},{\\\"user\\\":7,\\\"data\\\":1}]\"}"));
    assert_true(bench_manage(b, "POST", "exchanges/%s/warren.node/publish",
                             "{\"properties\":{},\"routing_key\":\"10.0.0.1:8091\",\"payload_encoding\":\"string\","
                             "\"payload\":\"{\\\"broadcast\\\":true,\\\"data\\\":2}\"}"));
    b->wanted = 3;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_string_equal(n->heard[0].channel, "room:42");
    assert_string_equal(n->heard[0].data, "{\"a\": 1.0}");
    assert_string_equal(n->heard[0].id, "m1");
    assert_string_equal(n->heard[1].channel, "user:7");
    assert_string_equal(n->heard[1].id, "m1#2");
    assert_string_equal(n->heard[2].channel, "all");
    assert_false(n->heard[2].has_stable_id);
    assert_int_equal(n->poison, 1);
}

static void a_body_too_large_is_swallowed(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b), *small = bench_node(b);
    char *large = calloc(1, 200000);
    struct message m = {.kind = MESSAGE_KIND_RELAY,
                        .channel = SLICE_LITERAL("room:1"),
                        .id = SLICE_LITERAL("large"),
                        .content_type = CONTENT_TYPE_OCTETS,
                        .data = slice_make(large, 200000)};

    n->config.max_body_bytes = 1000000;
    n->config.prefetch = small->config.prefetch = 1; /* unacknowledged it would be the last one */
    node_start(n);
    node_start_ready(small);
    assert_int_equal(bench_publish(b, n, &m, BUS_ROUTE_FANOUT, NULL, 0), 0);
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    assert_int_equal(bench_publish_number(b, n, "room:1", 2), 0);
    b->wanted = 2;
    assert_true(run_until(b, all_heard_wanted, ANSWER_MS));
    b->wanted = 3;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_int_equal(n->heard[0].data_size, 200000);
    assert_string_equal(small->heard[0].data, "1");
    assert_int_equal(bench_metric(b, "warren_amqp_oversized_bodies_total"), 1);
    free(large);
}

static void the_prefetch_bounds_what_is_not_given_back(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    n->config.prefetch = 3;
    n->keeps_deliveries = true;
    node_start_ready(n);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
        assert_true(run_until(b, all_done, ANSWER_MS));
    }
    b->wanted = 3;
    assert_true(run_until(b, bodies_wanted, ANSWER_MS));
    run_for(b, 200);
    assert_int_equal(n->bodies, 3);
    /* Given back out of order: the gap is acknowledged only when it closes. */
    n->keeps_deliveries = false;
    for (struct list *last = n->kept.previous; last != &n->kept; last = n->kept.previous) {
        list_remove(last);
        bus_delivery_done(n->bus, container_of(last, struct bus_delivery, link));
    }
    b->wanted = 6;
    assert_true(run_until(b, bodies_wanted, ANSWER_MS));
}

static void a_held_name_is_waited_for(void **state)
{
    struct bench *b = *state;
    struct node *first = bench_node(b), *second = bench_node(b);

    (void)snprintf(second->id, sizeof(second->id), "%s", first->id);
    node_start_ready(first);
    node_start(second);
    assert_true(run_until(b, second_is_locked, ANSWER_MS));
    run_for(b, 1500);
    assert_int_equal(second->status.state, BUS_STATE_NAME_LOCKED);
    assert_non_null(strstr(second->status.detail, "RESOURCE_LOCKED"));
    assert_int_equal(first->status.state, BUS_STATE_READY);
    node_stop(first);
    assert_true(run_until(b, second_is_ready, ANSWER_MS));
}

static void a_held_durable_name_is_waited_for(void **state)
{
    struct bench *b = *state;
    struct node *first = bench_node(b), *second = bench_node(b);

    (void)snprintf(second->id, sizeof(second->id), "%s", first->id);
    first->config.queue = second->config.queue = RABBITMQ_QUEUE_DURABLE;
    node_start_ready(first);
    node_start(second);
    assert_true(run_until(b, second_is_locked, ANSWER_MS));
    node_stop(first);
    assert_true(run_until(b, second_is_ready, ANSWER_MS));
}

static void a_durable_leftover_does_not_hold_the_name(void **state)
{
    struct bench *b = *state;
    struct node *durable = bench_node(b), *exclusive = bench_node(b);

    (void)snprintf(exclusive->id, sizeof(exclusive->id), "%s", durable->id);
    durable->config.queue = RABBITMQ_QUEUE_DURABLE;
    node_start_ready(durable);
    node_start(exclusive);
    assert_true(run_until(b, second_is_locked, ANSWER_MS)); /* it is in use: not removed */
    run_for(b, 300);
    assert_int_equal(durable->status.state, BUS_STATE_READY);
    node_stop(exclusive);
    node_stop(durable);
    exclusive->status.state = BUS_STATE_STARTING;
    node_start(exclusive);
    assert_true(run_until(b, second_is_ready, ANSWER_MS));
}

/** Another length or expiry than the queue was declared with: it is made anew, unless somebody uses it. */
static void a_durable_queue_of_other_settings_is_made_anew(void **state)
{
    struct bench *b = *state;
    struct node *before = bench_node(b), *after = bench_node(b);

    (void)snprintf(after->id, sizeof(after->id), "%s", before->id);
    before->config.queue = after->config.queue = RABBITMQ_QUEUE_DURABLE;
    after->config.queue_max_length = before->config.queue_max_length / 2;
    node_start_ready(before);
    node_start(after);
    run_for(b, 1500);
    assert_int_equal(before->status.state, BUS_STATE_READY); /* it is in use: not removed */
    assert_int_not_equal(after->status.state, BUS_STATE_READY);
    node_stop(after);
    node_stop(before);
    after->status.state = BUS_STATE_STARTING;
    node_start(after);
    assert_true(run_until(b, second_is_ready, ANSWER_MS));
    assert_int_equal(bench_publish_number(b, after, "room:1", 1), 0);
    after->wanted = 1;
    assert_true(run_until(b, each_heard_wanted, ANSWER_MS));
}

static void a_deleted_queue_is_declared_again(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    n->config.queue = RABBITMQ_QUEUE_DURABLE; /* the API refuses to delete an exclusive one */
    node_start_ready(n);
    expect_reconnects(b, 1);
    assert_true(bench_manage(b, "DELETE", "queues/%s/warren.node.10.0.0.1:8091", "{}"));
    assert_true(run_until(b, first_is_ready_again, ANSWER_MS));
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    b->wanted = 1;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
}

static void what_was_not_given_back_comes_again(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    n->config.queue = RABBITMQ_QUEUE_DURABLE;
    n->keeps_deliveries = true;
    node_start_ready(n);
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    b->wanted = 1;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_true(run_until(b, all_done, ANSWER_MS));
    expect_reconnects(b, 2);
    n->keeps_deliveries = false;
    proxy_cut(b->proxy);
    b->wanted = 2;
    assert_true(run_until(b, heard_wanted, ANSWER_MS));
    assert_true(n->heard[1].redelivered);
    assert_string_equal(n->heard[1].id, "1");
    assert_true(run_until(b, first_is_ready_again, ANSWER_MS));
}

/** Numbers in order once each number's later copies are left out. */
static void assert_complete_and_in_order(const struct node *n, size_t count)
{
    size_t next = 0;

    for (size_t i = 0; i < n->heard_count; i++) {
        size_t number = strtoul(n->heard[i].data, NULL, 10);

        assert_true(number <= next);
        next += number == next;
    }
    assert_int_equal(next, count);
}

static bool heard_the_last(struct bench *b)
{
    char last[32];
    const struct node *n = &b->nodes[0];

    (void)snprintf(last, sizeof(last), "%zu", b->wanted - 1);
    return n->heard_count > 0 && strcmp(n->heard[n->heard_count - 1].data, last) == 0;
}

/** Confirmed means with the broker: cut in the middle of a stream, nothing that was confirmed is missing, and nothing
 * changed its place. */
static void a_cut_connection_loses_nothing(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    size_t number = 0;

    n->config.queue = RABBITMQ_QUEUE_DURABLE; /* so that the cut does not take the queue away */
    node_start_ready(n);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(bench_publish_number(b, n, "room:1", number++), 0);
        run_for(b, 2);
        expect_reconnects(b, 2);
        proxy_cut(b->proxy);
        assert_true(run_until(b, first_is_ready_again, ANSWER_MS));
    }
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
    b->wanted = number;
    assert_true(run_until(b, heard_the_last, ANSWER_MS));
    assert_complete_and_in_order(n, number);
    assert_true(bench_metric(b, "warren_amqp_republished_bodies_total") > 0);
}

static bool published_wanted(struct bench *b)
{
    return bench_metric(b, "warren_amqp_published_bodies_total") >= b->wanted;
}

static bool is_stuck(struct bench *b)
{
    return bench_metric(b, "warren_amqp_stuck_total") > 0;
}

/** A broker that hangs: overdue publications are answered in time, the stuck thread is freed, and it heals. */
static void a_frozen_broker_stops_nobody(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    size_t size = 20 * 1024 * 1024; /* more than sockets hold */
    char *large = calloc(1, size);
    struct message m = {.kind = MESSAGE_KIND_RELAY,
                        .channel = SLICE_LITERAL("room:1"),
                        .id = SLICE_LITERAL("i"),
                        .content_type = CONTENT_TYPE_OCTETS,
                        .data = slice_make(large, size)};
    uint64_t began;

    n->config.publish_timeout_ms = 1000;
    node_start_ready(n);
    proxy_freeze(b->proxy, true);
    began = clock_monotonic_ms();
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    run_for(b, 50);
    assert_int_equal(bench_publish(b, n, &m, BUS_ROUTE_FANOUT, NULL, 0), 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_true(clock_monotonic_ms() - began >= 1000);
    assert_int_equal(b->failed_count, 102);
    free(large);
    expect_reconnects(b, 2);
    proxy_freeze(b->proxy, false);
    proxy_cut(b->proxy);
    assert_true(run_until(b, first_is_ready_again, ANSWER_MS));
    n->config.publish_timeout_ms = ANSWER_MS;
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 102);
}

static void a_stuck_call_is_freed(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    size_t size = 20 * 1024 * 1024;
    char *large = calloc(1, size);
    struct message m = {.kind = MESSAGE_KIND_RELAY,
                        .channel = SLICE_LITERAL("room:1"),
                        .id = SLICE_LITERAL("i"),
                        .content_type = CONTENT_TYPE_OCTETS,
                        .data = slice_make(large, size)};

    n->config.publish_timeout_ms = ANSWER_MS;
    node_start_ready(n);
    proxy_freeze(b->proxy, true);
    assert_int_equal(bench_publish(b, n, &m, BUS_ROUTE_FANOUT, NULL, 0), 0);
    assert_true(run_until(b, is_stuck, ANSWER_MS));
    assert_true(run_until(b, first_is_not_ready, ANSWER_MS));
    proxy_freeze(b->proxy, false);
    proxy_cut(b->proxy);
    assert_true(run_until(b, all_done, ANSWER_MS)); /* it goes again, whole */
    assert_int_equal(b->failed_count, 0);
    free(large);
}

static void a_frozen_broker_does_not_hold_up_the_stop(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    node_start_ready(n);
    proxy_freeze(b->proxy, true);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
    node_stop(n); /* asserts the time */
    assert_true(all_done(b));
    assert_int_equal(b->failed_count, 100);
}

static void blocked_publishers_wait(void **state)
{
    static const char blocked[] = "\x01\0\0\0\0\0\x08\0\x0a\0\x3c\x03"
                                  "low"
                                  "\xce";
    static const char unblocked[] = "\x01\0\0\0\0\0\x04\0\x0a\0\x3d\xce";
    struct bench *b = *state;
    struct node *n = bench_node(b);

    node_start_ready(n);
    proxy_inject(b->proxy, blocked, sizeof(blocked) - 1);
    assert_true(run_until(b, first_is_blocked, ANSWER_MS));
    assert_string_equal(n->status.detail, "low");
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    run_for(b, 200);
    assert_int_equal(b->done_count, 0);
    proxy_inject(b->proxy, unblocked, sizeof(unblocked) - 1);
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
    assert_int_equal(n->status.state, BUS_STATE_READY);
}

static bool two_are_nacked(struct bench *b)
{
    return bench_metric(b, "warren_amqp_nacked_bodies_total") >= 2;
}

/** A full queue that refuses: the broker nacks, and the body goes again until it is taken. */
static void a_nacked_body_goes_again(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);

    node_start_ready(n);
    assert_true(bench_manage(b, "PUT", "queues/%s/full",
                             "{\"arguments\":{\"x-max-length\":0,\"x-overflow\":\"reject-publish\"}}"));
    assert_true(bench_manage(b, "POST", "bindings/%s/e/warren.fanout/q/full", "{}"));
    assert_int_equal(bench_publish_number(b, n, "room:1", 1), 0);
    assert_true(run_until(b, two_are_nacked, ANSWER_MS));
    assert_int_equal(b->done_count, 0);
    assert_true(bench_manage(b, "DELETE", "queues/%s/full", "{}"));
    assert_true(run_until(b, all_done, ANSWER_MS));
    assert_int_equal(b->failed_count, 0);
}

/** A basic.nack of one body, as the broker would say it. */
static void inject_nack(struct bench *b, unsigned char tag)
{
    unsigned char nack[] = "\x01\0\x01\0\0\0\x0d\0\x3c\0\x78\0\0\0\0\0\0\0\0\0\xce";

    nack[18] = tag;
    proxy_inject(b->proxy, nack, sizeof(nack) - 1);
}

/** Nacked, in any order, and cut before it could go again: it goes before what was published after it. */
static void a_nacked_body_keeps_its_place(void **state)
{
    const size_t before = 6;
    struct bench *b = *state;
    struct node *n = bench_node(b);

    n->config.queue = RABBITMQ_QUEUE_DURABLE; /* what goes again may be there before the queue is declared again */
    node_start_ready(n);
    for (size_t i = 0; i < before; i++) { /* each opens the window by one */
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
        assert_true(run_until(b, all_done, ANSWER_MS));
    }
    proxy_freeze(b->proxy, true);
    for (size_t i = before; i < before + 5; i++) {
        b->wanted = i + 1;
        assert_int_equal(bench_publish_number(b, n, "room:1", i), 0);
        assert_true(run_until(b, published_wanted, ANSWER_MS)); /* a body each */
    }
    inject_nack(b, (unsigned char)(before + 3));
    inject_nack(b, (unsigned char)(before + 1));
    assert_true(run_until(b, two_are_nacked, ANSWER_MS));
    proxy_cut(b->proxy);
    proxy_freeze(b->proxy, false);
    assert_true(run_until(b, all_done, ANSWER_MS));
    b->wanted = before + 5;
    assert_true(run_until(b, heard_the_last, ANSWER_MS));
    assert_complete_and_in_order(n, before + 5);
}

static void another_broker_is_tried(void **state)
{
    struct bench *b = *state;
    struct node *n = bench_node(b);
    static char nobody[] = "amqp://guest:guest@127.0.0.1:1/", garbage[] = "http://127.0.0.1/";
    char *urls[] = {nobody, b->url};
    char storage[256];
    struct bus *refused;

    n->config.url = (struct config_list){.items = urls, .count = 2};
    node_start_ready(n);
    assert_null(rabbitmq_probe(&n->config, b->url, 3000, storage));
    assert_non_null(rabbitmq_probe(&n->config, nobody, 3000, storage));
    urls[0] = garbage;
    assert_int_equal(rabbitmq_bus_new(b->loop, &n->config, n->id, b->metrics, &refused), -EINVAL);
    urls[0] = nobody;
}

int bus_rabbitmq_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fanout_and_targets, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(changing_targets_keep_the_order, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(many_targets, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(waiting_ones_travel_together, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(foreign_bodies_arrive, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_body_too_large_is_swallowed, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(the_prefetch_bounds_what_is_not_given_back, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_held_name_is_waited_for, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_held_durable_name_is_waited_for, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_durable_leftover_does_not_hold_the_name, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_durable_queue_of_other_settings_is_made_anew, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_deleted_queue_is_declared_again, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(what_was_not_given_back_comes_again, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_cut_connection_loses_nothing, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_frozen_broker_stops_nobody, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_stuck_call_is_freed, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_frozen_broker_does_not_hold_up_the_stop, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(blocked_publishers_wait, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_nacked_body_goes_again, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_nacked_body_keeps_its_place, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(another_broker_is_tried, bench_setup, bench_teardown),
    };

    return cmocka_run_group_tests_name("bus and broker", tests, NULL, NULL);
}
