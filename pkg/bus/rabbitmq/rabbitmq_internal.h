#ifndef BUS_RABBITMQ_RABBITMQ_INTERNAL_H
#define BUS_RABBITMQ_RABBITMQ_INTERNAL_H

#include "base/buffer.h"
#include "base/log.h"
#include "bus/rabbitmq/rabbitmq.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <pthread.h>
#include <stdatomic.h>

/** How a connection ended, or what did not work. Outcomes, handled by the worker. */
enum rabbitmq_result {
    RABBITMQ_OK = 0,
    RABBITMQ_E_LOST = 1,      /* the network, the broker's refusal, no memory: back off and try again */
    RABBITMQ_E_LOCKED = 2,    /* the queue's name is held by another connection */
    RABBITMQ_E_CANCELLED = 3, /* the broker cancelled the consumer: its queue was deleted */
    RABBITMQ_E_RETRY = 4,     /* the obstacle was removed: again at once */
    RABBITMQ_E_FULL = 5,      /* no room for it now */
    RABBITMQ_E_PAUSED = 6,    /* given up by us, for a while; the next connection waits until it is wanted */
};

#define RABBITMQ_CHANNEL 1
/** Of a body above amqp.max_body_bytes that goes to the dead letters; a larger one is cut. What RabbitMQ 4 takes at
 * most. */
#define RABBITMQ_WHOLE_MAX ((uint64_t)16 * 1024 * 1024)

/* ---- connection.c: one AMQP connection, of one thread ---- */

struct rabbitmq_connection {
    amqp_connection_state_t amqp;
    int fd;
    int reply_code;   /* of the exception that ended it, else 0 */
    char broker[256]; /* the URL without password */
    char error[256];  /* the last error */
    bool is_logged_in;
};

struct rabbitmq_connect {
    const char *url;
    const struct rabbitmq_config *config; /* for its TLS options; NULL: the defaults */
    const char *name;                     /* connection_name among the client's properties */
    int heartbeat_s;
    int connect_timeout_ms;
    int handshake_timeout_ms;
    int rpc_timeout_ms;
    /** Told of the socket before anything is sent; false: give up. May be NULL. */
    bool (*on_socket)(void *userdata, int fd);
    void *userdata;
};

/** RABBITMQ_OK, or RABBITMQ_E_LOST with c->error; close it in any case. */
int rabbitmq_connection_open(struct rabbitmq_connection *c, const struct rabbitmq_connect *how) base_must_check;
/** At the first broker of @how->config that takes us; @how->url is not looked at. Likewise. */
int rabbitmq_connection_open_any(struct rabbitmq_connection *c, const struct rabbitmq_connect *how) base_must_check;
/** Says goodbye if @politely and logged in (waits for the answer at most the RPC time-out), and frees. Accepts one that
 * was never opened. */
void rabbitmq_connection_close(struct rabbitmq_connection *c, bool politely);
/** What the last RPC said: RABBITMQ_OK, or RABBITMQ_E_LOST with c->error and c->reply_code. @what: "queue.declare". */
int rabbitmq_connection_reply(struct rabbitmq_connection *c, const char *what) base_must_check;
int rabbitmq_connection_check(struct rabbitmq_connection *c, const char *what, amqp_rpc_reply_t reply) base_must_check;
/** A library status as c->error. Return: RABBITMQ_OK if it is none, else RABBITMQ_E_LOST. */
int rabbitmq_connection_status(struct rabbitmq_connection *c, const char *what, int status) base_must_check;
/**
 * The next frame that is there, without waiting; sends heartbeats that are due and notices missing ones. Exceptions of
 * the broker end the connection. RABBITMQ_OK and *ret_is_frame; RABBITMQ_E_LOST.
 */
int rabbitmq_connection_next(struct rabbitmq_connection *c, amqp_frame_t *ret_frame,
                             bool *ret_is_frame) base_must_check;
