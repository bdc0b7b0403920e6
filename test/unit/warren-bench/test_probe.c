#include "bench_probe.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static double expect_sum(const char *page, const char *name)
{
    double sum = -1;

    assert_true(bench_page_sum(slice_from(page), name, &sum));
    return sum;
}

static void test_pages(void **state base_unused)
{
    static const char page[] = "# HELP a_total b\n# TYPE a_total counter\na_total 1.5\n"
                               "b_total{x=\"1\"} 2\nb_total{x=\"a b\"} 40\nb_total_more 100\nb_totals 7\nlast 3";
    double sum = -1;

    assert_true(expect_sum(page, "a_total") == 1.5);
    assert_true(expect_sum(page, "b_total") == 42);
    assert_true(expect_sum(page, "last") == 3);
    assert_false(bench_page_sum(slice_from(page), "a", &sum));
    assert_false(bench_page_sum(slice_from(page), "HELP", &sum));
    assert_false(bench_page_sum(SLICE_NONE, "a", &sum));
    assert_true(sum == -1);
}

/** Of this very process, what the kernel says is what it is. */
static void test_processes(void **state base_unused)
{
    struct bench_common c = {.pids.count = 1};
    struct bench_probe before, after;
    struct buffer error = {0};
    char pid[16];
    uint64_t begin_us;

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    c.pids.urls[0] = slice_from(pid);
    assert_int_equal(bench_probe_take(&c, &before, &error), 0);
    assert_true(before.has_cpu && before.has_memory && before.rss_bytes > before.anon_bytes && before.anon_bytes > 0);
    begin_us = clock_process_cpu_us();
    while (clock_process_cpu_us() < begin_us + 20000)
        ;
    assert_int_equal(bench_probe_take(&c, &after, &error), 0);
    assert_true(after.node_cpu_s - before.node_cpu_s >= 0.02 && after.node_cpu_s - before.node_cpu_s < 1);
    assert_true(after.tool_cpu_s - before.tool_cpu_s >= 0.02);
    buffer_deinit(&error);
}

static void test_wrong_processes(void **state base_unused)
{
    static const char *const wrong[] = {"0", "x", "-1", "2147483647", "99999999999"};
    struct bench_probe probe = {.rss_bytes = 4};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(wrong); i++) {
        struct bench_common c = {.pids = {.urls = {slice_from(wrong[i])}, .count = 1}};
        struct buffer error = {0};

        assert_true(bench_probe_take(&c, &probe, &error) < 0);
        assert_non_null(strstr(error.data, wrong[i]));
        buffer_deinit(&error);
    }
    assert_true(probe.rss_bytes == 4);
}

static void test_nobody_answers(void **state base_unused)
{
    struct bench_common c = {.metrics = {.urls = {SLICE_LITERAL("http://127.0.0.1:1")}, .count = 1}};
    struct bench_probe probe;
    struct buffer error = {0};

    assert_true(bench_probe_take(&c, &probe, &error) < 0);
    assert_true(error.size > 0);
    buffer_deinit(&error);
}

static void test_affinity(void **state base_unused)
{
    struct buffer before = {0}, after = {0};
    unsigned long first;

    bench_affinity(0, &before);
    assert_true(before.size > 0);
    first = strtoul(before.data, NULL, 10);
    assert_int_equal(bench_pin(first), 0);
    bench_affinity(0, &after);
    assert_int_equal(strtoul(after.data, NULL, 10), first);
    assert_null(strpbrk(after.data, ",-"));
    assert_true(bench_pin(1000000) < 0);
    buffer_deinit(&before);
    buffer_deinit(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),          cmocka_unit_test(test_processes), cmocka_unit_test(test_wrong_processes),
        cmocka_unit_test(test_nobody_answers), cmocka_unit_test(test_affinity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
