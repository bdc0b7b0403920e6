#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hub/dedup.h"
#include "support/alloc.h"

#include <stdio.h>

static int add(struct hub_dedup *d, unsigned n, uint64_t now_ms)
{
    char id[32];
    int size = snprintf(id, sizeof(id), "id-%u", n);

    return hub_dedup_add(d, slice_make(id, (size_t)size), now_ms);
}

static void test_remembers_for_a_window(void **state base_unused)
{
    struct hub_dedup d;

    hub_dedup_init(&d, 1000, 1000, 5000);
    /* wherever in a generation an id was added, it is known for a whole window */
    for (uint64_t start = 5000; start < 9000; start += 130) {
        unsigned n = (unsigned)start;

        assert_int_equal(add(&d, n, start), 0);
        assert_int_equal(add(&d, n, start), HUB_DEDUP_KNOWN);
    }
    for (uint64_t now = 9000; now < 9900; now += 50)
        assert_int_equal(add(&d, 8900, now), HUB_DEDUP_KNOWN);
    /* and after two windows it is not */
    assert_int_equal(add(&d, 5000, 9900), 0);
    hub_dedup_deinit(&d);
}

static void test_forgets_after_silence(void **state base_unused)
{
    struct hub_dedup d;

    hub_dedup_init(&d, 1000, 1000, 0);
    assert_int_equal(add(&d, 1, 500), 0);
    assert_int_equal(add(&d, 1, 2400), 0);
    assert_int_equal(add(&d, 1, 2500), HUB_DEDUP_KNOWN);
    hub_dedup_deinit(&d);
}

static void test_bounded_and_exact(void **state base_unused)
{
    struct hub_dedup d;

    hub_dedup_init(&d, 1000000, 60000, 0);
    for (unsigned n = 0; n < 100000; n++)
        assert_int_equal(add(&d, n, 1), 0);
    assert_true(d.current.count <= 30000 && d.previous.count <= 30000);
    /* the newest half of the limit at least is known */
    for (unsigned n = 70000; n < 100000; n++)
        assert_int_equal(add(&d, n, 1), HUB_DEDUP_KNOWN);
    hub_dedup_deinit(&d);
}

static void test_empty_and_long_ids(void **state base_unused)
{
    static char text[5000];
    struct hub_dedup d;

    hub_dedup_init(&d, 1000, 1000, 0);
    assert_int_equal(hub_dedup_add(&d, slice_make("", 0), 0), 0);
    assert_int_equal(hub_dedup_add(&d, slice_make("", 0), 0), HUB_DEDUP_KNOWN);
    memset(text, 'x', sizeof(text));
    assert_int_equal(hub_dedup_add(&d, slice_make(text, sizeof(text)), 0), 0);
    assert_int_equal(hub_dedup_add(&d, slice_make(text, sizeof(text) - 1), 0), 0);
    assert_int_equal(hub_dedup_add(&d, slice_make(text, sizeof(text)), 0), HUB_DEDUP_KNOWN);
    hub_dedup_deinit(&d);
}

static void test_out_of_memory(void **state base_unused)
{
    struct hub_dedup d;
    unsigned known = 0;

    hub_dedup_init(&d, 1000, 100000, 0);
    alloc_fail_after(0);
    assert_int_equal(add(&d, 0, 0), -ENOMEM);
    alloc_fail_after(1);
    /* the table of 1,024 cannot grow: it fills up, and says so when it is full */
    while (add(&d, known, 0) == 0)
        known++;
    assert_true(alloc_fail_disarm());
    assert_int_equal(known, 1023);
    for (unsigned n = 0; n < known; n++)
        assert_int_equal(add(&d, n, 0), HUB_DEDUP_KNOWN);
    assert_int_equal(add(&d, known, 0), 0);
    hub_dedup_deinit(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_for_a_window), cmocka_unit_test(test_forgets_after_silence),
        cmocka_unit_test(test_bounded_and_exact),      cmocka_unit_test(test_empty_and_long_ids),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
