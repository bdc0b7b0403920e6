/*
 * Any bytes as a frame of the live dialect, and as the data of what its clients are told. Held to: an end is reached in
 * a bounded number of steps; data is valid JSON; and each object that is written is valid JSON.
 */
#include "base/utf8.h"
#include "proto/proto.h"

#define MAX_OPS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_encoded(const struct proto_event *event)
{
    struct buffer out = {0};
    struct slice rest, part;

    proto_codec_live.encode(event, &out);
    require(buffer_error(&out) == 0);
    rest = out.size ? buffer_slice(&out) : SLICE_NONE;
    while (slice_split(&rest, '\0', &part))
        require(json_validate(part, JSON_DEPTH_MAX, NULL, NULL) == JSON_OK);
    buffer_deinit(&out);
}

static void check_message(enum message_kind kind, struct slice type, struct slice data)
{
    const struct message message = {
        .kind = kind,
        .channel = SLICE_LITERAL("room:1"),
        .id = SLICE_LITERAL("1"),
        .content_type = type,
        .data = data,
    };

    check_encoded(&(struct proto_event){.kind = PROTO_EVENT_MESSAGE, .message = &message});
}

static void check_frame(struct slice frame)
{
    const struct proto_limits limits = {.data_bytes = 512, .depth = 16, .ops_per_frame = MAX_OPS};
    struct proto_decoder d;
    struct proto_event error;
    struct proto_op op;
    size_t steps = 0;
    int result;

    proto_codec_live.decoder_init(&d, &limits, frame);
    while ((result = proto_codec_live.decoder_next(&d, &op, &error)) != PROTO_END) {
        require(++steps <= MAX_OPS + 1);
        require(result == 0 || result == PROTO_E_BAD);
        if (result == PROTO_E_BAD) {
            check_encoded(&error);
            continue;
        }
        require(json_validate(op.record, JSON_DEPTH_MAX, NULL, NULL) == JSON_OK);
        require((op.kind == PROTO_OP_SEND) == slice_is_set(op.data));
        if (op.kind == PROTO_OP_SEND) {
            require(json_validate(op.data, JSON_DEPTH_MAX, NULL, NULL) == JSON_OK);
            check_message(MESSAGE_KIND_MESSAGE, op.content_type, op.data);
        }
    }
    proto_codec_live.decoder_deinit(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice frame = slice_make(data ? (const char *)data : "", size);

    if (!utf8_is_valid(frame))
        return 0;
    check_frame(frame);
    check_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_TEXT, frame);
    if (json_validate(frame, JSON_DEPTH_MAX, NULL, NULL) == JSON_OK)
        check_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_JSON, frame);
    check_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_ONLINE, frame);
    check_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_LIKES, frame);
    return 0;
}
