#include "hub_world.h"
#include "support/prng.h"

#include <stdio.h>

static void open_world(struct world *w, bool is_sequenced)
{
    world_init(w);
    w->config.online_interval_ms = 600000;
    w->config.ingress = true;
    w->is_sequenced = is_sequenced;
    world_open(w);
    world_until(w, w->bus.is_ingress_wanted);
}

static void test_a_body_is_appended_and_given_back(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, true);
    client_open(&a, &w, 0, "a", "42");
    world_ingress(&w, "m1", "{\"room\":\"42\",\"from\":\"shop\",\"data\":{\"x\":1}}");
    world_until(&w, a.message_count == 1 && w.bus.deliveries_out == 0);
    assert_string_equal(a.messages[0].id, "m1");
    assert_string_equal(a.messages[0].from, "shop");
    assert_string_equal(a.messages[0].data, "{\"x\":1}");
    assert_int_equal(a.messages[0].offset, 1);
    assert_true(a.messages[0].epoch > 0);
    /* its publisher repeats it */
    world_ingress(&w, "m1", "{\"room\":\"42\",\"from\":\"shop\",\"data\":{\"x\":1}}");
    world_ingress(&w, "m2", "{\"room\":\"42\",\"data\":2}");
    world_until(&w, a.message_count == 2 && w.bus.deliveries_out == 0);
    assert_int_equal(a.messages[1].offset, 2);
    assert_int_equal(world_metric(&w, "warren_ingress_messages_total{result=\"ok\"}"), 3);
    assert_int_equal(w.bus.deposit_count, 0);
    client_close(&a);
    world_close(&w);
}

static void test_without_positions_it_is_published(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, false);
    client_open(&a, &w, 0, "a", "42");
    w.bus.publish_result = BUS_E_BUSY;
    world_ingress(&w, "m1", "{\"room\":\"42\",\"data\":1}");
    world_ingress(&w, "m2", "{\"room\":\"42\",\"data\":2}");
    world_settle(&w);
    assert_int_equal(w.bus.deliveries_out, 2);
    w.bus.publish_result = 0;
    world_until(&w, a.message_count == 2 && w.bus.deliveries_out == 0);
    assert_string_equal(a.messages[0].data, "1");
    assert_string_equal(a.messages[1].data, "2");
    assert_int_equal(a.messages[0].epoch, 0);
    client_close(&a);
    world_close(&w);
}

static void test_the_dead_leave_their_siblings(void **state base_unused)
{
    static const char *const reasons[] = {"no data", "more than one of room, user and broadcast",
                                          "the data is too large", "an empty message"};
    char large[700], body[1200];
    struct client a;
    struct world w;

    open_world(&w, true);
    client_open(&a, &w, 0, "a", "42");
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    (void)snprintf(body, sizeof(body),
                   "[{\"room\":\"42\",\"data\":1},{\"room\":\"42\"},{\"room\":\"42\",\"user\":\"7\",\"data\":1},"
                   "{\"room\":\"42\",\"data\":\"%s\"},{\"eventType\":2,\"sessionKey\":\"7\",\"message\":\"\"},"
                   "{\"room\":\"42\",\"data\":2}]",
                   large);
    world_ingress(&w, "m", body);
    world_until(&w, a.message_count == 2);
    assert_int_equal(w.bus.deposit_count, BASE_ARRAY_SIZE(reasons));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(reasons); i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "m#%zu", i + 1);
        assert_string_equal(w.bus.deposits[i].reason, reasons[i]);
        assert_string_equal(w.bus.deposits[i].message_id, id);
        assert_int_equal(w.bus.deposits[i].shelf, BUS_SHELF_DEAD);
    }
    assert_string_equal(w.bus.deposits[0].body, "{\"room\":\"42\"}");
    assert_int_equal(w.bus.deliveries_out, 1); /* not before the dead are kept */
    world_confirm_deposits(&w);
    world_until(&w, w.bus.deliveries_out == 0);
    world_ingress(&w, "n", "[1,2");
    world_until(&w, w.bus.deposit_count == 5);
    assert_string_equal(w.bus.deposits[4].body, "[1,2");
    assert_string_equal(w.bus.deposits[4].message_id, "n");
    assert_int_equal(world_metric(&w, "warren_ingress_messages_total{result=\"dead\"}"), 5);
    client_close(&a);
    world_close(&w); /* stopped before that one was confirmed: nothing is left behind */
}

