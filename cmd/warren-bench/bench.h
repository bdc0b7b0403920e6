#ifndef WARREN_BENCH_BENCH_H
#define WARREN_BENCH_BENCH_H

#include "base/buffer.h"

/** Exit codes: everything arrived as it must; something did not; wrong arguments; no node answers. */
enum { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2, BENCH_UNREACHABLE = 3 };

/** A scenario is a row: one shape of load, in a file of its own. argv[0] of @run is its name. */
struct bench_scenario {
    const char *name;
    const char *usage;
    const char *help;
    int (*run)(int argc, char **argv);
};

extern const struct bench_scenario scenario_fanout, scenario_latency, scenario_idle, scenario_storm, scenario_verify,
    scenario_limit, scenario_replay, scenario_rejoin, scenario_voice;

#endif
