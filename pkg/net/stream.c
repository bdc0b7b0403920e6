/**
 * Streams: their states, their input, their end.
 *
 * One function changes the state (stream_set_state), one decides what to wait for (stream_wait), from the state alone,
 * and every callback of the loop ends there. Nothing is freed under a caller's feet: ending marks, and the end of the
 * turn frees and tells the owner.
 *
 *     UNUSED ─┬─▶ ACCEPTED ───┬────────────▶ OPEN ──▶ CLOSING ──▶ LINGERING ──▶ ENDING ──▶ UNUSED
 *             ├─▶ CONNECTING ─┤                └─────────┴─── any but UNUSED ──▶ ENDING
 *             ├─▶ HANDSHAKE ◀─┘ (TLS)
 *             └─▶ WAITING ──▶ HANDSHAKE
 *
 * Lingering: a socket that is closed while input waits in the kernel sends RST, which may destroy what was just sent
 * before the peer has read it, like the reason of a refusal. So a close shuts the sending side and throws input away
 * until the peer ends as well, for a bounded time. A peer that did not read fast enough is reset instead, so that the
 * kernel does not keep its output.
 *
 * A paused stream that was disturbed once and has nothing to write is not watched at all: it learns of its peer's end
 * when it reads or writes again.
 */
#include "net/net_internal.h"

#include "base/log.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <unistd.h>

#define HANDSHAKE_TIMEOUT_MS 10000
#define CLOSE_TIMEOUT_MS 5000
#define LINGER_MS 2000

#define TO(state) (1u << (state))

static base_unused const unsigned stream_moves[STREAM_STATES] = {
    [STREAM_UNUSED] = TO(STREAM_ACCEPTED) | TO(STREAM_CONNECTING) | TO(STREAM_HANDSHAKE) | TO(STREAM_WAITING),
    [STREAM_ACCEPTED] = TO(STREAM_OPEN) | TO(STREAM_CLOSING) | TO(STREAM_ENDING),
    [STREAM_CONNECTING] = TO(STREAM_HANDSHAKE) | TO(STREAM_OPEN) | TO(STREAM_CLOSING) | TO(STREAM_ENDING),
    [STREAM_WAITING] = TO(STREAM_HANDSHAKE) | TO(STREAM_ENDING),
    [STREAM_HANDSHAKE] = TO(STREAM_OPEN) | TO(STREAM_CLOSING) | TO(STREAM_ENDING),
    [STREAM_OPEN] = TO(STREAM_CLOSING) | TO(STREAM_ENDING),
    [STREAM_CLOSING] = TO(STREAM_LINGERING) | TO(STREAM_ENDING),
    [STREAM_LINGERING] = TO(STREAM_ENDING),
    [STREAM_ENDING] = TO(STREAM_UNUSED),
};

/** How many shake hands, how many wait for it; when one is done, the end of the turn lets the next one begin. */
static void stream_count_handshakes(struct net_stream *s, enum stream_state next)
{
    struct net_loop *n = s->owner;

    if (s->state == STREAM_HANDSHAKE) {
        n->handshaking--;
        loop_defer(n->loop, &n->deferred);
    } else if (s->state == STREAM_WAITING) {
        n->waiting_count--;
    }
    if (next == STREAM_HANDSHAKE)
        n->handshaking++;
    else if (next == STREAM_WAITING)
        n->waiting_count++;
}

static void stream_set_state(struct net_stream *s, enum stream_state state)
{
    struct net_loop *n = s->owner;

    assert(stream_moves[s->state] & TO(state));
    if (s->state == STREAM_UNUSED)
        n->streams++;
    stream_count_handshakes(s, state);
    s->state = (uint8_t)state;
    switch (state) {
    case STREAM_ACCEPTED:
        net_loop_schedule(n, s);
        break;
    case STREAM_CONNECTING:
    case STREAM_HANDSHAKE: /* one deadline for both */
        break;
    case STREAM_WAITING:
        list_append(&n->waiting, &s->flush_link);
        break;
    case STREAM_OPEN:
        loop_deadline_stop(&s->deadline);
        net_loop_schedule(n, s);
        break;
    case STREAM_CLOSING:
        loop_deadline_start(n->loop, &s->deadline, s->close_timeout_ms);
        net_loop_schedule(n, s);
        break;
    case STREAM_LINGERING:
        loop_deadline_start(n->loop, &s->deadline, LINGER_MS);
        break;
    case STREAM_ENDING:
        loop_deadline_stop(&s->deadline);
        net_loop_schedule(n, s);
        break;
    case STREAM_UNUSED:
        n->streams--;
        break;
    case STREAM_STATES:
        assert(false);
    }
}

