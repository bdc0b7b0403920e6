/*
 * How connections end: each for one reason, told once, to the log, the metrics, the hub and, where it still can be, the
 * client.
 */
#include "gateway/gateway_internal.h"

/** Ours to mend, worth knowing of, or the daily coming and going. */
static enum log_level reason_level(enum gateway_reason reason)
{
    unsigned code = gateway_reason_code(reason);

    if (gateway_reason_is_error(reason))
        return LOG_WARNING;
    return code == WS_CLOSE_NORMAL || code == WS_CLOSE_ABNORMAL || reason == GATEWAY_REASON_GOING_AWAY ? LOG_DEBUG
                                                                                                       : LOG_INFO;
}

const char *gateway_connection_peer(const struct gateway_connection *c, char storage[NET_ADDRESS_TEXT_SIZE])
{
    struct net_address peer = {.size = sizeof(c->peer)};

    memcpy(&peer.storage, &c->peer, sizeof(c->peer));
    return net_address_format(&peer, true, storage);
}

static void connection_log_end(struct gateway_connection *c, const char *detail)
{
    enum gateway_reason reason = c->reason;
    enum log_level level = reason_level(reason);
    char address[NET_ADDRESS_TEXT_SIZE];
    uint64_t suppressed = 0, now_ms = loop_now_ms(c->worker->loop);

    if (!log_is_enabled(level) || (level == LOG_WARNING && !log_limit_pass(&c->worker->end_limit, now_ms, &suppressed)))
        return;
    log_event(level, "connection ended",
              LOG_SLICE("session", c->has_session ? hub_session_id(&c->session) : SLICE_LITERAL("-")),
              LOG_SLICE("user", c->has_session ? hub_session_user(&c->session) : SLICE_LITERAL("-")),
              LOG_TEXT("peer", gateway_connection_peer(c, address)), LOG_TEXT("reason", gateway_reason_word(reason)),
              LOG_TEXT("detail", detail ? detail : gateway_reason_sentence(reason)),
              LOG_UINT("age_ms", now_ms - c->born_ms), LOG_UINT("suppressed", suppressed));
}

void gateway_connection_end(struct gateway_connection *c, enum gateway_reason reason, const char *detail)
{
    if (c->reason != GATEWAY_REASONS)
        return;
    c->reason = (uint8_t)reason;
    gateway_count(c->worker, GATEWAY_METRIC_ENDED + reason, 1);
    connection_log_end(c, detail);
    if (c->has_session)
        gateway_ends_note_connection(c, detail);
    gateway_session_close(c);
}

void gateway_connection_abort(struct gateway_connection *c, enum gateway_reason reason)
{
    gateway_connection_end(c, reason, NULL);
    if (c->state != GATEWAY_STATE_ENDING)
        gateway_connection_set_state(c, GATEWAY_STATE_ENDING);
    net_stream_abort(&c->stream);
}

void gateway_connection_finish(struct gateway_connection *c)
{
    if (c->state == GATEWAY_STATE_ENDING)
        return;
    gateway_connection_set_state(c, GATEWAY_STATE_ENDING);
    net_stream_close(&c->stream);
}

void gateway_connection_send_close(struct gateway_connection *c, unsigned code, struct slice reason)
{
    char payload[WS_CONTROL_MAX_BYTES];
    size_t size = ws_close_payload(code, reason, payload);

    gateway_connection_send(c, WS_OPCODE_CLOSE, slice_make(payload, size));
}

void gateway_connection_close(struct gateway_connection *c, enum gateway_reason reason)
{
    gateway_connection_close_saying(c, reason, SLICE_NONE);
}

void gateway_connection_close_saying(struct gateway_connection *c, enum gateway_reason reason, struct slice text)
{
    gateway_connection_end(c, reason, NULL);
    if (c->state != GATEWAY_STATE_OPENING && c->state != GATEWAY_STATE_OPEN)
        return;
    if (!text.size)
        text = slice_from(gateway_reason_sentence(reason));
    gateway_connection_send_close(c, gateway_reason_code(reason), text);
    if (c->state == GATEWAY_STATE_ENDING)
        return; /* sending failed */
    gateway_connection_set_state(c, GATEWAY_STATE_CLOSING);
    gateway_connection_release(c, GATEWAY_HOLD_ANY); /* the client's close frame is still to be read */
}

void gateway_connection_forget(struct gateway_connection *c)
{
    size_t held = ws_parser_held_bytes(&c->ws);

    ws_parser_deinit(&c->ws);
    (void)gateway_pace_weigh(c, held);
}

void gateway_connection_give_up(struct gateway_connection *c, enum gateway_reason reason)
{
    gateway_connection_end(c, reason, NULL);
    if (c->state == GATEWAY_STATE_OPEN)
        gateway_connection_send_close(c, gateway_reason_code(reason), slice_from(gateway_reason_sentence(reason)));
    gateway_connection_finish(c);
    gateway_connection_forget(c);
}
