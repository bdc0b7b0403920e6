/* Each byte of a frame is looked at once, and nothing is copied: tens of thousands come in a second. */
#include "bench_event.h"

#define DEPTH_MAX 32

static enum bench_event_kind kind_of(struct slice word)
{
    if (json_string_equal(word, "message"))
        return BENCH_EVENT_MESSAGE;
    if (json_string_equal(word, "welcome"))
        return BENCH_EVENT_WELCOME;
    return BENCH_EVENT_OTHER;
}

/** The inside of a string; not set if it is none. */
static struct slice string_of(struct json_value value)
{
    return value.type == JSON_STRING ? json_string_raw(value) : SLICE_NONE;
}

static struct slice error_code(struct slice error)
{
    struct json_reader r;
    struct json_value value;
    struct slice name;

    json_reader_init(&r, error, DEPTH_MAX);
    if (json_reader_enter_object(&r))
        return SLICE_NONE;
    while (json_reader_member(&r, &name, &value) == JSON_OK)
        if (json_string_equal(name, "code"))
            return string_of(value);
    return SLICE_NONE;
}

static void take_member(struct bench_event *event, struct slice name, struct json_value value)
{
    int64_t id, offset;

    if (json_string_equal(name, "event")) {
        event->kind = kind_of(string_of(value));
        event->is_online = json_string_equal(string_of(value), "online");
    } else if (json_string_equal(name, "channel")) {
        event->channel = string_of(value);
    } else if (json_string_equal(name, "epoch")) {
        if (!slice_to_uint64(string_of(value), UINT64_MAX, &event->epoch))
            event->epoch = 0;
    } else if (json_string_equal(name, "offset")) {
        event->offset = json_number_int64(value, 0, INT64_MAX, &offset) ? (uint64_t)offset : 0;
    } else if (json_string_equal(name, "recovered")) {
        event->is_recovered = slice_equal_text(value.text, "true");
    } else if (json_string_equal(name, "channels")) {
        event->channels = value.text;
    } else if (json_string_equal(name, "from")) {
        event->from = string_of(value);
    } else if (json_string_equal(name, "data")) {
        event->data = value.text;
    } else if (json_string_equal(name, "id")) {
        event->has_id = json_number_int64(value, 0, INT64_MAX, &id);
        event->id = event->has_id ? (uint64_t)id : 0;
    } else if (json_string_equal(name, "count")) {
        event->count = json_number_int64(value, 0, INT64_MAX, &id) ? (uint64_t)id : 0;
    } else if (json_string_equal(name, "ok")) {
        event->kind = BENCH_EVENT_OK;
    } else if (json_string_equal(name, "error")) {
        event->kind = BENCH_EVENT_ERROR;
        event->code = error_code(value.text);
    }
}

static bool read_object(struct json_reader *r, bench_event_fn *on_event, void *userdata)
{
    struct bench_event event = {.kind = BENCH_EVENT_OTHER};
    struct json_value value;
    struct slice name;
    int result = json_reader_enter_object(r);

    while (result == JSON_OK && (result = json_reader_member(r, &name, &value)) == JSON_OK)
        take_member(&event, name, value);
    if (result != JSON_END)
        return false;
    on_event(userdata, &event);
    return true;
}

bool bench_event_each(struct slice frame, bench_event_fn *on_event, void *userdata)
{
    struct json_reader r;
    enum json_type type;
    int result;

    json_reader_init(&r, frame, DEPTH_MAX);
    if (json_reader_peek(&r, &type))
        return false;
    if (type != JSON_ARRAY)
        return read_object(&r, on_event, userdata) && json_reader_finish(&r) == JSON_OK;
    result = json_reader_enter_array(&r);
    while (result == JSON_OK && (result = json_reader_element_follows(&r)) == JSON_OK)
        if (!read_object(&r, on_event, userdata))
            return false;
    return result == JSON_END && json_reader_finish(&r) == JSON_OK;
}
