/*
 * An answer that is owed. Whoever handles a request holds its reply and gives it exactly once, perhaps much later; if
 * the client has gone by then, the answer is dropped.
 */
#include "api/api_internal.h"
#include "base/json.h"

#include <stdlib.h>

#define LIMIT_MAX 500

struct api_reply *api_reply_new(struct api_connection *c, const struct http_message *request)
{
    struct api_reply *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->api = c->api;
    r->connection = c;
    r->keep_alive = request->keep_alive;
    r->head_only = slice_equal_text(request->method, "HEAD");
    c->api->replies_owed++;
    return r;
}

void api_reply_orphan(struct api_reply *r)
{
    r->connection = NULL;
}

void api_reply_full(struct api_reply *r, unsigned status, const char *content_type, const char *allow,
                    struct slice body)
{
    const struct http_header_text headers[] = {
        {"Content-Type", content_type},
        {"Cache-Control", "no-store"},
        {allow ? "Allow" : NULL, allow},
        {NULL, NULL},
    };
    struct api_connection *c = r->connection;
    struct buffer out = {0};
    int result = -ENOMEM;

    r->api->replies_owed--;
    if (c) {
        c->reply = NULL;
        http_write_response(&out, status, headers, body, r->keep_alive, r->head_only);
        if (!buffer_error(&out))
            result = net_stream_send_bytes(&c->stream, buffer_slice(&out));
        http_parser_reset(c->parser);
        if (result)
            net_stream_abort(&c->stream);
        else if (!r->keep_alive)
            net_stream_close(&c->stream);
        else
            loop_deadline_start(c->api->loop, &c->deadline, (uint64_t)c->api->config->timeout_ms);
        net_stream_resume(&c->stream);
        buffer_deinit(&out);
    }
    free(r);
}

void api_reply_json(struct api_reply *r, unsigned status, struct slice json)
{
    api_reply_full(r, status, "application/json", NULL, json);
}

void api_reply_text(struct api_reply *r, unsigned status, struct slice text)
{
    api_reply_full(r, status, "text/plain; charset=utf-8", NULL, text);
}

void api_reply_error(struct api_reply *r, unsigned status, const char *code, const char *message)
{
    struct buffer json = {0};
    struct json_writer w;

    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_name(&w, "error");
    json_write_object_begin(&w);
    json_write_member_text(&w, "code", code);
    json_write_member_text(&w, "message", message);
    json_write_object_end(&w);
    json_write_object_end(&w);
    if (buffer_error(&json))
        api_reply_json(r, status, SLICE_LITERAL("{\"error\":{\"code\":\"internal\",\"message\":\"out of memory\"}}"));
    else
        api_reply_json(r, status, buffer_slice(&json));
    buffer_deinit(&json);
}

void api_reply_result(struct api_reply *r, int result)
{
    switch (result) {
    case HUB_E_UNAVAILABLE:
        api_reply_error(r, 503, "unavailable",
                        "the broker or the store is away; nothing is known to have been delivered; try again");
        break;
    case HUB_E_BUSY:
        api_reply_error(r, 503, "busy", "too many messages are waiting for the broker; try again");
        break;
    case HUB_E_TOO_LARGE:
        api_reply_error(r, 413, "too_large", "data is larger than limits.message_bytes");
        break;
    case HUB_E_QUOTA:
        api_reply_error(r, 403, "quota", "a limit of the node is reached");
        break;
    case HUB_E_NO_LOG:
        api_reply_error(r, 409, "bad_request", "the channel is not sequenced, so it has no log");
        break;
    default:
        api_reply_error(r, 500, "internal", "out of memory");
        break;
    }
}

/** The same to a question, which delivers nothing. */
static void reply_unknown(struct api_reply *r, int result)
{
    if (result == HUB_E_UNAVAILABLE)
        api_reply_error(r, 503, "unavailable", "the store (Redis) is away, so this is not known; try again");
    else
        api_reply_result(r, result);
}

bool api_reply_begin(struct api_reply *r, int result, struct json_writer *w, struct buffer *json)
{
    if (result) {
        reply_unknown(r, result);
        return false;
    }
    json_writer_init(w, json);
    json_write_object_begin(w);
    return true;
}

void api_reply_finish(struct api_reply *r, struct buffer *json)
{
    if (buffer_error(json))
        api_reply_result(r, -ENOMEM);
    else
        api_reply_json(r, 200, buffer_slice(json));
    buffer_deinit(json);
}

bool api_query_limit(const struct api_request *request, struct api_reply *r, uint64_t *ret_limit)
{
    struct slice text = http_query_parameter(request->message->query, "limit", 0);
    uint64_t limit = 0;

    if (slice_is_set(text) && !slice_to_uint64(text, LIMIT_MAX, &limit)) {
        api_reply_error(r, 400, "bad_request", "limit: expected a number from 0 to 500");
        return false;
    }
    *ret_limit = limit;
    return true;
}