/** Whether frames wait that poll(2) would not show. */
bool rabbitmq_connection_has_input(struct rabbitmq_connection *c);
amqp_bytes_t rabbitmq_bytes(struct slice s);
struct slice rabbitmq_slice(amqp_bytes_t b);
/** NULL, or what is wrong with an amqp:// or amqps:// URL. */
const char *rabbitmq_url_check(struct slice url);

/* ---- worker.c: a thread that keeps one connection, and its mailbox ---- */

struct rabbitmq_bus;
struct rabbitmq_worker;

enum rabbitmq_link { RABBITMQ_LINK_DOWN, RABBITMQ_LINK_LOCKED, RABBITMQ_LINK_BLOCKED, RABBITMQ_LINK_UP };

/** What a worker tells the owner. */
struct rabbitmq_report {
    enum rabbitmq_link link;
    uint64_t reconnects;
    char broker[256];
    char detail[256];
};

/** What differs between consumer and publisher; called on the worker's thread but for @on_notify. */
struct rabbitmq_role {
    const char *name;
    const char *thread_name;
    /** Uses the connection until it ends or the worker shall stop (RABBITMQ_OK). */
    int (*serve)(struct rabbitmq_worker *w);
    /** The connection ended. */
    void (*lost)(struct rabbitmq_worker *w);
    /** On the owner: something was put down for it. */
    void (*on_notify)(struct rabbitmq_worker *w);
};

struct rabbitmq_worker {
    struct rabbitmq_bus *bus;
    const struct rabbitmq_role *role;
    pthread_t thread;
    bool is_started; /* the owner's */
    int wake_fd;     /* eventfd: look into the mailbox */
    int done_fd;     /* eventfd: the thread is about to return */
    atomic_bool is_stopping;
    atomic_uint_least64_t stop_at_ms;    /* how long a flush may take */
    atomic_uint_least64_t call_began_ms; /* 0: not inside a call of the library that may get stuck */
    atomic_bool is_posting;              /* set under the lock: the task is about to be posted */
    atomic_uint reports;                 /* how many there were, counted under the lock */

    /* The thread's own. */
    struct rabbitmq_connection connection;
    struct metrics_cells *cells;
    size_t url_index;
    unsigned attempts;
    unsigned locks; /* attempts in a row that met a held name */
    uint64_t connections;
    uint64_t up_since_ms; /* 0: not up */
    struct log_limit log_limit;

    /* Under the lock, as is what roles add. */
    pthread_mutex_t lock;
    int watch_fd; /* a duplicate of the socket, for shutdown(2) by others: the library may close its own at any time */
    struct rabbitmq_report report;
    struct loop_task task;
    bool is_posted;
    bool is_detached; /* the thread outlived its stop: it posts nothing any more */
};

int rabbitmq_worker_init(struct rabbitmq_worker *w, struct rabbitmq_bus *bus,
                         const struct rabbitmq_role *role) base_must_check;
void rabbitmq_worker_deinit(struct rabbitmq_worker *w);
int rabbitmq_worker_start(struct rabbitmq_worker *w) base_must_check;
/** Ask it to end by @stop_at_ms; wait for it until @deadline_ms, with shutdown(2) of its socket as the last resort.
 * Thread: the owner. */
void rabbitmq_worker_stop(struct rabbitmq_worker *w, uint64_t stop_at_ms);
void rabbitmq_worker_join(struct rabbitmq_worker *w, uint64_t deadline_ms);
/** Waits for mail alone. */
void rabbitmq_worker_rest(struct rabbitmq_worker *w, int timeout_ms);
/** Wakes the thread. Thread: any. */
void rabbitmq_worker_wake(struct rabbitmq_worker *w);
/** Has the one task posted to the owner by rabbitmq_worker_unlock(), unless it is on its way. Thread: the worker,
 * holding the lock. */
