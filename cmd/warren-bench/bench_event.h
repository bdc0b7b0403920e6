#ifndef WARREN_BENCH_BENCH_EVENT_H
#define WARREN_BENCH_BENCH_EVENT_H

#include "base/json.h"

/** What a node says in the json dialect, as far as a load tool cares. Slices lie in the frame. */
enum bench_event_kind {
    BENCH_EVENT_WELCOME, /* the session listens on its channels from here on */
    BENCH_EVENT_MESSAGE,
    BENCH_EVENT_OK,    /* of request @id */
    BENCH_EVENT_ERROR, /* of request @id, if it had one */
    BENCH_EVENT_OTHER, /* online, likes, goodbye … */
};

struct bench_event {
    enum bench_event_kind kind;
    bool has_id;
    uint64_t id;
    struct slice channel;   /* raw string; not set if absent, likewise below */
    struct slice from;      /* raw string */
    struct slice data;      /* a message's data as it stands in the frame */
    struct slice code;      /* raw string: of an error */
    struct slice channels;  /* of a welcome: an array, whose objects bench_event_each() reads as well */
    uint64_t epoch, offset; /* 0 if absent */
    bool is_recovered;
    bool is_online; /* an online event, with */
    uint64_t count;
};

typedef void bench_event_fn(void *userdata, const struct bench_event *event);

/** Calls @on_event for the frame's object, or for each object of its array. Return: whether it was valid. */
bool bench_event_each(struct slice frame, bench_event_fn *on_event, void *userdata);

#endif
