#ifndef HUB_PORT_H
#define HUB_PORT_H

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
    /** A page of who is in a room, sorted by bytes; @next not set: it was the last. */
    void (*on_online)(struct hub_session *s, struct slice tag, int result, uint64_t count, const struct slice *users,
                      size_t user_count, struct slice next);
    /** A page of a room's log, oldest first; @has_more: there are older ones than the first. */
    void (*on_history)(struct hub_session *s, struct slice tag, int result, struct message *const *messages,
                       size_t count, bool has_more);
    void (*on_acked)(struct hub_session *s, struct slice tag, int result);
};

struct hub_port_ops {
    /** Releases the variants of a fan. */
    void (*fan_done)(void *userdata, struct hub_fan *fan);
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
    uint32_t rooms;
    bool is_open;
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
    struct slice room;   /* joined at once; not set if none */
    struct hub_since room_since, inbox_since, all_since;
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
/** At once. 0, HUB_E_NOT_JOINED. */
int hub_session_leave(struct hub_session *s, struct slice room) base_must_check;
bool hub_session_is_joined(const struct hub_session *s, struct slice room);

/** What is sent. */
struct hub_send {
    enum message_kind kind; /* MESSAGE_KIND_MESSAGE or MESSAGE_KIND_RELAY */
    struct slice content_type;
    struct slice data;
    struct slice
        key; /* publish key; not set if none: the same key of the same sender in the same channel publishes once */
};

/** To a room it has joined. 0: on_sent will come (not for relay: nobody waits for that). HUB_E_NOT_JOINED,
 * HUB_E_TOO_LARGE, -ENOMEM. */
int hub_session_send(struct hub_session *s, struct slice room, const struct hub_send *send,
                     struct slice tag) base_must_check;
/** To a user's inbox, wherever that user is. 0: on_sent will come. HUB_E_TOO_LARGE, -ENOMEM. */
int hub_session_whisper(struct hub_session *s, struct slice user, const struct hub_send *send,
                        struct slice tag) base_must_check;
/** Who is in a room: at most @limit names behind @after (not set: from the first). 0: on_online will come. -ENOMEM. */
int hub_session_online(struct hub_session *s, struct slice room, uint64_t limit, struct slice after,
                       struct slice tag) base_must_check;
/** What was said in a room it has joined: at most @limit messages (0: a default) before @before (not set: up to now).
 * 0: on_history will come. HUB_E_NOT_JOINED, -ENOMEM. */
int hub_session_history(struct hub_session *s, struct slice room, uint64_t limit, const struct hub_since *before,
                        struct slice tag) base_must_check;
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

/** Leases of all nodes, as the store has them; HUB_E_UNAVAILABLE with the store away. */
int hub_port_nodes(struct hub_port *p,
                   void (*done)(void *userdata, int result, const struct store_lease *leases, size_t count),
                   void *userdata) base_must_check;
/** A user's sessions on living nodes. */
int hub_port_user(struct hub_port *p, struct slice user,
                  void (*done)(void *userdata, int result, const struct store_session *sessions, size_t count),
                  void *userdata) base_must_check;
/** Who is in a room, as hub_session_online(). */
int hub_port_room(struct hub_port *p, struct slice room, uint64_t limit, struct slice after,
                  void (*done)(void *userdata, int result, uint64_t count, const struct slice *users, size_t user_count,
                               struct slice next),
                  void *userdata) base_must_check;

#endif
