/* The contract of store/store.h: likes and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_suite.h"

#include <stdio.h>

/* ---- likes ---- */

static struct store_likes likes_of(const char *room, uint64_t count, uint64_t sequence)
{
    return (struct store_likes){.room = slice_from(room), .count = count, .sequence = sequence, .age_ms = 60000};
}

static uint64_t add_likes(struct world_store *ws, const char *room, uint64_t count, uint64_t sequence)
{
    struct store_likes item = likes_of(room, count, sequence);

    assert_int_equal(world_likes(ws, &item, 1000), 0);
    assert_false(item.may_tell); /* it was not asked for */
    return item.total;
}

static void test_likes(void **state)
{
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(add_likes(&ws, "r", 0, 1), 0);
    assert_int_equal(add_likes(&ws, "r", 5, 1), 5);
    assert_int_equal(add_likes(&ws, "r", 5, 1), 5); /* the same again */
    assert_int_equal(add_likes(&ws, "r", 7, 2), 12);
    assert_int_equal(add_likes(&ws, "r", 5, 1), 12); /* an older one, late */
    assert_int_equal(add_likes(&ws, "r", 0, 3), 12);
    assert_int_equal(add_likes(&ws, "r", 1, 3), 13);
    assert_int_equal(add_likes(&ws, "{r} 2", UINT64_C(1) << 52, 3), UINT64_C(1) << 52);
    assert_int_equal(add_likes(&ws, "{r} 2", 1, 4), (UINT64_C(1) << 52) + 1);
    world_close(&ws);
}

static void test_likes_leave(void **state)
{
    struct store_likes item = likes_of("r", 1, 1), none = likes_of("s", 0, 1);
    struct world *w = *state;
    struct world_store ws;
    uint64_t before_ms, after_ms, sequence = 1;

    open_up(w, &ws, &identity);
    item.wants_to_tell = none.wants_to_tell = true;
    assert_int_equal(world_likes(&ws, &none, 200), 0);
    assert_false(none.may_tell); /* there is nothing to tell */
    before_ms = world_now_ms();
    assert_int_equal(world_likes(&ws, &item, 200), 0);
    after_ms = world_now_ms();
    assert_true(item.may_tell);
    do {
        item.sequence = ++sequence;
        assert_int_equal(world_likes(&ws, &item, 200), 0);
        assert_int_equal(item.total, sequence);
        assert_true(!item.may_tell || world_now_ms() - before_ms >= 200 - WORLD_CLOCKS_MS);
        assert_true(item.may_tell || world_now_ms() - after_ms < 20000);
        world_pass(w, 5);
    } while (!item.may_tell);
    world_close(&ws);
}

static void test_likes_age(void **state)
{
    struct store_likes item = likes_of("r", 3, 1);
    struct world *w = *state;
    struct world_store ws;
    uint64_t begun_ms;

    open_up(w, &ws, &identity);
    item.age_ms = 2000;
    assert_int_equal(world_likes(&ws, &item, 1), 0);
    item.count = 0;
    for (begun_ms = world_now_ms(); world_now_ms() - begun_ms < 3000; world_pass(w, 20)) {
        assert_int_equal(world_likes(&ws, &item, 1), 0); /* asking keeps it */
        assert_int_equal(item.total, 3);
    }
    world_pass(w, 2600);
    assert_int_equal(world_likes(&ws, &item, 1), 0);
    assert_int_equal(item.total, 0);
    item.count = 2; /* a sequence is of a total */
    assert_int_equal(world_likes(&ws, &item, 1), 0);
    assert_int_equal(item.total, 2);
    world_close(&ws);
}

struct likes_batch {
    struct store_likes_add add;
    struct store_likes items[STORE_LIKES_MAX];
    struct world *w;
    bool is_done;
    int result;
};

static void on_likes_batch(struct store_likes_add *add, int result)
{
    struct likes_batch *b = container_of(add, struct likes_batch, add);

    b->is_done = true;
    b->result = result;
    loop_stop(b->w->loop);
}

static void test_likes_of_many_rooms(void **state)
{
    static struct likes_batch b;
    static char names[STORE_LIKES_MAX][16];
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    for (uint64_t round = 1; round <= 2; round++) {
        b = (struct likes_batch){
            .add = {.items = b.items, .count = STORE_LIKES_MAX, .tell_interval_ms = 1, .done = on_likes_batch}, .w = w};
        for (size_t i = 0; i < STORE_LIKES_MAX; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "room %zu", i);
            b.items[i] = likes_of(names[i], i, round);
        }
        store_likes_add(ws.store, &b.add);
        world_until(w, &b.is_done);
        assert_int_equal(b.result, 0);
        for (size_t i = 0; i < STORE_LIKES_MAX; i++)
            assert_int_equal(b.items[i].total, i * round);
    }
    world_close(&ws);
}

