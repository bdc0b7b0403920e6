/*
 * Rejoin: a node is gone, and its clients come back to the others with the position that each had.
 *
 * First all live on the node that will go, in many rooms with a stream each that is spoken on the others. It is killed
 * (or they leave), the streams go on, then they come back: how long is it from a client's coming until it was welcomed,
 * and until it has all that it missed? Each must hear every message of its room once and in order over both lives, and
 * be told that it was recovered. What it costs the store is told by the nodes' own counts of commands.
 */
#include "bench.h"
#include "bench_event.h"
#include "bench_payload.h"
#include "bench_sequence.h"
#include "bench_stage.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct rejoin_options {
    struct bench_common common;
    struct bench_nodes from;
    size_t clients, rooms, bytes;
    double stream_rate, stream_s, away_s, within_s;
    size_t kill;
};

enum rejoin_phase {
    REJOIN_ASSEMBLING, /* until all were welcomed in their first life */
    REJOIN_STREAMING,  /* they hear their streams */
    REJOIN_LEAVING,    /* until all are gone */
    REJOIN_AWAY,       /* the streams go on */
    REJOIN_RETURNING,  /* until the last one has what it missed */
    REJOIN_SETTLING,
    REJOIN_DRAINING, /* the streams have ended */
    REJOIN_CLOSING,
};

/** A fleet: the speakers, or the clients in one of their lives. */
struct crowd {
    struct rejoin *rejoin;
    struct bench_fleet *fleet;
};

struct rejoiner {
    uint64_t epoch, offset; /* of its room: what it has */
    uint64_t target;        /* where the catch-up ends */
    struct bench_sequence sequence;
    bool is_welcome, has_heard, is_back;
};

struct rejoin {
    const struct rejoin_options *options;
    struct bench_stage stage;
    struct bench_pacer pacer;
    struct bench_payload payload;
    enum rejoin_phase phase;
    struct crowd speakers, first, second;
    struct rejoiner *clients; /* [member] */
    uint64_t *sent;           /* [room] messages of its stream */
    size_t speakers_welcomed, welcomed, heard, gone, back, recovered;
    uint64_t phase_start_ms, stream_start_ns, stream_next;
    uint64_t return_start_ns, returned_ns, missed;
    struct bench_histogram *joins, *catch_ups; /* nanoseconds */
    struct bench_probe before, returned;
};

static struct rejoin *rejoin_of(const struct bench_member *m)
{
    return ((struct crowd *)bench_fleet_userdata(m->fleet))->rejoin;
}

static size_t fleets(const struct rejoin *s)
{
    return (size_t)(s->speakers.fleet != NULL) + (s->first.fleet != NULL) + (s->second.fleet != NULL);
}

static void close_all(struct rejoin *s)
{
    struct bench_fleet *const all[] = {s->speakers.fleet, s->first.fleet, s->second.fleet};

    bench_pacer_stop(&s->pacer);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(all); i++)
        if (all[i])
            bench_fleet_close(all[i]);
    if (fleets(s) == 0)
        bench_stage_stop(&s->stage);
}

static void leave(struct rejoin *s);
static void come_back(struct rejoin *s);

static void set_phase(struct rejoin *s, enum rejoin_phase phase)
{
    s->phase = phase;
    s->phase_start_ms = clock_monotonic_ms();
    bench_stage_touch(&s->stage);
    if (phase == REJOIN_STREAMING) {
        s->stream_start_ns = clock_monotonic_ns();
        bench_pacer_at(&s->pacer, s->stream_start_ns);
    } else if (phase == REJOIN_LEAVING) {
        leave(s);
    } else if (phase == REJOIN_RETURNING) {
        bench_stage_probe(&s->stage, &s->before);
        s->return_start_ns = clock_monotonic_ns();
        come_back(s);
    } else if (phase == REJOIN_SETTLING) {
        s->returned_ns = clock_monotonic_ns();
        bench_stage_probe(&s->stage, &s->returned);
    } else if (phase == REJOIN_DRAINING) {
        bench_pacer_stop(&s->pacer);
    } else if (phase == REJOIN_CLOSING) {
        close_all(s);
    }
    if (s->stage.failure.size > 0 && s->phase < REJOIN_CLOSING)
        set_phase(s, REJOIN_CLOSING);
}

/* ---- the streams: each room has a speaker, and they speak in turn ---- */

static void room_append(const struct rejoin *s, size_t room, struct buffer *out)
{
    buffer_printf(out, "%s-%zu", s->options->common.room, room);
}

