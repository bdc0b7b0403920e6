/*
 * The bare loop at a rate: each frame begins with the time at which it was due, and who reads it looks at the clock.
 * What a write costs then is another thing than in a loop that never rests: caches are cold and readers asleep.
 */
#include "bench_limit_pace.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM_MESSAGES 5
#define BEGIN_NS UINT64_C(20000000)

/** What the child tells. */
struct shared {
    struct bench_histogram latency;
};

/** One read: whole frames, as they are written one by one and read at once. Return: whether the socket goes on. */
static bool read_one(int fd, size_t bytes, struct shared *shared)
{
    static char buffer[65536];
    ssize_t size = read(fd, buffer, sizeof(buffer));
    uint64_t due_ns, now_ns = clock_monotonic_ns();

    for (ssize_t at = 0; at + (ssize_t)bytes <= size; at += (ssize_t)bytes) {
        memcpy(&due_ns, buffer + at, sizeof(due_ns));
        if (due_ns > 0)
            bench_histogram_add(&shared->latency, now_ns > due_ns ? now_ns - due_ns : 0);
    }
    return size > 0;
}

static void read_all(const struct sockaddr *address, size_t sockets, size_t bytes, struct shared *shared)
{
    struct epoll_event events[256];
    int epoll = epoll_create1(0);

    for (size_t i = 0; i < sockets; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = socket(AF_INET, SOCK_STREAM, 0)};

        if (connect(e.data.fd, address, sizeof(struct sockaddr_in)) || epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e))
            _exit(1);
    }
    while (sockets > 0)
        for (int n = epoll_wait(epoll, events, 256, -1), i = 0; i < n; i++)
            if (!read_one(events[i].data.fd, bytes, shared) && close(events[i].data.fd) == 0)
                sockets--;
    _exit(0);
}

static void sleep_until(uint64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static int write_all(const int *fds, size_t sockets, char *frame, size_t bytes, double rate, size_t messages,
                     struct bench_limit_pace *pace)
{
    uint64_t start_ns = clock_monotonic_ns() + BEGIN_NS, cpu_us = 0;

    for (size_t i = 0; i < WARM_MESSAGES + messages; i++) {
        uint64_t due_ns = start_ns + (uint64_t)((double)i * 1e9 / rate), told_ns = i < WARM_MESSAGES ? 0 : due_ns;

        if (i == WARM_MESSAGES)
            cpu_us = clock_process_cpu_us();
        memcpy(frame, &told_ns, sizeof(told_ns));
        sleep_until(due_ns);
        for (size_t k = 0; k < sockets; k++)
            if (write(fds[k], frame, bytes) != (ssize_t)bytes)
                return -EIO;
    }
    pace->cpu_s = (double)(clock_process_cpu_us() - cpu_us) / (double)messages / (double)sockets;
    return 0;
}

int bench_limit_pace_run(size_t sockets, size_t bytes, double rate, size_t messages, const cpu_set_t *cpus,
                         struct bench_limit_pace *ret_pace)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *fds = calloc(sockets, sizeof(*fds)), listener = socket(AF_INET, SOCK_STREAM, 0), result = 0;
    char *frame = calloc(1, bytes);
    pid_t child = -1;

    assert(bytes >= sizeof(uint64_t) && messages > 0 && rate > 0);
    if (shared == MAP_FAILED || !fds || !frame ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
        setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 10}, sizeof(struct timeval)) ||
        bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &(socklen_t){sizeof(address)}) || (child = fork()) < 0)
        result = errno ? -errno : -ENOMEM;
    if (child == 0) {
        close(listener);
        read_all((struct sockaddr *)&address, sockets, bytes, shared);
    }
    for (size_t i = 0; i < sockets && !result; i++)
        result = (fds[i] = accept(listener, NULL, NULL)) < 0 ? -errno : 0;
    if (cpus && !result)
        result = sched_setaffinity(0, sizeof(*cpus), cpus) ? -errno : 0;
    if (!result)
        result = write_all(fds, sockets, frame, bytes, rate, messages, ret_pace);
    for (size_t i = 0; fds && i < sockets && fds[i] > 0; i++)
        close(fds[i]);
    close(listener);
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    if (shared != MAP_FAILED) {
        ret_pace->latency = shared->latency;
        (void)munmap(shared, sizeof(*shared));
    }
    free(frame);
    free(fds);
    return result;
}
