#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buffer.h"
#include "loop/loop.h"

/**
 * struct store - what the nodes of a cluster know together
 *
 * One interface, two backends: Redis (store/redis/redis_store.h) and one node's memory (store/memory.h); test/contract
 * runs one suite over both. A store has an owner loop (the hub's): functions are called and callbacks arrive there.
 * Requests are embedded in what waits for them, belong to the store until @done is called, and are answered in the
 * order in which they were made (store_append() says where it differs). @done is never called from inside the request's
 * function.
 *
 * What a node states of itself (lease, sessions, rooms) bears its incarnation and expires; readers get only what stands
 * under a living lease of the same incarnation. Times are the store's own clock.
 */
struct store;

enum store_result {
    STORE_E_UNAVAILABLE = 1, /* the store is away: nothing is known */
    STORE_E_TAKEN = 2,       /* lease: another living incarnation holds this node id */
};

/** struct store_request - a request's place in its store's queue; all of it is the backend's */
struct store_request {
    struct list link;
    struct list mates; /* appends that travel with this one */
    unsigned kind;
    bool is_refused;
    uint64_t made_us;
};

/** Ids at most in one seen request; bytes at most of one id (longer ones are hashed by the backend). */
#define STORE_SEEN_MAX 1024

/** Which ids were handled by this node before, within the idempotency window; and remember them. Ids are distinct
 * within a request. */
struct store_seen {
    struct store_request base; /* the backend's */
    const struct slice *ids;
    size_t count;
    bool *seen; /* count answers, written before done(0) */
    void (*done)(struct store_seen *r, int result);
};

/** What a node says of itself. Texts are borrowed. */
struct store_lease {
    const char *node;
    uint64_t incarnation;
    uint64_t lease_ms; /* how long this is believed without renewal */
    bool is_cut;       /* no working broker connection */
    bool is_draining;
    uint64_t sessions;
    uint64_t rooms;
    int64_t started_ms;
    const char *version;
    const char *internal; /* address of its internal listener */
    /* of an answer */
    int64_t lease_left_ms; /* negative: ended so long ago */
    bool is_alive;
};

struct store_lease_put {
    struct store_request base;
    struct store_lease lease;
    /** This incarnation has the node's queue, so one that started earlier has it no more: its lease is taken over. */
    bool takes_over;
    void (*done)(struct store_lease_put *r, int result); /* 0, STORE_E_UNAVAILABLE, STORE_E_TAKEN */
};

struct store_nodes_read {
    struct store_request base;
    /** @leases (also ended ones, up to an hour) are valid during the call. */
    void (*done)(struct store_nodes_read *r, int result, const struct store_lease *leases, size_t count);
};

/** A user's session on this node, begun or ended. */
struct store_session {
    struct slice user, session, device; /* device: not set if none */
    int64_t since_ms;
    /* of an answer */
    struct slice node;
};

/** Statements at most in one session_put. */
#define STORE_SESSIONS_PUT_MAX 256

/** One statement of a session_put. */
struct store_session_item {
    struct store_session session; /* slices are borrowed until done */
    bool is_end;
    void *userdata; /* the caller's */
    int result;     /* of an answer: 0, STORE_E_UNAVAILABLE */
};

/**
 * struct store_session_put - sessions that began or ended
 *
 * Each statement is absolute: it may be made again. They are carried out in their order, so that of one session's the
 * last one stands. One that the store refuses (out of memory, another program's value in its place) takes none of the
 * others with it.
 */
struct store_session_put {
    struct store_request base;
    struct store_session_item *items;
    size_t count; /* 1 to STORE_SESSIONS_PUT_MAX */
    /** @result 0: each item has its own. Else none was carried out as far as is known, and items have no result. */
    void (*done)(struct store_session_put *r, int result);
};

struct store_user_read {
    struct store_request base;
    struct slice user; /* borrowed until done */
    /** Sessions under living leases; valid during the call. At most 1,000. */
    void (*done)(struct store_user_read *r, int result, const struct store_session *sessions, size_t count);
};

/** What is kept of a room's people. */
enum store_room_mode {
    STORE_ROOM_CONNECTIONS, /* how many connections each node has; they count as users */
    STORE_ROOM_USERS,       /* and which users, so that one on two nodes counts once */
    STORE_ROOM_ROSTER,      /* and their names in order, to be paged through */
};

/** Names at most in one room_put; and in the answer of one room_read. */
#define STORE_ROOM_NAMES_MAX 500

