/* What is told of a run: a line a second while it goes, at the end a table for people or an object for programs. */
#include "bench.h"
#include "replay.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LOSSES_SHOWN 5

static const struct {
    const char *label;
    const char *name;
    unsigned per_hundred_thousand;
} percentiles[] = {
    {"p50", "p50", 50000},    {"p90", "p90", 90000},  {"p99", "p99", 99000},
    {"p99.9", "p999", 99900}, {"max", "max", 100000},
};

static double percentile_ms(const struct replay *r, size_t row)
{
    return (double)bench_histogram_percentile(r->latency, percentiles[row].per_hundred_thousand) / 1e6;
}

void replay_print_progress(const struct replay *r)
{
    static const char *const names[] = {
        [REPLAY_CONNECTING] = "connecting", [REPLAY_SENDING] = "sending", [REPLAY_DRAINING] = "waiting",
        [REPLAY_SETTLING] = "settling",     [REPLAY_CLOSING] = "closing",
    };
    bool is_tty = isatty(STDERR_FILENO) == 1;
    uint64_t now_ns = clock_monotonic_ns();
    double seconds = r->start_ns && now_ns > r->start_ns ? (double)(now_ns - r->start_ns) / 1e9 : 0;

    (void)fprintf(stderr,
                  "%s%-10s %6.1f s  viewers %zu/%zu  sent %" PRIu64 "/%zu  accepted %" PRIu64 "  arrived %" PRIu64
                  "  under way %" PRIu64 "  p99 %.2f ms  faults %" PRIu64 "%s",
                  is_tty ? "\r\033[K" : "", names[r->phase], seconds, r->welcomed_count, r->ledger.viewers, r->sent,
                  r->file.comment_count, r->accepted, r->ledger.received, r->missing, percentile_ms(r, 2),
                  r->ledger.duplicated + r->ledger.out_of_order + r->corrupted + r->unexpected + r->refused +
                      r->disconnects,
                  is_tty ? "" : "\n");
    (void)fflush(stderr);
}

/** What the end adds up to. */
struct summary {
    uint64_t expected, lost, unanswered, unsent;
    double duration_s, cpu_s;
    bool is_ok;
};

static struct summary summarize(const struct replay *r)
{
    struct summary s = {.lost = r->missing, .cpu_s = (double)clock_process_cpu_us() / 1e6};

    for (size_t i = 0; i < r->file.comment_count; i++) {
        s.unsent += r->answers[i] == REPLAY_UNSENT;
        s.unanswered += r->answers[i] == REPLAY_UNANSWERED;
        if (r->answers[i] == REPLAY_UNANSWERED || r->answers[i] == REPLAY_ACCEPTED)
            s.expected += r->ledger.viewers;
    }
    if (r->start_ns && r->last_ns > r->start_ns)
        s.duration_s = (double)(r->last_ns - r->start_ns) / 1e9;
    s.is_ok = r->failure.size == 0 && !r->is_interrupted && s.lost == 0 && s.unsent == 0 && s.unanswered == 0 &&
              r->refused == 0 && r->ledger.duplicated == 0 && r->ledger.out_of_order == 0 && r->corrupted == 0 &&
              r->unexpected == 0 && r->disconnects == 0;
    return s;
}

/* ---- for programs ---- */

static void write_nodes(struct json_writer *w, const struct bench_nodes *nodes)
{
    json_write_name(w, "nodes");
    json_write_array_begin(w);
    for (size_t i = 0; i < nodes->count; i++)
        json_write_string(w, nodes->urls[i]);
    json_write_array_end(w);
}

static void write_counts(struct json_writer *w, const struct replay *r, const struct summary *s)
{
    json_write_member_uint64(w, "viewers", r->ledger.viewers);
    json_write_member_uint64(w, "welcomed", r->welcomed_count);
    json_write_member_uint64(w, "comments", r->file.comment_count);
    json_write_member_uint64(w, "sent", r->sent);
    json_write_member_uint64(w, "unsent", s->unsent);
    json_write_member_uint64(w, "accepted", r->accepted);
    json_write_member_uint64(w, "refused", r->refused);
    json_write_member_uint64(w, "unanswered", s->unanswered);
    json_write_member_uint64(w, "expected", s->expected);
    json_write_member_uint64(w, "received", r->ledger.received);
    json_write_member_uint64(w, "lost", s->lost);
    json_write_member_uint64(w, "duplicated", r->ledger.duplicated);
    json_write_member_uint64(w, "out_of_order", r->ledger.out_of_order);
    json_write_member_uint64(w, "corrupted", r->corrupted);
    json_write_member_uint64(w, "unexpected", r->unexpected);
    json_write_member_uint64(w, "disconnects", r->disconnects);
}

static void write_text_if_any(struct json_writer *w, const char *name, const struct buffer *text)
{
    if (text->size > 0)
        json_write_member_string(w, name, buffer_slice(text));
}

