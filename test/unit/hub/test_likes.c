#include "hub_world.h"

#include "base/clock.h"

#include <stdio.h>

static void open_world(struct world *w)
{
    world_init(w);
    w->config.online_interval_ms = 60000; /* no online events among the signals */
    w->config.likes_interval_ms = 30;
    w->config.likes_per_op = 100;
    w->config.lease_ms = 1500;
    world_open(w);
}

/** The newest total that was heard; 0: none. */
static unsigned long long total_of(const struct client *c)
{
    const char *data = client_online(c);
    unsigned long long total = 0;

    if (data)
        assert_int_equal(sscanf(data, "{\"total\":%llu}", &total), 1);
    return total;
}

static void like(struct client *c, uint64_t count)
{
    assert_int_equal(hub_session_like(&c->session, SLICE_LITERAL("42"), count), 0);
}

static void test_added_up(void **state base_unused)
{
    struct client a, b;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", "42");
    for (int i = 0; i < 50; i++) {
        like(&a, 1);
        like(&b, 2);
    }
    world_until(&w, total_of(&a) == 150 && total_of(&b) == 150);
    assert_true(w.store.likes_adds <= 2); /* not one a like */
    like(&b, 7);
    world_until(&w, total_of(&a) == 157 && total_of(&b) == 157);
    assert_int_equal(world_metric(&w, "warren_hub_likes_total"), 157);
    assert_int_equal(hub_session_like(&a.session, SLICE_LITERAL("43"), 1), HUB_E_NOT_JOINED);
    assert_int_equal(hub_session_like(&a.session, SLICE_LITERAL("42"), 101), HUB_E_TOO_LARGE);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

/** A room that was forgotten in between goes on where it was; and a like that comes with a leave counts. */
static void test_last_like(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    like(&a, 5);
    assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("42")), 0);
    world_until(&w, world_metric(&w, "warren_hub_likes_events_total") == 1);
    world_until(&w, world_metric(&w, "warren_hub_rooms") == 0 || world_metric(&w, "warren_hub_rooms") == 1);
    assert_int_equal(client_join(&a, "42", "again"), 0);
    like(&a, 1);
    world_until(&w, total_of(&a) == 6);
    client_close(&a);
    world_close(&w);
}

static void test_store_away(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    like(&a, 1);
    world_until(&w, total_of(&a) == 1);
    world_store_set_away(&w, true);
    for (int i = 0; i < 20; i++) {
        like(&a, 1);
        world_pass(&w, 10);
    }
    assert_int_equal(total_of(&a), 1);
    assert_int_equal(world_metric(&w, "warren_hub_waiting{what=\"likes\"}"), 20);
    world_store_set_away(&w, false);
    world_until(&w, total_of(&a) == 21);
    assert_int_equal(world_metric(&w, "warren_hub_waiting{what=\"likes\"}"), 0);
    client_close(&a);
    world_close(&w);
}

/** A flush that was carried out and looks as if it was not adds nothing the second time. */
static void test_lost_answer(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    for (unsigned round = 1; round <= 5; round++) {
        size_t adds = w.store.likes_adds;

        w.store.loses_likes = true;
        like(&a, 10);
        world_until(&w, w.store.likes_adds > adds);
        like(&a, 1); /* goes with the next one */
        world_until(&w, total_of(&a) == 11 * round);
    }
    client_close(&a);
    world_close(&w);
}

/** A telling that nobody hears is made again, and less often all the time. */
static void test_lost_telling(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    like(&a, 3);
    world_pass(&w, 200);
    assert_int_equal(total_of(&a), 0);
    w.bus.publish_result = 0;
    world_until(&w, total_of(&a) == 3);
    /* told, and heard: the store is left alone */
    size_t adds = w.store.likes_adds;

    world_pass(&w, 300);
    assert_true(w.store.likes_adds <= adds + 1);
    client_close(&a);
    world_close(&w);
}

/** How long a like waits to be sent, after a telling that nobody heard. */
static uint64_t like_waits(struct world *w, struct client *c, const char *room)
{
    int64_t events = world_metric(w, "warren_hub_likes_events_total");
    uint64_t began_ms;
    size_t adds;

    world_until(w, world_metric(w, "warren_hub_likes_events_total") > events);
    adds = w->store.likes_adds;
    began_ms = clock_monotonic_ms();
    assert_int_equal(hub_session_like(&c->session, slice_from(room), 1), 0);
    world_until(w, w->store.likes_adds > adds);
    return clock_monotonic_ms() - began_ms;
}

