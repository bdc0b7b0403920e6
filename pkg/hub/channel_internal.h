#ifndef HUB_CHANNEL_INTERNAL_H
#define HUB_CHANNEL_INTERNAL_H

#include "base/message.h"
#include "base/name.h"
#include "hub/hub.h"
#include "hub/letter_internal.h"

struct hub_client;
struct hub_room;
struct hub_sequence;
struct hub_session;
struct hub_subscription;

/** Messages of one batch to a port. */
#define HUB_BATCH_MAX 256
/** What may be on its way to one port before the hub stops to take deliveries: then the prefetch holds the broker back.
 */
#define HUB_PORT_FANS_MAX 16384
#define HUB_PORT_BYTES_MAX (64u * 1024u * 1024u)

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

/** What the hub keeps about one port. */
struct hub_door {
    struct hub_port *port;
    uint64_t sessions;          /* that listen to `all` */
    struct hub_batch *batch;    /* being filled */
    size_t fans_out, bytes_out; /* in batches that have not come back */
};

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

/* ---- rule.c ---- */

/** The options of a channel; borrowed for the hub's life. */
const struct hub_channel_config *hub_rule_find(const struct hub *h, struct slice channel);
/** Whether messages go to the nodes that listen, and no others. */
bool hub_rule_is_targeted(const struct hub_channel_config *rule, struct slice channel);
/** How long it is remembered that somebody listened; 0: it is not. */
uint64_t hub_rule_known_ms(const struct hub_channel_config *rule, enum channel_kind kind);
/** How the channel's log is bounded. */
struct store_log_limits hub_rule_limits(const struct hub_channel_config *rule, struct slice channel);

#endif
