/**
 * A loop is one libevent base without locks, an eventfd that other threads ring, one timerfd (the alarm) for all
 * timers, and one epoll instance for all watched descriptors (io.c).
 *
 * A turn is one event_base_loop(EVLOOP_ONCE), which looks once for what is ready, and then the deferred list until it
 * is empty. Because every turn ends so, nothing is deferred while the loop waits. Other loops that were written to are
 * rung before the deferred work, which may take long, and after it.
 *
 * The eventfd and the timerfd are edge-triggered and never read: each write and each new time is an edge.
 *
 * The alarm is a timerfd and no libevent timer: starting a timer then needs no memory and cannot fail, and it is exact,
 * while libevent's clock is a coarse one that may be some milliseconds behind.
 */
#include "loop/loop_internal.h"

#include "base/clock.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static_assert(sizeof(struct loop_timer_node) <= sizeof(((struct loop_timer *)NULL)->node), "loop_timer has no room");

void loop_wake(struct loop *l)
{
    const uint64_t one = 1;

    /* It fails only when the counter is full, and then the loop is awake anyway. */
    while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void loop_on_wake(evutil_socket_t fd base_unused, short what base_unused, void *userdata)
{
    loop_mailbox_run(userdata);
}

/** @set_us: for when the alarm is still set. */
static void loop_alarm_run(struct loop *l, uint64_t set_us)
{
    uint64_t timers_us, wheel_us;

    l->is_alarm_due = false;
    l->alarm_us = 0;
    loop_wheel_run(l);
    loop_timers_run(l);
    /* Looked at when both have run, since either's callbacks start what is the other's. */
    wheel_us = loop_wheel_next_us(l);
    timers_us = loop_timers_next_us(l);
    l->alarm_us = set_us;
    if (!l->is_alarm_due)
        loop_alarm_set(l, wheel_us < timers_us ? wheel_us : timers_us);
}

static void loop_on_alarm(evutil_socket_t fd base_unused, short what base_unused, void *userdata)
{
    loop_alarm_run(userdata, LOOP_ALARM_NEVER);
}

void loop_alarm_set(struct loop *l, uint64_t due_us)
{
    struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(due_us / 1000000), .tv_nsec = (long)(due_us % 1000000) * 1000}};

    if (due_us >= l->alarm_us)
        return;
    if (timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        abort(); /* a descriptor or a time that is not ours: only a mistake of our own can do that */
    l->alarm_us = due_us;
}

/** Opens a descriptor's event; on failure the descriptor is still the caller's. */
static int loop_watch(struct loop *l, struct event *event, int fd, event_callback_fn run)
{
    event_assign(event, l->base, fd, EV_READ | EV_PERSIST | EV_ET, run, l);
    return event_add(event, NULL) < 0 ? -ENOMEM : 0;
}

static int loop_open(struct loop *l)
{
    struct event_config *config = event_config_new();
    int result;

    if (!config)
        return -ENOMEM;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!l->base)
        return -ENOMEM;
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0)
        return -errno;
    l->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->alarm_fd < 0)
        return -errno;
    result = loop_watch(l, &l->wake_event, l->wake_fd, loop_on_wake);
    if (result == 0)
        result = loop_watch(l, &l->alarm_event, l->alarm_fd, loop_on_alarm);
    return result < 0 ? result : loop_io_open(l);
}

static void loop_close(struct loop *l)
{
    loop_io_close(l);
    if (event_initialized(&l->alarm_event))
        event_del(&l->alarm_event);
    if (event_initialized(&l->wake_event))
        event_del(&l->wake_event);
    if (l->alarm_fd >= 0)
        close(l->alarm_fd);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    if (l->base)
        event_base_free(l->base);
    free(l);
}

int loop_new(const char *name, struct loop **ret_loop)
{
    struct loop *l;
    int result;

    assert(strlen(name) < sizeof(l->name));
    if (event_get_struct_event_size() > sizeof(struct event))
        return -EOPNOTSUPP; /* a libevent other than the one compiled against */
    l = aligned_alloc(alignof(struct loop), sizeof(*l));
    if (!l)
        return -ENOMEM;
    memset(l, 0, sizeof(*l));
    l->wake_fd = l->alarm_fd = l->io_fd = -1;
    l->alarm_us = LOOP_ALARM_NEVER;
    list_init(&l->deferred);
    list_init(&l->deferred_next);
    loop_wheel_init(&l->wheel);
    memcpy(l->name, name, strlen(name) + 1);
    atomic_init(&l->owner, pthread_self());
    result = loop_open(l);
    if (result < 0) {
        loop_close(l);
        return result;
    }
    *ret_loop = l;
    return 0;
}

