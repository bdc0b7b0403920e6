#include "warrenctl.h"

#include <stdio.h>

static void add_option(void *userdata, struct slice object)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(object, "key"));
    table_set_value(t, 1, ctl_member(object, "value"));
    table_set_value(t, 2, ctl_member(object, "source"));
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"OPTION", "VALUE", "FROM"}, .columns = 3};
    struct buffer body = {0};
    int code = context->argc > 1 ? ctl_usage(&ctl_config, "takes no argument") : ctl_get(context, "/v1/config", &body);

    if (code == CTL_OK && !context->json) {
        if (ctl_each(buffer_slice(&body), "options", add_option, &t))
            code = ctl_bad_answer();
        table_print(&t);
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_config = {"config", "", "the options in force, and where each comes from", run};