void rabbitmq_worker_notify(struct rabbitmq_worker *w);
/** Gives the lock back, and only then posts: the owner, who may be awake at once, does not meet it held. */
void rabbitmq_worker_unlock(struct rabbitmq_worker *w);
/** Tells the owner a new state of the connection and logs its edges. Thread: the worker, without the lock. */
void rabbitmq_worker_report(struct rabbitmq_worker *w, enum rabbitmq_link link, const char *detail);
/** Waits for mail, for the socket (@events of poll(2)) or @timeout_ms; not at all if frames wait inside the library. */
void rabbitmq_worker_wait(struct rabbitmq_worker *w, short events, int timeout_ms);
/** Frees the thread from a library call that is stuck for too long. Thread: the owner. Return: whether it had to. */
bool rabbitmq_worker_watch(struct rabbitmq_worker *w, uint64_t now_ms);
/** The longest time between two looks at the connection. */
int rabbitmq_worker_patience_ms(const struct rabbitmq_worker *w);

static inline void rabbitmq_worker_call(struct rabbitmq_worker *w, uint64_t now_ms)
{
    atomic_store_explicit(&w->call_began_ms, now_ms, memory_order_relaxed);
}

/* ---- consumer.c: of the node's queue, and with another source of the ingress queue ---- */

struct rabbitmq_delivery;

/** Where a consumer's deliveries come from and go to. */
struct rabbitmq_source {
    /** Declares what must exist. RABBITMQ_OK or why not; likewise below. */
    int (*declare)(struct rabbitmq_bus *bus, struct rabbitmq_connection *c);
    int (*consume)(struct rabbitmq_bus *bus, struct rabbitmq_connection *c);
    /** On the owner; owned by the callee. */
    void (*deliver)(struct rabbitmq_bus *bus, struct bus_delivery *d);
    bool keeps_oversized; /* a body that is too large is delivered all the same, marked; else it is swallowed */
    bool is_optional;     /* consumes only while it is wanted */
    size_t bodies, bytes, redelivered, unacked; /* its metrics */
};

struct rabbitmq_consumer {
    struct rabbitmq_worker worker;
    const struct rabbitmq_source *source;
    atomic_bool is_wanted; /* of an optional source */
    /* The thread's own: the delivery whose frames are coming in. */
    struct rabbitmq_delivery *partial;
    amqp_basic_deliver_t deliver; /* its bytes are not used after the frame */
    char routing_key[256];
    uint64_t body_size, body_received;
    bool in_header, in_body, is_swallowed;
    bool has_more;          /* a batch was full before everything was read */
    bool was_locked;        /* the last attempt met a held name */
    bool was_removed;       /* a queue of earlier settings, at the last attempt */
    uint64_t oversized_tag; /* of a body that is too large: nothing is read until it was given back; 0: none */
    uint64_t oversized_until_ms;
    uint64_t acked; /* the last tag that was acknowledged */
    struct list incoming;

    /* Under the worker's lock. */
    struct list inbox;   /* rabbitmq_delivery, for the owner */
    uint64_t generation; /* of the connection whose tags count now */
    uint64_t taken;      /* every tag up to this one was given back */
    bool *is_done;       /* by tag modulo the window: given back, out of order */
    size_t window;
    bool has_acks;

    /* The owner's. */
    struct loop_deferred wake;
    struct loop_timer ack_timer; /* wakes the thread, should nothing else do so before */
    size_t given_out;
    size_t given_back; /* since the thread was last woken for it */
};

extern const struct rabbitmq_role rabbitmq_consumer_role;
extern const struct rabbitmq_source rabbitmq_node_source;
int rabbitmq_consumer_init(struct rabbitmq_consumer *c, struct rabbitmq_bus *bus, const struct rabbitmq_role *role,
                           const struct rabbitmq_source *source, size_t prefetch) base_must_check;
