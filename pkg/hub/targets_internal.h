#ifndef HUB_TARGETS_INTERNAL_H
#define HUB_TARGETS_INTERNAL_H

#include "base/slice.h"

struct hub;

/** Sets of nodes remembered. */
#define HUB_TARGETS_SLOTS 64

/** Whom a message of a sequenced channel is published to. */
enum hub_audience {
    HUB_TO_ALL,    /* the fanout exchange */
    HUB_TO_NODES,  /* those that listen */
    HUB_TO_NOBODY, /* nobody listens but perhaps this node, which has it already */
};

/** struct hub_targets - a set of nodes, shared and never changed; the hub's */
struct hub_targets {
    size_t refs;
    size_t count; /* 1 to BUS_NODES_MAX */
    uint64_t digest;
    const char *nodes[]; /* in ascending order */
};

/**
 * hub_targets_of() - whom a message is for if @nodes listen to its channel
 *
 * This node is left out: it fed its own channel. Return: HUB_TO_NODES with a reference in *ret_targets; HUB_TO_NOBODY;
 * HUB_TO_ALL: they are too many to be named, or there is no memory.
 */
enum hub_audience hub_targets_of(struct hub *h, const struct slice *nodes, size_t count,
                                 struct hub_targets **ret_targets);
/** Accepts NULL. */
void hub_targets_unref(struct hub_targets *t);
void hub_targets_free_all(struct hub *h);

#endif
