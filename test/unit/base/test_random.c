#include "base/clock.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_bytes(base_unused void **state)
{
    unsigned char seen[64] = {0}, data[64 + 8];

    random_bytes(NULL, 0);
    for (int round = 0; round < 40; round++) {
        memset(data, 0, sizeof(data));
        random_bytes(data, 64);
        for (size_t i = 0; i < 64; i++)
            seen[i] |= data[i];
        for (size_t i = 64; i < sizeof(data); i++)
            assert_int_equal(data[i], 0);
    }
    for (size_t i = 0; i < 64; i++) /* after 40 rounds a bit that was never set has odds of 2^-40 */
        assert_int_equal(seen[i], 0xff);
    assert_true(random_uint64() != random_uint64());
}

/** A few bytes at a time, across the ends of what one call to the kernel brings. */
static void test_few_bytes(base_unused void **state)
{
    for (size_t size = 1; size <= 24; size++) {
        unsigned char seen[24] = {0}, data[25] = {0};

        for (int round = 0; round < 1000; round++) {
            random_bytes(data, size);
            for (size_t i = 0; i < size; i++)
                seen[i] |= data[i];
            assert_int_equal(data[size], 0);
        }
        for (size_t i = 0; i < size; i++)
            assert_int_equal(seen[i], 0xff);
    }
}

/** What a thread has in store is not given out again by a child that it forks. */
static void test_fork(base_unused void **state)
{
    uint64_t mine[100], others[100];
    int ends[2], status;
    pid_t child;

    (void)random_uint64();
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(mine); i++)
        mine[i] = random_uint64();
    if (child == 0)
        _exit(write(ends[1], mine, sizeof(mine)) != sizeof(mine));
    assert_int_equal(read(ends[0], others, sizeof(others)), sizeof(others));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(mine); i++) {
        for (size_t j = 0; j < BASE_ARRAY_SIZE(others); j++)
            assert_true(mine[i] != others[j]);
    }
    close(ends[0]);
    close(ends[1]);
}

static void test_below(base_unused void **state)
{
    static const uint64_t bounds[] = {1, 2, 3, 7, 10, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX};
    unsigned count[10] = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(bounds); i++) {
        for (int round = 0; round < 200; round++)
            assert_true(random_below(bounds[i]) < bounds[i]);
    }
    for (int round = 0; round < 20000; round++)
        count[random_below(10)]++;
    for (size_t i = 0; i < 10; i++)
        assert_in_range(count[i], 1700, 2300); /* 2,000 expected; 300 are seven standard deviations */
}

static uint64_t id_time(const char *id)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t value = 0;

    for (size_t i = 0; i < 10; i++) /* 50 bits, of which 48 are the time */
        value = value << 5 | (uint64_t)(strchr(digits, id[i]) - digits);
    return value;
}

static void test_id(base_unused void **state)
{
    char before[ID_TEXT_SIZE + 1], id[ID_TEXT_SIZE + 1];

    for (int round = 0; round < 1000; round++) {
        int64_t start = clock_realtime_ms();

        id_generate(id);
        assert_int_equal(strlen(id), ID_TEXT_SIZE);
        assert_int_equal(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), ID_TEXT_SIZE);
        assert_in_range(id_time(id), start, clock_realtime_ms());
        if (round > 0) {
            assert_string_not_equal(id, before);
            assert_true(memcmp(before, id, 10) <= 0);
        }
        memcpy(before, id, sizeof(before));
    }
}

static void test_clock(base_unused void **state)
{
    uint64_t ns = clock_monotonic_ns(), us = clock_monotonic_us(), ms = clock_monotonic_ms();
    uint64_t cpu = clock_process_cpu_us();

    assert_true(us >= ns / 1000 && ms >= us / 1000 && clock_monotonic_ns() / 1000000 >= ms);
    assert_true(clock_realtime_ms() > INT64_C(1700000000000)); /* after 2023, so it is milliseconds since 1970 */
    while (clock_process_cpu_us() == cpu && clock_monotonic_ms() < ms + 5000)
        ;
    assert_true(clock_process_cpu_us() > cpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_few_bytes), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_below), cmocka_unit_test(test_id),        cmocka_unit_test(test_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
