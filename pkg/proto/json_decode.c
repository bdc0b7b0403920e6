/*
 * The json dialect, inwards: one object a frame, or an array of them.
 *
 *     {"id":1,"op":"join","room":"42","since":{"epoch":"e","offset":17}}
 *
 * An object is walked once. The members that the protocol knows are noted as they stand in the text, whatever the op
 * (which may come last); when the object has ended, the op is known and they are judged. So a refused op is consumed to
 * its end, and the next one of the array can follow; only text that is no JSON ends the frame. Data is a slice of the
 * frame, never copied and never rewritten. Names are slices too, unless they hold an escape or are numbers: then they
 * are written into the scratch buffer, which is given its room once per op, so that no slice into it moves.
 */
#include "base/utf8.h"
#include "proto/proto_internal.h"

#include <stdio.h>

enum member {
    MEMBER_ID,
    MEMBER_OP,
    MEMBER_ROOM,
    MEMBER_USER,
    MEMBER_DATA,
    MEMBER_KEY,
    MEMBER_SINCE,
    MEMBER_BINARY,
    MEMBER_LIMIT,
    MEMBER_AFTER,
    MEMBER_BEFORE,
    MEMBER_CHANNEL,
    MEMBER_EPOCH,
    MEMBER_OFFSET,
    MEMBER_N,
    MEMBER_HISTORY,
    MEMBERS,
};

static const char *const member_names[MEMBERS] = {
    [MEMBER_ID] = "id",       [MEMBER_OP] = "op",         [MEMBER_ROOM] = "room",     [MEMBER_USER] = "user",
    [MEMBER_DATA] = "data",   [MEMBER_KEY] = "key",       [MEMBER_SINCE] = "since",   [MEMBER_BINARY] = "binary",
    [MEMBER_LIMIT] = "limit", [MEMBER_AFTER] = "after",   [MEMBER_BEFORE] = "before", [MEMBER_CHANNEL] = "channel",
    [MEMBER_EPOCH] = "epoch", [MEMBER_OFFSET] = "offset", [MEMBER_N] = "n",           [MEMBER_HISTORY] = "history",
};

/** The known members of one object as they stand in the text; text not set: it is not there. */
struct request {
    struct json_value members[MEMBERS];
    int duplicate; /* a member that came twice, or -1 */
};

#define HAS(member) (1u << (member))

/** What each op is made of: members it must have and members it may have. Others are none of its business. */
static const struct op_row {
    const char *word;
    enum proto_op_kind kind;
    unsigned required;
    unsigned optional;
} op_rows[] = {
    {"join", PROTO_OP_JOIN, HAS(MEMBER_ROOM), HAS(MEMBER_SINCE) | HAS(MEMBER_BINARY) | HAS(MEMBER_HISTORY)},
    {"leave", PROTO_OP_LEAVE, HAS(MEMBER_ROOM), 0},
    {"send", PROTO_OP_SEND, HAS(MEMBER_ROOM) | HAS(MEMBER_DATA), HAS(MEMBER_KEY)},
    {"whisper", PROTO_OP_WHISPER, HAS(MEMBER_USER) | HAS(MEMBER_DATA), HAS(MEMBER_KEY)},
    {"online", PROTO_OP_ONLINE, HAS(MEMBER_ROOM), HAS(MEMBER_LIMIT) | HAS(MEMBER_AFTER)},
    {"history", PROTO_OP_HISTORY, HAS(MEMBER_ROOM), HAS(MEMBER_LIMIT) | HAS(MEMBER_BEFORE)},
    {"ack", PROTO_OP_ACK, HAS(MEMBER_CHANNEL) | HAS(MEMBER_OFFSET), HAS(MEMBER_EPOCH)},
    {"like", PROTO_OP_LIKE, HAS(MEMBER_ROOM), HAS(MEMBER_N)},
    {"ping", PROTO_OP_PING, 0, 0},
};

