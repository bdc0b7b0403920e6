/**
 * The wheel: never early, at most a tick late, and safe under callbacks that free and move its entries.
 *
 * How late it is, is asked with its clock held in the hand: it goes from one moment for which the wheel wants to be
 * called to the next. On a real loop a busy machine is late as well, so there only the order counts, and that nothing
 * is early.
 */
#include "base/clock.h"
#include "loop/loop_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MANY 5000
/** Where the held clock begins; in the middle of a tick. */
#define BEGIN_MS UINT64_C(7654321)

struct wheel_test {
    struct loop *loop;
    unsigned fired, expected;
    bool is_clock_held;
    uint32_t last_tick;
};

struct timed {
    struct loop_deadline deadline;
    struct wheel_test *test;
    uint64_t due_ms;
    unsigned fired;
};

static void count(struct wheel_test *t)
{
    if (++t->fired == t->expected)
        loop_stop(t->loop);
}

static void timed_fire(struct loop_deadline *fired)
{
    struct timed *d = container_of(fired, struct timed, deadline);
    struct wheel_test *t = d->test;
    uint64_t now_ms = loop_now_ms(t->loop);

    if (now_ms < d->due_ms || (t->is_clock_held && now_ms > d->due_ms + LOOP_TICK_MS))
        fail_msg("due at %llu, fired at %llu", (unsigned long long)d->due_ms, (unsigned long long)now_ms);
    assert_true(!t->is_clock_held || fired->tick >= t->last_tick);
    t->last_tick = fired->tick;
    d->fired++;
    count(t);
}

static void count_fire(struct loop_deadline *fired)
{
    count(container_of(fired, struct timed, deadline)->test);
}

static void timed_start(struct timed *d, uint64_t delay_ms)
{
    d->due_ms = loop_now_ms(d->test->loop) + delay_ms;
    loop_deadline_start(d->test->loop, &d->deadline, delay_ms);
}

/** As if a turn had begun at this moment, and the wheel had been looked at last in the turn before. */
static void hold_clock(struct wheel_test *t, uint64_t now_ms)
{
    if (!t->is_clock_held)
        t->loop->wheel.current = now_ms / LOOP_TICK_MS;
    t->is_clock_held = true;
    t->loop->in_turn = true;
    t->loop->now_ms = now_ms;
}

/** Goes on to when the wheel wants to be called. Until then it has nothing to do. */
static void step(struct wheel_test *t)
{
    uint64_t next_us = loop_wheel_next_us(t->loop);
    unsigned fired = t->fired;

    assert_true(next_us != LOOP_ALARM_NEVER && next_us % 1000 == 0 && next_us / 1000 > t->loop->now_ms);
    hold_clock(t, next_us / 1000 - 1);
    loop_wheel_run(t->loop);
    assert_int_equal(t->fired, fired);
    hold_clock(t, next_us / 1000);
    loop_wheel_run(t->loop);
}

static int setup(void **state)
{
    static struct wheel_test t;

    t = (struct wheel_test){0};
    assert_int_equal(loop_new("wheel", &t.loop), 0);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    struct wheel_test *t = *state;

    assert_true(loop_wheel_is_empty(&t->loop->wheel));
    t->loop->in_turn = false;
    loop_free(t->loop);
    return 0;
}

static void start_many(struct wheel_test *t, struct timed deadlines[MANY])
{
    for (size_t i = 0; i < MANY; i++) {
        deadlines[i] = (struct timed){.test = t};
        loop_deadline_init(&deadlines[i].deadline, timed_fire);
        timed_start(&deadlines[i], i * 7 % 450);
    }
    for (size_t i = 0; i < MANY; i += 3) /* moved, also to an earlier time */
        timed_start(&deadlines[i], i * 13 % 300);
    for (size_t i = 1; i < MANY; i += 3)
        loop_deadline_stop(&deadlines[i].deadline);
    for (size_t i = 0; i < MANY; i++)
        t->expected += i % 3 != 1;
}

static void assert_many_fired(const struct timed deadlines[MANY])
{
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(deadlines[i].fired, i % 3 != 1);
}

