#ifndef GATEWAY_GATEWAY_INTERNAL_H
#define GATEWAY_GATEWAY_INTERNAL_H

#include "base/log.h"
#include "gateway/admission_internal.h"
#include "gateway/gateway.h"
#include "gateway/handshake_internal.h"
#include "gateway/origin_internal.h"
#include "gateway/reason.h"
#include "gateway/route_internal.h"
#include "hub/port.h"
#include "net/listener.h"
#include "net/network.h"
#include "net/stream.h"
#include "proto/proto.h"
#include "ws/deflate.h"
#include "ws/ws.h"

#include <stdatomic.h>

/*
 * The inside of the gateway. The acceptor's loop owns struct gateway and makes connections; a worker's loop owns its
 * connections from the moment they arrive. Shared between them: the routes, which do not change; struct gateway_live,
 * what a reload may change, of which each loop has its own reference; and the counters that are atomic.
 */

/** Rows that count ops, errors, refusals and reasons are ranges, in the order of their enumerations and tables. */
enum gateway_metric {
    GATEWAY_METRIC_CONNECTIONS,
    GATEWAY_METRIC_SESSIONS,
    GATEWAY_METRIC_ACCEPTED,
    GATEWAY_METRIC_BYTES_IN,
    GATEWAY_METRIC_BYTES_OUT,
    GATEWAY_METRIC_FRAMES_OUT,
    GATEWAY_METRIC_WRITES,
    GATEWAY_METRIC_RING_WRITES,
    GATEWAY_METRIC_TEXT_IN,
    GATEWAY_METRIC_BINARY_IN,
    GATEWAY_METRIC_PING_IN,
    GATEWAY_METRIC_PONG_IN,
    GATEWAY_METRIC_CLOSE_IN,
    GATEWAY_METRIC_PAUSES,
    GATEWAY_METRIC_THROTTLED,
    GATEWAY_METRIC_HANDSHAKES,
    GATEWAY_METRIC_RESUMED,
    GATEWAY_METRIC_HANDSHAKING,
    GATEWAY_METRIC_HANDSHAKES_WAITING,
    GATEWAY_METRIC_ACCEPT_PAUSES,
    GATEWAY_METRIC_CONNECTIONS_LIMIT,
    GATEWAY_METRIC_MEMORY_LIMIT,
    GATEWAY_METRIC_RESIDENT,
    GATEWAY_METRIC_DEFLATE_CONNECTIONS,
    GATEWAY_METRIC_INFLATERS,
    GATEWAY_METRIC_DEFLATED,
    GATEWAY_METRIC_DEFLATED_PLAIN,
    GATEWAY_METRIC_DEFLATED_COMPRESSED,
    GATEWAY_METRIC_DEFLATE_SKIPPED,
    GATEWAY_METRIC_INFLATED,
    GATEWAY_METRIC_INFLATED_PLAIN,
    GATEWAY_METRIC_INFLATED_COMPRESSED,
    GATEWAY_METRIC_INFLATE_REFUSED,
    GATEWAY_METRIC_UNFINISHED,
    GATEWAY_METRIC_CLOSE_TIMEOUTS,
    GATEWAY_METRIC_QUEUED,
    GATEWAY_METRIC_BEHIND,
    GATEWAY_METRIC_REPLACED,
    GATEWAY_METRIC_DROPPED,
    GATEWAY_METRIC_SLOW, /* and on, by enum net_slow without NET_SLOW_NOT */
    GATEWAY_METRIC_SLOW_LAST = GATEWAY_METRIC_SLOW + NET_SLOW_CAUSES - 2,
#define GATEWAY_METRIC_STATUS(code, word) GATEWAY_METRIC_REFUSED_##code,
    GATEWAY_STATUS_TABLE(GATEWAY_METRIC_STATUS)
#undef GATEWAY_METRIC_STATUS
        GATEWAY_METRIC_ENDED,
    GATEWAY_METRIC_ERRORS = GATEWAY_METRIC_ENDED + GATEWAY_REASONS,
    GATEWAY_METRIC_OPS = GATEWAY_METRIC_ERRORS + PROTO_ERROR_INTERNAL + 1,
    GATEWAY_METRICS = GATEWAY_METRIC_OPS + PROTO_OPS,
};
extern const struct metrics_row gateway_metrics_rows[GATEWAY_METRICS];
/** The row that counts refusals with @status. */
enum gateway_metric gateway_metric_refused(unsigned status);