/** What was left for the next turn: this is it. */
static void loop_take_next(struct loop *l)
{
    for (struct list *it; (it = list_pop(&l->deferred_next));) {
        container_of(it, struct loop_deferred, link)->is_next = false;
        list_append(&l->deferred, it);
    }
}

static void loop_run_deferred(struct loop *l)
{
    for (struct list *it; (it = list_pop(&l->deferred));) {
        struct loop_deferred *d = container_of(it, struct loop_deferred, link);

        d->run(d->userdata);
    }
}

struct loop *loop_free(struct loop *l)
{
    if (!l)
        return NULL;
    assert(!l->started && loop_is_current(l));
    loop_take_next(l);
    do {
        loop_run_deferred(l);
    } while (loop_mailbox_run(l));
    assert(!l->timers && loop_wheel_is_empty(&l->wheel));
    loop_close(l);
    return NULL;
}

/** Waits, unless there is something to do already, and runs what is ready. */
static void loop_run_ready(struct loop *l)
{
    bool was_rung = l->is_rung, was_due = l->is_alarm_due;
    bool is_busy = was_rung || was_due || !list_is_empty(&l->deferred_next);

    l->has_taken = false;
    loop_take_next(l);
    /* Without ONCE, NONBLOCK would go on as long as anything is ready: a turn without an end, in which nothing is
     * flushed, nobody is rung, and the time stands still. */
    event_base_loop(l->base, is_busy ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
    if (was_rung && !l->has_taken)
        loop_mailbox_run(l);
    if (was_due && l->is_alarm_due)
        loop_alarm_run(l, l->alarm_us);
}

void loop_run(struct loop *l)
{
    atomic_store(&l->owner, pthread_self());
    loop_enter(l);
    l->in_turn = true;
    loop_run_deferred(l);
    loop_ring(l);
    while (!atomic_exchange(&l->stop, false)) {
        l->now_ms = 0;
        loop_run_ready(l);
        loop_ring(l);
        loop_run_deferred(l);
        loop_ring(l);
    }
    l->in_turn = false;
    loop_enter(NULL);
}

static void *loop_thread(void *userdata)
{
    struct loop *l = userdata;

    pthread_setname_np(pthread_self(), l->name);
    loop_run(l);
    return NULL;
}

int loop_start(struct loop *l)
{
    sigset_t all, before;
    int result;

    assert(!l->started && loop_is_current(l));
    atomic_store(&l->owner, 0);
    l->started = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&l->thread, NULL, loop_thread, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        l->started = false;
        atomic_store(&l->owner, pthread_self());
    }
    return -result;
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    loop_wake(l);
}

void loop_join(struct loop *l)
{
    assert(l->started);
    pthread_join(l->thread, NULL);
    l->started = false;
    atomic_store(&l->owner, pthread_self());
}

bool loop_is_current(const struct loop *l)
{
    return pthread_equal(atomic_load_explicit(&l->owner, memory_order_relaxed), pthread_self()) != 0;
}

uint64_t loop_now_ms(const struct loop *l)
{
    /* The clock is read when a turn first asks, which no caller can tell from "at its beginning"; hence not really
     * const. */
    struct loop *self = (struct loop *)(uintptr_t)l;

    if (!l->in_turn)
        return clock_monotonic_ms();
    if (l->now_ms == 0)
        self->now_ms = clock_monotonic_ms();
    return l->now_ms;
}

struct event_base *loop_event_base(struct loop *l)
{
    return l->base;
}

void loop_deferred_init(struct loop_deferred *d, loop_deferred_fn *run, void *userdata)
{
    *d = (struct loop_deferred){.run = run, .userdata = userdata};
    list_init(&d->link);
}

void loop_defer(struct loop *l, struct loop_deferred *d)
{
    assert(loop_is_current(l));
    if (d->is_next)
        loop_deferred_cancel(d);
    if (!list_is_linked(&d->link))
        list_append(&l->deferred, &d->link);
}

void loop_defer_next(struct loop *l, struct loop_deferred *d)
{
    assert(loop_is_current(l));
    if (list_is_linked(&d->link))
        return;
    d->is_next = true;
    list_append(&l->deferred_next, &d->link);
}

void loop_deferred_cancel(struct loop_deferred *d)
{
    d->is_next = false;
    if (d->link.next)
        list_remove(&d->link);
}
