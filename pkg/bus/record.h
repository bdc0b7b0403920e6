#ifndef BUS_RECORD_H
#define BUS_RECORD_H

#include "base/buffer.h"
#include "base/message.h"

/**
 * bus_record_write() - a message as one line of JSON, ended by a line feed
 *
 * {"channel","id","time","from","content_type","data","encoding","epoch","offset","kind","meta"}: data that is JSON
 * stands as it is (line feeds between its tokens become spaces), text is a string, anything else base64, with
 * "encoding":"base64". The epoch is a decimal string. What is absent is left out, so is the kind of a message. Errors
 * are the buffer's.
 */
void bus_record_write(const struct message *m, struct buffer *out);
/** What is no message, kept all the same: {"unreadable":"why","content_type","data","encoding":"base64"}. */
void bus_record_write_unreadable(const char *why, struct slice content_type, struct slice body, struct buffer *out);

#endif