struct gateway_worker;

/* ---- live.c ---- */

/** struct gateway_live - what a reload may change; immutable, and counted with atomics */
struct gateway_live {
    atomic_uint refs;
    struct gateway_config config; /* without its texts and lists, whose memory is another's */
    struct net_tls *tls;          /* NULL: plain */
    struct gateway_origins *origins;
    size_t trusted_count;
    struct net_network trusted[];
};

/** By @config; the context's sessions resume by @tickets. 0; CONFIG_E_INVALID with sentences in @errors; -ENOMEM. */
int gateway_live_new(const struct gateway_config *config, struct net_tls_tickets *tickets, struct buffer *errors,
                     struct gateway_live **ret_live) base_must_check;
struct gateway_live *gateway_live_ref(struct gateway_live *live);
struct gateway_live *gateway_live_unref(struct gateway_live *live);
/** Whether what this address says about others is believed. */
bool gateway_live_trusts(const struct gateway_live *live, const struct net_address *a);

/** A copy for a worker, on its way. */
struct gateway_live_letter {
    struct loop_task task;
    struct gateway_worker *worker;
    struct gateway_live *live;
};

/** struct gateway_reload - a reload that cannot fail any more; see gateway.h */
struct gateway_reload {
    struct gateway_live *live;
    struct gateway_live_letter *letters[]; /* one a worker */
};

/** struct gateway_ends - the last sessions that ended here; thread-safe; see ends.c */
struct gateway_ends;

struct gateway_end {
    struct slice session, user, device; /* device: not set if none */
    enum gateway_reason reason;
    uint64_t age_ms;
    const char *peer, *detail;
};

/** NULL when out of memory. */
struct gateway_ends *gateway_ends_new(void);
/** Accepts NULL, returns NULL. */
struct gateway_ends *gateway_ends_free(struct gateway_ends *e);
/** Copies everything. */
void gateway_ends_note(struct gateway_ends *e, const struct gateway_end *what);

struct gateway {
    const struct gateway_config *config; /* the acceptor's: only its loop reads it */
    struct gateway_live *live;           /* the acceptor's reference */
    struct gateway_environment environment;
    struct gateway_routes routes;
    struct net_tls_tickets *tickets;
    struct metrics_group *metrics;
    struct metrics_cells *cells; /* the acceptor's */
    struct gateway_worker **workers;
    size_t worker_count, next_worker;
    struct loop *acceptor;
    struct net_listener *listener;
    struct net_address address;
    struct gateway_admission admission;
    struct gateway_addresses addresses;
    struct list introductions; /* connections whose PROXY header is awaited */
    atomic_size_t connections; /* also those that are refused */
    atomic_size_t refusing;    /* connections that are refused and still there */
    atomic_size_t newcomers;   /* connections on which this node has something to do before they are open */
    atomic_size_t settled;     /* newcomers on which it was done, ever */
    struct net_budget budget;  /* what waits to be sent, of all workers */
    atomic_size_t unfinished;  /* bytes of messages whose rest has not come, of all workers */
    struct gateway_ends *ends;
    /* the acceptor's, while shutting down */
    bool is_shutting_down;
    uint64_t drain_began_ms, drain_period_ms;
    size_t drain_clients; /* when it began */
    size_t workers_left;
    struct loop_timer shutdown_timer;
    void (*shutdown_done)(void *userdata);
    void *shutdown_userdata;
};

/** For whom a compressed frame is made; NONE: the connection did not negotiate it. */
enum gateway_window {
    GATEWAY_WINDOW_NONE,
    GATEWAY_WINDOW_SMALL,
    GATEWAY_WINDOW_MIDDLE,
    GATEWAY_WINDOW_LARGE,
    GATEWAY_WINDOWS,
};

