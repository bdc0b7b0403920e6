/**
 * Beginnings: streams that are accepted, or connect, shake hands, and open.
 */
#include "net/net_internal.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <unistd.h>

#define HANDSHAKE_TIMEOUT_MS 10000
#define CLOSE_TIMEOUT_MS 5000

void net_stream_open(struct net_stream *s)
{
    s->want_write = false;
    if (s->closing) {
        net_stream_set_state(s, STREAM_CLOSING);
        return;
    }
    net_stream_set_state(s, STREAM_OPEN);
    if (s->ops->on_open)
        s->ops->on_open(s);
}

void net_stream_handshake(struct net_stream *s)
{
    int result;

    if (!net_loop_may_handshake(s->owner))
        return; /* the descriptor is still ready in the next turn */
    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(s->ssl);
    if (result <= 0) {
        net_stream_tls_failed(s, result, errno);
        return;
    }
    s->owner->counters.handshakes++;
    s->owner->counters.resumed += SSL_session_reused(s->ssl) == 1;
    net_stream_open(s);
    /* The peer's first bytes may have come with its Finished. */
    if (SSL_has_pending(s->ssl)) {
        s->more_input = true;
        net_stream_read(s);
    }
}

void net_stream_admit(struct net_stream *s)
{
    SSL *ssl;

    if (net_tls_session_new(s->tls, s->io.fd, false, NULL, &ssl) < 0) {
        net_stream_end(s, NET_END_ERROR, ENOMEM);
        return;
    }
    s->ssl = ssl;
    s->tls = net_tls_unref(s->tls);
    net_stream_set_state(s, STREAM_HANDSHAKE);
    net_stream_wait(s);
}

void net_stream_connected(struct net_stream *s)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        net_stream_end_errno(s, error);
    } else if (s->ssl) {
        net_stream_set_state(s, STREAM_HANDSHAKE);
        s->want_write = true; /* we speak first, in the next turn if this one has no room */
        net_stream_handshake(s);
    } else {
        net_stream_open(s);
    }
}

static int stream_init(struct net_stream *s, struct net_loop *n, int fd, const struct net_stream_options *options,
                       const struct net_stream_ops *ops, bool client)
{
    SSL *ssl = NULL;

    assert(loop_is_current(n->loop));
    if (options->tls && (client || net_loop_has_room(n)) &&
        net_tls_session_new(options->tls, fd, client, options->server_name, &ssl) < 0)
        return -ENOMEM;
    *s = (struct net_stream){
        .ops = ops,
        .owner = n,
        .ssl = ssl,
        .tls = options->tls && !ssl ? net_tls_ref(options->tls) : NULL,
        .limits = options->limits,
        .close_timeout_ms = options->close_timeout_ms ? options->close_timeout_ms : CLOSE_TIMEOUT_MS,
    };
    list_init(&s->flush_link);
    loop_deadline_init(&s->deadline, net_stream_on_deadline);
    loop_io_init(&s->io, n->loop, fd, net_stream_on_io);
    return 0;
}

/** Enters its first state and waits. Undone on failure, but for the descriptor. */
static int stream_start(struct net_stream *s, enum stream_state state, const struct net_stream_options *options)
{
    unsigned events = state == STREAM_CONNECTING ? LOOP_IO_WRITE : LOOP_IO_READ;

    /* A plain stream begins to read at once, but not before it is open; one that waits, when it has waited. */
    if (state != STREAM_ACCEPTED && state != STREAM_WAITING && loop_io_want(&s->io, events) < 0) {
        SSL_free(s->ssl);
        s->ssl = NULL;
        return -ENOMEM;
    }
    if (state != STREAM_ACCEPTED)
        loop_deadline_start(s->owner->loop, &s->deadline,
                            options->handshake_timeout_ms ? options->handshake_timeout_ms : HANDSHAKE_TIMEOUT_MS);
    net_stream_set_state(s, state);
    return 0;
}

int net_stream_accept(struct net_stream *s, struct net_loop *n, int fd, const struct net_stream_options *options,
                      const struct net_stream_ops *ops)
{
    int result = stream_init(s, n, fd, options, ops, false);

    if (result == 0)
        result = stream_start(s, s->ssl ? STREAM_HANDSHAKE : s->tls ? STREAM_WAITING : STREAM_ACCEPTED, options);
    if (result == 0 && s->state == STREAM_WAITING && n->waiting_count > n->waiting_limit)
        net_stream_end(s, NET_END_BUSY, 0);
    if (result < 0)
        close(fd);
    return result;
}

int net_stream_connect(struct net_stream *s, struct net_loop *n, const struct net_address *address,
                       const struct net_stream_options *options, const struct net_stream_ops *ops)
{
    const int on = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = 0;

    if (fd < 0)
        return -errno;
    if (address->storage.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (const struct sockaddr *)&address->storage, address->size) < 0 && errno != EINPROGRESS)
        result = -errno;
    if (result == 0)
        result = stream_init(s, n, fd, options, ops, true);
    if (result == 0)
        result = stream_start(s, STREAM_CONNECTING, options);
    if (result < 0)
        close(fd);
    return result;
}
