#ifndef WARREN_BENCH_BENCH_LIMIT_REPORT_H
#define WARREN_BENCH_BENCH_LIMIT_REPORT_H

#include "bench_limit.h"
#include "bench_limit_pace.h"
#include "bench_report.h"

/** The rows that tell a limit. */
void bench_limit_report(struct bench_report *r, const struct bench_limit *limit);

/**
 * bench_limit_beside() - the limit measured beside a node: on its CPUs, if --pid tells which process it is
 *
 * So many frames that each way takes about a second, at least. Return: 0 or a negative errno.
 */
int bench_limit_beside(const struct bench_common *c, size_t sockets, size_t bytes,
                       struct bench_limit *ret_limit) base_must_check;

/** The same of a loop that writes @rate times a second, for about @seconds. */
int bench_limit_pace_beside(const struct bench_common *c, size_t sockets, size_t bytes, double rate, double seconds,
                            struct bench_limit_pace *ret_pace) base_must_check;
void bench_limit_pace_report(struct bench_report *r, const struct bench_limit_pace *pace);
/** A node's CPU seconds for a million deliveries, and its p99, over what the limits before and after say. */
void bench_limit_pace_report_ratio(struct bench_report *r, double node_cpu_s, const struct bench_histogram *latency,
                                   const struct bench_limit_pace *before, const struct bench_limit_pace *after);

/** A node's CPU seconds for a million deliveries over what the limits before and after say, both ways. */
void bench_limit_report_ratio(struct bench_report *r, double node_cpu_s, const struct bench_limit *before,
                              const struct bench_limit *after);

#endif
