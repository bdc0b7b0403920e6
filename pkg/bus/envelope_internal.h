#ifndef BUS_ENVELOPE_INTERNAL_H
#define BUS_ENVELOPE_INTERNAL_H

#include "base/message.h"
#include "bus/cursor_internal.h"

/** The elements that an envelope must have; more are skipped. */
#define ENVELOPE_ELEMENTS 10

/** Bytes of an id, whoever made it. */
#define ENVELOPE_ID_MAX_BYTES 255
/** Bytes of a content type. */
#define ENVELOPE_CONTENT_TYPE_MAX_BYTES 127

/**
 * envelope_peek() - the channel, without reading on
 *
 * @c stands at the envelope and is not moved. Return: NULL; else what is wrong (static lifetime).
 */
const char *envelope_peek(const struct cursor *c, struct slice *ret_channel) base_must_check;

/** Reads the envelope at @c; moves @c behind it only on success. The slices point into the body. Return: NULL; else
 * what is wrong. */
const char *envelope_read(struct cursor *c, size_t max_data_bytes, struct message *ret_fields) base_must_check;

/** An id from outside: 1 to ENVELOPE_ID_MAX_BYTES of UTF-8, no control characters. */
bool envelope_id_is_good(struct slice id);
/** A content type: 1 to ENVELOPE_CONTENT_TYPE_MAX_BYTES of printable ASCII. */
bool envelope_content_type_is_good(struct slice type);
/** Whether data of this content type goes to clients in text frames and thus must be UTF-8. */
bool envelope_content_type_is_text(struct slice type);
/** NULL, or what is wrong with a channel's name. */
const char *envelope_channel_check(struct slice channel);

#endif
