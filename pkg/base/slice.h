#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/macros.h"

#include <string.h>

/**
 * struct slice - bytes somewhere else
 *
 * Borrowed, never owned, not terminated by NUL, may be empty. A slice with data == NULL means "absent" where the
 * field's comment says so; slice_is_set() tells.
 */
struct slice {
    const char *data;
    size_t size;
};

#define SLICE_NONE ((struct slice){NULL, 0})
/** A slice of a string literal. */
#define SLICE_LITERAL(s) ((struct slice){"" s "", sizeof(s) - 1})
/** printf("%.*s", SLICE_PRINTF(s)) */
#define SLICE_PRINTF(s) (int)(s).size, ((s).data ? (s).data : "")

static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

/** A slice of a C string; NULL gives SLICE_NONE. */
static inline struct slice slice_from(const char *s)
{
    return s ? (struct slice){s, strlen(s)} : SLICE_NONE;
}

static inline bool slice_is_set(struct slice s)
{
    return s.data != NULL;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_from(text));
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/** The slice without its first @n bytes; @n is at most s.size. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
    assert(n <= s.size);
    return (struct slice){n ? s.data + n : s.data, s.size - n}; /* NULL + 0 is not defined in C */
}

/** ASCII case-insensitive equality, for HTTP's tokens. */
bool slice_equal_nocase(struct slice a, struct slice b);

/** Without the spaces and tabs at both ends (RFC 9110, OWS). */
struct slice slice_trim(struct slice s);

/**
 * slice_split() - cut off what is before the first @separator
 *
 * Return: false if @rest is not set (the end); else true, *ret_part is what was before the separator, *rest what is
 * after it (SLICE_NONE when there was no separator). An empty set slice yields one empty part.
 */
bool slice_split(struct slice *rest, char separator, struct slice *ret_part);

/** A NUL-terminated heap copy, NULL when out of memory. The caller frees it. Bytes are copied as they are. */
char *slice_dup(struct slice s) base_must_check;

/**
 * slice_to_uint64() - a plain decimal number: digits only, no sign, no space, no leading zero but "0" itself
 *
 * Return: true and *ret_value if the whole slice is such a number not above @max.
 */
bool slice_to_uint64(struct slice s, uint64_t max, uint64_t *ret_value) base_must_check;

#endif