void rabbitmq_consumer_deinit(struct rabbitmq_consumer *c);
/** Gives it back to the consumer that it came from. */
void rabbitmq_consumer_delivery_done(struct bus_delivery *d);
/** Of an optional source: not wanted, every delivery is void at once. */
void rabbitmq_consumer_want(struct rabbitmq_consumer *c, bool is_wanted);
bool rabbitmq_consumer_delivery_is_void(const struct bus_delivery *d);
/** What a consumer's role is made of. */
int rabbitmq_consumer_serve(struct rabbitmq_worker *w);
void rabbitmq_consumer_lost(struct rabbitmq_worker *w);
void rabbitmq_consumer_on_notify(struct rabbitmq_worker *w);
/** Declarations that sources share. */
int rabbitmq_declare_exchange(struct rabbitmq_connection *c, const char *name, const char *type) base_must_check;
int rabbitmq_bind_queue(struct rabbitmq_connection *c, const char *queue, const char *exchange,
                        const char *key) base_must_check;

/* ---- ingress.c: the queue that back ends publish to ---- */

extern const struct rabbitmq_role rabbitmq_ingress_role;
extern const struct rabbitmq_source rabbitmq_ingress_source;

/* ---- keeper.c: a connection that puts bodies into the cluster's queues ---- */

struct rabbitmq_keeper {
    struct rabbitmq_worker worker;
    /* The thread's own. */
    uint64_t next_tag;
    bool is_blocked;
    uint64_t resend_at_ms;

    /* Under the worker's lock: struct kept, of the thread, and of the owner when that has ended. */
    struct list queue;     /* by order */
    struct list in_flight; /* by tag */
    size_t in_flight_count;
    struct list finished; /* bus_deposit with result, for the owner */

    /* The owner's. */
    size_t pending;
    uint64_t deposits; /* so far */
};

extern const struct rabbitmq_role rabbitmq_keeper_role;
int rabbitmq_keeper_init(struct rabbitmq_keeper *k, struct rabbitmq_bus *bus) base_must_check;
void rabbitmq_keeper_deinit(struct rabbitmq_keeper *k);
int rabbitmq_keeper_deposit(struct rabbitmq_keeper *k, struct bus_deposit *d) base_must_check;
/** After the thread has ended: everything open gets its answer. */
void rabbitmq_keeper_abandon(struct rabbitmq_keeper *k);

/* ---- body.c: what travels together ---- */

/** struct rabbitmq_body - publications in order, where they go together, and once encoded their bytes */
struct rabbitmq_body {
    struct list link;
    struct list publications; /* those that still wait for it */
    size_t messages;
    size_t bound; /* of the bytes */
    enum bus_route route;
    struct buffer nodes; /* of BUS_ROUTE_NODES: ids in ascending order, each ended by a NUL */
    size_t node_count;
    const char *const *like; /* while it is formed: a publication's nodes that are the same, or NULL */
    uint64_t order;          /* in which bodies were sent first, over all connections; 0: not yet */
    /* once encoded: */
    uint64_t tag;
    char routing_key[256];
    struct buffer bytes; /* empty: not encoded yet */
};

/** One that nobody waits for. Accepts NULL, returns NULL. */
struct rabbitmq_body *rabbitmq_body_free(struct rabbitmq_body *b);
/**
 * rabbitmq_bodies_form() - move publications from the head of @queue into new bodies at the end of @bodies
 *
 * Some hundred at most; what is not taken stays, in order. Bodies in order keep the order of each channel, and of what
 * goes to all nodes. A body's nodes are all those of its publications. Return: 0, at least one was moved unless the
 * queue is empty; -ENOMEM: none.
 */
int rabbitmq_bodies_form(struct list *queue, struct list *bodies) base_must_check;
/** Writes the bytes of those that still wait, of which there is one. Return: 0, -ENOMEM. */
int rabbitmq_body_encode(struct rabbitmq_body *b) base_must_check;

/* ---- publisher.c ---- */

