/*
 * The other sources, which of two wins, secrets in files, and families.
 */
#include "fixture.h"

#include "support/alloc.h"

#include <stdio.h>
#include <unistd.h>

static void test_precedence(void **state)
{
    char heartbeat[] = "WARREN_AMQP_HEARTBEAT=30s", queue[] = "WARREN_AMQP_QUEUE=durable", other[] = "AMQP_QUEUE=bad",
         unknown[] = "WARREN_HOME=/", no_value[] = "WARREN_AMQP_URL";
    char *environment[] = {heartbeat, queue, other, unknown, no_value, NULL};
    struct buffer errors = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    /* In the wrong order on purpose: the kind of source decides. */
    assert_int_equal(config_load_assignment(c, "amqp.heartbeat=40s", &errors), 0);
    assert_int_equal(config_load_assignment(c, "amqp.heartbeat = 50s", &errors), 0);
    assert_int_equal(config_load_environment(c, environment, &errors), 0);
    assert_int_equal(config_load_text(c,
                                      SLICE_LITERAL("[amqp]\nheartbeat=20s\nqueue=exclusive\nurl=amqp://f/\n"
                                                    "[limits]\nsessions=5\n"),
                                      "f", &errors),
                     0);
    assert_int_equal(config_load_text(c, SLICE_LITERAL("[amqp]\nurl=amqp://g/\n"), "g", &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);
    assert_int_equal(values.heartbeat_ms, 50000);
    assert_int_equal(values.queue, 1);
    assert_string_equal(values.url.items[0], "amqp://g/");
    assert_int_equal(values.sessions, 5);
    assert_int_equal(values.message_bytes, 65536);
    config_free(c);
}

static void test_environment_errors(void **state)
{
    char heartbeat[] = "WARREN_AMQP_HEARTBEAT=abc", url[] = "WARREN_AMQP_URL=hunter2",
         text[] = "WARREN_NODE_ADDRESS=\xff", line[] = "WARREN_LISTEN_PUBLIC=a:1\nb",
         file[] = "WARREN_REDIS_PASSWORD_FILE=";
    char *environment[] = {heartbeat, url, text, line, file, NULL};
    struct buffer errors = {0};
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    assert_int_equal(config_load_environment(c, environment, &errors), CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors),
                        "WARREN_AMQP_HEARTBEAT: expected a duration from 1s to 60s such as 25s, got \"abc\"\n"
                        "WARREN_AMQP_URL: expected a URL such as amqp://127.0.0.1/\n"
                        "WARREN_NODE_ADDRESS: expected valid UTF-8 without control characters\n"
                        "WARREN_LISTEN_PUBLIC: expected valid UTF-8 without control characters\n"
                        "WARREN_REDIS_PASSWORD_FILE: expected the path of a file\n");
    config_free(c);
    buffer_deinit(&errors);
}

static void test_assignment_errors(void **state)
{
    static const struct {
        const char *assignment, *error;
    } rows[] = {
        {"amqp.heartbeat=abc", "--set amqp.heartbeat: expected a duration from 1s to 60s such as 25s, got \"abc\"\n"},
        {"ampq.x=1", "--set ampq.x: unknown option \"ampq.x\"; did you mean the section [amqp]?\n"},
        {"rout.chat.path=/",
         "--set rout.chat.path: unknown option \"rout.chat.path\"; did you mean the section [route.chat]?\n"},
        {"amqp.ulr=amqp://h/", "--set amqp.ulr: unknown option \"amqp.ulr\"; did you mean \"amqp.url\"?\n"},
        {"amqp.url=hunter2", "--set amqp.url: expected a URL such as amqp://127.0.0.1/\n"},
        {"amqp.url", "--set amqp.url: expected section.key=value\n"},
        {"", "--set : expected section.key=value\n"},
        {"=x", "--set : expected section.key=value\n"},
        {"heartbeat=25s", "--set heartbeat: unknown option \"heartbeat\"\n"},
        {"listen.demo=yes no", "--set listen.demo: expected yes or no, got \"yes no\"\n"},
        {"listen.demo=a\nb", "--set listen.demo: expected valid UTF-8 without control characters\n"},
        {"route.chat.pth=/",
         "--set route.chat.pth: unknown option \"route.chat.pth\"; did you mean \"route.chat.path\"?\n"},
        {"route.path=/", "--set route.path: unknown option \"route.path\"; did you mean the section [route.<name>]?\n"},
        {"route..path=/", "--set route..path: the name of a section [route.<name>] is empty\n"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct buffer errors = {0};
        struct values values;
        struct config *c = new_config(&values);

        assert_int_equal(config_load_assignment(c, rows[i].assignment, &errors), CONFIG_E_INVALID);
        assert_string_equal(text_of(&errors), rows[i].error);
        config_free(c);
        buffer_deinit(&errors);
    }
}

/** A file in /tmp with these bytes; the caller unlinks it. */
static void make_file(char path[32], struct slice content)
{
    int fd;

    memcpy(path, "/tmp/warren-unit-secret-XXXXXX", 31);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.data, content.size), content.size);
    (void)close(fd);
}

