/*
 * Storm: everybody at once into one room, where a few are already and listen to a steady stream.
 *
 * Three questions: what a join costs the node, how long the newcomers wait, and whether those who were there notice. A
 * newcomer's time counts from when it was to connect until its welcome. From its welcome on it must hear the stream
 * without a gap; those who were there before must hear all of it.
 */
#include "bench.h"
#include "bench_event.h"
#include "bench_payload.h"
#include "bench_sequence.h"
#include "bench_stage.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>

struct storm_options {
    struct bench_common common;
    size_t clients, residents, others;
    bool with_count;
    size_t bytes;
    double within_s; /* 0: as fast as it goes */
    double stream_rate;
    double baseline_s;
};

enum storm_phase {
    STORM_ASSEMBLING, /* until the residents were welcomed */
    STORM_BASELINE,   /* the stream alone, to compare with */
    STORM_RAGING,     /* until the last newcomer was welcomed */
    STORM_SETTLING,   /* what a join brings with it later, with the stream going on */
    STORM_DRAINING,   /* the stream has ended: until all of it has arrived */
    STORM_CLOSING,
};

/** One side: those who were there, or those who come. */
struct crowd {
    struct storm *storm;
    struct bench_fleet *fleet;
    size_t count, welcomed_count;
    uint8_t *welcomed;                /* [member] */
    uint64_t *counts;                 /* [member] of users in the room, as told last */
    struct bench_sequence *sequences; /* [member] of the stream */
};

struct storm {
    const struct storm_options *options;
    struct bench_stage stage;
    struct bench_pacer pacer;
    struct bench_payload payload;
    enum storm_phase phase;
    struct crowd residents, newcomers;
    uint64_t phase_start_ms;
    uint64_t stream_start_ns, next;         /* message of the stream */
    uint64_t storm_first, storm_next;       /* messages sent while it raged */
    uint64_t storm_start_ns, welcomed_ns;   /* of the last one */
    uint64_t due_ns[1024];                  /* [message % 1024] */
    uint64_t deliveries;                    /* of the stream */
    uint64_t frames, online_events;         /* all that came from the storm on, and those */
    size_t right_count;                     /* members who were told the right count last */
    uint64_t right_ns;                      /* since when all are; 0: they are not */
    struct bench_histogram *joins;          /* nanoseconds */
    struct bench_histogram *calm, *stormed; /* of the residents' deliveries */
    struct bench_probe before, welcomed, after;
};

static size_t closing_fleets(const struct storm *s)
{
    return (size_t)(s->residents.fleet != NULL) + (s->newcomers.fleet != NULL);
}

static void close_all(struct storm *s)
{
    bench_pacer_stop(&s->pacer);
    if (s->residents.fleet)
        bench_fleet_close(s->residents.fleet);
    if (s->newcomers.fleet)
        bench_fleet_close(s->newcomers.fleet);
    if (closing_fleets(s) == 0)
        bench_stage_stop(&s->stage);
}

static void release_newcomers(struct storm *s);

static void set_phase(struct storm *s, enum storm_phase phase)
{
    s->phase = phase;
    s->phase_start_ms = clock_monotonic_ms();
    bench_stage_touch(&s->stage);
    switch (phase) {
    case STORM_BASELINE:
        s->stream_start_ns = clock_monotonic_ns();
        if (s->residents.count > 0)
            bench_pacer_at(&s->pacer, s->stream_start_ns);
        break;
    case STORM_RAGING:
        bench_stage_probe(&s->stage, &s->before);
        s->storm_first = s->next;
        release_newcomers(s);
        break;
    case STORM_SETTLING:
        s->storm_next = s->next;
        s->welcomed_ns = clock_monotonic_ns();
        bench_stage_probe(&s->stage, &s->welcomed);
        break;
    case STORM_DRAINING:
        bench_pacer_stop(&s->pacer);
        bench_stage_probe(&s->stage, &s->after);
        break;
    case STORM_CLOSING:
        close_all(s);
        break;
    case STORM_ASSEMBLING:
        break;
    }
    if (s->stage.failure.size > 0 && s->phase < STORM_CLOSING)
        set_phase(s, STORM_CLOSING);
}

/* ---- the stream: the first resident sends ---- */

