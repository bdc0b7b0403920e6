/*
 * The json dialect, outwards. The order of members is part of the protocol's reference, so that people can read a
 * capture.
 *
 * Data goes out as it came in: JSON byte for byte, text as a string, anything else as base64. Epochs are strings, since
 * a number of 64 bits does not survive the doubles of JavaScript; offsets stay small enough to be numbers. Whatever the
 * message holds, what is written is valid JSON in valid UTF-8, for it leaves in a text frame (RFC 6455 section 5.6).
 */
#include "base/base64.h"
#include "base/utf8.h"
#include "proto/proto_internal.h"

#include <inttypes.h>
#include <stdio.h>

static void write_epoch(struct json_writer *w, uint64_t epoch)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, epoch);
    json_write_member_text(w, "epoch", text);
}

/** "epoch" and "offset"; nothing where there is no position. */
static void write_position(struct json_writer *w, struct proto_position position)
{
    if (position.epoch == 0)
        return;
    write_epoch(w, position.epoch);
    json_write_member_uint64(w, "offset", position.offset);
}

static void write_optional_string(struct json_writer *w, const char *name, struct slice s)
{
    if (slice_is_set(s))
        json_write_member_string(w, name, s);
}

/** A media type without its parameters. */
static bool is_type(struct slice content_type, struct slice wanted)
{
    struct slice rest = content_type, type;

    return slice_split(&rest, ';', &type) && slice_equal_nocase(slice_trim(type), wanted);
}

static void write_base64(struct json_writer *w, struct slice data)
{
    json_write_raw(w, SLICE_LITERAL("\"")); /* the alphabet needs no escape, so it is written where it belongs */
    base64_encode(data.data, data.size, w->out);
    buffer_append_char(w->out, '"');
}

static void write_data(struct json_writer *w, const struct message *message)
{
    struct slice type = message->content_type;

    json_write_name(w, "data");
    if (is_type(type, CONTENT_TYPE_JSON)) {
        json_write_raw(w, message->data.size ? message->data : SLICE_LITERAL("null"));
        return;
    }
    if (is_type(type, CONTENT_TYPE_TEXT) && utf8_is_valid(message->data)) {
        json_write_string(w, message->data);
        return;
    }
    write_base64(w, message->data);
    json_write_member_text(w, "encoding", "base64");
    if (type.size > 0 && !is_type(type, CONTENT_TYPE_OCTETS))
        json_write_member_string(w, "content_type", type);
}

/** Signals between nodes whose data reads, with the room, as an event. */
static const struct signal_row {
    const char *content_type;
    const char *event;
} signal_rows[] = {
    {PROTO_CONTENT_TYPE_ONLINE_TEXT, "online"},
    {PROTO_CONTENT_TYPE_LIKES_TEXT, "likes"},
};

/**
 * The event's name, and the inside of the signal's object. NULL if the message is no such signal: then its data is
 * another's business and travels as octets, for a back end may have sent it and nothing is spliced unseen.
 */
static const char *signal_event(const struct message *message, struct slice *ret_room, struct slice *ret_members)
{
    struct slice data = message->data, room;
    const char *event = NULL;
    struct json_reader r;
    struct json_value value;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(signal_rows) && message->kind == MESSAGE_KIND_SIGNAL; i++) {
        if (slice_equal_text(message->content_type, signal_rows[i].content_type))
            event = signal_rows[i].event;
    }
    if (!event || channel_parse(message->channel, &room) != CHANNEL_KIND_ROOM)
        return NULL;
    json_reader_init(&r, data, JSON_DEPTH_MAX);
    if (json_reader_value(&r, &value) != JSON_OK || json_reader_finish(&r) != JSON_OK || value.type != JSON_OBJECT)
        return NULL;
    *ret_members = slice_make(value.text.data + 1, value.text.size - 2);
    *ret_room = room;
    return event;
}

static void write_message_members(struct json_writer *w, const struct message *message)
{
    json_write_member_string(w, "channel", message->channel);
    write_position(w, (struct proto_position){message->epoch, message->offset});
    json_write_member_string(w, "id", message->id);
    write_optional_string(w, "from", message->from);
    json_write_member_int64(w, "time", message->time_ms);
    write_data(w, message);
}

static void write_message(struct json_writer *w, const struct message *message)
{
    struct slice room, members;
    const char *event = signal_event(message, &room, &members);

    if (event) {
        json_write_member_text(w, "event", event);
        json_write_member_string(w, "room", room);
        if (memchr(members.data, '"', members.size)) { /* not empty: it has a name */
            buffer_append_char(w->out, ',');
            buffer_append_slice(w->out, members);
        }
        return;
    }
    json_write_member_text(w, "event", "message");
    write_message_members(w, message);
}

