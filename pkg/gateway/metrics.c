/* What the gateway counts. Ranges follow the tables they count by: statuses, reasons, error codes, operations. */
#include "gateway/gateway_internal.h"

/* clang-format off */
#define GAUGE(n, h)      {.name = "warren_gateway_" n, .type = METRICS_GAUGE, .help = h}
#define COUNTER(n, h)    {.name = "warren_gateway_" n "_total", .type = METRICS_COUNTER, .help = h}
#define LABELED(n, l, h) {.name = "warren_gateway_" n "_total", .type = METRICS_COUNTER, .help = h, .labels = l}

#define MESSAGE_ROW(t)           LABELED("received_messages", "type=\"" t "\"", "WebSocket messages and control frames from clients.")
#define STATUS_ROW(code, word)   [GATEWAY_METRIC_REFUSED_##code] = LABELED("refused", "status=\"" #code "\"", "Requests refused before the upgrade."),
#define REASON_ROW(symbol, word, code, is_error, sentence) \
                                 [GATEWAY_METRIC_ENDED + GATEWAY_REASON_##symbol] = LABELED("ended", "reason=\"" word "\"", "Client connections ended."),
#define ERROR_ROW(symbol, word, status) \
                                 [GATEWAY_METRIC_ERRORS + PROTO_ERROR_##symbol] = LABELED("errors", "code=\"" word "\"", "Operations answered by an error."),
#define SLOW_ROW(SYMBOL, w)      [GATEWAY_METRIC_SLOW + NET_SLOW_##SYMBOL - 1] = LABELED("slow", "cause=\"" w "\"", "Clients disconnected because they read too slowly.")
#define OPERATION_ROW(symbol, w) [GATEWAY_METRIC_OPS + PROTO_OP_##symbol] = LABELED("operations", "op=\"" w "\"", "Operations of clients."),

const struct metrics_row gateway_metrics_rows[GATEWAY_METRICS] = {
    [GATEWAY_METRIC_CONNECTIONS] = GAUGE("connections", "Client connections open now."),
    [GATEWAY_METRIC_SESSIONS] = GAUGE("sessions", "Sessions of clients open now."),
    [GATEWAY_METRIC_ACCEPTED] = COUNTER("accepted", "Client connections accepted."),
    [GATEWAY_METRIC_BYTES_IN] = COUNTER("received_bytes", "Bytes read from clients."),
    [GATEWAY_METRIC_BYTES_OUT] = COUNTER("sent_bytes", "Bytes written to clients."),
    [GATEWAY_METRIC_FRAMES_OUT] = COUNTER("sent_frames", "Frames and HTTP responses written to clients."),
    [GATEWAY_METRIC_WRITES] = COUNTER("writes", "Writes to sockets that took them."),
    [GATEWAY_METRIC_RING_WRITES] = COUNTER("ring_writes", "Of these, those handed to the kernel with others in one call (io_uring)."),
    [GATEWAY_METRIC_PAUSES] = COUNTER("pauses", "Times a session was not read from because of its open requests."),
    [GATEWAY_METRIC_DEFLATE_CONNECTIONS] = GAUGE("deflate_connections", "Client connections that negotiated permessage-deflate."),
    [GATEWAY_METRIC_INFLATERS] = GAUGE("inflaters", "Inflaters that connections hold: an unfinished compressed message, or context takeover."),
    [GATEWAY_METRIC_DEFLATED] = COUNTER("deflated_messages", "Messages compressed, each once for all clients of a loop and window."),
    [GATEWAY_METRIC_DEFLATED_PLAIN] = LABELED("deflated_bytes", "form=\"plain\"", "Bytes of messages compressed, before and after."),
    [GATEWAY_METRIC_DEFLATED_COMPRESSED] = LABELED("deflated_bytes", "form=\"compressed\"", "Bytes of messages compressed, before and after."),
    [GATEWAY_METRIC_DEFLATE_SKIPPED] = COUNTER("deflate_skipped", "Messages that compressing would not have made shorter."),
    [GATEWAY_METRIC_INFLATED] = COUNTER("inflated_messages", "Compressed messages from clients."),
    [GATEWAY_METRIC_INFLATED_PLAIN] = LABELED("inflated_bytes", "form=\"plain\"", "Bytes of compressed messages from clients, after and before inflating."),
    [GATEWAY_METRIC_INFLATED_COMPRESSED] = LABELED("inflated_bytes", "form=\"compressed\"", "Bytes of compressed messages from clients, after and before inflating."),
    [GATEWAY_METRIC_INFLATE_REFUSED] = COUNTER("inflate_refused", "Compressed messages refused because they would have become too long."),
    [GATEWAY_METRIC_QUEUED] = GAUGE("queued_bytes", "Bytes waiting to be sent to clients."),
    [GATEWAY_METRIC_UNFINISHED] = GAUGE("unfinished_bytes", "Bytes that messages hold whose rest has not come from clients yet."),
    [GATEWAY_METRIC_BEHIND] = GAUGE("behind", "Clients whose sockets take no more for now."),
    [GATEWAY_METRIC_REPLACED] = COUNTER("replaced_frames", "Frames to slow clients that a newer one took the place of."),
    [GATEWAY_METRIC_DROPPED] = COUNTER("dropped_frames", "Frames to slow clients dropped as the oldest of their kind."),
    SLOW_ROW(BYTES, "queued_bytes"),
    SLOW_ROW(SOFT, "queued_soft_bytes"),
    SLOW_ROW(AGE, "queued_age"),
    SLOW_ROW(TOTAL, "queued_total"),
    [GATEWAY_METRIC_THROTTLED] = COUNTER("throttled", "Times a session was not read from because of its bytes a second."),
    [GATEWAY_METRIC_TEXT_IN] = MESSAGE_ROW("text"),
    [GATEWAY_METRIC_BINARY_IN] = MESSAGE_ROW("binary"),
    [GATEWAY_METRIC_PING_IN] = MESSAGE_ROW("ping"),
    [GATEWAY_METRIC_PONG_IN] = MESSAGE_ROW("pong"),
    [GATEWAY_METRIC_CLOSE_IN] = MESSAGE_ROW("close"),
    [GATEWAY_METRIC_CLOSE_TIMEOUTS] = COUNTER("close_timeouts", "Close frames that clients did not answer in time."),
    [GATEWAY_METRIC_HANDSHAKES] = LABELED("tls_handshakes", "resumed=\"no\"", "TLS handshakes done."),
    [GATEWAY_METRIC_RESUMED] = LABELED("tls_handshakes", "resumed=\"yes\"", "TLS handshakes done."),
    [GATEWAY_METRIC_HANDSHAKING] = GAUGE("tls_handshaking", "TLS handshakes under way."),
    [GATEWAY_METRIC_HANDSHAKES_WAITING] = GAUGE("tls_waiting", "Clients that wait until they may begin their TLS handshake."),
    [GATEWAY_METRIC_ACCEPT_PAUSES] = COUNTER("accept_pauses", "Times newcomers were left waiting because this node had enough to do."),
    [GATEWAY_METRIC_CONNECTIONS_LIMIT] = GAUGE("connections_limit", "Client connections that may be open at once."),
    [GATEWAY_METRIC_MEMORY_LIMIT] = GAUGE("memory_limit_bytes", "Memory of the process from which on newcomers are refused."),
    [GATEWAY_METRIC_RESIDENT] = {.name = "warren_process_resident_bytes", .type = METRICS_GAUGE, .help = "Memory of the process that is in RAM."},
    GATEWAY_STATUS_TABLE(STATUS_ROW)
    GATEWAY_REASON_TABLE(REASON_ROW)
    PROTO_ERROR_TABLE(ERROR_ROW)
    OPERATION_ROW(JOIN, "join")
    OPERATION_ROW(LEAVE, "leave")
    OPERATION_ROW(SEND, "send")
    OPERATION_ROW(WHISPER, "whisper")
    OPERATION_ROW(ONLINE, "online")
    OPERATION_ROW(PING, "ping")
    OPERATION_ROW(HISTORY, "history")
    OPERATION_ROW(ACK, "ack")
    OPERATION_ROW(LIKE, "like")
};
/* clang-format on */

enum gateway_metric gateway_metric_refused(unsigned status)
{
    switch (status) {
#define STATUS_CASE(code, word)                                                                                        \
    case code:                                                                                                         \
        return GATEWAY_METRIC_REFUSED_##code;
        GATEWAY_STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    default:
        return GATEWAY_METRIC_REFUSED_400;
    }
}
