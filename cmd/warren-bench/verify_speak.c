/* What the clients do: say something in one of many forms, leave in one of two, and repeat what was not answered. */
#include "verify.h"

#include "base/clock.h"

#include <inttypes.h>

#define BATCH_MAX 4
#define FRAGMENTS_MAX 5

void verify_room_name(const struct verify *v, size_t room, struct buffer *out)
{
    buffer_printf(out, "%s 房间 %zu", v->options->common.room, room);
}

void verify_user_name(const struct verify *v, size_t client, struct buffer *out)
{
    buffer_printf(out, "u%zu/%s", client, v->run);
}

static struct verify_name name_of(const struct verify *v, size_t client, enum verify_stream stream, uint64_t number)
{
    return (struct verify_name){
        .seed = (uint64_t)v->options->seed, .sender = (uint32_t)client, .stream = stream, .number = number};
}

/** Appends the operation that says it. */
static void append_op(const struct verify *v, size_t client, const struct verify_pending *p, struct buffer *out)
{
    const struct verify_name name = name_of(v, client, p->stream, p->number);
    struct buffer to = {0};
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, "id", p->id);
    if (p->stream == VERIFY_ROOM) {
        verify_room_name(v, verify_room_of(v, client), &to);
        json_write_member_text(&w, "op", "send");
        json_write_member_string(&w, "room", buffer_slice(&to));
    } else {
        verify_user_name(v, verify_partner_of(v, client), &to);
        json_write_member_text(&w, "op", "whisper");
        json_write_member_string(&w, "user", buffer_slice(&to));
    }
    buffer_printf(out, ",\"key\":\"%s-%" PRIu64 "\",\"data\": ", p->stream == VERIFY_ROOM ? "r" : "w", p->number);
    verify_content_append(&name, v->options->max_bytes, out);
    buffer_append_text(out, " }");
    buffer_deinit(&to);
}

/** In one frame, or in several with control frames between. */
static void send_frames(struct verify *v, size_t client, enum ws_opcode opcode, struct slice payload)
{
    struct client_socket *socket = bench_fleet_member(v->fleet, client)->socket;
    size_t pieces =
        verify_random_below(&v->random, 5) == 0 ? 2 + verify_random_below(&v->random, FRAGMENTS_MAX - 1) : 1;

    v->fragmented += pieces > 1;
    for (size_t i = 1; i <= pieces; i++) {
        size_t size = i == pieces ? payload.size : verify_random_below(&v->random, payload.size + 1);

        /* A socket that is gone was told so; what is unanswered is said again, and binary is forgiven. */
        (void)client_socket_send_frame(socket, i == 1 ? opcode : WS_OPCODE_CONTINUATION, i == pieces,
                                       slice_make(payload.data, size));
        if (i < pieces && verify_random_below(&v->random, 3) == 0)
            (void)client_socket_send_frame(socket, WS_OPCODE_PING, true, SLICE_LITERAL("between"));
        payload = slice_skip(payload, size);
    }
}

static void say_binary(struct verify *v, size_t client)
{
    struct verify_client *c = &v->clients[client];
    const struct verify_name name = name_of(v, client, VERIFY_BINARY, c->sent[VERIFY_BINARY]);
    struct buffer octets = {0};

    verify_content_append(&name, v->options->max_bytes, &octets);
    if (!buffer_error(&octets)) {
        c->sent[VERIFY_BINARY]++;
        send_frames(v, client, WS_OPCODE_BINARY, buffer_slice(&octets));
    }
    buffer_deinit(&octets);
}

static const struct verify_pending *enqueue(struct verify *v, struct verify_client *c)
{
    struct verify_pending *p = &c->outbox[c->outbox_count++];

    p->id = c->next_id++;
    p->stream = verify_random_below(&v->random, 6) == 0 ? VERIFY_WHISPER : VERIFY_ROOM;
    p->number = c->sent[p->stream]++;
    return p;
}

/** One operation, or an array of some. */
static void say_text(struct verify *v, size_t client)
{
    struct verify_client *c = &v->clients[client];
    size_t count = verify_random_below(&v->random, 8) == 0 ? 2 + verify_random_below(&v->random, BATCH_MAX - 1) : 1;
    struct buffer text = {0};

    if (c->outbox_count + count > VERIFY_OUTBOX)
        return;
    v->batches += count > 1;
    if (count > 1)
        buffer_append_char(&text, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_text(&text, " ,");
        append_op(v, client, enqueue(v, c), &text);
    }
    if (count > 1)
        buffer_append_char(&text, ']');
    if (!buffer_error(&text))
        send_frames(v, client, WS_OPCODE_TEXT, buffer_slice(&text));
    buffer_deinit(&text);
}

void verify_act(struct verify *v)
{
    size_t client = verify_random_below(&v->random, v->options->count);

    if (!v->clients[client].is_there)
        return;
    if (verify_random_below(&v->random, 8) == 0)
        say_binary(v, client);
    else
        say_text(v, client);
}

void verify_resend(struct verify *v, size_t client)
{
    struct verify_client *c = &v->clients[client];

    for (size_t i = 0; i < c->outbox_count; i++) {
        struct buffer text = {0};

        append_op(v, client, &c->outbox[i], &text);
        v->resent++;
        if (!buffer_error(&text))
            send_frames(v, client, WS_OPCODE_TEXT, buffer_slice(&text));
        buffer_deinit(&text);
    }
}

void verify_depart(struct verify *v)
{
    size_t client = verify_random_below(&v->random, v->options->count), room = verify_room_of(v, client);
    struct verify_client *c = &v->clients[client];
    struct client_socket *socket = bench_fleet_member(v->fleet, client)->socket;

    if (!c->is_there)
        return;
    if (verify_random_below(&v->random, 2) == 0) { /* in the middle of a sentence */
        say_text(v, client);
        say_binary(v, client);
    }
    c->is_there = false;
    c->leaves = true;
    v->departures++;
    if (verify_random_below(&v->random, 2) == 0) {
        client_socket_close(socket, WS_CLOSE_NORMAL);
        return;
    }
    /* What had not left, or was not read yet, is gone; nobody confirms binary frames, so nobody says it again. */
    for (size_t i = 0; i < verify_room_size(v, room); i++)
        bench_sequence_forgive(verify_sequence(v, VERIFY_BINARY, room * v->options->clients + i, client),
                               c->sent[VERIFY_BINARY]);
    v->aborts++;
    client_socket_abort(socket);
}
