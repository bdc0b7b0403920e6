#ifndef CONTRACT_STORE_WORLD_H
#define CONTRACT_STORE_WORLD_H

#include "metrics/metrics.h"
#include "store/memory.h"
#include "store/redis/redis_store.h"

/**
 * A loop, stores on it, and requests as plain calls: each runs the loop until its answer is there. What takes longer
 * than ten seconds ends the test.
 */
struct world {
    struct loop *loop;
    struct metrics *metrics;
    struct loop_timer guard, tick;
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
int world_lease(struct world_store *ws, const char *node, uint64_t incarnation, uint64_t lease_ms);
int world_session(struct world_store *ws, const char *user, const char *session, const char *device, bool is_end);
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
    size_t count;
    struct {
        char node[140];
        uint64_t connections, users;
        size_t name_count;
        char names[STORE_ROOM_NAMES_MAX][140];
    } at[8];
};
int world_parts(struct world_store *ws, const char *room, bool with_names, struct world_parts *ret_parts);

struct world_leases {
    size_t count;
    struct {
        char node[140], version[140], internal[140];
        struct store_lease lease; /* its texts are gone */
    } at[16];
};
int world_leases(struct world_store *ws, struct world_leases *ret_leases);

#endif
