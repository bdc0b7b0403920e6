#ifndef STORE_PRESENCE_H
#define STORE_PRESENCE_H

#include "store/request.h"

/* Who is there: nodes, sessions, rooms. Part of store/store.h. */

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

#endif
