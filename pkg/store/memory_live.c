/*
 * What is added up in rooms. As with marks nobody walks the tables: each request looks at a few others in turn and
 * drops those whose time is over. Of writers there is one, this node in this life, so a sequence is a number. Mirrors
 * are for readers of Redis.
 */
#include "base/map.h"
#include "base/name.h"
#include "store/memory_internal.h"

/** Others looked at for each that is used. */
#define LOOKED_AT 4

struct memory_likes {
    UT_hash_handle hh; /* by room */
    struct list turn;
    uint64_t total, sequence;
    uint64_t end_ms, told_ms;
    bool was_told;
    size_t size;
    char room[];
};

static void likes_free(struct memory_store *s, struct memory_likes *l)
{
    HASH_DEL(s->likes, l);
    list_remove(&l->turn);
    free(l);
}

static void likes_drop_some(struct memory_store *s)
{
    for (unsigned i = 0; i < LOOKED_AT; i++) {
        struct list *first = list_pop(&s->likes_turns);
        struct memory_likes *l;

        if (!first)
            return;
        l = container_of(first, struct memory_likes, turn);
        list_append(&s->likes_turns, first);
        if (l->end_ms <= memory_now_ms(s))
            likes_free(s, l);
    }
}

static struct memory_likes *likes_find(struct memory_store *s, struct slice room)
{
    struct memory_likes *l;

    HASH_FIND(hh, s->likes, room.data, room.size, l);
    if (l && l->end_ms <= memory_now_ms(s)) {
        likes_free(s, l);
        l = NULL;
    }
    return l;
}

static struct memory_likes *likes_new(struct memory_store *s, struct slice room)
{
    struct memory_likes *l = calloc(1, sizeof(*l) + room.size);

    if (!l)
        return NULL;
    l->size = room.size;
    memcpy(l->room, room.data, room.size);
    HASH_ADD_KEYPTR(hh, s->likes, l->room, l->size, l);
    if (!MAP_ADDED(l)) {
        free(l);
        return NULL;
    }
    list_append(&s->likes_turns, &l->turn);
    return l;
}

static int likes_add(struct memory_store *s, struct store_likes *item, uint64_t interval_ms)
{
    uint64_t now_ms = memory_now_ms(s);
    struct memory_likes *l = likes_find(s, item->room);

    if (!l && item->count > 0 && !(l = likes_new(s, item->room)))
        return STORE_E_UNAVAILABLE;
    item->total = 0;
    item->may_tell = false;
    if (!l)
        return 0;
    if (item->count > 0 && item->sequence > l->sequence) {
        l->total += item->count;
        l->sequence = item->sequence;
    }
    l->end_ms = now_ms + item->age_ms;
    item->total = l->total;
    item->may_tell = item->wants_to_tell && (!l->was_told || now_ms - l->told_ms >= interval_ms);
    if (item->may_tell) {
        l->was_told = true;
        l->told_ms = now_ms;
    }
    return 0;
}

int memory_likes_add_run(struct memory_store *s, struct store_likes_add *r)
{
    int result = 0;

    for (size_t i = 0; i < r->count && !result; i++) {
        likes_drop_some(s);
        result = likes_add(s, &r->items[i], r->tell_interval_ms);
    }
    return result;
}

uint64_t memory_likes_of(struct memory_store *s, struct slice room)
{
    const struct memory_likes *l = likes_find(s, room);

    return l ? l->total : 0;
}

/* ---- times ---- */

struct memory_watch {
    UT_hash_handle hh; /* by room and user */
    struct list turn;
    uint64_t watched_ms, until_ms, end_ms;
    uint8_t room_size, user_size;
    char text[]; /* room and user, each behind its size */
};

static struct slice watch_user(const struct memory_watch *m)
{
    return slice_make(m->text + m->room_size + 2, m->user_size);
}

static size_t watch_key(struct slice room, struct slice user, char key[2 * NAME_MAX_BYTES + 2])
{
    key[0] = (char)room.size;
    memcpy(key + 1, room.data, room.size);
    key[room.size + 1] = (char)user.size;
    memcpy(key + room.size + 2, user.data, user.size);
    return room.size + user.size + 2;
}

static void watch_free(struct memory_store *s, struct memory_watch *m)
{
    HASH_DEL(s->watches, m);
    list_remove(&m->turn);
    free(m);
}

static void watch_drop_some(struct memory_store *s)
{
    for (unsigned i = 0; i < LOOKED_AT; i++) {
        struct list *first = list_pop(&s->watch_turns);
        struct memory_watch *m;

        if (!first)
            return;
        m = container_of(first, struct memory_watch, turn);
        list_append(&s->watch_turns, first);
        if (m->end_ms <= memory_now_ms(s))
            watch_free(s, m);
    }
}

