/*
 * Connections: their states, and what their streams and their loop call. Frames are read in frames.c, ends stand in
 * connection_end.c.
 *
 *     ARRIVING ─▶ HEAD ─┬─▶ OPENING ─▶ OPEN ─▶ CLOSING ─▶ ENDING ─▶ freed
 *                       ├────────────▶ OPEN (/echo)
 *                       └─▶ ENDING (pages, refusals); any state may go to ENDING
 *
 * One function changes the state (gateway_connection_set_state) and with it the deadline. One function gives a
 * connection the reason of its end (gateway_connection_end): it counts, logs and takes the session from the hub; the
 * first reason wins. What happens on the wire afterwards is winding down. The memory is freed in one place, on_closed,
 * which the stream calls at the end of a turn and never from inside another call, so nothing here vanishes under its
 * caller.
 *
 * A connection is not read from ("held") while its session is being opened, while it has more open requests than
 * allowed, while it owes bytes (pace.c), once its moment in a drain has come (drain.c), and, for /echo, while too much
 * waits to be sent. What the client wrote meanwhile stays in the kernel or with the stream, so pressure ends at the
 * client.
 */
#include "gateway/gateway_internal.h"

#include <unistd.h>

/* Nothing here takes a body. A short one is read, so that who posts to the wrong listener is told that (405), not 413.
 */
#define UNWANTED_BODY_BYTES 4096

/* Of one client and turn: few bytes become many, and many messages. */
#define INFLATED_PER_TURN (256u << 10)

#define TO(state) (1u << (state))

static const unsigned connection_moves[GATEWAY_STATES] = {
    [GATEWAY_STATE_ARRIVING] = TO(GATEWAY_STATE_HEAD),
    [GATEWAY_STATE_HEAD] = TO(GATEWAY_STATE_OPENING) | TO(GATEWAY_STATE_OPEN) | TO(GATEWAY_STATE_ENDING),
    [GATEWAY_STATE_OPENING] = TO(GATEWAY_STATE_OPEN) | TO(GATEWAY_STATE_CLOSING) | TO(GATEWAY_STATE_ENDING),
    [GATEWAY_STATE_OPEN] = TO(GATEWAY_STATE_CLOSING) | TO(GATEWAY_STATE_ENDING),
    [GATEWAY_STATE_CLOSING] = TO(GATEWAY_STATE_ENDING),
    [GATEWAY_STATE_ENDING] = 0,
};

/** What this node had to do for a newcomer is done. */
static void connection_settled(struct gateway_connection *c)
{
    struct gateway *g = c->worker->gateway;

    atomic_fetch_sub_explicit(&g->newcomers, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->settled, 1, memory_order_relaxed);
}

void gateway_connection_set_state(struct gateway_connection *c, enum gateway_state state)
{
    const struct gateway_config *config = c->worker->config;

    assert(connection_moves[c->state] & TO(state));
    if (c->state == GATEWAY_STATE_OPENING)
        connection_settled(c);
    c->state = (uint8_t)state;
    switch (state) {
    case GATEWAY_STATE_HEAD:
        break; /* the stream's time for TLS comes first; see connection_on_open() */
    case GATEWAY_STATE_OPENING:
        atomic_fetch_add_explicit(&c->worker->gateway->newcomers, 1, memory_order_relaxed);
        /* The answer to the request leaves with the session's first frame: one packet, one wake-up of the client. */
        net_stream_cork(&c->stream);
        net_stream_set_deadline(&c->stream, (uint64_t)config->handshake_timeout_ms);
        break;
    case GATEWAY_STATE_OPEN:
        net_stream_uncork(&c->stream);
        c->awaited_ms = c->last_input_ms = (uint32_t)loop_now_ms(c->worker->loop);
        gateway_heartbeat(c);
        break;
    case GATEWAY_STATE_CLOSING:
        net_stream_uncork(&c->stream);
        net_stream_set_deadline(&c->stream, (uint64_t)config->close_timeout_ms);
        break;
    case GATEWAY_STATE_ENDING:
        net_stream_stop_deadline(&c->stream);
        break;
    case GATEWAY_STATE_ARRIVING:
    case GATEWAY_STATES:
        assert(false);
    }
}

