/*
 * Messages in (RFC 7692 section 7.2.2).
 *
 * A sender compresses a message, ends it with an empty stored block and leaves out the last four bytes of that block,
 * 00 00 ff ff. What came is inflated as it comes; at the message's end the four bytes are put back, and the stream must
 * then stand between two blocks and on a byte, with nothing having come out of the four: anything else was cut, or is
 * no message. A message that stands between blocks already was not shortened by its sender (zlib has nothing to flush
 * for an empty message behind another; a block with BFINAL may be the last): it is whole without the four bytes, which
 * would begin a block that the next message had to end.
 *
 * A block with BFINAL set ends zlib's stream but not the message (section 7.2.3.4): its rest goes on behind it, on the
 * next byte. inflateResetKeep() starts the stream again and leaves the window as it is; doing that by
 * inflateGetDictionary() and inflateSetDictionary() copies 64 KiB each time, and a message may consist of such blocks
 * of two bytes.
 */
#define ZLIB_CONST /* input is not written to */
#include "ws/deflate.h"

#include <limits.h>
#include <zlib.h>

/* More than this is allocated again when it is needed. */
#define IDLE_MAX 4
#define OUT_MIN_BYTES 512
/* What zlib says of its state (zlib.h, inflate(), Z_BLOCK): the low bits count the bits of a byte begun. */
#define BETWEEN_BLOCKS 128

struct ws_inflater {
    struct ws_inflater *next;
    z_stream z;
    uint64_t taken, produced; /* of this message */
    unsigned window_bits;
    bool is_between_blocks;
    struct ws_inflate_pool *pool;
};

static void *z_allocate(void *opaque base_unused, unsigned count, unsigned size)
{
    return calloc(count, size);
}

static void z_release(void *opaque base_unused, void *pointer)
{
    free(pointer);
}

static void inflater_free(struct ws_inflater *i)
{
    (void)inflateEnd(&i->z);
    free(i);
}

static struct ws_inflater *inflater_new(unsigned window_bits)
{
    struct ws_inflater *i = calloc(1, sizeof(*i));

    if (!i)
        return NULL;
    i->z.zalloc = z_allocate;
    i->z.zfree = z_release;
    if (inflateInit2(&i->z, -(int)window_bits) != Z_OK) { /* negative: no zlib header around it */
        free(i);
        return NULL;
    }
    i->window_bits = window_bits;
    return i;
}

void ws_inflate_pool_deinit(struct ws_inflate_pool *pool)
{
    struct ws_inflater *i;

    assert(pool->held == 0);
    while ((i = pool->idle)) {
        pool->idle = i->next;
        inflater_free(i);
    }
    pool->idle_count = 0;
}

struct ws_inflater *ws_inflater_acquire(struct ws_inflate_pool *pool, unsigned window_bits)
{
    struct ws_inflater *i = pool->idle;

    assert(window_bits >= WS_WINDOW_BITS_MIN && window_bits <= WS_WINDOW_BITS_MAX);
    if (i) {
        pool->idle = i->next;
        pool->idle_count--;
        (void)inflateReset2(&i->z, -(int)window_bits); /* allocates nothing */
        i->window_bits = window_bits;
    } else {
        i = inflater_new(window_bits);
        if (!i)
            return NULL;
    }
    i->pool = pool;
    i->taken = i->produced = 0;
    i->is_between_blocks = true;
    pool->held++;
    return i;
}

struct ws_inflater *ws_inflater_release(struct ws_inflate_pool *pool, struct ws_inflater *i)
{
    if (!i)
        return NULL;
    assert(i->pool == pool && pool->held > 0);
    pool->held--;
    if (pool->idle_count >= IDLE_MAX) {
        inflater_free(i);
        return NULL;
    }
    i->next = pool->idle;
    pool->idle = i;
    pool->idle_count++;
    return NULL;
}

