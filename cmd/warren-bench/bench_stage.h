#ifndef WARREN_BENCH_BENCH_STAGE_H
#define WARREN_BENCH_BENCH_STAGE_H

#include "bench_fleet.h"
#include "bench_options.h"
#include "bench_probe.h"
#include "bench_report.h"

/**
 * struct bench_stage - what every scenario plays on: the loop and its network, TLS, signals, a tick, and what has gone
 * wrong so far
 *
 * Embedded. The first signal asks the scenario to come to its end, the second ends. Thread: one, that which calls
 * bench_stage_run().
 */
struct bench_stage;

struct bench_stage_ops {
    /** Every BENCH_TICK_MS. */
    void (*on_tick)(void *userdata, uint64_t now_ms);
    /** Ctrl-C: stop sending and come to an end. */
    void (*on_interrupt)(void *userdata, bool is_first);
    /** Appends how it goes, in a line; once a second. */
    void (*progress)(void *userdata, struct buffer *line);
};

#define BENCH_TICK_MS 20

struct bench_stage {
    const struct bench_common *common;
    const struct bench_stage_ops *ops;
    void *userdata;
    struct loop *loop;
    struct net_loop *net;
    struct net_tls *tls; /* NULL: no node wants it */
    struct client_deflate *deflate;
    struct loop_timer tick;
    struct loop_signal *signals[2];
    uint64_t progress_ms; /* when there last was a reason to go on waiting */
    uint64_t told_ms;
    struct bench_faults faults;
    struct bench_probe now;
    struct buffer failure; /* why the run could not be made; empty: it was */
    bool is_unreachable;
    bool is_interrupted;
};

/** Pins the tool, makes loop and TLS. {0} until then. 0; a negative errno with the failure set. */
int bench_stage_init(struct bench_stage *s, const struct bench_common *c, const struct bench_stage_ops *ops,
                     void *userdata) base_must_check;
/** Also of one that was not initialised. No fleet is left. */
void bench_stage_deinit(struct bench_stage *s);
/** Until bench_stage_stop(). */
void bench_stage_run(struct bench_stage *s);
void bench_stage_stop(struct bench_stage *s);

/** @count WebSockets to the nodes of the arguments; see bench_fleet_new(). */
int bench_stage_fleet(struct bench_stage *s, size_t count, double rate, const struct bench_fleet_ops *ops,
                      void *userdata, struct bench_fleet **ret_fleet) base_must_check;

/** There was a reason to go on waiting. */
void bench_stage_touch(struct bench_stage *s);
/** Nothing has come for the time that --timeout allows. */
bool bench_stage_is_stuck(const struct bench_stage *s, uint64_t now_ms);
/** The run cannot be made, or not go on. The first reason is kept. */
void bench_stage_fail(struct bench_stage *s, const char *format, ...) base_printf(2, 3);
/** A member was not let in, or was disconnected: keeps the first reason, counts it if it had been open. */
void bench_stage_lost(struct bench_stage *s, const struct bench_member *m, const struct bench_end *end);
/** The same, where everybody has to be there: it is the end of the run. */
void bench_stage_not_connected(struct bench_stage *s, const struct bench_member *m, const struct bench_end *end);
/** An error event's code. */
void bench_stage_refused(struct bench_stage *s, struct slice raw_code);
/** Something came that had no business to: @frame, whole or what is wrong with it. */
void bench_stage_odd(struct bench_stage *s, struct slice frame);
/** What the nodes have used so far; a failure of the run if they do not tell. */
void bench_stage_probe(struct bench_stage *s, struct bench_probe *ret_probe);

/** bench_report_end() with what the stage knows. */
int bench_stage_report_end(struct bench_stage *s, struct bench_report *r, bool is_ok,
                           const char *praise) base_must_check;

#endif
