#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/buffer.h"

#include <stdatomic.h>

/**
 * Metrics are rows beside the code they describe:
 *
 *     enum { NET_ACCEPTED, NET_OPEN, NET_METRICS };
 *     static const struct metrics_row rows[NET_METRICS] = {
 *         [NET_ACCEPTED] = {"warren_net_accepted_total", METRICS_COUNTER, "Connections accepted."},
 *         [NET_OPEN] = {"warren_net_open", METRICS_GAUGE, "Connections open now."},
 *     };
 *
 * A package registers its rows once (a group) and takes one set of cells per thread that counts; a page sums the cells.
 * A cell has one writer, so counting is a plain relaxed load and store, no locked instruction. Several groups may have
 * rows of one name with different labels; the page then writes HELP and TYPE once.
 */
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics_row {
    const char *name; /* by Prometheus' rules; prefix warren_; counters end in _total; the unit stands in the name */
    enum metrics_type type;
    const char *help;
    const char *labels;     /* NULL, or as on the page: reason="too_slow" */
    const uint64_t *bounds; /* of a histogram: upper bounds, rising, ended by 0 */
    double
        scale; /* what one counted unit is in the unit of the name; 0 means 1 (counted in µs, told in seconds: 1e-6) */
};

struct metrics;       /* all groups of a process; thread-safe */
struct metrics_group; /* the rows of one package */
struct metrics_cells; /* one thread's numbers of one group */

struct metrics *metrics_new(void) base_must_check;
/** Frees groups and cells too; nobody counts any more. Accepts NULL, returns NULL. */
struct metrics *metrics_free(struct metrics *m);

/** Borrows @rows for ever. Groups belong to @m. Thread: any. Return: NULL when out of memory. */
struct metrics_group *metrics_group_new(struct metrics *m, const struct metrics_row *rows,
                                        size_t count) base_must_check;
/** A new set of cells, all 0, belonging to @group and never freed before it (what was counted stays counted). Thread:
 * any. */
struct metrics_cells *metrics_cells_new(struct metrics_group *group) base_must_check;

/** Adds to a counter or gauge (a gauge also takes negative steps). Thread: the cells' one writer. */
void metrics_add(struct metrics_cells *cells, size_t row, int64_t amount);
/** Sets this thread's part of a gauge. Thread: the cells' one writer. */
void metrics_set(struct metrics_cells *cells, size_t row, int64_t value);
/** Counts @value into a histogram. Thread: the cells' one writer. */
void metrics_observe(struct metrics_cells *cells, size_t row, uint64_t value);

/** The sum over all cells of a counter or gauge. Thread: any. */
int64_t metrics_group_sum(struct metrics_group *group, size_t row);

/** Appends the page in Prometheus' text format 0.0.4. Thread: any. */
void metrics_write_page(struct metrics *m, struct buffer *out);

#endif
