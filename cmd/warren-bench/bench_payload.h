#ifndef WARREN_BENCH_BENCH_PAYLOAD_H
#define WARREN_BENCH_BENCH_PAYLOAD_H

#include "base/buffer.h"

/**
 * struct bench_payload - data that tells its stream and its number without being parsed
 *
 *     "wb:abcd:0000002a:00000000000f:xxxxxxxx…"
 *         tag  stream   number       padding to the size that was asked for
 *
 * A JSON string, so that it travels as data byte for byte; the tag is drawn for each run, so that what another run
 * left behind is not taken for its own. A node puts the same bytes around each message of a room, so the place of the
 * data counted from the frame's end is remembered, and a search is needed only when it is not there.
 */
#define BENCH_PAYLOAD_MIN_BYTES 40
#define BENCH_PAYLOAD_NUMBER_MAX ((UINT64_C(1) << 48) - 1)

struct bench_payload {
    char marker[9]; /* "wb:abcd: */
    struct buffer padding;
    size_t bytes;  /* of the data, with its quotes */
    size_t behind; /* from where the data begins to the end of the frame, where it was last; 0: not known yet */
};

/** @bytes: at least BENCH_PAYLOAD_MIN_BYTES. 0; -ENOMEM. */
int bench_payload_init(struct bench_payload *p, size_t bytes) base_must_check;
void bench_payload_deinit(struct bench_payload *p);
/** Appends the data of message @number in stream @stream. */
void bench_payload_append(const struct bench_payload *p, uint32_t stream, uint64_t number, struct buffer *out);

enum bench_payload_result {
    BENCH_PAYLOAD_FOUND,
    BENCH_PAYLOAD_NONE,    /* nothing (more) of this run in the frame */
    BENCH_PAYLOAD_CHANGED, /* it is there, but not as it was sent */
};

/** Takes the first payload of @rest, a frame or what is left of one; *rest is then what follows it. */
enum bench_payload_result bench_payload_take(struct bench_payload *p, struct slice *rest, uint32_t *ret_stream,
                                             uint64_t *ret_number);

#endif
