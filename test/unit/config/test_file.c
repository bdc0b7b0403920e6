/*
 * Files: what is taken, and for what is not the exact words.
 */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

struct bad_file {
    const char *text;
    const char *errors;
};

/* clang-format off */
static const struct bad_file bad_files[] = {
    /* names */
    {"[amqp]\nulr = amqp://h/\n", "w.conf:2: unknown option \"amqp.ulr\"; did you mean \"amqp.url\"?\n"},
    {"[amqp]\n\n\nheartbaet=1s", "w.conf:4: unknown option \"amqp.heartbaet\"; did you mean \"amqp.heartbeat\"?\n"},
    {"[redis]\npasswd_file = x\n", "w.conf:2: unknown option \"redis.passwd_file\"; did you mean \"redis.password_file\"?\n"},
    {"[amqp]\nzzzzzzzzzzzz = 1\n", "w.conf:2: unknown option \"amqp.zzzzzzzzzzzz\"\n"},
    {"[amqp]\nheartbeat_file = x\n", "w.conf:2: unknown option \"amqp.heartbeat_file\"\n"},
    {"[ampq]\nurl = x\nother = y\n[amqp]\nqueue = x\n",
     "w.conf:1: unknown section [ampq]; did you mean [amqp]?\n"
     "w.conf:5: amqp.queue: expected one of exclusive, durable, got \"x\"\n"},
    {"[rout.chat]\npath = /\n", "w.conf:1: unknown section [rout.chat]; did you mean [route.chat]?\n"},
    {"[route]\npath = /\n", "w.conf:1: unknown section [route]; did you mean [route.<name>]?\n"},
    {"[something]\n", "w.conf:1: unknown section [something]\n"},
    {"[]\n", "w.conf:1: unknown section []\n"},
    {"[route.chat]\npth = /\n", "w.conf:2: unknown option \"route.chat.pth\"; did you mean \"route.chat.path\"?\n"},
    {"[route.]\n", "w.conf:1: the name of a section [route.<name>] is empty\n"},
    {"[route.a]\n[route.b]\n[route.a]\npath = /\n", "w.conf:3: section [route.a] is given twice; first in line 1\n"},
    /* twice */
    {"[amqp]\nqueue = durable\nqueue = durable\n", "w.conf:3: amqp.queue: is given twice; first in line 2\n"},
    {"[amqp]\nqueue = durable\n[listen]\n[amqp]\nqueue = durable\n", "w.conf:5: amqp.queue: is given twice; first in line 2\n"},
    /* values */
    {"[amqp]\n# x\nheartbeat = abc\n", "w.conf:3: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"abc\"\n"},
    {"[amqp]\nheartbeat = 61s\n", "w.conf:2: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"61s\"\n"},
    {"[amqp]\nheartbeat = 25\n", "w.conf:2: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"25\"\n"},
    {"[amqp]\nheartbeat = 0\n", "w.conf:2: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"0\"\n"},
    {"[amqp]\nheartbeat =\n", "w.conf:2: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"\"\n"},
    {"[amqp]\nheartbeat = 106751991167300646d\n",
     "w.conf:2: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"106751991167300646d\"\n"},
    {"[limits]\nage = 1y\n", "w.conf:2: limits.age: expected a duration such as 25s, got \"1y\"\n"},
    {"[limits]\nage = -1s\n", "w.conf:2: limits.age: expected a duration such as 25s, got \"-1s\"\n"},
    {"[limits]\nage = 99999999999999999999d\n", "w.conf:2: limits.age: expected a duration such as 25s, got \"99999999999999999999d\"\n"},
    {"[limits]\nage = 1000000000000000d\n", "w.conf:2: limits.age: expected a duration such as 25s, got \"1000000000000000d\"\n"},
    {"[limits]\nmessage_bytes = 17m\n", "w.conf:2: limits.message_bytes: expected a size from 1 to 16m such as 64k, got \"17m\"\n"},
    {"[limits]\nmessage_bytes = 1t\n", "w.conf:2: limits.message_bytes: expected a size from 1 to 16m such as 64k, got \"1t\"\n"},
    {"[limits]\nmessage_bytes = k\n", "w.conf:2: limits.message_bytes: expected a size from 1 to 16m such as 64k, got \"k\"\n"},
    {"[limits]\nmessage_bytes = 9007199254740993k\n",
     "w.conf:2: limits.message_bytes: expected a size from 1 to 16m such as 64k, got \"9007199254740993k\"\n"},
    {"[limits]\nsessions = 0\n", "w.conf:2: limits.sessions: expected a whole number of at least 1, got \"0\"\n"},
    {"[limits]\nsessions = 1.5\n", "w.conf:2: limits.sessions: expected a whole number of at least 1, got \"1.5\"\n"},
    {"[limits]\nsessions = 9223372036854775808\n",
     "w.conf:2: limits.sessions: expected a whole number of at least 1, got \"9223372036854775808\"\n"},
    {"[limits]\nshift = -11\n", "w.conf:2: limits.shift: expected a whole number from -10 to 10, got \"-11\"\n"},
    {"[listen]\ndemo = maybe\n", "w.conf:2: listen.demo: expected yes or no, got \"maybe\"\n"},
    {"[listen]\npublic = 8091\n", "w.conf:2: listen.public: expected ip:port, got \"8091\"\n"},
    {"[listen]\npublic =\n", "w.conf:2: listen.public: expected ip:port, got \"\"\n"},
    {"[node]\naddress = 10.0.0.5\n", "w.conf:2: node.address: expected ip:port, got \"10.0.0.5\"\n"},
    {"[route.a]\ndialect = stomp\n", "w.conf:2: route.a.dialect: expected one of json, live, got \"stomp\"\n"},
    /* a secret is not repeated */
    {"[amqp]\nurl = amqp://h/, http://u:hunter2@h/\n", "w.conf:2: amqp.url: expected a URL such as amqp://127.0.0.1/\n"},
    {"[amqp]\nurl =\n", "w.conf:2: amqp.url: expected a URL such as amqp://127.0.0.1/\n"},
    {"[amqp]\nurl = amqp://h/,,amqp://g/\n",
     "w.conf:2: amqp.url: expected a list separated by commas without an empty item\n"},
    {"[redis]\npassword_file =\n", "w.conf:2: redis.password_file: expected the path of a file\n"},
    /* syntax */
    {"queue = x\nmore = y\n[amqp]\n", "w.conf:1: expected a [section] before the first option\n"},
    {"[amqp\n", "w.conf:1: expected a section as [name]\n"},
    {"[amqp] queue = durable\n", "w.conf:1: expected a section as [name]\n"},
    {"[amqp]\nqueue\n", "w.conf:2: expected key = value, [section] or a comment\n"},
    {"[amqp]\n= durable\n", "w.conf:2: expected key = value, [section] or a comment\n"},
    {"[amqp]\nqueue # = durable\n", "w.conf:2: expected key = value, [section] or a comment\n"},
    {"[amqp]\nqueue = \"durable\n", "w.conf:2: expected a closing quote\n"},
    {"[amqp]\nqueue = \"durable\\\"\n", "w.conf:2: expected a closing quote\n"},
    {"[amqp]\nqueue = \"dur\\able\"\n", "w.conf:2: expected \\\" or \\\\ behind a backslash in quotes\n"},
    {"[amqp]\nqueue = \"durable\\", "w.conf:2: expected \\\" or \\\\ behind a backslash in quotes\n"},
    {"[amqp]\nqueue = \"durable\" x\n", "w.conf:2: expected nothing behind the closing quote\n"},
    {"[amqp]\nqueue = \"durable\"# x\n", "w.conf:2: expected nothing behind the closing quote\n"},
    {"[amqp]\nqueue = dur\xff\n", "w.conf:2: the line is not valid UTF-8 without control characters\n"},
    {"[amqp]\nqueue = dur\x1b\n", "w.conf:2: the line is not valid UTF-8 without control characters\n"},
    {"# \xc3\n\xa9\n",
     "w.conf:1: the line is not valid UTF-8 without control characters\n"
     "w.conf:2: the line is not valid UTF-8 without control characters\n"},
    /* all of them, in order */
    {"[amqp]\nulr = x\nheartbeat = 1\n[lsten]\nx = 1\n[listen]\ndemo = 2\nfoo\n",
     "w.conf:2: unknown option \"amqp.ulr\"; did you mean \"amqp.url\"?\n"
     "w.conf:3: amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"1\"\n"
     "w.conf:4: unknown section [lsten]; did you mean [listen]?\n"
     "w.conf:7: listen.demo: expected yes or no, got \"2\"\n"
     "w.conf:8: expected key = value, [section] or a comment\n"},
};
/* clang-format on */

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(bad_files); i++) {
        struct buffer errors = {0};
        struct values values;
        struct config *c = new_config(&values);

        assert_int_equal(config_load_text(c, slice_from(bad_files[i].text), "w.conf", &errors), CONFIG_E_INVALID);
        assert_string_equal(text_of(&errors), bad_files[i].errors);
        config_free(c);
        buffer_deinit(&errors);
    }
}

