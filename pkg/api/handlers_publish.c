/*
 * Publishing over HTTP. 202 means: with the broker, confirmed. A retry with the same "key" (and "from") publishes once.
 */
#include "api/api_internal.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** One publication under way; for a user's message also the question how many sessions hear it. */
struct publishing {
    struct api *api;
    struct api_reply *reply;
    bool wants_sessions;
    char user[NAME_MAX_BYTES];
    size_t user_size;
    char message_id[512];
    size_t message_id_size;
    uint64_t epoch, offset;
};

static void write_accepted(struct publishing *p, bool has_sessions, uint64_t sessions)
{
    struct buffer json = {0};
    struct json_writer w;

    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_member_string(&w, "message", slice_make(p->message_id, p->message_id_size));
    if (p->epoch) {
        char epoch[24];

        (void)snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)p->epoch);
        json_write_member_text(&w, "epoch", epoch);
        json_write_member_uint64(&w, "offset", p->offset);
    }
    if (has_sessions)
        json_write_member_uint64(&w, "sessions", sessions);
    json_write_object_end(&w);
    if (buffer_error(&json))
        api_reply_result(p->reply, -ENOMEM);
    else
        api_reply_json(p->reply, 202, buffer_slice(&json));
    buffer_deinit(&json);
    free(p);
}

/** The message is out already, so an unknown number of sessions is left out rather than told as an error. */
static void on_sessions(void *userdata, int result, const struct store_session *sessions base_unused, size_t count)
{
    write_accepted(userdata, result == 0, count);
}

static void on_published(void *userdata, int result, const struct hub_published *published)
{
    struct publishing *p = userdata;

    if (result) {
        api_reply_result(p->reply, result);
        free(p);
        return;
    }
    metrics_add(p->api->cells, API_PUBLISHED, 1);
    p->message_id_size =
        published->message_id.size < sizeof(p->message_id) ? published->message_id.size : sizeof(p->message_id);
    memcpy(p->message_id, published->message_id.data, p->message_id_size);
    p->epoch = published->epoch;
    p->offset = published->offset;
    if (p->wants_sessions && hub_port_user(p->api->port, slice_make(p->user, p->user_size), on_sessions, p) == 0)
        return;
    write_accepted(p, false, 0);
}

static void publish(struct api *a, enum channel_kind kind, struct slice name, struct slice from,
                    const struct hub_send *send, struct api_reply *reply)
{
    char storage[CHANNEL_MAX_BYTES];
    struct publishing *p = calloc(1, sizeof(*p));
    struct slice channel = kind == CHANNEL_KIND_ALL ? CHANNEL_ALL : channel_format(kind, name, storage);
    int result = -ENOMEM;

    if (p) {
        *p = (struct publishing){
            .api = a, .reply = reply, .wants_sessions = kind == CHANNEL_KIND_USER, .user_size = name.size};
        if (name.size)
            memcpy(p->user, name.data, name.size);
        result = hub_port_publish(a->port, channel, from, send, on_published, p);
    }
    if (result) {
        free(p);
        api_reply_result(reply, result);
    }
}

/* ---- {"data":…,"key":…,"from":…} ---- */

struct body {
    struct hub_send send;
    struct slice from;
    struct buffer key, from_text, content_type, text;
};

static void body_deinit(struct body *b)
{
    buffer_deinit(&b->key);
    buffer_deinit(&b->from_text);
    buffer_deinit(&b->content_type);
    buffer_deinit(&b->text);
}

static const char *take_text(struct json_value value, struct buffer *into, const char *fault)
{
    if (value.type != JSON_STRING)
        return fault;
    buffer_reset(into, 0);
    json_string_decode(json_string_raw(value), into);
    return buffer_error(into) || into->size == 0 ? fault : NULL;
}

static const char *take_member(struct body *b, struct slice name, struct json_value value)
{
    if (json_string_equal(name, "data")) {
        if (slice_is_set(b->send.data))
            return "\"data\" stands twice";
        b->send.data = value.text;
    } else if (json_string_equal(name, "key")) {
        return take_text(value, &b->key, "\"key\": expected a string of 1 to 128 bytes");
    } else if (json_string_equal(name, "from")) {
        const char *fault = take_text(value, &b->from_text, "\"from\": expected a name");

        return fault ? fault : name_check(buffer_slice(&b->from_text)) ? "\"from\": expected a name" : NULL;
    } else if (json_string_equal(name, "content_type")) {
        return take_text(value, &b->content_type, "\"content_type\": expected a string of 1 to 128 bytes");
    }
    return NULL;
}

