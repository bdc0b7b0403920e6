/*
 * Whom a message is for: the nodes that listen to its channel, as the store told with its position.
 *
 * Few sets of nodes occur again and again, so they are kept by what is in them: the same nodes are the same object,
 * which a publication borrows, and the bus sees at a glance what may travel together. A set is never changed; one that
 * was replaced in the table lives until its last message has been answered.
 */
#include "hub/hub_internal.h"
#include "hub/targets_internal.h"

#include "base/hash.h"

/** A node's id is a routing key, and travels as text that a NUL ends. */
#define NODE_ID_MAX_BYTES 128

void hub_targets_unref(struct hub_targets *t)
{
    if (t && --t->refs == 0)
        free(t);
}

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);

    if (order)
        return order;
    return x->size < y->size ? -1 : x->size > y->size;
}

static bool is_target(const struct hub *h, struct slice node)
{
    return node.size > 0 && node.size <= NODE_ID_MAX_BYTES && !memchr(node.data, '\0', node.size) &&
           !slice_equal_text(node, h->identity.node);
}

static bool is_same(const struct hub_targets *t, uint64_t digest, const struct slice *nodes, size_t count)
{
    if (!t || t->digest != digest || t->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal_text(nodes[i], t->nodes[i]))
            return false;
    }
    return true;
}

static struct hub_targets *targets_new(uint64_t digest, const struct slice *nodes, size_t count)
{
    struct hub_targets *t;
    size_t bytes = 0;
    char *text;

    for (size_t i = 0; i < count; i++)
        bytes += nodes[i].size + 1;
    t = malloc(sizeof(*t) + count * sizeof(t->nodes[0]) + bytes);
    if (!t)
        return NULL;
    *t = (struct hub_targets){.refs = 1, .count = count, .digest = digest};
    text = (char *)(t->nodes + count);
    for (size_t i = 0; i < count; i++) {
        t->nodes[i] = text;
        memcpy(text, nodes[i].data, nodes[i].size);
        text[nodes[i].size] = '\0';
        text += nodes[i].size + 1;
    }
    return t;
}

enum hub_audience hub_targets_of(struct hub *h, const struct slice *nodes, size_t count,
                                 struct hub_targets **ret_targets)
{
    struct slice others[BUS_NODES_MAX];
    struct hub_targets **slot;
    size_t other_count = 0;
    uint64_t digest = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_target(h, nodes[i]))
            continue;
        if (other_count == BUS_NODES_MAX)
            return HUB_TO_ALL;
        others[other_count++] = nodes[i];
    }
    if (!other_count)
        return HUB_TO_NOBODY;
    qsort(others, other_count, sizeof(others[0]), compare);
    for (size_t i = 0; i < other_count; i++)
        digest = digest * 31 + hash_bytes(others[i].data, others[i].size);
    slot = &h->targets[digest % HUB_TARGETS_SLOTS];
    if (!is_same(*slot, digest, others, other_count)) {
        struct hub_targets *t = targets_new(digest, others, other_count);

        if (!t)
            return HUB_TO_ALL;
        hub_targets_unref(*slot);
        *slot = t;
    }
    (*slot)->refs++;
    *ret_targets = *slot;
    return HUB_TO_NODES;
}

void hub_targets_free_all(struct hub *h)
{
    for (size_t i = 0; i < HUB_TARGETS_SLOTS; i++)
        hub_targets_unref(base_take(h->targets[i]));
}
