#ifndef CONTRACT_STORE_WORLD_LOG_H
#define CONTRACT_STORE_WORLD_LOG_H

#include "contract/store_world.h"

/** The requests about logs as calls, see store_world.h. */

/** A message to append; what is 0 or NULL of it gets a default. */
struct world_message {
    const char *channel, *sender, *key;
    struct slice record;
    const struct store_log_limits *limits; /* default: 1,000 messages, no bytes, a minute */
    uint64_t key_age_ms;                   /* default: a minute */
    uint64_t deadline_in_ms;               /* default: never sent twice */
    bool wants_interest, only_known;
    /* answers */
    bool is_done;
    int result;
    struct store_position position;
    bool is_repeat;
    size_t node_count;
    char nodes[4][140];
    /* the world's */
    struct store_append r;
    struct world_batch *batch;
};

/** Messages that are under way. */
struct world_batch {
    struct world *world;
    size_t open;
    bool is_done;
};

/** Appends them all in one turn; they and @batch must stay. */
void world_append_begin(struct world_store *ws, struct world_batch *batch, struct world_message *messages,
                        size_t count);
/** Appends them all in one turn and waits for the answers. */
void world_append_all(struct world_store *ws, struct world_message *messages, size_t count);
/** Appends one. Return: result. */
int world_append(struct world_store *ws, struct world_message *message);
/** Appends @count messages with keys and records "<first>", "<first + 1>" …; all must succeed as new ones. */
struct store_position world_append_numbers(struct world_store *ws, const char *channel, unsigned first, unsigned count,
                                           const struct store_log_limits *limits);

#define WORLD_TEXT 64
struct world_record {
    struct store_position position;
    size_t size;
    char text[WORLD_TEXT]; /* its beginning */
};

struct world_log {
    struct store_position last, first;
    size_t count;
    struct world_record at[STORE_LOG_READ_MAX];
};

int world_log_read(struct world_store *ws, const char *channel, struct store_position after, uint32_t limit,
                   uint32_t max_bytes, bool is_backwards, struct world_log *ret_log);

struct world_swept {
    size_t count; /* channels with records */
    bool has_more;
    struct {
        size_t index, count;
        struct store_position first, last;
    } at[STORE_SWEEP_MAX];
};

int world_sweep(struct world_store *ws, const struct store_sweep_channel *channels, size_t count, uint32_t limit,
                struct world_swept *ret_swept);
int world_interest(struct world_store *ws, const char *const *channels, size_t count, bool is_end,
                   struct store_position *positions);
/** And whether their logs have a rest of what has ended. */
int world_interest_rest(struct world_store *ws, const char *const *channels, size_t count, bool is_end,
                        struct store_position *positions, bool *have_rest);
/** Somebody listens to a channel for a moment, which is remembered for @known_ms. */
void world_listen_once(struct world_store *ws, const char *channel, uint64_t known_ms);
/** What is for known channels only, in a store that is not young. */
void world_check_known(struct world_store *ws);
int world_ack(struct world_store *ws, const char *user, const char *device, struct store_position position,
              uint64_t age_ms);
int world_acked(struct world_store *ws, const char *user, const char *device, struct store_position *ret_position);

#endif