/** [1,1,…,{good},1,…] */
static void ingress_of_nonsense(struct world *w, const char *id, size_t count)
{
    static const char good[] = "{\"room\":\"42\",\"data\":1},";
    char *body = malloc(2 * count + sizeof(good) + 4), *at = body;

    *at++ = '[';
    for (size_t i = 0; i < count; i++) {
        if (i == count / 2)
            at += sprintf(at, "%s", good);
        *at++ = '1';
        *at++ = ',';
    }
    at[-1] = ']';
    *at = '\0';
    world_ingress(w, id, body);
    free(body);
}

/** A body of nothing but nonsense, almost, is read no faster than its dead letters are kept; and what comes behind it
 * waits for its turn. */
static void test_the_dead_are_bounded(void **state base_unused)
{
    enum { NONSENSE = 3000 };
    struct client a;
    struct world w;
    size_t dead = 0;

    open_world(&w, true);
    client_open(&a, &w, 0, "a", "42");
    ingress_of_nonsense(&w, "m", NONSENSE);
    world_ingress(&w, "n", "{\"room\":\"42\",\"data\":2}");
    while (dead < NONSENSE) {
        world_until(&w, w.bus.deposit_count > 0);
        world_settle(&w);
        assert_in_range(w.bus.deposit_count, 1, 128);
        assert_int_equal(a.message_count > 0, dead + w.bus.deposit_count == NONSENSE);
        dead += w.bus.deposit_count;
        world_confirm_deposits(&w);
        w.bus.deposit_count = 0;
    }
    assert_int_equal(dead, NONSENSE);
    world_until(&w, a.message_count == 2 && w.bus.deliveries_out == 0);
    assert_string_equal(a.messages[0].data, "1");
    assert_string_equal(a.messages[1].data, "2");
    assert_int_equal(w.bus.acknowledged, 2);
    client_close(&a);
    world_close(&w);
}

/** It comes again elsewhere while it is being read: it is read no further, and nothing of it is sent. */
static void test_what_is_void_is_not_read_on(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, true);
    client_open(&a, &w, 0, "a", "42");
    ingress_of_nonsense(&w, "m", 1000);
    world_until(&w, w.bus.deposit_count > 0);
    world_settle(&w);
    w.bus.are_deliveries_void = true;
    world_confirm_deposits(&w);
    world_until(&w, w.bus.deliveries_out == 0);
    assert_int_equal(w.bus.deposit_count, 128);
    w.bus.are_deliveries_void = false;
    w.bus.deposit_count = 0;
    ingress_of_nonsense(&w, "m", 300);
    world_until(&w, w.bus.deposit_count == 128);
    assert_int_equal(a.message_count, 0);
    client_close(&a);
    world_close(&w); /* in the middle of it */
}

static void test_without_the_store_the_queue_is_left_to_others(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, true);
    client_open(&a, &w, 0, "a", "42");
    world_store_set_away(&w, true);
    world_ingress(&w, "m1", "{\"room\":\"42\",\"data\":1}");
    world_settle(&w);
    assert_true(w.bus.is_ingress_wanted); /* it may be back in a moment */
    assert_int_equal(w.bus.deliveries_out, 1);
    world_until(&w, !w.bus.is_ingress_wanted);
    assert_int_equal(w.bus.deliveries_out, 0); /* it comes again */
    assert_int_equal(w.bus.acknowledged, 0);
    assert_int_equal(a.message_count, 0);
    world_store_set_away(&w, false);
    world_until(&w, w.bus.is_ingress_wanted);
    world_ingress(&w, "m1", "{\"room\":\"42\",\"data\":1}");
    world_until(&w, a.message_count == 1 && w.bus.deliveries_out == 0);
    assert_int_equal(w.bus.acknowledged, 1);
    assert_int_equal(w.bus.deposit_count, 0);
    client_close(&a);
    world_close(&w);
}

