#ifndef HUB_CLIENT_INTERNAL_H
#define HUB_CLIENT_INTERNAL_H

#include "base/list.h"
#include "base/random.h"
#include "hub/channel_internal.h"

struct hub_request;

/** Batches of session statements that wait for the store at one time. */
#define HUB_PUTS_MAX 2
/** Sessions that begin or end within this time travel together; the first after a rest goes at once. */
#define HUB_PUT_GATHER_MS 20
/** Ended sessions remembered until the store has heard of it; beyond, the store's expiry does it. */
#define HUB_ENDED_MAX 65536

/**
 * struct hub_subscription - a session's listening to a channel; made by the port
 *
 * Those that a session begins with stand in its hub_client; another one is freed by the hub once it has handled the
 * leave. The letter lies over what is needed only while the session has the subscription.
 */
struct hub_subscription {
    union {
        struct hub_letter letter; /* the leave; of the inbox's one the end of the session */
        struct {
            struct hub_subscription *next; /* of the session; the port's, likewise below */
            const char *name;              /* until the answer came: the request's; then the channel's */
            uint32_t index;                /* among the local's */
            bool is_listening : 1;         /* the hub said yes, and it stands among the local's */
            bool is_left : 1;
            bool takes_relays : 1; /* of the rooms of the session, at most one */
            uint8_t name_size;     /* does not change, likewise @kind */
            uint8_t kind;          /* enum channel_kind */
        };
    };
    struct hub_client *client;
    struct hub_channel *channel; /* the hub's: while it counts as a listener. Good until the leave, likewise @local */
    struct hub_local *local;
};

/** struct hub_client - what the hub knows of a session; made by the port, freed by the hub */
struct hub_client {
    struct list link; /* hub->settled, unstated or put_off; the hub's, likewise below */
    int64_t since_ms;
    uint32_t refs; /* the session, its subscriptions, the books */
    bool is_refused : 1;
    bool is_ended : 1;
    bool is_stated : 1;    /* the store may know it */
    bool is_putting : 1;   /* a statement is under way */
    bool counts_ended : 1; /* in hub->ended */
    uint16_t port_index;   /* does not change, likewise below */
    uint8_t user_size, device_size;
    uint8_t own_count;
    char id[ID_TEXT_SIZE];
    struct hub_subscription own[]; /* what it began with: the inbox, and the room if there was one; then the names */
};

/** User, then device. */
static inline char *hub_client_names(struct hub_client *c)
{
    return (char *)&c->own[c->own_count];
}

static inline struct slice hub_client_user(const struct hub_client *c)
{
    return slice_make((const char *)&c->own[c->own_count], c->user_size);
}

/** Not set if there is none. */
static inline struct slice hub_client_device(const struct hub_client *c)
{
    return c->device_size ? slice_make((const char *)&c->own[c->own_count] + c->user_size, c->device_size) : SLICE_NONE;
}

/** Whether it is part of its client's memory. */
static inline bool hub_subscription_is_own(const struct hub_subscription *s)
{
    return s >= s->client->own && s < s->client->own + s->client->own_count;
}

/* ---- client.c: sessions as the hub sees them ---- */

void hub_client_handle_open(struct hub *h, struct hub_request *r);
void hub_client_handle_join(struct hub *h, struct hub_request *r);
/** Of a room that was joined: where it stands. */
void hub_client_handle_rejoin(struct hub *h, struct hub_request *r);
/** Letters of a port. */
loop_task_fn hub_client_on_end;
loop_task_fn hub_client_on_leave;
/** Zeroed, with that many subscriptions of its own and room for its names, whose sizes the caller sets. NULL when out
 * of memory. Thread: any, likewise hub_client_free(), which accepts NULL. */
struct hub_client *hub_client_alloc(struct hub *h, size_t subscriptions, size_t names_size) base_must_check;
void hub_client_free(struct hub *h, struct hub_client *c);
void hub_client_unref(struct hub *h, struct hub_client *c);
void hub_client_start(struct hub *h);
/** Sees to it that the store is told of sessions it has not heard of. */
void hub_client_pump(struct hub *h);
/** Likewise of what it refused. */
void hub_client_retry(struct hub *h);
void hub_client_restate(struct hub *h);
void hub_client_stop(struct hub *h);

#endif
