/*
 * A thread that keeps one broker connection: connect, serve until it ends, back off, again.
 *
 * The thread sleeps in poll(2) on an eventfd (its mailbox) and the socket, never inside the library. The owner speaks
 * to it by changing what the lock guards and writing the eventfd; it speaks to the owner by one task, posted when none
 * is on its way. A posted task and a running thread each hold a reference to the bus, so that a task that runs after
 * bus_free() finds memory.
 *
 * The library can get stuck in a write when the broker stops reading. The owner's watchdog then shuts the socket down
 * through a duplicate of its descriptor: the library's own may be closed, and its number be someone else's, at any
 * moment.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 2000
#define HANDSHAKE_TIMEOUT_MS 5000
#define RPC_TIMEOUT_MS 5000
#define CLOSE_TIMEOUT_MS 500
#define STUCK_MS 3000
/** A broker that answers again is noticed within so much, by all of them within a second: each try that is refused
 * costs it a packet. */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 500
/** A connection that the broker is just closing holds the name for a moment; what holds it longer is not asked often,
 * because each time is an error in the broker's log. */
#define LOCKED_RETRY_MIN_MS 125
#define LOCKED_RETRY_MAX_MS 1000
#define LOG_PERIOD_MS 60000

void rabbitmq_worker_wake(struct rabbitmq_worker *w)
{
    uint64_t one = 1;
    ssize_t written = write(w->wake_fd, &one, sizeof(one));

    (void)written; /* EAGAIN: it is awake already */
}

static void drain_wake(struct rabbitmq_worker *w)
{
    uint64_t count;
    ssize_t got = read(w->wake_fd, &count, sizeof(count));

    (void)got;
}

int rabbitmq_worker_patience_ms(const struct rabbitmq_worker *w)
{
    return (int)(w->bus->config->heartbeat_ms / 2);
}

void rabbitmq_worker_wait(struct rabbitmq_worker *w, short events, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = w->wake_fd, .events = POLLIN}, {.fd = w->connection.fd, .events = events}};

    if (rabbitmq_connection_has_input(&w->connection))
        timeout_ms = 0; /* the socket would not show what the library has read ahead */
    (void)poll(fds, 2, timeout_ms);
    if (fds[0].revents)
        drain_wake(w);
}

void rabbitmq_worker_rest(struct rabbitmq_worker *w, int timeout_ms)
{
    struct pollfd fd = {.fd = w->wake_fd, .events = POLLIN};

    if (poll(&fd, 1, timeout_ms) > 0)
        drain_wake(w);
}

/* ---- telling the owner ---- */

static void run_task(struct loop_task *task)
{
    struct rabbitmq_worker *w = container_of(task, struct rabbitmq_worker, task);
    struct rabbitmq_bus *bus = w->bus;

    (void)pthread_mutex_lock(&w->lock);
    w->is_posted = false;
    (void)pthread_mutex_unlock(&w->lock);
    if (!bus->is_stopped)
        w->role->on_notify(w);
    (void)rabbitmq_bus_unref(bus);
}

void rabbitmq_worker_notify(struct rabbitmq_worker *w)
{
    if (w->is_posted || w->is_detached)
        return;
    w->is_posted = true;
    w->task.run = run_task;
    (void)rabbitmq_bus_ref(w->bus);
    atomic_store(&w->is_posting, true);
}

void rabbitmq_worker_unlock(struct rabbitmq_worker *w)
{
    bool is_posting = atomic_load_explicit(&w->is_posting, memory_order_relaxed);

    (void)pthread_mutex_unlock(&w->lock);
    if (!is_posting)
        return;
    loop_post(w->bus->bus.owner, &w->task);
    atomic_store(&w->is_posting, false);
}

static void log_edge(struct rabbitmq_worker *w, enum rabbitmq_link before, enum rabbitmq_link link, const char *detail)
{
    bool is_failure = link == RABBITMQ_LINK_DOWN || link == RABBITMQ_LINK_LOCKED;
    uint64_t suppressed;

    if (is_failure && !log_limit_pass(&w->log_limit, clock_monotonic_ms(), &suppressed) && link == before)
        return;
    if (link == RABBITMQ_LINK_UP && before == RABBITMQ_LINK_BLOCKED) {
        log_event(LOG_NOTICE, "broker takes publications again", LOG_TEXT("broker", w->connection.broker));
    } else if (link == RABBITMQ_LINK_UP) {
        log_event(LOG_NOTICE, "broker connected", LOG_TEXT("role", w->role->name),
                  LOG_TEXT("broker", w->connection.broker));
        w->log_limit.next_ms = 0;
    } else if (link == RABBITMQ_LINK_BLOCKED) {
        log_event(LOG_WARNING, "broker blocks publishers", LOG_TEXT("broker", w->connection.broker),
                  LOG_TEXT("reason", detail));
    } else if (link == RABBITMQ_LINK_LOCKED) {
        log_event(LOG_WARNING, "the queue's name is held by another live node or a dead connection; retrying",
                  LOG_TEXT("queue", w->bus->queue), LOG_TEXT("broker", w->connection.broker),
                  LOG_TEXT("error", detail));
    } else {
        log_event(LOG_WARNING, "no broker connection; retrying", LOG_TEXT("role", w->role->name),
                  LOG_TEXT("broker", w->connection.broker), LOG_TEXT("error", detail));
    }
}