static void speak(struct rejoin *s, size_t room)
{
    struct buffer text = {0};

    buffer_append_text(&text, "{\"op\":\"send\",\"room\":\"");
    room_append(s, room, &text);
    buffer_append_text(&text, "\",\"data\":");
    bench_payload_append(&s->payload, (uint32_t)room, s->sent[room]++, &text);
    buffer_append_char(&text, '}');
    if (!buffer_error(&text))
        (void)bench_member_send(bench_fleet_member(s->speakers.fleet, room), buffer_slice(&text));
    buffer_deinit(&text);
}

static void on_pace(void *userdata)
{
    struct rejoin *s = userdata;
    double rate = s->options->stream_rate * (double)s->options->rooms;

    while (s->phase >= REJOIN_STREAMING && s->phase < REJOIN_DRAINING) {
        uint64_t due_ns = s->stream_start_ns + (uint64_t)((double)s->stream_next * 1e9 / rate);

        if (due_ns > clock_monotonic_ns()) {
            bench_pacer_at(&s->pacer, due_ns);
            return;
        }
        speak(s, s->stream_next++ % s->options->rooms);
    }
}

/* ---- what comes ---- */

static void note_back(struct rejoin *s, struct rejoiner *c, const struct bench_member *m)
{
    if (s->phase != REJOIN_RETURNING || c->is_back || !c->is_welcome || c->offset < c->target)
        return;
    c->is_back = true;
    bench_histogram_add(s->catch_ups, clock_monotonic_ns() - m->due_ns);
    if (++s->back == s->options->clients)
        set_phase(s, REJOIN_SETTLING);
}

/** An entry of a welcome's channels. */
static void on_channel(void *userdata, const struct bench_event *event)
{
    struct bench_member *m = userdata;
    struct rejoin *s = rejoin_of(m);
    struct rejoiner *c = &s->clients[m->index];

    if (!slice_starts_with(event->channel, SLICE_LITERAL("room:")))
        return;
    c->target = event->offset;
    if (m->fleet == s->first.fleet) {
        c->epoch = event->epoch;
        c->offset = event->offset;
    } else if (event->is_recovered && event->epoch == c->epoch) {
        s->recovered++;
        s->missed += event->offset - c->offset;
    }
}

static void take_welcome(struct rejoin *s, struct bench_member *m, const struct bench_event *event)
{
    struct rejoiner *c = &s->clients[m->index];

    if (m->fleet == s->speakers.fleet) {
        s->speakers_welcomed++;
    } else if (c->is_welcome || !slice_is_set(event->channels) || !bench_event_each(event->channels, on_channel, m)) {
        s->stage.faults.unexpected++;
    } else {
        c->is_welcome = true;
        s->welcomed++;
    }
    if (s->phase == REJOIN_RETURNING) {
        bench_histogram_add(s->joins, clock_monotonic_ns() - m->due_ns);
        note_back(s, c, m);
    }
    if (s->phase == REJOIN_ASSEMBLING && s->speakers_welcomed + s->welcomed == s->options->rooms + s->options->clients)
        set_phase(s, REJOIN_STREAMING);
}

static void take_message(struct rejoin *s, struct bench_member *m, const struct bench_event *event)
{
    struct rejoiner *c = &s->clients[m->index];
    struct slice rest = event->data;
    uint64_t number, skipped;
    uint32_t stream;

    if (m->fleet == s->speakers.fleet)
        return;
    if (bench_payload_take(&s->payload, &rest, &stream, &number) != BENCH_PAYLOAD_FOUND ||
        stream != m->index % s->options->rooms) {
        s->stage.faults.corrupted++;
        return;
    }
    switch (bench_sequence_take(&c->sequence, number, &skipped)) {
    case BENCH_ARRIVAL_TWICE:
        s->stage.faults.duplicated++;
        break;
    case BENCH_ARRIVAL_LATE:
        s->stage.faults.out_of_order++;
        break;
    case BENCH_ARRIVAL_NEXT:
        break;
    }
    c->epoch = event->epoch;
    c->offset = event->offset;
    s->heard += !c->has_heard;
    c->has_heard = true;
    note_back(s, c, m);
}

static void on_event(void *userdata, const struct bench_event *event)
{
    struct bench_member *m = userdata;
    struct rejoin *s = rejoin_of(m);

    if (event->kind == BENCH_EVENT_WELCOME)
        take_welcome(s, m, event);
    else if (event->kind == BENCH_EVENT_MESSAGE)
        take_message(s, m, event);
    else if (event->kind == BENCH_EVENT_ERROR)
        bench_stage_refused(&s->stage, event->code);
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct rejoin *s = rejoin_of(m);

    if (s->phase == REJOIN_CLOSING)
        return;
    if (s->phase != REJOIN_DRAINING)
        bench_stage_touch(&s->stage);
    if (opcode != WS_OPCODE_TEXT || !bench_event_each(payload, on_event, m))
        bench_stage_odd(&s->stage, payload);
}

