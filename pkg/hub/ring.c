/*
 * The ring: a channel's newest messages, so that who comes back a moment later is served without the store, and so that
 * a message that comes by another way a second time is known.
 *
 * What is kept is never much larger than the message: one whose bytes are a small part of a large body is copied.
 */
#include "hub/sequence_internal.h"

static uint32_t slot(const struct hub_ring *r, uint32_t index)
{
    return (r->first + index) % HUB_RING_MAX;
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

static void drop_oldest(struct hub_ring *r)
{
    struct message *m = r->items[r->first];

    r->bytes -= cost(m);
    message_unref(m);
    r->first = (r->first + 1) % HUB_RING_MAX;
    r->count--;
}

struct hub_ring *hub_ring_free(struct hub_ring *r)
{
    while (r && r->count > 0)
        drop_oldest(r);
    free(r);
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

void hub_ring_add(struct hub_ring **ring, struct message *m)
{
    struct hub_ring *r = *ring;
    struct message *kept;

    if (!r)
        r = *ring = calloc(1, sizeof(*r));
    kept = r ? compact(m) : NULL;
    if (!kept)
        return;
    while (r->count == HUB_RING_MAX || (r->count > 0 && r->bytes + cost(kept) > HUB_RING_BYTES_MAX))
        drop_oldest(r);
    r->items[slot(r, r->count)] = kept;
    r->count++;
    r->bytes += cost(kept);
}

bool hub_ring_has_id(const struct hub_ring *r, struct slice id)
{
    for (uint32_t i = 0; i < hub_ring_count(r); i++) {
        if (slice_equal(hub_ring_at(r, i)->id, id))
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
