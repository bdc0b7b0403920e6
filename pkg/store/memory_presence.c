/*
 * Leases, sessions and rooms in memory. Every entry is a copy with an arena of its own.
 */
#include "base/map.h"
#include "store/memory_internal.h"

struct memory_lease {
    UT_hash_handle hh; /* by lease.node */
    struct store_lease lease;
    uint64_t end_ms;
    struct store_arena arena;
};

struct memory_session {
    UT_hash_handle hh; /* by session.session */
    struct store_session session;
    uint64_t stated_ms;
    struct store_arena arena;
};

struct memory_user {
    UT_hash_handle hh;
    struct memory_session *sessions;
    size_t size;
    char name[];
};

struct memory_room {
    UT_hash_handle hh; /* by name */
    struct slice name;
    struct store_room_part part;
    uint64_t stated_ms;
    struct store_arena arena;
};

/* ---- leases ---- */

static struct memory_lease *lease_free(struct memory_lease *l)
{
    if (!l)
        return NULL;
    store_arena_deinit(&l->arena);
    free(l);
    return NULL;
}
BASE_DEFINE_CLEANUP(struct memory_lease *, lease_free)

static struct memory_lease *lease_find(const struct memory_store *s, struct slice node)
{
    struct memory_lease *found;

    HASH_FIND(hh, s->leases, node.data, node.size, found);
    return found;
}

static void lease_drop(struct memory_store *s, struct memory_lease *l)
{
    HASH_DEL(s->leases, l);
    lease_free(l);
}

/** Whether what this node states is believed. */
static bool is_leased(const struct memory_store *s)
{
    const struct memory_lease *l = lease_find(s, s->node);

    return l && l->lease.incarnation == s->incarnation && l->end_ms > memory_now_ms(s);
}

static struct memory_lease *lease_copy(const struct store_lease *lease)
{
    base_cleanup(lease_free_p)
    struct memory_lease *copy = calloc(1, sizeof(*copy));

    if (!copy)
        return NULL;
    copy->lease = *lease;
    copy->lease.node = store_arena_copy(&copy->arena, slice_from(lease->node)).data;
    copy->lease.version = store_arena_copy(&copy->arena, slice_from(lease->version)).data;
    copy->lease.internal = store_arena_copy(&copy->arena, slice_from(lease->internal)).data;
    if (!copy->lease.node || !copy->lease.version || !copy->lease.internal)
        return NULL;
    return base_take(copy);
}

/** Return: 0, STORE_E_TAKEN, or STORE_E_UNAVAILABLE when out of memory. */
int memory_lease_set(struct memory_store *s, const struct store_lease *lease)
{
    struct memory_lease *old = lease_find(s, slice_from(lease->node)), *added;

    if (old && old->lease.incarnation != lease->incarnation && old->end_ms > memory_now_ms(s))
        return STORE_E_TAKEN;
    added = lease_copy(lease);
    if (!added)
        return STORE_E_UNAVAILABLE;
    added->end_ms = memory_now_ms(s) + lease->lease_ms;
    if (old)
        lease_drop(s, old);
    HASH_ADD_KEYPTR(hh, s->leases, added->lease.node, strlen(added->lease.node), added);
    if (MAP_ADDED(added))
        return 0;
    lease_free(added);
    return STORE_E_UNAVAILABLE;
}

void memory_release_run(struct memory_store *s)
{
    base_cleanup(base_free_p)
    char *node = base_take(s->release_node);
    struct memory_lease *l = lease_find(s, slice_from(node));

    if (l && l->lease.incarnation == s->release_incarnation)
        lease_drop(s, l);
}

