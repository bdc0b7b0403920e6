#ifndef BUS_CURSOR_INTERNAL_H
#define BUS_CURSOR_INTERNAL_H

#include "base/slice.h"

/**
 * struct cursor - reads msgpack that lies whole in memory, value by value
 *
 * Our own instead of msgpack-c's unpacker: that one builds a tree of the whole body in a zone of its own, while here
 * nearly everything is skipped after a glance at the channel, texts stay where they are in the body, and nothing is
 * allocated. Every byte is bounds-checked; lengths that a body claims are never believed beyond its end. A failed read
 * leaves the offset where the value began.
 */
struct cursor {
    const unsigned char *data;
    size_t size;
    size_t offset;
};

enum cursor_type {
    CURSOR_NIL,
    CURSOR_BOOL,
    CURSOR_INTEGER,  /* negative, in integer */
    CURSOR_UNSIGNED, /* not negative, in unsigned_integer */
    CURSOR_FLOAT,
    CURSOR_STRING, /* bytes; not checked to be UTF-8 */
    CURSOR_BINARY,
    CURSOR_EXTENSION,
    CURSOR_ARRAY, /* count elements follow */
    CURSOR_MAP,   /* count pairs follow */
};

struct cursor_value {
    enum cursor_type type;
    bool boolean;
    int64_t integer;
    uint64_t unsigned_integer;
    double number;
    size_t count;
    struct slice bytes;
};

#define CURSOR_DEPTH_MAX 32

static inline struct cursor cursor_make(struct slice s)
{
    return (struct cursor){.data = (const unsigned char *)s.data, .size = s.size};
}

/** Takes the next value's head; of a string, binary or extension with its bytes. false: cut short or no msgpack. */
bool cursor_next(struct cursor *c, struct cursor_value *ret_value) base_must_check;
/** Passes over the next value with all it contains, nested at most @depth_max (up to CURSOR_DEPTH_MAX). */
bool cursor_skip(struct cursor *c, unsigned depth_max) base_must_check;

#endif
