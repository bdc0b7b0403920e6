/* DELETE /v1/users/{user}/sessions */
#include "warrenctl.h"

#include "client/client.h"

#include <getopt.h>
#include <stdio.h>

struct arguments {
    const char *user, *device, *session, *reason;
};

static const char *parse(const struct ctl_context *context, struct arguments *a)
{
    static const struct option options[] = {
        {"device", required_argument, NULL, 'd'},
        {"session", required_argument, NULL, 's'},
        {"reason", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        if (option == 'd')
            a->device = optarg;
        else if (option == 's')
            a->session = optarg;
        else if (option == 'r')
            a->reason = optarg;
        else
            return "see above";
    }
    if (optind + 1 != context->argc)
        return "expected one user";
    a->user = context->argv[optind];
    return ctl_name_check(a->user);
}

static void add_parameter(struct buffer *path, char *separator, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_append_char(path, *separator);
    *separator = '&';
    buffer_append_text(path, name);
    buffer_append_char(path, '=');
    client_path_append(path, slice_from(value));
}

static int run(const struct ctl_context *context)
{
    struct arguments arguments = {0};
    struct buffer path = {0}, answer = {0};
    const char *fault = parse(context, &arguments);
    char separator = '?';
    int code;

    if (fault)
        return ctl_usage(&ctl_kick, fault);
    buffer_append_text(&path, "/v1/users/");
    client_path_append(&path, slice_from(arguments.user));
    buffer_append_text(&path, "/sessions");
    add_parameter(&path, &separator, "device", arguments.device);
    add_parameter(&path, &separator, "session", arguments.session);
    add_parameter(&path, &separator, "reason", arguments.reason);
    code = buffer_error(&path) ? CTL_NO : ctl_request(context, "DELETE", path.data, SLICE_NONE, &answer);
    if (context->json && answer.size)
        (void)printf("%.*s\n", SLICE_PRINTF(buffer_slice(&answer)));
    else if (code == CTL_OK)
        (void)printf("sessions closed: %.*s\n", SLICE_PRINTF(ctl_member(buffer_slice(&answer), "closed").text));
    buffer_deinit(&path);
    buffer_deinit(&answer);
    return code;
}

const struct ctl_command ctl_kick = {"kick", "USER [--device D] [--session S] [--reason R]",
                                     "close a user's sessions, on whichever nodes", run};
