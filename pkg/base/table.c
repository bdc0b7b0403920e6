/**
 * Open addressing with linear probing (Knuth, "The Art of Computer Programming", volume 3, section 6.4, algorithms L
 * and R): at most seven of eight slots are taken, and removing moves up those behind, so there are no graves.
 *
 * 32 bits of each object's hash stand beside one another: a probe reads consecutive memory and looks into an object
 * only where they agree, and neither growing nor removing looks into any.
 */
#include "base/table.h"

#include "base/hash.h"

#define CAPACITY_FIRST 8
#define CAPACITY_MAX (UINT32_C(1) << 31)

static uint32_t key_hash(struct slice key)
{
    return (uint32_t)hash_bytes(key.data, key.size);
}

static uint32_t slot_after(const struct table *t, uint32_t slot)
{
    return (slot + 1) & (t->capacity - 1);
}

void *table_find(const struct table *t, struct slice key)
{
    uint32_t hash;

    if (t->count == 0)
        return NULL;
    hash = key_hash(key);
    for (uint32_t i = hash & (t->capacity - 1); t->objects[i]; i = slot_after(t, i)) {
        if (t->hashes[i] == hash && slice_equal(t->key(t->objects[i]), key))
            return t->objects[i];
    }
    return NULL;
}

static void put(struct table *t, void *object, uint32_t hash)
{
    uint32_t i = hash & (t->capacity - 1);

    while (t->objects[i])
        i = slot_after(t, i);
    t->objects[i] = object;
    t->hashes[i] = hash;
}

static int resize(struct table *t, uint32_t capacity)
{
    struct table old = *t;
    void **objects = calloc(capacity, sizeof(*t->objects) + sizeof(*t->hashes));

    if (!objects)
        return -ENOMEM;
    t->objects = objects;
    t->hashes = (uint32_t *)(void *)(objects + capacity);
    t->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.objects[i])
            put(t, old.objects[i], old.hashes[i]);
    }
    free(old.objects);
    return 0;
}

int table_add(struct table *t, void *object)
{
    struct slice key = t->key(object);
    int result = 0;

    assert(!table_find(t, key));
    if (t->capacity == CAPACITY_MAX && t->count >= CAPACITY_MAX / 8 * 7)
        return -ENOMEM;
    if (t->count >= t->capacity / 8 * 7)
        result = resize(t, t->capacity ? t->capacity * 2 : CAPACITY_FIRST);
    if (result < 0)
        return result;
    put(t, object, key_hash(key));
    t->count++;
    return 0;
}

static uint32_t slot_of(const struct table *t, const void *object)
{
    uint32_t i = key_hash(t->key(object)) & (t->capacity - 1);

    while (t->objects[i] != object) {
        assert(t->objects[i]);
        i = slot_after(t, i);
    }
    return i;
}

void table_remove(struct table *t, const void *object)
{
    uint32_t hole = slot_of(t, object);

    for (uint32_t i = slot_after(t, hole); t->objects[i]; i = slot_after(t, i)) {
        uint32_t home = t->hashes[i] & (t->capacity - 1);

        /* It may move to the hole unless its home lies between the two, around the end. */
        if (((i - home) & (t->capacity - 1)) < ((i - hole) & (t->capacity - 1)))
            continue;
        t->objects[hole] = t->objects[i];
        t->hashes[hole] = t->hashes[i];
        hole = i;
    }
    t->objects[hole] = NULL;
    t->count--;
    if (t->count == 0)
        table_deinit(t);
    else if (t->capacity > CAPACITY_FIRST && t->count < t->capacity / 8)
        (void)resize(t, t->capacity / 2); /* else it stays as large as it is */
}

void *table_next(const struct table *t, size_t *position)
{
    while (*position < t->capacity) {
        void *object = t->objects[(*position)++];

        if (object)
            return object;
    }
    return NULL;
}

void table_deinit(struct table *t)
{
    free(t->objects);
    *t = TABLE_OF(t->key);
}
