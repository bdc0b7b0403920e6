/*
 * The hub's view of a connection: a sink that is told when its session is open, what was answered, and each message of
 * its channels.
 *
 * A message is encoded and framed at its first listener on this loop and kept in the fan, by how it looks on the wire:
 * slots for each dialect, one plain and one for each window that it may be compressed for; one for octets, and one for
 * the live dialect, whose short frames are not compressed. Messages of one channel that come together are one piece of
 * the wire. Every further listener costs a reference in its stream's ring, nothing else.
 */
#include "gateway/gateway_internal.h"

#include "base/hash.h"

#define SCRATCH_KEEP_BYTES 65536
/** The user's inbox, `all`, and the route's room. */
#define CHANNELS_AT_OPEN_MAX 8
/** Users of a room whose names a newcomer gets, where the dialect lists them. */
#define LISTED_MAX 200

/** Slots of hub_fan.variants; a dialect's plain one, then its compressed ones (enum gateway_window). */
enum variant { VARIANT_JSON, VARIANT_OCTETS = VARIANT_JSON + GATEWAY_WINDOWS, VARIANT_LIVE, VARIANTS };
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
        .has_online = state->has_state && state->has_online,
        .online = state->online,
        .has_likes = state->has_state,
        .likes = state->likes,
        .has_history = state->has_history,
        .messages = state->messages,
        .message_count = state->message_count,
    };
}

/** A newcomer of a dialect that lists who is there; of a crowd the number says enough, for else every newcomer would
 * cost as much as there are already. Without memory for it the list is not told. */
static void ask_who_is_there(struct gateway_connection *c, const struct proto_channel_state *states, size_t count)
{
    struct slice room;

    for (size_t i = 0; i < count; i++) {
        if (!states[i].has_online || states[i].online > LISTED_MAX ||
            channel_parse(states[i].channel, &room) != CHANNEL_KIND_ROOM)
            continue;
        if (hub_session_online(&c->session, room, LISTED_MAX, SLICE_NONE, SLICE_LITERAL("who")) != 0)
            return;
    }
}

/** An answer came: there may be room for further requests. */
static void go_on(struct gateway_connection *c)
{
    if (c->state == GATEWAY_STATE_OPEN && c->session.open_requests <= (uint64_t)c->worker->config->open_requests)
        gateway_connection_release(c, GATEWAY_HOLD_REQUESTS);
    gateway_drain_answered(c);
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
    if (c->has_session && c->codec->has_parts)
        ask_who_is_there(c, states, count);
}

/** NULL when out of memory. */
static struct net_frame *encode_event(struct gateway_connection *c, const struct proto_event *event)
{
    struct buffer *out = &c->worker->scratch;

    buffer_reset(out, SCRATCH_KEEP_BYTES);
    c->codec->encode(event, out);
    if (buffer_error(out))
        return NULL;
    if (c->codec->has_parts)
        return gateway_frame_new_parts(WS_OPCODE_TEXT, buffer_slice(out));
    return gateway_frame_new(c->codec->is_text ? WS_OPCODE_TEXT : WS_OPCODE_BINARY, buffer_slice(out));
}

static struct net_frame *encode(struct gateway_connection *c, const struct message *m)
{
    const struct proto_event event = {.kind = PROTO_EVENT_MESSAGE, .message = m};

    return m->kind == MESSAGE_KIND_RELAY ? gateway_frame_new(WS_OPCODE_BINARY, m->data) : encode_event(c, &event);
}

static_assert((int)HUB_DELIVERY_MUST == NET_FRAME_MUST && (int)HUB_DELIVERY_LATEST == NET_FRAME_LATEST &&
                  (int)HUB_DELIVERY_DROP_OLDEST == NET_FRAME_DROP_OLDEST,
              "a delivery is a frame's class");

/**
 * What becomes of the frame with a slow reader. Latest is what has the same channel and type. What may be left out and
 * has a position is told then, in dialects that have positions. NULL when out of memory; takes the frame.
 */
static struct net_frame *classify(struct net_frame *frame, const struct hub_fan *fan, bool has_positions)
{
    const struct message *m = fan->message;

    frame->delivery = (uint8_t)fan->delivery;
    if (fan->delivery == HUB_DELIVERY_LATEST)
        frame->tag =
            hash_bytes(m->channel.data, m->channel.size) ^ 31 * hash_bytes(m->content_type.data, m->content_type.size);
    if (has_positions && fan->delivery != HUB_DELIVERY_MUST && m->offset > 0 &&
        net_frame_set_place(frame, m->channel, m->epoch, m->offset, m->offset) < 0)
        return net_frame_unref(frame);
    return frame;
}

struct net_frame *gateway_session_gap(struct gateway_connection *c, const struct net_place *what)
{
    const struct proto_event event = {
        .kind = PROTO_EVENT_GAP,
        .gap = {.channel = what->series, .epoch = what->epoch, .from = what->from, .to = what->to},
    };

    return encode_event(c, &event);
}

