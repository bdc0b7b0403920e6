/* One node: its line of GET /v1/nodes, a fact a line. */
#include "warrenctl.h"

#include <stdio.h>
#include <string.h>

static const char *const facts[] = {"node",    "alive",         "cut",     "draining", "sessions",   "rooms",
                                    "started", "lease_left_ms", "version", "internal", "incarnation"};

struct wanted {
    const char *id;
    bool is_found, is_alive, json;
};

static void look(void *userdata, struct slice object)
{
    struct wanted *w = userdata;
    struct table t = {.headings = {"FACT", "VALUE"}, .columns = 2};

    if (w->is_found || !ctl_value_is(ctl_member(object, "node"), w->id))
        return;
    w->is_found = true;
    w->is_alive = ctl_value_is(ctl_member(object, "alive"), "true");
    if (w->json) {
        (void)printf("%.*s\n", SLICE_PRINTF(object));
        return;
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(facts); i++) {
        table_add_row(&t);
        table_set(&t, 0, slice_from(facts[i]));
        if (strcmp(facts[i], "started") == 0)
            table_set_time(&t, 1, ctl_member(object, facts[i]));
        else
            table_set_value(&t, 1, ctl_member(object, facts[i]));
    }
    table_print(&t);
}

static int run(const struct ctl_context *context)
{
    struct wanted wanted = {.json = context->json};
    struct buffer body = {0};
    int code;

    if (context->argc != 2)
        return ctl_usage(&ctl_node, "expected one node's id, <ip>:<port>");
    wanted.id = context->argv[1];
    code = ctl_request(context, "GET", "/v1/nodes", SLICE_NONE, &body);
    if (code == CTL_OK && ctl_each(buffer_slice(&body), "nodes", look, &wanted))
        code = ctl_bad_answer();
    if (code == CTL_OK && !wanted.is_found)
        (void)fprintf(stderr, "warrenctl node: no node %s in the last hour\n", wanted.id);
    buffer_deinit(&body);
    return code ? code : wanted.is_found && wanted.is_alive ? CTL_OK : CTL_NO;
}

const struct ctl_command ctl_node = {"node", "ID", "one node; exit code 1 if it does not live", run};