static void send_next(struct storm *s, uint64_t due_ns)
{
    struct buffer text = {0};
    struct json_writer w;

    s->due_ns[s->next % BASE_ARRAY_SIZE(s->due_ns)] = due_ns;
    json_writer_init(&w, &text);
    json_write_object_begin(&w);
    json_write_member_text(&w, "op", "send");
    json_write_member_text(&w, "room", s->options->common.room);
    json_write_name(&w, "data");
    bench_payload_append(&s->payload, 0, s->next++, &text);
    buffer_append_char(&text, '}');
    if (!buffer_error(&text))
        (void)bench_member_send(bench_fleet_member(s->residents.fleet, 0), buffer_slice(&text));
    buffer_deinit(&text);
}

static void on_pace(void *userdata)
{
    struct storm *s = userdata;

    while (s->phase >= STORM_BASELINE && s->phase < STORM_DRAINING) {
        uint64_t due_ns = s->stream_start_ns + (uint64_t)((double)s->next * 1e9 / s->options->stream_rate);

        if (due_ns > clock_monotonic_ns()) {
            bench_pacer_at(&s->pacer, due_ns);
            return;
        }
        send_next(s, due_ns);
    }
}

/* ---- what comes ---- */

static void take_delivery(struct crowd *c, size_t member, uint64_t number, uint64_t now_ns)
{
    struct storm *s = c->storm;
    uint64_t due_ns = s->due_ns[number % BASE_ARRAY_SIZE(s->due_ns)], skipped;

    if (number >= s->next) {
        s->stage.faults.unexpected++;
        return;
    }
    switch (bench_sequence_take(&c->sequences[member], number, &skipped)) {
    case BENCH_ARRIVAL_TWICE:
        s->stage.faults.duplicated++;
        return;
    case BENCH_ARRIVAL_LATE:
        s->stage.faults.out_of_order++;
        break;
    case BENCH_ARRIVAL_NEXT:
        break;
    }
    s->deliveries++;
    if (c == &s->residents && s->next - number <= BASE_ARRAY_SIZE(s->due_ns) && now_ns > due_ns &&
        s->phase < STORM_SETTLING)
        bench_histogram_add(s->phase == STORM_RAGING ? s->stormed : s->calm, now_ns - due_ns);
}

static void take_welcome(struct crowd *c, const struct bench_member *m)
{
    struct storm *s = c->storm;
    uint64_t now_ns = clock_monotonic_ns();

    if (c->welcomed[m->index]) {
        s->stage.faults.unexpected++;
        return;
    }
    c->welcomed[m->index] = true;
    c->welcomed_count++;
    bench_sequence_begin(&c->sequences[m->index], s->next);
    if (c == &s->newcomers)
        bench_histogram_add(s->joins, now_ns - m->due_ns);
    if (c->welcomed_count == c->count)
        set_phase(s, c == &s->newcomers ? STORM_SETTLING : STORM_BASELINE);
}

/** How many users there are, as a node tells member @index. */
static void take_count(struct crowd *c, size_t index, uint64_t count)
{
    struct storm *s = c->storm;
    uint64_t right = s->residents.count + s->newcomers.count + s->options->others;

    s->online_events += s->phase >= STORM_RAGING;
    s->right_count -= c->counts[index] == right;
    c->counts[index] = count;
    s->right_count += count == right;
    if (s->right_count < s->residents.count + s->newcomers.count)
        s->right_ns = 0;
    else if (!s->right_ns)
        s->right_ns = clock_monotonic_ns();
}

