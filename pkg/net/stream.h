#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "loop/loop.h"
#include "net/address.h"
#include "net/frame.h"
#include "net/tls.h"

#include "base/buffer.h"

#include <stdatomic.h>

/**
 * struct net_stream - a connected byte stream on one loop, plain or TLS; embedded in what owns it
 *
 * Reading: bytes come from one read buffer that all streams of the loop share, so an idle connection has none. The
 * handler consumes what it gets; if it pauses reading in between, the rest is kept by the stream and offered again when
 * reading resumes.
 *
 * Writing: frames are queued by reference (in place for a few, in a backlog for more, which is gone when all is sent).
 * Queued
 * streams stand on their net_loop's list, which is flushed once at the end of the turn: one writev(2), or one SSL_write
 * of what fits a record. What is queued while the loop is busy leaves together; a lone frame leaves in the turn it was
 * queued. EV_WRITE is watched only after EAGAIN.
 *
 * Slow readers: see struct net_queue_limits. A stream that passes one of its limits gives up what it has not begun to
 * send, takes nothing more, and at the end of the turn its owner may say a last word (on_slow).
 *
 * Ending: net_stream_close() sends what is queued and then ends; net_stream_abort() ends at once. Either way on_closed
 * is called exactly once, at the end of a turn, never from inside another call of this interface; after it the owner
 * may free the memory. A close first shuts the sending side and waits, at most two seconds, for the peer to end as
 * well, so that a reset cannot destroy what was just sent. When the peer ends, what is still queued is dropped.
 *
 * TLS writes with write(2): a process that uses it ignores SIGPIPE. A paused stream with nothing to write may not learn
 * of its peer's end. Thread: its loop's.
 */
struct net_stream;
struct net_loop;

/** Why a stream ended. */
enum net_end {
    NET_END_EOF,      /* the peer ended it */
    NET_END_RESET,    /* the peer vanished: ECONNRESET, EPIPE, ETIMEDOUT … */
    NET_END_CLOSED,   /* net_stream_close(), everything was sent */
    NET_END_ABORTED,  /* net_stream_abort() */
    NET_END_TLS,      /* the TLS handshake or a record failed */
    NET_END_TIMEOUT,  /* TLS handshake, connect, or the flush of a close took too long */
    NET_END_BUSY,     /* too many streams shake hands or wait for it */
    NET_END_OVERFLOW, /* the peer reads too slowly, and there is no on_slow */
    NET_END_ERROR,    /* our side: out of memory or descriptors */
};

/** Which limit a slow reader has passed. */
enum net_slow {
    NET_SLOW_NOT,
    NET_SLOW_BYTES, /* net_queue_limits.bytes */
    NET_SLOW_SOFT,  /* soft_bytes for longer than soft_ms */
    NET_SLOW_AGE,   /* age_ms */
    NET_SLOW_TOTAL, /* net_budget.limit, and this one had most */
    NET_SLOW_CAUSES,
};

/**
 * struct net_queue_limits - what may wait to be sent on one stream; shared by many, borrowed, and may change at any
 * time
 *
 * 0 means that there is no such limit. Time is looked at every NET_WATCH_MS.
 */
struct net_queue_limits {
    uint32_t bytes;             /* at once */
    uint32_t soft_bytes;        /* for soft_ms */
    uint32_t soft_ms;           /* a reader may be behind for this long */
    uint32_t age_ms;            /* of the oldest frame of NET_FRAME_MUST */
    uint32_t drop_oldest_bytes; /* of frames of NET_FRAME_DROP_OLDEST while the reader is behind */
};
#define NET_WATCH_MS 200

/** struct net_budget - what may wait to be sent on all streams of several loops together */
struct net_budget {
    atomic_size_t queued; /* bytes, as the loops have told */
    size_t limit;
    size_t loops; /* that share it: one with less than its part ends nobody */
};

