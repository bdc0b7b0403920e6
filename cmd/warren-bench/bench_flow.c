#include "bench_flow.h"

#include "base/clock.h"
#include "bench_event.h"

#include <inttypes.h>
#include <stdio.h>

#define OPEN_RING (UINT64_C(1) << 17) /* messages that may be under way at once when nothing holds them back */
#define START_DELAY_NS UINT64_C(20000000)

static uint64_t ns_of(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static struct bench_flow_message *slot_of(const struct bench_flow *f, uint64_t number)
{
    return &f->ring[number & (f->ring_size - 1)];
}

/* ---- phases ---- */

static void pump(struct bench_flow *f);

static void begin_sending(struct bench_flow *f, double seconds)
{
    f->phase_first = f->next;
    f->phase_start_ns = clock_monotonic_ns() + START_DELAY_NS;
    f->phase_end_ns = f->phase_start_ns + ns_of(seconds);
    bench_pacer_at(&f->pacer, f->phase_start_ns);
}

static void begin_measuring(struct bench_flow *f)
{
    if (f->on_measured)
        f->on_measured(f, true);
    bench_stage_probe(&f->stage, &f->before);
    f->measured_first = f->next;
    f->deliveries = 0;
    *f->near = *f->far = (struct bench_histogram){.count = 0};
    begin_sending(f, f->options->seconds);
    f->first_ns = f->last_ns = f->phase_start_ns;
}

static void set_phase(struct bench_flow *f, enum bench_flow_phase phase)
{
    uint64_t now_ms = clock_monotonic_ms();

    assert(phase > f->phase);
    f->phase = phase;
    bench_stage_touch(&f->stage);
    switch (phase) {
    case BENCH_FLOW_QUIET:
        f->phase_until_ms = now_ms + (uint64_t)(f->options->quiet_s * 1e3);
        break;
    case BENCH_FLOW_WARMING:
        begin_sending(f, f->options->common.warmup_s);
        break;
    case BENCH_FLOW_MEASURING:
        begin_measuring(f);
        break;
    case BENCH_FLOW_SETTLING:
        bench_stage_probe(&f->stage, &f->after);
        if (f->on_measured)
            f->on_measured(f, false);
        f->phase_until_ms = clock_monotonic_ms() + (uint64_t)(f->options->common.settle_s * 1e3);
        break;
    case BENCH_FLOW_CLOSING:
        bench_pacer_stop(&f->pacer);
        bench_fleet_close(f->fleet);
        break;
    case BENCH_FLOW_CONNECTING:
    case BENCH_FLOW_WARMED:
    case BENCH_FLOW_DRAINING:
        break;
    }
    if (f->stage.failure.size > 0 && f->phase < BENCH_FLOW_CLOSING)
        set_phase(f, BENCH_FLOW_CLOSING);
}

static void fail(struct bench_flow *f, const char *what)
{
    bench_stage_fail(&f->stage, "%s", what);
    if (f->phase < BENCH_FLOW_CLOSING)
        set_phase(f, BENCH_FLOW_CLOSING);
}

/* ---- sending ---- */

static bool is_sending(const struct bench_flow *f)
{
    return f->phase == BENCH_FLOW_WARMING || f->phase == BENCH_FLOW_MEASURING;
}

static void room_name(const struct bench_flow *f, size_t room, struct buffer *out)
{
    buffer_printf(out, "%s-%zu", f->options->common.room, room);
}

static void send_next(struct bench_flow *f, uint64_t due_ns)
{
    uint64_t number = f->next++;
    size_t room = (size_t)(number % f->options->rooms);
    size_t sender = room * f->options->clients + room % f->options->clients;
    struct bench_flow_message *slot = slot_of(f, number);
    struct buffer text = {0}, name = {0};
    struct json_writer w;

    room_name(f, room, &name);
    json_writer_init(&w, &text);
    json_write_object_begin(&w);
    json_write_member_text(&w, "op", "send");
    json_write_member_string(&w, "room", buffer_slice(&name));
    json_write_name(&w, "data");
    bench_payload_append(&f->payload, (uint32_t)room, number / f->options->rooms, &text);
    buffer_append_char(&text, '}');
    buffer_deinit(&name);
    *slot = (struct bench_flow_message){.number = number, .due_ns = due_ns, .remaining = f->options->clients};
    f->under_way++;
    /* A sender that is gone was counted as a disconnect; what it could not send is lost. */
    if (!buffer_error(&text))
        (void)bench_member_send(bench_fleet_member(f->fleet, sender), buffer_slice(&text));
    buffer_deinit(&text);
}

static void pump_open(struct bench_flow *f, uint64_t now_ns)
{
    for (;;) {
        uint64_t due_ns = f->phase_start_ns + (uint64_t)((double)(f->next - f->phase_first) * 1e9 / f->options->rate);

        if (due_ns >= f->phase_end_ns) {
            set_phase(f, f->phase + 1);
            return;
        }
        if (due_ns > now_ns) {
            bench_pacer_at(&f->pacer, due_ns);
            return;
        }
        if (slot_of(f, f->next)->remaining > 0) {
            fail(f, "the nodes do not keep up: too many messages are under way");
            return;
        }
        send_next(f, due_ns);
    }
}

static void pump_closed(struct bench_flow *f, uint64_t now_ns)
{
    /* A window at least, also where the machine let the tool wait for longer than it was to send. */
    if (now_ns < f->phase_end_ns || f->next == f->phase_first)
        while (f->under_way < f->options->window && slot_of(f, f->next)->remaining == 0)
            send_next(f, now_ns);
    if (now_ns >= f->phase_end_ns)
        set_phase(f, f->phase + 1);
}

/** Sends what is due. */
static void pump(struct bench_flow *f)
{
    uint64_t now_ns = clock_monotonic_ns();

    if (!is_sending(f) || now_ns < f->phase_start_ns)
        return;
    if (f->options->rate > 0)
        pump_open(f, now_ns);
    else
        pump_closed(f, now_ns);
}

static void on_pace(void *userdata)
{
    struct bench_flow *f = userdata;

    bench_stage_touch(&f->stage);
    pump(f);
}

/* ---- what comes ---- */

/** A message is with one more listener, or will not come to it in its order any more. */
static void arrived_once(struct bench_flow *f, uint64_t number)
{
    struct bench_flow_message *slot = slot_of(f, number);

    if (slot->number != number || slot->remaining == 0)
        return;
    if (--slot->remaining == 0)
        f->under_way--;
}

static void take_delivery(struct bench_flow *f, const struct bench_member *m, uint32_t room, uint64_t number,
                          uint64_t now_ns)
{
    size_t rooms = f->options->rooms, mine = m->index / f->options->clients;
    size_t sender = mine * f->options->clients + mine % f->options->clients;
    uint64_t message = number * rooms + room, skipped;
    struct bench_flow_message *slot = slot_of(f, message);
    enum bench_arrival arrival;

    if (room != mine || message >= f->next) {
        f->stage.faults.unexpected++;
        return;
    }
    arrival = bench_sequence_take(&f->sequences[m->index], number, &skipped);
    if (arrival == BENCH_ARRIVAL_TWICE) {
        f->stage.faults.duplicated++;
        return;
    }
    if (message >= f->measured_first) {
        f->deliveries++;
        if (slot->number == message && now_ns > slot->due_ns)
            bench_histogram_add(bench_fleet_member(f->fleet, sender)->node == m->node ? f->near : f->far,
                                now_ns - slot->due_ns);
    }
    if (arrival == BENCH_ARRIVAL_LATE) {
        f->stage.faults.out_of_order++; /* it was given up when it was skipped */
        return;
    }
    for (uint64_t i = number - skipped; i <= number; i++)
        arrived_once(f, i * rooms + room);
}

static void on_event(void *userdata, const struct bench_event *event)
{
    struct bench_member *m = userdata;
    struct bench_flow *f = bench_fleet_userdata(m->fleet);

    if (event->kind == BENCH_EVENT_WELCOME) {
        f->stage.faults.unexpected += f->welcomed[m->index];
        f->welcomed_count += !f->welcomed[m->index];
        f->welcomed[m->index] = true;
        if (f->welcomed_count == f->members && f->phase == BENCH_FLOW_CONNECTING)
            set_phase(f, BENCH_FLOW_QUIET);
    } else if (event->kind == BENCH_EVENT_ERROR) {
        bench_stage_refused(&f->stage, event->code);
    } else if (event->kind != BENCH_EVENT_OTHER) {
        f->stage.faults.unexpected++; /* a message that is not ours, an answer to no question */
    }
}

static void on_message(struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct bench_flow *f = bench_fleet_userdata(m->fleet);
    uint64_t now_ns = client_socket_read_ns(m->socket), number;
    enum bench_payload_result result;
    struct slice rest = payload;
    bool is_ours = false;
    uint32_t room;

    if (f->phase == BENCH_FLOW_CLOSING)
        return;
    while ((result = bench_payload_take(&f->payload, &rest, &room, &number)) != BENCH_PAYLOAD_NONE) {
        is_ours = true;
        if (result == BENCH_PAYLOAD_FOUND)
            take_delivery(f, m, room, number, now_ns);
        else
            f->stage.faults.corrupted++;
    }
    f->stage.progress_ms = now_ns / 1000000;
    if (is_ours) {
        f->last_ns = now_ns;
        f->wire_bytes = ws_header_size(payload.size, false) + payload.size;
        f->stage.faults.unexpected += opcode != WS_OPCODE_TEXT;
        if (f->options->rate <= 0 && f->under_way < f->options->window)
            pump(f);
    } else if (opcode != WS_OPCODE_TEXT || !bench_event_each(payload, on_event, m)) {
        bench_stage_odd(&f->stage, payload);
    }
}

static void on_open(struct bench_member *m)
{
    bench_stage_touch(&((struct bench_flow *)bench_fleet_userdata(m->fleet))->stage);
}

static void on_closed(struct bench_member *m, const struct bench_end *end)
{
    struct bench_flow *f = bench_fleet_userdata(m->fleet);

    if (f->phase > BENCH_FLOW_CONNECTING) {
        bench_stage_lost(&f->stage, m, end);
        return;
    }
    bench_stage_not_connected(&f->stage, m, end);
    set_phase(f, BENCH_FLOW_CLOSING);
}

static void on_path(void *userdata, size_t index, struct buffer *path)
{
    struct bench_flow *f = userdata;
    struct buffer room = {0}, user = {0};

    room_name(f, index / f->options->clients, &room);
    buffer_printf(&user, "u%zu", index);
    bench_path_append(path, f->options->common.path_template, buffer_slice(&room), buffer_slice(&user));
    buffer_deinit(&room);
    buffer_deinit(&user);
}

static void on_finished(void *userdata)
{
    bench_stage_stop(&((struct bench_flow *)userdata)->stage);
}

static const struct bench_fleet_ops fleet_ops = {
    .path = on_path,
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_finished = on_finished,
};

/* ---- time ---- */

/** Nothing is under way, or nothing has come for too long: then the rest is lost. */
static void judge_arrivals(struct bench_flow *f, uint64_t now_ms)
{
    if (f->under_way > 0 && !bench_stage_is_stuck(&f->stage, now_ms))
        return;
    if (f->under_way > 0 && f->phase == BENCH_FLOW_WARMED)
        set_phase(f, BENCH_FLOW_CLOSING); /* the losses stand in the report; there is nothing to measure */
    else
        set_phase(f, f->phase + 1);
}

static void on_tick(void *userdata, uint64_t now_ms)
{
    struct bench_flow *f = userdata;

    switch (f->phase) {
    case BENCH_FLOW_CONNECTING:
        if (bench_stage_is_stuck(&f->stage, now_ms)) {
            bench_stage_fail(&f->stage, "only %zu of %zu clients were welcomed", f->welcomed_count, f->members);
            set_phase(f, BENCH_FLOW_CLOSING);
        }
        break;
    case BENCH_FLOW_QUIET:
        if (now_ms >= f->phase_until_ms)
            set_phase(f, f->options->common.warmup_s > 0 ? BENCH_FLOW_WARMING : BENCH_FLOW_MEASURING);
        break;
    case BENCH_FLOW_WARMED:
    case BENCH_FLOW_DRAINING:
        judge_arrivals(f, now_ms);
        break;
    case BENCH_FLOW_SETTLING:
        if (now_ms >= f->phase_until_ms)
            set_phase(f, BENCH_FLOW_CLOSING);
        break;
    case BENCH_FLOW_WARMING:
    case BENCH_FLOW_MEASURING:
        pump(f); /* a closed loop that has lost everything still ends in time */
        break;
    case BENCH_FLOW_CLOSING:
        break;
    }
}

static void on_interrupt(void *userdata, bool is_first)
{
    struct bench_flow *f = userdata;

    if (f->phase == BENCH_FLOW_MEASURING && is_first)
        set_phase(f, BENCH_FLOW_DRAINING);
    else if (f->phase < BENCH_FLOW_CLOSING)
        set_phase(f, BENCH_FLOW_CLOSING);
}

static void progress(void *userdata, struct buffer *line)
{
    static const char *const names[] = {
        [BENCH_FLOW_CONNECTING] = "connecting", [BENCH_FLOW_QUIET] = "quiet",
        [BENCH_FLOW_WARMING] = "warming up",    [BENCH_FLOW_WARMED] = "warmed up",
        [BENCH_FLOW_MEASURING] = "measuring",   [BENCH_FLOW_DRAINING] = "waiting",
        [BENCH_FLOW_SETTLING] = "settling",     [BENCH_FLOW_CLOSING] = "closing",
    };
    const struct bench_flow *f = userdata;

    buffer_printf(line, "%-10s clients %zu/%zu  sent %" PRIu64 "  arrived %" PRIu64 "  under way %" PRIu64,
                  names[f->phase], f->welcomed_count, f->members, f->next - f->measured_first, f->deliveries,
                  f->under_way);
}

static const struct bench_stage_ops stage_ops = {
    .on_tick = on_tick, .on_interrupt = on_interrupt, .progress = progress};

/* ---- the run ---- */

static int make_tables(struct bench_flow *f)
{
    const struct bench_flow_options *o = f->options;

    f->members = o->rooms * o->clients;
    f->ring_size = OPEN_RING;
    while (o->rate <= 0 && f->ring_size < 4 * o->window)
        f->ring_size *= 2;
    f->welcomed = calloc(f->members, sizeof(*f->welcomed));
    f->sequences = calloc(f->members, sizeof(*f->sequences));
    f->ring = calloc((size_t)f->ring_size, sizeof(*f->ring));
    f->near = calloc(1, sizeof(*f->near));
    f->far = calloc(1, sizeof(*f->far));
    if (!f->welcomed || !f->sequences || !f->ring || !f->near || !f->far)
        return -ENOMEM;
    return bench_payload_init(&f->payload, o->bytes);
}

void bench_flow_run(struct bench_flow *f, const struct bench_flow_options *options)
{
    int result;

    f->options = options;
    if (bench_stage_init(&f->stage, &options->common, &stage_ops, f))
        return;
    result = make_tables(f);
    if (!result)
        result = bench_pacer_init(&f->pacer, f->stage.loop, on_pace, f);
    if (!result)
        result = bench_stage_fleet(&f->stage, f->members, options->common.connect_rate, &fleet_ops, f, &f->fleet);
    if (result)
        bench_stage_fail(&f->stage, "%s", strerror(-result));
    else
        bench_stage_run(&f->stage);
    /* What never came: counted where it was to come to. */
    for (size_t i = 0; !result && i < f->members; i++) {
        uint64_t room = i / options->clients;
        uint64_t sent = f->next > room ? (f->next - room - 1) / options->rooms + 1 : 0;

        f->stage.faults.lost += bench_sequence_lost(&f->sequences[i], sent);
    }
}

void bench_flow_deinit(struct bench_flow *f)
{
    bench_fleet_free(f->fleet);
    bench_pacer_deinit(&f->pacer);
    bench_payload_deinit(&f->payload);
    bench_stage_deinit(&f->stage);
    free(f->welcomed);
    free(f->sequences);
    free(f->ring);
    free(f->near);
    free(f->far);
}

bool bench_flow_has_figures(const struct bench_flow *f)
{
    return f->first_ns > 0;
}

double bench_flow_seconds(const struct bench_flow *f)
{
    return f->last_ns > f->first_ns ? (double)(f->last_ns - f->first_ns) / 1e9 : 0;
}

void bench_flow_report(struct bench_flow *f, struct bench_report *r)
{
    const struct bench_flow_options *o = f->options;
    uint64_t sent = f->next - f->measured_first;
    double seconds = bench_flow_seconds(f);

    bench_report_count(r, "rooms", "rooms", o->rooms);
    bench_report_count(r, "clients of each", "clients", o->clients);
    bench_report_count(r, "bytes of data", "bytes", o->bytes);
    bench_report_count(r, "bytes of a frame", "frame_bytes", f->wire_bytes);
    if (o->rate > 0)
        bench_report_number(r, "open loop", "rate", o->rate, 1, "messages/s, latency from the scheduled time");
    else
        bench_report_number(r, "closed loop", "window", (double)o->window, 0,
                            "messages under way, latency from the sending");
    bench_report_number(r, "duration", "duration_s", seconds, 3, "s");
    bench_report_count(r, "messages", "sent", sent);
    bench_report_count(r, "deliveries", "received", f->deliveries);
    bench_report_count(r, NULL, "expected", sent * o->clients);
    bench_report_number(r, "deliveries/s", "deliveries_per_s", seconds > 0 ? (double)f->deliveries / seconds : 0, 0,
                        "");
    bench_report_cpu(r, &f->before, &f->after, (double)f->deliveries, 1e6, "1,000,000 deliveries");
}
