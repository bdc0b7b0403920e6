#include "base/buffer.h"
#include "base/utf8.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/** The definition, written down as slowly as possible: decode, then ask whether encoding it again gives the same. */
static size_t slow_character(const unsigned char *p, size_t size)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t length = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    uint32_t code_point;
    char again[4];

    if (length == 0 || length > size)
        return 0;
    code_point = p[0] & masks[length];
    for (size_t i = 1; i < length; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        code_point = code_point << 6 | (p[i] & 0x3f);
    }
    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point < 0xe000))
        return 0;
    return utf8_encode(code_point, again) == length && memcmp(again, p, length) == 0 ? length : 0;
}

static bool slow_is_valid(const unsigned char *p, size_t size)
{
    while (size > 0) {
        size_t length = slow_character(p, size);

        if (length == 0)
            return false;
        p += length;
        size -= length;
    }
    return true;
}

/** Whole, byte by byte and at a cut; an invalid text must be refused at the same byte in each way. */
static void check(const unsigned char *p, size_t size, size_t cut)
{
    struct utf8_state whole = {0}, bytes = {0}, parts = {0};
    bool expected = slow_is_valid(p, size);
    bool fed = utf8_feed(&whole, p, size);
    bool bytes_fed = true;
    size_t at;

    assert_int_equal(utf8_is_valid(slice_make(p, size)), expected);
    assert_int_equal(fed && utf8_is_complete(&whole), expected);
    for (at = 0; at < size && bytes_fed; at++)
        bytes_fed = utf8_feed(&bytes, p + at, 1);
    assert_int_equal(bytes_fed, fed);
    assert_int_equal(bytes.state, whole.state);
    assert_int_equal(utf8_feed(&parts, p, cut) && utf8_feed(&parts, p + cut, size - cut), fed);
    assert_int_equal(parts.state, whole.state);
    if (!fed)
        assert_false(utf8_feed(&whole, "a", 1)); /* refused for ever */
}

static void test_every_code_point(base_unused void **state)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char text[4];
        size_t size;

        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        size = utf8_encode(c, text);
        assert_int_equal(utf8_character_size(slice_make(text, size)), size);
        assert_true(utf8_is_valid(slice_make(text, size)));
        for (size_t cut = 1; cut < size; cut++) {
            struct utf8_state s = {0};

            assert_int_equal(utf8_character_size(slice_make(text, cut)), 0);
            assert_true(utf8_feed(&s, text, cut));
            assert_false(utf8_is_complete(&s));
        }
    }
}

static void test_every_three_bytes(base_unused void **state)
{
    static const unsigned char edges[] = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};

    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t third = 0; third < sizeof(edges); third++) {
                for (size_t fourth = 0; fourth < sizeof(edges); fourth++) {
                    const unsigned char text[4] = {(unsigned char)first, (unsigned char)second, edges[third],
                                                   edges[fourth]};

                    assert_int_equal(utf8_character_size(slice_make(text, 4)), slow_character(text, 4));
                    assert_int_equal(utf8_is_valid(slice_make(text, 4)), slow_is_valid(text, 4));
                }
            }
        }
    }
}

/** Where fail-fast fails: at the first byte after which no continuation can help. */
static void test_first_impossible_byte(base_unused void **state)
{
    static const struct {
        const char *text;
        size_t good;
    } rows[] = {
        {"\x80", 0},         {"\xc0\x80", 0},     {"\xc1\xbf", 0},         {"\xc2\x41", 1},     {"\xe0\x9f\x80", 1},
        {"\xed\xa0\x80", 1}, {"\xe4\xb8\x41", 2}, {"\xf0\x8f\x80", 1},     {"\xf4\x90\x80", 1}, {"\xf5\x80", 0},
        {"\xff", 0},         {"abc\xfe", 3},      {"\xf0\x9f\x98\xc0", 3},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct utf8_state s = {0};

        assert_true(utf8_feed(&s, rows[i].text, rows[i].good));
        assert_false(utf8_feed(&s, rows[i].text + rows[i].good, 1));
        assert_false(utf8_feed(&s, "", 0));
        assert_false(utf8_is_complete(&s));
    }
}

static void test_random_texts(base_unused void **state)
{
    static const char *const pieces[] = {"a",
                                         "hello, world, this is plain",
                                         "\xc3\xa9",
                                         "\xe4\xb8\xad\xe6\x96\x87",
                                         "\xf0\x9f\x98\x80",
                                         "\xef\xbf\xbf",
                                         "0123456789abcdef0123456789abcdef0123456789"};
    struct prng random = {2};
    size_t valid = 0;

    for (int round = 0; round < 40000; round++) {
        struct buffer b = {0};
        size_t count = 1 + prng_below(&random, 8);

        while (count-- > 0)
            buffer_append_text(&b, pieces[prng_below(&random, BASE_ARRAY_SIZE(pieces))]);
        if (round % 2)
            b.data[prng_below(&random, b.size)] = (char)prng_next(&random);
        if (round % 3 == 0)
            buffer_truncate(&b, prng_below(&random, b.size));
        check((const unsigned char *)b.data, b.size, prng_below(&random, b.size + 1));
        valid += utf8_is_valid(buffer_slice(&b));
        buffer_deinit(&b);
    }
    assert_in_range(valid, 10000, 35000); /* both kinds were there */
}

static void test_empty(base_unused void **state)
{
    struct utf8_state s = {0};

    assert_true(utf8_is_valid(SLICE_NONE));
    assert_true(utf8_feed(&s, NULL, 0));
    assert_true(utf8_is_complete(&s));
    assert_int_equal(utf8_character_size(SLICE_NONE), 0);
}

static void test_prefix(base_unused void **state)
{
    struct slice s = SLICE_LITERAL("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80z"); /* 1, 2, 3, 4 and 1 bytes */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};

    for (size_t max = 0; max < BASE_ARRAY_SIZE(expected); max++)
        assert_int_equal(utf8_prefix(s, max).size, expected[max]);
    assert_int_equal(utf8_prefix(SLICE_NONE, 5).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_every_three_bytes),
        cmocka_unit_test(test_first_impossible_byte),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
