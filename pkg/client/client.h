#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/buffer.h"
#include "loop/loop.h"
#include "net/stream.h"
#include "ws/ws.h"

/**
 * The other side of the wire, for the CLI, the load tool and tests; never linked into the daemon.
 *
 * struct client_socket is a WebSocket on a loop, small enough to hold tens of thousands. Thread: its loop's.
 */
struct client_socket;

struct client_socket_ops {
    /** The upgrade was accepted. */
    void (*on_open)(struct client_socket *c);
    /** A whole message; valid during the call. */
    void (*on_message)(struct client_socket *c, enum ws_opcode opcode, struct slice payload);
    /** A ping came and was answered. May be NULL. */
    void (*on_ping)(struct client_socket *c);
    /**
     * It is over (also when it never opened). @code: the peer's close code, WS_CLOSE_ABNORMAL without one.
     * @http_status: of a refused upgrade, else 0. @text: reason or error, valid during the call. The owner may free it
     * now (client_socket_free()).
     */
    void (*on_closed)(struct client_socket *c, unsigned code, unsigned http_status, struct slice text);
};

/** struct client_deflate - permessage-deflate for the sockets of one loop, all of which are freed before it */
struct client_deflate;
/** NULL: out of memory. */
struct client_deflate *client_deflate_new(void) base_must_check;
/** Accepts NULL, returns NULL. */
struct client_deflate *client_deflate_free(struct client_deflate *d);

struct client_socket_options {
    const char *url;         /* ws:// or wss:// with numeric host or localhost */
    const char *subprotocol; /* NULL: none */
    const char *headers;     /* further header lines, each ended by CRLF; NULL: none */
    struct net_tls *tls;     /* for wss; NULL: one that verifies nothing (tests, bench) is not assumed: wss needs it */
    struct client_deflate *deflate; /* offer compression; NULL: do not */
    uint32_t max_message_bytes;     /* 0: 16 MiB */
    uint32_t timeout_ms;            /* connect and upgrade; 0: 10,000 */
};

/** Begins to connect. Return: 0: on_open or on_closed will come; -EINVAL with *ret_error saying what is wrong with the
 * URL; -errno. */
int client_socket_new(struct net_loop *n, const struct client_socket_options *options,
                      const struct client_socket_ops *ops, void *userdata, const char **ret_error,
                      struct client_socket **ret_socket) base_must_check;
void *client_socket_userdata(const struct client_socket *c);
bool client_socket_is_open(const struct client_socket *c);
/** When the bytes that ended the message at hand were read, in nanoseconds of CLOCK_MONOTONIC; inside on_message. One
 * look at the clock for all that one read brought, because a load tool reads thousands of messages so. */
uint64_t client_socket_read_ns(const struct client_socket *c);
/** Masked, as a client must. 0; -ENOTCONN; -ENOMEM. */
int client_socket_send(struct client_socket *c, enum ws_opcode opcode, struct slice payload);
/** One frame of a message, for those who try what a peer makes of fragments: the first bears the opcode, the others
 * WS_OPCODE_CONTINUATION, the last @fin; control frames (ping, pong) may stand between. Not compressed. 0; -ENOTCONN;
 * -ENOMEM. */
int client_socket_send_frame(struct client_socket *c, enum ws_opcode opcode, bool fin, struct slice payload);
/** Close handshake, then on_closed. */
void client_socket_close(struct client_socket *c, unsigned code);
/** At once; on_closed still comes. */
void client_socket_abort(struct client_socket *c);
/** After on_closed, or from inside it. Accepts NULL, returns NULL. */
struct client_socket *client_socket_free(struct client_socket *c);

/**
 * client_http_fetch() - one request, blocking, on a loop of its own
 *
 * Return: 0 with *ret_status and the body appended to @body; OUTBOUND_E_* with a sentence in @error; negative.
 */
int client_http_fetch(const char *method, const char *url, const char *content_type, struct slice request_body,
                      uint64_t timeout_ms, unsigned *ret_status, struct buffer *body,
                      struct buffer *error) base_must_check;

/** Appends @name as one percent-encoded segment of a path. */
void client_path_append(struct buffer *path, struct slice name);

#endif
