#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "base/buffer.h"
#include "base/json.h"
#include "config/config.h"
#include "hub/hub.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/address.h"
#include "net/tls.h"

/**
 * struct gateway - the public side of a node: where connection, HTTP head, WebSocket frames, dialect and session meet
 *
 * The acceptor's loop (the main one) accepts and hands descriptors to the workers in turn; a connection then lives on
 * its worker's loop until it ends.
 */
struct gateway;

struct gateway_config {
    char *listen;                       /* listen.public: 0.0.0.0:8091 */
    bool demo;                          /* listen.demo: / serves the demo page */
    int proxy_protocol;                 /* listen.proxy_protocol: 0 off, 1 v2 */
    struct config_list origins;         /* listen.origins */
    bool require_origin;                /* listen.require_origin */
    struct config_list trusted;         /* listen.trusted: networks whose word about their clients is taken */
    bool echo;                          /* listen.echo: /echo returns each message */
    struct config_list tls_certificate; /* tls.certificate: PEM chains; with one the listener speaks TLS only */
    struct config_list tls_key;         /* tls.key: the private keys, in the same order */
    int tls_minimum;                    /* tls.minimum_version: enum net_tls_version */
    bool tls_tickets;                   /* tls.tickets: sessions resume */
    int64_t heartbeat_ms;               /* session.heartbeat: 25s; ping after so much silence, close after two */
    int64_t tls_timeout_ms;             /* limits.tls_timeout: 10s; TLS handshake, with the wait for it */
    int64_t tls_handshakes;             /* limits.tls_handshakes: 1,000 at once */
    int64_t tls_waiting;                /* limits.tls_waiting: 4,000 more wait for theirs; beyond: closed */
    int64_t handshake_timeout_ms;       /* limits.handshake_timeout: 10s; HTTP head */
    int64_t first_frame_timeout_ms;     /* limits.first_frame_timeout: 0, off; beyond: close 4102 */
    int64_t close_timeout_ms;           /* limits.close_timeout: 5s; for the peer's close frame */
    int64_t head_bytes;                 /* limits.head_bytes: 8k */
    int64_t headers;                    /* limits.headers: 64 */
    int64_t connections;                /* limits.connections: 100,000; beyond: 503 with Retry-After */
    int64_t connections_per_address;    /* limits.connections_per_address: 0, off; beyond: 429 with Retry-After */
    int64_t accept_rate;                /* limits.accept_rate: 0, as fast as they are settled; connections a second */
    int64_t memory;                     /* limits.memory: 0, by the machine; beyond: 503 with Retry-After */
    int64_t queued_bytes;               /* limits.queued_bytes: 1m a session; beyond: close 4101 */
    int64_t queued_soft_bytes;          /* limits.queued_soft_bytes: 256k for … */
    int64_t queued_soft_time_ms;        /* limits.queued_soft_time: 10s; beyond: close 4101 */
    int64_t queued_age_ms;              /* limits.queued_age: 30s of the oldest message; beyond: close 4101 */
    int64_t queued_total;               /* limits.queued_total: 256m of all sessions; beyond: 4101 for the worst */
    int64_t relay_bytes;            /* limits.relay_bytes: 64k of relayed frames to a session; beyond: the oldest go */
    int64_t session_bytes_rate;     /* limits.session_bytes_rate: 16m a second; beyond: it is not read from */
    int64_t session_bytes_burst;    /* limits.session_bytes_burst: 64m */
    int64_t session_messages_rate;  /* limits.session_messages_rate: 5,000 a second; beyond: rate_limited */
    int64_t session_messages_burst; /* limits.session_messages_burst: 10,000; owed as many: close 1008 */
    int64_t frame_bytes; /* limits.frame_bytes: 1m; of one message from a client with all its ops; beyond: close 1009 */
    int64_t fragments;   /* limits.fragments: 1024 frames a message */
    int64_t message_timeout_ms; /* limits.message_timeout: 2m for the rest of a message; beyond: close 4102 */
    int64_t unfinished_total; /* limits.unfinished_total: 256m of all clients; beyond: close 4103 for who brings more */
    int64_t ops_per_frame;    /* limits.ops_per_frame: 100 */
    int64_t open_requests;    /* limits.open_requests: 64; a session with more is not read from */

    bool deflate;                /* deflate.enabled: permessage-deflate, where a client offers it */
    bool deflate_client_context; /* deflate.client_context: clients may keep their window, each at the cost of one here
                                  */
    int64_t deflate_client_window_bits; /* deflate.client_window_bits: 15; the largest of such a client, if it lets us
                                           say */
    int64_t deflate_level;              /* deflate.level: 1 to 9 */
    int64_t deflate_memory_level;       /* deflate.memory_level: 1 to 9 */
    int64_t deflate_min_bytes;          /* deflate.min_bytes; shorter messages leave as they are */

