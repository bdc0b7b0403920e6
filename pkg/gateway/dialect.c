/*
 * A client's frames become operations, operations become calls of the hub, and what comes of them becomes answers.
 *
 * The id of an operation travels with its request as the tag and comes back with the answer; an operation without one
 * has an empty tag and gets no answer but errors. One operation's error never ends the connection; running out of
 * memory does.
 */
#include "gateway/gateway_internal.h"

#define SCRATCH_KEEP_BYTES 65536
#define JSON_NESTING_MAX 32
/** What "try again" means: the broker and the store retry within about this time. */
#define UNAVAILABLE_RETRY_MS 1000
#define BUSY_RETRY_MS 500
#define ONLINE_LIMIT_DEFAULT 100
#define ONLINE_LIMIT_MAX 1000

static_assert(PROTO_ID_MAX_BYTES <= HUB_TAG_MAX_BYTES, "an op's id is the tag of its request");

/* ---- out ---- */

/** Sending may end the connection. */
static void tell_parts(struct gateway_connection *c, struct slice parts)
{
    struct slice rest = parts.size > 0 ? parts : SLICE_NONE, part;

    while (slice_split(&rest, '\0', &part) && c->state < GATEWAY_STATE_CLOSING)
        gateway_connection_send(c, WS_OPCODE_TEXT, part);
}

void gateway_dialect_tell(struct gateway_connection *c, const struct proto_event *event)
{
    struct buffer *out = &c->worker->scratch;

    buffer_reset(out, SCRATCH_KEEP_BYTES);
    c->codec->encode(event, out);
    if (buffer_error(out)) {
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
        return;
    }
    if (c->codec->has_parts)
        tell_parts(c, buffer_slice(out));
    else
        gateway_connection_send(c, c->codec->is_text ? WS_OPCODE_TEXT : WS_OPCODE_BINARY, buffer_slice(out));
}

static void tell_error(struct gateway_connection *c, const struct proto_event *error)
{
    gateway_count(c->worker, GATEWAY_METRIC_ERRORS + error->error.code, 1);
    gateway_dialect_tell(c, error);
}

void gateway_dialect_error(struct gateway_connection *c, struct slice id, enum proto_error_code code, struct slice text,
                           uint64_t retry_after_ms)
{
    const struct proto_event event = {
        .kind = PROTO_EVENT_ERROR,
        .id = id.size > 0 ? id : SLICE_NONE, /* an empty tag is that of an op without id */
        .error = {.code = code, .message = text, .retry_after_ms = retry_after_ms},
    };

    tell_error(c, &event);
}

void gateway_dialect_refusal(struct gateway_connection *c, struct slice id, int result)
{
    switch (result) {
    case HUB_E_UNAVAILABLE:
        gateway_dialect_error(c, id, PROTO_ERROR_UNAVAILABLE, SLICE_LITERAL("the cluster cannot be reached now"),
                              UNAVAILABLE_RETRY_MS);
        break;
    case HUB_E_BUSY:
        gateway_dialect_error(c, id, PROTO_ERROR_BUSY, SLICE_LITERAL("too much waits to be published"), BUSY_RETRY_MS);
        break;
    case HUB_E_NOT_JOINED:
        gateway_dialect_error(c, id, PROTO_ERROR_NOT_JOINED, SLICE_LITERAL("this room was not joined"), 0);
        break;
    case HUB_E_QUOTA:
        gateway_dialect_error(c, id, PROTO_ERROR_QUOTA, SLICE_LITERAL("too many rooms"), 0);
        break;
    case HUB_E_TOO_LARGE:
        gateway_dialect_error(c, id, PROTO_ERROR_TOO_LARGE, SLICE_LITERAL("the data is above the limit"), 0);
        break;
    case HUB_E_WORDS:
        gateway_dialect_error(c, id, PROTO_ERROR_FORBIDDEN, SLICE_LITERAL("a word in it is not allowed here"), 0);
        break;
    case HUB_E_NO_LOG:
        gateway_dialect_error(c, id, PROTO_ERROR_BAD_REQUEST, SLICE_LITERAL("this channel keeps no log"), 0);
        break;
    default:
        gateway_dialect_error(c, id, PROTO_ERROR_INTERNAL, SLICE_LITERAL("this failed on our side"), 0);
    }
}

static void tell_ok(struct gateway_connection *c, struct slice id)
{
    const struct proto_event event = {.kind = PROTO_EVENT_OK, .id = id};

    if (id.size > 0)
        gateway_dialect_tell(c, &event);
}

