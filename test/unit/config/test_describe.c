/*
 * What is told: the sample file reads back to what it describes, JSON has every option, and no secret gets out.
 */
#include "fixture.h"

#include "config/config_internal.h"

#include <jansson.h>

static struct config *load(struct values *values, struct slice text)
{
    struct buffer errors = {0};
    struct config *c = new_config(values);

    assert_int_equal(config_load_text(c, text, "w.conf", &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);
    buffer_deinit(&errors);
    return c;
}

static void assert_values_equal(const struct values *a, const struct values *b)
{
    assert_int_equal(a->url.count, b->url.count);
    for (size_t i = 0; i < a->url.count; i++)
        assert_string_equal(a->url.items[i], b->url.items[i]);
    assert_true(a->heartbeat_ms == b->heartbeat_ms && a->queue == b->queue && a->demo == b->demo);
    assert_string_equal(a->password, b->password);
    assert_string_equal(a->address, b->address);
    assert_string_equal(a->listen, b->listen);
    assert_true(a->message_bytes == b->message_bytes && a->sessions == b->sessions);
    assert_true(a->shift == b->shift && a->age_ms == b->age_ms);
}

/** The lines of @text that set something. */
static size_t count_set_lines(struct slice text)
{
    struct slice line;
    size_t count = 0;

    while (slice_split(&text, '\n', &line))
        count += line.size > 0 && line.data[0] != '#' && line.data[0] != '[';
    return count;
}

static void assert_columns(struct slice text, size_t columns)
{
    struct slice line;

    while (slice_split(&text, '\n', &line))
        assert_true(line.size <= columns);
}

/** Every line of the sample that is commented out but could be used, made usable. */
static void uncomment(struct slice text, struct buffer *out)
{
    struct slice line;

    while (slice_split(&text, '\n', &line)) {
        const char *equals = memmem(line.data, line.size, " = ", 3);
        bool is_option = line.size > 2 && line.data[0] == '#' && equals &&
                         !memchr(line.data + 2, ' ', (size_t)(equals - line.data) - 2);
        bool is_section = slice_starts_with(line, SLICE_LITERAL("# ["));

        buffer_append_slice(out, is_option || is_section ? slice_skip(line, 2) : line);
        buffer_append_char(out, '\n');
    }
}

static void test_sample_of_defaults(void **state)
{
    struct buffer sample = {0}, bare = {0};
    struct values values, again;
    struct config *c = load(&values, SLICE_LITERAL("")), *d;
    const struct route_values *route;
    const char *name;

    (void)state;
    config_write_sample(c, &sample);
    assert_int_equal(buffer_error(&sample), 0);
    assert_int_equal(count_set_lines(buffer_slice(&sample)), 0);
    assert_columns(buffer_slice(&sample), 100);
    assert_non_null(strstr(sample.data, "[amqp]\n\n# The brokers, tried in turn;"));
    assert_non_null(strstr(sample.data, "# Heartbeat.\n"
                                        "# Expects a duration from 1s to 60s such as 25s; default: 10s.\n"
                                        "# heartbeat = 10s\n\n"));
    assert_non_null(strstr(sample.data, "# Serve the demo.\n"
                                        "# Expects yes or no; default: no. Taken over at a reload.\n"
                                        "# demo = no\n"));
    assert_non_null(strstr(sample.data, "# The password.\n"
                                        "# Expects a text; default: none. A secret: password_file names a file that "
                                        "holds it.\n# password = \n"));
    assert_non_null(strstr(sample.data, "# [route.example]\n"));

    /* As it is, and with every line in force, it means the defaults. */
    d = load(&again, buffer_slice(&sample));
    assert_values_equal(&again, &values);
    assert_null(config_family_at(d, "route", 0, &name));
    config_free(d);
    uncomment(buffer_slice(&sample), &bare);
    assert_int_equal(count_set_lines(buffer_slice(&bare)),
                     BASE_ARRAY_SIZE(amqp_rows) + BASE_ARRAY_SIZE(other_rows) + BASE_ARRAY_SIZE(route_rows));
    d = load(&again, buffer_slice(&bare));
    assert_values_equal(&again, &values);
    route = config_family_at(d, "route", 0, &name);
    assert_string_equal(name, "example");
    assert_string_equal(route->path, "/ws");
    config_free(d);
    config_free(c);
    buffer_deinit(&sample);
    buffer_deinit(&bare);
}

static const char set_text[] = "[listen]\npublic = \" a:b # \\\\ \\\" ; \"\ndemo = 1\n"
                               "[limits]\nage = 90000ms\nmessage_bytes = 2048\n"
                               "[redis]\npassword = hunter2\n"
                               "[amqp]\nurl = amqp://u:hun/t@er2@a:5672/, amqp://b/\nheartbeat = 60000ms\n"
                               "[route.x y]\npath = /x\nkey = hunter2\n";

static void test_sample_of_values(void **state)
{
    struct buffer sample = {0};
    struct values values, again;
    struct config *c = load(&values, slice_from(set_text)), *d;
    const struct route_values *route;
    const char *name;

    (void)state;
    config_write_sample(c, &sample);
    assert_int_equal(buffer_error(&sample), 0);
    assert_null(strstr(sample.data, "hun"));
    assert_null(strstr(sample.data, "er2"));
    assert_non_null(strstr(sample.data, "\nheartbeat = 60s\n"));
    assert_non_null(strstr(sample.data, "\nage = 90s\n"));
    assert_non_null(strstr(sample.data, "\nmessage_bytes = 2k\n"));
    assert_non_null(strstr(sample.data, "\n# url = amqp://u:***@a:5672/, amqp://b/\n"));
    assert_non_null(strstr(sample.data, "\n# password = ***\n"));
    assert_non_null(strstr(sample.data, "\n[route.x y]\n\n# The path.\n"));
    d = load(&again, buffer_slice(&sample));
    assert_string_equal(again.listen, " a:b # \\ \" ; ");
    assert_string_equal(again.listen, values.listen);
    assert_int_equal(again.heartbeat_ms, 60000);
    assert_string_equal(again.password, "");
    route = config_family_at(d, "route", 0, &name);
    assert_string_equal(name, "x y");
    assert_string_equal(route->path, "/x");
    config_free(d);
    config_free(c);
    buffer_deinit(&sample);
}

static json_t *find(json_t *root, const char *key)
{
    json_t *options = json_object_get(root, "options"), *option;
    size_t i;

    json_array_foreach(options, i, option)
    {
        if (strcmp(json_string_value(json_object_get(option, "key")), key) == 0)
            return option;
    }
    fail_msg("no option %s", key);
    return NULL;
}

static void assert_option(json_t *root, const char *key, const char *expected)
{
    char *text = json_dumps(find(root, key), JSON_COMPACT);

    assert_string_equal(text, expected);
    free(text);
}

static void test_json(void **state)
{
    struct buffer out = {0};
    struct values values;
    struct config *c = load(&values, slice_from(set_text));
    json_t *root;

    (void)state;
    config_write_json(c, &out);
    assert_int_equal(buffer_error(&out), 0);
    assert_null(strstr(out.data, "hun"));
    assert_null(strstr(out.data, "er2"));
    root = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "options")),
                     BASE_ARRAY_SIZE(amqp_rows) + BASE_ARRAY_SIZE(other_rows) + BASE_ARRAY_SIZE(route_rows));
    assert_option(root, "amqp.heartbeat",
                  "{\"key\":\"amqp.heartbeat\",\"value\":\"60s\",\"source\":\"w.conf:11\",\"default\":\"10s\","
                  "\"reloadable\":false,\"help\":\"Heartbeat.\"}");
    assert_option(root, "listen.demo",
                  "{\"key\":\"listen.demo\",\"value\":true,\"source\":\"w.conf:3\",\"default\":false,"
                  "\"reloadable\":true,\"help\":\"Serve the demo.\"}");
    assert_option(root, "limits.sessions",
                  "{\"key\":\"limits.sessions\",\"value\":1000,\"source\":\"default\",\"default\":1000,"
                  "\"reloadable\":false,\"help\":\"Sessions.\"}");
    assert_option(root, "redis.password",
                  "{\"key\":\"redis.password\",\"value\":\"***\",\"source\":\"w.conf:8\",\"default\":\"\","
                  "\"reloadable\":false,\"help\":\"The password.\"}");
    assert_option(root, "route.x y.key",
                  "{\"key\":\"route.x y.key\",\"value\":\"***\",\"source\":\"w.conf:14\",\"default\":\"\","
                  "\"reloadable\":false,\"help\":\"A key.\"}");
    assert_string_equal(json_string_value(json_array_get(json_object_get(find(root, "amqp.url"), "value"), 0)),
                        "amqp://u:***@a:5672/");
    assert_string_equal(json_string_value(json_array_get(json_object_get(find(root, "amqp.url"), "value"), 1)),
                        "amqp://b/");
    json_decref(root);
    config_free(c);
    buffer_deinit(&out);
}