static void assert_secret(struct slice content, const char *password)
{
    struct buffer errors = {0}, text = {0};
    struct values values;
    struct config *c = new_config(&values);
    char path[32];

    make_file(path, content);
    buffer_printf(&text, "[redis]\npassword_file = %s\n", path);
    assert_int_equal(config_load_text(c, buffer_slice(&text), "w.conf", &errors), 0);
    if (password) {
        assert_int_equal(config_finish(c, &errors), 0);
        assert_string_equal(values.password, password);
    } else {
        assert_int_equal(config_finish(c, &errors), CONFIG_E_INVALID);
        assert_string_equal(text_of(&errors),
                            "w.conf:2: redis.password_file: expected a file of UTF-8 text without NUL\n");
    }
    (void)unlink(path);
    config_free(c);
    buffer_deinit(&text);
    buffer_deinit(&errors);
}

static void test_secret_files(void **state)
{
    (void)state;
    assert_secret(SLICE_LITERAL("hunter2\n"), "hunter2");
    assert_secret(SLICE_LITERAL("hunter2\r\n"), "hunter2");
    assert_secret(SLICE_LITERAL("hunter2\n\n"), "hunter2\n");
    assert_secret(SLICE_LITERAL(" hunter2 # \""), " hunter2 # \"");
    assert_secret(SLICE_LITERAL(""), "");
    assert_secret(SLICE_LITERAL("a\0b"), NULL);
    assert_secret(SLICE_LITERAL("\xc3"), NULL);
}

static void test_secret_errors(void **state)
{
    struct buffer errors = {0};
    struct values values;
    struct config *c = new_config(&values);
    char path[32], set[64];

    (void)state;
    make_file(path, SLICE_LITERAL("http://u:hunter2@h/\n"));
    assert_int_equal(config_load_text(c,
                                      SLICE_LITERAL("[redis]\npassword_file = /nonexistent/x\n[route.a]\nkey = "
                                                    "x\nkey_file = /tmp/y\n"),
                                      "w.conf", &errors),
                     0);
    (void)snprintf(set, sizeof(set), "amqp.url_file=%s", path);
    assert_int_equal(config_load_assignment(c, set, &errors), 0);
    assert_int_equal(config_finish(c, &errors), CONFIG_E_INVALID);
    assert_string_equal(text_of(&errors),
                        "--set amqp.url_file: expected a URL such as amqp://127.0.0.1/\n"
                        "w.conf:2: redis.password_file: cannot read \"/nonexistent/x\": No such file or directory\n"
                        "w.conf:4: route.a.key: expected either this or the same option with _file, got both\n");
    (void)unlink(path);
    config_free(c);
    buffer_deinit(&errors);
}

