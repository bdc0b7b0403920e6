/**
 * Watched descriptors and signals.
 *
 * The many descriptors stand in an epoll instance of our own, and libevent watches that one: what an event of libevent
 * costs for each descriptor (about 170 bytes, and two system calls where one changes its mind) would be a third of an
 * idle connection. An epoll instance is readable while anything in it is ready, so libevent's turn meets it like any
 * descriptor. See epoll(7), "Questions and answers".
 *
 * What is ready is taken in batches. A handler may take any descriptor out, also one that stands further down in the
 * batch: it is struck out there.
 */
#include "loop/loop_internal.h"

#include <unistd.h>

static uint32_t io_epoll_events(unsigned wanted)
{
    return (wanted & LOOP_IO_READ ? EPOLLIN : 0u) | (wanted & LOOP_IO_WRITE ? EPOLLOUT : 0u);
}

/* An error or a hang-up is told as whatever is watched for: the handler's next call on the descriptor meets it. */
static unsigned io_events(uint32_t ready, unsigned wanted)
{
    unsigned events = 0;

    if (ready & (EPOLLIN | EPOLLERR | EPOLLHUP))
        events |= LOOP_IO_READ;
    if (ready & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        events |= LOOP_IO_WRITE;
    return events & wanted;
}

static void io_on_ready(evutil_socket_t fd, short what base_unused, void *userdata)
{
    struct loop *l = userdata;
    int count = epoll_wait(fd, l->ready, LOOP_IO_BATCH, 0);

    l->ready_count = count > 0 ? (size_t)count : 0;
    for (l->ready_at = 0; l->ready_at < l->ready_count;) {
        const struct epoll_event *ready = &l->ready[l->ready_at++];
        struct loop_io *io = ready->data.ptr;
        unsigned events = io ? io_events(ready->events, io->wanted) : 0;

        if (events) {
            io->run(io, events); /* may have freed io */
            loop_ring_soon(l);
        }
    }
    l->ready_at = l->ready_count = 0;
}

int loop_io_open(struct loop *l)
{
    l->io_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->io_fd < 0)
        return -errno;
    event_assign(&l->io_event, l->base, l->io_fd, EV_READ | EV_PERSIST, io_on_ready, l);
    return event_add(&l->io_event, NULL) < 0 ? -ENOMEM : 0;
}

void loop_io_close(struct loop *l)
{
    if (event_initialized(&l->io_event))
        event_del(&l->io_event);
    if (l->io_fd >= 0)
        close(l->io_fd);
}

void loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_fn *run)
{
    *io = (struct loop_io){.loop = l, .run = run, .fd = fd};
}

static void io_strike_out(struct loop_io *io)
{
    struct loop *l = io->loop;

    for (size_t i = l->ready_at; i < l->ready_count; i++) {
        if (l->ready[i].data.ptr == io)
            l->ready[i].data.ptr = NULL;
    }
}

int loop_io_want(struct loop_io *io, unsigned events)
{
    struct epoll_event event = {.events = io_epoll_events(events), .data.ptr = io};
    int operation = !io->wanted ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    assert(loop_is_current(io->loop));
    if (events == io->wanted)
        return 0;
    if (!events)
        io_strike_out(io);
    if (epoll_ctl(io->loop->io_fd, operation, io->fd, &event) < 0 && events)
        return -errno;
    io->wanted = (uint8_t)events;
    return 0;
}

void loop_io_deinit(struct loop_io *io)
{
    if (io->loop && io->wanted)
        (void)loop_io_want(io, 0); /* which cannot fail */
}

struct loop_signal {
    struct event event;
    loop_signal_fn *run;
    void *userdata;
};

static void signal_on_event(evutil_socket_t signal_number, short what base_unused, void *userdata)
{
    struct loop_signal *s = userdata;

    s->run(s->userdata, signal_number);
}

int loop_signal_new(struct loop *l, int signal_number, loop_signal_fn *run, void *userdata,
                    struct loop_signal **ret_signal)
{
    struct loop_signal *s = calloc(1, sizeof(*s));

    assert(loop_is_current(l));
    if (!s)
        return -ENOMEM;
    s->run = run;
    s->userdata = userdata;
    evsignal_assign(&s->event, l->base, signal_number, signal_on_event, s);
    if (event_add(&s->event, NULL) < 0) {
        free(s);
        return -ENOMEM;
    }
    *ret_signal = s;
    return 0;
}

struct loop_signal *loop_signal_free(struct loop_signal *s)
{
    if (!s)
        return NULL;
    event_del(&s->event);
    free(s);
    return NULL;
}
