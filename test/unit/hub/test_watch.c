#include "hub_world.h"

#include "base/clock.h"

#include <stdio.h>

static void open_world(struct world *w)
{
    world_init(w);
    w->config.online_interval_ms = 60000;
    w->config.watch_interval_ms = 50;
    w->config.watch_gap_ms = 1000;
    w->config.lease_ms = 1500;
    w->section = "sequenced = no\nwatch = yes";
    world_open(w);
}

struct answer {
    bool is_there;
    int result;
    size_t count;
    char users[8][32];
    uint64_t seconds[8];
};

static void on_watched(void *userdata, int result, const struct store_watched *watched, size_t count,
                       struct slice next base_unused)
{
    struct answer *a = userdata;

    a->is_there = true;
    a->result = result;
    a->count = count;
    for (size_t i = 0; i < count && i < BASE_ARRAY_SIZE(a->users); i++) {
        (void)snprintf(a->users[i], sizeof(a->users[i]), "%.*s", SLICE_PRINTF(watched[i].user));
        a->seconds[i] = watched[i].seconds;
    }
}

/** Seconds of a user in room 42 as the store has them now. */
static uint64_t seconds(struct world *w, const char *user)
{
    struct answer a = {0};

    assert_int_equal(hub_port_watch(w->ports[0], SLICE_LITERAL("42"), slice_from(user), SLICE_NONE, 0, on_watched, &a),
                     0);
    world_until(w, a.is_there);
    assert_int_equal(a.result, 0);
    return a.count ? a.seconds[0] : 0;
}

/** Signs of life for so long at least. */
static void live(struct world *w, struct client *a, struct client *b, uint64_t ms)
{
    uint64_t began_ms = clock_monotonic_ms(), passed_ms = 0;

    while (passed_ms < ms) {
        hub_session_alive(&a->session);
        if (b)
            hub_session_alive(&b->session);
        world_pass(w, 20);
        passed_ms = clock_monotonic_ms() - began_ms;
    }
}

/** No more than passed since then, however busy the machine is. */
static void assert_at_most(uint64_t seconds, uint64_t began_ms)
{
    assert_in_range(seconds * 1000, 1000, clock_monotonic_ms() - began_ms);
}

static void test_devices_and_gaps(void **state base_unused)
{
    struct client phone, desk, other;
    uint64_t began_ms, silent_ms;
    struct world w;

    open_world(&w);
    began_ms = clock_monotonic_ms();
    client_open(&phone, &w, 0, "a", "42");
    client_open(&desk, &w, 1, "a", "42");
    client_open(&other, &w, 1, "b", "43");
    live(&w, &phone, &desk, 1300);
    while (seconds(&w, "a") < 1) /* a stall beyond the gap does not count */
        live(&w, &phone, &desk, 100);
    assert_at_most(seconds(&w, "a"), began_ms); /* the devices are one user's */
    silent_ms = clock_monotonic_ms();
    world_pass(&w, 1500);
    silent_ms = clock_monotonic_ms() - silent_ms;
    live(&w, &phone, NULL, 1100);
    while (seconds(&w, "a") < 2)
        live(&w, &phone, NULL, 100);
    world_pass(&w, 100);
    assert_at_most(seconds(&w, "a"), began_ms + silent_ms); /* without the silence */
    /* what is behind the last sign counts when they leave */
    assert_int_equal(hub_session_leave(&phone.session, SLICE_LITERAL("42")), 0);
    client_close(&desk);
    assert_int_equal(seconds(&w, "b"), 0);
    client_close(&phone);
    client_close(&other);
    world_close(&w);
}

/** Who leaves is told of soon, not when the time of those who stay is told. */
static void test_leaving_is_told_at_once(void **state base_unused)
{
    struct client stays, leaves;
    struct world w;

    world_init(&w);
    w.config.online_interval_ms = 60000;
    w.config.watch_interval_ms = 60000;
    w.config.watch_gap_ms = 10000;
    w.config.lease_ms = 60000; /* what is due is looked at with each renewal */
    w.section = "sequenced = no\nwatch = yes";
    world_open(&w);
    client_open(&stays, &w, 0, "a", "42");
    client_open(&leaves, &w, 1, "b", "42");
    (void)live(&w, &stays, &leaves, 1100);
    client_close(&leaves);
    world_until(&w, seconds(&w, "b") >= 1); /* more, if the machine stood still */
    assert_int_equal(seconds(&w, "a"), 0);
    client_close(&stays);
    world_close(&w);
}

static void test_store_away(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    world_until(&w, w.store.room_puts == 0);
    world_store_set_away(&w, true);
    live(&w, &a, NULL, 2300); /* also with a stall */
    client_close(&a);
    world_pass(&w, 200);
    assert_true(world_metric(&w, "warren_hub_waiting{what=\"times\"}") >= 1);
    world_store_set_away(&w, false);
    world_until(&w, seconds(&w, "a") >= 1);
    world_until(&w, world_metric(&w, "warren_hub_waiting{what=\"times\"}") == 0);
    assert_int_equal(world_metric(&w, "warren_hub_watch_lost_seconds_total"), 0);
    world_close(&w);
}

/** Rooms that are not watched cost nothing. */
static void test_off(void **state base_unused)
{
    struct client a;
    struct world w;

    world_init(&w);
    world_open(&w);
    client_open(&a, &w, 0, "a", "42");
    assert_false(a.session.is_watching);
    client_close(&a);
    world_close(&w);
}

static void test_out_of_memory(void **state base_unused)
{
    bool was_refused = true;

    for (size_t n = 0; was_refused; n++) {
        struct client a = {.open_result = -1};
        struct world w;

        open_world(&w);
        alloc_fail_after(n);
        a.world = &w;
        was_refused =
            hub_session_open(&a.session, w.ports[0],
                             &(struct hub_session_info){.user = SLICE_LITERAL("a"), .room = SLICE_LITERAL("42")},
                             &client_sink) != 0;
        world_settle(&w);
        if (!was_refused)
            live(&w, &a, NULL, 120);
        was_refused |= alloc_fail_disarm();
        if (a.session.client)
            client_close(&a);
        world_close(&w);
        assert_true(n < 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices_and_gaps), cmocka_unit_test(test_leaving_is_told_at_once),
        cmocka_unit_test(test_store_away),       cmocka_unit_test(test_off),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