struct rabbitmq_publisher {
    struct rabbitmq_worker worker;
    /* The thread's own. */
    uint64_t next_tag;
    uint64_t sent; /* bodies, each once */
    size_t window; /* bodies without a confirm allowed now; grows with confirms, so that a new connection is tried
                      gently */
    size_t in_flight_count;
    bool is_blocked;
    uint64_t resend_at_ms;

    /* Under the worker's lock. Bodies are freed by the thread alone, or when it has ended. */
    struct list queue;     /* bus_publication */
    struct list formed;    /* rabbitmq_body, older than the queue, not sent yet */
    struct list in_flight; /* by tag */
    struct list resend;    /* older than what is formed; by order */
    struct list finished;  /* bus_publication with result, for the owner */

    /* The owner's. */
    struct loop_timer deadline;
    struct loop_deferred wake;
    uint64_t pending;
    uint64_t pending_bytes;
    bool is_up; /* as last reported */
};

extern const struct rabbitmq_role rabbitmq_publisher_role;
int rabbitmq_publisher_init(struct rabbitmq_publisher *p, struct rabbitmq_bus *bus) base_must_check;
void rabbitmq_publisher_deinit(struct rabbitmq_publisher *p);
int rabbitmq_publisher_publish(struct rabbitmq_publisher *p, struct bus_publication *publication) base_must_check;
/** After the thread has ended: everything open gets its answer. */
void rabbitmq_publisher_abandon(struct rabbitmq_publisher *p);

/* ---- rabbitmq.c ---- */

enum {
    RABBITMQ_PUBLISHED_BODIES,
    RABBITMQ_PUBLISHED_MESSAGES,
    RABBITMQ_CONFIRMED,
    RABBITMQ_NACKED,
    RABBITMQ_RETURNED,
    RABBITMQ_REPUBLISHED,
    RABBITMQ_EXPIRED,
    RABBITMQ_REFUSED_BUSY,
    RABBITMQ_CONSUMED_BODIES,
    RABBITMQ_CONSUMED_BYTES,
    RABBITMQ_REDELIVERED,
    RABBITMQ_OVERSIZED,
    RABBITMQ_RECONNECTS,
    RABBITMQ_STUCK,
    RABBITMQ_BLOCKED,
    RABBITMQ_NAME_LOCKED,
    RABBITMQ_PENDING,
    RABBITMQ_PENDING_BYTES,
    RABBITMQ_UNACKED,
    RABBITMQ_CONNECTIONS,
    RABBITMQ_INGRESS_BODIES,
    RABBITMQ_INGRESS_BYTES,
    RABBITMQ_INGRESS_REDELIVERED,
    RABBITMQ_INGRESS_UNACKED,
    RABBITMQ_DEPOSITED,
    RABBITMQ_DEPOSITS,
    RABBITMQ_METRICS,
};

struct rabbitmq_bus {
    struct bus bus;
    atomic_uint refs; /* the user's, one a running thread, one a posted task */
    const struct rabbitmq_config *config;
    char *node_id;
    char *queue;
    char *fanout_exchange;
    char *node_exchange;
    char *ingress;              /* exchange and queue */
    char *shelves[BUS_SHELVES]; /* queues */
    struct rabbitmq_consumer consumer;
    struct rabbitmq_publisher publisher;
    struct rabbitmq_consumer ingress_consumer; /* started if amqp.ingress says so */
    struct rabbitmq_keeper keeper;             /* started if there is something to keep */

    /* The owner's. */
    struct metrics_cells *cells;
    struct loop_timer watchdog;
    struct bus_status status;
    bool is_started;
    bool is_stopped;
    bool was_ready;
    unsigned reports; /* of both workers, that @status was made of */
};

static inline struct rabbitmq_bus *rabbitmq_bus_ref(struct rabbitmq_bus *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}
struct rabbitmq_bus *rabbitmq_bus_unref(struct rabbitmq_bus *b);
/** Puts the two reports together and tells the user what changed. Thread: the owner. */
void rabbitmq_bus_update(struct rabbitmq_bus *b);

#endif
