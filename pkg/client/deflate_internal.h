#ifndef CLIENT_DEFLATE_INTERNAL_H
#define CLIENT_DEFLATE_INTERNAL_H

#include "client/client.h"
#include "ws/deflate.h"

/** struct client_deflate - what the sockets of one loop compress and inflate with */
struct client_deflate {
    struct ws_inflate_pool pool;
    struct ws_deflater *deflaters[WS_WINDOW_BITS_MAX + 1]; /* by bits of the window, made when first needed */
    struct buffer scratch;
};

/** @payload compressed for a server that asked for @window_bits: set *ret_payload, valid until the next call. False: it
 * is not worth it, or there is no memory for it; send it as it is. */
bool client_deflate_message(struct client_deflate *d, unsigned window_bits, struct slice payload,
                            struct slice *ret_payload);

#endif
