/*
 * The head of a connection: who the client is, whether it is let in, what it asked for, and the answer.
 *
 * A connection that the acceptor did not let in is listened to nevertheless, so that it reads why: clients and their
 * libraries understand a status, but not an end without words.
 */
#include "gateway/gateway_internal.h"

static void request_answer(struct gateway_connection *c, const struct gateway_decision *decision)
{
    struct buffer *out = &c->worker->scratch;

    buffer_reset(out, 65536);
    gateway_handshake_write(decision, out);
    if (buffer_error(out))
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
    else
        (void)net_stream_send_bytes(&c->stream, buffer_slice(out));
}

static void request_upgrade(struct gateway_connection *c, const struct gateway_decision *decision)
{
    const struct gateway_config *config = c->worker->config;
    const struct ws_deflate_params *deflate = &decision->deflate;
    struct ws_parser_options options = {
        .expect_masked = true,
        .max_message_bytes = (uint32_t)config->frame_bytes,
        .max_fragments = (uint32_t)config->fragments,
    };
    const struct ws_parser_options *framing;

    /* The decision's slices lie in the HTTP parser: it goes when nothing needs them any more. */
    base_cleanup(http_parser_free_p)
    struct http_parser *http = base_take(c->http);
    (void)http;
    request_answer(c, decision);
    if (c->state != GATEWAY_STATE_HEAD)
        return;
    if (decision->has_deflate) {
        options.allowed_rsv = WS_RSV1;
        options.inflate = &c->worker->deflate.pool;
        options.inflate_keeps_window = !deflate->client_no_context_takeover;
        options.inflate_window_bits = deflate->client_max_window_bits;
        c->window = (uint8_t)gateway_window_of(deflate->server_max_window_bits);
        gateway_count(c->worker, GATEWAY_METRIC_DEFLATE_CONNECTIONS, 1);
    }
    framing = gateway_worker_framing(c->worker, &options);
    if (!framing) {
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
        return;
    }
    ws_parser_init(&c->ws, framing);
    c->is_upgraded = true;
    c->codec = decision->codec;
    if (!c->codec) {
        net_stream_set_limits(&c->stream, &c->worker->echo_limits);
        gateway_connection_set_state(c, GATEWAY_STATE_OPEN);
        return;
    }
    gateway_connection_set_state(c, GATEWAY_STATE_OPENING);
    gateway_connection_hold(c, GATEWAY_HOLD_OPENING);
    if (gateway_session_open(c, &decision->target) < 0)
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
}

static enum gateway_reason reason_of(const struct gateway_connection *c, const struct gateway_decision *decision)
{
    if (decision->answer != GATEWAY_ANSWER_REFUSAL)
        return GATEWAY_REASON_HTTP_DONE;
    if (!decision->is_turned_away)
        return GATEWAY_REASON_REFUSED;
    return c->refusal != GATEWAY_REASONS ? (enum gateway_reason)c->refusal : GATEWAY_REASON_GOING_AWAY;
}

static void request_decide(struct gateway_connection *c, const struct gateway_decision *decision)
{
    if (decision->answer == GATEWAY_ANSWER_UPGRADE) {
        request_upgrade(c, decision);
        return;
    }
    if (decision->answer == GATEWAY_ANSWER_REFUSAL)
        gateway_count(c->worker, gateway_metric_refused(decision->status), 1);
    gateway_connection_end(c, reason_of(c, decision), decision->sentence);
    request_answer(c, decision);
    gateway_connection_finish(c);
}

/** Behind a proxy the client is known only now, and its address counted. */
static void request_find_client(struct gateway_connection *c, const struct http_message *request)
{
    const struct gateway_live *live = c->worker->live;
    struct gateway *g = c->worker->gateway;
    size_t limit = (size_t)live->config.connections_per_address;
    struct net_address client = {.size = sizeof(c->peer)};

    memcpy(&client.storage, &c->peer, sizeof(c->peer));
    if (!gateway_live_trusts(live, &client) || !gateway_forwarded_client(live, request, &client))
        return;
    memcpy(&c->peer, &client.storage, sizeof(c->peer));
    if (limit == 0 || c->is_counted || c->refusal != GATEWAY_REASONS || gateway_live_trusts(live, &client))
        return;
    c->address_key = net_network_client_key(&client);
    c->is_counted = gateway_addresses_take(&g->addresses, c->address_key, limit);
    if (c->is_counted)
        return;
    c->refusal = GATEWAY_REASON_ADDRESS;
    atomic_fetch_add_explicit(&g->refusing, 1, memory_order_relaxed);
}

/** What is served to this connection now. */
static int request_find_answer(struct gateway_connection *c, const struct http_message *request,
                               struct gateway_decision *ret_decision)
{
    const struct gateway *g = c->worker->gateway;
    const struct gateway_config *config = c->worker->config;
    const struct ws_deflate_policy deflate = {
        .client_context = config->deflate_client_context,
        .client_window_bits = (uint8_t)config->deflate_client_window_bits,
    };
    struct gateway_site site = {
        .routes = &g->routes,
        .demo = config->demo,
        .origins = c->worker->live->origins,
        .deflate = config->deflate ? &deflate : NULL,
        .is_ready = g->environment.is_ready,
        .userdata = g->environment.userdata,
    };

    if (c->refusal != GATEWAY_REASONS) {
        site.refusing = gateway_reason_sentence((enum gateway_reason)c->refusal);
        site.refusing_status = gateway_reason_status((enum gateway_reason)c->refusal);
    } else if (c->worker->drain.phase != GATEWAY_DRAIN_NOT) {
        site.refusing = "this node is draining";
        site.refusing_status = 503;
    }
    return gateway_handshake_decide(&site, request, ret_decision);
}

size_t gateway_request_read(struct gateway_connection *c, const char *data, size_t size)
{
    const struct http_message *request;
    struct gateway_decision decision = {0};
    const char *sentence;
    unsigned status;
    size_t consumed;
    int result = http_parser_feed(c->http, data, size, &consumed, &request);

    if (result == 0) {
        request_find_client(c, request);
        result = request_find_answer(c, request, &decision);
    }
    if (result < 0) {
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
    } else if (result == HTTP_E_BAD) {
        status = http_parser_error(c->http, &sentence);
        gateway_handshake_refuse(status, sentence, &decision);
        request_decide(c, &decision);
    } else if (result == 0) {
        request_decide(c, &decision);
    } else if (http_parser_awaits_continue(c->http)) {
        (void)net_stream_send_bytes(&c->stream, SLICE_LITERAL(HTTP_CONTINUE)); /* to be refused by its method */
    }
    return consumed;
}
