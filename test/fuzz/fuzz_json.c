/*
 * Any bytes, read as JSON in the three ways that there are: validated, taken whole, and pulled piece by piece. They
 * must agree. What is accepted consists of values that are accepted on their own, has strings that decode to UTF-8 and
 * come back when written, and is a fixed point of reading and writing.
 */
#include "base/json.h"
#include "base/utf8.h"

/* In every build type: an invariant that is compiled out finds nothing. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            __builtin_trap();                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(struct slice raw, struct json_writer *w)
{
    struct buffer plain = {0}, written = {0}, again = {0};
    struct json_writer own;
    struct slice inside;

    json_string_decode(raw, &plain);
    CHECK(buffer_error(&plain) == 0 && plain.size <= raw.size && utf8_is_valid(buffer_slice(&plain)));
    if (!memchr(buffer_slice(&plain).data, 0, plain.size))
        CHECK(json_string_equal(raw, buffer_slice(&plain).data));
    json_writer_init(&own, &written);
    json_write_string(&own, buffer_slice(&plain));
    inside = slice_make(written.data + 1, written.size - 2);
    json_string_decode(inside, &again);
    CHECK(slice_equal(buffer_slice(&again), buffer_slice(&plain)));
    if (w)
        json_write_raw(w, buffer_slice(&written));
    buffer_deinit(&plain);
    buffer_deinit(&written);
    buffer_deinit(&again);
}

static void check_number(struct json_value value)
{
    int64_t number;
    char text[24];

    if (!json_number_int64(value, INT64_MIN, INT64_MAX, &number))
        return;
    CHECK(value.text.size < sizeof(text));
    memcpy(text, value.text.data, value.text.size);
    text[value.text.size] = '\0';
    CHECK(strtoll(text, NULL, 10) == number);
}

static int pull(struct json_reader *r, struct json_writer *w);

static int pull_object(struct json_reader *r, struct json_writer *w)
{
    struct slice name;
    int result = json_reader_enter_object(r);

    if (result)
        return result;
    json_write_object_begin(w);
    while ((result = json_reader_member_name(r, &name)) == JSON_OK) {
        struct buffer plain = {0};
        char *text;

        check_string(name, NULL);
        json_string_decode(name, &plain);
        text = buffer_steal(&plain);
        CHECK(text);
        json_write_name(w, text); /* up to the first NUL: then a shorter name, but a name */
        free(text);
        result = pull(r, w);
        if (result)
            return result;
    }
    json_write_object_end(w);
    return result == JSON_END ? JSON_OK : result;
}

static int pull_array(struct json_reader *r, struct json_writer *w)
{
    int result = json_reader_enter_array(r);

    if (result)
        return result;
    json_write_array_begin(w);
    while ((result = json_reader_element_follows(r)) == JSON_OK) {
        result = pull(r, w);
        if (result)
            return result;
    }
    json_write_array_end(w);
    return result == JSON_END ? JSON_OK : result;
}

/** Reads the value that comes next piece by piece and writes it again. Recursion ends with the depth. */
static int pull(struct json_reader *r, struct json_writer *w)
{
    struct json_value value;
    enum json_type type;
    int result = json_reader_peek(r, &type);

    if (result)
        return result;
    if (type == JSON_OBJECT)
        return pull_object(r, w);
    if (type == JSON_ARRAY)
        return pull_array(r, w);
    result = json_reader_value(r, &value);
    if (result)
        return result;
    CHECK(value.type == type);
    if (type == JSON_STRING)
        check_string(json_string_raw(value), w);
    else
        json_write_raw(w, value.text);
    if (type == JSON_NUMBER)
        check_number(value);
    return JSON_OK;
}

/** An accepted value: its members, taken whole, are accepted on their own, lie in it one behind the other, and hold the
 * same. */
static void check_whole(struct slice text)
{
    struct json_reader r;
    struct json_value value, member;
    const char *behind = text.data;
    struct slice name;
    int result;

    json_reader_init(&r, text, JSON_DEPTH_MAX);
    CHECK(json_reader_value(&r, &value) == JSON_OK);
    CHECK(json_reader_finish(&r) == JSON_OK);
    CHECK(value.text.data >= text.data && value.text.data + value.text.size <= text.data + text.size);
    if (value.type != JSON_OBJECT && value.type != JSON_ARRAY)
        return;
    json_reader_init(&r, value.text, JSON_DEPTH_MAX);
    CHECK((value.type == JSON_OBJECT ? json_reader_enter_object(&r) : json_reader_enter_array(&r)) == JSON_OK);
    while ((result = value.type == JSON_OBJECT ? json_reader_member(&r, &name, &member)
                                               : json_reader_element(&r, &member)) == JSON_OK) {
        CHECK(value.type == JSON_ARRAY || (name.data > behind && name.data + name.size < member.text.data));
        CHECK(member.text.data > behind);
        behind = member.text.data + member.text.size;
        check_whole(member.text);
    }
    CHECK(result == JSON_END && json_reader_finish(&r) == JSON_OK);
    CHECK(behind < value.text.data + value.text.size);
}

/** Pulls @text and writes it to @out; JSON_OK or JSON_E_SYNTAX with the reader's error. */
static int rewrite(struct slice text, unsigned depth, struct buffer *out, struct json_reader *r)
{
    struct json_writer w;
    int result;

    json_reader_init(r, text, depth);
    json_writer_init(&w, out);
    result = pull(r, &w);
    CHECK(buffer_error(out) == 0);
    return result == JSON_OK ? json_reader_finish(r) : result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    unsigned depth = size % 3 == 0 ? 3 : JSON_DEPTH_MAX;
    struct buffer first = {0}, second = {0};
    const char *error = NULL;
    size_t offset = SIZE_MAX;
    struct json_reader r;
    int result = json_validate(text, depth, &error, &offset);

    CHECK(rewrite(text, depth, &first, &r) == result);
    if (result == JSON_OK) {
        CHECK(!error && offset == SIZE_MAX && !r.error);
        CHECK(utf8_is_valid(text));
        check_whole(text);
        CHECK(rewrite(buffer_slice(&first), depth, &second, &r) == JSON_OK);
        CHECK(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    } else {
        CHECK(error && r.error == error && r.error_offset == offset && offset <= size);
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
    return 0;
}
