/*
 * Sessions on their loop.
 *
 * A subscription is in one of three states: asked for (on the session's list), listening (there, and among the
 * channel's listeners on this loop), or left before the answer came (the answer to the join turns into a leave). A room
 * counts as joined from the moment it is asked for: the hub reads a loop's letters in order, so what a session sends
 * behind its join arrives behind it.
 *
 * The inbox is left by the end of the session and not before, so one letter tells both.
 */
#include "hub/port_internal.h"
#include "hub/request_internal.h"

#define HISTORY_DEFAULT 50
#define HISTORY_MAX 200

static uint64_t history_bound(uint64_t count)
{
    return count < HISTORY_MAX ? count : HISTORY_MAX;
}

/** @text: where the channel's name is put, with room for CHANNEL_MAX_BYTES; it has to stay until the answer comes. */
static void subscription_init(struct hub_subscription *sub, struct hub_client *c, enum channel_kind kind,
                              struct slice name, char *text)
{
    *sub = (struct hub_subscription){
        .client = c,
        .kind = (uint8_t)kind,
        .name = text,
        .name_size = (uint8_t)channel_format(kind, name, text).size,
    };
}

/** Tells the hub, unless it is the inbox, which the end of the session tells. */
static void subscription_leave(struct hub *h, struct hub_subscription *sub)
{
    if (sub != sub->client->own)
        hub_letter_to_hub(h, &sub->letter, hub_client_on_leave);
}

static struct slice subscription_channel(const struct hub_subscription *sub)
{
    return slice_make(sub->name, sub->name_size);
}

static void subscription_attach(struct hub_session *s, struct hub_subscription *sub)
{
    sub->next = s->subscriptions;
    s->subscriptions = sub;
    if (sub->kind == CHANNEL_KIND_ROOM)
        s->rooms++;
}

/** The session has it no more. If the hub has answered, the hub hears of it now, else when the answer comes. */
static void subscription_end(struct hub_session *s, struct hub_subscription *sub)
{
    struct hub_subscription **at = &s->subscriptions;

    hub_port_flush_likes(s->port);
    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    if (sub->kind == CHANNEL_KIND_ROOM)
        s->rooms--;
    sub->is_left = true;
    if (!sub->is_listening)
        return;
    hub_local_remove(s->port, s, sub);
    subscription_leave(s->port->hub, sub);
}

/** The hub's answer has come. @s: NULL if it has ended. Return: 0: it listens; HUB_E_NOT_JOINED: left meanwhile; or why
 * not. The subscription lives after 0 only. */
static int subscription_settle(struct hub_port *p, struct hub_session *s, struct hub_subscription *sub, int result)
{
    bool is_counted = result == 0;

    if (!result) /* the name that was asked for goes with the request */
        sub->name = sub->channel->name;
    if (!result && sub->is_left)
        result = HUB_E_NOT_JOINED;
    if (!result)
        result = hub_local_add(s, sub);
    if (!result) {
        if (sub->kind == CHANNEL_KIND_ROOM && sub->channel->rule->has_watch)
            s->is_watching = true;
        return 0;
    }
    if (!sub->is_left)
        subscription_end(s, sub);
    if (is_counted)
        subscription_leave(p->hub, sub);
    else if (!hub_subscription_is_own(sub))
        free(sub);
    return result;
}

struct hub_subscription *hub_session_find_room(const struct hub_session *s, struct slice room)
{
    char storage[CHANNEL_MAX_BYTES];
    struct slice channel;

    if (room.size == 0 || room.size > NAME_MAX_BYTES)
        return NULL;
    channel = channel_format(CHANNEL_KIND_ROOM, room, storage);
    for (struct hub_subscription *sub = s->subscriptions; sub; sub = sub->next) {
        if (slice_equal(subscription_channel(sub), channel))
            return sub;
    }
    return NULL;
}

/* ---- open and close ---- */