/* ---- two lives ---- */

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&rejoin_of(m)->stage);
}

static void note_gone(struct rejoin *s)
{
    if (s->phase == REJOIN_LEAVING && s->gone == s->options->clients)
        set_phase(s, REJOIN_AWAY);
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct rejoin *s = rejoin_of(m);

    if (m->fleet == s->first.fleet && s->phase == REJOIN_LEAVING) {
        s->gone++;
        note_gone(s);
        return;
    }
    bench_stage_not_connected(&s->stage, m, end);
    set_phase(s, REJOIN_CLOSING);
}

static void leave(struct rejoin *s)
{
    if (s->options->kill > 0) {
        if (kill((pid_t)s->options->kill, SIGKILL) < 0)
            bench_stage_fail(&s->stage, "cannot kill process %zu: %s", s->options->kill, strerror(errno));
        return;
    }
    bench_fleet_close(s->first.fleet);
    s->gone = s->options->clients;
    note_gone(s);
}

static void path_append(const struct rejoin *s, const char *prefix, size_t index, struct buffer *path)
{
    struct buffer user = {0}, room = {0};

    buffer_printf(&user, "%s%zu", prefix, index);
    room_append(s, index % s->options->rooms, &room);
    bench_path_append(path, s->options->common.path_template, buffer_slice(&room), buffer_slice(&user));
    buffer_deinit(&user);
    buffer_deinit(&room);
}

static void on_speaker_path(void *userdata, size_t index, struct buffer *path)
{
    path_append(((struct crowd *)userdata)->rejoin, "speaker", index, path);
}

static void on_first_path(void *userdata, size_t index, struct buffer *path)
{
    path_append(((struct crowd *)userdata)->rejoin, "u", index, path);
}

static void on_second_path(void *userdata, size_t index, struct buffer *path)
{
    const struct rejoin *s = ((struct crowd *)userdata)->rejoin;

    path_append(s, "u", index, path);
    buffer_printf(path, "?since=%" PRIu64 ":%" PRIu64, s->clients[index].epoch, s->clients[index].offset);
}

static void on_finished(void *userdata)
{
    struct crowd *c = userdata;

    c->fleet = bench_fleet_free(c->fleet);
    if (c->rejoin->phase == REJOIN_CLOSING && fleets(c->rejoin) == 0)
        bench_stage_stop(&c->rejoin->stage);
}

static const struct bench_fleet_ops speaker_ops = {.path = on_speaker_path,
                                                   .on_open = on_open,
                                                   .on_message = on_message,
                                                   .on_closed = on_closed,
                                                   .on_finished = on_finished};
static const struct bench_fleet_ops first_ops = {.path = on_first_path,
                                                 .on_open = on_open,
                                                 .on_message = on_message,
                                                 .on_closed = on_closed,
                                                 .on_finished = on_finished};
static const struct bench_fleet_ops second_ops = {.path = on_second_path,
                                                  .on_open = on_open,
                                                  .on_message = on_message,
                                                  .on_closed = on_closed,
                                                  .on_finished = on_finished};

static void come_back(struct rejoin *s)
{
    double rate = s->options->within_s > 0 ? (double)s->options->clients / s->options->within_s : 0;

    for (size_t i = 0; i < s->options->clients; i++)
        s->clients[i].is_welcome = false;
    (void)!bench_stage_fleet(&s->stage, s->options->clients, rate, &second_ops, &s->second, &s->second.fleet);
}

/* ---- time ---- */

static uint64_t lost(const struct rejoin *s)
{
    uint64_t lost = 0;

    for (size_t i = 0; s->clients && s->sent && i < s->options->clients; i++)
        lost += bench_sequence_lost(&s->clients[i].sequence, s->sent[i % s->options->rooms]);
    return lost;
}

