/*
 * A node's hub: the order of a channel, and its log read. A part of channel.pml; x is a node, y a record.
 */

/* ---- Its state. ---- */

#define UNKNOWN 0 /* nobody listens */
#define ASKED 1   /* interest is stated, and the position on its way: in at_ep, at_last */
#define LIVE 2    /* at_ep:at_last is the last one delivered */

bit alive[NODES] = 1;
bit connected[NODES] = 1; /* with the store */
byte queue[NODES];
byte answers[NODES]; /* the store's, to appends, on their way to the node */
byte status[NODES];
byte at_ep[NODES], at_last[NODES];
byte began[NODES]; /* the epoch of its first position */
byte held[NODES], ring[NODES], given_up[NODES];
byte apart[NODES]; /* delivered without position: in the ring, too, but known by the id alone */
byte ended[NODES * EPOCHS]; /* where an earlier epoch ended here, plus one */
bit suspect[NODES];         /* the store was away since the position was taken: entries of this epoch may be gone */
bit is_reading[NODES], is_behind[NODES];
byte page[NODES], page_held[NODES]; /* what a read brings; what was held when it was sent */
bit page_more[NODES];

/* ---- To the listeners. ---- */

inline ring_add(x, y)
{
    ring[x] = ring[x] | bit(y);
    count = 0;
    for (q : 0 .. RECORDS - 1) {
        count = count + ((ring[x] >> q) & 1)
    }
    if
    :: count > RING -> ring[x] = ring[x] & (ring[x] - 1) /* the oldest goes */
    :: else
    fi
}

inline deliver(x, y)
{
    at_last[x] = rec_off[y];
    for (c : 0 .. CLIENTS - 1) {
        if
        :: state[c] == LISTENING && where[c] == x -> client_take(c, y)
        :: else
        fi
    }
    ring_add(x, y)
}

/* What has lost its place has not lost its listeners. */
inline deliver_apart(x, y)
{
    if
#ifdef LATE_DROPPED
    :: true
#else
#ifndef NO_RING_ID
    :: (ring[x] | apart[x]) & bit(y) /* they have it */
#endif
    :: else ->
        for (c : 0 .. CLIENTS - 1) {
            if
            :: state[c] == LISTENING && where[c] == x -> client_take_apart(c, y)
            :: else
            fi
        }
        apart[x] = apart[x] | bit(y)
#endif
    fi
}

inline tell_reset(x)
{
    for (c : 0 .. CLIENTS - 1) {
        if
        :: state[c] == LISTENING && where[c] == x -> client_reset(c, at_ep[x], at_last[x])
        :: else
        fi
    }
}

/* Goes on behind offset @off, without what is before it. */
inline give_up(x, off)
{
    for (q : 0 .. RECORDS - 1) {
        if
        :: q < rec_count && rec_ep[q] == at_ep[x] && rec_off[q] > at_last[x] && rec_off[q] <= off ->
            given_up[x] = given_up[x] | bit(q)
        :: else
        fi
    }
    at_last[x] = off;
    tell_reset(x)
}

/* ---- Order. ---- */

/* What is held and has become next, or old. Records of an epoch are in the order of their offsets. */
inline drain(x)
{
    for (k : 0 .. RECORDS - 1) {
        if
        :: (held[x] & bit(k)) && rec_ep[k] == at_ep[x] && rec_off[k] <= at_last[x] + 1 ->
            held[x] = held[x] & ~bit(k);
            if
            :: rec_off[k] == at_last[x] + 1 -> deliver(x, k)
            :: else
            fi
        :: else
        fi
    }
}

