/*
 * Requests: made on a port's loop, handled on the hub's, answered on the port's. Here is what all kinds share, and the
 * door for those without a session.
 */
#include "hub/append_internal.h"
#include "hub/kick_internal.h"
#include "hub/port_internal.h"
#include "hub/request_internal.h"

#include "base/clock.h"

#define OPEN_TEXT_SIZE (2 * CHANNEL_MAX_BYTES)
#define PAGE_DEFAULT 100
#define PAGE_MAX 500

struct hub_request *hub_request_new(struct hub_port *p, enum hub_request_kind kind, size_t text_size)
{
    bool is_open = kind == HUB_REQUEST_OPEN;
    struct hub_request *r;

    assert(!is_open || text_size == OPEN_TEXT_SIZE);
    r = is_open && p->spare_count > 0 ? p->spares[--p->spare_count] : malloc(sizeof(*r) + text_size);
    if (!r)
        return NULL;
    memset(r, 0, sizeof(*r) + text_size);
    r->port = p;
    r->kind = kind;
    list_init(&r->link);
    return r;
}

static void catch_up_free(struct hub_join *j)
{
    while (j->count > 0)
        message_unref(j->messages[--j->count]);
    free(j->messages);
}

struct hub_request *hub_request_free(struct hub_request *r)
{
    if (!r)
        return NULL;
    assert(!list_is_linked(&r->link));
    switch (r->kind) {
    case HUB_REQUEST_PUBLISH:
    case HUB_REQUEST_RELAY:
        message_unref(r->publish.message);
        break;
    case HUB_REQUEST_ROOM:
        free(r->room.page.memory);
        break;
    case HUB_REQUEST_USER:
        free(r->user.sessions);
        break;
    case HUB_REQUEST_NODES:
        free(r->nodes.leases);
        break;
    case HUB_REQUEST_WATCH:
        free(r->watch.watched);
        break;
    case HUB_REQUEST_ROOMS:
        free(r->rooms.lines);
        break;
    case HUB_REQUEST_LOOK:
        buffer_deinit(&r->look.objects);
        break;
    case HUB_REQUEST_KICK:
        free(r->kick.nodes);
        break;
    case HUB_REQUEST_HISTORY:
        while (r->history.count > 0)
            message_unref(r->history.messages[--r->history.count]);
        free(r->history.messages);
        break;
    case HUB_REQUEST_ACK:
        break;
    case HUB_REQUEST_OPEN:
    case HUB_REQUEST_JOIN:
    case HUB_REQUEST_REJOIN:
        for (size_t i = 0; i < r->listen.join_count; i++)
            catch_up_free(&r->listen.joins[i]);
        break;
    }
    if (r->kind == HUB_REQUEST_OPEN && r->port->spare_count < HUB_SPARE_REQUESTS)
        r->port->spares[r->port->spare_count++] = r;
    else
        free(r);
    return NULL;
}

void hub_request_send(struct hub_request *r, struct hub_session *s, struct slice tag)
{
    assert(tag.size <= HUB_TAG_MAX_BYTES);
    if (tag.size)
        memcpy(r->tag, tag.data, tag.size);
    r->tag_size = tag.size;
    r->session = s;
    if (s) {
        list_append(&s->requests, &r->link);
        s->open_requests++;
    }
    hub_letter_to_hub(r->port->hub, &r->letter, hub_request_on_hub);
}

void hub_request_on_hub(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_request *r = container_of(task, struct hub_request, letter.task);

    switch (r->kind) {
    case HUB_REQUEST_OPEN:
        hub_client_handle_open(h, r);
        break;
    case HUB_REQUEST_JOIN:
        hub_client_handle_join(h, r);
        break;
    case HUB_REQUEST_REJOIN:
        hub_client_handle_rejoin(h, r);
        break;
    case HUB_REQUEST_PUBLISH:
    case HUB_REQUEST_RELAY:
        hub_publish_handle(h, r);
        break;
    case HUB_REQUEST_ROOM:
    case HUB_REQUEST_WATCH:
    case HUB_REQUEST_ROOMS:
    case HUB_REQUEST_USER:
    case HUB_REQUEST_NODES:
        hub_query_handle(h, r);
        break;
    case HUB_REQUEST_LOOK:
        hub_look_handle(h, r);
        break;
    case HUB_REQUEST_KICK:
        hub_kick_handle(h, r);
        break;
    case HUB_REQUEST_HISTORY:
    case HUB_REQUEST_ACK:
        hub_history_handle(h, r);
        break;
    }
}