/** Of a secret and its twin in different sources the stronger source's is taken; the other file is not even opened. */
static void test_secret_precedence(void **state)
{
    char twin[64], secret[] = "WARREN_ROUTE_A_B_KEY=env";
    char *environment[] = {twin, secret, NULL};
    struct buffer errors = {0};
    const struct route_values *route;
    struct values values;
    struct config *c = new_config(&values);
    const char *name;
    char path[32];

    (void)state;
    make_file(path, SLICE_LITERAL("from-file"));
    (void)snprintf(twin, sizeof(twin), "WARREN_REDIS_PASSWORD_FILE=%s", path);
    assert_int_equal(config_load_text(c,
                                      SLICE_LITERAL("[redis]\npassword = from-text\n[route.a-b]\nkey_file = "
                                                    "/nonexistent/x\n"),
                                      "w.conf", &errors),
                     0);
    assert_int_equal(config_load_environment(c, environment, &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);
    assert_string_equal(values.password, "from-file");
    route = config_family_at(c, "route", 0, &name);
    assert_non_null(route);
    assert_string_equal(route->key, "env");
    (void)unlink(path);
    config_free(c);
    buffer_deinit(&errors);
}

static void test_families(void **state)
{
    char live[] = "WARREN_ROUTE_LIVE_ROOM_BYTES=3k", absent[] = "WARREN_ROUTE_ABSENT_PATH=/a";
    char *environment[] = {live, absent, NULL};
    struct buffer errors = {0};
    const struct route_values *route;
    const char *name = "untouched";
    struct values values;
    struct config *c = new_config(&values);

    (void)state;
    assert_int_equal(config_load_text(c,
                                      SLICE_LITERAL("[route.live room]\npath = /l/{room}\ndialect = live\n"
                                                    "[route.a.b]\n[route.\xe5\xae\xa4]\npath=/x\n"),
                                      "w.conf", &errors),
                     0);
    assert_int_equal(config_load_environment(c, environment, &errors), 0);
    assert_int_equal(config_load_assignment(c, "route.a.b.path=/ab=1", &errors), 0);
    assert_int_equal(config_load_assignment(c, "route.new.dialect=live", &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);

    route = config_family_at(c, "route", 0, &name);
    assert_string_equal(name, "live room");
    assert_string_equal(route->path, "/l/{room}");
    assert_int_equal(route->dialect, 1);
    assert_int_equal(route->bytes, 3072);
    route = config_family_at(c, "route", 1, &name);
    assert_string_equal(name, "a.b");
    assert_string_equal(route->path, "/ab=1");
    assert_int_equal(route->dialect, 0);
    route = config_family_at(c, "route", 2, &name);
    assert_string_equal(name, "\xe5\xae\xa4");
    route = config_family_at(c, "route", 3, &name);
    assert_string_equal(name, "new");
    assert_string_equal(route->path, "/ws");
    assert_int_equal(route->dialect, 1);
    assert_null(config_family_at(c, "route", 4, &name));
    assert_null(config_family_at(c, "rout", 0, &name));
    assert_string_equal(name, "new");
    config_free(c);
    buffer_deinit(&errors);
}

/** Everything at once, so that every allocation of the package can be refused. */
static int work(const char *secret_path)
{
    char queue[] = "WARREN_AMQP_QUEUE=durable", set[64];
    char *environment[] = {queue, NULL};
    struct buffer errors = {0}, out = {0};
    struct config *c = NULL;
    struct values values;
    int result = make_config(&values, &c);

    if (result != 0)
        return result;
    (void)snprintf(set, sizeof(set), "redis.password_file=%s", secret_path);
    result =
        config_load_text(c,
                         SLICE_LITERAL("[amqp]\nurl = \"amqp://a/, amqp://b/\"\n[route.a]\npath = /a\n[x]\n[route.a]\n"
                                       "[amqp]\nulr = x\nheartbeat = x\n"),
                         "w.conf", &errors);
    if (result == CONFIG_E_INVALID)
        result = config_load_environment(c, environment, &errors);
    if (result == 0)
        result = config_load_assignment(c, set, &errors);
    if (result == 0)
        result = config_load_assignment(c, "route.b.key=x", &errors);
    if (result == 0)
        result = config_finish(c, &errors);
    if (result == 0) {
        config_write_sample(c, &out);
        result = buffer_error(&out);
    }
    if (result == 0) {
        buffer_reset(&out, 0);
        config_write_json(c, &out);
        result = buffer_error(&out);
    }
    config_free(c);
    buffer_deinit(&errors);
    buffer_deinit(&out);
    return result;
}

static void test_failing_allocations(void **state)
{
    char path[32];
    size_t n;

    (void)state;
    make_file(path, SLICE_LITERAL("hunter2\n"));
    for (n = 0;; n++) {
        int result;

        alloc_fail_after(n);
        result = work(path);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
    assert_true(n > 50);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),        cmocka_unit_test(test_environment_errors),
        cmocka_unit_test(test_assignment_errors), cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_secret_errors),     cmocka_unit_test(test_secret_precedence),
        cmocka_unit_test(test_families),          cmocka_unit_test(test_failing_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
