/*
 * Replay: a real conversation sent again by as many viewers as took part in it, each of whom must get every comment
 * exactly once.
 *
 * Every sender is a viewer on a socket of its own. Comments leave at the time that the file says, divided by the speed,
 * and latency is counted from that time and not from when the tool got round to it: a node that stalls the tool would
 * otherwise hide its own stall. What a comment carries names its number, its text and its time, and must come back
 * byte for byte. After the last one has arrived the run goes on for a moment, in which nothing may come.
 */
#include "bench.h"
#include "bench_event.h"
#include "replay.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

#define START_DELAY_NS UINT64_C(100000000)

static void set_phase(struct replay *r, enum replay_phase phase)
{
    assert(phase > r->phase);
    r->phase = phase;
    bench_stage_touch(&r->stage);
    switch (phase) {
    case REPLAY_CONNECTING:
    case REPLAY_SENDING:
    case REPLAY_DRAINING:
        break;
    case REPLAY_SETTLING:
        r->settle_until_ms = clock_monotonic_ms() + (uint64_t)(r->options->common.settle_s * 1e3);
        break;
    case REPLAY_CLOSING:
        bench_pacer_stop(&r->pacer);
        bench_fleet_close(r->fleet);
        break;
    }
}

static void close_all(struct replay *r)
{
    if (r->phase < REPLAY_CLOSING)
        set_phase(r, REPLAY_CLOSING);
}

/* ---- sending ---- */

struct slice replay_data(const struct replay *r, size_t comment)
{
    size_t begin = comment ? r->data_ends[comment - 1] : 0;

    return slice_make(r->data.data + begin, r->data_ends[comment] - begin);
}

static void send_comment(struct replay *r, size_t comment)
{
    struct bench_member *m = bench_fleet_member(r->fleet, r->file.comments[comment].sender);
    struct buffer text = {0};
    struct json_writer w;

    json_writer_init(&w, &text);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, "id", comment);
    json_write_member_text(&w, "op", "send");
    json_write_member_text(&w, "room", r->options->common.room);
    json_write_name(&w, "data");
    json_write_raw(&w, replay_data(r, comment));
    json_write_object_end(&w);
    /* A sender that is gone was counted as a disconnect; its comment stays unsent. */
    if (!buffer_error(&text) && bench_member_send(m, buffer_slice(&text)) == 0) {
        r->answers[comment] = REPLAY_UNANSWERED;
        r->sent++;
        r->missing += r->ledger.viewers;
    }
    buffer_deinit(&text);
}

static void on_pace(void *userdata)
{
    struct replay *r = userdata;
    uint64_t now_ns = clock_monotonic_ns();

    if (r->phase != REPLAY_SENDING)
        return;
    while (r->next < r->file.comment_count && r->due_ns[r->next] <= now_ns)
        send_comment(r, r->next++);
    bench_stage_touch(&r->stage);
    if (r->next < r->file.comment_count)
        bench_pacer_at(&r->pacer, r->due_ns[r->next]);
    else
        set_phase(r, REPLAY_DRAINING);
}

/** Now that everybody listens: times and data of all comments. */
static int prepare_comments(struct replay *r)
{
    struct json_writer w;

    r->start_ns = clock_monotonic_ns() + START_DELAY_NS;
    for (size_t i = 0; i < r->file.comment_count; i++) {
        const struct replay_comment *c = &r->file.comments[i];

        r->due_ns[i] =
            r->start_ns + (uint64_t)((double)(c->at_ms - r->file.comments[0].at_ms) * 1e6 / r->options->speed);
        json_writer_init(&w, &r->data);
        json_write_object_begin(&w);
        json_write_member_uint64(&w, "n", i);
        json_write_member_string(&w, "t", c->text);
        json_write_member_uint64(&w, "s", r->due_ns[i]);
        json_write_object_end(&w);
        r->data_ends[i] = r->data.size;
    }
    return buffer_error(&r->data);
}

static void begin_sending(struct replay *r)
{
    if (prepare_comments(r)) {
        bench_stage_fail(&r->stage, "out of memory");
        close_all(r);
        return;
    }
    set_phase(r, REPLAY_SENDING);
    bench_pacer_at(&r->pacer, r->due_ns[0]);
}

/* ---- what comes ---- */

static void take_welcome(struct replay *r, size_t viewer)
{
    if (r->welcomed[viewer]) {
        r->stage.faults.unexpected++;
        return;
    }
    r->welcomed[viewer] = true;
    if (++r->welcomed_count == r->ledger.viewers && r->phase == REPLAY_CONNECTING)
        begin_sending(r);
}

/** The comment's number, which its data begins with. */
static bool data_number(struct slice data, uint64_t *ret_number)
{
    static const struct slice begin = SLICE_LITERAL("{\"n\":");
    const char *comma;
    struct slice number;

    if (!slice_starts_with(data, begin))
        return false;
    number = slice_skip(data, begin.size);
    comma = memchr(number.data, ',', number.size);
    if (!comma)
        return false;
    number.size = (size_t)(comma - number.data);
    return slice_to_uint64(number, UINT32_MAX, ret_number);
}

