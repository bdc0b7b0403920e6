#ifndef STORE_MEMORY_INTERNAL_H
#define STORE_MEMORY_INTERNAL_H

#include "base/table.h"
#include "store/arena.h"
#include "store/memory.h"
#include "store/store_internal.h"

struct memory_slot {
    uint64_t number; /* of the time it stands for */
    struct table ids;
    struct store_arena arena;
};

/**
 * struct memory_store - one node's memory as a store
 *
 * Requests wait in a queue and are carried out, in order, in a later turn (memory.c), so that callers meet the same
 * order of events as over a network. Entries expire as in Redis: passed over when they are read, and dropped then.
 */
struct memory_store {
    struct store base;
    struct list queue;
    struct loop_timer work;
    enum { MEMORY_IDLE, MEMORY_COMING, MEMORY_UP, MEMORY_STOPPED } state;
    uint64_t pending;
    uint64_t since_ms;
    uint64_t incarnation, slot_ms, expiry_ms;
    struct memory_slot slots[STORE_SEEN_SLOTS];
    struct memory_lease *leases;
    struct table sessions, users;
    struct memory_room *rooms;
    uint64_t last_room; /* the number that the youngest room got */
    struct memory_log *logs;
    struct list log_turns; /* of struct memory_log, in the order in which they are looked at for their end */
    struct memory_mark *marks;
    struct list mark_turns;  /* of struct memory_mark, likewise */
    struct list known_turns; /* of those that memory_know() set, the one set longest ago first */
    size_t known_count;
    struct memory_likes *likes;
    struct memory_watch *watches;
    struct list watch_turns;      /* of struct memory_watch, likewise */
    struct list likes_turns;      /* of struct memory_likes, likewise */
    uint64_t last_epoch;          /* the highest that was given */
    struct store_request release; /* of lease_release(), with a copy of its arguments */
    char *release_node;
    uint64_t release_incarnation;
    struct slice node;
    char node_text[];
};

static inline uint64_t memory_now_ms(const struct memory_store *s)
{
    return loop_now_ms(s->base.owner);
}

/* memory_seen.c */
void memory_seen_run(struct memory_store *s, struct store_seen *r);
void memory_slot_clear(struct memory_slot *slot);

/* memory_presence.c. What returns a result gives the one for done(). */
int memory_lease_set(struct memory_store *s, const struct store_lease_put *put);
void memory_release_run(struct memory_store *s);
void memory_nodes_read_run(struct memory_store *s, struct store_nodes_read *r);
void memory_presence_init(struct memory_store *s);
/** Gives each item its result. */
void memory_session_put_run(struct memory_store *s, struct store_session_put *r);
void memory_user_read_run(struct memory_store *s, struct store_user_read *r);
/** Whether what this node states is believed. */
bool memory_is_leased(const struct memory_store *s);
void memory_presence_clear(struct memory_store *s);

/* memory_room.c */
int memory_room_put_run(struct memory_store *s, struct store_room_put *r);
void memory_room_read_run(struct memory_store *s, struct store_room_read *r);
void memory_rooms_read_run(struct memory_store *s, struct store_rooms_read *r);
void memory_rooms_clear(struct memory_store *s);

/* memory_log.c */
int memory_append_run(struct memory_store *s, struct store_append *r);
void memory_log_read_run(struct memory_store *s, struct store_log_read *r);
void memory_sweep_run(struct memory_store *s, struct store_sweep *r);
int memory_interest_put_run(struct memory_store *s, const struct store_interest_put *r);
/** Whether this node states interest in @channel. */
bool memory_interest_is_stated(struct memory_store *s, struct slice channel);
void memory_logs_clear(struct memory_store *s);

/* memory_mark.c: positions that are remembered for a time, under a name of several parts: publish keys and acks. */

#define MEMORY_MARK_PARTS 4
/** false: there is none, or its time is over. */
bool memory_mark_find(struct memory_store *s, const struct slice parts[MEMORY_MARK_PARTS],
                      struct store_position *ret_position);
/** Sets or replaces it. Return: 0, -ENOMEM (nothing changed). */
int memory_mark_set(struct memory_store *s, const struct slice parts[MEMORY_MARK_PARTS], struct store_position position,
                    uint64_t age_ms) base_must_check;
int memory_ack_put_run(struct memory_store *s, const struct store_ack_put *r);
struct store_position memory_ack_read_run(struct memory_store *s, const struct store_ack_read *r);
void memory_marks_clear(struct memory_store *s);
/** Users (by their inbox) that were here: the latest ones, for a time. memory_know(): 0, -ENOMEM. */
#define MEMORY_KNOWN_MAX 200000
bool memory_is_known(struct memory_store *s, struct slice channel);
int memory_know(struct memory_store *s, struct slice channel, uint64_t age_ms) base_must_check;

/* memory_live.c: likes, times */
uint64_t memory_likes_of(struct memory_store *s, struct slice room);
int memory_watch_add_run(struct memory_store *s, const struct store_watch_add *r);
void memory_watch_read_run(struct memory_store *s, struct store_watch_read *r);
int memory_likes_add_run(struct memory_store *s, struct store_likes_add *r);
void memory_live_clear(struct memory_store *s);

#endif
