/*
 * Readiness and liveness. Ready: a client that connects now is served in full: broker, store, lease, and a canary that
 * travelled through the broker back to this node lately. Fast to fail. Alive: the process is not stuck; slow to fail,
 * because it is what gets it killed.
 */
#include "base/clock.h"
#include "server/server_internal.h"

#include <stdio.h>

/** A hub that has not looked up for so long is stuck. */
#define STUCK_AFTER_MS 30000
#define NOT_READY_AFTER_MS 5000
/** A canary may be late by so many intervals. */
#define CANARIES_MISSED 3

bool server_is_ready(void *userdata, char reason[128])
{
    struct server *s = userdata;
    struct hub_status status;
    uint64_t now_ms = clock_monotonic_ms();
    const char *why = NULL;

    hub_status_read(s->hub, &status);
    if (status.is_draining)
        why = "draining";
    else if (now_ms > status.updated_ms + NOT_READY_AFTER_MS)
        why = "the hub is stuck";
    else if (status.is_name_taken)
        why = "another live node has this name";
    else if (status.bus.state == BUS_STATE_NAME_LOCKED)
        why = "the queue's name is locked by another connection";
    else if (status.bus.state == BUS_STATE_BLOCKED)
        why = "blocked by the broker";
    else if (status.bus.state != BUS_STATE_READY)
        why = "no broker";
    else if (!status.store.is_up)
        why = "no store";
    else if (!status.is_lease_held)
        why = "no lease yet";
    else if (status.canary_age_ms > CANARIES_MISSED * (uint64_t)s->settings->hub.canary_interval_ms)
        why = "no canary came back through the broker";
    if (!why)
        return true;
    (void)snprintf(reason, 128, "%s", why);
    return false;
}

bool server_is_alive(void *userdata, char reason[128])
{
    struct server *s = userdata;
    struct hub_status status;

    hub_status_read(s->hub, &status);
    if (clock_monotonic_ms() <= status.updated_ms + STUCK_AFTER_MS)
        return true;
    (void)snprintf(reason, 128, "the hub is stuck");
    return false;
}

enum { SERVER_INFO, SERVER_READY, SERVER_CPU, SERVER_RELOADED, SERVER_NOT_RELOADED, SERVER_METRICS };

static const struct metrics_row rows[SERVER_METRICS] = {
    [SERVER_INFO] = {.name = "warren_info",
                     .type = METRICS_GAUGE,
                     .help = "Always 1; the version is a label.",
                     .labels = "version=\"" WARREN_VERSION "\""},
    [SERVER_READY] = {.name = "warren_ready", .type = METRICS_GAUGE, .help = "1 if /readyz says so."},
    [SERVER_CPU] = {.name = "warren_process_cpu_seconds_total",
                    .type = METRICS_COUNTER,
                    .help = "CPU time of the process, user and system.",
                    .scale = 1e-6},
    [SERVER_RELOADED] = {.name = "warren_reloads_total",
                         .type = METRICS_COUNTER,
                         .help = "Times the configuration was read again.",
                         .labels = "result=\"ok\""},
    [SERVER_NOT_RELOADED] = {.name = "warren_reloads_total",
                             .type = METRICS_COUNTER,
                             .help = "Times the configuration was read again.",
                             .labels = "result=\"bad\""},
};

void server_count_reload(struct server *s, bool good)
{
    metrics_add(s->cells, good ? SERVER_RELOADED : SERVER_NOT_RELOADED, 1);
}

int server_metrics_init(struct server *s)
{
    struct metrics_group *group = metrics_group_new(s->metrics, rows, SERVER_METRICS);

    s->cells = group ? metrics_cells_new(group) : NULL;
    if (!s->cells)
        return -ENOMEM;
    metrics_set(s->cells, SERVER_INFO, 1);
    return 0;
}

void server_before_metrics(void *userdata)
{
    struct server *s = userdata;
    uint64_t cpu_us = clock_process_cpu_us();
    char reason[128];

    metrics_set(s->cells, SERVER_READY, server_is_ready(s, reason));
    metrics_add(s->cells, SERVER_CPU, (int64_t)(cpu_us - s->cpu_told_us));
    s->cpu_told_us = cpu_us;
}
