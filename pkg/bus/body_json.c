/*
 * JSON bodies: one object, or an array of them. The body is read once through when it is begun, so that later every
 * item is known to be whole.
 */
#include "bus/body_internal.h"

int body_json_begin(struct bus_reader *r)
{
    struct slice body = payload_slice(r->delivery->body);
    struct json_reader reader;
    struct json_value value;
    enum json_type type;
    size_t count = 0;
    int result;

    json_reader_init(&reader, body, JSON_DEPTH_MAX);
    result = json_reader_peek(&reader, &type);
    if (!result && type == JSON_ARRAY) {
        result = json_reader_enter_array(&reader);
        r->offset = reader.offset;
        while (!result) {
            result = json_reader_element(&reader, &value);
            count += result == JSON_OK;
        }
        result = result == JSON_END ? JSON_OK : result;
    } else if (!result) {
        result = json_reader_value(&reader, &value);
        r->offset = 0;
        count = 1;
    }
    if (!result)
        result = json_reader_finish(&reader);
    if (result)
        return body_poison(r, reader.error, reader.error_offset);
    r->count = count;
    return 0;
}

/** What the fields need to know of a value. */
static struct foreign_value value_of(struct json_value value)
{
    struct foreign_value v = {.kind = FOREIGN_OTHER, .raw = value.text};

    switch (value.type) {
    case JSON_NULL:
        v.kind = FOREIGN_NULL;
        break;
    case JSON_BOOL:
        v.kind = FOREIGN_BOOL;
        v.boolean = value.text.data[0] == 't';
        break;
    case JSON_NUMBER:
        if (json_number_int64(value, INT64_MIN, INT64_MAX, &v.integer))
            v.kind = FOREIGN_INTEGER;
        break;
    case JSON_STRING:
        v.kind = FOREIGN_STRING;
        v.text = json_string_raw(value);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
    default:
        break;
    }
    return v;
}

/** Takes the item's text and moves behind it; the body is known to be JSON. */
static struct json_value take_item(struct bus_reader *r)
{
    struct slice body = payload_slice(r->delivery->body);
    struct json_reader reader;
    struct json_value value = {.type = JSON_NULL};
    int result;

    while (r->offset < body.size && strchr(" \t\r\n,", body.data[r->offset]))
        r->offset++;
    json_reader_init(&reader, slice_skip(body, r->offset), JSON_DEPTH_MAX);
    result = json_reader_value(&reader, &value);
    assert(result == JSON_OK);
    if (result == JSON_OK)
        r->offset = (size_t)(value.text.data - body.data) + value.text.size;
    return value;
}

static const char *collect(struct slice object, struct foreign_item *item)
{
    struct json_reader reader;
    struct json_value value;
    struct slice name;

    json_reader_init(&reader, object, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&reader))
        return reader.error;
    while (json_reader_member(&reader, &name, &value) == JSON_OK) {
        for (size_t i = 0; i < FOREIGN_MEMBERS; i++) {
            if (!json_string_equal(name, foreign_names[i]))
                continue;
            if (item->members[i].kind != FOREIGN_ABSENT)
                return "a member stands twice";
            item->members[i] = value_of(value);
            break;
        }
    }
    return reader.error;
}

int body_json_item(struct bus_reader *r, struct message *ret_fields)
{
    struct json_value value = take_item(r);
    struct foreign_item item = {.raw = value.text, .is_json = true};
    size_t at = r->offset - value.text.size;
    const char *error = value.type == JSON_OBJECT ? NULL : "an item is an object";
    struct message fields;

    r->item = item.raw;
    if (!error)
        error = collect(value.text, &item);
    if (!error)
        error = foreign_resolve(r, &item, &fields);
    if (buffer_error(&r->scratch))
        return buffer_error(&r->scratch);
    if (error)
        return body_poison(r, error, at);
    *ret_fields = fields;
    return 0;
}