static void on_tick(void *userdata, uint64_t now_ms)
{
    struct rejoin *s = userdata;
    double age_s = (double)(now_ms - s->phase_start_ms) / 1e3;

    switch (s->phase) {
    case REJOIN_ASSEMBLING:
    case REJOIN_LEAVING:
    case REJOIN_RETURNING:
        /* With streams going on there is always something that comes. */
        if (bench_stage_is_stuck(&s->stage, now_ms) || age_s > 60 + s->options->within_s) {
            bench_stage_fail(&s->stage, "%zu of %zu were welcomed, %zu have what they missed", s->welcomed,
                             s->options->clients, s->back);
            set_phase(s, REJOIN_CLOSING);
        }
        break;
    case REJOIN_STREAMING:
        /* Who has heard nothing has the position of an empty channel, to which nobody promises a return. */
        if (age_s >= s->options->stream_s && s->heard == s->options->clients) {
            set_phase(s, REJOIN_LEAVING);
        } else if (age_s > 60 + s->options->stream_s) {
            bench_stage_fail(&s->stage, "%zu of %zu have heard their stream", s->heard, s->options->clients);
            set_phase(s, REJOIN_CLOSING);
        }
        break;
    case REJOIN_AWAY:
        bench_stage_touch(&s->stage);
        if (age_s >= s->options->away_s)
            set_phase(s, REJOIN_RETURNING);
        break;
    case REJOIN_SETTLING:
        if (age_s >= s->options->common.settle_s)
            set_phase(s, REJOIN_DRAINING);
        break;
    case REJOIN_DRAINING:
        if ((age_s >= 0.1 && lost(s) == 0) || bench_stage_is_stuck(&s->stage, now_ms))
            set_phase(s, REJOIN_CLOSING);
        break;
    case REJOIN_CLOSING:
        break;
    }
}

static void on_interrupt(void *userdata, bool is_first base_unused)
{
    struct rejoin *s = userdata;

    if (s->phase < REJOIN_CLOSING)
        set_phase(s, REJOIN_CLOSING);
}

static void progress(void *userdata, struct buffer *line)
{
    static const char *const names[] = {
        [REJOIN_ASSEMBLING] = "assembling", [REJOIN_STREAMING] = "streaming",
        [REJOIN_LEAVING] = "leaving",       [REJOIN_AWAY] = "away",
        [REJOIN_RETURNING] = "returning",   [REJOIN_SETTLING] = "settling",
        [REJOIN_DRAINING] = "waiting",      [REJOIN_CLOSING] = "closing",
    };
    const struct rejoin *s = userdata;

    buffer_printf(line, "%-10s welcomed %zu/%zu  back %zu  streams %" PRIu64, names[s->phase], s->welcomed,
                  s->options->clients, s->back, s->stream_next);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = progress};

/* ---- the run ---- */

static int first_fleet(struct rejoin *s)
{
    const struct bench_fleet_options options = {
        .nodes = &s->options->from,
        .tls = s->stage.tls,
        .deflate = s->stage.deflate,
        .count = s->options->clients,
        .rate = s->options->common.connect_rate,
        .timeout_ms = (uint32_t)(s->options->common.timeout_s * 1e3),
    };

    return bench_fleet_new(s->stage.net, &options, &first_ops, &s->first, &s->first.fleet);
}

static int prepare(struct rejoin *s)
{
    int result = 0;

    s->speakers.rejoin = s->first.rejoin = s->second.rejoin = s;
    set_phase(s, REJOIN_ASSEMBLING);
    s->clients = calloc(s->options->clients, sizeof(*s->clients));
    s->sent = calloc(s->options->rooms, sizeof(*s->sent));
    s->joins = calloc(1, sizeof(*s->joins));
    s->catch_ups = calloc(1, sizeof(*s->catch_ups));
    if (!s->clients || !s->sent || !s->joins || !s->catch_ups)
        result = -ENOMEM;
    else if (s->options->from.count == 0)
        bench_stage_fail(&s->stage, "--from names the node that goes");
    if (!result)
        result = bench_payload_init(&s->payload, s->options->bytes);
    if (!result)
        result = bench_pacer_init(&s->pacer, s->stage.loop, on_pace, s);
    if (!result && s->stage.failure.size == 0)
        result = bench_stage_fleet(&s->stage, s->options->rooms, s->options->common.connect_rate, &speaker_ops,
                                   &s->speakers, &s->speakers.fleet);
    if (!result && s->stage.failure.size == 0)
        result = first_fleet(s);
    if (result)
        bench_stage_fail(&s->stage, "%s", strerror(-result));
    return s->stage.failure.size > 0 ? -EINVAL : 0;
}

