/*
 * What was said in a channel, from its log: GET /v1/rooms/{room}/messages, /v1/users/{user}/messages, /v1/broadcast.
 *
 * ?before=<epoch>:<offset> pages into the past; ?after=<epoch>:<offset> goes on from a position, so that who asks again
 * and again with the last one follows the channel. A message looks as it does to a client.
 */
#include "api/api_internal.h"
#include "base/base64.h"
#include "base/json.h"

#include <stdio.h>

static void write_data(struct json_writer *w, const struct message *m)
{
    base_cleanup(buffer_deinit)
    struct buffer text = {0};

    if (slice_equal(m->content_type, CONTENT_TYPE_JSON)) {
        json_write_name(w, "data");
        json_write_raw(w, m->data);
        return;
    }
    json_write_member_string(w, "content_type", m->content_type);
    if (slice_starts_with(m->content_type, SLICE_LITERAL("text/"))) {
        json_write_member_string(w, "data", m->data);
        return;
    }
    base64_encode(m->data.data, m->data.size, &text);
    if (buffer_error(&text))
        w->out->error = buffer_error(&text); /* which the end of the answer sees */
    json_write_member_text(w, "encoding", "base64");
    json_write_member_string(w, "data", buffer_slice(&text));
}

static void write_position(struct json_writer *w, uint64_t epoch, uint64_t offset)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)epoch);
    json_write_member_text(w, "epoch", text);
    json_write_member_uint64(w, "offset", offset);
}

static void write_message(struct json_writer *w, const struct message *m)
{
    json_write_object_begin(w);
    json_write_member_string(w, "channel", m->channel);
    write_position(w, m->epoch, m->offset);
    json_write_member_string(w, "id", m->id);
    if (slice_is_set(m->from))
        json_write_member_string(w, "from", m->from);
    json_write_member_int64(w, "time", m->time_ms);
    write_data(w, m);
    json_write_object_end(w);
}

static void on_history(void *userdata, int result, const struct hub_history *history)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    json_write_name(&w, "messages");
    json_write_array_begin(&w);
    for (size_t i = 0; i < history->count; i++)
        write_message(&w, history->messages[i]);
    json_write_array_end(&w);
    json_write_member_bool(&w, "more", history->has_more);
    json_write_name(&w, "last");
    if (history->last_epoch) {
        json_write_object_begin(&w);
        write_position(&w, history->last_epoch, history->last_offset);
        json_write_object_end(&w);
    } else {
        json_write_null(&w);
    }
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

/** "<epoch>:<offset>"; the colon may be escaped. */
static bool parse_position(struct slice raw, struct hub_since *ret_position)
{
    base_cleanup(buffer_deinit)
    struct buffer text = BUFFER_WITH_LIMIT(64);
    struct slice rest, epoch;
    struct hub_since position = {.is_set = true};

    if (!http_percent_decode(raw, true, &text) || buffer_error(&text))
        return false;
    rest = buffer_slice(&text);
    if (!slice_split(&rest, ':', &epoch) || !slice_is_set(rest) ||
        !slice_to_uint64(epoch, INT64_MAX, &position.epoch) || !slice_to_uint64(rest, INT64_MAX, &position.offset))
        return false;
    *ret_position = position;
    return true;
}

static void get_history(struct api *a, enum channel_kind kind, const struct api_request *request,
                        struct api_reply *reply)
{
    struct slice before = http_query_parameter(request->message->query, "before", 0);
    struct slice after = http_query_parameter(request->message->query, "after", 0);
    char storage[CHANNEL_MAX_BYTES];
    struct hub_history_read read = {
        .channel = kind == CHANNEL_KIND_ALL ? CHANNEL_ALL : channel_format(kind, request->name, storage),
        .is_forwards = slice_is_set(after),
    };
    int result = 0;

    if (!api_query_limit(request, reply, &read.limit))
        return;
    if (slice_is_set(before) && slice_is_set(after))
        api_reply_error(reply, 400, "bad_request", "expected one of before and after");
    else if (slice_is_set(before) && !parse_position(before, &read.at))
        api_reply_error(reply, 400, "bad_request", "before: expected <epoch>:<offset>");
    else if (slice_is_set(after) && !parse_position(after, &read.at))
        api_reply_error(reply, 400, "bad_request", "after: expected <epoch>:<offset>");
    else
        result = hub_port_history(a->port, &read, on_history, reply);
    if (result)
        api_reply_result(reply, result);
}

void api_get_room_messages(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    get_history(a, CHANNEL_KIND_ROOM, request, reply);
}

void api_get_user_messages(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    get_history(a, CHANNEL_KIND_USER, request, reply);
}

void api_get_broadcast(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    get_history(a, CHANNEL_KIND_ALL, request, reply);
}
