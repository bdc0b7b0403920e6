/* exchange → queue → node. What is not "ok" stands out, and the exit code says so. */
#include "warrenctl.h"

#include <stdio.h>

static void add_binding(void *userdata, struct slice object)
{
    struct table *t = userdata;
    static const char *const members[] = {"exchange",  "queue", "node",    "alive",
                                          "consumers", "ready", "unacked", "state"};

    table_add_row(t);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(members); i++)
        table_set_value(t, i, ctl_member(object, members[i]));
    if (ctl_value_is(ctl_member(object, "state"), "missing"))
        table_set(t, 7, SLICE_LITERAL("MISSING: a living node without this binding hears nothing from it"));
    else if (ctl_value_is(ctl_member(object, "state"), "orphan"))
        table_set(t, 7, SLICE_LITERAL("ORPHAN: the queue of a node that does not live"));
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"EXCHANGE", "QUEUE", "NODE", "ALIVE", "CONSUMERS", "READY", "UNACKED", "STATE"},
                      .columns = 8};
    struct buffer body = {0};
    int code =
        context->argc > 1 ? ctl_usage(&ctl_bindings, "takes no argument") : ctl_get(context, "/v1/bindings", &body);

    if (code == CTL_OK) {
        struct json_value problems = ctl_member(buffer_slice(&body), "problems");

        if (!context->json && ctl_each(buffer_slice(&body), "bindings", add_binding, &t))
            code = ctl_bad_answer();
        if (!context->json)
            table_print(&t);
        if (!ctl_value_is(problems, "0"))
            code = CTL_NO;
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_bindings = {
    "bindings", "", "exchange -> queue -> node; exit code 1 if an orphan or a missing binding is there", run};
