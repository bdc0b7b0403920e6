/*
 * Idle: what a connection costs a node that only keeps it. Everybody joins a room, says something, hears what the
 * others say, and then nothing happens for a while but signs of life. The memory is the node's own, by the kernel: what
 * stands in socket buffers is not in it. At the end one of each room speaks again, and all must hear it: a connection
 * that is cheap because it is dead is none.
 */
#include "bench.h"
#include "bench_event.h"
#include "bench_payload.h"
#include "bench_sequence.h"
#include "bench_stage.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>

struct idle_options {
    struct bench_common common;
    size_t count, clients; /* in all; in a room */
    size_t bytes;
    double seconds;
    double send_rate;
    double quiet_s;
};

enum idle_phase {
    IDLE_CONNECTING, /* until everybody was welcomed */
    IDLE_SPEAKING,   /* until everybody has spoken and been heard */
    IDLE_QUIET,      /* until the node has put away what that took */
    IDLE_IDLE,
    IDLE_PROVING,  /* until one of each room was heard again */
    IDLE_SETTLING, /* what comes now is one too many */
    IDLE_CLOSING,
};

struct idle {
    const struct idle_options *options;
    struct bench_stage stage;
    struct bench_fleet *fleet;
    struct bench_payload payload;
    enum idle_phase phase;
    uint8_t *welcomed; /* [member] */
    size_t welcomed_count;
    struct bench_sequence *sequences; /* [member][place of the sender in its room] */
    size_t next;                      /* member to speak next */
    uint64_t expected, arrived;
    uint64_t phase_start_ms;
    uint64_t pings;
    struct bench_probe before, spoken, quiet, idle;
    double rest_s; /* how long it really was idle */
};

static size_t room_size(const struct idle *d, size_t room)
{
    size_t begin = room * d->options->clients, left = d->options->count - begin;

    return left < d->options->clients ? left : d->options->clients;
}

static size_t room_count(const struct idle *d)
{
    return (d->options->count - 1) / d->options->clients + 1;
}

static void set_phase(struct idle *d, enum idle_phase phase)
{
    d->phase = phase;
    d->phase_start_ms = clock_monotonic_ms();
    bench_stage_touch(&d->stage);
    switch (phase) {
    case IDLE_QUIET:
        bench_stage_probe(&d->stage, &d->spoken);
        break;
    case IDLE_IDLE:
        d->pings = 0;
        bench_stage_probe(&d->stage, &d->quiet);
        break;
    case IDLE_PROVING:
        d->rest_s = d->options->seconds;
        bench_stage_probe(&d->stage, &d->idle);
        d->next = 0;
        break;
    case IDLE_CLOSING:
        bench_fleet_close(d->fleet);
        break;
    case IDLE_CONNECTING:
    case IDLE_SPEAKING:
    case IDLE_SETTLING:
        break;
    }
    if (d->stage.failure.size > 0 && d->phase < IDLE_CLOSING)
        set_phase(d, IDLE_CLOSING);
}

/* ---- sending ---- */

static void room_name(const struct idle *d, size_t room, struct buffer *out)
{
    buffer_printf(out, "%s-%zu", d->options->common.room, room);
}

static void speak(struct idle *d, size_t member, uint64_t number)
{
    size_t room = member / d->options->clients;
    struct buffer text = {0}, name = {0};
    struct json_writer w;

    room_name(d, room, &name);
    json_writer_init(&w, &text);
    json_write_object_begin(&w);
    json_write_member_text(&w, "op", "send");
    json_write_member_string(&w, "room", buffer_slice(&name));
    json_write_name(&w, "data");
    bench_payload_append(&d->payload, (uint32_t)member, number, &text);
    buffer_append_char(&text, '}');
    d->expected += room_size(d, room);
    if (!buffer_error(&text))
        (void)bench_member_send(bench_fleet_member(d->fleet, member), buffer_slice(&text));
    buffer_deinit(&text);
    buffer_deinit(&name);
}

