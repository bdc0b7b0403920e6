/*
 * Reads a body message by message, whatever its format. The format is told once, when the first message is asked for:
 * by the content type, else by the first byte ('{' and '[' are small numbers in msgpack and never begin a body of
 * ours).
 *
 * An item that is not a message is passed over and reported, and its siblings are read; a body that is broken as a
 * whole is given up. Foreign bodies are checked as a whole before their first message is given out: half of a broken
 * text would otherwise be delivered, and delivered again when its author sends it repaired.
 */
#include "bus/body_internal.h"
#include "bus/envelope_internal.h"

#define INDEX_BEFORE_FIRST SIZE_MAX
#define SCRATCH_KEEP_BYTES ((size_t)64 * 1024)

void bus_reader_init(struct bus_reader *r, const struct bus_delivery *d, size_t max_data_bytes)
{
    *r = (struct bus_reader){
        .delivery = d,
        .index = INDEX_BEFORE_FIRST,
        .format = BODY_FORMAT_UNKNOWN,
        .max_data_bytes = max_data_bytes,
    };
}

void bus_reader_deinit(struct bus_reader *r)
{
    buffer_deinit(&r->scratch);
}

int body_poison(struct bus_reader *r, const char *error, size_t offset)
{
    if (!slice_is_set(r->item) || r->broken)
        r->item = payload_slice(r->delivery->body);
    r->error = error;
    r->error_offset = offset;
    return BUS_E_POISON;
}

/** The type without its parameters. */
static bool is_media_type(struct slice content_type, const char *name)
{
    struct slice rest = content_type, type;

    return slice_split(&rest, ';', &type) && slice_equal_nocase(slice_trim(type), slice_from(name));
}

static enum body_format format_of(const struct bus_delivery *d)
{
    static const struct {
        const char *type;
        enum body_format format;
    } types[] = {
        {BUS_CONTENT_TYPE, BODY_FORMAT_OWN},
        {"application/json", BODY_FORMAT_JSON},
        {"application/msgpack", BODY_FORMAT_MSGPACK},
        {"application/x-msgpack", BODY_FORMAT_MSGPACK},
        {"application/vnd.msgpack", BODY_FORMAT_MSGPACK},
    };
    struct slice body = payload_slice(d->body);
    unsigned char first;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(types); i++) {
        if (is_media_type(d->content_type, types[i].type))
            return types[i].format;
    }
    while (body.size > 0 && strchr(" \t\r\n", body.data[0]) && body.data[0])
        body = slice_skip(body, 1);
    if (body.size == 0)
        return BODY_FORMAT_UNKNOWN;
    first = (unsigned char)body.data[0];
    if (first == '{' || first == '[')
        return BODY_FORMAT_JSON;
    if ((first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf))
        return BODY_FORMAT_MSGPACK;
    return BODY_FORMAT_UNKNOWN;
}

static int own_begin(struct bus_reader *r)
{
    struct cursor c = cursor_make(payload_slice(r->delivery->body));
    struct cursor_value head;

    if (!cursor_next(&c, &head) || head.type != CURSOR_ARRAY)
        return body_poison(r, "a body is an array of envelopes", 0);
    r->count = head.count;
    r->offset = c.offset;
    return 0;
}

static int begin(struct bus_reader *r)
{
    int result;

    r->format = (uint8_t)format_of(r->delivery);
    switch ((enum body_format)r->format) {
    case BODY_FORMAT_OWN:
        result = own_begin(r);
        break;
    case BODY_FORMAT_JSON:
        result = body_json_begin(r);
        break;
    case BODY_FORMAT_MSGPACK:
        result = body_msgpack_begin(r);
        break;
    case BODY_FORMAT_UNKNOWN:
    default:
        result = body_poison(r, "neither JSON nor msgpack", 0);
        break;
    }
    if (!result && r->count > BUS_BODY_MAX_MESSAGES)
        result = body_poison(r, "too many messages in one body", 0);
    r->broken = result != 0;
    return result;
}

/** 1: passed over, nobody wants it. */
static int own_item(struct bus_reader *r, bool (*is_wanted)(void *userdata, struct slice channel), void *userdata,
                    struct message *ret_fields)
{
    struct cursor c = cursor_make(payload_slice(r->delivery->body));
    size_t at = r->offset;
    struct slice channel;
    const char *error;
    bool is_passed;

    c.offset = at;
    error = envelope_peek(&c, &channel);
    is_passed = !error && is_wanted && !is_wanted(userdata, channel);
    if (!error && !is_passed)
        error = envelope_read(&c, r->max_data_bytes, ret_fields);
    if (is_passed || error) {
        if (!cursor_skip(&c, CURSOR_DEPTH_MAX)) {
            r->broken = true;
            return body_poison(r, "the body is cut short or no msgpack", at);
        }
    }
    r->offset = c.offset;
    r->item = slice_make((const char *)c.data + at, c.offset - at);
    if (error)
        return body_poison(r, error, at);
    return is_passed ? 1 : 0;
}

static int foreign_item(struct bus_reader *r, bool (*is_wanted)(void *userdata, struct slice channel), void *userdata,
                        struct message *ret_fields)
{
    struct message fields;
    int result;

    buffer_reset(&r->scratch, SCRATCH_KEEP_BYTES);
    result = r->format == BODY_FORMAT_JSON ? body_json_item(r, &fields) : body_msgpack_item(r, &fields);
    if (result)
        return result;
    if (is_wanted && !is_wanted(userdata, fields.channel))
        return 1;
    *ret_fields = fields;
    return 0;
}

/** Nothing may follow the last envelope. */
static int end(struct bus_reader *r)
{
    if (!r->broken && r->format == BODY_FORMAT_OWN && r->offset != r->delivery->body->size) {
        r->broken = true;
        return body_poison(r, "something stands behind the last envelope", r->offset);
    }
    return BUS_BODY_END;
}

int bus_reader_next(struct bus_reader *r, bool (*is_wanted)(void *userdata, struct slice channel), void *userdata,
                    struct message *ret_fields)
{
    int result;

    if (r->format == BODY_FORMAT_UNKNOWN && !r->broken) {
        result = begin(r);
        if (result)
            return result;
    }
    for (;;) {
        if (r->broken || r->index + 1 >= r->count)
            return end(r);
        r->index++;
        r->item = SLICE_NONE;
        if (r->format == BODY_FORMAT_OWN)
            result = own_item(r, is_wanted, userdata, ret_fields);
        else
            result = foreign_item(r, is_wanted, userdata, ret_fields);
        if (result != 1)
            return result;
    }
}

void bus_reader_write_item(const struct bus_reader *r, struct buffer *out)
{
    struct slice body = payload_slice(r->delivery->body);

    if (r->format == BODY_FORMAT_OWN && r->item.data != body.data)
        bus_body_begin(out, 1);
    buffer_append_slice(out, r->item);
}

struct message *bus_reader_take(struct bus_reader *r, const struct message *fields)
{
    struct payload *body = r->delivery->body;
    size_t own_bytes = fields->data.size + fields->channel.size + fields->id.size;

    /*
     * Sharing saves a copy, but a message that is kept for long (a channel's ring) then keeps the whole body. So it is
     * shared only where the message is a good part of it; from a batch each one is copied. Foreign fields lie in the
     * scratch.
     */
    if (r->format != BODY_FORMAT_OWN || body->size > 4 * own_bytes + 1024)
        return message_copy(fields);
    return message_new(fields, payload_ref(body));
}
