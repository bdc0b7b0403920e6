/*
 * A value is kept by its leading one and the eight bits behind it. Bucket numbers rise with the values and leave no
 * gap:
 *
 *     0 ..   511   a bucket a value
 *   512 ..  1023   two values a bucket, then four, eight … : 256 buckets an octave
 */
#include "bench_stats.h"

#define PART (UINT64_C(1) << BENCH_HISTOGRAM_BITS)

static size_t bucket_of(uint64_t value)
{
    unsigned shift = 0;

    if (value >= 2 * PART)
        shift = 63 - (unsigned)__builtin_clzll(value) - BENCH_HISTOGRAM_BITS;
    return ((size_t)shift << BENCH_HISTOGRAM_BITS) + (size_t)(value >> shift);
}

/** The largest value of a bucket. */
static uint64_t bucket_top(size_t bucket)
{
    unsigned shift = bucket < 2 * PART ? 0 : (unsigned)(bucket >> BENCH_HISTOGRAM_BITS) - 1;
    uint64_t part = bucket - ((uint64_t)shift << BENCH_HISTOGRAM_BITS);

    return (part << shift) + ((UINT64_C(1) << shift) - 1);
}

void bench_histogram_add(struct bench_histogram *h, uint64_t value)
{
    h->count++;
    if (value > h->max)
        h->max = value;
    h->buckets[bucket_of(value)]++;
}

void bench_histogram_merge(struct bench_histogram *h, const struct bench_histogram *other)
{
    h->count += other->count;
    if (other->max > h->max)
        h->max = other->max;
    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++)
        h->buckets[i] += other->buckets[i];
}

uint64_t bench_histogram_percentile(const struct bench_histogram *h, unsigned per_hundred_thousand)
{
    uint64_t rank, seen = 0;

    assert(per_hundred_thousand <= 100000);
    if (h->count == 0)
        return 0;
    /* Rounded up, and in two parts, because the product of all may pass 64 bits. */
    rank = h->count / 100000 * per_hundred_thousand + (h->count % 100000 * per_hundred_thousand + 99999) / 100000;
    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > 0 && seen >= rank)
            return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return h->max;
}
