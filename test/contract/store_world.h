#ifndef CONTRACT_STORE_WORLD_H
#define CONTRACT_STORE_WORLD_H

#include "metrics/metrics.h"
#include "store/memory.h"
#include "store/redis/redis_store.h"

/** A store's interval may be so much shorter by our clock: both are told in whole milliseconds, and theirs is adjusted.
 */
#define WORLD_CLOCKS_MS 2

/**
 * A loop, stores on it, and requests as plain calls: each runs the loop until its answer is there. What takes longer
 * than a minute ends the test.
 */
struct world {
    struct loop *loop;
    struct metrics *metrics;
    struct loop_timer guard, tick;
    unsigned open;   /* stores */
    char prefix[64]; /* of this world's own keys */
};

struct world_store {
    struct world *world;
    struct store *store;
    struct redis_config config;
    bool is_up;
    unsigned changes;
};

void world_init(struct world *w);
/** After a test that an assertion broke off: leaves all as it is, so that what is told is the assertion. */
void world_deinit(struct world *w);
/** Runs the loop until *flag. */
void world_until(struct world *w, const bool *flag);
/** Runs the loop for so long. */
void world_pass(struct world *w, uint64_t ms);
uint64_t world_now_ms(void);

/** @url: NULL for memory. Started, not yet up. */
void world_open(struct world *w, struct world_store *ws, const char *url, const struct store_identity *identity);
/** The same with another configuration than the default one. */
void world_open_with(struct world *w, struct world_store *ws, const char *url, const struct store_identity *identity,
                     int64_t timeout_ms, int64_t max_pending);
void world_until_up(struct world_store *ws);
void world_until_down(struct world_store *ws);
void world_close(struct world_store *ws);

/** The one place for one id. Return: result; *ret_seen if 0. */
int world_seen(struct world_store *ws, struct slice id, bool *ret_seen);
/** One room's item, whose answers are in it. */
int world_likes(struct world_store *ws, struct store_likes *item, uint64_t tell_interval_ms);
int world_watch(struct world_store *ws, const struct store_watch *items, size_t count);
struct world_watched {
    size_t count;
    struct {
        char user[140];
        uint64_t seconds;
    } at[1100];
    char next[140];
};
/** Of one user, or (NULL) a page; @after may be NULL. */
int world_watched(struct world_store *ws, const char *room, const char *user, const char *after, size_t limit,
                  struct world_watched *ret_page);
int world_lease(struct world_store *ws, const char *node, uint64_t incarnation, uint64_t lease_ms);
/** The same of one that started so much later and has the node's queue. */
int world_lease_over(struct world_store *ws, const char *node, uint64_t incarnation, uint64_t lease_ms,
                     int64_t started_after_ms);
/** One request; the answers are in the items. */
int world_sessions(struct world_store *ws, struct store_session_item *items, size_t count);
/** Its texts are borrowed; its result is one that no store gives. */
struct store_session_item world_session_item(const char *user, const char *session, const char *device, bool is_end);
int world_session(struct world_store *ws, const char *user, const char *session, const char *device, bool is_end);
/** Everything of this node: whom it has in the room. */
int world_room(struct world_store *ws, const char *room, uint64_t connections, const char *const *names, size_t count);

/** Copies of an answer. */
struct world_sessions {
    size_t count;
    struct {
        char user[140], session[140], device[140], node[140];
        bool has_device;
        int64_t since_ms;
    } at[1001];
};
int world_user(struct world_store *ws, const char *user, struct world_sessions *ret_sessions);

struct world_parts {
    uint64_t users, connections, likes;
    size_t count;
    struct {
        char node[140];
        uint64_t connections, users;
    } at[8];
    size_t name_count;
    char names[STORE_ROOM_NAMES_MAX][140];
};
int world_parts(struct world_store *ws, const char *room, bool with_names, struct world_parts *ret_parts);
/** A page of names; @after may be NULL. */
int world_names(struct world_store *ws, const char *room, const char *after, size_t limit,
                struct world_parts *ret_parts);
/** A page of the rooms that there are; @after may be NULL. */
struct world_lines {
    size_t count;
    struct world_line {
        char room[140];
        uint64_t users, connections, nodes;
    } at[1100];
    char next[32];
};
int world_rooms(struct world_store *ws, const char *after, size_t limit, struct world_lines *ret_page);
/** A statement as it stands; the answers are in it. */
int world_change(struct world_store *ws, struct store_room_put *put);

struct world_leases {
    size_t count;
    struct {
        char node[140], version[140], internal[140];
        struct store_lease lease; /* its texts are gone */
    } at[16];
};
int world_leases(struct world_store *ws, struct world_leases *ret_leases);

#endif
