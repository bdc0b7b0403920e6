#ifndef HUB_PORT_INTERNAL_H
#define HUB_PORT_INTERNAL_H

#include "hub/hub_internal.h"

/** A walk over the port's sessions; hub_session_close() moves it on. */
struct hub_cursor {
    struct hub_cursor *outer;
    struct list *next;
};

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
    uint64_t relays; /* sent so far: they make relays' ids differ */
    struct metrics_cells *cells;
};

struct hub_port *hub_port_free(struct hub_port *p);
/** A message of the hub reaches the loop; @local NULL: for all sessions. */
void hub_port_deliver(struct hub_port *p, struct hub_local *local, struct message *m, enum hub_delivery delivery);
/** Messages for one session, as long as there is one: *@session becomes NULL when it closes. */
void hub_port_catch_up(struct hub_port *p, struct hub_session *const *session, struct message **messages, size_t count);
/** @sub listens from now on. 0, -ENOMEM. */
int hub_local_add(struct hub_session *s, struct hub_subscription *sub) base_must_check;
void hub_local_remove(struct hub_port *p, struct hub_session *s, struct hub_subscription *sub);
void hub_port_link_session(struct hub_port *p, struct hub_session *s);
void hub_port_unlink_session(struct hub_port *p, struct hub_session *s);

/** A request of @kind with @text_size bytes behind it, zeroed; NULL when out of memory. */
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
