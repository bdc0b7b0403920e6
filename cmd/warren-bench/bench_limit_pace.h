#ifndef WARREN_BENCH_BENCH_LIMIT_PACE_H
#define WARREN_BENCH_BENCH_LIMIT_PACE_H

#include "bench_stats.h"

#include <sched.h>

/** What a bare loop of write(2) costs that has something to send now and then, and sleeps in between. */
struct bench_limit_pace {
    double cpu_s;                   /* CPU seconds for a million frames */
    struct bench_histogram latency; /* from when a frame is due until its reader has it, nanoseconds */
};

/**
 * bench_limit_pace_run() - the limit at a steady rate
 *
 * As bench_limit_run(), but a frame of @bytes (at least 8) is due @rate times a second and goes to each of @sockets one
 * by one, @messages times. Return: 0 or a negative errno.
 */
int bench_limit_pace_run(size_t sockets, size_t bytes, double rate, size_t messages, const cpu_set_t *cpus,
                         struct bench_limit_pace *ret_pace) base_must_check;

#endif