/** With a content type other than JSON's, data must be a string, and its text is what is sent. */
static const char *apply_content_type(struct body *b)
{
    struct json_value value = {JSON_STRING, b->send.data};

    b->send.content_type = CONTENT_TYPE_JSON;
    if (b->content_type.size == 0 || slice_equal(buffer_slice(&b->content_type), CONTENT_TYPE_JSON))
        return NULL;
    if (b->send.data.data[0] != '"')
        return "\"data\": expected a string, because \"content_type\" is not application/json";
    json_string_decode(json_string_raw(value), &b->text);
    b->send.content_type = buffer_slice(&b->content_type);
    b->send.data = buffer_slice(&b->text);
    return NULL;
}

/** NULL, or what is wrong, in @storage or static. */
static const char *read_body(struct slice text, struct body *b, char storage[200])
{
    struct json_reader reader;
    struct json_value value;
    struct slice name;
    const char *fault = NULL;
    int result;

    *b = (struct body){.key = BUFFER_WITH_LIMIT(128),
                       .from_text = BUFFER_WITH_LIMIT(NAME_MAX_BYTES),
                       .content_type = BUFFER_WITH_LIMIT(128)};
    b->send.kind = MESSAGE_KIND_MESSAGE;
    json_reader_init(&reader, text, 32);
    result = json_reader_enter_object(&reader);
    while (!result && !fault && (result = json_reader_member(&reader, &name, &value)) == JSON_OK)
        fault = take_member(b, name, value);
    if (fault)
        return fault;
    if (result == JSON_END)
        result = json_reader_finish(&reader);
    if (result) {
        (void)snprintf(storage, 200, "%s at byte %zu", reader.error, reader.error_offset);
        return storage;
    }
    if (!slice_is_set(b->send.data))
        return "expected {\"data\":…} with an optional \"key\", \"from\" and \"content_type\"";
    if (b->key.size)
        b->send.key = buffer_slice(&b->key);
    if (b->from_text.size)
        b->from = buffer_slice(&b->from_text);
    return apply_content_type(b);
}

static void post_message(struct api *a, enum channel_kind kind, const struct api_request *request,
                         struct api_reply *reply)
{
    char storage[200];
    struct body body;
    const char *fault = read_body(request->message->body, &body, storage);

    if (fault)
        api_reply_error(reply, 400, "bad_request", fault);
    else
        publish(a, kind, request->name, body.from, &body.send, reply);
    body_deinit(&body);
}

void api_post_room_message(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    post_message(a, CHANNEL_KIND_ROOM, request, reply);
}

void api_post_user_message(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    post_message(a, CHANNEL_KIND_USER, request, reply);
}

void api_post_broadcast(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    post_message(a, CHANNEL_KIND_ALL, request, reply);
}

/** The short form: the body is the data. JSON if it says so or says nothing and is; text if it says so or is UTF-8;
 * else octets. */
void api_post_push(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct slice type = http_message_header(request->message, "Content-Type"), rest = type, essence = SLICE_NONE;
    struct hub_send send = {.kind = MESSAGE_KIND_MESSAGE, .data = request->message->body};
    const char *fault;
    size_t offset;
    bool is_json, says_json;

    if (slice_is_set(type) && slice_split(&rest, ';', &essence))
        essence = slice_trim(essence);
    says_json = slice_equal_nocase(essence, CONTENT_TYPE_JSON);
    if (send.data.size == 0) {
        api_reply_error(reply, 400, "bad_request", "the body is the message, and it is empty");
        return;
    }
    is_json = json_validate(send.data, 32, &fault, &offset) == JSON_OK;
    if (says_json && !is_json) {
        char sentence[200];

        (void)snprintf(sentence, sizeof(sentence), "%s at byte %zu", fault, offset);
        api_reply_error(reply, 400, "bad_json", sentence);
        return;
    }
    /* curl -d says application/x-www-form-urlencoded when it is told nothing: that is saying nothing */
    if (!slice_is_set(essence) || slice_equal_nocase(essence, SLICE_LITERAL("application/x-www-form-urlencoded")))
        send.content_type = is_json                    ? CONTENT_TYPE_JSON
                            : utf8_is_valid(send.data) ? CONTENT_TYPE_TEXT
                                                       : CONTENT_TYPE_OCTETS;
    else
        send.content_type = says_json ? CONTENT_TYPE_JSON : essence;
    if (send.content_type.size > 128) {
        api_reply_error(reply, 400, "bad_request", "Content-Type is longer than 128 bytes");
        return;
    }
    publish(a, CHANNEL_KIND_USER, request->name, SLICE_NONE, &send, reply);
}
