/*
 * Messages out (RFC 7692 section 7.2.1): each on its own, so that one result serves many connections.
 *
 * A window of 2^8 bytes is negotiated but not to be had from zlib, which wants 9 bits or more for data without a
 * header. With 9 it looks back at most 2^9 - 262 = 250 bytes (262 is its lookahead), so what it writes fits a window
 * of 8.
 */
#define ZLIB_CONST /* input is not written to */
#include "ws/deflate.h"

#include <limits.h>
#include <zlib.h>

#define ZLIB_WINDOW_BITS_MIN 9
/* 00 00 ff ff, which the receiver puts back. */
#define TAIL_BYTES 4

struct ws_deflater {
    z_stream z;
};

static void *z_allocate(void *opaque base_unused, unsigned count, unsigned size)
{
    return calloc(count, size);
}

static void z_release(void *opaque base_unused, void *pointer)
{
    free(pointer);
}

int ws_deflater_new(const struct ws_deflate_effort *effort, struct ws_deflater **ret_deflater)
{
    int bits = effort->window_bits < ZLIB_WINDOW_BITS_MIN ? ZLIB_WINDOW_BITS_MIN : effort->window_bits;
    struct ws_deflater *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->z.zalloc = z_allocate;
    d->z.zfree = z_release;
    if (deflateInit2(&d->z, effort->level, Z_DEFLATED, -bits, effort->memory_level, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(d);
        return -ENOMEM;
    }
    *ret_deflater = d;
    return 0;
}

struct ws_deflater *ws_deflater_free(struct ws_deflater *d)
{
    if (!d)
        return NULL;
    (void)deflateEnd(&d->z);
    free(d);
    return NULL;
}

int ws_deflater_message(struct ws_deflater *d, struct slice message, struct buffer *out)
{
    size_t room, size;
    char *at;

    if (message.size < 2 || message.size > UINT_MAX / 2)
        return WS_DEFLATE_E_NO_GAIN; /* an empty one takes a byte */
    /* What does not fit is no gain, and compressing it ends there. */
    room = message.size - 1 + TAIL_BYTES;
    at = buffer_reserve(out, room);
    if (!at)
        return buffer_error(out);
    (void)deflateReset(&d->z);
    d->z.next_in = (const Bytef *)message.data;
    d->z.avail_in = (uInt)message.size;
    d->z.next_out = (Bytef *)at;
    d->z.avail_out = (uInt)room;
    if (deflate(&d->z, Z_SYNC_FLUSH) != Z_OK || d->z.avail_in > 0 || d->z.avail_out == 0)
        return WS_DEFLATE_E_NO_GAIN; /* at avail_out 0 more may be to come */
    size = room - d->z.avail_out - TAIL_BYTES;
    buffer_commit(out, size);
    return 0;
}
