#ifndef UNIT_HTTP_TRANSCRIPT_H
#define UNIT_HTTP_TRANSCRIPT_H

/**
 * What a parser makes of a stream of bytes, as text: a line for each message, then how it ended. The same bytes cut in
 * any way have the same transcript; that is the property which most tests of the parser hold it to.
 *
 *     POST /a?b 1.1 keep [Host=h;X=y] body
 *     refused 400 | more | idle | rest 6 (bytes behind a WebSocket handshake) | out of memory
 */
#include "http/http.h"

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

static inline void transcript_message(const struct http_message *m, bool response, struct buffer *out)
{
    if (response)
        buffer_printf(out, "%u \"%.*s\"", m->status, SLICE_PRINTF(m->reason));
    else
        buffer_printf(out, "%.*s %.*s%s%.*s", SLICE_PRINTF(m->method), SLICE_PRINTF(m->path),
                      slice_is_set(m->query) ? "?" : "", SLICE_PRINTF(m->query));
    buffer_printf(out, " 1.%u %s [", m->minor_version, m->keep_alive ? "keep" : "close");
    for (size_t i = 0; i < m->header_count; i++)
        buffer_printf(out, "%s%.*s=%.*s", i ? ";" : "", SLICE_PRINTF(m->headers[i].name),
                      SLICE_PRINTF(m->headers[i].value));
    buffer_printf(out, "] ");
    buffer_append_slice(out, m->body);
    buffer_append_char(out, '\n');
}

/* Return: whether to go on. */
static inline bool transcript_piece(struct http_parser *p, bool response, const char *data, size_t size, size_t behind,
                                    struct buffer *out)
{
    const struct http_message *m = NULL;
    const char *sentence = NULL;
    char *piece = test_malloc(size); /* of its exact size, for the sanitizer */
    bool go_on = true;
    size_t at = 0;

    memcpy(piece, data, size);
    while (at < size && go_on) {
        size_t n = SIZE_MAX;
        int r = http_parser_feed(p, piece + at, size - at, &n, &m);

        assert_true(n <= size - at);
        at += n;
        if (r == 0) {
            transcript_message(m, response, out);
            if (!response && http_message_has_token(m, "Upgrade", "websocket")) {
                buffer_printf(out, "rest %zu", size - at + behind);
                go_on = false;
            }
            http_parser_reset(p);
        } else if (r == HTTP_E_BAD) {
            buffer_printf(out, "refused %u", http_parser_error(p, &sentence));
            assert_non_null(sentence);
            assert_int_equal(http_parser_feed(p, "x", 1, &n, &m), HTTP_E_BAD); /* for good */
            go_on = false;
        } else if (r == -ENOMEM) {
            buffer_printf(out, "out of memory");
            go_on = false;
        } else {
            assert_int_equal(r, HTTP_MORE);
            assert_int_equal(at, size);
        }
    }
    test_free(piece);
    return go_on;
}

static inline void transcript_end(struct http_parser *p, bool response, struct buffer *out)
{
    const struct http_message *m = NULL;

    if (!http_parser_has_begun(p)) {
        buffer_printf(out, "idle");
    } else if (!response) {
        buffer_printf(out, "more");
    } else if (http_parser_end(p, &m) == 0) {
        transcript_message(m, true, out);
        buffer_printf(out, "ended");
    } else {
        buffer_printf(out, "cut short");
    }
}

/* @random 0: pieces of @piece_size; else the seed of random cuts. */
static inline void transcript_feed(struct http_parser *p, bool response, struct slice bytes, size_t piece_size,
                                   uint64_t random, struct buffer *out)
{
    size_t at = 0;

    while (at < bytes.size) {
        size_t n = random ? 1 + (size_t)(transcript_random(&random) % (1 + (bytes.size - at) / 2)) : piece_size;

        if (n > bytes.size - at)
            n = bytes.size - at;
        if (!transcript_piece(p, response, bytes.data + at, n, bytes.size - at - n, out))
            return;
        at += n;
    }
    transcript_end(p, response, out);
}

/** Whole, byte by byte and at random cuts; @expected is the transcript of each. */
static inline void transcript_check(const struct http_limits *limits, bool response, bool to_head, struct slice bytes,
                                    const char *expected)
{
    for (uint64_t round = 0; round < 22; round++) {
        struct http_parser *p = NULL;
        struct buffer out = {0};

        assert_int_equal(response ? http_parser_new_response(limits, to_head, &p) : http_parser_new_request(limits, &p),
                         0);
        transcript_feed(p, response, bytes, round == 0 ? bytes.size : 1, round < 2 ? 0 : round * 7919, &out);
        assert_int_equal(buffer_error(&out), 0);
        if (!slice_equal_text(buffer_slice(&out), expected))
            fail_msg("round %u of <%.*s>\n got: %s\nwant: %s", (unsigned)round, SLICE_PRINTF(bytes), out.data,
                     expected);
        http_parser_free(p);
        buffer_deinit(&out);
    }
}

#endif
