#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/message.h"
#include "loop/loop.h"

/**
 * struct bus - messages from node to node
 *
 * One interface, two backends: RabbitMQ (bus/rabbitmq/rabbitmq.h) and one node alone (bus/local.h); test/contract runs
 * one suite over both. A bus has an owner loop (the hub's): its functions are called there, and its callbacks arrive
 * there. Backends bring their own threads.
 *
 * Promises: what was confirmed is with the broker, persistent. What was published by one node arrives at each listening
 * node in that order, as far as it is of one channel, or goes to all nodes. A delivery may come again
 * (redelivery, a publication repeated after a cut connection): the hub tells by the messages' ids. A confirm does not
 * prove that anybody's queue was bound.
 */
struct bus;
struct bus_publication;
struct bus_deposit;
struct bus_delivery;

enum bus_result {
    BUS_E_UNAVAILABLE = 1, /* no broker now, or no confirm in time: may or may not have been published */
    BUS_E_BUSY = 2,        /* the publish window is full: nothing was taken */
};

/** Why a node's bus is not ready. */
enum bus_state {
    BUS_STATE_STARTING,    /* never connected yet */
    BUS_STATE_READY,       /* queue declared and bound, consuming, publishing */
    BUS_STATE_BLOCKED,     /* consuming, but the broker asked publishers to wait (memory or disk alarm) */
    BUS_STATE_DOWN,        /* no connection; retrying */
    BUS_STATE_NAME_LOCKED, /* the queue's name is held by another connection (405 RESOURCE_LOCKED); retrying */
};

struct bus_status {
    enum bus_state state;
    uint64_t since_ms;   /* loop_now_ms() of the last change of state */
    uint64_t reconnects; /* since start */
    uint64_t pending;    /* publications without an answer */
    uint64_t pending_bytes;
    char broker[256]; /* the URL in use, without password; empty if none */
    char detail[256]; /* the last error, empty if none */
};

/** Where a publication goes. */
enum bus_route {
    BUS_ROUTE_FANOUT, /* every node */
    BUS_ROUTE_NODES,  /* the named nodes; others that something else goes to at the same moment may get it, too */
};

/** Nodes that a publication names at most: their ids travel with it. */
#define BUS_NODES_MAX 256

/**
 * struct bus_publication - a message on its way out; embedded in what waits for it
 *
 * The bus's from bus_publish() until @done is called.
 */
struct bus_publication {
    struct loop_task task; /* the backend's */
    struct list link;      /* the backend's */
    uint64_t deadline_ms;  /* the backend's */
    uint64_t sequence;     /* the backend's */
    int result;            /* the backend's */
    bool is_sent;          /* the backend's */
    bool is_patient;       /* has no deadline: once taken it is answered by its confirm, or when the bus is stopped */

    struct message *message; /* borrowed until done */
    enum bus_route route;
    /** Of BUS_ROUTE_NODES: 1 to BUS_NODES_MAX ids, distinct, in ascending order (so that what travels
     * together is seen soon), borrowed until done. One that is not there, or is nobody's, is passed over. */
    const char *const *nodes;
    size_t node_count;
    /** 0: confirmed. BUS_E_UNAVAILABLE. Called on the owner loop, never from inside bus_publish(). */
    void (*done)(struct bus_publication *p, int result);
};

/** The cluster's queues in which bodies are kept. */
enum bus_shelf {
    BUS_SHELF_DEAD,    /* <prefix>.ingress.dead: what can never become a message, with the reason */
    BUS_SHELF_ARCHIVE, /* <prefix>.archive: the copy of what was accepted */
    BUS_SHELVES,
};

/**
 * struct bus_deposit - a body that is put into one of these queues; embedded in what waits for it
 *
 * The bus's from bus_deposit() until @done is called, without its slices: these are copied.
 */
struct bus_deposit {
    struct list link; /* the backend's */
    int result;       /* the backend's */

    enum bus_shelf shelf;
    struct slice body;
    struct slice content_type, message_id, app_id; /* not set: none, likewise below */
    /** Of a dead letter, as headers x-warren-reason and x-warren-routing-key. */
    struct slice reason, routing_key;
    uint64_t whole_bytes; /* not 0: the body is only the beginning of so many, told as header x-warren-bytes */
    /** 0: it is on the broker's disk. BUS_E_UNAVAILABLE: the bus was stopped, and it may be there. Called on the owner
     * loop, never from inside bus_deposit(). */
    void (*done)(struct bus_deposit *d, int result);
};

