#include "warrenctl.h"

#include <stdio.h>

static void add_queue(void *userdata, struct slice object)
{
    struct table *t = userdata;
    static const char *const members[] = {"queue",     "node",      "alive", "type",    "durable",
                                          "exclusive", "consumers", "ready", "unacked", "state"};

    table_add_row(t);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(members); i++)
        table_set_value(t, i, ctl_member(object, members[i]));
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"QUEUE", "NODE", "ALIVE", "TYPE", "DURABLE", "EXCLUSIVE", "CONSUMERS", "READY",
                                   "UNACKED", "STATE"},
                      .columns = 10};
    struct buffer body = {0};
    int code = context->argc > 1 ? ctl_usage(&ctl_queues, "takes no argument") : ctl_get(context, "/v1/queues", &body);

    if (code == CTL_OK) {
        if (!context->json && ctl_each(buffer_slice(&body), "queues", add_queue, &t))
            code = ctl_bad_answer();
        if (!context->json)
            table_print(&t);
        if (!ctl_value_is(ctl_member(buffer_slice(&body), "problems"), "0"))
            code = CTL_NO;
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_queues = {"queues", "", "the cluster's queues and what waits in them", run};
