#ifndef METRICS_METRICS_INTERNAL_H
#define METRICS_METRICS_INTERNAL_H

#include "metrics/metrics.h"

#include "base/list.h"

#include <pthread.h>

/**
 * A set of cells is an array of slots. A counter or gauge has one; a histogram has one per bound, one for what is above
 * the last bound, and one for the sum: [le bound 0][le bound 1]…[above][sum], not cumulative.
 */
struct metrics_cells {
    struct list link; /* in metrics_group.cells */
    const struct metrics_group *group;
    char padding[64]; /* keeps the writer's cache lines apart from those of whoever walks the list */
    atomic_uint_fast64_t slots[];
};

struct metrics_group {
    struct list link; /* in metrics.groups */
    struct metrics *metrics;
    const struct metrics_row *rows;
    size_t count;
    size_t slots;
    struct list cells;
    size_t first_slot[]; /* of each row */
};

struct metrics {
    pthread_mutex_t lock; /* of the lists; never taken where something is counted */
    struct list groups;
};

/** How many bounds a histogram has; 0 for other rows. */
size_t metrics_row_bounds(const struct metrics_row *row);
/** The sum of one slot over all cells of the group. The lock is held. */
uint64_t metrics_group_slot_sum(const struct metrics_group *group, size_t slot);

#endif