/** Most pauses are over before anything comes: a paused stream stays watched until it was disturbed once. */
static bool is_read_wanted(const struct net_stream *s)
{
    return !s->paused || (!s->met_paused && (s->io.wanted & LOOP_IO_READ));
}

static void stream_wait(struct net_stream *s)
{
    unsigned events = 0;

    switch ((enum stream_state)s->state) {
    case STREAM_CONNECTING:
        events = LOOP_IO_WRITE;
        break;
    case STREAM_HANDSHAKE:
        events = s->want_write ? LOOP_IO_WRITE : LOOP_IO_READ;
        break;
    case STREAM_OPEN:
        events = (is_read_wanted(s) ? LOOP_IO_READ : 0) | (s->want_write ? LOOP_IO_WRITE : 0);
        break;
    case STREAM_CLOSING:
        events = s->want_write ? LOOP_IO_WRITE : 0;
        break;
    case STREAM_LINGERING:
        events = LOOP_IO_READ;
        break;
    case STREAM_UNUSED:
    case STREAM_ACCEPTED:
    case STREAM_WAITING:
    case STREAM_ENDING:
    case STREAM_STATES:
        break;
    }
    if (loop_io_want(&s->io, events) < 0)
        net_stream_end(s, NET_END_ERROR, ENOMEM);
}

/* ---- ends ---- */

void net_stream_end(struct net_stream *s, enum net_end end, int error)
{
    if (s->state == STREAM_ENDING || s->state == STREAM_UNUSED)
        return;
    s->end = (uint8_t)end;
    s->error = error;
    stream_set_state(s, STREAM_ENDING);
    (void)loop_io_want(&s->io, 0); /* needs no memory */
}

void net_stream_end_errno(struct net_stream *s, int error)
{
    switch (error) {
    /* The peer, or the way to it, went away. */
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:
    case ECONNABORTED:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENOTCONN:
    case EPROTO:
        net_stream_end(s, NET_END_RESET, error);
        break;
    default:
        net_stream_end(s, NET_END_ERROR, error);
    }
}

void net_stream_tls_failed(struct net_stream *s, int result, int saved_errno)
{
    unsigned long code;
    const char *reason;

    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        s->want_write = false;
        break;
    case SSL_ERROR_WANT_WRITE:
        s->want_write = true;
        break;
    case SSL_ERROR_ZERO_RETURN:
        net_stream_end(s, NET_END_EOF, 0);
        break;
    case SSL_ERROR_SYSCALL:
        if (saved_errno)
            net_stream_end_errno(s, saved_errno);
        else
            net_stream_end(s, NET_END_EOF, 0);
        break;
    default:
        code = ERR_peek_error();
        reason = ERR_reason_error_string(code);
        log_event(LOG_DEBUG, "TLS failed", LOG_TEXT("reason", reason ? reason : "unknown"));
        if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
            net_stream_end(s, NET_END_ERROR, ENOMEM);
        else
            net_stream_end(s, NET_END_TLS, EPROTO);
    }
}

static void held_free(struct net_stream *s)
{
    if (s->held)
        buffer_deinit(s->held);
    free(s->held);
    s->held = NULL;
}

void net_stream_too_slow(struct net_stream *s, enum net_slow cause)
{
    if (s->slow || s->state > STREAM_OPEN)
        return;
    s->slow = (uint8_t)cause;
    net_queue_drop(s);
    net_loop_schedule(s->owner, s);
}

/** The owner's last word. */
static void stream_tell_slow(struct net_stream *s)
{
    s->slow_told = true;
    if (s->ops->on_slow)
        s->ops->on_slow(s, s->slow);
    else
        net_stream_end(s, NET_END_OVERFLOW, 0);
}

static void stream_finish(struct net_stream *s)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    list_remove(&s->flush_link);
    loop_io_deinit(&s->io);
    SSL_free(s->ssl);
    s->ssl = NULL;
    s->tls = net_tls_unref(s->tls);
    if (s->end == NET_END_OVERFLOW || s->end == NET_END_TIMEOUT || (s->slow && s->end == NET_END_ABORTED))
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(s->fd);
    s->fd = -1;
    net_queue_clear(s);
    held_free(s);
    assert(!list_is_linked(&s->deadline.link));
    stream_set_state(s, STREAM_UNUSED);
    s->ops->on_closed(s, s->end, s->error); /* may have freed s */
}

const char *net_end_name(enum net_end end)
{
    static const char *const names[] = {
        [NET_END_EOF] = "eof",         [NET_END_RESET] = "reset",       [NET_END_CLOSED] = "closed",
        [NET_END_ABORTED] = "aborted", [NET_END_TLS] = "tls",           [NET_END_TIMEOUT] = "timeout",
        [NET_END_ERROR] = "error",     [NET_END_OVERFLOW] = "overflow", [NET_END_BUSY] = "busy",
    };

    return (size_t)end < BASE_ARRAY_SIZE(names) ? names[end] : "unknown";
}

