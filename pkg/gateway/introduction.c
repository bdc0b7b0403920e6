/*
 * Introductions: the PROXY header with which a trusted balancer begins a connection (net/proxy.h).
 *
 * It is read here, on the acceptor's loop, because whose connection it is decides whether it is let in. Never more is
 * read than the header has: what follows, TLS or HTTP, is the worker's. A balancer that sends anything else is not
 * listened to any further: guessing would let a client choose its address.
 */
#include "gateway/gateway_internal.h"
#include "net/proxy.h"

#include <unistd.h>

#define LOG_PERIOD_MS 10000

struct introduction {
    struct list link; /* g->introductions */
    struct gateway *gateway;
    struct loop_io io;
    struct loop_deadline deadline;
    struct net_address peer;
    int fd;
    size_t have, wanted;
    unsigned char data[NET_PROXY_MAX_BYTES];
};

/** Its descriptor stays open and becomes the caller's. */
static void introduction_free(struct introduction *i)
{
    loop_deadline_stop(&i->deadline);
    loop_io_deinit(&i->io);
    list_remove(&i->link);
    free(i);
}

static void introduction_fail(struct introduction *i, enum gateway_reason reason, const char *detail)
{
    static struct log_limit limit = {.period_ms = LOG_PERIOD_MS}; /* of the acceptor's thread */
    struct gateway *g = i->gateway;
    char address[NET_ADDRESS_TEXT_SIZE];
    uint64_t suppressed;

    /* The balancer is ours, so it is to be mended. */
    if (detail && log_limit_pass(&limit, loop_now_ms(g->acceptor), &suppressed))
        log_event(LOG_WARNING, "a trusted peer did not say for whom it speaks",
                  LOG_TEXT("peer", net_address_format(&i->peer, true, address)),
                  LOG_TEXT("reason", gateway_reason_word(reason)), LOG_TEXT("detail", detail),
                  LOG_UINT("suppressed", suppressed));
    close(i->fd);
    introduction_free(i);
    gateway_accept_abandoned(g, reason);
}

static void introduction_done(struct introduction *i, const struct net_proxy_header *header)
{
    struct gateway *g = i->gateway;
    struct net_address client = header->is_local ? i->peer : header->source;
    int fd = i->fd;

    introduction_free(i);
    gateway_accept_client(g, fd, &client);
}

/** Looks at what is there. Return: whether more is to be read now. */
static bool introduction_parse(struct introduction *i)
{
    struct net_proxy_header header;
    const char *sentence;
    int result = net_proxy_parse(i->data, i->have, &i->wanted, &header, &sentence);

    if (result == NET_PROXY_MORE)
        return true;
    if (result == NET_PROXY_E_BAD)
        introduction_fail(i, GATEWAY_REASON_BAD_PROXY, sentence);
    else
        introduction_done(i, &header);
    return false;
}

static void introduction_on_readable(struct loop_io *io, unsigned events base_unused)
{
    struct introduction *i = container_of(io, struct introduction, io);

    for (;;) {
        ssize_t size = recv(i->fd, i->data + i->have, i->wanted - i->have, 0);

        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0) {
            /* Balancers look whether a port is open. */
            introduction_fail(i, GATEWAY_REASON_PEER_GONE, NULL);
            return;
        }
        i->have += (size_t)size;
        if (!introduction_parse(i))
            return;
    }
}

static void introduction_on_deadline(struct loop_deadline *d)
{
    introduction_fail(container_of(d, struct introduction, deadline), GATEWAY_REASON_HANDSHAKE_TIMEOUT,
                      "no PROXY header in time");
}

void gateway_introduction_await(struct gateway *g, int fd, const struct net_address *peer)
{
    struct introduction *i = calloc(1, sizeof(*i));

    if (!i) {
        close(fd);
        gateway_accept_abandoned(g, GATEWAY_REASON_INTERNAL);
        return;
    }
    i->gateway = g;
    i->peer = *peer;
    i->fd = fd;
    i->wanted = NET_PROXY_MIN_BYTES;
    list_append(&g->introductions, &i->link);
    loop_io_init(&i->io, g->acceptor, fd, introduction_on_readable);
    loop_deadline_init(&i->deadline, introduction_on_deadline);
    loop_deadline_start(g->acceptor, &i->deadline, (uint64_t)g->live->config.handshake_timeout_ms);
    if (loop_io_want(&i->io, LOOP_IO_READ) < 0)
        introduction_fail(i, GATEWAY_REASON_INTERNAL, "out of memory");
}

void gateway_introductions_end(struct gateway *g)
{
    list_for_each_safe (it, &g->introductions)
        introduction_fail(container_of(it, struct introduction, link), GATEWAY_REASON_GOING_AWAY, NULL);
}
