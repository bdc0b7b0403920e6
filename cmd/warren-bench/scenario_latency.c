/* Latency: a few clients and a steady, low rate, so that what is measured is the way and not a queue. */
#include "bench.h"
#include "bench_flow.h"

#include "base/random.h"

#define VALUE(member) offsetof(struct bench_flow_options, member)

static const struct bench_option rows[] = {
    {"rooms", BENCH_OPTION_COUNT, VALUE(rooms), 1, 100000, "R", "rooms", 0},
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 1, 100000, "N", "clients in each room; one of them sends", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), BENCH_PAYLOAD_MIN_BYTES, 60000, "N", "bytes of a message's data", 0},
    {"rate", BENCH_OPTION_NUMBER, VALUE(rate), 0.1, 1e6, "N", "messages a second, of all rooms", 0},
    {"seconds", BENCH_OPTION_NUMBER, VALUE(seconds), 0.1, 86400, "S", "how long to measure", 0},
    {"quiet", BENCH_OPTION_NUMBER, VALUE(quiet_s), 0, 3600, "S", "how long to wait after the last join", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "latency",
    .about = "Sends at a steady rate and tells how long after its scheduled time each message was with each listener,\n"
             "apart for those on the sender's node and those on another.",
    .parts = BENCH_PART_NODES | BENCH_PART_WARMUP | BENCH_PART_PROBES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int report(struct bench_flow *f)
{
    const struct bench_flow_options *o = f->options;
    struct bench_report r;

    bench_report_begin(&r, &o->common, true, f->stage.now.version);
    if (bench_flow_has_figures(f)) {
        bench_flow_report(f, &r);
        bench_report_latency(&r, "latency, same node", "latency_same_node_ms", f->near);
        if (f->far->count > 0)
            bench_report_latency(&r, "latency, across nodes", "latency_across_nodes_ms", f->far);
    }
    return bench_stage_report_end(&f->stage, &r, bench_flow_has_figures(f),
                                  "every client got every message of its room once and in order");
}

static int run(int argc, char **argv)
{
    struct bench_flow_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 500,
                   .timeout_s = 10,
                   .settle_s = 0.5,
                   .warmup_s = 1,
                   .pin = BENCH_NO_CPU},
        .rooms = 1,
        .clients = 10,
        .bytes = 128,
        .window = 1,
        .rate = 100,
        .seconds = 10,
        .quiet_s = 1.5,
    };
    struct bench_flow f = {.on_measured = NULL};
    char room[sizeof("latency-") + ID_TEXT_SIZE] = "latency-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED) {
        bench_flow_run(&f, &o);
        result = report(&f);
        bench_flow_deinit(&f);
    }
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_latency = {
    .name = "latency",
    .usage = "--nodes URL[,URL]... [OPTION]...",
    .help = "a few clients, a low rate: how late messages are, on the same node and across nodes",
    .run = run,
};
