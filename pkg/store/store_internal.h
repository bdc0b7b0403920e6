#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"

/**
 * What the backends share: which request stands behind a struct store_request, how one is refused, and how an id is
 * kept.
 */
enum store_kind {
    STORE_KIND_SEEN,
    STORE_KIND_LEASE_PUT,
    STORE_KIND_NODES_READ,
    STORE_KIND_SESSION_PUT,
    STORE_KIND_USER_READ,
    STORE_KIND_ROOM_PUT,
    STORE_KIND_ROOM_READ,
    STORE_KIND_ROOMS_READ,
    STORE_KIND_APPEND,
    STORE_KIND_LOG_READ,
    STORE_KIND_SWEEP,
    STORE_KIND_INTEREST_PUT,
    STORE_KIND_ACK_PUT,
    STORE_KIND_ACK_READ,
    STORE_KIND_LIKES_ADD,
    STORE_KIND_WATCH_ADD,
    STORE_KIND_WATCH_READ,
    STORE_KIND_RELEASE, /* a backend's own, for lease_release(): nobody waits for it */
    STORE_KINDS,
};

/** Answers @r with STORE_E_UNAVAILABLE. It is on no list any more; afterwards it may be gone. */
void store_request_refuse(struct store_request *r);

/** The caller's side of store_append()'s contract. */
static inline void store_append_check(const struct store_append *r base_unused)
{
    assert(slice_is_set(r->channel) && slice_is_set(r->sender) && slice_is_set(r->key));
    assert(r->key_age_ms > 0 && r->limits->length > 0 && r->limits->age_ms > 0);
}

/** Of store_session_put()'s. */
static inline void store_session_put_check(const struct store_session_put *r base_unused)
{
    assert(r->count > 0 && r->count <= STORE_SESSIONS_PUT_MAX);
}

/** Of store_room_put()'s. */
static inline void store_room_put_check(const struct store_room_put *r base_unused)
{
    assert(r->version > 0 && r->joined_count + r->left_count <= STORE_ROOM_NAMES_MAX);
    assert(r->mode != STORE_ROOM_CONNECTIONS || r->joined_count + r->left_count == 0);
}

/** Of store_rooms_read()'s. */
static inline void store_rooms_read_check(const struct store_rooms_read *r base_unused)
{
    assert(r->limit > 0 && r->limit <= STORE_ROOMS_PAGE_MAX);
}

static inline bool store_position_is_before(struct store_position a, struct store_position b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.offset < b.offset;
}

/** Sessions at most in the answer of a user_read. */
#define STORE_SESSIONS_MAX 1000
/** Nodes at most in the answer of a nodes_read. */
#define STORE_NODES_MAX 1000
/** Entries of nodes whose lease ended longer ago are dropped by readers. */
#define STORE_ENDED_KEPT_MS (60 * 60 * 1000)

/** Bytes of records at most, about, in the answer of one sweep. */
#define STORE_SWEEP_BYTES (4u * 1024 * 1024)

/** Slots a seen window is cut into, and slots looked up: the current and as many before it as make a whole window. */
#define STORE_SEEN_PARTS 2
#define STORE_SEEN_SLOTS (STORE_SEEN_PARTS + 1)

/** Bytes that store_seen_id() may need. */
#define STORE_SEEN_DIGEST_BYTES 34

/**
 * store_seen_id() - the bytes under which an id is remembered
 *
 * The id itself; or, above STORE_SEEN_MAX bytes, a digest of it in @storage. The digest's key is fixed, so that it
 * survives a restart: an adversary could make two ids collide, and so lose the second of his own two messages.
 */
struct slice store_seen_id(struct slice id, char storage[STORE_SEEN_DIGEST_BYTES]);

#endif
