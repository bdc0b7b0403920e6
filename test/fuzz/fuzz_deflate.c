/*
 * Any bytes as compressed messages, as the value of Sec-WebSocket-Extensions, and as a message to be compressed.
 *
 * Messages: what comes out is the same however the frame and the bytes fed are cut, keeps the limit and is UTF-8. A
 * message that is accepted is inflated once more by zlib alone, and both agree. Extensions: what our server answers our
 * client understands. Compressing: what comes back is what went in.
 */
#include "base/hash.h"
#include "ws/deflate.h"
#include "ws/ws.h"

#include <zlib.h>

#define LIMIT 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- in ---- */

/** One text or binary message of two frames, unmasked, the first of @cut bytes. */
static void frames(struct buffer *out, enum ws_opcode opcode, struct slice payload, size_t cut)
{
    const struct slice pieces[] = {slice_make(payload.data, cut), slice_skip(payload, cut)};

    for (size_t i = 0; i < 2; i++) {
        char header[WS_HEADER_MAX_BYTES];
        size_t n = ws_header_write(header, i == 0 ? opcode : WS_OPCODE_CONTINUATION, i == 1, i == 0 ? WS_RSV1 : 0,
                                   pieces[i].size, NULL);

        buffer_append(out, header, n);
        buffer_append_slice(out, pieces[i]);
    }
}

/** What becomes of a stream, in words; fed in pieces drawn from @seed, or (0) of @piece bytes. */
static void read_stream(const struct ws_parser_options *o, struct slice bytes, size_t piece, uint64_t seed,
                        struct buffer *out)
{
    struct ws_parser p;
    const char *sentence;
    size_t at = 0;
    int r = WS_MORE;

    ws_parser_init(&p, o);
    while (at < bytes.size && r != WS_E_CLOSE) {
        struct ws_event e;
        size_t used = 0, n = piece;
        char *copy;

        seed = seed ? hash_bytes_keyed(seed, 0, &at, sizeof(at)) | 1 : 0;
        n = seed ? 1 + seed % 50 : n;
        n = n < bytes.size - at ? n : bytes.size - at;
        copy = malloc(n);
        require(copy != NULL);
        memcpy(copy, bytes.data + at, n);
        r = ws_parser_feed(&p, copy, n, &used, &e);
        require(r == 0 || r == WS_MORE || r == WS_E_CLOSE);
        at += used;
        if (r == 0) {
            require(e.type == WS_EVENT_MESSAGE && e.payload.size <= LIMIT);
            require(e.opcode == WS_OPCODE_BINARY || utf8_is_valid(e.payload));
            buffer_printf(out, "%zu:", e.payload.size);
            buffer_append_slice(out, e.payload);
        }
        free(copy);
    }
    if (r == WS_E_CLOSE)
        buffer_printf(out, "refused %u", ws_parser_error(&p, &sentence));
    ws_parser_deinit(&p);
}

/** The same message, twice on one connection, by zlib: what our parser should say if it accepts. */
static void by_zlib(struct slice payload, struct buffer *out)
{
    static const char tail[] = {'\x00', '\x00', '\xff', '\xff'};
    char bytes[LIMIT + 1];
    z_stream z = {0};
    int result = Z_OK;

    require(inflateInit2(&z, -15) == Z_OK);
    for (int part = 0; part < 2 && result != Z_STREAM_END; part++) {
        z.next_in = part == 0 ? (Bytef *)(uintptr_t)payload.data : (Bytef *)(uintptr_t)tail;
        z.avail_in = part == 0 ? (uInt)payload.size : sizeof(tail);
        do {
            z.next_out = (Bytef *)bytes;
            z.avail_out = sizeof(bytes);
            result = inflate(&z, Z_SYNC_FLUSH);
            buffer_append(out, bytes, sizeof(bytes) - z.avail_out);
        } while (result == Z_OK && z.avail_out == 0);
    }
    require(result != Z_MEM_ERROR);
    inflateEnd(&z);
}

