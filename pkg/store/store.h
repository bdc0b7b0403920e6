#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buffer.h"
#include "loop/loop.h"
#include "store/live.h"
#include "store/log.h"
#include "store/presence.h"
#include "store/request.h"

/**
 * struct store - what the nodes of a cluster know together
 *
 * One interface, two backends: Redis (store/redis/redis_store.h) and one node's memory (store/memory.h); test/contract
 * runs one suite over both. A store has an owner loop (the hub's): functions are called and callbacks arrive there.
 * Requests are embedded in what waits for them, belong to the store until @done is called, and are answered in the
 * order in which they were made (store_append() says where it differs). @done is never called from inside the request's
 * function.
 *
 * What a node states of itself (lease, sessions, rooms) bears its incarnation and expires; readers get only what stands
 * under a living lease of the same incarnation. Times are the store's own clock.
 */
struct store;

struct store_status {
    bool is_up;
    uint64_t since_ms; /* loop_now_ms() of the last change */
    uint64_t life;     /* while up: changes when the server may have come back with less than it had; no epoch from
                          before it is continued */
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
    void (*rooms_read)(struct store *s, struct store_rooms_read *r);
    void (*append)(struct store *s, struct store_append *r);
    void (*log_read)(struct store *s, struct store_log_read *r);
    void (*sweep)(struct store *s, struct store_sweep *r);
    void (*interest_put)(struct store *s, struct store_interest_put *r);
    void (*ack_put)(struct store *s, struct store_ack_put *r);
    void (*ack_read)(struct store *s, struct store_ack_read *r);
    void (*likes_add)(struct store *s, struct store_likes_add *r);
    void (*watch_add)(struct store *s, struct store_watch_add *r);
    void (*watch_read)(struct store *s, struct store_watch_read *r);
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

static inline void store_rooms_read(struct store *s, struct store_rooms_read *r)
{
    s->ops->rooms_read(s, r);
}

static inline void store_append(struct store *s, struct store_append *r)
{
    s->ops->append(s, r);
}

static inline void store_log_read(struct store *s, struct store_log_read *r)
{
    s->ops->log_read(s, r);
}

static inline void store_sweep(struct store *s, struct store_sweep *r)
{
    s->ops->sweep(s, r);
}

static inline void store_interest_put(struct store *s, struct store_interest_put *r)
{
    s->ops->interest_put(s, r);
}

static inline void store_ack_put(struct store *s, struct store_ack_put *r)
{
    s->ops->ack_put(s, r);
}

static inline void store_ack_read(struct store *s, struct store_ack_read *r)
{
    s->ops->ack_read(s, r);
}

static inline void store_likes_add(struct store *s, struct store_likes_add *r)
{
    s->ops->likes_add(s, r);
}

static inline void store_watch_add(struct store *s, struct store_watch_add *r)
{
    s->ops->watch_add(s, r);
}

static inline void store_watch_read(struct store *s, struct store_watch_read *r)
{
    s->ops->watch_read(s, r);
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
