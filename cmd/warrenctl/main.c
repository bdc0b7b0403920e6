/*
 * warrenctl: asks a node's internal listener, prints tables for people and JSON for programs.
 *
 * Exit codes: 0 ok, 1 no (an error, or something is wrong), 2 usage, 3 no node answers.
 */
#include "warrenctl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct ctl_command *const commands[] = {
    &ctl_archive,  &ctl_ingress, &ctl_node,   &ctl_history, &ctl_tail,  &ctl_nodes,
    &ctl_bindings, &ctl_queues,  &ctl_rooms,  &ctl_room,    &ctl_user,  &ctl_kick,
    &ctl_publish,  &ctl_doctor,  &ctl_config, &ctl_reload,  &ctl_drain,
};

/** Columns for a command and its arguments; those that take more have their sentence on a line of its own. */
#define USAGE_WIDTH 34

static void print_usage(FILE *out)
{
    (void)fputs("Usage: warrenctl [--api URL] [--json] COMMAND [ARGUMENT]...\n"
                "Looks into a Warren cluster through the internal listener of one of its nodes.\n"
                "\n"
                "  --api URL   the node to ask (default: $WARREN_API, else http://127.0.0.1:9091)\n"
                "  --json      print the answer as JSON\n"
                "  --version   print the version, and end\n"
                "  --help      print this, and end; behind a command, what that takes\n"
                "\n",
                out);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(commands); i++) {
        const struct ctl_command *c = commands[i];
        int width = (int)(strlen(c->name) + 1 + strlen(c->usage));

        (void)fprintf(out, "  %s %s", c->name, c->usage);
        if (width > USAGE_WIDTH)
            (void)fprintf(out, "\n%*s", USAGE_WIDTH + 3, "");
        else
            (void)fprintf(out, "%*s", USAGE_WIDTH + 1 - width, "");
        (void)fprintf(out, "%s\n", c->help);
    }
    (void)fputs("\nExit codes: 0 ok, 1 no, 2 usage, 3 no node answers.\n", out);
}

static const struct ctl_command *find_command(const char *name)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/** Takes @count arguments of the command away, from @i on. */
static void drop_arguments(struct ctl_context *context, int i, int count)
{
    for (int j = i; j + count < context->argc; j++)
        context->argv[j] = context->argv[j + count];
    context->argc -= count;
}

/** What stands before the command is taken behind it as well, where people put it; behind "--" it is not looked for. */
static void take_options_behind(struct ctl_context *context, bool *ret_wants_help)
{
    for (int i = 1; i < context->argc && strcmp(context->argv[i], "--") != 0; i++) {
        const char *argument = context->argv[i];
        int taken = 1;

        if (strcmp(argument, "--json") == 0) {
            context->json = true;
        } else if (strcmp(argument, "--help") == 0) {
            *ret_wants_help = true;
        } else if (strncmp(argument, "--api=", 6) == 0) {
            context->api = argument + 6;
        } else if (strcmp(argument, "--api") == 0 && i + 1 < context->argc) {
            context->api = context->argv[i + 1];
            taken = 2;
        } else {
            continue;
        }
        drop_arguments(context, i--, taken);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"api", required_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct ctl_context context = {.api = getenv("WARREN_API")};
    const struct ctl_command *command;
    static char api[1024];
    bool wants_help = false;
    int option;

    while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        switch (option) {
        case 'a':
            context.api = optarg;
            break;
        case 'j':
            context.json = true;
            break;
        case 'v':
            (void)puts("warrenctl " WARREN_VERSION);
            return CTL_OK;
        case 'h':
            print_usage(stdout);
            return CTL_OK;
        default:
            (void)fputs("Try: warrenctl --help\n", stderr);
            return CTL_USAGE;
        }
    }
    if (optind == argc) {
        print_usage(stderr);
        return CTL_USAGE;
    }
    command = find_command(argv[optind]);
    if (!command) {
        (void)fprintf(stderr, "warrenctl: no command \"%s\"\nTry: warrenctl --help\n", argv[optind]);
        return CTL_USAGE;
    }
    context.argc = argc - optind;
    context.argv = argv + optind;
    take_options_behind(&context, &wants_help);
    if (wants_help) {
        (void)printf("Usage: warrenctl [--api URL] [--json] %s %s\n%s\n", command->name, command->usage, command->help);
        return CTL_OK;
    }
    (void)snprintf(api, sizeof(api), "%s", context.api && context.api[0] ? context.api : "http://127.0.0.1:9091");
    while (api[0] && api[strlen(api) - 1] == '/')
        api[strlen(api) - 1] = '\0';
    context.api = api;
    return command->run(&context);
}
