/*
 * The clients: what each has, and the claims about what it gets. A part of channel.pml.
 */

#define AWAY 0
#define JOINING 1
#define LISTENING 2
#define ABSENT 3
#define GIVEN 4 /* only if the rest and the listening are two steps */

byte state[CLIENTS];
byte where[CLIENTS];
byte has_ep[CLIENTS], has_off[CLIENTS]; /* the last position it got: its since */
byte has[CLIENTS];                      /* the records it got */
byte excused[CLIENTS];                  /* those it was told may be gone */
bit has_moved[CLIENTS];
/* A join: how far its catch-up reaches, and what was gathered. */
byte join_ep[CLIENTS], join_off[CLIENTS], join_set[CLIENTS];
bit join_recovered[CLIENTS];
byte join_read[CLIENTS]; /* whether the log was read for it: */
#define NO_READ 0
#define READ_WANTED 1
#define READ_AHEAD 2   /* on its way, sent when the node was not as far as the client */
#define READ_BEHIND 3  /* on its way, sent when the node was further: so the log had more */
#define TOLD_AHEAD 4   /* answered: what the node lacked */
#define TOLD_NOTHING 5 /* answered: although the log had more, it has nothing of it now */
#define TOLD_MORE 6    /* answered: some of it */

/*
 * After a loss of the store and a move: the other node cannot know what the first one gave of what the log no longer
 * has, and the broker may bring it late.
 */
#define may_double(x) (has_moved[x] && is_rolled_back)
#define may_double_apart(x) (has_moved[x] && (is_rolled_back || is_trimmed))

/* A message comes: at its place, for the first time. */
inline client_take(x, y)
{
    printf("      client %d gets %d:%d\n", x, rec_ep[y], rec_off[y]);
    assert(!(has[x] & bit(y)) || may_double(x));
    if
    :: rec_ep[y] == has_ep[x] -> assert(rec_off[y] == has_off[x] + 1)
    :: else -> assert(rec_ep[y] > has_ep[x] && rec_off[y] == 1) /* and what was missed is seen at the end */
    fi;
    client_note(x, y);
    has_ep[x] = rec_ep[y];
    has_off[x] = rec_off[y];
}

/* By its id, too, it must be the first; but a store that lost keys appends a repeated send again. */
inline client_note(x, y)
{
    for (q : 0 .. RECORDS - 1) {
        assert(q == y || q >= rec_count || !(has[x] & bit(q)) || rec_msg[q] != rec_msg[y] || is_rolled_back)
    }
    has[x] = has[x] | bit(y)
}

/* Without a position. */
inline client_take_apart(x, y)
{
    printf("      client %d gets what was %d:%d, without a position\n", x, rec_ep[y], rec_off[y]);
    assert(!(has[x] & bit(y)) || may_double_apart(x));
    has[x] = has[x] | bit(y)
}

/*
 * What it lacks up to this position is gone. It is never said of nothing; but of an empty channel's epoch nobody knows
 * whether it had messages.
 */
inline client_reset(x, ep, off)
{
    printf("      client %d is told: reset, up to %d:%d\n", x, ep, off);
#ifndef TICK
    assert(is_trimmed || is_restarted);
#endif
    for (q : 0 .. RECORDS - 1) {
        if
        :: q < rec_count && !past(q, ep, off) -> excused[x] = excused[x] | bit(q)
        :: else
        fi
    }
    has_ep[x] = ep;
    has_off[x] = off
}
