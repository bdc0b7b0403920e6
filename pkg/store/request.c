/*
 * The one place that knows which struct stands behind a struct store_request.
 */
#include "base/hash.h"
#include "store/store_internal.h"

#include <stdio.h>

void store_request_refuse(struct store_request *r)
{
    struct store_seen *seen = container_of(r, struct store_seen, base);
    struct store_lease_put *lease_put = container_of(r, struct store_lease_put, base);
    struct store_nodes_read *nodes_read = container_of(r, struct store_nodes_read, base);
    struct store_session_put *session_put = container_of(r, struct store_session_put, base);
    struct store_user_read *user_read = container_of(r, struct store_user_read, base);
    struct store_room_put *room_put = container_of(r, struct store_room_put, base);
    struct store_room_read *room_read = container_of(r, struct store_room_read, base);

    assert(!list_is_linked(&r->link));
    switch ((enum store_kind)r->kind) {
    case STORE_KIND_SEEN:
        seen->done(seen, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_LEASE_PUT:
        lease_put->done(lease_put, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_NODES_READ:
        nodes_read->done(nodes_read, STORE_E_UNAVAILABLE, NULL, 0);
        break;
    case STORE_KIND_SESSION_PUT:
        session_put->done(session_put, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_USER_READ:
        user_read->done(user_read, STORE_E_UNAVAILABLE, NULL, 0);
        break;
    case STORE_KIND_ROOM_PUT:
        room_put->done(room_put, STORE_E_UNAVAILABLE);
        break;
    case STORE_KIND_ROOM_READ:
        room_read->done(room_read, STORE_E_UNAVAILABLE, NULL, 0);
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