static void test_nul(void **state)
{
    struct buffer errors = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    assert_int_equal(config_load_text(c, SLICE_LITERAL("[amqp]\nqueue = durable\0\n"), "w.conf", &errors),
                     CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors), "w.conf:2: the line holds a NUL\n");
    config_free(c);
    buffer_deinit(&errors);
}

static void test_long_lines(void **state)
{
    struct buffer errors = {0}, text = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    buffer_append_text(&text, "[redis]\npassword = ");
    while (text.size < strlen("[redis]\n") + 65536)
        buffer_append_char(&text, 'x');
    assert_int_equal(config_load_text(c, buffer_slice(&text), "w.conf", &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);
    assert_int_equal(strlen(values.password), 65536 - strlen("password = "));
    config_free(c);

    c = new_config(&values);
    buffer_append_text(&text, "x\nuser = 1\n");
    assert_int_equal(config_load_text(c, buffer_slice(&text), "w.conf", &errors), CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors), "w.conf:2: the line is longer than 65536 bytes\n"
                                          "w.conf:3: unknown option \"redis.user\"\n");
    config_free(c);
    buffer_deinit(&text);
    buffer_deinit(&errors);
}

static void test_many_errors(void **state)
{
    struct buffer errors = {0}, text = {0};
    struct values values;
    struct config *c = new_config(&values);
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < 5000; i++)
        buffer_append_text(&text, "nonsense\n");
    assert_int_equal(config_load_text(c, buffer_slice(&text), "w.conf", &errors), CONFIG_E_INVALID);
    for (size_t i = 0; i < errors.size; i++)
        lines += errors.data[i] == '\n';
    assert_int_equal(lines, 101);
    assert_non_null(strstr(errors.data, "w.conf:100: expected key = value, [section] or a comment\n"
                                        "further errors are not told\n"));
    config_free(c);
    buffer_deinit(&text);
    buffer_deinit(&errors);
}

