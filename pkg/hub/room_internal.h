#ifndef HUB_ROOM_INTERNAL_H
#define HUB_ROOM_INTERNAL_H

#include "hub/hub_internal.h"

struct hub_join;
struct hub_request;

/** Room flushes that wait for the store at one time. */
#define HUB_FLUSHES_MAX 256
/** Empty rooms remembered until the store has heard of it; beyond, the store's expiry does it. */
#define HUB_LINGERING_MAX 16384
/** Users who left rooms, of all rooms, and are remembered until the store has heard of it; beyond, their rooms are
 * stated anew. */
#define HUB_LEFT_MEMBERS_MAX 65536
/** Bytes of a mirror's key. */
#define HUB_MIRROR_MAX_BYTES 512

/** What of a member the store has not been told. */
enum member_news { MEMBER_NO_NEWS, MEMBER_JOINED, MEMBER_LEFT, MEMBER_NEWS };

/** struct hub_room - what the hub keeps of a room beside its channel: who is there (member.c, presence.c, statement.c,
 * online.c), likes */
struct hub_room {
    struct hub_channel *channel;
    struct hub_likes *likes;          /* NULL: nobody has spoken of any */
    struct hub_room_ask *ask;         /* a read of the store for those who join; NULL: none under way */
    const struct hub_mirror *mirror;  /* plain keys for other readers; NULL: none */
    struct list link;                 /* hub->rooms */
    struct list dirty_link;           /* hub->dirty */
    struct list members[MEMBER_NEWS]; /* of mode USERS and ROSTER */
    struct list untold; /* of struct hub_name: joins and leaves that the store knows and no event has told */
    uint64_t due_ms;
    uint64_t connections, users;    /* here; users are connections where only these are counted */
    uint64_t joined, left;          /* members with such news */
    uint64_t more;                  /* joins and leaves without a name, of the next statement */
    uint64_t untold_more;           /* likewise, stated */
    uint64_t version;               /* of the last statement */
    uint64_t all_users, users_then; /* of all nodes, and of this one among them, as they were heard of last */
    uint64_t users_stated;          /* of this one, as the store has them */
    uint64_t heard;                 /* the count of the event that came last, whosever it was */
    uint32_t untold_count;
    bool is_dirty, wants_event;
    bool is_stated; /* the store may have a part of ours */
    bool is_behind; /* it may not have what it should: everything is to be stated */
    bool is_flushing;
    bool is_lingering; /* empty and dirty */
    bool is_known;     /* all_users, and the likes, are what the store says */
    bool has_heard;
    bool must_tell; /* whatever was heard last */
};

/** A name in an event to come. */
struct hub_name {
    struct list link;
    bool has_left;
    uint8_t size;
    char text[];
};

static inline enum hub_presence hub_room_presence(const struct hub_room *room)
{
    return (enum hub_presence)room->channel->rule->presence;
}

static inline bool hub_room_has_members(const struct hub_room *room)
{
    return hub_room_presence(room) == HUB_PRESENCE_USERS;
}

/** The number of users, as far as it is known here. */
uint64_t hub_room_count(const struct hub_room *room);

/* ---- member.c: the users of a room ---- */

/** A user in a room: present (connections > 0), or gone and the store does not know it. */
struct hub_member {
    struct list link; /* room->members[news] */
    uint32_t connections;
    uint8_t news; /* enum member_news */
    bool is_put;  /* the news are in the statement under way */
    uint8_t user_size;
    struct hub_room *room; /* with @user the key in hub->members */
    char user[];
};
static_assert(offsetof(struct hub_member, user) == offsetof(struct hub_member, room) + sizeof(struct hub_room *),
              "room and user are one key");

static inline struct slice hub_member_user(const struct hub_member *m)
{
    return slice_make(m->user, m->user_size);
}

static inline struct hub_member *hub_member_from(struct list *link)
{
    return container_of(link, struct hub_member, link);
}

