/* Clients of the world: sessions that keep what they are told. */
#include "hub_world.h"

#include <string.h>

static void copy_text(char *to, size_t size, struct slice s)
{
    assert_true(s.size < size);
    if (s.size)
        memcpy(to, s.data, s.size);
    to[s.size] = '\0';
}

static struct client *client_of(struct hub_session *s)
{
    struct client *c = container_of(s, struct client, session);

    assert_false(c->is_closed);
    return c;
}

static void on_open(struct hub_session *s, int result, const struct hub_channel_state *channels, size_t count)
{
    struct client *c = client_of(s);

    c->is_open = result == 0;
    c->open_result = result;
    c->state_count = count;
    for (size_t i = 0; i < count; i++) {
        copy_text(c->states[i], sizeof(c->states[i]), channels[i].channel);
        c->positions[i] = channels[i];
        c->positions[i].channel = SLICE_NONE;
    }
    c->answers++;
}

static void on_message(struct hub_session *s, struct hub_fan *fan)
{
    struct client *c = client_of(s);
    const struct message *m = fan->message;
    struct client_message *kept = &c->messages[c->message_count % BASE_ARRAY_SIZE(c->messages)];
    struct client *closes[BASE_ARRAY_SIZE(c->closes)];
    const char *leaves = c->leaves;

    kept->kind = m->kind;
    copy_text(kept->channel, sizeof(kept->channel), m->channel);
    copy_text(kept->id, sizeof(kept->id), m->id);
    copy_text(kept->from, sizeof(kept->from), m->from);
    copy_text(kept->data, sizeof(kept->data), m->data);
    kept->epoch = m->epoch;
    kept->offset = m->offset;
    c->message_count++;
    c->leaves = NULL;
    if (leaves)
        assert_int_equal(hub_session_leave(s, slice_from(leaves)), 0);
    memcpy(closes, c->closes, sizeof(closes));
    memset(c->closes, 0, sizeof(c->closes));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(closes); i++) {
        if (closes[i])
            client_close(closes[i]);
    }
}

static void on_reset(struct hub_session *s, struct slice channel base_unused, uint64_t epoch, uint64_t offset)
{
    struct client *c = client_of(s);

    c->reset_count++;
    c->reset_epoch = epoch;
    c->reset_offset = offset;
}

static void note_answer(struct client *c, struct slice tag, int result)
{
    c->answers++;
    c->last_result = result;
    copy_text(c->last_tag, sizeof(c->last_tag), tag);
}

static void on_joined(struct hub_session *s, struct slice tag, int result, const struct hub_channel_state *state)
{
    struct client *c = client_of(s);

    note_answer(c, tag, result);
    copy_text(c->last_channel, sizeof(c->last_channel), state->channel);
    c->joined = *state;
    c->joined.channel = SLICE_NONE;
}

static void on_sent(struct hub_session *s, struct slice tag, int result, struct slice message_id, uint64_t epoch,
                    uint64_t offset)
{
    struct client *c = client_of(s);

    c->sent_epoch = epoch;
    c->sent_offset = offset;
    note_answer(c, tag, result);
    copy_text(c->last_id, sizeof(c->last_id), message_id);
}

static void on_online(struct hub_session *s, struct slice tag, int result, const struct hub_room_info *info)
{
    struct client *c = client_of(s);

    note_answer(c, tag, result);
    if (!info)
        return;
    c->online_count = info->users;
    c->user_count = info->name_count;
    for (size_t i = 0; i < info->name_count && i < BASE_ARRAY_SIZE(c->users); i++)
        copy_text(c->users[i], sizeof(c->users[i]), info->names[i]);
    copy_text(c->next, sizeof(c->next), info->next);
}

const struct hub_sink_ops client_sink = {on_open, on_message, on_reset, on_joined, on_sent, on_online};

void client_open_begin(struct client *c, struct world *w, size_t port, const char *user, const char *room)
{
    const struct hub_session_info info = {.user = slice_from(user), .room = slice_from(room)};

    *c = (struct client){.world = w, .open_result = -1};
    assert_int_equal(hub_session_open(&c->session, w->ports[port], &info, &client_sink), 0);
}

void client_open(struct client *c, struct world *w, size_t port, const char *user, const char *room)
{
    client_open_begin(c, w, port, user, room);
    world_settle(w);
    assert_true(c->is_open);
}

void client_close(struct client *c)
{
    c->is_open = false;
    hub_session_close(&c->session);
    c->is_closed = true;
}

int client_join(struct client *c, const char *room, const char *tag)
{
    return hub_session_join(&c->session, slice_from(room), NULL, slice_from(tag));
}

int client_join_since(struct client *c, const char *room, uint64_t epoch, uint64_t offset)
{
    const struct hub_since since = {.is_set = true, .epoch = epoch, .offset = offset};

    return hub_session_join(&c->session, slice_from(room), &since, SLICE_LITERAL("since"));
}

struct hub_send send_text(const char *data)
{
    return (struct hub_send){.kind = MESSAGE_KIND_MESSAGE, .content_type = CONTENT_TYPE_TEXT, .data = slice_from(data)};
}

int client_send(struct client *c, const char *room, const char *data, const char *key)
{
    struct hub_send send = send_text(data);

    send.key = slice_from(key);
    return hub_session_send(&c->session, slice_from(room), &send, SLICE_LITERAL("sent"));
}

size_t client_count(const struct client *c, const char *data)
{
    size_t count = 0;

    assert_true(c->message_count <= BASE_ARRAY_SIZE(c->messages));
    for (size_t i = 0; i < c->message_count; i++)
        count += strcmp(c->messages[i].data, data) == 0;
    return count;
}

const char *client_online(const struct client *c)
{
    for (size_t i = c->message_count; i-- > 0;) {
        if (c->messages[i % BASE_ARRAY_SIZE(c->messages)].kind == MESSAGE_KIND_SIGNAL)
            return c->messages[i % BASE_ARRAY_SIZE(c->messages)].data;
    }
    return NULL;
}
