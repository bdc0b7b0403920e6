#ifndef HUB_SEQUENCE_INTERNAL_H
#define HUB_SEQUENCE_INTERNAL_H

#include "hub/hub_internal.h"
#include "hub/join_internal.h"
#include "hub/ring_internal.h"

/*
 * Sequenced channels, the inside. All of it is the hub thread's.
 */

/** What a channel keeps of messages that came too early. */
#define HUB_HELD_MAX 256
#define HUB_HELD_BYTES_MAX (1024u * 1024u)
#define HUB_GIVEN_UP_MAX 8
#define HUB_EARLIER_MAX 4
/** How long a message waits for the one before it, until the log is read. */
#define HUB_STRAGGLER_MS 5
/** Logs read at one time; of each at most so much at once. */
#define HUB_READS_MAX 256
#define HUB_READ_RECORDS 500
#define HUB_READ_BYTES (512u * 1024u)

/** Who moves it on stands with each. */
enum hub_sequence_status {
    HUB_SEQUENCE_UNKNOWN,     /* nobody listens, or the store was away: the first listener, or the store's return */
    HUB_SEQUENCE_POSITIONING, /* interest is being stated: the store's answer */
    HUB_SEQUENCE_LIVE,        /* @last is known: the last listener's leave */
};

/** struct hub_held - a message that cannot be delivered yet */
struct hub_held {
    struct list link;
    struct message *message;
    uint32_t reads; /* sequence->reads when it came: a read sent later tells of it */
};

/** struct hub_early - what a sequence holds, sorted by position; there while there is any */
struct hub_early {
    struct hub_sequence *sequence;
    struct list held;           /* struct hub_held */
    struct list straggler_link; /* hub->stragglers */
    uint64_t straggler_due_ms;
    size_t bytes;
    uint32_t count;
};

/** Offsets that were skipped because the log did not have them. */
struct hub_given_up {
    uint64_t epoch, from, to;
};

/** struct hub_past - what a sequence remembers of its accidents; most never have any */
struct hub_past {
    uint32_t given_up_count, earlier_count;
    struct hub_given_up given_up[HUB_GIVEN_UP_MAX];
    struct store_position earlier[HUB_EARLIER_MAX]; /* where the epochs before this one ended here */
};

/**
 * struct hub_sequence - the order of a channel's messages on this node
 *
 * While LIVE every message up to @last was handed to the listeners, or given up with a reset, and none past it. What
 * comes early or of another epoch is held, sorted by position, until what is missing came or the log was read; the log
 * alone decides about epochs.
 */
struct hub_sequence {
    struct hub_channel *channel;
    struct list link; /* hub->sequences */
    /** POSITIONING: hub->unpositioned, the store is asked at the end of the turn. LIVE: hub->unread, a read is due, and
     * has no place yet. */
    struct list due_link;
    struct list joins; /* struct hub_join that wait for a position or a read */
    struct store_position last;
    uint64_t began;        /* the epoch of the first position here; 0: there may be listeners who had none */
    struct hub_ring *ring; /* NULL: empty, likewise below */
    struct hub_early *early;
    struct hub_past *past;
    struct log_reading *reading; /* under way */
    uint32_t generation;         /* counts how often it became UNKNOWN: answers of before are void */
    uint32_t reads;              /* sent */
    uint32_t sweep_round;
    uint8_t status;       /* enum hub_sequence_status */
    bool is_blind : 1;    /* there may be listeners who began without a position */
    bool is_behind : 1;   /* the log is known to have more */
    bool is_resuming : 1; /* reads wait until all joins were looked at */
    bool is_short : 1;    /* something of what was held was dropped while the log was read */
    bool is_suspect : 1;  /* the store has another life than when this epoch was entered: entries of it may be gone */
    bool has_rest : 1;    /* the log has entries of epochs before the first position here */
};

/* ---- sequence.c ---- */

int hub_sequence_new(struct hub *h, struct hub_channel *c) base_must_check;
struct hub_sequence *hub_sequence_free(struct hub *h, struct hub_sequence *s);
/** Nobody listens any more: forgets where it stood, ends the interest. */
void hub_sequence_idle(struct hub *h, struct hub_sequence *s);
/** A message with a position, by whatever way. Borrows @m. */
void hub_sequence_feed(struct hub *h, struct hub_sequence *s, struct message *m);
/** The interest is stated; the log stood at @position at that moment, perhaps behind a rest of earlier epochs. */
void hub_sequence_begin(struct hub *h, struct hub_sequence *s, struct store_position position, bool has_rest);
/** The store has another life: what is missed from now on may have been lost with the old one. */
void hub_sequence_suspect_all(struct hub *h);
/** A record, opened; @message is NULL if it cannot be read: its offset is passed over. */
struct hub_record {
    struct store_position position;
    struct message *message;
};
/** A page: what the log has past some position, not past @s->last, in order. @last: where the log ends. */
void hub_sequence_take_log(struct hub *h, struct hub_sequence *s, struct store_position last,
                           const struct hub_record *records, size_t count);
/** What was read for those who join serves those who come after them, too. */
void hub_sequence_fill_ring(struct hub *h, struct hub_sequence *s, const struct hub_record *records, size_t count);
void hub_sequence_start(struct hub *h);
void hub_sequence_stop(struct hub *h);

/** Whether nothing is held. */
static inline bool hub_sequence_holds_nothing(const struct hub_sequence *s)
{
    return !s->early;
}

/** By epoch, then offset: as the log's order is. */
static inline int hub_position_compare(struct store_position a, struct store_position b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

/* ---- log_reader.c ---- */

/** Has the log read for whoever waits for it: the sequence itself, and the joins. */
void hub_log_want(struct hub *h, struct hub_sequence *s);
void hub_log_pump(struct hub *h);
/** 0; HUB_RECORD_UNREADABLE; -ENOMEM. */
#define HUB_RECORD_UNREADABLE 1
int hub_record_open(struct hub *h, const struct store_record *record, struct message **ret_message) base_must_check;
/** The bytes that are kept of a message. */
void hub_record_write(const struct message *m, struct buffer *out);

/* ---- interest.c ---- */

/** Has the position asked for, at the end of this turn. */
void hub_interest_want(struct hub *h, struct hub_sequence *s);
/** Asks for all that is wanted, now: before a message is sent, so that who joined a moment ago hears it. */
void hub_interest_run(struct hub *h);
/** The end of a turn: the same, at the earliest hub.interest_gather after the last time. */
void hub_interest_pace(struct hub *h);
void hub_interest_end(struct hub *h, struct hub_sequence *s);
/** Sends the ends that are being gathered. */
void hub_interest_flush(struct hub *h);
void hub_interest_start(struct hub *h);
void hub_interest_stop(struct hub *h);
/** The store came back, or it is time: all interest is stated again; with @then_sweep, then the sweep. */
void hub_interest_restate(struct hub *h, bool then_sweep);

/* ---- sweep.c ---- */

void hub_sweep_start(struct hub *h);
void hub_sweep_stop(struct hub *h);
/** Reads what lies past each sequence's position, now. */
void hub_sweep_now(struct hub *h);
/** Some node's being cut has changed. */
void hub_sweep_pace(struct hub *h);
/** At the latest in @delay_ms. */
void hub_sweep_soon(struct hub *h, uint64_t delay_ms);

/* ---- call.c ---- */

/** Has the other nodes sweep, if this one has left something to them (hub->has_left) and has a broker now. */
void hub_call_others(struct hub *h);
/** Whether it is the channel of calls. */
bool hub_call_is(struct slice channel);
void hub_call_heard(struct hub *h, const struct message *m);

#endif
