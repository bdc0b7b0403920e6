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

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 50
#define PROGRESS_MS 1000
#define START_DELAY_NS UINT64_C(100000000)

static void set_phase(struct replay *r, enum replay_phase phase)
{
    assert(phase > r->phase);
    r->phase = phase;
    r->progress_ms = clock_monotonic_ms();
    switch (phase) {
    case REPLAY_CONNECTING:
    case REPLAY_SENDING:
    case REPLAY_DRAINING:
        break;
    case REPLAY_SETTLING:
        r->settle_until_ms = clock_monotonic_ms() + (uint64_t)(r->options->settle_s * 1e3);
        break;
    case REPLAY_CLOSING:
        bench_pacer_stop(&r->pacer);
        bench_fleet_close(r->fleet);
        break;
    }
}

/** The run cannot be made. */
static void fail(struct replay *r, const char *format, ...) base_printf(2, 3);
static void fail(struct replay *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (r->failure.size == 0)
        buffer_vprintf(&r->failure, format, args);
    va_end(args);
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
    json_write_member_text(&w, "room", r->options->room);
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
    r->progress_ms = clock_monotonic_ms();
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
        fail(r, "out of memory");
        return;
    }
    set_phase(r, REPLAY_SENDING);
    bench_pacer_at(&r->pacer, r->due_ns[0]);
}

/* ---- what comes ---- */

static void take_welcome(struct replay *r, size_t viewer)
{
    if (r->welcomed[viewer]) {
        r->unexpected++;
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
        r->unexpected++;
        return;
    }
    sender = r->file.comments[n].sender;
    if (!slice_equal(event->data, replay_data(r, n)) || !is_from(r, event, sender))
        r->corrupted++;
    if (!bench_ledger_take(&r->ledger, viewer, sender, n))
        return;
    r->missing--;
    bench_histogram_add(r->latency, now_ns > r->due_ns[n] ? now_ns - r->due_ns[n] : 0);
}

static void take_refusal(struct replay *r, const struct bench_event *event)
{
    r->refused++;
    if (r->refusal.size == 0)
        json_string_decode(event->code, &r->refusal);
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
        take_refusal(r, event);
        if (is_ours) {
            r->answers[event->id] = REPLAY_REFUSED;
            r->missing -= r->ledger.viewers - r->ledger.arrived[event->id];
            r->unexpected += r->ledger.arrived[event->id];
        }
    } else {
        r->unexpected++;
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
    r->progress_ms = a.now_ns / 1000000;
    if (opcode != WS_OPCODE_TEXT || !bench_event_each(payload, on_event, &a))
        r->unexpected++;
}

static void on_open(struct bench_member *m)
{
    ((struct replay *)bench_fleet_userdata(m->fleet))->progress_ms = clock_monotonic_ms();
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct replay *r = bench_fleet_userdata(m->fleet);
    struct slice node = r->options->nodes.urls[m->node];
    struct buffer why = {0};

    buffer_printf(&why, "%.*s: %.*s", SLICE_PRINTF(node), SLICE_PRINTF(end->text));
    if (end->http_status)
        buffer_printf(&why, " (HTTP %u)", end->http_status);
    else if (end->code != WS_CLOSE_ABNORMAL)
        buffer_printf(&why, " (close code %u)", end->code);
    if (m->was_open) {
        r->disconnects++;
        if (r->disconnect.size == 0)
            buffer_append_slice(&r->disconnect, buffer_slice(&why));
    }
    /* Without all its viewers the run cannot begin. */
    if (r->phase == REPLAY_CONNECTING) {
        r->is_unreachable = !m->was_open && end->http_status == 0;
        fail(r, "%s", why.data ? why.data : "out of memory");
    }
    buffer_deinit(&why);
}

static void on_path(void *userdata, size_t index, struct buffer *path)
{
    struct replay *r = userdata;

    bench_path_append(path, r->options->path_template, slice_from(r->options->room), r->file.senders[index]);
}

