/*
 * Verify: many clients say all sorts of things, leave and come back, and each must hear exactly what it should.
 *
 * Room messages, whispers and binary frames, of any size and content, in one frame or in fragments with control frames
 * between, singly or in arrays, compressed or not; departures with and without a farewell; what was not answered is
 * said again with the same key, perhaps to another node, and must be heard once. All of it follows from a seed, but for
 * when things happen.
 */
#include "bench.h"
#include "verify.h"

#include "base/clock.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>

#define AWAY_MS 500

static void set_phase(struct verify *v, enum verify_phase phase)
{
    v->phase = phase;
    v->phase_start_ms = clock_monotonic_ms();
    bench_stage_touch(&v->stage);
    if (phase == VERIFY_RUNNING) {
        v->start_ns = clock_monotonic_ns();
        bench_pacer_at(&v->pacer, v->start_ns);
    } else if (phase == VERIFY_CLOSING) {
        bench_pacer_stop(&v->pacer);
        /* What is owed now is lost: nothing more is awaited. */
        v->stage.faults.lost += verify_owed(v);
        for (size_t i = 0; i < v->options->count; i++)
            v->unanswered += v->clients[i].outbox_count;
        bench_fleet_close(v->fleet);
    }
}

static void on_pace(void *userdata)
{
    struct verify *v = userdata;

    while (v->phase == VERIFY_RUNNING) {
        uint64_t due_ns = v->start_ns + (uint64_t)((double)v->actions * 1e9 / v->options->rate);

        if (due_ns > clock_monotonic_ns()) {
            bench_pacer_at(&v->pacer, due_ns);
            return;
        }
        v->actions++;
        if ((double)verify_random_below(&v->random, 1 << 20) / (1 << 20) < v->options->churn / v->options->rate)
            verify_depart(v);
        else
            verify_act(v);
    }
}

/* ---- the fleet ---- */

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&((struct verify *)bench_fleet_userdata(m->fleet))->stage);
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct verify *v = bench_fleet_userdata(m->fleet);

    if (v->phase == VERIFY_CLOSING)
        return;
    bench_stage_touch(&v->stage);
    verify_hear(v, m, opcode, payload);
    if (v->phase == VERIFY_CONNECTING && v->welcomed_count == v->options->count)
        set_phase(v, VERIFY_RUNNING);
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct verify *v = bench_fleet_userdata(m->fleet);
    struct verify_client *c = &v->clients[m->index];

    if (v->phase == VERIFY_CONNECTING) {
        bench_stage_not_connected(&v->stage, m, end);
        set_phase(v, VERIFY_CLOSING);
        return;
    }
    if (!c->leaves)
        bench_stage_lost(&v->stage, m, end);
    if (c->is_there || c->leaves)
        verify_forget(v, m->index);
    c->is_there = c->leaves = false;
    c->back_ms = clock_monotonic_ms() + 1 + verify_random_below(&v->random, AWAY_MS);
}

static void on_path(void *userdata, size_t index, struct buffer *path)
{
    struct verify *v = userdata;
    struct bench_member *m = bench_fleet_member(v->fleet, index);
    struct buffer room = {0}, user = {0};

    m->deflates = verify_random_below(&v->random, 3) == 0;
    v->compressed += m->deflates;
    verify_room_name(v, verify_room_of(v, index), &room);
    verify_user_name(v, index, &user);
    bench_path_append(path, v->options->common.path_template, buffer_slice(&room), buffer_slice(&user));
    buffer_deinit(&room);
    buffer_deinit(&user);
}

static void on_finished(void *userdata)
{
    bench_stage_stop(&((struct verify *)userdata)->stage);
}