/* ---- sending and holding ---- */

void gateway_connection_send_frame(struct gateway_connection *c, struct net_frame *frame)
{
    /* Running out of memory or of patience ends the stream itself; on_closed tells then. */
    (void)net_stream_send(&c->stream, frame);
}

void gateway_connection_send(struct gateway_connection *c, enum ws_opcode opcode, struct slice payload)
{
    base_cleanup(net_frame_unref_p)
    struct net_frame *frame = gateway_frame_for(c, opcode, payload);

    if (frame)
        gateway_connection_send_frame(c, frame);
    else
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
}

void gateway_connection_hold(struct gateway_connection *c, enum gateway_hold why)
{
    if (!c->holds)
        net_stream_pause(&c->stream);
    c->holds |= (uint8_t)why;
}

void gateway_connection_release(struct gateway_connection *c, enum gateway_hold why)
{
    if (!c->holds)
        return;
    c->holds &= (uint8_t)~why;
    if (c->holds)
        return;
    gateway_pace_fill(c); /* the silence was ours */
    if (c->has_spoken)
        c->awaited_ms = c->last_input_ms;
    net_stream_resume(&c->stream);
}

void gateway_connection_opened(struct gateway_connection *c)
{
    gateway_connection_set_state(c, GATEWAY_STATE_OPEN);
    gateway_connection_release(c, GATEWAY_HOLD_OPENING);
    gateway_pace_begin(c);
    gateway_drain_opened(c);
}

/* ---- what the stream and the loop call ---- */

static size_t connection_on_data(struct net_stream *s, char *data, size_t size)
{
    struct gateway_connection *c = container_of(s, struct gateway_connection, stream);
    bool is_first = loop_now_ms(c->worker->loop) / HUB_SIGN_SLOT_MS != c->last_input_ms / HUB_SIGN_SLOT_MS;
    size_t done = 0, held = c->is_upgraded ? ws_parser_held_bytes(&c->ws) : 0;

    if (is_first && c->has_session)
        hub_session_alive(&c->session);
    gateway_pace_fill(c);
    c->is_pinged = false;
    c->worker->inflated = 0;
    while (done < size && !c->holds && !net_stream_is_ending(s) && c->worker->inflated < INFLATED_PER_TURN) {
        if (c->state == GATEWAY_STATE_HEAD)
            done += gateway_request_read(c, data + done, size - done);
        else if (c->state == GATEWAY_STATE_OPEN || c->state == GATEWAY_STATE_CLOSING)
            done += gateway_frames_read(c, data + done, size - done);
        else
            break;
    }
    if (c->is_upgraded)
        gateway_frames_settle(c, held);
    gateway_pace_bytes(c, done);
    if (c->holds & GATEWAY_HOLD_PACE)
        net_stream_set_deadline(&c->stream, gateway_pace_debt_ms(c));
    return (c->holds || c->worker->inflated >= INFLATED_PER_TURN) && !net_stream_is_ending(s) ? done : size;
}

/** The TLS handshake is done, or there is none: now the request has its time. */
static void connection_on_open(struct net_stream *s)
{
    struct gateway_connection *c = container_of(s, struct gateway_connection, stream);

    if (c->state == GATEWAY_STATE_HEAD)
        net_stream_set_deadline(s, (uint64_t)c->worker->config->handshake_timeout_ms);
}

/** /echo goes on when its answers have left. */
static void connection_on_drained(struct net_stream *s)
{
    struct gateway_connection *c = container_of(s, struct gateway_connection, stream);

    gateway_connection_release(c, GATEWAY_HOLD_ECHO);
}

