#include "bench_pacer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

static void on_alarm(struct loop_io *io, unsigned events base_unused)
{
    struct bench_pacer *p = container_of(io, struct bench_pacer, io);
    uint64_t count;

    if (read(p->fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) /* else it was moved meanwhile */
        p->run(p->userdata);
}

int bench_pacer_init(struct bench_pacer *p, struct loop *l, bench_pacer_fn *run, void *userdata)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int result;

    if (fd < 0)
        return -errno;
    *p = (struct bench_pacer){.fd = fd, .run = run, .userdata = userdata};
    loop_io_init(&p->io, l, fd, on_alarm);
    result = loop_io_want(&p->io, LOOP_IO_READ);
    if (result) {
        bench_pacer_deinit(p);
        *p = (struct bench_pacer){0};
    }
    return result;
}

static void set(struct bench_pacer *p, uint64_t when_ns)
{
    const struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(when_ns / NS_PER_S), .tv_nsec = (long)(when_ns % NS_PER_S)}};

    if (timerfd_settime(p->fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        abort(); /* only a mistake of our own can do that */
}

void bench_pacer_at(struct bench_pacer *p, uint64_t when_ns)
{
    set(p, when_ns ? when_ns : 1); /* zero would disarm */
}

void bench_pacer_stop(struct bench_pacer *p)
{
    set(p, 0);
}

void bench_pacer_deinit(struct bench_pacer *p)
{
    if (!p->run)
        return;
    loop_io_deinit(&p->io);
    close(p->fd);
}