static void on_event(void *userdata, const struct bench_event *event)
{
    struct bench_member *m = userdata;
    struct crowd *c = bench_fleet_userdata(m->fleet);

    if (event->is_online)
        take_count(c, m->index, event->count);
    if (event->kind == BENCH_EVENT_WELCOME)
        take_welcome(c, m);
    else if (event->kind == BENCH_EVENT_ERROR)
        bench_stage_refused(&c->storm->stage, event->code);
    else if (event->kind == BENCH_EVENT_MESSAGE && c->storm->options->others > 0)
        return; /* theirs */
    else if (event->kind != BENCH_EVENT_OTHER)
        c->storm->stage.faults.unexpected++;
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct crowd *c = bench_fleet_userdata(m->fleet);
    struct storm *s = c->storm;
    uint64_t now_ns = clock_monotonic_ns(), number;
    enum bench_payload_result result;
    struct slice rest = payload;
    bool is_ours = false;
    uint32_t stream;

    if (s->phase == STORM_CLOSING)
        return;
    s->frames += s->phase >= STORM_RAGING;
    if (s->phase != STORM_DRAINING)
        s->stage.progress_ms = now_ns / 1000000;
    while ((result = bench_payload_take(&s->payload, &rest, &stream, &number)) != BENCH_PAYLOAD_NONE) {
        is_ours = true;
        if (result == BENCH_PAYLOAD_FOUND)
            take_delivery(c, m->index, number, now_ns);
        else
            s->stage.faults.corrupted++;
    }
    if (!is_ours && (opcode != WS_OPCODE_TEXT || !bench_event_each(payload, on_event, m)))
        bench_stage_odd(&s->stage, payload);
}

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&((struct crowd *)bench_fleet_userdata(m->fleet))->storm->stage);
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct crowd *c = bench_fleet_userdata(m->fleet);
    struct storm *s = c->storm;

    if (c->welcomed[m->index]) {
        bench_stage_lost(&s->stage, m, end);
        return;
    }
    bench_stage_not_connected(&s->stage, m, end);
    set_phase(s, STORM_CLOSING);
}

static void append_path(const struct crowd *c, const char *prefix, size_t index, struct buffer *path)
{
    const struct bench_common *common = &c->storm->options->common;
    struct buffer user = {0};

    buffer_printf(&user, "%s%zu", prefix, index);
    bench_path_append(path, common->path_template, slice_from(common->room), buffer_slice(&user));
    buffer_deinit(&user);
}

static void on_resident_path(void *userdata, size_t index, struct buffer *path)
{
    append_path(userdata, "resident", index, path);
}

static void on_newcomer_path(void *userdata, size_t index, struct buffer *path)
{
    append_path(userdata, "u", index, path);
}

static void on_finished(void *userdata)
{
    struct crowd *c = userdata;

    c->fleet = bench_fleet_free(c->fleet);
    if (closing_fleets(c->storm) == 0)
        bench_stage_stop(&c->storm->stage);
}