/**
 * struct bus_delivery - one body that arrived
 *
 * Read with a struct bus_reader (bus/body.h). The receiver owns it and gives it back with bus_delivery_done() once the
 * hub took every message in it; until then it counts against the prefetch, and a lost connection brings it again.
 */
struct bus_delivery {
    struct list link; /* the receiver's */
    struct payload *body;
    struct slice content_type; /* of the AMQP properties; not set if absent; likewise below */
    struct slice routing_key;
    struct slice message_id;
    struct slice app_id;
    int64_t time_ms; /* when it was received */
    bool redelivered;
    bool is_oversized;    /* of the ingress queue: above the limit for bodies, and not to be read */
    uint64_t whole_bytes; /* then: not 0 if only the beginning of so many was kept */
};

struct bus_callbacks {
    /** A body arrived; owned by the callee. */
    void (*on_delivery)(void *userdata, struct bus_delivery *d);
    /** A body of a back end arrived by the ingress queue; owned by the callee, likewise. */
    void (*on_ingress)(void *userdata, struct bus_delivery *d);
    /** The state changed. */
    void (*on_state)(void *userdata, const struct bus_status *status);
    void *userdata;
};

/** What a backend is; the first member of its own struct. */
struct bus_ops {
    const char *name; /* "rabbitmq", "local" */
    int (*start)(struct bus *b);
    int (*publish)(struct bus *b, struct bus_publication *p);
    void (*delivery_done)(struct bus *b, struct bus_delivery *d);
    int (*deposit)(struct bus *b, struct bus_deposit *d);
    void (*ingress)(struct bus *b, bool is_wanted);
    bool (*delivery_is_void)(struct bus *b, const struct bus_delivery *d);
    void (*status)(struct bus *b, struct bus_status *ret_status);
    void (*stop)(struct bus *b);
    struct bus *(*free)(struct bus *b);
};

struct bus {
    const struct bus_ops *ops;
    struct loop *owner;
    struct bus_callbacks callbacks;
};

/** Begins to connect; never blocks, and a broker that is away is not an error. Set b->callbacks before. 0, -ENOMEM, or
 * -errno of a thread. */
static inline int bus_start(struct bus *b)
{
    return b->ops->start(b);
}

/**
 * bus_publish() - send to other nodes (and to this one: a node hears what it publishes)
 *
 * Return: 0: p->done() will be called, at the latest after the backend's publish time-out; BUS_E_BUSY at the window's
 * limit; BUS_E_UNAVAILABLE: not connected (nothing taken).
 */
static inline int bus_publish(struct bus *b, struct bus_publication *p)
{
    return b->ops->publish(b, p);
}

/** The hub took the messages: acknowledge (in batches). Frees @d. */
static inline void bus_delivery_done(struct bus *b, struct bus_delivery *d)
{
    b->ops->delivery_done(b, d);
}

/** Whether its connection is gone, so that it comes again, here or at another node, unless it was given back before. */
static inline bool bus_delivery_is_void(struct bus *b, const struct bus_delivery *d)
{
    return b->ops->delivery_is_void(b, d);
}

/**
 * bus_ingress() - whether this node reads the ingress queue; at first it does not
 *
 * One node at a time gets its bodies. Who ceases gives back what it has not acknowledged: those deliveries are void
 * at once, and another node begins there. With the broker away it is remembered.
 */
static inline void bus_ingress(struct bus *b, bool is_wanted)
{
    b->ops->ingress(b, is_wanted);
}

/**
 * bus_deposit() - put a body into one of the cluster's queues
 *
 * Waits for a broker that is away, as long as it takes; so the caller bounds what it deposits. Return: 0: d->done()
 * will be called; BUS_E_UNAVAILABLE: this bus has no such queue, or is stopped; -ENOMEM.
 */
static inline int bus_deposit(struct bus *b, struct bus_deposit *d)
{
    return b->ops->deposit(b, d);
}

/** A snapshot. Thread: the owner. */
static inline void bus_status(struct bus *b, struct bus_status *ret_status)
{
    b->ops->status(b, ret_status);
}

/**
 * Ends threads and connections, waiting a bounded time (under 3 s): what is queued is sent and confirmed if the broker
 * answers in time. Publications still open get BUS_E_UNAVAILABLE before it returns; deliveries given out become void
 * and must still be given back before bus_free().
 */
static inline void bus_stop(struct bus *b)
{
    b->ops->stop(b);
}

/** A stopped bus. Accepts NULL, returns NULL. */
static inline struct bus *bus_free(struct bus *b)
{
    return b ? b->ops->free(b) : NULL;
}

const char *bus_state_name(enum bus_state state);

#endif
