/*
 * Rooms in memory: who is in each, as this node stated it, for there is no other.
 */
#include "base/map.h"
#include "store/memory_internal.h"

#include <stdio.h>

struct memory_member {
    uint8_t size;
    char name[]; /* by which the room finds it */
};

struct memory_room {
    UT_hash_handle hh; /* by name; walked in the order of their numbers */
    uint64_t number;
    struct table members;
    uint64_t connections, version, stated_ms, told_ms;
    bool was_told;
    size_t size;
    char name[];
};

static struct slice member_key(const void *object)
{
    const struct memory_member *m = object;

    return slice_make(m->name, m->size);
}

static void members_clear(struct memory_room *room)
{
    size_t position = 0;
    void *object;

    while ((object = table_next(&room->members, &position)))
        free(object);
    table_deinit(&room->members);
    room->members = TABLE_OF(member_key);
}

static struct memory_room *room_find(const struct memory_store *s, struct slice name)
{
    struct memory_room *found;

    HASH_FIND(hh, s->rooms, name.data, name.size, found);
    return found;
}

static void room_drop(struct memory_store *s, struct memory_room *room)
{
    HASH_DEL(s->rooms, room);
    members_clear(room);
    free(room);
}

static struct memory_room *room_new(struct memory_store *s, struct slice name)
{
    struct memory_room *room = calloc(1, sizeof(*room) + name.size);

    if (!room)
        return NULL;
    room->members = TABLE_OF(member_key);
    room->size = name.size;
    memcpy(room->name, name.data, name.size);
    HASH_ADD_KEYPTR(hh, s->rooms, room->name, room->size, room);
    if (MAP_ADDED(room)) {
        room->number = ++s->last_room;
        return room;
    }
    free(room);
    return NULL;
}

static int member_add(struct memory_room *room, struct slice name)
{
    struct memory_member *m;

    if (table_find(&room->members, name))
        return 0;
    m = malloc(sizeof(*m) + name.size);
    if (!m)
        return -ENOMEM;
    m->size = (uint8_t)name.size;
    memcpy(m->name, name.data, name.size);
    if (table_add(&room->members, m) == 0)
        return 0;
    free(m);
    return -ENOMEM;
}

static void member_drop(struct memory_room *room, struct slice name)
{
    struct memory_member *m = table_find(&room->members, name);

    if (!m)
        return;
    table_remove(&room->members, m);
    free(m);
}

static bool room_is_stated(const struct memory_store *s, const struct memory_room *room)
{
    return memory_now_ms(s) - room->stated_ms <= s->expiry_ms;
}

/** The room, unless nobody stated it for too long. */
static struct memory_room *room_living(struct memory_store *s, struct slice name)
{
    struct memory_room *room = room_find(s, name);

    if (!room || room_is_stated(s, room))
        return room;
    room_drop(s, room);
    return NULL;
}

static uint64_t room_users(const struct memory_room *room, enum store_room_mode mode)
{
    return mode == STORE_ROOM_CONNECTIONS ? room->connections : room->members.count;
}

static void room_answer(struct memory_store *s, struct store_room_put *r, struct memory_room *room)
{
    uint64_t now_ms = memory_now_ms(s);

    r->all_connections = room->connections;
    r->all_users = room_users(room, r->mode);
    r->may_tell = r->wants_to_tell && (!room->was_told || now_ms - room->told_ms >= r->tell_interval_ms);
    r->wait_ms = r->may_tell || !room->was_told ? 0 : room->told_ms + r->tell_interval_ms - now_ms;
    if (room->was_told && now_ms - room->told_ms >= r->tell_interval_ms)
        r->wait_ms = 0;
    if (r->may_tell) {
        room->was_told = true;
        room->told_ms = now_ms;
    }
    if (!r->connections)
        room_drop(s, room);
}

