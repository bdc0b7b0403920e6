#ifndef HUB_PORT_H
#define HUB_PORT_H

#include "base/json.h"
#include "base/message.h"
#include "base/name.h"
#include "base/random.h"
#include "hub/hub.h"
#include "loop/loop.h"

/**
 * struct hub_port - one loop's door to the hub: its sessions, and who of them listens to what
 *
 * A request travels to the hub and comes back in a later turn. The hub's answers and its messages come through one
 * mailbox in one order, so what the hub did before it answered a join is never delivered to the joiner, and what it did
 * afterwards always is. Thread: the port's loop, for everything here.
 */
struct hub_port;
struct hub_session;

enum hub_result {
    HUB_E_UNAVAILABLE = 1, /* broker or store away: try again */
    HUB_E_BUSY = 2,        /* the publish window is full: try again */
    HUB_E_NOT_JOINED = 3,
    HUB_E_QUOTA = 4,      /* too many rooms, sessions or channels */
    HUB_E_TOO_LARGE = 5,  /* data above limits.message_bytes */
    HUB_E_NO_LOG = 6,     /* the channel is not sequenced */
    HUB_E_USER_QUOTA = 7, /* too many sessions of this user */
    HUB_E_WORDS = 8,      /* the word list refuses the text */
};

/** Encoded forms that a message may have on one loop; the gateway numbers them. */
#define HUB_VARIANTS_MAX 32

/**
 * struct hub_fan - one message on its way to the listeners of one loop
 *
 * The sink encodes lazily and keeps what it made in @variants, so that a message is encoded once a loop and variant;
 * hub_port_ops.fan_done releases it.
 */
struct hub_fan {
    struct message *message;
    enum hub_delivery delivery; /* signals: latest; relays: drop-oldest; messages: as their channel's section says */
    void *variants[HUB_VARIANTS_MAX];
};

/** Messages of a run, and about the bytes of their data. */
#define HUB_RUN_MAX 64
#define HUB_RUN_BYTES 16384

/**
 * struct hub_run - several messages of one channel that reach a loop together, in order, all of HUB_DELIVERY_MUST
 *
 * The sink may make one piece of them all, which is why they come so: what a listener costs is paid once and not for
 * each of them. @variants as of a fan, released by hub_port_ops.run_done.
 */
struct hub_run {
    struct message *const *messages;
    size_t count; /* 2 to HUB_RUN_MAX */
    void *variants[HUB_VARIANTS_MAX];
};

/**
 * struct hub_channel_state - a channel as it stood when a session began to listen
 *
 * With a position the session's catch-up follows at once, up to @offset and no further, and what comes live continues
 * there. @recovered: a position was asked for, and nothing behind it is missing from the catch-up.
 */
struct hub_channel_state {
    struct slice channel;
    uint64_t epoch; /* 0: the channel has no positions, or the store could not tell */
    uint64_t offset;
    bool recovered;
    /* Of a room. The last messages that were asked for come with it, the others as a catch-up behind it. */
    bool has_state, has_online; /* what follows is known; and counted at all */
    uint64_t online, likes;
    bool has_history;
    struct message *const *messages; /* oldest first; valid during the call */
    size_t message_count;
};

/** A room, as the store has it. */
struct hub_room_info {
    uint64_t users, connections, likes;  /* users: distinct, of all living nodes */
    const struct store_room_part *parts; /* of each node */
    size_t part_count;
    const struct slice *names; /* a page of its users, sorted by bytes */
    size_t name_count;
    struct slice next; /* not set: that was the last page */
};

/** Up to where a client has had a channel. */
struct hub_since {
    bool is_set;
    uint64_t epoch, offset;
};

/** How the hub sees a client: a sink. All calls come in a later turn than what caused them, on the session's loop; none
 * after hub_session_close(). */
