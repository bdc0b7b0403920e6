#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/name.h"
#include "bus/bus.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "store/store.h"
#include "wordlist/wordlist.h"

/**
 * struct hub - the heart of a node: channels, who listens, duplicates, presence, the lease
 *
 * One thread (its loop's) owns it, together with bus and store. Each loop that has clients, and the one that serves the
 * API, speaks to it through a port of its own (hub/port.h) by mailbox; the hub hands a message once to each port that
 * has listeners.
 *
 *     bus ─ delivery ─▶ intake: decode what someone here listens to ─▶ seen before? (local window, then the store, one
 * batch in flight order) ─▶ channel ─▶ one fan per port ─▶ sessions
 *
 * The delivery is acknowledged when its messages have been handed to the ports. With the store away duplicates are told
 * by the local window alone.
 */
struct hub;

struct hub_config {
    int64_t lease_ms;           /* hub.lease: 6s; renewed at a third */
    int64_t restate_ms;         /* hub.restate: 5m; expiry is three times that */
    int64_t dedup_window_ms;    /* hub.idempotency_window: 10m */
    int64_t dedup_local;        /* hub.idempotency_local: ids kept in memory at most, 200,000 */
    int64_t online_interval_ms; /* hub.online_interval: 1s; a room's count is told at most this often */
    int64_t online_names;       /* hub.online_names: joins and leaves named in one online event, 20 */
    int64_t likes_interval_ms;  /* hub.likes_interval: 300ms; a room's likes are flushed and told at most this often */
    int64_t watch_interval_ms;  /* hub.watch_interval: 10s; times are told to the store so often */
    int64_t watch_gap_ms;       /* hub.watch_gap: 40s; a longer silence is no watching */
    int64_t likes_per_op;       /* limits.likes: 1,000; that one operation may bring */
    int64_t rooms_per_session;  /* limits.rooms_per_session: 100 */
    int64_t channels;           /* limits.channels: 1,000,000 */
    int64_t sessions;           /* limits.sessions: 1,000,000 */
    int64_t sessions_per_user;  /* limits.sessions_per_user: 1,000 here; newcomers are refused */
    int64_t message_bytes;      /* limits.message_bytes: 64k; of data */
    int64_t canary_interval_ms; /* hub.canary: 2s */
    int64_t interest_gather_ms; /* hub.interest_gather: 10ms; 0: a statement a turn */
    bool ingress, archive;      /* amqp.ingress, amqp.archive, of a node that is not alone */
    int64_t archive_pending, archive_pending_bytes; /* likewise, of amqp */
    const struct config
        *sections; /* filled by the server: where sections [channel.<name>] are found; NULL: there are none */
};

/** What becomes of what a slow reader has not read. */
enum hub_delivery {
    HUB_DELIVERY_MUST,        /* it arrives, or the session ends */
    HUB_DELIVERY_LATEST,      /* a newer one of the same channel and content type replaces it */
    HUB_DELIVERY_DROP_OLDEST, /* the oldest go */
};

/** Which nodes get a channel's messages. */
enum hub_routing {
    HUB_ROUTING_AUTO,     /* rooms and inboxes that are sequenced: targeted, others: fanout */
    HUB_ROUTING_FANOUT,   /* all */
    HUB_ROUTING_TARGETED, /* those with a listener; of sequenced channels only */
};

/** What is kept of who is in a room. */
enum hub_presence {
    HUB_PRESENCE_USERS,       /* who is there: users count once, whatever their devices and nodes */
    HUB_PRESENCE_CONNECTIONS, /* how many connections there are */
    HUB_PRESENCE_OFF,         /* nothing */
};

/** A section [channel.<name>]: options of the channels that fit a pattern; the first section that fits a channel is
 * its. */
struct hub_channel_config {
    char *match;          /* room:flood-*; see glob_matches() */
    int delivery;         /* class: enum hub_delivery, of messages */
    bool is_sequenced;    /* sequenced: yes */
    int routing;          /* enum hub_routing */
    int64_t log_length;   /* messages kept; 0: 1,000, of inboxes 100 */
    int64_t log_bytes;    /* 1m */
    int64_t log_age_ms;   /* 0: 10m, of inboxes 24h */
    int64_t key_age_ms;   /* 10m */
    bool words;           /* words: yes; what sessions send is looked at by the word list */
    char *text;           /* text: the member of JSON data that is; empty: none */
    int presence;         /* presence: enum hub_presence; of rooms, likewise below */
    bool has_roster;      /* roster: yes; names are told and listed, with presence = users */
    bool has_watch;       /* watch: no; how long users are there is added up */
    int64_t known_age_ms; /* 0: 30d for inboxes, else not */
    int64_t live_age_ms;  /* 7d; of what is added up in a room */
};
extern const struct config_option hub_channel_options[];
extern const size_t hub_channel_option_count;
#define HUB_CHANNEL_FAMILY "channel"
/** What only the sections as a whole show. Return: 0; CONFIG_E_INVALID with a line for each error in @errors. */
int hub_config_check(const struct config *sections, struct buffer *errors) base_must_check;

/**
 * struct hub_mirror - plain keys of the store that are kept up to date for readers of their own
 *
 * The names have {room} where the room's is put; NULL: no such key. Rooms that were entered through a session with a
 * mirror have it.
 */
struct hub_mirror {
    const char *online_key; /* how many users there are */
    const char *likes_key;
};

extern const struct config_option hub_options[];
extern const size_t hub_option_count;

/** What hub_status_read() tells. */
struct hub_status {
    struct bus_status bus;
    struct store_status store;
    bool is_name_taken; /* another living incarnation holds the lease of this node id */
    bool is_lease_held;
    bool is_draining;
    uint64_t canary_age_ms; /* since the last canary came back; UINT64_MAX if none ever did */
    uint64_t updated_ms;    /* clock_monotonic_ms() of this snapshot: how alive the hub's loop is */
    uint64_t sessions, channels, rooms;
};

struct hub_identity {
    const char *node; /* "<ip>:<port>" */
    uint64_t incarnation;
    const char *internal; /* address of the internal listener, for the lease */
    const char *version;
};

/**
 * hub_new() - a hub on @l over @bus and @store, which it starts, uses and stops but does not free
 *
 * Sets their callbacks. Borrows everything. Return: 0, -ENOMEM.
 */
int hub_new(struct loop *l, const struct hub_config *config, const struct hub_identity *identity, struct bus *bus,
            struct store *store, struct metrics *metrics, struct hub **ret_hub) base_must_check;
/** Starts bus and store and the timers; before the hub's loop runs. All ports have been made. Return: 0 or negative. */
int hub_start(struct hub *h) base_must_check;
/**
 * Ends it: release the lease, stop bus (flushing what is queued) and store, answer what is open. Thread: the hub's
 * loop; the sessions of all ports are closed. May block for the bounded time of bus_stop() and store_stop().
 */
void hub_stop(struct hub *h);
/** A stopped hub, its loop no longer running. Accepts NULL, returns NULL. */
struct hub *hub_free(struct hub *h);

/** A consistent snapshot, at most about a second old, or fresher. Thread: any; never waits for the hub. */
void hub_status_read(struct hub *h, struct hub_status *ret_status);
/** The words that sessions may not say, from now on; NULL: there are none. Takes the caller's reference. Thread: any.
 */
void hub_words_set(struct hub *h, struct wordlist *list);
/** From now on the lease says draining. Thread: any. */
void hub_set_draining(struct hub *h);

#endif