/* ---- input ---- */

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
    if (!s->paused)
        net_loop_schedule(s->owner, s); /* paused and resumed within the handler */
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

static void stream_offer_held(struct net_stream *s)
{
    size_t size = s->held->size;
    size_t consumed = s->ops->on_data(s, s->held->data, size);

    assert(consumed <= size);
    assert(consumed > 0 || s->paused || s->state != STREAM_OPEN);
    if (consumed == size || s->state != STREAM_OPEN) {
        held_free(s);
        return;
    }
    buffer_consume(s->held, consumed);
    if (!s->paused)
        net_loop_schedule(s->owner, s);
}

static void stream_read_plain(struct net_stream *s)
{
    struct net_loop *n = s->owner;
    ssize_t size = recv(s->fd, n->read_buffer, sizeof(n->read_buffer), 0);

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
        int size;

        ERR_clear_error();
        errno = 0;
        size = SSL_read(s->ssl, n->read_buffer, sizeof(n->read_buffer));
        if (size <= 0) {
            net_stream_tls_failed(s, size, errno);
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

/** Reads once, a bounded amount; whatever is left comes back with the next turn. */
static void stream_read(struct net_stream *s)
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
    stream_read(s);
    stream_wait(s);
}

/* ---- beginnings ---- */

static void stream_open(struct net_stream *s)
{
    s->want_write = false;
    if (s->closing) {
        stream_set_state(s, STREAM_CLOSING);
        return;
    }
    stream_set_state(s, STREAM_OPEN);
    if (s->ops->on_open)
        s->ops->on_open(s);
}

static void stream_handshake(struct net_stream *s)
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
    stream_open(s);
    /* The peer's first bytes may have come with its Finished. */
    if (SSL_has_pending(s->ssl)) {
        s->more_input = true;
        stream_read(s);
    }
}

void net_stream_admit(struct net_stream *s)
{
    SSL *ssl;

    if (net_tls_session_new(s->tls, s->fd, false, NULL, &ssl) < 0) {
        net_stream_end(s, NET_END_ERROR, ENOMEM);
        return;
    }
    s->ssl = ssl;
    s->tls = net_tls_unref(s->tls);
    stream_set_state(s, STREAM_HANDSHAKE);
    stream_wait(s);
}

static void stream_connected(struct net_stream *s)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        net_stream_end_errno(s, error);
    } else if (s->ssl) {
        stream_set_state(s, STREAM_HANDSHAKE);
        s->want_write = true; /* we speak first, in the next turn if this one has no room */
        stream_handshake(s);
    } else {
        stream_open(s);
    }
}

/* ---- closing ---- */

/** Throws input away until the peer ends too. */
static void stream_linger(struct net_stream *s)
{
    ssize_t size = recv(s->fd, s->owner->read_buffer, sizeof(s->owner->read_buffer), 0);

    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
        net_stream_end(s, NET_END_CLOSED, 0);
}

/** Everything is written: says so to the peer. */
static void stream_shutdown(struct net_stream *s)
{
    if (s->ssl) {
        int result;

        ERR_clear_error();
        result = SSL_shutdown(s->ssl);
        if (result < 0 && SSL_get_error(s->ssl, result) == SSL_ERROR_WANT_WRITE) {
            s->want_write = true;
            return;
        }
        /* Another failure: the peer has all our data, or is gone. */
    }
    shutdown(s->fd, SHUT_WR);
    stream_set_state(s, STREAM_LINGERING);
    stream_linger(s);
}

/* ---- what the loop calls ---- */

static void stream_on_io(void *userdata, unsigned events)
{
    struct net_stream *s = userdata;

    switch ((enum stream_state)s->state) {
    case STREAM_CONNECTING:
        stream_connected(s);
        break;
    case STREAM_HANDSHAKE:
        stream_handshake(s);
        break;
    case STREAM_OPEN:
        if ((events & LOOP_IO_WRITE) || (!s->want_write && net_queue_count(s) > 0)) {
            s->want_write = false;
            net_loop_schedule(s->owner, s);
        }
        if (s->paused && (events & LOOP_IO_READ))
            s->met_paused = true;
        /* OpenSSL may have waited for writability in order to read. */
        if ((events & LOOP_IO_READ) || s->ssl)
            stream_read(s);
        break;
    case STREAM_CLOSING:
        s->want_write = false;
        net_loop_schedule(s->owner, s);
        break;
    case STREAM_LINGERING:
        stream_linger(s);
        break;
    case STREAM_UNUSED:
    case STREAM_ACCEPTED:
    case STREAM_WAITING:
    case STREAM_ENDING:
    case STREAM_STATES:
        break;
    }
    stream_wait(s);
}

