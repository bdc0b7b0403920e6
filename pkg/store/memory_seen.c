/*
 * The idempotency set in memory: slots of half a window, each with its ids in an arena, so that a slot goes at once.
 */
#include "store/memory_internal.h"

/** An id in a slot. The slot's arena has its memory: a slot goes as a whole. */
struct memory_id {
    uint16_t size;
    char text[];
};

static struct slice id_key(const void *object)
{
    const struct memory_id *id = object;

    return slice_make(id->text, id->size);
}

void memory_slot_clear(struct memory_slot *slot)
{
    table_deinit(&slot->ids);
    slot->ids = TABLE_OF(id_key);
    store_arena_deinit(&slot->arena);
}

/** The slot of @number; what stood in its place is over. */
static struct memory_slot *slot_at(struct memory_store *s, uint64_t number)
{
    struct memory_slot *slot = &s->slots[number % STORE_SEEN_SLOTS];

    if (slot->number != number) {
        memory_slot_clear(slot);
        slot->number = number;
    }
    return slot;
}

static bool slot_has(const struct memory_slot *slot, struct slice id)
{
    return table_find(&slot->ids, id) != NULL;
}

static bool slot_add(struct memory_slot *slot, struct slice id)
{
    struct memory_id *added = store_arena_take(&slot->arena, sizeof(*added) + id.size);

    if (!added)
        return false;
    added->size = (uint16_t)id.size;
    memcpy(added->text, id.data, id.size);
    return table_add(&slot->ids, added) == 0;
}

void memory_seen_run(struct memory_store *s, struct store_seen *r)
{
    uint64_t number = memory_now_ms(s) / s->slot_ms + STORE_SEEN_PARTS; /* so that the first has slots before it */
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
