#include "bench_fleet.h"

#include "base/clock.h"

#define CLOSE_PATIENCE_MS 3000
#define CONNECTS_PER_TURN 64 /* so that those that are there already are read from meanwhile */

struct bench_fleet {
    const struct bench_fleet_ops *ops;
    void *userdata;
    struct net_loop *net;
    struct net_tls *tls;
    struct client_deflate *deflate;
    const struct bench_nodes *nodes;
    double rate;
    uint32_t timeout_ms;
    struct bench_pacer pacer;
    struct loop_timer patience;
    struct loop_deferred finished;
    uint64_t start_ns;
    size_t count;
    size_t begun; /* members [0, begun) have been connected */
    size_t alive; /* have a socket */
    size_t open;
    bool is_closing;
    struct bench_member members[];
};

/** Tells the scenario; or the last one, that all are gone. */
static void member_gone(struct bench_member *m, const struct bench_end *end)
{
    struct bench_fleet *f = m->fleet;

    if (!f->is_closing)
        f->ops->on_closed(m, end);
    else if (f->alive == 0)
        loop_defer(net_loop_loop(f->net), &f->finished);
}

static void on_open(struct client_socket *c)
{
    struct bench_member *m = client_socket_userdata(c);

    m->was_open = true;
    m->fleet->open++;
    m->fleet->ops->on_open(m);
}

static void on_message(struct client_socket *c, enum ws_opcode opcode, struct slice payload)
{
    struct bench_member *m = client_socket_userdata(c);

    m->fleet->ops->on_message(m, opcode, payload);
}

static void on_ping(struct client_socket *c)
{
    struct bench_member *m = client_socket_userdata(c);

    if (m->fleet->ops->on_ping)
        m->fleet->ops->on_ping(m);
}

static void on_closed(struct client_socket *c, unsigned code, unsigned http_status, struct slice text)
{
    struct bench_member *m = client_socket_userdata(c);
    const struct bench_end end = {.code = code, .http_status = http_status, .text = text};

    m->socket = NULL;
    m->fleet->alive--;
    m->fleet->open -= m->was_open;
    member_gone(m, &end);
    client_socket_free(c); /* last: the text was its own */
}

static const struct client_socket_ops socket_ops = {
    .on_open = on_open, .on_message = on_message, .on_ping = on_ping, .on_closed = on_closed};

/** Whatever prevents it is told like a connection that failed. */
static void member_connect(struct bench_member *m)
{
    struct bench_fleet *f = m->fleet;
    struct client_socket_options options = {.timeout_ms = f->timeout_ms};
    struct bench_end end = {.code = WS_CLOSE_ABNORMAL};
    const char *error = NULL;
    struct buffer url = {0};
    int result;

    buffer_append_slice(&url, f->nodes->urls[m->node]);
    f->ops->path(f->userdata, m->index, &url);
    result = buffer_error(&url);
    options.url = url.data;
    if (slice_starts_with(f->nodes->urls[m->node], SLICE_LITERAL("wss://")))
        options.tls = f->tls;
    if (m->deflates)
        options.deflate = f->deflate;
    if (!result)
        result = client_socket_new(f->net, &options, &socket_ops, m, &error, &m->socket);
    buffer_deinit(&url);
    if (!result) {
        f->alive++;
        return;
    }
    end.text = slice_from(error ? error : strerror(-result));
    member_gone(m, &end);
}

static uint64_t due_ns(const struct bench_fleet *f, size_t index)
{
    return f->rate > 0 ? f->start_ns + (uint64_t)((double)index * 1e9 / f->rate) : f->start_ns;
}

/** Connects those that are due; what was late is caught up with. */
static void on_pace(void *userdata)
{
    struct bench_fleet *f = userdata;
    uint64_t now_ns = clock_monotonic_ns();

    for (size_t i = 0; i < CONNECTS_PER_TURN; i++) {
        struct bench_member *m = &f->members[f->begun];

        if (f->begun == f->count || f->is_closing || due_ns(f, f->begun) > now_ns)
            break;
        m->due_ns = f->rate > 0 ? due_ns(f, f->begun) : clock_monotonic_ns();
        f->begun++;
        member_connect(m);
    }
    if (f->begun < f->count && !f->is_closing)
        bench_pacer_at(&f->pacer, due_ns(f, f->begun));
}

