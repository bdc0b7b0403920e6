/*
 * A WebSocket client: connect, upgrade (RFC 6455 section 4.1), masked frames out, whole messages in. Small, because a
 * load tool holds tens of thousands: the HTTP parser lives only until the upgrade.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "client/deflate_internal.h"
#include "http/http.h"
#include "http/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MESSAGE_BYTES (16u << 20)
#define DEFAULT_TIMEOUT_MS 10000
#define RESPONSE_HEAD_BYTES 8192
#define RESPONSE_BODY_BYTES 65536

enum state {
    STATE_UPGRADING, /* connecting, then waiting for the response */
    STATE_OPEN,
    STATE_CLOSING, /* our close frame is sent */
    STATE_CLOSED,
};

struct client_socket {
    struct net_stream stream;
    struct ws_parser_options ws_options; /* of ws */
    struct ws_parser ws;
    const struct client_socket_ops *ops;
    void *userdata;
    struct http_parser *http;       /* until the upgrade */
    struct buffer request;          /* until it is sent */
    char *subprotocol;              /* the one asked for, until the upgrade; NULL: none */
    struct client_deflate *deflate; /* compression was offered, later: negotiated; else NULL */
    struct loop_deadline deadline;
    struct loop *loop;
    uint64_t read_ns; /* see client_socket_read_ns() */
    enum state state;
    unsigned window_bits; /* of what is compressed here */
    unsigned close_code;
    unsigned http_status;
    char accept[WS_ACCEPT_TEXT_SIZE + 1];
    char text[WS_REASON_MAX_BYTES + 1];
};

static void set_text(struct client_socket *c, const char *text)
{
    if (!c->text[0])
        (void)snprintf(c->text, sizeof(c->text), "%s", text);
}

static int send_frame(struct client_socket *c, enum ws_opcode opcode, bool fin, struct slice payload)
{
    bool is_whole = fin && (opcode == WS_OPCODE_TEXT || opcode == WS_OPCODE_BINARY); /* fragments go as they are */
    bool is_compressed =
        c->deflate && is_whole && client_deflate_message(c->deflate, c->window_bits, payload, &payload);
    size_t header_size = ws_header_size(payload.size, true);
    base_cleanup(net_frame_unref_p)
    struct net_frame *frame = net_frame_new(header_size + payload.size);
    uint8_t key[4];

    if (!frame)
        return -ENOMEM;
    random_bytes(key, sizeof(key));
    (void)ws_header_write(frame->data, opcode, fin, is_compressed ? WS_RSV1 : 0, payload.size, key);
    if (payload.size)
        memcpy(frame->data + header_size, payload.data, payload.size);
    ws_mask(frame->data + header_size, payload.size, key, 0);
    return net_stream_send(&c->stream, frame);
}

static void send_close(struct client_socket *c, unsigned code, struct slice reason)
{
    char payload[WS_CONTROL_MAX_BYTES];
    size_t size = ws_close_payload(code, reason, payload);

    c->state = STATE_CLOSING;
    (void)send_frame(c, WS_OPCODE_CLOSE, true, slice_make(payload, size));
}

static void on_event(struct client_socket *c, const struct ws_event *event)
{
    switch (event->type) {
    case WS_EVENT_MESSAGE:
        c->ops->on_message(c, event->opcode, event->payload);
        break;
    case WS_EVENT_PING:
        (void)send_frame(c, WS_OPCODE_PONG, true, event->payload);
        if (c->ops->on_ping)
            c->ops->on_ping(c);
        break;
    case WS_EVENT_PONG:
        break;
    case WS_EVENT_CLOSE:
        c->close_code = event->close_code;
        loop_deadline_stop(&c->deadline);
        (void)snprintf(c->text, sizeof(c->text), "%.*s", SLICE_PRINTF(event->payload));
        if (c->state == STATE_OPEN)
            send_close(c, event->close_code, SLICE_NONE);
        net_stream_close(&c->stream);
        break;
    }
}

