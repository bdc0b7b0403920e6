#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

/**
 * SipHash-1-3 under a random key of this process (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): names
 * come from strangers, who must not be able to choose collisions. The key is drawn on first use. Thread: any.
 */
uint64_t hash_bytes(const void *data, size_t size);

/** SipHash-1-3 under a given key, for tests and fixed uses. */
uint64_t hash_bytes_keyed(uint64_t k0, uint64_t k1, const void *data, size_t size);

#endif
