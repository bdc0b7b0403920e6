#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/slice.h"

#include <stdarg.h>

/**
 * struct buffer - bytes that grow at the end
 *
 * Embedded or on the stack; {0} is an empty one with no limit. The first failure (out of memory, or @limit would be
 * passed) is remembered: later appends do nothing, so that a writer appends freely and asks buffer_error() once at the
 * end. The bytes are always followed by a NUL that does not count. Thread: whoever owns it.
 */
struct buffer {
    char *data;
    size_t size;
    size_t capacity;
    size_t limit; /* bytes at most, the NUL not counted; 0 = none */
    int error;    /* 0, -ENOMEM or -EMSGSIZE; see buffer_error() */
};

#define BUFFER_WITH_LIMIT(bytes) ((struct buffer){.limit = (bytes)})

void buffer_deinit(struct buffer *b);
/** Empty again, error forgotten; keeps the memory if it is at most @keep_bytes, else frees it. */
void buffer_reset(struct buffer *b, size_t keep_bytes);

/** 0, -ENOMEM, or -EMSGSIZE when the limit was hit. */
static inline int buffer_error(const struct buffer *b)
{
    return b->error;
}

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_make(b->data ? b->data : "", b->size);
}

/** Room for @size more bytes; returns where to write them (then call buffer_commit()), or NULL (error is set). */
char *buffer_reserve(struct buffer *b, size_t size);
void buffer_commit(struct buffer *b, size_t size);

void buffer_append(struct buffer *b, const void *data, size_t size);
void buffer_append_slice(struct buffer *b, struct slice s);
void buffer_append_text(struct buffer *b, const char *text);
void buffer_append_char(struct buffer *b, char c);
void buffer_append_uint64(struct buffer *b, uint64_t value);
void buffer_append_int64(struct buffer *b, int64_t value);
void buffer_printf(struct buffer *b, const char *format, ...) base_printf(2, 3);
void buffer_vprintf(struct buffer *b, const char *format, va_list args) base_printf(2, 0);

/** Removes the first @size bytes (at most b->size). */
void buffer_consume(struct buffer *b, size_t size);
/** Cuts the buffer back to @size bytes (at most b->size). */
void buffer_truncate(struct buffer *b, size_t size);

/** The bytes as a heap string of the caller's, NULL on error; the buffer is empty afterwards either way. */
char *buffer_steal(struct buffer *b);

#endif
