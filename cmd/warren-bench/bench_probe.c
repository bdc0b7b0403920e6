#include "bench_probe.h"

#include "client/client.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define FETCH_TIMEOUT_MS 5000

static double seconds(struct timespec t)
{
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double children_cpu_s(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_CHILDREN, &usage) < 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double tool_cpu_s(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return seconds(now) + children_cpu_s();
}

/* ---- the kernel's view ---- */

/** A line "Name:   123 kB" of /proc/PID/status, in bytes; 0 if there is none. */
static double status_bytes(struct slice status, const char *name)
{
    struct slice line;

    while (slice_split(&status, '\n', &line)) {
        uint64_t kib;

        if (!slice_starts_with(line, slice_from(name)))
            continue;
        line = slice_trim(slice_skip(line, strlen(name)));
        if (line.size > 3 && slice_to_uint64(slice_make(line.data, line.size - 3), UINT64_MAX / 1024, &kib))
            return (double)kib * 1024;
    }
    return 0;
}

static int probe_memory(long pid, struct bench_probe *p)
{
    char path[64], text[4096];
    size_t size;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    file = fopen(path, "re");
    if (!file)
        return -errno;
    size = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    p->rss_bytes += status_bytes(slice_make(text, size), "VmRSS:");
    p->anon_bytes += status_bytes(slice_make(text, size), "RssAnon:");
    return p->rss_bytes > 0 ? 0 : -ESRCH;
}

/** The CPU clock of a process counts nanoseconds over all its threads, where /proc/PID/stat counts hundredths. */
static int probe_process(struct slice text, struct bench_probe *p, struct buffer *error)
{
    struct timespec now;
    clockid_t clock;
    uint64_t pid;
    int result;

    if (!slice_to_uint64(text, INT32_MAX, &pid) || pid == 0) {
        buffer_printf(error, "--pid %.*s: expected process ids", SLICE_PRINTF(text));
        return -EINVAL;
    }
    result = -clock_getcpuclockid((pid_t)pid, &clock);
    if (!result && clock_gettime(clock, &now) < 0)
        result = -errno;
    if (!result)
        result = probe_memory((long)pid, p);
    if (result)
        buffer_printf(error, "--pid %.*s: %s", SLICE_PRINTF(text), strerror(-result));
    else
        p->node_cpu_s += seconds(now);
    return result;
}

/* ---- the node's own page ---- */

bool bench_page_sum(struct slice page, const char *name, double *ret_sum)
{
    struct slice line, wanted = slice_from(name);
    double sum = 0;
    bool is_there = false;

    while (slice_split(&page, '\n', &line)) {
        char number[64];
        const char *space;

        if (!slice_starts_with(line, wanted) || line.size == wanted.size ||
            (line.data[wanted.size] != ' ' && line.data[wanted.size] != '{'))
            continue;
        space = memrchr(line.data, ' ', line.size);
        if (!space)
            continue;
        (void)snprintf(number, sizeof(number), "%.*s", (int)(line.data + line.size - space - 1), space + 1);
        sum += strtod(number, NULL);
        is_there = true;
    }
    if (is_there)
        *ret_sum = sum;
    return is_there;
}

static void take_version(struct slice page, struct bench_probe *p)
{
    static const char before[] = "\nwarren_info{version=\"";
    const char *at = memmem(page.data, page.size, before, sizeof(before) - 1);
    const char *quote;

    if (!at || p->version[0])
        return;
    at += sizeof(before) - 1;
    quote = memchr(at, '"', (size_t)(page.data + page.size - at));
    if (quote)
        (void)snprintf(p->version, sizeof(p->version), "%.*s", (int)(quote - at), at);
}

const char *const bench_store_requests[BENCH_STORE_REQUESTS] = {"append", "log_read", "interest_put", "room_put",
                                                                "session_put"};

static void take_store(struct slice page, struct bench_probe *p)
{
    double commands, reads;
    char name[80];

    if (!bench_page_sum(page, "warren_redis_commands_total", &commands) ||
        !bench_page_sum(page, "warren_hub_log_reads_total", &reads))
        return;
    p->has_store = true;
    p->store_commands += commands;
    p->log_reads += reads;
    for (size_t i = 0; i < BENCH_STORE_REQUESTS; i++) {
        (void)snprintf(name, sizeof(name), "warren_redis_commands_total{request=\"%s\"}", bench_store_requests[i]);
        if (bench_page_sum(page, name, &commands))
            p->store_requests[i] += commands;
    }
}

static int probe_page(struct slice url, bool counts_cpu, struct bench_probe *p, struct buffer *error)
{
    struct buffer page = {0}, address = {0};
    unsigned status = 0;
    double cpu_s = 0;
    int result;

    buffer_printf(&address, "%.*s/metrics", SLICE_PRINTF(url));
    result = buffer_error(&address);
    if (!result)
        result = client_http_fetch("GET", address.data, NULL, SLICE_NONE, FETCH_TIMEOUT_MS, &status, &page, error);
    if (!result &&
        (status != 200 || !bench_page_sum(buffer_slice(&page), "warren_process_cpu_seconds_total", &cpu_s))) {
        buffer_printf(error, "%s: HTTP %u, without warren_process_cpu_seconds_total", address.data, status);
        result = -EPROTO;
    } else if (result && error->size == 0) {
        buffer_printf(error, "%.*s: no answer", SLICE_PRINTF(url));
    }
    if (!result) {
        take_version(buffer_slice(&page), p);
        p->node_cpu_s += counts_cpu ? cpu_s : 0;
        take_store(buffer_slice(&page), p);
    }
    buffer_deinit(&page);
    buffer_deinit(&address);
    return result > 0 ? -EHOSTUNREACH : result;
}

int bench_probe_take(const struct bench_common *c, struct bench_probe *ret_probe, struct buffer *error)
{
    struct bench_probe p = {.has_cpu = c->pids.count + c->metrics.count > 0, .has_memory = c->pids.count > 0};
    int result = 0;

    /* First the pages, whose making costs the nodes time; then the kernel's clocks. */
    for (size_t i = 0; i < c->metrics.count && !result; i++)
        result = probe_page(c->metrics.urls[i], c->pids.count == 0, &p, error);
    for (size_t i = 0; i < c->pids.count && !result; i++)
        result = probe_process(c->pids.urls[i], &p, error);
    p.tool_cpu_s = tool_cpu_s();
    if (!result)
        *ret_probe = p;
    return result;
}

/* ---- CPUs ---- */

int bench_pin(size_t cpu)
{
    cpu_set_t set;

    if (cpu >= CPU_SETSIZE)
        return -EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

void bench_affinity(long pid, struct buffer *out)
{
    cpu_set_t set;
    const char *comma = "";

    if (sched_getaffinity((pid_t)pid, sizeof(set), &set) < 0)
        return;
    for (size_t first = 0; first < CPU_SETSIZE; first++) {
        size_t last = first;

        if (!CPU_ISSET(first, &set))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set))
            last++;
        buffer_printf(out, last > first ? "%s%zu-%zu" : "%s%zu", comma, first, last);
        comma = ",";
        first = last;
    }
}