static void test_likes_of_two_nodes(void **state)
{
    struct store_likes here = likes_of("r", 1, 1), there = likes_of("r", 10, 1);
    struct store_identity other = identity;
    struct world *w = *state;
    struct world_store a, b;

    if (!store_url)
        skip(); /* the memory of one node has no other */
    other.node = "10.0.0.6:8091";
    other.incarnation = 2;
    open_up(w, &a, &identity);
    open_up(w, &b, &other);
    here.wants_to_tell = there.wants_to_tell = true;
    assert_int_equal(world_likes(&a, &here, 60000), 0);
    assert_int_equal(world_likes(&b, &there, 60000), 0);
    assert_int_equal(here.total, 1);
    assert_int_equal(there.total, 11); /* each node has its own sequence */
    assert_true(here.may_tell && !there.may_tell);
    /* the same name in another life */
    world_close(&b);
    other.incarnation = 3;
    open_up(w, &b, &other);
    assert_int_equal(world_likes(&b, &there, 60000), 0);
    assert_int_equal(there.total, 21);
    world_close(&b);
    world_close(&a);
}

/* ---- times ---- */

/** When the test began: times are told as of then, however long it takes. */
static uint64_t begun_ms;

static void watched(struct world_store *ws, const char *user, uint64_t from_ago_ms, uint64_t to_ago_ms)
{
    uint64_t past_ms = world_now_ms() - begun_ms;
    const struct store_watch item = {.room = SLICE_LITERAL("r"),
                                     .user = slice_from(user),
                                     .from_ago_ms = past_ms + from_ago_ms,
                                     .to_ago_ms = past_ms + to_ago_ms,
                                     .age_ms = 60000};

    assert_int_equal(world_watch(ws, &item, 1), 0);
}

static uint64_t seconds_of(struct world_store *ws, const char *user)
{
    static struct world_watched page;

    assert_int_equal(world_watched(ws, "r", user, NULL, 0, &page), 0);
    assert_true(page.count <= 1);
    return page.count ? page.at[0].seconds : 0;
}

static void test_watch(void **state)
{
    static struct world_watched page;
    static bool seen[60];
    struct world *w = *state;
    struct world_store ws;
    char after[140] = "", user[16];
    size_t total = 0;

    begun_ms = world_now_ms();
    open_up(w, &ws, &identity);
    assert_int_equal(seconds_of(&ws, "a"), 0);
    watched(&ws, "a", 20500, 10000); /* half a second is kept for later */
    assert_int_equal(seconds_of(&ws, "a"), 10);
    watched(&ws, "a", 20500, 10000); /* told twice */
    assert_int_equal(seconds_of(&ws, "a"), 10);
    watched(&ws, "a", 15000, 6000);
    assert_int_equal(seconds_of(&ws, "a"), 14);
    watched(&ws, "a", 6000, 5100); /* 14.5 and 0.9 */
    assert_int_equal(seconds_of(&ws, "a"), 15);
    assert_int_equal(seconds_of(&ws, "b"), 0);
    for (int i = 0; i < 60; i++) {
        (void)snprintf(user, sizeof(user), "%d", i);
        watched(&ws, user, 5000 + (uint64_t)i * 1000, 4500);
    }
    do { /* every page has what was there from beginning to end */
        assert_int_equal(world_watched(&ws, "r", NULL, after[0] ? after : NULL, 500, &page), 0);
        for (size_t i = 0; i < page.count; i++) {
            int number = atoi(page.at[i].user);

            if (strcmp(page.at[i].user, "a") == 0)
                continue;
            assert_int_equal(page.at[i].seconds, number);
            total += !seen[number];
            seen[number] = true;
        }
        (void)snprintf(after, sizeof(after), "%s", page.next);
    } while (after[0]);
    assert_true(total >= 59); /* who was there for half a second need not be listed */
    world_close(&ws);
}

static void test_watch_of_two_nodes(void **state)
{
    struct store_identity other = identity;
    struct world *w = *state;
    struct world_store a, b;

    if (!store_url)
        skip(); /* the memory of one node has no other */
    other.node = "10.0.0.6:8091";
    other.incarnation = 2;
    open_up(w, &a, &identity);
    open_up(w, &b, &other);
    begun_ms = world_now_ms();
    watched(&a, "a", 60500, 40000);
    watched(&b, "a", 60500, 40000); /* at the same time */
    assert_int_equal(seconds_of(&a, "a"), 20);
    watched(&a, "a", 30000, 20000); /* here, and in between there, which comes late */
    watched(&b, "a", 38000, 25000);
    assert_int_equal(seconds_of(&b, "a"), 38); /* 20.5, 10, and 8 */
    watched(&a, "a", 70500, 1000);             /* all of it, and all around it */
    assert_int_equal(seconds_of(&b, "a"), 69);
    world_close(&b);
    world_close(&a);
}

int store_live_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_likes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_likes_leave, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_likes_age, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_likes_of_many_rooms, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_likes_of_two_nodes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_watch, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_watch_of_two_nodes, store_set_up, store_tear_down),
    };

    return cmocka_run_group_tests_name(store_url ? "store/redis: live" : "store/memory: live", tests, NULL, NULL);
}
