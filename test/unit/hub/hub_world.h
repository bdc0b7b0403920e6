#ifndef HUB_WORLD_H
#define HUB_WORLD_H

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "bus/body.h"
#include "bus/local.h"
#include "hub/port.h"
#include "store/memory.h"
#include "support/alloc.h"

/**
 * A hub with ports, over the local bus and the memory store, all on the test's thread: the test turns the loops by
 * hand, so it decides what happens between two letters. Bus and store stand behind thin walls through which they can be
 * made to fail, to wait, and to bring bodies of the test's own.
 */

#define WORLD_PORTS 2
#define WORLD_NODE "10.0.0.1:8091"

/** A body that the hub has put into one of the cluster's queues. */
struct world_deposit {
    enum bus_shelf shelf;
    char body[1024], reason[128], message_id[64];
    size_t size;
    struct bus_deposit *waiting; /* NULL: confirmed */
};

struct world_bus {
    struct bus base;
    struct bus *inner;
    bool is_starting;      /* says nothing of itself before world_bus_ready() */
    int publish_result;    /* what bus_publish() says; 0: the inner bus decides */
    bool is_deaf;          /* what the inner bus brings goes nowhere */
    size_t deliveries_out; /* injected and not given back */
    size_t published;      /* taken; the first of them are kept: */
    struct world_published {
        enum bus_route route;
        char channel[160], data[256];
        char nodes[300]; /* with a space behind each */
    } kept[32];
    size_t done_count;
    struct world_deposit deposits[256];
    size_t deposit_count;
    bool is_ingress_wanted, are_deliveries_void;
    size_t round;        /* counts how often the ingress was given up */
    size_t acknowledged; /* of the ingress: given back while not void */
};

struct world_store {
    struct store base;
    struct store *inner;
    bool is_away;    /* every request is answered with STORE_E_UNAVAILABLE, in a later turn */
    bool holds_seen; /* seen requests wait for world_release_seen() */
    struct store_seen *held[64];
    size_t held_count;
    size_t room_puts, seen_requests, seen_ids, log_reads;
    size_t session_puts, session_items, session_answers; /* requests; statements in them; those that were taken */
    const char *refused_user;                            /* whose statements are not */
    size_t interest_ends, interest_end_items;            /* requests; channels in them */
    const char *noted_channel;                           /* whose interest is written down: */
    char notes[16];                                      /* P for stated, E for ended */
    size_t likes_adds;
    bool loses_likes;   /* the next likes_add is carried out, and answered as if it was not */
    size_t others_told; /* reads of the nodes whose answer had the second one */
    bool holds_reads;   /* log reads wait for world_release_reads() */
    struct store_log_read *held_reads[64];
    size_t held_read_count;
    struct store_position stand; /* epoch 0, or where the channel `stands` is said to stand when interest is stated */
    const char *stands;
    bool has_rest;
    uint64_t life;         /* of its status */
    bool is_taken;         /* another incarnation holds the lease, */
    bool is_taken_by_dead; /* or one does that a node with the queue may take it from */
    bool holds_lease;      /* the next statement of the lease waits for world_release_lease() */
    struct store_lease_put *held_lease;
    bool says_cut; /* the last lease that was put */
    size_t lease_puts;
    size_t other_sessions; /* of every user, on a second node */
    bool is_other_cut;
    bool is_other_alive;        /* there is a second node, with */
    uint64_t other_users;       /* so many users in every room */
    bool forgets_room;          /* the next statement of a room does not fit to what is there */
    struct slice interested[8]; /* nodes that state interest in every channel, beside this one */
    size_t interested_count;
    struct list refusals, reads;
    struct loop_timer refuse;
    uint64_t refuse_delay_ms;
};

struct world {
    struct hub_config config;
    bool is_sequenced;   /* else a section takes the positions from all channels */
    const char *section; /* of all channels, instead; NULL: none */
    struct config *sections;
    struct loop *hub_loop;
    struct loop *loops[WORLD_PORTS];
    bool is_one_loop;
    struct metrics *metrics;
    struct world_bus bus;
    struct world_store store;
    struct hub *hub;
    struct hub_port *ports[WORLD_PORTS];
    atomic_size_t fans_done;
};

