/*
 * One node, put together. Construction goes bottom up, so what is built later may name what was built before; taking
 * down is the reverse.
 *
 *     main loop     signals, both listeners, API, outgoing HTTP
 *     hub loop      hub, bus, store          (the bus has two more threads of its own)
 *     worker loops  client connections
 *
 * The end, step by step: signal or order ─▶ gateway drains (workers) ─▶ API closes ─▶ hub stops on its own
 * thread: lease released, bus flushed ─▶ loops stop and are joined ─▶ server_free().
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/random.h"
#include "bus/local.h"
#include "server/server_internal.h"
#include "store/memory.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t default_workers(void)
{
    cpu_set_t cpus;
    long online;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        online = CPU_COUNT(&cpus);
    else
        online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online <= 2)
        return 1;
    return online - 1 > SERVER_WORKERS_MAX ? SERVER_WORKERS_MAX : (size_t)online - 1;
}

static int build_loops(struct server *s)
{
    size_t wanted = s->settings->server.workers ? (size_t)s->settings->server.workers : default_workers();
    int result = loop_new("main", &s->main_loop);

    if (!result)
        result = loop_new("hub", &s->hub_loop);
    for (size_t i = 0; !result && i < wanted; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "worker-%zu", i); /* at most worker-255: a thread's name has 15 bytes */
        result = loop_new(name, &s->workers[i]);
        if (!result)
            s->worker_count++;
    }
    return result;
}

static int build_backends(struct server *s)
{
    const struct server_settings *settings = s->settings;
    const struct store_identity identity = {
        .node = s->node,
        .incarnation = s->incarnation,
        .seen_window_ms = (uint64_t)settings->hub.dedup_window_ms,
        .expiry_ms = 3 * (uint64_t)settings->hub.restate_ms,
    };
    int result;

    if (s->is_standalone) {
        result = bus_local_new(s->hub_loop, (size_t)settings->amqp.max_pending, &s->bus);
        return result ? result : memory_store_new(s->hub_loop, &identity, &s->store);
    }
    result = rabbitmq_bus_new(s->hub_loop, &settings->amqp, s->node, s->metrics, &s->bus);
    return result ? result : redis_store_new(s->hub_loop, &settings->redis, &identity, s->metrics, &s->store);
}

/** Listeners, loops, broker and store, files; and a share for the internal listener's clients. */
static uint64_t other_descriptors(const struct server *s)
{
    uint64_t share = machine_raise_descriptors() / 16, api = (uint64_t)s->settings->api.connections;

    return SERVER_OWN_DESCRIPTORS + 8 * s->worker_count + (api < share ? api : share);
}

static int build_front(struct server *s, struct buffer *errors)
{
    const struct gateway_environment gateway_environment = {
        .node = s->node,
        .metrics = s->metrics,
        .config = s->settings->config,
        .is_ready = server_is_ready,
        .userdata = s,
        .other_descriptors = other_descriptors(s),
        .use_ring = s->settings->server.io_uring,
    };
    const struct api_environment api_environment = {
        .metrics = s->metrics,
        .node = s->node,
        .pages = server_pages,
        .before_metrics = server_before_metrics,
        .write_ends = server_write_ends,
        .is_ready = server_is_ready,
        .is_alive = server_is_alive,
        .userdata = s,
    };
    static const struct hub_port_ops port_ops = {NULL};
    int result = gateway_new(&s->settings->gateway, &gateway_environment, errors, &s->gateway);

    for (size_t i = 0; !result && i < s->worker_count; i++)
        result = gateway_add_worker(s->gateway, s->workers[i], s->hub);
    if (!result)
        result = api_new(s->main_loop, s->hub, &s->settings->api, &api_environment, errors, &s->api);
    if (!result)
        result = hub_port_new(s->hub, s->main_loop, &port_ops, s, &s->port);
    return result ? result : outbound_new(s->main_loop, &s->outbound);
}

