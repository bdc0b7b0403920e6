/*
 * What the clients hear, held against what was said. A listener owes itself every message that was sent after its
 * welcome and before it leaves; what was under way at either end may come or not. Whatever comes, comes once,
 * unchanged, from whom it says, where it belongs, and behind what the same sender said before.
 */
#include "verify.h"

#include "bench_event.h"

struct hearing {
    struct verify *verify;
    size_t listener;
    struct slice frame;
};

/** Whether the sender could have said it here. */
static bool is_sensible(const struct verify *v, size_t listener, const struct verify_name *name)
{
    if (name->sender >= v->options->count || name->number >= v->clients[name->sender].sent[name->stream])
        return false;
    if (name->stream == VERIFY_WHISPER)
        return verify_partner_of(v, name->sender) == listener;
    if (verify_room_of(v, name->sender) != verify_room_of(v, listener))
        return false;
    /* Nobody hears its own binary frames; but who has come back may hear what it said in its last session. */
    return name->stream == VERIFY_ROOM || name->sender != listener ||
           name->number < verify_sequence(v, VERIFY_BINARY, listener, listener)->begin;
}

static void take(struct verify *v, size_t listener, const struct verify_name *name, struct slice data)
{
    struct bench_sequence *sequence = name->stream == VERIFY_WHISPER
                                          ? &v->whispers[listener]
                                          : verify_sequence(v, name->stream, listener, name->sender);
    struct buffer wanted = {0};
    uint64_t skipped;

    verify_content_append(name, v->options->max_bytes, &wanted);
    if (!slice_equal(buffer_slice(&wanted), data))
        v->stage.faults.corrupted++;
    buffer_deinit(&wanted);
    v->arrived[name->stream]++;
    switch (bench_sequence_take(sequence, name->number, &skipped)) {
    case BENCH_ARRIVAL_TWICE:
        v->stage.faults.duplicated++;
        break;
    case BENCH_ARRIVAL_LATE:
        v->stage.faults.out_of_order++;
        break;
    case BENCH_ARRIVAL_NEXT:
        break;
    }
}

/** Whether the event names the channel and the sender that the data does. */
static bool is_attributed(const struct verify *v, size_t listener, const struct verify_name *name,
                          const struct bench_event *event)
{
    struct buffer channel = {0}, from = {0}, wanted_channel = {0}, wanted_from = {0};
    bool is_right;

    buffer_append_text(&wanted_channel, name->stream == VERIFY_ROOM ? "room:" : "user:");
    if (name->stream == VERIFY_ROOM)
        verify_room_name(v, verify_room_of(v, listener), &wanted_channel);
    else
        verify_user_name(v, listener, &wanted_channel);
    verify_user_name(v, name->sender, &wanted_from);
    json_string_decode(event->channel, &channel);
    json_string_decode(event->from, &from);
    is_right = slice_equal(buffer_slice(&channel), buffer_slice(&wanted_channel)) &&
               slice_equal(buffer_slice(&from), buffer_slice(&wanted_from));
    buffer_deinit(&channel);
    buffer_deinit(&from);
    buffer_deinit(&wanted_channel);
    buffer_deinit(&wanted_from);
    return is_right;
}

static void take_message(const struct hearing *h, const struct bench_event *event)
{
    struct verify *v = h->verify;
    struct verify_name name = {.seed = (uint64_t)v->options->seed};

    if (!slice_is_set(event->channel) || !slice_is_set(event->from) ||
        !verify_content_read(event->data, false, &name) || !is_sensible(v, h->listener, &name) ||
        !is_attributed(v, h->listener, &name, event))
        bench_stage_odd(&v->stage, h->frame);
    else
        take(v, h->listener, &name, event->data);
}

