/**
 * Output: the ring of frame references, and writing it.
 *
 * A frame is charged with its size while any of it waits. The ring lies inside the stream for a few frames and on the
 * heap for more, until it has drained: an idle connection has none.
 *
 * TLS: the kernel may take a part of a record, which OpenSSL then keeps; it must be offered the same bytes again. The
 * ring only grows at its end, so gathering again gives at least the same bytes; that they may lie elsewhere,
 * SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER allows.
 */
#include "net/net_internal.h"

#include <openssl/err.h>
#include <sys/uio.h>

#define IOV_MAX_PER_CALL 64
/* Of a turn and stream; a peer that takes everything at once yields to the others then. */
#define CALLS_PER_FLUSH 16
#define RECORDS_PER_FLUSH 64

static int ring_grow(struct net_stream *s)
{
    uint32_t capacity = s->ring_capacity * 2;
    struct net_frame **ring = malloc(capacity * sizeof(struct net_frame *));

    if (!ring)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->ring_count; i++)
        ring[i] = s->ring[(s->ring_head + i) % s->ring_capacity];
    if (s->ring != s->ring_inline)
        free(s->ring);
    s->ring = ring;
    s->ring_capacity = capacity;
    s->ring_head = 0;
    return 0;
}

int net_stream_queue(struct net_stream *s, struct net_frame *frame)
{
    if (s->ring_count == s->ring_capacity && ring_grow(s) < 0)
        return -ENOMEM;
    s->ring[(s->ring_head + s->ring_count) % s->ring_capacity] = net_frame_ref(frame);
    s->ring_count++;
    s->queued_bytes += frame->size;
    return 0;
}

static void ring_pop(struct net_stream *s)
{
    net_frame_unref(s->ring[s->ring_head]);
    s->ring_head = (s->ring_head + 1) % s->ring_capacity;
    s->ring_count--;
    s->sent_of_head = 0;
}

static void ring_shrink(struct net_stream *s)
{
    assert(s->ring_count == 0 && s->queued_bytes == 0);
    if (s->ring != s->ring_inline)
        free(s->ring);
    s->ring = s->ring_inline;
    s->ring_capacity = NET_STREAM_RING_INLINE;
    s->ring_head = 0;
}

void net_stream_queue_clear(struct net_stream *s)
{
    if (s->ring_count > 0)
        s->queued_bytes += s->sent_of_head; /* a frame is given back as a whole */
    while (s->ring_count > 0) {
        s->queued_bytes -= s->ring[s->ring_head]->size;
        ring_pop(s);
    }
    ring_shrink(s);
}

/** Takes the first @size bytes, which are sent, out of the ring. */
static void ring_consume(struct net_stream *s, size_t size)
{
    struct net_loop_counters *counters = &s->owner->counters;

    s->queued_bytes -= (uint32_t)size;
    counters->writes++;
    counters->bytes_out += size;
    while (size > 0) {
        uint32_t rest = s->ring[s->ring_head]->size - s->sent_of_head;

        if (size < rest) {
            s->sent_of_head += (uint32_t)size;
            return;
        }
        size -= rest;
        counters->frames_out++;
        ring_pop(s);
    }
}

/** What is left of the frame at @index of the ring. */
static struct slice ring_rest(const struct net_stream *s, uint32_t index)
{
    const struct net_frame *frame = s->ring[(s->ring_head + index) % s->ring_capacity];
    uint32_t sent = index == 0 ? s->sent_of_head : 0;

    return slice_make(frame->data + sent, frame->size - sent);
}

static size_t gather_iov(const struct net_stream *s, struct iovec iov[IOV_MAX_PER_CALL], size_t *ret_size)
{
    size_t count = 0, size = 0;

    for (; count < IOV_MAX_PER_CALL && count < s->ring_count; count++) {
        struct slice rest = ring_rest(s, (uint32_t)count);

        iov[count] = (struct iovec){.iov_base = (void *)(uintptr_t)rest.data, .iov_len = rest.size};
        size += rest.size;
    }
    *ret_size = size;
    return count;
}

static void flush_plain(struct net_stream *s)
{
    struct iovec iov[IOV_MAX_PER_CALL];

    for (unsigned i = 0; i < CALLS_PER_FLUSH && s->ring_count > 0; i++) {
        struct msghdr message = {.msg_iov = iov};
        size_t size;
        ssize_t sent;

        message.msg_iovlen = gather_iov(s, iov, &size);
        sent = sendmsg(s->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN) {
            net_stream_end_errno(s, errno);
            return;
        }
        if (sent > 0)
            ring_consume(s, (size_t)sent);
        if (sent < 0 || (size_t)sent < size)
            break;
    }
    s->want_write = s->ring_count > 0;
}

/** The bytes of the next record: of one frame as they are, of several copied together. */
static struct slice gather_record(const struct net_stream *s)
{
    struct slice first = ring_rest(s, 0);
    char *record = s->owner->write_buffer;
    size_t size = 0;

    if (first.size >= NET_RECORD_SIZE || s->ring_count == 1)
        return slice_make(first.data, first.size < NET_RECORD_SIZE ? first.size : NET_RECORD_SIZE);
    for (uint32_t i = 0; i < s->ring_count && size < NET_RECORD_SIZE; i++) {
        struct slice rest = ring_rest(s, i);
        size_t part = rest.size < NET_RECORD_SIZE - size ? rest.size : NET_RECORD_SIZE - size;

        memcpy(record + size, rest.data, part);
        size += part;
    }
    return slice_make(record, size);
}

static void flush_tls(struct net_stream *s)
{
    for (unsigned i = 0; i < RECORDS_PER_FLUSH && s->ring_count > 0; i++) {
        struct slice record = gather_record(s);
        int sent;

        ERR_clear_error();
        errno = 0;
        sent = SSL_write(s->ssl, record.data, (int)record.size);
        if (sent <= 0) {
            net_stream_tls_failed(s, sent, errno);
            return;
        }
        ring_consume(s, (size_t)sent);
    }
    s->want_write = s->ring_count > 0;
}

void net_stream_flush(struct net_stream *s)
{
    if (s->ring_count == 0)
        return;
    if (s->ssl)
        flush_tls(s);
    else
        flush_plain(s);
    if (s->ring_count > 0 || s->state == STREAM_ENDING)
        return;
    ring_shrink(s);
    if (s->state == STREAM_OPEN && s->ops->on_drained)
        s->ops->on_drained(s);
}
