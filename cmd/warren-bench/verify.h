#ifndef WARREN_BENCH_VERIFY_H
#define WARREN_BENCH_VERIFY_H

#include "bench_sequence.h"
#include "bench_stage.h"
#include "verify_content.h"

/**
 * struct verify - one run of the scenario, shared by what drives it (scenario_verify.c), what the clients say
 * (verify_speak.c) and what they hear (verify_hear.c)
 */

struct verify_options {
    struct bench_common common;
    size_t count, clients; /* in all; in a room */
    size_t max_bytes;
    double rate, churn; /* actions and departures a second */
    double seconds;
    double seed;
};

enum verify_phase {
    VERIFY_CONNECTING,
    VERIFY_RUNNING,
    VERIFY_DRAINING, /* everybody comes back, everything is answered and arrives */
    VERIFY_SETTLING,
    VERIFY_CLOSING,
};

#define VERIFY_OUTBOX 16

struct verify_client {
    uint64_t sent[VERIFY_STREAMS]; /* messages of each stream */
    struct verify_pending {
        uint64_t id;
        enum verify_stream stream;
        uint64_t number;
    } outbox[VERIFY_OUTBOX]; /* sent and not yet answered, in order */
    size_t outbox_count;
    uint64_t next_id;
    uint64_t back_ms; /* when to connect again; 0: it is not away */
    bool was_welcomed;
    bool is_there; /* welcomed, and not on its way out */
    bool leaves;   /* goes on purpose */
};

struct verify {
    const struct verify_options *options;
    struct bench_stage stage;
    struct bench_fleet *fleet;
    struct bench_pacer pacer;
    struct verify_random random; /* of what is done; contents have their own */
    enum verify_phase phase;
    struct verify_client *clients;
    size_t welcomed_count;                           /* for the first time */
    struct bench_sequence *rooms[VERIFY_BINARY + 1]; /* [VERIFY_ROOM, VERIFY_BINARY][listener][sender's place] */
    struct bench_sequence *whispers;                 /* [listener] of the one who whispers to it */
    uint64_t start_ns, actions, departures;
    uint64_t phase_start_ms;
    uint64_t arrived[VERIFY_STREAMS];
    uint64_t fragmented, batches, resent, aborts, compressed, unanswered;
    char run[9]; /* in the users' names: their keys must not be another run's */
};

/* ---- who is where ---- */

static inline size_t verify_room_of(const struct verify *v, size_t client)
{
    return client / v->options->clients;
}
static inline size_t verify_place_of(const struct verify *v, size_t client)
{
    return client % v->options->clients;
}
/** The last room may be smaller. */
static inline size_t verify_room_size(const struct verify *v, size_t room)
{
    size_t left = v->options->count - room * v->options->clients;

    return left < v->options->clients ? left : v->options->clients;
}
/** To whom a client whispers: the one of the next room in its place, so that each is whispered to by one. */
static inline size_t verify_partner_of(const struct verify *v, size_t client)
{
    return (client + v->options->clients) % v->options->count;
}
static inline size_t verify_whisperer_of(const struct verify *v, size_t client)
{
    return (client + v->options->count - v->options->clients % v->options->count) % v->options->count;
}
/** @stream: VERIFY_ROOM or VERIFY_BINARY. */
static inline struct bench_sequence *verify_sequence(const struct verify *v, enum verify_stream stream, size_t listener,
                                                     size_t sender)
{
    return &v->rooms[stream][listener * v->options->clients + verify_place_of(v, sender)];
}
void verify_room_name(const struct verify *v, size_t room, struct buffer *out);
void verify_user_name(const struct verify *v, size_t client, struct buffer *out);

/* ---- verify_speak.c ---- */

/** One thing that a client does, as the numbers decide; nothing if it may not just now. */
void verify_act(struct verify *v);
/** Somebody goes, politely or not. */
void verify_depart(struct verify *v);
/** What was not answered before it left, again, with the same keys. */
void verify_resend(struct verify *v, size_t client);

/* ---- verify_hear.c ---- */

void verify_hear(struct verify *v, struct bench_member *m, enum ws_opcode opcode, struct slice payload);
/** The client listens from now on. */
void verify_listen(struct verify *v, size_t client);
/** It is gone: what it was still to hear is forgiven, what it heard in the wrong order is not. */
void verify_forget(struct verify *v, size_t client);
/** What those who listen still lack. */
uint64_t verify_owed(const struct verify *v);

#endif