/** The next few of those who speak in this phase: everybody, or the first of each room. Whether all have. */
static bool speak_some(struct idle *d)
{
    size_t step = d->phase == IDLE_SPEAKING ? 1 : d->options->clients;
    size_t due = (size_t)(d->options->send_rate * BENCH_TICK_MS / 1e3) + 1;

    for (; due > 0 && d->next < d->options->count; due--, d->next += step)
        speak(d, d->next, d->phase == IDLE_SPEAKING ? 0 : 1);
    return d->next >= d->options->count;
}

/* ---- what comes ---- */

static void take_delivery(struct idle *d, size_t member, uint32_t sender, uint64_t number)
{
    size_t clients = d->options->clients;
    uint64_t skipped;

    if (sender >= d->options->count || sender / clients != member / clients) {
        d->stage.faults.unexpected++;
        return;
    }
    switch (bench_sequence_take(&d->sequences[member * clients + sender % clients], number, &skipped)) {
    case BENCH_ARRIVAL_TWICE:
        d->stage.faults.duplicated++;
        return;
    case BENCH_ARRIVAL_LATE:
        d->stage.faults.out_of_order++;
        break;
    case BENCH_ARRIVAL_NEXT:
        break;
    }
    d->arrived++;
}

static void on_event(void *userdata, const struct bench_event *event)
{
    struct bench_member *m = userdata;
    struct idle *d = bench_fleet_userdata(m->fleet);

    if (event->kind == BENCH_EVENT_WELCOME) {
        d->stage.faults.unexpected += d->welcomed[m->index];
        d->welcomed_count += !d->welcomed[m->index];
        d->welcomed[m->index] = true;
        if (d->welcomed_count == d->options->count && d->phase == IDLE_CONNECTING)
            set_phase(d, IDLE_SPEAKING);
    } else if (event->kind == BENCH_EVENT_ERROR) {
        bench_stage_refused(&d->stage, event->code);
    } else if (event->kind != BENCH_EVENT_OTHER) {
        d->stage.faults.unexpected++;
    }
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct idle *d = bench_fleet_userdata(m->fleet);
    enum bench_payload_result result;
    struct slice rest = payload;
    bool is_ours = false;
    uint64_t number;
    uint32_t sender;

    if (d->phase == IDLE_CLOSING)
        return;
    bench_stage_touch(&d->stage);
    while ((result = bench_payload_take(&d->payload, &rest, &sender, &number)) != BENCH_PAYLOAD_NONE) {
        is_ours = true;
        if (result == BENCH_PAYLOAD_FOUND)
            take_delivery(d, m->index, sender, number);
        else
            d->stage.faults.corrupted++;
    }
    if (!is_ours && (opcode != WS_OPCODE_TEXT || !bench_event_each(payload, on_event, m)))
        bench_stage_odd(&d->stage, payload);
}

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&((struct idle *)bench_fleet_userdata(m->fleet))->stage);
}

static void on_ping(struct bench_member *m)
{
    ((struct idle *)bench_fleet_userdata(m->fleet))->pings++;
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct idle *d = bench_fleet_userdata(m->fleet);

    if (d->phase > IDLE_CONNECTING) {
        bench_stage_lost(&d->stage, m, end);
        return;
    }
    bench_stage_not_connected(&d->stage, m, end);
    set_phase(d, IDLE_CLOSING);
}

static void on_path(void *userdata, size_t index, struct buffer *path)
{
    struct idle *d = userdata;
    struct buffer room = {0}, user = {0};

    room_name(d, index / d->options->clients, &room);
    buffer_printf(&user, "u%zu", index);
    bench_path_append(path, d->options->common.path_template, buffer_slice(&room), buffer_slice(&user));
    buffer_deinit(&room);
    buffer_deinit(&user);
}

static void on_finished(void *userdata)
{
    bench_stage_stop(&((struct idle *)userdata)->stage);
}