void memory_nodes_read_run(struct memory_store *s, struct store_nodes_read *r)
{
    base_cleanup(base_free_p)
    struct store_lease *leases = calloc(STORE_NODES_MAX, sizeof(*leases));
    struct memory_lease *l, *next;
    size_t count = 0;

    if (!leases) {
        r->done(r, STORE_E_UNAVAILABLE, NULL, 0);
        return;
    }
    HASH_ITER (hh, s->leases, l, next) {
        int64_t left_ms = (int64_t)(l->end_ms - memory_now_ms(s));

        if (left_ms < -STORE_ENDED_KEPT_MS) {
            lease_drop(s, l);
        } else if (count < STORE_NODES_MAX) {
            leases[count] = l->lease;
            leases[count].lease_left_ms = left_ms;
            leases[count++].is_alive = left_ms > 0;
        }
    }
    r->done(r, 0, leases, count);
}

/* ---- sessions ---- */

static struct memory_session *session_free(struct memory_session *m)
{
    if (!m)
        return NULL;
    store_arena_deinit(&m->arena);
    free(m);
    return NULL;
}
BASE_DEFINE_CLEANUP(struct memory_session *, session_free)

static void session_drop(struct memory_user *user, struct memory_session *m)
{
    HASH_DEL(user->sessions, m);
    session_free(m);
}

static struct memory_user *user_find(const struct memory_store *s, struct slice name)
{
    struct memory_user *found;

    HASH_FIND(hh, s->users, name.data, name.size, found);
    return found;
}

/** The user, made if there is none; NULL when out of memory. */
static struct memory_user *user_get(struct memory_store *s, struct slice name)
{
    struct memory_user *user = user_find(s, name);

    if (user)
        return user;
    user = calloc(1, sizeof(*user) + name.size);
    if (!user)
        return NULL;
    user->size = name.size;
    memcpy(user->name, name.data, name.size);
    HASH_ADD_KEYPTR(hh, s->users, user->name, user->size, user);
    if (MAP_ADDED(user))
        return user;
    free(user);
    return NULL;
}

/** Frees a user without sessions. */
static void user_settle(struct memory_store *s, struct memory_user *user)
{
    if (user->sessions)
        return;
    HASH_DEL(s->users, user);
    free(user);
}

static struct memory_session *session_copy(const struct store_session *session)
{
    base_cleanup(session_free_p)
    struct memory_session *copy = calloc(1, sizeof(*copy));

    if (!copy)
        return NULL;
    copy->session.since_ms = session->since_ms;
    copy->session.session = store_arena_copy(&copy->arena, session->session);
    if (slice_is_set(session->device))
        copy->session.device = store_arena_copy(&copy->arena, session->device);
    if (!slice_is_set(copy->session.session) || slice_is_set(copy->session.device) != slice_is_set(session->device))
        return NULL;
    return base_take(copy);
}

/** Return: 0, STORE_E_UNAVAILABLE. */
static int session_set(struct memory_store *s, struct memory_user *user, const struct store_session *session)
{
    struct memory_session *old, *added = session_copy(session);

    if (!added)
        return STORE_E_UNAVAILABLE;
    added->stated_ms = memory_now_ms(s);
    HASH_FIND(hh, user->sessions, session->session.data, session->session.size, old);
    if (old)
        session_drop(user, old);
    HASH_ADD_KEYPTR(hh, user->sessions, added->session.session.data, added->session.session.size, added);
    if (MAP_ADDED(added))
        return 0;
    session_free(added);
    return STORE_E_UNAVAILABLE;
}

int memory_session_put_run(struct memory_store *s, const struct store_session_put *r)
{
    struct memory_user *user = r->is_end ? user_find(s, r->session.user) : user_get(s, r->session.user);
    struct memory_session *m;
    int result = 0;

    if (!user)
        return r->is_end ? 0 : STORE_E_UNAVAILABLE;
    if (r->is_end) {
        HASH_FIND(hh, user->sessions, r->session.session.data, r->session.session.size, m);
        if (m)
            session_drop(user, m);
    } else {
        result = session_set(s, user, &r->session);
    }
    user_settle(s, user);
    return result;
}