/* Each in the first tick behind its time, whatever part of a tick has gone by when it is started. */
static void test_at_most_a_tick_late(void **state)
{
    struct wheel_test *t = *state;
    static struct timed deadlines[MANY];
    struct timed one = {.test = t};

    hold_clock(t, BEGIN_MS);
    start_many(t, deadlines);
    assert_in_range(t->loop->alarm_us, BEGIN_MS * 1000,
                    (BEGIN_MS + LOOP_TICK_MS) * 1000); /* the first is due at once */
    while (t->fired < t->expected)
        step(t);
    assert_many_fired(deadlines);
    assert_true(loop_wheel_next_us(t->loop) == LOOP_ALARM_NEVER);
    loop_deadline_init(&one.deadline, timed_fire);
    for (uint64_t part_ms = 0; part_ms < LOOP_TICK_MS; part_ms++) {
        for (uint64_t delay_ms = 0; delay_ms <= LOOP_TICK_MS; delay_ms++) {
            hold_clock(t, (t->loop->now_ms / LOOP_TICK_MS + 1) * LOOP_TICK_MS + part_ms);
            loop_wheel_run(t->loop);
            t->loop->alarm_us = LOOP_ALARM_NEVER; /* as when it has gone off */
            timed_start(&one, delay_ms);
            assert_true(t->loop->alarm_us == loop_wheel_next_us(t->loop));
            one.fired = 0;
            step(t);
            assert_int_equal(one.fired, 1);
        }
    }
}

/* A turn that is late finds all that was due meanwhile, and nothing else. */
static void test_a_late_turn(void **state)
{
    struct wheel_test *t = *state;
    struct timed deadlines[20];

    hold_clock(t, BEGIN_MS);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(deadlines); i++) {
        deadlines[i] = (struct timed){.test = t};
        loop_deadline_init(&deadlines[i].deadline, count_fire);
        timed_start(&deadlines[i], i * LOOP_TICK_MS);
    }
    t->expected = BASE_ARRAY_SIZE(deadlines) + 1; /* nobody stops the loop, which does not run */
    hold_clock(t, BEGIN_MS + 10 * LOOP_TICK_MS);
    loop_wheel_run(t->loop);
    assert_int_equal(t->fired, 10);
    hold_clock(t, BEGIN_MS + 10 * LOOP_WHEEL_SLOTS * LOOP_TICK_MS);
    loop_wheel_run(t->loop);
    assert_int_equal(t->fired, BASE_ARRAY_SIZE(deadlines));
}

static void test_many(void **state)
{
    struct wheel_test *t = *state;
    static struct timed deadlines[MANY];

    start_many(t, deadlines);
    loop_run(t->loop);
    assert_many_fired(deadlines);
}

/* One round of the wheel later stands in the same slot and does not fire with this round. */
static void test_later_rounds(void **state)
{
    struct wheel_test *t = *state;
    struct timed near = {.test = t}, far = {.test = t}, enormous = {.test = t};

    hold_clock(t, BEGIN_MS);
    loop_deadline_init(&near.deadline, timed_fire);
    loop_deadline_init(&far.deadline, timed_fire);
    loop_deadline_init(&enormous.deadline, timed_fire);
    timed_start(&near, 50);
    timed_start(&far, 50 + 3 * LOOP_WHEEL_SLOTS * LOOP_TICK_MS);
    loop_deadline_start(t->loop, &enormous.deadline, UINT64_MAX);
    assert_int_equal(far.deadline.tick % LOOP_WHEEL_SLOTS, near.deadline.tick % LOOP_WHEEL_SLOTS);
    step(t);
    assert_int_equal(near.fired, 1);
    assert_int_equal(far.fired, 0);
    while (!far.fired) /* it checks itself when that is */
        step(t);
    assert_int_equal(t->fired, 2);
    loop_deadline_stop(&enormous.deadline);
    loop_deadline_stop(&enormous.deadline);
}

/* Nothing is due: the wheel goes round without ticking. Time is the wheel's argument here, so that rounds need no
 * waiting. */
