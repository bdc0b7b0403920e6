/**
 * Input: from the kernel or OpenSSL to the owner, a bounded amount a turn. What the owner leaves over is held: while it
 * pauses until it goes on, else until the next turn.
 */
#include "net/net_internal.h"

#include <openssl/err.h>

void net_stream_free_held(struct net_stream *s)
{
    if (s->held)
        buffer_deinit(s->held);
    free(s->held);
    s->held = NULL;
}

/** Keeps what the handler left over. Return: whether the stream is still open. */
static bool stream_keep(struct net_stream *s, const char *rest, size_t size)
{
    if (s->state != STREAM_OPEN)
        return false;
    if (size == 0)
        return true;
    if (!s->held)
        s->held = calloc(1, sizeof(*s->held));
    if (s->held)
        buffer_append(s->held, rest, size);
    if (!s->held || buffer_error(s->held)) {
        net_stream_end(s, NET_END_ERROR, ENOMEM);
        return false;
    }
    if (!s->paused) {
        s->offer_later = true;
        net_loop_schedule(s->owner, s);
    }
    return true;
}

/** Hands fresh input to the owner. Return: whether the stream is still open. */
static bool stream_deliver(struct net_stream *s, char *data, size_t size)
{
    size_t consumed;

    s->owner->counters.reads++;
    s->owner->counters.bytes_in += size;
    consumed = s->ops->on_data(s, data, size);
    assert(consumed <= size);
    assert(consumed > 0 || s->paused || s->state != STREAM_OPEN);
    return stream_keep(s, data + consumed, size - consumed);
}

void net_stream_offer_held(struct net_stream *s)
{
    size_t size = s->held->size;
    size_t consumed = s->ops->on_data(s, s->held->data, size);

    assert(consumed <= size);
    assert(consumed > 0 || s->paused || s->state != STREAM_OPEN);
    if (consumed == size || s->state != STREAM_OPEN) {
        net_stream_free_held(s);
        return;
    }
    buffer_consume(s->held, consumed);
    if (!s->paused) {
        s->offer_later = true;
        net_loop_schedule(s->owner, s);
    }
}

static void stream_read_plain(struct net_stream *s)
{
    struct net_loop *n = s->owner;
    ssize_t size = recv(s->io.fd, n->read_buffer, sizeof(n->read_buffer), 0);

    if (size > 0)
        stream_deliver(s, n->read_buffer, (size_t)size);
    else if (size == 0)
        net_stream_end(s, NET_END_EOF, 0);
    else if (errno != EAGAIN && errno != EINTR)
        net_stream_end_errno(s, errno);
}

static void stream_read_tls(struct net_stream *s)
{
    struct net_loop *n = s->owner;
    size_t budget = NET_READ_SIZE;

    s->more_input = false;
    do {
        bool wants_write = s->want_write;
        int size;

        ERR_clear_error();
        errno = 0;
        size = SSL_read(s->ssl, n->read_buffer, sizeof(n->read_buffer));
        if (size <= 0) {
            net_stream_tls_failed(s, size, errno);
            s->want_write |= wants_write; /* that input is awaited says nothing of output */
            return;
        }
        if (!stream_deliver(s, n->read_buffer, (size_t)size))
            return;
        budget -= (size_t)size < budget ? (size_t)size : budget;
        /* What OpenSSL has read from the kernel, epoll tells nobody again. */
        s->more_input = SSL_has_pending(s->ssl);
    } while (s->more_input && budget > 0 && !s->paused && !s->held);
    if (s->more_input)
        net_loop_schedule(n, s);
}

void net_stream_read(struct net_stream *s)
{
    if (s->state != STREAM_OPEN || s->paused || s->held)
        return; /* held bytes go first, at the end of this turn */
    if (s->ssl)
        stream_read_tls(s);
    else
        stream_read_plain(s);
}

void net_stream_read_again(struct net_stream *s)
{
    s->offer_later = false;
    if (s->state == STREAM_OPEN && !s->paused && s->held)
        net_stream_offer_held(s);
    else
        net_stream_read(s);
    if (s->more_input && s->state == STREAM_OPEN)
        net_loop_schedule(s->owner, s); /* held bytes came first */
    net_stream_wait(s);
}
