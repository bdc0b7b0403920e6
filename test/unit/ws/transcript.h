#ifndef UNIT_WS_TRANSCRIPT_H
#define UNIT_WS_TRANSCRIPT_H

/**
 * What a parser makes of a stream of frames, as text; the same bytes cut in any way have the same transcript.
 *
 *     text abc | text+40 abc (RSV bits) | binary \x00 | ping x | pong x | close 1000 reason | close | refused 1002
 */
#include "ws/ws.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static inline uint64_t transcript_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void transcript_payload(struct slice payload, struct buffer *out)
{
    for (size_t i = 0; i < payload.size; i++) {
        if (payload.data[i] >= ' ' && payload.data[i] <= '~' && payload.data[i] != '\\')
            buffer_append_char(out, payload.data[i]);
        else
            buffer_printf(out, "\\x%02x", (unsigned)(uint8_t)payload.data[i]);
    }
    buffer_append_char(out, '\n');
}

static inline void transcript_event(const struct ws_event *e, struct buffer *out)
{
    switch (e->type) {
    case WS_EVENT_MESSAGE:
        buffer_append_text(out, e->opcode == WS_OPCODE_TEXT ? "text" : "binary");
        if (e->rsv)
            buffer_printf(out, "+%02x", e->rsv);
        break;
    case WS_EVENT_PING:
        buffer_append_text(out, "ping");
        break;
    case WS_EVENT_PONG:
        buffer_append_text(out, "pong");
        break;
    case WS_EVENT_CLOSE:
        buffer_append_text(out, "close");
        if (e->close_code != WS_CLOSE_NO_STATUS)
            buffer_printf(out, " %u", e->close_code);
        break;
    }
    buffer_append_char(out, ' ');
    transcript_payload(e->payload, out);
}

/* Return: whether to go on. */
static inline bool transcript_piece(struct ws_parser *p, const char *data, size_t size, struct buffer *out)
{
    char *piece = test_malloc(size + 1) /* not of size 0 */, *exact = piece + 1;
    const char *sentence = NULL;
    bool go_on = true;
    size_t at = 0;
    int r = 0;

    memcpy(exact, data, size);
    while (r == 0) {
        struct ws_event event;
        size_t n = SIZE_MAX;

        r = ws_parser_feed(p, exact + at, size - at, &n, &event);
        assert_true(n <= size - at);
        at += n;
        if (r == 0) {
            transcript_event(&event, out);
        } else if (r == WS_E_CLOSE) {
            buffer_printf(out, "refused %u\n", ws_parser_error(p, &sentence));
            assert_non_null(sentence);
            assert_int_equal(ws_parser_feed(p, exact, 0, &n, &event), WS_E_CLOSE); /* for good */
            go_on = false;
        } else {
            assert_int_equal(r, WS_MORE);
            assert_int_equal(at, size);
        }
    }
    test_free(piece);
    return go_on;
}

/* @random 0: pieces of @piece_size; else the seed of random cuts. */
static inline void transcript_feed(struct ws_parser *p, struct slice bytes, size_t piece_size, uint64_t random,
                                   struct buffer *out)
{
    size_t at = 0;

    while (at < bytes.size) {
        size_t n = random ? 1 + (size_t)(transcript_random(&random) % (1 + (bytes.size - at) / 2)) : piece_size;

        if (n > bytes.size - at)
            n = bytes.size - at;
        if (!transcript_piece(p, bytes.data + at, n, out))
            return;
        at += n;
    }
}

/**
 * The stream with each frame masked. It may be cut or wrong: what stands where a header should is taken for one, and
 * one that is not whole gets no key. @bare_end: nor does a whole one with nothing behind it.
 */
static inline void transcript_mask(struct slice bytes, bool bare_end, struct buffer *out)
{
    uint8_t key[4] = {0xa1, 0x00, 0x7f, 0xff};
    size_t at = 0;

    while (at < bytes.size) {
        const uint8_t *b = (const uint8_t *)bytes.data + at;
        size_t left = bytes.size - at, length7 = left > 1 ? b[1] & 0x7f : 0;
        size_t header = length7 == 126 ? 4 : length7 == 127 ? 10 : 2;
        size_t have = header < left ? header : left, n;
        uint64_t payload = length7;

        for (size_t i = 2; i < have; i++)
            payload = i == 2 ? b[i] : payload << 8 | b[i];
        n = payload < left - have ? (size_t)payload : left - have;
        buffer_append(out, b, have);
        if (have > 1)
            out->data[out->size - have + 1] |= (char)0x80;
        if (have == header && (n > 0 || left > have || !bare_end))
            buffer_append(out, key, sizeof(key));
        buffer_append(out, b + have, n);
        assert_int_equal(buffer_error(out), 0);
        ws_mask(out->data + out->size - n, n, key, 0);
        at += have + n;
        key[1]++;
    }
}

static inline void transcript_check_side(const struct ws_parser_options *options, struct slice bytes,
                                         const char *expected)
{
    for (uint64_t round = 0; round < 22; round++) {
        struct buffer out = {0};
        struct ws_parser p;

        ws_parser_init(&p, options);
        transcript_feed(&p, bytes, round == 0 ? bytes.size : 1, round < 2 ? 0 : round * 7919, &out);
        assert_int_equal(buffer_error(&out), 0);
        if (!slice_equal_text(buffer_slice(&out), expected))
            fail_msg("round %u\n got: %s\nwant: %s", (unsigned)round, out.data ? out.data : "", expected);
        ws_parser_deinit(&p);
        buffer_deinit(&out);
    }
}

/** Whole, byte by byte, at random cuts; as a client sees the bytes, and masked as a server does. */
static inline void transcript_check(const struct ws_parser_options *options, struct slice bytes, const char *expected)
{
    struct ws_parser_options side = *options;
    struct buffer masked = {0};

    side.expect_masked = false;
    transcript_check_side(&side, bytes, expected);
    side.expect_masked = true;
    transcript_mask(bytes, false, &masked);
    transcript_check_side(&side, buffer_slice(&masked), expected);
    buffer_deinit(&masked);
}

#endif