/** The API's answers. */
static void port_on_answer(struct hub_request *r)
{
    struct hub_published published = {0};
    struct hub_history history;

    switch (r->kind) {
    case HUB_REQUEST_PUBLISH:
        published.message_id = r->publish.message->id;
        published.epoch = r->publish.position.epoch;
        published.offset = r->publish.position.offset;
        r->publish.done(r->userdata, r->result, &published);
        break;
    case HUB_REQUEST_ROOM:
        r->room.done(r->userdata, r->result, r->result ? NULL : &r->room.page.info);
        break;
    case HUB_REQUEST_USER:
        r->user.done(r->userdata, r->result, r->user.sessions, r->user.count);
        break;
    case HUB_REQUEST_WATCH:
        r->watch.done(r->userdata, r->result, r->watch.watched, r->watch.count, r->watch.next);
        break;
    case HUB_REQUEST_ROOMS:
        r->rooms.done(r->userdata, r->result, r->rooms.lines, r->rooms.count, r->rooms.next);
        break;
    case HUB_REQUEST_LOOK:
        r->look.done(r->userdata, r->result, r->result ? SLICE_NONE : buffer_slice(&r->look.objects));
        break;
    case HUB_REQUEST_NODES:
        r->nodes.done(r->userdata, r->result, r->nodes.leases, r->nodes.count);
        break;
    case HUB_REQUEST_KICK:
        r->kick.done(r->userdata, r->result, &r->kick.kicked);
        break;
    case HUB_REQUEST_HISTORY:
        history = (struct hub_history){.messages = r->history.messages,
                                       .count = r->result ? 0 : r->history.count,
                                       .has_more = r->history.has_more,
                                       .last_epoch = r->history.last.epoch,
                                       .last_offset = r->history.last.offset};
        r->history.done(r->userdata, r->result, &history);
        break;
    case HUB_REQUEST_OPEN:
    case HUB_REQUEST_JOIN:
    case HUB_REQUEST_REJOIN:
    case HUB_REQUEST_RELAY:
    case HUB_REQUEST_ACK:
        assert(false);
        break;
    }
}

static bool is_of_port(const struct hub_request *r)
{
    return (r->kind == HUB_REQUEST_PUBLISH && r->publish.done) || (r->kind == HUB_REQUEST_HISTORY && r->history.done) ||
           (r->kind == HUB_REQUEST_ROOM && r->room.done) || r->kind == HUB_REQUEST_USER ||
           r->kind == HUB_REQUEST_NODES || r->kind == HUB_REQUEST_WATCH || r->kind == HUB_REQUEST_ROOMS ||
           r->kind == HUB_REQUEST_LOOK || r->kind == HUB_REQUEST_KICK;
}

static void on_answer(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h base_unused = hub_of_letter(task);
    struct hub_request *r = container_of(task, struct hub_request, letter.task);

    if (is_of_port(r))
        port_on_answer(r);
    else
        hub_session_on_answer(r);
    hub_request_free(r);
}

void hub_request_answer(struct hub *h, struct hub_request *r, int result)
{
    r->result = result;
    /* What the hub did before it answered arrives before the answer. */
    hub_door_flush(h, &h->doors[r->port->index]);
    hub_letter_to_port(r->port, &r->letter, on_answer);
}

int hub_request_new_publish(struct hub_port *p, enum hub_request_kind kind, const struct message *envelope,
                            const struct hub_send *send, struct hub_request **ret_request)
{
    char generated[ID_TEXT_SIZE + 1];
    base_cleanup(buffer_deinit)
    struct buffer id = {0};
    struct message fields = *envelope;
    struct hub_request *r;

    if (send->data.size > (size_t)p->hub->config.message_bytes)
        return HUB_E_TOO_LARGE;
    if (!slice_is_set(fields.id)) {
        if (slice_is_set(send->key)) {
            hub_publish_key_id(fields.channel, fields.from, send->key, &id);
        } else {
            id_generate(generated);
            buffer_append(&id, generated, ID_TEXT_SIZE);
        }
        fields.id = buffer_slice(&id);
    }
    fields.kind = send->kind;
    fields.has_stable_id = true;
    fields.time_ms = clock_realtime_ms();
    fields.content_type = send->content_type;
    fields.data = send->data;
    fields.meta = send->meta;
    r = buffer_error(&id) ? NULL : hub_request_new(p, kind, 0);
    if (!r)
        return -ENOMEM;
    r->publish.message = message_copy(&fields);
    if (!r->publish.message) {
        hub_request_free(r);
        return -ENOMEM;
    }
    r->publish.key_size = send->key.size;
    *ret_request = r;
    return 0;
}

int hub_request_new_room(struct hub_port *p, struct slice room, uint64_t limit, struct slice after,
                         struct hub_request **ret_request)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_ROOM, room.size + after.size);

    if (!r)
        return -ENOMEM;
    memcpy(r->text, room.data, room.size);
    r->room.room = slice_make(r->text, room.size);
    if (slice_is_set(after)) {
        memcpy(r->text + room.size, after.data, after.size);
        r->room.after = slice_make(r->text + room.size, after.size);
    }
    r->room.limit = !limit ? PAGE_DEFAULT : limit < PAGE_MAX ? limit : PAGE_MAX;
    *ret_request = r;
    return 0;
}

