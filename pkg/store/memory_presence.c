/*
 * Leases and sessions in memory, each a copy: of sessions, which are many, one allocation each; of leases with an arena
 * of its own. Rooms are in memory_room.c.
 */
#include "base/map.h"
#include "store/memory_internal.h"

struct memory_lease {
    UT_hash_handle hh; /* by lease.node */
    struct store_lease lease;
    uint64_t end_ms;
    struct store_arena arena;
};

/** There may be very many of these two. */
struct memory_session {
    struct list link; /* user->sessions */
    struct memory_user *user;
    int64_t since_ms;
    uint64_t stated_ms;
    uint8_t device_size;
    uint8_t id_size;
    char text[]; /* the id, by which s->sessions finds it, then the device */
};

struct memory_user {
    struct list sessions;
    uint8_t size;
    char name[]; /* by which s->users finds it */
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

bool memory_is_leased(const struct memory_store *s)
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

static bool is_replaced(const struct memory_lease *old, const struct store_lease_put *put)
{
    return put->takes_over && old->lease.started_ms < put->lease.started_ms;
}

/** Return: 0, STORE_E_TAKEN, or STORE_E_UNAVAILABLE when out of memory. */
int memory_lease_set(struct memory_store *s, const struct store_lease_put *put)
{
    const struct store_lease *lease = &put->lease;
    struct memory_lease *old = lease_find(s, slice_from(lease->node)), *added;

    if (old && old->lease.incarnation != lease->incarnation && old->end_ms > memory_now_ms(s) && !is_replaced(old, put))
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

static struct slice session_id(const void *object)
{
    const struct memory_session *m = object;

    return slice_make(m->text, m->id_size);
}

static struct slice user_name(const void *object)
{
    const struct memory_user *user = object;

    return slice_make(user->name, user->size);
}

void memory_presence_init(struct memory_store *s)
{
    s->sessions = TABLE_OF(session_id);
    s->users = TABLE_OF(user_name);
}

/** The user, made if there is none; NULL when out of memory. */
static struct memory_user *user_get(struct memory_store *s, struct slice name)
{
    struct memory_user *user = table_find(&s->users, name);

    assert(name.size <= UINT8_MAX);
    if (user)
        return user;
    user = calloc(1, sizeof(*user) + name.size);
    if (!user)
        return NULL;
    list_init(&user->sessions);
    user->size = (uint8_t)name.size;
    memcpy(user->name, name.data, name.size);
    if (table_add(&s->users, user) == 0)
        return user;
    free(user);
    return NULL;
}

/** Frees a user without sessions. */
static void user_settle(struct memory_store *s, struct memory_user *user)
{
    if (!list_is_empty(&user->sessions))
        return;
    table_remove(&s->users, user);
    free(user);
}

/** Its user may go with it. */
static void session_drop(struct memory_store *s, struct memory_session *m)
{
    struct memory_user *user = m->user;

    table_remove(&s->sessions, m);
    list_remove(&m->link);
    free(m);
    user_settle(s, user);
}

static struct memory_session *session_new(struct memory_user *user, const struct store_session *session)
{
    struct slice id = session->session, device = session->device;
    struct memory_session *m = malloc(sizeof(*m) + id.size + device.size);

    assert(id.size <= UINT8_MAX && device.size <= UINT8_MAX);
    if (!m)
        return NULL;
    *m = (struct memory_session){
        .user = user, .since_ms = session->since_ms, .id_size = (uint8_t)id.size, .device_size = (uint8_t)device.size};
    memcpy(m->text, id.data, id.size);
    if (device.size > 0)
        memcpy(m->text + id.size, device.data, device.size);
    return m;
}

static struct slice session_device(const struct memory_session *m)
{
    return m->device_size ? slice_make(m->text + m->id_size, m->device_size) : SLICE_NONE;
}

static bool is_same(const struct memory_session *m, const struct store_session *session)
{
    return m->since_ms == session->since_ms && slice_equal(user_name(m->user), session->user) &&
           slice_equal(session_device(m), session->device);
}

/** Return: 0, STORE_E_UNAVAILABLE. */
static int session_set(struct memory_store *s, const struct store_session *session)
{
    struct memory_session *m = table_find(&s->sessions, session->session);
    struct memory_user *user;

    if (m && is_same(m, session)) {
        m->stated_ms = memory_now_ms(s);
        return 0;
    }
    if (m)
        session_drop(s, m);
    user = user_get(s, session->user);
    if (!user)
        return STORE_E_UNAVAILABLE;
    m = session_new(user, session);
    if (!m || table_add(&s->sessions, m) < 0) {
        free(m);
        user_settle(s, user);
        return STORE_E_UNAVAILABLE;
    }
    m->stated_ms = memory_now_ms(s);
    list_append(&user->sessions, &m->link);
    return 0;
}

static void session_end(struct memory_store *s, struct slice id)
{
    struct memory_session *m = table_find(&s->sessions, id);

    if (m)
        session_drop(s, m);
}

void memory_session_put_run(struct memory_store *s, struct store_session_put *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct store_session_item *item = &r->items[i];

        item->result = 0;
        if (item->is_end)
            session_end(s, item->session.session);
        else
            item->result = session_set(s, &item->session);
    }
}

static size_t user_list(struct memory_store *s, struct memory_user *user, struct store_session *sessions)
{
    size_t count = 0;

    list_for_each (it, &user->sessions) {
        const struct memory_session *m = container_of(it, struct memory_session, link);

        if (count == STORE_SESSIONS_MAX)
            break;
        if (memory_now_ms(s) - m->stated_ms > s->expiry_ms)
            continue;
        sessions[count++] = (struct store_session){
            .user = user_name(user),
            .session = session_id(m),
            .device = session_device(m),
            .node = s->node,
            .since_ms = m->since_ms,
        };
    }
    return count;
}

static void user_expire(struct memory_store *s, struct memory_user *user)
{
    list_for_each_safe (it, &user->sessions) {
        struct memory_session *m = container_of(it, struct memory_session, link);
        bool is_last = user->sessions.next == user->sessions.previous;

        if (memory_now_ms(s) - m->stated_ms <= s->expiry_ms)
            continue;
        session_drop(s, m);
        if (is_last)
            return; /* the user went with it */
    }
}

void memory_user_read_run(struct memory_store *s, struct store_user_read *r)
{
    struct memory_user *user = table_find(&s->users, r->user);
    base_cleanup(base_free_p)
    struct store_session *sessions = calloc(STORE_SESSIONS_MAX, sizeof(*sessions));
    size_t count = 0;

    if (!sessions) {
        r->done(r, STORE_E_UNAVAILABLE, NULL, 0);
        return;
    }
    if (user && memory_is_leased(s))
        count = user_list(s, user, sessions);
    r->done(r, 0, sessions, count); /* @r may be gone now; the user is not, for requests only queue what they change */
    if (user)
        user_expire(s, user);
}

void memory_presence_clear(struct memory_store *s)
{
    struct memory_lease *lease, *next_lease;
    size_t position = 0;
    void *object;

    HASH_ITER (hh, s->leases, lease, next_lease) {
        lease_drop(s, lease);
    }
    while ((object = table_next(&s->sessions, &position)))
        free(object);
    table_deinit(&s->sessions);
    for (position = 0; (object = table_next(&s->users, &position));)
        free(object);
    table_deinit(&s->users);
    memory_rooms_clear(s);
}