/* ---- in ---- */

static int op_join(struct gateway_connection *c, const struct proto_op *op)
{
    const struct hub_since since = {op->has_since, op->since.epoch, op->since.offset};
    int result = op->history && !op->has_since ? hub_session_join_recent(&c->session, op->room, op->history, op->id)
                                               : hub_session_join(&c->session, op->room, &since, op->id);

    if (result == 0 && op->is_binary)
        result = hub_session_set_relay_room(&c->session, op->room);
    return result;
}

static int op_leave(struct gateway_connection *c, const struct proto_op *op)
{
    int result = hub_session_leave(&c->session, op->room);

    if (result != 0)
        return result;
    tell_ok(c, op->id);
    return 0;
}

/** The operation's, or that of the URL; an empty one is never joined. */
static struct slice room_of(const struct gateway_connection *c, const struct proto_op *op)
{
    struct slice relay_room = hub_session_relay_room(&c->session);

    if (slice_is_set(op->room))
        return op->room;
    return slice_is_set(relay_room) ? relay_room : SLICE_LITERAL("");
}

static int op_publish(struct gateway_connection *c, const struct proto_op *op)
{
    const struct hub_send send = {
        .kind = MESSAGE_KIND_MESSAGE,
        .content_type = op->content_type,
        .data = op->data,
        .key = op->key,
        .meta = op->meta,
        .text = op->text,
    };

    if (op->kind == PROTO_OP_WHISPER)
        return hub_session_whisper(&c->session, op->user, &send, op->id);
    return hub_session_send(&c->session, room_of(c, op), &send, op->id);
}

static int op_online(struct gateway_connection *c, const struct proto_op *op)
{
    uint64_t limit = op->limit == 0 ? ONLINE_LIMIT_DEFAULT : op->limit;

    return hub_session_online(&c->session, op->room, limit > ONLINE_LIMIT_MAX ? ONLINE_LIMIT_MAX : limit, op->after,
                              op->id);
}

static int op_history(struct gateway_connection *c, const struct proto_op *op)
{
    const struct hub_since before = {op->has_before, op->before.epoch, op->before.offset};

    return hub_session_history(&c->session, op->room, op->limit, &before, op->id);
}

static int op_ack(struct gateway_connection *c, const struct proto_op *op)
{
    struct slice user;

    if (channel_parse(op->channel, &user) != CHANNEL_KIND_USER || !slice_equal(user, hub_session_user(&c->session))) {
        gateway_dialect_error(c, op->id, PROTO_ERROR_FORBIDDEN,
                              SLICE_LITERAL("only the session's own inbox can be acknowledged"), 0);
        return 0;
    }
    return hub_session_ack(&c->session, op->epoch, op->offset, op->id);
}

/** What is no message of the room but kept all the same, whole as it came. 0, -ENOMEM; with no archive there is nothing
 * to do. */
static int keep_record(struct gateway_connection *c, const struct proto_op *op)
{
    char storage[CHANNEL_MAX_BYTES];
    struct slice room = room_of(c, op);
    struct message record = {
        .kind = MESSAGE_KIND_SIGNAL,
        .from = hub_session_user(&c->session),
        .content_type = CONTENT_TYPE_JSON,
        .data = op->record,
    };
    int result;

    if (!slice_is_set(op->record) || room.size == 0)
        return 0;
    record.channel = channel_format(CHANNEL_KIND_ROOM, room, storage);
    result = hub_port_archive(c->worker->port, &record);
    return result < 0 ? result : 0;
}

static int op_like(struct gateway_connection *c, const struct proto_op *op)
{
    int result = hub_session_like(&c->session, room_of(c, op), op->likes ? op->likes : 1);

    if (result == HUB_E_TOO_LARGE) {
        gateway_dialect_error(c, op->id, PROTO_ERROR_TOO_LARGE, SLICE_LITERAL("n is above the limit"), 0);
        return 0;
    }
    if (result != 0)
        return result;
    tell_ok(c, op->id);
    return keep_record(c, op);
}

/** Who said it where, for those who are asked why nobody heard it; not what. */
static void log_refused_words(struct gateway_connection *c, const struct proto_op *op)
{
    uint64_t suppressed;

    if (log_limit_pass(&c->worker->words_limit, loop_now_ms(c->worker->loop), &suppressed))
        log_event(LOG_INFO, "the word list refused a text", LOG_SLICE("session", hub_session_id(&c->session)),
                  LOG_SLICE("user", hub_session_user(&c->session)),
                  LOG_TEXT("to", op->kind == PROTO_OP_WHISPER ? "user" : "room"),
                  LOG_SLICE("name", op->kind == PROTO_OP_WHISPER ? op->user : room_of(c, op)),
                  LOG_UINT("suppressed", suppressed));
}