static void test_numbers(void **state)
{
    static const struct {
        enum config_type type;
        const char *text;
        int64_t value;
        const char *shown;
    } rows[] = {
        {CONFIG_DURATION, "0", 0, "0s"},
        {CONFIG_DURATION, "0d", 0, "0s"},
        {CONFIG_DURATION, "1ms", 1, "1ms"},
        {CONFIG_DURATION, "1000ms", 1000, "1s"},
        {CONFIG_DURATION, "1500ms", 1500, "1500ms"},
        {CONFIG_DURATION, "1m", 60000, "60s"},
        {CONFIG_DURATION, "90s", 90000, "90s"},
        {CONFIG_DURATION, "2m", 120000, "2m"},
        {CONFIG_DURATION, "1h", 3600000, "60m"},
        {CONFIG_DURATION, "24h", 86400000, "24h"},
        {CONFIG_DURATION, "2d", 172800000, "2d"},
        {CONFIG_DURATION, "9223372036854775807ms", INT64_MAX, "9223372036854775807ms"},
        {CONFIG_BYTES, "0", 0, "0"},
        {CONFIG_BYTES, "1023", 1023, "1023"},
        {CONFIG_BYTES, "1024", 1024, "1k"},
        {CONFIG_BYTES, "65536", 65536, "64k"},
        {CONFIG_BYTES, "1g", 1 << 30, "1g"},
        {CONFIG_BYTES, "1536k", 1536 << 10, "1536k"},
        {CONFIG_INTEGER, "-9223372036854775807", -INT64_MAX, "-9223372036854775807"},
    };
    static const struct {
        enum config_type type;
        const char *text;
    } none[] = {
        {CONFIG_INTEGER, ""},      {CONFIG_INTEGER, "-"},    {CONFIG_INTEGER, "+1"},
        {CONFIG_INTEGER, "01"},    {CONFIG_INTEGER, "1k"},   {CONFIG_INTEGER, "1 "},
        {CONFIG_INTEGER, "--1"},   {CONFIG_BYTES, "-1"},     {CONFIG_BYTES, "8589934592g"},
        {CONFIG_BYTES, "1kb"},     {CONFIG_DURATION, "1"},   {CONFIG_DURATION, "106751991168d"},
        {CONFIG_DURATION, "s"},    {CONFIG_DURATION, "1 s"}, {CONFIG_DURATION, "0x1s"},
        {CONFIG_DURATION, "1s1s"},
    };
    int64_t value;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct buffer shown = {0};

        assert_true(config_value_parse_number(rows[i].type, slice_from(rows[i].text), &value));
        assert_true(value == rows[i].value);
        config_value_write_number(rows[i].type, value, &shown);
        assert_string_equal(text_of(&shown), rows[i].shown);
        assert_true(config_value_parse_number(rows[i].type, buffer_slice(&shown), &value));
        assert_true(value == rows[i].value);
        buffer_deinit(&shown);
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(none); i++)
        assert_false(config_value_parse_number(none[i].type, slice_from(none[i].text), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_of_defaults),
        cmocka_unit_test(test_sample_of_values),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
