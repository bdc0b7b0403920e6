#include "base/buffer.h"
#include "support/alloc.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_holds(const struct buffer *b, const char *text)
{
    assert_int_equal(buffer_error(b), 0);
    assert_int_equal(b->size, strlen(text));
    assert_string_equal(b->data, text); /* so the NUL is there as well */
}

static void test_append(base_unused void **state)
{
    struct buffer b = {0};

    assert_int_equal(buffer_slice(&b).size, 0);
    assert_true(slice_is_set(buffer_slice(&b)));
    buffer_append(&b, NULL, 0);
    buffer_append_text(&b, "ab");
    buffer_append_char(&b, 'c');
    buffer_append_slice(&b, SLICE_LITERAL("de"));
    buffer_append_slice(&b, SLICE_NONE);
    buffer_append_uint64(&b, 0);
    buffer_append_uint64(&b, UINT64_MAX);
    buffer_append_int64(&b, 0);
    buffer_append_int64(&b, INT64_MIN);
    buffer_append_int64(&b, INT64_MAX);
    assert_holds(&b, "abcde0184467440737095516150-92233720368547758089223372036854775807");
    buffer_deinit(&b);
    buffer_deinit(&b);
    buffer_deinit(NULL);
}

/** Against snprintf into a large array, at every fill level around the places where the buffer grows. */
static void test_printf(base_unused void **state)
{
    for (size_t before = 0; before < 140; before++) {
        for (int width = 0; width < 140; width++) {
            struct buffer b = {0};
            char expected[300];

            (void)snprintf(expected, sizeof(expected), "%*s%*d", (int)before, "", width, 5);
            for (size_t i = 0; i < before; i++)
                buffer_append_char(&b, ' ');
            buffer_printf(&b, "%*d", width, 5);
            assert_holds(&b, expected);
            buffer_deinit(&b);
        }
    }
}

static void test_limit(base_unused void **state)
{
    struct buffer b = BUFFER_WITH_LIMIT(100);
    char hundred[101];

    memset(hundred, 'x', 100);
    hundred[100] = '\0';
    buffer_append(&b, hundred, 99);
    buffer_append_char(&b, 'x');
    assert_holds(&b, hundred);
    buffer_append_text(&b, "");
    assert_int_equal(buffer_error(&b), 0);
    buffer_append_char(&b, 'y');
    assert_int_equal(buffer_error(&b), -EMSGSIZE);
    buffer_reset(&b, 1000);
    assert_int_equal(buffer_error(&b), 0);
    assert_int_equal(b.limit, 100);

    buffer_append_text(&b, "abc");
    buffer_printf(&b, "%98d", 1); /* 101 together */
    assert_int_equal(buffer_error(&b), -EMSGSIZE);
    assert_int_equal(b.size, 3);
    assert_string_equal(b.data, "abc");
    buffer_append_char(&b, 'd'); /* it would fit, but what is missing before it is missing */
    assert_int_equal(b.size, 3);
    assert_null(buffer_reserve(&b, 0));
    assert_null(buffer_steal(&b));
    assert_int_equal(b.size, 0);
    buffer_deinit(&b);
}

static void test_huge_sizes(base_unused void **state)
{
    struct buffer b = {0};

    buffer_append_char(&b, 'a');
    assert_null(buffer_reserve(&b, SIZE_MAX));
    assert_int_equal(buffer_error(&b), -ENOMEM);
    buffer_reset(&b, 1000);
    assert_null(buffer_reserve(&b, SIZE_MAX - 1));
    assert_int_equal(buffer_error(&b), -ENOMEM);
    buffer_deinit(&b);
    b = BUFFER_WITH_LIMIT(SIZE_MAX);
    assert_non_null(buffer_reserve(&b, 10));
    assert_null(buffer_reserve(&b, SIZE_MAX - 1));
    buffer_deinit(&b);
}

static void test_reserve_and_commit(base_unused void **state)
{
    struct buffer b = {0};
    char *to = buffer_reserve(&b, 5);

    assert_non_null(to);
    memcpy(to, "hello", 5);
    buffer_commit(&b, 3);
    assert_holds(&b, "hel");
    buffer_commit(&b, 0);
    assert_holds(&b, "hel");
    buffer_deinit(&b);
}

static void test_consume_and_truncate(base_unused void **state)
{
    struct buffer b = {0};

    buffer_consume(&b, 1);
    buffer_truncate(&b, 0);
    buffer_append_text(&b, "abcdef");
    buffer_consume(&b, 2);
    assert_holds(&b, "cdef");
    buffer_truncate(&b, 3);
    assert_holds(&b, "cde");
    buffer_truncate(&b, 10);
    assert_holds(&b, "cde");
    buffer_consume(&b, 10);
    assert_holds(&b, "");
    buffer_deinit(&b);
}

static void test_reset(base_unused void **state)
{
    struct buffer b = {0};
    const char *memory;

    buffer_append_text(&b, "abc");
    memory = b.data;
    buffer_reset(&b, b.capacity);
    assert_ptr_equal(b.data, memory);
    assert_holds(&b, "");
    buffer_reset(&b, b.capacity - 1);
    assert_null(b.data);
    buffer_deinit(&b);
}

static void test_steal(base_unused void **state)
{
    struct buffer b = {0};
    char *text = buffer_steal(&b);

    assert_non_null(text);
    assert_string_equal(text, "");
    free(text);
    buffer_append_text(&b, "abc");
    text = buffer_steal(&b);
    assert_string_equal(text, "abc");
    assert_null(b.data);
    free(text);
}

/** A random walk beside a model that is too simple to be wrong. */
static void test_random_walk(base_unused void **state)
{
    struct prng random = {1};
    struct buffer b = {0};
    char model[1 << 16];
    size_t size = 0;

    for (int step = 0; step < 20000; step++) {
        size_t n = prng_below(&random, 200);

        switch (prng_below(&random, 4)) {
        case 0:
            buffer_consume(&b, n);
            n = n < size ? n : size;
            memmove(model, model + n, size - n);
            size -= n;
            break;
        case 1:
            if (n < 20) {
                buffer_truncate(&b, size / 2);
                size = b.data ? size / 2 : size;
            }
            break;
        default:
            if (size + n >= sizeof(model))
                break;
            memset(model + size, (char)step, n);
            buffer_append(&b, model + size, n);
            size += n;
            break;
        }
        assert_int_equal(buffer_error(&b), 0);
        assert_int_equal(b.size, size);
        if (size > 0)
            assert_memory_equal(b.data, model, size);
    }
    buffer_deinit(&b);
}

static void test_out_of_memory(base_unused void **state)
{
    size_t n;

    for (n = 0;; n++) {
        struct buffer b = {0};
        char *text;
        bool refused;

        alloc_fail_after(n);
        for (int i = 0; i < 100; i++) {
            buffer_append_text(&b, "0123456789");
            buffer_printf(&b, "%d", i);
        }
        if (buffer_error(&b)) {
            assert_int_equal(buffer_error(&b), -ENOMEM);
            assert_int_equal(b.data ? strlen(b.data) : 0, b.size);
        }
        text = buffer_steal(&b);
        refused = alloc_fail_disarm();
        assert_int_equal(text == NULL, refused);
        free(text);
        if (!refused)
            break;
    }
    assert_true(n >= 3); /* it grew more than once, and failed at each growth */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_huge_sizes),
        cmocka_unit_test(test_reserve_and_commit),
        cmocka_unit_test(test_consume_and_truncate),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_steal),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