void rabbitmq_worker_report(struct rabbitmq_worker *w, enum rabbitmq_link link, const char *detail)
{
    enum rabbitmq_link before;

    if (link == RABBITMQ_LINK_UP && w->up_since_ms == 0) {
        w->up_since_ms = clock_monotonic_ms();
        w->attempts = w->locks = 0;
        w->connections++;
        metrics_set(w->cells, RABBITMQ_CONNECTIONS, 1);
        if (w->connections > 1)
            metrics_add(w->cells, RABBITMQ_RECONNECTS, 1);
    }
    (void)pthread_mutex_lock(&w->lock);
    before = w->report.link;
    w->report.link = link;
    w->report.reconnects = w->connections > 1 ? w->connections - 1 : 0;
    (void)snprintf(w->report.broker, sizeof(w->report.broker), "%s", w->connection.broker);
    (void)snprintf(w->report.detail, sizeof(w->report.detail), "%s", detail);
    atomic_fetch_add_explicit(&w->reports, 1, memory_order_relaxed);
    rabbitmq_worker_notify(w);
    rabbitmq_worker_unlock(w);
    log_edge(w, before, link, detail);
}

/* ---- the thread ---- */

/** Others may now shut the socket down. */
static bool on_socket(void *userdata, int fd)
{
    struct rabbitmq_worker *w = userdata;

    (void)pthread_mutex_lock(&w->lock);
    w->watch_fd = dup(fd);
    (void)pthread_mutex_unlock(&w->lock);
    return !atomic_load(&w->is_stopping) && w->watch_fd >= 0;
}

static void forget_socket(struct rabbitmq_worker *w)
{
    (void)pthread_mutex_lock(&w->lock);
    if (w->watch_fd >= 0)
        (void)close(w->watch_fd);
    w->watch_fd = -1;
    (void)pthread_mutex_unlock(&w->lock);
}

static int run_connection(struct rabbitmq_worker *w)
{
    const struct rabbitmq_config *config = w->bus->config;
    struct timeval close_timeout = {.tv_usec = CLOSE_TIMEOUT_MS * 1000};
    char name[128];
    struct rabbitmq_connect how = {
        .url = config->url.items[w->url_index],
        .config = config,
        .name = name,
        .heartbeat_s = (int)(config->heartbeat_ms / 1000),
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS,
        .rpc_timeout_ms = RPC_TIMEOUT_MS,
        .on_socket = on_socket,
        .userdata = w,
    };
    int result;

    (void)snprintf(name, sizeof(name), "warren %s %s", w->bus->node_id, w->role->name);
    result = rabbitmq_connection_open(&w->connection, &how);
    if (!result) {
        result = w->role->serve(w);
        rabbitmq_worker_call(w, 0);
        w->role->lost(w);
    }
    if (w->connection.amqp && w->connection.is_logged_in)
        (void)amqp_set_rpc_timeout(w->connection.amqp, &close_timeout);
    rabbitmq_connection_close(&w->connection, result != RABBITMQ_E_LOST || w->connection.reply_code != 0);
    forget_socket(w);
    return result;
}

/** @ms, doubled so many times, at most @max_ms. */
static uint64_t doubled(uint64_t ms, unsigned times, uint64_t max_ms)
{
    for (; times > 0 && ms < max_ms; times--)
        ms *= 2;
    return ms < max_ms ? ms : max_ms;
}

/** How long to wait before the next try, and at which broker. */
static uint64_t plan_retry(struct rabbitmq_worker *w, int result)
{
    uint64_t lived_ms = w->up_since_ms ? clock_monotonic_ms() - w->up_since_ms : 0;
    size_t count = w->bus->config->url.count;
    unsigned round;
    uint64_t delay_ms;

    if (result == RABBITMQ_E_LOCKED) {
        delay_ms = doubled(LOCKED_RETRY_MIN_MS, w->locks++, LOCKED_RETRY_MAX_MS);
        return delay_ms * 3 / 4 + random_below(delay_ms / 2);
    }
    if (result == RABBITMQ_E_RETRY || result == RABBITMQ_E_PAUSED ||
        (result == RABBITMQ_E_CANCELLED && lived_ms > BACKOFF_MIN_MS))
        return 0;
    w->url_index = (w->url_index + 1) % count;
    round = w->attempts++ / (unsigned)count;
    if (w->url_index != 0 && lived_ms == 0)
        return random_below(50); /* another broker may be well */
    delay_ms = doubled(BACKOFF_MIN_MS, round, BACKOFF_MAX_MS);
    return delay_ms * 3 / 4 + random_below(delay_ms / 2);
}