/** Told why, should it read after all; what it missed it gets from the log when it comes back. */
static struct net_frame *connection_on_gap(struct net_stream *s, const struct net_place *what)
{
    return gateway_session_gap(container_of(s, struct gateway_connection, stream), what);
}

static void connection_on_slow(struct net_stream *s, enum net_slow cause)
{
    static const char *const details[NET_SLOW_CAUSES] = {
        [NET_SLOW_NOT] = NULL,
        [NET_SLOW_BYTES] = "limits.queued_bytes is passed",
        [NET_SLOW_SOFT] = "limits.queued_soft_bytes is passed for limits.queued_soft_time",
        [NET_SLOW_AGE] = "a message waits for longer than limits.queued_age",
        [NET_SLOW_TOTAL] = "limits.queued_total is passed, and most of it waits for this client",
    };
    struct gateway_connection *c = container_of(s, struct gateway_connection, stream);

    gateway_count(c->worker, GATEWAY_METRIC_SLOW + cause - 1, 1);
    gateway_connection_end(c, GATEWAY_REASON_TOO_SLOW, details[cause]);
    if (c->state == GATEWAY_STATE_OPENING || c->state == GATEWAY_STATE_OPEN)
        gateway_connection_close(c, GATEWAY_REASON_TOO_SLOW);
    else
        gateway_connection_abort(c, GATEWAY_REASON_TOO_SLOW);
}

static enum gateway_reason reason_of_end(enum net_end end, enum gateway_state state)
{
    switch (end) {
    case NET_END_TLS:
        return GATEWAY_REASON_TLS_FAILED;
    case NET_END_BUSY:
        return GATEWAY_REASON_TLS_BUSY;
    case NET_END_TIMEOUT:
        return state == GATEWAY_STATE_HEAD ? GATEWAY_REASON_TLS_TIMEOUT : GATEWAY_REASON_PEER_GONE;
    case NET_END_OVERFLOW:
        return GATEWAY_REASON_TOO_SLOW;
    case NET_END_ERROR:
        return GATEWAY_REASON_INTERNAL;
    case NET_END_EOF:
    case NET_END_RESET:
    case NET_END_CLOSED:
    case NET_END_ABORTED:
        break;
    }
    return GATEWAY_REASON_PEER_GONE;
}

static void connection_free(struct gateway_connection *c)
{
    struct gateway *g = c->worker->gateway;

    if (c->is_counted)
        gateway_addresses_give(&g->addresses, c->address_key);
    if (c->refusal != GATEWAY_REASONS)
        atomic_fetch_sub_explicit(&g->refusing, 1, memory_order_relaxed);
    if (c->is_upgraded)
        gateway_connection_forget(c);
    else
        http_parser_free(c->http);
    free(c);
}

static void connection_on_closed(struct net_stream *s, enum net_end end, int error)
{
    struct gateway_connection *c = container_of(s, struct gateway_connection, stream);
    struct gateway_worker *w = c->worker;

    gateway_connection_end(c, reason_of_end(end, c->state), error ? strerrordesc_np(error) : NULL);
    if (c->window != GATEWAY_WINDOW_NONE)
        gateway_count(w, GATEWAY_METRIC_DEFLATE_CONNECTIONS, -1);
    list_remove(&c->link);
    connection_free(c);
    gateway_worker_connection_gone(w);
}

/** It was not read from until it owes no bytes. */
static void connection_pay(struct gateway_connection *c)
{
    gateway_pace_fill(c);
    if (gateway_pace_debt_ms(c) > 0) {
        net_stream_set_deadline(&c->stream, gateway_pace_debt_ms(c));
        return;
    }
    gateway_connection_release(c, GATEWAY_HOLD_PACE);
    gateway_heartbeat(c);
}