/**
 * struct store_room_put - this node's part of a room, and what the room is then
 *
 * @connections is absolute; 0 takes the part away. Users are stated by what changed, under a version that is one above
 * that of the statement before. With @is_first the store forgets what it has of this node, and @joined are all who are
 * here (or the first of them, when there are more than fit). A statement that follows none of this incarnation, or not
 * the one before (the store came back empty or older; others found this node's lease ended and took its users away; a
 * statement was lost), changes nothing and is answered with @is_behind: then all is to be stated anew.
 *
 * Whoever finds the part of a node that does not live takes it away, and its users with it. (Nothing is lost by that: a
 * node that was thought dead finds itself behind.)
 */
struct store_room_put {
    struct store_request base;
    struct slice room; /* borrowed until done, likewise names and mirrors */
    enum store_room_mode mode;
    bool is_first;
    uint64_t version; /* at least 1 */
    uint64_t connections;
    uint64_t users;             /* here, for people who look into the store */
    const struct slice *joined; /* both together at most STORE_ROOM_NAMES_MAX; none in mode CONNECTIONS */
    size_t joined_count;
    const struct slice *left;
    size_t left_count;
    struct slice mirror, likes_mirror; /* plain keys, without prefix, that get the count, and likes, as text; not set:
                                        * those that any node has named last for this room, if one has */
    bool wants_to_tell;
    uint64_t tell_interval_ms;
    /* answers, written before done(0) */
    bool is_behind;
    bool may_tell;      /* nobody in the cluster was given leave within tell_interval_ms */
    uint64_t wait_ms;   /* else until somebody may be */
    uint64_t all_users; /* distinct, of all living nodes */
    uint64_t all_connections;
    bool *is_news;  /* for each of joined, then left: the user is on no other node; NULL: not wanted */
    void *userdata; /* the caller's */
    void (*done)(struct store_room_put *r, int result);
};

struct store_room_part {
    struct slice node;
    uint64_t connections, users;
};

/** A room as it is. */
struct store_room {
    uint64_t users, connections; /* as of room_put */
    uint64_t likes;
    const struct store_room_part *parts; /* of living nodes */
    size_t part_count;
    const struct slice *names; /* the first of them behind @after, sorted by bytes; only in mode ROSTER */
    size_t name_count;
};

struct store_room_read {
    struct store_request base;
    struct slice room; /* borrowed until done, likewise @after */
    enum store_room_mode mode;
    size_t limit;       /* of names; 0: none are wanted */
    struct slice after; /* not set: from the first */
    /** @room is valid during the call. */
    void (*done)(struct store_room_read *r, int result, const struct store_room *room);
};

/** Rooms at most, about, in a page of rooms_read. */
#define STORE_ROOMS_PAGE_MAX 500

/** A room that somebody is in. */
struct store_room_line {
    struct slice room;
    uint64_t users, connections; /* of living nodes, as they stated them */
    uint64_t nodes;              /* how many of them it is on */
};

/**
 * struct store_rooms_read - a page of the rooms that somebody on a living node is in, without order
 *
 * The store looks at no more than a part of what it has for a page, so that one may be empty although there are more;
 * a room may stand in two of them. Who was in it from before the first page until behind the last is in one at least.
 * Nothing is tidied up on the way: of users on several nodes, one who was also on a node that died since may count
 * twice until a living node states the room again.
 */
struct store_rooms_read {
    struct store_request base;
    struct slice after; /* borrowed until done; what a page before gave as @next; not set: the first page */
    size_t limit;       /* about; 1 to STORE_ROOMS_PAGE_MAX */
    /** Valid during the call; @next not set: that was all. */
    void (*done)(struct store_rooms_read *r, int result, const struct store_room_line *rooms, size_t count,
                 struct slice next);
};

/* ---- the logs ---- */

/**
 * struct store_position - a place in a channel's log; epoch 0: none
 *
 * Offsets are 1, 2, 3 … within an epoch; offset 0 is where a channel stands before its first message. A log that ended
 * (its age, a store that came back empty or older) is followed by one of a new epoch. An epoch is the store's
 * milliseconds since 1970 when its numbering began, raised above every epoch that the store knows of.
 */
struct store_position {
    uint64_t epoch, offset;
};

/**
 * struct store_log_limits - how a channel's log is bounded
 *
 * The newest @length messages are kept, and up to a hundred more, as long as the log takes about @bytes (looked at
 * every few messages; 0: no such bound). The newest message stays whatever its size. Without a message for @age_ms the
 * log ends; while a node states interest it stays for store_identity.expiry_ms after each statement at least.
 */
struct store_log_limits {
    uint64_t length; /* at least 1 */
    uint64_t bytes;
    uint64_t age_ms; /* at least 1 */
};

