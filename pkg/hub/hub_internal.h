#ifndef HUB_HUB_INTERNAL_H
#define HUB_HUB_INTERNAL_H

#include "base/log.h"
#include "base/random.h"
#include "base/table.h"
#include "bus/body.h"
#include "hub/dedup.h"
#include "hub/port.h"

#include <pthread.h>
#include <stdio.h>

/*
 * The inside of the hub. Two threads meet here: the hub's and a port's. An object that travels between them (struct
 * hub_letter) belongs to the one who holds it; fields that only one side touches say whose they are.
 */

/** Messages of one batch to a port. */
#define HUB_BATCH_MAX 256
/** What may be on its way to one port before the hub stops to take deliveries: then the prefetch holds the broker back.
 */
#define HUB_PORT_FANS_MAX 16384
#define HUB_PORT_BYTES_MAX (64u * 1024u * 1024u)
/** Room flushes, and session statements, that wait for the store at one time. */
#define HUB_FLUSHES_MAX 256
#define HUB_PUTS_MAX 256
/** Ended sessions remembered until the store has heard of it; beyond, the store's expiry does it. Rooms likewise. */
#define HUB_ENDED_MAX 65536
#define HUB_LINGERING_MAX 16384
/** Users of a room who left since the last event and are remembered by name. */
#define HUB_LEFT_NAMES_MAX 1024

/**
 * struct hub_letter - what travels between a port and the hub
 *
 * Each one on its way holds a reference to the hub, so that what is still in a mailbox when everything ends finds it
 * alive. Once hub_free() was called no loop runs any more, and a letter is handled on the spot instead of being posted.
 */
struct hub_letter {
    struct loop_task task; /* the first member of what travels, so that its handler finds it */
    struct hub *hub;
};

/**
 * A handler begins with
 *     base_cleanup(hub_unref_p)
 *     struct hub *h = hub_of_letter(task);
 * by which the letter's reference is given back when it ends.
 */
void hub_letter_to_hub(struct hub *h, struct hub_letter *letter, loop_task_fn *handler);
void hub_letter_to_port(struct hub_port *p, struct hub_letter *letter, loop_task_fn *handler);

static inline struct hub *hub_of_letter(const struct loop_task *task)
{
    return container_of(task, struct hub_letter, task)->hub;
}

/** Returns NULL. */
struct hub *hub_unref(struct hub *h);
BASE_DEFINE_CLEANUP(struct hub *, hub_unref)

/**
 * struct hub_local - a channel's listeners on one loop
 *
 * They stand side by side, because a message walks over all of them; a lone one needs no memory for that. The hub makes
 * it when the first of the loop's sessions asks, and it lives as long as its channel.
 */
struct hub_local {
    struct hub_local *next; /* the hub's: of the channel's other loops */
    uint32_t listeners;     /* the hub's: joins whose answer the port has not read yet included */
    uint16_t port_index;    /* does not change */
    /* the port's: */
    uint32_t count; /* entries, holes (NULL) included */
    uint32_t capacity;
    union {
        struct hub_session *one;   /* with capacity 0 */
        struct hub_session **many; /* else */
    };
};

/**
 * struct hub_channel - a channel that somebody here listens to, or something still holds
 *
 * Its name and its locals stay where they are while it lives, so a port that has a listener may look at them.
 */
struct hub_channel {
    const struct hub_channel_config *rule;
    struct hub_room *room;         /* of a room: who is present */
    struct hub_sequence *sequence; /* NULL: the channel has no positions */
    struct hub_local local;        /* of the first loop that asked; those of others hang behind it */
    uint32_t listener_count;       /* of all loops */
    uint32_t holds;                /* intakes, batches, flushes and dirt: it stays while there are any */
    uint8_t kind;                  /* enum channel_kind */
    uint8_t name_size;
    char name[];
};

static inline struct slice hub_channel_name(const struct hub_channel *c)
{
    return slice_make(c->name, c->name_size);
}

/** struct hub_batch - messages for one port, in order; goes there and comes back empty, which is how the hub knows what
 * is still on its way */
