/*
 * The live dialect, outwards: what old clients of live commerce expect, a number saying what an object is.
 *
 *     {"messageType":4,"textMessage":"…","avatar":"…","fromusername":"…"}     said by somebody
 *     {"messageType":1,"username":"…"}  {"messageType":2,"username":"…"}      came, went
 *     {"messageType":3,"usernames":["…"]}                                     who is there
 *     {"messageType":5,"onlineNumber":17}  {"messageType":6,"zanNumber":99}   how many are, how many likes
 *     {"messageType":0,"error":{"code":"…","message":"…"}}                    refused; old clients pass it over
 *
 * These clients take one object a frame, and one event may be several objects: they are separated by NUL bytes, which
 * no JSON text has. What the dialect has no word for is not told: then nothing is written.
 */
#include "base/utf8.h"
#include "proto/proto_internal.h"

enum live_type {
    LIVE_ERROR = 0,
    LIVE_CAME = 1,
    LIVE_WENT = 2,
    LIVE_WHO = 3,
    LIVE_TEXT = 4,
    LIVE_ONLINE = 5,
    LIVE_LIKES = 6,
};

/** Names of one event at most, came and went together; beyond, the count says it. */
#define NAMES_MAX 20

static void object_begin(struct json_writer *w, struct buffer *out, size_t start, enum live_type type)
{
    if (out->size > start)
        buffer_append_char(out, '\0');
    json_writer_init(w, out);
    json_write_object_begin(w);
    json_write_member_int64(w, "messageType", type);
}

static void write_name(struct buffer *out, size_t start, enum live_type type, struct slice name)
{
    struct json_writer w;

    object_begin(&w, out, start, type);
    json_write_member_string(&w, "username", name);
    json_write_object_end(&w);
}

static void write_number(struct buffer *out, size_t start, enum live_type type, const char *member, uint64_t number)
{
    struct json_writer w;

    object_begin(&w, out, start, type);
    json_write_member_uint64(&w, member, number);
    json_write_object_end(&w);
}

/* ---- signals, whose data is JSON of another node ---- */

/** The first @limit strings of an array, each as one object. Returns how many. */
static size_t write_names(struct buffer *out, size_t start, enum live_type type, struct slice array, size_t limit)
{
    struct json_reader r;
    struct json_value value;
    size_t count = 0;

    json_reader_init(&r, array, JSON_DEPTH_MAX);
    if (json_reader_enter_array(&r) != JSON_OK)
        return 0;
    while (count < limit && json_reader_element(&r, &value) == JSON_OK) {
        struct json_writer w;

        if (value.type != JSON_STRING)
            continue;
        object_begin(&w, out, start, type);
        json_write_name(&w, "username");
        json_write_raw(&w, value.text);
        json_write_object_end(&w);
        count++;
    }
    return count;
}

static void write_online_signal(struct slice data, struct buffer *out, size_t start)
{
    struct slice joined = SLICE_NONE, left = SLICE_NONE, name;
    struct json_reader r;
    struct json_value value;
    int64_t count = -1;
    size_t named = 0;

    json_reader_init(&r, data, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&r) != JSON_OK)
        return;
    while (json_reader_member(&r, &name, &value) == JSON_OK) {
        if (json_string_equal(name, "joined") && value.type == JSON_ARRAY)
            joined = value.text;
        else if (json_string_equal(name, "left") && value.type == JSON_ARRAY)
            left = value.text;
        else if (json_string_equal(name, "count") && !json_number_int64(value, 0, INT64_MAX, &count))
            return;
    }
    if (slice_is_set(joined))
        named = write_names(out, start, LIVE_CAME, joined, NAMES_MAX);
    if (slice_is_set(left))
        write_names(out, start, LIVE_WENT, left, NAMES_MAX - named);
    if (count >= 0)
        write_number(out, start, LIVE_ONLINE, "onlineNumber", (uint64_t)count);
}

static void write_likes_signal(struct slice data, struct buffer *out, size_t start)
{
    struct json_reader r;
    struct json_value value;
    struct slice name;
    int64_t total;

    json_reader_init(&r, data, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&r) != JSON_OK)
        return;
    while (json_reader_member(&r, &name, &value) == JSON_OK)
        if (json_string_equal(name, "total") && json_number_int64(value, 0, INT64_MAX, &total)) {
            write_number(out, start, LIVE_LIKES, "zanNumber", (uint64_t)total);
            return;
        }
}

/* ---- messages ---- */

/** What is said in it, as this dialect's clients and others say it. */
struct said {
    struct slice text;   /* a JSON string, raw with its quotes; not set: @plain */
    struct slice plain;  /* text that is to be written as a string */
    struct slice avatar; /* a JSON string, raw; not set: none */
};

