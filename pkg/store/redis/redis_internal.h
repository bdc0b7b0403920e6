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
 * (each has exactly one reply to come; appends may share one, see append.c) and between them those that were refused,
 * which are answered when their turn has come, so that the order holds. Commands are sent only while the state is UP;
 * every change of it goes through queue.c.
 */
enum redis_state {
    REDIS_STATE_IDLE,       /* not started: redis_store's start moves it on */
    REDIS_STATE_CONNECTING, /* until on_open, on_lost or the time-out */
    REDIS_STATE_UP,         /* until on_lost, a bad reply or the time-out */
    REDIS_STATE_WAITING,    /* until the retry timer */
    REDIS_STATE_STOPPED,    /* for good */
};

/** This turn's appends of one channel; see append.c. */
struct redis_group {
    struct store_append *leader;
    size_t count, bytes;
};

#define REDIS_GATHERING_SLOTS 256

struct redis_gathering {
    struct list leaders;                              /* of struct store_append's base, in order */
    size_t count;                                     /* of groups, at most half of the slots */
    struct redis_group groups[REDIS_GATHERING_SLOTS]; /* a hash table by channel */
    struct loop_deferred write;
};

struct redis_store {
    struct store base;
    const struct redis_config *config;
    struct metrics_cells *cells;
    struct redis_url url;
    struct redis_connection connection;
    enum redis_state state;
    struct list queue;                /* of struct store_request */
    struct redis_gathering gathering; /* of appends that have yet to be written */
    struct list unanswered;           /* appends of the last connection, while there is none */
    uint64_t pending;                 /* requests in these three */
    struct loop_timer refuse;         /* answers what was refused, in a later turn */
    struct loop_timer timeout;        /* of the oldest command, or of connecting */
    struct loop_timer retry;
    struct loop_timer overdue; /* of the unanswered */
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

/* metrics.c */

enum {
    REDIS_METRIC_COMMANDS, /* + enum store_kind */
    REDIS_METRIC_ERRORS = REDIS_METRIC_COMMANDS + STORE_KINDS,
    REDIS_METRIC_REFUSED,
    REDIS_METRIC_RECONNECTS,
    REDIS_METRIC_UP,
    REDIS_METRIC_PENDING,
    REDIS_METRIC_ROUND_TRIP,
    REDIS_METRICS,
};

extern const struct metrics_row redis_metric_rows[REDIS_METRICS];

/* queue.c */

void redis_queue_init(struct redis_store *s);
/** Connects, for the first time. */
void redis_queue_start(struct redis_store *s);
/** Waits a moment for what is on its way, answers everything, and ends the connection for good. Again: nothing. */
void redis_queue_stop(struct redis_store *s);
/** Sends a request, or has it refused when its turn has come. */
void redis_queue_submit(struct redis_store *s, struct store_request *r, enum store_kind kind);
bool redis_queue_can_send(const struct redis_store *s);
/** So many more requests are without an answer. */
void redis_queue_count(struct redis_store *s, int64_t change);
/** Puts a request (or a group's leader) at the end of the queue; @sent: 0 if its command was written, else it is
 * refused when its turn has come. */
void redis_queue_add(struct redis_store *s, struct store_request *r, int sent);
/** Answers a request that is on no list, or a whole group, with STORE_E_UNAVAILABLE. */
void redis_queue_refuse(struct redis_store *s, struct store_request *r);
/** The server refused a part of a request, whose answer is good. */
void redis_queue_note(struct redis_store *s, struct slice error);

/* append.c */
void redis_append_init(struct redis_store *s);
void redis_append_deinit(struct redis_store *s);
/** Takes an append into this turn's groups. */
void redis_append_gather(struct redis_store *s, struct store_append *r);
/** Writes what was gathered; before any other command. */
void redis_append_write(struct redis_store *s);
/** The connection is gone: moves written and gathered appends to the unanswered, and refuses those whose deadline has
 * passed. */
void redis_append_keep(struct redis_store *s);
/** There is a new connection: writes the unanswered. */
void redis_append_resend(struct redis_store *s);
/** At the end: refuses the unanswered, and puts what is gathered into the queue, refused. */
void redis_append_refuse_all(struct redis_store *s);
int redis_append_send(struct redis_store *s, struct store_request *r);
int redis_append_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

/* log.c */
int redis_log_read_send(struct redis_store *s, struct store_request *r);
int redis_log_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_sweep_send(struct redis_store *s, struct store_request *r);
int redis_sweep_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

/* interest.c */
int redis_interest_put_send(struct redis_store *s, struct store_request *r);
int redis_interest_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_ack_put_send(struct redis_store *s, struct store_request *r);
int redis_ack_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_ack_read_send(struct redis_store *s, struct store_request *r);
int redis_ack_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

/* live.c */
int redis_likes_add_send(struct redis_store *s, struct store_request *r);
int redis_likes_add_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_watch_add_send(struct redis_store *s, struct store_request *r);
int redis_watch_add_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_watch_read_send(struct redis_store *s, struct store_request *r);
int redis_watch_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

/* key.c: arguments that are keys. */

/** What a writer wrote; out of memory ends the command. */
void redis_add_buffer(struct redis_store *s, struct buffer *text);
/** <prefix><name> */
void redis_add_key(struct redis_store *s, struct slice name);
/** <prefix><begin><name> */
void redis_add_named_key(struct redis_store *s, struct slice begin, struct slice name);
/** <prefix><begin><name>} where @begin ends with the brace of a hash tag: keys of one room or channel would go to one
 * shard. */
void redis_add_tagged_key(struct redis_store *s, struct slice begin, struct slice name);

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

/* room.c */
int redis_room_put_send(struct redis_store *s, struct store_request *r);
int redis_room_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_room_read_send(struct redis_store *s, struct store_request *r);
int redis_room_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);
int redis_rooms_read_send(struct redis_store *s, struct store_request *r);
int redis_rooms_read_take(struct redis_store *s, struct store_request *r, const redisReply *reply);

static inline struct slice redis_reply_slice(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? slice_make(reply->str, reply->len) : SLICE_NONE;
}

#endif
