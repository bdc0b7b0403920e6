/*
 * The options of the Redis backend.
 */
#include "store/redis/redis_store.h"
#include "store/redis/url.h"

static const char *check_url(struct slice value)
{
    struct redis_url url;

    return redis_url_parse(value, &url);
}

const struct config_option redis_options[] = {
    {.key = "redis.url",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct redis_config, url),
     .default_text = "redis://127.0.0.1:6379/0",
     .check = check_url,
     .secrecy = CONFIG_SECRET_URL,
     .help = "The Redis primary: redis://[user:password@]host:port[/database] or unix:///path[?db=number]."},
    {.key = "redis.prefix",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct redis_config, prefix),
     .default_text = "warren:",
     .help = "What every key begins with; all nodes of a cluster have the same."},
    {.key = "redis.timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct redis_config, timeout_ms),
     .default_text = "1s",
     .min = 10,
     .max = 60000,
     .help = "How long an answer, or a connection, may take before the connection is given up."},
    {.key = "redis.max_pending",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct redis_config, max_pending),
     .default_text = "100000",
     .min = 1,
     .max = 10000000,
     .help = "Requests that may wait for an answer; further ones are refused."},
};
const size_t redis_option_count = BASE_ARRAY_SIZE(redis_options);
