#include "bus/cursor_internal.h"

#include <msgpack.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/** Everything that msgpack can say, at each of its widths, read back and compared. */
static void test_scalars(base_unused void **state)
{
    static const int64_t numbers[] = {0,   1,   127,  128,  255,    256,    65535,     65536,     INT64_MAX, -1,
                                      -32, -33, -128, -129, -32768, -32769, INT32_MIN, INT64_MIN, 1 << 30,   1LL << 32};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(numbers); i++) {
        msgpack_sbuffer bytes;
        msgpack_packer packer;
        struct cursor_value v;
        struct cursor c;

        msgpack_sbuffer_init(&bytes);
        msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
        msgpack_pack_int64(&packer, numbers[i]);
        c = cursor_make(slice_make(bytes.data, bytes.size));
        assert_true(cursor_next(&c, &v));
        assert_int_equal(v.type, numbers[i] < 0 ? CURSOR_INTEGER : CURSOR_UNSIGNED);
        assert_true(numbers[i] < 0 ? v.integer == numbers[i] : v.unsigned_integer == (uint64_t)numbers[i]);
        assert_int_equal(c.offset, bytes.size);
        for (size_t cut = 0; cut < bytes.size; cut++) {
            c = cursor_make(slice_make(bytes.data, cut));
            assert_false(cursor_next(&c, &v));
            assert_int_equal(c.offset, 0);
        }
        msgpack_sbuffer_destroy(&bytes);
    }
}

static void test_signed_encodings_of_what_is_not_negative(base_unused void **state)
{
    struct cursor c = cursor_make(SLICE_LITERAL("\xd0\x05\xd3\0\0\0\0\0\0\x01\0"));
    struct cursor_value v;

    assert_true(cursor_next(&c, &v));
    assert_int_equal(v.type, CURSOR_UNSIGNED);
    assert_int_equal(v.unsigned_integer, 5);
    assert_true(cursor_next(&c, &v));
    assert_int_equal(v.type, CURSOR_UNSIGNED);
    assert_int_equal(v.unsigned_integer, 256);
}

static void test_others(base_unused void **state)
{
    static const struct {
        struct slice bytes;
        enum cursor_type type;
        size_t count;
        struct slice text;
    } cases[] = {
        {SLICE_LITERAL("\xc0"), CURSOR_NIL, 0, {"", 0}},
        {SLICE_LITERAL("\xc2"), CURSOR_BOOL, 0, {"", 0}},
        {SLICE_LITERAL("\xc3"), CURSOR_BOOL, 0, {"", 0}},
        {SLICE_LITERAL("\xa3"
                       "abc"),
         CURSOR_STRING, 0, SLICE_LITERAL("abc")},
        {SLICE_LITERAL("\xd9\x01x"), CURSOR_STRING, 0, SLICE_LITERAL("x")},
        {SLICE_LITERAL("\xda\0\x01x"), CURSOR_STRING, 0, SLICE_LITERAL("x")},
        {SLICE_LITERAL("\xdb\0\0\0\x01x"), CURSOR_STRING, 0, SLICE_LITERAL("x")},
        {SLICE_LITERAL("\xc4\x02\x00\xff"), CURSOR_BINARY, 0, SLICE_LITERAL("\x00\xff")},
        {SLICE_LITERAL("\xc5\0\x01x"), CURSOR_BINARY, 0, SLICE_LITERAL("x")},
        {SLICE_LITERAL("\xc6\0\0\0\x01x"), CURSOR_BINARY, 0, SLICE_LITERAL("x")},
        {SLICE_LITERAL("\xc7\x01\x05x"), CURSOR_EXTENSION, 0, SLICE_LITERAL("\x05x")},
        {SLICE_LITERAL("\xd4\x05x"), CURSOR_EXTENSION, 0, SLICE_LITERAL("\x05x")},
        {SLICE_LITERAL("\xd6\xff"
                       "abcd"),
         CURSOR_EXTENSION, 0,
         SLICE_LITERAL("\xff"
                       "abcd")},
        {SLICE_LITERAL("\xca\x3f\x80\0\0"), CURSOR_FLOAT, 0, {"", 0}},
        {SLICE_LITERAL("\xcb\x3f\xf0\0\0\0\0\0\0"), CURSOR_FLOAT, 0, {"", 0}},
        {SLICE_LITERAL("\x90"), CURSOR_ARRAY, 0, {"", 0}},
        {SLICE_LITERAL("\x80"), CURSOR_MAP, 0, {"", 0}},
        {SLICE_LITERAL("\xdc\0\0"), CURSOR_ARRAY, 0, {"", 0}},
        {SLICE_LITERAL("\xdd\0\0\0\0"), CURSOR_ARRAY, 0, {"", 0}},
        {SLICE_LITERAL("\xde\0\0"), CURSOR_MAP, 0, {"", 0}},
        {SLICE_LITERAL("\xdf\0\0\0\0"), CURSOR_MAP, 0, {"", 0}},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct cursor c = cursor_make(cases[i].bytes);
        struct cursor_value v;

        assert_true(cursor_next(&c, &v));
        assert_int_equal(v.type, cases[i].type);
        assert_int_equal(v.count, cases[i].count);
        assert_true(slice_equal(v.bytes, cases[i].text));
        assert_true(v.type != CURSOR_FLOAT || (v.number > 0.999 && v.number < 1.001));
        assert_int_equal(c.offset, cases[i].bytes.size);
        for (size_t cut = 0; cut < cases[i].bytes.size; cut++) {
            c = cursor_make(slice_make(cases[i].bytes.data, cut));
            assert_false(cursor_next(&c, &v));
            assert_false(cursor_skip(&c, CURSOR_DEPTH_MAX));
        }
    }
}

static void test_refused(base_unused void **state)
{
    static const struct slice cases[] = {
        {"", 0},
        SLICE_LITERAL("\xc1"),
        SLICE_LITERAL("\xdb\xff\xff\xff\xff"
                      "abc"),
        SLICE_LITERAL("\xc9\xff\xff\xff\xff\x01"),
        SLICE_LITERAL("\xdd\xff\xff\xff\xff\x01"),
        SLICE_LITERAL("\xdf\xff\xff\xff\xff\x01"),
        SLICE_LITERAL("\x92\x01"),
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct cursor c = cursor_make(cases[i]);

        assert_false(cursor_skip(&c, CURSOR_DEPTH_MAX));
        assert_int_equal(c.offset, 0);
    }
}

static void test_skip(base_unused void **state)
{
    char nested[64];
    struct cursor c = cursor_make(SLICE_LITERAL("\x82\xa1"
                                                "a\x93\x01\x90\x81\xc0\xc0\xa1"
                                                "b\x80\x07"));

    assert_true(cursor_skip(&c, 3));
    assert_int_equal(c.offset, c.size - 1);
    c.offset = 0;
    assert_false(cursor_skip(&c, 2));
    memset(nested, '\x91', sizeof(nested));
    nested[CURSOR_DEPTH_MAX] = '\xc0';
    c = cursor_make(slice_make(nested, sizeof(nested)));
    assert_true(cursor_skip(&c, CURSOR_DEPTH_MAX));
    assert_int_equal(c.offset, CURSOR_DEPTH_MAX + 1);
    nested[CURSOR_DEPTH_MAX] = '\x91';
    c.offset = 0;
    assert_false(cursor_skip(&c, CURSOR_DEPTH_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars), cmocka_unit_test(test_signed_encodings_of_what_is_not_negative),
        cmocka_unit_test(test_others),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_skip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
