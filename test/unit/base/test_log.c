#include "base/clock.h"
#include "base/log.h"
#include "support/alloc.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/** Lines are logged into a pipe; take_line() gives the last one without its time and line feed. */
static int pipe_fds[2];
static char taken[20000];

static int setup(base_unused void **state)
{
    (void)unsetenv("JOURNAL_STREAM");
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    log_set_fd(pipe_fds[1]);
    log_set_level(LOG_INFO);
    return 0;
}

static int teardown(base_unused void **state)
{
    log_set_fd(-1);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    return 0;
}

static const char *take_line(void)
{
    ssize_t size = read(pipe_fds[0], taken, sizeof(taken) - 1);
    static const char shape[] = "time=dddd-dd-ddTdd:dd:dd.dddZ ";

    if (size < 0)
        return NULL;
    taken[size] = '\0';
    assert_int_equal(taken[size - 1], '\n');
    taken[size - 1] = '\0';
    assert_null(strchr(taken, '\n')); /* one line, whatever is in it */
    for (size_t i = 0; shape[i]; i++)
        assert_true(shape[i] == 'd' ? taken[i] >= '0' && taken[i] <= '9' : taken[i] == shape[i]);
    return taken + sizeof(shape) - 1;
}

static void test_shape(base_unused void **state)
{
    log_event(LOG_INFO, "hello");
    assert_string_equal(take_line(), "level=info msg=\"hello\"");
    log_event(LOG_ERROR, "all types", LOG_TEXT("word", "a/b:c"), LOG_SLICE("part", slice_make("xyz", 2)),
              LOG_INT("below", INT64_MIN), LOG_UINT("above", UINT64_MAX));
    assert_string_equal(take_line(), "level=error msg=\"all types\" word=a/b:c part=xy below=-9223372036854775808 "
                                     "above=18446744073709551615");
}

static void test_time_is_now(base_unused void **state)
{
    char expected[64];
    struct tm tm;
    time_t now;

    do {
        now = (time_t)(clock_realtime_ms() / 1000);
        log_event(LOG_INFO, "tick");
        assert_non_null(take_line());
    } while ((time_t)(clock_realtime_ms() / 1000) != now);
    assert_non_null(gmtime_r(&now, &tm));
    (void)strftime(expected, sizeof(expected), "time=%Y-%m-%dT%H:%M:%S.", &tm);
    assert_memory_equal(taken, expected, strlen(expected));
}

static void test_values(base_unused void **state)
{
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"plain", "v=plain"},
        {"", "v=\"\""},
        {NULL, "v=-"},
        {"two words", "v=\"two words\""},
        {"a=b", "v=\"a=b\""},
        {"say \"hi\"", "v=\"say \\\"hi\\\"\""},
        {"back\\slash", "v=\"back\\\\slash\""},
        {"line\nfeed", "v=\"line\\x0afeed\""},
        {"\x1b[31mred", "v=\"\\x1b[31mred\""},
        {"del\x7f", "v=\"del\\x7f\""},
        {"c1 \xc2\x9b", "v=\"c1 \\xc2\\x9b\""}, /* the CSI of eight-bit terminals */
        {"\xe4\xb8\xad\xe6\x96\x87", "v=\xe4\xb8\xad\xe6\x96\x87"},
        {"bad\xff\xc2", "v=\"bad\\xff\\xc2\""},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        const char *line;

        log_event(LOG_INFO, "m", LOG_TEXT("v", rows[i].value));
        line = take_line();
        assert_memory_equal(line, "level=info msg=\"m\" ", 19);
        assert_string_equal(line + 19, rows[i].written);
    }
    log_event(LOG_INFO, "m", LOG_SLICE("v", slice_make("a\0b", 3)));
    assert_string_equal(take_line(), "level=info msg=\"m\" v=\"a\\x00b\"");
    log_event(LOG_INFO, "a \"message\"\n");
    assert_string_equal(take_line(), "level=info msg=\"a \\\"message\\\"\\x0a\"");
}

