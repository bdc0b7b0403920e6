/*
 * The msgpack format (github.com/msgpack/msgpack, spec.md) as a table of first bytes: what follows the first byte is
 * either nothing, a big-endian number, or a big-endian length and that many bytes.
 */
#include "bus/cursor_internal.h"

static uint64_t big_endian(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

/** Reads @size bytes as a number; false at the end. */
static bool take_number(struct cursor *c, size_t size, uint64_t *ret_value)
{
    if (c->size - c->offset < size)
        return false;
    *ret_value = big_endian(c->data + c->offset, size);
    c->offset += size;
    return true;
}

static bool take_bytes(struct cursor *c, uint64_t size, struct slice *ret_bytes)
{
    if (c->size - c->offset < size)
        return false;
    *ret_bytes = slice_make(c->data + c->offset, (size_t)size);
    c->offset += (size_t)size;
    return true;
}

static bool take_signed(struct cursor *c, size_t size, struct cursor_value *v)
{
    uint64_t raw;
    unsigned unused = (unsigned)(8 - size) * 8;

    if (!take_number(c, size, &raw))
        return false;
    v->integer = (int64_t)(raw << unused) >> unused; /* sign-extends */
    v->unsigned_integer = (uint64_t)v->integer;
    v->type = v->integer < 0 ? CURSOR_INTEGER : CURSOR_UNSIGNED;
    return true;
}

static bool take_float(struct cursor *c, size_t size, struct cursor_value *v)
{
    uint64_t raw;
    uint32_t raw32;
    float number32;

    if (!take_number(c, size, &raw))
        return false;
    v->type = CURSOR_FLOAT;
    if (size == 8) {
        memcpy(&v->number, &raw, sizeof(v->number));
        return true;
    }
    raw32 = (uint32_t)raw;
    memcpy(&number32, &raw32, sizeof(number32));
    v->number = (double)number32;
    return true;
}

/** A length of @size bytes, then as many bytes, and @extra more (an extension's type). */
static bool take_sized(struct cursor *c, enum cursor_type type, size_t size, size_t extra, struct cursor_value *v)
{
    uint64_t length;

    if (!take_number(c, size, &length))
        return false;
    v->type = type;
    return take_bytes(c, length + extra, &v->bytes);
}

/** A count of @size bytes; more elements than bytes remain cannot be. */
static bool take_count(struct cursor *c, enum cursor_type type, size_t size, struct cursor_value *v)
{
    uint64_t count;

    if (!take_number(c, size, &count))
        return false;
    if (count > c->size - c->offset)
        return false;
    v->type = type;
    v->count = (size_t)count;
    return true;
}

static bool take_fixed(struct cursor *c, unsigned char first, struct cursor_value *v)
{
    if (first <= 0x7f || first >= 0xe0) {
        v->integer = (int8_t)first;
        v->unsigned_integer = first;
        v->type = first <= 0x7f ? CURSOR_UNSIGNED : CURSOR_INTEGER;
        return true;
    }
    if (first <= 0x9f) {
        v->type = first <= 0x8f ? CURSOR_MAP : CURSOR_ARRAY;
        v->count = first & 0x0f;
        return v->count <= c->size - c->offset;
    }
    v->type = CURSOR_STRING;
    return take_bytes(c, first & 0x1f, &v->bytes);
}

static bool take(struct cursor *c, unsigned char first, struct cursor_value *v)
{
    if (first <= 0xbf || first >= 0xe0)
        return take_fixed(c, first, v);
    switch (first) {
    case 0xc0:
        v->type = CURSOR_NIL;
        return true;
    case 0xc2:
    case 0xc3:
        v->type = CURSOR_BOOL;
        v->boolean = first == 0xc3;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return take_sized(c, CURSOR_BINARY, (size_t)1 << (first - 0xc4), 0, v);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return take_sized(c, CURSOR_EXTENSION, (size_t)1 << (first - 0xc7), 1, v);
    case 0xca:
    case 0xcb:
        return take_float(c, (size_t)4 << (first - 0xca), v);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        v->type = CURSOR_UNSIGNED;
        return take_number(c, (size_t)1 << (first - 0xcc), &v->unsigned_integer);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_signed(c, (size_t)1 << (first - 0xd0), v);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        v->type = CURSOR_EXTENSION;
        return take_bytes(c, ((size_t)1 << (first - 0xd4)) + 1, &v->bytes);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return take_sized(c, CURSOR_STRING, (size_t)1 << (first - 0xd9), 0, v);
    case 0xdc:
    case 0xdd:
        return take_count(c, CURSOR_ARRAY, (size_t)2 << (first - 0xdc), v);
    case 0xde:
    case 0xdf:
        return take_count(c, CURSOR_MAP, (size_t)2 << (first - 0xde), v);
    default:
        return false; /* 0xc1: never used */
    }
}

bool cursor_next(struct cursor *c, struct cursor_value *ret_value)
{
    size_t begin = c->offset;
    struct cursor_value value = {.type = CURSOR_NIL};

    if (c->offset >= c->size)
        return false;
    c->offset++;
    if (!take(c, c->data[begin], &value)) {
        c->offset = begin;
        return false;
    }
    *ret_value = value;
    return true;
}

bool cursor_skip(struct cursor *c, unsigned depth_max)
{
    size_t begin = c->offset;
    uint64_t remaining[CURSOR_DEPTH_MAX + 1];
    unsigned depth = 0;
    struct cursor_value v;

    assert(depth_max <= CURSOR_DEPTH_MAX);
    remaining[0] = 1;
    for (;;) {
        while (remaining[depth] == 0) {
            if (depth == 0)
                return true;
            depth--;
        }
        remaining[depth]--;
        if (!cursor_next(c, &v))
            break;
        if (v.type != CURSOR_ARRAY && v.type != CURSOR_MAP)
            continue;
        if (depth == depth_max)
            break;
        remaining[++depth] = v.type == CURSOR_MAP ? (uint64_t)v.count * 2 : v.count;
    }
    c->offset = begin;
    return false;
}