static struct memory_watch *watch_find(struct memory_store *s, struct slice room, struct slice user)
{
    char key[2 * NAME_MAX_BYTES + 2];
    struct memory_watch *m;

    HASH_FIND(hh, s->watches, key, watch_key(room, user, key), m);
    if (m && m->end_ms <= memory_now_ms(s)) {
        watch_free(s, m);
        m = NULL;
    }
    return m;
}

static struct memory_watch *watch_new(struct memory_store *s, struct slice room, struct slice user)
{
    struct memory_watch *m = calloc(1, sizeof(*m) + room.size + user.size + 2);

    if (!m)
        return NULL;
    m->room_size = (uint8_t)room.size;
    m->user_size = (uint8_t)user.size;
    HASH_ADD_KEYPTR(hh, s->watches, m->text, watch_key(room, user, m->text), m);
    if (!MAP_ADDED(m)) {
        free(m);
        return NULL;
    }
    list_append(&s->watch_turns, &m->turn);
    return m;
}

/** One node tells of one user's times in their order, so what was counted is what lies before the last end. */
int memory_watch_add_run(struct memory_store *s, const struct store_watch_add *r)
{
    uint64_t now_ms = memory_now_ms(s);

    for (size_t i = 0; i < r->count; i++) {
        const struct store_watch *item = &r->items[i];
        uint64_t from_ms = item->from_ago_ms < now_ms ? now_ms - item->from_ago_ms : 0;
        uint64_t to_ms = item->to_ago_ms < now_ms ? now_ms - item->to_ago_ms : 0;
        struct memory_watch *m;

        watch_drop_some(s);
        m = watch_find(s, item->room, item->user);
        if (!m && !(m = watch_new(s, item->room, item->user)))
            return STORE_E_UNAVAILABLE;
        if (from_ms < m->until_ms)
            from_ms = m->until_ms;
        if (to_ms > from_ms) {
            m->watched_ms += to_ms - from_ms;
            m->until_ms = to_ms;
        }
        m->end_ms = now_ms + item->age_ms;
    }
    return 0;
}

static int watched_compare(const void *a, const void *b)
{
    const struct store_watched *x = a, *y = b;
    size_t size = x->user.size < y->user.size ? x->user.size : y->user.size;
    int order = memcmp(x->user.data, y->user.data, size);

    return order ? order : (x->user.size > y->user.size) - (x->user.size < y->user.size);
}

static bool is_of_room(const struct memory_watch *m, struct slice room)
{
    return slice_equal(slice_make(m->text + 1, m->room_size), room);
}

static void watch_page(struct memory_store *s, struct store_watch_read *r)
{
    const struct store_watched after = {.user = r->after};
    base_cleanup(base_free_p)
    struct store_watched *all = malloc((HASH_COUNT(s->watches) + 1) * sizeof(*all));
    size_t count = 0, first = 0, taken;
    struct memory_watch *m, *next;

    if (!all) {
        r->done(r, STORE_E_UNAVAILABLE, NULL, 0, SLICE_NONE);
        return;
    }
    HASH_ITER (hh, s->watches, m, next) {
        if (is_of_room(m, r->room) && m->end_ms > memory_now_ms(s))
            all[count++] = (struct store_watched){.user = watch_user(m), .seconds = m->watched_ms / 1000};
    }
    if (count)
        qsort(all, count, sizeof(*all), watched_compare);
    while (slice_is_set(r->after) && first < count && watched_compare(&all[first], &after) <= 0)
        first++;
    taken = count - first < r->limit ? count - first : r->limit;
    r->done(r, 0, all + first, taken, first + taken < count ? all[first + taken - 1].user : SLICE_NONE);
}

void memory_watch_read_run(struct memory_store *s, struct store_watch_read *r)
{
    struct store_watched one = {.user = r->user};
    const struct memory_watch *m;

    if (!slice_is_set(r->user)) {
        watch_page(s, r);
        return;
    }
    m = watch_find(s, r->room, r->user);
    if (m)
        one.seconds = m->watched_ms / 1000;
    r->done(r, 0, &one, m != NULL, SLICE_NONE);
}

void memory_live_clear(struct memory_store *s)
{
    while (!list_is_empty(&s->likes_turns))
        likes_free(s, container_of(s->likes_turns.next, struct memory_likes, turn));
    while (!list_is_empty(&s->watch_turns))
        watch_free(s, container_of(s->watch_turns.next, struct memory_watch, turn));
}
