#include "warrenctl.h"

#include "client/client.h"

#include <stdio.h>

static void add_session(void *userdata, struct slice object)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(object, "session"));
    table_set_value(t, 1, ctl_member(object, "node"));
    table_set_value(t, 2, ctl_member(object, "device"));
    table_set_value(t, 3, ctl_member(object, "since"));
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"SESSION", "NODE", "DEVICE", "SINCE MS"}, .columns = 4};
    struct buffer body = {0}, path = {0};
    int code;

    if (context->argc != 2)
        return ctl_usage(&ctl_user, "expected one user");
    buffer_append_text(&path, "/v1/users/");
    client_path_append(&path, slice_from(context->argv[1]));
    code = buffer_error(&path) ? CTL_NO : ctl_get(context, path.data, &body);
    if (code == CTL_OK && !context->json) {
        if (ctl_each(buffer_slice(&body), "sessions", add_session, &t))
            code = ctl_bad_answer();
        table_print(&t);
    }
    buffer_deinit(&body);
    buffer_deinit(&path);
    return code;
}

const struct ctl_command ctl_user = {"user", "USER", "a user's sessions: nodes and devices", run};
