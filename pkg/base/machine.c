/**
 * The limits of the machine and of the container.
 *
 * Groups are looked for where /proc/self/cgroup says. Inside a container that path may be the host's, which is not to
 * be seen from there; then the mount's root is the container's group, and it is always looked at as well.
 */
#include "base/machine.h"

#include "base/slice.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAP_BLOCK_SIZE (1024 * 1024)       /* from which on a block is no part of a heap */
#define HEAP_END_SIZE (2 * HEAP_BLOCK_SIZE) /* what may stay free at its end */
#define HEAP_LOOK_SIZE (128 * 1024)         /* of a block whose end has the allocator look at that */

/** The beginning of a small file, as a text. */
static bool file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0)
        close(fd);
    if (got < 0)
        return false;
    text[got] = '\0';
    return true;
}

static void lower_to(uint64_t *limit, uint64_t value)
{
    if (value > 0 && value < *limit)
        *limit = value;
}

/** A limit's file holds a number, or "max". */
static void lower_to_file(uint64_t *limit, const char *path)
{
    char text[64];
    uint64_t value;

    if (file_read(path, text, sizeof(text)) &&
        slice_to_uint64(slice_make(text, strcspn(text, "\n")), UINT64_MAX, &value))
        lower_to(limit, value);
}

/** The limits of the group @path under @mount and of all above it. */
static void lower_to_groups(uint64_t *limit, const char *root, const char *mount, const char *path, const char *name)
{
    char group[PATH_MAX], file[PATH_MAX];

    if ((size_t)snprintf(group, sizeof(group), "%s", path) >= sizeof(group))
        return;
    for (;;) {
        char *slash = strrchr(group, '/');

        if ((size_t)snprintf(file, sizeof(file), "%s%s%s/%s", root, mount, strcmp(group, "/") ? group : "", name) <
            sizeof(file))
            lower_to_file(limit, file);
        if (!slash || group[0] == '\0')
            return;
        *slash = '\0';
    }
}

/** Lines of /proc/self/cgroup: "0::/path" of version 2, "4:cpu,memory:/path" of version 1. */
static void lower_to_cgroups(uint64_t *limit, const char *root)
{
    char path[PATH_MAX], text[8192];
    struct slice rest, line, controller, controllers;

    if ((size_t)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root) >= sizeof(path) ||
        !file_read(path, text, sizeof(text)))
        return;
    rest = slice_from(text);
    while (slice_split(&rest, '\n', &line)) {
        struct slice number;

        if (!slice_split(&line, ':', &number) || !slice_split(&line, ':', &controllers) || !slice_is_set(line) ||
            line.size >= sizeof(path))
            continue;
        memcpy(path, line.data, line.size);
        path[line.size] = '\0';
        if (slice_equal_text(number, "0") && controllers.size == 0) {
            lower_to_groups(limit, root, "/sys/fs/cgroup", path, "memory.max");
            continue;
        }
        while (slice_split(&controllers, ',', &controller))
            if (slice_equal_text(controller, "memory"))
                lower_to_groups(limit, root, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
    }
}

static void lower_to_machine(uint64_t *limit, const char *root)
{
    char path[PATH_MAX], text[4096];
    const char *at;

    if ((size_t)snprintf(path, sizeof(path), "%s/proc/meminfo", root) >= sizeof(path) ||
        !file_read(path, text, sizeof(text)))
        return;
    at = strstr(text, "MemTotal:");
    if (at)
        lower_to(limit, strtoull(at + strlen("MemTotal:"), NULL, 10) * 1024);
}

uint64_t machine_memory_bytes(const char *root)
{
    uint64_t limit = UINT64_MAX;

    lower_to_machine(&limit, root);
    lower_to_cgroups(&limit, root);
    return limit == UINT64_MAX ? 0 : limit;
}

uint64_t machine_resident_bytes(void)
{
    char text[128];
    const char *at;

    if (!file_read("/proc/self/statm", text, sizeof(text)))
        return 0;
    at = strchr(text, ' '); /* the second number: proc(5) */
    return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t machine_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return limit.rlim_cur;
}

void machine_tune_memory(void)
{
    /* The pair that the allocator itself comes to when it has freed a block of the first size (mallopt(3)). */
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_SIZE);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_END_SIZE);
}

void machine_trim_memory(void)
{
    /* One at a time: where a sanitizer's allocator stands in front of it, the first call has the C library's set up,
     * which is not for two threads at once. */
    static pthread_mutex_t trimming = PTHREAD_MUTEX_INITIALIZER;
    void *volatile block; /* or there would be none */

    pthread_mutex_lock(&trimming);
    malloc_trim(0);
    /* Which leaves the ends of the heaps of threads: they are looked at when a block of some size is freed. */
    (void)mallopt(M_TRIM_THRESHOLD, (int)sysconf(_SC_PAGESIZE));
    block = malloc(HEAP_LOOK_SIZE);
    free(block);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_END_SIZE);
    pthread_mutex_unlock(&trimming);
}
