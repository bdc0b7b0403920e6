#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include "base/slice.h"

/** Fills from getrandom(2), a few bytes at a time from what one call brought for the thread (a forked child's are its
 * own); ends the process when the kernel has none (a node without randomness must not run). Thread: any. */
void random_bytes(void *data, size_t size);
uint64_t random_uint64(void);
/** Uniform in [0, bound), bound > 0. */
uint64_t random_below(uint64_t bound);

/** Characters of an id's text, without the NUL. */
#define ID_TEXT_SIZE 26

/**
 * id_generate() - a new identifier: 48 bits of milliseconds since 1970, then 80 random bits, as 26 characters of
 * Crockford's base 32 (so that ids sort by time); ret_text is NUL-terminated. Thread: any.
 */
void id_generate(char ret_text[ID_TEXT_SIZE + 1]);

#endif
