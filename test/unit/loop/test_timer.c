/** Precise timers: order, meddling callbacks, and a heap that agrees with a plain sort. */
#include "base/clock.h"
#include "loop/loop_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MANY 500
#define SLACK_US 30000000 /* a busy machine is late, and that is no fault of the heap */

struct timer_test {
    struct loop *loop;
    unsigned fired, expected;
    uint64_t last_due_us;
};

struct timed {
    struct loop_timer timer;
    struct timer_test *test;
    uint64_t due_us; /* not before */
    unsigned fired;
    struct timed *victim; /* stopped and taken down when this one fires */
    unsigned again;
};

static uint64_t node_due_us(struct loop_timer *t)
{
    return ((struct loop_timer_node *)(void *)t->node)->due_us;
}

static void timed_start(struct timed *t, uint64_t delay_ms)
{
    t->due_us = clock_monotonic_us() + delay_ms * 1000;
    loop_timer_start(&t->timer, delay_ms);
}

static void timed_fire(void *userdata)
{
    struct timed *t = userdata;
    uint64_t now_us = clock_monotonic_us();

    if (now_us < t->due_us || now_us > t->due_us + SLACK_US)
        fail_msg("due at %llu, fired at %llu", (unsigned long long)t->due_us, (unsigned long long)now_us);
    assert_false(loop_timer_is_pending(&t->timer));
    assert_true(node_due_us(&t->timer) >= t->test->last_due_us);
    t->test->last_due_us = node_due_us(&t->timer);
    t->fired++;
    if (t->victim)
        loop_timer_deinit(&t->victim->timer);
    if (t->again > 0) {
        t->again--;
        timed_start(t, 0);
    }
    if (++t->test->fired == t->test->expected)
        loop_stop(t->test->loop);
}

static void test_order(void **state base_unused)
{
    struct timer_test test = {0};
    static struct timed timers[MANY];

    assert_int_equal(loop_new("timers", &test.loop), 0);
    for (size_t i = 0; i < MANY; i++) {
        timers[i] = (struct timed){.test = &test};
        loop_timer_init(&timers[i].timer, test.loop, timed_fire, &timers[i]);
        timed_start(&timers[i], i * 7919 % 200);
        assert_true(loop_timer_is_pending(&timers[i].timer));
    }
    for (size_t i = 0; i < MANY; i += 5)
        timed_start(&timers[i], i * 104729 % 100);
    for (size_t i = 1; i < MANY; i += 5) {
        loop_timer_stop(&timers[i].timer);
        loop_timer_stop(&timers[i].timer);
        assert_false(loop_timer_is_pending(&timers[i].timer));
    }
    test.expected = MANY - MANY / 5;
    loop_run(test.loop);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(timers[i].fired, i % 5 != 1);
        loop_timer_deinit(&timers[i].timer);
    }
    loop_free(test.loop);
}

static void test_meddling(void **state base_unused)
{
    struct timer_test test = {.expected = 12};
    struct timed zeroed = {0}, victim = {.test = &test}, killer = {.test = &test, .victim = &victim};
    struct timed repeating = {.test = &test, .again = 10};

    assert_int_equal(loop_new("timers", &test.loop), 0);
    loop_timer_init(&victim.timer, test.loop, timed_fire, &victim);
    loop_timer_init(&killer.timer, test.loop, timed_fire, &killer);
    loop_timer_init(&repeating.timer, test.loop, timed_fire, &repeating);
    timed_start(&killer, 5);
    timed_start(&victim, 5);
    timed_start(&repeating, 10);
    loop_run(test.loop);
    assert_int_equal(killer.fired, 1);
    assert_int_equal(victim.fired, 0);
    assert_int_equal(repeating.fired, 11);
    loop_timer_deinit(&zeroed.timer);
    loop_free(test.loop);
}

struct endless {
    struct loop_timer timer;
    struct loop *loop;
    struct loop_task task;
    unsigned fired;
};

static void endless_fire(void *userdata)
{
    struct endless *e = userdata;

    e->fired++;
    loop_timer_start(&e->timer, 0);
}

static void endless_stop(struct loop_task *task)
{
    struct endless *e = container_of(task, struct endless, task);

    loop_stop(e->loop);
}

/* A timer of no delay that starts itself again leaves the turn to others. */
static void test_no_delay_does_not_starve(void **state base_unused)
{
    struct endless e = {.task.run = endless_stop};

    assert_int_equal(loop_new("timers", &e.loop), 0);
    loop_timer_init(&e.timer, e.loop, endless_fire, &e);
    loop_timer_start(&e.timer, 0);
    loop_post(e.loop, &e.task);
    loop_run(e.loop);
    assert_true(e.fired < 100);
    loop_timer_deinit(&e.timer);
    loop_free(e.loop);
}

#define LATE_MS 60000

struct relay {
    struct loop *loop;
    struct loop_timer timer, late;
    struct loop_deadline deadline;
};

static void relay_deadline(struct loop_deadline *d)
{
    loop_stop(container_of(d, struct relay, deadline)->loop);
}

static void relay_timer(void *userdata)
{
    struct relay *r = userdata;

    loop_deadline_start(r->loop, &r->deadline, 1);
}

static void relay_late(void *userdata)
{
    loop_stop(((struct relay *)userdata)->loop);
}

/* A timer's callback starts a deadline: the alarm is set for it, not for the next timer only. */
static void test_a_timer_starts_a_deadline(void **state base_unused)
{
    struct relay r;
    uint64_t began_ms;

    assert_int_equal(loop_new("timers", &r.loop), 0);
    loop_timer_init(&r.timer, r.loop, relay_timer, &r);
    loop_timer_init(&r.late, r.loop, relay_late, &r);
    loop_deadline_init(&r.deadline, relay_deadline);
    began_ms = clock_monotonic_ms();
    loop_timer_start(&r.timer, 1);
    loop_timer_start(&r.late, LATE_MS);
    loop_run(r.loop);
    assert_true(clock_monotonic_ms() < began_ms + LATE_MS);
    loop_timer_deinit(&r.late);
    loop_free(r.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_meddling),
        cmocka_unit_test(test_no_delay_does_not_starve),
        cmocka_unit_test(test_a_timer_starts_a_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
