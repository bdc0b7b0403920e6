/*
 * Any bytes as a configuration file. Held to: nothing but 0 or CONFIG_E_INVALID, errors exactly in the second case and
 * in whole lines, what was accepted can be described, and the description reads back without an error to the same
 * description.
 */
#include "config/config.h"

struct values {
    struct config_list url;
    int64_t heartbeat_ms;
    int64_t bytes;
    int64_t count;
    int queue;
    bool demo;
    char *text;
};

struct route_values {
    char *path;
    int dialect;
};

static const char *check_path(struct slice value)
{
    return slice_starts_with(value, SLICE_LITERAL("/")) ? NULL : "expected a path that begins with /";
}

static const char *const queues[] = {"exclusive", "durable", NULL};
static const char *const dialects[] = {"json", "live", NULL};

/* No secrets: their lines in a sample are masked, so they would not read back. */
static const struct config_option rows[] = {
    {.key = "amqp.url", .type = CONFIG_LIST, .offset = offsetof(struct values, url), .default_text = "a, b"},
    {.key = "amqp.heartbeat",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct values, heartbeat_ms),
     .default_text = "10s",
     .min = 1000,
     .max = 60000},
    {.key = "amqp.queue",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct values, queue),
     .default_text = "exclusive",
     .choices = queues},
    {.key = "limits.bytes", .type = CONFIG_BYTES, .offset = offsetof(struct values, bytes), .default_text = "64k"},
    {.key = "limits.count",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct values, count),
     .default_text = "-1",
     .min = -5,
     .max = INT64_MAX},
    {.key = "listen.demo", .type = CONFIG_BOOL, .offset = offsetof(struct values, demo), .default_text = "no"},
    {.key = "listen.text", .type = CONFIG_TEXT, .offset = offsetof(struct values, text), .default_text = ""},
};

static const struct config_option route_rows[] = {
    {.key = "path",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct route_values, path),
     .default_text = "/ws",
     .check = check_path},
    {.key = "dialect",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct route_values, dialect),
     .default_text = "json",
     .choices = dialects},
};

/** A failed check must end the run, also where assert() is off. */
static void require(bool condition)
{
    if (!condition)
        abort();
}

/** Loads and finishes @text; its sample, and whether it was accepted. */
static bool describe(struct slice text, struct buffer *sample)
{
    struct buffer errors = {0}, json = {0};
    struct values values = {0};
    struct config *c;
    int loaded, finished;

    require(config_new(&c) == 0);
    require(config_add_table(c, rows, BASE_ARRAY_SIZE(rows), &values) == 0);
    require(config_add_family(c, "route", route_rows, BASE_ARRAY_SIZE(route_rows), sizeof(struct route_values)) == 0);
    loaded = config_load_text(c, text, "f", &errors);
    require(loaded == 0 || loaded == CONFIG_E_INVALID);
    require((loaded == CONFIG_E_INVALID) == (errors.size > 0));
    require(errors.size == 0 || errors.data[errors.size - 1] == '\n');
    finished = config_finish(c, &errors);
    require(finished == 0); /* what was refused was not taken */
    require(values.text && (values.url.count > 0) == (values.url.items != NULL));
    config_write_sample(c, sample);
    config_write_json(c, &json);
    require(buffer_error(sample) == 0 && buffer_error(&json) == 0);
    config_free(c);
    buffer_deinit(&errors);
    buffer_deinit(&json);
    return loaded == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer first = {0}, second = {0};

    (void)describe(slice_make(data, size), &first);
    require(describe(buffer_slice(&first), &second));
    require(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_deinit(&first);
    buffer_deinit(&second);
    return 0;
}
