/*
 * A node's hub: joins. A part of channel.pml; x is a client, y a node.
 */

/* The answer, what was missed, the ring's rest, and from now on live: one step. */
inline join_finish(x, y)
{
    printf("node %d answers client %d: at %d:%d, recovered %d\n", y, x, at_ep[y], at_last[y], join_recovered[x]);
    if
    :: !join_recovered[x] -> client_reset(x, at_ep[y], at_last[y])
    :: else
    fi;
    for (i : 0 .. RECORDS - 1) {
        if
        :: (join_set[x] & bit(i)) ||
           ((ring[y] & bit(i)) && rec_ep[i] == join_ep[x] && rec_off[i] > join_off[x] && rec_off[i] <= at_last[y]) ->
            if
            :: join_recovered[x] -> client_take(x, i)
            :: else ->
                assert(!(has[x] & bit(i)) || may_double(x));
                has[x] = has[x] | bit(i)
            fi
        :: else
        fi
    }
#ifdef PAGE_UNCHECKED
    has_off[x] = at_last[y];
#endif
#if !defined(JOIN_EARLY) && !defined(NO_READ_BEYOND)
    assert(has_ep[x] == at_ep[y] && has_off[x] == at_last[y]);
#endif
    join_ep[x] = 0;
    join_off[x] = 0;
    join_set[x] = 0;
    join_read[x] = NO_READ;
    join_recovered[x] = 0;
#ifdef SPLIT_REST
    state[x] = GIVEN
#else
    state[x] = LISTENING
#endif
}

#define was_told(x) (join_read[x] >= TOLD_AHEAD)
/* Not the first page decides, but the log's end. */
#ifdef FIRST_PAGE_DECIDES
#define read_on(y) 0
#else
#define read_on(y) (is_behind[y])
#endif

/* The log has spoken, and has nothing to where the client stands. */
#define is_gone(x, y) \
    (join_ep[x] < at_ep[y] -> join_read[x] == TOLD_NOTHING : was_told(x) && !read_on(y))

/* As far as it goes now: asks for what is missing, or ends. */
inline join_try(x, y)
{
    printf("node %d, at %d:%d, goes on with the join of client %d, which is at %d:%d\n", y, at_ep[y], at_last[y], x,
           join_ep[x], join_off[x]);
    if
    :: status[y] == UNKNOWN ->
        status[y] = ASKED;
        at_ep[y] = told_ep;
        at_last[y] = told_last;
        began[y] = told_ep;
#ifndef POSITION_FIRST
        interest_state(y);
#endif
#ifdef JOIN_EARLY
        join_finish(x, y)
#endif
    :: status[y] == LIVE ->
        find_oldest(y);
        if
        :: join_ep[x] != at_ep[y] || join_off[x] > at_last[y] ->
            /* Perhaps of a life, or of messages, that this node has not heard of, or that has a rest: the log knows. */
            if
#ifdef NO_READ_BEYOND
            :: join_ep[x] == at_ep[y] -> join_finish(x, y)
            :: join_ep[x] != at_ep[y] && !is_gone(x, y) -> join_read[x] = READ_WANTED
#else
            :: !is_gone(x, y) -> join_read[x] = READ_WANTED
#endif
            :: is_gone(x, y) && join_ep[x] != at_ep[y] ->
                join_recovered[x] = 0;
                join_ep[x] = at_ep[y];
                join_off[x] = 0;
                join_read[x] = NO_READ
#ifndef NO_READ_BEYOND
            :: is_gone(x, y) && join_ep[x] == at_ep[y] ->
                join_recovered[x] = 0;
                join_off[x] = at_last[y]
#endif
            fi
        :: join_ep[x] == at_ep[y] && join_off[x] <= at_last[y] && join_off[x] >= oldest -> join_finish(x, y)
        :: join_ep[x] == at_ep[y] && join_off[x] <= at_last[y] && join_off[x] < oldest ->
            if
            :: join_read[x] == TOLD_NOTHING ->
                /* The log has no more of it: what the ring has is left. */
                join_recovered[x] = 0;
                join_off[x] = oldest;
                join_finish(x, y)
            :: else -> join_read[x] = READ_WANTED
            fi
        fi
    fi
}
