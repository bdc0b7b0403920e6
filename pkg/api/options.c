#include "api/api_internal.h"

static const char *check_address(struct slice value)
{
    struct net_address address;

    return net_address_parse(value, &address);
}

const struct config_option api_options[] = {
    {.key = "listen.internal",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct api_config, listen),
     .default_text = "127.0.0.1:9091",
     .check = check_address,
     .help =
         "Address of the internal listener: publishing, admin, metrics, health. Whoever reaches it may do everything."},
    {.key = "listen.internal_anywhere",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct api_config, listen_anywhere),
     .default_text = "off",
     .help = "Allows listen.internal on an address that is neither loopback nor private."},
    {.key = "api.body_bytes",
     .type = CONFIG_BYTES,
     .offset = offsetof(struct api_config, body_bytes),
     .default_text = "1m",
     .min = 1024,
     .max = 64 << 20,
     .help = "Bytes of a request's body; beyond: 413."},
    {.key = "api.connections",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct api_config, connections),
     .default_text = "1000",
     .min = 1,
     .max = 1000000,
     .help = "Connections to the internal listener at once; further ones are closed."},
    {.key = "api.timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct api_config, timeout_ms),
     .default_text = "30s",
     .min = 1000,
     .max = 3600000,
     .help = "How long a connection may be idle, a request may take to arrive, and its answer to be found."},
};
const size_t api_option_count = BASE_ARRAY_SIZE(api_options);