static bool read_object(struct slice data, struct said *said)
{
    struct json_reader r;
    struct json_value value;
    struct slice name;

    json_reader_init(&r, data, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&r) != JSON_OK)
        return false;
    while (json_reader_member(&r, &name, &value) == JSON_OK) {
        if (value.type != JSON_STRING)
            continue;
        if (json_string_equal(name, "message") || json_string_equal(name, "textMessage") ||
            json_string_equal(name, "text"))
            said->text = value.text;
        else if (json_string_equal(name, "avatar"))
            said->avatar = value.text;
    }
    return slice_is_set(said->text);
}

/** false: it cannot be told as text. */
static bool read_said(const struct message *m, struct said *said)
{
    struct json_reader r;
    enum json_type type;

    if (slice_equal(m->content_type, CONTENT_TYPE_TEXT) && utf8_is_valid(m->data)) {
        said->plain = m->data;
        return true;
    }
    if (!slice_equal(m->content_type, CONTENT_TYPE_JSON))
        return false;
    json_reader_init(&r, m->data, JSON_DEPTH_MAX);
    if (json_reader_peek(&r, &type) != JSON_OK)
        return false;
    if (type == JSON_STRING)
        said->text = slice_trim(m->data);
    else if (type != JSON_OBJECT || !read_object(m->data, said))
        said->plain = m->data;
    return true;
}

static void write_said(const struct message *m, struct buffer *out, size_t start)
{
    struct said said = {0};
    struct json_writer w;

    if (!read_said(m, &said))
        return;
    object_begin(&w, out, start, LIVE_TEXT);
    json_write_name(&w, "textMessage");
    if (slice_is_set(said.text))
        json_write_raw(&w, said.text);
    else
        json_write_string(&w, said.plain);
    json_write_name(&w, "avatar");
    json_write_raw(&w, slice_is_set(said.avatar) ? said.avatar : SLICE_LITERAL("\"\""));
    json_write_member_string(&w, "fromusername", slice_is_set(m->from) ? m->from : SLICE_LITERAL(""));
    json_write_object_end(&w);
}

static void write_message(const struct message *m, struct buffer *out, size_t start)
{
    if (m->kind == MESSAGE_KIND_MESSAGE)
        write_said(m, out, start);
    else if (slice_equal(m->content_type, PROTO_CONTENT_TYPE_ONLINE))
        write_online_signal(m->data, out, start);
    else if (slice_equal(m->content_type, PROTO_CONTENT_TYPE_LIKES))
        write_likes_signal(m->data, out, start);
}

/* ---- the rest ---- */

static void write_online(const struct proto_event *event, struct buffer *out, size_t start)
{
    size_t named = 0;

    for (size_t i = 0; i < event->online.joined_count && named < NAMES_MAX; i++, named++)
        write_name(out, start, LIVE_CAME, event->online.joined[i]);
    for (size_t i = 0; i < event->online.left_count && named < NAMES_MAX; i++, named++)
        write_name(out, start, LIVE_WENT, event->online.left[i]);
    write_number(out, start, LIVE_ONLINE, "onlineNumber", event->online.count);
}

static void write_who(const struct proto_event *event, struct buffer *out, size_t start)
{
    struct json_writer w;

    object_begin(&w, out, start, LIVE_WHO);
    json_write_name(&w, "usernames");
    json_write_array_begin(&w);
    for (size_t i = 0; i < event->online_page.user_count; i++)
        json_write_string(&w, event->online_page.users[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
}

/** What a newcomer is told of the room. */
static void write_state(const struct proto_channel_state *state, struct buffer *out, size_t start)
{
    if (state->has_likes)
        write_number(out, start, LIVE_LIKES, "zanNumber", state->likes);
    if (state->has_online)
        write_number(out, start, LIVE_ONLINE, "onlineNumber", state->online);
    for (size_t i = 0; i < state->message_count; i++)
        write_message(state->messages[i], out, start);
}

static void write_error(const struct proto_event *event, struct buffer *out, size_t start)
{
    struct json_writer w;

    object_begin(&w, out, start, LIVE_ERROR);
    proto_json_write_error(&w, event);
    json_write_object_end(&w);
}

void proto_live_encode(const struct proto_event *event, struct buffer *out)
{
    size_t start = out->size;

    switch (event->kind) {
    case PROTO_EVENT_MESSAGE:
        write_message(event->message, out, start);
        break;
    case PROTO_EVENT_ONLINE:
        write_online(event, out, start);
        break;
    case PROTO_EVENT_OK_ONLINE:
        write_who(event, out, start);
        break;
    case PROTO_EVENT_ERROR:
        write_error(event, out, start);
        break;
    case PROTO_EVENT_WELCOME:
        for (size_t i = 0; i < event->welcome.channel_count; i++)
            write_state(&event->welcome.channels[i], out, start);
        break;
    case PROTO_EVENT_OK_JOINED:
        write_state(&event->joined, out, start);
        break;
    case PROTO_EVENT_RESET:
    case PROTO_EVENT_GAP:
    case PROTO_EVENT_GOODBYE:
    case PROTO_EVENT_OK:
    case PROTO_EVENT_OK_SENT:
    case PROTO_EVENT_OK_HISTORY:
        break;
    }
}
