/*
 * The client's side of permessage-deflate. It never keeps a window when it sends, which no server can object to; when
 * it receives it does as the server answered.
 */
#include "client/deflate_internal.h"

#define LEVEL 1
#define MEMORY_LEVEL 8
#define SCRATCH_KEEP_BYTES 65536

struct client_deflate *client_deflate_new(void)
{
    return calloc(1, sizeof(struct client_deflate));
}

struct client_deflate *client_deflate_free(struct client_deflate *d)
{
    if (!d)
        return NULL;
    ws_inflate_pool_deinit(&d->pool);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(d->deflaters); i++)
        ws_deflater_free(d->deflaters[i]);
    buffer_deinit(&d->scratch);
    free(d);
    return NULL;
}

bool client_deflate_message(struct client_deflate *d, unsigned window_bits, struct slice payload,
                            struct slice *ret_payload)
{
    const struct ws_deflate_effort effort = {(uint8_t)window_bits, LEVEL, MEMORY_LEVEL};

    if (!d->deflaters[window_bits] && ws_deflater_new(&effort, &d->deflaters[window_bits]) != 0)
        return false;
    buffer_reset(&d->scratch, SCRATCH_KEEP_BYTES);
    if (ws_deflater_message(d->deflaters[window_bits], payload, &d->scratch) != 0)
        return false;
    *ret_payload = buffer_slice(&d->scratch);
    return true;
}
