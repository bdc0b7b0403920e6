#ifndef WARREN_BENCH_BENCH_FLOW_H
#define WARREN_BENCH_BENCH_FLOW_H

#include "bench_payload.h"
#include "bench_sequence.h"
#include "bench_stage.h"
#include "bench_stats.h"

/**
 * struct bench_flow - rooms of as many clients each, in every one of which one client sends and all listen
 *
 * Rooms take turns. Open loop: a message is due at its place in the rate, whatever the nodes do, and latency counts
 * from then. Closed loop: a message leaves when fewer than --window are under way; its latency counts from then and
 * says how long a full pipe is, not how fast the nodes answer. A message is under way until every listener has it or
 * has got a later one; what is skipped is a loss unless it still comes.
 *
 * Clients are numbered room by room, and nodes take turns over them, so that a room is spread over the nodes; of room r
 * client r % clients-per-room sends, so that the senders are too.
 */
struct bench_flow_options {
    struct bench_common common;
    size_t rooms, clients; /* clients of each room */
    size_t bytes;          /* of a message's data */
    size_t window;
    double rate; /* messages a second, of all rooms; 0: closed loop */
    double seconds;
    double quiet_s; /* after the last client was welcomed */
    bool with_limit;
};

enum bench_flow_phase {
    BENCH_FLOW_CONNECTING, /* until everybody was welcomed */
    BENCH_FLOW_QUIET,      /* until the joins have been told to everybody */
    BENCH_FLOW_WARMING,    /* not counted */
    BENCH_FLOW_WARMED,     /* until all of that has arrived */
    BENCH_FLOW_MEASURING,
    BENCH_FLOW_DRAINING, /* until all of that has arrived, or nothing comes any more */
    BENCH_FLOW_SETTLING, /* what comes now is one too many */
    BENCH_FLOW_CLOSING,
};

struct bench_flow_message {
    uint64_t number; /* of all rooms */
    uint64_t due_ns;
    size_t remaining; /* deliveries; 0: the place is free */
};

struct bench_flow {
    const struct bench_flow_options *options;
    struct bench_stage stage;
    struct bench_fleet *fleet;
    struct bench_pacer pacer;
    struct bench_payload payload;
    enum bench_flow_phase phase;
    size_t members;
    uint8_t *welcomed; /* [member] */
    size_t welcomed_count;
    struct bench_sequence *sequences; /* [member] */

    struct bench_flow_message *ring; /* by number, modulo its size, a power of two */
    uint64_t ring_size;
    uint64_t next;           /* message to send */
    uint64_t under_way;      /* messages */
    uint64_t measured_first; /* message with which the measurement began */
    uint64_t phase_first;    /* message with which this sending phase began */
    uint64_t phase_start_ns, phase_end_ns;
    uint64_t phase_until_ms; /* of QUIET and SETTLING */
    uint64_t last_ns;        /* when something came last */

    /* of the measurement */
    uint64_t first_ns;
    uint64_t deliveries;
    uint64_t wire_bytes;                /* of the last message's frame, as it came */
    struct bench_histogram *near, *far; /* nanoseconds: through the sender's node, through another */
    struct bench_probe before, after;
    void (*on_measured)(struct bench_flow *f, bool is_before); /* at both ends of it, while all is quiet; may be NULL */
    void *userdata;
};

/** Runs it. What became of it is in @f; then bench_flow_deinit(). @f is zeroed but for on_measured and userdata. */
void bench_flow_run(struct bench_flow *f, const struct bench_flow_options *options);
void bench_flow_deinit(struct bench_flow *f);

/** Whether the run got as far as figures. */
bool bench_flow_has_figures(const struct bench_flow *f);
double bench_flow_seconds(const struct bench_flow *f);
/** The rows that such scenarios have in common. */
void bench_flow_report(struct bench_flow *f, struct bench_report *r);

#endif