/**
 * struct store_append - one message into its channel's log
 *
 * A sender's key that is known in the channel gives the position that it gave before and adds nothing; otherwise the
 * message gets the next position, and the key is remembered for @key_age_ms. That, the log and the interest are one
 * moment in the store.
 *
 * Order: appends of one channel are carried out and answered in the order in which they were made. Those of one turn
 * travel together, so that answers of different channels that were asked in the same turn may change places; nothing
 * changes places with another kind of request, except that a lost connection refuses those at once.
 *
 * What a lost connection left unanswered is not refused: it is sent again in order at the next connection, before
 * anything newer and before on_state() tells of it, until loop_now_ms() reaches @deadline_ms; then it is
 * STORE_E_UNAVAILABLE and may or may not be in the log. (So @is_repeat may be said of what this very request added.)
 * What is made while the store is away is refused, as everything is, and is not in the log; so is what it refuses by
 * rule (out of memory).
 */
struct store_append {
    struct store_request base;
    struct slice channel;                  /* borrowed until done, like all slices here */
    struct slice sender, key;              /* always set: the client's key, or the message's id */
    uint64_t key_age_ms;                   /* at least 1; longer than until the deadline */
    struct slice record;                   /* opaque */
    const struct store_log_limits *limits; /* borrowed until done; of one channel's appends in one turn, the first's */
    bool wants_interest;
    bool only_known; /* where nobody listens, nobody is remembered (store_interest_put.known_ms) and no log is, nothing
                        is added, and the position is 0:0. For a minute after the store began a life all are known. */
    uint64_t deadline_ms; /* of loop_now_ms(); 0: never sent twice */
    /* answers, written before done(0) */
    struct store_position position;
    bool is_repeat;
    /** @nodes: which state interest in the channel, if @wants_interest and @result is 0; at most 1,000, without order,
     * perhaps dead; valid during the call. */
    void (*done)(struct store_append *r, int result, const struct slice *nodes, size_t count);
};

struct store_record {
    struct store_position position;
    struct slice record;
};

/** Records at most in the answer of one log_read; channels at most in one sweep and in one interest_put. */
#define STORE_LOG_READ_MAX 1000
#define STORE_SWEEP_MAX 500
#define STORE_INTEREST_MAX 500

/**
 * struct store_log_read - records of one channel, and where its log stands at that moment
 *
 * Forwards: those past @after (of its epoch or a later one), the oldest of them; epoch 0 is the log's beginning.
 * Backwards: those before @after, the newest of them; epoch 0 is the log's end. Either way they come in the log's
 * order. At most @limit (1 to STORE_LOG_READ_MAX), and no more after the one that brings their sizes to @max_bytes:
 * an answer without records means that there are none.
 */
struct store_log_read {
    struct store_request base;
    struct slice channel;
    struct store_position after;
    uint32_t limit;
    uint32_t max_bytes;
    bool is_backwards;
    /** @last: of the log; epoch 0: there is none. @first: the oldest that is kept. @records are valid during the
     * call. */
    void (*done)(struct store_log_read *r, int result, struct store_position last, struct store_position first,
                 const struct store_record *records, size_t count);
};

struct store_sweep_channel {
    struct slice channel;
    struct store_position after; /* epoch 0: the log's beginning */
};

/**
 * struct store_sweep - what lies past the positions of many channels
 *
 * Of each channel at most @limit_per_channel records, and of all at most about 4 MiB (always one record at least);
 * then @has_more says that something was left out. Another epoch shows in the records' positions. A log that ended, or
 * came back older than @after, gives nothing.
 */
struct store_sweep {
    struct store_request base;
    const struct store_sweep_channel *channels; /* borrowed until done */
    size_t count;                               /* 1 to STORE_SWEEP_MAX, distinct */
    uint32_t limit_per_channel;                 /* at least 1 */
    bool has_more;                              /* of an answer */
    /** Once for each channel with records, in order, then done(0) in the same turn. @records are valid during the
     * call. */
    void (*on_records)(struct store_sweep *r, size_t channel_index, const struct store_record *records, size_t count);
    void (*done)(struct store_sweep *r, int result);
};

/**
 * struct store_interest_put - this node listens to channels, or no more
 *
 * And, in the same moment and after it, where each of their logs stands: what is appended later has a position past
 * that, and its append names this node. A channel without a log stands at offset 0 of the epoch that a log begun in
 * this millisecond would have. So does one whose log is of an epoch from before store_status.life: it has ended, though
 * its entries are still there to be read. Believed for store_identity.expiry_ms unless stated again.
 */