/** Names the ops there are. */
static int refuse_op(struct proto_decoder *d, struct slice id, struct slice word, struct proto_event *ret_error)
{
    char known[128] = "";
    size_t size = 0;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(op_rows); i++)
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s", i > 0 ? ", " : "", op_rows[i].word);
    assert(size < sizeof(known));
    return proto_refuse(d, PROTO_ERROR_UNKNOWN_OP, id, ret_error, "op: expected one of %s, got \"%.*s\"", known,
                        SLICE_PRINTF(utf8_prefix(word, 32)));
}

/** What a member's judge says: nothing, or how the op is refused. */
struct fault {
    enum proto_error_code code;
    const char *sentence; /* behind the member's name; NULL: no fault */
};

static struct fault fault_none(void)
{
    return (struct fault){PROTO_ERROR_INTERNAL, NULL};
}

static struct fault fault_make(enum proto_error_code code, const char *sentence)
{
    return (struct fault){code, sentence};
}

/** A string without its quotes and escapes; in the frame if it has none, else in the scratch buffer. */
static struct slice decode_string(struct proto_decoder *d, struct json_value value)
{
    struct slice raw = json_string_raw(value);
    size_t start = d->scratch.size;

    if (raw.size == 0 || !memchr(raw.data, '\\', raw.size))
        return raw;
    json_string_decode(raw, &d->scratch);
    return slice_make(d->scratch.data + start, d->scratch.size - start);
}

/** A room's or user's name: a string, or an integer in its plain form. */
static struct fault judge_name(struct proto_decoder *d, struct json_value value, struct slice *ret_name)
{
    size_t start = d->scratch.size;
    const char *reason;
    struct slice name;
    int64_t number;

    if (value.type == JSON_STRING) {
        name = decode_string(d, value);
    } else if (json_number_int64(value, INT64_MIN, INT64_MAX, &number)) {
        buffer_append_int64(&d->scratch, number); /* not the text: -0 is 0 */
        name = slice_make(d->scratch.data + start, d->scratch.size - start);
    } else {
        return fault_make(PROTO_ERROR_BAD_NAME, "must be a string or an integer");
    }
    reason = name_check(name);
    if (reason)
        return fault_make(PROTO_ERROR_BAD_NAME, reason);
    *ret_name = name;
    return fault_none();
}

static struct fault judge_channel(struct proto_decoder *d, struct json_value value, struct slice *ret_channel)
{
    struct slice channel, name;
    enum channel_kind kind;

    if (value.type != JSON_STRING)
        return fault_make(PROTO_ERROR_BAD_NAME, "must be a string");
    channel = decode_string(d, value);
    kind = channel_parse(channel, &name);
    if (kind == CHANNEL_KIND_NONE || (kind != CHANNEL_KIND_ALL && name_check(name)))
        return fault_make(PROTO_ERROR_BAD_NAME, "is no channel's name");
    *ret_channel = channel;
    return fault_none();
}

static struct fault judge_key(struct proto_decoder *d, struct json_value value, struct slice *ret_key)
{
    const char *reason;
    struct slice key;

    static_assert(PROTO_KEY_MAX_BYTES == NAME_MAX_BYTES, "keys are held to the rule for names");
    if (value.type != JSON_STRING)
        return fault_make(PROTO_ERROR_BAD_REQUEST, "must be a string");
    key = decode_string(d, value);
    reason = name_check(key);
    if (reason)
        return fault_make(PROTO_ERROR_BAD_REQUEST, reason);
    *ret_key = key;
    return fault_none();
}

/** An epoch is a decimal number in a string (it may exceed what a double holds), or a plain number. */
static bool parse_epoch(struct json_value value, uint64_t *ret_epoch)
{
    int64_t number;

    if (value.type == JSON_STRING)
        return slice_to_uint64(json_string_raw(value), UINT64_MAX, ret_epoch);
    if (!json_number_int64(value, 0, INT64_MAX, &number))
        return false;
    *ret_epoch = (uint64_t)number;
    return true;
}

static struct fault judge_since(struct proto_decoder *d, struct json_value value, struct proto_position *ret_position)
{
    struct fault bad = fault_make(PROTO_ERROR_BAD_REQUEST, "must be an object like {\"epoch\":\"1\",\"offset\":17}");
    bool has_epoch = false, has_offset = false;
    struct proto_position position = {0};
    struct json_value member;
    struct json_reader r;
    struct slice name;
    int64_t offset;