struct hub_batch {
    struct hub_letter letter;
    struct hub_port *port;
    size_t count;
    size_t bytes;
    struct {
        struct hub_channel *channel; /* held */
        struct hub_local *local;     /* NULL: every session of the port */
        struct message *message;
        enum hub_delivery delivery;
    } items[HUB_BATCH_MAX];
};

/** struct hub_client - what the hub knows of a session; made by the port, freed by the hub */
struct hub_client {
    struct hub_letter letter; /* the end of the session */
    struct list link;         /* hub->settled or hub->unstated; the hub's, likewise below */
    int64_t since_ms;
    uint32_t refs; /* the session, its subscriptions, the books */
    bool is_refused : 1;
    bool is_ended : 1;
    bool is_stated : 1;    /* the store may know it */
    bool is_putting : 1;   /* a statement is under way */
    bool counts_ended : 1; /* in hub->ended */
    uint16_t port_index;   /* does not change, likewise below */
    uint8_t user_size, device_size;
    char id[ID_TEXT_SIZE];
    char names[]; /* user, then device */
};

static inline struct slice hub_client_user(const struct hub_client *c)
{
    return slice_make(c->names, c->user_size);
}

/** Not set if there is none. */
static inline struct slice hub_client_device(const struct hub_client *c)
{
    return c->device_size ? slice_make(c->names + c->user_size, c->device_size) : SLICE_NONE;
}

/** struct hub_subscription - a session's listening to a channel; made by the port, freed by the hub once it has handled
 * the leave */
struct hub_subscription {
    struct hub_letter letter; /* the leave */
    struct hub_client *client;
    struct hub_channel *channel; /* written by the hub before it says yes; good until the leave, likewise @local */
    struct hub_local *local;
    /* the port's: */
    struct hub_subscription *next; /* of the session */
    const char *name;              /* until the answer came: the request's; then the channel's */
    uint32_t index;                /* among the local's */
    uint8_t name_size;
    uint8_t kind;      /* enum channel_kind */
    bool is_listening; /* the hub said yes, and it stands among the local's */
    bool is_left;
};

enum hub_request_kind {
    HUB_REQUEST_OPEN,
    HUB_REQUEST_JOIN,
    HUB_REQUEST_REJOIN, /* of a room already joined: only comes back */
    HUB_REQUEST_PUBLISH,
    HUB_REQUEST_RELAY, /* nobody waits for it */
    HUB_REQUEST_ROOM,
    HUB_REQUEST_USER,
    HUB_REQUEST_NODES,
    HUB_REQUEST_HISTORY,
    HUB_REQUEST_ACK,
};

/** struct hub_join - a request's waiting for one of its channels; the hub's, then with the answer the port's */
struct hub_join {
    struct list link; /* sequence->joins, while it waits */
    struct hub_request *request;
    struct hub_channel *channel; /* the hub's; NULL until it listens */
    struct hub_since since;
    bool has_since, recovered;
    bool is_blind;            /* there is no position to be had */
    bool wants_ack;           /* an inbox: to begin where the device has taken it */
    bool is_asking;           /* the store, where that is */
    bool was_read, has_moved; /* the log was read since it waits; and brought something */
    uint64_t reads;           /* of the sequence, when it began to wait */
    struct store_position at; /* gathered up to here; of the answer: where the channel stands */
    struct message **messages;
    size_t count, capacity, bytes;
};

#define HUB_JOIN_ALL 2

/** A page of a room, as it goes back to a port. */
struct hub_page {
    uint64_t count;
    size_t user_count;
    bool has_next;       /* the last of @users */
    struct slice *users; /* one allocation with the texts */
};