static void do_op(struct gateway_connection *c, const struct proto_op *op)
{
    int result = 0;

    gateway_count(c->worker, GATEWAY_METRIC_OPS + op->kind, 1);
    switch (op->kind) {
    case PROTO_OP_JOIN:
        result = op_join(c, op);
        break;
    case PROTO_OP_LEAVE:
        result = op_leave(c, op);
        break;
    case PROTO_OP_SEND:
    case PROTO_OP_WHISPER:
        result = op_publish(c, op);
        break;
    case PROTO_OP_ONLINE:
        result = op_online(c, op);
        break;
    case PROTO_OP_HISTORY:
        result = op_history(c, op);
        break;
    case PROTO_OP_ACK:
        result = op_ack(c, op);
        break;
    case PROTO_OP_LIKE:
        result = op_like(c, op);
        break;
    case PROTO_OP_PING:
        tell_ok(c, op->id);
        result = keep_record(c, op);
        break;
    }
    if (result == HUB_E_WORDS)
        log_refused_words(c, op);
    if (result > 0)
        gateway_dialect_refusal(c, op->id, result);
    else if (result < 0)
        gateway_connection_close(c, GATEWAY_REASON_INTERNAL);
}

/** Unless that closed the connection. */
static void refuse_pace(struct gateway_connection *c, struct slice id, uint64_t retry_after_ms)
{
    if (c->state == GATEWAY_STATE_OPEN)
        gateway_dialect_error(c, id, PROTO_ERROR_RATE_LIMITED, SLICE_LITERAL("too many operations"), retry_after_ms);
}

void gateway_dialect_text(struct gateway_connection *c, struct slice payload)
{
    const struct gateway_config *config = c->worker->config;
    const struct proto_limits limits = {
        .data_bytes = (size_t)config->message_bytes,
        .depth = JSON_NESTING_MAX,
        .ops_per_frame = (size_t)config->ops_per_frame,
    };
    struct proto_decoder decoder;
    struct proto_op op;
    struct proto_event error;
    uint64_t retry_after_ms;
    size_t met = 0;
    int result;

    c->codec->decoder_init(&decoder, &limits, payload);
    /* An operation may end the connection; those behind it then have nobody to speak for. */
    while (c->state == GATEWAY_STATE_OPEN && c->has_session &&
           (result = c->codec->decoder_next(&decoder, &op, &error)) != PROTO_END) {
        met++;
        if (result >= 0 && !gateway_pace_message(c, &retry_after_ms))
            refuse_pace(c, result == 0 ? op.id : error.id, retry_after_ms);
        else if (result == 0)
            do_op(c, &op);
        else if (result == PROTO_E_BAD)
            tell_error(c, &error);
        else
            gateway_connection_close(c, GATEWAY_REASON_INTERNAL);
    }
    c->codec->decoder_deinit(&decoder);
    /* A frame without operations is work as well. */
    if (met == 0 && !gateway_pace_message(c, &retry_after_ms))
        refuse_pace(c, SLICE_NONE, retry_after_ms);
}

void gateway_dialect_binary(struct gateway_connection *c, struct slice payload)
{
    const struct hub_send relay = {
        .kind = MESSAGE_KIND_RELAY,
        .content_type = CONTENT_TYPE_OCTETS,
        .data = payload,
    };
    struct slice room = hub_session_relay_room(&c->session);
    uint64_t retry_after_ms;
    int result;

    if (!gateway_pace_message(c, &retry_after_ms)) {
        refuse_pace(c, SLICE_NONE, retry_after_ms);
        return;
    }
    if (!slice_is_set(room)) {
        gateway_dialect_error(c, SLICE_NONE, PROTO_ERROR_BAD_REQUEST,
                              SLICE_LITERAL("binary frames need a room: join one with \"binary\":true"), 0);
        return;
    }
    result = hub_session_send(&c->session, room, &relay, SLICE_NONE);
    if (result > 0)
        gateway_dialect_refusal(c, SLICE_NONE, result);
    else if (result < 0)
        gateway_connection_close(c, GATEWAY_REASON_INTERNAL);
}
