#include "bench_options.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_nodes(void **state base_unused)
{
    struct bench_nodes nodes;

    assert_null(bench_nodes_parse("ws://127.0.0.1:8091, ws://[::1]:8092/", &nodes));
    assert_int_equal(nodes.count, 2);
    assert_true(slice_equal_text(nodes.urls[0], "ws://127.0.0.1:8091"));
    assert_true(slice_equal_text(nodes.urls[1], "ws://[::1]:8092"));
    assert_false(bench_nodes_have_tls(&nodes));
    assert_null(bench_nodes_parse("ws://a:1,wss://b:2", &nodes));
    assert_true(bench_nodes_have_tls(&nodes));
}

static void test_wrong_nodes(void **state base_unused)
{
    static const char *const lists[] = {
        "", "ws://", "ws:///", "ws://a:1,", ",ws://a:1", "http://a:1", "a:1", "ws://a:1/ws", "wss://", "ws:/a:1",
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

struct options {
    struct bench_common common;
    double speed;
    size_t clients;
    const char *name;
    bool loud;
};

#define VALUE(member) offsetof(struct options, member)

static const struct bench_option rows[] = {
    {"speed", BENCH_OPTION_NUMBER, VALUE(speed), 0.5, 9, "N", "how fast", 0},
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 1, 100, "N", "how many", 0},
    {"name", BENCH_OPTION_TEXT, VALUE(name), 1, 5, "NAME", "who", 0},
    {"loud", BENCH_OPTION_FLAG, VALUE(loud), 0, 0, NULL, "how", 0},
};

/** Parses a line of words. */
static int parse(const char *line, const char *operand, unsigned parts, struct options *o, const char **ret_operand)
{
    const struct bench_arguments a = {.scenario = "test",
                                      .operand = operand,
                                      .about = "A test.",
                                      .parts = parts,
                                      .rows = rows,
                                      .count = BASE_ARRAY_SIZE(rows)};
    static char words[512];
    char *argv[32] = {words};
    int argc = 0;

    (void)snprintf(words, sizeof(words), "test %s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    optind = 0; /* getopt(3) begins anew */
    *o = (struct options){.common = {.path_template = "/{room}", .pin = BENCH_NO_CPU}, .speed = 1, .clients = 2};
    return bench_options_parse(&a, argc, argv, o, ret_operand);
}

static void test_rows(void **state base_unused)
{
    const char *operand = NULL;
    struct options o;

    assert_int_equal(parse("--speed 2.5 --clients=7 file --loud --name ann --json --pin 1 --nodes ws://a:1", "FILE",
                           BENCH_PART_NODES, &o, &operand),
                     BENCH_PARSED);
    assert_true(o.speed == 2.5 && o.clients == 7 && o.loud && o.common.json && o.common.pin == 1);
    assert_string_equal(o.name, "ann");
    assert_string_equal(operand, "file");
    assert_int_equal(o.common.nodes.count, 1);
    assert_string_equal(o.common.command, "warren-bench test --speed 2.5 --clients=7 file --loud --name ann --json "
                                          "--pin 1 --nodes ws://a:1");
    bench_options_deinit(&o.common);
    assert_int_equal(parse("", NULL, 0, &o, NULL), BENCH_PARSED);
    assert_true(o.speed == 1 && o.clients == 2 && !o.name && !o.loud && o.common.pin == BENCH_NO_CPU);
    bench_options_deinit(&o.common);
}

static void test_wrong_rows(void **state base_unused)
{
    static const char *const lines[] = {
        "--speed 0.4", "--speed 9.5",        "--speed",   "--clients 1.5", "--clients 0", "--name toolong",
        "--name",      "--loud=1",           "--nothing", "operand",       "--pin -1",    "--nodes ws://a:1",
        "--warmup 1",  "--metrics http://a", "--pid 1",   "--ca x",        "--settle 1",
    };
    struct options o;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lines); i++) {
        assert_int_equal(parse(lines[i], NULL, 0, &o, NULL), 2);
        bench_options_deinit(&o.common);
    }
    assert_int_equal(parse("", NULL, BENCH_PART_NODES, &o, NULL), 2); /* which nodes? */
    bench_options_deinit(&o.common);
    assert_int_equal(parse("--nodes ws://a:1 --path-template x", NULL, BENCH_PART_NODES, &o, NULL), 2);
    bench_options_deinit(&o.common);
    assert_int_equal(parse("a b", "FILE", 0, &o, NULL), 2);
    bench_options_deinit(&o.common);
    assert_int_equal(parse("--metrics ,", NULL, BENCH_PART_PROBES, &o, NULL), 2);
    bench_options_deinit(&o.common);
}

static void test_help(void **state base_unused)
{
    struct options o;

    assert_int_equal(parse("--help", NULL, BENCH_PART_NODES | BENCH_PART_WARMUP, &o, NULL), 0);
    bench_options_deinit(&o.common);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes), cmocka_unit_test(test_wrong_nodes), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_paths), cmocka_unit_test(test_rows),        cmocka_unit_test(test_wrong_rows),
        cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
