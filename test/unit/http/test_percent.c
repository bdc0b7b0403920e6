/*
 * Percent-encoding there and back, and the parameters of a query.
 */
#include "http/http.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_decode(const char *text, bool form, const char *expected)
{
    struct buffer out = {0};
    bool ok = http_percent_decode(slice_from(text), form, &out);

    assert_int_equal(ok, expected != NULL);
    if (expected)
        assert_string_equal(out.data ? out.data : "", expected);
    buffer_deinit(&out);
}

static void test_decode(void **state)
{
    (void)state;
    check_decode("", false, "");
    check_decode("plain", false, "plain");
    check_decode("a%20b", false, "a b");
    check_decode("a+b", false, "a+b");
    check_decode("a+b", true, "a b");
    check_decode("a%2Bb%2b", true, "a+b+");
    check_decode("%E4%BD%a0", false, "\xe4\xbd\xa0");
    check_decode("%25%32%35", false, "%25"); /* once, not twice */
    check_decode("%", false, NULL);
    check_decode("a%4", false, NULL);
    check_decode("%4g", false, NULL);
    check_decode("%g4", false, NULL);
    check_decode("% 41", false, NULL);
    check_decode("%u0041", false, NULL);
}

static void test_every_byte_round_trips(void **state)
{
    struct buffer encoded = {0}, decoded = {0};
    unsigned char all[256];

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)i;
    http_percent_encode(slice_make(all, sizeof(all)), &encoded);
    for (size_t i = 0; i < encoded.size; i++)
        assert_non_null(strchr("%-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", encoded.data[i]));
    assert_int_equal(encoded.size, 66 + 3 * (256 - 66));
    assert_true(http_percent_decode(buffer_slice(&encoded), true, &decoded));
    assert_int_equal(decoded.size, sizeof(all));
    assert_memory_equal(decoded.data, all, sizeof(all));
    buffer_deinit(&encoded);
    buffer_deinit(&decoded);
}

static void test_query(void **state)
{
    struct slice query = SLICE_LITERAL("user=7&since=a%401&flag&since=&=x&user&usert=8&since=b=c");

    (void)state;
    assert_true(slice_equal_text(http_query_parameter(query, "user", 0), "7"));
    assert_true(slice_equal_text(http_query_parameter(query, "usert", 0), "8"));
    assert_true(slice_equal_text(http_query_parameter(query, "since", 0), "a%401"));
    assert_true(slice_is_set(http_query_parameter(query, "since", 1)));
    assert_int_equal(http_query_parameter(query, "since", 1).size, 0);
    assert_true(slice_equal_text(http_query_parameter(query, "since", 2), "b=c"));
    assert_false(slice_is_set(http_query_parameter(query, "since", 3)));
    assert_true(slice_is_set(http_query_parameter(query, "flag", 0)));
    assert_true(slice_is_set(http_query_parameter(query, "user", 1)));
    assert_false(slice_is_set(http_query_parameter(query, "use", 0)));
    assert_false(slice_is_set(http_query_parameter(SLICE_NONE, "user", 0)));
    assert_false(slice_is_set(http_query_parameter(SLICE_LITERAL(""), "user", 0)));
}

static void test_out_of_memory(void **state)
{
    struct buffer out = {0};

    (void)state;
    alloc_fail_after(0);
    http_percent_encode(SLICE_LITERAL("a b"), &out);
    assert_true(http_percent_decode(SLICE_LITERAL("a"), false, &out));
    assert_true(alloc_fail_disarm());
    assert_int_equal(buffer_error(&out), -ENOMEM);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_every_byte_round_trips),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
