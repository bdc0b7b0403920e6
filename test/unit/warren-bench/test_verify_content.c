#include "verify_content.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_it_repeats(void **state base_unused)
{
    for (uint64_t number = 0; number < 300; number++) {
        struct verify_name name = {.seed = 5, .sender = 3, .stream = number % 3, .number = number};
        struct buffer first = {0}, again = {0};

        verify_content_append(&name, 5000, &first);
        verify_content_append(&name, 5000, &again);
        assert_int_equal(buffer_error(&first), 0);
        assert_true(slice_equal(buffer_slice(&first), buffer_slice(&again)));
        buffer_deinit(&first);
        buffer_deinit(&again);
    }
}

/** Another seed, sender, stream or number says something else. */
static void test_it_differs(void **state base_unused)
{
    const struct verify_name names[] = {
        {1, 1, VERIFY_BINARY, 1}, {2, 1, VERIFY_BINARY, 1}, {1, 2, VERIFY_BINARY, 1}, {1, 1, VERIFY_BINARY, 2}};
    struct buffer all[4] = {{0}};

    for (size_t i = 0; i < 4; i++)
        for (uint64_t n = 0; n < 20; n++) {
            struct verify_name name = names[i];

            name.number += n * 100;
            verify_content_append(&name, 100, &all[i]);
        }
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(slice_equal(buffer_slice(&all[i]), buffer_slice(&all[j])));
    for (size_t i = 0; i < 4; i++)
        buffer_deinit(&all[i]);
}

static void test_it_says_what_it_is(void **state base_unused)
{
    size_t longest = 0, shortest = SIZE_MAX;

    for (uint64_t number = 0; number < 3000; number++) {
        const struct verify_name name = {
            .seed = 9, .sender = (uint32_t)(number * 7919), .stream = number % 3, .number = number << 20};
        struct verify_name read = {.seed = 9};
        struct buffer data = {0};

        verify_content_append(&name, 3000, &data);
        assert_true(verify_content_read(buffer_slice(&data), name.stream == VERIFY_BINARY, &read));
        assert_int_equal(read.sender, name.sender);
        assert_int_equal(read.stream, name.stream);
        assert_int_equal(read.number, name.number);
        if (name.stream != VERIFY_BINARY) {
            const char *error = NULL;
            size_t offset = 0;

            if (json_validate(buffer_slice(&data), 16, &error, &offset))
                fail_msg("%s at %zu of %s", error, offset, data.data);
        }
        assert_true(data.size < 3400);
        longest = data.size > longest ? data.size : longest;
        shortest = data.size < shortest ? data.size : shortest;
        buffer_deinit(&data);
    }
    assert_true(longest > 2000 && shortest < 40);
}

static void test_what_is_not_ours(void **state base_unused)
{
    static const char *const texts[] = {
        "",
        "1",
        "{}",
        "{\"s\":1}",
        "{\"s\":1,\"k\":0,\"n\":}",
        "{\"s\":1,\"k\":2,\"n\":1,\"x\":0}",
        "{\"s\":-1,\"k\":0,\"n\":1}",
        "{\"s\":4294967296,\"k\":0,\"n\":1}",
        "{\"s\":01,\"k\":0,\"n\":1}",
        "{ \"s\":1,\"k\":0,\"n\":1}",
    };
    struct verify_name name;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(texts); i++)
        assert_false(verify_content_read(slice_from(texts[i]), false, &name));
    assert_false(verify_content_read(SLICE_LITERAL("wbv1 and too short"), false, &name));
    assert_false(verify_content_read(SLICE_LITERAL("wbv1 too short"), true, &name));
    assert_false(verify_content_read(SLICE_LITERAL("wbv2 of another version"), true, &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_repeats),
        cmocka_unit_test(test_it_differs),
        cmocka_unit_test(test_it_says_what_it_is),
        cmocka_unit_test(test_what_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
