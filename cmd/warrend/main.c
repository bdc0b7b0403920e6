/*
 * warrend: the daemon's entry. Arguments, then configuration (default < file < environment < --set), then server_run().
 *
 * Exit codes: 0 a clean end, 1 it could not run (or the doctor found a failure), 2 usage or configuration.
 */
#include "base/log.h"
#include "base/machine.h"
#include "server/server.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASSIGNMENTS_MAX 256

enum { OPTION_SET = 256, OPTION_CHECK, OPTION_PRINT, OPTION_DOCTOR, OPTION_STANDALONE, OPTION_VERSION };

struct arguments {
    const char *config_path;
    const char *assignments[ASSIGNMENTS_MAX];
    size_t assignment_count;
    bool check, print, doctor, standalone;
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, OPTION_SET},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"print-config", no_argument, NULL, OPTION_PRINT},
    {"doctor", no_argument, NULL, OPTION_DOCTOR},
    {"standalone", no_argument, NULL, OPTION_STANDALONE},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_usage(FILE *out)
{
    (void)fputs("Usage: warrend [OPTION]...\n"
                "A node of Warren, a clustered WebSocket gateway over RabbitMQ and Redis.\n"
                "\n"
                "  -c, --config FILE        read options from FILE\n"
                "      --set SECTION.KEY=V  set one option; may be repeated\n"
                "      --check-config       read the configuration, say what is wrong with it, and end\n"
                "      --print-config       print a documented configuration file with the values in force, and end\n"
                "      --doctor             check broker, Redis, ports and limits without starting, and end\n"
                "      --standalone         one node alone: no RabbitMQ, no Redis\n"
                "      --version            print the version, and end\n"
                "  -h, --help               print this, and end\n"
                "\n"
                "Precedence: default, file, environment (WARREN_SECTION_KEY), --set.\n",
                out);
}

/** 0 to go on, else the exit code plus 1. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            a->config_path = optarg;
            break;
        case OPTION_SET:
            if (a->assignment_count == ASSIGNMENTS_MAX) {
                (void)fprintf(stderr, "warrend: at most %d --set; use a file\n", ASSIGNMENTS_MAX);
                return 3;
            }
            a->assignments[a->assignment_count++] = optarg;
            break;
        case OPTION_CHECK:
            a->check = true;
            break;
        case OPTION_PRINT:
            a->print = true;
            break;
        case OPTION_DOCTOR:
            a->doctor = true;
            break;
        case OPTION_STANDALONE:
            a->standalone = true;
            break;
        case OPTION_VERSION:
            (void)puts("warrend " WARREN_VERSION);
            return 1;
        case 'h':
            print_usage(stdout);
            return 1;
        default:
            (void)fputs("Try: warrend --help\n", stderr);
            return 3;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "warrend: unexpected argument \"%s\"\nTry: warrend --help\n", argv[optind]);
        return 3;
    }
    return 0;
}

static int print_config(struct server_settings *settings)
{
    struct buffer out = {0};
    int result;

    config_write_sample(server_settings_config(settings), &out);
    result = buffer_error(&out);
    if (!result)
        (void)fwrite(out.data, 1, out.size, stdout);
    buffer_deinit(&out);
    return result ? 1 : 0;
}

static int run_doctor(struct server_settings *settings, bool standalone)
{
    struct buffer out = {0};
    int failed = server_doctor(settings, standalone, &out);

    (void)fwrite(out.data ? out.data : "", 1, out.size, stdout);
    buffer_deinit(&out);
    return failed ? 1 : 0;
}

static int run_node(struct server_settings *settings, const struct server_sources *sources, struct buffer *errors)
{
    struct server *server = NULL;
    int result;

    log_install_crash_handler();
    machine_tune_memory();
    result = server_new(settings, sources, errors, &server);
    if (!result)
        result = server_run(server, errors);
    server_free(server);
    return result;
}

/** The exit code for a result, after what is to be said has been said. */
static int report(int result, const struct buffer *errors)
{
    if (errors->size)
        (void)fprintf(stderr, "%s", errors->data);
    else if (result < 0)
        (void)fprintf(stderr, "warrend: %s\n", strerror(-result));
    return result == CONFIG_E_INVALID ? 2 : result ? 1 : 0;
}

static int check_config(const struct server_settings *settings, struct buffer *errors)
{
    int result = server_settings_check(settings, errors);

    if (!result)
        (void)puts("The configuration is good.");
    return report(result, errors);
}

/** A variable that is misspelt is ignored, as every unknown one is, but not in silence. */
static void note_variables(struct server_settings *settings)
{
    struct buffer notes = {0};

    config_note_variables(server_settings_config(settings), environ, &notes);
    if (notes.size)
        (void)fprintf(stderr, "%s", notes.data);
    buffer_deinit(&notes);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct server_settings *settings = NULL;
    struct buffer errors = BUFFER_WITH_LIMIT(1 << 20);
    int result = parse_arguments(argc, argv, &arguments), code;
    const struct server_sources sources = {
        .path = arguments.config_path,
        .environment = environ,
        .assignments = arguments.assignments,
        .assignment_count = arguments.assignment_count,
        .standalone = arguments.standalone,
    };

    if (result)
        return result - 1;
    result = server_settings_new(&settings);
    if (!result)
        result = server_settings_load(settings, &sources, &errors);
    if (settings)
        note_variables(settings);
    if (result) {
        code = report(result, &errors);
    } else if (arguments.check) {
        code = check_config(settings, &errors);
    } else if (arguments.print) {
        code = print_config(settings);
    } else if (arguments.doctor) {
        code = run_doctor(settings, arguments.standalone);
    } else {
        result = run_node(settings, &sources, &errors);
        code = report(result, &errors);
    }
    server_settings_free(settings);
    buffer_deinit(&errors);
    return code;
}
