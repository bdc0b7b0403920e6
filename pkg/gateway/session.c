/*
 * The hub's view of a connection: a sink that is told when its session is open, what was answered, and each message of
 * its channels.
 *
 * A message is encoded and framed at its first listener on this loop and kept in the fan, by how it looks on the wire:
 * slots for each dialect, one plain and one for each window that it may be compressed for; one for octets. Every
 * further listener costs a reference in its stream's ring, nothing else.
 */
#include "gateway/gateway_internal.h"

#include "base/hash.h"

#define SCRATCH_KEEP_BYTES 65536
/** The user's inbox, `all`, and the route's room. */
#define CHANNELS_AT_OPEN_MAX 8

/** Slots of hub_fan.variants; a dialect's plain one, then its compressed ones (enum gateway_window). */
enum variant { VARIANT_JSON, VARIANT_OCTETS = VARIANT_JSON + GATEWAY_WINDOWS, VARIANTS };
static_assert((int)VARIANTS <= HUB_VARIANTS_MAX, "a fan has a slot for each");

static struct gateway_connection *connection_of(struct hub_session *s)
{
    return container_of(s, struct gateway_connection, session);
}

static struct proto_channel_state state_of(const struct hub_channel_state *state)
{
    return (struct proto_channel_state){
        .channel = state->channel,
        .position = {.epoch = state->epoch, .offset = state->offset},
        .recovered = state->recovered,
    };
}

/** An answer came: there may be room for further requests. */
static void go_on(struct gateway_connection *c)
{
    if (c->state == GATEWAY_STATE_OPEN && c->session.open_requests <= (uint64_t)c->worker->config->open_requests)
        gateway_connection_release(c, GATEWAY_HOLD_REQUESTS);
}

static void on_open(struct hub_session *s, int result, const struct hub_channel_state *channels, size_t count)
{
    struct gateway_connection *c = connection_of(s);
    struct gateway_worker *w = c->worker;
    struct proto_channel_state states[CHANNELS_AT_OPEN_MAX];
    struct proto_event welcome = {.kind = PROTO_EVENT_WELCOME};

    if (result != 0) {
        gateway_connection_close(c, result == HUB_E_USER_QUOTA ? GATEWAY_REASON_LIMIT
                                    : result > 0               ? GATEWAY_REASON_OVERLOADED
                                                               : GATEWAY_REASON_INTERNAL);
        return;
    }
    assert(count <= CHANNELS_AT_OPEN_MAX);
    for (size_t i = 0; i < count; i++)
        states[i] = state_of(&channels[i]);
    welcome.welcome.session = hub_session_id(s);
    welcome.welcome.user = hub_session_user(s);
    welcome.welcome.node = slice_from(w->gateway->environment.node);
    welcome.welcome.heartbeat_s = (uint64_t)(w->config->heartbeat_ms + 999) / 1000;
    welcome.welcome.channels = states;
    welcome.welcome.channel_count = count;
    gateway_dialect_tell(c, &welcome);
    if (c->state == GATEWAY_STATE_OPENING)
        gateway_connection_opened(c);
}

/** NULL when out of memory. */
static struct net_frame *encode(struct gateway_connection *c, const struct message *m)
{
    const struct proto_event event = {.kind = PROTO_EVENT_MESSAGE, .message = m};
    struct buffer *out = &c->worker->scratch;

    if (m->kind == MESSAGE_KIND_RELAY)
        return gateway_frame_new(WS_OPCODE_BINARY, m->data);
    buffer_reset(out, SCRATCH_KEEP_BYTES);
    c->codec->encode(&event, out);
    if (buffer_error(out))
        return NULL;
    return gateway_frame_new(c->codec->is_text ? WS_OPCODE_TEXT : WS_OPCODE_BINARY, buffer_slice(out));
}

static_assert((int)HUB_DELIVERY_MUST == NET_FRAME_MUST && (int)HUB_DELIVERY_LATEST == NET_FRAME_LATEST &&
                  (int)HUB_DELIVERY_DROP_OLDEST == NET_FRAME_DROP_OLDEST,
              "a delivery is a frame's class");

/** What becomes of the frame with a slow reader. Latest is what has the same channel and type. */
static void classify(struct net_frame *frame, const struct hub_fan *fan)
{
    const struct message *m = fan->message;

    frame->delivery = (uint8_t)fan->delivery;
    if (fan->delivery == HUB_DELIVERY_LATEST)
        frame->tag =
            hash_bytes(m->channel.data, m->channel.size) ^ 31 * hash_bytes(m->content_type.data, m->content_type.size);
}

static void on_message(struct hub_session *s, struct hub_fan *fan)
{
    struct gateway_connection *c = connection_of(s);
    bool is_relay = fan->message->kind == MESSAGE_KIND_RELAY;
    void **plain = &fan->variants[is_relay ? VARIANT_OCTETS : VARIANT_JSON],
         **slot = is_relay ? plain : plain + c->window;

    if (!*plain) {
        *plain = encode(c, fan->message);
        if (*plain)
            classify(*plain, fan);
    }
    if (!*slot && *plain)
        *slot = gateway_frame_compress(c->worker, c->window, *plain);
    if (*slot)
        gateway_connection_send_frame(c, *slot);
    else
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL); /* a message left out would be a lie */
}

