/* The histogram against sorted values. */
#include "bench_stats.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define VALUES 20000

static struct bench_histogram histogram, other;
static uint64_t values[VALUES];

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

/** The smallest value that at least so many of the @count sorted ones do not exceed. */
static uint64_t exact(size_t count, unsigned per_hundred_thousand)
{
    size_t rank = (count * per_hundred_thousand + 99999) / 100000;

    return values[rank ? rank - 1 : 0];
}

static void assert_close(uint64_t got, uint64_t wanted)
{
    assert_true(got >= wanted);
    assert_true(got - wanted <= wanted / 256);
}

static void fill(struct prng *random, size_t count, unsigned shift_max)
{
    memset(&histogram, 0, sizeof(histogram));
    for (size_t i = 0; i < count; i++) {
        values[i] = prng_next(random) >> (64 - 1 - prng_below(random, shift_max));
        bench_histogram_add(&histogram, values[i]);
    }
    qsort(values, count, sizeof(values[0]), compare);
}

static void test_empty(void **state base_unused)
{
    memset(&histogram, 0, sizeof(histogram));
    assert_int_equal(bench_histogram_percentile(&histogram, 50000), 0);
    assert_int_equal(bench_histogram_percentile(&histogram, 100000), 0);
}

static void test_small_values_are_exact(void **state base_unused)
{
    memset(&histogram, 0, sizeof(histogram));
    for (uint64_t v = 1; v <= 100; v++)
        bench_histogram_add(&histogram, v);
    assert_int_equal(bench_histogram_percentile(&histogram, 50000), 50);
    assert_int_equal(bench_histogram_percentile(&histogram, 50001), 51);
    assert_int_equal(bench_histogram_percentile(&histogram, 99000), 99);
    assert_int_equal(bench_histogram_percentile(&histogram, 99900), 100);
    assert_int_equal(bench_histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram.max, 100);
}

/* Each value alone, at and around every power of two: its own percentile is it, for max cuts the bucket. */
static void test_bounds_of_buckets(void **state base_unused)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t step = 0; step < 3; step++) {
            uint64_t v = (UINT64_C(1) << bit) + step - 1;

            memset(&histogram, 0, sizeof(histogram));
            bench_histogram_add(&histogram, v);
            assert_int_equal(bench_histogram_percentile(&histogram, 50000), v);
            bench_histogram_add(&histogram, UINT64_MAX);
            assert_close(bench_histogram_percentile(&histogram, 50000), v);
            assert_int_equal(bench_histogram_percentile(&histogram, 100000), UINT64_MAX);
        }
    }
}

static void test_against_sorted_values(void **state base_unused)
{
    static const unsigned asked[] = {0, 1, 1000, 25000, 50000, 90000, 99000, 99900, 99990, 100000};
    struct prng random = {7};

    for (unsigned round = 0; round < 30; round++) {
        size_t count = 1 + prng_below(&random, VALUES);

        fill(&random, count, 64);
        assert_int_equal(histogram.count, count);
        assert_int_equal(histogram.max, values[count - 1]);
        for (size_t i = 0; i < BASE_ARRAY_SIZE(asked); i++)
            assert_close(bench_histogram_percentile(&histogram, asked[i]), exact(count, asked[i]));
    }
}

static void test_merge_is_as_if_added(void **state base_unused)
{
    struct prng random = {8};

    fill(&random, VALUES, 40);
    memset(&other, 0, sizeof(other));
    memset(&histogram, 0, sizeof(histogram));
    for (size_t i = 0; i < VALUES; i++)
        bench_histogram_add(i % 3 ? &histogram : &other, values[i]);
    bench_histogram_merge(&histogram, &other);
    assert_int_equal(histogram.count, VALUES);
    assert_int_equal(histogram.max, values[VALUES - 1]);
    assert_close(bench_histogram_percentile(&histogram, 99000), exact(VALUES, 99000));
}

/* The product of count and share does not fit 64 bits. */
static void test_very_many_values(void **state base_unused)
{
    memset(&histogram, 0, sizeof(histogram));
    bench_histogram_add(&histogram, 1);
    histogram.buckets[1] = histogram.count = UINT64_C(1) << 62;
    bench_histogram_add(&histogram, 500);
    assert_int_equal(bench_histogram_percentile(&histogram, 99900), 1);
    assert_int_equal(bench_histogram_percentile(&histogram, 100000), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_bounds_of_buckets),
        cmocka_unit_test(test_against_sorted_values),
        cmocka_unit_test(test_merge_is_as_if_added),
        cmocka_unit_test(test_very_many_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
