/* DELETE /v1/users/{user}/sessions?device=&session=&reason=: closes a user's sessions, on whichever nodes they are. */
#include "api/api_internal.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>

static const char *const states[] = {
    [HUB_KICK_ASKED] = "asked",         [HUB_KICK_DONE] = "done",     [HUB_KICK_CUT] = "cut",
    [HUB_KICK_NO_BROKER] = "no_broker", [HUB_KICK_SILENT] = "silent",
};

static const char *const sentences[] = {
    [HUB_KICK_ASKED] = "asked",
    [HUB_KICK_DONE] = "done",
    [HUB_KICK_CUT] = "cut off from the broker",
    [HUB_KICK_NO_BROKER] = "this node is cut off from the broker",
    [HUB_KICK_SILENT] = "no answer in time",
};

static void write_node(struct json_writer *w, struct slice node, uint64_t closed, enum hub_kick_outcome outcome)
{
    json_write_object_begin(w);
    json_write_member_string(w, "node", node);
    json_write_member_uint64(w, "closed", closed);
    json_write_member_text(w, "state", states[outcome]);
    json_write_object_end(w);
}

static uint64_t closed_elsewhere(const struct hub_kicked *kicked)
{
    uint64_t closed = 0;

    for (size_t i = 0; i < kicked->node_count; i++)
        closed += kicked->nodes[i].closed;
    return closed;
}

static bool all_were_reached(const struct hub_kicked *kicked)
{
    for (size_t i = 0; i < kicked->node_count; i++) {
        if (kicked->nodes[i].outcome != HUB_KICK_DONE)
            return false;
    }
    return true;
}

/** What is not done, for people. */
static void write_fault(struct json_writer *w, int result, const struct hub_kicked *kicked)
{
    struct buffer text = {0};
    const char *before = "; not reached: ";

    buffer_printf(&text, "%llu sessions closed", (unsigned long long)kicked->closed);
    if (result)
        buffer_append_text(&text, "; whether there are any on other nodes is not known, because Redis is away");
    for (size_t i = 0; i < kicked->node_count; i++) {
        const struct hub_kick_node *n = &kicked->nodes[i];

        if (n->outcome == HUB_KICK_DONE)
            continue;
        buffer_printf(&text, "%s%llu on %.*s (%s)", before, (unsigned long long)n->known, SLICE_PRINTF(n->node),
                      sentences[n->outcome]);
        before = ", ";
    }
    json_write_name(w, "error");
    json_write_object_begin(w);
    json_write_member_text(w, "code", "unavailable");
    json_write_member_string(w, "message", buffer_slice(&text));
    json_write_object_end(w);
    buffer_deinit(&text);
}

static void on_kicked(void *userdata, int result, const struct hub_kicked *kicked)
{
    struct api_reply *reply = userdata;
    bool is_done = !result && all_were_reached(kicked);
    uint64_t here = kicked->closed - closed_elsewhere(kicked);
    struct buffer json = {0};
    struct json_writer w;

    if (result && result != HUB_E_UNAVAILABLE) {
        api_reply_result(reply, result);
        return;
    }
    if (is_done && !kicked->closed) {
        api_reply_error(reply, 404, "bad_request", "this user has no such session");
        return;
    }
    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    if (!is_done)
        write_fault(&w, result, kicked);
    json_write_member_uint64(&w, "closed", kicked->closed);
    json_write_name(&w, "nodes");
    json_write_array_begin(&w);
    if (here)
        write_node(&w, slice_from(reply->api->environment.node), here, HUB_KICK_DONE);
    for (size_t i = 0; i < kicked->node_count; i++)
        write_node(&w, kicked->nodes[i].node, kicked->nodes[i].closed, kicked->nodes[i].outcome);
    json_write_array_end(&w);
    json_write_object_end(&w);
    if (buffer_error(&json))
        api_reply_result(reply, -ENOMEM);
    else
        api_reply_json(reply, is_done ? 200 : 503, buffer_slice(&json));
    buffer_deinit(&json);
}

/** A parameter of the query into @storage; false if it is broken. Not there: *ret_text stays. */
static bool take_parameter(const struct api_request *request, const char *name, size_t max_bytes,
                           struct buffer *storage, struct slice *ret_text)
{
    struct slice raw = http_query_parameter(request->message->query, name, 0);

    *storage = BUFFER_WITH_LIMIT(max_bytes);
    if (!slice_is_set(raw))
        return true;
    if (!http_percent_decode(raw, true, storage) || buffer_error(storage))
        return false;
    *ret_text = buffer_slice(storage);
    return true;
}

void api_delete_user_sessions(struct api *a, const struct api_request *request, struct api_reply *reply)
{
    struct buffer device, session, reason;
    struct hub_kick_which which = {.user = request->name};
    bool is_device_good = take_parameter(request, "device", NAME_MAX_BYTES, &device, &which.device) &&
                          (!slice_is_set(which.device) || !name_check(which.device));
    bool is_session_good = take_parameter(request, "session", NAME_MAX_BYTES, &session, &which.session) &&
                           (!slice_is_set(which.session) || which.session.size > 0);
    bool is_reason_good = take_parameter(request, "reason", HUB_KICK_REASON_MAX_BYTES, &reason, &which.reason) &&
                          utf8_is_valid(buffer_slice(&reason));
    int result = 0;

    if (!is_device_good)
        api_reply_error(reply, 400, "bad_name", "device: expected a device's name");
    else if (!is_session_good)
        api_reply_error(reply, 400, "bad_request", "session: expected a session's id");
    else if (!is_reason_good)
        api_reply_error(reply, 400, "bad_request", "reason: expected text of at most 123 bytes");
    else
        result = hub_port_kick(a->port, &which, on_kicked, reply);
    if (result)
        api_reply_result(reply, result);
    buffer_deinit(&device);
    buffer_deinit(&session);
    buffer_deinit(&reason);
}
