/*
 * The gateway as a whole: what all workers share, and its end.
 */
#include "gateway/gateway_internal.h"

/** Beyond period and close time-out: for the last answers, and a worker that is late. */
#define SHUTDOWN_GRACE_MS 3000

int gateway_config_check(const struct gateway_config *config, const struct config *routes, struct buffer *errors)
{
    struct gateway_routes loaded = {0};
    struct gateway_live *live = NULL;
    int result = gateway_routes_load(&loaded, routes, config->echo, errors);
    int certificate = result < 0 ? 0 : gateway_live_new(config, NULL, errors, &live);

    gateway_live_unref(live);
    gateway_routes_deinit(&loaded);
    return result ? result : certificate;
}

int gateway_new(const struct gateway_config *config, const struct gateway_environment *environment,
                struct buffer *errors, struct gateway **ret_gateway)
{
    struct gateway *g = calloc(1, sizeof(*g));
    int result;

    if (!g)
        return -ENOMEM;
    g->config = config;
    g->environment = *environment;
    list_init(&g->introductions);
    gateway_addresses_init(&g->addresses);
    g->budget.limit = (size_t)config->queued_total;
    result = gateway_routes_load(&g->routes, environment->config, config->echo, errors);
    if (result == 0 && !(g->ends = gateway_ends_new()))
        result = -ENOMEM;
    if (result == 0)
        result = net_tls_tickets_new(&g->tickets);
    if (result == 0)
        result = gateway_live_new(config, g->tickets, errors, &g->live);
    if (result == 0) {
        g->metrics = metrics_group_new(environment->metrics, gateway_metrics_rows, GATEWAY_METRICS);
        g->cells = g->metrics ? metrics_cells_new(g->metrics) : NULL;
        result = g->cells ? 0 : -ENOMEM;
    }
    if (result != 0) {
        gateway_free(g);
        return result;
    }
    *ret_gateway = g;
    return 0;
}

int gateway_add_worker(struct gateway *g, struct loop *l, struct hub *h)
{
    struct gateway_worker **workers = realloc(g->workers, (g->worker_count + 1) * sizeof(struct gateway_worker *));
    int result;

    if (!workers)
        return -ENOMEM;
    g->workers = workers;
    result = gateway_worker_new(g, l, h, &workers[g->worker_count]);
    if (result == 0)
        g->budget.loops = ++g->worker_count;
    return result;
}

int gateway_listen(struct gateway *g, struct loop *acceptor, struct buffer *errors)
{
    assert(g->worker_count > 0 && !g->acceptor);
    g->acceptor = acceptor;
    for (size_t i = 0; i < g->worker_count; i++) /* what is shared out among them, now that all are there */
        gateway_worker_set_live(g->workers[i], gateway_live_ref(g->live));
    return gateway_accept_start(g, errors);
}

const struct net_address *gateway_address(const struct gateway *g)
{
    return &g->address;
}

/* ---- the end ---- */

static void shutdown_finish(void *userdata)
{
    struct gateway *g = userdata;
    void (*done)(void *) = g->shutdown_done;

    loop_timer_stop(&g->shutdown_timer);
    g->shutdown_done = NULL;
    if (done)
        done(g->shutdown_userdata);
}

void gateway_worker_ended(struct gateway *g)
{
    assert(g->workers_left > 0);
    if (--g->workers_left == 0)
        shutdown_finish(g);
}

void gateway_shutdown(struct gateway *g, uint64_t period_ms, uint64_t rate, void (*done)(void *userdata),
                      void *userdata)
{
    size_t clients = atomic_load_explicit(&g->connections, memory_order_relaxed);

    assert(!g->is_shutting_down && loop_is_current(g->acceptor));
    period_ms = gateway_drain_period_ms(period_ms, rate, clients);
    g->is_shutting_down = true;
    g->drain_began_ms = loop_now_ms(g->acceptor);
    g->drain_period_ms = period_ms;
    g->drain_clients = clients;
    gateway_accept_stop(g);
    g->workers_left = g->worker_count;
    g->shutdown_done = done;
    g->shutdown_userdata = userdata;
    /* Workers tell when they are done; should one be stuck, this does not wait for it. */
    loop_timer_init(&g->shutdown_timer, g->acceptor, shutdown_finish, g);
    loop_timer_start(&g->shutdown_timer, period_ms + (uint64_t)g->live->config.close_timeout_ms + SHUTDOWN_GRACE_MS);
    for (size_t i = 0; i < g->worker_count; i++)
        gateway_drain_begin(g->workers[i], period_ms);
}

void gateway_shutdown_read(const struct gateway *g, struct gateway_shutdown_status *ret_status)
{
    assert(loop_is_current(g->acceptor));
    *ret_status = (struct gateway_shutdown_status){
        .is_draining = g->is_shutting_down,
        .clients = g->drain_clients,
        .left = atomic_load_explicit(&g->connections, memory_order_relaxed),
        .period_ms = g->drain_period_ms,
        .elapsed_ms = g->is_shutting_down ? loop_now_ms(g->acceptor) - g->drain_began_ms : 0,
    };
}

struct gateway *gateway_free(struct gateway *g)
{
    if (!g)
        return NULL;
    loop_timer_deinit(&g->shutdown_timer);
    gateway_accept_stop(g);
    for (size_t i = 0; i < g->worker_count; i++)
        gateway_worker_free(g->workers[i]);
    free(g->workers);
    gateway_live_unref(g->live);
    gateway_addresses_deinit(&g->addresses);
    gateway_ends_free(g->ends);
    net_tls_tickets_unref(g->tickets);
    gateway_routes_deinit(&g->routes);
    free(g);
    return NULL;
}
