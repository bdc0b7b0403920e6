#ifndef WARREN_BENCH_BENCH_PACER_H
#define WARREN_BENCH_BENCH_PACER_H

#include "loop/loop.h"

typedef void bench_pacer_fn(void *userdata);

/**
 * struct bench_pacer - a one-shot alarm at an absolute time of CLOCK_MONOTONIC, to the nanosecond; embedded
 *
 * A loop's timers count whole milliseconds from when they are started: what was sent by them would be up to one late,
 * and latency that is counted from the intended time would say so. Thread: its loop's.
 */
struct bench_pacer {
    struct loop_io io;
    int fd;
    bench_pacer_fn *run;
    void *userdata;
};

/** 0, or a negative errno (then there is nothing to deinit). */
int bench_pacer_init(struct bench_pacer *p, struct loop *l, bench_pacer_fn *run, void *userdata) base_must_check;
/** Sets or moves it; a time that has passed fires in the next turn. */
void bench_pacer_at(struct bench_pacer *p, uint64_t when_ns);
void bench_pacer_stop(struct bench_pacer *p);
/** Accepts one that was zeroed and never initialised. */
void bench_pacer_deinit(struct bench_pacer *p);

#endif