struct hub_sink_ops {
    /** The session is known; it listens to these channels from now on. A result other than 0: it is refused (close it).
     */
    void (*on_open)(struct hub_session *s, int result, const struct hub_channel_state *channels, size_t count);
    /** A message of a channel it listens to. */
    void (*on_message)(struct hub_session *s, struct hub_fan *fan);
    /** Messages of a channel it listens to are gone; what comes next stands behind this position. */
    void (*on_reset)(struct hub_session *s, struct slice channel, uint64_t epoch, uint64_t offset);
    /** Answers; @tag is what the request brought. */
    void (*on_joined)(struct hub_session *s, struct slice tag, int result, const struct hub_channel_state *state);
    void (*on_sent)(struct hub_session *s, struct slice tag, int result, struct slice message_id, uint64_t epoch,
                    uint64_t offset);
    /** A page of who is in a room; @info is NULL unless @result is 0. */
    void (*on_online)(struct hub_session *s, struct slice tag, int result, const struct hub_room_info *info);
    /** A page of a room's log, oldest first; @has_more: there are older ones than the first. */
    void (*on_history)(struct hub_session *s, struct slice tag, int result, struct message *const *messages,
                       size_t count, bool has_more);
    void (*on_acked)(struct hub_session *s, struct slice tag, int result);
    /** It is to end: somebody with the right to say so wants it closed. @reason: for the client; may be empty. */
    void (*on_kicked)(struct hub_session *s, struct slice reason);
    /** Somebody looks at it: writes what the owner knows into the session's object. May be NULL. */
    void (*on_look)(struct hub_session *s, struct json_writer *w);
    /** Several messages at once; only on ports with hub_port_ops.run_done. */
    void (*on_run)(struct hub_session *s, struct hub_run *run);
};

struct hub_port_ops {
    /** Releases the variants of a fan. */
    void (*fan_done)(void *userdata, struct hub_fan *fan);
    /** The same of a run. NULL: the port's sinks get each message by itself. */
    void (*run_done)(void *userdata, struct hub_run *run);
};

/** Bytes of a request's tag at most. */
#define HUB_TAG_MAX_BYTES 64

/**
 * struct hub_session - one client connection; embedded in what owns it
 *
 * Open requests never outlive it in a harmful way: hub_session_close() cuts them off.
 */
struct hub_session {
    struct hub_port *port;
    const struct hub_sink_ops *sink;
    struct list link;                       /* the port's sessions */
    struct list requests;                   /* that have not come back */
    struct hub_subscription *subscriptions; /* port_internal.h */
    struct hub_client *client;              /* what the hub keeps of it; NULL: closed */
    uint32_t open_requests;
    uint32_t rooms : 30;
    uint32_t is_open : 1;
    uint32_t is_watching : 1; /* in a room whose times are added up */
};

/** Before hub_start(). Borrows @ops. Belongs to the hub, freed by hub_free(). Return: 0, -ENOMEM. */
int hub_port_new(struct hub *h, struct loop *l, const struct hub_port_ops *ops, void *userdata,
                 struct hub_port **ret_port) base_must_check;
void *hub_port_userdata(struct hub_port *p);
/** Sessions open on this port now. */
size_t hub_port_session_count(const struct hub_port *p);
/** Calls @fn for each session; it may close the one it is called for. */
void hub_port_each_session(struct hub_port *p, void (*fn)(struct hub_session *s, void *userdata), void *userdata);

struct hub_session_info {
    struct slice user;   /* checked by name_check() */
    struct slice device; /* not set if none */
    struct slice room;   /* joined at once, and takes its relays; not set if none */
    struct hub_since room_since, inbox_since, all_since;
    uint64_t history; /* the last messages of the room that come with it, at most 200; if there is no room_since */
    const struct hub_mirror *mirror; /* of the room; borrowed for the hub's life; NULL: none */
};

/**
 * hub_session_open() - make a session known: it will listen to its user's inbox, to `all`, and to the room given
 *
 * Draws its id. Copies @info. Return: 0, then on_open comes; -ENOMEM (nothing happened).
 */
int hub_session_open(struct hub_session *s, struct hub_port *p, const struct hub_session_info *info,
                     const struct hub_sink_ops *sink) base_must_check;
/** Ends it; no call to the sink after this. The memory may be freed. */
void hub_session_close(struct hub_session *s);
/** Until it is closed, all three; the device is not set if there is none. */
struct slice hub_session_id(const struct hub_session *s);
struct slice hub_session_user(const struct hub_session *s);
struct slice hub_session_device(const struct hub_session *s);

/** 0: on_joined will come, and behind it what the room had past @since (may be NULL). HUB_E_QUOTA; -ENOMEM. Joining a
 * room twice is fine: it is answered anew, without a catch-up. */
int hub_session_join(struct hub_session *s, struct slice room, const struct hub_since *since,
                     struct slice tag) base_must_check;
/** The same, and the last @history messages (at most 200) come in the answer. */
int hub_session_join_recent(struct hub_session *s, struct slice room, uint64_t history,
                            struct slice tag) base_must_check;
