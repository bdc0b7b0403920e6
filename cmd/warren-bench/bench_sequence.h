#ifndef WARREN_BENCH_BENCH_SEQUENCE_H
#define WARREN_BENCH_BENCH_SEQUENCE_H

#include "base/macros.h"

/**
 * struct bench_sequence - one sender's numbered messages as one listener gets them; 40 bytes, however many come
 *
 * A number that jumps leaves holes; a number that comes from behind fills a hole (out of order) or doubles one that was
 * there. What was seen is remembered for the last 64 numbers; further back, it fills a hole while there are some, else
 * it is a double. {0} is one that has to hear everything from 0 on.
 */
struct bench_sequence {
    uint64_t next;  /* 1 + the highest number that came */
    uint64_t begin; /* numbers below it may come and need not: sent before the listener was there */
    uint64_t from;  /* begin, or above it what was forgiven */
    uint64_t seen;  /* bit i: next - 1 - i came */
    uint64_t holes; /* numbers in [from, next) that did not come */
};

enum bench_arrival {
    BENCH_ARRIVAL_NEXT, /* higher than all before; *ret_skipped numbers that had to come first did not */
    BENCH_ARRIVAL_LATE, /* for the first time, behind a higher one */
    BENCH_ARRIVAL_TWICE,
};

/** A listener that is there from now on: the sender's next number is @next. */
void bench_sequence_begin(struct bench_sequence *s, uint64_t next);
enum bench_arrival bench_sequence_take(struct bench_sequence *s, uint64_t number, uint64_t *ret_skipped);
/** What the listener lacks once numbers below @sent were sent. */
uint64_t bench_sequence_lost(const struct bench_sequence *s, uint64_t sent);
/** Numbers below @number that have not come yet are no longer owed, except those that a higher one has overtaken. */
void bench_sequence_forgive(struct bench_sequence *s, uint64_t number);

#endif
