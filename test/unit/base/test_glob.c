/** Patterns against texts, and against a slow and plain judge. */
#include "base/glob.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static bool matches(const char *pattern, const char *text)
{
    return glob_matches(slice_from(pattern), slice_from(text));
}

static void test_patterns(void **state base_unused)
{
    assert_true(matches("", ""));
    assert_false(matches("", "a"));
    assert_true(matches("*", ""));
    assert_true(matches("*", "room:42"));
    assert_true(matches("room:*", "room:42"));
    assert_true(matches("room:*", "room:"));
    assert_false(matches("room:*", "user:42"));
    assert_true(matches("*:4?", "room:42"));
    assert_false(matches("*:4?", "room:4"));
    assert_true(matches("room:*-*-flood", "room:a-b-c-flood"));
    assert_false(matches("room:*-*-flood", "room:a-flood"));
    assert_true(matches("a*b*c", "a-b-b-c-c"));
    assert_false(matches("a*b*c", "a-b-b-c-d"));
    assert_true(matches("[x]", "[x]")); /* no classes, no escapes */
    assert_true(matches("***", "x"));
    assert_false(matches("?", ""));
}

static bool plainly(const char *pattern, const char *text)
{
    if (!*pattern)
        return !*text;
    if (*pattern == '*')
        return plainly(pattern + 1, text) || (*text && plainly(pattern, text + 1));
    return *text && (*pattern == '?' || *pattern == *text) && plainly(pattern + 1, text + 1);
}

static void test_against_the_plain_judge(void **state base_unused)
{
    static const char letters[] = "ab*?";
    struct prng random = {5};

    for (int i = 0; i < 200000; i++) {
        char pattern[8] = "", text[10] = "";
        size_t pattern_size = prng_below(&random, 7), text_size = prng_below(&random, 9);

        for (size_t j = 0; j < pattern_size; j++)
            pattern[j] = letters[prng_below(&random, 4)];
        for (size_t j = 0; j < text_size; j++)
            text[j] = letters[prng_below(&random, 2)];
        if (matches(pattern, text) != plainly(pattern, text))
            fail_msg("'%s' and '%s'", pattern, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_against_the_plain_judge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
