#ifndef STORE_LIVE_H
#define STORE_LIVE_H

#include "store/request.h"

/* What is added up: likes, and times watched. Part of store/store.h. */

/** Rooms at most in one likes_add. */
#define STORE_LIKES_MAX 100

/**
 * struct store_likes - likes of one room: what is to be added, and what the store says
 *
 * Added unless this node (this incarnation) has added to this room under @sequence or a higher one: so a request whose
 * answer was lost is made again with the same numbers. A total is kept for @age_ms after each request, also one that
 * adds nothing; with nothing to keep none is begun.
 */
struct store_likes {
    struct slice room;   /* borrowed until done, likewise the mirror */
    uint64_t count;      /* 0: only asks */
    uint64_t sequence;   /* at least 1 */
    uint64_t age_ms;     /* at least 1 */
    struct slice mirror; /* a plain key, without prefix, that gets the total as text; not set: see store_room_put */
    bool wants_to_tell;
    /* answers, written before done(0) */
    uint64_t total;
    bool may_tell; /* nobody in the cluster was given leave within tell_interval_ms */
};

struct store_likes_add {
    struct store_request base;
    struct store_likes *items;
    size_t count; /* 1 to STORE_LIKES_MAX, distinct rooms */
    uint64_t tell_interval_ms;
    void (*done)(struct store_likes_add *r, int result);
};

/** Intervals at most in one watch_add; entries at most, about, in a page of watch_read. */
#define STORE_WATCH_MAX 200
#define STORE_WATCH_PAGE_MAX 500

/** A user watched a room, from so long ago until so long ago. */
struct store_watch {
    struct slice room, user; /* borrowed until done */
    uint64_t from_ago_ms, to_ago_ms;
    uint64_t age_ms; /* at least 1: what is added up of the room is kept so long */
};

/**
 * struct store_watch_add - adds times that users watched
 *
 * What several devices, or nodes, say of the same time counts once, as long as they say it within two minutes; so an
 * interval that is told twice adds nothing.
 */
struct store_watch_add {
    struct store_request base;
    const struct store_watch *items; /* borrowed until done */
    size_t count;                    /* 1 to STORE_WATCH_MAX */
    void (*done)(struct store_watch_add *r, int result);
};

struct store_watched {
    struct slice user;
    uint64_t seconds;
};

/** How long users watched a room: one of them, or a page of all, without order. */
struct store_watch_read {
    struct store_request base;
    struct slice room, user; /* borrowed until done, likewise @after; user not set: all */
    struct slice after;      /* what a page before gave as @next; not set: the first page */
    size_t limit;            /* about; at most STORE_WATCH_PAGE_MAX */
    /** Valid during the call; @next not set: that was all. */
    void (*done)(struct store_watch_read *r, int result, const struct store_watched *watched, size_t count,
                 struct slice next);
};

#endif