static void take_answer(const struct hearing *h, const struct bench_event *event)
{
    struct verify_client *c = &h->verify->clients[h->listener];
    size_t i = 0;

    if (event->kind == BENCH_EVENT_ERROR)
        bench_stage_refused(&h->verify->stage, event->code);
    while (i < c->outbox_count && !(event->has_id && c->outbox[i].id == event->id))
        i++;
    if (i == c->outbox_count) {
        if (event->kind != BENCH_EVENT_ERROR)
            bench_stage_odd(&h->verify->stage, h->frame);
        return;
    }
    memmove(&c->outbox[i], &c->outbox[i + 1], (c->outbox_count - i - 1) * sizeof(c->outbox[0]));
    c->outbox_count--;
}

static void on_event(void *userdata, const struct bench_event *event)
{
    const struct hearing *h = userdata;
    struct verify *v = h->verify;

    switch (event->kind) {
    case BENCH_EVENT_WELCOME:
        if (v->clients[h->listener].is_there)
            bench_stage_odd(&v->stage, h->frame);
        else
            verify_listen(v, h->listener);
        break;
    case BENCH_EVENT_MESSAGE:
        take_message(h, event);
        break;
    case BENCH_EVENT_OK:
    case BENCH_EVENT_ERROR:
        take_answer(h, event);
        break;
    case BENCH_EVENT_OTHER:
        break;
    }
}

void verify_hear(struct verify *v, struct bench_member *m, enum ws_opcode opcode, struct slice payload)
{
    struct hearing h = {.verify = v, .listener = m->index, .frame = payload};
    struct verify_name name = {.seed = (uint64_t)v->options->seed};

    if (opcode == WS_OPCODE_TEXT && bench_event_each(payload, on_event, &h))
        return;
    if (opcode == WS_OPCODE_BINARY && verify_content_read(payload, true, &name) && is_sensible(v, m->index, &name))
        take(v, m->index, &name, payload);
    else
        bench_stage_odd(&v->stage, payload);
}

/* ---- what is owed ---- */

void verify_listen(struct verify *v, size_t client)
{
    size_t room = verify_room_of(v, client), first = room * v->options->clients;
    struct verify_client *c = &v->clients[client];

    for (size_t i = 0; i < verify_room_size(v, room); i++) {
        const uint64_t *sent = v->clients[first + i].sent;

        bench_sequence_begin(verify_sequence(v, VERIFY_ROOM, client, first + i), sent[VERIFY_ROOM]);
        bench_sequence_begin(verify_sequence(v, VERIFY_BINARY, client, first + i), sent[VERIFY_BINARY]);
    }
    bench_sequence_begin(&v->whispers[client], v->clients[verify_whisperer_of(v, client)].sent[VERIFY_WHISPER]);
    v->welcomed_count += !c->was_welcomed;
    c->was_welcomed = true;
    c->is_there = true;
    verify_resend(v, client);
}

/** Of one listener: what it lacks of what was sent, or, once it is gone, only what it was overtaken by. */
static uint64_t owed_to(const struct verify *v, size_t client, bool is_gone)
{
    size_t room = verify_room_of(v, client), first = room * v->options->clients;
    const struct bench_sequence *whisper = &v->whispers[client];
    uint64_t owed = is_gone
                        ? whisper->holes
                        : bench_sequence_lost(whisper, v->clients[verify_whisperer_of(v, client)].sent[VERIFY_WHISPER]);

    for (size_t i = 0; i < verify_room_size(v, room); i++) {
        const struct bench_sequence *text = verify_sequence(v, VERIFY_ROOM, client, first + i);
        const struct bench_sequence *binary = verify_sequence(v, VERIFY_BINARY, client, first + i);
        const uint64_t *sent = v->clients[first + i].sent;

        owed += is_gone ? text->holes : bench_sequence_lost(text, sent[VERIFY_ROOM]);
        if (first + i != client) /* nobody hears its own binary frames */
            owed += is_gone ? binary->holes : bench_sequence_lost(binary, sent[VERIFY_BINARY]);
    }
    return owed;
}

void verify_forget(struct verify *v, size_t client)
{
    v->stage.faults.lost += owed_to(v, client, true);
}

uint64_t verify_owed(const struct verify *v)
{
    uint64_t owed = 0;

    for (size_t i = 0; i < v->options->count; i++)
        if (v->clients[i].is_there)
            owed += owed_to(v, i, false);
    return owed;
}
