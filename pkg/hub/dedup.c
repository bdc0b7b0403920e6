#include "hub/dedup.h"

#include "base/hash.h"
#include "base/random.h"

/*
 * A false "known" would drop a message, so the hash has to be wide: with 200,000 ids of 128 bits the chance of any
 * collision is below 10^-28, and under a random key nobody can construct one.
 */

#define SET_CAPACITY_FIRST 1024

static void set_deinit(struct hub_dedup_set *set)
{
    free(set->slots);
    *set = (struct hub_dedup_set){0};
}

/** The slot of @key, or the free one where it would stand. The set has a free slot. */
static size_t set_find(const struct hub_dedup_set *set, const uint64_t key[2])
{
    size_t slot = (size_t)key[0] & (set->capacity - 1);

    while ((set->slots[slot][0] || set->slots[slot][1]) &&
           (set->slots[slot][0] != key[0] || set->slots[slot][1] != key[1]))
        slot = (slot + 1) & (set->capacity - 1);
    return slot;
}

static bool set_has(const struct hub_dedup_set *set, const uint64_t key[2])
{
    size_t slot;

    if (!set->count)
        return false;
    slot = set_find(set, key);
    return set->slots[slot][0] || set->slots[slot][1];
}

static int set_grow(struct hub_dedup_set *set)
{
    struct hub_dedup_set larger = {.capacity = set->capacity ? set->capacity * 2 : SET_CAPACITY_FIRST,
                                   .count = set->count};

    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i][0] || set->slots[i][1]) {
            size_t slot = set_find(&larger, set->slots[i]);

            larger.slots[slot][0] = set->slots[i][0];
            larger.slots[slot][1] = set->slots[i][1];
        }
    }
    free(set->slots);
    *set = larger;
    return 0;
}

/** Adds a key that is not there. */
static int set_add(struct hub_dedup_set *set, const uint64_t key[2])
{
    size_t slot;

    /* three quarters full; without memory it may fill up further, but never whole */
    if ((set->count + 1) * 4 > set->capacity * 3 && set_grow(set) < 0 && set->count + 1 >= set->capacity)
        return -ENOMEM;
    slot = set_find(set, key);
    set->slots[slot][0] = key[0];
    set->slots[slot][1] = key[1];
    set->count++;
    return 0;
}

void hub_dedup_init(struct hub_dedup *d, uint64_t window_ms, size_t limit, uint64_t now_ms)
{
    *d = (struct hub_dedup){.window_ms = window_ms, .began_ms = now_ms, .limit = limit / 2 ? limit / 2 : 1};
    random_bytes(d->keys, sizeof(d->keys));
}

void hub_dedup_deinit(struct hub_dedup *d)
{
    set_deinit(&d->current);
    set_deinit(&d->previous);
}

static void rotate(struct hub_dedup *d, uint64_t now_ms)
{
    set_deinit(&d->previous);
    d->previous = d->current;
    d->current = (struct hub_dedup_set){0};
    d->began_ms = now_ms;
}

int hub_dedup_add(struct hub_dedup *d, struct slice id, uint64_t now_ms)
{
    uint64_t key[2];

    if (now_ms - d->began_ms >= d->window_ms) {
        /* two windows without a word: both generations are too old */
        if (now_ms - d->began_ms >= 2 * d->window_ms)
            set_deinit(&d->current);
        rotate(d, now_ms);
    } else if (d->current.count >= d->limit) {
        rotate(d, now_ms);
    }
    key[0] = hash_bytes_keyed(d->keys[0], d->keys[1], id.data, id.size);
    key[1] = hash_bytes_keyed(d->keys[2], d->keys[3], id.data, id.size);
    if (!key[0] && !key[1])
        key[1] = 1;
    if (set_has(&d->current, key) || set_has(&d->previous, key))
        return HUB_DEDUP_KNOWN;
    return set_add(&d->current, key);
}