static void check_messages(struct slice payload, bool keep)
{
    struct ws_inflate_pool pool = {0};
    const struct ws_parser_options o = {
        .allowed_rsv = WS_RSV1,
        .max_message_bytes = LIMIT,
        .inflate = &pool,
        .inflate_window_bits = 15,
        .inflate_keeps_window = keep,
    };
    struct buffer bytes = {0}, cut = {0}, whole = {0}, other = {0}, oracle = {0};

    frames(&bytes, WS_OPCODE_BINARY, payload, payload.size);
    frames(&bytes, WS_OPCODE_TEXT, payload, payload.size);
    frames(&cut, WS_OPCODE_BINARY, payload, payload.size / 3);
    frames(&cut, WS_OPCODE_TEXT, payload, payload.size / 2);
    read_stream(&o, buffer_slice(&bytes), bytes.size, 0, &whole);
    for (uint64_t seed = 0; seed < 3; seed++) {
        buffer_reset(&other, 1 << 20);
        read_stream(&o, buffer_slice(&cut), 1, seed, &other);
        require(slice_equal(buffer_slice(&whole), buffer_slice(&other)));
    }
    if (whole.data[0] != 'r') { /* the first message was not refused */
        const char *text = strchr(whole.data, ':') + 1;
        struct slice rest = slice_make(text, whole.size - (size_t)(text - whole.data));

        /* zlib stops at a block with BFINAL, we go on; what it has come to is a beginning of what we have. */
        by_zlib(payload, &oracle);
        require(slice_starts_with(rest, buffer_slice(&oracle)));
    }
    require(pool.held == 0 && buffer_error(&other) == 0);
    ws_inflate_pool_deinit(&pool);
    buffer_deinit(&bytes);
    buffer_deinit(&cut);
    buffer_deinit(&whole);
    buffer_deinit(&other);
    buffer_deinit(&oracle);
}

/* ---- extensions ---- */

static void check_extensions(struct slice line)
{
    static const struct ws_deflate_policy policies[] = {{false, 15}, {true, 15}, {true, 9}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(policies); i++) {
        struct ws_deflate_offers o = {.policy = &policies[i]};
        struct ws_deflate_answer a = {0};
        char response[WS_DEFLATE_TEXT_SIZE];
        int result = ws_deflate_offers_read(&o, line);

        require(result == 0 || result == WS_DEFLATE_E_SYNTAX);
        result = ws_deflate_answer_read(&a, true, line);
        require(result == 0 || result == WS_DEFLATE_E_SYNTAX || result == WS_DEFLATE_E_RESPONSE);
        if (!o.is_accepted)
            continue;
        require(o.extensions > 0 && o.params.server_no_context_takeover);
        ws_deflate_response_write(&o.params, response);
        a = (struct ws_deflate_answer){0};
        require(ws_deflate_answer_read(&a, true, slice_from(response)) == 0);
        require(memcmp(&a.params, &o.params, sizeof(a.params)) == 0);
    }
}

/* ---- out ---- */

static void check_deflater(struct slice message, unsigned choice)
{
    const struct ws_deflate_effort effort = {(uint8_t)(8 + choice % 8), (uint8_t)(1 + choice % 9),
                                             (uint8_t)(1 + choice / 9 % 9)};
    struct ws_deflater *d;
    struct buffer payload = {0}, out = {0};
    struct ws_inflate_pool pool = {0};
    struct ws_inflater *i;
    int result;

    require(ws_deflater_new(&effort, &d) == 0);
    result = ws_deflater_message(d, message, &payload);
    require(result == 0 || result == WS_DEFLATE_E_NO_GAIN);
    if (result == 0) {
        require(payload.size < message.size);
        i = ws_inflater_acquire(&pool, effort.window_bits);
        require(i != NULL);
        out.limit = message.size;
        for (size_t at = 0; at < payload.size; at++)
            require(ws_inflater_feed(i, slice_make(payload.data + at, 1), &out) == 0);
        require(ws_inflater_finish(i, false) == 0);
        require(slice_equal(buffer_slice(&out), message));
        ws_inflater_release(&pool, i);
    }
    ws_inflate_pool_deinit(&pool);
    ws_deflater_free(d);
    buffer_deinit(&payload);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);

    if (size == 0 || size > 65000)
        return 0;
    check_messages(slice_skip(bytes, 1), (data[0] & 1) != 0);
    check_extensions(slice_skip(bytes, 1));
    check_deflater(slice_skip(bytes, 1), data[0]);
    return 0;
}
