#include "hub_world.h"

#include "base/clock.h"

#include <stdio.h>

static void open_world(struct world *w, bool is_sequenced, int64_t pending)
{
    world_init(w);
    w->config.online_interval_ms = 600000;
    w->config.archive = true;
    w->config.archive_pending = pending;
    w->config.archive_pending_bytes = 1 << 20;
    w->is_sequenced = is_sequenced;
    world_open(w);
}

/** What was accepted is with the broker, in the archive too, before its sender is told. */
static void check_the_answer_waits(bool is_sequenced)
{
    struct client a;
    struct world w;
    uint64_t began_ms;
    size_t answers;

    open_world(&w, is_sequenced, 100);
    client_open(&a, &w, 0, "a", "42");
    answers = a.answers;
    began_ms = clock_monotonic_ms();
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_until(&w, w.bus.deposit_count == 1 && a.message_count == 1);
    world_pass(&w, 50);
    assert_true(a.answers == answers || clock_monotonic_ms() - began_ms >= 500); /* see test_but_not_for_long */
    assert_int_equal(w.bus.deposits[0].shelf, BUS_SHELF_ARCHIVE);
    world_confirm_deposits(&w);
    world_until(&w, a.answers == answers + 1);
    assert_int_equal(a.last_result, 0);
    assert_int_equal(world_metric(&w, "warren_archive_records_total{result=\"ok\"}"), 1);
    assert_int_equal(world_metric(&w, "warren_archive_pending"), 0);
    client_close(&a);
    world_close(&w);
}

static void test_the_answer_waits(void **state base_unused)
{
    check_the_answer_waits(true);
    check_the_answer_waits(false);
}

static void test_but_not_for_long(void **state base_unused)
{
    struct client a;
    struct world w;
    size_t answers;

    open_world(&w, true, 100);
    client_open(&a, &w, 0, "a", "42");
    answers = a.answers;
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_until(&w, a.answers == answers + 1);
    assert_int_equal(a.last_result, 0);
    assert_int_equal(world_metric(&w, "warren_archive_pending"), 1);
    world_confirm_deposits(&w);
    world_settle(&w);
    assert_int_equal(world_metric(&w, "warren_archive_records_total{result=\"ok\"}"), 1);
    client_close(&a);
    world_close(&w);
}

/** Four bodies are under way, the others wait and travel together; what is beyond the bound is counted. */
static void test_the_bound(void **state base_unused)
{
    struct client a;
    struct world w;
    size_t answers;
    char data[16];

    open_world(&w, true, 20);
    client_open(&a, &w, 0, "a", "42");
    answers = a.answers;
    for (int i = 0; i < 30; i++) {
        (void)snprintf(data, sizeof(data), "%d", i);
        assert_int_equal(client_send(&a, "42", data, NULL), 0);
        world_settle(&w);
    }
    assert_int_equal(w.bus.deposit_count, 4);
    assert_int_equal(world_metric(&w, "warren_archive_pending"), 20);
    assert_int_equal(world_metric(&w, "warren_archive_records_total{result=\"lost\"}"), 10);
    world_confirm_deposits(&w);
    world_settle(&w);
    assert_int_equal(w.bus.deposit_count, 5);
    world_confirm_deposits(&w);
    world_until(&w, a.answers == answers + 30);
    assert_int_equal(world_metric(&w, "warren_archive_records_total{result=\"ok\"}"), 20);
    client_close(&a);
    world_close(&w);
}

static void test_records_of_other_kinds(void **state base_unused)
{
    struct message record = {.kind = MESSAGE_KIND_SIGNAL,
                             .channel = SLICE_LITERAL("room:42"),
                             .from = SLICE_LITERAL("a"),
                             .content_type = CONTENT_TYPE_JSON,
                             .data = SLICE_LITERAL("{\"likes\":3}")};
    struct world w;

    open_world(&w, true, 20);
    assert_int_equal(hub_port_archive(w.ports[1], &record), 0);
    world_until(&w, w.bus.deposit_count == 1);
    assert_int_equal(world_metric(&w, "warren_archive_pending"), 1);
    world_confirm_deposits(&w);
    world_close(&w);
    world_init(&w);
    world_open(&w);
    assert_int_equal(hub_port_archive(w.ports[1], &record), HUB_E_UNAVAILABLE);
    world_close(&w);
}

static void test_what_the_end_cuts_off_is_counted(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, true, 20);
    client_open(&a, &w, 0, "a", "42");
    for (int i = 0; i < 10; i++)
        assert_int_equal(client_send(&a, "42", "x", NULL), 0);
    world_until(&w, a.message_count == 10);
    client_close(&a);
    world_settle(&w);
    world_close(&w); /* asserts that nothing is left behind; what waited was handed to the bus before it was stopped */
    assert_true(w.bus.deposit_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_answer_waits),
        cmocka_unit_test(test_but_not_for_long),
        cmocka_unit_test(test_the_bound),
        cmocka_unit_test(test_records_of_other_kinds),
        cmocka_unit_test(test_what_the_end_cuts_off_is_counted),
    };

    return cmocka_run_group_tests_name("hub/archive", tests, NULL, NULL);
}