/** NULL: there is none. */
struct hub_member *hub_member_find(struct hub *h, const struct hub_room *room, struct slice user);
/** Without connections and news. NULL when out of memory. */
struct hub_member *hub_member_new(struct hub *h, struct hub_room *room, struct slice user) base_must_check;
/** News that no statement has taken yet. */
void hub_member_set_news(struct hub *h, struct hub_member *m, enum member_news news);
void hub_member_free(struct hub *h, struct hub_member *m);
/** The last connection of a user has gone; so may @m be. */
void hub_member_leave(struct hub *h, struct hub_room *room, struct hub_member *m);
/** The store needs to hear nothing any more: nobody is here. */
void hub_members_forget(struct hub *h, struct hub_room *room);
void hub_members_init(struct hub *h);

/* ---- presence.c: which rooms are due ---- */

int hub_room_new(struct hub *h, struct hub_channel *c) base_must_check;
void hub_room_free(struct hub *h, struct hub_room *room);
int hub_room_enter(struct hub *h, struct hub_room *room, struct slice user) base_must_check;
void hub_room_exit(struct hub *h, struct hub_room *room, struct slice user);
/** States what changed now, before what is asked of the store next. */
void hub_room_state_now(struct hub *h, struct hub_room *room);
/** The name of a key in @storage; not set if there is none. */
struct slice hub_mirror_key(const char *key, struct slice room, char storage[HUB_MIRROR_MAX_BYTES]);
void hub_presence_init(struct hub *h);
/**
 * A signal came for the room: if it is an online event, its count is what listeners believe now. false: listeners are
 * spared it, it is older than what they were told.
 */
bool hub_room_hear(struct hub *h, struct hub_room *room, const struct message *m);
void hub_presence_start(struct hub *h);
/** All rooms are stated again, with an event or without. */
void hub_presence_restate(struct hub *h, bool with_event);
/** All rooms are stated again and told of, also where the count is the one that was heard last: another one may be on
 * its way here, or have come to all others. */
void hub_presence_retell(struct hub *h);
/** States what is due; sets the timer for the rest. */
void hub_presence_run(struct hub *h);
void hub_presence_stop(struct hub *h);
/** Something changed, of which the store hears in so long; and the room, if @wants_event. The room may be gone
 * afterwards, unless it is held. */
void hub_room_changed_in(struct hub *h, struct hub_room *room, bool wants_event, uint64_t ms);
/** In half an interval: so the right count is in the store before the next telling is due, whoever tells it. */
void hub_room_changed(struct hub *h, struct hub_room *room, bool wants_event);
/** At once, before all others. */
void hub_room_hurry(struct hub *h, struct hub_room *room);
/** Not dirty any more; the room may be gone afterwards. */
void hub_room_clean(struct hub *h, struct hub_room *room);
/** Sets the timer for the first that is due, if one can be stated now. */
void hub_presence_arm(struct hub *h);

/* ---- statement.c ---- */

/** States a room of which no statement is under way; what changes from here on makes it dirty anew. -ENOMEM: nothing
 * happened. */
int hub_statement_start(struct hub *h, struct hub_room *room);

/* ---- online.c: the event ---- */

/** Takes over what the statement @members (is_put) and @more told, for the next event; not more names than fit. */
void hub_online_note(struct hub *h, struct hub_room *room, struct slice name, bool has_left);
/** Publishes the event and forgets what it told. 0, BUS_E_*, -ENOMEM. */
int hub_online_publish(struct hub *h, struct hub_room *room) base_must_check;
void hub_online_forget(struct hub_room *room);
/** If it is an online event: what listeners believe now. */
void hub_online_hear(struct hub_room *room, const struct message *m);

/* ---- signal.c ---- */

/** Publishes a signal of the room, with this data, to every node. Nobody hears what becomes of it: the next one has the
 * right number again. 0, BUS_E_*, -ENOMEM. */
int hub_room_signal(struct hub *h, struct hub_room *room, struct slice content_type, struct slice data) base_must_check;
/** The whole number that the object in @data has under @name. */
bool hub_signal_number(struct slice data, const char *name, uint64_t *ret_number);

/* ---- state.c: what a newcomer is told of a room ---- */

/** Whether the room's state is known, or cannot be; if not, the store was asked, and hub_join_retry() will be called.
 */
bool hub_state_is_ready(struct hub *h, struct hub_request *r, struct hub_room *room);
/** Puts it into the join's answer. */
void hub_state_fill(struct hub_room *room, struct hub_join *j);

#endif
