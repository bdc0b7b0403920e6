#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "base/slice.h"

/**
 * struct net_frame - bytes ready for the wire, hung by reference on many connections of one loop
 *
 * Counted without atomics: a frame never leaves its loop. Immutable once queued.
 */
struct net_frame {
    uint32_t refs;
    uint32_t size;
    char data[];
};

/** @size bytes to fill in, one reference; NULL when out of memory or above 2^31. */
struct net_frame *net_frame_new(size_t size) base_must_check;
static inline struct net_frame *net_frame_ref(struct net_frame *f)
{
    f->refs++;
    return f;
}
/** Accepts NULL, returns NULL. */
struct net_frame *net_frame_unref(struct net_frame *f);

BASE_DEFINE_CLEANUP(struct net_frame *, net_frame_unref)

#endif
