/*
 * Workers: what the connections of one loop have in common. Their common end is in drain.c.
 */
#include "gateway/gateway_internal.h"

#include "base/machine.h"

#define COUNT_PERIOD_MS 1000
/** So many TLS handshakes or frames leave enough behind to look for it, but not more often than this. */
#define TRIM_HANDSHAKES 100
#define TRIM_FRAMES 10000
#define TRIM_PERIOD_MS 10000
#define QUIET_FRAMES 1000 /* fewer in a COUNT_PERIOD_MS are no traffic */
#define WARNING_PERIOD_MS 1000
#define WORDS_PERIOD_MS 1000

static void worker_count_bytes(struct gateway_worker *w)
{
    const struct net_loop_counters *now = net_loop_counters(w->net);
    size_t handshaking, waiting;

    gateway_count(w, GATEWAY_METRIC_BYTES_IN, (int64_t)(now->bytes_in - w->told.bytes_in));
    gateway_count(w, GATEWAY_METRIC_BYTES_OUT, (int64_t)(now->bytes_out - w->told.bytes_out));
    gateway_count(w, GATEWAY_METRIC_FRAMES_OUT, (int64_t)(now->frames_out - w->told.frames_out));
    gateway_count(w, GATEWAY_METRIC_WRITES, (int64_t)(now->writes - w->told.writes));
    gateway_count(w, GATEWAY_METRIC_RING_WRITES, (int64_t)(now->ring_writes - w->told.ring_writes));
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

/**
 * Gives memory back when what it was for is over: a crowd of TLS handshakes, each of which needs some 50 KB for a
 * moment beside what stays of it; or traffic, whose queues come and go (machine_tune_memory()).
 */
static void worker_trim(struct gateway_worker *w)
{
    const struct net_loop_counters *now = net_loop_counters(w->net);
    uint64_t now_ms = loop_now_ms(w->loop);
    bool is_quiet = now->frames_out - w->trim.seen_frames < QUIET_FRAMES;
    size_t handshaking, waiting;

    net_loop_handshakes(w->net, &handshaking, &waiting);
    w->trim.seen_frames = now->frames_out;
    if (now_ms < w->trim.done_ms + TRIM_PERIOD_MS)
        return;
    if ((handshaking > 0 || now->handshakes - w->trim.handshakes < TRIM_HANDSHAKES) &&
        (!is_quiet || now->frames_out - w->trim.frames < TRIM_FRAMES))
        return;
    w->trim.handshakes = now->handshakes;
    w->trim.frames = now->frames_out;
    w->trim.done_ms = now_ms;
    machine_trim_memory();
}

static void worker_on_count(struct loop_deadline *d)
{
    struct gateway_worker *w = container_of(d, struct gateway_worker, count);

    worker_count_bytes(w);
    worker_trim(w);
    loop_deadline_start(w->loop, &w->count, COUNT_PERIOD_MS);
}

/* ---- the end ---- */

static void worker_on_ended(struct loop_task *task)
{
    gateway_worker_ended(container_of(task, struct gateway_worker, drain.ended)->gateway);
}

void gateway_worker_finish(struct gateway_worker *w)
{
    loop_deadline_stop(&w->count);
    worker_count_bytes(w);
    w->drain.ended.run = worker_on_ended;
    loop_post(w->gateway->acceptor, &w->drain.ended);
}

void gateway_worker_connection_gone(struct gateway_worker *w)
{
    atomic_fetch_sub_explicit(&w->gateway->connections, 1, memory_order_relaxed);
    gateway_count(w, GATEWAY_METRIC_CONNECTIONS, -1); /* who sees it finds the place free */
    gateway_drain_connection_gone(w);
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

/* ---- framing ---- */

static bool framing_is(const struct gateway_framing *f, const struct ws_parser_options *o)
{
    const struct ws_parser_options *has = &f->options;

    return has->inflate == o->inflate && has->max_message_bytes == o->max_message_bytes &&
           has->max_fragments == o->max_fragments && has->expect_masked == o->expect_masked &&
           has->allowed_rsv == o->allowed_rsv && has->inflate_keeps_window == o->inflate_keeps_window &&
           has->inflate_window_bits == o->inflate_window_bits;
}

const struct ws_parser_options *gateway_worker_framing(struct gateway_worker *w,
                                                       const struct ws_parser_options *options)
{
    struct gateway_framing *f = w->framings;

    while (f && !framing_is(f, options))
        f = f->next;
    if (f)
        return &f->options;
    f = malloc(sizeof(*f));
    if (!f)
        return NULL;
    *f = (struct gateway_framing){.next = w->framings, .options = *options};
    w->framings = f;
    return &f->options;
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
    w->words_limit.period_ms = WORDS_PERIOD_MS;
    list_init(&w->connections);
    loop_deadline_init(&w->count, worker_on_count);
    gateway_drain_init(w);
    w->cells = metrics_cells_new(g->metrics);
    w->ping = gateway_frame_new(WS_OPCODE_PING, SLICE_NONE);
    result = w->cells && w->ping ? net_loop_new(l, &w->net) : -ENOMEM;
    if (result == 0) {
        w->ping->delivery = NET_FRAME_LATEST;
        w->ping->tag = GATEWAY_TAG_PING;
        gateway_worker_set_live(w, gateway_live_ref(g->live));
        net_loop_set_budget(w->net, &g->budget);
        if (g->environment.use_ring)
            net_loop_use_ring(w->net);
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
    gateway_drain_deinit(w);
    assert(list_is_empty(&w->connections));
    net_loop_free(w->net);
    net_frame_unref(w->ping);
    gateway_deflate_deinit(&w->deflate);
    while (w->framings) {
        struct gateway_framing *f = w->framings;

        w->framings = f->next;
        free(f);
    }
    buffer_deinit(&w->scratch);
    gateway_live_unref(w->live);
    free(w);
    return NULL;
}