static void stream_on_deadline(void *userdata)
{
    struct net_stream *s = userdata;

    if (s->state == STREAM_LINGERING)
        net_stream_end(s, NET_END_CLOSED, 0);
    else
        net_stream_end(s, NET_END_TIMEOUT, ETIMEDOUT);
}

void net_stream_turn(struct net_stream *s)
{
    if (s->state == STREAM_ACCEPTED)
        stream_open(s);
    if (s->slow && !s->slow_told && s->state <= STREAM_OPEN)
        stream_tell_slow(s);
    if (s->state == STREAM_OPEN && !s->paused && s->held)
        stream_offer_held(s);
    if (((s->state == STREAM_OPEN && !s->corked) || s->state == STREAM_CLOSING) && !s->want_write)
        net_stream_flush(s);
    if (s->state == STREAM_CLOSING && !s->want_write && net_queue_count(s) == 0)
        stream_shutdown(s);
    stream_wait(s);
    if (s->state == STREAM_ENDING)
        stream_finish(s);
    else if (s->more_input && s->state == STREAM_OPEN && !s->paused && !list_is_linked(&s->flush_link))
        list_append(&s->owner->later, &s->flush_link);
}

/* ---- what the owner calls ---- */

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
        .fd = fd,
        .limits = options->limits,
        .close_timeout_ms = options->close_timeout_ms ? options->close_timeout_ms : CLOSE_TIMEOUT_MS,
    };
    list_init(&s->flush_link);
    loop_deadline_init(&s->deadline, stream_on_deadline, s);
    loop_io_init(&s->io, n->loop, fd, stream_on_io, s);
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
    stream_set_state(s, state);
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

void net_stream_set_limits(struct net_stream *s, const struct net_queue_limits *limits)
{
    s->limits = limits;
}

bool net_stream_is_ending(const struct net_stream *s)
{
    return s->state == STREAM_UNUSED || s->state >= STREAM_CLOSING || s->closing || (s->slow && !s->slow_told);
}

int net_stream_send(struct net_stream *s, struct net_frame *frame)
{
    int result;

    if (net_stream_is_ending(s) || frame->size == 0)
        return 0;
    assert(loop_is_current(s->owner->loop));
    result = net_queue_push(s, frame);
    if (result == NET_E_FULL) {
        net_stream_too_slow(s, NET_SLOW_BYTES);
    } else if (result < 0) {
        net_stream_end(s, NET_END_ERROR, ENOMEM);
        return -ENOMEM;
    } else if (s->state == STREAM_OPEN && !s->want_write && net_queue_count(s) == 1) {
        net_loop_schedule(s->owner, s); /* further frames find it on the list */
    }
    return 0;
}

int net_stream_send_bytes(struct net_stream *s, struct slice bytes)
{
    struct net_frame *frame;
    int result;

    if (net_stream_is_ending(s))
        return 0;
    frame = net_frame_new(bytes.size);
    if (!frame) {
        net_stream_end(s, NET_END_ERROR, ENOMEM);
        return -ENOMEM;
    }
    if (bytes.size > 0)
        memcpy(frame->data, bytes.data, bytes.size);
    result = net_stream_send(s, frame);
    net_frame_unref(frame);
    return result;
}

void net_stream_cork(struct net_stream *s)
{
    s->corked = true;
}

void net_stream_uncork(struct net_stream *s)
{
    if (!s->corked)
        return;
    s->corked = false;
    if (s->state == STREAM_OPEN && net_queue_count(s) > 0)
        net_loop_schedule(s->owner, s);
}

void net_stream_pause(struct net_stream *s)
{
    if (s->paused)
        return;
    s->paused = true;
    s->met_paused = false;
    stream_wait(s);
}

void net_stream_resume(struct net_stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->state == STREAM_OPEN)
        net_loop_schedule(s->owner, s);
}

void net_stream_close(struct net_stream *s)
{
    if (net_stream_is_ending(s))
        return;
    if (s->state == STREAM_ACCEPTED || s->state == STREAM_OPEN) {
        stream_set_state(s, STREAM_CLOSING);
        stream_wait(s);
    } else if (net_queue_count(s) == 0) {
        net_stream_end(s, NET_END_CLOSED, 0);
    } else {
        s->closing = true; /* once it is open */
    }
}

void net_stream_abort(struct net_stream *s)
{
    net_stream_end(s, NET_END_ABORTED, 0);
}

int net_stream_peer(const struct net_stream *s, struct net_address *ret_address)
{
    struct net_address a = {.size = sizeof(a.storage)};

    if (s->fd < 0 || s->state == STREAM_UNUSED)
        return -ENOTCONN;
    if (getpeername(s->fd, (struct sockaddr *)&a.storage, &a.size) < 0)
        return -errno;
    *ret_address = a;
    return 0;
}
