/**
 * Cells with one writer, sums with many readers.
 *
 * Whoever counts owns a set of cells and changes a number by a relaxed load and a relaxed store, which compile to plain
 * moves. A reader may see a sum that no instant ever had (one cell read a little later than another); every single
 * number is whole and counters never run backwards. Cells are never freed before their group, so what a thread counted
 * stays counted after its end.
 */
#include "metrics/metrics_internal.h"

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        free(m);
        return NULL;
    }
    list_init(&m->groups);
    return m;
}

static void group_free(struct metrics_group *group)
{
    for (struct list *it; (it = list_pop(&group->cells));)
        free(container_of(it, struct metrics_cells, link));
    free(group);
}

struct metrics *metrics_free(struct metrics *m)
{
    if (!m)
        return NULL;
    for (struct list *it; (it = list_pop(&m->groups));)
        group_free(container_of(it, struct metrics_group, link));
    pthread_mutex_destroy(&m->lock);
    free(m);
    return NULL;
}

size_t metrics_row_bounds(const struct metrics_row *row)
{
    size_t count = 0;

    if (row->type == METRICS_HISTOGRAM)
        while (row->bounds[count] != 0)
            count++;
    return count;
}

struct metrics_group *metrics_group_new(struct metrics *m, const struct metrics_row *rows, size_t count)
{
    struct metrics_group *group = calloc(1, sizeof(*group) + count * sizeof(group->first_slot[0]));

    if (!group)
        return NULL;
    group->metrics = m;
    group->rows = rows;
    group->count = count;
    list_init(&group->cells);
    for (size_t i = 0; i < count; i++) {
        assert(rows[i].name && rows[i].help);
        assert(rows[i].type != METRICS_HISTOGRAM || rows[i].bounds);
        group->first_slot[i] = group->slots;
        group->slots += rows[i].type == METRICS_HISTOGRAM ? metrics_row_bounds(&rows[i]) + 2 : 1;
    }
    pthread_mutex_lock(&m->lock);
    list_append(&m->groups, &group->link);
    pthread_mutex_unlock(&m->lock);
    return group;
}

struct metrics_cells *metrics_cells_new(struct metrics_group *group)
{
    struct metrics_cells *cells = NULL;

    cells = calloc(1, sizeof(*cells) + group->slots * sizeof(cells->slots[0]) + sizeof(cells->padding));
    if (!cells)
        return NULL;
    cells->group = group;
    pthread_mutex_lock(&group->metrics->lock);
    list_append(&group->cells, &cells->link);
    pthread_mutex_unlock(&group->metrics->lock);
    return cells;
}

static void slot_add(struct metrics_cells *cells, size_t slot, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(&cells->slots[slot], memory_order_relaxed);

    atomic_store_explicit(&cells->slots[slot], value + amount, memory_order_relaxed);
}

void metrics_add(struct metrics_cells *cells, size_t row, int64_t amount)
{
    const struct metrics_group *group = cells->group;

    assert(row < group->count && group->rows[row].type != METRICS_HISTOGRAM);
    assert(amount >= 0 || group->rows[row].type == METRICS_GAUGE);
    /* A gauge's cell may be below zero (opened on one thread, closed on another): two's complement adds up all the
     * same. */
    slot_add(cells, group->first_slot[row], (uint64_t)amount);
}

void metrics_set(struct metrics_cells *cells, size_t row, int64_t value)
{
    const struct metrics_group *group = cells->group;

    assert(row < group->count && group->rows[row].type == METRICS_GAUGE);
    atomic_store_explicit(&cells->slots[group->first_slot[row]], (uint64_t)value, memory_order_relaxed);
}

void metrics_observe(struct metrics_cells *cells, size_t row, uint64_t value)
{
    const struct metrics_group *group = cells->group;
    size_t bounds, bucket = 0;

    assert(row < group->count && group->rows[row].type == METRICS_HISTOGRAM);
    bounds = (row + 1 < group->count ? group->first_slot[row + 1] : group->slots) - group->first_slot[row] - 2;
    while (bucket < bounds && value > group->rows[row].bounds[bucket])
        bucket++;
    slot_add(cells, group->first_slot[row] + bucket, 1);
    slot_add(cells, group->first_slot[row] + bounds + 1, value);
}

uint64_t metrics_group_slot_sum(const struct metrics_group *group, size_t slot)
{
    uint64_t sum = 0;

    list_for_each (it, &group->cells)
        sum += atomic_load_explicit(&container_of(it, struct metrics_cells, link)->slots[slot], memory_order_relaxed);
    return sum;
}

int64_t metrics_group_sum(struct metrics_group *group, size_t row)
{
    int64_t sum;

    assert(row < group->count && group->rows[row].type != METRICS_HISTOGRAM);
    pthread_mutex_lock(&group->metrics->lock);
    sum = (int64_t)metrics_group_slot_sum(group, group->first_slot[row]);
    pthread_mutex_unlock(&group->metrics->lock);
    return sum;
}
