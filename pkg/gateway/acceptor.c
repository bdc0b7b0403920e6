/*
 * The acceptor: takes connections on its loop and deals them out to the workers in turn.
 *
 * Beyond the limit a newcomer still gets a worker, which reads its request and refuses it with 503, for as long as
 * there are few of them. Those beyond are refused here without being read: what fits the socket's empty buffer is
 * written at once, and nothing waits.
 */
#include "gateway/gateway_internal.h"

#include <unistd.h>

#define FULL_LOG_PERIOD_MS 10000

/** Nobody reads the request, so the end may overtake the answer on the client's side; over TLS there can be none. */
static void refuse_unread(struct gateway *g, int fd)
{
    struct gateway_decision decision = {0};
    struct buffer out = {0};
    char request[4096];

    metrics_add(g->cells, gateway_metric_refused(503), 1);
    metrics_add(g->cells, GATEWAY_METRIC_ENDED + GATEWAY_REASON_OVERLOADED, 1);
    gateway_handshake_refuse(503, "this node has as many connections as it may", &decision);
    gateway_handshake_write(&decision, &out);
    if (!g->tls && buffer_error(&out) == 0) {
        (void)!recv(fd, request, sizeof(request), MSG_DONTWAIT); /* input left behind would turn the end into a reset */
        (void)!send(fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
    }
    buffer_deinit(&out);
    close(fd);
}

static void on_accepted(void *userdata, int fd, const struct net_address *peer)
{
    struct gateway *g = userdata;
    size_t limit = (size_t)g->config->connections;
    size_t before = atomic_fetch_add_explicit(&g->connections, 1, memory_order_relaxed);
    struct gateway_worker *w = g->workers[g->next_worker++ % g->worker_count];
    uint64_t suppressed;

    metrics_add(g->cells, GATEWAY_METRIC_ACCEPTED, 1);
    if (before >= limit && log_limit_pass(&g->full_limit, loop_now_ms(g->acceptor), &suppressed))
        log_event(LOG_WARNING, "limits.connections is reached, newcomers are refused", LOG_UINT("connections", before),
                  LOG_UINT("suppressed", suppressed));
    if (before >= limit + GATEWAY_REFUSALS_MAX) {
        refuse_unread(g, fd);
    } else if (gateway_connection_hand_over(w, fd, peer, before >= limit) == 0) {
        return;
    } else {
        metrics_add(g->cells, GATEWAY_METRIC_ENDED + GATEWAY_REASON_INTERNAL, 1);
    }
    atomic_fetch_sub_explicit(&g->connections, 1, memory_order_relaxed);
}

int gateway_accept_start(struct gateway *g, struct buffer *errors)
{
    const char *wrong = net_address_parse(slice_from(g->config->listen), &g->address);
    int result;

    if (wrong) {
        buffer_printf(errors, "listen.public: %s: %s\n", g->config->listen, wrong);
        return -EINVAL;
    }
    g->full_limit.period_ms = FULL_LOG_PERIOD_MS;
    result = net_listener_open(g->acceptor, &g->address, on_accepted, g, &g->listener);
    if (result < 0) {
        buffer_printf(errors, "listen.public: %s: %s\n", g->config->listen, strerror(-result));
        return result;
    }
    g->address = *net_listener_address(g->listener);
    return 0;
}
