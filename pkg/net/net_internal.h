#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include "net/stream.h"

#include <openssl/ssl.h>

#define NET_READ_SIZE (64 * 1024)   /* of a turn's input of one stream */
#define NET_RECORD_SIZE (16 * 1024) /* plaintext of a full TLS record, RFC 8446 section 5.1 */
#define NET_HANDSHAKES_PER_TURN 16  /* each may cost a millisecond of signing, so also a share of the time: */
#define NET_HANDSHAKE_US_PER_TURN 3000
/* After so long a turn's output yields to input, and goes on in the next turn; or after the share that input had. */
#define NET_FLUSH_US_PER_TURN 250
#define NET_FLUSH_SHARE 2      /* of the time of input, when there is more to write than a turn can */
#define NET_FLUSH_STREAMS 16   /* between two looks at the clock, and in one call of the ring */
#define NET_RING_STREAMS_MIN 2 /* one alone is cheaper by a call of its own */
#define NET_IOV_MAX 64         /* frames of a write */
#define NET_FLUSH_ROUNDS 8     /* a stream whose on_drained sends and sends yields to the input then */

/** See stream.c. */
enum stream_state {
    STREAM_UNUSED,     /* {0}, or over. net_stream_accept() or net_stream_connect() begins */
    STREAM_ACCEPTED,   /* plain and connected; the end of the turn opens it */
    STREAM_CONNECTING, /* connect(2) is under way; writability or the deadline moves it on */
    STREAM_WAITING,    /* for its turn to shake hands; the end of another's handshake or the deadline move it on */
    STREAM_HANDSHAKE,  /* TLS; the peer's records or the deadline move it on */
    STREAM_OPEN,       /* the owner or the peer ends it */
    STREAM_CLOSING,    /* sends what is queued, reads nothing; the flush or the deadline moves it on */
    STREAM_LINGERING,  /* all is sent and the sending side shut; the peer's end or the deadline moves it on */
    STREAM_ENDING,     /* over; the end of the turn tells the owner */
    STREAM_STATES
};

struct net_loop {
    struct loop *loop;
    struct loop_deferred deferred; /* net_loop_turn() */
    struct list flush;             /* streams with something to do at the end of this turn, by flush_link */
    size_t scheduled;              /* on it */
    struct net_ring *ring;         /* NULL: there is none, or not yet */
    bool wants_ring;               /* with the first output */
    size_t ring_streams_min;       /* that have to write, before it is used */
    struct list waiting;           /* streams that are STREAM_WAITING, by flush_link */
    struct list later;             /* streams with input that epoll does not see, by flush_link */
    struct list behind;            /* backlogs of streams whose sockets take no more */
    struct loop_deadline watch;    /* on them */
    struct net_budget *budget;     /* or NULL */
    size_t told_bytes;             /* of counters.bytes_queued, in the budget */
    struct net_loop_counters counters;
    size_t streams;                    /* not STREAM_UNUSED */
    size_t handshaking, waiting_count; /* streams in these states */
    size_t handshake_limit;            /* 0: none */
    size_t waiting_limit;
    unsigned handshakes;       /* steps in this turn */
    uint64_t handshakes_at_us; /* when the first of them began */
    bool in_turn;              /* net_loop_turn() is running */
    uint64_t left_at_us;       /* when the last turn ended with streams to flush; 0: it flushed all */
    char read_buffer[NET_READ_SIZE];
    char write_buffer[NET_RECORD_SIZE];
};

/** Has net_stream_turn() called at the end of this turn. */
void net_loop_schedule(struct net_loop *n, struct net_stream *s);
/** It is over. */
void net_loop_unschedule(struct net_loop *n, struct net_stream *s);
/** Whether another TLS handshake may make a step in this turn. */
bool net_loop_may_handshake(struct net_loop *n);

/** Whether another stream may begin to shake hands. */
bool net_loop_has_room(const struct net_loop *n);

/* ---- stream.c ---- */

/** The end of the turn of one stream. It may be gone afterwards. */
void net_stream_turn(struct net_stream *s);
/** The one setter of states; starts and stops what belongs to them. */
void net_stream_set_state(struct net_stream *s, enum stream_state state);
/** Has the loop watch for what the state asks for. */
void net_stream_wait(struct net_stream *s);
/** What the loop calls. */
void net_stream_on_io(struct loop_io *io, unsigned events);
void net_stream_on_deadline(struct loop_deadline *d);
/** Ends the stream, if it has not begun to end; the end of the turn tells the owner. */
void net_stream_end(struct net_stream *s, enum net_end end, int error);
/** The same for what a system call said: gone, or our own fault. */
void net_stream_end_errno(struct net_stream *s, int error);
/** After an SSL_* call of this stream returned @result <= 0: waits for what OpenSSL wants, or ends the stream. */
void net_stream_tls_failed(struct net_stream *s, int result, int saved_errno);

/* ---- stream_begin.c ---- */

