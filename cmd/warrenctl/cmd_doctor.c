/* The live node's doctor. When no node answers, warrend --doctor says why it would not start. */
#include "warrenctl.h"

#include <stdio.h>

static void add_check(void *userdata, struct slice object)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(object, "result"));
    table_set_value(t, 1, ctl_member(object, "name"));
    table_set_value(t, 2, ctl_member(object, "detail"));
    if (ctl_member(object, "mend").type == JSON_STRING) {
        table_add_row(t);
        table_set(t, 0, SLICE_LITERAL(" "));
        table_set(t, 1, SLICE_LITERAL("  to mend:"));
        table_set_value(t, 2, ctl_member(object, "mend"));
    }
}

static int run(const struct ctl_context *context)
{
    struct table t = {.headings = {"RESULT", "CHECK", "DETAIL"}, .columns = 3};
    struct buffer body = {0};
    int code = context->argc > 1 ? ctl_usage(&ctl_doctor, "takes no argument") : ctl_get(context, "/v1/doctor", &body);

    if (code == CTL_UNREACHABLE)
        (void)fprintf(stderr, "To see why a node would not start, on its machine: warrend --doctor --config FILE\n");
    if (code == CTL_OK) {
        if (!context->json && ctl_each(buffer_slice(&body), "checks", add_check, &t))
            code = ctl_bad_answer();
        if (!context->json)
            table_print(&t);
        if (!ctl_value_is(ctl_member(buffer_slice(&body), "failed"), "0"))
            code = CTL_NO;
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_doctor = {"doctor", "", "checks broker, Redis, ports, limits and clock of a live node",
                                       run};