static bool is_from(const struct replay *r, const struct bench_event *event, size_t sender)
{
    struct buffer name = {0};
    bool is_equal;

    if (!r->checks_sender)
        return true;
    json_string_decode(event->from, &name);
    is_equal = !buffer_error(&name) && slice_equal(buffer_slice(&name), r->file.senders[sender]);
    buffer_deinit(&name);
    return is_equal;
}

static void take_message(struct replay *r, size_t viewer, const struct bench_event *event, uint64_t now_ns)
{
    uint64_t n;
    size_t sender;

    if (slice_is_set(event->channel) && !json_string_equal(event->channel, r->channel.data))
        return; /* of the inbox or of everybody: another's business */
    if (!data_number(event->data, &n) || n >= r->next || r->answers[n] == REPLAY_UNSENT ||
        r->answers[n] == REPLAY_REFUSED) {
        r->stage.faults.unexpected++;
        return;
    }
    sender = r->file.comments[n].sender;
    if (!slice_equal(event->data, replay_data(r, n)) || !is_from(r, event, sender))
        r->stage.faults.corrupted++;
    if (!bench_ledger_take(&r->ledger, viewer, sender, n))
        return;
    r->missing--;
    bench_histogram_add(r->latency, now_ns > r->due_ns[n] ? now_ns - r->due_ns[n] : 0);
}

static void take_answer(struct replay *r, size_t viewer, const struct bench_event *event)
{
    bool is_ours = event->has_id && event->id < r->next && r->file.comments[event->id].sender == viewer &&
                   r->answers[event->id] == REPLAY_UNANSWERED;

    r->answered += is_ours;
    if (is_ours && event->kind == BENCH_EVENT_OK) {
        r->answers[event->id] = REPLAY_ACCEPTED;
        r->accepted++;
    } else if (event->kind == BENCH_EVENT_ERROR) {
        bench_stage_refused(&r->stage, event->code);
        if (is_ours) {
            r->answers[event->id] = REPLAY_REFUSED;
            r->missing -= r->ledger.viewers - r->ledger.arrived[event->id];
            r->stage.faults.unexpected += r->ledger.arrived[event->id];
        }
    } else {
        r->stage.faults.unexpected++;
    }
}

/** A frame's addressee, for the events in it. */
struct arrival {
    struct replay *replay;
    size_t viewer;
    uint64_t now_ns;
};

static void on_event(void *userdata, const struct bench_event *event)
{
    const struct arrival *a = userdata;

    switch (event->kind) {
    case BENCH_EVENT_WELCOME:
        take_welcome(a->replay, a->viewer);
        break;
    case BENCH_EVENT_MESSAGE:
        take_message(a->replay, a->viewer, event, a->now_ns);
        break;
    case BENCH_EVENT_OK:
    case BENCH_EVENT_ERROR:
        take_answer(a->replay, a->viewer, event);
        break;
    case BENCH_EVENT_OTHER:
        break;
    }
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct replay *r = bench_fleet_userdata(m->fleet);
    struct arrival a = {.replay = r, .viewer = m->index, .now_ns = clock_monotonic_ns()};

    if (r->phase == REPLAY_CLOSING)
        return;
    r->last_ns = a.now_ns;
    r->stage.progress_ms = a.now_ns / 1000000;
    if (opcode != WS_OPCODE_TEXT || !bench_event_each(payload, on_event, &a))
        r->stage.faults.unexpected++;
}

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&((struct replay *)bench_fleet_userdata(m->fleet))->stage);
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct replay *r = bench_fleet_userdata(m->fleet);

    if (r->phase > REPLAY_CONNECTING) {
        bench_stage_lost(&r->stage, m, end);
        return;
    }
    /* Without all its viewers the run cannot begin. */
    bench_stage_not_connected(&r->stage, m, end);
    close_all(r);
}

static void on_path(void *userdata, size_t index, struct buffer *path)
{
    struct replay *r = userdata;

    bench_path_append(path, r->options->common.path_template, slice_from(r->options->common.room),
                      r->file.senders[index]);
}

static void on_finished(void *userdata)
{
    bench_stage_stop(&((struct replay *)userdata)->stage);
}

