/*
 * Questions to the store on behalf of a port: which rooms there are, who is in one, where a user is, which nodes live.
 *
 * The store's answer is valid during its call only, so it is copied: one allocation for the array and its texts, which
 * goes with the request.
 */
#include "hub/request_internal.h"
#include "hub/room_internal.h"

static struct hub *request_hub(const struct hub_request *r)
{
    return r->letter.hub;
}

static int result_of(int store_result)
{
    return store_result > 0 ? HUB_E_UNAVAILABLE : store_result;
}

/** Copies @text to *@to and moves it behind. */
static struct slice text_put(char **to, struct slice text)
{
    struct slice copy = slice_make(*to, text.size);

    if (!slice_is_set(text))
        return SLICE_NONE;
    memcpy(*to, text.data, text.size);
    *to += text.size;
    return copy;
}

/** The answer's arrays, then their texts, in one piece. */
static int room_copy(struct hub_request *r, const struct store_room *room)
{
    struct hub_room_info *info = &r->room.page.info;
    size_t count = room->name_count < r->room.limit ? room->name_count : (size_t)r->room.limit, bytes = 0;
    struct store_room_part *parts;
    struct slice *names;
    char *texts;

    for (size_t i = 0; i < room->part_count; i++)
        bytes += room->parts[i].node.size;
    for (size_t i = 0; i < count; i++)
        bytes += room->names[i].size;
    r->room.page.memory = parts = malloc(room->part_count * sizeof(*parts) + count * sizeof(*names) + bytes + 1);
    if (!parts)
        return -ENOMEM;
    names = (struct slice *)(parts + room->part_count);
    texts = (char *)(names + count);
    for (size_t i = 0; i < room->part_count; i++) {
        parts[i] = room->parts[i];
        parts[i].node = text_put(&texts, room->parts[i].node);
    }
    for (size_t i = 0; i < count; i++)
        names[i] = text_put(&texts, room->names[i]);
    *info = (struct hub_room_info){
        .users = room->users,
        .connections = room->connections,
        .likes = room->likes,
        .parts = parts,
        .part_count = room->part_count,
        .names = names,
        .name_count = count,
        .next = count < room->name_count ? names[count - 1] : SLICE_NONE,
    };
    return 0;
}

static void on_room_read(struct store_room_read *read, int result, const struct store_room *room)
{
    struct hub_request *r = container_of(read, struct hub_request, room.read);

    if (!result)
        result = room_copy(r, room);
    hub_request_answer(request_hub(r), r, result_of(result));
}

static enum store_room_mode room_mode(const struct hub_channel_config *rule)
{
    if (rule->presence != HUB_PRESENCE_USERS)
        return STORE_ROOM_CONNECTIONS;
    return rule->has_roster ? STORE_ROOM_ROSTER : STORE_ROOM_USERS;
}

/** One name more than the page has tells whether there is another page. */
static void room_ask(struct hub *h, struct hub_request *r)
{
    char storage[CHANNEL_MAX_BYTES];
    struct slice channel = channel_format(CHANNEL_KIND_ROOM, r->room.room, storage);
    struct hub_channel *c = hub_channel_find(h, channel);

    if (c && c->room)
        hub_room_state_now(h, c->room);
    r->room.read = (struct store_room_read){
        .room = r->room.room,
        .mode = room_mode(c ? c->rule : hub_rule_find(h, channel)),
        .limit = (size_t)r->room.limit + 1,
        .after = r->room.after,
        .done = on_room_read,
    };
    store_room_read(h->store, &r->room.read);
}

static int sessions_copy(struct hub_request *r, const struct store_session *sessions, size_t count)
{
    size_t bytes = 0;
    char *texts;

    for (size_t i = 0; i < count; i++)
        bytes += sessions[i].user.size + sessions[i].session.size + sessions[i].device.size + sessions[i].node.size;
    r->user.sessions = malloc(count * sizeof(*sessions) + bytes + 1);
    if (!r->user.sessions)
        return -ENOMEM;
    texts = (char *)(r->user.sessions + count);
    for (size_t i = 0; i < count; i++) {
        r->user.sessions[i] = (struct store_session){
            .user = text_put(&texts, sessions[i].user),
            .session = text_put(&texts, sessions[i].session),
            .device = text_put(&texts, sessions[i].device),
            .since_ms = sessions[i].since_ms,
            .node = text_put(&texts, sessions[i].node),
        };
    }
    r->user.count = count;
    return 0;
}

static void on_user_read(struct store_user_read *read, int result, const struct store_session *sessions, size_t count)
{
    struct hub_request *r = container_of(read, struct hub_request, user.read);

    if (!result)
        result = sessions_copy(r, sessions, count);
    hub_request_answer(request_hub(r), r, result_of(result));
}

