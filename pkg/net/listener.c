/**
 * Listening sockets.
 *
 * A turn takes at most ACCEPT_BATCH connections, so that a storm of newcomers does not hold up those who are here; the
 * rest wait in the kernel's backlog and the socket stays readable. Options are set on the listening socket: accepted
 * ones inherit them on Linux.
 *
 * When descriptors run out, accept4(2) fails and the socket stays readable: a loop would spin. So one connection is
 * taken with the reserve descriptor and closed (its client sees an end instead of silence), and the listener rests for
 * REST_MS.
 */
#include "net/listener.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define ACCEPT_BATCH 64
#define REST_MS 100
#define UNSENT_BYTES (128 * 1024)

struct net_listener {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer rest;
    struct net_address address;
    net_listener_accept_fn *accepted;
    void *userdata;
    struct log_limit log_limit;
    int fd;
    int reserve_fd;
    bool paused;   /* by the owner */
    bool in_batch; /* the handler is being called: closing only marks */
    bool closed;
};

static void reserve_open(struct net_listener *l)
{
    if (l->reserve_fd < 0)
        l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static struct net_listener *listener_free(struct net_listener *l)
{
    loop_timer_deinit(&l->rest);
    loop_io_deinit(&l->io);
    if (l->fd >= 0)
        close(l->fd);
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    free(l);
    return NULL;
}

/** The one place that decides whether to accept. */
static void listener_wait(struct net_listener *l)
{
    bool accepts = !l->paused && !loop_timer_is_pending(&l->rest);

    if (loop_io_want(&l->io, accepts ? LOOP_IO_READ : 0) < 0)
        loop_timer_start(&l->rest, REST_MS);
}

void net_listener_pause(struct net_listener *l)
{
    l->paused = true;
    listener_wait(l);
}

void net_listener_resume(struct net_listener *l)
{
    l->paused = false;
    listener_wait(l);
}

static void listener_rest(struct net_listener *l)
{
    loop_timer_start(&l->rest, REST_MS);
    listener_wait(l);
}

bool net_listener_backlog(const struct net_listener *l, uint32_t *ret_waiting, uint32_t *ret_limit)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    /* Of a listening socket these two mean its queue: net/ipv4/tcp.c, tcp_get_info(). */
    *ret_waiting = info.tcpi_unacked;
    *ret_limit = info.tcpi_sacked;
    return true;
}

static void listener_on_rested(void *userdata)
{
    struct net_listener *l = userdata;

    reserve_open(l);
    listener_wait(l);
}

static void listener_refuse_one(struct net_listener *l, int error)
{
    uint64_t suppressed;

    if (l->reserve_fd >= 0) {
        int fd;

        close(l->reserve_fd);
        l->reserve_fd = -1;
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        reserve_open(l);
    }
    if (log_limit_pass(&l->log_limit, clock_monotonic_ms(), &suppressed))
        log_event(LOG_ERROR, "out of descriptors, connections are refused", LOG_ERRNO(error),
                  LOG_UINT("suppressed", suppressed));
}

/** Whether the next accept may succeed at once, after this one failed. */
static bool accept_failed(struct net_listener *l, int error)
{
    switch (error) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        listener_refuse_one(l, error);
        listener_rest(l);
        return false;
    case EINTR:
    case ECONNABORTED:
    case EPERM: /* a firewall's rule */
    /* Linux hands over what befell the connection before it was taken: accept(2), "Error handling". */
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default: /* ENOBUFS, ENOMEM */
        listener_rest(l);
        return false;
    }
}

static void listener_on_readable(struct loop_io *io, unsigned events base_unused)
{
    struct net_listener *l = container_of(io, struct net_listener, io);

    l->in_batch = true;
    for (unsigned i = 0; i < ACCEPT_BATCH && !l->closed && !l->paused; i++) {
        struct net_address peer = {.size = sizeof(peer.storage)};
        int fd = accept4(l->fd, (struct sockaddr *)&peer.storage, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            l->accepted(l->userdata, fd, &peer);
        else if (!accept_failed(l, errno))
            break;
    }
    l->in_batch = false;
    if (l->closed)
        listener_free(l);
}

/** What a reader that stands still leaves in the kernel is lost to all policies for slow readers and to every limit, so
 * that is kept small: megabytes otherwise. */
static void listener_set_options(int fd)
{
    const int on = 1, unsent_bytes = UNSENT_BYTES;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof(unsent_bytes));
}

static int listener_bind(struct net_listener *l, const struct net_address *address)
{
    const int on = 1, off = 0;

    l->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return -errno;
    /* A restarted node binds over connections of its predecessor in TIME_WAIT; over a living listener it is still
     * refused. */
    if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    listener_set_options(l->fd);
    if (address->storage.ss_family == AF_INET6 && setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
        return -errno;
    if (bind(l->fd, (const struct sockaddr *)&address->storage, address->size) < 0 || listen(l->fd, SOMAXCONN) < 0)
        return -errno;
    l->address.size = sizeof(l->address.storage);
    return getsockname(l->fd, (struct sockaddr *)&l->address.storage, &l->address.size) < 0 ? -errno : 0;
}

int net_listener_open(struct loop *l, const struct net_address *address, net_listener_accept_fn *accepted,
                      void *userdata, struct net_listener **ret_listener)
{
    struct net_listener *listener = calloc(1, sizeof(*listener));
    int result;

    assert(loop_is_current(l));
    if (!listener)
        return -ENOMEM;
    listener->loop = l;
    listener->fd = listener->reserve_fd = -1;
    listener->accepted = accepted;
    listener->userdata = userdata;
    listener->log_limit.period_ms = 10000;
    loop_timer_init(&listener->rest, l, listener_on_rested, listener);
    result = listener_bind(listener, address);
    if (result == 0) {
        reserve_open(listener);
        loop_io_init(&listener->io, l, listener->fd, listener_on_readable);
        result = loop_io_want(&listener->io, LOOP_IO_READ);
    }
    if (result < 0) {
        listener_free(listener);
        return result;
    }
    *ret_listener = listener;
    return 0;
}

const struct net_address *net_listener_address(const struct net_listener *l)
{
    return &l->address;
}

struct net_listener *net_listener_close(struct net_listener *l)
{
    if (!l)
        return NULL;
    if (!l->in_batch)
        return listener_free(l);
    l->closed = true;
    return NULL;
}
