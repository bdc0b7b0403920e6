#ifndef SERVER_MANAGEMENT_INTERNAL_H
#define SERVER_MANAGEMENT_INTERNAL_H

#include "base/buffer.h"
#include "base/list.h"

struct api_reply;
struct server;

/** What is asked of the management API. */
enum management_part { MANAGEMENT_QUEUES, MANAGEMENT_CONSUMERS, MANAGEMENT_FANOUT, MANAGEMENT_NODE, MANAGEMENT_PARTS };

struct management_slot {
    struct management_read *read;
    enum management_part part;
};

struct management_node {
    char *node;
    bool is_alive;
};

/** One page being gathered. */
struct management_read {
    struct list link;
    struct server *server;
    struct api_reply *reply;
    bool is_bindings;
    unsigned open; /* questions without an answer */
    struct buffer parts[MANAGEMENT_PARTS];
    struct management_slot slots[MANAGEMENT_PARTS];
    struct management_node *nodes;
    size_t node_count;
    struct buffer url;
    char failure[300];
};

/**
 * The pages, from what was gathered:
 * {"bindings":[{"exchange","routing_key","queue","node","alive","consumers","ready","unacked","state"}…],"problems":n}
 * and
 * {"queues":[{"queue","node","alive","type","durable","exclusive","consumers","ready","unacked","state"}…],"problems":n}.
 *
 * Return: 0; -EINVAL if an answer was not as the management API's; -ENOMEM.
 */
int management_write_bindings(const struct management_read *r, struct buffer *out) base_must_check;
int management_write_queues(const struct management_read *r, struct buffer *out) base_must_check;

/**
 * The join itself, over texts: @prefix is amqp.prefix. For unit tests and the two above.
 */
struct management_texts {
    const char *prefix;
    struct slice queues, consumers, fanout, node; /* the API's answers */
    const struct management_node *nodes;
    size_t node_count;
};
int management_join_bindings(const struct management_texts *t, struct buffer *out) base_must_check;
int management_join_queues(const struct management_texts *t, struct buffer *out) base_must_check;

#endif