static const struct bench_fleet_ops fleet_ops = {
    .path = on_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

/* ---- time ---- */

/** Those whose time away is over. Return: how many are not there yet. */
static size_t bring_back(struct verify *v, uint64_t now_ms)
{
    size_t away = 0;

    for (size_t i = 0; i < v->options->count; i++) {
        struct verify_client *c = &v->clients[i];

        away += !c->is_there;
        if (c->back_ms == 0 || now_ms < c->back_ms)
            continue;
        c->back_ms = 0;
        bench_member_reconnect(bench_fleet_member(v->fleet, i),
                               verify_random_below(&v->random, v->options->common.nodes.count));
    }
    return away;
}

static bool is_all_answered(const struct verify *v)
{
    for (size_t i = 0; i < v->options->count; i++)
        if (v->clients[i].outbox_count > 0)
            return false;
    return true;
}

static void on_tick(void *userdata, uint64_t now_ms)
{
    struct verify *v = userdata;
    double age_s = (double)(now_ms - v->phase_start_ms) / 1e3;
    size_t away = v->phase > VERIFY_CONNECTING && v->phase < VERIFY_CLOSING ? bring_back(v, now_ms) : 0;

    switch (v->phase) {
    case VERIFY_CONNECTING:
        if (bench_stage_is_stuck(&v->stage, now_ms)) {
            bench_stage_fail(&v->stage, "only %zu of %zu clients were welcomed", v->welcomed_count, v->options->count);
            set_phase(v, VERIFY_CLOSING);
        }
        break;
    case VERIFY_RUNNING:
        if (age_s >= v->options->seconds)
            set_phase(v, VERIFY_DRAINING);
        break;
    case VERIFY_DRAINING:
        if (away == 0 && is_all_answered(v) && verify_owed(v) == 0)
            set_phase(v, VERIFY_SETTLING);
        else if (bench_stage_is_stuck(&v->stage, now_ms))
            set_phase(v, VERIFY_CLOSING);
        break;
    case VERIFY_SETTLING:
        if (age_s >= v->options->common.settle_s)
            set_phase(v, VERIFY_CLOSING);
        break;
    case VERIFY_CLOSING:
        break;
    }
}

static void on_interrupt(void *userdata, bool is_first)
{
    struct verify *v = userdata;

    if (v->phase == VERIFY_RUNNING && is_first)
        set_phase(v, VERIFY_DRAINING);
    else if (v->phase < VERIFY_CLOSING)
        set_phase(v, VERIFY_CLOSING);
}

static void progress(void *userdata, struct buffer *line)
{
    static const char *const names[] = {
        [VERIFY_CONNECTING] = "connecting", [VERIFY_RUNNING] = "running", [VERIFY_DRAINING] = "waiting",
        [VERIFY_SETTLING] = "settling",     [VERIFY_CLOSING] = "closing",
    };
    const struct verify *v = userdata;
    const struct bench_faults *f = &v->stage.faults;

    buffer_printf(
        line, "%-10s clients %zu/%zu  said %" PRIu64 "  heard %" PRIu64 "  departures %" PRIu64 "  faults %" PRIu64,
        names[v->phase], bench_fleet_open(v->fleet), v->options->count, v->actions,
        v->arrived[VERIFY_ROOM] + v->arrived[VERIFY_WHISPER] + v->arrived[VERIFY_BINARY], v->departures,
        f->lost + f->duplicated + f->out_of_order + f->corrupted + f->unexpected + f->refused + f->disconnects);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = progress};

/* ---- the run ---- */

static int prepare(struct verify *v)
{
    size_t rooms = (v->options->count - 1) / v->options->clients + 1;
    size_t pairs = rooms * v->options->clients * v->options->clients;
    char id[ID_TEXT_SIZE + 1];
    int result = 0;

    id_generate(id);
    (void)snprintf(v->run, sizeof(v->run), "%s", id + ID_TEXT_SIZE - (sizeof(v->run) - 1));
    v->random.state = (uint64_t)v->options->seed;
    v->clients = calloc(v->options->count, sizeof(*v->clients));
    v->whispers = calloc(v->options->count, sizeof(*v->whispers));
    v->rooms[VERIFY_ROOM] = calloc(pairs, sizeof(struct bench_sequence));
    v->rooms[VERIFY_BINARY] = calloc(pairs, sizeof(struct bench_sequence));
    if (!v->clients || !v->whispers || !v->rooms[VERIFY_ROOM] || !v->rooms[VERIFY_BINARY])
        result = -ENOMEM;
    if (!result)
        result = bench_pacer_init(&v->pacer, v->stage.loop, on_pace, v);
    if (!result)
        result =
            bench_stage_fleet(&v->stage, v->options->count, v->options->common.connect_rate, &fleet_ops, v, &v->fleet);
    if (result)
        bench_stage_fail(&v->stage, "%s", strerror(-result));
    return result;
}

static int report(struct verify *v)
{
    uint64_t sent[VERIFY_STREAMS] = {0};
    struct bench_report r;

    for (size_t i = 0; v->clients && i < v->options->count; i++)
        for (size_t stream = 0; stream < VERIFY_STREAMS; stream++)
            sent[stream] += v->clients[i].sent[stream];
    bench_report_begin(&r, &v->options->common, false, v->stage.now.version);
    bench_report_count(&r, "seed", "seed", (uint64_t)v->options->seed);
    bench_report_count(&r, "clients", "clients", v->welcomed_count);
    bench_report_count(&r, "of them in a room", "room_size", v->options->clients);
    bench_report_count(&r, "messages to rooms", "sent_room", sent[VERIFY_ROOM]);
    bench_report_count(&r, "  arrived", "received_room", v->arrived[VERIFY_ROOM]);
    bench_report_count(&r, "whispers", "sent_whisper", sent[VERIFY_WHISPER]);
    bench_report_count(&r, "  arrived", "received_whisper", v->arrived[VERIFY_WHISPER]);
    bench_report_count(&r, "binary frames", "sent_binary", sent[VERIFY_BINARY]);
    bench_report_count(&r, "  arrived", "received_binary", v->arrived[VERIFY_BINARY]);
    bench_report_count(&r, "sent in fragments", "fragmented", v->fragmented);
    bench_report_count(&r, "sent in arrays", "batches", v->batches);
    bench_report_count(&r, "offers to compress", "compressed", v->compressed);
    bench_report_count(&r, "departures", "departures", v->departures);
    bench_report_count(&r, "  without farewell", "aborts", v->aborts);
    bench_report_count(&r, "said again", "resent", v->resent);
    bench_report_count(&r, "unanswered", "unanswered", v->unanswered);
    return bench_stage_report_end(&v->stage, &r, v->phase == VERIFY_CLOSING && v->unanswered == 0,
                                  "everybody heard what it should, once, unchanged and in order");
}

#define VALUE(member) offsetof(struct verify_options, member)

static const struct bench_option rows[] = {
    {"clients", BENCH_OPTION_COUNT, VALUE(count), 1, 100000, "N", "clients; all of them send", 0},
    {"room-size", BENCH_OPTION_COUNT, VALUE(clients), 1, 1000, "N", "of them in a room", 0},
    {"rate", BENCH_OPTION_NUMBER, VALUE(rate), 1, 1e6, "N", "things done a second, by all together", 0},
    {"churn", BENCH_OPTION_NUMBER, VALUE(churn), 0, 1e4, "N", "of them departures", 0},
    {"max-bytes", BENCH_OPTION_COUNT, VALUE(max_bytes), 0, 60000, "N", "bytes of the longest messages, about", 0},
    {"seconds", BENCH_OPTION_NUMBER, VALUE(seconds), 0.1, 864000, "S", "how long", 0},
    {"seed", BENCH_OPTION_NUMBER, VALUE(seed), 0, 4e15, "N", "what everything follows from", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "verify",
    .about =
        "Lets many clients say all sorts of things, leave and come back, and checks that each hears what it should:\n"
        "once, unchanged, each sender's in their order.",
    .parts = BENCH_PART_NODES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int verify_run(const struct verify_options *options)
{
    struct verify v = {.options = options};
    int code;

    if (!bench_stage_init(&v.stage, &options->common, &stage_ops, &v) && !prepare(&v))
        bench_stage_run(&v.stage);
    code = report(&v);
    bench_fleet_free(v.fleet);
    bench_pacer_deinit(&v.pacer);
    bench_stage_deinit(&v.stage);
    free(v.clients);
    free(v.whispers);
    free(v.rooms[VERIFY_ROOM]);
    free(v.rooms[VERIFY_BINARY]);
    return code;
}

static int run(int argc, char **argv)
{
    struct verify_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 500,
                   .timeout_s = 10,
                   .settle_s = 1,
                   .pin = BENCH_NO_CPU},
        .count = 200,
        .clients = 10,
        .max_bytes = 8192,
        .rate = 500,
        .churn = 5,
        .seconds = 10,
        .seed = 1,
    };
    char room[sizeof("verify-") + ID_TEXT_SIZE] = "verify-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, NULL);
    if (result == BENCH_PARSED)
        result = verify_run(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_verify = {
    .name = "verify",
    .usage = "--nodes URL[,URL]... [OPTION]...",
    .help = "all sorts of messages, from clients that come and go: whether each hears what it should",
    .run = run,
};
