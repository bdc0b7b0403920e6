/** Counting by several threads, and the page. */
#include "metrics/metrics.h"
#include "support/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SENT, OPEN, TIME, BYTES, ROWS };

static const uint64_t time_bounds[] = {1000, 10000, 0};

static const struct metrics_row rows[ROWS] = {
    [SENT] = {"warren_sent_total", METRICS_COUNTER, "Messages sent.", .labels = "kind=\"a\""},
    [OPEN] = {"warren_open", METRICS_GAUGE, "Open now."},
    [TIME] = {"warren_time_seconds", METRICS_HISTOGRAM, "Time taken.", .bounds = time_bounds, .scale = 1e-6},
    [BYTES] = {"warren_cpu_seconds_total", METRICS_COUNTER, "CPU time.", .scale = 1e-6},
};

static const struct metrics_row other_rows[] = {
    {"warren_other_total", METRICS_COUNTER, "Another.", .labels = NULL},
    {"warren_sent_total", METRICS_COUNTER, "Messages sent.", .labels = "kind=\"b\""},
    {"warren_size_bytes", METRICS_HISTOGRAM, "Sizes.", .labels = "kind=\"b\"", .bounds = time_bounds},
};

static void assert_page(struct metrics *m, const char *expected)
{
    struct buffer page = {0};

    metrics_write_page(m, &page);
    assert_int_equal(buffer_error(&page), 0);
    assert_string_equal(page.size ? page.data : "", expected);
    buffer_deinit(&page);
}

static void test_page(void **state base_unused)
{
    struct metrics *m = metrics_new();
    struct metrics_group *group, *other;
    struct metrics_cells *a, *b, *c;

    assert_page(m, "");
    group = metrics_group_new(m, rows, ROWS);
    other = metrics_group_new(m, other_rows, 3);
    a = metrics_cells_new(group);
    b = metrics_cells_new(group);
    c = metrics_cells_new(other);
    metrics_add(a, SENT, 3);
    metrics_add(b, SENT, 4);
    metrics_add(a, OPEN, 2);
    metrics_add(b, OPEN, -5); /* opened on one thread, closed on another */
    metrics_observe(a, TIME, 1000);
    metrics_observe(b, TIME, 1001);
    metrics_observe(b, TIME, 500000);
    metrics_add(a, BYTES, 1500000);
    metrics_add(c, 1, 1);
    metrics_observe(c, 2, 7);
    assert_int_equal(metrics_group_sum(group, SENT), 7);
    assert_int_equal(metrics_group_sum(group, OPEN), -3);
    assert_page(m, "# HELP warren_sent_total Messages sent.\n"
                   "# TYPE warren_sent_total counter\n"
                   "warren_sent_total{kind=\"a\"} 7\n"
                   "warren_sent_total{kind=\"b\"} 1\n"
                   "# HELP warren_open Open now.\n"
                   "# TYPE warren_open gauge\n"
                   "warren_open -3\n"
                   "# HELP warren_time_seconds Time taken.\n"
                   "# TYPE warren_time_seconds histogram\n"
                   "warren_time_seconds_bucket{le=\"0.001\"} 1\n"
                   "warren_time_seconds_bucket{le=\"0.01\"} 2\n"
                   "warren_time_seconds_bucket{le=\"+Inf\"} 3\n"
                   "warren_time_seconds_sum 0.502001\n"
                   "warren_time_seconds_count 3\n"
                   "# HELP warren_cpu_seconds_total CPU time.\n"
                   "# TYPE warren_cpu_seconds_total counter\n"
                   "warren_cpu_seconds_total 1.5\n"
                   "# HELP warren_other_total Another.\n"
                   "# TYPE warren_other_total counter\n"
                   "warren_other_total 0\n"
                   "# HELP warren_size_bytes Sizes.\n"
                   "# TYPE warren_size_bytes histogram\n"
                   "warren_size_bytes_bucket{kind=\"b\",le=\"1000\"} 1\n"
                   "warren_size_bytes_bucket{kind=\"b\",le=\"10000\"} 1\n"
                   "warren_size_bytes_bucket{kind=\"b\",le=\"+Inf\"} 1\n"
                   "warren_size_bytes_sum{kind=\"b\"} 7\n"
                   "warren_size_bytes_count{kind=\"b\"} 1\n");
    metrics_set(a, OPEN, 10);
    assert_int_equal(metrics_group_sum(group, OPEN), 5);
    assert_null(metrics_free(m));
    assert_null(metrics_free(NULL));
}

#define THREADS 4
#define STEPS 100000

static void *count_main(void *userdata)
{
    struct metrics_cells *cells = metrics_cells_new(userdata);

    for (int i = 0; i < STEPS; i++) {
        metrics_add(cells, SENT, 1);
        metrics_observe(cells, TIME, 5000);
    }
    return NULL;
}

/* Pages are read while threads count; afterwards nothing is missing, though the threads are gone. */
static void test_threads(void **state base_unused)
{
    struct metrics *m = metrics_new();
    struct metrics_group *group = metrics_group_new(m, rows, ROWS);
    pthread_t threads[THREADS];
    int64_t last = 0;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_main, group), 0);
    while (last < THREADS * STEPS / 2) {
        int64_t sum = metrics_group_sum(group, SENT);

        assert_true(sum >= last);
        last = sum;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_group_sum(group, SENT), THREADS * STEPS);
    metrics_free(m);
}

static void test_out_of_memory(void **state base_unused)
{
    bool refused = true;

    for (size_t n = 0; refused; n++) {
        struct metrics *m;
        struct metrics_group *group = NULL;
        struct metrics_cells *cells = NULL;

        alloc_fail_after(n);
        m = metrics_new();
        if (m)
            group = metrics_group_new(m, rows, ROWS);
        if (group)
            cells = metrics_cells_new(group);
        refused = alloc_fail_disarm();
        assert_int_equal(cells == NULL, refused);
        metrics_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
