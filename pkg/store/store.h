#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buffer.h"
#include "loop/loop.h"

/**
 * struct store - what the nodes of a cluster know together
 *
 * One interface, two backends: Redis (store/redis/redis_store.h) and one node's memory (store/memory.h); test/contract
 * runs one suite over both. A store has an owner loop (the hub's): functions are called and callbacks arrive there.
 * Requests are embedded in what waits for them, belong to the store until @done is called, and are answered in the
 * order in which they were made. @done is never called from inside the request's function.
 *
 * What a node states of itself (lease, sessions, rooms) bears its incarnation and expires; readers get only what stands
 * under a living lease of the same incarnation. Times are the store's own clock.
 */
struct store;

enum store_result {
    STORE_E_UNAVAILABLE = 1, /* the store is away: nothing is known */
    STORE_E_TAKEN = 2,       /* lease: another living incarnation holds this node id */
};

/** struct store_request - a request's place in its store's queue; all of it is the backend's */
struct store_request {
    struct list link;
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

/** What a node says of itself. Texts are borrowed. */
struct store_lease {
    const char *node;
    uint64_t incarnation;
    uint64_t lease_ms; /* how long this is believed without renewal */
    bool is_cut;       /* no working broker connection */
    bool is_draining;
    uint64_t sessions;
    uint64_t rooms;
    int64_t started_ms;
    const char *version;
    const char *internal; /* address of its internal listener */
    /* of an answer */
    int64_t lease_left_ms; /* negative: ended so long ago */
    bool is_alive;
};

struct store_lease_put {
    struct store_request base;
    struct store_lease lease;
    void (*done)(struct store_lease_put *r, int result); /* 0, STORE_E_UNAVAILABLE, STORE_E_TAKEN */
};

struct store_nodes_read {
    struct store_request base;
    /** @leases (also ended ones, up to an hour) are valid during the call. */
    void (*done)(struct store_nodes_read *r, int result, const struct store_lease *leases, size_t count);
};

/** A user's session on this node, begun or ended. */
struct store_session {
    struct slice user, session, device; /* device: not set if none */
    int64_t since_ms;
    /* of an answer */
    struct slice node;
};

struct store_session_put {
    struct store_request base;
    struct store_session session; /* slices are borrowed until done */
    bool is_end;
    void (*done)(struct store_session_put *r, int result);
};

struct store_user_read {
    struct store_request base;
    struct slice user; /* borrowed until done */
    /** Sessions under living leases; valid during the call. At most 1,000. */
    void (*done)(struct store_user_read *r, int result, const struct store_session *sessions, size_t count);
};

/** This node's part of a room, absolute. connections 0 takes it away. */
struct store_room_put {
    struct store_request base;
    struct slice room; /* borrowed until done, likewise names */
    uint64_t connections;
    uint64_t users;
    const struct slice *names; /* of users here; at most STORE_ROOM_NAMES_MAX */
    size_t name_count;
    void (*done)(struct store_room_put *r, int result);
};
#define STORE_ROOM_NAMES_MAX 500

struct store_room_part {
    struct slice node;
    uint64_t connections, users;
    const struct slice *names;
    size_t name_count;
};

struct store_room_read {
    struct store_request base;
    struct slice room; /* borrowed until done */
    bool with_names;
    /** The parts of living nodes, valid during the call. */
    void (*done)(struct store_room_read *r, int result, const struct store_room_part *parts, size_t count);
};

struct store_status {
    bool is_up;
    uint64_t since_ms; /* loop_now_ms() of the last change */
    uint64_t reconnects;
    uint64_t pending;         /* requests without an answer */
    char server[256];         /* the URL in use, without password */
    char detail[256];         /* last error */
    char eviction_policy[64]; /* maxmemory-policy as read at connection; empty if unknown */
};

struct store_callbacks {
    /** The store came (then what a node states must be stated again) or went. */
    void (*on_state)(void *userdata, const struct store_status *status);
    void *userdata;
};

struct store_ops {
    const char *name; /* "redis", "memory" */
    int (*start)(struct store *s);
    void (*seen)(struct store *s, struct store_seen *r);
    void (*lease_put)(struct store *s, struct store_lease_put *r);
    /** Gives the lease and every stated session count up, on a clean end; fire and forget. */
    void (*lease_release)(struct store *s, const char *node, uint64_t incarnation);
    void (*nodes_read)(struct store *s, struct store_nodes_read *r);
    void (*session_put)(struct store *s, struct store_session_put *r);
    void (*user_read)(struct store *s, struct store_user_read *r);
    void (*room_put)(struct store *s, struct store_room_put *r);
    void (*room_read)(struct store *s, struct store_room_read *r);
    void (*status)(struct store *s, struct store_status *ret_status);
    /** Flushes for at most 1 s, then ends; open requests get STORE_E_UNAVAILABLE before it returns. */
    void (*stop)(struct store *s);
    struct store *(*free)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    struct loop *owner;
    struct store_callbacks callbacks;
};

/** Begins to connect; never blocks; a store that is away is not an error. Set s->callbacks before. */
static inline int store_start(struct store *s)
{
    return s->ops->start(s);
}

/* Each answers with STORE_E_UNAVAILABLE (in a later turn) while the store is away or when its queue of
 * store_config.max_pending is full. */
static inline void store_seen(struct store *s, struct store_seen *r)
{
    s->ops->seen(s, r);
}

static inline void store_lease_put(struct store *s, struct store_lease_put *r)
{
    s->ops->lease_put(s, r);
}

static inline void store_lease_release(struct store *s, const char *node, uint64_t incarnation)
{
    s->ops->lease_release(s, node, incarnation);
}

static inline void store_nodes_read(struct store *s, struct store_nodes_read *r)
{
    s->ops->nodes_read(s, r);
}

static inline void store_session_put(struct store *s, struct store_session_put *r)
{
    s->ops->session_put(s, r);
}

static inline void store_user_read(struct store *s, struct store_user_read *r)
{
    s->ops->user_read(s, r);
}

static inline void store_room_put(struct store *s, struct store_room_put *r)
{
    s->ops->room_put(s, r);
}

static inline void store_room_read(struct store *s, struct store_room_read *r)
{
    s->ops->room_read(s, r);
}

static inline void store_status(struct store *s, struct store_status *ret_status)
{
    s->ops->status(s, ret_status);
}

static inline void store_stop(struct store *s)
{
    s->ops->stop(s);
}

static inline struct store *store_free(struct store *s)
{
    return s ? s->ops->free(s) : NULL;
}

/** Who this node is, for every backend. */
struct store_identity {
    const char *node; /* "<ip>:<port>", borrowed for the store's life */
    uint64_t incarnation;
    uint64_t seen_window_ms; /* ids are remembered at least this long */
    uint64_t expiry_ms;      /* what is stated and not restated is gone after this */
};

#endif
