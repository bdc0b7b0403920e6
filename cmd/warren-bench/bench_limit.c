/* The bare loop: the same bytes to each of so many sockets, and nothing else. */
#include "bench_limit.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/** The child: connects, reads from whichever has something, until all were closed. */
static void read_all(const struct sockaddr *address, size_t sockets)
{
    static char bytes[65536];
    struct epoll_event events[256];
    int epoll = epoll_create1(0);

    for (size_t i = 0; i < sockets; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = socket(AF_INET, SOCK_STREAM, 0)};

        if (connect(e.data.fd, address, sizeof(struct sockaddr_in)) || epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e))
            _exit(1);
    }
    while (sockets > 0)
        for (int n = epoll_wait(epoll, events, 256, -1), i = 0; i < n; i++)
            if (read(events[i].data.fd, bytes, sizeof(bytes)) <= 0 && close(events[i].data.fd) == 0)
                sockets--;
    _exit(0);
}

static int write_all(const int *fds, size_t sockets, struct iovec *iov, size_t frames, int kind, struct bench_limit *l)
{
    uint64_t cpu_us = clock_process_cpu_us(), wall_us = clock_monotonic_us();
    double sent = 0;
    int batch = kind ? BENCH_LIMIT_BATCH : 1;

    for (; sent < (double)frames * (double)sockets; sent += (double)sockets * batch)
        for (size_t i = 0; i < sockets; i++)
            if ((kind ? writev(fds[i], iov, batch) : write(fds[i], iov->iov_base, iov->iov_len)) !=
                (ssize_t)iov->iov_len * batch)
                return -EIO;
    l->cpu_s[kind] = (double)(clock_process_cpu_us() - cpu_us) / sent;
    l->frames_per_s[kind] = sent / (double)(clock_monotonic_us() - wall_us) * 1e6;
    return 0;
}

int bench_limit_run(size_t sockets, size_t bytes, size_t frames, const cpu_set_t *cpus, struct bench_limit *ret_limit)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct iovec iov[BENCH_LIMIT_BATCH] = {{calloc(1, bytes), bytes}};
    int *fds = calloc(sockets, sizeof(*fds)), listener = socket(AF_INET, SOCK_STREAM, 0), result = 0;
    pid_t child = -1;

    for (size_t i = 1; i < BENCH_LIMIT_BATCH; i++)
        iov[i] = iov[0];
    if (!fds || !iov->iov_base || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
        setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 10}, sizeof(struct timeval)) ||
        bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &(socklen_t){sizeof(address)}) || (child = fork()) < 0)
        result = -errno;
    if (child == 0) {
        close(listener); /* so that it may open no fewer than are accepted */
        read_all((struct sockaddr *)&address, sockets);
    }
    for (size_t i = 0; i < sockets && !result; i++)
        result = (fds[i] = accept(listener, NULL, NULL)) < 0 ? -errno : 0;
    if (cpus && !result)
        result = sched_setaffinity(0, sizeof(*cpus), cpus) ? -errno : 0;
    for (int kind = 0; kind < 2 && !result; kind++)
        result = write_all(fds, sockets, iov, frames, kind, ret_limit);
    for (size_t i = 0; fds && i < sockets && fds[i] > 0; i++)
        close(fds[i]);
    close(listener);
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    free(iov->iov_base);
    free(fds);
    return result;
}