static const struct bench_fleet_ops fleet_ops = {
    .path = on_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

/* ---- time ---- */

/** Moves the run on when it is complete, or when nothing has come for too long. */
static void on_tick(void *userdata, uint64_t now_ms)
{
    struct replay *r = userdata;
    bool is_stuck = bench_stage_is_stuck(&r->stage, now_ms);

    switch (r->phase) {
    case REPLAY_CONNECTING:
        if (is_stuck) {
            bench_stage_fail(&r->stage, "only %zu of %zu viewers were welcomed", r->welcomed_count, r->ledger.viewers);
            close_all(r);
        }
        break;
    case REPLAY_DRAINING:
        if (r->missing == 0 && r->answered == r->sent)
            set_phase(r, REPLAY_SETTLING);
        else if (is_stuck)
            set_phase(r, REPLAY_CLOSING);
        break;
    case REPLAY_SETTLING:
        if (now_ms >= r->settle_until_ms)
            set_phase(r, REPLAY_CLOSING);
        break;
    case REPLAY_SENDING:
    case REPLAY_CLOSING:
        break;
    }
}

/** The first time the sending stops and what is under way is waited for, the second time it ends. */
static void on_interrupt(void *userdata, bool is_first)
{
    struct replay *r = userdata;

    if (r->phase == REPLAY_SENDING && is_first)
        set_phase(r, REPLAY_DRAINING);
    else
        close_all(r);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = replay_progress};

/* ---- the run ---- */

static int make_tables(struct replay *r)
{
    size_t viewers = r->file.sender_count, comments = r->file.comment_count;

    r->welcomed = calloc(viewers, sizeof(*r->welcomed));
    r->due_ns = calloc(comments, sizeof(*r->due_ns));
    r->data_ends = calloc(comments, sizeof(*r->data_ends));
    r->answers = calloc(comments, sizeof(*r->answers));
    r->latency = calloc(1, sizeof(*r->latency));
    buffer_printf(&r->channel, "room:%s", r->options->common.room);
    if (!r->welcomed || !r->due_ns || !r->data_ends || !r->answers || !r->latency || buffer_error(&r->channel))
        return -ENOMEM;
    return bench_ledger_init(&r->ledger, viewers, viewers, comments);
}

static void replay_deinit(struct replay *r)
{
    bench_fleet_free(r->fleet);
    bench_pacer_deinit(&r->pacer);
    bench_stage_deinit(&r->stage);
    bench_ledger_deinit(&r->ledger);
    free(r->welcomed);
    free(r->due_ns);
    free(r->data_ends);
    free(r->answers);
    free(r->latency);
    buffer_deinit(&r->channel);
    buffer_deinit(&r->data);
    replay_file_deinit(&r->file);
}

static int prepare(struct replay *r)
{
    int result = bench_stage_init(&r->stage, &r->options->common, &stage_ops, r);

    if (!result)
        result = make_tables(r);
    if (!result)
        result = bench_pacer_init(&r->pacer, r->stage.loop, on_pace, r);
    if (!result)
        result = bench_stage_fleet(&r->stage, r->file.sender_count, r->options->common.connect_rate, &fleet_ops, r,
                                   &r->fleet);
    if (result)
        bench_stage_fail(&r->stage, "%s", strerror(-result));
    return result;
}

static int replay_run(const struct replay_options *options)
{
    struct replay r = {.options = options};
    struct buffer error = {0};
    int result = replay_file_load(options->path, &r.file, &error);

    if (result) {
        (void)fprintf(stderr, "warren-bench: %s: %s\n", options->path, error.size ? error.data : strerror(-result));
        buffer_deinit(&error);
        return BENCH_USAGE;
    }
    buffer_deinit(&error);
    r.checks_sender = strstr(options->common.path_template, "{user}") != NULL;
    if (prepare(&r)) {
        (void)fprintf(stderr, "warren-bench: %s\n", r.stage.failure.data ? r.stage.failure.data : "out of memory");
        result = BENCH_FAILED;
    } else {
        bench_stage_run(&r.stage);
        result = replay_report(&r);
    }
    replay_deinit(&r);
    return result;
}

static const struct bench_option rows[] = {
    {"speed", BENCH_OPTION_NUMBER, offsetof(struct replay_options, speed), 0.001, 1e6, "N",
     "how many times faster than recorded", 0},
};

static const struct bench_arguments arguments = {
    .scenario = "replay",
    .operand = "FILE",
    .about = "Sends a recorded conversation again, everybody on a WebSocket of their own, and checks that each\n"
             "viewer gets each comment exactly once, unchanged, each sender's in their order.\n\n"
             "FILE has lines of: milliseconds, tab, sender, tab, text (- is standard input).",
    .ending =
        "Latency counts from the time at which a comment was to be sent. Ctrl-C stops the sending; again, it ends.",
    .parts = BENCH_PART_NODES | BENCH_PART_RATE,
    .rows = rows,
    .count = BASE_ARRAY_SIZE(rows),
};

static int run(int argc, char **argv)
{
    struct replay_options o = {
        .common = {.path_template = "/websocket/{room}/{user}",
                   .connect_rate = 500,
                   .timeout_s = 10,
                   .settle_s = 1,
                   .pin = BENCH_NO_CPU},
        .speed = 1,
    };
    char room[sizeof("replay-") + ID_TEXT_SIZE] = "replay-";
    int result;

    id_generate(room + strlen(room));
    o.common.room = room;
    result = bench_options_parse(&arguments, argc, argv, &o, &o.path);
    if (result == BENCH_PARSED)
        result = replay_run(&o);
    bench_options_deinit(&o.common);
    return result;
}

const struct bench_scenario scenario_replay = {
    .name = "replay",
    .usage = "FILE --nodes URL[,URL]...",
    .help = "a recorded conversation, sent again to everybody who took part in it",
    .run = run,
};
