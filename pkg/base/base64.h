#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buffer.h"

/** RFC 4648 section 4, with padding. */
static inline size_t base64_encoded_size(size_t size)
{
    return (size + 2) / 3 * 4;
}
void base64_encode(const void *data, size_t size, struct buffer *out);
/** Strict: padding required, no white space, unused bits zero. Return: false if it is not base64 (out may hold a part).
 */
bool base64_decode(struct slice text, struct buffer *out);

#endif
