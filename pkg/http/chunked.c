/*
 * The chunked transfer coding (RFC 9112 section 7.1), a byte at a time but for the chunks' data.
 *
 *     SIZE ─';'─▶ EXTENSION ─CR─▶ SIZE_LF ─▶ DATA ─▶ DATA_CR ─▶ DATA_LF ─▶ SIZE …
 *       └────CR──────────────────────▲  └─(size 0)─▶ TRAILER ─CR─▶ END_LF ─▶ END
 *                                                      └─▶ TRAILER_NAME ─':'─▶ TRAILER_VALUE ─CR─▶ TRAILER_LF ─▶
 * TRAILER
 *
 * Extensions and trailers are checked, counted against a limit of their own and dropped. White space around a size,
 * which the grammar calls bad and tolerates before an extension, is refused.
 */
#include "http/http_internal.h"

enum {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
};

/* 16 hexadecimal digits fill 64 bits; nobody needs leading zeros beyond that. */
#define DIGITS_MAX 16

static struct http_refusal size_step(struct http_chunked *c, char byte)
{
    if (http_character_is(byte, HTTP_CHARACTER_HEX)) {
        if (c->digits == DIGITS_MAX)
            return http_refuse(400, "The size of a chunk has too many digits.");
        c->size = (c->size << 4) | http_hex_value(byte);
        c->digits++;
        return HTTP_ACCEPTED;
    }
    if (c->digits == 0 || (byte != '\r' && byte != ';'))
        return http_refuse(400, "The size of a chunk is not a hexadecimal number.");
    c->state = byte == '\r' ? SIZE_LF : EXTENSION;
    return HTTP_ACCEPTED;
}

static struct http_refusal size_judge(struct http_chunked *c, size_t body_have, size_t body_max)
{
    c->digits = 0;
    if (c->size > body_max - body_have)
        return http_refuse(413, "The body is too long.");
    c->state = c->size > 0 ? DATA : TRAILER;
    return HTTP_ACCEPTED;
}

/* Bytes that are dropped: an extension (until CR) or a line of the trailer section. */
static struct http_refusal dropped_step(struct http_chunked *c, char byte, size_t overhead_max)
{
    if (c->state == TRAILER && byte == '\r') {
        c->state = END_LF;
        return HTTP_ACCEPTED;
    }
    if (++c->overhead > overhead_max)
        return http_refuse(431, "The extensions and trailers of the chunks are too long.");
    if (c->state == TRAILER || c->state == TRAILER_NAME) {
        if (http_character_is(byte, HTTP_CHARACTER_TOKEN))
            c->state = TRAILER_NAME;
        else if (c->state == TRAILER_NAME && byte == ':')
            c->state = TRAILER_VALUE;
        else
            return http_refuse(400, "A trailer's name is not a token.");
        return HTTP_ACCEPTED;
    }
    if (byte == '\r')
        c->state = c->state == EXTENSION ? SIZE_LF : TRAILER_LF;
    else if (!http_character_is(byte, HTTP_CHARACTER_FIELD))
        return http_refuse(400, "There is a control character behind a chunk.");
    return HTTP_ACCEPTED;
}

static struct http_refusal step(struct http_chunked *c, char byte, size_t body_have, size_t body_max,
                                size_t overhead_max)
{
    if (c->state == SIZE)
        return size_step(c, byte);
    if (c->state == EXTENSION || c->state == TRAILER || c->state == TRAILER_NAME || c->state == TRAILER_VALUE)
        return dropped_step(c, byte, overhead_max);
    if (byte != (c->state == DATA_CR ? '\r' : '\n'))
        return http_refuse(400, c->state == DATA_CR ? "The data of a chunk is longer than its size."
                                                    : "A line does not end with CR and LF.");
    if (c->state == SIZE_LF)
        return size_judge(c, body_have, body_max);
    if (c->state == DATA_CR)
        c->state = DATA_LF;
    else if (c->state == DATA_LF)
        c->state = SIZE;
    else if (c->state == TRAILER_LF)
        c->state = TRAILER;
    else
        c->state = END;
    return HTTP_ACCEPTED;
}

int http_chunked_feed(struct http_chunked *c, struct slice data, size_t body_max, size_t overhead_max,
                      struct buffer *body, size_t *consumed, struct http_refusal *refusal)
{
    size_t i = 0;
    int r = HTTP_MORE;

    while (i < data.size && r == HTTP_MORE) {
        if (c->state == DATA) {
            size_t n = data.size - i < c->size ? data.size - i : (size_t)c->size;

            buffer_append(body, data.data + i, n);
            i += n;
            c->size -= n;
            if (c->size == 0)
                c->state = DATA_CR;
            if (buffer_error(body))
                r = -ENOMEM;
            continue;
        }
        *refusal = step(c, data.data[i++], body->size, body_max, overhead_max);
        if (refusal->status)
            r = HTTP_E_BAD;
        else if (c->state == END)
            r = 0;
    }
    *consumed = i;
    return r;
}
