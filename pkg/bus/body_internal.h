#ifndef BUS_BODY_INTERNAL_H
#define BUS_BODY_INTERNAL_H

#include "base/json.h"
#include "bus/body.h"
#include "bus/cursor_internal.h"

enum body_format {
    BODY_FORMAT_UNKNOWN, /* not looked at yet, or unreadable */
    BODY_FORMAT_OWN,
    BODY_FORMAT_JSON,
    BODY_FORMAT_MSGPACK,
};

/** Remembers what is wrong at @offset; returns BUS_E_POISON. */
int body_poison(struct bus_reader *r, const char *error, size_t offset);

/** Foreign bodies: checks the whole body, counts its items and stands before the first. 0 or BUS_E_POISON (then nothing
 * of the body is used). */
int body_json_begin(struct bus_reader *r) base_must_check;
int body_msgpack_begin(struct bus_reader *r) base_must_check;
/** The item at r->offset; moves behind it in any case. 0, BUS_E_POISON, -ENOMEM. */
int body_json_item(struct bus_reader *r, struct message *ret_fields) base_must_check;
int body_msgpack_item(struct bus_reader *r, struct message *ret_fields) base_must_check;

/**
 * struct foreign_value - a member of a foreign item, whether it was JSON or msgpack
 *
 * @text is a string still escaped (JSON) or its bytes (msgpack), or the octets; @raw the whole value as it stands in
 * the body.
 */
enum foreign_kind {
    FOREIGN_ABSENT,
    FOREIGN_NULL,
    FOREIGN_BOOL,
    FOREIGN_INTEGER,
    FOREIGN_STRING,
    FOREIGN_BINARY,
    FOREIGN_OTHER,
};

struct foreign_value {
    enum foreign_kind kind;
    bool boolean;
    int64_t integer;
    struct slice text;
    struct slice raw;
};

enum foreign_member {
    FOREIGN_ROOM,
    FOREIGN_USER,
    FOREIGN_BROADCAST,
    FOREIGN_DATA,
    FOREIGN_FROM,
    FOREIGN_KEY,
    FOREIGN_CONTENT_TYPE,
    FOREIGN_ID,
    FOREIGN_EVENT_TYPE,
    FOREIGN_SESSION_KEY,
    FOREIGN_MESSAGE,
    FOREIGN_MEMBERS,
};

struct foreign_item {
    struct slice raw; /* the whole item */
    bool is_json;
    struct foreign_value members[FOREIGN_MEMBERS];
};

extern const char *const foreign_names[FOREIGN_MEMBERS];

/** Makes the message of an item. NULL and *ret_fields, else what is wrong; out of memory shows in r->scratch. */
const char *foreign_resolve(struct bus_reader *r, const struct foreign_item *item,
                            struct message *ret_fields) base_must_check;

/** Appends a msgpack value as JSON: octets become base64 text, numbers as keys become strings. NULL, or what cannot be
 * said in JSON. */
const char *body_msgpack_to_json(struct slice msgpack, struct buffer *out) base_must_check;

#endif
