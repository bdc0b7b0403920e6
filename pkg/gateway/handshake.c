/*
 * From a request to a decision (RFC 6455 section 4.2, RFC 9110 section 7.8).
 *
 * A request that asks for an upgrade is looked up among the routes; any other among the pages. Every response but 101
 * ends the connection: those who ask for pages are few, and a connection that serves one request has one state less.
 */
#include "gateway/handshake_internal.h"

#include "base/json.h"
#include "base/random.h"
#include "ws/ws.h"

#include <stdio.h>

/* Scripts and styles only from here, connections to any node, nothing else; nobody may frame the page. */
#define CONTENT_SECURITY_POLICY                                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "     \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Seconds until a client should come again: so many to twice as many. */
#define RETRY_AFTER_S 5

static const char *status_word(unsigned status)
{
    switch (status) {
#define GATEWAY_STATUS_WORD(code, word)                                                                                \
    case code:                                                                                                         \
        return word;
        GATEWAY_STATUS_TABLE(GATEWAY_STATUS_WORD)
#undef GATEWAY_STATUS_WORD
    default:
        return "refused";
    }
}

void gateway_handshake_refuse(unsigned status, const char *sentence, struct gateway_decision *ret_decision)
{
    ret_decision->answer = GATEWAY_ANSWER_REFUSAL;
    ret_decision->status = status;
    /* Those who were refused together do not come back together. */
    ret_decision->retry_after_s =
        status == 429 || status == 503 ? RETRY_AFTER_S + (unsigned)random_below(RETRY_AFTER_S) : 0;
    if (sentence != ret_decision->sentence)
        snprintf(ret_decision->sentence, sizeof(ret_decision->sentence), "%s", sentence);
}

/** Section 4.2.1, in the order in which a client can mend things. NULL, or what is missing; *status is set then. */
static const char *upgrade_fault(const struct http_message *request, unsigned *status)
{
    struct slice version = http_message_header(request, "Sec-WebSocket-Version");

    *status = 400;
    if (request->minor_version < 1)
        return "an upgrade needs HTTP/1.1";
    if (!http_message_has_token(request, "Connection", "Upgrade"))
        return "Connection: Upgrade is missing; a proxy on the way may have removed it";
    /* Sections 11.3.1 and 11.3.5: neither may stand there twice, not even with the same value. */
    if (http_message_header_count(request, "Sec-WebSocket-Version") > 1)
        return "there is more than one Sec-WebSocket-Version";
    if (http_message_header_count(request, "Sec-WebSocket-Key") > 1)
        return "there is more than one Sec-WebSocket-Key";
    if (!slice_is_set(version))
        return "Sec-WebSocket-Version is missing";
    if (!slice_equal_text(version, "13")) {
        *status = 426;
        return "only version 13 of the WebSocket protocol is spoken here";
    }
    if (!ws_key_is_valid(http_message_header(request, "Sec-WebSocket-Key")))
        return "Sec-WebSocket-Key is missing or not the base64 of 16 bytes";
    return NULL;
}

/** The first that is offered and that we speak; unknown ones are no reason to refuse: a client that minds will close.
 * What is no list of tokens is one (section 4.1). NULL, or what is wrong. */
static const char *choose_subprotocol(const struct http_message *request, const struct proto_codec **ret_codec)
{
    const struct proto_codec *codec = NULL;
    struct slice line, token;
    size_t tokens = 0, position = 0;

    while (http_message_each(request, "Sec-WebSocket-Protocol", &position, &line)) {
        while (slice_split(&line, ',', &token)) {
            token = slice_trim(token);
            if (token.size == 0)
                continue; /* RFC 9110 section 5.6.1.2 */
            if (!http_is_token(token))
                return "Sec-WebSocket-Protocol is not a list of names";
            tokens++;
            if (!codec)
                codec = proto_codec_find(token);
        }
    }
    if (tokens == 0 && http_message_header_count(request, "Sec-WebSocket-Protocol") > 0)
        return "Sec-WebSocket-Protocol is empty";
    *ret_codec = codec;
    return NULL;
}