static void test_many_sections(void **state)
{
    struct buffer errors = {0}, text = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    for (int i = 0; i < 1001; i++)
        buffer_printf(&text, "[route.r%d]\n", i);
    assert_int_equal(config_load_text(c, buffer_slice(&text), "w.conf", &errors), CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors), "w.conf:1001: more than 1000 sections [route.<name>]\n");
    config_free(c);
    buffer_deinit(&text);
    buffer_deinit(&errors);
}

/** Everything the syntax offers, in one file. */
static void test_good_file(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a comment\r\n"
                               " ; another\n"
                               "\n"
                               "[amqp]   # of the broker\r\n"
                               "url = amqp://a/ ,amqp://u:p#w;x@b/%2f\t# tried in turn\n"
                               "\theartbeat=25S ;x\n"
                               "[ listen ]\n"
                               "public = \"[::1]:80\" # c\n"
                               "demo = ON\n"
                               "[redis]\n"
                               "password = \" \\\"#;\\\\ \"\n"
                               "[amqp]\n"
                               "queue = durable\n"
                               "[limits]\n"
                               "age = 0\n"
                               "message_bytes = 1M\n"
                               "sessions = 9223372036854775807\n"
                               "shift = -10\n"
                               "[node]\n"
                               "address = # none";
    struct buffer errors = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    assert_int_equal(config_load_text(c, SLICE_LITERAL(""), "empty.conf", &errors), 0);
    assert_int_equal(config_load_text(c, slice_make(text, sizeof(text) - 1), "w.conf", &errors), 0);
    assert_null(values.listen); /* nothing is touched before the end */
    assert_int_equal(config_finish(c, &errors), 0);
    assert_int_equal(errors.size, 0);
    assert_int_equal(values.url.count, 2);
    assert_string_equal(values.url.items[0], "amqp://a/");
    assert_string_equal(values.url.items[1], "amqp://u:p#w;x@b/%2f");
    assert_int_equal(values.heartbeat_ms, 25000);
    assert_string_equal(values.listen, "[::1]:80");
    assert_true(values.demo);
    assert_string_equal(values.password, " \"#;\\ ");
    assert_int_equal(values.queue, 1);
    assert_int_equal(values.age_ms, 0);
    assert_int_equal(values.message_bytes, 1 << 20);
    assert_true(values.sessions == INT64_MAX);
    assert_int_equal(values.shift, -10);
    assert_string_equal(values.address, "");
    config_free(c);
    assert_null(values.listen);
    assert_null(values.url.items);
}

