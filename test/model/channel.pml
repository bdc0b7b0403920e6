/*
 * A model of one sequenced channel: append, publish, consume, order, heal, join. For spin; ./run checks it.
 *
 * Two nodes, two clients, one channel, a few messages. What can happen is one big choice (the process at the end); each
 * option is one event that the hub's thread, the store or the broker would handle without interruption, and spin tries
 * all orders of all events. Nothing has a time: what happens "every ten seconds" or "after five milliseconds" may happen
 * at any moment at which it would change something.
 *
 * Whoever appends makes a record; a record's number is its place in the history of all appends, and a set of records is
 * a mask of bits. The log, a node's queue at the broker, what a node holds back, its ring, what a client has: all are
 * such masks. A record's position is rec_ep:rec_off, its message rec_msg: a message has two records if the store was
 * made to forget its key.
 *
 * A queue is a set from which anything may come next, any number of times, or (LOSS) not at all. So it is worse than
 * the broker's: a node that is cut, a queue that vanishes, a consumer that is cut before its acks, a publisher that
 * sends twice, a publish that never happened, all are among what it does.
 *
 * What is claimed stands in client.pml (nothing out of order, nothing twice, no reset for nothing) and in the_end below
 * (nothing lost). What differs from the code:
 *   - a read of the log and a sweep see it when they are sent; the answer of a read comes any time later
 *   - ended, given_up and apart have no bound, and nothing runs out of memory
 *   - a client takes at once what it is sent; one that goes earlier has had less
 *   - a join waits for the store; joining without a position while it is away is left out
 *   - a send is accepted when the store has answered, which is earlier than `ok`
 *
 * A scenario is a choice of these; ./run has the list.
 *   MESSAGES n     are sent, each to any node                 RECORDS n   at most, with those that come of lost keys
 *   ONE_SENDER     all sends go to node 1                     REPEATS n   sends are repeated with their key, anywhere
 *   LOSS           queues lose                                TRIMS n     times the log loses its oldest entry
 *   MOVE           client 1 goes from node 0 to the other     DEATH       node 0 dies
 *   RESTART        the store comes back intact, older, empty  ONLY_OLDER  or only older
 *   TICK           an epoch that was told for an empty channel may have passed when its log begins
 *   PROMPT         no sweep, and a publish reaches only the nodes that had stated interest when the store appended:
 *                  without LOSS nothing may have to wait for a sweep
 *   NO_TAIL        with PROMPT and LOSS: of what was lost, only that is claimed behind which something came
 *   STRICT         who stayed where he was has everything, whatever he was told is gone
 *   RING n, PAGE n records that a ring keeps, and that one read of the log gives
 *
 * And one step is taken out, or done in a way that looks as good, by: NO_SWEEP NO_GAP_READ NO_DEDUP NO_HOLD NO_KEY
 * NO_REPUBLISH JOIN_EARLY POSITION_FIRST SPLIT_REST NO_READ_BEYOND FIRST_PAGE_DECIDES SHARED_PAGE_DECIDES
 * OLD_READ_DECIDES PAGE_UNCHECKED NO_LIFE STALE_POSITION COMPARE_EPOCHS NO_RESET SUSPECT_CLEARED EMPTY_TRUSTED
 * REST_SKIPPED LATE_DROPPED NO_RING_ID BEGINNING_IGNORED HASTY_GIVE_UP HELD_PASSED_OVER. Each stands in the text where
 * its step stood.
 */

#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef RECORDS
#define RECORDS MESSAGES
#endif
#ifndef RING
#define RING RECORDS
#endif
#ifndef PAGE
#define PAGE RECORDS
#endif
#ifndef REPEATS
#define REPEATS 0
#endif
#ifndef TRIMS
#define TRIMS 0
#endif

#define NODES 2
#define CLIENTS 2
#define EPOCHS 5 /* 0: none */
#define bit(i) (1 << (i))