static int report(struct rejoin *s)
{
    bool has_figures = s->returned_ns > 0;
    struct bench_report r;

    bench_report_begin(&r, &s->options->common, false, s->stage.now.version);
    bench_report_count(&r, "clients", "clients", s->options->clients);
    bench_report_count(&r, "rooms", "rooms", s->options->rooms);
    if (has_figures) {
        double clients = (double)s->options->clients;
        char title[40], key[40];

        bench_report_count(&r, "recovered", "recovered", s->recovered);
        bench_report_number(&r, "missed", "missed_each", (double)s->missed / clients, 1, "messages a client");
        bench_report_number(&r, "all back after", "all_back_s", (double)(s->returned_ns - s->return_start_ns) / 1e9, 3,
                            "s");
        bench_report_latency(&r, "until welcome", "join_ms", s->joins);
        bench_report_latency(&r, "until caught up", "catch_up_ms", s->catch_ups);
        if (s->returned.has_cpu)
            bench_report_number(&r, "CPU of the nodes", "node_cpu_ms_per_join",
                                (s->returned.node_cpu_s - s->before.node_cpu_s) / clients * 1e3, 4, "ms a client");
        if (s->returned.has_store)
            bench_report_number(&r, "commands to the store", "store_commands",
                                s->returned.store_commands - s->before.store_commands, 0, "meanwhile");
        for (size_t i = 0; s->returned.has_store && i < BENCH_STORE_REQUESTS; i++) {
            (void)snprintf(title, sizeof(title), "  of them %s", bench_store_requests[i]);
            (void)snprintf(key, sizeof(key), "store_%s", bench_store_requests[i]);
            bench_report_number(&r, title, key, s->returned.store_requests[i] - s->before.store_requests[i], 0, "");
        }
        if (s->returned.has_store)
            bench_report_number(&r, "reads of logs", "log_reads", s->returned.log_reads - s->before.log_reads, 0, "");
    }
    return bench_stage_report_end(&s->stage, &r, has_figures && s->recovered == s->options->clients,
                                  "everybody came back, and has heard everything once and in order");
}

#define VALUE(member) offsetof(struct rejoin_options, member)

static const struct bench_option rows[] = {
    {"from", BENCH_OPTION_NODES, VALUE(from), 0, 0, "URL", "the node that goes; --nodes names those that stay", 0},
    {"kill", BENCH_OPTION_COUNT, VALUE(kill), 1, 4194304, "PID", "is its process, which is killed; else they leave", 0},
    {"clients", BENCH_OPTION_COUNT, VALUE(clients), 1, 1000000, "N", "who live on it", 0},
    {"rooms", BENCH_OPTION_COUNT, VALUE(rooms), 1, 100000, "R", "rooms, with a stream each", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), BENCH_PAYLOAD_MIN_BYTES, 60000, "N", "bytes of a message's data", 0},
    {"stream-rate", BENCH_OPTION_NUMBER, VALUE(stream_rate), 0.1, 500, "N", "messages a second of each stream", 0},
    {"seconds", BENCH_OPTION_NUMBER, VALUE(stream_s), 0, 3600, "S", "how long they hear it first, at least once", 0},
    {"away", BENCH_OPTION_NUMBER, VALUE(away_s), 0, 3600, "S", "how long they stay away", 0},
    {"within", BENCH_OPTION_NUMBER, VALUE(within_s), 0, 3600, "S",
     "they come back in so many seconds; 0: as fast as it goes", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "rejoin",
    .about = "Lets the clients of a node come back to the others with their positions, and tells how long it takes\n"
             "until each has what it missed, and what it costs nodes and store.",
    .ending = "A stream's rate times the time away must not be more than a room's log keeps (1,000 messages).",
    .parts = BENCH_PART_NODES | BENCH_PART_PROBES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int rejoin_run(const struct rejoin_options *options)
{
    struct rejoin s = {.options = options};
    int code;

    if (!bench_stage_init(&s.stage, &options->common, &stage_ops, &s) && !prepare(&s)) {
        bench_stage_run(&s.stage);
        s.stage.faults.lost = lost(&s);
    }
    code = report(&s);
    bench_fleet_free(s.speakers.fleet);
    bench_fleet_free(s.first.fleet);
    bench_fleet_free(s.second.fleet);
    bench_pacer_deinit(&s.pacer);
    bench_payload_deinit(&s.payload);
    bench_stage_deinit(&s.stage);
    free(s.clients);
    free(s.sent);
    free(s.joins);
    free(s.catch_ups);
    return code;
}

static int run(int argc, char **argv)
{
    struct rejoin_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 500,
                   .timeout_s = 10,
                   .settle_s = 1,
                   .pin = BENCH_NO_CPU},
        .clients = 1000,
        .rooms = 50,
        .bytes = 128,
        .stream_rate = 2,
        .stream_s = 1,
        .away_s = 2,
        .within_s = 0,
    };
    char room[sizeof("rejoin-") + ID_TEXT_SIZE] = "rejoin-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED)
        result = rejoin_run(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_rejoin = {
    .name = "rejoin",
    .usage = "--from URL --nodes URL[,URL]... [OPTION]...",
    .help = "a node's clients come back to the others: how long until each has what it missed",
    .run = run,
};
