/*
 * A lead byte decides everything about a sequence: how many bytes follow, and between which values the first of them
 * must lie (RFC 3629 section 4; that range is what excludes overlong forms, surrogates and what is above U+10FFFF). All
 * later bytes are 80..BF. So the state between two bytes is
 *
 *      bits 16..17            bits 8..15              bits 0..7
 *     +----------------------+-----------------------+------------------------+
 *     | bytes still to come  | lowest allowed next   | highest allowed next   |
 *     +----------------------+-----------------------+------------------------+
 *
 * and 0 is "between characters". A state that has failed is FAILED: no byte is allowed ever after.
 */
#include "base/utf8.h"

#define EXPECT(count, low, high) ((uint32_t)(count) << 16 | (uint32_t)(low) << 8 | (uint32_t)(high))
#define FAILED EXPECT(1, 0xff, 0x00)
#define ASCII_HIGH_BITS 0x8080808080808080u

static uint32_t lead_state(unsigned char lead)
{
    if (lead < 0xc2) /* a continuation, or an overlong form of two bytes */
        return FAILED;
    if (lead < 0xe0)
        return EXPECT(1, 0x80, 0xbf);
    if (lead < 0xf0)
        return EXPECT(2, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf);
    if (lead < 0xf5)
        return EXPECT(3, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf);
    return FAILED;
}

static uint32_t next_state(uint32_t state, unsigned char byte)
{
    uint32_t to_come = state >> 16;

    if (byte < (state >> 8 & 0xff) || byte > (state & 0xff))
        return FAILED;
    return to_come > 1 ? EXPECT(to_come - 1, 0x80, 0xbf) : 0;
}

static const unsigned char *skip_ascii(const unsigned char *p, const unsigned char *end)
{
    uint64_t w[4];

    for (; (size_t)(end - p) >= sizeof(w); p += sizeof(w)) {
        memcpy(w, p, sizeof(w));
        if ((w[0] | w[1] | w[2] | w[3]) & ASCII_HIGH_BITS)
            break;
    }
    for (; (size_t)(end - p) >= sizeof(w[0]); p += sizeof(w[0])) {
        memcpy(w, p, sizeof(w[0]));
        if (w[0] & ASCII_HIGH_BITS)
            break;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

size_t utf8_character_size(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.data;
    uint32_t state;
    size_t size;

    if (s.size == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    state = lead_state(p[0]);
    size = (state >> 16) + 1;
    if (size > s.size || p[1] < (state >> 8 & 0xff) || p[1] > (state & 0xff))
        return 0;
    if (size > 2 && (p[2] & 0xc0) != 0x80)
        return 0;
    if (size > 3 && (p[3] & 0xc0) != 0x80)
        return 0;
    return size;
}

bool utf8_feed(struct utf8_state *s, const void *data, size_t size)
{
    const unsigned char *p = data;
    const unsigned char *end;

    if (size == 0)
        return s->state != FAILED;
    end = p + size;
    while (p < end) {
        size_t whole;

        if (s->state == 0) {
            p = skip_ascii(p, end);
            while (p < end && *p >= 0x80 && (whole = utf8_character_size(slice_make(p, (size_t)(end - p)))) > 0)
                p += whole;
            if (p == end || *p < 0x80)
                continue;
            s->state = lead_state(*p++); /* cut by the end, or invalid: byte by byte */
        } else {
            s->state = next_state(s->state, *p++);
        }
        if (s->state == FAILED)
            return false;
    }
    return true;
}

bool utf8_is_valid(struct slice s)
{
    struct utf8_state state = {0};

    return utf8_feed(&state, s.data, s.size) && utf8_is_complete(&state);
}

size_t utf8_encode(uint32_t code_point, char ret[4])
{
    assert(code_point <= 0x10ffff && (code_point < 0xd800 || code_point > 0xdfff));
    if (code_point < 0x80) {
        ret[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        ret[0] = (char)(0xc0 | code_point >> 6);
        ret[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        ret[0] = (char)(0xe0 | code_point >> 12);
        ret[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | code_point >> 18);
    ret[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}

struct slice utf8_prefix(struct slice s, size_t max_bytes)
{
    if (s.size <= max_bytes)
        return s;
    s.size = max_bytes;
    while (s.size > 0 &&
           ((unsigned char)s.data[s.size] & 0xc0) == 0x80) /* the byte behind would continue a character */
        s.size--;
    return s;
}
