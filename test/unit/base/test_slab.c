#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/slab.h"
#include "support/alloc.h"
#include "support/prng.h"

#include <string.h>

#define MANY 3000

struct piece {
    unsigned char *at;
    size_t size;
    unsigned char mark;
};

static void piece_take(struct slab *s, struct piece *p, size_t size, unsigned char mark)
{
    *p = (struct piece){.at = slab_calloc(s, size), .size = size, .mark = mark};
    assert_non_null(p->at);
    assert_int_equal((uintptr_t)p->at % 8, 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(p->at[i], 0);
    memset(p->at, mark, size);
}

static void piece_give(struct slab *s, struct piece *p)
{
    for (size_t i = 0; i < p->size; i++)
        assert_int_equal(p->at[i], p->mark);
    assert_null(slab_free(s, p->at, p->size));
    p->at = NULL;
}

/* Whatever the order, nobody's bytes are another's, and in the end there are no pages. */
static void test_many_sizes(void **state base_unused)
{
    static struct piece pieces[MANY];
    struct prng random = {1};
    struct slab s;

    slab_init(&s);
    assert_null(slab_free(&s, NULL, 8));
    for (unsigned round = 0; round < 20000; round++) {
        struct piece *p = &pieces[prng_below(&random, MANY)];

        if (p->at)
            piece_give(&s, p);
        else
            piece_take(&s, p, 1 + prng_below(&random, SLAB_OBJECT_MAX + 100), (unsigned char)(1 + round % 255));
    }
    for (size_t i = 0; i < MANY; i++)
        if (pieces[i].at)
            piece_give(&s, &pieces[i]);
    assert_int_equal(s.bytes, 0);
    slab_deinit(&s);
}

/* No more than a small part of a page is lost, and what was given back is used again before there is a new page. */
static void test_dense(void **state base_unused)
{
    static struct piece pieces[MANY];
    struct slab s;
    size_t bytes;

    slab_init(&s);
    for (size_t i = 0; i < MANY; i++)
        piece_take(&s, &pieces[i], 120, 7);
    bytes = s.bytes;
    assert_true(bytes < MANY * 120 * 103 / 100 + 65536);
    for (size_t i = 0; i < MANY; i += 2)
        piece_give(&s, &pieces[i]);
    for (size_t i = 0; i < MANY; i += 2)
        piece_take(&s, &pieces[i], 113, 8);
    assert_int_equal(s.bytes, bytes);
    for (size_t i = 0; i < MANY; i++)
        piece_give(&s, &pieces[i]);
    slab_deinit(&s);
}

static void test_without_memory(void **state base_unused)
{
    struct slab s;
    void *object;

    slab_init(&s);
    alloc_fail_after(0);
    object = slab_calloc(&s, 64);
    assert_null(object);
    object = slab_calloc(&s, SLAB_OBJECT_MAX + 1);
    assert_null(object);
    assert_true(alloc_fail_disarm());
    slab_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_sizes),
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