static void test_errno(base_unused void **state)
{
    log_event(LOG_INFO, "m", LOG_ERRNO(ECONNREFUSED));
    assert_string_equal(take_line(), "level=info msg=\"m\" error=\"connection refused\" errno=ECONNREFUSED");
    log_event(LOG_INFO, "m", LOG_ERRNO(-EIO));
    assert_string_equal(take_line(), "level=info msg=\"m\" error=\"input/output error\" errno=EIO");
    log_event(LOG_INFO, "m", LOG_ERRNO(99999));
    assert_string_equal(take_line(), "level=info msg=\"m\" error=\"error 99999\" errno=99999");
}

static void test_long_values(base_unused void **state)
{
    char value[1200];
    const char *line;

    memset(value, 'x', sizeof(value));
    log_event(LOG_INFO, "m", LOG_SLICE("v", slice_make(value, 1024)));
    line = strstr(take_line(), "v=");
    assert_int_equal(strlen(line), 2 + 1024);
    log_event(LOG_INFO, "m", LOG_SLICE("v", slice_make(value, 1025)));
    line = strstr(take_line(), "v=");
    assert_int_equal(strlen(line), 2 + 1024 + 3);
    assert_string_equal(line + 2 + 1024, "\xe2\x80\xa6");
    memcpy(value + 1022, "\xf0\x9f\x98\x80", 4); /* a character across the cut goes as a whole */
    log_event(LOG_INFO, "m", LOG_SLICE("v", slice_make(value, 1200)));
    line = strstr(take_line(), "v=");
    assert_int_equal(strlen(line), 2 + 1022 + 3);
    memset(value, '\x80', sizeof(value)); /* not UTF-8: no beginning of a character anywhere */
    log_event(LOG_INFO, "m", LOG_SLICE("v", slice_make(value, 1200)));
    line = strstr(take_line(), "v=");
    assert_in_range(strlen(line), 4 * 1021, 4 * 1024 + 10);
}

static void test_bounded_line(base_unused void **state)
{
    char value[1024];
    const char *line;

    memset(value, '\n', sizeof(value)); /* four bytes each once it is escaped */
    log_event(LOG_INFO, "m", LOG_SLICE("a", slice_make(value, 1024)), LOG_SLICE("b", slice_make(value, 1024)),
              LOG_SLICE("c", slice_make(value, 1024)), LOG_INT("d", 4));
    line = take_line();
    assert_true(strlen(line) < 8192);
    assert_non_null(strstr(line, " a=\""));
    assert_null(strstr(line, " b=\""));
    assert_non_null(strstr(line, " d=4 fields_cut=2"));
    assert_string_equal(strstr(line, " fields_cut"), " fields_cut=2");
}

static void test_levels(base_unused void **state)
{
    enum log_level level = LOG_ERROR;
    int evaluated = 0;

    log_event(LOG_DEBUG, "off", LOG_INT("n", ++evaluated));
    assert_null(take_line());
    assert_int_equal(evaluated, 0); /* cheap: not even the arguments */
    log_set_level(LOG_WARNING);
    log_event(LOG_NOTICE, "off");
    assert_null(take_line());
    log_event(LOG_WARNING, "on");
    assert_non_null(take_line());
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "on");
    assert_string_equal(take_line(), "level=debug msg=\"on\"");
    for (unsigned i = 0; i < LOG_LEVELS; i++) {
        assert_true(log_level_parse(slice_from(log_level_name((enum log_level)i)), &level));
        assert_int_equal(level, i);
    }
    assert_false(log_level_parse(SLICE_LITERAL("warn"), &level));
    assert_false(log_level_parse(SLICE_NONE, &level));
    assert_false(log_level_parse(SLICE_LITERAL("Info"), &level));
    assert_int_equal(level, LOG_ERROR);
}