static struct hub_client *client_new(struct hub_session *s, const struct hub_session_info *info)
{
    size_t own_count = slice_is_set(info->room) ? 2 : 1;
    struct hub_client *c = hub_client_alloc(s->port->hub, own_count, info->user.size + info->device.size);
    char id[ID_TEXT_SIZE + 1];

    if (!c)
        return NULL;
    id_generate(id);
    memcpy(c->id, id, sizeof(c->id));
    c->port_index = (uint16_t)s->port->index;
    c->user_size = (uint8_t)info->user.size;
    c->device_size = (uint8_t)info->device.size;
    memcpy(hub_client_names(c), info->user.data, info->user.size);
    if (info->device.size)
        memcpy(hub_client_names(c) + info->user.size, info->device.data, info->device.size);
    return c;
}

/** What a session has to have to begin; all or nothing. */
static int session_prepare(struct hub_session *s, const struct hub_session_info *info, struct hub_request **ret_request)
{
    struct hub_request *r = hub_request_new(s->port, HUB_REQUEST_OPEN, 2 * CHANNEL_MAX_BYTES);
    struct hub_client *c = client_new(s, info);

    if (!r || !c) {
        hub_request_free(r);
        hub_client_free(s->port->hub, c);
        return -ENOMEM;
    }
    subscription_init(&c->own[0], c, CHANNEL_KIND_USER, info->user, r->text);
    if (c->own_count > 1) {
        subscription_init(&c->own[1], c, CHANNEL_KIND_ROOM, info->room, r->text + CHANNEL_MAX_BYTES);
        c->own[1].takes_relays = true;
    }
    for (size_t i = 0; i < c->own_count; i++)
        r->listen.subscriptions[i] = &c->own[i];
    r->listen.client = c;
    r->listen.joins[0].since = info->inbox_since;
    r->listen.joins[1].since = info->room_since;
    r->listen.joins[1].history = info->room_since.is_set ? 0 : history_bound(info->history);
    r->listen.mirror = info->mirror;
    r->listen.joins[HUB_JOIN_ALL].since = info->all_since;
    s->client = c;
    *ret_request = r;
    return 0;
}

int hub_session_open(struct hub_session *s, struct hub_port *p, const struct hub_session_info *info,
                     const struct hub_sink_ops *sink)
{
    struct hub_request *r;
    int result;

    assert(info->user.size > 0 && info->user.size <= NAME_MAX_BYTES && info->device.size <= NAME_MAX_BYTES);
    *s = (struct hub_session){.port = p, .sink = sink};
    list_init(&s->requests);
    result = session_prepare(s, info, &r);
    if (result)
        return result;
    for (size_t i = 0; i < s->client->own_count; i++)
        subscription_attach(s, &s->client->own[i]);
    hub_port_link_session(p, s);
    hub_request_send(r, s, SLICE_NONE);
    return 0;
}

/** Tells the hub that the session is over; behind all other leaves, and once. */
static void client_end(struct hub_port *p, struct hub_client *c)
{
    hub_letter_to_hub(p->hub, &c->own[0].letter, hub_client_on_end);
}

void hub_session_close(struct hub_session *s)
{
    struct hub_port *p = s->port;
    bool is_opening = false;

    assert(s->client);
    s->is_open = false;
    while (s->subscriptions)
        subscription_end(s, s->subscriptions);
    for (struct list *it; (it = list_pop(&s->requests));) {
        struct hub_request *r = container_of(it, struct hub_request, link);

        r->session = NULL;
        is_opening |= r->kind == HUB_REQUEST_OPEN;
    }
    s->open_requests = 0;
    hub_port_unlink_session(p, s);
    /* With the opening under way the client goes when its answer comes. */
    if (!is_opening)
        client_end(p, s->client);
    s->client = NULL;
}

struct slice hub_session_id(const struct hub_session *s)
{
    return slice_make(s->client->id, ID_TEXT_SIZE);
}

struct slice hub_session_user(const struct hub_session *s)
{
    return hub_client_user(s->client);
}