static void write_messages(struct json_writer *w, struct message *const *messages, size_t count)
{
    json_write_name(w, "messages");
    json_write_array_begin(w);
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(w);
        write_message_members(w, messages[i]);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_history(struct json_writer *w, const struct proto_event *event)
{
    json_write_object_begin(w);
    write_messages(w, event->history.messages, event->history.count);
    json_write_member_bool(w, "more", event->history.has_more);
    json_write_object_end(w);
}

static void write_channel_state(struct json_writer *w, const struct proto_channel_state *state)
{
    json_write_object_begin(w);
    json_write_member_string(w, "channel", state->channel);
    write_position(w, state->position);
    json_write_member_bool(w, "recovered", state->recovered);
    if (state->has_online)
        json_write_member_uint64(w, "online", state->online);
    if (state->has_likes)
        json_write_member_uint64(w, "likes", state->likes);
    if (state->has_history)
        write_messages(w, state->messages, state->message_count);
    json_write_object_end(w);
}

static void write_welcome(struct json_writer *w, const struct proto_event *event)
{
    json_write_member_text(w, "event", "welcome");
    json_write_member_string(w, "session", event->welcome.session);
    write_optional_string(w, "user", event->welcome.user);
    json_write_member_string(w, "node", event->welcome.node);
    json_write_member_uint64(w, "heartbeat_s", event->welcome.heartbeat_s);
    json_write_name(w, "channels");
    json_write_array_begin(w);
    for (size_t i = 0; i < event->welcome.channel_count; i++)
        write_channel_state(w, &event->welcome.channels[i]);
    json_write_array_end(w);
}

static void write_online(struct json_writer *w, const struct proto_event *event)
{
    json_write_member_text(w, "event", "online");
    json_write_member_string(w, "room", event->online.room);
    proto_online_write_members(w, event);
}

static void write_reset(struct json_writer *w, const struct proto_event *event)
{
    json_write_member_text(w, "event", "reset");
    json_write_member_string(w, "channel", event->reset.channel);
    write_position(w, event->reset.position);
}

static void write_gap(struct json_writer *w, const struct proto_event *event)
{
    json_write_member_text(w, "event", "gap");
    json_write_member_string(w, "channel", event->gap.channel);
    write_epoch(w, event->gap.epoch);
    json_write_member_uint64(w, "from", event->gap.from);
    json_write_member_uint64(w, "to", event->gap.to);
}

static void write_goodbye(struct json_writer *w, const struct proto_event *event)
{
    json_write_member_text(w, "event", "goodbye");
    json_write_member_uint64(w, "code", event->goodbye.code);
    json_write_member_string(w, "reason", event->goodbye.reason);
    json_write_member_uint64(w, "retry_after_ms", event->goodbye.retry_after_ms);
}

void proto_json_write_error(struct json_writer *w, const struct proto_event *event)
{
    json_write_name(w, "error");
    json_write_object_begin(w);
    json_write_member_text(w, "code", proto_error_word(event->error.code));
    json_write_member_string(w, "message", event->error.message);
    if (event->error.retry_after_ms > 0)
        json_write_member_uint64(w, "retry_after_ms", event->error.retry_after_ms);
    json_write_object_end(w);
}

static void write_sent(struct json_writer *w, const struct proto_event *event)
{
    json_write_object_begin(w);
    json_write_member_string(w, "message", event->sent.message);
    write_position(w, event->sent.position);
    json_write_object_end(w);
}

static void write_online_page(struct json_writer *w, const struct proto_event *event)
{
    json_write_object_begin(w);
    json_write_member_uint64(w, "count", event->online_page.count);
    json_write_member_uint64(w, "connections", event->online_page.connections);
    json_write_name(w, "users");
    json_write_array_begin(w);
    for (size_t i = 0; i < event->online_page.user_count; i++)
        json_write_string(w, event->online_page.users[i]);
    json_write_array_end(w);
    write_optional_string(w, "next", event->online_page.next);
    json_write_object_end(w);
}

/** "ok" and its value. */
static void write_ok(struct json_writer *w, const struct proto_event *event)
{
    json_write_name(w, "ok");
    if (event->kind == PROTO_EVENT_OK_JOINED) {
        write_channel_state(w, &event->joined);
    } else if (event->kind == PROTO_EVENT_OK_SENT) {
        write_sent(w, event);
    } else if (event->kind == PROTO_EVENT_OK_ONLINE) {
        write_online_page(w, event);
    } else if (event->kind == PROTO_EVENT_OK_HISTORY) {
        write_history(w, event);
    } else {
        json_write_object_begin(w);
        json_write_object_end(w);
    }
}

void proto_json_encode(const struct proto_event *event, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    if (slice_is_set(event->id)) {
        json_write_name(&w, "id");
        json_write_raw(&w, event->id);
    }
    switch (event->kind) {
    case PROTO_EVENT_WELCOME:
        write_welcome(&w, event);
        break;
    case PROTO_EVENT_MESSAGE:
        write_message(&w, event->message);
        break;
    case PROTO_EVENT_ONLINE:
        write_online(&w, event);
        break;
    case PROTO_EVENT_RESET:
        write_reset(&w, event);
        break;
    case PROTO_EVENT_GAP:
        write_gap(&w, event);
        break;
    case PROTO_EVENT_GOODBYE:
        write_goodbye(&w, event);
        break;
    case PROTO_EVENT_ERROR:
        proto_json_write_error(&w, event);
        break;
    case PROTO_EVENT_OK:
    case PROTO_EVENT_OK_JOINED:
    case PROTO_EVENT_OK_SENT:
    case PROTO_EVENT_OK_ONLINE:
    case PROTO_EVENT_OK_HISTORY:
        write_ok(&w, event);
        break;
    }
    json_write_object_end(&w);
}

const struct proto_codec proto_codec_json = {
    .subprotocol = "warren.json.v1",
    .is_text = true,
    .decoder_init = proto_decoder_init,
    .decoder_next = proto_json_decoder_next,
    .decoder_deinit = proto_decoder_deinit,
    .encode = proto_json_encode,
};
