/* Fan-out: rooms full of listeners, a sender in each; how many deliveries a second, and what each of them costs. */
#include "bench.h"
#include "bench_flow.h"
#include "bench_limit_report.h"

#include "base/random.h"

#include <stdio.h>

/** How long the bare loop at the rate runs, before and after. */
#define PACED_S 3

#define VALUE(member) offsetof(struct bench_flow_options, member)

static const struct bench_option rows[] = {
    {"rooms", BENCH_OPTION_COUNT, VALUE(rooms), 1, 100000, "R", "rooms", 0},
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 1, 100000, "N", "clients in each room; one of them sends", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), BENCH_PAYLOAD_MIN_BYTES, 60000, "N", "bytes of a message's data", 0},
    {"window", BENCH_OPTION_COUNT, VALUE(window), 1, 100000, "M", "messages under way at once, of all rooms", 0},
    {"rate", BENCH_OPTION_NUMBER, VALUE(rate), 0.1, 1e6, "N", "messages a second instead of a window", 0},
    {"seconds", BENCH_OPTION_NUMBER, VALUE(seconds), 0.1, 86400, "S", "how long to measure", 0},
    {"quiet", BENCH_OPTION_NUMBER, VALUE(quiet_s), 0, 3600, "S", "how long to wait after the last join", 0},
    {"with-limit", BENCH_OPTION_FLAG, VALUE(with_limit), 0, 0, NULL,
     "measure the bare loop of write on as many sockets before and after", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "fanout",
    .about = "Fills rooms with clients, has one of each room send, and counts what every other one gets.",
    .ending =
        "Without --rate a message leaves as soon as fewer than --window are under way, so that the nodes are never\n"
        "idle; with it messages are due at their time, and latency counts from that time.",
    .parts = BENCH_PART_NODES | BENCH_PART_WARMUP | BENCH_PART_PROBES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

/** The limits around the measurement. */
struct limits {
    struct bench_limit before, after;
    struct bench_limit_pace paced_before, paced_after; /* with --rate */
};

static void on_measured(struct bench_flow *f, bool is_before)
{
    struct limits *limits = f->userdata;
    const struct bench_common *c = &f->options->common;
    size_t bytes = f->wire_bytes ? f->wire_bytes : f->options->bytes + 2;
    int result;

    if (!f->options->with_limit)
        return;
    if (f->options->rate > 0)
        result = bench_limit_pace_beside(c, f->members, bytes, f->options->rate, PACED_S,
                                         is_before ? &limits->paced_before : &limits->paced_after);
    else
        result = bench_limit_beside(c, f->members, bytes, is_before ? &limits->before : &limits->after);
    if (result)
        bench_stage_fail(&f->stage, "the bare loop: %s", strerror(-result));
    bench_stage_touch(&f->stage);
}

static int report(struct bench_flow *f, const struct limits *limits)
{
    const struct bench_flow_options *o = f->options;
    struct bench_histogram *all = calloc(1, sizeof(*all));
    struct bench_report r;
    int code;

    bench_report_begin(&r, &o->common, true, f->stage.now.version);
    if (bench_flow_has_figures(f) && all) {
        double node_cpu_s = f->after.has_cpu ? f->after.node_cpu_s - f->before.node_cpu_s : 0;

        double node_cpu_each_s = f->deliveries ? node_cpu_s / (double)f->deliveries * 1e6 : 0;

        bench_flow_report(f, &r);
        bench_histogram_merge(all, f->near);
        bench_histogram_merge(all, f->far);
        if (o->with_limit && o->rate > 0)
            bench_limit_pace_report_ratio(&r, node_cpu_each_s, all, &limits->paced_before, &limits->paced_after);
        else if (o->with_limit)
            bench_limit_report_ratio(&r, node_cpu_each_s, &limits->before, &limits->after);
        bench_report_latency(&r, "latency", "latency_ms", all);
    }
    code = bench_stage_report_end(&f->stage, &r, bench_flow_has_figures(f) && all,
                                  "every client got every message of its room once and in order");
    free(all);
    return code;
}

static int run(int argc, char **argv)
{
    struct bench_flow_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 2000,
                   .timeout_s = 10,
                   .settle_s = 0.5,
                   .warmup_s = 2,
                   .pin = BENCH_NO_CPU},
        .rooms = 1,
        .clients = 1000,
        .bytes = 128,
        .window = 64,
        .seconds = 10,
        .quiet_s = 1.5,
    };
    struct limits *limits = calloc(1, sizeof(*limits));
    struct bench_flow f = {.on_measured = on_measured, .userdata = limits};
    char room[sizeof("fanout-") + ID_TEXT_SIZE] = "fanout-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED && limits) {
        bench_flow_run(&f, &o);
        result = report(&f, limits);
        bench_flow_deinit(&f);
    }
    bench_options_deinit(&o.common);
    free(limits);
    return result;
}

const struct bench_scenario scenario_fanout = {
    .name = "fanout",
    .usage = "--nodes URL[,URL]... [OPTION]...",
    .help = "rooms full of listeners: deliveries a second, and CPU time for a million of them",
    .run = run,
};
