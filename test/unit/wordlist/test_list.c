/* The file of words: what it may say, and what is told when it says something else. */
#include "support/alloc.h"
#include "wordlist/wordlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void expect_errors(struct slice text, const char *expected)
{
    struct buffer errors = {0};
    struct wordlist *w = NULL;

    assert_int_equal(wordlist_parse(text, WORDLIST_ACTION_MASK, &errors, &w), WORDLIST_E_BAD);
    assert_null(w);
    assert_string_equal(errors.data, expected);
    buffer_deinit(&errors);
}

static struct wordlist *parse(const char *text)
{
    struct buffer errors = {0};
    struct wordlist *w = NULL;

    assert_int_equal(wordlist_parse(slice_from(text), WORDLIST_ACTION_MASK, &errors, &w), 0);
    assert_int_equal(errors.size, 0);
    buffer_deinit(&errors);
    return w;
}

static void test_counts_words(void **state base_unused)
{
    struct wordlist *w = parse("# nothing\n\n  scam \r\nSCAM\n\"ass\"\n\\#tag\n[refuse]\nscam\nfree money");

    assert_int_equal(wordlist_count(w), 4);
    wordlist_unref(w);
    w = parse("");
    assert_int_equal(wordlist_count(w), 0);
    assert_ptr_equal(wordlist_ref(w), w);
    assert_null(wordlist_unref(w));
    assert_int_equal(wordlist_count(w), 0);
    assert_null(wordlist_unref(w));
    assert_null(wordlist_unref(NULL));
}

static void test_tells_what_is_wrong(void **state base_unused)
{
    struct buffer text = {0}, errors = {0};
    struct wordlist *w = NULL;

    expect_errors(
        SLICE_LITERAL("good\n[masks]\n"),
        "line 2: expected [mask] or [refuse]; a word that begins with '[' is written with a backslash before it\n");
    expect_errors(
        SLICE_LITERAL("\"open\nb\xff\nx"),
        "line 1: expected a closing '\"'; a word that begins with '\"' is written with a backslash before it\n"
        "line 2: expected UTF-8\n");
    expect_errors(SLICE_LITERAL("\xe2\x80\x8b\n\\\n"), "line 1: expected a word with a character that can be seen\n"
                                                       "line 2: expected a word with a character that can be seen\n");
    for (int i = 0; i < WORDLIST_WORD_MAX_BYTES; i++)
        buffer_append_char(&text, 'a');
    w = parse(text.data);
    assert_int_equal(wordlist_count(w), 1);
    wordlist_unref(w);
    buffer_append_char(&text, 'a');
    expect_errors(buffer_slice(&text), "line 1: expected a word of at most 128 bytes\n");
    buffer_reset(&text, 0);
    for (int i = 0; i < 12; i++)
        buffer_append_text(&text, "[\n");
    assert_int_equal(wordlist_parse(buffer_slice(&text), WORDLIST_ACTION_MASK, &errors, &w), WORDLIST_E_BAD);
    assert_non_null(strstr(errors.data, "line 10: "));
    assert_null(strstr(errors.data, "line 11: "));
    assert_non_null(strstr(errors.data, "and 2 more\n"));
    buffer_deinit(&errors);
    buffer_deinit(&text);
}

static void test_bounds(void **state base_unused)
{
    struct buffer text = {0}, errors = {0};
    struct wordlist *w = NULL;

    for (int i = 0; i <= WORDLIST_WORDS_MAX; i++)
        buffer_printf(&text, "w%d\n", i);
    assert_int_equal(wordlist_parse(buffer_slice(&text), WORDLIST_ACTION_MASK, &errors, &w), WORDLIST_E_BAD);
    assert_string_equal(errors.data, "line 200001: expected at most 200000 words\n");
    buffer_reset(&errors, 0);
    buffer_reset(&text, 0);
    while (text.size <= WORDLIST_FILE_MAX_BYTES)
        buffer_append_text(&text, "# a long comment ################################################\n");
    assert_int_equal(wordlist_parse(buffer_slice(&text), WORDLIST_ACTION_MASK, &errors, &w), WORDLIST_E_BAD);
    assert_string_equal(errors.data, "expected at most 8 MiB\n");
    buffer_deinit(&errors);
    buffer_deinit(&text);
}

static void test_without_memory(void **state base_unused)
{
    struct slice text = SLICE_LITERAL("one\ntwo\nthree\nfour\n\xe5\x9d\x8f\xe4\xba\xba\n");

    for (size_t n = 0;; n++) {
        struct buffer errors = {0};
        struct wordlist *w = NULL;
        int result;

        alloc_fail_after(n);
        result = wordlist_parse(text, WORDLIST_ACTION_MASK, &errors, &w);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            assert_true(n > 4);
            wordlist_unref(w);
            break;
        }
        assert_int_equal(result, -ENOMEM);
        assert_null(w);
        buffer_deinit(&errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_words),
        cmocka_unit_test(test_tells_what_is_wrong),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
