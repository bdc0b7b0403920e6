/*
 * Foreign msgpack bodies: one map, or an array of them; and what turns msgpack into JSON, for data that only JSON's
 * readers will see.
 */
#include "base/base64.h"
#include "base/utf8.h"
#include "bus/body_internal.h"

int body_msgpack_begin(struct bus_reader *r)
{
    struct cursor c = cursor_make(payload_slice(r->delivery->body));
    struct cursor_value head;
    size_t first;

    if (!cursor_next(&c, &head) || (head.type != CURSOR_ARRAY && head.type != CURSOR_MAP))
        return body_poison(r, "a body is a map or an array of maps", 0);
    first = head.type == CURSOR_ARRAY ? c.offset : 0;
    c.offset = 0;
    if (!cursor_skip(&c, CURSOR_DEPTH_MAX))
        return body_poison(r, "the body is cut short, too deep or no msgpack", 0);
    if (c.offset != c.size)
        return body_poison(r, "something stands behind the body", c.offset);
    r->offset = first;
    r->count = head.type == CURSOR_ARRAY ? head.count : 1;
    return 0;
}

static struct foreign_value value_of(const struct cursor_value *value, struct slice raw)
{
    struct foreign_value v = {.kind = FOREIGN_OTHER, .raw = raw, .boolean = value->boolean, .text = value->bytes};

    switch (value->type) {
    case CURSOR_NIL:
        v.kind = FOREIGN_NULL;
        break;
    case CURSOR_BOOL:
        v.kind = FOREIGN_BOOL;
        break;
    case CURSOR_INTEGER:
        v.kind = FOREIGN_INTEGER;
        v.integer = value->integer;
        break;
    case CURSOR_UNSIGNED:
        if (value->unsigned_integer <= INT64_MAX) {
            v.kind = FOREIGN_INTEGER;
            v.integer = (int64_t)value->unsigned_integer;
        }
        break;
    case CURSOR_STRING:
        v.kind = FOREIGN_STRING;
        break;
    case CURSOR_BINARY:
        v.kind = FOREIGN_BINARY;
        break;
    case CURSOR_FLOAT:
    case CURSOR_EXTENSION:
    case CURSOR_ARRAY:
    case CURSOR_MAP:
    default:
        break;
    }
    return v;
}

static const char *collect(struct slice map, struct foreign_item *item)
{
    struct cursor c = cursor_make(map);
    struct cursor_value head, name, value;

    if (!cursor_next(&c, &head) || head.type != CURSOR_MAP)
        return "an item is a map";
    for (size_t n = 0; n < head.count; n++) {
        size_t begin;

        if (!cursor_next(&c, &name) || name.type != CURSOR_STRING)
            return "a map's names are strings";
        begin = c.offset;
        if (!cursor_next(&c, &value))
            return "a map is cut short";
        c.offset = begin;
        if (!cursor_skip(&c, CURSOR_DEPTH_MAX))
            return "a map is cut short";
        for (size_t i = 0; i < FOREIGN_MEMBERS; i++) {
            if (!slice_equal_text(name.bytes, foreign_names[i]))
                continue;
            if (item->members[i].kind != FOREIGN_ABSENT)
                return "a member stands twice";
            item->members[i] = value_of(&value, slice_make(map.data + begin, c.offset - begin));
            break;
        }
    }
    return NULL;
}

int body_msgpack_item(struct bus_reader *r, struct message *ret_fields)
{
    struct slice body = payload_slice(r->delivery->body);
    struct cursor c = cursor_make(body);
    struct foreign_item item = {.is_json = false};
    size_t at = r->offset;
    struct message fields;
    const char *error;

    c.offset = at;
    if (!cursor_skip(&c, CURSOR_DEPTH_MAX)) {
        r->broken = true;
        return body_poison(r, "the body is cut short", at);
    }
    r->offset = c.offset;
    item.raw = slice_make(body.data + at, c.offset - at);
    r->item = item.raw;
    error = collect(item.raw, &item);
    if (!error)
        error = foreign_resolve(r, &item, &fields);
    if (buffer_error(&r->scratch))
        return buffer_error(&r->scratch);
    if (error)
        return body_poison(r, error, at);
    *ret_fields = fields;
    return 0;
}