/** What is no list of extensions fails the handshake (RFC 6455 section 9.1); what is one and unknown does not. NULL, or
 * what is wrong. */
static const char *choose_extension(const struct gateway_site *site, const struct http_message *request,
                                    struct gateway_decision *decision)
{
    struct ws_deflate_offers offers = {.policy = site->deflate};
    bool is_there = false;
    struct slice line;

    for (size_t position = 0; http_message_each(request, "Sec-WebSocket-Extensions", &position, &line);) {
        is_there = true;
        if (ws_deflate_offers_read(&offers, line) != 0)
            return "Sec-WebSocket-Extensions is not a list of extensions";
    }
    if (is_there && offers.extensions == 0)
        return "Sec-WebSocket-Extensions is empty";
    decision->has_deflate = offers.is_accepted;
    decision->deflate = offers.params;
    return NULL;
}

static int decide_upgrade(const struct gateway_site *site, const struct http_message *request,
                          struct gateway_decision *decision)
{
    const struct gateway_route *route = gateway_routes_find(site->routes, request->path);
    const struct proto_codec *codec = NULL;
    const char *fault;
    unsigned status;
    int result;

    if (!route) {
        gateway_handshake_refuse(404, "no route has this path", decision);
        return 0;
    }
    if (site->origins && !gateway_origins_allow(site->origins, request)) {
        gateway_handshake_refuse(403, "pages of this origin may not connect here", decision);
        return 0;
    }
    fault = upgrade_fault(request, &status);
    if (!fault)
        fault = choose_subprotocol(request, &codec);
    if (!fault)
        fault = choose_extension(site, request, decision);
    if (!fault && site->refusing) {
        status = site->refusing_status;
        fault = site->refusing;
        decision->is_turned_away = true;
    }
    if (fault) {
        gateway_handshake_refuse(status, fault, decision);
        return 0;
    }
    decision->answer = GATEWAY_ANSWER_UPGRADE;
    decision->route = route;
    decision->key = http_message_header(request, "Sec-WebSocket-Key");
    if (!route->codec)
        return 0;
    result = gateway_route_read(route, request->path, request->query, decision->sentence, &decision->target);
    if (result < 0)
        return result;
    if (result == GATEWAY_E_BAD_URL) {
        gateway_handshake_refuse(400, decision->sentence, decision);
        return 0;
    }
    decision->codec = codec ? codec : route->codec;
    decision->subprotocol = codec ? codec->subprotocol : NULL;
    return 0;
}

static void decide_text(struct gateway_decision *decision, unsigned status, const char *text)
{
    decision->answer = GATEWAY_ANSWER_TEXT;
    decision->status = status;
    snprintf(decision->sentence, sizeof(decision->sentence), "%s", text);
}

static void decide_page(const struct gateway_site *site, const struct http_message *request,
                        struct gateway_decision *decision)
{
    decision->asset = site->demo ? gateway_demo_find(request->path) : NULL;
    if (slice_equal_text(request->path, "/healthz")) {
        decide_text(decision, 200, "ok");
    } else if (slice_equal_text(request->path, "/readyz")) {
        char reason[128] = "not ready";
        bool is_ready = !site->is_ready || site->is_ready(site->userdata, reason);

        decide_text(decision, is_ready ? 200 : 503, is_ready ? "ready" : reason);
    } else if (decision->asset) {
        decision->answer = GATEWAY_ANSWER_ASSET;
        decision->status = 200;
    } else if (gateway_routes_find(site->routes, request->path)) {
        gateway_handshake_refuse(426, "this is a WebSocket; Upgrade: websocket is missing", decision);
    } else {
        gateway_handshake_refuse(404, "nothing has this path", decision);
    }
}

int gateway_handshake_decide(const struct gateway_site *site, const struct http_message *request,
                             struct gateway_decision *ret_decision)
{
    bool is_get = slice_equal_text(request->method, "GET");
    bool is_head = slice_equal_text(request->method, "HEAD");
    struct gateway_decision *decision = ret_decision;

