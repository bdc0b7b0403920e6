/*
 * Voice: some speak in a room, by binary frames at a steady rate, and everybody else hears them.
 *
 * A frame is due at its place in the rate, whatever the nodes do, and its latency counts from then. What is skipped is
 * lost: relayed frames are neither kept nor repeated, and the oldest go where a listener is too slow.
 */
#include "bench.h"
#include "bench_event.h"
#include "bench_payload.h"
#include "bench_sequence.h"
#include "bench_stage.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>

struct voice_options {
    struct bench_common common;
    size_t clients, speakers, bytes;
    double rate, seconds;
};

enum voice_phase {
    VOICE_ASSEMBLING, /* until everybody was welcomed */
    VOICE_QUIET,      /* until the joins have been told */
    VOICE_SPEAKING,
    VOICE_DRAINING, /* until all of it has arrived */
    VOICE_CLOSING,
};

struct voice {
    const struct voice_options *options;
    struct bench_stage stage;
    struct bench_pacer pacer;
    struct bench_payload payload;
    struct bench_fleet *fleet;
    enum voice_phase phase;
    uint64_t phase_start_ms, start_ns, end_ns;
    uint8_t *welcomed; /* [member] */
    size_t welcomed_count;
    struct bench_sequence *sequences; /* [member * speakers + speaker] */
    uint64_t next;                    /* frame of all: speakers take turns */
    uint64_t deliveries;
    struct bench_histogram *latency;
    struct bench_probe before, after;
};

static void set_phase(struct voice *v, enum voice_phase phase)
{
    v->phase = phase;
    v->phase_start_ms = clock_monotonic_ms();
    bench_stage_touch(&v->stage);
    if (phase == VOICE_SPEAKING) {
        bench_stage_probe(&v->stage, &v->before);
        v->start_ns = clock_monotonic_ns();
        bench_pacer_at(&v->pacer, v->start_ns);
    } else if (phase == VOICE_DRAINING) {
        bench_pacer_stop(&v->pacer);
        v->end_ns = clock_monotonic_ns();
        bench_stage_probe(&v->stage, &v->after);
    } else if (phase == VOICE_CLOSING) {
        bench_pacer_stop(&v->pacer);
        if (v->fleet)
            bench_fleet_close(v->fleet);
        else
            bench_stage_stop(&v->stage);
    }
    if (v->stage.failure.size > 0 && v->phase < VOICE_CLOSING)
        set_phase(v, VOICE_CLOSING);
}

static uint64_t due_ns(const struct voice *v, uint64_t frame)
{
    return v->start_ns + (uint64_t)((double)frame * 1e9 / (v->options->rate * (double)v->options->speakers));
}

static void on_pace(void *userdata)
{
    struct voice *v = userdata;

    while (v->phase == VOICE_SPEAKING) {
        size_t speaker = v->next % v->options->speakers;
        struct buffer data = {0};

        if (due_ns(v, v->next) > clock_monotonic_ns()) {
            bench_pacer_at(&v->pacer, due_ns(v, v->next));
            return;
        }
        bench_payload_append(&v->payload, (uint32_t)speaker, v->next / v->options->speakers, &data);
        if (!buffer_error(&data))
            (void)bench_member_send_binary(bench_fleet_member(v->fleet, speaker), buffer_slice(&data));
        buffer_deinit(&data);
        v->next++;
    }
}

static void take_frame(struct voice *v, size_t member, size_t speaker, uint64_t number)
{
    uint64_t frame = number * v->options->speakers + speaker, now_ns = clock_monotonic_ns(), skipped;

    if (speaker >= v->options->speakers || frame >= v->next || speaker == member) {
        v->stage.faults.unexpected++;
        return;
    }
    switch (bench_sequence_take(&v->sequences[member * v->options->speakers + speaker], number, &skipped)) {
    case BENCH_ARRIVAL_TWICE:
        v->stage.faults.duplicated++;
        return;
    case BENCH_ARRIVAL_LATE:
        v->stage.faults.out_of_order++;
        break;
    case BENCH_ARRIVAL_NEXT:
        break;
    }
    v->deliveries++;
    bench_histogram_add(v->latency, now_ns > due_ns(v, frame) ? now_ns - due_ns(v, frame) : 0);
}

