/*
 * One node's memory as a store. Requests wait in a queue and are carried out, in order, in a later turn, so that
 * callers meet the same order of events as over a network. Entries expire as they do in Redis: by being passed over
 * when read, and dropped then.
 */
#include "store/memory.h"

#include "base/map.h"
#include "store/arena.h"
#include "store/store_internal.h"

#include <stdio.h>

/** An id in a slot. The slot's arena has its memory: a slot goes as a whole. */
struct memory_id {
    UT_hash_handle hh;
    char id[];
};

struct memory_slot {
    uint64_t number; /* of the time it stands for */
    struct memory_id *ids;
    struct store_arena arena;
};

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

struct memory_store {
    struct store base;
    struct list queue;
    struct loop_timer work;
    enum { MEMORY_IDLE, MEMORY_COMING, MEMORY_UP, MEMORY_STOPPED } state;
    uint64_t pending;
    uint64_t since_ms;
    uint64_t incarnation, slot_ms, expiry_ms;
    struct memory_slot slots[STORE_SEEN_SLOTS];
    struct memory_lease *leases;
    struct memory_user *users;
    struct memory_room *rooms;
    struct store_request release; /* of lease_release(), with a copy of its arguments */
    char *release_node;
    uint64_t release_incarnation;
    struct slice node;
    char node_text[];
};

static struct memory_store *memory_store_from(struct store *s)
{
    return container_of(s, struct memory_store, base);
}

static uint64_t now_ms(const struct memory_store *s)
{
    return loop_now_ms(s->base.owner);
}

/* ---- seen ---- */

static void slot_clear(struct memory_slot *slot)
{
    HASH_CLEAR(hh, slot->ids);
    store_arena_deinit(&slot->arena);
}

/** The slot of @number; what stood in its place is over. */
static struct memory_slot *slot_at(struct memory_store *s, uint64_t number)
{
    struct memory_slot *slot = &s->slots[number % STORE_SEEN_SLOTS];

    if (slot->number != number) {
        slot_clear(slot);
        slot->number = number;
    }
    return slot;
}

static bool slot_has(const struct memory_slot *slot, struct slice id)
{
    struct memory_id *found;

    HASH_FIND(hh, slot->ids, id.data, id.size, found);
    return found != NULL;
}

static bool slot_add(struct memory_slot *slot, struct slice id)
{
    struct memory_id *added = store_arena_take(&slot->arena, sizeof(*added) + id.size);

    if (!added)
        return false;
    memcpy(added->id, id.data, id.size);
    HASH_ADD_KEYPTR(hh, slot->ids, added->id, id.size, added);
    return MAP_ADDED(added);
}

static void run_seen(struct memory_store *s, struct store_seen *r)
{
    uint64_t number = now_ms(s) / s->slot_ms + STORE_SEEN_PARTS; /* so that the first has slots before it */
    char digest[STORE_SEEN_DIGEST_BYTES];

    for (size_t i = 0; i < r->count; i++) {
        struct slice id = store_seen_id(r->ids[i], digest);
        bool is_current = slot_has(slot_at(s, number), id);

        r->seen[i] = is_current;
        for (unsigned back = 1; back <= STORE_SEEN_PARTS; back++)
            r->seen[i] |= slot_has(slot_at(s, number - back), id);
        if (!is_current && !slot_add(slot_at(s, number), id)) {
            r->done(r, STORE_E_UNAVAILABLE);
            return;
        }
    }
    r->done(r, 0);
}

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

    return l && l->lease.incarnation == s->incarnation && l->end_ms > now_ms(s);
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
static int lease_set(struct memory_store *s, const struct store_lease *lease)
{
    struct memory_lease *old = lease_find(s, slice_from(lease->node)), *added;

    if (old && old->lease.incarnation != lease->incarnation && old->end_ms > now_ms(s))
        return STORE_E_TAKEN;
    added = lease_copy(lease);
    if (!added)
        return STORE_E_UNAVAILABLE;
    added->end_ms = now_ms(s) + lease->lease_ms;
    if (old)
        lease_drop(s, old);
    HASH_ADD_KEYPTR(hh, s->leases, added->lease.node, strlen(added->lease.node), added);
    if (MAP_ADDED(added))
        return 0;
    lease_free(added);
    return STORE_E_UNAVAILABLE;
}

