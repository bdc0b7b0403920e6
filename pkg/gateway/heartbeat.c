/*
 * What an open connection's deadline is about: signs of life, the first frame, the rest of a message. They share one,
 * which is set to what is due first, and looked at again when it fires: nothing is moved when a frame comes.
 */
#include "gateway/gateway_internal.h"

void gateway_heartbeat(struct gateway_connection *c)
{
    const struct gateway_config *config = c->worker->config;
    uint32_t now_ms = (uint32_t)loop_now_ms(c->worker->loop), awaited_ms = now_ms - c->awaited_ms;
    /* Silence that we asked for does not count. */
    uint32_t silent_ms = c->holds ? 0 : now_ms - c->last_input_ms;
    uint64_t heartbeat_ms = (uint64_t)config->heartbeat_ms, next_ms = heartbeat_ms;
    uint64_t first_ms = c->has_spoken ? 0 : (uint64_t)config->first_frame_timeout_ms;
    uint64_t message_ms = !c->holds && ws_parser_held_bytes(&c->ws) ? (uint64_t)config->message_timeout_ms : 0;

    if (first_ms && awaited_ms >= first_ms) {
        gateway_connection_close(c, GATEWAY_REASON_NO_FIRST_FRAME);
        return;
    }
    if (message_ms && awaited_ms >= message_ms) {
        gateway_connection_give_up(c, GATEWAY_REASON_MESSAGE_TIMEOUT);
        return;
    }
    if (silent_ms >= 2 * heartbeat_ms) {
        gateway_connection_close(c, GATEWAY_REASON_IDLE);
        return;
    }
    if (silent_ms >= heartbeat_ms) {
        if (!c->is_pinged)
            gateway_connection_send_frame(c, c->worker->ping);
        c->is_pinged = true;
        next_ms = 2 * heartbeat_ms;
    }
    next_ms -= silent_ms;
    if (first_ms && first_ms - awaited_ms < next_ms)
        next_ms = first_ms - awaited_ms;
    if (message_ms && message_ms - awaited_ms < next_ms)
        next_ms = message_ms - awaited_ms;
    net_stream_set_deadline(&c->stream, next_ms);
}
