/*
 * What back ends write, JSON or msgpack maps: each item becomes a set of known members (unknown ones are ignored), then
 * a message.
 *
 * The same rules hold for both formats, so only the taking apart differs. Decoded texts are collected in the reader's
 * scratch, which may move while it grows: until the end they are remembered as offsets.
 *
 * eventType 1 carries the whole item as data and eventType 2 the value of "message" (a string as plain text): what
 * listeners of those systems have always been given.
 */
#include "base/name.h"
#include "base/random.h"
#include "base/utf8.h"
#include "bus/body_internal.h"
#include "bus/envelope_internal.h"

#include <stdio.h>

const char *const foreign_names[FOREIGN_MEMBERS] = {
    [FOREIGN_ROOM] = "room",
    [FOREIGN_USER] = "user",
    [FOREIGN_BROADCAST] = "broadcast",
    [FOREIGN_DATA] = "data",
    [FOREIGN_FROM] = "from",
    [FOREIGN_KEY] = "key",
    [FOREIGN_CONTENT_TYPE] = "content_type",
    [FOREIGN_ID] = "id",
    [FOREIGN_EVENT_TYPE] = "eventType",
    [FOREIGN_SESSION_KEY] = "sessionKey",
    [FOREIGN_MESSAGE] = "message",
};

/** A part of the scratch. */
struct text {
    size_t offset;
    size_t size;
};

struct resolver {
    struct bus_reader *reader;
    const struct foreign_item *item;
    struct text channel;
    struct text from;
    struct text data;
    struct text content_type;
    struct slice raw_data;     /* set: the data lies in the body */
    struct slice literal_type; /* set: the content type is one of ours */
    bool has_from;
};

static bool is_given(const struct foreign_value *v)
{
    return v->kind != FOREIGN_ABSENT && v->kind != FOREIGN_NULL;
}

static const struct foreign_value *member(const struct resolver *s, enum foreign_member which)
{
    return &s->item->members[which];
}

static struct slice text_slice(const struct resolver *s, struct text t)
{
    return slice_make(buffer_slice(&s->reader->scratch).data + t.offset, t.size);
}

/** Appends @prefix and a string or integer. false: the value is neither. */
static bool append_text(struct resolver *s, const char *prefix, const struct foreign_value *v, struct text *ret_text)
{
    struct buffer *scratch = &s->reader->scratch;
    size_t begin = scratch->size;

    buffer_append_text(scratch, prefix);
    if (v->kind == FOREIGN_INTEGER)
        buffer_append_int64(scratch, v->integer);
    else if (v->kind == FOREIGN_STRING && s->item->is_json)
        json_string_decode(v->text, scratch);
    else if (v->kind == FOREIGN_STRING)
        buffer_append_slice(scratch, v->text);
    else
        return false;
    *ret_text = (struct text){begin, scratch->size - begin};
    return true;
}

/* ---- where to ---- */

static const char *set_channel(struct resolver *s, const char *prefix, const struct foreign_value *name)
{
    if (!append_text(s, prefix, name, &s->channel))
        return "room and user are strings or integers";
    return envelope_channel_check(text_slice(s, s->channel));
}

static void set_channel_slice(struct resolver *s, struct slice channel)
{
    s->channel = (struct text){s->reader->scratch.size, channel.size};
    buffer_append_slice(&s->reader->scratch, channel);
}

static const char *resolve_address(struct resolver *s)
{
    const struct foreign_value *room = member(s, FOREIGN_ROOM), *user = member(s, FOREIGN_USER);
    const struct foreign_value *broadcast = member(s, FOREIGN_BROADCAST);
    struct slice routing_key = s->reader->delivery->routing_key;
    bool to_all = broadcast->kind == FOREIGN_BOOL && broadcast->boolean;

    if (is_given(broadcast) && broadcast->kind != FOREIGN_BOOL)
        return "broadcast is true or false";
    if (is_given(room) + is_given(user) + to_all > 1)
        return "more than one of room, user and broadcast";
    if (is_given(room))
        return set_channel(s, "room:", room);
    if (is_given(user))
        return set_channel(s, "user:", user);
    if (!to_all && !slice_is_set(routing_key))
        return "no room, user or broadcast";
    if (!to_all && envelope_channel_check(routing_key))
        return "no room, user or broadcast, and the routing key is no channel";
    set_channel_slice(s, to_all ? CHANNEL_ALL : routing_key);
    return NULL;
}

