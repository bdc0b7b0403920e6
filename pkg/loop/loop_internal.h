#ifndef LOOP_LOOP_INTERNAL_H
#define LOOP_LOOP_INTERNAL_H

#include "loop/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#define LOOP_WHEEL_SLOTS 512
#define LOOP_ALARM_NEVER UINT64_MAX
/** Ready descriptors that a turn takes at most; the others are met in the next. */
#define LOOP_IO_BATCH 256
/** Loops that may wait for this one's ring at a time; beyond, one is rung at once. */
#define LOOP_RINGS_MAX 16
/** Handlers that may run before a loop that was written to is rung. */
#define LOOP_RING_PATIENCE 16

/** What struct loop_timer.event holds: a node of the pairing heap in timer.c. */
struct loop_timer_node {
    struct loop_timer_node *child;    /* the first of its children */
    struct loop_timer_node *sibling;  /* the next child of its parent */
    struct loop_timer_node *previous; /* the sibling before, or the parent of a first child; NULL for the root */
    uint64_t due_us;                  /* CLOCK_MONOTONIC */
    bool pending;
};

/** See wheel.c. Ticks are CLOCK_MONOTONIC in units of LOOP_TICK_MS. */
struct loop_wheel {
    struct list slots[LOOP_WHEEL_SLOTS];
    struct list expired; /* what fires now, one by one */
    uint64_t current;    /* every deadline of this tick and before has been taken out */
};

struct loop {
    struct event_base *base;
    struct list deferred;
    struct list deferred_next; /* for the next turn */
    uint64_t now_ms;           /* 0: not asked for in this turn yet */
    bool in_turn;

    struct event alarm_event; /* on alarm_fd */
    int alarm_fd;
    uint64_t alarm_us; /* for when it is set; 0 while it goes off, so that nobody sets it; or LOOP_ALARM_NEVER */
    struct loop_timer_node *timers;
    struct loop_wheel wheel;

    struct event io_event; /* on io_fd, the epoll instance of every struct loop_io */
    int io_fd;
    size_t ready_at, ready_count; /* of the batch being handled */
    struct epoll_event ready[LOOP_IO_BATCH];

    struct event wake_event; /* on wake_fd */
    int wake_fd;
    struct loop *rings[LOOP_RINGS_MAX]; /* loops to be woken, by this one, before it goes on to something long */
    size_t ring_count;
    unsigned ring_patience; /* handlers that may still run before that */
    bool is_rung;           /* by itself: its mailbox is not empty, and the next turn does not wait */
    bool has_taken;         /* the mailbox, in this turn */
    bool is_alarm_due;      /* a timer of no delay: likewise */
    atomic_bool stop;
    bool started;
    pthread_t thread;
    _Atomic(pthread_t) owner; /* who may use the loop; 0 between pthread_create(3) and the new thread's first step */
    char name[16];

    alignas(64) _Atomic(struct loop_task *) mailbox; /* what other threads write stands on a cache line of its own */
};

/** Makes the eventfd readable. Thread: any. */
void loop_wake(struct loop *l);
/** Wakes those that this loop has written to. */
void loop_ring(struct loop *l);
/** One handler more has run: rings if others have waited for long enough. */
static inline void loop_ring_soon(struct loop *l)
{
    if (l->ring_count > 0 && --l->ring_patience == 0)
        loop_ring(l);
}
/** @l (NULL: none) runs on this thread from now on. */
void loop_enter(struct loop *l);
/** Takes all that is in the mailbox now and runs it in order. Return: whether there was anything. */
bool loop_mailbox_run(struct loop *l);

/** 0, -ENOMEM, or what the kernel refused; undone by loop_io_close() in either case. */
int loop_io_open(struct loop *l) base_must_check;
void loop_io_close(struct loop *l);

/** Makes sure that loop_timers_run() and loop_wheel_run() are called at @due_us or, for an earlier reason, before. */
void loop_alarm_set(struct loop *l, uint64_t due_us);
/** Runs what is due. */
void loop_timers_run(struct loop *l);
void loop_wheel_run(struct loop *l);
/** When it wants to be called again, in microseconds, or LOOP_ALARM_NEVER. */
uint64_t loop_timers_next_us(const struct loop *l);
uint64_t loop_wheel_next_us(const struct loop *l);
void loop_wheel_init(struct loop_wheel *w);
bool loop_wheel_is_empty(const struct loop_wheel *w);

#endif