static void on_event(void *userdata, const struct bench_event *event)
{
    struct bench_member *m = userdata;
    struct voice *v = bench_fleet_userdata(m->fleet);

    if (event->kind == BENCH_EVENT_ERROR) {
        bench_stage_refused(&v->stage, event->code);
    } else if (event->kind == BENCH_EVENT_WELCOME && !v->welcomed[m->index]) {
        v->welcomed[m->index] = true;
        if (++v->welcomed_count == v->options->clients)
            set_phase(v, VOICE_QUIET);
    } else if (event->kind != BENCH_EVENT_OTHER) {
        v->stage.faults.unexpected++;
    }
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct voice *v = bench_fleet_userdata(m->fleet);
    struct slice rest = payload;
    uint32_t speaker;
    uint64_t number;

    if (v->phase == VOICE_CLOSING)
        return;
    if (opcode == WS_OPCODE_TEXT) {
        if (!bench_event_each(payload, on_event, m))
            bench_stage_odd(&v->stage, payload);
        return;
    }
    if (v->phase != VOICE_DRAINING)
        bench_stage_touch(&v->stage);
    if (bench_payload_take(&v->payload, &rest, &speaker, &number) == BENCH_PAYLOAD_FOUND && rest.size == 0)
        take_frame(v, m->index, speaker, number);
    else
        v->stage.faults.corrupted++;
}

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&((struct voice *)bench_fleet_userdata(m->fleet))->stage);
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct voice *v = bench_fleet_userdata(m->fleet);

    if (v->welcomed[m->index]) {
        bench_stage_lost(&v->stage, m, end);
        return;
    }
    bench_stage_not_connected(&v->stage, m, end);
    set_phase(v, VOICE_CLOSING);
}

static void on_path(void *userdata, size_t index, struct buffer *path)
{
    const struct bench_common *common = &((struct voice *)userdata)->options->common;
    char user[24];

    (void)snprintf(user, sizeof(user), "u%zu", index);
    bench_path_append(path, common->path_template, slice_from(common->room), slice_from(user));
}

static void on_finished(void *userdata)
{
    struct voice *v = userdata;

    v->fleet = bench_fleet_free(v->fleet);
    bench_stage_stop(&v->stage);
}