static void run_release(struct memory_store *s)
{
    base_cleanup(base_free_p)
    char *node = base_take(s->release_node);
    struct memory_lease *l = lease_find(s, slice_from(node));

    if (l && l->lease.incarnation == s->release_incarnation)
        lease_drop(s, l);
}

static void run_nodes_read(struct memory_store *s, struct store_nodes_read *r)
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
        int64_t left_ms = (int64_t)(l->end_ms - now_ms(s));

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
    added->stated_ms = now_ms(s);
    HASH_FIND(hh, user->sessions, session->session.data, session->session.size, old);
    if (old)
        session_drop(user, old);
    HASH_ADD_KEYPTR(hh, user->sessions, added->session.session.data, added->session.session.size, added);
    if (MAP_ADDED(added))
        return 0;
    session_free(added);
    return STORE_E_UNAVAILABLE;
}

static int session_put(struct memory_store *s, const struct store_session_put *r)
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

static void run_user_read(struct memory_store *s, struct store_user_read *r)
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
            if (now_ms(s) - m->stated_ms > s->expiry_ms) {
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

static int room_put(struct memory_store *s, const struct store_room_put *r)
{
    struct memory_room *old = room_find(s, r->room), *added = NULL;

    if (r->connections > 0) {
        added = room_copy(r);
        if (!added)
            return STORE_E_UNAVAILABLE;
        added->part.node = s->node;
        added->stated_ms = now_ms(s);
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

static void run_room_read(struct memory_store *s, struct store_room_read *r)
{
    struct memory_room *room = room_find(s, r->room);
    struct store_room_part part = {0};

    if (room && now_ms(s) - room->stated_ms > s->expiry_ms) {
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

/* ---- the queue ---- */

static void run_request(struct memory_store *s, struct store_request *r)
{
    struct store_lease_put *lease = container_of(r, struct store_lease_put, base);
    struct store_session_put *session = container_of(r, struct store_session_put, base);
    struct store_room_put *room = container_of(r, struct store_room_put, base);

    switch ((enum store_kind)r->kind) {
    case STORE_KIND_SEEN:
        run_seen(s, container_of(r, struct store_seen, base));
        break;
    case STORE_KIND_LEASE_PUT:
        lease->done(lease, lease_set(s, &lease->lease));
        break;
    case STORE_KIND_NODES_READ:
        run_nodes_read(s, container_of(r, struct store_nodes_read, base));
        break;
    case STORE_KIND_SESSION_PUT:
        session->done(session, session_put(s, session));
        break;
    case STORE_KIND_USER_READ:
        run_user_read(s, container_of(r, struct store_user_read, base));
        break;
    case STORE_KIND_ROOM_PUT:
        room->done(room, room_put(s, room));
        break;
    case STORE_KIND_ROOM_READ:
        run_room_read(s, container_of(r, struct store_room_read, base));
        break;
    case STORE_KIND_RELEASE:
        run_release(s);
        break;
    case STORE_KINDS:
        break;
    }
}

static void tell_state(struct memory_store *s)
{
    struct store_status status;

    if (!s->base.callbacks.on_state)
        return;
    store_status(&s->base, &status);
    s->base.callbacks.on_state(s->base.callbacks.userdata, &status);
}

/** What waits now; what callbacks add has a later turn. */
static void on_work(void *userdata)
{
    struct memory_store *s = userdata;
    struct list waiting;
    struct list *it;

    if (s->state == MEMORY_COMING) {
        s->state = MEMORY_UP;
        s->since_ms = now_ms(s);
        tell_state(s);
    }
    list_init(&waiting);
    list_splice(&waiting, &s->queue);
    while ((it = list_pop(&waiting))) {
        struct store_request *r = container_of(it, struct store_request, link);

        s->pending--;
        if (r->is_refused || s->state != MEMORY_UP)
            store_request_refuse(r);
        else
            run_request(s, r);
    }
}

static void submit(struct store *base, struct store_request *r, enum store_kind kind)
{
    struct memory_store *s = memory_store_from(base);

    assert(loop_is_current(base->owner));
    r->kind = kind;
    r->is_refused = s->state != MEMORY_UP;
    list_append(&s->queue, &r->link);
    s->pending++;
    if (!loop_timer_is_pending(&s->work))
        loop_timer_start(&s->work, 0);
}

/* ---- the interface ---- */

static int memory_start(struct store *base)
{
    struct memory_store *s = memory_store_from(base);

    assert(s->state == MEMORY_IDLE);
    s->state = MEMORY_COMING;
    loop_timer_start(&s->work, 0);
    return 0;
}

static void memory_seen(struct store *s, struct store_seen *r)
{
    assert(r->count > 0 && r->count <= STORE_SEEN_MAX);
    submit(s, &r->base, STORE_KIND_SEEN);
}

static void memory_lease_put(struct store *s, struct store_lease_put *r)
{
    submit(s, &r->base, STORE_KIND_LEASE_PUT);
}

static void memory_lease_release(struct store *base, const char *node, uint64_t incarnation)
{
    struct memory_store *s = memory_store_from(base);

    if (list_is_linked(&s->release.link))
        return;
    free(s->release_node);
    s->release_node = strdup(node);
    s->release_incarnation = incarnation;
    if (s->release_node) /* else it ends by itself */
        submit(base, &s->release, STORE_KIND_RELEASE);
}

static void memory_nodes_read(struct store *s, struct store_nodes_read *r)
{
    submit(s, &r->base, STORE_KIND_NODES_READ);
}

static void memory_session_put(struct store *s, struct store_session_put *r)
{
    submit(s, &r->base, STORE_KIND_SESSION_PUT);
}

static void memory_user_read(struct store *s, struct store_user_read *r)
{
    submit(s, &r->base, STORE_KIND_USER_READ);
}

static void memory_room_put(struct store *s, struct store_room_put *r)
{
    assert(r->name_count <= STORE_ROOM_NAMES_MAX);
    submit(s, &r->base, STORE_KIND_ROOM_PUT);
}

static void memory_room_read(struct store *s, struct store_room_read *r)
{
    submit(s, &r->base, STORE_KIND_ROOM_READ);
}

static void memory_status(struct store *base, struct store_status *ret_status)
{
    struct memory_store *s = memory_store_from(base);
    struct store_status status = {.is_up = s->state == MEMORY_UP, .since_ms = s->since_ms, .pending = s->pending};

    (void)snprintf(status.server, sizeof(status.server), "memory");
    *ret_status = status;
}

static void memory_stop(struct store *base)
{
    struct memory_store *s = memory_store_from(base);

    s->state = MEMORY_STOPPED;
    while (!list_is_empty(&s->queue)) /* callbacks may ask again; whoever always does, never ends */
        on_work(s);
    loop_timer_deinit(&s->work);
}

static struct store *memory_free(struct store *base)
{
    struct memory_store *s = memory_store_from(base);
    struct memory_session *session, *next_session;
    struct memory_lease *lease, *next_lease;
    struct memory_user *user, *next_user;
    struct memory_room *room, *next_room;

    memory_stop(base);
    assert(s->pending == 0);
    for (size_t i = 0; i < STORE_SEEN_SLOTS; i++)
        slot_clear(&s->slots[i]);
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
    free(s->release_node);
    free(s);
    return NULL;
}

static const struct store_ops memory_ops = {
    .name = "memory",
    .start = memory_start,
    .seen = memory_seen,
    .lease_put = memory_lease_put,
    .lease_release = memory_lease_release,
    .nodes_read = memory_nodes_read,
    .session_put = memory_session_put,
    .user_read = memory_user_read,
    .room_put = memory_room_put,
    .room_read = memory_room_read,
    .status = memory_status,
    .stop = memory_stop,
    .free = memory_free,
};

int memory_store_new(struct loop *owner, const struct store_identity *identity, struct store **ret_store)
{
    size_t node_size = strlen(identity->node);
    struct memory_store *s = calloc(1, sizeof(*s) + node_size + 1);
    uint64_t slot_ms = (identity->seen_window_ms + STORE_SEEN_PARTS - 1) / STORE_SEEN_PARTS;

    if (!s)
        return -ENOMEM;
    s->base = (struct store){.ops = &memory_ops, .owner = owner};
    s->incarnation = identity->incarnation;
    s->slot_ms = slot_ms > 0 ? slot_ms : 1;
    s->expiry_ms = identity->expiry_ms;
    memcpy(s->node_text, identity->node, node_size + 1);
    s->node = slice_make(s->node_text, node_size);
    list_init(&s->queue);
    list_init(&s->release.link);
    loop_timer_init(&s->work, owner, on_work, s);
    *ret_store = &s->base;
    return 0;
}