static void pause_ms(struct rabbitmq_worker *w, uint64_t delay_ms)
{
    uint64_t now = clock_monotonic_ms(), until = now + delay_ms;

    while (now < until && !atomic_load(&w->is_stopping)) {
        rabbitmq_worker_wait(w, 0, (int)(until - now));
        now = clock_monotonic_ms();
    }
}

static void *run_thread(void *argument)
{
    struct rabbitmq_worker *w = argument;
    struct rabbitmq_bus *bus = w->bus;
    uint64_t one = 1, delay_ms;
    ssize_t written;

    (void)pthread_setname_np(pthread_self(), w->role->thread_name);
    while (!atomic_load(&w->is_stopping)) {
        int result = run_connection(w);

        if (atomic_load(&w->is_stopping))
            break; /* from here on nothing that was borrowed may be touched */
        delay_ms = plan_retry(w, result);
        w->up_since_ms = 0;
        metrics_set(w->cells, RABBITMQ_CONNECTIONS, 0);
        if (result == RABBITMQ_E_PAUSED)
            continue;
        if (result == RABBITMQ_E_LOCKED)
            metrics_add(w->cells, RABBITMQ_NAME_LOCKED, 1);
        rabbitmq_worker_report(w, result == RABBITMQ_E_LOCKED ? RABBITMQ_LINK_LOCKED : RABBITMQ_LINK_DOWN,
                               w->connection.error);
        pause_ms(w, delay_ms);
    }
    written = write(w->done_fd, &one, sizeof(one));
    (void)written;
    (void)rabbitmq_bus_unref(bus);
    return NULL;
}

/* ---- the owner's side ---- */

int rabbitmq_worker_init(struct rabbitmq_worker *w, struct rabbitmq_bus *bus, const struct rabbitmq_role *role)
{
    w->bus = bus;
    w->role = role;
    w->watch_fd = -1;
    w->connection.fd = -1;
    w->log_limit.period_ms = LOG_PERIOD_MS;
    (void)pthread_mutex_init(&w->lock, NULL);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->wake_fd < 0 || w->done_fd < 0 ? -errno : 0;
}

void rabbitmq_worker_deinit(struct rabbitmq_worker *w)
{
    if (!w->role)
        return;
    if (w->wake_fd >= 0)
        (void)close(w->wake_fd);
    if (w->done_fd >= 0)
        (void)close(w->done_fd);
    (void)pthread_mutex_destroy(&w->lock);
}

int rabbitmq_worker_start(struct rabbitmq_worker *w)
{
    sigset_t all, before;
    int error;

    (void)sigfillset(&all);
    (void)rabbitmq_bus_ref(w->bus);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited: signals are the main thread's */
    error = pthread_create(&w->thread, NULL, run_thread, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        (void)rabbitmq_bus_unref(w->bus);
        return -error;
    }
    w->is_started = true;
    return 0;
}

static void shut_down(struct rabbitmq_worker *w)
{
    (void)pthread_mutex_lock(&w->lock);
    if (w->watch_fd >= 0)
        (void)shutdown(w->watch_fd, SHUT_RDWR);
    (void)pthread_mutex_unlock(&w->lock);
}

bool rabbitmq_worker_watch(struct rabbitmq_worker *w, uint64_t now_ms)
{
    uint64_t began = atomic_load_explicit(&w->call_began_ms, memory_order_relaxed);

    if (began == 0 || now_ms < began + STUCK_MS)
        return false;
    if (!atomic_compare_exchange_strong(&w->call_began_ms, &began, 0)) /* once a call */
        return false;                                                  /* it returned this very moment */
    shut_down(w);
    return true;
}

void rabbitmq_worker_stop(struct rabbitmq_worker *w, uint64_t stop_at_ms)
{
    if (!w->is_started)
        return;
    atomic_store(&w->stop_at_ms, stop_at_ms);
    atomic_store(&w->is_stopping, true);
    rabbitmq_worker_wake(w);
}

static bool wait_done(struct rabbitmq_worker *w, uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms();
    struct pollfd fd = {.fd = w->done_fd, .events = POLLIN};
    int ready;

    do {
        ready = poll(&fd, 1, now < deadline_ms ? (int)(deadline_ms - now) : 0);
        now = clock_monotonic_ms();
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

void rabbitmq_worker_join(struct rabbitmq_worker *w, uint64_t deadline_ms)
{
    uint64_t last_chance_ms = deadline_ms + 300;

    if (!w->is_started)
        return;
    w->is_started = false;
    if (!wait_done(w, deadline_ms)) {
        shut_down(w);
        if (!wait_done(w, last_chance_ms)) {
            /* It resolves a name or connects, which nothing interrupts; it will see that it shall stop and touch only
             * its own. */
            (void)pthread_mutex_lock(&w->lock);
            w->is_detached = true;
            (void)pthread_mutex_unlock(&w->lock);
            while (atomic_load(&w->is_posting)) /* what it decided before */
                (void)sched_yield();
            (void)pthread_detach(w->thread);
            return;
        }
    }
    (void)pthread_join(w->thread, NULL);
}