struct net_stream_ops {
    /**
     * @size bytes arrived (at least 1), which the handler may change in place (unmasking). Return: how many were
     * consumed, at least one unless the handler paused or closed the stream meanwhile. If it did neither, the rest is
     * offered in the next turn: others come first.
     */
    size_t (*on_data)(struct net_stream *s, char *data, size_t size);
    /**
     * Open: the TLS handshake and, for an outgoing stream, the connect are done; a plain accepted one opens at the end
     * of the turn. Once, before any on_data; not if the owner closed it before. What is sent earlier is queued. May be
     * NULL.
     */
    void (*on_open)(struct net_stream *s);
    /** The queue became empty after a flush, and the stream is not ending. May be NULL. */
    void (*on_drained)(struct net_stream *s);
    /**
     * The peer reads too slowly: what was not begun is gone. At the end of a turn, once. The owner may send a last
     * frame and has to close or abort. NULL: the stream ends with NET_END_OVERFLOW.
     */
    void (*on_slow)(struct net_stream *s, enum net_slow cause);
    /**
     * Frames with a place were left out, by their class: the frame (one reference) that tells so, and takes their
     * place; called again when it becomes more. Inside net_stream_send(). NULL: out of memory. May be NULL: it is not
     * told.
     */
    struct net_frame *(*gap)(struct net_stream *s, const struct net_place *what);
    /** What net_stream_set_deadline() has started is due. May be NULL if it is never called. */
    void (*on_deadline)(struct net_stream *s);
    /** It is over; error is an errno value or 0. The owner may free the stream now. */
    void (*on_closed)(struct net_stream *s, enum net_end end, int error);
};

#define NET_STREAM_FEW 2

struct net_stream {
    const struct net_stream_ops *ops;
    struct net_loop *owner;
    const struct net_queue_limits *limits;
    void *ssl;                     /* SSL *, NULL for plain, and while it waits for its turn to shake hands */
    struct net_tls *tls;           /* while it waits */
    struct loop_io io;             /* its descriptor is -1 when it is closed */
    struct loop_deadline deadline; /* handshake; while it is open the owner's; flush of a close */
    struct list flush_link;        /* on net_loop's list of streams with something to do at the end of the turn */
    struct buffer *held;           /* input kept while paused, or NULL */
    /* what waits to be sent: queue.c */
    struct net_backlog *backlog; /* NULL: it is in @few */
    struct net_frame *few[NET_STREAM_FEW];
    uint32_t sent_of_head; /* bytes of the first frame that are gone already */
    uint32_t queued_bytes; /* of all frames, without what is gone */
    uint32_t close_timeout_ms;
    int error;
    uint16_t record_frames; /* frames from the front that OpenSSL holds a record of, which the kernel did not take */
    uint8_t few_count;
    uint8_t state;           /* see stream.c */
    uint8_t end;             /* enum net_end, once ending */
    uint8_t slow;            /* enum net_slow */
    bool corked : 1;         /* by the owner */
    bool met_paused : 1;     /* input was met since it was paused */
    bool slow_told : 1;      /* on_slow was called */
    bool paused : 1;         /* by the owner */
    bool want_write : 1;     /* the kernel or TLS asked for it */
    bool closing : 1;        /* net_stream_close() before it was open */
    bool more_input : 1;     /* OpenSSL has read bytes that were not asked for yet */
    bool offer_later : 1;    /* the owner has had enough for this turn, with input left over */
    bool ring_wrote : 1;     /* the loop's ring, in this turn, which is still to come for the stream */
    bool ring_took_less : 1; /* than was offered */
    bool is_scheduled : 1;   /* it stands on net_loop->flush */
};

/** struct net_loop - what the streams of one loop share: read buffer, flush list, counters. One per loop. */
struct net_loop_counters {
    uint64_t bytes_in, bytes_out, reads, writes, frames_out;
    uint64_t ring_writes;         /* of writes, those made by the ring */
    uint64_t frames_replaced;     /* of NET_FRAME_LATEST */
    uint64_t frames_dropped;      /* of NET_FRAME_DROP_OLDEST */
    uint64_t bytes_queued;        /* now */
    uint64_t streams_behind;      /* now: their sockets take no more */
    uint64_t handshakes, resumed; /* TLS handshakes done, and how many of them resumed a session */
};
int net_loop_new(struct loop *l, struct net_loop **ret_net) base_must_check;
/** Shares @b, which is borrowed, with other loops; before the first stream. */
void net_loop_set_budget(struct net_loop *n, struct net_budget *b);
/**
 * net_loop_use_ring() - write to several streams in one call from now on, by an io_uring(7), where the kernel lets us
 *
 * Before the loop runs. The ring is made at the first output, by the loop's thread; if it can't be, or fails later,
 * that is logged and each write is a call of its own, as without. Streams with TLS write by themselves in any case.
 */