/*
 * Hidden from spin's notion of a state, since they matter within one event only. The first ones are what an event
 * chooses: spin restores them when it goes back to choose otherwise, unless a d_step sets them (none does), and they may
 * be an index only inside of a d_step. The others are scratch of d_steps.
 */
hidden byte node, record, client, rest;
hidden byte r, n, w, i, j, k, q, c, d, count, oldest, after_ep, after_off, found;

#include "store.pml"
#include "client.pml"
#include "order.pml"
#include "join.pml"

/* ---- Who is where. ---- */

/* Nobody listens on this node any more, or there is no node any more. */
inline forget(x)
{
    status[x] = UNKNOWN;
    at_ep[x] = 0;
    at_last[x] = 0;
    began[x] = 0;
    held[x] = 0;
    ring[x] = 0;
    given_up[x] = 0;
    apart[x] = 0;
    for (q : 0 .. EPOCHS - 1) {
        ended[x * EPOCHS + q] = 0
    }
    suspect[x] = 0;
    is_reading[x] = 0;
    is_behind[x] = 0;
    page[x] = 0;
    page_held[x] = 0;
    page_more[x] = 0
}

inline leave(x)
{
    state[x] = AWAY;
    has_moved[x] = 1;
    join_ep[x] = 0;
    join_off[x] = 0;
    join_set[x] = 0;
    join_read[x] = NO_READ;
    join_recovered[x] = 0
}

#define is_here(y, x) (state[y] != AWAY && state[y] != ABSENT && where[y] == x)
#define is_wanted(x) (is_here(0, x) || is_here(1, x))
/* Nobody comes to node 0 who was not there: once they left, what it gets matters no more. */
#define is_reached(x) (alive[x] && (x == 1 || is_wanted(x)))
#define is_read_wanted(x) \
    ((state[0] == JOINING && where[0] == x && join_read[0] == READ_WANTED) || \
     (state[1] == JOINING && where[1] == x && join_read[1] == READ_WANTED))

/* ---- Choices. ---- */

inline choose_record(set)
{
    if
    :: (set) & 1 -> record = 0
    :: (set) & 2 -> record = 1
    :: (set) & 4 -> record = 2
    :: (set) & 8 -> record = 3
    :: (set) & 16 -> record = 4
    fi
}

#define can_append(x) (alive[x] && connected[x])
#ifdef ONE_SENDER
#define can_append_somewhere can_append(1)
#else
#define can_append_somewhere (can_append(0) || can_append(1))
#endif
inline choose_node_to_append()
{
    if
#ifndef ONE_SENDER
    :: can_append(0) -> node = 0
#endif
    :: can_append(1) -> node = 1
    fi
}

/* A sweep would bring something new. */
#define is_past(x, y) (y < RECORDS && (log_set & ~held[x] & bit(y)) && past(y, at_ep[x], at_last[x]))
#if RECORDS > 3
#define is_past_fourth(x) || is_past(x, 3)
#else
#define is_past_fourth(x)
#endif
#if RECORDS > 4
#define is_past_fifth(x) || is_past(x, 4)
#else
#define is_past_fifth(x)
#endif
#define sweep_helps(x) \
    (status[x] == LIVE && connected[x] && \
     (is_past(x, 0) || is_past(x, 1) || is_past(x, 2) is_past_fourth(x) is_past_fifth(x)))

#ifdef NO_GAP_READ
#define has_gap(x) 0
#else
#define has_gap(x) (held[x] != 0)
#endif
#define read_is_due(x) \
    (status[x] == LIVE && connected[x] && !is_reading[x] && (has_gap(x) || is_behind[x] || is_read_wanted(x)))

#define join_can_go_on(x) \
    (state[x] == JOINING && ((status[where[x]] == UNKNOWN && connected[where[x]]) || \
                             (status[where[x]] == LIVE && (join_read[x] == NO_READ || was_told(x)))))

