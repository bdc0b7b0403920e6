/*
 * Any bytes as a frame of the json dialect. Held to: an end is reached in a bounded number of steps; names pass the
 * rule for names; data is valid JSON that lies in the frame; and data put into a message event, ids put into an answer,
 * and errors give valid JSON again.
 */
#include "proto/proto.h"

#define MAX_OPS 16

/** A failed check must end the run, also where assert() is off. */
static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_encoded(const struct proto_event *event)
{
    struct buffer out = {0};

    proto_codec_json.encode(event, &out);
    require(buffer_error(&out) == 0);
    require(json_validate(buffer_slice(&out), JSON_DEPTH_MAX, NULL, NULL) == JSON_OK);
    buffer_deinit(&out);
}

static void check_data(const struct proto_op *op, struct slice frame)
{
    struct message message = {
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = CHANNEL_ALL,
        .id = SLICE_LITERAL("1"),
        .from = slice_is_set(op->room) ? op->room : op->user,
        .content_type = op->content_type,
        .data = op->data,
        .epoch = op->data.size,
    };
    struct proto_event event = {.kind = PROTO_EVENT_MESSAGE, .message = &message};

    require(op->data.data >= frame.data && op->data.data + op->data.size <= frame.data + frame.size);
    require(json_validate(op->data, JSON_DEPTH_MAX, NULL, NULL) == JSON_OK);
    check_encoded(&event);
    message.content_type = CONTENT_TYPE_TEXT;
    check_encoded(&event);
    message.content_type = CONTENT_TYPE_OCTETS;
    check_encoded(&event);
    message.kind = MESSAGE_KIND_SIGNAL;
    message.channel = SLICE_LITERAL("room:1");
    message.content_type = PROTO_CONTENT_TYPE_ONLINE;
    check_encoded(&event);
}

static void check_op(const struct proto_op *op, struct slice frame)
{
    struct proto_event ok = {.kind = PROTO_EVENT_OK, .id = op->id};

    require(!slice_is_set(op->room) || !name_check(op->room));
    require(!slice_is_set(op->user) || !name_check(op->user));
    require(!slice_is_set(op->after) || !name_check(op->after));
    require(!slice_is_set(op->key) || (op->key.size > 0 && op->key.size <= PROTO_KEY_MAX_BYTES));
    require(op->id.size <= PROTO_ID_MAX_BYTES);
    check_encoded(&ok);
    switch (op->kind) {
    case PROTO_OP_SEND:
        require(slice_is_set(op->room));
        check_data(op, frame);
        break;
    case PROTO_OP_WHISPER:
        require(slice_is_set(op->user));
        check_data(op, frame);
        break;
    case PROTO_OP_JOIN:
    case PROTO_OP_LEAVE:
    case PROTO_OP_ONLINE:
    case PROTO_OP_HISTORY:
    case PROTO_OP_LIKE:
        require(slice_is_set(op->room) && !slice_is_set(op->data));
        break;
    case PROTO_OP_ACK:
        require(channel_parse(op->channel, NULL) != CHANNEL_KIND_NONE);
        break;
    case PROTO_OP_PING:
        require(!slice_is_set(op->room) && !slice_is_set(op->data));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct proto_limits limits = {.data_bytes = 4096, .depth = 32, .ops_per_frame = MAX_OPS};
    struct slice frame = slice_make(data, size);
    struct proto_decoder decoder;
    struct proto_event error;
    struct proto_op op;
    int result, steps = 0;

    proto_codec_json.decoder_init(&decoder, &limits, frame);
    while ((result = proto_codec_json.decoder_next(&decoder, &op, &error)) != PROTO_END) {
        require(result == 0 || result == PROTO_E_BAD);
        require(++steps <= MAX_OPS + 1);
        if (result == 0)
            check_op(&op, frame);
        else
            check_encoded(&error);
    }
    proto_codec_json.decoder_deinit(&decoder);
    return 0;
}
