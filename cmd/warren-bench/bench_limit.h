#ifndef WARREN_BENCH_BENCH_LIMIT_H
#define WARREN_BENCH_BENCH_LIMIT_H

#include "base/macros.h"

#include <sched.h>

#define BENCH_LIMIT_BATCH 64

/** What a bare loop of writes to loopback sockets costs: [0] a write(2) a frame, [1] a writev(2) BENCH_LIMIT_BATCH
 * frames. */
struct bench_limit {
    double cpu_s[2];        /* CPU seconds for a million frames */
    double frames_per_s[2]; /* wall time */
};

/**
 * bench_limit_run() - the limit that no server on this kernel passes
 *
 * A child connects @sockets times and reads; the caller writes @frames frames of @bytes to each socket in turn, one by
 * one, then in batches. @cpus: those that the caller moves to once the child is there; NULL: it stays. Return: 0 or a
 * negative errno.
 */
int bench_limit_run(size_t sockets, size_t bytes, size_t frames, const cpu_set_t *cpus,
                    struct bench_limit *ret_limit) base_must_check;

#endif
