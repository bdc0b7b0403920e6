/**
 * Streams: their states, and their end. How they begin is in stream_begin.c, input in stream_read.c, output in
 * stream_flush.c.
 *
 * One function changes the state (net_stream_set_state), one decides what to wait for (net_stream_wait), from the state
 * alone, and every callback of the loop ends there. Nothing is freed under a caller's feet: ending marks, and the end
 * of the turn frees and tells the owner.
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

#include <openssl/err.h>
#include <unistd.h>

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

void net_stream_set_state(struct net_stream *s, enum stream_state state)
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

void net_stream_wait(struct net_stream *s)
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
    net_stream_set_state(s, STREAM_ENDING);
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

    net_loop_unschedule(s->owner, s);
    loop_io_deinit(&s->io);
    SSL_free(s->ssl);
    s->ssl = NULL;
    s->tls = net_tls_unref(s->tls);
    if (s->end == NET_END_OVERFLOW || s->end == NET_END_TIMEOUT || (s->slow && s->end == NET_END_ABORTED))
        setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(s->io.fd);
    s->io.fd = -1;
    net_queue_clear(s);
    net_stream_free_held(s);
    assert(!list_is_linked(&s->deadline.link));
    net_stream_set_state(s, STREAM_UNUSED);
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

/* ---- closing ---- */

/** Throws input away until the peer ends too. */
static void stream_linger(struct net_stream *s)
{
    ssize_t size = recv(s->io.fd, s->owner->read_buffer, sizeof(s->owner->read_buffer), 0);

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
    shutdown(s->io.fd, SHUT_WR);
    net_stream_set_state(s, STREAM_LINGERING);
    stream_linger(s);
}

/* ---- what the loop calls ---- */

void net_stream_on_io(struct loop_io *io, unsigned events)
{
    struct net_stream *s = container_of(io, struct net_stream, io);

    switch ((enum stream_state)s->state) {
    case STREAM_CONNECTING:
        net_stream_connected(s);
        break;
    case STREAM_HANDSHAKE:
        net_stream_handshake(s);
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
            net_stream_read(s);
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
    net_stream_wait(s);
}

void net_stream_on_deadline(struct loop_deadline *d)
{
    struct net_stream *s = container_of(d, struct net_stream, deadline);

    if (s->state == STREAM_OPEN)
        s->ops->on_deadline(s);
    else if (s->state == STREAM_LINGERING)
        net_stream_end(s, NET_END_CLOSED, 0);
    else
        net_stream_end(s, NET_END_TIMEOUT, ETIMEDOUT);
}

void net_stream_turn(struct net_stream *s)
{
    if (s->state == STREAM_ACCEPTED)
        net_stream_open(s);
    if (s->slow && !s->slow_told && s->state <= STREAM_OPEN)
        stream_tell_slow(s);
    if (s->state == STREAM_OPEN && !s->paused && s->held && !s->offer_later)
        net_stream_offer_held(s);
    if (((s->state == STREAM_OPEN && !s->corked) || s->state == STREAM_CLOSING) && !s->want_write)
        net_stream_flush(s);
    if (s->state == STREAM_CLOSING && !s->want_write && net_queue_count(s) == 0)
        stream_shutdown(s);
    net_stream_wait(s);
    if (s->state == STREAM_ENDING)
        stream_finish(s);
    else if ((s->more_input || s->offer_later) && s->state == STREAM_OPEN && !s->paused &&
             !list_is_linked(&s->flush_link))
        list_append(&s->owner->later, &s->flush_link);
}

/* ---- what the owner calls ---- */

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
    net_stream_wait(s);
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
        net_stream_set_state(s, STREAM_CLOSING);
        net_stream_wait(s);
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

void net_stream_set_deadline(struct net_stream *s, uint64_t delay_ms)
{
    assert(s->ops->on_deadline);
    if (s->state == STREAM_OPEN)
        loop_deadline_start(s->owner->loop, &s->deadline, delay_ms);
}

void net_stream_stop_deadline(struct net_stream *s)
{
    if (s->state == STREAM_OPEN)
        loop_deadline_stop(&s->deadline);
}

int net_stream_peer(const struct net_stream *s, struct net_address *ret_address)
{
    struct net_address a = {.size = sizeof(a.storage)};

    if (s->io.fd < 0 || s->state == STREAM_UNUSED)
        return -ENOTCONN;
    if (getpeername(s->io.fd, (struct sockaddr *)&a.storage, &a.size) < 0)
        return -errno;
    *ret_address = a;
    return 0;
}
