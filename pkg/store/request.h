#ifndef STORE_REQUEST_H
#define STORE_REQUEST_H

#include "base/list.h"
#include "base/slice.h"

/* What all requests have in common, and the idempotency set. Part of store/store.h. */

enum store_result {
    STORE_E_UNAVAILABLE = 1, /* the store is away: nothing is known */
    STORE_E_TAKEN = 2,       /* lease: another living incarnation holds this node id */
};

/** struct store_request - a request's place in its store's queue; all of it is the backend's */
struct store_request {
    struct list link;
    struct list mates; /* appends that travel with this one */
    unsigned kind;
    bool is_refused;
    uint64_t made_us;
};

/** Ids at most in one seen request; bytes at most of one id (longer ones are hashed by the backend). */
#define STORE_SEEN_MAX 1024

/** Which ids were handled by this node before, within the idempotency window; and remember them. Ids are distinct
 * within a request. */
struct store_seen {
    struct store_request base; /* the backend's */
    const struct slice *ids;
    size_t count;
    bool *seen; /* count answers, written before done(0) */
    void (*done)(struct store_seen *r, int result);
};

#endif
