/*
 * The live dialect, inwards: what old clients of live commerce send into the room of their URL.
 *
 *     {"messageType":4,"message":"…","avatar":"…","company_id":"…","openid":"…","unionid":"…"}   4 text, 6 like, 7
 * heartbeat
 *
 * One object a frame, or an array of them, all of which are handled. What listeners may see of a text is made into its
 * data, {"message","avatar"}; what only back ends may see (company_id, openid, unionid) becomes its meta, a msgpack
 * map. The whole object goes with the operation as its record, for the archive.
 */
#include "base/utf8.h"
#include "proto/proto_internal.h"

#include <msgpack.h>

#define FIELD_MAX_BYTES 256

enum live_member {
    LIVE_MEMBER_TYPE,
    LIVE_MEMBER_MESSAGE,
    LIVE_MEMBER_AVATAR,
    LIVE_MEMBER_COMPANY, /* from here on: for back ends */
    LIVE_MEMBER_OPENID,
    LIVE_MEMBER_UNIONID,
    LIVE_MEMBERS,
};

static const char *const names[LIVE_MEMBERS] = {
    [LIVE_MEMBER_TYPE] = "messageType",   [LIVE_MEMBER_MESSAGE] = "message", [LIVE_MEMBER_AVATAR] = "avatar",
    [LIVE_MEMBER_COMPANY] = "company_id", [LIVE_MEMBER_OPENID] = "openid",   [LIVE_MEMBER_UNIONID] = "unionid",
};

/** The known members of one object; of two with one name the last. */
struct live_request {
    struct json_value members[LIVE_MEMBERS];
    struct slice text; /* the object */
};

static int read_request(struct proto_decoder *d, void *userdata)
{
    struct live_request *request = userdata;
    size_t offset = d->reader.offset;
    struct json_value value;
    struct slice name;
    int result = json_reader_enter_object(&d->reader);

    *request = (struct live_request){0};
    while (result == JSON_OK) {
        result = json_reader_member(&d->reader, &name, &value);
        for (int m = 0; result == JSON_OK && m < LIVE_MEMBERS; m++) {
            if (!json_string_equal(name, names[m]))
                continue;
            request->members[m] = value.type == JSON_NULL ? (struct json_value){0} : value;
            break;
        }
    }
    request->text = slice_make(d->text.data + offset, d->reader.offset - offset);
    return result == JSON_END ? JSON_OK : result;
}

/** The number that says what the object is, also where it stands in a string; -1: there is none. */
static int64_t type_of(struct json_value value)
{
    int64_t number;
    uint64_t digits;

    if (!slice_is_set(value.text))
        return -1;
    if (value.type == JSON_STRING)
        return slice_to_uint64(json_string_raw(value), 1000, &digits) ? (int64_t)digits : -1;
    return json_number_int64(value, 0, 1000, &number) ? number : -1;
}

/** Spaces of Unicode that keyboards make, and what has no width. */
static const char *const blanks[] = {"\u00a0", "\u00ad", "\u200b", "\u200c", "\u200d",
                                     "\u2060", "\u2800", "\u3000", "\u3164", "\ufeff"};

/** Whether nobody would see anything. @decoded is valid UTF-8. */
static bool is_blank(struct slice decoded)
{
    size_t step;

    for (; decoded.size > 0; decoded = slice_skip(decoded, step)) {
        step = (unsigned char)decoded.data[0] <= ' ';
        for (size_t i = 0; !step && i < BASE_ARRAY_SIZE(blanks); i++)
            step = slice_starts_with(decoded, slice_from(blanks[i])) ? strlen(blanks[i]) : 0;
        if (!step)
            return false;
    }
    return true;
}

/** Whether the fields for back ends are strings or numbers of a bounded size; NULL, or the name of one that is not. */
static const char *find_bad_field(const struct live_request *request)
{
    for (int m = LIVE_MEMBER_AVATAR; m < LIVE_MEMBERS; m++) {
        struct json_value value = request->members[m];
        bool is_known = value.type == JSON_STRING || (value.type == JSON_NUMBER && m != LIVE_MEMBER_AVATAR);

        if (slice_is_set(value.text) && (!is_known || (m != LIVE_MEMBER_AVATAR && value.text.size > FIELD_MAX_BYTES)))
            return names[m];
    }
    return NULL;
}

static int pack_write(void *userdata, const char *data, size_t size)
{
    struct buffer *out = userdata;

    buffer_append(out, data, size);
    return buffer_error(out);
}

static void pack_text(msgpack_packer *packer, struct slice text)
{
    msgpack_pack_str(packer, text.size);
    msgpack_pack_str_body(packer, text.data, text.size);
}