static int watched_copy(struct hub_request *r, const struct store_watched *watched, size_t count, struct slice next)
{
    size_t bytes = next.size;
    char *texts;

    for (size_t i = 0; i < count; i++)
        bytes += watched[i].user.size;
    r->watch.watched = malloc(count * sizeof(*watched) + bytes + 1);
    if (!r->watch.watched)
        return -ENOMEM;
    texts = (char *)(r->watch.watched + count);
    for (size_t i = 0; i < count; i++)
        r->watch.watched[i] =
            (struct store_watched){.user = text_put(&texts, watched[i].user), .seconds = watched[i].seconds};
    r->watch.count = count;
    r->watch.next = text_put(&texts, next);
    return 0;
}

static void on_watch_read(struct store_watch_read *read, int result, const struct store_watched *watched, size_t count,
                          struct slice next)
{
    struct hub_request *r = container_of(read, struct hub_request, watch.read);

    if (!result)
        result = watched_copy(r, watched, count, next);
    hub_request_answer(request_hub(r), r, result_of(result));
}

static int lines_copy(struct hub_request *r, const struct store_room_line *lines, size_t count, struct slice next)
{
    size_t bytes = next.size;
    char *texts;

    for (size_t i = 0; i < count; i++)
        bytes += lines[i].room.size;
    r->rooms.lines = malloc(count * sizeof(*lines) + bytes + 1);
    if (!r->rooms.lines)
        return -ENOMEM;
    texts = (char *)(r->rooms.lines + count);
    for (size_t i = 0; i < count; i++) {
        r->rooms.lines[i] = lines[i];
        r->rooms.lines[i].room = text_put(&texts, lines[i].room);
    }
    r->rooms.count = count;
    r->rooms.next = text_put(&texts, next);
    return 0;
}

static void on_rooms_read(struct store_rooms_read *read, int result, const struct store_room_line *lines, size_t count,
                          struct slice next)
{
    struct hub_request *r = container_of(read, struct hub_request, rooms.read);

    if (!result)
        result = lines_copy(r, lines, count, next);
    hub_request_answer(request_hub(r), r, result_of(result));
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *text_copy(char **to, const char *text)
{
    return text ? text_put(to, slice_make(text, text_size(text))).data : NULL;
}

static int leases_copy(struct hub_request *r, const struct store_lease *leases, size_t count)
{
    size_t bytes = 0;
    char *texts;

    for (size_t i = 0; i < count; i++)
        bytes += text_size(leases[i].node) + text_size(leases[i].version) + text_size(leases[i].internal);
    r->nodes.leases = malloc(count * sizeof(*leases) + bytes + 1);
    if (!r->nodes.leases)
        return -ENOMEM;
    texts = (char *)(r->nodes.leases + count);
    for (size_t i = 0; i < count; i++) {
        r->nodes.leases[i] = leases[i];
        r->nodes.leases[i].node = text_copy(&texts, leases[i].node);
        r->nodes.leases[i].version = text_copy(&texts, leases[i].version);
        r->nodes.leases[i].internal = text_copy(&texts, leases[i].internal);
    }
    r->nodes.count = count;
    return 0;
}

static void on_nodes_read(struct store_nodes_read *read, int result, const struct store_lease *leases, size_t count)
{
    struct hub_request *r = container_of(read, struct hub_request, nodes.read);

    if (!result)
        result = leases_copy(r, leases, count);
    hub_request_answer(request_hub(r), r, result_of(result));
}

void hub_query_handle(struct hub *h, struct hub_request *r)
{
    if (h->is_stopped) {
        hub_request_answer(h, r, HUB_E_UNAVAILABLE);
        return;
    }
    if (r->kind == HUB_REQUEST_ROOM) {
        room_ask(h, r);
    } else if (r->kind == HUB_REQUEST_WATCH) {
        r->watch.read.done = on_watch_read;
        store_watch_read(h->store, &r->watch.read);
    } else if (r->kind == HUB_REQUEST_ROOMS) {
        r->rooms.read.done = on_rooms_read;
        store_rooms_read(h->store, &r->rooms.read);
    } else if (r->kind == HUB_REQUEST_USER) {
        r->user.read = (struct store_user_read){.user = slice_from(r->text), .done = on_user_read};
        store_user_read(h->store, &r->user.read);
    } else {
        assert(r->kind == HUB_REQUEST_NODES);
        r->nodes.read = (struct store_nodes_read){.done = on_nodes_read};
        store_nodes_read(h->store, &r->nodes.read);
    }
}
