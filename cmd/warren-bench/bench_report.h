#ifndef WARREN_BENCH_BENCH_REPORT_H
#define WARREN_BENCH_BENCH_REPORT_H

#include "base/json.h"
#include "bench_options.h"
#include "bench_probe.h"
#include "bench_stats.h"

/**
 * struct bench_report - what is told at the end of a run: a table for people or one object for programs, from the same
 * calls
 *
 * It begins with what makes a figure worth anything: the command, the versions, the machine, where things were pinned,
 * and whether the run was warm. A label is what people read, a name what programs read; rows without a label are only
 * for programs.
 */
struct bench_report {
    const struct bench_common *common;
    struct buffer out;
    struct json_writer json;
};

/** What can be wrong with what came, in every scenario. */
struct bench_faults {
    uint64_t lost, duplicated, out_of_order, corrupted, unexpected, refused, disconnects;
    struct buffer refusal;    /* the first one's code */
    struct buffer disconnect; /* the first one's reason */
    struct buffer oddity;     /* the first one that was unexpected, or its beginning */
};

bool bench_faults_any(const struct bench_faults *f);
void bench_faults_deinit(struct bench_faults *f);

/** @has_warmup: whether the scenario knows warm and bare runs. @version: the node's, empty if it was not told. */
void bench_report_begin(struct bench_report *r, const struct bench_common *c, bool has_warmup, const char *version);
void bench_report_count(struct bench_report *r, const char *label, const char *name, uint64_t count);
/** @unit is printed behind the number, for people. */
void bench_report_number(struct bench_report *r, const char *label, const char *name, double number, unsigned digits,
                         const char *unit);
void bench_report_text(struct bench_report *r, const char *label, const char *name, const char *text);
/** Nanoseconds, told in milliseconds: p50, p90, p99, p99.9, max. */
void bench_report_latency(struct bench_report *r, const char *label, const char *name, const struct bench_histogram *h);
/** CPU time between two probes, of the tool and of the nodes, and what that is for @per of @units. */
void bench_report_cpu(struct bench_report *r, const struct bench_probe *before, const struct bench_probe *after,
                      double units, double per, const char *what);
void bench_report_faults(struct bench_report *r, const struct bench_faults *f);
/** Prints it all. @failure: why the run could not be made, or NULL. Return: the exit code. */
int bench_report_end(struct bench_report *r, bool is_ok, bool is_interrupted, const char *failure,
                     const char *praise) base_must_check;

#endif
