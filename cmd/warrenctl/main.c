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
    &ctl_nodes, &ctl_bindings, &ctl_queues, &ctl_room, &ctl_user, &ctl_publish, &ctl_doctor, &ctl_config, &ctl_reload,
};

static void print_usage(FILE *out)
{
    (void)fputs("Usage: warrenctl [--api URL] [--json] COMMAND [ARGUMENT]...\n"
                "Looks into a Warren cluster through the internal listener of one of its nodes.\n"
                "\n"
                "  --api URL   the node to ask (default: $WARREN_API, else http://127.0.0.1:9091)\n"
                "  --json      print the answer as JSON\n"
                "  --version   print the version, and end\n"
                "  --help      print this, and end\n"
                "\n",
                out);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(commands); i++) {
        char line[80];

        (void)snprintf(line, sizeof(line), "%s %s", commands[i]->name, commands[i]->usage);
        (void)fprintf(out, "  %-44s %s\n", line, commands[i]->help);
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
    (void)snprintf(api, sizeof(api), "%s", context.api && context.api[0] ? context.api : "http://127.0.0.1:9091");
    while (api[0] && api[strlen(api) - 1] == '/')
        api[strlen(api) - 1] = '\0';
    context.api = api;
    context.argc = argc - optind;
    context.argv = argv + optind;
    /* --json is also taken behind the command, where people put it */
    for (int i = 1; i < context.argc; i++) {
        if (strcmp(context.argv[i], "--json") != 0)
            continue;
        context.json = true;
        for (int j = i; j + 1 < context.argc; j++)
            context.argv[j] = context.argv[j + 1];
        context.argc--;
        i--;
    }
    return command->run(&context);
}
