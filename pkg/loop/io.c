/** Watched descriptors and signals: thin covers over libevent's events, which lie inside struct loop_io. */
#include "loop/loop_internal.h"

static struct event *io_event(struct loop_io *io)
{
    return (struct event *)(void *)io->event;
}

/* libevent reports an error or a hang-up as whatever is watched for: the handler's next call on the descriptor meets
 * it. */
static void io_on_event(evutil_socket_t fd base_unused, short what, void *userdata)
{
    struct loop_io *io = userdata;
    unsigned events = 0;

    if (what & EV_READ)
        events |= LOOP_IO_READ;
    if (what & EV_WRITE)
        events |= LOOP_IO_WRITE;
    io->run(io->userdata, events); /* may have freed io */
}

void loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_fn *run, void *userdata)
{
    *io = (struct loop_io){.loop = l, .run = run, .userdata = userdata, .fd = fd};
}

int loop_io_want(struct loop_io *io, unsigned events)
{
    short flags = EV_PERSIST;

    assert(loop_is_current(io->loop));
    if (events == io->wanted)
        return 0;
    if (io->wanted)
        event_del(io_event(io));
    io->wanted = 0;
    if (!events)
        return 0;
    if (events & LOOP_IO_READ)
        flags |= EV_READ;
    if (events & LOOP_IO_WRITE)
        flags |= EV_WRITE;
    event_assign(io_event(io), io->loop->base, io->fd, flags, io_on_event, io);
    if (event_add(io_event(io), NULL) < 0)
        return -ENOMEM;
    io->wanted = events;
    return 0;
}

void loop_io_deinit(struct loop_io *io)
{
    if (io->loop && io->wanted) {
        event_del(io_event(io));
        io->wanted = 0;
    }
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