struct slice hub_session_device(const struct hub_session *s)
{
    return hub_client_device(s->client);
}

/* ---- rooms ---- */

static int session_join(struct hub_session *s, struct slice room, const struct hub_since *since, uint64_t history,
                        struct slice tag)
{
    bool is_joined = hub_session_find_room(s, room) != NULL;
    struct hub_subscription *sub;
    struct hub_request *r;

    if (!is_joined && s->rooms >= (uint64_t)s->port->hub->config.rooms_per_session)
        return HUB_E_QUOTA;
    if (is_joined) {
        r = hub_request_new(s->port, HUB_REQUEST_REJOIN, room.size + 1);
        if (!r)
            return -ENOMEM;
        memcpy(r->text, room.data, room.size);
        hub_request_send(r, s, tag);
        return 0;
    }
    r = hub_request_new(s->port, HUB_REQUEST_JOIN, CHANNEL_MAX_BYTES);
    if (!r)
        return -ENOMEM;
    r->listen.client = s->client;
    if (since)
        r->listen.joins[0].since = *since;
    r->listen.joins[0].history = history_bound(history);
    sub = malloc(sizeof(*sub));
    if (!sub) {
        hub_request_free(r);
        return -ENOMEM;
    }
    subscription_init(sub, s->client, CHANNEL_KIND_ROOM, room, r->text);
    r->listen.subscriptions[0] = sub;
    subscription_attach(s, sub);
    hub_request_send(r, s, tag);
    return 0;
}

int hub_session_join(struct hub_session *s, struct slice room, const struct hub_since *since, struct slice tag)
{
    return session_join(s, room, since, 0, tag);
}

int hub_session_join_recent(struct hub_session *s, struct slice room, uint64_t history, struct slice tag)
{
    return session_join(s, room, NULL, history, tag);
}

int hub_session_leave(struct hub_session *s, struct slice room)
{
    struct hub_subscription *sub = hub_session_find_room(s, room);

    if (!sub)
        return HUB_E_NOT_JOINED;
    subscription_end(s, sub);
    return 0;
}

int hub_session_set_relay_room(struct hub_session *s, struct slice room)
{
    struct hub_subscription *chosen = hub_session_find_room(s, room);

    if (!chosen)
        return HUB_E_NOT_JOINED;
    for (struct hub_subscription *sub = s->subscriptions; sub; sub = sub->next)
        sub->takes_relays = sub == chosen;
    return 0;
}

struct slice hub_session_relay_room(const struct hub_session *s)
{
    for (const struct hub_subscription *sub = s->subscriptions; sub; sub = sub->next) {
        if (sub->takes_relays)
            return slice_skip(subscription_channel(sub), strlen("room:"));
    }
    return SLICE_NONE;
}

bool hub_session_is_joined(const struct hub_session *s, struct slice room)
{
    return hub_session_find_room(s, room) != NULL;
}

/* ---- sending and asking ---- */

int hub_session_send(struct hub_session *s, struct slice room, const struct hub_send *send, struct slice tag)
{
    const struct hub_subscription *sub = hub_session_find_room(s, room);
    bool is_relay = send->kind == MESSAGE_KIND_RELAY;
    struct message envelope = {.from = hub_session_user(s)};
    struct hub_send passed = *send;
    char id[ID_TEXT_SIZE + 24];
    struct hub_request *r;
    int result;

    if (!sub)
        return HUB_E_NOT_JOINED;
    envelope.channel = subscription_channel(sub);
    result = hub_words_apply(s->port, envelope.channel, &passed);
    if (result)
        return result;
    if (is_relay) {
        int size = snprintf(id, sizeof(id), "%.*s/%llu", SLICE_PRINTF(hub_session_id(s)),
                            (unsigned long long)s->port->relays++);

        envelope.id = slice_make(id, (size_t)size);
    }
    result =
        hub_request_new_publish(s->port, is_relay ? HUB_REQUEST_RELAY : HUB_REQUEST_PUBLISH, &envelope, &passed, &r);
    if (!result)
        hub_request_send(r, is_relay ? NULL : s, tag);
    return result;
}

