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
};

#define RABBITMQ_CHANNEL 1

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
    const char *name; /* connection_name among the client's properties */
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

    /* The thread's own. */
    struct rabbitmq_connection connection;
    struct metrics_cells *cells;
    size_t url_index;
    unsigned attempts;
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
/** Wakes the thread. Thread: any. */
void rabbitmq_worker_wake(struct rabbitmq_worker *w);
/** Posts the one task to the owner unless it is on its way. Thread: the worker, holding the lock. */
void rabbitmq_worker_notify(struct rabbitmq_worker *w);
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

/* ---- consumer.c ---- */

struct rabbitmq_delivery;

struct rabbitmq_consumer {
    struct rabbitmq_worker worker;
    /* The thread's own: the delivery whose frames are coming in. */
    struct rabbitmq_delivery *partial;
    amqp_basic_deliver_t deliver; /* its bytes are not used after the frame */
    char routing_key[256];
    uint64_t body_size, body_received;
    bool in_header, in_body, is_swallowed;
    bool was_locked; /* the last attempt met a held name */
    uint64_t acked;  /* the last tag that was acknowledged */
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
    size_t given_out;
};

extern const struct rabbitmq_role rabbitmq_consumer_role;
int rabbitmq_consumer_init(struct rabbitmq_consumer *c, struct rabbitmq_bus *bus) base_must_check;
void rabbitmq_consumer_deinit(struct rabbitmq_consumer *c);
void rabbitmq_consumer_delivery_done(struct rabbitmq_consumer *c, struct bus_delivery *d);

/* ---- publisher.c ---- */

struct rabbitmq_publisher {
    struct rabbitmq_worker worker;
    /* The thread's own. */
    uint64_t next_tag;
    size_t window; /* bodies without a confirm allowed now; grows with confirms, so that a new connection is tried
                      gently */
    size_t in_flight_count;
    bool is_blocked;
    uint64_t resend_at_ms;

    /* Under the worker's lock. Bodies are freed by the thread alone, or when it has ended. */
    struct list queue;     /* bus_publication */
    struct list in_flight; /* body, by tag */
    struct list resend;    /* body, older than the queue */
    struct list finished;  /* bus_publication with result, for the owner */

    /* The owner's. */
    struct loop_timer deadline;
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
    struct rabbitmq_consumer consumer;
    struct rabbitmq_publisher publisher;

    /* The owner's. */
    struct metrics_cells *cells;
    struct loop_timer watchdog;
    struct bus_status status;
    bool is_started;
    bool is_stopped;
    bool was_ready;
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
