#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buffer.h"

/**
 * A strict pull reader for JSON (RFC 8259) over a text that lies whole in memory.
 *
 * It is our own because `data` must arrive byte for byte: values come back as slices of the text, with numbers, escapes
 * and white space inside them untouched. Strict: valid UTF-8 only, no lone surrogate in an escape, no control character
 * in a string, no leading zero, nothing behind the value. Each byte is looked at once (a value that is skipped is
 * validated while it is skipped). Depth is bounded; no recursion, no allocation. A reader that failed stays failed.
 *
 *     json_reader_init(&r, text, 32);
 *     json_reader_enter_object(&r);
 *     while ((result = json_reader_member(&r, &name, &value)) == 0)
 *         …;                                  // name is raw: compare with json_string_equal()
 *     if (result == JSON_END) result = json_reader_finish(&r);
 *
 * To go down into a member instead of getting it whole: json_reader_member_name(), then enter_*() or value(). A
 * container that was entered must be read to JSON_END before its parent goes on. Verbs called where they make no sense
 * (an element of an object) are asserted. Two members of one name are two members: what they mean is up to the caller.
 */
enum json_result {
    JSON_OK = 0,
    JSON_END = 1,      /* the object or array that was entered is closed, and left */
    JSON_E_SYNTAX = 2, /* r->error and r->error_offset say what was expected and where */
};

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/** A value as it stands in the text. */
struct json_value {
    enum json_type type;
    struct slice text; /* the value's own bytes; of a string with its quotes */
};

#define JSON_DEPTH_MAX 64

/** What may stand at the reader's position. */
enum json_expect {
    JSON_EXPECT_VALUE,        /* at the start, behind a name, behind json_reader_element_follows() */
    JSON_EXPECT_FIRST_OR_END, /* just entered */
    JSON_EXPECT_COMMA_OR_END, /* behind a member or element */
    JSON_EXPECT_NOTHING,      /* behind the one value of the text */
};

struct json_reader {
    struct slice text;
    size_t offset;
    unsigned depth;
    unsigned depth_max;
    uint64_t in_object; /* a bit per level: object or array */
    enum json_expect expect;
    const char *error;   /* NULL, or what was expected, e.g. "expected ',' or '}'" (static lifetime) */
    size_t error_offset; /* of the first byte that cannot be; of a word, an escape or a character: where it begins */
};

/** @depth_max: nesting allowed, at most JSON_DEPTH_MAX. Borrows @text. */
void json_reader_init(struct json_reader *r, struct slice text, unsigned depth_max);

/** The type of the value that comes next, by its first byte, without taking it. JSON_OK or JSON_E_SYNTAX. */
int json_reader_peek(struct json_reader *r, enum json_type *ret_type) base_must_check;
/** Takes the whole next value (at the top, or after json_reader_member_name()). JSON_OK or JSON_E_SYNTAX. */
int json_reader_value(struct json_reader *r, struct json_value *ret_value) base_must_check;
/** Goes into the next value, which must be an object (array). JSON_OK or JSON_E_SYNTAX. */
int json_reader_enter_object(struct json_reader *r) base_must_check;
int json_reader_enter_array(struct json_reader *r) base_must_check;
/** The next member of the entered object; @ret_name is raw, without its quotes. JSON_OK, JSON_END, JSON_E_SYNTAX. */
int json_reader_member(struct json_reader *r, struct slice *ret_name, struct json_value *ret_value) base_must_check;
/** Only the name and the colon; the value must be taken or entered next. JSON_OK, JSON_END, JSON_E_SYNTAX. */
int json_reader_member_name(struct json_reader *r, struct slice *ret_name) base_must_check;
/** The next element of the entered array. JSON_OK, JSON_END, JSON_E_SYNTAX. */
int json_reader_element(struct json_reader *r, struct json_value *ret_value) base_must_check;
/** Whether another element follows, without taking it (then take or enter it). JSON_OK, JSON_END, JSON_E_SYNTAX. */
int json_reader_element_follows(struct json_reader *r) base_must_check;
/** Nothing but white space may remain. JSON_OK or JSON_E_SYNTAX. */
int json_reader_finish(struct json_reader *r) base_must_check;

/** Validates a whole text as one value. JSON_OK or JSON_E_SYNTAX; the two outputs (may be NULL) then say what and
 * where. */
int json_validate(struct slice text, unsigned depth_max, const char **ret_error, size_t *ret_offset) base_must_check;

/** Whether a raw string (without quotes, escapes allowed) spells @text. Raw strings are those that a reader gave. */
bool json_string_equal(struct slice raw, const char *text);
/** The inside of a JSON_STRING value's text, still raw: without its quotes. */
struct slice json_string_raw(struct json_value value);
/** Appends the raw string with its escapes resolved; the result is valid UTF-8 and may hold NULs. */
void json_string_decode(struct slice raw, struct buffer *out);
/** A JSON_NUMBER that is a plain integer within [min, max] (no fraction, no exponent; -0 is 0). */
bool json_number_int64(struct json_value value, int64_t min, int64_t max, int64_t *ret_value) base_must_check;

/**
 * struct json_writer - emits JSON into a buffer, putting commas where they belong
 *
 * Errors are the buffer's: ask buffer_error() once at the end. Depth at most JSON_DEPTH_MAX (asserted: it is our own
 * structure).
 */
struct json_writer {
    struct buffer *out;
    unsigned depth;
    uint64_t has_members; /* a bit per level */
    bool after_name;
};

void json_writer_init(struct json_writer *w, struct buffer *out);
void json_write_object_begin(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array_begin(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
void json_write_name(struct json_writer *w, const char *name);
/** Escapes as needed; each byte that is not of UTF-8 becomes U+FFFD, so that the result is always JSON. */
void json_write_string(struct json_writer *w, struct slice s);
void json_write_text(struct json_writer *w, const char *text); /* NULL gives null */
void json_write_int64(struct json_writer *w, int64_t value);
void json_write_uint64(struct json_writer *w, uint64_t value);
void json_write_double(struct json_writer *w, double value); /* finite; else null */
void json_write_bool(struct json_writer *w, bool value);
void json_write_null(struct json_writer *w);
/** A value that is JSON already. */
void json_write_raw(struct json_writer *w, struct slice json);
/** name and string in one call; likewise below. */
void json_write_member_string(struct json_writer *w, const char *name, struct slice s);
void json_write_member_text(struct json_writer *w, const char *name, const char *text);
void json_write_member_int64(struct json_writer *w, const char *name, int64_t value);
void json_write_member_uint64(struct json_writer *w, const char *name, uint64_t value);
void json_write_member_bool(struct json_writer *w, const char *name, bool value);

#endif