static void test_defaults(void **state)
{
    struct buffer errors = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    assert_int_equal(config_finish(c, &errors), 0);
    assert_int_equal(values.url.count, 1);
    assert_string_equal(values.url.items[0], "amqp://127.0.0.1/");
    assert_int_equal(values.heartbeat_ms, 10000);
    assert_int_equal(values.queue, 0);
    assert_string_equal(values.password, "");
    assert_string_equal(values.listen, "0.0.0.0:8091");
    assert_false(values.demo);
    assert_int_equal(values.message_bytes, 65536);
    assert_int_equal(values.sessions, 1000);
    assert_int_equal(values.age_ms, 86400000);
    config_free(c);
}

/** A default is held to its own rules. */
static void test_bad_default(void **state)
{
    static const struct config_option rows[] = {
        {.key = "a.b", .type = CONFIG_DURATION, .default_text = "2m", .min = 1, .max = 60000}};
    struct buffer errors = {0};
    struct config *c;
    int64_t value = 7;

    (void)state;
    assert_int_equal(config_new(&c), 0);
    assert_int_equal(config_add_table(c, rows, 1, &value), 0);
    assert_int_equal(config_finish(c, &errors), CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors),
                        "default of a.b: expected a duration from 1ms to 60s such as 25s, got \"2m\"\n");
    assert_int_equal(value, 7);
    config_free(c);
    buffer_deinit(&errors);
}

static void test_read_file(void **state)
{
    char path[] = "/tmp/warren-unit-config-XXXXXX";
    int fd = mkstemp(path);
    struct buffer errors = {0}, expected = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[listen]\ndemo=1\n", 16), 16);
    assert_int_equal(config_load_file(c, path, &errors), 0);
    assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
    assert_int_equal(config_load_file(c, path, &errors), CONFIG_E_INVALID);
    buffer_printf(&expected, "%s: is longer than 1048576 bytes\n", path);
    assert_string_equal(text_of(&errors), text_of(&expected));
    (void)close(fd);
    (void)unlink(path);

    buffer_reset(&errors, 0);
    buffer_reset(&expected, 0);
    assert_int_equal(config_load_file(c, path, &errors), CONFIG_E_INVALID);
    buffer_printf(&expected, "%s: cannot be read: No such file or directory\n", path);
    assert_string_equal(text_of(&errors), text_of(&expected));
    buffer_reset(&errors, 0);
    assert_int_equal(config_load_file(c, "/", &errors), CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors), "/: cannot be read: Is a directory\n");
    assert_int_equal(config_finish(c, &errors), 0);
    assert_true(values.demo);
    config_free(c);
    buffer_deinit(&errors);
    buffer_deinit(&expected);
}

/* A program that needs a part of the options: what others have to say is passed over, its own is as strict as ever. */
static void test_other_sections(void **state)
{
    struct buffer errors = {0};
    struct values values = {0};
    struct config *c;

    (void)state;
    assert_int_equal(config_new(&c), 0);
    assert_int_equal(config_add_table(c, amqp_rows, BASE_ARRAY_SIZE(amqp_rows), &values), 0);
    config_pass_over_other_sections(c);
    assert_int_equal(config_load_text(c,
                                      SLICE_LITERAL("[listen]\nanything = at all\n[amqp]\nheartbeat = 2s\n"
                                                    "[route.chat]\nheartbeat = 3\n[amqp]\nqueue = durable\n"),
                                      "w.conf", &errors),
                     0);
    assert_int_equal(
        config_load_text(c, SLICE_LITERAL("[amqp]\nheartbaet = 2s\n[x]\nno value\n[y\n"), "w.conf", &errors),
        CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors),
                        "w.conf:2: unknown option \"amqp.heartbaet\"; did you mean \"amqp.heartbeat\"?\n"
                        "w.conf:4: expected key = value, [section] or a comment\n"
                        "w.conf:5: expected a section as [name]\n");
    assert_int_equal(config_finish(c, &errors), 0);
    assert_int_equal(values.heartbeat_ms, 2000);
    assert_int_equal(values.queue, 1);
    config_free(c);
    buffer_deinit(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),      cmocka_unit_test(test_nul),           cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_many_errors),    cmocka_unit_test(test_many_sections), cmocka_unit_test(test_good_file),
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_bad_default),   cmocka_unit_test(test_read_file),
        cmocka_unit_test(test_other_sections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