static int build(struct server *s, struct buffer *errors)
{
    struct hub_identity identity = {.node = s->node, .internal = s->settings->api.listen, .version = WARREN_VERSION};
    int result = server_node_id(s->settings, s->is_standalone, s->node, errors);

    if (result)
        return result;
    do
        s->incarnation = random_uint64() >> 1; /* fits a signed integer wherever it is written */
    while (s->incarnation == 0);
    identity.incarnation = s->incarnation;
    s->metrics = metrics_new();
    if (!s->metrics)
        return -ENOMEM;
    result = server_metrics_init(s);
    if (!result)
        result = build_loops(s);
    if (!result)
        result = build_backends(s);
    if (!result)
        result = hub_new(s->hub_loop, &s->settings->hub, &identity, s->bus, s->store, s->metrics, &s->hub);
    if (!result)
        result = server_words_start(s, errors);
    return result ? result : build_front(s, errors);
}

int server_new(struct server_settings *settings, const struct server_sources *sources, struct buffer *errors,
               struct server **ret_server)
{
    struct server *s = calloc(1, sizeof(*s));
    int result;

    if (!s)
        return -ENOMEM;
    s->settings = settings;
    s->sources = sources;
    s->is_standalone = sources->standalone;
    s->started_ms = clock_realtime_ms();
    list_init(&s->management_reads);
    log_set_level((enum log_level)settings->server.log_level);
    result = build(s, errors);
    if (result) {
        server_free(s);
        return result;
    }
    *ret_server = s;
    return 0;
}

/* ---- the end ---- */

void server_stop_if_over(struct server *s)
{
    /* else the end of their run, which names the server, comes here again */
    if (s->is_hub_down && !s->doctor && !s->ingress_work)
        loop_stop(s->main_loop);
}

/** On the main loop, behind everything that the hub still had to say. */
static void on_hub_stopped(struct loop_task *task)
{
    struct server *s = container_of(task, struct server, hub_stopped);

    s->is_hub_down = true;
    server_stop_if_over(s);
}

static void stop_hub(struct loop_task *task)
{
    struct server *s = container_of(task, struct server, stop_hub);

    hub_stop(s->hub);
    loop_post(s->main_loop, &s->hub_stopped);
}

void server_on_gateway_down(void *userdata)
{
    struct server *s = userdata;

    api_close(s->api);
    server_doctor_stop(s);
    server_ingress_stop(s);
    s->outbound = outbound_free(s->outbound);
    s->hub_stopped.run = on_hub_stopped;
    s->stop_hub.run = stop_hub;
    loop_post(s->hub_loop, &s->stop_hub);
}

static void on_end_signal(void *userdata, int signal_number)
{
    struct server *s = userdata;

    if (s->is_signalled) {
        log_event(LOG_WARNING, "second signal: ending at once", LOG_INT("signal", signal_number));
        _exit(1);
    }
    s->is_signalled = true;
    log_event(LOG_NOTICE, "ending", LOG_TEXT("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"),
              LOG_TEXT("node", s->node));
    server_drain(s, "signal");
}

static void on_reload_signal(void *userdata, int signal_number base_unused)
{
    (void)server_reload(userdata, NULL, NULL); /* it has said what came of it */
}

static void on_watchdog(void *userdata)
{
    struct server *s = userdata;
    char reason[128];

    if (server_is_alive(s, reason))
        server_notify("WATCHDOG=1");
    loop_timer_start(&s->watchdog, s->watchdog_ms);
}

/* ---- the run ---- */

static int watch_signals(struct server *s)
{
    int result = loop_signal_new(s->main_loop, SIGTERM, on_end_signal, s, &s->signals[0]);

    if (!result)
        result = loop_signal_new(s->main_loop, SIGINT, on_end_signal, s, &s->signals[1]);
    if (!result)
        result = loop_signal_new(s->main_loop, SIGHUP, on_reload_signal, s, &s->signals[2]);
    return result;
}

