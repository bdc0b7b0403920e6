/*
 * One envelope: [channel, kind, id, time_ms, from|nil, content_type, data bin, epoch|nil, offset|nil, meta map|nil, …].
 *
 * Written by msgpack-c's packer into a buffer, read by a cursor (see there why). The channel stands first so that a
 * node can tell from a few bytes whether anybody here listens. Later versions may append elements: a reader skips what
 * it does not know.
 */
#include "base/name.h"
#include "base/utf8.h"
#include "bus/body.h"
#include "bus/envelope_internal.h"

#include <msgpack.h>

const char *envelope_channel_check(struct slice channel)
{
    return channel_parse(channel, NULL) == CHANNEL_KIND_NONE ? "the channel's name is none" : NULL;
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];

        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

bool envelope_id_is_good(struct slice id)
{
    return id.size > 0 && id.size <= ENVELOPE_ID_MAX_BYTES && !has_control(id) && utf8_is_valid(id);
}

bool envelope_content_type_is_good(struct slice type)
{
    if (type.size == 0 || type.size > ENVELOPE_CONTENT_TYPE_MAX_BYTES || has_control(type))
        return false;
    for (size_t i = 0; i < type.size; i++) {
        if ((unsigned char)type.data[i] > 0x7e)
            return false;
    }
    return true;
}

bool envelope_content_type_is_text(struct slice type)
{
    return slice_starts_with(type, SLICE_LITERAL("text/")) || slice_starts_with(type, CONTENT_TYPE_JSON);
}

/* ---- reading ---- */

static bool read_string(struct cursor *c, struct slice *ret_text)
{
    struct cursor_value v;

    if (!cursor_next(c, &v) || v.type != CURSOR_STRING)
        return false;
    *ret_text = v.bytes;
    return true;
}

/** A string or nil (then SLICE_NONE). */
static bool read_optional_string(struct cursor *c, struct slice *ret_text)
{
    struct cursor_value v;

    if (!cursor_next(c, &v) || (v.type != CURSOR_STRING && v.type != CURSOR_NIL))
        return false;
    *ret_text = v.type == CURSOR_NIL ? SLICE_NONE : v.bytes;
    return true;
}

static bool read_unsigned(struct cursor *c, uint64_t *ret_value)
{
    struct cursor_value v;

    if (!cursor_next(c, &v) || v.type != CURSOR_UNSIGNED)
        return false;
    *ret_value = v.unsigned_integer;
    return true;
}

/** A number or nil (then 0). */
static bool read_optional_unsigned(struct cursor *c, uint64_t *ret_value)
{
    struct cursor_value v;

    if (!cursor_next(c, &v) || (v.type != CURSOR_UNSIGNED && v.type != CURSOR_NIL))
        return false;
    *ret_value = v.type == CURSOR_NIL ? 0 : v.unsigned_integer;
    return true;
}

static bool read_binary(struct cursor *c, struct slice *ret_data)
{
    struct cursor_value v;

    if (!cursor_next(c, &v) || v.type != CURSOR_BINARY)
        return false;
    *ret_data = v.bytes;
    return true;
}

/** A map, kept as its bytes, or nil. */
static bool read_meta(struct cursor *c, struct slice *ret_meta)
{
    size_t begin = c->offset;
    struct cursor_value v;

    if (!cursor_next(c, &v) || (v.type != CURSOR_MAP && v.type != CURSOR_NIL))
        return false;
    if (v.type == CURSOR_NIL) {
        *ret_meta = SLICE_NONE;
        return true;
    }
    c->offset = begin;
    if (!cursor_skip(c, CURSOR_DEPTH_MAX))
        return false;
    *ret_meta = slice_make(c->data + begin, c->offset - begin);
    return true;
}

static const char *read_head(struct cursor *c, size_t *ret_count, struct slice *ret_channel)
{
    struct cursor_value v;

    if (!cursor_next(c, &v) || v.type != CURSOR_ARRAY)
        return "an envelope is an array";
    if (v.count < ENVELOPE_ELEMENTS)
        return "an envelope has ten elements";
    if (!read_string(c, ret_channel))
        return "the channel is not a string";
    *ret_count = v.count;
    return NULL;
}

const char *envelope_peek(const struct cursor *c, struct slice *ret_channel)
{
    struct cursor copy = *c;
    size_t count;

    return read_head(&copy, &count, ret_channel);
}