static void test_what_comes_again_is_not_begun(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, true);
    client_open(&a, &w, 0, "a", "42");
    world_store_set_away(&w, true);
    world_ingress(&w, NULL, "{\"room\":\"42\",\"data\":1}"); /* has no id by which its repetition could be known */
    world_settle(&w);
    w.bus.are_deliveries_void = true;
    world_store_set_away(&w, false);
    world_until(&w, w.bus.deliveries_out == 0);
    w.bus.are_deliveries_void = false;
    world_ingress(&w, NULL, "{\"room\":\"42\",\"data\":1}");
    world_until(&w, a.message_count == 1 && w.bus.deliveries_out == 0);
    world_pass(&w, 50);
    assert_int_equal(a.message_count, 1);
    client_close(&a);
    world_close(&w);
}

/** A store that fails at any moment changes no order, and nothing is lost or there twice. */
static void test_order_over_failures(void **state base_unused)
{
    enum { BODIES = 60, SIBLINGS = 40 };
    static char bodies[BODIES][SIBLINGS * 40], ids[BODIES][8];
    struct prng seed = {.state = 20261127};
    struct client a;
    struct world w;
    size_t numbers = 0, sent = 0;

    open_world(&w, true);
    w.store.refuse_delay_ms = 3; /* so that more comes before the answer */
    client_open(&a, &w, 0, "a", "42");
    for (size_t i = 0; i < BODIES; i++) {
        size_t count = 1 + prng_below(&seed, SIBLINGS), at = 0;

        for (size_t k = 0; k < count; k++)
            at += (size_t)snprintf(bodies[i] + at, sizeof(bodies[i]) - at, "%s{\"room\":\"%s\",\"data\":%zu}",
                                   k ? "," : "[", k % 5 == 4 ? "other" : "42", k % 5 == 4 ? 0 : numbers++);
        (void)snprintf(bodies[i] + at, sizeof(bodies[i]) - at, "]");
        (void)snprintf(ids[i], sizeof(ids[i]), "b%zu", i);
    }
    while (sent < BODIES || w.bus.deliveries_out > 0) {
        if (sent < BODIES && prng_below(&seed, 3) == 0) {
            world_ingress(&w, ids[sent], bodies[sent]);
            sent++;
        }
        if (prng_below(&seed, 8) == 0)
            w.store.is_away = !w.store.is_away; /* as yet it has told nobody */
        else if (prng_below(&seed, 4) == 0)
            world_store_set_away(&w, !w.store.is_away);
        else if (sent == BODIES)
            world_store_set_away(&w, false);
        world_turn(w.hub_loop);
        assert_true(w.bus.is_ingress_wanted); /* never away for so long */
    }
    world_store_set_away(&w, false);
    world_until(&w, a.message_count == numbers);
    for (size_t i = numbers - BASE_ARRAY_SIZE(a.messages); i < numbers; i++) { /* those that the client keeps */
        const struct client_message *m = &a.messages[i % BASE_ARRAY_SIZE(a.messages)];
        char text[16];

        (void)snprintf(text, sizeof(text), "%zu", i);
        assert_string_equal(m->data, text);
        assert_int_equal(m->offset, i + 1);
    }
    assert_true(world_metric(&w, "warren_ingress_retries_total") > 0);
    assert_int_equal(w.bus.acknowledged, BODIES);
    assert_int_equal(w.bus.deposit_count, 0);
    client_close(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_is_appended_and_given_back),
        cmocka_unit_test(test_without_positions_it_is_published),
        cmocka_unit_test(test_the_dead_leave_their_siblings),
        cmocka_unit_test(test_the_dead_are_bounded),
        cmocka_unit_test(test_what_is_void_is_not_read_on),
        cmocka_unit_test(test_without_the_store_the_queue_is_left_to_others),
        cmocka_unit_test(test_what_comes_again_is_not_begun),
        cmocka_unit_test(test_order_over_failures),
    };

    return cmocka_run_group_tests_name("hub/ingress", tests, NULL, NULL);
}