/** Begins the handshake of one that waited. */
void net_stream_admit(struct net_stream *s);
/** connect(2) is done, well or not. */
void net_stream_connected(struct net_stream *s);
/** A step of the TLS handshake, if this turn has room for one. */
void net_stream_handshake(struct net_stream *s);
/** It may be written to and read from; the owner is told, or had closed it already. */
void net_stream_open(struct net_stream *s);

/* ---- stream_read.c ---- */

/** Reads once, a bounded amount; whatever is left comes back with the next turn. */
void net_stream_read(struct net_stream *s);
/** Input that was left inside OpenSSL, or by the owner for another turn. */
void net_stream_read_again(struct net_stream *s);
/** What was kept while the owner paused. */
void net_stream_offer_held(struct net_stream *s);
void net_stream_free_held(struct net_stream *s);

/* ---- ring.c ---- */

struct iovec;

/** struct net_ring - writes to several streams in one call. Thread: the one that made it, but for its end. */
struct net_ring;
/** 0, -ENOMEM, what io_uring_setup(2) and io_uring_register(2) say. */
int net_ring_new(struct net_ring **ret_ring) base_must_check;
/** Accepts NULL, returns NULL. Thread: any. */
struct net_ring *net_ring_free(struct net_ring *r);
/**
 * net_ring_write() - write what waits on @streams (net_stream_has_to_write()), and tell each by net_stream_wrote()
 *
 * At most NET_FLUSH_STREAMS of them; nobody else is called. Return: 0; -errno: the ring is of no use any more, those
 * that were not told have written nothing.
 */
int net_ring_write(struct net_ring *r, struct net_stream *const *streams, size_t count) base_must_check;

/* ---- queue.c ---- */

/**
 * struct net_backlog - the frames that wait on a stream, where they are more than a few or the reader is behind
 *
 * A ring: [head, head + count) modulo capacity.
 */
struct net_backlog {
    struct list link; /* net_loop->behind, while its stream is behind */
    struct net_stream *stream;
    uint64_t soft_since_ms; /* more than soft_bytes since then; 0: not now */
    uint32_t capacity, head, count;
    uint32_t replaceable;       /* frames of NET_FRAME_LATEST */
    uint32_t drop_oldest_bytes; /* of frames of NET_FRAME_DROP_OLDEST, as a whole */
    struct net_frame *frames[];
};

uint32_t net_queue_count(const struct net_stream *s);
/** The frame at @index from the front. */
struct net_frame *net_queue_at(const struct net_stream *s, uint32_t index);
/** Queues a frame by its class. 0; -ENOMEM; NET_E_FULL: beyond limits->bytes, nothing was queued. */
#define NET_E_FULL 1
int net_queue_push(struct net_stream *s, struct net_frame *frame) base_must_check;
/** Moves what waits to a backlog, empty as it may be. 0, -ENOMEM. */
int net_queue_open_backlog(struct net_stream *s) base_must_check;
/** Takes the first @size bytes, which are sent. */
void net_queue_consume(struct net_stream *s, size_t size);
/** Gives up all that was not begun. */
void net_queue_drop(struct net_stream *s);
void net_queue_clear(struct net_stream *s);
/** Nothing waits: gives memory back. */
void net_queue_settle(struct net_stream *s);

/* ---- watch.c ---- */

/** The socket takes no more: from now on the stream is watched until it is settled. 0, -ENOMEM. */
int net_watch_behind(struct net_stream *s) base_must_check;
/** Its backlog is about to go. */
void net_watch_settled(struct net_stream *s);
/** Tells the budget what has changed, and ends the worst readers while it is passed. */
void net_watch_budget(struct net_loop *n);
void net_watch_init(struct net_loop *n);
void net_watch_deinit(struct net_loop *n);
/** The reader has passed a limit: the end of the turn tells the owner. */
void net_stream_too_slow(struct net_stream *s, enum net_slow cause);

/** Writes what the kernel takes now; sets want_write where it took less, or ends the stream. */
void net_stream_flush(struct net_stream *s);
/** Whether all that its turn will do first is writing, by no TLS. */
bool net_stream_has_to_write(const struct net_stream *s);
/** The ring wrote @result bytes of @size, or failed with -errno. What follows of it, its turn does: it calls nobody. */
void net_stream_wrote(struct net_stream *s, size_t size, int result);
/** What the next write offers: the first frames of the queue, their bytes in all. Return: how many. */
size_t net_stream_gather(const struct net_stream *s, struct iovec iov[NET_IOV_MAX], size_t *ret_size);

/**
 * net_tls_session_new() - an SSL on a connected descriptor
 *
 * @client: the connecting side; then @server_name (may be NULL) is sent as SNI and verified. Return: 0, -ENOMEM.
 */
int net_tls_session_new(const struct net_tls *tls, int fd, bool client, const char *server_name,
                        SSL **ret_ssl) base_must_check;

/** Sessions on @context resume by @t; by nothing if it is NULL. 0, -ENOMEM. */
int net_tls_tickets_use(struct net_tls_tickets *t, SSL_CTX *context) base_must_check;

#endif
