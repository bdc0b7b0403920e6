/* What is told of a run: a line a second while it goes, at the end a table for people or an object for programs. */
#include "bench.h"
#include "replay.h"

#include "base/clock.h"

#include <inttypes.h>

#define LOSSES_SHOWN 5

void replay_progress(void *userdata, struct buffer *line)
{
    static const char *const names[] = {
        [REPLAY_CONNECTING] = "connecting", [REPLAY_SENDING] = "sending", [REPLAY_DRAINING] = "waiting",
        [REPLAY_SETTLING] = "settling",     [REPLAY_CLOSING] = "closing",
    };
    const struct replay *r = userdata;
    const struct bench_faults *faults = &r->stage.faults;
    uint64_t now_ns = clock_monotonic_ns();
    double seconds = r->start_ns && now_ns > r->start_ns ? (double)(now_ns - r->start_ns) / 1e9 : 0;

    buffer_printf(line,
                  "%-10s %6.1f s  viewers %zu/%zu  sent %" PRIu64 "/%zu  accepted %" PRIu64 "  arrived %" PRIu64
                  "  under way %" PRIu64 "  p99 %.2f ms  faults %" PRIu64,
                  names[r->phase], seconds, r->welcomed_count, r->ledger.viewers, r->sent, r->file.comment_count,
                  r->accepted, r->ledger.received, r->missing,
                  (double)bench_histogram_percentile(r->latency, 99000) / 1e6,
                  r->ledger.duplicated + r->ledger.out_of_order + faults->corrupted + faults->unexpected +
                      faults->refused + faults->disconnects);
}

/** What the end adds up to. */
struct summary {
    uint64_t expected, unanswered, unsent;
    double duration_s;
};

static struct summary summarize(const struct replay *r)
{
    struct summary s = {.expected = 0};

    for (size_t i = 0; i < r->file.comment_count; i++) {
        s.unsent += r->answers[i] == REPLAY_UNSENT;
        s.unanswered += r->answers[i] == REPLAY_UNANSWERED;
        if (r->answers[i] == REPLAY_UNANSWERED || r->answers[i] == REPLAY_ACCEPTED)
            s.expected += r->ledger.viewers;
    }
    if (r->start_ns && r->last_ns > r->start_ns)
        s.duration_s = (double)(r->last_ns - r->start_ns) / 1e9;
    return s;
}

/** Where to look: the first few deliveries that are missing. For people. */
static void report_losses(struct bench_report *report, const struct replay *r)
{
    struct slice node, sender;
    struct buffer line = {0};
    unsigned shown = 0;

    for (size_t n = 0; n < r->file.comment_count && shown < LOSSES_SHOWN && !report->common->json; n++) {
        if ((r->answers[n] != REPLAY_UNANSWERED && r->answers[n] != REPLAY_ACCEPTED) ||
            r->ledger.arrived[n] == r->ledger.viewers)
            continue;
        sender = r->file.senders[r->file.comments[n].sender];
        for (size_t v = 0; v < r->ledger.viewers && shown < LOSSES_SHOWN; v++) {
            if (bench_ledger_has(&r->ledger, v, n))
                continue;
            node = report->common->nodes.urls[v % report->common->nodes.count];
            buffer_truncate(&line, 0);
            buffer_printf(&line, "comment %zu of %.*s at viewer %.*s on %.*s", n, SLICE_PRINTF(sender),
                          SLICE_PRINTF(r->file.senders[v]), SLICE_PRINTF(node));
            bench_report_text(report, shown++ ? "" : "lost are", "", line.data ? line.data : "");
        }
    }
    buffer_deinit(&line);
}

int replay_report(struct replay *r)
{
    const struct summary s = summarize(r);
    struct bench_probe end = {0};
    struct bench_report report;

    bench_stage_probe(&r->stage, &end);
    r->stage.faults.lost = r->missing;
    r->stage.faults.duplicated = r->ledger.duplicated;
    r->stage.faults.out_of_order = r->ledger.out_of_order;
    bench_report_begin(&report, &r->options->common, false, r->stage.now.version);
    bench_report_number(&report, "speed", "speed", r->options->speed, 1, "times as fast as recorded");
    bench_report_text(&report, "room", "room", r->options->common.room);
    bench_report_count(&report, "viewers", "viewers", r->ledger.viewers);
    bench_report_count(&report, NULL, "welcomed", r->welcomed_count);
    bench_report_count(&report, "comments", "comments", r->file.comment_count);
    bench_report_count(&report, "sent", "sent", r->sent);
    bench_report_count(&report, "not sent", "unsent", s.unsent);
    bench_report_count(&report, "accepted", "accepted", r->accepted);
    bench_report_count(&report, "unanswered", "unanswered", s.unanswered);
    bench_report_count(&report, "deliveries expected", "expected", s.expected);
    bench_report_count(&report, "deliveries", "received", r->ledger.received);
    bench_report_latency(&report, "latency", "latency_ms", r->latency);
    bench_report_number(&report, "duration", "duration_s", s.duration_s, 2, "s");
    bench_report_number(&report, "CPU of this tool", "cpu_s", end.tool_cpu_s, 2, "s");
    report_losses(&report, r);
    return bench_stage_report_end(&r->stage, &report, s.unsent == 0 && s.unanswered == 0,
                                  "every viewer got every comment once, unchanged and in order");
}
