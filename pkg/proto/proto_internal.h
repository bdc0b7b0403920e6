#ifndef PROTO_PROTO_INTERNAL_H
#define PROTO_PROTO_INTERNAL_H

#include "proto/proto.h"

/** Writes "count", "joined", "left" and "more" into the open object. */
void proto_online_write_members(struct json_writer *w, const struct proto_event *online);

/* ---- decoder.c ---- */

void proto_decoder_init(struct proto_decoder *d, const struct proto_limits *limits, struct slice payload);
void proto_decoder_deinit(struct proto_decoder *d);
/** Refuses with a sentence that takes the scratch buffer's place, so no argument may lie there. PROTO_E_BAD, -ENOMEM.
 */
int proto_refuse(struct proto_decoder *d, enum proto_error_code code, struct slice id, struct proto_event *ret_error,
                 const char *format, ...) base_printf(5, 6);
/** Reads the object that comes next. JSON_OK, JSON_E_SYNTAX. */
typedef int proto_read_fn(struct proto_decoder *d, void *userdata);
/** The next object of the frame, by @read. 0, PROTO_END, PROTO_E_BAD, -ENOMEM. */
int proto_next_object(struct proto_decoder *d, proto_read_fn *read, void *userdata,
                      struct proto_event *ret_error) base_must_check;

/* ---- the json dialect's parts ---- */

int proto_json_decoder_next(struct proto_decoder *d, struct proto_op *ret_op,
                            struct proto_event *ret_error) base_must_check;
void proto_json_encode(const struct proto_event *event, struct buffer *out);
/** Writes "error" and its value into the open object. */
void proto_json_write_error(struct json_writer *w, const struct proto_event *event);

/* ---- the live dialect's ---- */

void proto_live_encode(const struct proto_event *event, struct buffer *out);

#endif
