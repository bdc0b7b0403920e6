/*
 * Bodies: which publications travel together, to which nodes, and as what bytes.
 *
 *     queue:   1a  2b  3a  4bc  5b  6a        (number: the channel; letters: the nodes)
 *     bodies:  [1a 3a 6a]→a  [2b 4bc 5b]→bc
 *
 * What has the same nodes goes into one body, past what stands between; and so does what has nearly the same: the body
 * goes to all of them, and a node skips what nobody there listens to, undecoded, at a hundredth of what a body of its
 * own would cost it and the broker. So however many sets of nodes there are at one time, bodies stay few.
 *
 * A publication joins a body only if no later one has its channel; else it begins a new one. So each node gets a
 * channel's messages in order, although the channel's nodes change from message to message, because the broker keeps
 * the order of the bodies of one connection in every queue. What goes to all nodes keeps its order, whatever its
 * channels.
 */
#include "bus/body.h"
#include "base/hash.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <stdio.h>

#define BODY_MAX_MESSAGES 128
#define BODY_MAX_BYTES 32768
/** Formed at one time: publications, and bodies. */
#define FORM_MAX_MESSAGES 512
#define FORM_MAX_BODIES 32
/** So many envelopes that nodes skip cost less than one more body for one node: measured 0.3 us each, and 30. */
#define SKIPPED_PER_BODY 64
/** More than twice the channels that one pass can meet. They are known by 32 bits of their hash: two of one hash would
 * keep their order with each other, which harms nothing. */
#define CHANNEL_SLOTS 1024

/** One pass over the queue. */
struct forming {
    struct list *bodies;
    struct rabbitmq_body *made[FORM_MAX_BODIES];
    size_t count;
    uint8_t last[CHANNEL_SLOTS];  /* which of the bodies has the channel's newest message, from 1; 0: a free slot */
    uint32_t tags[CHANNEL_SLOTS]; /* whose slot it is; not set of a free one */
};

struct rabbitmq_body *rabbitmq_body_free(struct rabbitmq_body *b)
{
    if (!b)
        return NULL;
    assert(list_is_empty(&b->publications));
    buffer_deinit(&b->bytes);
    buffer_deinit(&b->nodes);
    free(b);
    return NULL;
}

static struct bus_publication *head_of(const struct list *l)
{
    return container_of(l->next, struct bus_publication, link);
}

static bool has_room(const struct rabbitmq_body *b, const struct bus_publication *p)
{
    return b->messages < BODY_MAX_MESSAGES && b->bound + bus_body_message_bound(p->message) <= BODY_MAX_BYTES;
}

/** How a body's nodes and a publication's go together. */
struct overlap {
    size_t common, only_body, only_new;
};

/** Both are in ascending order. With @out the ids of both are written there, each ended by a NUL. */
static struct overlap merge(const struct rabbitmq_body *b, const struct bus_publication *p, struct buffer *out)
{
    const char *id = b->nodes.data;
    struct overlap o = {0};
    size_t i = 0, k = 0;

    while (i < b->node_count || k < p->node_count) {
        int order = i == b->node_count ? 1 : k == p->node_count ? -1 : strcmp(id, p->nodes[k]);
        const char *next = order <= 0 ? id : p->nodes[k];

        if (out)
            buffer_append(out, next, strlen(next) + 1);
        *(order < 0 ? &o.only_body : order > 0 ? &o.only_new : &o.common) += 1;
        k += order >= 0;
        if (order <= 0) {
            id += strlen(id) + 1;
            i++;
        }
    }
    return o;
}

enum match { MATCH_NONE, MATCH_NEAR, MATCH_SAME };

static enum match match(const struct rabbitmq_body *b, const struct bus_publication *p)
{
    struct overlap o;

    if (b->route != p->route || b->route == BUS_ROUTE_FANOUT)
        return b->route == p->route ? MATCH_SAME : MATCH_NONE;
    if (b->like == p->nodes && b->node_count == p->node_count)
        return MATCH_SAME;
    o = merge(b, p, NULL);
    if (!o.only_body && !o.only_new)
        return MATCH_SAME;
    return o.common > 0 && o.only_new * b->messages + o.only_body <= SKIPPED_PER_BODY * o.common &&
                   b->node_count + o.only_new <= BUS_NODES_MAX
               ? MATCH_NEAR
               : MATCH_NONE;
}