/** struct gateway_deflate - what a worker compresses and inflates with; {0} to start */
struct gateway_deflate {
    struct ws_inflate_pool pool, told; /* told: its counts, as the metrics have them */
    struct ws_deflater *deflaters[GATEWAY_WINDOWS];
    struct buffer scratch;
};

/** Who moves it on stands with each. */
enum gateway_drain_phase {
    GATEWAY_DRAIN_NOT,     /* the acceptor, once */
    GATEWAY_DRAIN_LEAVING, /* clients are served until their moment: the last one's end */
    GATEWAY_DRAIN_CLOSING, /* nobody is served any more: the last connection's end, at most limits.close_timeout */
    GATEWAY_DRAIN_DONE,
};

/** struct gateway_drain - a worker's end; see drain.c */
struct gateway_drain {
    enum gateway_drain_phase phase;
    struct loop_task begin, ended; /* to the worker, and back to the acceptor */
    uint64_t period_ms, began_ms;
    size_t total, told;    /* of those who were here when it began */
    struct list untold;    /* they, until each has its moment */
    struct list leaving;   /* who were told, by moment */
    struct list answering; /* whose moment has come and who are owed answers, by how long that may take */
    struct loop_timer timer;
    struct loop_deadline deadline; /* CLOSING */
};

/** How frames are read; many connections share one, which stays as long as their worker. */
struct gateway_framing {
    struct gateway_framing *next;
    struct ws_parser_options options;
};

/** struct gateway_worker - what the connections of one loop share */
struct gateway_worker {
    struct gateway *gateway;
    struct gateway_live *live;
    const struct gateway_config *config; /* of live: changes between turns */
    struct loop *loop;
    struct net_loop *net;
    struct hub_port *port;
    struct metrics_cells *cells;
    struct list connections;
    struct gateway_framing *framings; /* by the configurations that were met, and what was negotiated */
    struct buffer scratch;            /* for what is being encoded */
    struct gateway_deflate deflate;
    size_t inflated;        /* bytes that a client's messages became, in one call of its stream */
    struct net_frame *ping; /* the one that the heartbeat sends */
    struct net_queue_limits limits, echo_limits;
    struct loop_deadline count; /* brings the byte counters to the metrics */
    struct net_loop_counters told;
    struct {
        uint64_t handshakes, frames, done_ms; /* when the heap was trimmed */
        uint64_t seen_frames;                 /* at the last look */
    } trim;
    struct log_limit end_limit;   /* of warnings about ended connections */
    struct log_limit words_limit; /* of lines about texts that the word list refused */
    struct gateway_drain drain;
};

int gateway_worker_new(struct gateway *g, struct loop *l, struct hub *h,
                       struct gateway_worker **ret_worker) base_must_check;
struct gateway_worker *gateway_worker_free(struct gateway_worker *w);
/** The copy of @options that connections of this worker share; NULL when out of memory. */
const struct ws_parser_options *gateway_worker_framing(struct gateway_worker *w,
                                                       const struct ws_parser_options *options) base_must_check;
/** On the worker's loop: from now on @live holds, whose reference it takes. */
void gateway_worker_set_live(struct gateway_worker *w, struct gateway_live *live);
/** It has no connections any more and gets none: the acceptor is told. */
void gateway_worker_finish(struct gateway_worker *w);
/** Called by each connection when it is gone. */
void gateway_worker_connection_gone(struct gateway_worker *w);
/** A worker has no connections any more; on the acceptor's loop. */
void gateway_worker_ended(struct gateway *g);

static inline void gateway_count(struct gateway_worker *w, size_t row, int64_t amount)
{
    metrics_add(w->cells, row, amount);
}

/* ---- connection.c ---- */

/** Who moves a connection on stands with each state. */
enum gateway_state {
    GATEWAY_STATE_ARRIVING, /* between the loops; the worker's mailbox */
    GATEWAY_STATE_HEAD,     /* reading the request: the client, or the deadline */
    GATEWAY_STATE_OPENING,  /* upgraded, not read from, the session asked for: the hub, or the deadline */
    GATEWAY_STATE_OPEN,     /* frames both ways: either side, or the heartbeat */
    GATEWAY_STATE_CLOSING,  /* our close frame is queued: the client's close frame, or the deadline */
    GATEWAY_STATE_ENDING,   /* nothing is read or sent any more: the stream's end */
    GATEWAY_STATES,
};

