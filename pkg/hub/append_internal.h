#ifndef HUB_APPEND_INTERNAL_H
#define HUB_APPEND_INTERNAL_H

#include "base/message.h"
#include "hub/hub.h"
#include "store/store.h"

struct hub;
struct hub_request;

/**
 * struct hub_append_order - a message to be sent into a sequenced channel; embedded in what waits for it
 *
 * Everything is borrowed until @done.
 */
struct hub_append_order {
    struct message *message;
    struct slice sender, key;   /* both set: by these a repetition is known */
    bool is_key_lasting;        /* for the channel's key_age; else only as long as the store may be asked twice */
    bool only_known;            /* a channel that was never listened to gets no log: answer 0 without position */
    bool is_repeated_by_caller; /* a lost connection to the store refuses it at once */
    /** The store has answered: 0, then it has a position (or none, see only_known); HUB_E_UNAVAILABLE: it may or may
     * not. May be NULL. Comes before @done, once. */
    void (*appended)(struct hub_append_order *o, int result);
    /** 0: appended, and with the broker as far as there is one. Once. */
    void (*done)(struct hub_append_order *o, int result);
    struct store_position position; /* of the answer 0 */
};

/* ---- append.c: what is sent into sequenced channels ---- */

void hub_append_start(struct hub *h);
void hub_append_stop(struct hub *h);
/** 0: the order's callbacks will come. HUB_E_BUSY, HUB_E_UNAVAILABLE, -ENOMEM: nothing was taken. */
int hub_append_send(struct hub *h, struct hub_append_order *o, const struct hub_channel_config *rule) base_must_check;
/** Takes the request. */
void hub_append_handle(struct hub *h, struct hub_request *r, const struct hub_channel_config *rule);
void hub_publish_count(struct hub *h, int result);

/* ---- publish.c ---- */

void hub_publish_handle(struct hub *h, struct hub_request *r);
/** The deterministic id of what a sender publishes under a key. */
void hub_publish_key_id(struct slice channel, struct slice from, struct slice key, struct buffer *out);

#endif