/** What a client was told, newest last. */
struct client_message {
    enum message_kind kind;
    char channel[160], id[600], from[160], data[512];
    uint64_t epoch, offset;
};

struct client {
    struct hub_session session;
    struct world *world;
    bool is_open, is_closed;
    int open_result;
    size_t state_count;
    char states[4][160];
    struct hub_channel_state positions[4]; /* of the states; their names are not kept */
    struct hub_channel_state joined;       /* likewise, of the last join */
    uint64_t sent_epoch, sent_offset;
    size_t reset_count;
    uint64_t reset_epoch, reset_offset; /* of the last one */
    size_t message_count;               /* all; the first of them are kept */
    struct client_message messages[64];
    size_t answers;
    int last_result;
    char last_tag[HUB_TAG_MAX_BYTES + 1], last_id[600], last_channel[160];
    uint64_t online_count;
    size_t user_count;
    char users[32][130], next[130];
    struct client *closes[4]; /* are closed inside the next on_message */
    const char *leaves;       /* a room left inside the next on_message */
};

/** Before world_open() the config may be changed. */
void world_init(struct world *w);
void world_open(struct world *w);
/** Checks that nothing is left behind. */
void world_close(struct world *w);
/** One turn of a loop. */
void world_turn(struct loop *l);
/** Enough turns for every letter to arrive and be answered. */
void world_settle(struct world *w);
/** Turns until @condition; fails after a minute. */
#define world_until(w, condition)                                                                                      \
    do {                                                                                                               \
        uint64_t deadline_ = world_deadline();                                                                         \
        while (!(condition)) {                                                                                         \
            if (world_is_over(deadline_))                                                                              \
                fail_msg("waited in vain for: %s", #condition);                                                        \
            world_settle(w);                                                                                           \
        }                                                                                                              \
    } while (0)
uint64_t world_deadline(void);
bool world_is_over(uint64_t deadline_ms);
/** Turns for so long. */
void world_pass(struct world *w, uint64_t ms);
int64_t world_metric(struct world *w, const char *name_and_labels);

/** A body arrives. @content_type may be NULL. */
void world_deliver(struct world *w, const char *content_type, const void *body, size_t size);
/** A body of ours with messages of the channel; ids and data in pairs, ended by NULL; an id "" is one that is not
 * stable: kind signal then. */
void world_deliver_messages(struct world *w, const char *channel, ...);
/** A body arrives by the ingress queue; it and @message_id (may be NULL) stay where they are. */
void world_ingress(struct world *w, const char *message_id, const char *body);
/** The broker has all that was deposited. */
void world_confirm_deposits(struct world *w);
/** Answers the oldest held seen request. */
void world_release_seen(struct world *w, bool is_seen);
/** Lets the statement of the lease go that was held. */
void world_release_lease(struct world *w);
/** The bus that was starting is ready. */
void world_bus_ready(struct world *w);
/** Lets the log reads go that were held. */
void world_release_reads(struct world *w);
/** How many of the publications that are kept have this data; the last one in *ret_last. */
size_t world_published(const struct world *w, const char *data, const struct world_published **ret_last);
void world_store_set_away(struct world *w, bool is_away);
/** It has been away for so long that nobody waits for it any more. */
void world_store_set_away_for_long(struct world *w);

extern const struct hub_sink_ops client_sink;
/** Opens a session and waits for on_open. @room may be NULL. */
void client_open(struct client *c, struct world *w, size_t port, const char *user, const char *room);
void client_open_begin(struct client *c, struct world *w, size_t port, const char *user, const char *room);
void client_close(struct client *c);
int client_join(struct client *c, const char *room, const char *tag);
int client_join_since(struct client *c, const char *room, uint64_t epoch, uint64_t offset);
int client_send(struct client *c, const char *room, const char *data, const char *key);
struct hub_send send_text(const char *data);
/** How many messages with this data it got. */
size_t client_count(const struct client *c, const char *data);
/** The newest online event of the room; NULL if there is none. */
const char *client_online(const struct client *c);

#endif