/* A message with a position, from the queue, from a sweep, or from this node's own append. */
inline feed(x, y)
{
    if
    :: status[x] != LIVE -> held[x] = held[x] | bit(y)
    :: status[x] == LIVE ->
        if
        :: rec_ep[y] == at_ep[x] && rec_off[y] == at_last[x] + 1 ->
            deliver(x, y);
            drain(x)
        :: rec_ep[y] == at_ep[x] && rec_off[y] <= at_last[x] ->
#ifdef NO_DEDUP
            for (c : 0 .. CLIENTS - 1) {
                if
                :: state[c] == LISTENING && where[c] == x -> client_take(c, y)
                :: else
                fi
            }
#else
            if
            :: given_up[x] & bit(y) -> deliver_apart(x, y)
            :: else /* was delivered */
            fi
#endif
        :: rec_ep[y] == at_ep[x] && rec_off[y] > at_last[x] + 1 ->
#ifdef NO_HOLD
            deliver(x, y)
#else
            held[x] = held[x] | bit(y)
#endif
        :: rec_ep[y] != at_ep[x] && ended[x * EPOCHS + rec_ep[y]] != 0 ->
            /* Of an epoch that ended here: beyond its end it comes too late for its place. */
            if
            :: rec_off[y] >= ended[x * EPOCHS + rec_ep[y]] || (given_up[x] & bit(y)) -> deliver_apart(x, y)
            :: else
            fi
        :: rec_ep[y] != at_ep[x] && ended[x * EPOCHS + rec_ep[y]] == 0 ->
#ifdef COMPARE_EPOCHS
            /* The greater epoch is taken for the new one, the smaller for an old one. */
            if
            :: rec_ep[y] > at_ep[x] ->
                ended[x * EPOCHS + at_ep[x]] = at_last[x] + 1;
                at_ep[x] = rec_ep[y];
                at_last[x] = rec_off[y] - 1;
                tell_reset(x);
                deliver(x, y)
            :: else
            fi
#else
            held[x] = held[x] | bit(y) /* and the log is read */
#endif
        fi
    fi
}

/* The log is in a later life than this node was. */
inline enter_epoch(x, ep)
{
    /* What is held of the old one and beyond its end has lost its place. */
    for (k : 0 .. RECORDS - 1) {
        if
        :: (held[x] & bit(k)) && rec_ep[k] == at_ep[x] ->
            held[x] = held[x] & ~bit(k);
            if
            :: rec_off[k] > at_last[x] -> deliver_apart(x, k)
            :: else
            fi
        :: else
        fi
    }
    ended[x * EPOCHS + at_ep[x]] = at_last[x] + 1;
#ifdef EMPTY_TRUSTED
    if
    :: at_last[x] == 0 -> suspect[x] = 0
    :: else
    fi;
#endif
    at_ep[x] = ep;
    at_last[x] = 0;
#ifndef NO_RESET
    if
    :: suspect[x] -> tell_reset(x)
    :: else
    fi;
#endif
    suspect[x] = 0
}

/* The ring has all behind oldest. */
inline find_oldest(x)
{
    oldest = at_last[x];
    for (k : 1 .. RECORDS) {
        for (i : 0 .. RECORDS - 1) {
            if
            :: (ring[x] & bit(i)) && rec_ep[i] == at_ep[x] && rec_off[i] == oldest -> oldest--
            :: else
            fi
        }
    }
}

/* What was read and leads up to what the ring has serves who comes after, as far as there is room. */
inline fill_ring(x)
{
    find_oldest(x);
    count = 0;
    for (i : 0 .. RECORDS - 1) {
        count = count + ((ring[x] >> i) & 1)
    }
    if
    :: count == at_last[x] - oldest ->
        for (k : 1 .. RECORDS) {
            i = RECORDS - k;
            if
            :: count < RING && (page[x] & bit(i)) && rec_ep[i] == at_ep[x] && rec_off[i] == oldest && oldest > 0 ->
                ring[x] = ring[x] | bit(i);
                oldest--;
                count++
            :: else
            fi
        }
    :: else
    fi
}

/* ---- Reading the log. ---- */

/*
 * Sent and carried out at once; the answer comes any time later. One read serves the node's own gap and all who join,
 * from the smallest position that one of them stands at, be it in the rest of an earlier epoch.
 */
#define is_before(x, ep, off) (join_ep[x] < (ep) || (join_ep[x] == (ep) && join_off[x] < (off)))

inline read_start(x)
{
    printf("node %d, at %d:%d, has the log read\n", x, at_ep[x], at_last[x]);
    after_ep = at_ep[x];
    after_off = at_last[x];
    for (c : 0 .. CLIENTS - 1) {
        if
        :: state[c] == JOINING && where[c] == x && join_read[c] == READ_WANTED ->
            if
            :: is_before(c, at_ep[x], at_last[x]) ->
                join_read[c] = READ_BEHIND;
                if
                :: is_before(c, after_ep, after_off) ->
                    after_ep = join_ep[c];
                    after_off = join_off[c]
                :: else
                fi
            :: else -> join_read[c] = READ_AHEAD
            fi
        :: else
        fi
    }
    page[x] = 0;
    page_more[x] = 0;
    count = 0;
    for (k : 0 .. RECORDS - 1) {
        if
        :: (log_set & bit(k)) && past(k, after_ep, after_off) ->
            if
            :: count < PAGE ->
                page[x] = page[x] | bit(k);
                count++
            :: else -> page_more[x] = 1
            fi
        :: else
        fi
    }
    page_held[x] = held[x];
    is_reading[x] = 1 /* and is_behind stays until the answer */
}

