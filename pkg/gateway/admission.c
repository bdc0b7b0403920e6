/*
 * Admission: limits of newcomers, on the acceptor's loop.
 *
 * Storms. A newcomer costs a few hundred times what a message to someone who is here costs, and comes with thousands of
 * others when a node or a network has failed. So this node takes only as many at a time as it gets done: while
 * NEWCOMERS_MAX of them wait for something that this node has to do (to arrive at their worker, to get their session),
 * or while limits.accept_rate has no place left, the listener pauses and the others wait in the kernel's backlog.
 * What a client has to do (shake hands, send its request) does not count: a slow client must not keep out others.
 * When waiting is no help, because the backlog is nearly full or nobody has been settled for STALLED_MS, who comes is
 * told so: 503 with Retry-After, each at another time.
 *
 * Memory. The limit is limits.memory, or a share of what the machine or its cgroup has. From there on newcomers are
 * refused, until MEMORY_CALM_PERCENT of it.
 *
 * Descriptors. What is not for clients is kept back, so connections are at most what is left of the process's limit.
 */
#include "base/clock.h"
#include "base/machine.h"
#include "gateway/gateway_internal.h"

#define LOOK_MS 200
#define PACE_MS 2
#define NEWCOMERS_MAX 256
#define STALLED_MS 1000
#define TOKEN UINT64_C(1000000)
/** What the bucket holds: the rate of so many milliseconds, so that a pause of the loop is made up for. */
#define BUCKET_MS 50
#define MEMORY_PERCENT 80
#define MEMORY_CALM_PERCENT 95
#define REFUSALS_MAX 256
#define FULL_LOG_PERIOD_MS 10000

/* ---- memory ---- */

static void look(struct gateway *g)
{
    struct gateway_admission *a = &g->admission;
    uint64_t suppressed;

    a->resident = machine_resident_bytes();
    if (!a->is_memory_short && a->resident >= a->memory_limit) {
        a->is_memory_short = true;
        if (log_limit_pass(&a->memory_log, loop_now_ms(g->acceptor), &suppressed))
            log_event(LOG_WARNING, "the memory limit is reached, newcomers are refused",
                      LOG_UINT("resident", a->resident), LOG_UINT("limit", a->memory_limit),
                      LOG_UINT("suppressed", suppressed));
    } else if (a->is_memory_short && a->resident < a->memory_limit / 100 * MEMORY_CALM_PERCENT) {
        a->is_memory_short = false;
        log_event(LOG_NOTICE, "memory is below its limit again", LOG_UINT("resident", a->resident),
                  LOG_UINT("limit", a->memory_limit));
    }
    metrics_set(g->cells, GATEWAY_METRIC_RESIDENT, (int64_t)a->resident);
}

static void on_look(void *userdata)
{
    struct gateway *g = userdata;

    look(g);
    loop_timer_start(&g->admission.look, LOOK_MS);
}

/* ---- pace ---- */

static void fill_bucket(struct gateway *g, uint64_t rate)
{
    struct gateway_admission *a = &g->admission;
    uint64_t now_us = clock_monotonic_us(), passed_us = now_us - a->filled_us;
    uint64_t most = rate * BUCKET_MS * 1000;

    if (most < TOKEN)
        most = TOKEN;
    if (passed_us > BUCKET_MS * 1000 + TOKEN)
        passed_us = BUCKET_MS * 1000 + TOKEN; /* more does not fit, whatever the rate */
    a->filled_us = now_us;
    a->tokens += passed_us * rate;
    if (a->tokens > most)
        a->tokens = most;
}

/** Whether this node has enough to do for those who came. */
static bool is_pressed(struct gateway *g)
{
    uint64_t rate = (uint64_t)g->live->config.accept_rate;

    if (atomic_load_explicit(&g->newcomers, memory_order_relaxed) >= NEWCOMERS_MAX)
        return true;
    if (rate == 0)
        return false;
    fill_bucket(g, rate);
    return g->admission.tokens < TOKEN;
}

/** Whether it is no use to let the others wait. */
static bool is_waiting_useless(struct gateway *g)
{
    struct gateway_admission *a = &g->admission;
    size_t settled = atomic_load_explicit(&g->settled, memory_order_relaxed);
    uint64_t now_ms = loop_now_ms(g->acceptor);
    uint32_t waiting, most;

    if (settled != a->settled_seen || atomic_load_explicit(&g->newcomers, memory_order_relaxed) < NEWCOMERS_MAX) {
        a->settled_seen = settled;
        a->settled_ms = now_ms;
    } else if (now_ms - a->settled_ms >= STALLED_MS) {
        return true;
    }
    return net_listener_backlog(g->listener, &waiting, &most) && waiting > most / 4 * 3;
}

