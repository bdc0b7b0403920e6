/**
 * The page, in Prometheus' text format 0.0.4.
 *
 * All samples of one name stand together under one HELP and TYPE, wherever their rows were registered: the format asks
 * for it. Names are searched by comparing all with all, which a few hundred rows and a scrape every few seconds do not
 * notice.
 */
#include "metrics/metrics_internal.h"

static const char *const type_names[] = {
    [METRICS_COUNTER] = "counter", [METRICS_GAUGE] = "gauge", [METRICS_HISTOGRAM] = "histogram"};

/** A number of counted units in the unit of the name. */
static void write_scaled(struct buffer *out, const struct metrics_row *row, uint64_t value)
{
    if (row->scale != 0 && row->scale != 1)
        buffer_printf(out, "%.15g", (double)value * row->scale);
    else
        buffer_append_uint64(out, value);
}

/** name suffix {labels, extra} and a space. */
static void write_sample_name(struct buffer *out, const struct metrics_row *row, const char *suffix)
{
    buffer_append_text(out, row->name);
    buffer_append_text(out, suffix);
    if (row->labels)
        buffer_printf(out, "{%s}", row->labels);
    buffer_append_char(out, ' ');
}

static void write_bucket(struct buffer *out, const struct metrics_row *row, size_t bucket, size_t bounds,
                         uint64_t count)
{
    buffer_printf(out, "%s_bucket{%s%sle=\"", row->name, row->labels ? row->labels : "", row->labels ? "," : "");
    if (bucket < bounds)
        write_scaled(out, row, row->bounds[bucket]);
    else
        buffer_append_text(out, "+Inf");
    buffer_printf(out, "\"} %llu\n", (unsigned long long)count);
}

static void write_histogram(struct buffer *out, const struct metrics_group *group, size_t index)
{
    const struct metrics_row *row = &group->rows[index];
    size_t bounds = metrics_row_bounds(row), first = group->first_slot[index];
    uint64_t count = 0;

    for (size_t bucket = 0; bucket <= bounds; bucket++) {
        count += metrics_group_slot_sum(group, first + bucket);
        write_bucket(out, row, bucket, bounds, count);
    }
    write_sample_name(out, row, "_sum");
    write_scaled(out, row, metrics_group_slot_sum(group, first + bounds + 1));
    buffer_append_char(out, '\n');
    write_sample_name(out, row, "_count");
    buffer_append_uint64(out, count);
    buffer_append_char(out, '\n');
}

static void write_row(struct buffer *out, const struct metrics_group *group, size_t index)
{
    const struct metrics_row *row = &group->rows[index];
    uint64_t sum;

    if (row->type == METRICS_HISTOGRAM) {
        write_histogram(out, group, index);
        return;
    }
    sum = metrics_group_slot_sum(group, group->first_slot[index]);
    write_sample_name(out, row, "");
    if (row->scale != 0 && row->scale != 1)
        buffer_printf(out, "%.15g", (double)(int64_t)sum * row->scale);
    else if (row->type == METRICS_GAUGE)
        buffer_append_int64(out, (int64_t)sum);
    else
        buffer_append_uint64(out, sum);
    buffer_append_char(out, '\n');
}

/** Writes every row called @name, or, with @out NULL, only looks for one. Stops before row @end_index of @end. */
static bool write_name(struct buffer *out, const struct metrics *m, const char *name, const struct metrics_group *end,
                       size_t end_index)
{
    bool found = false;

    list_for_each (it, &m->groups) {
        const struct metrics_group *group = container_of(it, struct metrics_group, link);

        for (size_t i = 0; i < group->count; i++) {
            if (group == end && i == end_index)
                return found;
            if (strcmp(group->rows[i].name, name) != 0)
                continue;
            found = true;
            if (out)
                write_row(out, group, i);
        }
    }
    return found;
}

void metrics_write_page(struct metrics *m, struct buffer *out)
{
    pthread_mutex_lock(&m->lock);
    list_for_each (it, &m->groups) {
        const struct metrics_group *group = container_of(it, struct metrics_group, link);

        for (size_t i = 0; i < group->count; i++) {
            const struct metrics_row *row = &group->rows[i];

            if (write_name(NULL, m, row->name, group, i))
                continue; /* an earlier row of this name has brought this one along */
            buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_names[row->type]);
            write_name(out, m, row->name, NULL, 0);
        }
    }
    pthread_mutex_unlock(&m->lock);
}