/** What the types do not say. */
static const char *check_fields(const struct message *m, uint64_t kind, uint64_t time_ms, size_t max_data_bytes)
{
    /* Control messages are addressed as nodes please. */
    if (kind == MESSAGE_KIND_CONTROL ? !envelope_id_is_good(m->channel) : envelope_channel_check(m->channel) != NULL)
        return "the channel's name is none";
    if (kind < MESSAGE_KIND_MESSAGE || kind > MESSAGE_KIND_CONTROL)
        return "the kind is unknown";
    if (!envelope_id_is_good(m->id))
        return "the id is none";
    if (time_ms > INT64_MAX)
        return "the time is none";
    if (slice_is_set(m->from) && name_check(m->from))
        return "the sender's name is none";
    if (!envelope_content_type_is_good(m->content_type))
        return "the content type is none";
    if (m->data.size > max_data_bytes)
        return "the data is too large";
    if (envelope_content_type_is_text(m->content_type) && !utf8_is_valid(m->data))
        return "text that is not UTF-8";
    if (m->epoch == 0 && m->offset != 0)
        return "an offset without an epoch";
    return NULL;
}

const char *envelope_read(struct cursor *c, size_t max_data_bytes, struct message *ret_fields)
{
    struct cursor at = *c;
    struct message m = {.has_stable_id = true};
    uint64_t kind, time_ms;
    size_t count;
    const char *error = read_head(&at, &count, &m.channel);

    if (error)
        return error;
    if (!read_unsigned(&at, &kind) || !read_string(&at, &m.id) || !read_unsigned(&at, &time_ms) ||
        !read_optional_string(&at, &m.from) || !read_string(&at, &m.content_type) || !read_binary(&at, &m.data) ||
        !read_optional_unsigned(&at, &m.epoch) || !read_optional_unsigned(&at, &m.offset) || !read_meta(&at, &m.meta))
        return "an element of the wrong type";
    error = check_fields(&m, kind, time_ms, max_data_bytes);
    if (error)
        return error;
    for (size_t i = ENVELOPE_ELEMENTS; i < count; i++) {
        if (!cursor_skip(&at, CURSOR_DEPTH_MAX))
            return "a later element is broken";
    }
    m.kind = (enum message_kind)kind;
    m.time_ms = (int64_t)time_ms;
    *c = at;
    *ret_fields = m;
    return NULL;
}

/* ---- writing ---- */

/** The packer's sink. Errors stay in the buffer, which is asked once at the end. */
static int write_bytes(void *userdata, const char *bytes, size_t size)
{
    buffer_append(userdata, bytes, size);
    return 0;
}

static void write_string(msgpack_packer *packer, struct slice s)
{
    msgpack_pack_str(packer, s.size);
    msgpack_pack_str_body(packer, s.data, s.size);
}

static void write_optional_unsigned(msgpack_packer *packer, uint64_t value)
{
    if (value)
        msgpack_pack_uint64(packer, value);
    else
        msgpack_pack_nil(packer);
}

void bus_body_begin(struct buffer *out, size_t count)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, write_bytes);
    msgpack_pack_array(&packer, count);
}

void bus_body_append(struct buffer *out, const struct message *m)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, write_bytes);
    msgpack_pack_array(&packer, ENVELOPE_ELEMENTS);
    write_string(&packer, m->channel);
    msgpack_pack_uint64(&packer, (uint64_t)m->kind);
    write_string(&packer, m->id);
    msgpack_pack_uint64(&packer, m->time_ms > 0 ? (uint64_t)m->time_ms : 0);
    if (slice_is_set(m->from))
        write_string(&packer, m->from);
    else
        msgpack_pack_nil(&packer);
    write_string(&packer, m->content_type);
    msgpack_pack_bin(&packer, m->data.size);
    msgpack_pack_bin_body(&packer, m->data.data, m->data.size);
    write_optional_unsigned(&packer, m->epoch);
    write_optional_unsigned(&packer, m->offset);
    if (slice_is_set(m->meta))
        buffer_append_slice(out, m->meta); /* a map, as it came */
    else
        msgpack_pack_nil(&packer);
}

size_t bus_body_message_bound(const struct message *m)
{
    /* Heads: array 1, five of 5 (lengths up to 32 bits), four of 9 (numbers), and rounding up. */
    return 64 + m->channel.size + m->id.size + m->from.size + m->content_type.size + m->data.size +
           (slice_is_set(m->meta) ? m->meta.size : 0);
}
