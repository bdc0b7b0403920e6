#ifndef MEASURE_MEASURE_H
#define MEASURE_MEASURE_H

/** What the programs that measure the kernel have in common. They end at the first thing that fails. */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

static inline void pin(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set); /* on one CPU they share it */
}

static inline double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
