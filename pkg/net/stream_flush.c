/**
 * Output: writing what waits.
 *
 * TLS: the kernel may take a part of a record, which OpenSSL then keeps; it must be offered the same bytes again. What
 * a record was made of stays where it is (record_frames), and the queue else only changes behind it, so gathering that
 * many frames again gives these bytes; that they may lie elsewhere, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER allows. They
 * and no more: of longer ones OpenSSL would go on to make a further record, and keep that without a word should the
 * kernel not take it, while the queue might still replace what it was made of.
 */
#include "net/net_internal.h"

#include <openssl/err.h>
#include <sys/uio.h>

/* Of a turn and stream; a peer that takes everything at once yields to the others then. */
#define CALLS_PER_FLUSH 16
#define RECORDS_PER_FLUSH 64

/** What is left of the frame at @index of the queue. */
static struct slice queue_rest(const struct net_stream *s, uint32_t index)
{
    const struct net_frame *frame = net_queue_at(s, index);
    uint32_t sent = index == 0 ? s->sent_of_head : 0;

    return slice_make(frame->data + sent, frame->size - sent);
}

size_t net_stream_gather(const struct net_stream *s, struct iovec iov[NET_IOV_MAX], size_t *ret_size)
{
    size_t count = 0, size = 0;

    for (; count < NET_IOV_MAX && count < net_queue_count(s); count++) {
        struct slice rest = queue_rest(s, (uint32_t)count);

        iov[count] = (struct iovec){.iov_base = (void *)(uintptr_t)rest.data, .iov_len = rest.size};
        size += rest.size;
    }
    *ret_size = size;
    return count;
}

/** Offers what waits to the kernel, in one call: *ret_size bytes. Return: as of sendmsg(2). */
static ssize_t send_waiting(const struct net_stream *s, size_t *ret_size)
{
    struct iovec iov[NET_IOV_MAX];
    struct msghdr message = {.msg_iov = iov};

    if (net_queue_count(s) == 1) { /* mostly; and send(2) has less to copy and to check */
        struct slice rest = queue_rest(s, 0);

        *ret_size = rest.size;
        return send(s->io.fd, rest.data, rest.size, MSG_NOSIGNAL);
    }
    message.msg_iovlen = net_stream_gather(s, iov, ret_size);
    return sendmsg(s->io.fd, &message, MSG_NOSIGNAL);
}

static void flush_plain(struct net_stream *s)
{
    for (unsigned i = 0; i < CALLS_PER_FLUSH && net_queue_count(s) > 0; i++) {
        size_t size;
        ssize_t sent = send_waiting(s, &size);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN) {
            net_stream_end_errno(s, errno);
            return;
        }
        if (sent > 0)
            net_queue_consume(s, (size_t)sent);
        if (sent < 0 || (size_t)sent < size)
            break;
    }
    s->want_write = net_queue_count(s) > 0;
}

/** The bytes of the next record: of one frame as they are, of several copied together. */
static struct slice gather_record(const struct net_stream *s, uint16_t *ret_frames)
{
    struct slice first = queue_rest(s, 0);
    uint32_t count = s->record_frames ? s->record_frames : net_queue_count(s);
    char *record = s->owner->write_buffer;
    size_t size = 0;
    uint32_t i = 0;

    *ret_frames = 1;
    if (first.size >= NET_RECORD_SIZE || count == 1)
        return slice_make(first.data, first.size < NET_RECORD_SIZE ? first.size : NET_RECORD_SIZE);
    for (; i < count && size < NET_RECORD_SIZE; i++) {
        struct slice rest = queue_rest(s, i);
        size_t part = rest.size < NET_RECORD_SIZE - size ? rest.size : NET_RECORD_SIZE - size;

        memcpy(record + size, rest.data, part);
        size += part;
    }
    *ret_frames = (uint16_t)i;
    return slice_make(record, size);
}

static void flush_tls(struct net_stream *s)
{
    for (unsigned i = 0; i < RECORDS_PER_FLUSH && net_queue_count(s) > 0; i++) {
        uint16_t frames;
        struct slice record = gather_record(s, &frames);
        int sent;

        ERR_clear_error();
        errno = 0;
        sent = SSL_write(s->ssl, record.data, (int)record.size);
        if (sent <= 0) {
            s->record_frames = frames;
            net_stream_tls_failed(s, sent, errno);
            return;
        }
        s->record_frames = 0;
        net_queue_consume(s, (size_t)sent);
    }
    s->want_write = net_queue_count(s) > 0;
}

bool net_stream_has_to_write(const struct net_stream *s)
{
    return s->state == STREAM_OPEN && !s->ssl && !s->corked && !s->want_write && !s->slow && !s->held &&
           net_queue_count(s) > 0;
}

void net_stream_wrote(struct net_stream *s, size_t size, int result)
{
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        net_stream_end_errno(s, -result);
        return;
    }
    if (result > 0) {
        s->owner->counters.ring_writes++;
        net_queue_consume(s, (size_t)result);
    }
    s->ring_wrote = true;
    s->ring_took_less = result != -EINTR && (result < 0 || (size_t)result < size);
}

void net_stream_flush(struct net_stream *s)
{
    if (net_queue_count(s) == 0 && !s->ring_wrote)
        return;
    if (s->ssl)
        flush_tls(s);
    else if (s->ring_took_less)
        s->want_write = net_queue_count(s) > 0;
    else
        flush_plain(s); /* what there was no room for in the ring's write, and what came since */
    s->ring_wrote = s->ring_took_less = false;
    if (s->state == STREAM_ENDING)
        return;
    if (net_queue_count(s) > 0) {
        if (net_watch_behind(s) < 0)
            net_stream_end(s, NET_END_ERROR, ENOMEM);
        return;
    }
    net_queue_settle(s);
    if (s->state == STREAM_OPEN && s->ops->on_drained)
        s->ops->on_drained(s);
}