/* ---- what ---- */

/** A value as JSON: as it stands, or turned into it. */
static const char *set_json(struct resolver *s, struct slice raw)
{
    struct buffer *scratch = &s->reader->scratch;
    const char *error;

    s->literal_type = CONTENT_TYPE_JSON;
    if (s->item->is_json) {
        s->raw_data = raw;
        return NULL;
    }
    s->data.offset = scratch->size;
    error = body_msgpack_to_json(raw, scratch);
    s->data.size = scratch->size - s->data.offset;
    return error;
}

/** Octets that are said to be JSON. */
static const char *set_json_octets(struct resolver *s, struct slice octets)
{
    const char *error;

    s->literal_type = CONTENT_TYPE_JSON;
    s->raw_data = octets;
    return json_validate(octets, JSON_DEPTH_MAX, &error, NULL) ? error : NULL;
}

static const char *set_string(struct resolver *s, const struct foreign_value *v)
{
    s->literal_type = CONTENT_TYPE_TEXT;
    (void)append_text(s, "", v, &s->data);
    return utf8_is_valid(text_slice(s, s->data)) ? NULL : "text that is not UTF-8";
}

static bool is_json_type(struct slice type)
{
    struct slice rest = type, name;

    return slice_split(&rest, ';', &name) && slice_equal_nocase(slice_trim(name), CONTENT_TYPE_JSON);
}

/** The content type was told: a string's text is the data, whatever the type; octets are octets. */
static const char *set_typed(struct resolver *s, const struct foreign_value *data)
{
    struct slice type;

    if (data->kind == FOREIGN_BINARY)
        s->raw_data = data->text;
    else if (data->kind != FOREIGN_STRING || !append_text(s, "", data, &s->data))
        return "with this content_type, data is a string";
    type = text_slice(s, s->content_type);
    if (envelope_content_type_is_text(type) &&
        !utf8_is_valid(slice_is_set(s->raw_data) ? s->raw_data : text_slice(s, s->data)))
        return "text that is not UTF-8";
    return NULL;
}

static const char *resolve_data(struct resolver *s)
{
    const struct foreign_value *data = member(s, FOREIGN_DATA), *type = member(s, FOREIGN_CONTENT_TYPE);
    struct slice name;

    if (data->kind == FOREIGN_ABSENT)
        return "no data";
    if (is_given(type)) {
        if (type->kind != FOREIGN_STRING || !append_text(s, "", type, &s->content_type))
            return "content_type is a string";
        name = text_slice(s, s->content_type);
        if (!envelope_content_type_is_good(name))
            return "the content_type is none";
        if (!is_json_type(name))
            return set_typed(s, data);
        return data->kind == FOREIGN_BINARY ? set_json_octets(s, data->text) : set_json(s, data->raw);
    }
    if (!s->item->is_json && data->kind == FOREIGN_STRING)
        return set_string(s, data);
    if (!s->item->is_json && data->kind == FOREIGN_BINARY) {
        s->literal_type = CONTENT_TYPE_OCTETS;
        s->raw_data = data->text;
        return NULL;
    }
    return set_json(s, data->raw);
}

