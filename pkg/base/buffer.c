/*
 * A buffer is either {data NULL, capacity 0} or owns capacity bytes, of which size are used and one more holds the NUL;
 * so size < capacity whenever data is set. Growth doubles, but never past what the limit can use.
 */
#include "base/buffer.h"

#include <stdio.h>

#define FIRST_CAPACITY 64

void buffer_deinit(struct buffer *b)
{
    if (!b)
        return;
    free(b->data);
    b->data = NULL;
    b->size = b->capacity = 0;
    b->error = 0;
}

void buffer_reset(struct buffer *b, size_t keep_bytes)
{
    if (b->capacity > keep_bytes) {
        buffer_deinit(b);
        return;
    }
    b->error = 0;
    buffer_truncate(b, 0);
}

static char *buffer_fail(struct buffer *b, int error)
{
    b->error = error;
    return NULL;
}

static char *buffer_grow(struct buffer *b, size_t wanted)
{
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    char *data;

    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    if (b->limit && capacity > b->limit && b->limit < SIZE_MAX)
        capacity = b->limit + 1;
    data = realloc(b->data, capacity);
    if (!data)
        return buffer_fail(b, -ENOMEM);
    b->data = data;
    b->capacity = capacity;
    b->data[b->size] = '\0';
    return b->data + b->size;
}

char *buffer_reserve(struct buffer *b, size_t size)
{
    if (b->error)
        return NULL;
    if (b->limit && (b->size > b->limit || size > b->limit - b->size))
        return buffer_fail(b, -EMSGSIZE);
    if (b->data && size < b->capacity - b->size)
        return b->data + b->size;
    if (size >= SIZE_MAX / 2 - b->size)
        return buffer_fail(b, -ENOMEM);
    return buffer_grow(b, b->size + size + 1);
}

void buffer_commit(struct buffer *b, size_t size)
{
    assert(b->data && size < b->capacity - b->size);
    b->size += size;
    b->data[b->size] = '\0';
}

void buffer_append(struct buffer *b, const void *data, size_t size)
{
    char *to;

    if (size == 0)
        return;
    to = buffer_reserve(b, size);
    if (!to)
        return;
    memcpy(to, data, size);
    buffer_commit(b, size);
}

void buffer_append_slice(struct buffer *b, struct slice s)
{
    buffer_append(b, s.data, s.size);
}

void buffer_append_text(struct buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

void buffer_append_char(struct buffer *b, char c)
{
    char *to = buffer_reserve(b, 1);

    if (!to)
        return;
    *to = c;
    buffer_commit(b, 1);
}

void buffer_append_uint64(struct buffer *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buffer_append(b, digits + at, sizeof(digits) - at);
}

void buffer_append_int64(struct buffer *b, int64_t value)
{
    char digits[20]; /* a sign and 19 digits */
    size_t at = sizeof(digits);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (value < 0)
        digits[--at] = '-';
    buffer_append(b, digits + at, sizeof(digits) - at);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_vprintf(b, format, args);
    va_end(args);
}

void buffer_vprintf(struct buffer *b, const char *format, va_list args)
{
    size_t room = b->data ? b->capacity - b->size : 0;
    va_list again;
    int length;

    if (b->error)
        return;
    va_copy(again, args);
    length = vsnprintf(room ? b->data + b->size : NULL, room, format, args);
    if (length < 0) {
        /* Of the failures that printf knows (a result past INT_MAX, no memory) each means that it does not fit. */
        buffer_fail(b, -ENOMEM);
    } else if (buffer_reserve(b, (size_t)length)) {
        if ((size_t)length >= room)
            (void)vsnprintf(b->data + b->size, (size_t)length + 1, format, again);
        buffer_commit(b, (size_t)length);
    }
    va_end(again);
    if (b->error && b->data)
        b->data[b->size] = '\0'; /* the first attempt may have written behind the end */
}

void buffer_consume(struct buffer *b, size_t size)
{
    if (size > b->size)
        size = b->size;
    if (size == 0)
        return;
    memmove(b->data, b->data + size, b->size - size + 1); /* with the NUL */
    b->size -= size;
}

void buffer_truncate(struct buffer *b, size_t size)
{
    if (size > b->size || !b->data)
        return;
    b->size = size;
    b->data[size] = '\0';
}

char *buffer_steal(struct buffer *b)
{
    char *data = NULL;

    if (buffer_reserve(b, 0)) /* an empty buffer has no memory yet, but its string is "" */
        data = base_take(b->data);
    buffer_deinit(b);
    return data;
}
