#include "bench_options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_nodes(void **state base_unused)
{
    struct bench_nodes nodes;

    assert_null(bench_nodes_parse("ws://127.0.0.1:8091, ws://[::1]:8092/", &nodes));
    assert_int_equal(nodes.count, 2);
    assert_true(slice_equal_text(nodes.urls[0], "ws://127.0.0.1:8091"));
    assert_true(slice_equal_text(nodes.urls[1], "ws://[::1]:8092"));
}

static void test_wrong_nodes(void **state base_unused)
{
    static const char *const lists[] = {
        "", "ws://", "ws:///", "ws://a:1,", ",ws://a:1", "http://a:1", "a:1", "ws://a:1/ws", "ws://a:1,wss://b:2",
    };
    struct bench_nodes nodes;
    struct buffer many = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++)
        assert_non_null(bench_nodes_parse(lists[i], &nodes));
    for (size_t i = 0; i < BENCH_NODES_MAX; i++)
        buffer_printf(&many, "%sws://a:1", i ? "," : "");
    assert_null(bench_nodes_parse(many.data, &nodes));
    buffer_append_text(&many, ",ws://a:1");
    assert_non_null(bench_nodes_parse(many.data, &nodes));
    buffer_deinit(&many);
}

static void test_numbers(void **state base_unused)
{
    static const char *const wrong[] = {"",    ".",   ".5", "-1", "+1",    "1e3", "0x10",
                                        "nan", "inf", " 1", "1 ", "1.2.3", "11"};
    double number = -1;

    assert_true(bench_number_parse("2.5", 0, 10, &number));
    assert_true(number > 2.49 && number < 2.51);
    assert_true(bench_number_parse("10", 0, 10, &number));
    assert_true(bench_number_parse("0", 0, 10, &number));
    number = 4;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(wrong); i++)
        assert_false(bench_number_parse(wrong[i], 0, 10, &number));
    assert_true(number > 3.9); /* untouched */
}

static void expect_path(const char *template, const char *room, const char *user, const char *wanted)
{
    struct buffer path = {0};

    bench_path_append(&path, template, slice_from(room), slice_from(user));
    assert_int_equal(buffer_error(&path), 0);
    assert_string_equal(path.data, wanted);
    buffer_deinit(&path);
}

static void test_paths(void **state base_unused)
{
    expect_path("/websocket/{room}/{user}", "42", "ann", "/websocket/42/ann");
    expect_path("/{user}/{user}?r={room}&x={y}", "a b", "c/d?é", "/c%2Fd%3F%C3%A9/c%2Fd%3F%C3%A9?r=a%20b&x={y}");
    expect_path("/{room}", "{user}", "u", "/%7Buser%7D"); /* what was put in is not looked at again */
    expect_path("/{roo", "r", "u", "/{roo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_wrong_nodes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
