#ifndef PROTO_PROTO_INTERNAL_H
#define PROTO_PROTO_INTERNAL_H

#include "proto/proto.h"

/** Writes "count", "joined", "left" and "more" into the open object. */
void proto_online_write_members(struct json_writer *w, const struct proto_event *online);

/* The json dialect's parts. */
void proto_json_decoder_init(struct proto_decoder *d, const struct proto_limits *limits, struct slice payload);
int proto_json_decoder_next(struct proto_decoder *d, struct proto_op *ret_op,
                            struct proto_event *ret_error) base_must_check;
void proto_json_decoder_deinit(struct proto_decoder *d);
void proto_json_encode(const struct proto_event *event, struct buffer *out);

#endif
