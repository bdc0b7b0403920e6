#ifndef HUB_RING_INTERNAL_H
#define HUB_RING_INTERNAL_H

#include "base/message.h"
#include "base/slab.h"

/** What a channel keeps of its newest messages. */
#define HUB_RING_MAX 64
#define HUB_RING_BYTES_MAX (256u * 1024u)
/** How long the messages of a channel in which nothing comes are kept beside its log. */
#define HUB_RING_QUIET_MS 15000

/** The ids of messages that were delivered before a channel fell quiet, as hash_bytes() has them; oldest first. */
struct hub_ring_past {
    uint32_t count;
    uint64_t digests[];
};

/**
 * struct hub_ring - the newest messages delivered, in order; those without a position are known by their id only
 *
 * Made by the first message; NULL is an empty one. Grows as far as HUB_RING_MAX; hub_ring_settle() makes it small
 * again.
 */
struct hub_ring {
    uint32_t first, count, capacity; /* of @items, a circle: a power of two, or 0 */
    size_t bytes;
    uint64_t added_ms;          /* when the newest came */
    struct hub_ring_past *past; /* or NULL */
    struct message *items[];
};

static inline uint32_t hub_ring_count(const struct hub_ring *r)
{
    return r ? r->count : 0;
}

/** Accepts NULL, returns NULL. @memory: of all rings, likewise below. */
struct hub_ring *hub_ring_free(struct slab *memory, struct hub_ring *r);
/** Without memory the ring is a message shorter. */
void hub_ring_add(struct slab *memory, struct hub_ring **r, struct message *m, uint64_t now_ms);
/** Before the oldest. Return: whether there was room for it. */
bool hub_ring_add_before(struct slab *memory, struct hub_ring **r, struct message *m, uint64_t now_ms) base_must_check;
/** If nothing came for HUB_RING_QUIET_MS, the messages go, and what hub_ring_has_id() needs of them stays. Return:
 * about how many bytes that freed. */
size_t hub_ring_settle(struct slab *memory, struct hub_ring **r, uint64_t now_ms);
/** Also of those whose messages went when the channel was quiet. */
bool hub_ring_has_id(const struct hub_ring *r, struct slice id);
/** Whether it has all of @after + 1 … @last of one epoch. */
bool hub_ring_covers(const struct hub_ring *r, uint64_t epoch, uint64_t after, uint64_t last);
/** The offset of the oldest message from which on all up to @last are there; @last + 1 if @last is not. */
uint64_t hub_ring_oldest(const struct hub_ring *r, uint64_t epoch, uint64_t last);
struct message *hub_ring_at(const struct hub_ring *r, uint32_t index);

#endif
