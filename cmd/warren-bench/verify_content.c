/*
 * Text:    {"s":<sender>,"k":<stream>,"n":<number>,"x":<any JSON, as odd as the grammar allows>}
 * Binary:  "wbv1", sender (4 bytes), number (8 bytes), any octets; numbers in the machine's order: it reads its own.
 */
#include "verify_content.h"

#include <inttypes.h>

#define DEPTH_MAX 6
#define BINARY_HEAD 16

uint64_t verify_random_next(struct verify_random *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

size_t verify_random_below(struct verify_random *r, size_t bound)
{
    return (size_t)(verify_random_next(r) % bound);
}

static struct verify_random random_of(const struct verify_name *name)
{
    struct verify_random r = {name->seed};

    r.state = verify_random_next(&r) ^ ((uint64_t)name->sender << 8 | (uint64_t)name->stream);
    r.state = verify_random_next(&r) ^ name->number;
    return r;
}

static const char *one_of(struct verify_random *r, const char *const *words, size_t count)
{
    return words[verify_random_below(r, count)];
}

static void append_string(struct verify_random *r, size_t size, struct buffer *out)
{
    static const char *const pieces[] = {
        "a",         "zebra",   " ",         "\\\"",    "\\\\",         "\\/",
        "/",         "\\b",     "\\n",       "\\u0000", "\\u00e9",      "\\uD83E\\udd8A",
        "é",         "弹幕",    "🦊",      "\x7f",    "\xe2\x80\xa8", "'",
        "\\u2028",   "{[,]}:",  "</script>", "%41",     "<&>",          "0",
        "\\t\\r\\f", "\\u001F",
    };

    buffer_append_char(out, '"');
    for (size_t end = out->size + size; out->size < end && !buffer_error(out);)
        buffer_append_text(out, one_of(r, pieces, BASE_ARRAY_SIZE(pieces)));
    buffer_append_char(out, '"');
}

static void append_space(struct verify_random *r, struct buffer *out)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t", "\r\n  "};

    buffer_append_text(out, one_of(r, spaces, BASE_ARRAY_SIZE(spaces)));
}

static void append_value(struct verify_random *r, size_t size, unsigned depth, struct buffer *out);

/** An array or object of about @size bytes. Recursion ends with the depth. */
static void append_container(struct verify_random *r, size_t size, unsigned depth, struct buffer *out)
{
    bool is_object = verify_random_below(r, 2) == 0;
    size_t count = verify_random_below(r, 5), end = out->size + size;

    buffer_append_char(out, is_object ? '{' : '[');
    append_space(r, out);
    for (size_t i = 0; i < count && out->size < end; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        append_space(r, out);
        if (is_object) {
            append_string(r, verify_random_below(r, 12), out);
            append_space(r, out);
            buffer_append_char(out, ':');
        }
        append_value(r, size / count, depth + 1, out);
        append_space(r, out);
    }
    buffer_append_char(out, is_object ? '}' : ']');
}

static void append_value(struct verify_random *r, size_t size, unsigned depth, struct buffer *out)
{
    static const char *const scalars[] = {
        "null", "true", "false", "0",    "-0", "1e400", "-1.0E-7", "12345678901234567890123", "0.1000000000000000055",
        "[]",   "{}",   "1.50",  "\"\"",
    };

    if (size < 8)
        buffer_append_text(out, one_of(r, scalars, BASE_ARRAY_SIZE(scalars)));
    else if (depth < DEPTH_MAX && verify_random_below(r, 3) == 0)
        append_container(r, size, depth, out);
    else
        append_string(r, size - 2, out);
}

/** Most are short, few are as long as may be. */
static size_t draw_size(struct verify_random *r, size_t max_bytes)
{
    size_t bound = verify_random_below(r, 50) == 0 ? max_bytes : verify_random_below(r, 5) == 0 ? 1000 : 100;

    return verify_random_below(r, bound < max_bytes ? bound + 1 : max_bytes + 1);
}

static void append_binary(const struct verify_name *name, struct verify_random *r, size_t size, struct buffer *out)
{
    char head[BINARY_HEAD] = "wbv1";

    memcpy(head + 4, &name->sender, 4);
    memcpy(head + 8, &name->number, 8);
    buffer_append(out, head, sizeof(head));
    for (size_t i = 0; i < size; i += 8) {
        uint64_t octets = verify_random_next(r);

        buffer_append(out, &octets, size - i < 8 ? size - i : 8);
    }
}

void verify_content_append(const struct verify_name *name, size_t max_bytes, struct buffer *out)
{
    struct verify_random r = random_of(name);
    size_t size = draw_size(&r, max_bytes);

    if (name->stream == VERIFY_BINARY) {
        append_binary(name, &r, size, out);
        return;
    }
    buffer_printf(out, "{\"s\":%" PRIu32 ",\"k\":%u,\"n\":%" PRIu64 ",\"x\":", name->sender, (unsigned)name->stream,
                  name->number);
    append_value(&r, size, 0, out);
    buffer_append_char(out, '}');
}

/** Takes @before and the digits behind it off the front of *rest. */
static bool read_number(struct slice *rest, struct slice before, uint64_t max, uint64_t *ret_number)
{
    size_t digits = 0;

    if (!slice_starts_with(*rest, before))
        return false;
    *rest = slice_skip(*rest, before.size);
    while (digits < rest->size && rest->data[digits] >= '0' && rest->data[digits] <= '9')
        digits++;
    if (!slice_to_uint64(slice_make(rest->data, digits), max, ret_number))
        return false;
    *rest = slice_skip(*rest, digits);
    return true;
}

bool verify_content_read(struct slice data, bool is_binary, struct verify_name *name)
{
    uint64_t sender, stream, number;

    if (is_binary) {
        if (data.size < BINARY_HEAD || memcmp(data.data, "wbv1", 4) != 0)
            return false;
        memcpy(&name->sender, data.data + 4, 4);
        memcpy(&name->number, data.data + 8, 8);
        name->stream = VERIFY_BINARY;
        return true;
    }
    if (!read_number(&data, SLICE_LITERAL("{\"s\":"), UINT32_MAX, &sender) ||
        !read_number(&data, SLICE_LITERAL(",\"k\":"), VERIFY_WHISPER, &stream) ||
        !read_number(&data, SLICE_LITERAL(",\"n\":"), UINT64_MAX, &number))
        return false;
    name->sender = (uint32_t)sender;
    name->stream = (enum verify_stream)stream;
    name->number = number;
    return true;
}