    if (value.type != JSON_OBJECT)
        return bad;
    json_reader_init(&r, value.text, d->reader.depth_max);
    if (json_reader_enter_object(&r) != JSON_OK)
        return bad;
    while (json_reader_member(&r, &name, &member) == JSON_OK) {
        if (json_string_equal(name, "epoch")) {
            if (has_epoch || !parse_epoch(member, &position.epoch))
                return bad;
            has_epoch = true;
        } else if (json_string_equal(name, "offset")) {
            if (has_offset || !json_number_int64(member, 0, INT64_MAX, &offset))
                return bad;
            position.offset = (uint64_t)offset;
            has_offset = true;
        }
    }
    if (!has_epoch || !has_offset)
        return bad;
    *ret_position = position;
    return fault_none();
}

static struct fault judge_member(struct proto_decoder *d, enum member member, struct json_value value,
                                 struct proto_op *op)
{
    struct fault fault;
    int64_t number;

    switch (member) {
    case MEMBER_ROOM:
        return judge_name(d, value, &op->room);
    case MEMBER_USER:
        return judge_name(d, value, &op->user);
    case MEMBER_AFTER:
        return judge_name(d, value, &op->after);
    case MEMBER_KEY:
        return judge_key(d, value, &op->key);
    case MEMBER_DATA:
        if (value.text.size > d->limits.data_bytes)
            return fault_make(PROTO_ERROR_TOO_LARGE, "is larger than a message may be");
        op->data = value.text;
        op->content_type = CONTENT_TYPE_JSON;
        break;
    case MEMBER_SINCE:
        fault = judge_since(d, value, &op->since);
        op->has_since = !fault.sentence;
        return fault;
    case MEMBER_BEFORE:
        fault = judge_since(d, value, &op->before);
        op->has_before = !fault.sentence;
        return fault;
    case MEMBER_CHANNEL:
        return judge_channel(d, value, &op->channel);
    case MEMBER_EPOCH:
        if (!parse_epoch(value, &op->epoch))
            return fault_make(PROTO_ERROR_BAD_REQUEST, "must be a whole number, or a string of one");
        break;
    case MEMBER_OFFSET:
        if (!json_number_int64(value, 0, INT64_MAX, &number))
            return fault_make(PROTO_ERROR_BAD_REQUEST, "must be a whole number");
        op->offset = (uint64_t)number;
        break;
    case MEMBER_HISTORY:
        if (!json_number_int64(value, 0, INT64_MAX, &number))
            return fault_make(PROTO_ERROR_BAD_REQUEST, "must be a whole number");
        op->history = (uint64_t)number;
        break;
    case MEMBER_N:
        if (!json_number_int64(value, 1, INT64_MAX, &number))
            return fault_make(PROTO_ERROR_BAD_REQUEST, "must be a whole number from 1");
        op->likes = (uint64_t)number;
        break;
    case MEMBER_BINARY:
        if (value.type != JSON_BOOL)
            return fault_make(PROTO_ERROR_BAD_REQUEST, "must be true or false");
        op->is_binary = slice_equal_text(value.text, "true");
        break;
    case MEMBER_LIMIT:
        if (!json_number_int64(value, 0, INT64_MAX, &number))
            return fault_make(PROTO_ERROR_BAD_REQUEST, "must be a whole number");
        op->limit = (uint64_t)number;
        break;
    case MEMBER_ID:
    case MEMBER_OP:
    case MEMBERS:
        assert(false); /* they are judged before all others, and in no op's row */
        break;
    }
    return fault_none();
}

static const struct op_row *find_op(struct json_value op)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(op_rows); i++) {
        if (op.type == JSON_STRING && json_string_equal(json_string_raw(op), op_rows[i].word))
            return &op_rows[i];
    }
    return NULL;
}

/** Room for all strings of the op that may need decoding: none is longer than it stands in the text, plus a number's
 * digits. */