/** Of what that is, the state tells. */
static void connection_on_deadline(struct net_stream *s)
{
    struct gateway_connection *c = container_of(s, struct gateway_connection, stream);

    switch ((enum gateway_state)c->state) {
    case GATEWAY_STATE_HEAD:
        gateway_connection_abort(c, GATEWAY_REASON_HANDSHAKE_TIMEOUT);
        break;
    case GATEWAY_STATE_OPENING:
        gateway_connection_close(c, GATEWAY_REASON_OVERLOADED);
        break;
    case GATEWAY_STATE_OPEN:
        if (c->holds & GATEWAY_HOLD_PACE)
            connection_pay(c);
        else
            gateway_heartbeat(c);
        break;
    case GATEWAY_STATE_CLOSING:
        gateway_count(c->worker, GATEWAY_METRIC_CLOSE_TIMEOUTS, 1);
        gateway_connection_abort(c, c->reason);
        break;
    case GATEWAY_STATE_ARRIVING:
    case GATEWAY_STATE_ENDING:
    case GATEWAY_STATES:
        assert(false);
    }
}

/* ---- the beginning ---- */

static const struct net_stream_ops stream_ops = {
    .on_data = connection_on_data,
    .on_open = connection_on_open,
    .on_drained = connection_on_drained,
    .on_slow = connection_on_slow,
    .gap = connection_on_gap,
    .on_deadline = connection_on_deadline,
    .on_closed = connection_on_closed,
};

/** On the worker's loop, with the connection's descriptor; whatever fails here gives it back. */
static int connection_begin(struct gateway_connection *c)
{
    struct gateway_worker *w = c->worker;
    const struct gateway_config *config = w->config;
    const struct http_limits limits = {
        .head_bytes = (size_t)config->head_bytes,
        .headers = (size_t)config->headers,
        .body_bytes = UNWANTED_BODY_BYTES,
    };
    const struct net_stream_options options = {
        .limits = &w->limits,
        .handshake_timeout_ms = (uint32_t)config->tls_timeout_ms,
        .close_timeout_ms = (uint32_t)config->close_timeout_ms,
        .tls = w->live->tls,
    };
    int result;

    c->http = NULL;
    result = http_parser_new_request(&limits, &c->http);
    if (result < 0) {
        close(c->fd);
        return result;
    }
    return net_stream_accept(&c->stream, w->net, c->fd, &options, &stream_ops);
}

static void connection_on_arrival(struct loop_task *task)
{
    struct gateway_connection *c = container_of(task, struct gateway_connection, arrival);
    struct gateway_worker *w = c->worker;

    connection_settled(c);
    c->born_ms = loop_now_ms(w->loop);
    c->last_input_ms = (uint32_t)c->born_ms;
    gateway_count(w, GATEWAY_METRIC_CONNECTIONS, 1);
    list_append(&w->connections, &c->link);
    if (connection_begin(c) < 0) {
        gateway_connection_end(c, GATEWAY_REASON_INTERNAL, NULL);
        list_remove(&c->link);
        connection_free(c);
        gateway_worker_connection_gone(w);
        return;
    }
    gateway_connection_set_state(c, GATEWAY_STATE_HEAD);
}

int gateway_connection_hand_over(struct gateway_worker *w, const struct gateway_newcomer *n)
{
    struct gateway_connection *c = calloc(1, sizeof(*c));

    if (!c) {
        close(n->fd);
        return -ENOMEM;
    }
    c->worker = w;
    c->fd = n->fd;
    c->state = GATEWAY_STATE_ARRIVING;
    c->reason = GATEWAY_REASONS;
    c->refusal = (uint8_t)n->refusal;
    c->is_counted = n->is_counted;
    c->address_key = n->address_key;
    list_init(&c->link);
    memcpy(&c->peer, &n->peer.storage, sizeof(c->peer));
    c->arrival.run = connection_on_arrival;
    loop_post(w->loop, &c->arrival);
    return 0;
}