static const struct bench_fleet_ops fleet_ops = {
    .path = on_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_ping = on_ping,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

/* ---- time ---- */

static void on_tick(void *userdata, uint64_t now_ms)
{
    struct idle *d = userdata;
    uint64_t age_ms = now_ms - d->phase_start_ms;

    switch (d->phase) {
    case IDLE_CONNECTING:
        if (bench_stage_is_stuck(&d->stage, now_ms)) {
            bench_stage_fail(&d->stage, "only %zu of %zu clients were welcomed", d->welcomed_count, d->options->count);
            set_phase(d, IDLE_CLOSING);
        }
        break;
    case IDLE_SPEAKING:
    case IDLE_PROVING:
        if ((speak_some(d) && d->arrived >= d->expected) || bench_stage_is_stuck(&d->stage, now_ms))
            set_phase(d, d->phase + 1);
        break;
    case IDLE_QUIET:
        if (age_ms >= (uint64_t)(d->options->quiet_s * 1e3))
            set_phase(d, IDLE_IDLE);
        break;
    case IDLE_IDLE:
        if (age_ms >= (uint64_t)(d->options->seconds * 1e3))
            set_phase(d, IDLE_PROVING);
        break;
    case IDLE_SETTLING:
        if (age_ms >= (uint64_t)(d->options->common.settle_s * 1e3))
            set_phase(d, IDLE_CLOSING);
        break;
    case IDLE_CLOSING:
        break;
    }
}

static void on_interrupt(void *userdata, bool is_first base_unused)
{
    struct idle *d = userdata;

    if (d->phase < IDLE_CLOSING)
        set_phase(d, IDLE_CLOSING);
}

static void progress(void *userdata, struct buffer *line)
{
    static const char *const names[] = {
        [IDLE_CONNECTING] = "connecting", [IDLE_SPEAKING] = "speaking",
        [IDLE_QUIET] = "quiet",           [IDLE_IDLE] = "idle",
        [IDLE_PROVING] = "proving",       [IDLE_SETTLING] = "settling",
        [IDLE_CLOSING] = "closing",
    };
    const struct idle *d = userdata;

    buffer_printf(line, "%-10s clients %zu/%zu  arrived %" PRIu64 "/%" PRIu64 "  pings answered %" PRIu64,
                  names[d->phase], d->welcomed_count, d->options->count, d->arrived, d->expected, d->pings);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = progress};

/* ---- the run ---- */

static int prepare(struct idle *d)
{
    int result = bench_payload_init(&d->payload, d->options->bytes);

    d->welcomed = calloc(d->options->count, sizeof(*d->welcomed));
    d->sequences = calloc(room_count(d) * d->options->clients * d->options->clients, sizeof(*d->sequences));
    if (!result && (!d->welcomed || !d->sequences))
        result = -ENOMEM;
    if (result)
        bench_stage_fail(&d->stage, "%s", strerror(-result));
    else
        bench_stage_probe(&d->stage, &d->before);
    return d->stage.failure.size ? -ECANCELED : 0;
}

static void count_losses(struct idle *d)
{
    uint64_t spoken = d->phase == IDLE_CLOSING && d->arrived ? d->expected : 0;

    if (spoken > d->arrived)
        d->stage.faults.lost += spoken - d->arrived;
}

static void report_memory(struct bench_report *r, const struct idle *d)
{
    const struct {
        const char *label, *name;
        double before, after;
    } rows[] = {
        {"memory, all spoke", "rss_bytes_each_spoken", d->before.rss_bytes, d->spoken.rss_bytes},
        {"memory, idle", "rss_bytes_each", d->before.rss_bytes, d->idle.rss_bytes},
        {"of it heap and stacks", "anon_bytes_each", d->before.anon_bytes, d->idle.anon_bytes},
    };

    if (!d->before.has_memory) {
        bench_report_text(r, "memory", "rss_bytes_each", "not told (--pid PID)");
        return;
    }
    bench_report_number(r, "memory before", "rss_bytes_before", d->before.rss_bytes, 0, "bytes resident");
    bench_report_number(r, "memory after", "rss_bytes_after", d->idle.rss_bytes, 0, "bytes resident");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++)
        bench_report_number(r, rows[i].label, rows[i].name,
                            (rows[i].after - rows[i].before) / (double)d->options->count, 0, "bytes a connection");
}