static void on_reset(struct hub_session *s, struct slice channel, uint64_t epoch, uint64_t offset)
{
    const struct proto_event event = {
        .kind = PROTO_EVENT_RESET,
        .reset = {.channel = channel, .position = {.epoch = epoch, .offset = offset}},
    };

    gateway_dialect_tell(connection_of(s), &event);
}

static void fan_done(void *userdata base_unused, struct hub_fan *fan)
{
    for (size_t i = 0; i < VARIANTS; i++)
        fan->variants[i] = net_frame_unref(fan->variants[i]);
}

static void on_joined(struct hub_session *s, struct slice tag, int result, const struct hub_channel_state *state)
{
    struct gateway_connection *c = connection_of(s);

    if (result != 0) {
        gateway_dialect_refusal(c, tag, result);
    } else if (tag.size > 0) {
        const struct proto_event event = {.kind = PROTO_EVENT_OK_JOINED, .id = tag, .joined = state_of(state)};

        gateway_dialect_tell(c, &event);
    }
    go_on(c);
}

static void on_sent(struct hub_session *s, struct slice tag, int result, struct slice message_id, uint64_t epoch,
                    uint64_t offset)
{
    struct gateway_connection *c = connection_of(s);

    if (result != 0) {
        gateway_dialect_refusal(c, tag, result);
    } else if (tag.size > 0) {
        const struct proto_event event = {
            .kind = PROTO_EVENT_OK_SENT,
            .id = tag,
            .sent = {.message = message_id, .position = {.epoch = epoch, .offset = offset}},
        };

        gateway_dialect_tell(c, &event);
    }
    go_on(c);
}

static void on_online(struct hub_session *s, struct slice tag, int result, uint64_t count, const struct slice *users,
                      size_t user_count, struct slice next)
{
    struct gateway_connection *c = connection_of(s);

    if (result != 0) {
        gateway_dialect_refusal(c, tag, result);
    } else if (tag.size > 0) {
        const struct proto_event event = {
            .kind = PROTO_EVENT_OK_ONLINE,
            .id = tag,
            .online_page = {.count = count, .users = users, .user_count = user_count, .next = next},
        };

        gateway_dialect_tell(c, &event);
    }
    go_on(c);
}

static void on_history(struct hub_session *s, struct slice tag, int result, struct message *const *messages,
                       size_t count, bool has_more)
{
    struct gateway_connection *c = connection_of(s);

    if (result != 0) {
        gateway_dialect_refusal(c, tag, result);
    } else if (tag.size > 0) {
        const struct proto_event event = {
            .kind = PROTO_EVENT_OK_HISTORY,
            .id = tag,
            .history = {.messages = messages, .count = count, .has_more = has_more},
        };

        gateway_dialect_tell(c, &event);
    }
    go_on(c);
}

static void on_acked(struct hub_session *s, struct slice tag, int result)
{
    struct gateway_connection *c = connection_of(s);

    if (result != 0) {
        gateway_dialect_refusal(c, tag, result);
    } else if (tag.size > 0) {
        const struct proto_event event = {.kind = PROTO_EVENT_OK, .id = tag};

        gateway_dialect_tell(c, &event);
    }
    go_on(c);
}

static const struct hub_sink_ops sink_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_reset = on_reset,
    .on_joined = on_joined,
    .on_sent = on_sent,
    .on_online = on_online,
    .on_history = on_history,
    .on_acked = on_acked,
};

const struct hub_port_ops gateway_port_ops = {.fan_done = fan_done};

int gateway_session_open(struct gateway_connection *c, const struct gateway_target *target)
{
    const struct hub_session_info info = {
        .user = gateway_name_slice(&target->user),
        .device = gateway_name_slice(&target->device),
        .room = gateway_name_slice(&target->room),
        .room_since = {target->has_since, target->since.epoch, target->since.offset},
        .inbox_since = {target->has_inbox_since, target->inbox_since.epoch, target->inbox_since.offset},
        .all_since = {target->has_all_since, target->all_since.epoch, target->all_since.offset},
    };
    int result;

    if (info.room.size > 0 && !(c->binary_room = slice_dup(info.room)))
        return -ENOMEM;
    result = hub_session_open(&c->session, c->worker->port, &info, &sink_ops);
    if (result != 0)
        return result;
    c->has_session = true;
    gateway_count(c->worker, GATEWAY_METRIC_SESSIONS, 1);
    return 0;
}

void gateway_session_close(struct gateway_connection *c)
{
    if (!c->has_session)
        return;
    c->has_session = false;
    gateway_count(c->worker, GATEWAY_METRIC_SESSIONS, -1);
    hub_session_close(&c->session);
}