static void pace(struct gateway *g)
{
    struct gateway_admission *a = &g->admission;
    bool pressed = is_pressed(g);

    a->is_turning_away = pressed && is_waiting_useless(g);
    if (!pressed || a->is_turning_away) {
        net_listener_resume(g->listener);
        return;
    }
    net_listener_pause(g->listener);
    loop_timer_start(&a->pace, PACE_MS);
}

static void on_pace(void *userdata)
{
    pace(userdata);
}

void gateway_admission_pace(struct gateway *g)
{
    struct gateway_admission *a = &g->admission;

    a->tokens -= a->tokens < TOKEN ? a->tokens : TOKEN;
    if (!a->is_turning_away && !is_pressed(g))
        return;
    if (!a->is_turning_away)
        metrics_add(g->cells, GATEWAY_METRIC_ACCEPT_PAUSES, 1);
    pace(g);
}

/* ---- the judgement ---- */

static void log_full(struct gateway *g, struct log_limit *limit, const char *message, size_t connections)
{
    uint64_t suppressed;

    if (log_limit_pass(limit, loop_now_ms(g->acceptor), &suppressed))
        log_event(LOG_WARNING, message, LOG_UINT("connections", connections), LOG_UINT("suppressed", suppressed));
}

enum gateway_reason gateway_admission_judge(struct gateway *g, size_t connections)
{
    struct gateway_admission *a = &g->admission;

    if (connections > a->connections_limit) {
        log_full(g, &a->full_log, "limits.connections is reached, newcomers are refused", connections);
        return GATEWAY_REASON_FULL;
    }
    if (a->is_memory_short)
        return GATEWAY_REASON_MEMORY;
    if (a->is_turning_away) {
        log_full(g, &a->storm_log, "newcomers come faster than they are settled, some are refused", connections);
        return GATEWAY_REASON_STORM;
    }
    return GATEWAY_REASONS;
}

/* ---- the limits that hold ---- */

static void set_limits(struct gateway *g)
{
    const struct gateway_config *config = &g->live->config;
    struct gateway_admission *a = &g->admission;
    uint64_t kept_back = g->environment.other_descriptors, left;

    a->refusals_max = a->descriptors / 8 < REFUSALS_MAX ? a->descriptors / 8 : REFUSALS_MAX;
    kept_back += a->refusals_max;
    left = a->descriptors > kept_back ? a->descriptors - kept_back : 1;
    a->connections_limit = (uint64_t)config->connections < left ? (size_t)config->connections : left;
    a->memory_limit = (uint64_t)config->memory;
    if (a->memory_limit == 0)
        a->memory_limit = machine_memory_bytes("") / 100 * MEMORY_PERCENT;
    if (a->memory_limit == 0)
        a->memory_limit = UINT64_MAX; /* nobody says */
    metrics_set(g->cells, GATEWAY_METRIC_CONNECTIONS_LIMIT, (int64_t)a->connections_limit);
    metrics_set(g->cells, GATEWAY_METRIC_MEMORY_LIMIT,
                a->memory_limit > INT64_MAX ? INT64_MAX : (int64_t)a->memory_limit);
    log_event(LOG_NOTICE, "limits", LOG_UINT("connections", a->connections_limit),
              LOG_INT("configured", config->connections), LOG_UINT("descriptors", a->descriptors),
              LOG_UINT("memory", a->memory_limit));
}

void gateway_admission_start(struct gateway *g)
{
    struct gateway_admission *a = &g->admission;

    a->full_log.period_ms = a->memory_log.period_ms = a->storm_log.period_ms = FULL_LOG_PERIOD_MS;
    a->descriptors = machine_raise_descriptors();
    a->filled_us = clock_monotonic_us();
    set_limits(g);
    loop_timer_init(&a->look, g->acceptor, on_look, g);
    loop_timer_init(&a->pace, g->acceptor, on_pace, g);
    on_look(g);
}

void gateway_admission_stop(struct gateway *g)
{
    loop_timer_deinit(&g->admission.look);
    loop_timer_deinit(&g->admission.pace);
}

void gateway_admission_reload(struct gateway *g)
{
    set_limits(g);
    look(g);
}
