#ifndef SUPPORT_PRNG_H
#define SUPPORT_PRNG_H

#include <stddef.h>
#include <stdint.h>

/**
 * Numbers that look random and repeat: a test that fails fails again. splitmix64, whose state is a counter; {seed}
 * begins it.
 */
struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *p)
{
    uint64_t x = p->state += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/** In [0, bound), bound > 0; not exactly uniform. */
static inline size_t prng_below(struct prng *p, size_t bound)
{
    return (size_t)(prng_next(p) % bound);
}

#endif
