/**
 * The writes of several streams in one call: an io_uring(7), used for nothing else.
 *
 * At the end of a turn each of many streams has a frame or a few for a socket of its own. A call for each costs more
 * than what it does: its way into the kernel and back, and the reader's waking up each time. So the loop's flush hands
 * them over a handful at a time (NET_FLUSH_STREAMS). They are done when the call is over, for they do not wait for a
 * socket that takes no more (MSG_DONTWAIT), just as the calls they stand for; what the kernel took of each is what
 * sendmsg(2) would have returned. Nobody is called meanwhile: the streams' turns come afterwards.
 *
 * The ring is the thread's that made it (IORING_SETUP_SINGLE_ISSUER), needs Linux 6.1 (IORING_SETUP_DEFER_TASKRUN), and
 * may do nothing but send.
 */
#include "net/net_internal.h"

#include "base/log.h"

#include <liburing.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct net_ring {
    struct io_uring uring;
    struct ring_write {
        struct iovec iov[NET_IOV_MAX];
        struct msghdr message;
        size_t size; /* offered */
    } writes[NET_FLUSH_STREAMS];
};

/** io_uring_register(2), which liburing 2.3 declares, and does not export. */
static int ring_register(const struct io_uring *uring, unsigned what, void *arguments, unsigned count)
{
    return syscall(SYS_io_uring_register, uring->ring_fd, what, arguments, count) < 0 ? -errno : 0;
}

static int restrict_to_sending(const struct io_uring *uring)
{
    struct io_uring_restriction allowed[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SENDMSG},
    };
    int result = ring_register(uring, IORING_REGISTER_RESTRICTIONS, allowed, BASE_ARRAY_SIZE(allowed));

    return result < 0 ? result : ring_register(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int net_ring_new(struct net_ring **ret_ring)
{
    struct net_ring *r = calloc(1, sizeof(*r));
    int result;

    if (!r)
        return -ENOMEM;
    result = io_uring_queue_init(NET_FLUSH_STREAMS, &r->uring,
                                 IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (result < 0) {
        free(r);
        return result;
    }
    result = restrict_to_sending(&r->uring);
    if (result < 0) {
        net_ring_free(r);
        return result;
    }
    *ret_ring = r;
    return 0;
}

struct net_ring *net_ring_free(struct net_ring *r)
{
    if (!r)
        return NULL;
    io_uring_queue_exit(&r->uring);
    free(r);
    return NULL;
}

int net_ring_probe(void)
{
    struct net_ring *ring;
    int result = net_ring_new(&ring);

    if (result == 0)
        net_ring_free(ring);
    return result;
}

static void put_write(struct net_ring *r, size_t index, const struct net_stream *s)
{
    struct ring_write *write = &r->writes[index];
    struct io_uring_sqe *entry = io_uring_get_sqe(&r->uring);

    assert(entry); /* there are as many as writes */
    write->message = (struct msghdr){.msg_iov = write->iov};
    write->message.msg_iovlen = net_stream_gather(s, write->iov, &write->size);
    if (write->message.msg_iovlen == 1)
        io_uring_prep_send(entry, s->io.fd, write->iov[0].iov_base, write->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    else
        io_uring_prep_sendmsg(entry, s->io.fd, &write->message, MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data64(entry, index);
}

int net_ring_write(struct net_ring *r, struct net_stream *const *streams, size_t count)
{
    size_t left = count;

    assert(count <= NET_FLUSH_STREAMS);
    for (size_t i = 0; i < count; i++)
        put_write(r, i, streams[i]);
    while (left > 0) {
        int result = io_uring_submit_and_wait(&r->uring, (unsigned)left);
        struct io_uring_cqe *done;
        unsigned head, seen = 0;

        io_uring_for_each_cqe(&r->uring, head, done)
        {
            net_stream_wrote(streams[done->user_data], r->writes[done->user_data].size, done->res);
            seen++;
        }
        io_uring_cq_advance(&r->uring, seen);
        left -= seen;
        if (result < 0 && result != -EINTR)
            return result;
    }
    return 0;
}