int hub_session_whisper(struct hub_session *s, struct slice user, const struct hub_send *send, struct slice tag)
{
    char storage[CHANNEL_MAX_BYTES];
    const struct message envelope = {
        .channel = channel_format(CHANNEL_KIND_USER, user, storage),
        .from = hub_session_user(s),
    };
    struct hub_send passed = *send;
    struct hub_request *r;
    int result = hub_words_apply(s->port, envelope.channel, &passed);

    if (!result)
        result = hub_request_new_publish(s->port, HUB_REQUEST_PUBLISH, &envelope, &passed, &r);
    if (result)
        return result;
    r->publish.only_known = true; /* a client cannot fill the store with inboxes of users that it made up */
    hub_request_send(r, s, tag);
    return 0;
}

int hub_session_online(struct hub_session *s, struct slice room, uint64_t limit, struct slice after, struct slice tag)
{
    struct hub_request *r;
    int result = hub_request_new_room(s->port, room, limit, after, &r);

    if (!result)
        hub_request_send(r, s, tag);
    return result;
}

int hub_session_history(struct hub_session *s, struct slice room, uint64_t limit, const struct hub_since *before,
                        struct slice tag)
{
    const struct hub_subscription *sub = hub_session_find_room(s, room);
    struct hub_request *r;

    if (!sub)
        return HUB_E_NOT_JOINED;
    r = hub_request_new(s->port, HUB_REQUEST_HISTORY, CHANNEL_MAX_BYTES + 1);
    if (!r)
        return -ENOMEM;
    memcpy(r->text, sub->name, sub->name_size);
    r->history.limit = !limit ? HISTORY_DEFAULT : limit < HISTORY_MAX ? limit : HISTORY_MAX;
    if (before)
        r->history.before = *before;
    hub_request_send(r, s, tag);
    return 0;
}

int hub_session_ack(struct hub_session *s, uint64_t epoch, uint64_t offset, struct slice tag)
{
    struct slice user = hub_session_user(s), device = hub_session_device(s);
    struct hub_request *r = hub_request_new(s->port, HUB_REQUEST_ACK, CHANNEL_MAX_BYTES + 1 + device.size);
    char *text;

    if (!r)
        return -ENOMEM;
    text = r->text + CHANNEL_MAX_BYTES + 1;
    r->ack.put.user = slice_skip(channel_format(CHANNEL_KIND_USER, user, r->text), strlen("user:"));
    if (device.size)
        memcpy(text, device.data, device.size);
    r->ack.put.device = slice_make(text, device.size);
    r->ack.put.position = (struct store_position){.epoch = epoch, .offset = offset};
    hub_request_send(r, s, tag);
    return 0;
}

/* ---- answers ---- */

static struct hub_channel_state state_of(struct slice channel, const struct hub_join *j)
{
    return (struct hub_channel_state){
        .channel = channel,
        .epoch = j->at.epoch,
        .offset = j->at.offset,
        .recovered = j->recovered,
        .has_state = j->has_state,
        .has_online = j->has_online,
        .online = j->online,
        .likes = j->likes,
        .has_history = j->is_history,
        .messages = j->messages,
        .message_count = j->is_history ? j->count : 0,
    };
}

static void catch_up(struct hub_request *r, const struct hub_join *j)
{
    if (!j->is_history)
        hub_port_catch_up(r->port, &r->session, j->messages, j->count);
}

