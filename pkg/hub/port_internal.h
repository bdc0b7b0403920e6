#ifndef HUB_PORT_INTERNAL_H
#define HUB_PORT_INTERNAL_H

#include "hub/hub_internal.h"
#include "hub/request_internal.h"

/** A walk over the port's sessions; hub_session_close() moves it on. */
struct hub_cursor {
    struct hub_cursor *outer;
    struct list *next;
};

/** struct hub_words - what a port looks for words with; {0} to start; words.c */
struct hub_words {
    struct wordlist *list; /* a reference of its own; NULL: there is none */
    unsigned generation;   /* of the hub's list when it was taken */
    struct wordlist_scratch scratch;
    struct buffer decoded, masked, out;
};
void hub_words_deinit(struct hub_words *words);
/** Masks what @send says, by pointing it at bytes that are good until the next call. 0, HUB_E_WORDS, -ENOMEM. */
int hub_words_apply(struct hub_port *p, struct slice channel, struct hub_send *send) base_must_check;

/** Requests that opened a session and are kept for the next one: given back to the heap, each would leave a hole
 * between two sessions' memory that nothing fits into. */
#define HUB_SPARE_REQUESTS 64

struct hub_port {
    struct hub *hub;
    struct loop *loop;
    const struct hub_port_ops *ops;
    void *userdata;
    uint32_t index; /* in hub->doors */
    struct list sessions;
    size_t session_count;
    struct hub_local *delivering; /* a message is on its way through this one */
    size_t holes;                 /* in it */
    struct hub_cursor *cursors;
    struct hub_like *like; /* not sent yet; at the turn's end, or before anybody leaves anything */
    struct loop_deferred like_flush;
    uint64_t relays;                                /* sent so far: they make relays' ids differ */
    struct slab slab;                               /* of listeners */
    struct hub_request *spares[HUB_SPARE_REQUESTS]; /* HUB_REQUEST_OPEN */
    size_t spare_count;
    struct metrics_cells *cells;
    struct hub_words words;
};

struct hub_port *hub_port_free(struct hub_port *p);
/** A message of the hub reaches the loop; @local NULL: for all sessions. */
void hub_port_deliver(struct hub_port *p, struct hub_local *local, struct message *m, enum hub_delivery delivery);
/** Messages of one channel, all of HUB_DELIVERY_MUST, as a run. */
void hub_port_deliver_run(struct hub_port *p, struct hub_local *local, struct message *const *messages, size_t count);
/** Messages for one session, as long as there is one: *@session becomes NULL when it closes. */
void hub_port_catch_up(struct hub_port *p, struct hub_session *const *session, struct message **messages, size_t count);
/** @sub listens from now on. 0, -ENOMEM. */
int hub_local_add(struct hub_session *s, struct hub_subscription *sub) base_must_check;
void hub_local_remove(struct hub_port *p, struct hub_session *s, struct hub_subscription *sub);
/** Tells those of the user's sessions here that are meant that they are to end. Return: how many. */
uint64_t hub_port_kick_local(struct hub_port *p, struct hub_local *inbox, const struct hub_kick_which *which);
/** Writes what there is of the inbox's sessions here: an object each, separated by commas, until about @max_bytes. */
void hub_port_look_local(struct hub_port *p, struct hub_local *inbox, size_t max_bytes, struct buffer *objects);
void hub_port_link_session(struct hub_port *p, struct hub_session *s);
void hub_port_unlink_session(struct hub_port *p, struct hub_session *s);

/** Sends the likes that were gathered. */
void hub_port_flush_likes(struct hub_port *p);
void hub_port_live_init(struct hub_port *p);
/** NULL if the session neither is in this room nor asked for it. */
struct hub_subscription *hub_session_find_room(const struct hub_session *s, struct slice room);

/** A request of @kind with @text_size bytes behind it, zeroed; NULL when out of memory. One that opens a session always
 * has room for the names of its two channels, no more. */
struct hub_request *hub_request_new(struct hub_port *p, enum hub_request_kind kind, size_t text_size) base_must_check;
/** Sends it on behalf of a session, or of nobody (NULL). */
void hub_request_send(struct hub_request *r, struct hub_session *s, struct slice tag);
/** Answers that end at a session. */
void hub_session_on_answer(struct hub_request *r);
/** A message to publish; 0, HUB_E_TOO_LARGE, -ENOMEM. */
int hub_request_new_publish(struct hub_port *p, enum hub_request_kind kind, const struct message *envelope,
                            const struct hub_send *send, struct hub_request **ret_request) base_must_check;
int hub_request_new_room(struct hub_port *p, struct slice room, uint64_t limit, struct slice after,
                         struct hub_request **ret_request) base_must_check;

#endif