struct store_interest_put {
    struct store_request base;
    const struct slice *channels; /* borrowed until done */
    size_t count;                 /* 1 to STORE_INTEREST_MAX, distinct */
    const uint64_t *known_ms; /* count, or NULL: for so long it is remembered that somebody listened; 0: it is not */
    bool is_end;
    struct store_position *positions; /* count answers, written before done(0); not if is_end */
    bool *have_rest;                  /* likewise, or NULL: the log still has entries of an epoch that has ended */
    void (*done)(struct store_interest_put *r, int result);
};

/** How far a user's device has taken its inbox. Within an epoch it never goes back; another epoch replaces it. Kept for
 * @age_ms after each; of the 64 devices of a user that spoke last, at least. */
struct store_ack_put {
    struct store_request base;
    struct slice user, device; /* borrowed until done */
    struct store_position position;
    uint64_t age_ms; /* at least 1 */
    void (*done)(struct store_ack_put *r, int result);
};

struct store_ack_read {
    struct store_request base;
    struct slice user, device; /* borrowed until done */
    /** @position: epoch 0 if there is none. */
    void (*done)(struct store_ack_read *r, int result, struct store_position position);
};

/* ---- what is added up ---- */

/** Rooms at most in one likes_add. */
#define STORE_LIKES_MAX 100

/**
 * struct store_likes - likes of one room: what is to be added, and what the store says
 *
 * Added unless this node (this incarnation) has added to this room under @sequence or a higher one: so a request whose
 * answer was lost is made again with the same numbers. A total is kept for @age_ms after each request, also one that
 * adds nothing; with nothing to keep none is begun.
 */
struct store_likes {
    struct slice room;   /* borrowed until done, likewise the mirror */
    uint64_t count;      /* 0: only asks */
    uint64_t sequence;   /* at least 1 */
    uint64_t age_ms;     /* at least 1 */
    struct slice mirror; /* a plain key, without prefix, that gets the total as text; not set: see store_room_put */
    bool wants_to_tell;
    /* answers, written before done(0) */
    uint64_t total;
    bool may_tell; /* nobody in the cluster was given leave within tell_interval_ms */
};

struct store_likes_add {
    struct store_request base;
    struct store_likes *items;
    size_t count; /* 1 to STORE_LIKES_MAX, distinct rooms */
    uint64_t tell_interval_ms;
    void (*done)(struct store_likes_add *r, int result);
};

/** Intervals at most in one watch_add; entries at most, about, in a page of watch_read. */
#define STORE_WATCH_MAX 200
#define STORE_WATCH_PAGE_MAX 500

/** A user watched a room, from so long ago until so long ago. */
struct store_watch {
    struct slice room, user; /* borrowed until done */
    uint64_t from_ago_ms, to_ago_ms;
    uint64_t age_ms; /* at least 1: what is added up of the room is kept so long */
};

/**
 * struct store_watch_add - adds times that users watched
 *
 * What several devices, or nodes, say of the same time counts once, as long as they say it within two minutes; so an
 * interval that is told twice adds nothing.
 */
struct store_watch_add {
    struct store_request base;
    const struct store_watch *items; /* borrowed until done */
    size_t count;                    /* 1 to STORE_WATCH_MAX */
    void (*done)(struct store_watch_add *r, int result);
};

struct store_watched {
    struct slice user;
    uint64_t seconds;
};

/** How long users watched a room: one of them, or a page of all, without order. */
struct store_watch_read {
    struct store_request base;
    struct slice room, user; /* borrowed until done, likewise @after; user not set: all */
    struct slice after;      /* what a page before gave as @next; not set: the first page */
    size_t limit;            /* about; at most STORE_WATCH_PAGE_MAX */
    /** Valid during the call; @next not set: that was all. */
    void (*done)(struct store_watch_read *r, int result, const struct store_watched *watched, size_t count,
                 struct slice next);
};

struct store_status {
    bool is_up;
    uint64_t since_ms; /* loop_now_ms() of the last change */
    uint64_t life;     /* while up: changes when the server may have come back with less than it had; no epoch from
                          before it is continued */
    uint64_t reconnects;
    uint64_t pending;         /* requests without an answer */
    char server[256];         /* the URL in use, without password */
    char detail[256];         /* last error */
    char eviction_policy[64]; /* maxmemory-policy as read at connection; empty if unknown */
};

struct store_callbacks {
    /** The store came (then what a node states must be stated again) or went. */
    void (*on_state)(void *userdata, const struct store_status *status);
    void *userdata;
};

