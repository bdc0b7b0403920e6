/*
 * What clients send once they are no longer HTTP: messages go to the dialect or back (/echo), control frames are
 * answered here.
 */
#include "gateway/gateway_internal.h"

/** The client broke a rule: told why, not listened to any more (section 7.1.7). The stream lingers until it has read
 * that. */
static void frames_fail(struct gateway_connection *c)
{
    const char *sentence;
    unsigned code = ws_parser_error(&c->ws, &sentence);
    enum gateway_reason reason = code == WS_CLOSE_TOO_BIG           ? GATEWAY_REASON_TOO_BIG
                                 : code == WS_CLOSE_INVALID_PAYLOAD ? GATEWAY_REASON_BAD_PAYLOAD
                                                                    : GATEWAY_REASON_PROTOCOL_ERROR;

    gateway_connection_end(c, reason, sentence);
    if (c->state == GATEWAY_STATE_OPEN)
        gateway_connection_send_close(c, code, slice_from(sentence));
    gateway_connection_finish(c);
}

static void frames_on_message(struct gateway_connection *c, const struct ws_event *event)
{
    bool is_text = event->opcode == WS_OPCODE_TEXT;

    gateway_count(c->worker, is_text ? GATEWAY_METRIC_TEXT_IN : GATEWAY_METRIC_BINARY_IN, 1);
    if (event->rsv) { /* compressed: it is paid as what it became, too */
        gateway_pace_bytes(c, event->payload.size);
        c->worker->inflated += event->payload.size;
    }
    if (!c->codec) {
        gateway_connection_send(c, event->opcode, event->payload);
        if (c->stream.queued_bytes > (uint32_t)c->worker->config->queued_bytes)
            gateway_connection_hold(c, GATEWAY_HOLD_ECHO);
        return;
    }
    if (is_text)
        gateway_dialect_text(c, event->payload);
    else
        gateway_dialect_binary(c, event->payload);
    if (c->has_session && c->session.open_requests > (uint64_t)c->worker->config->open_requests) {
        gateway_count(c->worker, GATEWAY_METRIC_PAUSES, 1);
        gateway_connection_hold(c, GATEWAY_HOLD_REQUESTS);
    }
}

/** The client's close frame is answered by one with its code (section 5.5.1), unless ours went out first; then we end
 * the stream (7.1.1). */
static void frames_on_close(struct gateway_connection *c, const struct ws_event *event)
{
    gateway_count(c->worker, GATEWAY_METRIC_CLOSE_IN, 1);
    gateway_connection_end(c, GATEWAY_REASON_PEER_CLOSED, NULL);
    if (c->state == GATEWAY_STATE_OPEN)
        gateway_connection_send_close(c, event->close_code, SLICE_NONE);
    gateway_connection_finish(c);
}

/** Of several pings only the last has to be answered (section 5.5.3): a client that does not read has one pong waiting.
 */
static void frames_pong(struct gateway_connection *c, struct slice payload)
{
    base_cleanup(net_frame_unref_p)
    struct net_frame *frame = gateway_frame_new(WS_OPCODE_PONG, payload);

    if (!frame) {
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
        return;
    }
    frame->delivery = NET_FRAME_LATEST;
    frame->tag = GATEWAY_TAG_PONG;
    gateway_connection_send_frame(c, frame);
}

static void frames_on_event(struct gateway_connection *c, const struct ws_event *event)
{
    uint64_t retry_after_ms;

    c->has_spoken = true;
    if (event->type == WS_EVENT_MESSAGE)
        c->awaited_ms = (uint32_t)loop_now_ms(c->worker->loop);
    /* Of control frames none is left unanswered (section 5.5.2), but too many are too many. */
    if (event->type != WS_EVENT_MESSAGE && c->state == GATEWAY_STATE_OPEN)
        (void)gateway_pace_message(c, &retry_after_ms);
    switch (event->type) {
    case WS_EVENT_MESSAGE:
        if (c->state == GATEWAY_STATE_OPEN)
            frames_on_message(c, event);
        break;
    case WS_EVENT_PING:
        gateway_count(c->worker, GATEWAY_METRIC_PING_IN, 1);
        if (c->state == GATEWAY_STATE_OPEN)
            frames_pong(c, event->payload);
        break;
    case WS_EVENT_PONG:
        gateway_count(c->worker, GATEWAY_METRIC_PONG_IN, 1);
        break;
    case WS_EVENT_CLOSE:
        frames_on_close(c, event);
        break;
    }
}

size_t gateway_frames_read(struct gateway_connection *c, char *data, size_t size)
{
    struct ws_event event;
    size_t consumed;
    int result = ws_parser_feed(&c->ws, data, size, &consumed, &event);

    if (result == 0)
        frames_on_event(c, &event);
    else if (result == WS_E_CLOSE)
        frames_fail(c);
    else if (result < 0)
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
    return consumed;
}

void gateway_frames_settle(struct gateway_connection *c, size_t held)
{
    ws_parser_settle(&c->ws);
    if (gateway_pace_weigh(c, held) > (size_t)c->worker->config->unfinished_total)
        gateway_connection_give_up(c, GATEWAY_REASON_UNFINISHED);
}