static void feed_frames(struct client_socket *c, char *data, size_t size)
{
    size_t taken = 0;
    int result = 0;

    /* Until WS_MORE, even with nothing left: only then the parser lets go of the last message. */
    while (result == 0 && !net_stream_is_ending(&c->stream)) {
        struct ws_event event;
        size_t consumed = 0;
        const char *sentence;

        result = ws_parser_feed(&c->ws, data + taken, size - taken, &consumed, &event);
        taken += consumed;
        if (result == 0) {
            on_event(c, &event);
        } else if (result == WS_E_CLOSE) {
            unsigned code = ws_parser_error(&c->ws, &sentence);

            set_text(c, sentence);
            if (c->state == STATE_OPEN)
                send_close(c, code, slice_from(sentence));
            net_stream_close(&c->stream);
        } else if (result < 0) {
            set_text(c, "out of memory");
            net_stream_abort(&c->stream);
        }
    }
}

/** The response to the upgrade (section 4.1, the client's checks). Return: NULL, or what is wrong with it. */
/** What the server answered to our offer, if we made one (RFC 7692 section 5.1). Return: NULL, or what is wrong with
 * it. */
static const char *take_extensions(struct client_socket *c, const struct http_message *m)
{
    struct ws_deflate_answer answer = {0};
    struct slice line;

    for (size_t position = 0; http_message_each(m, "Sec-WebSocket-Extensions", &position, &line);)
        if (ws_deflate_answer_read(&answer, c->deflate != NULL, line) != 0)
            return c->deflate ? "the response has an extension that does not answer ours"
                              : "the response has an extension that was not asked for";
    if (answer.extensions == 0) {
        c->deflate = NULL;
        return NULL;
    }
    c->window_bits = answer.params.client_max_window_bits;
    c->ws_options.allowed_rsv = WS_RSV1;
    c->ws_options.inflate = &c->deflate->pool;
    c->ws_options.inflate_keeps_window = !answer.params.server_no_context_takeover;
    c->ws_options.inflate_window_bits = answer.params.server_max_window_bits;
    return NULL;
}

static const char *check_response(const struct client_socket *c, const struct http_message *m)
{
    struct slice subprotocol = http_message_header(m, "Sec-WebSocket-Protocol");

    if (m->status != 101)
        return "the upgrade was refused";
    if (!http_message_has_token(m, "Upgrade", "websocket") || !http_message_has_token(m, "Connection", "upgrade"))
        return "the response lacks Upgrade: websocket";
    if (!slice_equal_text(http_message_header(m, "Sec-WebSocket-Accept"), c->accept))
        return "the response's Sec-WebSocket-Accept is wrong";
    if (http_message_header_count(m, "Sec-WebSocket-Protocol") > 0 &&
        (!c->subprotocol || !slice_equal_text(subprotocol, c->subprotocol)))
        return "the response has a subprotocol that was not asked for";
    return NULL;
}

static size_t feed_response(struct client_socket *c, char *data, size_t size)
{
    const struct http_message *response;
    const char *fault;
    size_t consumed = 0;
    int result = http_parser_feed(c->http, data, size, &consumed, &response);

    if (result == HTTP_MORE)
        return size;
    if (result == 0) {
        c->http_status = response->status == 101 ? 0 : response->status;
        fault = check_response(c, response);
        if (!fault)
            fault = take_extensions(c, response);
    } else if (result == HTTP_E_BAD) {
        (void)http_parser_error(c->http, &fault);
    } else {
        fault = "out of memory";
    }
    if (fault) {
        set_text(c, fault);
        net_stream_abort(&c->stream);
        return size;
    }
    c->http = http_parser_free(c->http);
    free(base_take(c->subprotocol));
    c->state = STATE_OPEN;
    loop_deadline_stop(&c->deadline);
    c->ops->on_open(c);
    return consumed;
}

