/* The ingress queue, whose turn it is, and the dead letters: GET /v1/ingress, POST /v1/ingress/requeue and /drop. */
#include "warrenctl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define PEEK_DEFAULT "20"

enum act { LOOK, REQUEUE, DROP };

struct arguments {
    enum act act;
    const char *peek, *count;
    bool is_all;
};

static bool is_number(const char *text)
{
    return text[0] && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text) && strcmp(text, "0") != 0;
}

static const char *parse(const struct ctl_context *context, struct arguments *a)
{
    static const struct option options[] = {
        {"peek", required_argument, NULL, 'p'},  {"requeue", no_argument, NULL, 'r'}, {"drop", no_argument, NULL, 'd'},
        {"count", required_argument, NULL, 'c'}, {"all", no_argument, NULL, 'a'},     {NULL, 0, NULL, 0},
    };
    unsigned acts = 0;
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            a->peek = optarg;
            break;
        case 'r':
        case 'd':
            a->act = option == 'r' ? REQUEUE : DROP;
            acts++;
            break;
        case 'c':
            a->count = optarg;
            break;
        case 'a':
            a->is_all = true;
            break;
        default:
            return "see above";
        }
    }
    if (optind != context->argc || acts > 1)
        return "expected one of --requeue and --drop, or neither";
    if ((a->count && !is_number(a->count)) || (a->peek && !is_number(a->peek)))
        return "expected a number above 0";
    if (a->act == LOOK ? a->count || a->is_all : a->peek || (a->count && a->is_all))
        return "--count and --all (the default of --requeue) go with --requeue and --drop, --peek goes without";
    if (a->act == DROP && !a->count && !a->is_all)
        return "--drop throws away for good: say --count N or --all";
    return NULL;
}

/* ---- looking ---- */

static void add_letter(void *userdata, struct slice object)
{
    static const char *const members[] = {"message_id", "app_id", "content_type", "bytes"};
    struct table *t = userdata;
    struct json_value body = ctl_member(object, "body");
    struct buffer text = {0};

    table_add_row(t);
    table_set_time(t, 0, ctl_member(object, "time"));
    table_set_value(t, 1, ctl_member(object, "reason"));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(members); i++)
        table_set_value(t, i + 2, ctl_member(object, members[i]));
    if (body.type == JSON_STRING)
        json_string_decode(json_string_raw(body), &text);
    if (text.size > 60)
        buffer_truncate(&text, 60);
    table_set(t, 6, buffer_slice(&text));
    buffer_deinit(&text);
}

static void print_number(struct slice object, const char *name, const char *before, const char *after)
{
    struct json_value value = ctl_member(object, name);

    struct slice number = value.type == JSON_NULL ? SLICE_LITERAL("0") : value.text;

    (void)printf("%s%.*s%s", before, SLICE_PRINTF(number), after);
}

static int print_page(struct slice page)
{
    struct table t = {.headings = {"BURIED", "REASON", "MESSAGE ID", "APP ID", "TYPE", "BYTES", "BODY"}, .columns = 7};
    struct json_value ingress = ctl_member(page, "ingress"), dead = ctl_member(page, "dead");
    struct json_value archive = ctl_member(page, "archive"), active;

    if (ingress.type == JSON_OBJECT) {
        active = ctl_member(ingress.text, "active");
        print_number(ingress.text, "ready", "ingress  ", " waiting");
        print_number(ingress.text, "consumers", ", ", " nodes in line");
        if (active.type == JSON_STRING)
            (void)printf(", read by %.*s", SLICE_PRINTF(json_string_raw(active)));
        (void)putchar('\n');
    } else {
        (void)puts("ingress  there is no such queue");
    }
    if (archive.type == JSON_OBJECT)
        print_number(archive.text, "ready", "archive  ", " bodies\n");
    if (dead.type != JSON_OBJECT) {
        (void)puts("dead     there is no such queue");
        return CTL_OK;
    }
    print_number(dead.text, "ready", "dead     ", "\n");
    if (ctl_each(dead.text, "letters", add_letter, &t))
        return ctl_bad_answer();
    if (t.rows > 0) {
        (void)putchar('\n');
        table_print(&t);
    }
    return ctl_value_is(ctl_member(dead.text, "ready"), "0") ? CTL_OK : CTL_NO;
}

static int look(const struct ctl_context *context, const struct arguments *a)
{
    struct buffer body = {0};
    char path[64];
    int code;

    (void)snprintf(path, sizeof(path), "/v1/ingress?peek=%s", a->peek ? a->peek : PEEK_DEFAULT);
    code = ctl_get(context, path, &body);
    if (code == CTL_OK && !context->json)
        code = print_page(buffer_slice(&body));
    else if (code == CTL_OK)
        code = ctl_value_is(ctl_member(ctl_member(buffer_slice(&body), "dead").text, "ready"), "0") ||
                       ctl_member(buffer_slice(&body), "dead").type != JSON_OBJECT
                   ? CTL_OK
                   : CTL_NO;
    buffer_deinit(&body);
    return code;
}

/* ---- doing ---- */

static int print_done(struct slice answer, bool is_requeue)
{
    struct json_value error = ctl_member(answer, "error"), cut = ctl_member(answer, "cut");

    print_number(answer, is_requeue ? "requeued" : "dropped", "", is_requeue ? " requeued" : " dropped");
    print_number(answer, "left", ", ", " left");
    (void)putchar('\n');
    if (cut.type == JSON_NUMBER && !ctl_value_is(cut, "0"))
        (void)fprintf(stderr, "warrenctl: %.*s cannot be requeued, for only their beginning was kept\n",
                      SLICE_PRINTF(cut.text));
    if (error.type == JSON_STRING)
        (void)fprintf(stderr, "warrenctl: not all of them: %.*s\n", SLICE_PRINTF(json_string_raw(error)));
    return error.type == JSON_STRING ? CTL_NO : CTL_OK;
}

static int act(const struct ctl_context *context, const struct arguments *a)
{
    const char *path = a->act == REQUEUE ? "/v1/ingress/requeue" : "/v1/ingress/drop";
    struct buffer body = {0}, request = {0};
    int code;

    if (a->count)
        buffer_printf(&request, "{\"count\":%s}", a->count);
    code = ctl_request(context, "POST", path, buffer_slice(&request), &body);
    if (code == CTL_OK && context->json) {
        (void)printf("%.*s\n", SLICE_PRINTF(buffer_slice(&body)));
        code = ctl_member(buffer_slice(&body), "error").type == JSON_STRING ? CTL_NO : CTL_OK;
    } else if (code == CTL_OK) {
        code = print_done(buffer_slice(&body), a->act == REQUEUE);
    }
    buffer_deinit(&body);
    buffer_deinit(&request);
    return code;
}

static int run(const struct ctl_context *context)
{
    struct arguments arguments = {0};
    const char *fault = parse(context, &arguments);

    if (fault)
        return ctl_usage(&ctl_ingress, fault);
    return arguments.act == LOOK ? look(context, &arguments) : act(context, &arguments);
}

const struct ctl_command ctl_ingress = {"ingress", "[--peek N] | --requeue|--drop [--count N|--all]",
                                        "the ingress queue, whose turn it is, and the dead letters", run};
