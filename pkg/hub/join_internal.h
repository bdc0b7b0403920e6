#ifndef HUB_JOIN_INTERNAL_H
#define HUB_JOIN_INTERNAL_H

#include "base/list.h"
#include "base/message.h"
#include "hub/port.h"
#include "store/store.h"

struct hub;
struct hub_channel;
struct hub_record;
struct hub_request;
struct hub_sequence;

/** Whether the log was read for a join, and what that says. Decisions need it: a read speaks of what was past where the
 * join stood, and only if it was sent for that. */
enum hub_join_read {
    HUB_JOIN_NO_READ,
    HUB_JOIN_READ_WANTED,
    HUB_JOIN_READ_AHEAD,   /* on its way, sent when the channel was not as far as the join */
    HUB_JOIN_READ_BEHIND,  /* on its way, sent when the channel was further: so the log had more */
    HUB_JOIN_TOLD_AHEAD,   /* answered: what the channel lacked */
    HUB_JOIN_TOLD_NOTHING, /* answered: although the log had more, it has nothing of it now */
    HUB_JOIN_TOLD_MORE,    /* answered: some of it */
};

/** struct hub_join - a request's waiting for one of its channels; the hub's, then with the answer the port's */
struct hub_join {
    struct list link; /* sequence->joins, while it waits */
    struct hub_request *request;
    struct hub_channel *channel; /* the hub's; NULL until it listens */
    struct hub_since since;
    bool has_since, recovered;
    bool is_blind;  /* there is no position to be had */
    bool wants_ack; /* an inbox: to begin where the device has taken it */
    bool is_asking; /* the store, where that is */
    bool took_part; /* in a read of the log: goes before those who come newly */
    uint8_t read;   /* enum hub_join_read */
    bool has_state; /* of an answer, of a room: with */
    bool has_online;
    uint64_t online, likes;
    uint64_t history;         /* the last messages that are wanted, instead of a catch-up */
    bool is_history;          /* @messages are those */
    struct store_position at; /* gathered up to here; of the answer: where the channel stands */
    struct message **messages;
    size_t count, capacity, bytes;
};

/* ---- join.c ---- */

/** Answers @r as soon as all its channels' catch-ups are whole; takes the request. */
void hub_join_begin(struct hub *h, struct hub_request *r);
/** The store has not come yet, or was lost: who joins waits, also who was about to, until one of the next two. */
void hub_join_be_patient(struct hub *h);
/** The store has come (hub_interest_restate() is for those who were about to), or everything ends: who waits goes on.
 */
void hub_join_release(struct hub *h);
/** It has not for long enough: they go on without it. */
void hub_join_give_up(struct hub *h);
/** The channel got its position, or its log was read, or (@has_failed) neither could be had. */
void hub_join_resume(struct hub *h, struct hub_sequence *s, bool has_failed);
/** A read is sent for all who wait for one: from where? */
struct store_position hub_join_read_from(struct hub_sequence *s);
/** Hands those it was sent for what was read; the log has more behind it if @has_more. */
void hub_join_take_log(struct hub_sequence *s, const struct hub_record *records, size_t count, bool has_more);
/** What kept the request waiting may be over: looks at it again. */
void hub_join_retry(struct hub *h, struct hub_request *r);

#endif