/** {"eventType":1|2,…}: the address and the data in one. */
static const char *resolve_event(struct resolver *s)
{
    const struct foreign_value *type = member(s, FOREIGN_EVENT_TYPE), *message = member(s, FOREIGN_MESSAGE);
    const struct foreign_value *key = member(s, FOREIGN_SESSION_KEY);
    const char *error;

    if (type->kind != FOREIGN_INTEGER || (type->integer != 1 && type->integer != 2))
        return "eventType is 1 or 2";
    if (!is_given(message) || (message->kind == FOREIGN_STRING && message->text.size == 0))
        return "an empty message";
    if (type->integer == 1) {
        set_channel_slice(s, CHANNEL_ALL);
        return set_json(s, s->item->raw);
    }
    if (!is_given(key))
        return "eventType 2 without sessionKey";
    error = set_channel(s, "user:", key);
    if (error)
        return error;
    return message->kind == FOREIGN_STRING ? set_string(s, message) : set_json(s, message->raw);
}

/* ---- who, and which ---- */

static const char *resolve_from(struct resolver *s)
{
    const struct foreign_value *from = member(s, FOREIGN_FROM);

    if (!is_given(from))
        return NULL;
    s->has_from = true;
    if (!append_text(s, "", from, &s->from) || name_check(text_slice(s, s->from)))
        return "the sender's name is none";
    return NULL;
}

/** Writes the id into the reader. *ret_stable: whether a copy of this message would get the same one. */
static const char *resolve_id(struct resolver *s, bool *ret_stable)
{
    struct bus_reader *r = s->reader;
    const struct foreign_value *id = member(s, FOREIGN_ID), *key = member(s, FOREIGN_KEY);
    struct slice message_id = r->delivery->message_id, name;
    struct text text;

    *ret_stable = true;
    if (is_given(id)) {
        if (!append_text(s, "", id, &text) || !envelope_id_is_good(text_slice(s, text)))
            return "the id is none";
        name = text_slice(s, text);
        (void)snprintf(r->id, sizeof(r->id), "%.*s", SLICE_PRINTF(name));
        return NULL;
    }
    if (is_given(key) && (!append_text(s, "", key, &text) || name_check(text_slice(s, text))))
        return "the key is none";
    if (envelope_id_is_good(message_id) && r->index == 0) {
        (void)snprintf(r->id, sizeof(r->id), "%.*s", SLICE_PRINTF(message_id));
    } else if (envelope_id_is_good(message_id)) {
        (void)snprintf(r->id, sizeof(r->id), "%.*s#%zu", SLICE_PRINTF(message_id), r->index);
    } else if (is_given(key)) {
        struct slice channel = text_slice(s, s->channel);

        name = text_slice(s, text);
        (void)snprintf(r->id, sizeof(r->id), "%.*s/%.*s", SLICE_PRINTF(channel), SLICE_PRINTF(name));
    } else {
        id_generate(r->id);
        *ret_stable = false;
    }
    return NULL;
}

const char *foreign_resolve(struct bus_reader *r, const struct foreign_item *item, struct message *ret_fields)
{
    struct resolver s = {.reader = r, .item = item};
    bool is_addressed = is_given(&item->members[FOREIGN_ROOM]) || is_given(&item->members[FOREIGN_USER]) ||
                        is_given(&item->members[FOREIGN_BROADCAST]);
    bool is_event = is_given(&item->members[FOREIGN_EVENT_TYPE]) && !is_addressed;
    const char *error;
    bool is_stable;

    error = is_event ? resolve_event(&s) : resolve_address(&s);
    if (!error && !is_event)
        error = resolve_data(&s);
    if (!error)
        error = resolve_from(&s);
    if (!error)
        error = resolve_id(&s, &is_stable);
    if (error)
        return error;
    *ret_fields = (struct message){
        .kind = MESSAGE_KIND_MESSAGE,
        .has_stable_id = is_stable,
        .channel = text_slice(&s, s.channel),
        .id = slice_from(r->id),
        .time_ms = r->delivery->time_ms,
        .from = s.has_from ? text_slice(&s, s.from) : SLICE_NONE,
        .content_type = slice_is_set(s.literal_type) ? s.literal_type : text_slice(&s, s.content_type),
        .data = slice_is_set(s.raw_data) ? s.raw_data : text_slice(&s, s.data),
    };
    return ret_fields->data.size > r->max_data_bytes ? "the data is too large" : NULL;
}