static void test_after_long_idleness(void **state)
{
    struct wheel_test *t = *state;
    struct timed late = {.test = t}, later = {.test = t};

    t->loop->wheel.current = 5; /* as if the loop had started years ago and never had a deadline */
    loop_deadline_init(&late.deadline, timed_fire);
    loop_deadline_init(&later.deadline, timed_fire);
    timed_start(&late, 0);
    timed_start(&later, LOOP_WHEEL_SLOTS * LOOP_TICK_MS);
    t->expected = 1;
    loop_run(t->loop);
    assert_int_equal(late.fired, 1);
    assert_int_equal(later.fired, 0);
    loop_deadline_stop(&later.deadline);
}

static void busy_run(struct loop_task *task base_unused)
{
    uint64_t until_ms = clock_monotonic_ms() + 3 * LOOP_TICK_MS + 20;

    while (clock_monotonic_ms() < until_ms)
        ;
}

/* A turn that took several ticks skips none of them, also where the wheel was last looked at many rounds ago. */
static void test_after_a_long_turn(void **state)
{
    struct wheel_test *t = *state;
    struct loop_task busy = {.run = busy_run};
    struct timed deadlines[3];

    t->loop->wheel.current = 5;
    for (unsigned i = 0; i < 3; i++) {
        deadlines[i] = (struct timed){.test = t};
        loop_deadline_init(&deadlines[i].deadline, count_fire);
        loop_deadline_start(t->loop, &deadlines[i].deadline, i * LOOP_TICK_MS);
    }
    loop_post(t->loop, &busy);
    t->expected = 3;
    loop_run(t->loop);
    assert_int_equal(t->fired, 3);
}

struct group {
    struct wheel_test *test;
    struct loop_deadline *members[6];
    unsigned fired[6];
};

struct member {
    struct loop_deadline deadline;
    struct group *group;
    unsigned index;
};

/** All are due in one tick; whoever fires first meddles with the others. */
static void member_fire(struct loop_deadline *fired)
{
    struct member *m = container_of(fired, struct member, deadline);
    struct group *g = m->group;
    struct loop *l = g->test->loop;
    unsigned index = m->index;

    g->fired[index]++;
    switch (index) {
    case 0:
        if (g->fired[0] > 1)
            break;
        loop_deadline_stop(g->members[1]); /* stopped: does not fire any more */
        loop_deadline_stop(g->members[2]);
        free(container_of(g->members[2], struct member, deadline)); /* freed */
        g->members[2] = NULL;
        loop_deadline_start(l, g->members[3], 0); /* moved: fires once, later */
        loop_deadline_start(l, &m->deadline, 10); /* itself, again */
        break;
    case 3:
        free(m); /* itself */
        g->members[3] = NULL;
        break;
    default:
        break;
    }
    count(g->test);
}

static void test_meddling(void **state)
{
    struct wheel_test *t = *state;
    struct group g = {.test = t};
    uint32_t tick = 0;

    for (unsigned i = 0; i < 6; i++) {
        struct member *m = calloc(1, sizeof(*m));

        *m = (struct member){.group = &g, .index = i};
        loop_deadline_init(&m->deadline, member_fire);
        g.members[i] = &m->deadline;
        loop_deadline_start(t->loop, &m->deadline, 150);
        if (i == 0)
            tick = m->deadline.tick;
        while (m->deadline.tick != tick) { /* the clock moved on: put all in the later tick */
            tick = m->deadline.tick;
            for (unsigned j = 0; j < i; j++)
                loop_deadline_start(t->loop, g.members[j], 150);
        }
    }
    t->expected = 5; /* 0, 4 and 5 in the tick; 3 and 0 in a later one */
    loop_run(t->loop);
    assert_int_equal(g.fired[0], 2);
    assert_int_equal(g.fired[1], 0);
    assert_int_equal(g.fired[2], 0);
    assert_int_equal(g.fired[3], 1);
    assert_int_equal(g.fired[4], 1);
    assert_int_equal(g.fired[5], 1);
    for (unsigned i = 0; i < 6; i++) {
        if (!g.members[i])
            continue;
        loop_deadline_stop(g.members[i]);
        free(container_of(g.members[i], struct member, deadline));
    }
}

static void test_stop_without_init(void **state base_unused)
{
    struct loop_deadline zeroed = {0};

    loop_deadline_stop(&zeroed);
    loop_deadline_stop(&zeroed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_most_a_tick_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_late_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_rounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_long_idleness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_a_long_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meddling, setup, teardown),
        cmocka_unit_test(test_stop_without_init),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