static void test_journal(base_unused void **state)
{
    static const char *const priorities = "76543";
    char stream[64];
    struct stat st;
    ssize_t size;

    assert_int_equal(fstat(pipe_fds[1], &st), 0);
    (void)snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_set_fd(pipe_fds[1]);
    log_set_level(LOG_DEBUG);
    for (unsigned i = 0; i < LOG_LEVELS; i++) {
        char expected[64];

        log_event((enum log_level)i, "m");
        (void)snprintf(expected, sizeof(expected), "<%c>level=%s msg=\"m\"\n", priorities[i],
                       log_level_name((enum log_level)i));
        size = read(pipe_fds[0], taken, sizeof(taken) - 1);
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(taken, expected, strlen(expected));
    }
    (void)snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino + 1);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0); /* the variable is inherited, but stderr was redirected */
    log_set_fd(pipe_fds[1]);
    log_event(LOG_INFO, "m");
    assert_string_equal(take_line(), "level=info msg=\"m\"");
}

static void test_needs_no_memory_and_keeps_errno(base_unused void **state)
{
    bool refused;

    alloc_fail_after(0);
    errno = EPERM;
    log_event(LOG_ERROR, "out of memory", LOG_ERRNO(ENOMEM));
    assert_int_equal(errno, EPERM);
    refused = alloc_fail_disarm();
    assert_false(refused);
    assert_non_null(take_line());
    log_set_fd(pipe_fds[0]); /* cannot be written to */
    errno = EPERM;
    log_event(LOG_ERROR, "into the void");
    assert_int_equal(errno, EPERM);
}

static void *write_lines(void *argument)
{
    for (int i = 0; i < 100; i++)
        log_event(LOG_INFO, "from a thread", LOG_TEXT("pad", argument), LOG_INT("i", i), LOG_TEXT("end", "here"));
    return NULL;
}

static void test_threads_do_not_mix(base_unused void **state)
{
    char pads[4][200] = {{0}};
    pthread_t threads[4];
    FILE *lines = tmpfile();
    unsigned count = 0;

    assert_non_null(lines);
    assert_true(fcntl(fileno(lines), F_SETFL, O_APPEND) == 0); /* as a log file is opened */
    log_set_fd(fileno(lines));
    for (size_t i = 0; i < 4; i++) {
        memset(pads[i], (int)('a' + i), sizeof(pads[i]) - 1);
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, pads[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    rewind(lines);
    while (fgets(taken, sizeof(taken), lines)) {
        const char *pad = strstr(taken, "pad=");

        assert_non_null(pad);
        assert_int_equal(strspn(pad + 4, (const char[]){pad[4], '\0'}), 199);
        assert_non_null(strstr(taken, " end=here\n"));
        assert_memory_equal(taken, "time=", 5);
        count++;
    }
    assert_int_equal(count, 400);
    (void)fclose(lines);
}

static void test_limit(base_unused void **state)
{
    struct log_limit limit = {.period_ms = 1000};
    uint64_t suppressed = 99;

    assert_true(log_limit_pass(&limit, 5000, &suppressed));
    assert_int_equal(suppressed, 0);
    suppressed = 99;
    assert_false(log_limit_pass(&limit, 5000, &suppressed));
    assert_false(log_limit_pass(&limit, 5999, &suppressed));
    assert_int_equal(suppressed, 99);
    assert_true(log_limit_pass(&limit, 6000, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_limit_pass(&limit, 9000, &suppressed));
    assert_int_equal(suppressed, 0);
}

#define LOG_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_shape),
        LOG_TEST(test_time_is_now),
        LOG_TEST(test_values),
        LOG_TEST(test_errno),
        LOG_TEST(test_long_values),
        LOG_TEST(test_bounded_line),
        LOG_TEST(test_levels),
        LOG_TEST(test_journal),
        LOG_TEST(test_needs_no_memory_and_keeps_errno),
        LOG_TEST(test_threads_do_not_mix),
        LOG_TEST(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