/** struct hub_request - a question on its way; the port's until it is sent and again when it comes back */
struct hub_request {
    struct hub_letter letter;
    struct hub_port *port;
    enum hub_request_kind kind;
    int result;
    struct hub_session *session; /* the port's; NULL: of the API, or the session has ended */
    struct list link;            /* session->requests */
    void *userdata;              /* of @done_* */
    size_t tag_size;
    char tag[HUB_TAG_MAX_BYTES];
    union {
        struct {
            struct hub_client *client;
            struct hub_subscription *subscriptions[2]; /* inbox, room; a join has the first only */
            /* As the subscriptions, then `all` when a session opens; the port puts what it has of `all` in the last. */
            struct hub_join joins[HUB_JOIN_ALL + 1];
            struct store_ack_read ack_read; /* of the inbox's join, the first */
            size_t join_count;
        } listen;
        struct {
            struct bus_publication publication;
            struct message *message;
            size_t key_size; /* of the publish key, with which the id ends; 0: none */
            struct store_position position;
            void (*done)(void *userdata, int result, const struct hub_published *published);
        } publish;
        struct {
            struct store_room_read read;
            struct slice room, after; /* @room is the bare name; both in @text */
            uint64_t limit;
            struct hub_page page;
            void (*done)(void *userdata, int result, uint64_t count, const struct slice *users, size_t user_count,
                         struct slice next);
        } room;
        struct {
            struct store_log_read read; /* the channel's name is @text */
            struct hub_since before;
            uint64_t limit;
            struct message **messages;
            size_t count;
            bool has_more;
        } history;
        struct {
            struct store_ack_put put; /* the inbox's name is @text */
        } ack;
        struct {
            struct store_user_read read;
            struct store_session *sessions; /* one allocation with the texts */
            size_t count;
            void (*done)(void *userdata, int result, const struct store_session *sessions, size_t count);
        } user;
        struct {
            struct store_nodes_read read;
            struct store_lease *leases; /* one allocation with the texts */
            size_t count;
            void (*done)(void *userdata, int result, const struct store_lease *leases, size_t count);
        } nodes;
    };
    char text[];
};

enum hub_metric {
    HUB_METRIC_SESSIONS,
    HUB_METRIC_CHANNELS,
    HUB_METRIC_ROOMS,
    HUB_METRIC_FANS,
    HUB_METRIC_DELIVERIES,
    HUB_METRIC_DUPLICATES_LOCAL,
    HUB_METRIC_DUPLICATES_STORE,
    HUB_METRIC_UNCHECKED,
    HUB_METRIC_POISON,
    HUB_METRIC_OUT_OF_MEMORY,
    HUB_METRIC_PUBLISHED_OK,
    HUB_METRIC_PUBLISHED_UNAVAILABLE,
    HUB_METRIC_PUBLISHED_BUSY,
    HUB_METRIC_INTAKE_QUEUE,
    HUB_METRIC_LEASE_OK,
    HUB_METRIC_LEASE_UNAVAILABLE,
    HUB_METRIC_LEASE_TAKEN,
    HUB_METRIC_ONLINE_EVENTS,
    HUB_METRIC_CANARIES,
    HUB_METRIC_SEQUENCE_OLD,
    HUB_METRIC_SEQUENCE_HELD,
    HUB_METRIC_SEQUENCE_APART,
    HUB_METRIC_SEQUENCE_RESETS,
    HUB_METRIC_SEQUENCE_REPAIRED,
    HUB_METRIC_LOG_READS,
    HUB_METRIC_SWEEPS,
    HUB_METRIC_APPENDS,
    HUB_METRICS,
};

extern const struct metrics_row hub_metrics_rows[HUB_METRICS];

/** What the hub keeps about one port. */
struct hub_door {
    struct hub_port *port;
    uint64_t sessions;          /* that listen to `all` */
    struct hub_batch *batch;    /* being filled */
    size_t fans_out, bytes_out; /* in batches that have not come back */
};

struct hub {
    struct loop *loop;
    struct hub_config config;
    struct hub_identity identity;
    struct bus *bus;
    struct store *store;
    struct metrics_group *metrics;
    struct metrics_cells *cells;
    atomic_size_t refs; /* the owner and every letter on its way */
    atomic_bool is_freed;
    bool is_started, is_stopped;
    struct loop_deferred turn_end;
    struct hub_door *doors;
    size_t door_count;