static size_t on_data(struct net_stream *s, char *data, size_t size)
{
    struct client_socket *c = container_of(s, struct client_socket, stream);
    size_t taken = 0;

    c->read_ns = clock_monotonic_ns();
    if (c->state == STATE_UPGRADING)
        taken = feed_response(c, data, size);
    if (taken < size && c->state != STATE_UPGRADING)
        feed_frames(c, data + taken, size - taken);
    return size;
}

static void on_open(struct net_stream *s)
{
    struct client_socket *c = container_of(s, struct client_socket, stream);

    (void)net_stream_send_bytes(s, buffer_slice(&c->request));
    buffer_deinit(&c->request);
}

/** A refusal whose body was to end with the stream. */
static void end_response(struct client_socket *c)
{
    const struct http_message *response;

    if (http_parser_end(c->http, &response) || response->status == 101)
        return;
    c->http_status = response->status;
    set_text(c, check_response(c, response));
}

static void on_closed(struct net_stream *s, enum net_end end, int error)
{
    struct client_socket *c = container_of(s, struct client_socket, stream);

    if (c->state == STATE_UPGRADING && end == NET_END_EOF)
        end_response(c);
    if (!c->text[0] && c->state != STATE_CLOSING)
        set_text(c, error ? strerror(error) : net_end_name(end));
    c->state = STATE_CLOSED;
    loop_deadline_stop(&c->deadline);
    c->ops->on_closed(c, c->close_code, c->http_status, slice_from(c->text));
}

static const struct net_stream_ops stream_ops = {.on_data = on_data, .on_open = on_open, .on_closed = on_closed};

static void on_deadline(struct loop_deadline *d)
{
    struct client_socket *c = container_of(d, struct client_socket, deadline);

    set_text(c, c->state == STATE_UPGRADING ? "no upgrade in time" : "no close frame in time");
    net_stream_abort(&c->stream);
}

/* ---- making one ---- */

static int write_request(struct client_socket *c, const struct client_socket_options *options,
                         const struct http_url *url)
{
    char key[WS_KEY_TEXT_SIZE + 1];
    bool is_ipv6 = memchr(url->host.data, ':', url->host.size) != NULL;

    ws_key_generate(key);
    ws_accept_value(slice_from(key), c->accept);
    if (!c->accept[0])
        return -ENOMEM;
    buffer_printf(&c->request, "GET %.*s HTTP/1.1\r\nHost: %s%.*s%s:%u\r\n", SLICE_PRINTF(url->target),
                  is_ipv6 ? "[" : "", SLICE_PRINTF(url->host), is_ipv6 ? "]" : "", url->port);
    buffer_printf(&c->request,
                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
                  key);
    if (options->subprotocol) {
        c->subprotocol = slice_dup(slice_from(options->subprotocol));
        if (!c->subprotocol)
            return -ENOMEM;
        buffer_printf(&c->request, "Sec-WebSocket-Protocol: %s\r\n", options->subprotocol);
    }
    if (options->deflate)
        buffer_append_text(&c->request, "Sec-WebSocket-Extensions: " WS_DEFLATE_OFFER "\r\n");
    if (options->headers)
        buffer_append_text(&c->request, options->headers);
    buffer_append_text(&c->request, "\r\n");
    return buffer_error(&c->request);
}

static int connect_to(struct client_socket *c, struct net_loop *n, const struct client_socket_options *options,
                      const struct http_url *url, const char **ret_error)
{
    base_cleanup(base_free_p)
    char *host = slice_dup(url->host);
    const struct net_stream_options stream_options = {
        .handshake_timeout_ms = options->timeout_ms,
        .tls = options->tls,
        .server_name = options->tls ? host : NULL,
    };
    struct net_address address;

    if (!host)
        return -ENOMEM;
    /* A resolver may say ::1 first, where a node that listens on 0.0.0.0 is not; only one address is tried. */
    if (net_address_resolve(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, url->port, &address)) {
        *ret_error = "the host does not resolve";
        return -EINVAL;
    }
    return net_stream_connect(&c->stream, n, &address, &stream_options, &stream_ops);
}