void net_loop_use_ring(struct net_loop *n);
/** Whether the kernel would let a loop have a ring: 0, -errno (-ENOSYS, -EPERM, -EINVAL: older than Linux 6.1). */
int net_ring_probe(void);
/** All streams have ended. */
struct net_loop *net_loop_free(struct net_loop *n);
struct loop *net_loop_loop(const struct net_loop *n);
const struct net_loop_counters *net_loop_counters(const struct net_loop *n);
/**
 * net_loop_set_handshake_limit() - how many TLS handshakes there may be at once
 *
 * Further accepted streams wait, without memory for TLS, at most @waiting of them and within their handshake's time;
 * beyond, they end with NET_END_BUSY. @limit 0: none, which is how a loop begins.
 */
void net_loop_set_handshake_limit(struct net_loop *n, size_t limit, size_t waiting);
/** How many there are now, and how many wait. */
void net_loop_handshakes(const struct net_loop *n, size_t *ret_handshaking, size_t *ret_waiting);

struct net_stream_options {
    const struct net_queue_limits *limits; /* NULL: none */
    uint32_t handshake_timeout_ms;         /* TLS handshake with the wait for it, or connect; 0: 10,000 */
    uint32_t close_timeout_ms;             /* flush of a close; 0: 5,000 */
    struct net_tls *tls;                   /* NULL: plain */
    const char *server_name;               /* outgoing TLS: the name to verify and to send as SNI */
};

/**
 * net_stream_accept() - take over a connected descriptor (non-blocking, close-on-exec)
 *
 * Ownership: the descriptor is the stream's, also on failure (it is closed then, and on_closed is not called).
 * Return: 0; -ENOMEM.
 */
int net_stream_accept(struct net_stream *s, struct net_loop *n, int fd, const struct net_stream_options *options,
                      const struct net_stream_ops *ops) base_must_check;
/** Connects to @address; on_open or on_closed tells how it went. Return: 0, or a negative errno (on_closed is not
 * called then). */
int net_stream_connect(struct net_stream *s, struct net_loop *n, const struct net_address *address,
                       const struct net_stream_options *options, const struct net_stream_ops *ops) base_must_check;

/**
 * net_stream_send() - queue a frame
 *
 * Takes its own reference. A stream that is ending takes nothing and says 0, also one that passes a limit with this
 * frame. Replacing and dropping by the frame's class happens here. Return: 0; -ENOMEM (the stream is aborted with
 * NET_END_ERROR: one lost frame would be a lie).
 */
int net_stream_send(struct net_stream *s, struct net_frame *frame);
/** The same from bytes, copied. */
int net_stream_send_bytes(struct net_stream *s, struct slice bytes);

/** What is queued waits for net_stream_uncork(), or for a close, so that it leaves together with what comes soon. */
void net_stream_cork(struct net_stream *s);
void net_stream_uncork(struct net_stream *s);
void net_stream_pause(struct net_stream *s);
/** Held bytes are offered again at the end of this turn. */
void net_stream_resume(struct net_stream *s);
void net_stream_close(struct net_stream *s);
void net_stream_abort(struct net_stream *s);
/** While the stream is open its deadline is the owner's: starts or moves it, and ops->on_deadline will be called.
 * Nothing happens before that, when the stream minds its own times, and when it is ending. */
void net_stream_set_deadline(struct net_stream *s, uint64_t delay_ms);
void net_stream_stop_deadline(struct net_stream *s);
/** From now on; what is queued is not looked at again. @limits may be NULL. */
void net_stream_set_limits(struct net_stream *s, const struct net_queue_limits *limits);
/** Whether it has begun to end: nothing sent now will arrive. */
bool net_stream_is_ending(const struct net_stream *s);
int net_stream_peer(const struct net_stream *s, struct net_address *ret_address) base_must_check;
const char *net_end_name(enum net_end end);

#endif