static int reserve_scratch(struct proto_decoder *d, const struct request *request)
{
    static const enum member decoded[] = {MEMBER_ROOM, MEMBER_USER, MEMBER_KEY, MEMBER_AFTER, MEMBER_CHANNEL};
    size_t size = 0;

    buffer_reset(&d->scratch, SIZE_MAX);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(decoded); i++) {
        struct json_value value = request->members[decoded[i]];
        struct slice raw = value.text;

        if (!slice_is_set(raw))
            continue;
        if (value.type == JSON_NUMBER || memchr(raw.data, '\\', raw.size))
            size += raw.size;
    }
    return size == 0 || buffer_reserve(&d->scratch, size) ? 0 : -ENOMEM;
}

/** The members that this op's row asks for. 0, PROTO_E_BAD, -ENOMEM. */
static int judge_members(struct proto_decoder *d, const struct op_row *row, const struct request *request,
                         struct proto_op *op, struct proto_event *ret_error)
{
    for (enum member m = MEMBER_ROOM; m < MEMBERS; m++) {
        struct json_value value = request->members[m];
        struct fault fault;

        if (!((row->required | row->optional) & HAS(m)))
            continue;
        if (!slice_is_set(value.text) && row->required & HAS(m))
            return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, op->id, ret_error, "%s: expected a member \"%s\"",
                                row->word, member_names[m]);
        if (!slice_is_set(value.text) || (value.type == JSON_NULL && row->optional & HAS(m)))
            continue; /* null is how many programs spell "none" */
        fault = judge_member(d, m, value, op);
        if (fault.sentence)
            return proto_refuse(d, fault.code, op->id, ret_error, "%s: %s %s", row->word, member_names[m],
                                fault.sentence);
    }
    return 0;
}

/** Makes an op of a request that has ended. 0, PROTO_E_BAD, -ENOMEM. */
static int judge(struct proto_decoder *d, const struct request *request, struct proto_op *ret_op,
                 struct proto_event *ret_error)
{
    struct json_value id = request->members[MEMBER_ID], word = request->members[MEMBER_OP];
    struct proto_op op = {.id = id.text};
    const struct op_row *row;
    int result;

    if (slice_is_set(id.text) && ((id.type != JSON_STRING && id.type != JSON_NUMBER) ||
                                  id.text.size > PROTO_ID_MAX_BYTES || request->duplicate == MEMBER_ID))
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error,
                            "id: expected one number or string of at most %d bytes", PROTO_ID_MAX_BYTES);
    if (request->duplicate >= 0)
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, id.text, ret_error, "expected \"%s\" only once",
                            member_names[request->duplicate]);
    if (word.type != JSON_STRING || !slice_is_set(word.text))
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, id.text, ret_error, "expected a string as member \"op\"");
    row = find_op(word);
    if (!row)
        return refuse_op(d, id.text, json_string_raw(word), ret_error);
    result = reserve_scratch(d, request);
    if (result != 0)
        return result;
    op.kind = row->kind;
    result = judge_members(d, row, request, &op, ret_error);
    if (result == 0)
        *ret_op = op;
    return result;
}

/** Walks the object that comes next and notes its members. JSON_OK, JSON_E_SYNTAX. */
static int read_request(struct proto_decoder *d, void *userdata)
{
    struct request *request = userdata;
    struct json_value value;
    struct slice name;
    int result = json_reader_enter_object(&d->reader);

    *request = (struct request){.duplicate = -1};
    while (result == JSON_OK) {
        result = json_reader_member(&d->reader, &name, &value);
        for (int m = 0; result == JSON_OK && m < MEMBERS; m++) {
            if (!json_string_equal(name, member_names[m]))
                continue;
            if (slice_is_set(request->members[m].text) && request->duplicate < 0)
                request->duplicate = m;
            request->members[m] = value;
            break;
        }
    }
    return result == JSON_END ? JSON_OK : result;
}

int proto_json_decoder_next(struct proto_decoder *d, struct proto_op *ret_op, struct proto_event *ret_error)
{
    struct request request;
    int result = proto_next_object(d, read_request, &request, ret_error);

    return result == 0 ? judge(d, &request, ret_op, ret_error) : result;
}
