/*
 * The one place that knows which struct stands behind a struct store_request.
 */
#include "base/hash.h"
#include "store/store_internal.h"

#include <stdio.h>

static void refuse_presence(struct store_request *r)
{
    struct store_seen *seen = container_of(r, struct store_seen, base);
    struct store_lease_put *lease_put = container_of(r, struct store_lease_put, base);
    struct store_nodes_read *nodes_read = container_of(r, struct store_nodes_read, base);
    struct store_session_put *session_put = container_of(r, struct store_session_put, base);
    struct store_user_read *user_read = container_of(r, struct store_user_read, base);
    struct store_room_put *room_put = container_of(r, struct store_room_put, base);
    struct store_room_read *room_read = container_of(r, struct store_room_read, base);
    struct store_rooms_read *rooms_read = container_of(r, struct store_rooms_read, base);

    if (r->kind == STORE_KIND_SEEN)
        seen->done(seen, STORE_E_UNAVAILABLE);
    else if (r->kind == STORE_KIND_LEASE_PUT)
        lease_put->done(lease_put, STORE_E_UNAVAILABLE);
    else if (r->kind == STORE_KIND_NODES_READ)
        nodes_read->done(nodes_read, STORE_E_UNAVAILABLE, NULL, 0);
    else if (r->kind == STORE_KIND_SESSION_PUT)
        session_put->done(session_put, STORE_E_UNAVAILABLE);
    else if (r->kind == STORE_KIND_USER_READ)
        user_read->done(user_read, STORE_E_UNAVAILABLE, NULL, 0);
    else if (r->kind == STORE_KIND_ROOM_PUT)
        room_put->done(room_put, STORE_E_UNAVAILABLE);
    else if (r->kind == STORE_KIND_ROOM_READ)
        room_read->done(room_read, STORE_E_UNAVAILABLE, NULL);
    else if (r->kind == STORE_KIND_ROOMS_READ)
        rooms_read->done(rooms_read, STORE_E_UNAVAILABLE, NULL, 0, SLICE_NONE);
}

void store_request_refuse(struct store_request *r)
{
    struct store_append *append = container_of(r, struct store_append, base);
    struct store_log_read *log_read = container_of(r, struct store_log_read, base);
    struct store_sweep *sweep = container_of(r, struct store_sweep, base);
    struct store_interest_put *interest_put = container_of(r, struct store_interest_put, base);
    struct store_ack_put *ack_put = container_of(r, struct store_ack_put, base);
    struct store_ack_read *ack_read = container_of(r, struct store_ack_read, base);
    struct store_watch_add *watch_add = container_of(r, struct store_watch_add, base);
    struct store_watch_read *watch_read = container_of(r, struct store_watch_read, base);
    struct store_likes_add *likes_add = container_of(r, struct store_likes_add, base);
    const struct store_position none = {0};

    assert(!list_is_linked(&r->link));
    switch ((enum store_kind)r->kind) {
    case STORE_KIND_APPEND:
        append->done(append, STORE_E_UNAVAILABLE, NULL, 0);
        break;
    case STORE_KIND_LOG_READ:
        log_read->done(log_read, STORE_E_UNAVAILABLE, none, none, NULL, 0);
        break;
    case STORE_KIND_SWEEP:
        sweep->done(sweep, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_INTEREST_PUT:
        interest_put->done(interest_put, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_ACK_PUT:
        ack_put->done(ack_put, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_ACK_READ:
        ack_read->done(ack_read, STORE_E_UNAVAILABLE, none);
        break;
    case STORE_KIND_LIKES_ADD:
        likes_add->done(likes_add, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_WATCH_ADD:
        watch_add->done(watch_add, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_WATCH_READ:
        watch_read->done(watch_read, STORE_E_UNAVAILABLE, NULL, 0, SLICE_NONE);
        break;
    case STORE_KIND_SEEN:
    case STORE_KIND_LEASE_PUT:
    case STORE_KIND_NODES_READ:
    case STORE_KIND_SESSION_PUT:
    case STORE_KIND_USER_READ:
    case STORE_KIND_ROOM_PUT:
    case STORE_KIND_ROOM_READ:
    case STORE_KIND_ROOMS_READ:
        refuse_presence(r);
        break;
    case STORE_KIND_RELEASE:
    case STORE_KINDS:
        break;
    }
}

struct slice store_seen_id(struct slice id, char storage[STORE_SEEN_DIGEST_BYTES])
{
    if (id.size <= STORE_SEEN_MAX)
        return id;
    /* '#' and 32 digits; the two halves are independent because their keys are. */
    (void)snprintf(storage, STORE_SEEN_DIGEST_BYTES, "#%016llx%016llx",
                   (unsigned long long)hash_bytes_keyed(0x77617272656e2d31, 0x7365656e2d6f6e65, id.data, id.size),
                   (unsigned long long)hash_bytes_keyed(0x77617272656e2d32, 0x7365656e2d74776f, id.data, id.size));
    return slice_make(storage, STORE_SEEN_DIGEST_BYTES - 1);
}
