/*
 * The store: one log, its keys, where it stands, and what it tells. A part of channel.pml.
 *
 * Epochs are the store's clock, of which only the steps that matter are taken: one when it starts again, and perhaps one
 * before an empty channel's log begins.
 */

/* ---- The records: what was ever appended. ---- */

byte rec_count;
byte rec_ep[RECORDS], rec_off[RECORDS], rec_msg[RECORDS];

/* Past a position, as the store compares its entries' ids. */
#define past(x, ep, off) (rec_ep[x] > (ep) || (rec_ep[x] == (ep) && rec_off[x] > (off)))

/* ---- Its state. ---- */

byte clock = 1;
byte life;              /* the clock when this life of the store began: no epoch of before goes on */
byte log_set;           /* the entries that are kept */
byte log_ep, log_last;  /* where the log stands; epoch 0: there is none */
byte key_rec[MESSAGES]; /* the record that a key gave, plus one */
#ifdef PROMPT
byte interest;     /* a bit a node */
byte aim[RECORDS]; /* the interest at the time of the append */
#define interest_state(x) interest = interest | bit(x)
#define interest_end(x) interest = interest & ~bit(x)
#else
#define interest_state(x) skip
#define interest_end(x) skip
#endif
byte is_trimmed, is_restarted, is_rolled_back;

/* What is said of a channel's position: a log of an earlier life has ended, though it is still there. */
#ifdef STALE_POSITION
#define log_is_living (log_ep != 0)
#else
#define log_is_living (log_ep != 0 && log_ep >= life)
#endif
#define told_ep (log_is_living -> log_ep : clock)
#define told_last (log_is_living -> log_last : 0)

/* ---- Its verbs. ---- */

/* One script: the key, the position, the entry, the interest are one moment. */
inline append(x, y)
{
#ifdef NO_KEY
    key_rec[y] = 0;
#endif
    if
    :: key_rec[y] != 0 ->
        r = key_rec[y] - 1;
        printf("node %d appends message %d again: %d:%d\n", x, y, rec_ep[r], rec_off[r]);
#ifndef NO_REPUBLISH
        answers[x] = answers[x] | bit(r);
#endif
#ifdef PROMPT
        aim[r] = aim[r] | interest
#else
        skip
#endif
    :: else ->
        assert(rec_count < RECORDS);
        r = rec_count;
        rec_count++;
        if
#ifdef NO_LIFE
        :: log_ep == 0 ->
#else
        :: log_ep == 0 || log_ep < life ->
#endif
            log_ep = clock;
            log_last = 0
        :: else
        fi;
        log_last++;
        rec_ep[r] = log_ep;
        rec_off[r] = log_last;
        rec_msg[r] = y;
        log_set = log_set | bit(r);
        key_rec[y] = r + 1;
#ifdef PROMPT
        aim[r] = interest;
#endif
        printf("node %d appends message %d: %d:%d (record %d)\n", x, y, log_ep, log_last, bit(r));
        answers[x] = answers[x] | bit(r)
    fi
}

/* The store comes back with its first @keep records alone. */
inline restart(keep)
{
    printf("the store restarts, with %d records of %d\n", keep, rec_count);
    is_restarted = 1;
    if
    :: log_set & ~(bit(keep) - 1) -> is_rolled_back = 1
    :: else
    fi;
    log_set = log_set & (bit(keep) - 1);
    log_ep = 0;
    log_last = 0;
    for (k : 0 .. RECORDS - 1) {
        if
        :: log_set & bit(k) ->
            log_ep = rec_ep[k];
            log_last = rec_off[k]
        :: else
        fi
    }
    for (k : 0 .. MESSAGES - 1) {
        if
        :: key_rec[k] > keep -> key_rec[k] = 0
        :: else
        fi
    }
    clock++;
    life = clock;
    for (k : 0 .. NODES - 1) {
        connected[k] = 0
    }
}
