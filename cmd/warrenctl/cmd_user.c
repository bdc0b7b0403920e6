/*
 * A user's sessions in the cluster; with --here what the asked node alone knows: in which rooms each of its sessions
 * is, what waits to be sent to it, and how the last ones ended.
 */
#include "warrenctl.h"

#include "client/client.h"

#include <stdio.h>
#include <string.h>

static void add_session(void *userdata, struct slice object)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(object, "session"));
    table_set_value(t, 1, ctl_member(object, "node"));
    table_set_value(t, 2, ctl_member(object, "device"));
    table_set_time(t, 3, ctl_member(object, "since"));
}

static void set_rooms(struct table *t, size_t column, struct slice object)
{
    struct json_value rooms = ctl_member(object, "rooms"), more = ctl_member(object, "more_rooms"), room;
    struct buffer text = {0};
    struct json_reader reader;

    json_reader_init(&reader, rooms.text, JSON_DEPTH_MAX);
    if (rooms.type == JSON_ARRAY && !json_reader_enter_array(&reader)) {
        while (json_reader_element(&reader, &room) == JSON_OK && room.type == JSON_STRING) {
            buffer_append_text(&text, text.size ? ", " : "");
            json_string_decode(json_string_raw(room), &text);
        }
    }
    if (more.type == JSON_NUMBER && !ctl_value_is(more, "0"))
        buffer_printf(&text, " and %.*s more", SLICE_PRINTF(more.text));
    table_set(t, column, buffer_error(&text) ? SLICE_LITERAL("?") : buffer_slice(&text));
    buffer_deinit(&text);
}

static void add_members(struct table *t, struct slice object, const char *const *members, size_t count)
{
    table_add_row(t);
    for (size_t i = 0; i < count; i++)
        table_set_value(t, i, ctl_member(object, members[i]));
}

static void add_here(void *userdata, struct slice object)
{
    static const char *const members[] = {"session", "device", "peer", "age_ms", "silent_ms", "queued_bytes"};

    add_members(userdata, object, members, BASE_ARRAY_SIZE(members));
    set_rooms(userdata, BASE_ARRAY_SIZE(members), object);
}

static void add_ended(void *userdata, struct slice object)
{
    static const char *const members[] = {"time", "session", "device", "peer", "age_ms", "code", "reason", "detail"};

    add_members(userdata, object, members, BASE_ARRAY_SIZE(members));
    table_set_time(userdata, 0, ctl_member(object, "time"));
}

static int print_sessions(struct slice body)
{
    struct table t = {.headings = {"SESSION", "NODE", "DEVICE", "SINCE"}, .columns = 4};
    int result = ctl_each(body, "sessions", add_session, &t);

    table_print(&t);
    return result ? ctl_bad_answer() : CTL_OK;
}

static int print_here(struct slice body)
{
    struct table here = {.headings = {"SESSION", "DEVICE", "PEER", "AGE MS", "SILENT MS", "QUEUED BYTES", "ROOMS"},
                         .columns = 7};
    struct table ended = {.headings = {"ENDED", "SESSION", "DEVICE", "PEER", "AGE MS", "CODE", "REASON", "DETAIL"},
                          .columns = 8};
    int result = ctl_each(body, "sessions", add_here, &here);

    if (!result)
        result = ctl_each(body, "ended", add_ended, &ended);
    table_print(&here);
    (void)putchar('\n');
    table_print(&ended);
    return result ? ctl_bad_answer() : CTL_OK;
}

static int run(const struct ctl_context *context)
{
    bool is_here = context->argc == 3 && strcmp(context->argv[2], "--here") == 0;
    struct buffer body = {0}, path = {0};
    int code;

    if ((context->argc != 2 && !is_here) || strncmp(context->argv[1], "--", 2) == 0)
        return ctl_usage(&ctl_user, "expected one user, and perhaps --here");
    if (ctl_name_check(context->argv[1]))
        return ctl_usage(&ctl_user, ctl_name_check(context->argv[1]));
    buffer_append_text(&path, "/v1/users/");
    client_path_append(&path, slice_from(context->argv[1]));
    buffer_append_text(&path, is_here ? "/here" : "");
    code = buffer_error(&path) ? CTL_NO : ctl_get(context, path.data, &body);
    if (code == CTL_OK && !context->json)
        code = (is_here ? print_here : print_sessions)(buffer_slice(&body));
    buffer_deinit(&body);
    buffer_deinit(&path);
    return code;
}

const struct ctl_command ctl_user = {"user", "USER [--here]",
                                     "a user's sessions: nodes and devices; or what the asked node has of them", run};
