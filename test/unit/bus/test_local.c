/* What the contract suite cannot ask of every backend: memory that runs out, and the stop from inside a callback. */
#include "bus/body.h"
#include "bus/local.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct loop *loop;
static struct bus *bus;
static size_t delivered, confirmed, unavailable;
static bool stops;

static void on_delivery(base_unused void *userdata, struct bus_delivery *d)
{
    delivered++;
    bus_delivery_done(bus, d);
    if (stops)
        bus_stop(bus);
}

static void on_done(base_unused struct bus_publication *p, int result)
{
    confirmed += result == 0;
    unavailable += result == BUS_E_UNAVAILABLE;
}

static void on_time(base_unused void *userdata)
{
    loop_stop(loop);
}

static void run_a_moment(void)
{
    struct loop_timer timer;

    loop_timer_init(&timer, loop, on_time, NULL);
    loop_timer_start(&timer, 20);
    loop_run(loop);
    loop_timer_deinit(&timer);
}

static struct message message = {
    .kind = MESSAGE_KIND_MESSAGE,
    .channel = SLICE_LITERAL("room:1"),
    .id = SLICE_LITERAL("i"),
    .content_type = SLICE_LITERAL("text/plain"),
    .data = SLICE_LITERAL("x"),
};

static int setup(base_unused void **state)
{
    delivered = confirmed = unavailable = 0;
    stops = false;
    assert_int_equal(loop_new("test", &loop), 0);
    assert_int_equal(bus_local_new(loop, 10, &bus), 0);
    bus->callbacks.on_delivery = on_delivery;
    assert_int_equal(bus_start(bus), 0);
    return 0;
}

static int teardown(base_unused void **state)
{
    bus = bus_free(bus);
    loop = loop_free(loop);
    return 0;
}

static void test_out_of_memory(base_unused void **state)
{
    struct bus_publication p[3] = {{.message = &message, .done = on_done},
                                   {.message = &message, .done = on_done},
                                   {.message = &message, .done = on_done}};

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(bus_publish(bus, &p[i]), 0);
    alloc_fail_after(4); /* enough for the first, whatever it needs, not for all */
    run_a_moment();
    assert_true(alloc_fail_disarm());
    assert_true(unavailable > 0);
    assert_int_equal(confirmed, delivered);
    assert_int_equal(confirmed + unavailable, 3);
}

static void test_stopped_from_inside(base_unused void **state)
{
    struct bus_publication p[3] = {{.message = &message, .done = on_done},
                                   {.message = &message, .done = on_done},
                                   {.message = &message, .done = on_done}};

    stops = true;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(bus_publish(bus, &p[i]), 0);
    run_a_moment();
    assert_int_equal(delivered, 1);
    assert_int_equal(confirmed, 1);
    assert_int_equal(unavailable, 2);
    assert_int_equal(bus_publish(bus, &p[0]), BUS_E_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_from_inside, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
