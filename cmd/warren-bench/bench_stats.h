#ifndef WARREN_BENCH_BENCH_STATS_H
#define WARREN_BENCH_BENCH_STATS_H

#include "base/macros.h"

/**
 * struct bench_histogram - how often which value came, for percentiles; {0} is an empty one
 *
 * Buckets are as wide as the values are large: exact below 512, above that within 1/256 (0.4 %) of the value, up to
 * 2^64 - 1. Constant memory (114 KiB), constant time.
 */
#define BENCH_HISTOGRAM_BITS 8
#define BENCH_HISTOGRAM_BUCKETS ((64 - BENCH_HISTOGRAM_BITS + 1) << BENCH_HISTOGRAM_BITS)

struct bench_histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[BENCH_HISTOGRAM_BUCKETS];
};

void bench_histogram_add(struct bench_histogram *h, uint64_t value);
/** Adds all of @other's values. */
void bench_histogram_merge(struct bench_histogram *h, const struct bench_histogram *other);
/**
 * The value that @per_hundred_thousand of the values do not exceed (99,900 is p99.9), never below the exact one and at
 * most 0.4 % above it. 0 when there are none.
 */
uint64_t bench_histogram_percentile(const struct bench_histogram *h, unsigned per_hundred_thousand);

#endif
