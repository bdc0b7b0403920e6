/** Limits of memory, read from trees of files that look like a machine's. */
#include "base/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MEGA (UINT64_C(1) << 20)

static char root[] = "/tmp/warren-machine-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[512];
    FILE *file;

    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int begin(void **state base_unused)
{
    strcpy(root + strlen(root) - 6, "XXXXXX");
    assert_non_null(mkdtemp(root));
    put("/proc/meminfo", "MemTotal:        8192000 kB\nMemFree:         4096000 kB\n");
    return 0;
}

static int end(void **state base_unused)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

static void test_no_groups(void **state base_unused)
{
    assert_int_equal(machine_memory_bytes(root), UINT64_C(8192000) * 1024);
    assert_int_equal(machine_memory_bytes("/nowhere"), 0);
}

static void test_version_2(void **state base_unused)
{
    put("/proc/self/cgroup", "0::/system.slice/warrend@1.service\n");
    put("/sys/fs/cgroup/system.slice/warrend@1.service/memory.max", "max\n");
    assert_int_equal(machine_memory_bytes(root), UINT64_C(8192000) * 1024);
    put("/sys/fs/cgroup/system.slice/memory.max", "1073741824\n"); /* a limit above counts as well */
    assert_int_equal(machine_memory_bytes(root), 1024 * MEGA);
    put("/sys/fs/cgroup/system.slice/warrend@1.service/memory.max", "536870912\n");
    assert_int_equal(machine_memory_bytes(root), 512 * MEGA);
}

/** In a container the group is the mount's root, whatever path is told. */
static void test_container(void **state base_unused)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "268435456\n");
    assert_int_equal(machine_memory_bytes(root), 256 * MEGA);
    put("/proc/self/cgroup", "0::/../../docker/abc\n");
    assert_int_equal(machine_memory_bytes(root), 256 * MEGA);
}

static void test_version_1(void **state base_unused)
{
    put("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* how that version says "none" */
    assert_int_equal(machine_memory_bytes(root), UINT64_C(8192000) * 1024);
    put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "134217728\n");
    assert_int_equal(machine_memory_bytes(root), 128 * MEGA);
}

static void test_this_machine(void **state base_unused)
{
    struct rlimit limit;
    uint64_t before = machine_resident_bytes(), after;
    char *block = malloc(64 * MEGA);

    assert_non_null(block);
    memset(block, 1, 64 * MEGA);
    after = machine_resident_bytes();
    assert_true(before > 0 && after > before + 32 * MEGA && block[MEGA] == 1);
    assert_true(machine_memory_bytes("") > after);
    free(block);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(machine_raise_descriptors(), limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_groups, begin, end),
        cmocka_unit_test_setup_teardown(test_version_2, begin, end),
        cmocka_unit_test_setup_teardown(test_container, begin, end),
        cmocka_unit_test_setup_teardown(test_version_1, begin, end),
        cmocka_unit_test(test_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
