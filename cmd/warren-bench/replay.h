#ifndef WARREN_BENCH_REPLAY_H
#define WARREN_BENCH_REPLAY_H

#include "bench_ledger.h"
#include "bench_stage.h"
#include "bench_stats.h"
#include "replay_file.h"

/** struct replay - one run of the scenario, shared by what drives it (scenario_replay.c) and what tells of it
 * (replay_report.c) */

enum replay_phase {
    REPLAY_CONNECTING, /* until every viewer was welcomed */
    REPLAY_SENDING,    /* until the last comment's time has come */
    REPLAY_DRAINING,   /* until everything has arrived, or nothing comes any more */
    REPLAY_SETTLING,   /* all is there: what comes now is one too many */
    REPLAY_CLOSING,    /* until every socket is gone */
};

enum replay_answer { REPLAY_UNSENT, REPLAY_UNANSWERED, REPLAY_ACCEPTED, REPLAY_REFUSED };

struct replay_options {
    struct bench_common common;
    const char *path;
    double speed;
};

struct replay {
    const struct replay_options *options;
    struct replay_file file;
    struct bench_stage stage;
    struct bench_fleet *fleet;
    struct bench_pacer pacer;
    enum replay_phase phase;
    struct buffer channel; /* "room:" and the room */
    bool checks_sender;    /* the paths name the users, so each message must name its sender */

    uint8_t *welcomed; /* [viewer] */
    size_t welcomed_count;
    uint64_t *due_ns;   /* [comment] */
    struct buffer data; /* what is sent as data, one behind the other */
    size_t *data_ends;  /* [comment] in data */
    uint8_t *answers;   /* [comment] enum replay_answer */
    size_t next;        /* comment to send */
    uint64_t start_ns;  /* of the first comment */
    uint64_t last_ns;   /* when something came last */
    uint64_t settle_until_ms;

    struct bench_ledger ledger;
    struct bench_histogram *latency; /* nanoseconds */
    uint64_t missing;                /* deliveries that are still to come */
    uint64_t sent, answered, accepted;
};

/** The data of a comment as it is sent, once the run has begun. */
struct slice replay_data(const struct replay *r, size_t comment);
/** The line that tells how it goes; @userdata is the replay. */
void replay_progress(void *userdata, struct buffer *line);
/** The end of the run, for people or for programs. Return: the exit code. */
int replay_report(struct replay *r);

#endif