    /* channel.c */
    struct table channels; /* by name */
    struct hub_channel *all;
    uint64_t channel_count, room_count;

    /* intake.c */
    struct hub_dedup dedup;
    struct list intakes; /* in the order of arrival */
    struct list asking;  /* intakes with ids that the store has not been asked about */
    uint64_t intake_count;
    struct log_limit poison_limit, memory_limit;
    char node_channel[160]; /* "node:<node id>" */

    /* sequence.c, log_reader.c, interest.c, sweep.c */
    struct list sequences;    /* all; the sweep walks over them */
    struct list stragglers;   /* which hold something, by when the log is due */
    struct list unpositioned; /* to be asked for at the end of the turn */
    struct list unread;       /* whose log is to be read, without a place yet */
    size_t reads;             /* under way */
    size_t interest_ends;     /* under way */
    struct loop_timer straggler_timer, sweep_timer;
    struct hub_sweep *sweep; /* under way */
    uint32_t sweep_round;    /* whom it has been at has this number */
    bool is_sweep_due;       /* another one, behind the one under way */
    bool is_store_known;     /* it was there before */

    /* append.c */
    struct list confirming;  /* appends whose answer waits for the broker, oldest first */
    struct list unpublished; /* which the bus had no room for, oldest first */
    struct loop_timer confirm_timer;
    size_t appends; /* under way */
    size_t late;    /* of them, published, without a confirm in time */
    bool is_bus_ready;
    bool are_others_cut; /* at the last read of the leases */

    /* client.c */
    struct list settled, unstated; /* clients the store knows of; clients it has something to hear about */
    uint64_t sessions;
    size_t puts;  /* statements under way */
    size_t ended; /* ended clients among the unstated */

    /* presence.c */
    struct table members;     /* by room and user */
    struct list rooms, dirty; /* dirty is sorted by when a room is due */
    size_t flushes, lingering;
    struct loop_timer presence_timer;

    /* lease.c */
    struct loop_timer lease_timer, restate_timer, canary_timer, status_timer;
    struct store_lease_put lease_put;
    struct store_nodes_read nodes_read;
    bool is_lease_putting, is_nodes_reading;
    bool may_state; /* the store is there and the lease is ours: presence may be written */
    bool is_name_taken, is_draining;
    bool was_granted;
    uint64_t granted_ms;
    int64_t started_ms;
    struct log_limit taken_limit;
    uint64_t *living; /* digests of the living nodes at the last read */
    size_t living_count;
    struct bus_publication canary;
    const char *canary_node;
    bool is_canary_out, was_canary_back;
    uint64_t canary_back_ms;
    struct hub_letter drain_letter;
    atomic_bool is_drain_sent;

    pthread_mutex_t status_mutex;
    struct hub_status status;
};

/* ---- hub.c ---- */

void hub_count(struct hub *h, enum hub_metric metric, int64_t amount);
void hub_gauge(struct hub *h, enum hub_metric metric, uint64_t value);
/** Something was given up because there was no memory: counted, logged once a period. */
void hub_note_out_of_memory(struct hub *h, const char *what);
void hub_status_refresh(struct hub *h);

/* ---- channel.c: who listens, and the way to the ports ---- */

void hub_channels_init(struct hub *h);
struct hub_channel *hub_channel_find(struct hub *h, struct slice name);
int hub_channel_new_all(struct hub *h) base_must_check;
struct hub_channel *hub_channel_free_all(struct hub *h);
void hub_channel_hold(struct hub_channel *c);
void hub_channel_release(struct hub *h, struct hub_channel *c);
/** Counts one listener of @s->client's port, creating the channel. 0, HUB_E_QUOTA, -ENOMEM. */
int hub_channel_listen(struct hub *h, struct hub_subscription *s) base_must_check;
/** Takes it back; the channel may go. */
void hub_channel_unlisten(struct hub *h, struct hub_subscription *s);
/** Hands @m to every port with listeners. -ENOMEM: some port does not get it. */
int hub_channel_fan(struct hub *h, struct hub_channel *c, struct message *m) base_must_check;
void hub_door_flush(struct hub *h, struct hub_door *door);
bool hub_doors_are_full(const struct hub *h);

