/*
 * The acceptor: takes connections on its loop and deals them out to the workers in turn.
 *
 * One that is not let in still gets a worker, which reads its request and refuses it, for as long as there are few of
 * them. Those beyond are refused here without being read: what fits the socket's empty buffer is written at once, and
 * nothing waits.
 *
 *     accepted ─┬─▶ (listen.proxy_protocol, from a trusted peer: introduction.c) ─┬─▶ judged ─┬─▶ handed over
 *               └─────────────────────────────────────────────────────────────────┘           └─▶ refused unread
 */
#include "gateway/gateway_internal.h"

#include <unistd.h>

/** Nobody reads the request, so the end may overtake the answer on the client's side; over TLS there can be none. */
static void refuse_unread(struct gateway *g, int fd, enum gateway_reason reason)
{
    struct gateway_decision decision = {0};
    unsigned status = gateway_reason_status(reason);
    struct buffer out = {0};
    char request[4096];

    metrics_add(g->cells, gateway_metric_refused(status), 1);
    gateway_handshake_refuse(status, gateway_reason_sentence(reason), &decision);
    gateway_handshake_write(&decision, &out);
    if (!g->live->tls && buffer_error(&out) == 0) {
        (void)!recv(fd, request, sizeof(request), MSG_DONTWAIT); /* input left behind would turn the end into a reset */
        (void)!send(fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
    }
    buffer_deinit(&out);
    close(fd);
}

void gateway_accept_abandoned(struct gateway *g, enum gateway_reason reason)
{
    metrics_add(g->cells, GATEWAY_METRIC_ENDED + reason, 1);
    atomic_fetch_sub_explicit(&g->connections, 1, memory_order_relaxed);
}

/** A trusted peer is a proxy: its own address counts for nobody, its clients' do once they are known. */
static bool count_address(struct gateway *g, struct gateway_newcomer *n)
{
    size_t limit = (size_t)g->live->config.connections_per_address;

    if (limit == 0 || gateway_live_trusts(g->live, &n->peer))
        return true;
    n->address_key = net_network_client_key(&n->peer);
    n->is_counted = gateway_addresses_take(&g->addresses, n->address_key, limit);
    return n->is_counted;
}

void gateway_accept_client(struct gateway *g, int fd, const struct net_address *client)
{
    struct gateway_newcomer n = {.fd = fd, .peer = *client};
    size_t connections = atomic_load_explicit(&g->connections, memory_order_relaxed);
    size_t refusing = atomic_load_explicit(&g->refusing, memory_order_relaxed);

    n.refusal = gateway_admission_judge(g, connections - refusing);
    if (n.refusal == GATEWAY_REASONS && !count_address(g, &n))
        n.refusal = GATEWAY_REASON_ADDRESS;
    if (n.refusal != GATEWAY_REASONS && refusing >= g->admission.refusals_max) {
        refuse_unread(g, fd, n.refusal);
        gateway_accept_abandoned(g, n.refusal);
        return;
    }
    if (n.refusal != GATEWAY_REASONS)
        atomic_fetch_add_explicit(&g->refusing, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->newcomers, 1, memory_order_relaxed);
    if (gateway_connection_hand_over(g->workers[g->next_worker++ % g->worker_count], &n) == 0)
        return;
    atomic_fetch_sub_explicit(&g->newcomers, 1, memory_order_relaxed);
    if (n.refusal != GATEWAY_REASONS)
        atomic_fetch_sub_explicit(&g->refusing, 1, memory_order_relaxed);
    if (n.is_counted)
        gateway_addresses_give(&g->addresses, n.address_key);
    gateway_accept_abandoned(g, GATEWAY_REASON_INTERNAL);
}

static void on_accepted(void *userdata, int fd, const struct net_address *peer)
{
    struct gateway *g = userdata;

    atomic_fetch_add_explicit(&g->connections, 1, memory_order_relaxed);
    metrics_add(g->cells, GATEWAY_METRIC_ACCEPTED, 1);
    if (!g->live->config.proxy_protocol || !gateway_live_trusts(g->live, peer)) {
        gateway_accept_client(g, fd, peer);
    } else if (atomic_load_explicit(&g->connections, memory_order_relaxed) <= g->admission.connections_limit) {
        gateway_introduction_await(g, fd, peer);
    } else {
        close(fd); /* without its header nothing that it says could be answered */
        gateway_accept_abandoned(g, GATEWAY_REASON_FULL);
    }
    gateway_admission_pace(g);
}

int gateway_accept_start(struct gateway *g, struct buffer *errors)
{
    const char *wrong = net_address_parse(slice_from(g->config->listen), &g->address);
    int result;

    if (wrong) {
        buffer_printf(errors, "listen.public: %s: %s\n", g->config->listen, wrong);
        return -EINVAL;
    }
    result = net_listener_open(g->acceptor, &g->address, on_accepted, g, &g->listener);
    if (result < 0) {
        buffer_printf(errors, "listen.public: %s: %s\n", g->config->listen, strerror(-result));
        return result;
    }
    g->address = *net_listener_address(g->listener);
    gateway_admission_start(g);
    return 0;
}

void gateway_accept_stop(struct gateway *g)
{
    g->listener = net_listener_close(g->listener);
    gateway_introductions_end(g);
    gateway_admission_stop(g);
}