/* ---- msgpack to JSON ---- */

static void write_octets(struct slice octets, struct buffer *out)
{
    buffer_append_char(out, '"');
    base64_encode(octets.data, octets.size, out);
    buffer_append_char(out, '"');
}

/** A value that holds no others. As a name (@is_name) it must be a string or a number. */
static const char *write_scalar(const struct cursor_value *v, bool is_name, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out); /* a fresh one each time: the commas are set by the caller */
    if (is_name && v->type != CURSOR_STRING && v->type != CURSOR_INTEGER && v->type != CURSOR_UNSIGNED)
        return "a name that JSON cannot have";
    if (is_name && v->type != CURSOR_STRING)
        buffer_append_char(out, '"');
    switch (v->type) {
    case CURSOR_NIL:
        json_write_null(&w);
        break;
    case CURSOR_BOOL:
        json_write_bool(&w, v->boolean);
        break;
    case CURSOR_INTEGER:
        json_write_int64(&w, v->integer);
        break;
    case CURSOR_UNSIGNED:
        json_write_uint64(&w, v->unsigned_integer);
        break;
    case CURSOR_FLOAT:
        json_write_double(&w, v->number);
        break;
    case CURSOR_STRING:
        if (!utf8_is_valid(v->bytes))
            return "text that is not UTF-8";
        json_write_string(&w, v->bytes);
        break;
    case CURSOR_BINARY:
        write_octets(v->bytes, out);
        break;
    case CURSOR_EXTENSION:
    case CURSOR_ARRAY:
    case CURSOR_MAP:
    default:
        return "a value that JSON cannot have";
    }
    if (is_name && v->type != CURSOR_STRING)
        buffer_append_char(out, '"');
    return NULL;
}

/** An array or map that is being written: what is still to come of it, names counting on their own. */
struct level {
    uint64_t remaining;
    bool is_map;
    bool has_members;
};

/** Closes what is complete. */
static unsigned close_levels(struct level *levels, unsigned depth, struct buffer *out)
{
    while (depth > 0 && levels[depth].remaining == 0) {
        buffer_append_char(out, levels[depth].is_map ? '}' : ']');
        depth--;
    }
    return depth;
}

const char *body_msgpack_to_json(struct slice msgpack, struct buffer *out)
{
    struct cursor c = cursor_make(msgpack);
    struct level levels[CURSOR_DEPTH_MAX + 1] = {{.remaining = 1}};
    unsigned depth = 0;
    struct cursor_value v;
    const char *error;

    while (levels[depth].remaining > 0) {
        struct level *level = &levels[depth];
        bool is_name = level->is_map && level->remaining % 2 == 0;

        if (!cursor_next(&c, &v))
            return "msgpack that is cut short";
        if (level->has_members)
            buffer_append_char(out, level->is_map && !is_name ? ':' : ',');
        level->has_members = true;
        level->remaining--;
        if (!is_name && (v.type == CURSOR_ARRAY || v.type == CURSOR_MAP)) {
            if (depth == CURSOR_DEPTH_MAX)
                return "msgpack that is nested too deeply";
            buffer_append_char(out, v.type == CURSOR_MAP ? '{' : '[');
            levels[++depth] = (struct level){
                .remaining = v.type == CURSOR_MAP ? (uint64_t)v.count * 2 : v.count,
                .is_map = v.type == CURSOR_MAP,
            };
        } else {
            error = write_scalar(&v, is_name, out);
            if (error)
                return error;
        }
        depth = close_levels(levels, depth, out);
    }
    return NULL;
}
