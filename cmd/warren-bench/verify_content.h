#ifndef WARREN_BENCH_VERIFY_CONTENT_H
#define WARREN_BENCH_VERIFY_CONTENT_H

#include "base/buffer.h"

/**
 * What the verifying clients say. Everything follows from a seed: who receives a message makes it once more and
 * compares, so that nothing has to be kept and no byte goes unchecked.
 */

/** splitmix64, whose state is a counter; {seed} begins it. */
struct verify_random {
    uint64_t state;
};

uint64_t verify_random_next(struct verify_random *r);
/** In [0, bound), bound > 0; not exactly uniform. */
size_t verify_random_below(struct verify_random *r, size_t bound);

/** Which of a sender's numbered streams. */
enum verify_stream { VERIFY_ROOM, VERIFY_WHISPER, VERIFY_BINARY, VERIFY_STREAMS };

/** Which message it is. */
struct verify_name {
    uint64_t seed;
    uint32_t sender;
    enum verify_stream stream;
    uint64_t number;
};

/** Appends the message's data, at most about @max_bytes: a JSON value, of VERIFY_BINARY octets. */
void verify_content_append(const struct verify_name *name, size_t max_bytes, struct buffer *out);
/** Reads what a message says it is. @name->seed is untouched. Return: whether it says. */
bool verify_content_read(struct slice data, bool is_binary, struct verify_name *name) base_must_check;

#endif
