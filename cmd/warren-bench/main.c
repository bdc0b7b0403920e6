/* warren-bench: load on a cluster from outside, and proof of what arrived. Exit codes: see bench.h. */
#include "bench.h"

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

static const struct bench_scenario *const scenarios[] = {
    &scenario_fanout, &scenario_latency, &scenario_idle,  &scenario_storm, &scenario_rejoin,
    &scenario_verify, &scenario_replay,  &scenario_limit, &scenario_voice,
};

static void print_usage(FILE *out)
{
    (void)fputs("Usage: warren-bench SCENARIO [ARGUMENT]...\n"
                "Puts load on Warren nodes from outside and checks what arrives.\n"
                "\n"
                "  --version   print the version, and end\n"
                "  --help      print this, and end; behind a scenario: its own help\n"
                "\n",
                out);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(scenarios); i++)
        (void)fprintf(out, "  %s %s\n      %s\n", scenarios[i]->name, scenarios[i]->usage, scenarios[i]->help);
    (void)fputs("\nExit codes: 0 ok, 1 loss or failure, 2 usage, 3 a node does not answer.\n", out);
}

/** A socket is a descriptor; the soft limit is for programs that use select(2). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;

    if (!word) {
        print_usage(stderr);
        return BENCH_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_usage(stdout);
        return BENCH_OK;
    }
    if (strcmp(word, "--version") == 0) {
        (void)puts("warren-bench " WARREN_VERSION);
        return BENCH_OK;
    }
    log_install_crash_handler();
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(scenarios); i++)
        if (strcmp(scenarios[i]->name, word) == 0)
            return scenarios[i]->run(argc - 1, argv + 1);
    (void)fprintf(stderr, "warren-bench: no scenario \"%s\"\nTry: warren-bench --help\n", word);
    return BENCH_USAGE;
}
