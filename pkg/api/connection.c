/*
 * One HTTP connection of the internal listener: reads a request, stops reading, waits for the reply, goes on. What is
 * pipelined behind a request waits in the stream.
 */
#include "api/api_internal.h"

#include <stdlib.h>
#include <unistd.h>

static void on_deadline(struct loop_deadline *d)
{
    struct api_connection *c = container_of(d, struct api_connection, deadline);

    if (c->reply) { /* whoever owes the answer has had its time; it may still come, and is dropped then */
        struct api_reply *late = c->reply;
        struct api_reply *reply = calloc(1, sizeof(*reply));

        api_reply_orphan(late);
        c->reply = NULL;
        if (!reply) {
            net_stream_abort(&c->stream);
            return;
        }
        *reply = (struct api_reply){.api = c->api, .connection = c};
        c->api->replies_owed++;
        api_reply_error(reply, 504, "unavailable", "no answer in time (api.timeout)");
        return;
    }
    net_stream_close(&c->stream);
}

/** Answers what could not be parsed, and ends. */
static void refuse(struct api_connection *c)
{
    const char *sentence;
    unsigned status = http_parser_error(c->parser, &sentence);
    const struct http_message nothing = {.keep_alive = false};
    struct api_reply *reply = api_reply_new(c, &nothing);

    metrics_add(c->api->cells, API_REFUSED, 1);
    if (!reply) {
        net_stream_abort(&c->stream);
        return;
    }
    c->reply = reply;
    api_reply_error(reply, status, status == 413 ? "too_large" : "bad_request", sentence);
}

static void handle(struct api_connection *c, const struct http_message *request)
{
    struct api_reply *reply = api_reply_new(c, request);

    if (!reply) {
        net_stream_abort(&c->stream);
        return;
    }
    metrics_add(c->api->cells, API_REQUESTS, 1);
    c->reply = reply;
    net_stream_pause(&c->stream);
    loop_deadline_start(c->api->loop, &c->deadline, (uint64_t)c->api->config->timeout_ms);
    api_dispatch(c->api, request, reply);
}

static size_t on_data(struct net_stream *s, char *data, size_t size)
{
    struct api_connection *c = container_of(s, struct api_connection, stream);
    size_t taken = 0;

    while (taken < size && !c->reply && !net_stream_is_ending(s)) {
        const struct http_message *request = NULL;
        size_t consumed = 0;
        int result;

        if (!http_parser_has_begun(c->parser)) /* a request that has begun must be complete by this */
            loop_deadline_start(c->api->loop, &c->deadline, (uint64_t)c->api->config->timeout_ms);
        result = http_parser_feed(c->parser, data + taken, size - taken, &consumed, &request);
        taken += consumed;
        if (result == 0)
            handle(c, request);
        else if (result == HTTP_E_BAD)
            refuse(c);
        else if (result < 0)
            net_stream_abort(s);
        else if (http_parser_awaits_continue(c->parser))
            (void)net_stream_send_bytes(s, SLICE_LITERAL(HTTP_CONTINUE));
        if (result != 0 && result != HTTP_MORE)
            return size; /* it ends: nothing behind a broken request can be trusted */
    }
    return net_stream_is_ending(s) ? size : taken;
}

static void on_closed(struct net_stream *s, enum net_end end base_unused, int error base_unused)
{
    struct api_connection *c = container_of(s, struct api_connection, stream);

    if (c->reply)
        api_reply_orphan(c->reply);
    loop_deadline_stop(&c->deadline);
    list_remove(&c->link);
    c->api->connection_count--;
    metrics_set(c->api->cells, API_CONNECTIONS, (int64_t)c->api->connection_count);
    http_parser_free(c->parser);
    free(c);
}

static const struct net_stream_ops stream_ops = {.on_data = on_data, .on_closed = on_closed};

void api_connection_accept(void *userdata, int fd, const struct net_address *peer base_unused)
{
    struct api *a = userdata;
    const struct http_limits limits = {
        .head_bytes = 16384, .headers = HTTP_HEADERS_MAX, .body_bytes = (size_t)a->config->body_bytes};
    static const struct net_queue_limits queue_limits = {.bytes = 64 << 20};
    const struct net_stream_options options = {.limits = &queue_limits};
    struct api_connection *c;

    if (a->connection_count >= (size_t)a->config->connections || !(c = calloc(1, sizeof(*c)))) {
        metrics_add(a->cells, API_REFUSED, 1);
        (void)close(fd);
        return;
    }
    c->api = a;
    loop_deadline_init(&c->deadline, on_deadline);
    if (http_parser_new_request(&limits, &c->parser)) {
        (void)close(fd);
        free(c);
        return;
    }
    if (net_stream_accept(&c->stream, a->net, fd, &options, &stream_ops)) {
        http_parser_free(c->parser);
        free(c);
        return;
    }
    list_append(&a->connections, &c->link);
    a->connection_count++;
    metrics_set(a->cells, API_CONNECTIONS, (int64_t)a->connection_count);
    loop_deadline_start(a->loop, &c->deadline, (uint64_t)a->config->timeout_ms);
}

void api_connection_abort(struct api_connection *c)
{
    net_stream_abort(&c->stream);
}