/** Why a connection is not read from. */
enum gateway_hold {
    GATEWAY_HOLD_OPENING = 1,  /* until its session is known */
    GATEWAY_HOLD_REQUESTS = 2, /* until answers came */
    GATEWAY_HOLD_ECHO = 4,     /* until there is room in its queue */
    GATEWAY_HOLD_PACE = 8,     /* until it owes no bytes */
    GATEWAY_HOLD_LEAVING = 16, /* for good: the node drains, and its moment has come */
    GATEWAY_HOLD_ANY = 31,
};

/**
 * struct gateway_connection - a client, from the accepted descriptor to the end
 *
 * Made by the acceptor, then its worker's. Its memory goes when the stream has ended. What is large and needed only for
 * a while (HTTP parser, an unfinished message, held input) lives elsewhere.
 */
struct gateway_connection {
    struct gateway_worker *worker;
    struct list link;         /* worker->connections, or one of its drain's lists */
    struct net_stream stream; /* its deadline by state: head, opening, heartbeat, closing */
    union {
        struct loop_task arrival; /* ARRIVING */
        struct http_parser *http; /* HEAD */
        struct ws_parser ws;      /* from OPENING on */
    };
    const struct proto_codec *codec; /* NULL: /echo */
    struct hub_session session;
    uint64_t born_ms;
    uint32_t last_input_ms; /* the lower half of the clock */
    uint32_t awaited_ms;    /* since then the first frame is awaited, or, once there was one, the rest of a message */
    uint64_t address_key;   /* if is_counted */
    union {
        int fd;            /* ARRIVING */
        uint32_t leave_ms; /* is_leaving: its moment, in the drain's time */
    };
    uint8_t state;
    uint8_t reason;  /* enum gateway_reason; GATEWAY_REASONS: none yet */
    uint8_t window;  /* enum gateway_window */
    uint8_t refusal; /* enum gateway_reason for which it is refused; GATEWAY_REASONS: it is let in */
    uint8_t holds;   /* enum gateway_hold: not read from while there are any */
    bool is_upgraded : 1;
    bool has_session : 1;              /* hub_session_open() was called, hub_session_close() was not */
    bool is_counted : 1;               /* by its address */
    bool has_spoken : 1;               /* a frame has come */
    bool is_pinged : 1;                /* since the last input */
    bool is_leaving : 1;               /* it has its moment in the drain */
    int32_t bytes_left, messages_left; /* pace.c */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer;
};

/** What the acceptor knows of a connection. */
struct gateway_newcomer {
    int fd;
    struct net_address peer; /* the client, as far as known */
    enum gateway_reason refusal;
    bool is_counted;
    uint64_t address_key;
};

/** A connection that arrives at @w by its mailbox. Takes over the descriptor, also on failure. 0, -ENOMEM. Thread: the
 * acceptor's. */
int gateway_connection_hand_over(struct gateway_worker *w, const struct gateway_newcomer *n) base_must_check;
/** The one setter of states; starts the deadline that belongs to it. */
void gateway_connection_set_state(struct gateway_connection *c, enum gateway_state state);
/** Tags of frames of which only the newest matters to a slow reader; others are hashes. */
enum gateway_tag { GATEWAY_TAG_PING = 1, GATEWAY_TAG_PONG = 2 };

/** Queues a frame made of @payload. Failing ends the connection. */
void gateway_connection_send(struct gateway_connection *c, enum ws_opcode opcode, struct slice payload);
/** Queues a frame made by gateway_frame_new(). */
void gateway_connection_send_frame(struct gateway_connection *c, struct net_frame *frame);
/** The session is known: frames may come. */
void gateway_connection_opened(struct gateway_connection *c);
/** Stops reading for a reason more, or less. */
void gateway_connection_hold(struct gateway_connection *c, enum gateway_hold why);
void gateway_connection_release(struct gateway_connection *c, enum gateway_hold why);

