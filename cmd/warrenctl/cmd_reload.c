#include "warrenctl.h"

#include <stdio.h>

static void add_change(void *userdata, struct slice object)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(object, "option"));
    table_set_value(t, 1, ctl_member(object, "old"));
    table_set_value(t, 2, ctl_member(object, "new"));
    table_set(t, 3, slice_from(ctl_value_is(ctl_member(object, "applied"), "true") ? "yes" : "after a restart"));
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"OPTION", "OLD", "NEW", "IN FORCE"}, .columns = 4};
    struct buffer body = {0};
    int code = context->argc > 1 ? ctl_usage(&ctl_reload, "takes no argument")
                                 : ctl_request(context, "POST", "/v1/config/reload", SLICE_NONE, &body);

    if (code == CTL_OK && context->json) {
        (void)printf("%.*s\n", SLICE_PRINTF(buffer_slice(&body)));
    } else if (code == CTL_OK) {
        if (ctl_each(buffer_slice(&body), "changes", add_change, &t))
            code = ctl_bad_answer();
        table_print(&t);
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_reload = {"reload", "", "read the configuration again, as SIGHUP does", run};
