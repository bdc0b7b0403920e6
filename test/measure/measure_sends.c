/*
 * What the kernel takes for small writes to many sockets, one by one with send() and in batches through an io_uring: is
 * a ring worth having for a loop's list of connections to flush?
 *
 *   measure_sends [CONNECTIONS] [BYTES] [SENDS] [BATCH]
 *
 * The reader is a process of its own, on another CPU where there is one. Each way is measured twice, in turn. Look at
 * the time on a quiet machine: what the kernel puts off to a thread of its own is nobody's CPU time.
 */
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES_MAX 65536
#define READY_MAX 256
/* A prime, so that successive writes go to connections far from each other, as those of small rooms do. */
#define STRIDE 7919

static unsigned connection_count = 1000, byte_count = 318, send_count = 20000, batch_count = 64;
static int *connections;
static char bytes[BYTES_MAX];

/** Connects, and reads until all connections have ended. */
static void read_all(const struct sockaddr_in *address)
{
    struct epoll_event ready[READY_MAX];
    int poll = epoll_create1(0);
    unsigned open = connection_count;

    pin(1);
    for (unsigned i = 0; i < connection_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = socket(AF_INET, SOCK_STREAM, 0)};

        if (event.data.fd < 0 || connect(event.data.fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
            fail("connect");
        epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    while (open > 0) {
        int count = epoll_wait(poll, ready, READY_MAX, -1);

        for (int i = 0; i < count; i++) {
            static char sink[BYTES_MAX];

            if (recv(ready[i].data.fd, sink, sizeof(sink), 0) <= 0) {
                close(ready[i].data.fd);
                open--;
            }
        }
    }
}

static int target(unsigned number)
{
    return connections[(unsigned long)number * STRIDE % connection_count];
}

static void send_one_by_one(void)
{
    for (unsigned i = 0; i < send_count; i++) {
        while (send(target(i), bytes, byte_count, MSG_NOSIGNAL) < 0)
            if (errno != EINTR)
                fail("send");
    }
}

static void send_by_ring(void)
{
    struct io_uring ring;
    int result = io_uring_queue_init(batch_count, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

    if (result < 0) {
        errno = -result;
        fail("io_uring");
    }
    for (unsigned i = 0; i < send_count;) {
        unsigned end = i + batch_count < send_count ? i + batch_count : send_count, begin = i;
        struct io_uring_cqe *done;

        for (; i < end; i++)
            io_uring_prep_send(io_uring_get_sqe(&ring), target(i), bytes, byte_count, MSG_NOSIGNAL);
        io_uring_submit_and_wait(&ring, end - begin);
        for (unsigned left = end - begin; left > 0; left--) {
            if (io_uring_wait_cqe(&ring, &done) < 0 || done->res != (int)byte_count)
                fail("a send by the ring");
            io_uring_cqe_seen(&ring, done);
        }
    }
    io_uring_queue_exit(&ring);
}

static void measure(const char *name, void (*run)(void))
{
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), time = seconds(CLOCK_MONOTONIC);

    run();
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    time = seconds(CLOCK_MONOTONIC) - time;
    printf("%-10s a write takes %6.2f us, %6.2f us of CPU\n", name, time * 1e6 / send_count, cpu * 1e6 / send_count);
}

int main(int argc, char **argv)
{
    unsigned *const arguments[] = {&connection_count, &byte_count, &send_count, &batch_count};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t reader;

    for (int i = 1; i < argc && i <= 4; i++)
        *arguments[i - 1] = (unsigned)strtoul(argv[i], NULL, 10);
    if (!connection_count || !byte_count || byte_count > BYTES_MAX || !batch_count) {
        fputs("expected: [CONNECTIONS] [BYTES, at most 65536] [SENDS] [BATCH]\n", stderr);
        return 2;
    }
    connections = calloc(connection_count, sizeof(*connections));
    if (!connections || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        fail("listen");
    reader = fork();
    if (reader == 0) {
        read_all(&address);
        return 0;
    }
    pin(0);
    for (unsigned i = 0; i < connection_count; i++) {
        connections[i] = accept(listener, NULL, NULL);
        if (connections[i] < 0 || setsockopt(connections[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
            fail("accept");
    }
    for (int round = 0; round < 2; round++) {
        measure("send", send_one_by_one);
        measure("io_uring", send_by_ring);
    }
    for (unsigned i = 0; i < connection_count; i++)
        close(connections[i]);
    waitpid(reader, NULL, 0);
    free(connections);
    return 0;
}
