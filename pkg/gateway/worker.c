/*
 * Workers: what the connections of one loop have in common, and their common end.
 *
 * Shutting down: goodbyes and close frames at once; what is left when the close time-out is over is aborted. When the
 * last connection is gone the acceptor is told, once.
 */
#include "gateway/gateway_internal.h"

#define COUNT_PERIOD_MS 1000
#define WARNING_PERIOD_MS 1000

static void worker_count_bytes(struct gateway_worker *w)
{
    const struct net_loop_counters *now = net_loop_counters(w->net);
    size_t handshaking, waiting;

    gateway_count(w, GATEWAY_METRIC_BYTES_IN, (int64_t)(now->bytes_in - w->told.bytes_in));
    gateway_count(w, GATEWAY_METRIC_BYTES_OUT, (int64_t)(now->bytes_out - w->told.bytes_out));
    gateway_count(w, GATEWAY_METRIC_FRAMES_OUT, (int64_t)(now->frames_out - w->told.frames_out));
    gateway_count(w, GATEWAY_METRIC_REPLACED, (int64_t)(now->frames_replaced - w->told.frames_replaced));
    gateway_count(w, GATEWAY_METRIC_DROPPED, (int64_t)(now->frames_dropped - w->told.frames_dropped));
    metrics_set(w->cells, GATEWAY_METRIC_QUEUED, (int64_t)now->bytes_queued);
    metrics_set(w->cells, GATEWAY_METRIC_BEHIND, (int64_t)now->streams_behind);
    gateway_count(w, GATEWAY_METRIC_HANDSHAKES,
                  (int64_t)(now->handshakes - now->resumed - (w->told.handshakes - w->told.resumed)));
    gateway_count(w, GATEWAY_METRIC_RESUMED, (int64_t)(now->resumed - w->told.resumed));
    net_loop_handshakes(w->net, &handshaking, &waiting);
    metrics_set(w->cells, GATEWAY_METRIC_HANDSHAKING, (int64_t)handshaking);
    metrics_set(w->cells, GATEWAY_METRIC_HANDSHAKES_WAITING, (int64_t)waiting);
    w->told = *now;
    gateway_deflate_count(w);
}

static void worker_on_count(void *userdata)
{
    struct gateway_worker *w = userdata;

    worker_count_bytes(w);
    loop_deadline_start(w->loop, &w->count, COUNT_PERIOD_MS);
}

/* ---- shutting down ---- */

static void worker_on_ended(struct loop_task *task)
{
    gateway_worker_ended(container_of(task, struct gateway_worker, ended)->gateway);
}

static void worker_tell_end(struct gateway_worker *w)
{
    if (!w->is_draining || w->has_told_end || !list_is_empty(&w->connections))
        return;
    w->has_told_end = true;
    loop_deadline_stop(&w->shutdown_deadline);
    loop_deadline_stop(&w->count);
    worker_count_bytes(w);
    w->ended.run = worker_on_ended;
    loop_post(w->gateway->acceptor, &w->ended);
}

void gateway_worker_connection_gone(struct gateway_worker *w)
{
    gateway_count(w, GATEWAY_METRIC_CONNECTIONS, -1);
    atomic_fetch_sub_explicit(&w->gateway->connections, 1, memory_order_relaxed);
    worker_tell_end(w);
}

/** None of them vanishes meanwhile: memory goes at the end of the turn. */
static void worker_on_shutdown_deadline(void *userdata)
{
    struct gateway_worker *w = userdata;

    list_for_each_safe (it, &w->connections)
        gateway_connection_abort(container_of(it, struct gateway_connection, link), GATEWAY_REASON_GOING_AWAY);
}

static void worker_on_shutdown(struct loop_task *task)
{
    struct gateway_worker *w = container_of(task, struct gateway_worker, shutdown);

    w->is_draining = true;
    loop_deadline_start(w->loop, &w->shutdown_deadline, (uint64_t)w->config->close_timeout_ms);
    list_for_each_safe (it, &w->connections)
        gateway_connection_shutdown(container_of(it, struct gateway_connection, link),
                                    random_below(w->shutdown_spread_ms + 1));
    worker_tell_end(w);
}

void gateway_worker_shutdown(struct gateway_worker *w, uint64_t spread_ms)
{
    w->shutdown_spread_ms = spread_ms;
    w->shutdown.run = worker_on_shutdown;
    loop_post(w->loop, &w->shutdown);
}

/* ---- life ---- */

/** Handshakes are shared out among the workers; each may have one. */
static size_t share_of(const struct gateway_worker *w, int64_t of_all)
{
    size_t workers = w->gateway->worker_count ? w->gateway->worker_count : 1;

    return ((size_t)of_all + workers - 1) / workers;
}

static void worker_set_limits(struct gateway_worker *w)
{
    const struct gateway_config *config = w->config;

    net_loop_set_handshake_limit(w->net, share_of(w, config->tls_handshakes), share_of(w, config->tls_waiting));

    w->limits = (struct net_queue_limits){
        .bytes = (uint32_t)config->queued_bytes,
        .soft_bytes = (uint32_t)config->queued_soft_bytes,
        .soft_ms = (uint32_t)config->queued_soft_time_ms,
        .age_ms = (uint32_t)config->queued_age_ms,
        .drop_oldest_bytes = (uint32_t)config->relay_bytes,
    };
    /* A message may wait to be sent while the next one is being read. */
    w->echo_limits = w->limits;
    w->echo_limits.bytes = (uint32_t)(config->queued_bytes + 2 * config->frame_bytes);
    w->echo_limits.soft_bytes = 0;
}

void gateway_worker_set_live(struct gateway_worker *w, struct gateway_live *live)
{
    gateway_live_unref(w->live);
    w->live = live;
    w->config = &live->config;
    worker_set_limits(w);
}

int gateway_worker_new(struct gateway *g, struct loop *l, struct hub *h, struct gateway_worker **ret_worker)
{
    struct gateway_worker *w = calloc(1, sizeof(*w));
    int result;

    if (!w)
        return -ENOMEM;
    w->gateway = g;
    w->loop = l;
    w->end_limit.period_ms = WARNING_PERIOD_MS;
    list_init(&w->connections);
    loop_deadline_init(&w->count, worker_on_count, w);
    loop_deadline_init(&w->shutdown_deadline, worker_on_shutdown_deadline, w);
    w->cells = metrics_cells_new(g->metrics);
    w->ping = gateway_frame_new(WS_OPCODE_PING, SLICE_NONE);
    result = w->cells && w->ping ? net_loop_new(l, &w->net) : -ENOMEM;
    if (result == 0) {
        w->ping->delivery = NET_FRAME_LATEST;
        w->ping->tag = GATEWAY_TAG_PING;
        gateway_worker_set_live(w, gateway_live_ref(g->live));
        net_loop_set_budget(w->net, &g->budget);
    }
    if (result == 0)
        result = hub_port_new(h, l, &gateway_port_ops, w, &w->port);
    if (result < 0) {
        gateway_worker_free(w);
        return result;
    }
    loop_deadline_start(l, &w->count, COUNT_PERIOD_MS);
    *ret_worker = w;
    return 0;
}

struct gateway_worker *gateway_worker_free(struct gateway_worker *w)
{
    if (!w)
        return NULL;
    loop_deadline_stop(&w->count);
    loop_deadline_stop(&w->shutdown_deadline);
    assert(list_is_empty(&w->connections));
    net_loop_free(w->net);
    net_frame_unref(w->ping);
    gateway_deflate_deinit(&w->deflate);
    buffer_deinit(&w->scratch);
    gateway_live_unref(w->live);
    free(w);
    return NULL;
}
