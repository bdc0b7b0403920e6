/* What people and monitoring ask: nodes, a user's sessions, who is in a room, metrics, health. */
#include "api/api_internal.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static void write_lease(struct json_writer *w, const struct store_lease *lease)
{
    char incarnation[24];

    (void)snprintf(incarnation, sizeof(incarnation), "%llx", (unsigned long long)lease->incarnation);
    json_write_object_begin(w);
    json_write_member_text(w, "node", lease->node);
    json_write_member_bool(w, "alive", lease->is_alive);
    json_write_member_bool(w, "cut", lease->is_cut);
    json_write_member_bool(w, "draining", lease->is_draining);
    json_write_member_uint64(w, "sessions", lease->sessions);
    json_write_member_uint64(w, "rooms", lease->rooms);
    json_write_member_int64(w, "started", lease->started_ms);
    json_write_member_int64(w, "lease_left_ms", lease->lease_left_ms);
    json_write_member_text(w, "version", lease->version);
    json_write_member_text(w, "internal", lease->internal);
    json_write_member_text(w, "incarnation", incarnation);
    json_write_object_end(w);
}

static void on_nodes(void *userdata, int result, const struct store_lease *leases, size_t count)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    json_write_member_text(&w, "this", reply->api->environment.node);
    json_write_name(&w, "nodes");
    json_write_array_begin(&w);
    for (size_t i = 0; i < count; i++)
        write_lease(&w, &leases[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

void api_get_nodes(struct api *a, const struct api_request *request base_unused, struct api_reply *reply)
{
    int result = hub_port_nodes(a->port, on_nodes, reply);

    if (result)
        api_reply_result(reply, result);
}

static void on_user(void *userdata, int result, const struct store_session *sessions, size_t count)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    json_write_name(&w, "sessions");
    json_write_array_begin(&w);
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&w);
        json_write_member_string(&w, "session", sessions[i].session);
        json_write_member_string(&w, "node", sessions[i].node);
        if (slice_is_set(sessions[i].device))
            json_write_member_string(&w, "device", sessions[i].device);
        json_write_member_int64(&w, "since", sessions[i].since_ms);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

void api_get_user(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    int result = hub_port_user(a->port, request->name, on_user, reply);

    if (result)
        api_reply_result(reply, result);
}

/** Waits for the live ones; who they are is needed again for those that ended. */
struct looking {
    struct api_reply *reply;
    size_t user_size;
    char user[NAME_MAX_BYTES];
};

static void on_looked(void *userdata, int result, struct slice objects)
{
    base_cleanup(base_free_p)
    struct looking *l = userdata;
    const struct api_environment *environment = &l->reply->api->environment;
    struct buffer json = {0};
    struct json_writer w;

    if (result == HUB_E_UNAVAILABLE) {
        api_reply_error(l->reply, 503, "unavailable", "this node is ending");
        return;
    }
    if (result) {
        api_reply_result(l->reply, result);
        return;
    }
    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_member_text(&w, "node", environment->node);
    json_write_name(&w, "sessions");
    json_write_array_begin(&w);
    if (objects.size)
        json_write_raw(&w, objects);
    json_write_array_end(&w);
    json_write_name(&w, "ended");
    if (environment->write_ends)
        environment->write_ends(environment->userdata, slice_make(l->user, l->user_size), &w);
    else
        json_write_null(&w);
    json_write_object_end(&w);
    api_reply_finish(l->reply, &json);
}

/** GET /v1/users/{user}/here */
void api_get_user_here(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct looking *l = calloc(1, sizeof(*l));
    int result = -ENOMEM;

    if (l) {
        *l = (struct looking){.reply = reply, .user_size = request->name.size};
        memcpy(l->user, request->name.data, request->name.size);
        result = hub_port_look(a->port, request->name, on_looked, l);
    }
    if (result) {
        free(l);
        api_reply_result(reply, result);
    }
}

/** How many there are, and where. */
static void write_room(struct json_writer *w, const struct hub_room_info *info)
{
    json_write_member_uint64(w, "count", info->users);
    json_write_member_uint64(w, "connections", info->connections);
    json_write_member_uint64(w, "likes", info->likes);
    json_write_name(w, "nodes");
    json_write_array_begin(w);
    for (size_t i = 0; i < info->part_count; i++) {
        json_write_object_begin(w);
        json_write_member_string(w, "node", info->parts[i].node);
        json_write_member_uint64(w, "users", info->parts[i].users);
        json_write_member_uint64(w, "connections", info->parts[i].connections);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/** Where the next page begins; null: this is the last. */
static void write_next(struct json_writer *w, struct slice next)
{
    json_write_name(w, "next");
    if (slice_is_set(next))
        json_write_string(w, next);
    else
        json_write_null(w);
}

static void on_room_users(void *userdata, int result, const struct hub_room_info *info)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    write_room(&w, info);
    json_write_name(&w, "users");
    json_write_array_begin(&w);
    for (size_t i = 0; i < info->name_count; i++)
        json_write_string(&w, info->names[i]);
    json_write_array_end(&w);
    write_next(&w, info->next);
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

static void on_room(void *userdata, int result, const struct hub_room_info *info)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    write_room(&w, info);
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

/** GET /v1/rooms/{room} */
void api_get_room(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    int result = hub_port_room(a->port, request->name, 1, SLICE_NONE, on_room, reply);

    if (result)
        api_reply_result(reply, result);
}

/** A name of the query, decoded; not set if it is not there. false: it is none. */
static bool query_name(const struct api_request *request, const char *which, struct buffer *storage,
                       struct slice *ret_name)
{
    struct slice raw = http_query_parameter(request->message->query, which, 0);

    *ret_name = SLICE_NONE;
    if (!slice_is_set(raw))
        return true;
    if (!http_percent_decode(raw, true, storage) || buffer_error(storage) || name_check(buffer_slice(storage)))
        return false;
    *ret_name = buffer_slice(storage);
    return true;
}

/** GET /v1/rooms/{room}/users?limit=&after= */
void api_get_room_users(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct buffer after_text = BUFFER_WITH_LIMIT(4 * NAME_MAX_BYTES);
    struct slice after;
    uint64_t limit;
    int result = 0;

    if (!api_query_limit(request, reply, &limit))
        return;
    if (!query_name(request, "after", &after_text, &after))
        api_reply_error(reply, 400, "bad_name", "after: expected a user's name");
    else
        result = hub_port_room(a->port, request->name, limit, after, on_room_users, reply);
    if (result)
        api_reply_result(reply, result);
    buffer_deinit(&after_text);
}

static void on_room_watch(void *userdata, int result, const struct store_watched *watched, size_t count,
                          struct slice next)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    json_write_name(&w, "watched");
    json_write_array_begin(&w);
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&w);
        json_write_member_string(&w, "user", watched[i].user);
        json_write_member_uint64(&w, "seconds", watched[i].seconds);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    write_next(&w, next);
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

/** GET /v1/rooms/{room}/watch?user=&limit=&after= */
void api_get_room_watch(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct buffer user_text = BUFFER_WITH_LIMIT(4 * NAME_MAX_BYTES), after_text = BUFFER_WITH_LIMIT(4 * NAME_MAX_BYTES);
    struct slice user, after;
    uint64_t limit;
    int result = 0;

    if (!api_query_limit(request, reply, &limit))
        return;
    if (!query_name(request, "user", &user_text, &user))
        api_reply_error(reply, 400, "bad_name", "user: expected a user's name");
    else if (!query_name(request, "after", &after_text, &after))
        api_reply_error(reply, 400, "bad_name", "after: expected what a page gave as next");
    else
        result = hub_port_watch(a->port, request->name, user, after, limit, on_room_watch, reply);
    if (result)
        api_reply_result(reply, result);
    buffer_deinit(&user_text);
    buffer_deinit(&after_text);
}

static void on_rooms(void *userdata, int result, const struct store_room_line *lines, size_t count, struct slice next)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (!api_reply_begin(reply, result, &w, &json))
        return;
    json_write_name(&w, "rooms");
    json_write_array_begin(&w);
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&w);
        json_write_member_string(&w, "room", lines[i].room);
        json_write_member_uint64(&w, "count", lines[i].users);
        json_write_member_uint64(&w, "connections", lines[i].connections);
        json_write_member_uint64(&w, "nodes", lines[i].nodes);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    write_next(&w, next);
    json_write_object_end(&w);
    api_reply_finish(reply, &json);
}

