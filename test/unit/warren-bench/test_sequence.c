#include "bench_sequence.h"

#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void take(struct bench_sequence *s, uint64_t number, enum bench_arrival wanted, uint64_t wanted_skipped)
{
    uint64_t skipped = 77;

    assert_int_equal(bench_sequence_take(s, number, &skipped), wanted);
    assert_int_equal(skipped, wanted_skipped);
}

static void test_in_order(void **state base_unused)
{
    struct bench_sequence s = {0};

    for (uint64_t i = 0; i < 1000; i++)
        take(&s, i, BENCH_ARRIVAL_NEXT, 0);
    assert_int_equal(bench_sequence_lost(&s, 1000), 0);
    assert_int_equal(bench_sequence_lost(&s, 1003), 3);
}

static void test_nothing_came(void **state base_unused)
{
    struct bench_sequence s = {0};

    assert_int_equal(bench_sequence_lost(&s, 0), 0);
    assert_int_equal(bench_sequence_lost(&s, 9), 9);
}

static void test_hole(void **state base_unused)
{
    struct bench_sequence s = {0};

    take(&s, 0, BENCH_ARRIVAL_NEXT, 0);
    take(&s, 4, BENCH_ARRIVAL_NEXT, 3);
    assert_int_equal(bench_sequence_lost(&s, 5), 3);
    take(&s, 2, BENCH_ARRIVAL_LATE, 0);
    take(&s, 2, BENCH_ARRIVAL_TWICE, 0);
    take(&s, 4, BENCH_ARRIVAL_TWICE, 0);
    take(&s, 0, BENCH_ARRIVAL_TWICE, 0);
    assert_int_equal(bench_sequence_lost(&s, 5), 2);
}

static void test_first_is_missing(void **state base_unused)
{
    struct bench_sequence s = {0};

    take(&s, 2, BENCH_ARRIVAL_NEXT, 2);
    assert_int_equal(bench_sequence_lost(&s, 3), 2);
    take(&s, 0, BENCH_ARRIVAL_LATE, 0);
    take(&s, 1, BENCH_ARRIVAL_LATE, 0);
    assert_int_equal(bench_sequence_lost(&s, 3), 0);
}

static void test_far_behind(void **state base_unused)
{
    struct bench_sequence s = {0};

    for (uint64_t i = 0; i < 200; i++)
        if (i != 50)
            take(&s, i, BENCH_ARRIVAL_NEXT, i == 51);
    take(&s, 50, BENCH_ARRIVAL_LATE, 0); /* there is a hole that it may have filled */
    take(&s, 50, BENCH_ARRIVAL_TWICE, 0);
    take(&s, 10, BENCH_ARRIVAL_TWICE, 0);
    assert_int_equal(bench_sequence_lost(&s, 200), 0);
}

static void test_long_jump(void **state base_unused)
{
    struct bench_sequence s = {0};

    take(&s, 0, BENCH_ARRIVAL_NEXT, 0);
    take(&s, 64, BENCH_ARRIVAL_NEXT, 63); /* exactly what is remembered */
    take(&s, 1, BENCH_ARRIVAL_LATE, 0);
    take(&s, UINT64_C(1) << 40, BENCH_ARRIVAL_NEXT, (UINT64_C(1) << 40) - 65);
    take(&s, UINT64_C(1) << 40, BENCH_ARRIVAL_TWICE, 0);
}

static void test_newcomer(void **state base_unused)
{
    struct bench_sequence s;

    bench_sequence_begin(&s, 100);
    assert_int_equal(bench_sequence_lost(&s, 100), 0);
    assert_int_equal(bench_sequence_lost(&s, 102), 2);
    take(&s, 98, BENCH_ARRIVAL_NEXT, 0); /* was under way: may come */
    take(&s, 98, BENCH_ARRIVAL_TWICE, 0);
    take(&s, 97, BENCH_ARRIVAL_LATE, 0); /* but in its order */
    take(&s, 101, BENCH_ARRIVAL_NEXT, 1);
    assert_int_equal(bench_sequence_lost(&s, 102), 1);
}

static void test_forgiven(void **state base_unused)
{
    struct bench_sequence s = {0};

    take(&s, 0, BENCH_ARRIVAL_NEXT, 0);
    take(&s, 2, BENCH_ARRIVAL_NEXT, 1);
    bench_sequence_forgive(&s, 6);
    assert_int_equal(bench_sequence_lost(&s, 6), 1); /* 1, which 2 has overtaken */
    take(&s, 8, BENCH_ARRIVAL_NEXT, 2);              /* 6 and 7 */
    take(&s, 1, BENCH_ARRIVAL_LATE, 0);
    assert_int_equal(bench_sequence_lost(&s, 9), 2);
    bench_sequence_forgive(&s, 3); /* never back */
    assert_int_equal(bench_sequence_lost(&s, 10), 3);
}

/** Against a bitmap that remembers all. */
static void test_any_order(void **state base_unused)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct prng random = {seed};
        struct bench_sequence s = {0};
        uint8_t times[400] = {0};
        uint64_t sent = 0, skipped, high = 0, twice = 0, late = 0, wanted_twice = 0, wanted_late = 0, lost = 0;

        for (unsigned i = 0; i < 300; i++) {
            uint64_t number = sent - (sent ? prng_below(&random, sent < 30 ? (size_t)sent : 30) : 0);
            enum bench_arrival got;

            if (prng_below(&random, 3))
                number = sent + prng_below(&random, 2);
            if (number >= sizeof(times))
                break;
            sent = number >= sent ? number + 1 : sent;
            wanted_twice += times[number] > 0;
            wanted_late += times[number] == 0 && number < high;
            times[number]++;
            high = number + 1 > high ? number + 1 : high;
            got = bench_sequence_take(&s, number, &skipped);
            twice += got == BENCH_ARRIVAL_TWICE;
            late += got == BENCH_ARRIVAL_LATE;
        }
        for (size_t i = 0; i < sent; i++)
            lost += times[i] == 0;
        assert_int_equal(twice, wanted_twice);
        assert_int_equal(late, wanted_late);
        assert_int_equal(bench_sequence_lost(&s, sent), lost);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),         cmocka_unit_test(test_nothing_came), cmocka_unit_test(test_hole),
        cmocka_unit_test(test_first_is_missing), cmocka_unit_test(test_far_behind),   cmocka_unit_test(test_long_jump),
        cmocka_unit_test(test_newcomer),         cmocka_unit_test(test_forgiven),     cmocka_unit_test(test_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
