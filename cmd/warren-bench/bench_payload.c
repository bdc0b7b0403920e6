#include "bench_payload.h"

#include "base/random.h"

#include <inttypes.h>

#define STREAM_AT 9
#define NUMBER_AT 18
#define PADDING_AT 30

int bench_payload_init(struct bench_payload *p, size_t bytes)
{
    assert(bytes >= BENCH_PAYLOAD_MIN_BYTES);
    *p = (struct bench_payload){.marker = "\"wb:", .bytes = bytes};
    for (size_t i = 4; i < 8; i++)
        p->marker[i] = (char)('a' + random_below(26));
    p->marker[8] = ':';
    buffer_append_char(&p->padding, ':');
    while (PADDING_AT + p->padding.size < bytes - 1 && !buffer_error(&p->padding))
        buffer_append_char(&p->padding, (char)('a' + p->padding.size % 26));
    buffer_append_char(&p->padding, '"');
    return buffer_error(&p->padding);
}

void bench_payload_deinit(struct bench_payload *p)
{
    buffer_deinit(&p->padding);
}

void bench_payload_append(const struct bench_payload *p, uint32_t stream, uint64_t number, struct buffer *out)
{
    assert(number <= BENCH_PAYLOAD_NUMBER_MAX);
    buffer_append(out, p->marker, sizeof(p->marker));
    buffer_printf(out, "%08" PRIx32 ":%012" PRIx64, stream, number);
    buffer_append_slice(out, buffer_slice(&p->padding));
}

/** Lower-case digits only, as they were written. */
static bool read_hexadecimal(const char *digits, size_t count, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned c = (unsigned char)digits[i], digit;

        digit = c - '0' <= 9 ? c - '0' : c - 'a' + 10;
        if (digit > 15 || (digit >= 10 && c < 'a'))
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

static const char *find(struct bench_payload *p, struct slice frame)
{
    const char *at;

    if (p->behind && p->behind <= frame.size && frame.data[0] == '{') {
        at = frame.data + frame.size - p->behind;
        if (memcmp(at, p->marker, sizeof(p->marker)) == 0)
            return at;
    }
    at = memmem(frame.data, frame.size, p->marker, sizeof(p->marker));
    if (at && frame.data[0] == '{')
        p->behind = (size_t)(frame.data + frame.size - at);
    return at;
}

enum bench_payload_result bench_payload_take(struct bench_payload *p, struct slice *rest, uint32_t *ret_stream,
                                             uint64_t *ret_number)
{
    struct slice frame = *rest;
    const char *at = frame.size ? find(p, frame) : NULL;
    uint64_t stream, number;
    size_t left;

    if (!at)
        return BENCH_PAYLOAD_NONE;
    left = (size_t)(frame.data + frame.size - at);
    if (left < p->bytes) {
        *rest = slice_skip(frame, frame.size);
        return BENCH_PAYLOAD_CHANGED;
    }
    *rest = slice_skip(frame, frame.size - left + p->bytes);
    if (!read_hexadecimal(at + STREAM_AT, 8, &stream) || at[STREAM_AT + 8] != ':' ||
        !read_hexadecimal(at + NUMBER_AT, 12, &number) ||
        memcmp(at + PADDING_AT, p->padding.data, p->padding.size) != 0)
        return BENCH_PAYLOAD_CHANGED;
    *ret_stream = (uint32_t)stream;
    *ret_number = number;
    return BENCH_PAYLOAD_FOUND;
}
