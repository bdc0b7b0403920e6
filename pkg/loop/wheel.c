/**
 * Coarse deadlines for the many: a hashed wheel (Varghese, Lauck: "Hashed and hierarchical timing wheels", 1987, scheme
 * 6).
 *
 * A deadline stands in the slot of its tick modulo LOOP_WHEEL_SLOTS (51.2 s a round); one of a later round stays there
 * when the wheel passes. The alarm is set for the next slot that holds anything, so an idle loop does not tick. A
 * stopped deadline leaves the alarm set: it goes off once for nothing, which is cheaper than looking for the next one
 * at every stop.
 *
 * What is due is moved to one list first and fired from its front, one by one, so a callback may free, stop or restart
 * any deadline: its list links are always right, and one that is started again goes to a later tick.
 */
#include "loop/loop_internal.h"

/* Five years: ticks are compared by their lower half. */
#define DEADLINE_DELAY_MAX_MS (UINT64_C(5) * 366 * 24 * 3600 * 1000)

static struct list *wheel_slot(struct loop_wheel *w, uint64_t tick)
{
    return &w->slots[tick % LOOP_WHEEL_SLOTS];
}

static uint64_t wheel_tick_us(uint64_t tick)
{
    return tick * LOOP_TICK_MS * 1000;
}

void loop_wheel_init(struct loop_wheel *w)
{
    for (size_t i = 0; i < LOOP_WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
    list_init(&w->expired);
}

bool loop_wheel_is_empty(const struct loop_wheel *w)
{
    for (size_t i = 0; i < LOOP_WHEEL_SLOTS; i++)
        if (!list_is_empty(&w->slots[i]))
            return false;
    return list_is_empty(&w->expired);
}

void loop_deadline_init(struct loop_deadline *d, loop_deadline_fn *run)
{
    *d = (struct loop_deadline){.run = run};
    list_init(&d->link);
}

void loop_deadline_start(struct loop *l, struct loop_deadline *d, uint64_t delay_ms)
{
    struct loop_wheel *w = &l->wheel;
    uint64_t tick;

    assert(loop_is_current(l));
    list_remove(&d->link);
    if (delay_ms > DEADLINE_DELAY_MAX_MS)
        delay_ms = DEADLINE_DELAY_MAX_MS;
    /* The tick that begins after the time is over: the clock's milliseconds are rounded down, so the tick that begins
     * with it may be too early. */
    tick = (loop_now_ms(l) + delay_ms) / LOOP_TICK_MS + 1;
    if (tick <= w->current)
        tick = w->current + 1;
    d->tick = (uint32_t)tick;
    list_append(wheel_slot(w, tick), &d->link);
    loop_alarm_set(l, wheel_tick_us(tick));
}

void loop_deadline_stop(struct loop_deadline *d)
{
    if (d->link.next)
        list_remove(&d->link);
}

/** Moves what is due in this slot to the expired. */
static void wheel_expire_slot(struct loop_wheel *w, struct list *slot, uint64_t now_tick)
{
    list_for_each_safe (it, slot) {
        if ((int32_t)(container_of(it, struct loop_deadline, link)->tick - (uint32_t)now_tick) > 0)
            continue;
        list_remove(it);
        list_append(&w->expired, it);
    }
}

static void wheel_expire(struct loop_wheel *w, uint64_t now_tick)
{
    uint64_t tick = w->current + 1;

    /* After more than a round each slot is looked at once. */
    if (now_tick >= LOOP_WHEEL_SLOTS && tick < now_tick - LOOP_WHEEL_SLOTS + 1)
        tick = now_tick - LOOP_WHEEL_SLOTS + 1;
    for (; tick <= now_tick; tick++)
        wheel_expire_slot(w, wheel_slot(w, tick), now_tick);
    if (now_tick > w->current)
        w->current = now_tick;
}

void loop_wheel_run(struct loop *l)
{
    struct loop_wheel *w = &l->wheel;

    wheel_expire(w, loop_now_ms(l) / LOOP_TICK_MS);
    for (struct list *it; (it = list_pop(&w->expired));) {
        struct loop_deadline *d = container_of(it, struct loop_deadline, link);

        d->run(d);
    }
}

uint64_t loop_wheel_next_us(const struct loop *l)
{
    const struct loop_wheel *w = &l->wheel;

    for (uint64_t tick = w->current + 1; tick <= w->current + LOOP_WHEEL_SLOTS; tick++)
        if (!list_is_empty(&w->slots[tick % LOOP_WHEEL_SLOTS]))
            return wheel_tick_us(tick);
    return LOOP_ALARM_NEVER;
}