/* ---- the door for those without a session ---- */

int hub_port_publish(struct hub_port *p, struct slice channel, struct slice from, const struct hub_send *send,
                     void (*done)(void *userdata, int result, const struct hub_published *published), void *userdata)
{
    const struct message envelope = {.channel = channel, .from = from};
    struct hub_request *r;
    int result = hub_request_new_publish(p, HUB_REQUEST_PUBLISH, &envelope, send, &r);

    if (result)
        return result;
    r->publish.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_nodes(struct hub_port *p,
                   void (*done)(void *userdata, int result, const struct store_lease *leases, size_t count),
                   void *userdata)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_NODES, 0);

    if (!r)
        return -ENOMEM;
    r->nodes.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_watch(struct hub_port *p, struct slice room, struct slice user, struct slice after, uint64_t limit,
                   void (*done)(void *userdata, int result, const struct store_watched *watched, size_t count,
                                struct slice next),
                   void *userdata)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_WATCH, room.size + user.size + after.size);
    struct slice *const to[] = {&r->watch.read.room, &r->watch.read.user, &r->watch.read.after};
    const struct slice from[] = {room, user, after};
    char *text;

    if (!r)
        return -ENOMEM;
    text = r->text;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(from); i++) {
        if (!slice_is_set(from[i]))
            continue;
        memcpy(text, from[i].data, from[i].size);
        *to[i] = slice_make(text, from[i].size);
        text += from[i].size;
    }
    r->watch.read.limit = !limit ? PAGE_DEFAULT : limit < PAGE_MAX ? (size_t)limit : PAGE_MAX;
    r->watch.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_rooms(struct hub_port *p, struct slice after, uint64_t limit,
                   void (*done)(void *userdata, int result, const struct store_room_line *lines, size_t count,
                                struct slice next),
                   void *userdata)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_ROOMS, after.size);

    if (!r)
        return -ENOMEM;
    if (slice_is_set(after)) {
        memcpy(r->text, after.data, after.size);
        r->rooms.read.after = slice_make(r->text, after.size);
    }
    r->rooms.read.limit = !limit ? PAGE_DEFAULT : limit < PAGE_MAX ? (size_t)limit : PAGE_MAX;
    r->rooms.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_user(struct hub_port *p, struct slice user,
                  void (*done)(void *userdata, int result, const struct store_session *sessions, size_t count),
                  void *userdata)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_USER, user.size + 1);

    if (!r)
        return -ENOMEM;
    memcpy(r->text, user.data, user.size);
    r->user.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_look(struct hub_port *p, struct slice user, void (*done)(void *userdata, int result, struct slice objects),
                  void *userdata)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_LOOK, user.size + 1);

    if (!r)
        return -ENOMEM;
    memcpy(r->text, user.data, user.size);
    r->look.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

static struct slice text_put(char **to, struct slice text)
{
    struct slice copy = slice_make(*to, text.size);

    if (!slice_is_set(text))
        return SLICE_NONE;
    if (text.size)
        memcpy(*to, text.data, text.size);
    *to += text.size;
    return copy;
}

int hub_port_history(struct hub_port *p, const struct hub_history_read *read,
                     void (*done)(void *userdata, int result, const struct hub_history *history), void *userdata)
{
    struct hub_request *r = hub_request_new(p, HUB_REQUEST_HISTORY, read->channel.size + 1);

    if (!r)
        return -ENOMEM;
    memcpy(r->text, read->channel.data, read->channel.size);
    r->history.before = read->at;
    r->history.limit = !read->limit ? PAGE_DEFAULT : read->limit < PAGE_MAX ? read->limit : PAGE_MAX;
    r->history.is_forwards = read->is_forwards;
    r->history.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_kick(struct hub_port *p, const struct hub_kick_which *which,
                  void (*done)(void *userdata, int result, const struct hub_kicked *kicked), void *userdata)
{
    struct hub_request *r = hub_request_new(
        p, HUB_REQUEST_KICK, which->user.size + which->device.size + which->session.size + which->reason.size);
    char *text;

    if (!r)
        return -ENOMEM;
    text = r->text;
    r->kick.which.user = text_put(&text, which->user);
    r->kick.which.device = text_put(&text, which->device);
    r->kick.which.session = text_put(&text, which->session);
    r->kick.which.reason = text_put(&text, which->reason);
    r->kick.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}

int hub_port_room(struct hub_port *p, struct slice room, uint64_t limit, struct slice after,
                  void (*done)(void *userdata, int result, const struct hub_room_info *info), void *userdata)
{
    struct hub_request *r;
    int result = hub_request_new_room(p, room, limit, after, &r);

    if (result)
        return result;
    r->room.done = done;
    r->userdata = userdata;
    hub_request_send(r, NULL, SLICE_NONE);
    return 0;
}