struct store_ops {
    const char *name; /* "redis", "memory" */
    int (*start)(struct store *s);
    void (*seen)(struct store *s, struct store_seen *r);
    void (*lease_put)(struct store *s, struct store_lease_put *r);
    /** Gives the lease and every stated session count up, on a clean end; fire and forget. */
    void (*lease_release)(struct store *s, const char *node, uint64_t incarnation);
    void (*nodes_read)(struct store *s, struct store_nodes_read *r);
    void (*session_put)(struct store *s, struct store_session_put *r);
    void (*user_read)(struct store *s, struct store_user_read *r);
    void (*room_put)(struct store *s, struct store_room_put *r);
    void (*room_read)(struct store *s, struct store_room_read *r);
    void (*rooms_read)(struct store *s, struct store_rooms_read *r);
    void (*append)(struct store *s, struct store_append *r);
    void (*log_read)(struct store *s, struct store_log_read *r);
    void (*sweep)(struct store *s, struct store_sweep *r);
    void (*interest_put)(struct store *s, struct store_interest_put *r);
    void (*ack_put)(struct store *s, struct store_ack_put *r);
    void (*ack_read)(struct store *s, struct store_ack_read *r);
    void (*likes_add)(struct store *s, struct store_likes_add *r);
    void (*watch_add)(struct store *s, struct store_watch_add *r);
    void (*watch_read)(struct store *s, struct store_watch_read *r);
    void (*status)(struct store *s, struct store_status *ret_status);
    /** Flushes for at most 1 s, then ends; open requests get STORE_E_UNAVAILABLE before it returns. */
    void (*stop)(struct store *s);
    struct store *(*free)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    struct loop *owner;
    struct store_callbacks callbacks;
};

/** Begins to connect; never blocks; a store that is away is not an error. Set s->callbacks before. */
static inline int store_start(struct store *s)
{
    return s->ops->start(s);
}

/* Each answers with STORE_E_UNAVAILABLE (in a later turn) while the store is away or when its queue of
 * store_config.max_pending is full. */
static inline void store_seen(struct store *s, struct store_seen *r)
{
    s->ops->seen(s, r);
}

static inline void store_lease_put(struct store *s, struct store_lease_put *r)
{
    s->ops->lease_put(s, r);
}

static inline void store_lease_release(struct store *s, const char *node, uint64_t incarnation)
{
    s->ops->lease_release(s, node, incarnation);
}

static inline void store_nodes_read(struct store *s, struct store_nodes_read *r)
{
    s->ops->nodes_read(s, r);
}

static inline void store_session_put(struct store *s, struct store_session_put *r)
{
    s->ops->session_put(s, r);
}

static inline void store_user_read(struct store *s, struct store_user_read *r)
{
    s->ops->user_read(s, r);
}

static inline void store_room_put(struct store *s, struct store_room_put *r)
{
    s->ops->room_put(s, r);
}

static inline void store_room_read(struct store *s, struct store_room_read *r)
{
    s->ops->room_read(s, r);
}

static inline void store_rooms_read(struct store *s, struct store_rooms_read *r)
{
    s->ops->rooms_read(s, r);
}

static inline void store_append(struct store *s, struct store_append *r)
{
    s->ops->append(s, r);
}

static inline void store_log_read(struct store *s, struct store_log_read *r)
{
    s->ops->log_read(s, r);
}

static inline void store_sweep(struct store *s, struct store_sweep *r)
{
    s->ops->sweep(s, r);
}

static inline void store_interest_put(struct store *s, struct store_interest_put *r)
{
    s->ops->interest_put(s, r);
}

static inline void store_ack_put(struct store *s, struct store_ack_put *r)
{
    s->ops->ack_put(s, r);
}

static inline void store_ack_read(struct store *s, struct store_ack_read *r)
{
    s->ops->ack_read(s, r);
}

static inline void store_likes_add(struct store *s, struct store_likes_add *r)
{
    s->ops->likes_add(s, r);
}

static inline void store_watch_add(struct store *s, struct store_watch_add *r)
{
    s->ops->watch_add(s, r);
}

static inline void store_watch_read(struct store *s, struct store_watch_read *r)
{
    s->ops->watch_read(s, r);
}

static inline void store_status(struct store *s, struct store_status *ret_status)
{
    s->ops->status(s, ret_status);
}

static inline void store_stop(struct store *s)
{
    s->ops->stop(s);
}

static inline struct store *store_free(struct store *s)
{
    return s ? s->ops->free(s) : NULL;
}

/** Who this node is, for every backend. */
struct store_identity {
    const char *node; /* "<ip>:<port>", borrowed for the store's life */
    uint64_t incarnation;
    uint64_t seen_window_ms; /* ids are remembered at least this long */
    uint64_t expiry_ms;      /* what is stated and not restated is gone after this */
};

#endif