/* ---- connection_end.c ---- */

/** Who it speaks to, as text. */
const char *gateway_connection_peer(const struct gateway_connection *c, char storage[NET_ADDRESS_TEXT_SIZE]);
/** The one place where a connection's end gets its reason; the first holds. @detail, a sentence, may be NULL. */
void gateway_connection_end(struct gateway_connection *c, enum gateway_reason reason, const char *detail);
/** What is queued is sent, then the stream ends. */
void gateway_connection_finish(struct gateway_connection *c);
/** Queues a close frame; nothing else changes. */
void gateway_connection_send_close(struct gateway_connection *c, unsigned code, struct slice reason);
/** Our close: the reason's close frame, then the client's one is awaited. */
void gateway_connection_close(struct gateway_connection *c, enum gateway_reason reason);
/** The same, with a text of one's own for the client, unless it is empty; at most WS_REASON_MAX_BYTES of it arrive. */
void gateway_connection_close_saying(struct gateway_connection *c, enum gateway_reason reason, struct slice text);
/** Our close to who is in the middle of a message whose rest is not waited for: told why, not listened to any more. */
void gateway_connection_give_up(struct gateway_connection *c, enum gateway_reason reason);
/** Nothing is read any more: what the parser holds is given back. */
void gateway_connection_forget(struct gateway_connection *c);
/** No more words: out of memory and the like. */
void gateway_connection_abort(struct gateway_connection *c, enum gateway_reason reason);

/* ---- ends.c ---- */

/** Notes the end of a connection that has a session and, since now, a reason; @detail may be NULL. */
void gateway_ends_note_connection(struct gateway_connection *c, const char *detail);

/* ---- frames.c ---- */

/** Of bytes that came to an open or closing connection, at most one frame or a piece of one, which is acted on at once.
 * @data is unmasked in place. Returns how many it took. */
size_t gateway_frames_read(struct gateway_connection *c, char *data, size_t size);
/** After all that came in a turn: who brings more than there is room for goes, and what it brought goes with it. @held:
 * what ws_parser_held_bytes() told before. */
void gateway_frames_settle(struct gateway_connection *c, size_t held);

/* ---- heartbeat.c ---- */

/** A ping after a heartbeat's silence, the end after two; any frame is a sign of life. Sets the deadline of an open
 * connection. */
void gateway_heartbeat(struct gateway_connection *c);

/* ---- drain.c: the node's end, as the clients of a worker see it ---- */

void gateway_drain_init(struct gateway_worker *w);
/** Accepts one that was never initialised. */
void gateway_drain_deinit(struct gateway_worker *w);
/** Over how long so many clients leave: at most the period, and at least @rate of them a second (0: the period). */
uint64_t gateway_drain_period_ms(uint64_t period_ms, uint64_t rate, size_t clients);
/** Begins it at @w; the end is told by gateway_worker_finish(). Thread: the acceptor's. */
void gateway_drain_begin(struct gateway_worker *w, uint64_t period_ms);
/** A session was opened, and has its welcome. */
void gateway_drain_opened(struct gateway_connection *c);
/** A request of the session was answered. */
void gateway_drain_answered(struct gateway_connection *c);
/** A connection of @w is gone. */
void gateway_drain_connection_gone(struct gateway_worker *w);

/* ---- pace.c: how much a session may bring in ---- */

/** Full buckets. */
void gateway_pace_begin(struct gateway_connection *c);
/** By the time since last_input_ms, which becomes now. */
void gateway_pace_fill(struct gateway_connection *c);
/** @size bytes were read: holds the connection if it owes. */
void gateway_pace_bytes(struct gateway_connection *c, size_t size);
/** Until it owes no bytes any more; 0: it owes none. */
uint64_t gateway_pace_debt_ms(const struct gateway_connection *c);
/** Whether one message more may be handled. Else *ret_retry_after_ms is when, and the connection may have been closed.
 */
bool gateway_pace_message(struct gateway_connection *c, uint64_t *ret_retry_after_ms);