/** At once. 0, HUB_E_NOT_JOINED. */
int hub_session_leave(struct hub_session *s, struct slice room) base_must_check;
/** Relays go to this room from now on, until it is left. 0, HUB_E_NOT_JOINED. */
int hub_session_set_relay_room(struct hub_session *s, struct slice room) base_must_check;
/** Not set if there is none; good until the room is left. */
struct slice hub_session_relay_room(const struct hub_session *s);
bool hub_session_is_joined(const struct hub_session *s, struct slice room);

/** What is sent. */
struct hub_send {
    enum message_kind kind; /* MESSAGE_KIND_MESSAGE or MESSAGE_KIND_RELAY */
    struct slice content_type;
    struct slice data;
    struct slice
        key; /* publish key; not set if none: the same key of the same sender in the same channel publishes once */
    struct slice meta; /* a msgpack map for back ends only; not set if none */
    const char *text;  /* the member of JSON data that people read, if the channel's section names none; may be NULL */
};

/** To a room it has joined. 0: on_sent will come (not for relay: nobody waits for that). HUB_E_NOT_JOINED,
 * HUB_E_TOO_LARGE, HUB_E_WORDS, -ENOMEM. */
int hub_session_send(struct hub_session *s, struct slice room, const struct hub_send *send,
                     struct slice tag) base_must_check;
/** To a user's inbox, wherever that user is. 0: on_sent will come. HUB_E_TOO_LARGE, HUB_E_WORDS, -ENOMEM. */
int hub_session_whisper(struct hub_session *s, struct slice user, const struct hub_send *send,
                        struct slice tag) base_must_check;
/** Who is in a room: at most @limit names behind @after (not set: from the first). 0: on_online will come. -ENOMEM. */
int hub_session_online(struct hub_session *s, struct slice room, uint64_t limit, struct slice after,
                       struct slice tag) base_must_check;
/** What was said in a room it has joined: at most @limit messages (0: a default) before @before (not set: up to now).
 * 0: on_history will come. HUB_E_NOT_JOINED, -ENOMEM. */
int hub_session_history(struct hub_session *s, struct slice room, uint64_t limit, const struct hub_since *before,
                        struct slice tag) base_must_check;
/** @count likes (at least one) for a room it has joined: added up, told to the room as a total. 0: they will be
 * counted; HUB_E_NOT_JOINED; HUB_E_TOO_LARGE: above limits.likes; -ENOMEM. */
int hub_session_like(struct hub_session *s, struct slice room, uint64_t count) base_must_check;
/** The client gave a sign of life: its time in watched rooms goes on. To be called at the first sign in each slot of
 * HUB_SIGN_SLOT_MS, so that the busy cost no more than the silent; what is behind the last call counts when the session
 * ends. */
void hub_session_alive(struct hub_session *s);
#define HUB_SIGN_SLOT_MS 5000
/** This user's device has taken its inbox up to here; @epoch 0: of the inbox's present one. 0: on_acked will come.
 * -ENOMEM. */
int hub_session_ack(struct hub_session *s, uint64_t epoch, uint64_t offset, struct slice tag) base_must_check;

/* ---- for those without a session (the API) ---- */

struct hub_published {
    struct slice message_id;
    uint64_t epoch, offset;
};

/**
 * hub_port_publish() - to a channel, on behalf of a back end
 *
 * @from may be not set. Copies everything. Return: 0: @done comes once; HUB_E_TOO_LARGE; -ENOMEM.
 */
int hub_port_publish(struct hub_port *p, struct slice channel, struct slice from, const struct hub_send *send,
                     void (*done)(void *userdata, int result, const struct hub_published *published),
                     void *userdata) base_must_check;

/**
 * hub_port_archive() - a record for the archive that is no message of a channel: somebody liked something, was there
 *
 * Messages that this node accepts are archived without this. Of @record channel, from, content_type, data and meta (a
 * msgpack map with whatever fields) are kept as they are, kind too; an id and a time are made if there are none. Copies
 * everything. Nothing tells when it is kept; beyond amqp.archive_pending it is counted, logged and not kept. Return: 0;
 * HUB_E_UNAVAILABLE: there is no archive (amqp.archive is off, or the node is alone); -ENOMEM.
 */
int hub_port_archive(struct hub_port *p, const struct message *record) base_must_check;

/** Leases of all nodes, as the store has them; HUB_E_UNAVAILABLE with the store away. */
int hub_port_nodes(struct hub_port *p,
                   void (*done)(void *userdata, int result, const struct store_lease *leases, size_t count),
                   void *userdata) base_must_check;
