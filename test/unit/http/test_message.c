/*
 * Looking things up in a message.
 */
#include "http/http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEADER(name, value)                                                                                            \
    {                                                                                                                  \
        SLICE_LITERAL(name), SLICE_LITERAL(value)                                                                      \
    }

static const struct http_message message = {
    .headers =
        {
            HEADER("Host", "h"),
            HEADER("Upgrade", "a,b"),
            HEADER("X-Same", "1"),
            HEADER("x-same", "1"),
            HEADER("X-Other", "1"),
            HEADER("X-Other", "2"),
            HEADER("upgrade", " c ,,\td"),
            HEADER("X-Empty", ""),
        },
    .header_count = 8,
};

static void test_header(void **state)
{
    (void)state;
    assert_true(slice_equal_text(http_message_header(&message, "HOST"), "h"));
    assert_true(slice_equal_text(http_message_header(&message, "X-Same"), "1"));
    assert_false(slice_is_set(http_message_header(&message, "X-Other")));
    assert_false(slice_is_set(http_message_header(&message, "Hos")));
    assert_false(slice_is_set(http_message_header(&message, "Hostt")));
    assert_true(slice_is_set(http_message_header(&message, "X-Empty")));
    assert_int_equal(http_message_header_count(&message, "X-Other"), 2);
    assert_int_equal(http_message_header_count(&message, "X-None"), 0);
}

static void test_tokens(void **state)
{
    (void)state;
    assert_true(http_message_has_token(&message, "Upgrade", "A"));
    assert_true(http_message_has_token(&message, "Upgrade", "b"));
    assert_true(http_message_has_token(&message, "Upgrade", "c"));
    assert_true(http_message_has_token(&message, "Upgrade", "D"));
    assert_false(http_message_has_token(&message, "Upgrade", "a,b"));
    assert_false(http_message_has_token(&message, "Upgrade", "e"));
    assert_false(http_message_has_token(&message, "X-None", "a"));
}

static void test_each(void **state)
{
    struct slice value = SLICE_NONE;
    size_t position = 0;

    (void)state;
    assert_true(http_message_each(&message, "UPGRADE", &position, &value));
    assert_true(slice_equal_text(value, "a,b"));
    assert_true(http_message_each(&message, "UPGRADE", &position, &value));
    assert_true(slice_equal_text(value, " c ,,\td"));
    assert_false(http_message_each(&message, "UPGRADE", &position, &value));
    assert_false(http_message_each(&message, "UPGRADE", &position, &value));
}

static void test_reason(void **state)
{
    static const unsigned answered[] = {101, 200, 202, 400, 401, 403, 404, 409, 411,
                                        413, 414, 426, 429, 431, 500, 501, 503, 505};

    (void)state;
    assert_string_equal(http_status_reason(101), "Switching Protocols");
    assert_string_equal(http_status_reason(599), "Unknown");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answered); i++)
        assert_string_not_equal(http_status_reason(answered[i]), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
