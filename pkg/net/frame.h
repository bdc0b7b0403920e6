#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "base/slice.h"

/** What becomes of a frame whose reader is slow. */
enum net_frame_class {
    NET_FRAME_MUST,   /* it is sent, or the stream ends */
    NET_FRAME_LATEST, /* once the reader is behind, a newer one of the same tag takes its place, unless it was begun */
    NET_FRAME_DROP_OLDEST, /* beyond the share of the queue that such frames have, the oldest of them go */
};

/**
 * struct net_frame - bytes ready for the wire, hung by reference on many connections of one loop
 *
 * Counted without atomics: a frame never leaves its loop. Immutable once queued. Its class and age are its own and not
 * its places in queues', so they cost nothing per listener.
 */
struct net_frame {
    uint32_t refs;
    uint32_t size;
    uint32_t born_ms; /* loop_now_ms() when it was first queued, cut to 32 bits; 0: not yet */
    uint8_t delivery; /* enum net_frame_class */
    uint64_t tag;     /* of NET_FRAME_LATEST: what it is the latest of */
    char data[];
};

/** @size bytes to fill in, of NET_FRAME_MUST, one reference; NULL when out of memory or above 2^31. */
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
