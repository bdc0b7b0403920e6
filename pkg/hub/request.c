/*
 * Requests: made on a port's loop, handled on the hub's, answered on the port's. Here is what all kinds share, and the
 * door for those without a session.
 */
#include "hub/port_internal.h"

#include "base/clock.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX 500

struct hub_request *hub_request_new(struct hub_port *p, enum hub_request_kind kind, size_t text_size)
{
    struct hub_request *r = calloc(1, sizeof(*r) + text_size);

    if (!r)
        return NULL;
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
        free(r->room.page.users);
        break;
    case HUB_REQUEST_USER:
        free(r->user.sessions);
        break;
    case HUB_REQUEST_NODES:
        free(r->nodes.leases);
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
    case HUB_REQUEST_USER:
    case HUB_REQUEST_NODES:
        hub_query_handle(h, r);
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
    const struct hub_page *page;
    struct hub_published published = {0};

    switch (r->kind) {
    case HUB_REQUEST_PUBLISH:
        published.message_id = r->publish.message->id;
        published.epoch = r->publish.position.epoch;
        published.offset = r->publish.position.offset;
        r->publish.done(r->userdata, r->result, &published);
        break;
    case HUB_REQUEST_ROOM:
        page = &r->room.page;
        r->room.done(r->userdata, r->result, page->count, page->users, page->user_count,
                     page->has_next ? page->users[page->user_count - 1] : SLICE_NONE);
        break;
    case HUB_REQUEST_USER:
        r->user.done(r->userdata, r->result, r->user.sessions, r->user.count);
        break;
    case HUB_REQUEST_NODES:
        r->nodes.done(r->userdata, r->result, r->nodes.leases, r->nodes.count);
        break;
    case HUB_REQUEST_OPEN:
    case HUB_REQUEST_JOIN:
    case HUB_REQUEST_REJOIN:
    case HUB_REQUEST_RELAY:
    case HUB_REQUEST_HISTORY:
    case HUB_REQUEST_ACK:
        assert(false);
        break;
    }
}

static bool is_of_port(const struct hub_request *r)
{
    return (r->kind == HUB_REQUEST_PUBLISH && r->publish.done) || (r->kind == HUB_REQUEST_ROOM && r->room.done) ||
           r->kind == HUB_REQUEST_USER || r->kind == HUB_REQUEST_NODES;
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

int hub_port_room(struct hub_port *p, struct slice room, uint64_t limit, struct slice after,
                  void (*done)(void *userdata, int result, uint64_t count, const struct slice *users, size_t user_count,
                               struct slice next),
                  void *userdata)
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