/** The options of a channel; borrowed for the hub's life. */
const struct hub_channel_config *hub_rule_find(const struct hub *h, struct slice channel);
/** How the channel's log is bounded. */
struct store_log_limits hub_rule_limits(const struct hub_channel_config *rule, struct slice channel);

/* ---- intake.c ---- */

void hub_intake_delivery(void *userdata, struct bus_delivery *d);
/** Hands over what is ready at the head of the line. */
void hub_intake_run(struct hub *h);
/** Asks the store about the ids of this turn. */
void hub_intake_ask(struct hub *h);
/** Gives everything back. */
void hub_intake_stop(struct hub *h);

/* ---- client.c: sessions as the hub sees them ---- */

void hub_client_handle_open(struct hub *h, struct hub_request *r);
void hub_client_handle_join(struct hub *h, struct hub_request *r);
/** Of a room that was joined: where it stands. */
void hub_client_handle_rejoin(struct hub *h, struct hub_request *r);
/** Letters of a port. */
loop_task_fn hub_client_on_end;
loop_task_fn hub_client_on_leave;
void hub_client_unref(struct hub_client *c);
/** Tells the store of sessions it has not heard of, as far as the window goes. */
void hub_client_pump(struct hub *h);
void hub_client_restate(struct hub *h);
void hub_client_stop(struct hub *h);

/* ---- presence.c ---- */

struct hub_room;
int hub_room_new(struct hub *h, struct hub_channel *c) base_must_check;
void hub_room_free(struct hub *h, struct hub_room *room);
int hub_room_enter(struct hub *h, struct hub_room *room, struct slice user) base_must_check;
void hub_room_exit(struct hub *h, struct hub_room *room, struct slice user);
/** Users of the room on this node, and up to @limit of their names (borrowed) into @names. */
uint64_t hub_room_users(const struct hub_room *room, struct slice *names, size_t limit, size_t *ret_name_count);
void hub_presence_init(struct hub *h);
/** A signal came for the room: if it is an online event, its count is what listeners believe now. */
void hub_room_hear(struct hub_room *room, const struct message *m);
void hub_presence_start(struct hub *h);
/** All rooms are stated again, with an event or without. */
void hub_presence_restate(struct hub *h, bool with_event);
/** States what is due; sets the timer for the rest. */
void hub_presence_run(struct hub *h);
void hub_presence_stop(struct hub *h);

/* ---- lease.c ---- */

void hub_lease_start(struct hub *h);
void hub_lease_stop(struct hub *h);
void hub_lease_renew(struct hub *h);
void hub_lease_store_state(void *userdata, const struct store_status *status);
void hub_lease_bus_state(struct hub *h, const struct bus_status *status);
void hub_canary_came_back(struct hub *h, const struct message *m);
/** Whether this node, or another living one, has to do without the broker. */
bool hub_is_any_cut(const struct hub *h);

/* ---- append.c: what is sent into sequenced channels ---- */

void hub_append_start(struct hub *h);
void hub_append_stop(struct hub *h);
/** Takes the request. */
void hub_append_handle(struct hub *h, struct hub_request *r, const struct hub_channel_config *rule);
void hub_publish_count(struct hub *h, int result);

/* ---- publish.c, query.c ---- */

void hub_publish_handle(struct hub *h, struct hub_request *r);
/** The deterministic id of what a sender publishes under a key. */
void hub_publish_key_id(struct slice channel, struct slice from, struct slice key, struct buffer *out);
void hub_query_handle(struct hub *h, struct hub_request *r);

/* ---- history.c ---- */

void hub_history_handle(struct hub *h, struct hub_request *r);

/* ---- requests (session.c has the port's side) ---- */

/** A request of a port arrives at the hub. */
loop_task_fn hub_request_on_hub;
/** Sends it back with its result. */
void hub_request_answer(struct hub *h, struct hub_request *r, int result);
struct hub_request *hub_request_free(struct hub_request *r);

#endif