/** A user's sessions on living nodes. */
int hub_port_user(struct hub_port *p, struct slice user,
                  void (*done)(void *userdata, int result, const struct store_session *sessions, size_t count),
                  void *userdata) base_must_check;
/** As much as a close frame takes. */
#define HUB_KICK_REASON_MAX_BYTES 123

/** What is asked of a channel's log: the newest before @at (not set: of all), or with @is_forwards the oldest after it.
 */
struct hub_history_read {
    struct slice channel;
    struct hub_since at;
    uint64_t limit; /* 0: a default; at most 500 */
    bool is_forwards;
};

struct hub_history {
    struct message *const *messages; /* oldest first */
    size_t count;
    bool has_more;                    /* in the direction asked */
    uint64_t last_epoch, last_offset; /* where the log ends; epoch 0: there is none */
};

/** A page of any channel's log. Copies @read. @done: 0, HUB_E_UNAVAILABLE, HUB_E_NO_LOG; @history is valid during the
 * call. Return: 0, -ENOMEM. */
int hub_port_history(struct hub_port *p, const struct hub_history_read *read,
                     void (*done)(void *userdata, int result, const struct hub_history *history),
                     void *userdata) base_must_check;

/** Which sessions of a user: all, or those of a device, or one; @reason is for the client. */
struct hub_kick_which {
    struct slice user;
    struct slice device, session, reason; /* not set: any */
};

/** What became of an order to another node. */
enum hub_kick_outcome {
    HUB_KICK_ASKED,     /* no answer yet; not of an answer */
    HUB_KICK_DONE,      /* it has closed what it had */
    HUB_KICK_CUT,       /* no answer in time: it is cut off from the broker */
    HUB_KICK_NO_BROKER, /* not asked, or in vain: this node is cut off from the broker */
    HUB_KICK_SILENT,    /* no answer in time */
};

struct hub_kick_node {
    struct slice node;
    uint64_t known; /* sessions there that the store knew of */
    uint64_t closed;
    enum hub_kick_outcome outcome;
    bool is_cut;
};

struct hub_kicked {
    uint64_t closed;                   /* in all */
    const struct hub_kick_node *nodes; /* the other nodes that were concerned */
    size_t node_count;
};

/**
 * hub_port_kick() - close a user's sessions, on every node
 *
 * Copies everything. @done: 0; HUB_E_UNAVAILABLE: the store is away, so only this node's sessions were closed;
 * HUB_E_BUSY; @kicked is valid during the call, whatever the result. Takes up to some two seconds. Return: 0, -ENOMEM.
 */
int hub_port_kick(struct hub_port *p, const struct hub_kick_which *which,
                  void (*done)(void *userdata, int result, const struct hub_kicked *kicked),
                  void *userdata) base_must_check;
/**
 * hub_port_look() - a user's sessions on this node, as they are right now
 *
 * @objects: JSON objects, separated by commas: "session", "device", "rooms" (at most 100, then "more_rooms"), and what
 * the session's owner adds (on_look). Copies @user. @done: 0, HUB_E_UNAVAILABLE (the node ends), -ENOMEM; @objects is
 * valid during the call. Return: 0, -ENOMEM.
 */
int hub_port_look(struct hub_port *p, struct slice user, void (*done)(void *userdata, int result, struct slice objects),
                  void *userdata) base_must_check;
/** How long users were in a room: @user, or (not set) a page of about @limit, without order, behind what a page gave as
 * @next (@after not set: the first). */
int hub_port_watch(struct hub_port *p, struct slice room, struct slice user, struct slice after, uint64_t limit,
                   void (*done)(void *userdata, int result, const struct store_watched *watched, size_t count,
                                struct slice next),
                   void *userdata) base_must_check;
/** The rooms of the cluster that somebody is in, as nodes have stated them: a page of about @limit (0: a default, at
 * most 500), without order, behind what a page gave as @next (@after not set: the first). See struct store_rooms_read.
 */
int hub_port_rooms(struct hub_port *p, struct slice after, uint64_t limit,
                   void (*done)(void *userdata, int result, const struct store_room_line *lines, size_t count,
                                struct slice next),
                   void *userdata) base_must_check;
/** Who is in a room, as hub_session_online(). */
int hub_port_room(struct hub_port *p, struct slice room, uint64_t limit, struct slice after,
                  void (*done)(void *userdata, int result, const struct hub_room_info *info),
                  void *userdata) base_must_check;

#endif
