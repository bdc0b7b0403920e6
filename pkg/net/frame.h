#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "base/slice.h"

/** What becomes of a frame whose reader is slow. */
enum net_frame_class {
    NET_FRAME_MUST, /* it is sent, or the stream ends */
    /* Once the reader is behind, it goes when a newer one of its tag comes, unless it was begun. The newer one is
     * queued at the end: what waited between the two stays in front of it. */
    NET_FRAME_LATEST,
    NET_FRAME_DROP_OLDEST, /* beyond the share of the queue that such frames have, the oldest of them go */
    NET_FRAME_GAP,         /* the queue's own: stands for frames with a place that were left out */
};

/** struct net_place - the numbers of a series that a frame brings, or (of a NET_FRAME_GAP) that were left out */
struct net_place {
    uint64_t epoch, from, to;
    struct slice series;
    char text[];
};

/**
 * struct net_frame - bytes ready for the wire, hung by reference on many connections of one loop
 *
 * It may hold several of the owner's frames, if they are sent or given up together. Counted without atomics: a frame
 * never leaves its loop. Immutable once queued. Its class and age are its own and not
 * its places in queues', so they cost nothing per listener.
 */
struct net_frame {
    uint32_t refs;
    uint32_t size;
    uint32_t born_ms;        /* loop_now_ms() when it was first queued, cut to 32 bits; 0: not yet */
    uint8_t delivery;        /* enum net_frame_class */
    uint16_t count;          /* of the owner's frames that it is made of, for statistics */
    uint64_t tag;            /* of NET_FRAME_LATEST: what it is the latest of */
    struct net_place *place; /* NULL: nobody misses it. Else what is left out is told, see net_stream_ops.gap */
    char data[];
};

/** @size bytes to fill in, of NET_FRAME_MUST, one reference; NULL when out of memory or above 2^31. */
struct net_frame *net_frame_new(size_t size) base_must_check;
/** Where a frame that nobody has queued yet stands; @series is copied. Return: 0, -ENOMEM. */
int net_frame_set_place(struct net_frame *f, struct slice series, uint64_t epoch, uint64_t from,
                        uint64_t to) base_must_check;
static inline struct net_frame *net_frame_ref(struct net_frame *f)
{
    f->refs++;
    return f;
}
/** Accepts NULL, returns NULL. */
struct net_frame *net_frame_unref(struct net_frame *f);

BASE_DEFINE_CLEANUP(struct net_frame *, net_frame_unref)

#endif