static const struct bench_fleet_ops resident_ops = {
    .path = on_resident_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

static const struct bench_fleet_ops newcomer_ops = {
    .path = on_newcomer_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

static void release_newcomers(struct storm *s)
{
    double rate = s->options->within_s > 0 ? (double)s->options->clients / s->options->within_s : 0;

    s->storm_start_ns = clock_monotonic_ns();
    if (bench_stage_fleet(&s->stage, s->newcomers.count, rate, &newcomer_ops, &s->newcomers, &s->newcomers.fleet))
        return; /* it is a failure of the stage now, which ends the run */
}

/* ---- time ---- */

static uint64_t crowd_lost(const struct crowd *c)
{
    uint64_t lost = 0;

    for (size_t i = 0; c->sequences && i < c->count; i++)
        if (c->welcomed[i])
            lost += bench_sequence_lost(&c->sequences[i], c->storm->next);
    return lost;
}

static void on_tick(void *userdata, uint64_t now_ms)
{
    struct storm *s = userdata;
    uint64_t age_ms = now_ms - s->phase_start_ms;

    switch (s->phase) {
    case STORM_ASSEMBLING:
    case STORM_RAGING:
        if (bench_stage_is_stuck(&s->stage, now_ms)) {
            bench_stage_fail(&s->stage, "only %zu of %zu were welcomed",
                             s->residents.welcomed_count + s->newcomers.welcomed_count,
                             s->residents.count + s->newcomers.count);
            set_phase(s, STORM_CLOSING);
        }
        break;
    case STORM_BASELINE:
        if (age_ms >= (uint64_t)(s->options->baseline_s * 1e3))
            set_phase(s, STORM_RAGING);
        break;
    case STORM_SETTLING:
        if (age_ms >= (uint64_t)(s->options->common.settle_s * 1e3))
            set_phase(s, STORM_DRAINING);
        break;
    case STORM_DRAINING:
        if ((age_ms >= 100 && crowd_lost(&s->residents) + crowd_lost(&s->newcomers) == 0) ||
            bench_stage_is_stuck(&s->stage, now_ms))
            set_phase(s, STORM_CLOSING);
        break;
    case STORM_CLOSING:
        break;
    }
}

static void on_interrupt(void *userdata, bool is_first base_unused)
{
    struct storm *s = userdata;

    if (s->phase < STORM_CLOSING)
        set_phase(s, STORM_CLOSING);
}

static void progress(void *userdata, struct buffer *line)
{
    static const char *const names[] = {
        [STORM_ASSEMBLING] = "assembling", [STORM_BASELINE] = "calm",    [STORM_RAGING] = "storm",
        [STORM_SETTLING] = "settling",     [STORM_DRAINING] = "waiting", [STORM_CLOSING] = "closing",
    };
    const struct storm *s = userdata;

    buffer_printf(line, "%-10s residents %zu/%zu  newcomers %zu/%zu  stream %" PRIu64 "  arrived %" PRIu64,
                  names[s->phase], s->residents.welcomed_count, s->residents.count, s->newcomers.welcomed_count,
                  s->newcomers.count, s->next, s->deliveries);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = progress};

/* ---- the run ---- */

static int crowd_init(struct crowd *c, struct storm *s, size_t count)
{
    c->storm = s;
    c->count = count;
    c->welcomed = calloc(count + 1, sizeof(*c->welcomed));
    c->sequences = calloc(count + 1, sizeof(*c->sequences));
    c->counts = calloc(count + 1, sizeof(*c->counts));
    return c->welcomed && c->sequences && c->counts ? 0 : -ENOMEM;
}

static void crowd_deinit(struct crowd *c)
{
    bench_fleet_free(c->fleet);
    free(c->welcomed);
    free(c->counts);
    free(c->sequences);
}

static int prepare(struct storm *s)
{
    int result = crowd_init(&s->residents, s, s->options->residents);

    if (!result)
        result = crowd_init(&s->newcomers, s, s->options->clients);
    s->joins = calloc(1, sizeof(*s->joins));
    s->calm = calloc(1, sizeof(*s->calm));
    s->stormed = calloc(1, sizeof(*s->stormed));
    if (!s->joins || !s->calm || !s->stormed)
        result = -ENOMEM;
    if (!result)
        result = bench_payload_init(&s->payload, s->options->bytes);
    if (!result)
        result = bench_pacer_init(&s->pacer, s->stage.loop, on_pace, s);
    if (!result && s->residents.count > 0)
        result = bench_stage_fleet(&s->stage, s->residents.count, s->options->common.connect_rate, &resident_ops,
                                   &s->residents, &s->residents.fleet);
    if (result)
        bench_stage_fail(&s->stage, "%s", strerror(-result));
    return result;
}

static int report(struct storm *s)
{
    bool has_figures = s->welcomed_ns > 0;
    double cpu_s = s->welcomed.node_cpu_s - s->before.node_cpu_s, more_s = s->after.node_cpu_s - s->welcomed.node_cpu_s;
    struct bench_report r;

    bench_report_begin(&r, &s->options->common, false, s->stage.now.version);
    bench_report_count(&r, "newcomers", "clients", s->newcomers.welcomed_count);
    bench_report_count(&r, "residents", "residents", s->residents.welcomed_count);
    bench_report_text(&r, "over", "transport", bench_nodes_have_tls(&s->options->common.nodes) ? "TLS" : "plain TCP");
    if (has_figures) {
        double joins = (double)s->newcomers.count;

        bench_report_number(&r, "all welcome after", "all_welcome_s",
                            (double)(s->welcomed_ns - s->storm_start_ns) / 1e9, 3, "s");
        bench_report_latency(&r, "join", "join_ms", s->joins);
        if (s->after.has_cpu) {
            bench_report_number(&r, "CPU of the nodes", "node_cpu_ms_per_join", cpu_s / joins * 1e3, 4, "ms a join");
            bench_report_number(&r, "  and afterwards", "node_cpu_ms_per_join_after", more_s / joins * 1e3, 4,
                                "ms a join, with the stream");
        } else if (!r.common->json) {
            bench_report_text(&r, "CPU of the nodes", "", "not told (--metrics URL or --pid PID)");
        }
        bench_report_number(&r, "CPU of this tool", "tool_cpu_ms_per_join",
                            (s->welcomed.tool_cpu_s - s->before.tool_cpu_s) / joins * 1e3, 4, "ms a join");
        if (s->after.has_memory)
            bench_report_number(&r, "memory", "rss_bytes_each", (s->after.rss_bytes - s->before.rss_bytes) / joins, 0,
                                "bytes a connection");
        if (s->right_ns) {
            bench_report_number(&r, "right count at all after", "right_count_s",
                                s->right_ns > s->welcomed_ns ? (double)(s->right_ns - s->welcomed_ns) / 1e9 : 0, 3,
                                "s, since the last welcome");
        } else {
            bench_report_text(&r, "right count at all after", "right_count", "not in this time");
        }
        bench_report_number(&r, "counts told", "online_events_each",
                            (double)s->online_events / (joins + (double)s->residents.count), 2, "a client");
        bench_report_number(&r, "frames", "frames_each", (double)s->frames / (joins + (double)s->residents.count), 1,
                            "a client, from the storm on");
        bench_report_count(&r, "stream, sent", "sent", s->next);
        bench_report_count(&r, "of it in the storm", "sent_in_storm", s->storm_next - s->storm_first);
        bench_report_count(&r, "stream, deliveries", "received", s->deliveries);
        if (s->residents.count > 0) {
            bench_report_latency(&r, "stream before", "stream_before_ms", s->calm);
            bench_report_latency(&r, "stream in the storm", "stream_in_storm_ms", s->stormed);
        }
    }
    return bench_stage_report_end(&s->stage, &r, has_figures && (s->right_ns || !s->options->with_count),
                                  "everybody came in, and nobody missed a thing");
}

#define VALUE(member) offsetof(struct storm_options, member)

static const struct bench_option rows[] = {
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 1, 1000000, "N", "newcomers", 0},
    {"within", BENCH_OPTION_NUMBER, VALUE(within_s), 0, 3600, "S", "in so many seconds; 0: as fast as it goes", 0},
    {"residents", BENCH_OPTION_COUNT, VALUE(residents), 0, 10000, "N", "who are there before; the first one sends", 0},
    {"others", BENCH_OPTION_COUNT, VALUE(others), 0, 10000000, "N", "who are in the room by other runs", 0},
    {"count", BENCH_OPTION_FLAG, VALUE(with_count), 0, 0, NULL,
     "everybody has to hear the right count while it settles (--settle)", 0},
    {"stream-rate", BENCH_OPTION_NUMBER, VALUE(stream_rate), 0.1, 500, "N", "messages a second of the stream", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), BENCH_PAYLOAD_MIN_BYTES, 60000, "N", "bytes of their data", 0},
    {"baseline", BENCH_OPTION_NUMBER, VALUE(baseline_s), 0, 3600, "S", "how long the stream goes before the storm", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "storm",
    .about =
        "Lets many clients into one room at once, and tells what each costs, how long it waits, and what those who\n"
        "were there before notice.",
    .ending =
        "A node's CPU time for a join is that between the first connect and the last welcome; with --residents 0\n"
        "it does nothing else meanwhile.",
    .parts = BENCH_PART_NODES | BENCH_PART_PROBES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int storm_run(const struct storm_options *options)
{
    struct storm s = {.options = options};
    int code;

    if (!bench_stage_init(&s.stage, &options->common, &stage_ops, &s) && !prepare(&s)) {
        if (s.residents.count == 0)
            set_phase(&s, STORM_BASELINE);
        bench_stage_run(&s.stage);
        s.stage.faults.lost = crowd_lost(&s.residents) + crowd_lost(&s.newcomers);
    }
    code = report(&s);
    crowd_deinit(&s.residents);
    crowd_deinit(&s.newcomers);
    bench_pacer_deinit(&s.pacer);
    bench_payload_deinit(&s.payload);
    bench_stage_deinit(&s.stage);
    free(s.joins);
    free(s.calm);
    free(s.stormed);
    return code;
}

static int run(int argc, char **argv)
{
    struct storm_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 500,
                   .timeout_s = 10,
                   .settle_s = 2,
                   .pin = BENCH_NO_CPU},
        .clients = 5000,
        .residents = 20,
        .bytes = 128,
        .stream_rate = 10,
        .baseline_s = 2,
    };
    char room[sizeof("storm-") + ID_TEXT_SIZE] = "storm-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED)
        result = storm_run(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_storm = {
    .name = "storm",
    .usage = "--nodes URL[,URL]... [OPTION]...",
    .help = "everybody at once into one room: cost and time of a join, and what others notice of it",
    .run = run,
};
