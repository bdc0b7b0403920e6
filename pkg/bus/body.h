#ifndef BUS_BODY_H
#define BUS_BODY_H

#include "base/buffer.h"
#include "base/name.h"
#include "bus/bus.h"

/**
 * AMQP bodies: what nodes write, and what back ends write.
 *
 * Ours: content type application/vnd.warren.v1+msgpack, a msgpack array of envelopes; an envelope is the array
 * [channel, kind, id, time_ms, from|nil, content_type, data bin, epoch|nil, offset|nil, meta map|nil, …], further
 * elements skipped.
 *
 * Foreign, by content type, else by the first byte: JSON {"room":"42","data":…}, {"user":"7","data":…},
 * {"broadcast":true,"data":…}, with "from", "key", "content_type", "id" if they like; an array of them; the eventType
 * shapes {"eventType":1,"message":…} = to all and
 * {"eventType":2,"sessionKey":U,"message":…} = to one; or the same as msgpack maps. Room and user may be integers. The
 * address is the body's, else the routing key if it is a channel's name. A stable id is the body's "id", else the AMQP
 * message_id (of the nth sibling, n > 0: with "#n" behind it), else made of "key" and address; with none of these the
 * message gets a fresh id that is not stable. "data" is a JSON value, kept byte for byte (content type
 * application/json), unless content_type says otherwise: then a string's text. A msgpack "data": str becomes
 * text/plain, bin octets, anything else is turned into JSON.
 */
#define BUS_CONTENT_TYPE "application/vnd.warren.v1+msgpack"
#define BUS_BODY_MAX_MESSAGES 4096

enum bus_body_result {
    BUS_BODY_END = 1,
    BUS_E_POISON =
        2, /* this item (or all of the rest, if the body itself is broken) is not a message; reader->error says why */
};

struct bus_reader {
    const struct bus_delivery *delivery;
    const char *error; /* after BUS_E_POISON: static lifetime */
    size_t error_offset;
    size_t index;      /* of the message last returned */
    struct slice item; /* the same as it stands in the body, also after BUS_E_POISON; then perhaps the whole body */
    size_t offset;     /* where the next begins */
    size_t count;      /* items in the array; 1 if the body is a single item */
    uint8_t format;    /* see body.c */
    bool broken;
    size_t max_data_bytes;
    struct buffer scratch; /* decoded texts of the current item */
    char id[CHANNEL_MAX_BYTES * 3];
};

/** Borrows @d. Bodies are bounded by the backend, data by @max_data_bytes (beyond: poison). */
void bus_reader_init(struct bus_reader *r, const struct bus_delivery *d, size_t max_data_bytes);
void bus_reader_deinit(struct bus_reader *r);

/**
 * bus_reader_next() - the next message's fields
 *
 * For our own bodies only the channel is looked at and the rest skipped when @is_wanted (may be NULL) says false: then
 * the item is passed over. Return: 0 and *ret_fields, whose slices are valid until the next call; BUS_BODY_END;
 * BUS_E_POISON (call again: siblings are not spoiled); -ENOMEM.
 */
int bus_reader_next(struct bus_reader *r, bool (*is_wanted)(void *userdata, struct slice channel), void *userdata,
                    struct message *ret_fields) base_must_check;
/** The message last returned as an object of its own: shares the body where it can, copies where it must. NULL when out
 * of memory. */
struct message *bus_reader_take(struct bus_reader *r, const struct message *fields) base_must_check;

/** The item last looked at as a body of its own, of the same content type; all of the body if it cannot be cut. */
void bus_reader_write_item(const struct bus_reader *r, struct buffer *out);

/** Writes a body: begin, one envelope a message, in order. Errors are the buffer's. */
void bus_body_begin(struct buffer *out, size_t count);
void bus_body_append(struct buffer *out, const struct message *m);
/** Bytes that bus_body_append() would write, at most. */
size_t bus_body_message_bound(const struct message *m);

#endif
