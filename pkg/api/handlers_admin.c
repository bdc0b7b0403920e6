/* What people and monitoring ask: nodes, a user's sessions, who is in a room, metrics, health. */
#include "api/api_internal.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static void finish(struct api_reply *reply, struct buffer *json)
{
    if (buffer_error(json))
        api_reply_result(reply, -ENOMEM);
    else
        api_reply_json(reply, 200, buffer_slice(json));
    buffer_deinit(json);
}

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

    if (result) {
        api_reply_result(reply, result);
        return;
    }
    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_member_text(&w, "this", reply->api->environment.node);
    json_write_name(&w, "nodes");
    json_write_array_begin(&w);
    for (size_t i = 0; i < count; i++)
        write_lease(&w, &leases[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    finish(reply, &json);
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

    if (result) {
        api_reply_result(reply, result);
        return;
    }
    json_writer_init(&w, &json);
    json_write_object_begin(&w);
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
    finish(reply, &json);
}

void api_get_user(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    int result = hub_port_user(a->port, request->name, on_user, reply);

    if (result)
        api_reply_result(reply, result);
}

static void on_room(void *userdata, int result, uint64_t count, const struct slice *users, size_t user_count,
                    struct slice next)
{
    struct api_reply *reply = userdata;
    struct buffer json = {0};
    struct json_writer w;

    if (result) {
        api_reply_result(reply, result);
        return;
    }
    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, "count", count);
    json_write_name(&w, "users");
    json_write_array_begin(&w);
    for (size_t i = 0; i < user_count; i++)
        json_write_string(&w, users[i]);
    json_write_array_end(&w);
    json_write_name(&w, "next");
    if (slice_is_set(next))
        json_write_string(&w, next);
    else
        json_write_null(&w);
    json_write_object_end(&w);
    finish(reply, &json);
}

/** GET /v1/rooms/{room}/users?limit=&after= */
void api_get_room_users(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct slice limit_text = http_query_parameter(request->message->query, "limit", 0);
    struct slice after_text = http_query_parameter(request->message->query, "after", 0);
    struct buffer after = BUFFER_WITH_LIMIT(4 * NAME_MAX_BYTES);
    uint64_t limit = 0;
    int result;

    if (slice_is_set(limit_text) && !slice_to_uint64(limit_text, 500, &limit)) {
        api_reply_error(reply, 400, "bad_request", "limit: expected a number from 0 to 500");
    } else if (slice_is_set(after_text) && (!http_percent_decode(after_text, true, &after) || buffer_error(&after) ||
                                            name_check(buffer_slice(&after)))) {
        api_reply_error(reply, 400, "bad_name", "after: expected a user's name");
    } else {
        result = hub_port_room(a->port, request->name, limit,
                               slice_is_set(after_text) ? buffer_slice(&after) : SLICE_NONE, on_room, reply);
        if (result)
            api_reply_result(reply, result);
    }
    buffer_deinit(&after);
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
