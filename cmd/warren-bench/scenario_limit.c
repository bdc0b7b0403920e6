/* The limit: what writing frames to sockets costs when nothing else is done, to hold every other figure against. */
#include "bench.h"
#include "bench_limit.h"
#include "bench_limit_report.h"
#include "bench_report.h"

struct limit_options {
    struct bench_common common;
    size_t clients, bytes, messages, writer;
    double rate;
};

#define VALUE(member) offsetof(struct limit_options, member)

static const struct bench_option rows[] = {
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 1, 100000, "N", "sockets", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), 1, 65536, "N", "bytes of a frame on the wire", 0},
    {"messages", BENCH_OPTION_COUNT, VALUE(messages), BENCH_LIMIT_BATCH, 1e6, "N", "frames to each socket", 0},
    {"rate", BENCH_OPTION_NUMBER, VALUE(rate), 0, 1e5, "N",
     "frames a second to each socket, one by one, instead of as many as possible; and how late they are", 0},
    {"writer", BENCH_OPTION_COUNT, VALUE(writer), 0, CPU_SETSIZE - 1, "CPU",
     "where it writes; --pin says where it reads", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "limit",
    .about = "Writes the same bytes to sockets that another process reads, and does nothing else: first a write(2) a\n"
             "frame, then a writev(2) of 64 frames. No server on this machine can do with less.",
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int measure(const struct limit_options *o)
{
    struct bench_limit limit = {.cpu_s = {0}};
    struct bench_limit_pace *pace = calloc(1, sizeof(*pace));
    struct bench_report r;
    cpu_set_t cpus;
    int result = !pace ? -ENOMEM : o->common.pin != BENCH_NO_CPU ? bench_pin(o->common.pin) : 0;

    CPU_ZERO(&cpus);
    if (o->writer != BENCH_NO_CPU)
        CPU_SET(o->writer, &cpus);
    bench_report_begin(&r, &o->common, false, "");
    if (!result && o->rate > 0)
        result = bench_limit_pace_run(o->clients, o->bytes, o->rate, o->messages,
                                      o->writer != BENCH_NO_CPU ? &cpus : NULL, pace);
    else if (!result)
        result = bench_limit_run(o->clients, o->bytes, o->messages, o->writer != BENCH_NO_CPU ? &cpus : NULL, &limit);
    bench_report_count(&r, "sockets", "clients", o->clients);
    bench_report_count(&r, "bytes of a frame", "frame_bytes", o->bytes);
    bench_report_count(&r, "frames", "frames", o->messages * o->clients);
    if (o->rate > 0)
        bench_limit_pace_report(&r, pace);
    else
        bench_limit_report(&r, &limit);
    free(pace);
    return bench_report_end(&r, result == 0, false, result ? strerror(-result) : NULL, "the limit was measured");
}

static int run(int argc, char **argv)
{
    struct limit_options o = {
        .common.pin = BENCH_NO_CPU, .writer = BENCH_NO_CPU, .clients = 1000, .bytes = 128, .messages = 1024};
    int result = bench_options_parse(&arguments, argc, argv, &o, NULL);

    if (result == BENCH_PARSED)
        result = measure(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_limit = {
    .name = "limit",
    .usage = "[OPTION]...",
    .help = "the bare loop of write on as many sockets: the limit of every other figure",
    .run = run,
};
