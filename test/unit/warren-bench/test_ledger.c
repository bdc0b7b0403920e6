#include "bench_ledger.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_once_and_in_order(void **state base_unused)
{
    struct bench_ledger l;

    assert_int_equal(bench_ledger_init(&l, 3, 2, 10), 0);
    for (size_t m = 0; m < 10; m++)
        for (size_t v = 0; v < 3; v++)
            assert_true(bench_ledger_take(&l, v, m % 2, m));
    assert_int_equal(l.received, 30);
    assert_int_equal(l.duplicated, 0);
    assert_int_equal(l.out_of_order, 0);
    for (size_t m = 0; m < 10; m++)
        assert_int_equal(l.arrived[m], 3);
    bench_ledger_deinit(&l);
}

static void test_senders_and_viewers_are_independent(void **state base_unused)
{
    struct bench_ledger l;

    assert_int_equal(bench_ledger_init(&l, 2, 2, 4), 0);
    assert_true(bench_ledger_take(&l, 0, 1, 3)); /* of the other sender, so 2 may come later */
    assert_true(bench_ledger_take(&l, 0, 0, 2));
    assert_true(bench_ledger_take(&l, 1, 0, 0)); /* at another viewer */
    assert_int_equal(l.out_of_order, 0);
    assert_true(bench_ledger_has(&l, 0, 3));
    assert_false(bench_ledger_has(&l, 1, 3));
    assert_int_equal(l.arrived[0], 1);
    bench_ledger_deinit(&l);
}

static void test_disorder(void **state base_unused)
{
    struct bench_ledger l;

    assert_int_equal(bench_ledger_init(&l, 1, 1, 4), 0);
    assert_true(bench_ledger_take(&l, 0, 0, 0));
    assert_true(bench_ledger_take(&l, 0, 0, 2));
    assert_true(bench_ledger_take(&l, 0, 0, 1));
    assert_int_equal(l.out_of_order, 1);
    assert_true(bench_ledger_take(&l, 0, 0, 3)); /* the late one changes nothing for those behind */
    assert_int_equal(l.out_of_order, 1);
    assert_int_equal(l.duplicated, 0);
    bench_ledger_deinit(&l);
}

static void test_duplicates(void **state base_unused)
{
    struct bench_ledger l;

    assert_int_equal(bench_ledger_init(&l, 2, 1, 3), 0);
    assert_true(bench_ledger_take(&l, 1, 0, 0));
    assert_true(bench_ledger_take(&l, 1, 0, 1));
    for (unsigned i = 0; i < 600; i++) /* more than the count of one delivery holds */
        assert_false(bench_ledger_take(&l, 1, 0, 0));
    assert_int_equal(l.duplicated, 600);
    assert_int_equal(l.received, 602);
    assert_int_equal(l.out_of_order, 0); /* an old one again is a duplicate, nothing else */
    assert_int_equal(l.arrived[0], 1);
    bench_ledger_deinit(&l);
}

static void test_out_of_memory(void **state base_unused)
{
    for (size_t n = 0;; n++) {
        struct bench_ledger l;
        int result;

        alloc_fail_after(n);
        result = bench_ledger_init(&l, 5, 5, 5);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            bench_ledger_deinit(&l);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
    struct bench_ledger huge;
    assert_int_equal(bench_ledger_init(&huge, (size_t)1 << 31, 1, (size_t)1 << 33), -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_and_in_order), cmocka_unit_test(test_senders_and_viewers_are_independent),
        cmocka_unit_test(test_disorder),          cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
