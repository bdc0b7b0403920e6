#ifndef GATEWAY_REASON_H
#define GATEWAY_REASON_H

#include <stdbool.h>

/**
 * Why a connection ended: one reason each, from one table. X(symbol, "word", close code, is it our error or the peer's
 * fault worth a warning, "sentence for the log and the close frame"). The word is the metric's label. Codes 4100 to
 * 4499 ask the client to come back, 4500 and above not to.
 */
#define GATEWAY_REASON_TABLE(X)                                                                                        \
    X(PEER_CLOSED, "peer_closed", 1000, false, "closed by the peer")                                                   \
    X(PEER_GONE, "peer_gone", 1006, false, "the peer vanished without a close frame")                                  \
    X(HTTP_DONE, "http_done", 1006, false, "plain HTTP request answered")                                              \
    X(REFUSED, "refused", 1006, false, "refused before the upgrade")                                                   \
    X(HANDSHAKE_TIMEOUT, "handshake_timeout", 1006, false, "no complete request in time")                              \
    X(FULL, "full", 1006, false, "this node has as many connections as it may")                                        \
    X(ADDRESS, "address", 1006, false, "this address has as many connections as it may")                               \
    X(MEMORY, "memory", 1006, false, "this node has as little memory left as it may")                                  \
    X(STORM, "storm", 1006, false, "too many clients come at once")                                                    \
    X(BAD_PROXY, "bad_proxy", 1006, true, "bad PROXY header")                                                          \
    X(TLS_TIMEOUT, "tls_timeout", 1006, false, "no complete TLS handshake in time")                                    \
    X(TLS_FAILED, "tls_failed", 1006, false, "TLS handshake failed")                                                   \
    X(TLS_BUSY, "tls_busy", 1006, false, "too many TLS handshakes at once")                                            \
    X(PROTOCOL_ERROR, "protocol_error", 1002, false, "WebSocket protocol error")                                       \
    X(BAD_PAYLOAD, "bad_payload", 1007, false, "text is not UTF-8")                                                    \
    X(TOO_BIG, "too_big", 1009, false, "message too big")                                                              \
    X(GOING_AWAY, "draining", 4100, false, "draining")                                                                 \
    X(TOO_SLOW, "too_slow", 4101, true, "reads too slowly")                                                            \
    X(NO_FIRST_FRAME, "no_first_frame", 4102, false, "no frame in time")                                               \
    X(MESSAGE_TIMEOUT, "message_timeout", 4102, false, "no whole message in time")                                     \
    X(IDLE, "idle", 4102, false, "no sign of life")                                                                    \
    X(OVERLOADED, "overloaded", 4103, true, "the node is overloaded")                                                  \
    X(UNFINISHED, "unfinished", 4103, true, "too many messages wait for their rest")                                   \
    X(TOKEN_EXPIRED, "token_expired", 4104, false, "the token has expired")                                            \
    X(REPLACED, "replaced", 4500, false, "replaced by another session")                                                \
    X(KICKED, "kicked", 4501, false, "kicked")                                                                         \
    X(BANNED, "banned", 4502, false, "banned")                                                                         \
    X(TOKEN_REFUSED, "token_refused", 4503, false, "the token was refused")                                            \
    X(REVOKED, "revoked", 4504, false, "the token was revoked")                                                        \
    X(LIMIT, "limit", 4505, false, "this user has as many sessions as it may")                                         \
    X(ABUSE, "abuse", 1008, false, "too many messages")                                                                \
    X(INTERNAL, "internal", 1011, true, "internal error")

enum gateway_reason {
#define GATEWAY_REASON_SYMBOL(symbol, word, code, is_error, sentence) GATEWAY_REASON_##symbol,
    GATEWAY_REASON_TABLE(GATEWAY_REASON_SYMBOL)
#undef GATEWAY_REASON_SYMBOL
        GATEWAY_REASONS
};

const char *gateway_reason_word(enum gateway_reason reason);
unsigned gateway_reason_code(enum gateway_reason reason);
/** Of a refusal for this reason: 429 if it is the client's own doing, else 503. */
unsigned gateway_reason_status(enum gateway_reason reason);
bool gateway_reason_is_error(enum gateway_reason reason);
const char *gateway_reason_sentence(enum gateway_reason reason);

#endif
