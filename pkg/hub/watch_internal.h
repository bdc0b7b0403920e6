#ifndef HUB_WATCH_INTERNAL_H
#define HUB_WATCH_INTERNAL_H

#include "hub/letter_internal.h"
#include "hub/room_internal.h"

#define HUB_WATCH_BATCHES_MAX 4
/** Spans of time that wait for the store; beyond, what comes is lost. */
#define HUB_WATCH_SPANS_MAX 65536
/** Spans that come within this time travel together. */
#define HUB_WATCH_GATHER_MS 100

/** struct hub_sign - a session's sign of life in a room; both are good until its leave, which comes behind */
struct hub_sign {
    struct hub_letter letter;
    struct hub_channel *channel;
    const struct hub_client *client;
};

/* ---- watch.c ---- */

/** A letter of a port: struct hub_sign. */
loop_task_fn hub_watch_on_sign;
/** A session of a user comes or goes; only of rooms that are watched. */
void hub_watch_enter(struct hub *h, const struct hub_room *room, struct slice user);
void hub_watch_exit(struct hub *h, const struct hub_room *room, struct slice user);
void hub_watch_init(struct hub *h);
void hub_watch_start(struct hub *h);
/** Tells the store what is due. */
void hub_watch_run(struct hub *h);
/** Before the store stops: sends everything. */
void hub_watch_flush(struct hub *h);
/** The store has stopped. */
void hub_watch_stop(struct hub *h);

#endif