static int report(struct idle *d)
{
    struct bench_report r;

    bench_report_begin(&r, &d->options->common, false, d->stage.now.version);
    bench_report_count(&r, "connections", "clients", d->welcomed_count);
    bench_report_text(&r, "over", "transport", bench_nodes_have_tls(&d->options->common.nodes) ? "TLS" : "plain TCP");
    bench_report_count(&r, "rooms", "rooms", room_count(d));
    bench_report_count(&r, "deliveries", "received", d->arrived);
    bench_report_count(&r, NULL, "expected", d->expected);
    if (d->rest_s > 0) {
        report_memory(&r, d);
        bench_report_number(&r, "idle for", "duration_s", d->rest_s, 1, "s");
        bench_report_count(&r, "pings answered", "pings", d->pings);
        bench_report_cpu(&r, &d->quiet, &d->idle, d->rest_s * (double)d->welcomed_count, 1e4,
                         "second and 10,000 idle connections");
    }
    return bench_stage_report_end(&d->stage, &r, d->rest_s > 0,
                                  "everybody was heard by all of the room, before and after the rest");
}

#define VALUE(member) offsetof(struct idle_options, member)

static const struct bench_option rows[] = {
    {"clients", BENCH_OPTION_COUNT, VALUE(count), 1, 1000000, "N", "connections", 0},
    {"room-size", BENCH_OPTION_COUNT, VALUE(clients), 1, 1000, "N", "of them in a room", 0},
    {"bytes", BENCH_OPTION_COUNT, VALUE(bytes), BENCH_PAYLOAD_MIN_BYTES, 60000, "N", "bytes of a message's data", 0},
    {"send-rate", BENCH_OPTION_NUMBER, VALUE(send_rate), 1, 1e6, "N", "messages a second while everybody speaks", 0},
    {"quiet", BENCH_OPTION_NUMBER, VALUE(quiet_s), 0, 3600, "S", "how long to wait before the idleness counts", 0},
    {"seconds", BENCH_OPTION_NUMBER, VALUE(seconds), 0.1, 86400, "S", "how long to be idle", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "idle",
    .about =
        "Holds many connections that have joined a room, spoken and been spoken to, and tells what each costs the\n"
        "node while nothing happens. Memory needs --pid.",
    .ending = "The memory of a node that has just been started is a bare figure; one that has served before may have\n"
              "memory to reuse, and the report says what it had.",
    .parts = BENCH_PART_NODES | BENCH_PART_PROBES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int idle_run(const struct idle_options *options)
{
    struct idle d = {.options = options};
    int code;

    if (!bench_stage_init(&d.stage, &options->common, &stage_ops, &d) && !prepare(&d) &&
        !bench_stage_fleet(&d.stage, options->count, options->common.connect_rate, &fleet_ops, &d, &d.fleet)) {
        bench_stage_run(&d.stage);
        count_losses(&d);
    }
    code = report(&d);
    bench_fleet_free(d.fleet);
    bench_payload_deinit(&d.payload);
    bench_stage_deinit(&d.stage);
    free(d.welcomed);
    free(d.sequences);
    return code;
}

static int run(int argc, char **argv)
{
    struct idle_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 2000,
                   .timeout_s = 10,
                   .settle_s = 0.5,
                   .pin = BENCH_NO_CPU},
        .count = 10000,
        .clients = 10,
        .bytes = 128,
        .send_rate = 5000,
        .quiet_s = 2,
        .seconds = 30,
    };
    char room[sizeof("idle-") + ID_TEXT_SIZE] = "idle-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED)
        result = idle_run(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_idle = {
    .name = "idle",
    .usage = "--nodes URL[,URL]... --pid PID [OPTION]...",
    .help = "connections that have spoken and rest: memory and CPU time of each",
    .run = run,
};
