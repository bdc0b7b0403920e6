#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/**
 * UTF-8 by RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. Incremental and fail-fast: an invalid
 * sequence is refused at its first impossible byte, and everything after it. ASCII runs are checked eight bytes at a
 * time or faster.
 */
struct utf8_state {
    uint32_t state; /* 0 = between characters */
};

/** false as soon as the bytes so far cannot begin valid UTF-8. */
bool utf8_feed(struct utf8_state *s, const void *data, size_t size);
/** Whether the text may end here. */
static inline bool utf8_is_complete(const struct utf8_state *s)
{
    return s->state == 0;
}
/** A whole text. */
bool utf8_is_valid(struct slice s);
/** Bytes (1 to 4) of the character that @s begins with; 0 if @s is empty or begins with anything else. */
size_t utf8_character_size(struct slice s);
/** Writes the code point (a scalar value) to @ret, returns its 1 to 4 bytes. */
size_t utf8_encode(uint32_t code_point, char ret[4]);
/** The longest prefix of at most @max_bytes that does not cut a character; @s is valid UTF-8. */
struct slice utf8_prefix(struct slice s, size_t max_bytes);

#endif