    *decision = (struct gateway_decision){.head_only = is_head};
    if (!is_get && !is_head) {
        gateway_handshake_refuse(405, "only GET is served here; publishing is on the internal listener", decision);
        return 0;
    }
    if (is_get && http_message_has_token(request, "Upgrade", "websocket"))
        return decide_upgrade(site, request, decision);
    decide_page(site, request, decision);
    return 0;
}

static void write_upgrade(const struct gateway_decision *decision, struct buffer *out)
{
    char accept[WS_ACCEPT_TEXT_SIZE + 1], extension[WS_DEFLATE_TEXT_SIZE];
    struct http_header_text headers[6] = {
        {"Upgrade", "websocket"},
        {"Connection", "Upgrade"},
        {"Sec-WebSocket-Accept", accept},
    };
    size_t n = 3;

    if (decision->subprotocol)
        headers[n++] = (struct http_header_text){"Sec-WebSocket-Protocol", decision->subprotocol};
    if (decision->has_deflate) {
        ws_deflate_response_write(&decision->deflate, extension);
        headers[n++] = (struct http_header_text){"Sec-WebSocket-Extensions", extension};
    }
    ws_accept_value(decision->key, accept);
    http_write_response(out, 101, headers, SLICE_NONE, true, false);
}

static void write_asset(const struct gateway_decision *decision, struct buffer *out)
{
    const struct http_header_text headers[] = {
        {"Content-Type", decision->asset->content_type},
        {"Content-Security-Policy", CONTENT_SECURITY_POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
        {NULL, NULL},
    };

    http_write_response(out, decision->status, headers, gateway_asset_body(decision->asset), false,
                        decision->head_only);
}

static void write_text(const struct gateway_decision *decision, struct buffer *out)
{
    static const struct http_header_text headers[] = {
        {"Content-Type", "text/plain; charset=utf-8"},
        {"X-Content-Type-Options", "nosniff"},
        {"Cache-Control", "no-store"},
        {NULL, NULL},
    };
    char line[GATEWAY_SENTENCE_SIZE + 1];
    int size = snprintf(line, sizeof(line), "%s\n", decision->sentence);

    http_write_response(out, decision->status, headers, slice_make(line, (size_t)size), false, decision->head_only);
}

/** 426 names what to upgrade to (RFC 9110 section 15.5.22) and the version (RFC 6455 section 4.4); 429 and 503 when
 * to come again. */
static void write_refusal(const struct gateway_decision *decision, struct buffer *out)
{
    static const struct http_header_text of_405[] = {{"Allow", "GET, HEAD"}, {NULL, NULL}};
    static const struct http_header_text of_426[] = {
        {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Version", "13"}, {NULL, NULL}};
    char retry_after[16];
    const struct http_header_text of_later[] = {{"Retry-After", retry_after}, {NULL, NULL}};
    static const struct http_header_text of_rest[] = {{NULL, NULL}};
    const struct http_header_text *extra = decision->status == 405   ? of_405
                                           : decision->status == 426 ? of_426
                                           : decision->retry_after_s ? of_later
                                                                     : of_rest;
    struct http_header_text headers[8] = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
    struct buffer body = {0};
    struct json_writer w;

    snprintf(retry_after, sizeof(retry_after), "%u", decision->retry_after_s);
    for (size_t i = 0; extra[i].name; i++)
        headers[2 + i] = extra[i];
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_name(&w, "error");
    json_write_object_begin(&w);
    json_write_member_text(&w, "code", status_word(decision->status));
    json_write_member_text(&w, "message", decision->sentence);
    json_write_object_end(&w);
    json_write_object_end(&w);
    buffer_append_char(&body, '\n');
    http_write_response(out, decision->status, headers, buffer_slice(&body), false, decision->head_only);
    buffer_deinit(&body);
}

void gateway_handshake_write(const struct gateway_decision *decision, struct buffer *out)
{
    switch (decision->answer) {
    case GATEWAY_ANSWER_UPGRADE:
        write_upgrade(decision, out);
        break;
    case GATEWAY_ANSWER_TEXT:
        write_text(decision, out);
        break;
    case GATEWAY_ANSWER_ASSET:
        write_asset(decision, out);
        break;
    case GATEWAY_ANSWER_REFUSAL:
        write_refusal(decision, out);
        break;
    }
}