/** The answer comes first, then what was missed; the session may end at any of it, which r->session tells. */
static void on_opened(struct hub_request *r)
{
    struct hub_channel_state states[BASE_ARRAY_SIZE(r->listen.joins)], *all = states;
    struct hub_session *s = r->session;
    size_t count = 0, listening = 0;
    int result = r->result;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(r->listen.subscriptions); i++) {
        struct hub_subscription *sub = r->listen.subscriptions[i];
        int settled = sub ? subscription_settle(r->port, s, sub, r->result) : HUB_E_NOT_JOINED;

        listening += sub != NULL;
        if (!settled)
            states[count++] = state_of(subscription_channel(sub), &r->listen.joins[i]);
        else if (settled < 0)
            result = settled;
        if (i == 0)
            all = &states[count++];
    }
    *all = state_of(CHANNEL_ALL, &r->listen.joins[listening]);
    if (s) {
        s->is_open = result == 0;
        s->sink->on_open(s, result, result ? NULL : states, result ? 0 : count);
    }
    for (size_t i = 0; i < r->listen.join_count && !result; i++)
        catch_up(r, &r->listen.joins[i]);
}

static void on_joined(struct hub_request *r)
{
    struct hub_subscription *sub = r->listen.subscriptions[0];
    struct hub_channel_state state = {0};
    int result = subscription_settle(r->port, r->session, sub, r->result);

    if (!r->session)
        return;
    if (!result)
        state = state_of(subscription_channel(sub), &r->listen.joins[0]);
    r->session->sink->on_joined(r->session, slice_make(r->tag, r->tag_size), result, &state);
    if (!result)
        catch_up(r, &r->listen.joins[0]);
}

static void on_rejoined(struct hub_request *r)
{
    struct hub_session *s = r->session;
    struct hub_subscription *sub = s ? hub_session_find_room(s, slice_from(r->text)) : NULL;
    struct hub_channel_state state = {0};

    if (!s)
        return;
    if (sub)
        state = state_of(subscription_channel(sub), &r->listen.joins[0]);
    s->sink->on_joined(s, slice_make(r->tag, r->tag_size), sub ? r->result : HUB_E_NOT_JOINED, &state);
}

/** What takes several calls of the sink, between which the session may end. */
static void on_listening(struct hub_request *r)
{
    struct hub_session *s;

    /* The request stays on the session's list meanwhile, so that the end of the session shows here. */
    if (r->kind == HUB_REQUEST_OPEN)
        on_opened(r);
    else if (r->kind == HUB_REQUEST_JOIN)
        on_joined(r);
    else
        on_rejoined(r);
    s = r->session;
    if (s)
        list_remove(&r->link);
    else if (r->kind == HUB_REQUEST_OPEN)
        client_end(r->port, r->listen.client);
}

void hub_session_on_answer(struct hub_request *r)
{
    struct hub_session *s = r->session;
    struct slice tag = slice_make(r->tag, r->tag_size);

    if (s)
        s->open_requests--;
    if (r->kind == HUB_REQUEST_OPEN || r->kind == HUB_REQUEST_JOIN || r->kind == HUB_REQUEST_REJOIN) {
        on_listening(r);
        return;
    }
    if (s)
        list_remove(&r->link);
    switch (r->kind) {
    case HUB_REQUEST_PUBLISH:
        if (s)
            s->sink->on_sent(s, tag, r->result, r->publish.message->id, r->publish.position.epoch,
                             r->publish.position.offset);
        break;
    case HUB_REQUEST_ROOM:
        if (s)
            s->sink->on_online(s, tag, r->result, r->result ? NULL : &r->room.page.info);
        break;
    case HUB_REQUEST_HISTORY:
        if (s)
            s->sink->on_history(s, tag, r->result, r->history.messages, r->result ? 0 : r->history.count,
                                r->history.has_more);
        break;
    case HUB_REQUEST_ACK:
        if (s)
            s->sink->on_acked(s, tag, r->result);
        break;
    case HUB_REQUEST_OPEN:
    case HUB_REQUEST_JOIN:
    case HUB_REQUEST_REJOIN:
    case HUB_REQUEST_RELAY:
    case HUB_REQUEST_USER:
    case HUB_REQUEST_NODES:
    case HUB_REQUEST_WATCH:
    case HUB_REQUEST_ROOMS:
    case HUB_REQUEST_LOOK:
    case HUB_REQUEST_KICK:
        assert(false);
        break;
    }
}
