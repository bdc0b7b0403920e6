#include "bus/rabbitmq/rabbitmq_internal.h"

#include <stdio.h>

const char *rabbitmq_probe(const struct rabbitmq_config *config, const char *url, int timeout_ms, char storage[256])
{
    struct rabbitmq_connect how = {
        .url = url,
        .config = config,
        .name = "warren doctor",
        .heartbeat_s = 10,
        .connect_timeout_ms = timeout_ms / 3,
        .handshake_timeout_ms = timeout_ms / 3,
        .rpc_timeout_ms = timeout_ms / 6,
    };
    struct rabbitmq_connection c;
    int result = rabbitmq_connection_open(&c, &how);

    rabbitmq_connection_close(&c, true);
    if (!result)
        return NULL;
    (void)snprintf(storage, 256, "%s", c.error);
    return storage;
}