/** The nodes of @p are the body's as well. Return: 0; -ENOMEM: they are not. */
static int widen(struct rabbitmq_body *b, const struct bus_publication *p)
{
    struct buffer nodes = {0};
    struct overlap o;

    if (b->route == BUS_ROUTE_FANOUT || (b->like == p->nodes && b->node_count == p->node_count))
        return 0;
    o = merge(b, p, &nodes);
    if (buffer_error(&nodes)) {
        buffer_deinit(&nodes);
        return -ENOMEM;
    }
    buffer_deinit(&b->nodes);
    b->nodes = nodes;
    b->node_count += o.only_new;
    if (!o.only_body)
        b->like = p->nodes; /* the list stays while the publication waits, and with it this pass */
    return 0;
}

/**
 * The number of the body that @p joins, from 1; 0: none. Of those from @first on; the nearest in nodes, then the
 * latest. *ret_is_first_full: it would join the first one, which is whole, and leaves.
 */
static size_t find_body(const struct forming *f, const struct bus_publication *p, size_t first, bool *ret_is_first_full)
{
    size_t near = 0;

    *ret_is_first_full = false;
    for (size_t i = f->count; i > 0 && i >= first; i--) {
        enum match m = match(f->made[i - 1], p);

        if (m == MATCH_NONE)
            continue;
        if (!has_room(f->made[i - 1], p)) {
            *ret_is_first_full = i == 1 && !near;
            if (p->route == BUS_ROUTE_FANOUT)
                return 0; /* nor any earlier one */
            continue;
        }
        if (m == MATCH_SAME)
            return i;
        if (!near)
            near = i;
    }
    return near;
}

static struct rabbitmq_body *body_new(struct forming *f, const struct bus_publication *p)
{
    struct rabbitmq_body *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    list_init(&b->link);
    list_init(&b->publications);
    b->route = p->route;
    if (widen(b, p) < 0)
        return rabbitmq_body_free(b);
    list_append(f->bodies, &b->link);
    f->made[f->count++] = b;
    return b;
}

/** The number of the body with the newest message of the channel, or 0, to be written over. */
static uint8_t *last_of_channel(struct forming *f, struct slice channel)
{
    uint64_t hash = hash_bytes(channel.data, channel.size);
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t i = hash % CHANNEL_SLOTS;

    while (f->last[i] && f->tags[i] != tag)
        i = (i + 1) % CHANNEL_SLOTS;
    f->tags[i] = tag;
    return &f->last[i];
}

/** Moves @p from the queue into a body. Return: 0; RABBITMQ_E_FULL: it stays; -ENOMEM likewise. */
static int place(struct forming *f, struct bus_publication *p)
{
    uint8_t *last = last_of_channel(f, p->message->channel);
    bool is_first_full;
    size_t number = find_body(f, p, *last, &is_first_full);
    struct rabbitmq_body *b = number ? f->made[number - 1] : NULL;

    if (!b && (is_first_full || f->count == FORM_MAX_BODIES))
        return RABBITMQ_E_FULL;
    if (!b || widen(b, p) < 0) {
        b = f->count < FORM_MAX_BODIES ? body_new(f, p) : NULL;
        if (!b)
            return -ENOMEM;
        number = f->count;
    }
    list_remove(&p->link);
    list_append(&b->publications, &p->link);
    b->messages++;
    b->bound += bus_body_message_bound(p->message);
    *last = (uint8_t)number;
    return 0;
}

int rabbitmq_bodies_form(struct list *queue, struct list *bodies)
{
    struct forming f;
    int result = 0;

    f.bodies = bodies;
    f.count = 0;
    memset(f.last, 0, sizeof(f.last));
    for (size_t i = 0; !result && i < FORM_MAX_MESSAGES && !list_is_empty(queue); i++)
        result = place(&f, head_of(queue));
    return result < 0 && f.count == 0 ? result : 0;
}

/** Targeted: the first node. Else the channel that all its messages have in common, or nothing. */
static void set_routing_key(struct rabbitmq_body *b)
{
    const struct bus_publication *head = head_of(&b->publications);
    struct slice channel = head->message->channel;

    if (b->route == BUS_ROUTE_NODES) {
        (void)snprintf(b->routing_key, sizeof(b->routing_key), "%s", b->nodes.data);
        return;
    }
    list_for_each (it, &b->publications) {
        if (!slice_equal(container_of(it, struct bus_publication, link)->message->channel, channel))
            return;
    }
    if (channel.size < sizeof(b->routing_key))
        memcpy(b->routing_key, channel.data, channel.size);
}

int rabbitmq_body_encode(struct rabbitmq_body *b)
{
    b->messages = 0;
    list_for_each (it, &b->publications)
        b->messages++;
    set_routing_key(b);
    bus_body_begin(&b->bytes, b->messages);
    list_for_each (it, &b->publications)
        bus_body_append(&b->bytes, container_of(it, struct bus_publication, link)->message);
    return buffer_error(&b->bytes);
}
