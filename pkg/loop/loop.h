#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/list.h"
#include "base/macros.h"

#include <stdalign.h>

/**
 * struct loop - one thread's event loop (libevent without locks)
 *
 * A turn: wait, run what is ready (descriptors, timers, the mailbox as one batch), then the end-of-turn work
 * (loop_defer()), which is where output is flushed and closed things are freed. Everything but loop_post() and
 * loop_stop() is for the loop's own thread; debug builds assert it. Before loop_start() or loop_run() the creating
 * thread counts as the loop's.
 */
struct loop;
struct event_base;

/** @name: at most 15 bytes, the thread's name. Return: 0, -ENOMEM, or what the kernel refused. */
int loop_new(const char *name, struct loop **ret_loop) base_must_check;
/** The loop does not run any more; tasks still in the mailbox are run first. Accepts NULL, returns NULL. */
struct loop *loop_free(struct loop *l);
/** Runs on the calling thread until loop_stop(). */
void loop_run(struct loop *l);
/** Runs on a thread of its own (all signals blocked there). Return: 0 or what pthread_create(3) says, negative. */
int loop_start(struct loop *l) base_must_check;
/** Makes loop_run() return after the current turn. Thread: any; not from a signal handler. */
void loop_stop(struct loop *l);
/** Waits for a loop that was started; then its own functions belong to the caller's thread again. */
void loop_join(struct loop *l);

/** Whether the caller may use the loop's own functions. */
bool loop_is_current(const struct loop *l);
/** CLOCK_MONOTONIC at the beginning of this turn, in milliseconds. */
uint64_t loop_now_ms(const struct loop *l);
/** For the packages that may see libevent (net, outbound). */
struct event_base *loop_event_base(struct loop *l);

/* ---- the mailbox: work from other threads ---- */

struct loop_task;
typedef void loop_task_fn(struct loop_task *task);

/**
 * struct loop_task - a letter; embedded in what is sent
 *
 * Belongs to the loop from loop_post() until @run is called, which may free it or post it on. Posting needs no memory
 * and cannot fail; the mailbox is bounded by those who post (windows, prefetch, open requests), each of which has its
 * own limit.
 */
struct loop_task {
    struct loop_task *next;
    loop_task_fn *run;
};

/**
 * loop_post() - hand a task to a loop
 *
 * Order holds between tasks of one posting thread. Wakes the loop only when its mailbox was empty. Lock-free. Thread:
 * any, also the loop's own.
 */
void loop_post(struct loop *l, struct loop_task *task);

/* ---- end of turn ---- */

typedef void loop_deferred_fn(void *userdata);

/** struct loop_deferred - work for the end of this turn; embedded; {0} after loop_deferred_init() */
struct loop_deferred {
    struct list link;
    loop_deferred_fn *run;
    void *userdata;
    bool is_next; /* for the next turn */
};

void loop_deferred_init(struct loop_deferred *d, loop_deferred_fn *run, void *userdata);
/** Once a turn however often it is called; what is deferred while deferred work runs, still runs in this turn. */
void loop_defer(struct loop *l, struct loop_deferred *d);
/** For the end of the next turn, which does not wait; or still of this one, if loop_defer() is called afterwards. */
void loop_defer_next(struct loop *l, struct loop_deferred *d);
void loop_deferred_cancel(struct loop_deferred *d);

/* ---- timers ---- */

typedef void loop_timer_fn(void *userdata);

/** struct loop_timer - a precise one-shot timer (to the millisecond, never early), for the few; connections use struct
 * loop_deadline */
struct loop_timer {
    alignas(max_align_t) unsigned char node[48]; /* of the loop's heap */
    struct loop *loop;
    loop_timer_fn *run;
    void *userdata;
};

void loop_timer_init(struct loop_timer *t, struct loop *l, loop_timer_fn *run, void *userdata);
/** Starts or moves it. */
void loop_timer_start(struct loop_timer *t, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_pending(const struct loop_timer *t);
/** Stops it; accepts one that was zeroed and never initialised. */
void loop_timer_deinit(struct loop_timer *t);

/**
 * struct loop_deadline - a coarse one-shot timer for the many (a hashed wheel, ticks of LOOP_TICK_MS)
 *
 * Fires up to one tick late, never early, counted from loop_now_ms(). Its callback may free, stop or start any
 * deadline. Starting, moving and stopping are constant time and need no memory. {0} after loop_deadline_init().
 */
#define LOOP_TICK_MS 100
struct loop_deadline;
/** Finds what @d is embedded in with container_of(). */
typedef void loop_deadline_fn(struct loop_deadline *d);

struct loop_deadline {
    struct list link;
    loop_deadline_fn *run;
    uint32_t tick; /* wraps around after thirteen years */
};

void loop_deadline_init(struct loop_deadline *d, loop_deadline_fn *run);
void loop_deadline_start(struct loop *l, struct loop_deadline *d, uint64_t delay_ms);
void loop_deadline_stop(struct loop_deadline *d);

/* ---- descriptors ---- */

enum loop_io_events { LOOP_IO_READ = 1, LOOP_IO_WRITE = 2 };

struct loop_io;
/** Finds what @io is embedded in with container_of(). */
typedef void loop_io_fn(struct loop_io *io, unsigned events);

/** struct loop_io - a descriptor watched level-triggered; embedded; the descriptor stays the caller's */
struct loop_io {
    struct loop *loop;
    loop_io_fn *run;
    int fd;
    uint8_t wanted; /* enum loop_io_events */
};

void loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_fn *run);
/** Watches for exactly @events (0: none) from now on; cheap when nothing changes. Return: 0, or what the
 * kernel refused (memory, or watches), negative; nothing changed then. Wanting nothing cannot fail. */
int loop_io_want(struct loop_io *io, unsigned events);
/** Stops watching; accepts one that was zeroed and never initialised. */
void loop_io_deinit(struct loop_io *io);

/* ---- signals ---- */

typedef void loop_signal_fn(void *userdata, int signal_number);
struct loop_signal;

/** Calls @run on the loop for each @signal_number; for the main thread's loop only. Return: 0, -ENOMEM. */
int loop_signal_new(struct loop *l, int signal_number, loop_signal_fn *run, void *userdata,
                    struct loop_signal **ret_signal) base_must_check;
struct loop_signal *loop_signal_free(struct loop_signal *s);

#endif