static void on_finished(void *userdata)
{
    struct bench_fleet *f = userdata;

    loop_timer_stop(&f->patience);
    f->ops->on_finished(f->userdata);
}

static void on_impatience(void *userdata)
{
    struct bench_fleet *f = userdata;

    for (size_t i = 0; i < f->begun; i++)
        if (f->members[i].socket)
            client_socket_abort(f->members[i].socket);
}

int bench_fleet_new(struct net_loop *n, const struct bench_fleet_options *options, const struct bench_fleet_ops *ops,
                    void *userdata, struct bench_fleet **ret_fleet)
{
    struct loop *loop = net_loop_loop(n);
    struct bench_fleet *f;
    int result;

    if (options->count > (SIZE_MAX - sizeof(*f)) / sizeof(f->members[0]))
        return -ENOMEM;
    f = calloc(1, sizeof(*f) + options->count * sizeof(f->members[0]));
    if (!f)
        return -ENOMEM;
    result = bench_pacer_init(&f->pacer, loop, on_pace, f);
    if (result) {
        free(f);
        return result;
    }
    f->ops = ops;
    f->userdata = userdata;
    f->net = n;
    f->nodes = options->nodes;
    f->tls = options->tls;
    f->deflate = options->deflate;
    f->rate = options->rate;
    f->timeout_ms = options->timeout_ms;
    f->count = options->count;
    for (size_t i = 0; i < f->count; i++)
        f->members[i] = (struct bench_member){.fleet = f, .index = i, .node = i % f->nodes->count};
    loop_timer_init(&f->patience, loop, on_impatience, f);
    loop_deferred_init(&f->finished, on_finished, f);
    f->start_ns = clock_monotonic_ns();
    bench_pacer_at(&f->pacer, f->start_ns);
    *ret_fleet = f;
    return 0;
}

struct bench_fleet *bench_fleet_free(struct bench_fleet *f)
{
    if (!f)
        return NULL;
    assert(f->alive == 0);
    loop_deferred_cancel(&f->finished);
    loop_timer_deinit(&f->patience);
    bench_pacer_deinit(&f->pacer);
    free(f);
    return NULL;
}

void *bench_fleet_userdata(const struct bench_fleet *f)
{
    return f->userdata;
}

struct bench_member *bench_fleet_member(struct bench_fleet *f, size_t index)
{
    assert(index < f->count);
    return &f->members[index];
}

size_t bench_fleet_open(const struct bench_fleet *f)
{
    return f->open;
}

int bench_member_send(struct bench_member *m, struct slice text)
{
    return m->socket ? client_socket_send(m->socket, WS_OPCODE_TEXT, text) : -ENOTCONN;
}

int bench_member_send_binary(struct bench_member *m, struct slice data)
{
    return m->socket ? client_socket_send(m->socket, WS_OPCODE_BINARY, data) : -ENOTCONN;
}

void bench_member_reconnect(struct bench_member *m, size_t node)
{
    assert(!m->socket && node < m->fleet->nodes->count);
    if (m->fleet->is_closing)
        return;
    m->was_open = false;
    m->node = node;
    m->due_ns = clock_monotonic_ns();
    member_connect(m);
}

void bench_fleet_close(struct bench_fleet *f)
{
    if (f->is_closing)
        return;
    f->is_closing = true;
    bench_pacer_stop(&f->pacer);
    if (f->alive == 0)
        loop_defer(net_loop_loop(f->net), &f->finished);
    else
        loop_timer_start(&f->patience, CLOSE_PATIENCE_MS);
    for (size_t i = 0; i < f->begun; i++)
        if (f->members[i].socket)
            client_socket_close(f->members[i].socket, WS_CLOSE_NORMAL);
}
