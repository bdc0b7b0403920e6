#include "bench_limit_report.h"

#include <stdio.h>

#define FRAMES_IN_ALL 200000

static const struct {
    const char *label, *name, *rate_name, *ratio_label, *ratio_name;
} ways[2] = {
    {"limit, a write each", "write_cpu_s_per_million", "write_per_s", "nodes / limit, write", "ratio_to_write"},
    {"limit, writev of 64", "writev_cpu_s_per_million", "writev_per_s", "nodes / limit, writev", "ratio_to_writev"},
};

void bench_limit_report(struct bench_report *r, const struct bench_limit *limit)
{
    char line[120];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(ways); i++) {
        if (r->common->json) {
            bench_report_number(r, NULL, ways[i].name, limit->cpu_s[i], 4, "");
            bench_report_number(r, NULL, ways[i].rate_name, limit->frames_per_s[i], 0, "");
            continue;
        }
        (void)snprintf(line, sizeof(line), "%.4f s CPU per 1,000,000 frames, %.0f frames/s", limit->cpu_s[i],
                       limit->frames_per_s[i]);
        bench_report_text(r, ways[i].label, "", line);
    }
}

/** Whether --pid tells where a node runs. */
static bool find_cpus(const struct bench_common *c, cpu_set_t *ret_cpus)
{
    uint64_t pid;

    return c->pids.count > 0 && slice_to_uint64(c->pids.urls[0], INT32_MAX, &pid) &&
           sched_getaffinity((pid_t)pid, sizeof(*ret_cpus), ret_cpus) == 0;
}

int bench_limit_beside(const struct bench_common *c, size_t sockets, size_t bytes, struct bench_limit *ret_limit)
{
    size_t frames = FRAMES_IN_ALL / sockets / BENCH_LIMIT_BATCH * BENCH_LIMIT_BATCH;
    cpu_set_t mine, nodes;
    bool moves = find_cpus(c, &nodes);
    int result;

    if (sched_getaffinity(0, sizeof(mine), &mine) < 0)
        return -errno;
    result = bench_limit_run(sockets, bytes, frames ? frames : BENCH_LIMIT_BATCH, moves ? &nodes : NULL, ret_limit);
    if (moves && sched_setaffinity(0, sizeof(mine), &mine) < 0 && !result)
        result = -errno;
    return result;
}

int bench_limit_pace_beside(const struct bench_common *c, size_t sockets, size_t bytes, double rate, double seconds,
                            struct bench_limit_pace *ret_pace)
{
    size_t messages = (size_t)(rate * seconds) + 1;
    cpu_set_t mine, nodes;
    bool moves = find_cpus(c, &nodes);
    int result;

    if (sched_getaffinity(0, sizeof(mine), &mine) < 0)
        return -errno;
    result = bench_limit_pace_run(sockets, bytes, rate, messages, moves ? &nodes : NULL, ret_pace);
    if (moves && sched_setaffinity(0, sizeof(mine), &mine) < 0 && !result)
        result = -errno;
    return result;
}

void bench_limit_pace_report(struct bench_report *r, const struct bench_limit_pace *pace)
{
    bench_report_number(r, "limit, a write each", "paced_write_cpu_s_per_million", pace->cpu_s, 4,
                        "s CPU per 1,000,000 frames at this rate");
    bench_report_latency(r, "limit, latency", "limit_latency_ms", &pace->latency);
}

void bench_limit_pace_report_ratio(struct bench_report *r, double node_cpu_s, const struct bench_histogram *latency,
                                   const struct bench_limit_pace *before, const struct bench_limit_pace *after)
{
    struct bench_limit_pace *mean = malloc(sizeof(*mean));

    if (!mean)
        return;
    *mean = *before;
    mean->cpu_s = (before->cpu_s + after->cpu_s) / 2;
    bench_histogram_merge(&mean->latency, &after->latency);
    bench_limit_pace_report(r, mean);
    if (node_cpu_s > 0)
        bench_report_number(r, "nodes / limit, write", "ratio_to_paced_write", node_cpu_s / mean->cpu_s, 3, "");
    bench_report_number(r, "p99 / limit's p99", "ratio_of_p99",
                        (double)bench_histogram_percentile(latency, 99000) /
                            (double)bench_histogram_percentile(&mean->latency, 99000),
                        3, "");
    free(mean);
}

void bench_limit_report_ratio(struct bench_report *r, double node_cpu_s, const struct bench_limit *before,
                              const struct bench_limit *after)
{
    struct bench_limit mean;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(ways); i++) {
        mean.cpu_s[i] = (before->cpu_s[i] + after->cpu_s[i]) / 2;
        mean.frames_per_s[i] = (before->frames_per_s[i] + after->frames_per_s[i]) / 2;
    }
    bench_limit_report(r, &mean);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(ways) && node_cpu_s > 0; i++)
        bench_report_number(r, ways[i].ratio_label, ways[i].ratio_name, node_cpu_s / mean.cpu_s[i], 3, "");
}
