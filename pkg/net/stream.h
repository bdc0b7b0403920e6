#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "loop/loop.h"
#include "net/address.h"
#include "net/frame.h"
#include "net/tls.h"

#include "base/buffer.h"

/**
 * struct net_stream - a connected byte stream on one loop, plain or TLS; embedded in what owns it
 *
 * Reading: bytes come from one read buffer that all streams of the loop share, so an idle connection has none. The
 * handler consumes what it gets; if it pauses reading in between, the rest is kept by the stream and offered again when
 * reading resumes.
 *
 * Writing: frames are queued by reference in a ring (inline for a few, grown on demand, shrunk when drained). Queued
 * streams stand on their net_loop's list, which is flushed once at the end of the turn: one writev(2), or one SSL_write
 * of what fits a record. What is queued while the loop is busy leaves together; a lone frame leaves in the turn it was
 * queued. EV_WRITE is watched only after EAGAIN.
 *
 * Ending: net_stream_close() sends what is queued and then ends; net_stream_abort() ends at once. Either way on_closed
 * is called exactly once, at the end of a turn, never from inside another call of this interface; after it the owner
 * may free the memory. A close first shuts the sending side and waits, at most two seconds, for the peer to end as
 * well, so that a reset cannot destroy what was just sent. When the peer ends, what is still queued is dropped.
 *
 * TLS writes with write(2): a process that uses it ignores SIGPIPE. A paused stream with nothing to write is not
 * watched and does not learn of its peer's end. Thread: its loop's.
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
    NET_END_OVERFLOW, /* more was queued than max_queued_bytes: the peer reads too slowly */
    NET_END_ERROR,    /* our side: out of memory or descriptors */
};

struct net_stream_ops {
    /**
     * @size bytes arrived (at least 1), which the handler may change in place (unmasking). Return: how many were
     * consumed; all of them unless the handler paused or closed the stream meanwhile.
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
    /** It is over; error is an errno value or 0. The owner may free the stream now. */
    void (*on_closed)(struct net_stream *s, enum net_end end, int error);
};

#define NET_STREAM_RING_INLINE 4

struct net_stream {
    const struct net_stream_ops *ops;
    struct net_loop *owner;
    void *ssl; /* SSL *, NULL for plain */
    struct loop_io io;
    struct loop_deadline deadline; /* handshake, then flush of a close */
    struct list flush_link;        /* on net_loop's list of streams with something to do at the end of the turn */
    struct buffer held;            /* input kept while paused */
    /* the ring of frames: [head, head + count) modulo capacity */
    struct net_frame **ring;
    struct net_frame *ring_inline[NET_STREAM_RING_INLINE];
    uint32_t ring_capacity, ring_head, ring_count;
    uint32_t sent_of_head; /* bytes of the first frame that are gone already */
    uint32_t queued_bytes; /* of all frames, without what is gone */
    uint32_t max_queued_bytes;
    uint32_t close_timeout_ms;
    int fd;
    int error;
    uint8_t state; /* see stream.c */
    uint8_t end;   /* enum net_end, once ending */
    bool paused;
    bool want_write; /* the kernel or TLS asked for it */
    bool closing;    /* net_stream_close() before it was open */
    bool more_input; /* OpenSSL has read bytes that were not asked for yet */
};

/** struct net_loop - what the streams of one loop share: read buffer, flush list, counters. One per loop. */
struct net_loop_counters {
    uint64_t bytes_in, bytes_out, reads, writes, frames_out;
};
int net_loop_new(struct loop *l, struct net_loop **ret_net) base_must_check;
/** All streams have ended. */
struct net_loop *net_loop_free(struct net_loop *n);
struct loop *net_loop_loop(const struct net_loop *n);
const struct net_loop_counters *net_loop_counters(const struct net_loop *n);

struct net_stream_options {
    uint32_t max_queued_bytes;     /* 0: 2^31 */
    uint32_t handshake_timeout_ms; /* TLS handshake or connect; 0: 10,000 */
    uint32_t close_timeout_ms;     /* flush of a close; 0: 5,000 */
    struct net_tls *tls;           /* NULL: plain */
    const char *server_name;       /* outgoing TLS: the name to verify and to send as SNI */
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
 * Takes its own reference. A stream that is ending takes nothing and says 0. Beyond max_queued_bytes the stream ends
 * with NET_END_OVERFLOW. Return: 0; -ENOMEM (the stream is aborted with NET_END_ERROR: one lost frame would be a lie).
 */
int net_stream_send(struct net_stream *s, struct net_frame *frame);
/** The same from bytes, copied. */
int net_stream_send_bytes(struct net_stream *s, struct slice bytes);

void net_stream_pause(struct net_stream *s);
/** Held bytes are offered again at the end of this turn. */
void net_stream_resume(struct net_stream *s);
void net_stream_close(struct net_stream *s);
void net_stream_abort(struct net_stream *s);
/** Whether it has begun to end: nothing sent now will arrive. */
bool net_stream_is_ending(const struct net_stream *s);
int net_stream_peer(const struct net_stream *s, struct net_address *ret_address) base_must_check;
const char *net_end_name(enum net_end end);

#endif