/*
 * The answer. In the order of positions: what the log has is delivered; where it goes on behind a gap, the gap is given
 * up. What was held when the read was sent and the whole log does not explain, no later read will explain: a message is
 * in the log before anybody publishes it. What came after that must wait for another read.
 */
inline read_take(x)
{
    printf("node %d, at %d:%d, gets what it read (records %d, more %d; held %d)\n", x, at_ep[x], at_last[x], page[x],
           page_more[x], held[x]);
    is_reading[x] = 0;
#ifdef HASTY_GIVE_UP
    page_held[x] = held[x];
#endif
#ifdef REST_SKIPPED
    /* The newest epoch is entered at once, whatever of the old one the log still has. */
    for (i : 0 .. RECORDS - 1) {
        if
        :: (page[x] & bit(i)) && rec_ep[i] > at_ep[x] -> enter_epoch(x, rec_ep[i])
        :: else
        fi
    }
#endif
    for (i : 0 .. RECORDS - 1) {
        if
        :: page[x] & bit(i) ->
            if
            :: rec_ep[i] > at_ep[x] -> enter_epoch(x, rec_ep[i])
            :: else
            fi;
            if
            :: rec_ep[i] == at_ep[x] && rec_off[i] > at_last[x] ->
                if
                :: rec_off[i] > at_last[x] + 1 -> give_up(x, rec_off[i] - 1)
                :: else
                fi;
                deliver(x, i)
            :: else
            fi
        :: !(page[x] & bit(i)) && (held[x] & bit(i)) && rec_ep[i] == at_ep[x] && rec_off[i] > at_last[x] ->
            /* Next, or behind a gap that the log cannot fill: because it goes on further, or has no more. */
            found = rec_off[i] == at_last[x] + 1 || (!page_more[x] && (page_held[x] & bit(i)));
#ifndef HELD_PASSED_OVER
            for (k : i + 1 .. RECORDS - 1) {
                found = found || ((page[x] & bit(k)) && rec_ep[k] == rec_ep[i])
            }
#endif
            if
            :: found ->
                if
                :: rec_off[i] > at_last[x] + 1 -> give_up(x, rec_off[i] - 1)
                :: else
                fi;
                deliver(x, i)
            :: else
            fi
        :: else
        fi
    }
    drain(x);
    /*
     * Of another epoch than the log's: it belongs to another life. To one before this node's first position: then all
     * who listen have had it, or were told. Else to one that was lost again: they have not.
     */
    for (i : 0 .. RECORDS - 1) {
        if
        :: !page_more[x] && (held[x] & page_held[x] & bit(i)) && rec_ep[i] != at_ep[x] ->
            held[x] = held[x] & ~bit(i);
            if
#ifndef BEGINNING_IGNORED
            :: rec_ep[i] < began[x]
#endif
            :: else -> deliver_apart(x, i)
            fi
        :: else
        fi
    }
    is_behind[x] = page_more[x];
    /* Those who join. */
    for (c : 0 .. CLIENTS - 1) {
        if
        :: state[c] == JOINING && where[c] == x && (join_read[c] == READ_AHEAD || join_read[c] == READ_BEHIND) ->
            if
#ifdef OLD_READ_DECIDES
            :: join_read[c] == READ_AHEAD -> join_read[c] = TOLD_NOTHING
#else
            :: join_read[c] == READ_AHEAD -> join_read[c] = TOLD_AHEAD
#endif
#ifndef SHARED_PAGE_DECIDES
            /* The page may have been filled for one who is further behind, and end before this one. */
            :: join_read[c] == READ_BEHIND && page_more[x] -> join_read[c] = READ_WANTED
#endif
            :: else -> join_read[c] = TOLD_NOTHING
            fi;
            for (i : 0 .. RECORDS - 1) {
                if
                :: (page[x] & bit(i)) && past(i, join_ep[c], join_off[c]) ->
                    if
                    :: rec_ep[i] != join_ep[c] -> join_recovered[c] = 0
#ifndef PAGE_UNCHECKED
                    :: rec_ep[i] == join_ep[c] && rec_off[i] != join_off[c] + 1 -> join_recovered[c] = 0
#endif
                    :: else
                    fi;
                    join_set[c] = join_set[c] | bit(i);
                    join_ep[c] = rec_ep[i];
                    join_off[c] = rec_off[i];
                    join_read[c] = TOLD_MORE
                :: else
                fi
            }
        :: else
        fi
    }
    fill_ring(x);
    page[x] = 0;
    page_held[x] = 0;
    page_more[x] = 0
}
