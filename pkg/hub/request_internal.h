#ifndef HUB_REQUEST_INTERNAL_H
#define HUB_REQUEST_INTERNAL_H

#include "hub/append_internal.h"
#include "hub/archive_internal.h"
#include "hub/client_internal.h"
#include "hub/join_internal.h"

enum hub_request_kind {
    HUB_REQUEST_OPEN,
    HUB_REQUEST_JOIN,
    HUB_REQUEST_REJOIN, /* of a room already joined: only comes back */
    HUB_REQUEST_PUBLISH,
    HUB_REQUEST_RELAY, /* nobody waits for it */
    HUB_REQUEST_ROOM,
    HUB_REQUEST_WATCH,
    HUB_REQUEST_ROOMS,
    HUB_REQUEST_LOOK,
    HUB_REQUEST_USER,
    HUB_REQUEST_NODES,
    HUB_REQUEST_KICK,
    HUB_REQUEST_HISTORY,
    HUB_REQUEST_ACK,
};

/** Of the joins of a request, that of `all`. */
#define HUB_JOIN_ALL 2

/** A page of a room, as it goes back to a port. */
struct hub_page {
    struct hub_room_info info;
    void *memory; /* of its arrays and texts */
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
            struct list state_link;         /* waits for a room's state */
            bool is_stated;                 /* has waited for it */
            const struct hub_mirror *mirror;
            size_t join_count;
        } listen;
        struct {
            struct bus_publication publication;
            struct hub_append_order order;
            struct hub_archive_ticket ticket;
            struct message *message;
            size_t key_size; /* of the publish key, with which the id ends; 0: none */
            bool only_known; /* see hub_append_order */
            struct store_position position;
            void (*done)(void *userdata, int result, const struct hub_published *published);
        } publish;
        struct {
            struct store_room_read read;
            struct slice room, after; /* @room is the bare name; both in @text */
            uint64_t limit;
            struct hub_page page;
            void (*done)(void *userdata, int result, const struct hub_room_info *info);
        } room;
        struct {
            struct store_watch_read read;  /* its names are @text */
            struct store_watched *watched; /* one allocation with the texts */
            size_t count;
            struct slice next;
            void (*done)(void *userdata, int result, const struct store_watched *watched, size_t count,
                         struct slice next);
        } watch;
        struct {
            struct store_rooms_read read;  /* its cursor is @text */
            struct store_room_line *lines; /* one allocation with the texts */
            size_t count;
            struct slice next;
            void (*done)(void *userdata, int result, const struct store_room_line *lines, size_t count,
                         struct slice next);
        } rooms;
        struct {
            struct buffer objects; /* the user's name is @text */
            void (*done)(void *userdata, int result, struct slice objects);
        } look;
        struct {
            struct store_log_read read; /* the channel's name is @text */
            struct hub_since before;
            uint64_t limit;
            struct message **messages;
            size_t count;
            bool has_more, is_forwards;
            struct store_position last;
            void (*done)(void *userdata, int result, const struct hub_history *history);
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
        struct {
            struct hub_kick_which which; /* in @text */
            struct hub_kicked kicked;
            struct hub_kick_node *nodes; /* of it; one allocation with their names */
            void (*done)(void *userdata, int result, const struct hub_kicked *kicked);
        } kick;
    };
    char text[];
};

/* ---- request.c: on the hub (session.c has the port's side) ---- */

/** A request of a port arrives at the hub. */
loop_task_fn hub_request_on_hub;
/** Sends it back with its result. */
void hub_request_answer(struct hub *h, struct hub_request *r, int result);
struct hub_request *hub_request_free(struct hub_request *r);

/* ---- query.c, history.c, look.c ---- */

void hub_query_handle(struct hub *h, struct hub_request *r);
void hub_history_handle(struct hub *h, struct hub_request *r);
void hub_look_handle(struct hub *h, struct hub_request *r);

#endif