/** Without memory it is as if the statement were lost: the next one is behind. */
int memory_room_put_run(struct memory_store *s, struct store_room_put *r)
{
    struct memory_room *room = room_living(s, r->room);
    int result = 0;

    r->may_tell = false;
    r->is_behind = !r->is_first && (!room || room->version + 1 != r->version);
    if (r->is_behind)
        return 0;
    if (!room && !(room = room_new(s, r->room)))
        return STORE_E_UNAVAILABLE;
    if (r->is_first)
        members_clear(room);
    for (size_t i = 0; i < r->joined_count && !result; i++)
        result = member_add(room, r->joined[i]);
    for (size_t i = 0; i < r->left_count; i++)
        member_drop(room, r->left[i]);
    if (result) {
        room_drop(s, room);
        return STORE_E_UNAVAILABLE;
    }
    if (r->is_news)
        memset(r->is_news, true, (r->joined_count + r->left_count) * sizeof(*r->is_news));
    room->version = r->version;
    room->connections = r->connections;
    room->stated_ms = memory_now_ms(s);
    room_answer(s, r, room);
    return 0;
}

static int slice_compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);

    if (order)
        return order;
    return x->size < y->size ? -1 : x->size > y->size;
}

/** All names, sorted; *ret_first is the first one behind @after. */
static struct slice *room_names(const struct memory_room *room, struct slice after, size_t *ret_first)
{
    struct slice *names = malloc((room->members.count + 1) * sizeof(*names));
    size_t count = 0, position = 0, first = 0;
    const struct memory_member *m;

    if (!names)
        return NULL;
    while ((m = table_next(&room->members, &position)))
        names[count++] = slice_make(m->name, m->size);
    if (count)
        qsort(names, count, sizeof(*names), slice_compare);
    while (slice_is_set(after) && first < count && slice_compare(&names[first], &after) <= 0)
        first++;
    *ret_first = first;
    return names;
}

void memory_room_read_run(struct memory_store *s, struct store_room_read *r)
{
    struct memory_room *room = memory_is_leased(s) ? room_living(s, r->room) : NULL;
    struct store_room answer = {.likes = memory_likes_of(s, r->room)};
    base_cleanup(base_free_p)
    struct slice *names = NULL;
    struct store_room_part part;
    size_t first;

    if (room) {
        part = (struct store_room_part){
            .node = s->node, .connections = room->connections, .users = room_users(room, r->mode)};
        answer.users = part.users;
        answer.connections = part.connections;
        answer.parts = &part;
        answer.part_count = 1;
    }
    if (room && r->mode == STORE_ROOM_ROSTER && r->limit > 0) {
        names = room_names(room, r->after, &first);
        if (!names) {
            r->done(r, STORE_E_UNAVAILABLE, NULL);
            return;
        }
        answer.names = names + first;
        answer.name_count = room->members.count - first < r->limit ? room->members.count - first : r->limit;
    }
    r->done(r, 0, &answer);
}

/** A page begins behind a room's number, so that it does not matter whether that room is still there. */
void memory_rooms_read_run(struct memory_store *s, struct store_rooms_read *r)
{
    base_cleanup(base_free_p)
    struct store_room_line *lines = malloc(r->limit * sizeof(*lines));
    uint64_t after = 0, last = 0;
    struct memory_room *room = memory_is_leased(s) ? s->rooms : NULL;
    char next[24];
    size_t count = 0;

    if (!lines) {
        r->done(r, STORE_E_UNAVAILABLE, NULL, 0, SLICE_NONE);
        return;
    }
    if (slice_is_set(r->after) && !slice_to_uint64(r->after, UINT64_MAX, &after))
        after = 0; /* none that we gave: from the beginning */
    for (; room && count < r->limit; room = room->hh.next) {
        if (room->number <= after || !room_is_stated(s, room))
            continue;
        lines[count++] = (struct store_room_line){
            .room = slice_make(room->name, room->size),
            .users = room->members.count ? room->members.count : room->connections,
            .connections = room->connections,
            .nodes = 1,
        };
        last = room->number;
    }
    (void)snprintf(next, sizeof(next), "%llu", (unsigned long long)last);
    r->done(r, 0, lines, count, room ? slice_from(next) : SLICE_NONE);
}

void memory_rooms_clear(struct memory_store *s)
{
    struct memory_room *room, *next;

    HASH_ITER (hh, s->rooms, room, next) {
        room_drop(s, room);
    }
}