/** The parser of an upgraded connection has held @before bytes of an unfinished message. Return: what all of them hold,
 * if this one's holds more now; else 0. */
size_t gateway_pace_weigh(struct gateway_connection *c, size_t before);

/* ---- deflate.c: frames out ---- */

/** Header and payload of an unfragmented frame; NULL when out of memory. */
struct net_frame *gateway_frame_new(enum ws_opcode opcode, struct slice payload) base_must_check;
/** Frames of payloads that are separated by NUL bytes, one behind the other; of size 0 if there are none. */
struct net_frame *gateway_frame_new_parts(enum ws_opcode opcode, struct slice payload) base_must_check;
/** The same, compressed if @c negotiated it and it is worth it. */
struct net_frame *gateway_frame_for(const struct gateway_connection *c, enum ws_opcode opcode,
                                    struct slice payload) base_must_check;
/** The message in @plain compressed for @window, or, if it is not worth it, @plain once more. */
struct net_frame *gateway_frame_compress(struct gateway_worker *w, enum gateway_window window,
                                         struct net_frame *plain) base_must_check;
/** The largest that a client with this window can take. */
enum gateway_window gateway_window_of(unsigned server_max_window_bits);
/** Brings the counts of inflating to the metrics. */
void gateway_deflate_count(struct gateway_worker *w);
void gateway_deflate_deinit(struct gateway_deflate *d);

/* ---- dialect.c: operations in, events out ---- */

void gateway_dialect_text(struct gateway_connection *c, struct slice payload);
void gateway_dialect_binary(struct gateway_connection *c, struct slice payload);
/** Encodes @event and queues it. */
void gateway_dialect_tell(struct gateway_connection *c, const struct proto_event *event);
/** An error, with the id of the op if there is one; counted. */
void gateway_dialect_error(struct gateway_connection *c, struct slice id, enum proto_error_code code, struct slice text,
                           uint64_t retry_after_ms);
/** An outcome of the hub that is not 0: the error it is to a client. */
void gateway_dialect_refusal(struct gateway_connection *c, struct slice id, int result);

/* ---- session.c: the hub's sink ---- */

extern const struct hub_port_ops gateway_port_ops;
/** 0, -ENOMEM. */
int gateway_session_open(struct gateway_connection *c, const struct gateway_target *target) base_must_check;
void gateway_session_close(struct gateway_connection *c);
/** The frame that tells what was left out, one reference; NULL when out of memory. */
struct net_frame *gateway_session_gap(struct gateway_connection *c, const struct net_place *what) base_must_check;

/* ---- request.c: the head ---- */

/** Bytes of the request; returns how many were used. */
size_t gateway_request_read(struct gateway_connection *c, const char *data, size_t size);

/* ---- acceptor.c ---- */

/** Binds and accepts on g->acceptor. 0, or -errno with a sentence in @errors. */
int gateway_accept_start(struct gateway *g, struct buffer *errors) base_must_check;
/** Accepts no more; connections that were not handed over yet end. */
void gateway_accept_stop(struct gateway *g);
/** A connection whose client is known, counted in g->connections: handed over, or refused. */
void gateway_accept_client(struct gateway *g, int fd, const struct net_address *client);
/** One that ended before it was handed over. */
void gateway_accept_abandoned(struct gateway *g, enum gateway_reason reason);

/* ---- introduction.c ---- */

/** Reads the PROXY header that a trusted peer sends first, then calls gateway_accept_client(). */
void gateway_introduction_await(struct gateway *g, int fd, const struct net_address *peer);
/** Ends all that are awaited. */
void gateway_introductions_end(struct gateway *g);

/* ---- forwarded.c ---- */

/**
 * gateway_forwarded_client() - the client behind trusted proxies, by X-Forwarded-For
 *
 * @peer: who speaks to us, trusted. Return: the rightmost address that is not trusted; the leftmost if all are;
 * *ret_client untouched and false if there is none.
 */
bool gateway_forwarded_client(const struct gateway_live *live, const struct http_message *request,
                              struct net_address *ret_client);

#endif
