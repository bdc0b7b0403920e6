/* GET /v1/rooms/{room}/messages, /v1/users/{user}/messages or /v1/broadcast: what was said, a line a message. */
#include "warrenctl.h"

#include "client/client.h"

#include <getopt.h>
#include <stdio.h>

static const char *parse(const struct ctl_context *context, struct ctl_channel *channel, const char **ret_limit,
                         const char **ret_before)
{
    static const struct option options[] = {
        {"room", required_argument, NULL, 'r'},   {"user", required_argument, NULL, 'u'},
        {"all", no_argument, NULL, 'a'},          {"limit", required_argument, NULL, 'l'},
        {"before", required_argument, NULL, 'b'}, {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        if (option == 'l')
            *ret_limit = optarg;
        else if (option == 'b')
            *ret_before = optarg;
        else if (!ctl_channel_option(channel, option, optarg))
            return "see above";
    }
    if (optind != context->argc)
        return "takes options only";
    if (ctl_limit_check(*ret_limit))
        return ctl_limit_check(*ret_limit);
    return ctl_channel_check(channel);
}

static int run(const struct ctl_context *context)
{
    const char *limit = "50", *before = NULL;
    struct ctl_channel channel = {0};
    struct buffer path = {0}, body = {0};
    const char *fault = parse(context, &channel, &limit, &before);
    int code;

    if (fault)
        return ctl_usage(&ctl_history, fault);
    ctl_channel_path(&channel, &path);
    buffer_append_text(&path, "?limit=");
    client_path_append(&path, slice_from(limit));
    if (before) {
        buffer_append_text(&path, "&before=");
        client_path_append(&path, slice_from(before));
    }
    code = buffer_error(&path) ? CTL_NO : ctl_get(context, path.data, &body);
    if (code == CTL_OK && !context->json && ctl_each(buffer_slice(&body), "messages", ctl_message_print, NULL))
        code = ctl_bad_answer();
    buffer_deinit(&path);
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_history = {"history", "--room R|--user U|--all [--limit N] [--before EPOCH:OFFSET]",
                                        "what was said in a channel, as far as its log goes", run};
