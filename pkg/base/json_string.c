/*
 * The inside of JSON strings (RFC 8259 section 7), which reader and writer share: where a run of ordinary text ends,
 * and what an escape stands for.
 */
#include "base/json_internal.h"
#include "base/utf8.h"

#include <endian.h>

#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

/**
 * The high bit of each byte of @w (first byte lowest) that is a control character, a quote, a backslash or not ASCII.
 * Subtraction borrows only out of a byte that was a hit, so the lowest bit is exact, and it is the only one that is
 * looked at.
 */
static inline uint64_t special_bytes(uint64_t w)
{
    uint64_t quote = w ^ EACH_BYTE('"');
    uint64_t backslash = w ^ EACH_BYTE('\\');
    uint64_t hits = (w - EACH_BYTE(0x20)) & ~w;

    hits |= (quote - EACH_BYTE(1)) & ~quote;
    hits |= (backslash - EACH_BYTE(1)) & ~backslash;
    return (hits | w) & EACH_BYTE(0x80);
}

static inline bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

static size_t plain_run(struct slice s)
{
    size_t at = 0;
    uint64_t w;

    for (; s.size - at >= sizeof(w); at += sizeof(w)) {
        uint64_t hits;

        memcpy(&w, s.data + at, sizeof(w));
        hits = special_bytes(le64toh(w));
        if (hits)
            return at + (size_t)__builtin_ctzll(hits) / 8;
    }
    while (at < s.size && is_plain(s.data[at]))
        at++;
    return at;
}

size_t json_clean_run(struct slice s)
{
    size_t at = 0;

    for (;;) {
        size_t start;

        at += plain_run(slice_skip(s, at));
        start = at;
        while (at < s.size && (unsigned char)s.data[at] >= 0x80) {
            size_t size = utf8_character_size(slice_skip(s, at));

            if (size == 0)
                return at;
            at += size;
        }
        if (at == start)
            return at;
    }
}

static bool hex4(struct slice s, uint32_t *ret_value)
{
    uint32_t value = 0;

    if (s.size < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        char c = s.data[i];
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

static size_t unicode_escape_decode(struct slice s, uint32_t *ret_code_point)
{
    uint32_t high, low;

    if (!hex4(slice_skip(s, 2), &high) || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    if (high < 0xd800 || high > 0xdfff) {
        *ret_code_point = high;
        return 6;
    }
    if (s.size < 12 || s.data[6] != '\\' || s.data[7] != 'u' || !hex4(slice_skip(s, 8), &low) || low < 0xdc00 ||
        low > 0xdfff)
        return 0;
    *ret_code_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

size_t json_escape_decode(struct slice s, uint32_t *ret_code_point)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *letter;

    if (s.size < 2)
        return 0;
    if (s.data[1] == 'u')
        return unicode_escape_decode(s, ret_code_point);
    letter = memchr(letters, s.data[1], sizeof(letters) - 1);
    if (!letter)
        return 0;
    *ret_code_point = (unsigned char)meanings[letter - letters];
    return 2;
}

/**
 * Cuts the next piece off the raw string *@s: either a run without escapes, as it stands, or one escape, resolved into
 * @storage. What is no escape (only in a raw string that no reader gave) counts as the backslash that it begins with.
 */
static struct slice next_piece(struct slice *s, char storage[4])
{
    const char *backslash = memchr(s->data, '\\', s->size);
    struct slice piece = *s;
    uint32_t code_point;
    size_t size;

    if (backslash != s->data) {
        if (backslash)
            piece.size = (size_t)(backslash - s->data);
        *s = slice_skip(*s, piece.size);
        return piece;
    }
    size = json_escape_decode(*s, &code_point);
    if (size == 0) {
        size = 1;
        code_point = '\\';
    }
    *s = slice_skip(*s, size);
    return slice_make(storage, utf8_encode(code_point, storage));
}

bool json_string_equal(struct slice raw, const char *text)
{
    struct slice rest = slice_from(text);
    char storage[4];

    while (raw.size > 0) {
        struct slice piece = next_piece(&raw, storage);

        if (!slice_starts_with(rest, piece))
            return false;
        rest = slice_skip(rest, piece.size);
    }
    return rest.size == 0;
}

struct slice json_string_raw(struct json_value value)
{
    assert(value.type == JSON_STRING && value.text.size >= 2);
    return slice_make(value.text.data + 1, value.text.size - 2);
}

void json_string_decode(struct slice raw, struct buffer *out)
{
    char storage[4];

    while (raw.size > 0)
        buffer_append_slice(out, next_piece(&raw, storage));
}

bool json_number_int64(struct json_value value, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = value.text.size > 0 && value.text.data[0] == '-';
    uint64_t magnitude;
    int64_t number;

    if (value.type != JSON_NUMBER ||
        !slice_to_uint64(negative ? slice_skip(value.text, 1) : value.text, (uint64_t)INT64_MAX + negative, &magnitude))
        return false;
    number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (number < min || number > max)
        return false;
    *ret_value = number;
    return true;
}
