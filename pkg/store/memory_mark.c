/*
 * Positions under names, each for a time. Nobody walks the table: whoever sets a mark looks at a few others in turn and
 * drops those whose time is over, so that the dead are never many more than the living. Of users that were here the
 * latest MEMORY_KNOWN_MAX are remembered.
 */
#include "base/map.h"
#include "store/memory_internal.h"

/** Others looked at for each mark that is set. */
#define LOOKED_AT 4

struct memory_mark {
    UT_hash_handle hh;
    struct list turn;
    struct list known; /* memory_store->known_turns; else unlinked */
    uint64_t end_ms;
    struct store_position position;
    size_t size;
    char name[];
};

static void mark_free(struct memory_store *s, struct memory_mark *m)
{
    HASH_DEL(s->marks, m);
    list_remove(&m->turn);
    if (list_is_linked(&m->known)) {
        list_remove(&m->known);
        s->known_count--;
    }
    free(m);
}

/** The parts with their sizes before them, so that no two lists of parts have one name. false: out of memory. */
static bool write_name(const struct slice parts[MEMORY_MARK_PARTS], struct buffer *out)
{
    for (size_t i = 0; i < MEMORY_MARK_PARTS; i++) {
        buffer_append_uint64(out, parts[i].size);
        buffer_append_char(out, ':');
        buffer_append_slice(out, parts[i]);
    }
    return buffer_error(out) == 0;
}

static struct memory_mark *find_living(struct memory_store *s, struct slice name)
{
    struct memory_mark *m;

    HASH_FIND(hh, s->marks, name.data, name.size, m);
    if (m && m->end_ms <= memory_now_ms(s)) {
        mark_free(s, m);
        m = NULL;
    }
    return m;
}

static void drop_some(struct memory_store *s)
{
    for (unsigned i = 0; i < LOOKED_AT; i++) {
        struct list *first = list_pop(&s->mark_turns);
        struct memory_mark *m;

        if (!first)
            return;
        m = container_of(first, struct memory_mark, turn);
        list_append(&s->mark_turns, first);
        if (m->end_ms <= memory_now_ms(s))
            mark_free(s, m);
    }
}

bool memory_mark_find(struct memory_store *s, const struct slice parts[MEMORY_MARK_PARTS],
                      struct store_position *ret_position)
{
    base_cleanup(buffer_deinit)
    struct buffer name = {0};
    const struct memory_mark *m = write_name(parts, &name) ? find_living(s, buffer_slice(&name)) : NULL;

    if (m)
        *ret_position = m->position;
    return m != NULL;
}

/** NULL: out of memory. */
static struct memory_mark *mark_put(struct memory_store *s, const struct slice parts[MEMORY_MARK_PARTS],
                                    struct store_position position, uint64_t age_ms)
{
    base_cleanup(buffer_deinit)
    struct buffer name = {0};
    struct memory_mark *m;

    if (!write_name(parts, &name))
        return NULL;
    drop_some(s);
    m = find_living(s, buffer_slice(&name));
    if (!m) {
        m = calloc(1, sizeof(*m) + name.size);
        if (!m)
            return NULL;
        m->size = name.size;
        memcpy(m->name, name.data, name.size);
        HASH_ADD_KEYPTR(hh, s->marks, m->name, m->size, m);
        if (!MAP_ADDED(m)) {
            free(m);
            return NULL;
        }
        list_append(&s->mark_turns, &m->turn);
        list_init(&m->known);
    }
    m->position = position;
    m->end_ms = memory_now_ms(s) + age_ms;
    return m;
}

int memory_mark_set(struct memory_store *s, const struct slice parts[MEMORY_MARK_PARTS], struct store_position position,
                    uint64_t age_ms)
{
    return mark_put(s, parts, position, age_ms) ? 0 : -ENOMEM;
}

void memory_marks_clear(struct memory_store *s)
{
    while (!list_is_empty(&s->mark_turns))
        mark_free(s, container_of(s->mark_turns.next, struct memory_mark, turn));
}

/* ---- who was here ---- */

bool memory_is_known(struct memory_store *s, struct slice channel)
{
    const struct slice parts[MEMORY_MARK_PARTS] = {SLICE_LITERAL("known"), channel, SLICE_LITERAL("")};
    struct store_position none;

    return memory_mark_find(s, parts, &none);
}

int memory_know(struct memory_store *s, struct slice channel, uint64_t age_ms)
{
    const struct slice parts[MEMORY_MARK_PARTS] = {SLICE_LITERAL("known"), channel, SLICE_LITERAL("")};
    struct memory_mark *m = mark_put(s, parts, (struct store_position){0}, age_ms);

    if (!m)
        return -ENOMEM;
    if (list_is_linked(&m->known))
        list_remove(&m->known);
    else
        s->known_count++;
    list_append(&s->known_turns, &m->known);
    if (s->known_count > MEMORY_KNOWN_MAX)
        mark_free(s, container_of(s->known_turns.next, struct memory_mark, known));
    return 0;
}

/* ---- acks ---- */

int memory_ack_put_run(struct memory_store *s, const struct store_ack_put *r)
{
    const struct slice parts[MEMORY_MARK_PARTS] = {SLICE_LITERAL("ack"), r->user, r->device};
    struct store_position position = r->position, old;

    if (memory_mark_find(s, parts, &old) && old.epoch == position.epoch && old.offset > position.offset)
        position = old;
    return memory_mark_set(s, parts, position, r->age_ms) < 0 ? STORE_E_UNAVAILABLE : 0;
}

struct store_position memory_ack_read_run(struct memory_store *s, const struct store_ack_read *r)
{
    const struct slice parts[MEMORY_MARK_PARTS] = {SLICE_LITERAL("ack"), r->user, r->device};
    struct store_position position = {0};

    (void)memory_mark_find(s, parts, &position);
    return position;
}