/* ---- What can happen. ---- */

byte next_message;
byte accepted; /* the senders were told */
byte repeats = REPEATS;
byte trims = TRIMS;
byte resend; /* messages whose sender will send them again */
#ifdef MOVE
bit may_move = 1;
#else
bit may_move = 0;
#endif
#ifdef DEATH
bit may_die = 1;
#else
bit may_die = 0;
#endif
#ifdef RESTART
bit may_restart = 1;
#else
bit may_restart = 0;
#endif

/* The last message comes when the store was back: until a channel has another message nobody hears of its loss. */
#define can_send (next_message < MESSAGES && (next_message < MESSAGES - 1 || !may_restart))

/* Nothing more can happen. */
inline the_end()
{
    for (n : 0 .. NODES - 1) {
        assert(held[n] == 0);
#ifndef NO_TAIL
        assert(!alive[n] || status[n] != LIVE || log_ep < life || (at_ep[n] == log_ep && at_last[n] == log_last))
#endif
    }
    for (c : 0 .. CLIENTS - 1) {
        assert(state[c] == LISTENING || state[c] == ABSENT);
#ifdef NO_TAIL
        d = 0;
#else
        /* accepted: the sender was told, or the log has it */
        d = (state[c] == ABSENT -> 0 : (accepted | log_set) & ~has[c]);
#endif
        if
#ifdef STRICT
        :: !has_moved[c] -> assert(d == 0)
#endif
        /* A store that came back with all it had excuses nothing to who stayed. */
        :: !has_moved[c] && !is_rolled_back && !is_trimmed -> assert(d == 0)
        :: else -> assert((d & ~excused[c]) == 0)
        fi
    }
}