static int print_json(const struct replay *r, const struct summary *s)
{
    struct buffer out = {0};
    struct json_writer w;
    int result;

    json_writer_init(&w, &out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "scenario", "replay");
    json_write_member_bool(&w, "ok", s->is_ok);
    write_text_if_any(&w, "failure", &r->failure);
    json_write_member_bool(&w, "interrupted", r->is_interrupted);
    write_nodes(&w, &r->options->nodes);
    json_write_member_text(&w, "room", r->options->room);
    write_counts(&w, r, s);
    write_text_if_any(&w, "refusal", &r->refusal);
    write_text_if_any(&w, "disconnect", &r->disconnect);
    json_write_name(&w, "latency_ms");
    json_write_object_begin(&w);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(percentiles); i++) {
        json_write_name(&w, percentiles[i].name);
        json_write_double(&w, percentile_ms(r, i));
    }
    json_write_object_end(&w);
    json_write_name(&w, "duration_s");
    json_write_double(&w, s->duration_s);
    json_write_name(&w, "cpu_s");
    json_write_double(&w, s->cpu_s);
    json_write_object_end(&w);
    result = buffer_error(&out) ? -ENOMEM : 0;
    if (!result)
        (void)printf("%s\n", out.data);
    buffer_deinit(&out);
    return result;
}

/* ---- for people ---- */

static void print_nodes(const struct replay *r)
{
    size_t count = r->options->nodes.count;

    for (size_t i = 0; i < count; i++)
        (void)printf("  %-14s %.*s, %zu viewers\n", i ? "" : "nodes", SLICE_PRINTF(r->options->nodes.urls[i]),
                     r->ledger.viewers / count + (i < r->ledger.viewers % count));
}

static void print_faults(const struct replay *r, const struct summary *s)
{
    const struct {
        const char *name;
        uint64_t count;
        const char *more;
    } rows[] = {
        {"not sent", s->unsent, ""},
        {"refused", r->refused, r->refusal.size ? r->refusal.data : ""},
        {"unanswered", s->unanswered, ""},
        {"lost", s->lost, ""},
        {"duplicated", r->ledger.duplicated, ""},
        {"out of order", r->ledger.out_of_order, ""},
        {"corrupted", r->corrupted, ""},
        {"unexpected", r->unexpected, ""},
        {"disconnects", r->disconnects, r->disconnect.size ? r->disconnect.data : ""},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++)
        (void)printf("  %-14s %" PRIu64 "%s%s\n", rows[i].name, rows[i].count, rows[i].more[0] ? "  first: " : "",
                     rows[i].more);
}

/** Where to look: the first few deliveries that are missing. */
static void print_losses(const struct replay *r)
{
    unsigned shown = 0;

    for (size_t n = 0; n < r->file.comment_count && shown < LOSSES_SHOWN; n++) {
        if ((r->answers[n] != REPLAY_UNANSWERED && r->answers[n] != REPLAY_ACCEPTED) ||
            r->ledger.arrived[n] == r->ledger.viewers)
            continue;
        for (size_t v = 0; v < r->ledger.viewers && shown < LOSSES_SHOWN; v++) {
            if (bench_ledger_has(&r->ledger, v, n))
                continue;
            (void)printf("  %-14s comment %zu of %.*s at viewer %.*s on %.*s\n", shown++ ? "" : "lost are", n,
                         SLICE_PRINTF(r->file.senders[r->file.comments[n].sender]), SLICE_PRINTF(r->file.senders[v]),
                         SLICE_PRINTF(r->options->nodes.urls[v % r->options->nodes.count]));
        }
    }
}

static void print_table(const struct replay *r, const struct summary *s)
{
    (void)printf("replay of %s at %g times its speed, room %s\n", r->options->path, r->options->speed,
                 r->options->room);
    print_nodes(r);
    (void)printf("  %-14s %" PRIu64 " of %zu, %" PRIu64 " accepted\n", "comments sent", r->sent, r->file.comment_count,
                 r->accepted);
    (void)printf("  %-14s %" PRIu64 " of %" PRIu64 " expected\n", "deliveries", r->ledger.received, s->expected);
    print_faults(r, s);
    print_losses(r);
    (void)printf("  %-14s", "latency, ms");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(percentiles); i++)
        (void)printf("%s %s %.3f", i ? "," : "", percentiles[i].label, percentile_ms(r, i));
    (void)printf("\n  %-14s %.2f s, of which this tool computed %.2f s\n", "duration", s->duration_s, s->cpu_s);
    (void)printf("%s\n", s->is_ok            ? "OK: every viewer got every comment once, unchanged and in order"
                         : r->is_interrupted ? "FAILED: interrupted"
                                             : "FAILED");
}

int replay_report(struct replay *r)
{
    const struct summary s = summarize(r);

    if (isatty(STDERR_FILENO) == 1)
        (void)fputs("\r\033[K", stderr);
    if (r->options->json) {
        if (print_json(r, &s))
            return BENCH_FAILED;
    } else if (r->start_ns) {
        print_table(r, &s);
    }
    if (r->failure.size > 0)
        (void)fprintf(stderr, "warren-bench: %s\n", r->failure.data);
    if (r->is_unreachable)
        return BENCH_UNREACHABLE;
    return s.is_ok ? BENCH_OK : BENCH_FAILED;
}
