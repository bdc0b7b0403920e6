#include "hub_world.h"

#include <stdio.h>

static void open_world(struct world *w)
{
    world_init(w);
    w->config.online_interval_ms = 600000;
    world_open(w);
}

static void test_copies_in_one_body_and_in_two(void **state base_unused)
{
    struct client a, b;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", "42");
    world_deliver_messages(&w, "room:42", "m1", "one", "m1", "one", "m2", "two", NULL);
    world_deliver_messages(&w, "room:42", "m2", "two", "m3", "three", NULL);
    world_settle(&w);
    world_deliver_messages(&w, "room:42", "m1", "one", NULL);
    world_settle(&w);
    assert_int_equal(a.message_count, 3);
    assert_int_equal(b.message_count, 3);
    assert_string_equal(a.messages[0].data, "one");
    assert_string_equal(a.messages[1].data, "two");
    assert_string_equal(a.messages[2].data, "three");
    assert_int_equal(w.bus.deliveries_out, 0);
    assert_int_equal(world_metric(&w, "warren_hub_duplicates_total{known_by=\"memory\"}"), 3);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void test_one_question_a_turn(void **state base_unused)
{
    struct message m = {.kind = MESSAGE_KIND_MESSAGE,
                        .channel = SLICE_LITERAL("room:42"),
                        .content_type = CONTENT_TYPE_TEXT,
                        .data = SLICE_LITERAL("x")};
    struct buffer body = {0};
    struct client a;
    struct world w;
    char id[16];

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    world_deliver_messages(&w, "room:42", "m1", "one", "m2", "two", NULL);
    world_deliver_messages(&w, "room:42", "m3", "three", NULL);
    world_settle(&w);
    assert_int_equal(w.store.seen_requests, 1);
    assert_int_equal(w.store.seen_ids, 3);
    bus_body_begin(&body, 2500);
    for (int i = 0; i < 2500; i++) {
        m.id = slice_make(id, (size_t)snprintf(id, sizeof(id), "n%d", i));
        bus_body_append(&body, &m);
    }
    world_deliver(&w, BUS_CONTENT_TYPE, body.data, body.size);
    buffer_deinit(&body);
    world_settle(&w);
    assert_int_equal(w.store.seen_requests, 4);
    assert_int_equal(w.store.seen_ids, 2503);
    assert_int_equal(a.message_count, 2503);
    client_close(&a);
    world_close(&w);
}

static void test_store_knows(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    w.store.holds_seen = true;
    world_deliver_messages(&w, "room:42", "m1", "one", "", "signal", NULL);
    world_settle(&w);
    world_release_seen(&w, true);
    world_settle(&w);
    assert_int_equal(client_count(&a, "one"), 0);
    assert_int_equal(client_count(&a, "signal"), 1);
    assert_int_equal(world_metric(&w, "warren_hub_duplicates_total{known_by=\"store\"}"), 1);
    client_close(&a);
    world_close(&w);
}

static void test_late_answers_keep_the_order(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    w.store.holds_seen = true;
    world_deliver_messages(&w, "room:42", "m1", "1", NULL);
    world_settle(&w);
    world_deliver_messages(&w, "room:42", "", "2", NULL); /* needs no answer, and waits all the same */
    world_settle(&w);
    world_deliver_messages(&w, "room:42", "m3", "3", "", "4", NULL);
    world_settle(&w);
    /* a copy of what waits is dropped at once, and does not get past it */
    world_deliver_messages(&w, "room:42", "m1", "1", NULL);
    world_settle(&w);
    assert_int_equal(a.message_count, 0);
    assert_int_equal(w.bus.deliveries_out, 4);
    assert_int_equal(world_metric(&w, "warren_hub_intake_queue"), 4);
    world_release_seen(&w, false);
    world_settle(&w);
    assert_int_equal(a.message_count, 2);
    assert_int_equal(w.bus.deliveries_out, 2);
    world_release_seen(&w, false);
    world_settle(&w);
    assert_int_equal(a.message_count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(a.messages[i].data[0], '1' + i);
    assert_int_equal(w.bus.deliveries_out, 0);
    client_close(&a);
    world_close(&w);
}

static void test_store_away(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    world_store_set_away(&w, true);
    world_deliver_messages(&w, "room:42", "m1", "one", NULL);
    world_settle(&w);
    assert_int_equal(client_count(&a, "one"), 1);
    assert_int_equal(world_metric(&w, "warren_hub_unchecked_total"), 1);
    world_deliver_messages(&w, "room:42", "m1", "one", NULL); /* memory still tells */
    world_settle(&w);
    assert_int_equal(client_count(&a, "one"), 1);
    client_close(&a);
    world_close(&w);
}

static void test_poison_does_not_spoil(void **state base_unused)
{
    static const char mixed[] = "[{\"room\":\"42\",\"data\":\"one\"},17,{\"room\":42,\"data\":\"two\"},{\"data\":1}]";
    static const char broken[] = "{\"room\":\"42\",\"data\":";
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    world_deliver(&w, NULL, mixed, sizeof(mixed) - 1);
    world_deliver(&w, "application/json", broken, sizeof(broken) - 1);
    world_deliver(&w, BUS_CONTENT_TYPE, "\xc1", 1);
    world_deliver(&w, NULL, "", 0);
    world_deliver_messages(&w, "room:42", "m1", "three", NULL);
    world_settle(&w);
    assert_int_equal(a.message_count, 3);
    assert_string_equal(a.messages[0].data, "\"one\"");
    assert_string_equal(a.messages[1].data, "\"two\"");
    assert_string_equal(a.messages[2].data, "three");
    assert_int_equal(world_metric(&w, "warren_hub_poison_total"), 5);
    assert_int_equal(w.bus.deliveries_out, 0);
    client_close(&a);
    world_close(&w);
}

static void test_nobody_listens(void **state base_unused)
{
    static const char json[] = "{\"room\":\"nobody\",\"data\":1,\"id\":\"x\"}";
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    world_deliver_messages(&w, "room:43", "m1", "one", NULL);
    world_deliver(&w, NULL, json, sizeof(json) - 1);
    world_deliver_messages(&w, "node:10.0.0.9:1", "m2", "x", NULL);
    world_settle(&w);
    assert_int_equal(w.store.seen_requests, 0);
    assert_int_equal(w.bus.deliveries_out, 0);
    assert_int_equal(a.message_count, 0);
    /* an id that nobody heard is not known: the room's first listener gets a later copy */
    assert_int_equal(client_join(&a, "43", "j"), 0);
    world_settle(&w);
    world_deliver_messages(&w, "room:43", "m1", "one", NULL);
    world_settle(&w);
    assert_int_equal(client_count(&a, "one"), 1);
    client_close(&a);
    world_close(&w);
}

struct release {
    struct loop_task task;
    struct world *world;
};

static void release_in_turn(struct loop_task *task)
{
    world_release_seen(container_of(task, struct release, task)->world, false);
}

static void test_before_and_after_a_join(void **state base_unused)
{
    struct client a, b;
    struct world w;
    struct release release = {.task.run = release_in_turn, .world = &w};

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 0, "b", NULL);
    w.store.holds_seen = true;
    world_deliver_messages(&w, "room:42", "m1", "before", NULL);
    world_turn(w.hub_loop);
    /* one turn: the message is handed over, then the join is handled */
    loop_post(w.hub_loop, &release.task);
    assert_int_equal(client_join(&b, "42", "j"), 0);
    world_turn(w.hub_loop);
    world_deliver_messages(&w, "room:42", "", "after", NULL);
    world_turn(w.hub_loop);
    /* the port has read neither the answer nor a message yet */
    assert_int_equal(b.answers, 1);
    world_settle(&w);
    assert_int_equal(client_count(&a, "before"), 1);
    assert_int_equal(client_count(&a, "after"), 1);
    assert_int_equal(client_count(&b, "before"), 0);
    assert_int_equal(client_count(&b, "after"), 1);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void test_a_slow_port_stops_the_intake(void **state base_unused)
{
    struct message m = {.kind = MESSAGE_KIND_SIGNAL,
                        .channel = SLICE_LITERAL("room:42"),
                        .id = SLICE_LITERAL("s"),
                        .content_type = CONTENT_TYPE_TEXT,
                        .data = SLICE_LITERAL("x")};
    struct buffer body = {0};
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    bus_body_begin(&body, 4000);
    for (int i = 0; i < 4000; i++)
        bus_body_append(&body, &m);
    for (int i = 0; i < 8; i++) {
        world_deliver(&w, BUS_CONTENT_TYPE, body.data, body.size);
        world_turn(w.hub_loop);
    }
    assert_int_equal(w.bus.deliveries_out, 3); /* 5 bodies are 20,000 messages before one port, and enough */
    world_settle(&w);
    assert_int_equal(w.bus.deliveries_out, 0);
    assert_int_equal(a.message_count, 32000);
    buffer_deinit(&body);
    client_close(&a);
    world_close(&w);
}

static void test_stop_with_bodies_in_line(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    w.store.holds_seen = true;
    world_deliver_messages(&w, "room:42", "m1", "1", NULL);
    world_turn(w.hub_loop);
    world_deliver_messages(&w, "room:42", "m2", "2", NULL); /* the store was not even asked */
    client_close(&a);
    world_close(&w); /* checks that both were given back */
}

static void test_canary(void **state base_unused)
{
    struct hub_status status;
    struct world w;

    world_init(&w);
    w.config.canary_interval_ms = 20;
    world_open(&w);
    world_until(&w, world_metric(&w, "warren_hub_canaries_total") >= 3);
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    world_pass(&w, 700);
    hub_status_read(w.hub, &status);
    assert_true(status.canary_age_ms >= 100 && status.canary_age_ms < 60000);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_in_one_body_and_in_two),
        cmocka_unit_test(test_one_question_a_turn),
        cmocka_unit_test(test_store_knows),
        cmocka_unit_test(test_late_answers_keep_the_order),
        cmocka_unit_test(test_store_away),
        cmocka_unit_test(test_poison_does_not_spoil),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_before_and_after_a_join),
        cmocka_unit_test(test_a_slow_port_stops_the_intake),
        cmocka_unit_test(test_stop_with_bodies_in_line),
        cmocka_unit_test(test_canary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
