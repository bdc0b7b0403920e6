/*
 * Any bytes as frames, on a server's side and on a client's, with and without an extension's bit. A stream means the
 * same however it is cut: whole, byte by byte and in cuts drawn from its own bytes. A message keeps what was promised:
 * its limit, and UTF-8.
 */
#include "base/hash.h"
#include "ws/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void record_event(const struct ws_event *e, const struct ws_parser_options *options, struct buffer *out)
{
    if (e->type == WS_EVENT_MESSAGE) {
        require(e->opcode == WS_OPCODE_TEXT || e->opcode == WS_OPCODE_BINARY);
        require(e->payload.size <= options->max_message_bytes && (e->rsv & ~options->allowed_rsv) == 0);
        require(e->opcode == WS_OPCODE_BINARY || e->rsv || utf8_is_valid(e->payload));
    } else {
        require(e->payload.size <= WS_CONTROL_MAX_BYTES);
    }
    if (e->type == WS_EVENT_CLOSE) {
        require(e->close_code == WS_CLOSE_NO_STATUS ? e->payload.size == 0 : ws_close_code_is_sendable(e->close_code));
        require(utf8_is_valid(e->payload));
    }
    buffer_printf(out, "%d %d %d %u %zu:", (int)e->type, e->type == WS_EVENT_MESSAGE ? (int)e->opcode : 0, e->rsv,
                  e->type == WS_EVENT_CLOSE ? e->close_code : 0, e->payload.size);
    buffer_append_slice(out, e->payload);
}

/* A piece is copied first: the parser changes what it is fed. Return: whether to go on. */
static bool feed_piece(struct ws_parser *p, struct slice piece, struct buffer *out)
{
    char *copy = malloc(piece.size);
    size_t at = 0;
    int r = 0;

    require(copy != NULL);
    memcpy(copy, piece.data, piece.size);
    while (r == 0) {
        struct ws_event event;
        size_t n = 0;

        r = ws_parser_feed(p, copy + at, piece.size - at, &n, &event);
        require(n <= piece.size - at && (r == 0 || r == WS_MORE || r == WS_E_CLOSE));
        at += n;
        if (r == 0)
            record_event(&event, p->options, out);
    }
    require(r != WS_MORE || at == piece.size);
    free(copy);
    return r != WS_E_CLOSE;
}

/* @seed 0: pieces of @piece bytes. */
static void run(const struct ws_parser_options *options, struct slice bytes, size_t piece, uint64_t seed,
                struct buffer *out)
{
    const char *sentence = "";
    struct ws_parser p;
    size_t at = 0;
    bool go_on = true;

    ws_parser_init(&p, options);
    while (at < bytes.size && go_on) {
        size_t n;

        seed = seed ? hash_bytes_keyed(seed, 0, bytes.data, bytes.size) | 1 : 0;
        n = seed ? 1 + seed % 40 : piece;
        n = n < bytes.size - at ? n : bytes.size - at;
        go_on = feed_piece(&p, slice_make(bytes.data + at, n), out);
        at += n;
    }
    if (!go_on) {
        unsigned code = ws_parser_error(&p, &sentence);

        require(code == WS_CLOSE_PROTOCOL_ERROR || code == WS_CLOSE_INVALID_PAYLOAD || code == WS_CLOSE_TOO_BIG);
        buffer_printf(out, "refused %u %s", code, sentence);
    }
    ws_parser_deinit(&p);
}

static void check(const struct ws_parser_options *options, struct slice bytes)
{
    struct buffer whole = {0}, other = {0};

    run(options, bytes, bytes.size, 0, &whole);
    for (uint64_t seed = 0; seed < 3; seed++) {
        run(options, bytes, 1, seed, &other);
        require(slice_equal(buffer_slice(&whole), buffer_slice(&other)));
        buffer_reset(&other, 4096);
    }
    require(buffer_error(&whole) == 0 && buffer_error(&other) == 0);
    buffer_deinit(&whole);
    buffer_deinit(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);
    struct ws_parser_options options = {.max_message_bytes = 300};

    check(&options, bytes);
    options.expect_masked = true;
    check(&options, bytes);
    options.allowed_rsv = 0x40;
    options.max_fragments = 4;
    check(&options, bytes);
    if (size > 0)
        (void)ws_key_is_valid(bytes);
    return 0;
}
