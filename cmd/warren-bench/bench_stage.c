#include "bench_stage.h"

#include "base/clock.h"
#include "base/json.h"
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define PROGRESS_MS 1000
#define ODDITY_BYTES 300

static void tell(struct bench_stage *s)
{
    bool is_tty = isatty(STDERR_FILENO) == 1;
    struct buffer line = {0};

    s->ops->progress(s->userdata, &line);
    (void)fprintf(stderr, "%s%s%s", is_tty ? "\r\033[K" : "", line.data ? line.data : "", is_tty ? "" : "\n");
    (void)fflush(stderr);
    buffer_deinit(&line);
}

static void on_tick(void *userdata)
{
    struct bench_stage *s = userdata;
    uint64_t now_ms = clock_monotonic_ms();

    if (now_ms >= s->told_ms + PROGRESS_MS) {
        s->told_ms = now_ms;
        tell(s);
    }
    loop_timer_start(&s->tick, BENCH_TICK_MS);
    s->ops->on_tick(s->userdata, now_ms);
}

static void on_signal(void *userdata, int signal_number base_unused)
{
    struct bench_stage *s = userdata;
    bool is_first = !s->is_interrupted;

    s->is_interrupted = true;
    s->ops->on_interrupt(s->userdata, is_first);
}

static int make_tls(struct bench_stage *s)
{
    struct buffer error = {0};
    int result;

    if (!bench_nodes_have_tls(&s->common->nodes))
        return 0;
    result = net_tls_client_new(s->common->ca_file, !s->common->insecure, &error, &s->tls);
    if (result)
        bench_stage_fail(s, "%s", error.data ? error.data : strerror(-result));
    buffer_deinit(&error);
    return result;
}

static int make_loop(struct bench_stage *s)
{
    static const int signals[] = {SIGINT, SIGTERM};
    int result = loop_new("bench", &s->loop);

    if (!result)
        result = net_loop_new(s->loop, &s->net);
    if (!result) {
        s->deflate = client_deflate_new();
        result = s->deflate ? 0 : -ENOMEM;
    }
    if (!result)
        loop_timer_init(&s->tick, s->loop, on_tick, s);
    for (size_t i = 0; !result && i < BASE_ARRAY_SIZE(signals); i++)
        result = loop_signal_new(s->loop, signals[i], on_signal, s, &s->signals[i]);
    if (result)
        bench_stage_fail(s, "%s", strerror(-result));
    return result;
}

int bench_stage_init(struct bench_stage *s, const struct bench_common *c, const struct bench_stage_ops *ops,
                     void *userdata)
{
    int result = 0;

    *s = (struct bench_stage){.common = c, .ops = ops, .userdata = userdata, .progress_ms = clock_monotonic_ms()};
    s->told_ms = s->progress_ms;
    if (c->pin != BENCH_NO_CPU)
        result = bench_pin(c->pin);
    if (result)
        bench_stage_fail(s, "--pin %zu: %s", c->pin, strerror(-result));
    if (!result)
        result = make_tls(s);
    if (!result)
        result = make_loop(s);
    return result;
}

void bench_stage_deinit(struct bench_stage *s)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(s->signals); i++)
        loop_signal_free(s->signals[i]);
    loop_timer_deinit(&s->tick);
    net_loop_free(s->net);
    loop_free(s->loop);
    net_tls_unref(s->tls);
    client_deflate_free(s->deflate);
    bench_faults_deinit(&s->faults);
    buffer_deinit(&s->failure);
}

void bench_stage_run(struct bench_stage *s)
{
    loop_timer_start(&s->tick, BENCH_TICK_MS);
    loop_run(s->loop);
}

void bench_stage_stop(struct bench_stage *s)
{
    loop_stop(s->loop);
}

int bench_stage_fleet(struct bench_stage *s, size_t count, double rate, const struct bench_fleet_ops *ops,
                      void *userdata, struct bench_fleet **ret_fleet)
{
    const struct bench_fleet_options options = {
        .nodes = &s->common->nodes,
        .tls = s->tls,
        .deflate = s->deflate,
        .count = count,
        .rate = rate,
        .timeout_ms = (uint32_t)(s->common->timeout_s * 1e3),
    };
    int result = bench_fleet_new(s->net, &options, ops, userdata, ret_fleet);

    if (result)
        bench_stage_fail(s, "%s", strerror(-result));
    return result;
}

void bench_stage_touch(struct bench_stage *s)
{
    s->progress_ms = clock_monotonic_ms();
}

bool bench_stage_is_stuck(const struct bench_stage *s, uint64_t now_ms)
{
    return now_ms > s->progress_ms + (uint64_t)(s->common->timeout_s * 1e3);
}

void bench_stage_fail(struct bench_stage *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (s->failure.size == 0)
        buffer_vprintf(&s->failure, format, args);
    va_end(args);
}

static void append_why(const struct bench_stage *s, const struct bench_member *m, const struct bench_end *end,
                       struct buffer *out)
{
    buffer_printf(out, "%.*s: %.*s", SLICE_PRINTF(s->common->nodes.urls[m->node]), SLICE_PRINTF(end->text));
    if (end->http_status)
        buffer_printf(out, " (HTTP %u)", end->http_status);
    else if (end->code != WS_CLOSE_ABNORMAL)
        buffer_printf(out, " (close code %u)", end->code);
}

void bench_stage_lost(struct bench_stage *s, const struct bench_member *m, const struct bench_end *end)
{
    s->faults.disconnects++;
    if (s->faults.disconnect.size == 0)
        append_why(s, m, end, &s->faults.disconnect);
}

void bench_stage_not_connected(struct bench_stage *s, const struct bench_member *m, const struct bench_end *end)
{
    struct buffer why = {0};

    if (m->was_open)
        bench_stage_lost(s, m, end);
    s->is_unreachable = !m->was_open && end->http_status == 0;
    append_why(s, m, end, &why);
    bench_stage_fail(s, "%s", why.data ? why.data : "out of memory");
    buffer_deinit(&why);
}

void bench_stage_refused(struct bench_stage *s, struct slice raw_code)
{
    s->faults.refused++;
    if (s->faults.refusal.size == 0 && slice_is_set(raw_code))
        json_string_decode(raw_code, &s->faults.refusal);
}

void bench_stage_odd(struct bench_stage *s, struct slice frame)
{
    s->faults.unexpected++;
    for (size_t i = 0; s->faults.oddity.size < ODDITY_BYTES && i < frame.size && s->faults.unexpected == 1; i++)
        buffer_append_char(&s->faults.oddity, frame.data[i] >= ' ' && frame.data[i] <= '~' ? frame.data[i] : '.');
}

void bench_stage_probe(struct bench_stage *s, struct bench_probe *ret_probe)
{
    struct buffer error = {0};
    int result = bench_probe_take(s->common, &s->now, &error);

    if (result)
        bench_stage_fail(s, "%s", error.data ? error.data : "out of memory");
    else
        *ret_probe = s->now;
    s->is_unreachable |= result == -EHOSTUNREACH;
    buffer_deinit(&error);
}

int bench_stage_report_end(struct bench_stage *s, struct bench_report *r, bool is_ok, const char *praise)
{
    int code;

    bench_report_faults(r, &s->faults);
    code = bench_report_end(r, is_ok && !bench_faults_any(&s->faults), s->is_interrupted,
                            s->failure.size ? s->failure.data : NULL, praise);
    return s->is_unreachable ? BENCH_UNREACHABLE : code;
}
