#ifndef WARREN_BENCH_BENCH_PROBE_H
#define WARREN_BENCH_BENCH_PROBE_H

#include "bench_options.h"

/**
 * What the nodes have used so far, seen from outside: CPU time from the kernel (--pid) or from the node's own page
 * (--metrics), memory from the kernel. Sums over all nodes. Two of them, before and after, tell what a load cost.
 */
/** What of the commands to the store is told apart: the values of request="…" in warren_redis_commands_total. */
#define BENCH_STORE_REQUESTS 5
extern const char *const bench_store_requests[BENCH_STORE_REQUESTS];

struct bench_probe {
    double tool_cpu_s; /* this process, and its children that have ended */
    double node_cpu_s;
    double rss_bytes;  /* VmRSS: resident, with code and files */
    double anon_bytes; /* RssAnon: heap and stacks */
    bool has_cpu;
    double store_commands, store_requests[BENCH_STORE_REQUESTS], log_reads; /* by the nodes' own count */
    bool has_memory;
    bool has_store;
    char version[32]; /* of the first node that told; else empty */
};

/** Return: 0; -EHOSTUNREACH or another errno, with a sentence in @error. */
int bench_probe_take(const struct bench_common *c, struct bench_probe *ret_probe, struct buffer *error) base_must_check;

/** What stands between a value's name (with its labels, if it has some) and the end of its line, summed over the lines
 * of the page. Return: whether there was one. */
bool bench_page_sum(struct slice page, const char *name, double *ret_sum) base_must_check;

/** Keeps this process, and what it starts, on one CPU. 0; -EINVAL when there is no such CPU. */
int bench_pin(size_t cpu) base_must_check;
/** The CPUs that a process (0: this one) may use, as "0" or "0-1,3"; empty if the kernel does not tell. */
void bench_affinity(long pid, struct buffer *out);

#endif