static void on_finished(void *userdata)
{
    loop_stop(((struct replay *)userdata)->loop);
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
static void judge(struct replay *r, uint64_t now_ms)
{
    bool is_stuck = now_ms > r->progress_ms + (uint64_t)(r->options->timeout_s * 1e3);

    switch (r->phase) {
    case REPLAY_CONNECTING:
        if (is_stuck)
            fail(r, "only %zu of %zu viewers were welcomed", r->welcomed_count, r->ledger.viewers);
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

static void on_tick(void *userdata)
{
    struct replay *r = userdata;
    uint64_t now_ms = clock_monotonic_ms();

    if (now_ms >= r->reported_ms + PROGRESS_MS && r->phase != REPLAY_CLOSING) {
        r->reported_ms = now_ms;
        replay_print_progress(r);
    }
    judge(r, now_ms);
    loop_timer_start(&r->tick, TICK_MS);
}

/** The first signal stops the sending and waits for what is under way, the second ends. */
static void on_signal(void *userdata, int signal_number base_unused)
{
    struct replay *r = userdata;
    bool is_first = !r->is_interrupted;

    r->is_interrupted = true;
    if (r->phase == REPLAY_CONNECTING)
        fail(r, "interrupted");
    else if (r->phase == REPLAY_SENDING && is_first)
        set_phase(r, REPLAY_DRAINING);
    else if (r->phase < REPLAY_CLOSING)
        set_phase(r, REPLAY_CLOSING);
}

/* ---- the run ---- */

static int make_tables(struct replay *r)
{
    size_t viewers = r->file.sender_count, comments = r->file.comment_count;

    r->welcomed = calloc(viewers, sizeof(*r->welcomed));
    r->due_ns = calloc(comments, sizeof(*r->due_ns));
    r->data_ends = calloc(comments, sizeof(*r->data_ends));
    r->answers = calloc(comments, sizeof(*r->answers));
    r->latency = calloc(1, sizeof(*r->latency));
    buffer_printf(&r->channel, "room:%s", r->options->room);
    if (!r->welcomed || !r->due_ns || !r->data_ends || !r->answers || !r->latency || buffer_error(&r->channel))
        return -ENOMEM;
    return bench_ledger_init(&r->ledger, viewers, viewers, comments);
}

static int make_loop(struct replay *r)
{
    static const int signals[] = {SIGINT, SIGTERM};
    const struct bench_fleet_options fleet_options = {
        .nodes = &r->options->nodes,
        .count = r->file.sender_count,
        .rate = r->options->connect_rate,
        .timeout_ms = (uint32_t)(r->options->timeout_s * 1e3),
    };
    int result = loop_new("bench", &r->loop);

    if (!result)
        result = net_loop_new(r->loop, &r->net);
    if (!result)
        result = bench_pacer_init(&r->pacer, r->loop, on_pace, r);
    if (!result)
        loop_timer_init(&r->tick, r->loop, on_tick, r);
    for (size_t i = 0; !result && i < BASE_ARRAY_SIZE(signals); i++)
        result = loop_signal_new(r->loop, signals[i], on_signal, r, &r->signals[i]);
    if (!result)
        result = bench_fleet_new(r->net, &fleet_options, &fleet_ops, r, &r->fleet);
    return result;
}

static void replay_deinit(struct replay *r)
{
    bench_fleet_free(r->fleet);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(r->signals); i++)
        loop_signal_free(r->signals[i]);
    loop_timer_deinit(&r->tick);
    bench_pacer_deinit(&r->pacer);
    net_loop_free(r->net);
    loop_free(r->loop);
    bench_ledger_deinit(&r->ledger);
    free(r->welcomed);
    free(r->due_ns);
    free(r->data_ends);
    free(r->answers);
    free(r->latency);
    buffer_deinit(&r->channel);
    buffer_deinit(&r->data);
    buffer_deinit(&r->refusal);
    buffer_deinit(&r->disconnect);
    buffer_deinit(&r->failure);
    replay_file_deinit(&r->file);
}

static int replay_run(const struct replay_options *options)
{
    struct replay r = {.options = options, .progress_ms = clock_monotonic_ms()};
    struct buffer error = {0};
    int result = replay_file_load(options->path, &r.file, &error);

    if (result) {
        (void)fprintf(stderr, "warren-bench: %s: %s\n", options->path, error.size ? error.data : strerror(-result));
        buffer_deinit(&error);
        return BENCH_USAGE;
    }
    buffer_deinit(&error);
    r.checks_sender = strstr(options->path_template, "{user}") != NULL;
    result = make_tables(&r);
    if (!result)
        result = make_loop(&r);
    if (result) {
        (void)fprintf(stderr, "warren-bench: %s\n", strerror(-result));
        result = BENCH_FAILED;
    } else {
        r.reported_ms = clock_monotonic_ms();
        loop_timer_start(&r.tick, TICK_MS);
        loop_run(r.loop);
        result = replay_report(&r);
    }
    replay_deinit(&r);
    return result;
}

/* ---- arguments ---- */

static void print_usage(FILE *out)
{
    (void)fputs(
        "Usage: warren-bench replay FILE --nodes URL[,URL]... [OPTION]...\n"
        "Sends a recorded conversation again, everybody on a WebSocket of their own, and checks that each\n"
        "viewer gets each comment exactly once, unchanged, each sender's in their order.\n"
        "\n"
        "FILE has lines of: milliseconds, tab, sender, tab, text (- is standard input).\n"
        "\n"
        "  --nodes URLS          the nodes, ws://host:port separated by commas; senders take turns over them\n"
        "  --speed N             how many times faster than recorded (default: 1)\n"
        "  --room R              the room (default: a fresh one)\n"
        "  --path-template PATH  (default: /websocket/{room}/{user})\n"
        "  --connect-rate N      connections begun a second (default: 500)\n"
        "  --timeout S           give up after so many seconds in which nothing comes (default: 10)\n"
        "  --settle S            how long to look out for duplicates at the end (default: 1)\n"
        "  --json                print the report as one JSON object\n"
        "  --help                print this, and end\n"
        "\n"
        "Latency counts from the time at which a comment was to be sent. Ctrl-C stops the sending; again, it ends.\n"
        "Exit codes: 0 all arrived; 1 something was lost, doubled, disordered, changed, refused, or somebody was\n"
        "disconnected, or the run was interrupted; 2 usage; 3 a node does not answer.\n",
        out);
}

static int usage_error(const char *option, const char *expected)
{
    (void)fprintf(stderr, "warren-bench replay: %s: %s\nTry: warren-bench replay --help\n", option, expected);
    return BENCH_USAGE;
}

enum { OPTION_NODES = 1, OPTION_SPEED, OPTION_ROOM, OPTION_TEMPLATE, OPTION_RATE, OPTION_TIMEOUT, OPTION_SETTLE };

/** One option of getopt's. Return: NULL, or what was expected. */
static const char *take_option(struct replay_options *o, int option)
{
    switch (option) {
    case OPTION_NODES:
        return bench_nodes_parse(optarg, &o->nodes);
    case OPTION_SPEED:
        return bench_number_parse(optarg, 0.001, 1e6, &o->speed) ? NULL : "expected a number from 0.001 to 1000000";
    case OPTION_ROOM:
        o->room = optarg;
        return optarg[0] && strlen(optarg) <= 128 ? NULL : "expected a name of 1 to 128 bytes";
    case OPTION_TEMPLATE:
        o->path_template = optarg;
        return optarg[0] == '/' ? NULL : "expected a path that begins with /";
    case OPTION_RATE:
        return bench_number_parse(optarg, 1, 1e6, &o->connect_rate) ? NULL : "expected a number from 1 to 1000000";
    case OPTION_TIMEOUT:
        return bench_number_parse(optarg, 0.1, 3600, &o->timeout_s) ? NULL : "expected seconds from 0.1 to 3600";
    case OPTION_SETTLE:
        return bench_number_parse(optarg, 0, 3600, &o->settle_s) ? NULL : "expected seconds from 0 to 3600";
    default:
        o->json = true;
        return NULL;
    }
}

static int run(int argc, char **argv)
{
    static const struct option table[] = {
        {"nodes", required_argument, NULL, OPTION_NODES},
        {"speed", required_argument, NULL, OPTION_SPEED},
        {"room", required_argument, NULL, OPTION_ROOM},
        {"path-template", required_argument, NULL, OPTION_TEMPLATE},
        {"connect-rate", required_argument, NULL, OPTION_RATE},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"settle", required_argument, NULL, OPTION_SETTLE},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct replay_options o = {
        .path_template = "/websocket/{room}/{user}", .speed = 1, .connect_rate = 500, .timeout_s = 10, .settle_s = 1};
    char room[sizeof("replay-") + ID_TEXT_SIZE] = "replay-";
    const char *expected;
    int option, index = 0;

    id_generate(room + strlen(room));
    o.room = room;
    while ((option = getopt_long(argc, argv, "h", table, &index)) != -1) {
        if (option == 'h') {
            print_usage(stdout);
            return BENCH_OK;
        }
        if (option == '?')
            return usage_error(argv[optind - 1], "no such option, or it needs a value");
        expected = take_option(&o, option);
        if (expected)
            return usage_error(table[index].name, expected);
    }
    if (optind + 1 != argc)
        return usage_error("FILE", "expected one file");
    if (o.nodes.count == 0)
        return usage_error("--nodes", "expected the nodes' URLs");
    o.path = argv[optind];
    return replay_run(&o);
}

const struct bench_scenario scenario_replay = {
    .name = "replay",
    .usage = "FILE --nodes URL[,URL]...",
    .help = "a recorded conversation, sent again to everybody who took part in it",
    .run = run,
};
