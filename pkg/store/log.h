#ifndef STORE_LOG_H
#define STORE_LOG_H

#include "store/request.h"

/* The logs of sequenced channels, who is interested in them, and how far devices have taken them. Part of
 * store/store.h. */

/**
 * struct store_position - a place in a channel's log; epoch 0: none
 *
 * Offsets are 1, 2, 3 … within an epoch; offset 0 is where a channel stands before its first message. A log that ended
 * (its age, a store that came back empty or older) is followed by one of a new epoch. An epoch is the store's
 * milliseconds since 1970 when its numbering began, raised above every epoch that the store knows of.
 */
struct store_position {
    uint64_t epoch, offset;
};

/**
 * struct store_log_limits - how a channel's log is bounded
 *
 * The newest @length messages are kept, and up to a hundred more, as long as the log takes about @bytes (looked at
 * every few messages; 0: no such bound). The newest message stays whatever its size. Without a message for @age_ms the
 * log ends; while a node states interest it stays for store_identity.expiry_ms after each statement at least.
 */
struct store_log_limits {
    uint64_t length; /* at least 1 */
    uint64_t bytes;
    uint64_t age_ms; /* at least 1 */
};

/**
 * struct store_append - one message into its channel's log
 *
 * A sender's key that is known in the channel gives the position that it gave before and adds nothing; otherwise the
 * message gets the next position, and the key is remembered for @key_age_ms. That, the log and the interest are one
 * moment in the store.
 *
 * Order: appends of one channel are carried out and answered in the order in which they were made. Those of one turn
 * travel together, so that answers of different channels that were asked in the same turn may change places; nothing
 * changes places with another kind of request, except that a lost connection refuses those at once.
 *
 * What a lost connection left unanswered is not refused: it is sent again in order at the next connection, before
 * anything newer and before on_state() tells of it, until loop_now_ms() reaches @deadline_ms; then it is
 * STORE_E_UNAVAILABLE and may or may not be in the log. (So @is_repeat may be said of what this very request added.)
 * What is made while the store is away is refused, as everything is, and is not in the log; so is what it refuses by
 * rule (out of memory).
 */
struct store_append {
    struct store_request base;
    struct slice channel;                  /* borrowed until done, like all slices here */
    struct slice sender, key;              /* always set: the client's key, or the message's id */
    uint64_t key_age_ms;                   /* at least 1; longer than until the deadline */
    struct slice record;                   /* opaque */
    const struct store_log_limits *limits; /* borrowed until done; of one channel's appends in one turn, the first's */
    bool wants_interest;
    bool only_known; /* where nobody listens, nobody is remembered (store_interest_put.known_ms) and no log is, nothing
                        is added, and the position is 0:0. For a minute after the store began a life all are known. */
    uint64_t deadline_ms; /* of loop_now_ms(); 0: never sent twice */
    /* answers, written before done(0) */
    struct store_position position;
    bool is_repeat;
    /** @nodes: which state interest in the channel, if @wants_interest and @result is 0; at most 1,000, without order,
     * perhaps dead; valid during the call. */
    void (*done)(struct store_append *r, int result, const struct slice *nodes, size_t count);
};

struct store_record {
    struct store_position position;
    struct slice record;
};

/** Records at most in the answer of one log_read; channels at most in one sweep and in one interest_put. */
#define STORE_LOG_READ_MAX 1000
#define STORE_SWEEP_MAX 500
#define STORE_INTEREST_MAX 500

/**
 * struct store_log_read - records of one channel, and where its log stands at that moment
 *
 * Forwards: those past @after (of its epoch or a later one), the oldest of them; epoch 0 is the log's beginning.
 * Backwards: those before @after, the newest of them; epoch 0 is the log's end. Either way they come in the log's
 * order. At most @limit (1 to STORE_LOG_READ_MAX), and no more after the one that brings their sizes to @max_bytes:
 * an answer without records means that there are none.
 */
struct store_log_read {
    struct store_request base;
    struct slice channel;
    struct store_position after;
    uint32_t limit;
    uint32_t max_bytes;
    bool is_backwards;
    /** @last: of the log; epoch 0: there is none. @first: the oldest that is kept. @records are valid during the
     * call. */
    void (*done)(struct store_log_read *r, int result, struct store_position last, struct store_position first,
                 const struct store_record *records, size_t count);
};

struct store_sweep_channel {
    struct slice channel;
    struct store_position after; /* epoch 0: the log's beginning */
};

/**
 * struct store_sweep - what lies past the positions of many channels
 *
 * Of each channel at most @limit_per_channel records, and of all at most about 4 MiB (always one record at least);
 * then @has_more says that something was left out. Another epoch shows in the records' positions. A log that ended, or
 * came back older than @after, gives nothing.
 */
struct store_sweep {
    struct store_request base;
    const struct store_sweep_channel *channels; /* borrowed until done */
    size_t count;                               /* 1 to STORE_SWEEP_MAX, distinct */
    uint32_t limit_per_channel;                 /* at least 1 */
    bool has_more;                              /* of an answer */
    /** Once for each channel with records, in order, then done(0) in the same turn. @records are valid during the
     * call. */
    void (*on_records)(struct store_sweep *r, size_t channel_index, const struct store_record *records, size_t count);
    void (*done)(struct store_sweep *r, int result);
};

/**
 * struct store_interest_put - this node listens to channels, or no more
 *
 * And, in the same moment and after it, where each of their logs stands: what is appended later has a position past
 * that, and its append names this node. A channel without a log stands at offset 0 of the epoch that a log begun in
 * this millisecond would have. So does one whose log is of an epoch from before store_status.life: it has ended, though
 * its entries are still there to be read. Believed for store_identity.expiry_ms unless stated again.
 */
struct store_interest_put {
    struct store_request base;
    const struct slice *channels; /* borrowed until done */
    size_t count;                 /* 1 to STORE_INTEREST_MAX, distinct */
    const uint64_t *known_ms; /* count, or NULL: for so long it is remembered that somebody listened; 0: it is not */
    bool is_end;
    struct store_position *positions; /* count answers, written before done(0); not if is_end */
    bool *have_rest;                  /* likewise, or NULL: the log still has entries of an epoch that has ended */
    void (*done)(struct store_interest_put *r, int result);
};

/** How far a user's device has taken its inbox. Within an epoch it never goes back; another epoch replaces it. Kept for
 * @age_ms after each; of the 64 devices of a user that spoke last, at least. */
struct store_ack_put {
    struct store_request base;
    struct slice user, device; /* borrowed until done */
    struct store_position position;
    uint64_t age_ms; /* at least 1 */
    void (*done)(struct store_ack_put *r, int result);
};

struct store_ack_read {
    struct store_request base;
    struct slice user, device; /* borrowed until done */
    /** @position: epoch 0 if there is none. */
    void (*done)(struct store_ack_read *r, int result, struct store_position position);
};

#endif
