/** Texts against lists: what is masked, what is refused, and a slow and plain judge of both. */
#include "base/utf8.h"
#include "support/alloc.h"
#include "support/prng.h"
#include "wordlist/wordlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct wordlist *parse(const char *text)
{
    struct buffer errors = {0};
    struct wordlist *w = NULL;

    assert_int_equal(wordlist_parse(slice_from(text), WORDLIST_ACTION_MASK, &errors, &w), 0);
    buffer_deinit(&errors);
    return w;
}

/** @expected: NULL: it is refused; the text itself: nothing is found. */
static void expect(const struct wordlist *w, const char *text, const char *expected)
{
    struct wordlist_scratch scratch = {0};
    struct buffer out = {0};
    int result;

    buffer_append_text(&out, "before ");
    result = wordlist_scan(w, slice_from(text), &scratch, &out);
    if (result == WORDLIST_MASKED) {
        assert_non_null(expected);
        assert_string_equal(out.data + 7, expected);
    } else {
        assert_int_equal(result, !expected ? WORDLIST_REFUSED : 0);
        assert_string_equal(out.data, "before ");
        if (expected)
            assert_string_equal(expected, text);
    }
    buffer_deinit(&out);
    wordlist_scratch_deinit(&scratch);
}

static void test_masks(void **state base_unused)
{
    struct wordlist *w = parse("scam\nhe\nshe\nhers\nfree money\n坏人\nx\n42");

    expect(w, "nothing at all", "nothing at all");
    expect(w, "a scam!", "a ****!");
    expect(w, "scamscam", "********");
    expect(w, "ushers", "u*****");
    expect(w, "free  money, free money", "free  money, **********");
    expect(w, "他是坏人吗", "他是**吗");
    expect(w, "xx 442", "** 4**");
    expect(w, "", "");
    wordlist_unref(w);
}

static void test_sees_through_disguise(void **state base_unused)
{
    struct wordlist *w = parse("Scam\nПлохо\nKÖNIG\nΣΑΣ\n");

    expect(w, "SCAM sCaM", "**** ****");
    expect(w, "ｓｃＡＭ", "****");
    expect(w,
           "s\xe2\x80\x8b"
           "c\xc2\xad"
           "am",
           "******"); /* what cannot be seen is part of what is masked */
    expect(w, "ПЛОХО плохо", "***** *****");
    expect(w, "könig", "*****");
    expect(w, "σας", "***");
    wordlist_unref(w);
}

/** A letter with its mark is one letter however it is written; other marks are nothing. */
static void test_marks(void **state base_unused)
{
    struct wordlist *w = parse("scam\nh\u00f6ra\nхуй\nガス\nbệnh\ncafe\u0301\nحرام\n");

    expect(w, "s\u0336c\u0336a\u0336m\u0336!", "********!"); /* struck through */
    expect(w, "s\u0300\u0334\u20d8cam, \u015b\u0107am s\u0301c\u0301am", "*******, \u015b\u0107am s\u0301c\u0301am");
    expect(w, "s\u20ddcam", "*****");
    expect(w, "hora höra ho\u0308ra HO\u0308RA ho\u0336\u0308ra", "hora **** ***** ***** ******");
    expect(w, "ХУИ\u0306 хуи", "**** хуи");
    expect(w, "ガス カ\u3099ス ｶﾞｽ カス", "** *** *** カス");
    expect(w, "be\u0302\u0323nh be\u0323\u0302nh b\u00ea\u0323nh bênh", "****** ****** ***** bênh");
    expect(w, "café CAFÉ cafe", "**** **** cafe");
    expect(w, "ح\u064eر\u0640ام", "******");
    expect(w, "\u0301\u0336", "\u0301\u0336");
    wordlist_unref(w);
}

static void test_other_clothes(void **state base_unused)
{
    struct wordlist *w = parse("scam\n\"he\"\ncall 42\nμπάτσος\nơn\n");

    expect(w, "𝐬𝐜𝐚𝐦 𝓢𝓒𝓐𝓜 𝕤𝕔𝕒𝕞 𝚂𝙲𝙰𝙼", "**** **** **** ****");
    expect(w, "ⓢⓒⓐⓜ ⓈⒸⒶⓂ 🅂🄲🄰🄼 🅢🅒🅐🅜 🆂🅲🅰🅼 ⒮⒞⒜⒨", "**** **** **** **** **** ****");
    expect(w, "ℋℯ, tℋℯ", "**, tℋℯ");
    expect(w, "𝒞𝒶𝓁𝓁　𝟜𝟐", "*******");
    expect(w, "ΜΠΆΤΣΟΣ ƠN", "******* **");
    expect(w, "s\U000e0041c\u3164am", "******");
    wordlist_unref(w);
}

static void test_whole_words(void **state base_unused)
{
    struct wordlist *w = parse("\"ass\"\nbadass\n");

    expect(w, "class assess ass_ assä äass", "class assess ass_ assä äass");
    expect(w, "ass", "***");
    expect(w, "an ass, 你ass好", "an ***, 你***好");
    expect(w, "badass", "******");
    expect(w, "badasses", "******es");
    wordlist_unref(w);
}

