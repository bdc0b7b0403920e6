/*
 * Follows a channel: asks a node again and again for what its log has past the last position that was shown. So it
 * joins nothing, nobody sees it, and no message is missed or shown twice as long as the log has them.
 */
#include "warrenctl.h"

#include "client/client.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAUSE_MS 300

struct following {
    const struct ctl_context *context;
    struct ctl_channel channel;
    char at[64]; /* "<epoch>:<offset>"; empty: nothing was said yet */
};

static const char *parse(const struct ctl_context *context, struct ctl_channel *channel, const char **ret_count)
{
    static const struct option options[] = {
        {"room", required_argument, NULL, 'r'},
        {"user", required_argument, NULL, 'u'},
        {"all", no_argument, NULL, 'a'},
        {"count", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        if (option == 'c')
            *ret_count = optarg;
        else if (!ctl_channel_option(channel, option, optarg))
            return "see above";
    }
    if (optind != context->argc)
        return "takes options only";
    if (ctl_limit_check(*ret_count))
        return ctl_limit_check(*ret_count);
    return ctl_channel_check(channel);
}

static void note_position(struct following *f, struct slice object)
{
    struct slice epoch = json_string_raw(ctl_member(object, "epoch"));
    struct json_value offset = ctl_member(object, "offset");

    if (offset.type == JSON_NUMBER)
        (void)snprintf(f->at, sizeof(f->at), "%.*s:%.*s", SLICE_PRINTF(epoch), SLICE_PRINTF(offset.text));
}

static void show(void *userdata, struct slice object)
{
    struct following *f = userdata;

    note_position(f, object);
    if (f->context->json)
        (void)printf("%.*s\n", SLICE_PRINTF(object));
    else
        ctl_message_print(NULL, object);
}

/** One question. @query: what stands behind the path. */
static int ask(struct following *f, const char *query, bool is_first, bool *ret_has_more)
{
    struct buffer path = {0}, body = {0};
    struct json_value last;
    int code;

    ctl_channel_path(&f->channel, &path);
    buffer_append_text(&path, query);
    if (!is_first)
        buffer_append_text(&path, f->at[0] ? f->at : "0:0");
    code = buffer_error(&path) ? CTL_NO : ctl_request(f->context, "GET", path.data, SLICE_NONE, &body);
    last = ctl_member(buffer_slice(&body), "last");
    if (code == CTL_OK && ctl_each(buffer_slice(&body), "messages", show, f))
        code = ctl_bad_answer();
    else if (code == CTL_OK && is_first && last.type == JSON_OBJECT)
        note_position(f, last.text);
    *ret_has_more = code == CTL_OK && ctl_value_is(ctl_member(buffer_slice(&body), "more"), "true");
    buffer_deinit(&path);
    buffer_deinit(&body);
    return code;
}

static int run(const struct ctl_context *context)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    struct following f = {.context = context};
    const char *count = "10";
    const char *fault = parse(context, &f.channel, &count);
    struct buffer query = {0};
    bool has_more;
    int code;

    if (fault)
        return ctl_usage(&ctl_tail, fault);
    buffer_append_text(&query, "?limit=");
    client_path_append(&query, slice_from(count));
    code = buffer_error(&query) ? CTL_NO : ask(&f, query.data, true, &has_more);
    buffer_deinit(&query);
    while (code == CTL_OK && fflush(stdout) == 0) { /* until it is interrupted, or nobody reads it */
        (void)nanosleep(&pause, NULL);
        do
            code = ask(&f, "?limit=500&after=", false, &has_more);
        while (code == CTL_OK && has_more);
    }
    return code;
}

const struct ctl_command ctl_tail = {"tail", "--room R|--user U|--all [--count N]",
                                     "the last messages of a channel, then those that come, until interrupted", run};
