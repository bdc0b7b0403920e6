/*
 * The ring: a channel's newest messages, so that who comes back a moment later is served without the store, and so that
 * a message that comes by another way a second time is known.
 *
 * What is kept is never much larger than the message: one whose bytes are a small part of a large body is copied. Of a
 * channel in which nobody says anything any more the messages go, for the log has them, and digests of their ids stay:
 * a room that was lively once costs an idle node what it knows of it, not what was said.
 */
#include "hub/ring_internal.h"

#include "base/hash.h"

#define CAPACITY_FIRST 4

static uint32_t slot(const struct hub_ring *r, uint32_t index)
{
    return (r->first + index) & (r->capacity - 1);
}

struct message *hub_ring_at(const struct hub_ring *r, uint32_t index)
{
    assert(index < r->count);
    return r->items[slot(r, index)];
}

static size_t cost(const struct message *m)
{
    return m->backing ? m->backing->size : 0;
}

static size_t ring_size(uint32_t capacity)
{
    return sizeof(struct hub_ring) + capacity * sizeof(struct message *);
}

static size_t past_size(uint32_t count)
{
    return sizeof(struct hub_ring_past) + count * sizeof(uint64_t);
}

static void past_free(struct slab *memory, struct hub_ring_past *past)
{
    if (past)
        slab_free(memory, past, past_size(past->count));
}

static void drop_oldest(struct hub_ring *r)
{
    struct message *m = r->items[r->first];

    r->bytes -= cost(m);
    message_unref(m);
    r->first = slot(r, 1);
    r->count--;
}

struct hub_ring *hub_ring_free(struct slab *memory, struct hub_ring *r)
{
    if (!r)
        return NULL;
    while (r->count > 0)
        drop_oldest(r);
    past_free(memory, r->past);
    slab_free(memory, r, ring_size(r->capacity));
    return NULL;
}

static size_t message_bytes(const struct message *m)
{
    return m->channel.size + m->id.size + m->from.size + m->content_type.size + m->data.size + m->meta.size;
}

/** A reference to it, or to a copy that does not hold a whole body of siblings. NULL when out of memory. */
static struct message *compact(struct message *m)
{
    return cost(m) > 2 * message_bytes(m) + 256 ? message_copy(m) : message_ref(m);
}

/** Room for one more. NULL when out of memory; then @r is as it was. */
static struct hub_ring *reserve(struct slab *memory, struct hub_ring *r)
{
    uint32_t capacity = r && r->capacity ? r->capacity * 2 : CAPACITY_FIRST;
    struct hub_ring *larger;

    if (r && (r->count < r->capacity || r->capacity == HUB_RING_MAX))
        return r;
    larger = slab_calloc(memory, ring_size(capacity));
    if (!larger)
        return NULL;
    if (r)
        *larger = *r;
    larger->first = 0;
    larger->capacity = capacity;
    for (uint32_t i = 0; i < larger->count; i++)
        larger->items[i] = hub_ring_at(r, i);
    if (r)
        slab_free(memory, r, ring_size(r->capacity));
    return larger;
}

void hub_ring_add(struct slab *memory, struct hub_ring **ring, struct message *m, uint64_t now_ms)
{
    struct hub_ring *r = reserve(memory, *ring);
    struct message *kept;

    if (!r)
        r = *ring;
    kept = r && r->capacity ? compact(m) : NULL;
    if (!kept)
        return;
    *ring = r;
    r->added_ms = now_ms;
    while (r->count == r->capacity || (r->count > 0 && r->bytes + cost(kept) > HUB_RING_BYTES_MAX))
        drop_oldest(r);
    r->items[slot(r, r->count)] = kept;
    r->count++;
    r->bytes += cost(kept);
}

bool hub_ring_add_before(struct slab *memory, struct hub_ring **ring, struct message *m, uint64_t now_ms)
{
    struct hub_ring *r = reserve(memory, *ring);
    struct message *kept;

    if (!r || r->count == r->capacity)
        return false;
    *ring = r;
    kept = compact(m);
    if (!kept)
        return false;
    if (r->count > 0 && r->bytes + cost(kept) > HUB_RING_BYTES_MAX) {
        message_unref(kept);
        return false;
    }
    if (!r->count)
        r->added_ms = now_ms;
    r->first = slot(r, r->capacity - 1);
    r->items[r->first] = kept;
    r->count++;
    r->bytes += cost(kept);
    return true;
}

/** The digests of the newest, at most HUB_RING_MAX: those of @r's messages behind those it has. NULL when out of
 * memory. */
static struct hub_ring_past *digest(struct slab *memory, const struct hub_ring *r)
{
    uint32_t had = r->past ? r->past->count : 0, all = had + r->count;
    uint32_t skip = all > HUB_RING_MAX ? all - HUB_RING_MAX : 0;
    struct hub_ring_past *past = slab_calloc(memory, past_size(all - skip));

    if (!past)
        return NULL;
    past->count = all - skip;
    for (uint32_t i = skip; i < all; i++) {
        const struct message *m = i < had ? NULL : hub_ring_at(r, i - had);

        past->digests[i - skip] = m ? hash_bytes(m->id.data, m->id.size) : r->past->digests[i];
    }
    return past;
}

size_t hub_ring_settle(struct slab *memory, struct hub_ring **ring, uint64_t now_ms)
{
    struct hub_ring *r = *ring, *quiet;
    struct hub_ring_past *past;
    size_t bytes;

    if (!r || !r->count || now_ms < r->added_ms + HUB_RING_QUIET_MS)
        return 0;
    past = digest(memory, r);
    quiet = past ? slab_calloc(memory, ring_size(0)) : NULL;
    if (!quiet) {
        past_free(memory, past);
        return 0;
    }
    quiet->past = past;
    bytes = r->bytes + r->count * sizeof(struct message);
    *ring = quiet;
    hub_ring_free(memory, r);
    return bytes;
}

bool hub_ring_has_id(const struct hub_ring *r, struct slice id)
{
    uint64_t wanted = r && r->past ? hash_bytes(id.data, id.size) : 0;

    for (uint32_t i = 0; i < hub_ring_count(r); i++) {
        if (slice_equal(hub_ring_at(r, i)->id, id))
            return true;
    }
    for (uint32_t i = 0; r && r->past && i < r->past->count; i++) {
        if (r->past->digests[i] == wanted)
            return true;
    }
    return false;
}

uint64_t hub_ring_oldest(const struct hub_ring *r, uint64_t epoch, uint64_t last)
{
    uint64_t expected = last;

    for (uint32_t i = hub_ring_count(r); i-- > 0 && expected > 0;) {
        const struct message *m = hub_ring_at(r, i);

        if (!m->epoch)
            continue;
        if (m->epoch != epoch || m->offset != expected)
            break;
        expected--;
    }
    return expected + 1;
}

bool hub_ring_covers(const struct hub_ring *r, uint64_t epoch, uint64_t after, uint64_t last)
{
    return after >= last || hub_ring_oldest(r, epoch, last) <= after + 1;
}
