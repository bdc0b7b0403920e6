#ifndef BASE_JSON_INTERNAL_H
#define BASE_JSON_INTERNAL_H

#include "base/json.h"

/** How many bytes at the front of @s may stand in a JSON string as they are: valid UTF-8 without quote, backslash and
 * control characters. */
size_t json_clean_run(struct slice s);

/**
 * Resolves the escape that @s begins with (a backslash is its first byte), surrogate pairs included.
 *
 * Return: bytes of the escape, 0 if it is none that RFC 8259 section 7 allows or a lone surrogate; *ret_code_point is
 * set otherwise.
 */
size_t json_escape_decode(struct slice s, uint32_t *ret_code_point);

#endif
