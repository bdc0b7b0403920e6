#ifndef HUB_DEDUP_H
#define HUB_DEDUP_H

#include "base/slice.h"

/**
 * struct hub_dedup - which ids came by within the last while
 *
 * Ids come from strangers and may be long, so they are kept as 128 bits of a keyed hash. Two generations: ids are added
 * to the current one and looked up in both. The current becomes the previous one after a whole window, so that an id is
 * known for one to two windows; or when it holds half of the limit, so that memory is bounded and, under a flood, the
 * memory of time is what gives.
 */
struct hub_dedup_set {
    uint64_t (*slots)[2]; /* open addressing, linear; 0,0 is free */
    size_t capacity;      /* a power of two, or 0 */
    size_t count;
};

struct hub_dedup {
    uint64_t keys[4];
    struct hub_dedup_set current, previous;
    uint64_t window_ms;
    uint64_t began_ms; /* of the current generation */
    size_t limit;      /* of one generation */
};

/** The id came by before. */
#define HUB_DEDUP_KNOWN 1

/** @limit: ids at most in both generations. */
void hub_dedup_init(struct hub_dedup *d, uint64_t window_ms, size_t limit, uint64_t now_ms);
void hub_dedup_deinit(struct hub_dedup *d);
/** Remembers @id. Return: 0; HUB_DEDUP_KNOWN; -ENOMEM: it was not known and is not remembered. */
int hub_dedup_add(struct hub_dedup *d, struct slice id, uint64_t now_ms) base_must_check;

#endif