/** Appends the map of the fields for back ends; nothing if there are none. */
static void write_meta(const struct live_request *request, struct buffer *out)
{
    msgpack_packer packer;
    size_t count = 0;

    for (int m = LIVE_MEMBER_COMPANY; m < LIVE_MEMBERS; m++)
        count += slice_is_set(request->members[m].text);
    if (count == 0)
        return;
    msgpack_packer_init(&packer, out, pack_write);
    msgpack_pack_map(&packer, count);
    for (int m = LIVE_MEMBER_COMPANY; m < LIVE_MEMBERS; m++) {
        struct json_value value = request->members[m];
        struct buffer decoded = BUFFER_WITH_LIMIT(FIELD_MAX_BYTES);

        if (!slice_is_set(value.text))
            continue;
        if (value.type == JSON_STRING)
            json_string_decode(json_string_raw(value), &decoded);
        else
            buffer_append_slice(&decoded, value.text);
        if (buffer_error(&decoded))
            out->error = -ENOMEM;
        pack_text(&packer, slice_from(names[m]));
        pack_text(&packer, buffer_slice(&decoded));
        buffer_deinit(&decoded);
    }
}

static void write_data(const struct live_request *request, struct buffer *out)
{
    struct json_value avatar = request->members[LIVE_MEMBER_AVATAR];

    buffer_append_text(out, "{\"message\":");
    buffer_append_slice(out, request->members[LIVE_MEMBER_MESSAGE].text);
    buffer_append_text(out, ",\"avatar\":");
    buffer_append_slice(out, slice_is_set(avatar.text) ? avatar.text : SLICE_LITERAL("\"\""));
    buffer_append_char(out, '}');
}

/** 0, PROTO_E_BAD, -ENOMEM. */
static int judge_text(struct proto_decoder *d, const struct live_request *request, struct proto_op *op,
                      struct proto_event *ret_error)
{
    struct json_value message = request->members[LIVE_MEMBER_MESSAGE];
    size_t data_size;

    if (!slice_is_set(message.text) || message.type != JSON_STRING)
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error, "message: expected a string");
    if (message.text.size + request->members[LIVE_MEMBER_AVATAR].text.size > d->limits.data_bytes)
        return proto_refuse(d, PROTO_ERROR_TOO_LARGE, SLICE_NONE, ret_error,
                            "message: is larger than a message may be");
    buffer_reset(&d->scratch, SIZE_MAX);
    json_string_decode(json_string_raw(message), &d->scratch);
    if (!buffer_error(&d->scratch) && is_blank(buffer_slice(&d->scratch)))
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error,
                            "message: expected a text that is not empty");
    buffer_reset(&d->scratch, SIZE_MAX);
    write_data(request, &d->scratch);
    data_size = d->scratch.size;
    write_meta(request, &d->scratch);
    if (buffer_error(&d->scratch))
        return -ENOMEM;
    op->data = slice_make(d->scratch.data, data_size);
    op->content_type = CONTENT_TYPE_JSON;
    op->text = "message";
    if (d->scratch.size > data_size)
        op->meta = slice_make(d->scratch.data + data_size, d->scratch.size - data_size);
    return 0;
}

static int judge(struct proto_decoder *d, const struct live_request *request, struct proto_op *ret_op,
                 struct proto_event *ret_error)
{
    struct proto_op op = {.record = request->text};
    const char *bad = find_bad_field(request);
    int result = 0;

    if (bad)
        return bad == names[LIVE_MEMBER_AVATAR]
                   ? proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error, "%s: expected a string", bad)
                   : proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error,
                                  "%s: expected a string or a number of at most %d bytes", bad, FIELD_MAX_BYTES);
    switch (type_of(request->members[LIVE_MEMBER_TYPE])) {
    case 4:
        op.kind = PROTO_OP_SEND;
        result = judge_text(d, request, &op, ret_error);
        break;
    case 6:
        op.kind = PROTO_OP_LIKE;
        op.likes = 1;
        break;
    case 7:
        op.kind = PROTO_OP_PING;
        break;
    default:
        result = proto_refuse(d, PROTO_ERROR_UNKNOWN_OP, SLICE_NONE, ret_error,
                              "messageType: expected 4 (text), 6 (like) or 7 (heartbeat)");
    }
    if (result == 0)
        *ret_op = op;
    return result;
}

static int decoder_next(struct proto_decoder *d, struct proto_op *ret_op, struct proto_event *ret_error)
{
    struct live_request request;
    int result = proto_next_object(d, read_request, &request, ret_error);

    return result == 0 ? judge(d, &request, ret_op, ret_error) : result;
}

const struct proto_codec proto_codec_live = {
    .is_text = true,
    .has_parts = true,
    .decoder_init = proto_decoder_init,
    .decoder_next = decoder_next,
    .decoder_deinit = proto_decoder_deinit,
    .encode = proto_live_encode,
};
