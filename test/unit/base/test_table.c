/** A table against a plain array, with memory running out, and emptied to nothing. */
#include "base/table.h"
#include "support/alloc.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct thing {
    char name[24];
    bool is_in;
};

#define THINGS 5000
static struct thing things[THINGS];

static struct slice thing_key(const void *object)
{
    return slice_from(((const struct thing *)object)->name);
}

static int setup(void **state base_unused)
{
    for (int i = 0; i < THINGS; i++) {
        things[i] = (struct thing){.is_in = false};
        snprintf(things[i].name, sizeof(things[i].name), "thing %d", i);
    }
    return 0;
}

static void assert_agrees(const struct table *t)
{
    size_t position = 0, count = 0, in = 0;

    for (int i = 0; i < THINGS; i++) {
        assert_ptr_equal(table_find(t, slice_from(things[i].name)), things[i].is_in ? &things[i] : NULL);
        in += things[i].is_in;
    }
    while (table_next(t, &position))
        count++;
    assert_int_equal(count, in);
    assert_int_equal(t->count, in);
}

static void test_random_steps(void **state base_unused)
{
    struct table t = TABLE_OF(thing_key);
    struct prng random = {11};

    assert_null(table_find(&t, SLICE_LITERAL("thing 1")));
    for (int i = 0; i < 200000; i++) {
        /* It swells and shrinks: at times most steps add, at times most remove. */
        struct thing *thing = &things[prng_below(&random, i / 20000 % 2 ? THINGS : THINGS / 50)];
        bool adds = prng_below(&random, 10) < (i / 10000 % 2 ? 3 : 7);

        if (adds && !thing->is_in)
            assert_int_equal(table_add(&t, thing), 0);
        else if (!adds && thing->is_in)
            table_remove(&t, thing);
        else
            continue;
        thing->is_in = adds;
        if (i % 10000 == 0)
            assert_agrees(&t);
    }
    assert_agrees(&t);
    for (int i = 0; i < THINGS; i++) {
        if (things[i].is_in)
            table_remove(&t, &things[i]);
        things[i].is_in = false;
    }
    assert_agrees(&t);
    assert_null(t.objects);
}

/* All keys in one corner of the table: what is removed leaves no gap that a search would stop at. */
static void test_crowded(void **state base_unused)
{
    struct table t = TABLE_OF(thing_key);

    for (int round = 0; round < 7; round++) {
        for (int i = 0; i < 7; i++)
            assert_int_equal(table_add(&t, &things[i]), 0);
        assert_int_equal(t.capacity, 8);
        for (int i = 0; i < 7; i++) {
            table_remove(&t, &things[(i * 3 + round) % 7]);
            for (int j = i + 1; j < 7; j++)
                assert_non_null(table_find(&t, slice_from(things[(j * 3 + round) % 7].name)));
        }
    }
    assert_null(t.objects);
}

static void test_memory_runs_out(void **state base_unused)
{
    struct table t = TABLE_OF(thing_key);
    size_t failures = 0;

    for (int i = 0; i < 1000; i++) {
        int result;

        alloc_fail_after(0);
        result = table_add(&t, &things[i]);
        alloc_fail_disarm();
        if (result < 0) {
            assert_int_equal(result, -ENOMEM);
            assert_null(table_find(&t, slice_from(things[i].name)));
            assert_int_equal(t.count, i);
            failures++;
            assert_int_equal(table_add(&t, &things[i]), 0);
        }
        things[i].is_in = true;
    }
    assert_int_equal(failures, 9); /* each doubling */
    assert_agrees(&t);
    alloc_fail_after(0);
    for (int i = 0; i < 1000; i++)
        table_remove(&t, &things[i]);
    alloc_fail_disarm();
    assert_null(t.objects);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_random_steps, setup),
        cmocka_unit_test_setup(test_crowded, setup),
        cmocka_unit_test_setup(test_memory_runs_out, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
