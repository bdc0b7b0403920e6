#include "base/name.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_good_names(base_unused void **state)
{
    static const char *const names[] = {"a",
                                        "42",
                                        "room with spaces",
                                        "\xe7\x9b\xb4\xe6\x92\xad\xe9\x97\xb4", /* a room, in Chinese */
                                        "\xf0\x9f\x98\x80",
                                        " ",
                                        "a:b/c?d#e%f",
                                        "\xc2\xa0",
                                        "~"};
    char longest[NAME_MAX_BYTES];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(names); i++)
        assert_null(name_check(slice_from(names[i])));
    memset(longest, 'x', sizeof(longest));
    assert_null(name_check(slice_make(longest, sizeof(longest))));
}

static void test_bad_names(base_unused void **state)
{
    char too_long[NAME_MAX_BYTES + 1];
    char c1[] = "\xc2?";

    assert_string_equal(name_check(SLICE_NONE), "is empty");
    memset(too_long, 'x', sizeof(too_long));
    assert_string_equal(name_check(slice_make(too_long, sizeof(too_long))), "is longer than 128 bytes");
    assert_string_equal(name_check(SLICE_LITERAL("a\xff")), "is not valid UTF-8");
    assert_string_equal(name_check(SLICE_LITERAL("a\xc2")), "is not valid UTF-8");
    for (unsigned c = 0; c < 256; c++) {
        const char text[] = {'a', (char)c, 'b'};
        const char *expected = c >= 0x80               ? "is not valid UTF-8"
                               : c < 0x20 || c == 0x7f ? "has a control character"
                                                       : NULL;
        const char *found = name_check(slice_make(text, 3));

        assert_true(expected ? found && strcmp(found, expected) == 0 : !found);
    }
    for (unsigned c = 0x80; c < 0xc0; c++) {
        c1[1] = (char)c;
        assert_int_equal(name_check(slice_from(c1)) != NULL, c < 0xa0);
    }
}

static void test_channels(base_unused void **state)
{
    struct slice name = SLICE_LITERAL("untouched");

    assert_int_equal(channel_parse(SLICE_LITERAL("room:42"), &name), CHANNEL_KIND_ROOM);
    assert_true(slice_equal_text(name, "42"));
    assert_int_equal(channel_parse(SLICE_LITERAL("user:room:7"), &name), CHANNEL_KIND_USER);
    assert_true(slice_equal_text(name, "room:7"));
    assert_int_equal(channel_parse(SLICE_LITERAL("all"), &name), CHANNEL_KIND_ALL);
    assert_false(slice_is_set(name));
    assert_int_equal(channel_parse(SLICE_LITERAL("all"), NULL), CHANNEL_KIND_ALL);
    assert_int_equal(channel_parse(SLICE_LITERAL("room:x"), NULL), CHANNEL_KIND_ROOM);
}

static void test_no_channels(base_unused void **state)
{
    static const char *const texts[] = {"",        "room", "room:", "user:",     "Room:1",
                                        "rooms:1", "all ", "al",    "room:a\nb", "room:\xff"};
    char too_long[CHANNEL_MAX_BYTES + 1] = "room:";

    memset(too_long + 5, 'x', sizeof(too_long) - 5);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(texts); i++) {
        struct slice name = SLICE_LITERAL("untouched");

        assert_int_equal(channel_parse(slice_from(texts[i]), &name), CHANNEL_KIND_NONE);
        assert_true(slice_equal_text(name, "untouched"));
    }
    assert_int_equal(channel_parse(SLICE_NONE, NULL), CHANNEL_KIND_NONE);
    assert_int_equal(channel_parse(slice_make(too_long, sizeof(too_long)), NULL), CHANNEL_KIND_NONE);
    assert_int_equal(channel_parse(slice_make(too_long, sizeof(too_long) - 1), NULL), CHANNEL_KIND_ROOM);
}

static void test_format(base_unused void **state)
{
    char storage[CHANNEL_MAX_BYTES];
    char longest[NAME_MAX_BYTES];
    struct slice channel, name;

    memset(longest, 'x', sizeof(longest));
    channel = channel_format(CHANNEL_KIND_USER, slice_make(longest, sizeof(longest)), storage);
    assert_int_equal(channel.size, CHANNEL_MAX_BYTES);
    assert_int_equal(channel_parse(channel, &name), CHANNEL_KIND_USER);
    assert_true(slice_equal(name, slice_make(longest, sizeof(longest))));
    assert_true(slice_equal_text(channel_format(CHANNEL_KIND_ROOM, SLICE_LITERAL("42"), storage), "room:42"));
    assert_true(slice_equal_text(channel_format(CHANNEL_KIND_ALL, SLICE_NONE, storage), "all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_names),  cmocka_unit_test(test_bad_names), cmocka_unit_test(test_channels),
        cmocka_unit_test(test_no_channels), cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