void memory_user_read_run(struct memory_store *s, struct store_user_read *r)
{
    struct memory_user *user = user_find(s, r->user);
    base_cleanup(base_free_p)
    struct store_session *sessions = calloc(STORE_SESSIONS_MAX, sizeof(*sessions));
    struct memory_session *m, *next;
    size_t count = 0;

    if (!sessions) {
        r->done(r, STORE_E_UNAVAILABLE, NULL, 0);
        return;
    }
    if (user && is_leased(s)) {
        HASH_ITER (hh, user->sessions, m, next) {
            if (memory_now_ms(s) - m->stated_ms > s->expiry_ms) {
                session_drop(user, m);
            } else if (count < STORE_SESSIONS_MAX) {
                sessions[count] = m->session;
                sessions[count].user = r->user;
                sessions[count++].node = s->node;
            }
        }
        user_settle(s, user);
    }
    r->done(r, 0, sessions, count);
}

/* ---- rooms ---- */

static struct memory_room *room_free(struct memory_room *room)
{
    if (!room)
        return NULL;
    store_arena_deinit(&room->arena);
    free(room);
    return NULL;
}
BASE_DEFINE_CLEANUP(struct memory_room *, room_free)

static struct memory_room *room_find(const struct memory_store *s, struct slice name)
{
    struct memory_room *found;

    HASH_FIND(hh, s->rooms, name.data, name.size, found);
    return found;
}

static void room_drop(struct memory_store *s, struct memory_room *room)
{
    HASH_DEL(s->rooms, room);
    room_free(room);
}

static struct memory_room *room_copy(const struct store_room_put *r)
{
    base_cleanup(room_free_p)
    struct memory_room *room = calloc(1, sizeof(*room));
    struct slice *names;

    if (!room)
        return NULL;
    room->name = store_arena_copy(&room->arena, r->room);
    names = store_arena_take(&room->arena, (r->name_count + 1) * sizeof(*names));
    if (!slice_is_set(room->name) || !names)
        return NULL;
    for (size_t i = 0; i < r->name_count; i++) {
        names[i] = store_arena_copy(&room->arena, r->names[i]);
        if (!slice_is_set(names[i]))
            return NULL;
    }
    room->part = (struct store_room_part){
        .connections = r->connections, .users = r->users, .names = names, .name_count = r->name_count};
    return base_take(room);
}

int memory_room_put_run(struct memory_store *s, const struct store_room_put *r)
{
    struct memory_room *old = room_find(s, r->room), *added = NULL;

    if (r->connections > 0) {
        added = room_copy(r);
        if (!added)
            return STORE_E_UNAVAILABLE;
        added->part.node = s->node;
        added->stated_ms = memory_now_ms(s);
    }
    if (old)
        room_drop(s, old);
    if (!added)
        return 0;
    HASH_ADD_KEYPTR(hh, s->rooms, added->name.data, added->name.size, added);
    if (MAP_ADDED(added))
        return 0;
    room_free(added);
    return STORE_E_UNAVAILABLE;
}

void memory_room_read_run(struct memory_store *s, struct store_room_read *r)
{
    struct memory_room *room = room_find(s, r->room);
    struct store_room_part part = {0};

    if (room && memory_now_ms(s) - room->stated_ms > s->expiry_ms) {
        room_drop(s, room);
        room = NULL;
    }
    if (!room || !is_leased(s)) {
        r->done(r, 0, &part, 0);
        return;
    }
    part = room->part;
    if (!r->with_names) {
        part.names = NULL;
        part.name_count = 0;
    }
    r->done(r, 0, &part, 1);
}

void memory_presence_clear(struct memory_store *s)
{
    struct memory_session *session, *next_session;
    struct memory_lease *lease, *next_lease;
    struct memory_user *user, *next_user;
    struct memory_room *room, *next_room;

    HASH_ITER (hh, s->leases, lease, next_lease) {
        lease_drop(s, lease);
    }
    HASH_ITER (hh, s->users, user, next_user) {
        HASH_ITER (hh, user->sessions, session, next_session) {
            session_drop(user, session);
        }
        user_settle(s, user);
    }
    HASH_ITER (hh, s->rooms, room, next_room) {
        room_drop(s, room);
    }
}
