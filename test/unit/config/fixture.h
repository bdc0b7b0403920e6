#ifndef UNIT_CONFIG_FIXTURE_H
#define UNIT_CONFIG_FIXTURE_H

/* A configuration with an option of every type and secrecy, and a family; shared by the tests of this folder. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct values {
    struct config_list url;
    int64_t heartbeat_ms;
    int queue;
    char *password;
    char *address;
    char *listen;
    bool demo;
    int64_t message_bytes;
    int64_t sessions;
    int64_t shift;
    int64_t age_ms;
};

struct route_values {
    char *path;
    int dialect;
    char *key;
    int64_t bytes;
};

static const char *check_url(struct slice value)
{
    return slice_starts_with(value, SLICE_LITERAL("amqp://")) ? NULL : "expected a URL such as amqp://127.0.0.1/";
}

static const char *check_address(struct slice value)
{
    return memchr(value.data, ':', value.size) ? NULL : "expected ip:port";
}

static const char *const queue_choices[] = {"exclusive", "durable", NULL};
static const char *const dialect_choices[] = {"json", "live", NULL};

#define ROW(k, t, member, d) .key = (k), .type = (t), .offset = offsetof(struct values, member), .default_text = (d)

static const struct config_option amqp_rows[] = {
    {ROW("amqp.url", CONFIG_LIST, url, "amqp://127.0.0.1/"), .check = check_url, .secrecy = CONFIG_SECRET_URL,
     .help = "The brokers, tried in turn; each with user name and password, with the virtual host as path, and nothing "
             "else."},
    {ROW("amqp.heartbeat", CONFIG_DURATION, heartbeat_ms, "10s"), .min = 1000, .max = 60000, .help = "Heartbeat."},
    {ROW("amqp.queue", CONFIG_CHOICE, queue, "exclusive"), .choices = queue_choices, .help = "Kind of queue."},
};

static const struct config_option other_rows[] = {
    {ROW("redis.password", CONFIG_TEXT, password, ""), .secrecy = CONFIG_SECRET, .help = "The password."},
    {ROW("node.address", CONFIG_TEXT, address, ""), .check = check_address, .help = "The address."},
    {ROW("listen.public", CONFIG_TEXT, listen, "0.0.0.0:8091"), .check = check_address, .help = "The listener."},
    {ROW("listen.demo", CONFIG_BOOL, demo, "no"), .reloadable = true, .help = "Serve the demo."},
    {ROW("limits.message_bytes", CONFIG_BYTES, message_bytes, "64k"), .min = 1, .max = 16 << 20, .help = "Message."},
    {ROW("limits.sessions", CONFIG_INTEGER, sessions, "1000"), .min = 1, .help = "Sessions."},
    {ROW("limits.shift", CONFIG_INTEGER, shift, "0"), .min = -10, .max = 10, .help = "Shift."},
    {ROW("limits.age", CONFIG_DURATION, age_ms, "24h"), .help = "Age."},
};

#define ROUTE_ROW(k, t, member, d)                                                                                     \
    .key = (k), .type = (t), .offset = offsetof(struct route_values, member), .default_text = (d)

static const struct config_option route_rows[] = {
    {ROUTE_ROW("path", CONFIG_TEXT, path, "/ws"), .help = "The path."},
    {ROUTE_ROW("dialect", CONFIG_CHOICE, dialect, "json"), .choices = dialect_choices, .help = "The dialect."},
    {ROUTE_ROW("key", CONFIG_TEXT, key, ""), .secrecy = CONFIG_SECRET, .help = "A key."},
    {ROUTE_ROW("bytes", CONFIG_BYTES, bytes, "0"), .help = "Bytes."},
};

/** 0 or -ENOMEM; on failure nothing is left behind. */
static inline int make_config(struct values *values, struct config **ret_config)
{
    struct config *c;
    int result = config_new(&c);

    if (result != 0)
        return result;
    *values = (struct values){0};
    result = config_add_table(c, amqp_rows, BASE_ARRAY_SIZE(amqp_rows), values);
    if (result == 0)
        result = config_add_table(c, other_rows, BASE_ARRAY_SIZE(other_rows), values);
    if (result == 0)
        result = config_add_family(c, "route", route_rows, BASE_ARRAY_SIZE(route_rows), sizeof(struct route_values));
    if (result != 0)
        c = config_free(c);
    else
        *ret_config = c;
    return result;
}

static inline struct config *new_config(struct values *values)
{
    struct config *c = NULL;

    assert_int_equal(make_config(values, &c), 0);
    return c;
}

static inline const char *text_of(struct buffer *b)
{
    assert_int_equal(buffer_error(b), 0);
    return b->data ? b->data : "";
}

#endif
