#include "base/base64.h"

#define PAD '='
#define INVALID 0xff

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t size, struct buffer *out)
{
    const unsigned char *p = data;
    size_t encoded = base64_encoded_size(size);
    char *to = buffer_reserve(out, encoded);

    if (!to)
        return;
    for (; size > 0; to += 4) {
        size_t count = size < 3 ? size : 3;
        unsigned group = (unsigned)p[0] << 16 | (count > 1 ? (unsigned)p[1] << 8 : 0) | (count > 2 ? p[2] : 0);

        to[0] = alphabet[group >> 18];
        to[1] = alphabet[group >> 12 & 63];
        to[2] = count > 1 ? alphabet[group >> 6 & 63] : PAD;
        to[3] = count > 2 ? alphabet[group & 63] : PAD;
        p += count;
        size -= count;
    }
    buffer_commit(out, encoded);
}

static unsigned char_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : INVALID;
}

bool base64_decode(struct slice text, struct buffer *out)
{
    for (; text.size > 0; text = slice_skip(text, 4)) {
        size_t padding = 0;
        unsigned group = 0;
        char bytes[3];

        if (text.size < 4)
            return false;
        if (text.size == 4 && text.data[3] == PAD) /* only the last group may be padded */
            padding = text.data[2] == PAD ? 2 : 1;
        for (size_t i = 0; i < 4 - padding; i++) {
            unsigned value = char_value(text.data[i]);

            if (value == INVALID)
                return false;
            group |= value << (18 - 6 * i);
        }
        if (group & ((1u << (8 * padding)) - 1)) /* RFC 4648 section 3.5: the bits that carry nothing are zero */
            return false;
        bytes[0] = (char)(group >> 16);
        bytes[1] = (char)(group >> 8);
        bytes[2] = (char)group;
        buffer_append(out, bytes, 3 - padding);
    }
    return true;
}
