#ifndef HUB_LIKES_INTERNAL_H
#define HUB_LIKES_INTERNAL_H

#include "hub/letter_internal.h"
#include "hub/room_internal.h"

#define HUB_LIKES_BATCHES_MAX 4

/** struct hub_like - likes for a room on their way from a port; gathered there as long as they are for the same room */
struct hub_like {
    struct hub_letter letter;
    uint64_t count;
    uint8_t name_size;
    char name[]; /* of the channel */
};

/* ---- likes.c ---- */

/** A letter of a port: struct hub_like. */
loop_task_fn hub_likes_on_like;
void hub_likes_init(struct hub *h);
void hub_likes_start(struct hub *h);
/** Sends what is due. */
void hub_likes_run(struct hub *h);
/** Every total is asked for again, so that the store keeps it. */
void hub_likes_restate(struct hub *h);
/** Before the store stops: sends everything. */
void hub_likes_flush(struct hub *h);
/** The store has stopped. */
void hub_likes_stop(struct hub *h);

/** A signal came: if it is a total, listeners know it now. false: it is older than what they know, and not for them. */
bool hub_likes_hear(struct hub *h, struct hub_room *room, const struct message *m);
/** The store says: this is the total. */
void hub_likes_learn(struct hub_room *room, uint64_t total);
/** The total, for somebody who joins. */
uint64_t hub_likes_for_newcomer(struct hub_room *room);
/** The last listener of the room has left. */
void hub_likes_left(struct hub *h, struct hub_room *room);
/** Of a room that goes. */
void hub_likes_free(struct hub *h, struct hub_likes *l);

#endif
