#include "warrenctl.h"

#include "client/client.h"

#include <stdio.h>

static int print_users(struct slice body)
{
    struct json_value users = ctl_member(body, "users"), count = ctl_member(body, "count"), value;
    struct table t = {.headings = {"USER"}, .columns = 1};
    struct json_reader reader;
    int result;

    json_reader_init(&reader, users.text, JSON_DEPTH_MAX);
    result = users.type == JSON_ARRAY ? json_reader_enter_array(&reader) : -EINVAL;
    while (!result && (result = json_reader_element(&reader, &value)) == JSON_OK) {
        table_add_row(&t);
        table_set_value(&t, 0, value);
    }
    table_print(&t);
    if (result != JSON_END)
        return ctl_bad_answer();
    (void)printf("%.*s in all\n", SLICE_PRINTF(count.text));
    return CTL_OK;
}

static int run(const struct ctl_context *context)
{
    struct buffer body = {0}, path = {0};
    int code;

    if (context->argc != 2)
        return ctl_usage(&ctl_room, "expected one room");
    buffer_append_text(&path, "/v1/rooms/");
    client_path_append(&path, slice_from(context->argv[1]));
    buffer_append_text(&path, "/users?limit=500");
    code = buffer_error(&path) ? CTL_NO : ctl_get(context, path.data, &body);
    if (code == CTL_OK && !context->json)
        code = print_users(buffer_slice(&body));
    buffer_deinit(&body);
    buffer_deinit(&path);
    return code;
}

const struct ctl_command ctl_room = {"room", "ROOM", "who is in a room, over all nodes", run};