/**
 * Before there are other threads, which inherit it. Where cores are to spare it changes nothing. On a core that is not,
 * a woken thread would interrupt the one that woke it, and each message would go its way through all threads (and the
 * broker) by itself: half of the CPU time is then spent on switching.
 */
static void set_scheduling(const struct server *s)
{
    const struct sched_param none = {0};

    if (s->settings->server.scheduling == SERVER_SCHEDULING_BATCH && sched_setscheduler(0, SCHED_BATCH, &none) < 0)
        log_event(LOG_NOTICE, "loop.scheduling=batch was refused by the kernel", LOG_TEXT("error", strerror(errno)));
}

static int start(struct server *s, struct buffer *errors)
{
    int result;

    (void)signal(SIGPIPE, SIG_IGN);
    set_scheduling(s);
    result = watch_signals(s);
    if (!result)
        result = gateway_listen(s->gateway, s->main_loop,
                                errors); /* a port that is taken ends it before the queue is declared */
    if (!result)
        result = api_listen(s->api, errors);
    if (!result)
        result = hub_start(s->hub);
    if (!result)
        result = loop_start(s->hub_loop);
    if (result)
        return result;
    s->hub_loop_runs = true;
    for (size_t i = 0; !result && i < s->worker_count; i++) {
        result = loop_start(s->workers[i]);
        if (!result)
            s->workers_running++;
    }
    return result;
}

/** Stops and joins what runs; the hub first was stopped on its thread, or is stopped here once its thread is gone. */
static void stop_loops(struct server *s)
{
    for (size_t i = 0; i < s->workers_running; i++)
        loop_stop(s->workers[i]);
    for (size_t i = 0; i < s->workers_running; i++)
        loop_join(s->workers[i]);
    s->workers_running = 0;
    if (s->hub_loop_runs) {
        loop_stop(s->hub_loop);
        loop_join(s->hub_loop);
        s->hub_loop_runs = false;
    }
}

int server_run(struct server *s, struct buffer *errors)
{
    char public_text[NET_ADDRESS_TEXT_SIZE], internal_text[NET_ADDRESS_TEXT_SIZE];
    int result = start(s, errors);

    if (result)
        return result;
    log_event(LOG_NOTICE, "node started", LOG_TEXT("node", s->node), LOG_TEXT("version", WARREN_VERSION),
              LOG_TEXT("public", net_address_format(gateway_address(s->gateway), true, public_text)),
              LOG_TEXT("internal", net_address_format(api_address(s->api), true, internal_text)),
              LOG_TEXT("bus", s->bus->ops->name), LOG_TEXT("store", s->store->ops->name),
              LOG_UINT("workers", s->worker_count), LOG_UINT("incarnation", s->incarnation));
    server_notify("READY=1");
    s->watchdog_ms = server_notify_watchdog_ms() / 2;
    if (s->watchdog_ms) {
        loop_timer_init(&s->watchdog, s->main_loop, on_watchdog, s);
        loop_timer_start(&s->watchdog, s->watchdog_ms);
    }
    loop_run(s->main_loop);
    stop_loops(s);
    log_event(LOG_NOTICE, "node ended", LOG_TEXT("node", s->node));
    return 0;
}

struct server *server_free(struct server *s)
{
    if (!s)
        return NULL;
    stop_loops(s);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(s->signals); i++)
        s->signals[i] = loop_signal_free(s->signals[i]);
    loop_timer_deinit(&s->watchdog);
    loop_timer_deinit(&s->words_timer);
    outbound_free(s->outbound);
    api_free(s->api);
    gateway_free(s->gateway);
    hub_free(s->hub);
    bus_free(s->bus);
    store_free(s->store);
    for (size_t i = 0; i < s->worker_count; i++)
        loop_free(s->workers[i]);
    loop_free(s->hub_loop);
    loop_free(s->main_loop);
    metrics_free(s->metrics);
    free(s);
    return NULL;
}
