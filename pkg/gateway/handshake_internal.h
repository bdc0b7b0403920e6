#ifndef GATEWAY_HANDSHAKE_INTERNAL_H
#define GATEWAY_HANDSHAKE_INTERNAL_H

#include "base/buffer.h"
#include "gateway/demo_internal.h"
#include "gateway/origin_internal.h"
#include "gateway/route_internal.h"
#include "http/http.h"
#include "ws/deflate.h"

/**
 * The one HTTP request of a connection and what comes of it: a decision, made without I/O, and the bytes that tell it.
 */

/** Statuses of refusals: X(status, "word"), the word being the error's code in the body. */
#define GATEWAY_STATUS_TABLE(X)                                                                                        \
    X(400, "bad_request")                                                                                              \
    X(403, "forbidden")                                                                                                \
    X(404, "not_found")                                                                                                \
    X(405, "method_not_allowed")                                                                                       \
    X(411, "length_required")                                                                                          \
    X(413, "too_large")                                                                                                \
    X(414, "uri_too_long")                                                                                             \
    X(426, "upgrade_required")                                                                                         \
    X(429, "quota")                                                                                                    \
    X(431, "head_too_large")                                                                                           \
    X(500, "internal")                                                                                                 \
    X(501, "not_implemented")                                                                                          \
    X(503, "unavailable")                                                                                              \
    X(505, "http_version")

/** What this node serves now. */
struct gateway_site {
    const struct gateway_routes *routes;
    bool demo;
    const struct gateway_origins *origins;   /* NULL: whatever it is */
    const struct ws_deflate_policy *deflate; /* NULL: no compression */
    const char *refusing;                    /* NULL, or why this client is not let in now */
    unsigned refusing_status;                /* 503 or 429 */
    bool (*is_ready)(void *userdata, char reason[128]);
    void *userdata;
};

enum gateway_answer {
    GATEWAY_ANSWER_UPGRADE, /* target, route, codec, subprotocol and accept are set */
    GATEWAY_ANSWER_TEXT,    /* status and sentence: a word for health checks */
    GATEWAY_ANSWER_ASSET,   /* asset */
    GATEWAY_ANSWER_REFUSAL, /* status and sentence */
};

struct gateway_decision {
    enum gateway_answer answer;
    unsigned status;
    char sentence[GATEWAY_SENTENCE_SIZE];
    bool is_turned_away;    /* refused for gateway_site.refusing */
    unsigned retry_after_s; /* of 429 and 503 */
    bool head_only;         /* HEAD: without the body */
    const struct gateway_asset *asset;
    const struct gateway_route *route;
    struct gateway_target target;    /* names and positions; empty for /echo */
    const struct proto_codec *codec; /* NULL for /echo */
    const char *subprotocol;         /* NULL: none is chosen */
    bool has_deflate;                /* permessage-deflate is accepted, with these parameters */
    struct ws_deflate_params deflate;
    struct slice key; /* of the request */
};

/** 0, or -ENOMEM. Slices of the decision are the request's. */
int gateway_handshake_decide(const struct gateway_site *site, const struct http_message *request,
                             struct gateway_decision *ret_decision) base_must_check;
/** The response that tells a decision; errors are the buffer's. */
void gateway_handshake_write(const struct gateway_decision *decision, struct buffer *out);
/** A refusal of what never became a request. */
void gateway_handshake_refuse(unsigned status, const char *sentence, struct gateway_decision *ret_decision);

#endif