    int64_t message_bytes; /* filled from the hub's by the server: limits.message_bytes */
};

extern const struct config_option gateway_options[];
extern const size_t gateway_option_count;

/** The context of a listener by @config's tls.*; NULL if it has no certificate. 0; CONFIG_E_INVALID with a sentence in
 * @errors; -ENOMEM. */
int gateway_tls_load(const struct gateway_config *config, struct net_tls_tickets *tickets, struct buffer *errors,
                     struct net_tls **ret_tls) base_must_check;

/** A section [route.<name>]. */
struct gateway_route_config {
    char *path;       /* /websocket/{room}/{user}; {room}, {user}, {device} have a meaning, other names are matched and
                         ignored */
    char *dialect;    /* json, live */
    char *online_key; /* LiveActivityOnlineNum:{room}; see struct hub_mirror; empty: none */
    char *likes_key;
};
extern const struct config_option gateway_route_options[];
extern const size_t gateway_route_option_count;
#define GATEWAY_ROUTE_FAMILY "route"

struct gateway_environment {
    const char *node; /* node id, told in welcome */
    struct metrics *metrics;
    const struct config *config; /* for the routes */
    /** Whether the node is ready; else a word why in @reason. Thread: any. */
    bool (*is_ready)(void *userdata, char reason[128]);
    void *userdata;
    uint64_t other_descriptors; /* kept back for everything but clients */
    bool use_ring;              /* net_loop_use_ring() */
};

/** What gateway_new() checks, and nothing else: routes, certificates. 0; CONFIG_E_INVALID with sentences in @errors;
 * -ENOMEM. */
int gateway_config_check(const struct gateway_config *config, const struct config *routes,
                         struct buffer *errors) base_must_check;

/**
 * gateway_new() - check routes, load certificates
 *
 * Borrows @config and what @environment points to. Return: 0; CONFIG_E_INVALID with sentences in @errors; -ENOMEM.
 */
int gateway_new(const struct gateway_config *config, const struct gateway_environment *environment,
                struct buffer *errors, struct gateway **ret_gateway) base_must_check;
/** One for each worker loop, before the loops run and before hub_start(). Return: 0, -ENOMEM. */
int gateway_add_worker(struct gateway *g, struct loop *l, struct hub *h) base_must_check;
/** Binds and accepts on @acceptor. 0, or -errno (the address is told in @errors). */
int gateway_listen(struct gateway *g, struct loop *acceptor, struct buffer *errors) base_must_check;
/** What was bound. */
const struct net_address *gateway_address(const struct gateway *g);
/**
 * Reloading, in two steps, on the acceptor's loop: what can fail, then what cannot.
 *
 * gateway_reload_new() loads what files and lists of @config say (the certificates also if nothing but the files has
 * changed). Then the reloadable values of the configuration given to gateway_new() are brought up to date, and
 * gateway_reload_commit(), which frees @r, makes everything known to the workers. 0; CONFIG_E_INVALID with sentences in
 * @errors; -ENOMEM.
 */
struct gateway_reload;
int gateway_reload_new(struct gateway *g, const struct gateway_config *config, struct buffer *errors,
                       struct gateway_reload **ret_reload) base_must_check;
void gateway_reload_commit(struct gateway *g, struct gateway_reload *r);
struct gateway_reload *gateway_reload_free(struct gateway_reload *r);
/**
 * gateway_shutdown() - drain: accept no more, tell every session goodbye at once, close all at an even rate
 *
 * The goodbye (4100) names each client's own moment within the period (retry_after_ms); until then it is served. The
 * period is at most @period_ms, and shorter if @rate clients a second are sent away within less (0: never shorter).
 * @done is called on the acceptor's loop when all connections have ended, at the latest after the period, the close
 * time-out and some seconds.
 */
void gateway_shutdown(struct gateway *g, uint64_t period_ms, uint64_t rate, void (*done)(void *userdata),
                      void *userdata);

struct gateway_shutdown_status {
    bool is_draining;
    uint64_t clients, left;         /* connections when it began (0: it has not), and now */
    uint64_t period_ms, elapsed_ms; /* of the drain; 0: there is none */
};
/** How far gateway_shutdown() has come. Thread: the acceptor's. */
void gateway_shutdown_read(const struct gateway *g, struct gateway_shutdown_status *ret_status);
/** The last sessions of @user that ended here, the newest first, as one array: "time", "session", "device", "peer",
 * "age_ms", "reason" (the metric's word), "code", "detail". Thread: any. */
void gateway_ends_write(struct gateway *g, struct slice user, struct json_writer *w);
/** Shut down, the workers' loops no longer running. Accepts NULL, returns NULL. */
struct gateway *gateway_free(struct gateway *g);

#endif