active proctype world()
{
    /*
     * Client 1 listens on node 0 from the beginning, to an empty channel. Client 0 on the other one, where it keeps the
     * channel alive for those who come; or, if they shall find a node that knows nothing of it, not there (if node 0 is
     * to die: there, and coming, too).
     */
    atomic {
        where[1] = 0;
        state[1] = LISTENING;
        state[0] = LISTENING;
        if
        :: where[0] = 1
#ifdef DEATH
        :: where[0] = 0
#endif
#ifdef MOVE
        :: state[0] = ABSENT
#endif
        fi;
        d_step {
            for (c : 0 .. CLIENTS - 1) {
                if
                :: state[c] == LISTENING ->
                    has_ep[c] = clock;
                    status[where[c]] = LIVE;
                    at_ep[where[c]] = clock;
                    began[where[c]] = clock;
                    interest_state(where[c])
                :: else
                fi
            };
            skip
        }
    }

    do
    /* A send reaches a node, and through it the store. */
    :: atomic {
        can_send && can_append_somewhere ->
        choose_node_to_append();
#ifdef TICK
        if
        :: log_ep == 0 && clock < EPOCHS - 2 -> clock++
        :: skip
        fi;
#endif
        d_step {
            append(node, next_message);
            next_message++;
            skip
        }
    }
    /* It is sent again, with its key, perhaps to another node: its sender had no answer, or lost it. */
    :: atomic {
        repeats > 0 && next_message > 0 ->
        repeats--;
        if
        :: true -> resend = resend | 1
        :: next_message > 1 -> resend = resend | 2
        :: next_message > 2 -> resend = resend | 4
        fi
    }
    :: atomic {
        resend && can_append_somewhere ->
        choose_record(resend);
        choose_node_to_append();
        d_step {
            resend = resend & ~bit(record);
            append(node, record);
            skip
        }
    }

    /* The store's answer: to the own hub, to the broker, to the sender. */
    :: atomic {
        answers[0] || answers[1] ->
        if
        :: answers[0] -> node = 0
        :: answers[1] -> node = 1
        fi;
        d_step {
            r = 0;
            do
            :: !(answers[node] & bit(r)) -> r++
            :: else -> break
            od;
            printf("node %d has the store's answer for %d:%d, publishes it\n", node, rec_ep[r], rec_off[r]);
            answers[node] = answers[node] & ~bit(r);
            accepted = accepted | bit(r);
            for (w : 0 .. NODES - 1) {
                if
#ifdef PROMPT
                :: is_reached(w) && (aim[r] & bit(w)) -> queue[w] = queue[w] | bit(r)
#else
                :: is_reached(w) -> queue[w] = queue[w] | bit(r)
#endif
                :: else
                fi
            };
            if
            :: is_wanted(node) -> feed(node, r)
            :: else
            fi;
            skip
        }
    }

    /* The broker: a message comes, and perhaps once more; or it never does. */
    :: atomic {
        queue[0] || queue[1] ->
        if
        :: queue[0] -> node = 0
        :: queue[1] -> node = 1
        fi;
        choose_record(queue[node]);
        if
        :: rest = 0
        :: rest = bit(record)
        fi;
        if
        :: is_wanted(node) ->
            d_step {
                printf("node %d, at %d:%d, consumes %d:%d\n", node, at_ep[node], at_last[node], rec_ep[record],
                       rec_off[record]);
                queue[node] = (queue[node] & ~bit(record)) | rest;
                feed(node, record);
                skip
            }
#ifdef LOSS
        :: rest == 0 -> /* lost */
#else
        :: rest == 0 && !is_wanted(node) -> /* undecoded */
#endif
            d_step {
                printf("node %d's queue loses %d:%d\n", node, rec_ep[record], rec_off[record]);
                queue[node] = queue[node] & ~bit(record)
            }
        :: rest && !is_wanted(node) -> skip
        fi
    }

#if !defined(NO_SWEEP) && !defined(PROMPT)
    /* The sweep: what the log has past the last one, by the way that everything comes. */
    :: atomic {
        sweep_helps(0) || sweep_helps(1) ->
        if
        :: sweep_helps(0) -> node = 0
        :: sweep_helps(1) -> node = 1
        fi;
        d_step {
            printf("node %d, at %d:%d, sweeps\n", node, at_ep[node], at_last[node]);
            after_ep = at_ep[node];
            after_off = at_last[node];
            for (r : 0 .. RECORDS - 1) {
                if
                :: (log_set & bit(r)) && past(r, after_ep, after_off) -> feed(node, r)
                :: else
                fi
            };
            skip
        }
    }
#endif

    /* The log is read: for what is held, for what did not fit into the last page, for those who join. */
    :: atomic {
        read_is_due(0) || read_is_due(1) ->
        if
        :: read_is_due(0) -> node = 0
        :: read_is_due(1) -> node = 1
        fi;
        d_step { read_start(node); skip }
    }
    :: atomic {
        is_reading[0] || is_reading[1] ->
        if
        :: is_reading[0] -> node = 0
        :: is_reading[1] -> node = 1
        fi;
        d_step { read_take(node); skip }
    }

    /* A client that listens goes, and comes back elsewhere with its since. */
    :: atomic {
        may_move && state[1] == LISTENING ->
        d_step {
            printf("client 1 leaves, at %d:%d\n", has_ep[1], has_off[1]);
            may_move = 0;
            n = where[1];
            leave(1);
            if
            :: !is_wanted(n) ->
                forget(n);
                queue[n] = 0;
                interest_end(n)
            :: else
            fi;
            skip
        }
    }
    :: atomic {
        (state[0] == AWAY || state[1] == AWAY) ->
        if
        :: state[0] == AWAY -> client = 0
        :: state[1] == AWAY -> client = 1
        fi;
        d_step {
            printf("client %d asks node 1 for what is past %d:%d\n", client, has_ep[client], has_off[client]);
            where[client] = 1;
            state[client] = JOINING;
            join_ep[client] = has_ep[client];
            join_off[client] = has_off[client];
            join_recovered[client] = 1;
            skip
        }
    }
    :: atomic {
        join_can_go_on(0) || join_can_go_on(1) ->
        if
        :: join_can_go_on(0) -> client = 0
        :: join_can_go_on(1) -> client = 1
        fi;
        d_step {
            n = where[client];
            join_try(client, n);
            skip
        }
    }
    /* The answer to the interest. */
    :: atomic {
        (status[0] == ASKED && connected[0]) || (status[1] == ASKED && connected[1]) ->
        if
        :: status[0] == ASKED && connected[0] -> node = 0
        :: status[1] == ASKED && connected[1] -> node = 1
        fi;
        d_step {
            interest_state(node);
            printf("node %d hears that the channel stands at %d:%d\n", node, at_ep[node], at_last[node]);
            status[node] = LIVE;
            drain(node);
            skip
        }
    }
#ifdef SPLIT_REST
    :: state[0] == GIVEN -> state[0] = LISTENING
    :: state[1] == GIVEN -> state[1] = LISTENING
#endif

    /* Node 0 dies, with its queue and what it was about to publish. Its senders had no answer. */
    :: atomic {
        may_die ->
        may_die = 0;
        if
        :: d_step {
            for (k : 0 .. RECORDS - 1) {
                if
                :: answers[0] & bit(k) -> resend = resend | bit(rec_msg[k])
                :: else
                fi
            };
            skip
        }
#ifndef PROMPT
        :: skip
#endif
        fi;
        d_step {
            printf("node 0 dies\n");
            alive[0] = 0;
            answers[0] = 0;
            queue[0] = 0;
            forget(0); /* nobody takes its interest back */
            for (c : 0 .. CLIENTS - 1) {
                if
                :: is_here(c, 0) -> leave(c)
                :: else
                fi
            };
            skip
        }
    }

    /* The log's bound. */
    :: trims > 0 && (log_set & (log_set - 1)) ->
        d_step {
            printf("the log loses its oldest entry\n");
            trims--;
            is_trimmed = 1;
            log_set = log_set & (log_set - 1);
            skip
        }

    /* The store ends, and comes back as it was, older, or empty. */
    :: atomic {
#ifdef ONLY_OLDER
        may_restart && rec_count > 0 ->
#else
        may_restart ->
#endif
        may_restart = 0;
        if
        :: rec_count > 0 -> d_step { restart(rec_count - 1); skip }
#ifndef ONLY_OLDER
        :: d_step { restart(rec_count); skip }
        :: rec_count > 1 -> d_step { restart(0); skip }
#endif
        fi
    }
    /* A node is back with it: what was open has failed, what it knows may have ended, its interest is stated again. */
    :: atomic {
        (!connected[0] && is_reached(0)) || !connected[1] ->
        if
        :: !connected[0] && is_reached(0) -> node = 0
        :: !connected[1] -> node = 1
        fi;
        d_step {
            printf("node %d is connected with the store again\n", node);
            connected[node] = 1;
            if
            :: status[node] == LIVE ->
#ifdef SUSPECT_CLEARED
                /* The log stands where this node stands, or further: but what was behind that? */
                suspect[node] = !(log_ep == at_ep[node] && log_last >= at_last[node])
#else
                suspect[node] = 1
#endif
            :: status[node] == ASKED -> status[node] = UNKNOWN
            :: else
            fi;
            is_behind[node] = is_behind[node] || is_reading[node];
            is_reading[node] = 0;
            page[node] = 0;
            page_held[node] = 0;
            page_more[node] = 0;
            for (c : 0 .. CLIENTS - 1) {
                if
                :: state[c] == JOINING && where[c] == node &&
                   (join_read[c] == READ_AHEAD || join_read[c] == READ_BEHIND) ->
                    join_read[c] = READ_WANTED
                :: else
                fi
            };
            skip
        }
    }

    :: else -> break
    od;
    skip; /* no jump may lead into a d_step */
    d_step { the_end(); skip }
}