static void test_refuses(void **state base_unused)
{
    struct wordlist *w = parse("mild\n[refuse]\nevil\n\"ill\"\nmildew\n");

    expect(w, "mild", "****");
    expect(w, "mild and devilish", NULL);
    expect(w, "milder, still", "****er, still");
    expect(w, "ill", NULL);
    expect(w, "MILDEW", NULL);
    wordlist_unref(w);
}

static void test_empty_list(void **state base_unused)
{
    struct wordlist *w = parse("# nothing\n");

    expect(w, "anything", "anything");
    wordlist_unref(w);
}

/* ---- against a judge ---- */

#define WORDS 40
static const char *const letters[] = {"a", "b", "c", "é", "坏", "B", "ｃ", "\xe2\x80\x8d"};

static void make_text(struct prng *p, size_t length, size_t alphabet, struct buffer *out)
{
    buffer_reset(out, SIZE_MAX);
    for (size_t i = 0; i < length; i++)
        buffer_append_text(out, letters[prng_below(p, alphabet)]);
}

/** Masks each word at each place, one after the other; texts and words have no characters that folding changes. */
static void judge(struct slice text, char words[][64], size_t count, struct buffer *out)
{
    bool hit[1024] = {false};

    assert_true(text.size <= sizeof(hit));
    for (size_t word = 0; word < count; word++)
        for (size_t at = 0, size = strlen(words[word]); at + size <= text.size; at++)
            if (memcmp(text.data + at, words[word], size) == 0)
                memset(hit + at, true, size);
    for (size_t at = 0; at < text.size;) {
        size_t size = utf8_character_size(slice_make(text.data + at, text.size - at));

        if (hit[at])
            buffer_append_char(out, '*');
        else
            buffer_append(out, text.data + at, size);
        at += size;
    }
}

static void test_against_a_judge(void **state base_unused)
{
    struct prng p = {20261127};
    struct buffer text = {0}, list = {0}, expected = {0};

    for (int round = 0; round < 400; round++) {
        char words[WORDS][64];
        size_t count = 1 + prng_below(&p, WORDS), longest = 1 + prng_below(&p, 12);
        struct wordlist *w;

        buffer_reset(&list, SIZE_MAX);
        for (size_t i = 0; i < count; i++) {
            make_text(&p, 1 + prng_below(&p, longest), 5, &text);
            snprintf(words[i], sizeof(words[i]), "%s", text.data);
            buffer_printf(&list, "%s\n", words[i]);
        }
        w = parse(list.data);
        for (int texts = 0; texts < 20; texts++) {
            make_text(&p, prng_below(&p, 200), 5, &text);
            buffer_reset(&expected, SIZE_MAX);
            judge(buffer_slice(&text), words, count, &expected);
            buffer_append(&expected, "", 0);
            expect(w, text.size ? text.data : "", expected.size ? expected.data : "");
        }
        wordlist_unref(w);
    }
    buffer_deinit(&text);
    buffer_deinit(&list);
    buffer_deinit(&expected);
}

/** Folding first, then looking, finds the same as looking through the disguise. */
static void test_disguises_against_folded(void **state base_unused)
{
    static const char *const plain[] = {"a", "b", "c", "é", "坏", "b", "c", ""};
    struct wordlist *w = parse("ab\nbc坏\ncécé\na\n[refuse]\nbbbb\n");
    struct prng p = {7};

    for (int round = 0; round < 3000; round++) {
        struct buffer disguised = {0}, undisguised = {0}, one = {0}, other = {0};
        struct wordlist_scratch scratch = {0};
        int result;

        for (size_t i = prng_below(&p, 60); i > 0; i--) {
            size_t letter = prng_below(&p, BASE_ARRAY_SIZE(letters));

            buffer_append_text(&disguised, letters[letter]);
            buffer_append_text(&undisguised, plain[letter]);
        }
        result = wordlist_scan(w, buffer_slice(&disguised), &scratch, &one);
        assert_int_equal(wordlist_scan(w, buffer_slice(&undisguised), &scratch, &other), result);
        wordlist_scratch_deinit(&scratch);
        buffer_deinit(&disguised);
        buffer_deinit(&undisguised);
        buffer_deinit(&one);
        buffer_deinit(&other);
    }
    wordlist_unref(w);
}

static void test_without_memory(void **state base_unused)
{
    struct wordlist *w = parse("a\n");
    struct buffer text = {0};

    for (int i = 0; i < 100; i++)
        buffer_append_text(&text, "a b ");
    for (size_t n = 0;; n++) {
        struct wordlist_scratch scratch = {0};
        struct buffer out = {0};
        int result;

        alloc_fail_after(n);
        result = wordlist_scan(w, buffer_slice(&text), &scratch, &out);
        wordlist_scratch_deinit(&scratch);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, WORDLIST_MASKED);
            buffer_deinit(&out);
            break;
        }
        assert_int_equal(result, -ENOMEM);
        buffer_deinit(&out);
    }
    buffer_deinit(&text);
    wordlist_unref(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_sees_through_disguise),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_other_clothes),
        cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_empty_list),
        cmocka_unit_test(test_against_a_judge),
        cmocka_unit_test(test_disguises_against_folded),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