static const struct bench_fleet_ops fleet_ops = {
    .path = on_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

/** Each speaker's frames at each other member. */
static uint64_t expected(const struct voice *v)
{
    return v->next * (v->options->clients - 1);
}

static void on_tick(void *userdata, uint64_t now_ms)
{
    struct voice *v = userdata;
    uint64_t age_ms = now_ms - v->phase_start_ms;

    if (v->phase == VOICE_ASSEMBLING && bench_stage_is_stuck(&v->stage, now_ms)) {
        bench_stage_fail(&v->stage, "only %zu of %zu were welcomed", v->welcomed_count, v->options->clients);
        set_phase(v, VOICE_CLOSING);
    } else if (v->phase == VOICE_QUIET && age_ms >= (uint64_t)(v->options->common.settle_s * 1e3)) {
        set_phase(v, VOICE_SPEAKING);
    } else if (v->phase == VOICE_SPEAKING && age_ms >= (uint64_t)(v->options->seconds * 1e3)) {
        set_phase(v, VOICE_DRAINING);
    } else if (v->phase == VOICE_DRAINING && age_ms >= 100 &&
               (v->deliveries >= expected(v) || bench_stage_is_stuck(&v->stage, now_ms))) {
        set_phase(v, VOICE_CLOSING);
    }
}

static void on_interrupt(void *userdata, bool is_first base_unused)
{
    struct voice *v = userdata;

    if (v->phase < VOICE_CLOSING)
        set_phase(v, VOICE_CLOSING);
}

static void progress(void *userdata, struct buffer *line)
{
    const struct voice *v = userdata;

    buffer_printf(line, "clients %zu/%zu  frames %" PRIu64 "  arrived %" PRIu64, v->welcomed_count, v->options->clients,
                  v->next, v->deliveries);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = progress};

static int prepare(struct voice *v)
{
    const struct voice_options *o = v->options;
    int result = 0;

    v->welcomed = calloc(o->clients, sizeof(*v->welcomed));
    v->sequences = calloc(o->clients * o->speakers, sizeof(*v->sequences));
    v->latency = calloc(1, sizeof(*v->latency));
    if (!v->welcomed || !v->sequences || !v->latency)
        result = -ENOMEM;
    if (!result)
        result = bench_payload_init(&v->payload, o->bytes);
    if (!result)
        result = bench_pacer_init(&v->pacer, v->stage.loop, on_pace, v);
    for (size_t i = 0; i < o->clients * o->speakers && !result; i++)
        bench_sequence_begin(&v->sequences[i], 0);
    if (!result)
        result = bench_stage_fleet(&v->stage, o->clients, o->common.connect_rate, &fleet_ops, v, &v->fleet);
    if (result)
        bench_stage_fail(&v->stage, "%s", strerror(-result));
    return result;
}

static int report(struct voice *v)
{
    bool has_figures = v->end_ns > v->start_ns;
    struct bench_report r;

    bench_report_begin(&r, &v->options->common, false, v->stage.now.version);
    bench_report_count(&r, "clients", "clients", v->welcomed_count);
    bench_report_count(&r, "of them speaking", "speakers", v->options->speakers);
    bench_report_number(&r, "frames of each", "rate", v->options->rate, 0, "a second");
    bench_report_count(&r, "bytes of a frame", "bytes", v->options->bytes);
    if (has_figures) {
        double seconds = (double)(v->end_ns - v->start_ns) / 1e9;

        bench_report_count(&r, "frames", "sent", v->next);
        bench_report_count(&r, "deliveries", "received", v->deliveries);
        bench_report_number(&r, "deliveries a second", "deliveries_per_s", (double)v->deliveries / seconds, 0, "");
        bench_report_latency(&r, "latency", "latency_ms", v->latency);
        bench_report_cpu(&r, &v->before, &v->after, (double)v->deliveries, 1e6, "1,000,000 deliveries");
    }
    return bench_stage_report_end(&v->stage, &r, has_figures, "everybody heard everything");
}

#define VALUE(member) offsetof(struct voice_options, member)

static const struct bench_option rows[] = {
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 2, 10000, "N", "clients in the room", 0},
    {"speakers", BENCH_OPTION_COUNT, VALUE(speakers), 1, 1000, "N", "who of them speak", 0},
    {"rate", BENCH_OPTION_NUMBER, VALUE(rate), 0.1, 1000, "N", "frames a second of each", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), BENCH_PAYLOAD_MIN_BYTES, 60000, "N", "bytes of a frame", 0},
    {"seconds", BENCH_OPTION_NUMBER, VALUE(seconds), 0.1, 3600, "S", "how long they speak", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "voice",
    .about = "Lets some speak in a room, by binary frames at a steady rate, and tells how late the others hear them.",
    .ending = "A frame's latency counts from when it was due. Binary frames are neither kept nor repeated.",
    .parts = BENCH_PART_NODES | BENCH_PART_PROBES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static uint64_t lost(const struct voice *v)
{
    size_t speakers = v->options->speakers;
    uint64_t count = 0;

    for (size_t i = 0; v->sequences && v->end_ns && i < v->options->clients * speakers; i++) {
        size_t speaker = i % speakers;

        if (i / speakers != speaker)
            count += bench_sequence_lost(&v->sequences[i], (v->next + speakers - 1 - speaker) / speakers);
    }
    return count;
}

static int voice_run(const struct voice_options *options)
{
    struct voice v = {.options = options};
    int code;

    if (!bench_stage_init(&v.stage, &options->common, &stage_ops, &v) && !prepare(&v)) {
        bench_stage_run(&v.stage);
        v.stage.faults.lost = lost(&v);
    }
    code = report(&v);
    bench_fleet_free(v.fleet);
    bench_pacer_deinit(&v.pacer);
    bench_payload_deinit(&v.payload);
    bench_stage_deinit(&v.stage);
    free(v.welcomed);
    free(v.sequences);
    free(v.latency);
    return code;
}

static int run(int argc, char **argv)
{
    struct voice_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 500,
                   .timeout_s = 10,
                   .settle_s = 2,
                   .pin = BENCH_NO_CPU},
        .clients = 50,
        .speakers = 4,
        .bytes = 160,
        .rate = 50,
        .seconds = 10,
    };
    char room[sizeof("voice-") + ID_TEXT_SIZE] = "voice-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED && o.speakers > o.clients) {
        (void)fputs("warren-bench: --speakers: more than there are clients\n", stderr);
        result = BENCH_USAGE;
    }
    if (result == BENCH_PARSED)
        result = voice_run(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_voice = {
    .name = "voice",
    .usage = "--nodes URL[,URL]... [OPTION]...",
    .help = "binary frames to a room: how late they are heard",
    .run = run,
};