static int start(struct client_socket *c, struct net_loop *n, const struct client_socket_options *options,
                 const char **ret_error)
{
    static const struct http_limits limits = {RESPONSE_HEAD_BYTES, HTTP_HEADERS_MAX, RESPONSE_BODY_BYTES};
    const struct ws_parser_options ws_options = {
        .expect_masked = false,
        .max_message_bytes = options->max_message_bytes ? options->max_message_bytes : DEFAULT_MESSAGE_BYTES,
    };
    struct http_url url;
    int result;

    *ret_error = http_url_parse(slice_from(options->url), "ws,wss", &url);
    if (*ret_error)
        return -EINVAL;
    if (slice_equal_text(url.scheme, "wss") != (options->tls != NULL)) {
        *ret_error = options->tls ? "TLS was given for a ws:// URL" : "a wss:// URL needs TLS";
        return -EINVAL;
    }
    c->ws_options = ws_options;
    ws_parser_init(&c->ws, &c->ws_options);
    result = write_request(c, options, &url);
    if (!result)
        result = http_parser_new_response(&limits, false, &c->http);
    if (!result)
        result = connect_to(c, n, options, &url, ret_error);
    if (!result)
        loop_deadline_start(c->loop, &c->deadline, options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS);
    return result;
}

int client_socket_new(struct net_loop *n, const struct client_socket_options *options,
                      const struct client_socket_ops *ops, void *userdata, const char **ret_error,
                      struct client_socket **ret_socket)
{
    struct client_socket *c = calloc(1, sizeof(*c));
    const char *fault = NULL;
    int result;

    if (!c)
        return -ENOMEM;
    c->deflate = options->deflate;
    c->ops = ops;
    c->userdata = userdata;
    c->loop = net_loop_loop(n);
    c->close_code = WS_CLOSE_ABNORMAL;
    loop_deadline_init(&c->deadline, on_deadline);
    result = start(c, n, options, &fault);
    if (result) {
        if (ret_error && fault)
            *ret_error = fault;
        c->state = STATE_CLOSED;
        client_socket_free(c);
        return result;
    }
    *ret_socket = c;
    return 0;
}

void *client_socket_userdata(const struct client_socket *c)
{
    return c->userdata;
}

bool client_socket_is_open(const struct client_socket *c)
{
    return c->state == STATE_OPEN && !net_stream_is_ending(&c->stream);
}

uint64_t client_socket_read_ns(const struct client_socket *c)
{
    return c->read_ns;
}

int client_socket_send(struct client_socket *c, enum ws_opcode opcode, struct slice payload)
{
    return client_socket_send_frame(c, opcode, true, payload);
}

int client_socket_send_frame(struct client_socket *c, enum ws_opcode opcode, bool fin, struct slice payload)
{
    return client_socket_is_open(c) ? send_frame(c, opcode, fin, payload) : -ENOTCONN;
}

void client_socket_close(struct client_socket *c, unsigned code)
{
    if (c->state == STATE_OPEN) {
        send_close(c, code, SLICE_NONE);
        loop_deadline_start(c->loop, &c->deadline, DEFAULT_TIMEOUT_MS);
    } else if (c->state == STATE_UPGRADING) {
        net_stream_abort(&c->stream);
    }
}

void client_socket_abort(struct client_socket *c)
{
    net_stream_abort(&c->stream);
}

struct client_socket *client_socket_free(struct client_socket *c)
{
    if (!c)
        return NULL;
    assert(c->state == STATE_CLOSED);
    ws_parser_deinit(&c->ws);
    http_parser_free(c->http);
    buffer_deinit(&c->request);
    free(c->subprotocol);
    free(c);
    return NULL;
}
