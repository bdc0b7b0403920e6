#ifndef API_API_INTERNAL_H
#define API_API_INTERNAL_H

#include "api/api.h"
#include "http/http.h"
#include "hub/port.h"
#include "net/listener.h"
#include "net/stream.h"

struct api_connection;

struct api {
    struct loop *loop;
    const struct api_config *config;
    struct api_environment environment;
    struct net_loop *net;
    struct hub_port *port;
    struct net_listener *listener;
    struct net_address address;
    struct metrics_cells *cells;
    struct list connections;
    size_t connection_count;
    size_t replies_owed;
    bool is_closed;
};

/** Rows of the package's metrics. */
enum { API_REQUESTS, API_REFUSED, API_PUBLISHED, API_CONNECTIONS, API_METRICS };

struct api_reply {
    struct api *api;
    struct api_connection *connection; /* NULL: the client has gone */
    bool keep_alive;
    bool head_only;
};

/** One HTTP connection; at most one request at a time. */
struct api_connection {
    struct net_stream stream;
    struct list link;
    struct api *api;
    struct http_parser *parser;
    struct api_reply *reply; /* owed for the request that was read; NULL: reading */
    struct loop_deadline deadline;
};

/* connection.c */
/** Takes over the descriptor. */
void api_connection_accept(void *userdata, int fd, const struct net_address *peer);
void api_connection_abort(struct api_connection *c);

/* reply.c */
/** A reply for the request just read on @c; NULL when out of memory. */
struct api_reply *api_reply_new(struct api_connection *c, const struct http_message *request) base_must_check;
/** The client went: the reply is still owed by whoever holds it, and is dropped when it comes. */
void api_reply_orphan(struct api_reply *r);
void api_reply_full(struct api_reply *r, unsigned status, const char *content_type, const char *allow,
                    struct slice body);
/** An answer for a result of the hub that is not 0. */
void api_reply_result(struct api_reply *r, int result);
/** Begins the answer to a question, an object that @w writes into @json, which is empty; api_reply_finish() takes it.
 * false:
 * @result is not 0, and that was the answer. */
bool api_reply_begin(struct api_reply *r, int result, struct json_writer *w, struct buffer *json) base_must_check;
/** 200 with @json, which is freed; 500 if writing it has failed. */
void api_reply_finish(struct api_reply *r, struct buffer *json);

/* api.c: finds the handler for a request and calls it; the reply comes now or later */
void api_dispatch(struct api *a, const struct http_message *request, struct api_reply *reply);

/** What a handler gets: the parts of the path that were in braces, decoded; valid during the call. */
struct api_request {
    const struct http_message *message;
    struct slice name; /* {room} or {user}, checked by name_check() */
};
typedef void api_handler_fn(struct api *a, const struct api_request *request, struct api_reply *reply);

/** reply.c: how many the query's `limit` wants of a page; 0: it says nothing. false: it was refused in @r. */
bool api_query_limit(const struct api_request *request, struct api_reply *r, uint64_t *ret_limit) base_must_check;

/* handlers_publish.c */
api_handler_fn api_post_room_message;
api_handler_fn api_post_user_message;
api_handler_fn api_post_broadcast;
api_handler_fn api_post_push;

/* handlers_history.c */
api_handler_fn api_get_room_messages;
api_handler_fn api_get_user_messages;
api_handler_fn api_get_broadcast;

/* handlers_kick.c */
api_handler_fn api_delete_user_sessions;

/* handlers_admin.c */
api_handler_fn api_get_nodes;
api_handler_fn api_get_user;
api_handler_fn api_get_user_here;
api_handler_fn api_get_room;
api_handler_fn api_get_rooms;
api_handler_fn api_get_room_watch;
api_handler_fn api_get_room_users;
api_handler_fn api_get_metrics;
api_handler_fn api_get_healthz;
api_handler_fn api_get_readyz;

#endif