/** Where the next bytes go: into @out, or, once it is full, to a byte that tells whether there would be more. */
static int make_room(struct ws_inflater *i, struct buffer *out, Bytef *beyond, size_t *ret_room)
{
    size_t room = out->limit - out->size, wanted = (size_t)i->z.avail_in * 4;
    char *at;

    if (wanted < OUT_MIN_BYTES)
        wanted = OUT_MIN_BYTES;
    if (wanted > room)
        wanted = room;
    if (wanted == 0) {
        i->z.next_out = beyond;
        i->z.avail_out = 1;
        *ret_room = 0;
        return 0;
    }
    at = buffer_reserve(out, wanted);
    if (!at)
        return -ENOMEM;
    if (wanted < out->capacity - out->size - 1) /* growth doubles: what is there can be used */
        wanted = out->capacity - out->size - 1;
    wanted = wanted < room ? wanted : room;
    wanted = wanted < UINT_MAX ? wanted : UINT_MAX;
    i->z.next_out = (Bytef *)at;
    i->z.avail_out = (uInt)wanted;
    *ret_room = wanted;
    return 0;
}

/** What is in z.next_in. Return: as ws_inflater_feed(). */
static int inflate_all(struct ws_inflater *i, struct buffer *out)
{
    for (;;) {
        Bytef beyond;
        size_t room, produced;
        int result = make_room(i, out, &beyond, &room);
        uInt had_room = i->z.avail_out;

        if (result < 0)
            return result;
        result = inflate(&i->z, Z_SYNC_FLUSH);
        produced = had_room - i->z.avail_out;
        if (produced > 0 && room == 0)
            return WS_INFLATE_E_TOO_BIG;
        if (produced > 0)
            buffer_commit(out, produced);
        i->produced += produced;
        if (result == Z_MEM_ERROR)
            return -ENOMEM;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return WS_INFLATE_E_BAD;
        i->is_between_blocks = result == Z_STREAM_END || (i->z.data_type & 0x1ff) == BETWEEN_BLOCKS;
        if (result == Z_STREAM_END)
            (void)inflateResetKeep(&i->z);
        else if (i->z.avail_out > 0) /* it has all that was to be had */
            return 0;
        if (i->z.avail_in == 0 && result != Z_OK)
            return 0;
    }
}

static void set_input(struct ws_inflater *i, const void *data, size_t size)
{
    i->z.next_in = (const Bytef *)data;
    i->z.avail_in = (uInt)size;
}

int ws_inflater_feed(struct ws_inflater *i, struct slice bytes, struct buffer *out)
{
    int result = 0;

    assert(out->limit > 0 && out->size <= out->limit);
    i->taken += bytes.size;
    while (bytes.size > 0 && result == 0) {
        size_t n = bytes.size < UINT_MAX / 4 ? bytes.size : UINT_MAX / 4;

        set_input(i, bytes.data, n);
        result = inflate_all(i, out);
        i->pool->refused += result == WS_INFLATE_E_TOO_BIG;
        bytes = slice_skip(bytes, n);
    }
    return result;
}

int ws_inflater_finish(struct ws_inflater *i, bool keep_window)
{
    static const char tail[] = {'\x00', '\x00', '\xff', '\xff'};
    struct buffer nothing = {0};
    int result;

    if (!i->is_between_blocks) {
        /* Whatever comes out now is wrong: there is no room for it. */
        set_input(i, tail, sizeof(tail));
        result = inflate_all(i, &nothing);
        if (result < 0)
            return result;
        if (result != 0 || !i->is_between_blocks)
            return WS_INFLATE_E_BAD;
    }
    i->pool->messages++;
    i->pool->bytes_in += i->taken;
    i->pool->bytes_out += i->produced;
    i->taken = i->produced = 0;
    if (!keep_window)
        (void)inflateReset(&i->z);
    return 0;
}

uint64_t ws_inflater_taken(const struct ws_inflater *i)
{
    return i->taken;
}

uint64_t ws_inflate_budget(uint64_t message_bytes, uint64_t fragments)
{
    /* The worst that a sender has a reason to write: fixed codes of nine bits a byte, and a flush at the end of each
     * fragment. */
    return message_bytes + message_bytes / 8 + 16 * fragments + 64;
}
