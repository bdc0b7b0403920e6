#ifndef STORE_REDIS_REDIS_INTERNAL_H
#define STORE_REDIS_REDIS_INTERNAL_H

#include "store/redis/connection.h"
#include "store/redis/redis_store.h"
#include "store/redis/value.h"
#include "store/store_internal.h"

/**
 * struct redis_store - a queue of requests over a connection
 *
 * The queue holds every request without an answer, in the order in which they were made: those whose command was sent
 * (each has exactly one reply to come) and between them those that were refused, which are answered when their turn has
 * come, so that the order holds. Commands are sent only while the state is UP; every change of it goes through
 * redis_store.c.
 */
enum redis_state {
    REDIS_STATE_IDLE,       /* not started: redis_store's start moves it on */
    REDIS_STATE_CONNECTING, /* until on_open, on_lost or the time-out */
    REDIS_STATE_UP,         /* until on_lost, a bad reply or the time-out */
    REDIS_STATE_WAITING,    /* until the retry timer */
    REDIS_STATE_STOPPED,    /* for good */
};

struct redis_store {
    struct store base;
    const struct redis_config *config;
    struct metrics_cells *cells;
    struct redis_url url;
    struct redis_connection connection;
    enum redis_state state;
    struct list queue;         /* of struct store_request */
    uint64_t pending;          /* its length */
    struct loop_timer refuse;  /* answers what was refused, in a later turn */
    struct loop_timer timeout; /* of the oldest command, or of connecting */
    struct loop_timer retry;
    uint64_t backoff_ms;
    uint64_t since_ms; /* of the last coming or going */
    uint64_t reconnects;
    bool was_up;                  /* once at least */
    bool is_stopping;             /* nothing new is sent */
    bool is_told;                 /* that it is away: one line a loss */
    struct store_request release; /* of lease_release() */
    struct slice prefix, node;    /* node: in node_text */
    char incarnation[REDIS_INCARNATION_SIZE + 1];
    uint64_t seen_window_ms, expiry_ms;
    char server[REDIS_URL_TEXT];
    char detail[256];
    char node_text[];
};

/** What a kind of request does. */
struct redis_kind {
    /** Writes its one command. Return: 0, or negative: refused. */
    int (*send)(struct redis_store *s, struct store_request *r);
    /** Takes the reply, which is no error. Return: 0 when done() was called; negative if it cannot be used, and done()
     * was not called. */
    int (*take)(struct redis_store *s, struct store_request *r, const redisReply *reply);
};

/* seen.c */
int redis_seen_send(struct redis_store *s, struct store_request *r);
int redis_seen_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

/* presence.c */
int redis_lease_put_send(struct redis_store *s, struct store_request *r);
int redis_lease_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
/** For lease_release(), whose arguments live only during the call. */
int redis_lease_release_send(struct redis_store *s, const char *node, uint64_t incarnation);
int redis_nodes_read_send(struct redis_store *s, struct store_request *r);
int redis_nodes_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_session_put_send(struct redis_store *s, struct store_request *r);
int redis_session_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_user_read_send(struct redis_store *s, struct store_request *r);
int redis_user_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_room_put_send(struct redis_store *s, struct store_request *r);
int redis_room_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_room_read_send(struct redis_store *s, struct store_request *r);
int redis_room_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

static inline struct slice redis_reply_slice(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? slice_make(reply->str, reply->len) : SLICE_NONE;
}

#endif