/** GET /v1/rooms?limit=&after= */
void api_get_rooms(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct buffer after_text = BUFFER_WITH_LIMIT(4 * NAME_MAX_BYTES);
    struct slice after;
    uint64_t limit, cursor;
    int result = 0;

    if (!api_query_limit(request, reply, &limit))
        return;
    if (!query_name(request, "after", &after_text, &after) ||
        (slice_is_set(after) && !slice_to_uint64(after, UINT64_MAX, &cursor)))
        api_reply_error(reply, 400, "bad_request", "after: expected what a page gave as next");
    else
        result = hub_port_rooms(a->port, after, limit, on_rooms, reply);
    if (result)
        api_reply_result(reply, result);
    buffer_deinit(&after_text);
}

void api_get_metrics(struct api *a, const struct api_request *request base_unused, struct api_reply *reply)
{
    struct buffer page = {0};

    if (a->environment.before_metrics)
        a->environment.before_metrics(a->environment.userdata);
    metrics_write_page(a->environment.metrics, &page);
    if (buffer_error(&page))
        api_reply_result(reply, -ENOMEM);
    else
        api_reply_full(reply, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buffer_slice(&page));
    buffer_deinit(&page);
}

static void answer_health(bool is_good, const char *word, const char *reason, struct api_reply *reply)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "%s\n", is_good ? word : reason);
    api_reply_text(reply, is_good ? 200 : 503, slice_from(text));
}

void api_get_healthz(struct api *a, const struct api_request *request base_unused, struct api_reply *reply)
{
    char reason[128] = "";
    bool is_good = a->environment.is_alive(a->environment.userdata, reason);

    answer_health(is_good, "alive", reason, reply);
}

void api_get_readyz(struct api *a, const struct api_request *request base_unused, struct api_reply *reply)
{
    char reason[128] = "";
    bool is_good = a->environment.is_ready(a->environment.userdata, reason);

    answer_health(is_good, "ready", reason, reply);
}