/** What nobody hears is told less and less often; likes do not wait for that, neither that room's nor another one's. */
static void test_likes_do_not_wait_for_tellings(void **state base_unused)
{
    static const char *const rooms[] = {"42", "43"};
    struct client a, b;
    struct world w;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rooms); i++) {
        uint64_t waited_ms = UINT64_MAX;

        open_world(&w);
        client_open(&a, &w, 0, "a", "42");
        client_open(&b, &w, 1, "b", "43");
        w.bus.is_deaf = true;
        like(&a, 1);
        world_until(&w, world_metric(&w, "warren_hub_likes_events_total") >= 4);
        world_until(&w, world_metric(&w, "warren_hub_likes_events_total") >= 6);
        /* now 30 ms have become 960; a busy machine may take its time, but not always */
        for (int tries = 0; waited_ms > 600 && tries < 6; tries++)
            waited_ms = like_waits(&w, i ? &b : &a, rooms[i]);
        assert_true(waited_ms <= 600);
        client_close(&a);
        client_close(&b);
        world_close(&w);
    }
}

static void test_told_at_most(void **state base_unused)
{
    uint64_t began_ms = clock_monotonic_ms();
    struct client a;
    struct world w;

    world_init(&w);
    w.config.online_interval_ms = 60000;
    w.config.likes_interval_ms = 100;
    w.config.lease_ms = 1500;
    world_open(&w);
    client_open(&a, &w, 0, "a", "42");
    for (int i = 0; i < 100; i++) {
        like(&a, 1);
        world_pass(&w, 5);
    }
    world_until(&w, total_of(&a) == 100);
    assert_in_range(a.message_count, 2, (clock_monotonic_ms() - began_ms) / 100 + 3);
    client_close(&a);
    world_close(&w);
}

/** A signal of another node arrives. */
static void tell(struct world *w, const char *data)
{
    const struct message m = {.kind = MESSAGE_KIND_SIGNAL,
                              .channel = SLICE_LITERAL("room:42"),
                              .id = SLICE_LITERAL("s"),
                              .content_type = SLICE_LITERAL("application/vnd.warren.likes+json"),
                              .data = slice_from(data)};
    struct buffer body = {0};

    bus_body_begin(&body, 1);
    bus_body_append(&body, &m);
    world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
    buffer_deinit(&body);
    world_settle(w);
}

/** What was long on its way is nothing to listeners who know more, and costs a question; what the store lost is told.
 */
static void test_an_older_total(void **state base_unused)
{
    struct client a;
    struct world w;
    size_t adds;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    like(&a, 5);
    world_until(&w, total_of(&a) == 5);
    world_pass(&w, 100);
    adds = w.store.likes_adds;
    tell(&w, "{\"total\":3}");
    world_until(&w, w.store.likes_adds > adds);
    world_pass(&w, 200);
    assert_true(w.store.likes_adds <= adds + 2);
    assert_int_equal(client_count(&a, "{\"total\":3}"), 0);
    assert_int_equal(total_of(&a), 5);
    tell(&w, "{\"total\":100}");
    assert_int_equal(total_of(&a), 100);
    tell(&w, "{\"total\":6}"); /* as if the store had come back older */
    world_until(&w, total_of(&a) == 5);
    assert_int_equal(client_count(&a, "{\"total\":6}"), 0);
    like(&a, 1);
    world_until(&w, client_count(&a, "{\"total\":6}") == 1);
    client_close(&a);
    world_close(&w);
}

static void test_out_of_memory(void **state base_unused)
{
    bool was_refused = true;

    for (size_t n = 0; was_refused; n++) {
        unsigned long long taken = 0;
        struct client a;
        struct world w;

        open_world(&w);
        client_open(&a, &w, 0, "a", "42");
        alloc_fail_after(n);
        taken += hub_session_like(&a.session, SLICE_LITERAL("42"), 1) == 0;
        for (int i = 0; i < 30; i++)
            world_settle(&w);
        was_refused = alloc_fail_disarm();
        like(&a, 1);
        taken++;
        world_until(&w, total_of(&a) + (unsigned long long)world_metric(&w, "warren_hub_likes_lost_total") == taken);
        client_close(&a);
        world_close(&w);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_up),
        cmocka_unit_test(test_last_like),
        cmocka_unit_test(test_store_away),
        cmocka_unit_test(test_lost_answer),
        cmocka_unit_test(test_lost_telling),
        cmocka_unit_test(test_told_at_most),
        cmocka_unit_test(test_an_older_total),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_likes_do_not_wait_for_tellings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
