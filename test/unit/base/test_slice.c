#include "base/slice.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_equal(base_unused void **state)
{
    assert_true(slice_equal(SLICE_NONE, SLICE_LITERAL("")));
    assert_true(slice_equal(slice_make("ab\0c", 4), slice_make("ab\0c", 4)));
    assert_false(slice_equal(slice_make("ab\0c", 4), slice_make("ab\0d", 4)));
    assert_true(slice_equal_text(SLICE_LITERAL("abc"), "abc"));
    assert_false(slice_equal_text(SLICE_LITERAL("abc"), "ab"));
    assert_true(slice_equal_nocase(SLICE_LITERAL("WebSocket-[@`{"), SLICE_LITERAL("wEBsOCKET-[@`{")));
    assert_false(slice_equal_nocase(SLICE_LITERAL("[@"), SLICE_LITERAL("{`"))); /* neighbours of letters, 32 apart */
    assert_false(slice_equal_nocase(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    assert_true(slice_starts_with(SLICE_LITERAL("abc"), SLICE_LITERAL("ab")));
    assert_true(slice_starts_with(SLICE_NONE, SLICE_NONE));
    assert_false(slice_starts_with(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    assert_false(slice_is_set(slice_from(NULL)));
    assert_true(slice_is_set(slice_from("")));
}

static void test_trim(base_unused void **state)
{
    static const struct {
        const char *from, *to;
    } rows[] = {{"", ""}, {" \t ", ""}, {" a b\t", "a b"}, {"a", "a"}, {"\n a", "\n a"}, {"\t\t a", "a"}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++)
        assert_true(slice_equal_text(slice_trim(slice_from(rows[i].from)), rows[i].to));
    assert_int_equal(slice_trim(SLICE_NONE).size, 0);
}

static void test_split(base_unused void **state)
{
    struct slice rest = SLICE_LITERAL("a,,bc,");
    struct slice part = SLICE_NONE;
    const char *expected[] = {"a", "", "bc", ""};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(expected); i++) {
        assert_true(slice_split(&rest, ',', &part));
        assert_true(slice_equal_text(part, expected[i]));
    }
    part = SLICE_LITERAL("untouched");
    assert_false(slice_split(&rest, ',', &part));
    assert_true(slice_equal_text(part, "untouched"));

    rest = SLICE_LITERAL("");
    assert_true(slice_split(&rest, ',', &part));
    assert_true(slice_is_set(part) && part.size == 0);
    assert_false(slice_split(&rest, ',', &part));
}

static void test_dup(base_unused void **state)
{
    char *copy = slice_dup(slice_make("a\0b", 3));

    assert_non_null(copy);
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
    copy = slice_dup(SLICE_NONE);
    assert_non_null(copy);
    assert_string_equal(copy, "");
    free(copy);

    alloc_fail_after(0);
    copy = slice_dup(SLICE_LITERAL("x"));
    assert_true(alloc_fail_disarm());
    assert_null(copy);
}

static void test_to_uint64(base_unused void **state)
{
    static const char *const refused[] = {"",
                                          " 1",
                                          "1 ",
                                          "+1",
                                          "-1",
                                          "01",
                                          "00",
                                          "0x1",
                                          "1.0",
                                          "18446744073709551616",
                                          "99999999999999999999",
                                          "184467440737095516150",
                                          "1\xd9\xa1"};
    uint64_t value = 7;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(refused); i++)
        assert_false(slice_to_uint64(slice_from(refused[i]), UINT64_MAX, &value));
    assert_false(slice_to_uint64(SLICE_NONE, UINT64_MAX, &value));
    assert_false(slice_to_uint64(slice_make("1\0", 2), UINT64_MAX, &value));
    assert_false(slice_to_uint64(SLICE_LITERAL("101"), 100, &value));
    assert_int_equal(value, 7);
    assert_true(slice_to_uint64(SLICE_LITERAL("0"), 0, &value));
    assert_int_equal(value, 0);
    assert_true(slice_to_uint64(SLICE_LITERAL("100"), 100, &value));
    assert_int_equal(value, 100);
    assert_true(slice_to_uint64(SLICE_LITERAL("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal), cmocka_unit_test(test_trim),      cmocka_unit_test(test_split),
        cmocka_unit_test(test_dup),   cmocka_unit_test(test_to_uint64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