static void on_message(struct hub_session *s, struct hub_fan *fan)
{
    struct gateway_connection *c = connection_of(s);
    enum variant variant = fan->message->kind == MESSAGE_KIND_RELAY ? VARIANT_OCTETS
                           : c->codec->has_parts                    ? VARIANT_LIVE
                                                                    : VARIANT_JSON;
    void **plain = &fan->variants[variant], **slot = variant == VARIANT_JSON ? plain + c->window : plain;

    if (!*plain) {
        struct net_frame *frame = encode(c, fan->message);

        *plain = frame ? classify(frame, fan, !c->codec->has_parts) : NULL;
    }
    if (!*slot && *plain)
        *slot = gateway_frame_compress(c->worker, c->window, *plain);
    if (*slot && ((const struct net_frame *)*slot)->size > 0)
        gateway_connection_send_frame(c, *slot);
    else if (!*slot)
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL); /* a message left out would be a lie */
}

/** The frames of all messages of a run, one behind the other; NULL when out of memory. */
static struct net_frame *join(struct gateway_connection *c, const struct hub_run *run)
{
    struct net_frame *frames[HUB_RUN_MAX], *joined;
    size_t size = 0, count = 0;
    enum gateway_window window = c->codec->has_parts ? GATEWAY_WINDOW_NONE : c->window;

    for (; count < run->count; count++) {
        base_cleanup(net_frame_unref_p)
        struct net_frame *plain = encode(c, run->messages[count]);

        if (!plain)
            break;
        frames[count] =
            window == GATEWAY_WINDOW_NONE ? net_frame_ref(plain) : gateway_frame_compress(c->worker, window, plain);
        if (!frames[count])
            break;
        size += frames[count]->size;
    }
    joined = count == run->count ? net_frame_new(size) : NULL;
    if (joined)
        joined->count = (uint16_t)count;
    for (size_t i = 0, at = 0; i < count; i++) {
        if (joined)
            memcpy(joined->data + at, frames[i]->data, frames[i]->size);
        at += frames[i]->size;
        net_frame_unref(frames[i]);
    }
    return joined;
}

static void on_run(struct hub_session *s, struct hub_run *run)
{
    struct gateway_connection *c = connection_of(s);
    void **slot = &run->variants[c->codec->has_parts ? VARIANT_LIVE : VARIANT_JSON + c->window];

    if (!*slot)
        *slot = join(c, run);
    if (*slot && ((const struct net_frame *)*slot)->size > 0)
        gateway_connection_send_frame(c, *slot);
    else if (!*slot)
        gateway_connection_abort(c, GATEWAY_REASON_INTERNAL);
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

static void run_done(void *userdata base_unused, struct hub_run *run)
{
    for (size_t i = 0; i < VARIANTS; i++)
        run->variants[i] = net_frame_unref(run->variants[i]);
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

static void on_online(struct hub_session *s, struct slice tag, int result, const struct hub_room_info *info)
{
    struct gateway_connection *c = connection_of(s);

    if (result != 0 && c->codec->has_parts) { /* nobody asked */
        go_on(c);
        return;
    }
    if (result != 0) {
        gateway_dialect_refusal(c, tag, result);
    } else if (tag.size > 0) {
        const struct proto_event event = {
            .kind = PROTO_EVENT_OK_ONLINE,
            .id = tag,
            .online_page = {.count = info->users,
                            .connections = info->connections,
                            .users = info->names,
                            .user_count = info->name_count,
                            .next = info->next},
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

static void on_kicked(struct hub_session *s, struct slice reason)
{
    gateway_connection_close_saying(connection_of(s), GATEWAY_REASON_KICKED, reason);
}

/** What has been queued and not sent says whether it reads, the time since its last bytes whether it is there. */
static void on_look(struct hub_session *s, struct json_writer *w)
{
    struct gateway_connection *c = connection_of(s);
    uint64_t now_ms = loop_now_ms(c->worker->loop);
    char address[NET_ADDRESS_TEXT_SIZE];

    json_write_member_text(w, "peer", gateway_connection_peer(c, address));
    json_write_member_uint64(w, "age_ms", now_ms - c->born_ms);
    json_write_member_uint64(w, "silent_ms", (uint32_t)now_ms - c->last_input_ms);
    json_write_member_uint64(w, "queued_bytes", c->stream.queued_bytes);
}

static const struct hub_sink_ops sink_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_run = on_run,
    .on_reset = on_reset,
    .on_joined = on_joined,
    .on_sent = on_sent,
    .on_online = on_online,
    .on_history = on_history,
    .on_acked = on_acked,
    .on_kicked = on_kicked,
    .on_look = on_look,
};

const struct hub_port_ops gateway_port_ops = {.fan_done = fan_done, .run_done = run_done};

int gateway_session_open(struct gateway_connection *c, const struct gateway_target *target)
{
    const struct hub_session_info info = {
        .user = gateway_name_slice(&target->user),
        .device = gateway_name_slice(&target->device),
        .room = gateway_name_slice(&target->room),
        .room_since = {target->has_since, target->since.epoch, target->since.offset},
        .inbox_since = {target->has_inbox_since, target->inbox_since.epoch, target->inbox_since.offset},
        .history = target->history,
        .mirror = target->mirror,
        .all_since = {target->has_all_since, target->all_since.epoch, target->all_since.offset},
    };
    int result;

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
