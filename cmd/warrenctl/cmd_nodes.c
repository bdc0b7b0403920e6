#include "warrenctl.h"

#include <stdio.h>

static void add_node(void *userdata, struct slice object)
{
    struct table *t = userdata;
    bool is_alive = ctl_value_is(ctl_member(object, "alive"), "true");
    const char *state = !is_alive                                              ? "dead"
                        : ctl_value_is(ctl_member(object, "draining"), "true") ? "draining"
                        : ctl_value_is(ctl_member(object, "cut"), "true")      ? "cut"
                                                                               : "up";

    table_add_row(t);
    table_set_value(t, 0, ctl_member(object, "node"));
    table_set(t, 1, slice_from(state));
    table_set_value(t, 2, ctl_member(object, "sessions"));
    table_set_value(t, 3, ctl_member(object, "rooms"));
    table_set_value(t, 4, ctl_member(object, "lease_left_ms"));
    table_set_time(t, 5, ctl_member(object, "started"));
    table_set_value(t, 6, ctl_member(object, "version"));
    table_set_value(t, 7, ctl_member(object, "internal"));
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"NODE", "STATE", "SESSIONS", "ROOMS", "LEASE MS", "STARTED", "VERSION", "INTERNAL"},
                      .columns = 8};
    struct buffer body = {0};
    int code = context->argc > 1 ? ctl_usage(&ctl_nodes, "takes no argument") : ctl_get(context, "/v1/nodes", &body);

    if (code == CTL_OK && !context->json) {
        if (ctl_each(buffer_slice(&body), "nodes", add_node, &t))
            code = ctl_bad_answer();
        table_print(&t);
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_nodes = {"nodes", "", "every node that has held a lease in the last hour", run};
