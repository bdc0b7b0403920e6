/*
 * The reader is a position and what may stand there: a value (at the start, after a name's colon, after
 * element_follows()), the first item of a container or its end, a comma or the container's end, or nothing more. One
 * bit a level says whether it is an object. Taking a value whole is the same walk, done here until the level it began
 * on is reached again; so every byte is looked at once and nothing recurses.
 *
 * The verbs assert that they are called where they make sense (a member of an array is our mistake); everything in the
 * text is the sender's and ends in JSON_E_SYNTAX.
 */
#include "base/json_internal.h"

void json_reader_init(struct json_reader *r, struct slice text, unsigned depth_max)
{
    assert(depth_max <= JSON_DEPTH_MAX);
    *r = (struct json_reader){.text = text, .depth_max = depth_max, .expect = JSON_EXPECT_VALUE};
}

static int fail_at(struct json_reader *r, size_t offset, const char *error)
{
    r->error = error;
    r->error_offset = offset;
    return JSON_E_SYNTAX;
}

static int fail(struct json_reader *r, const char *error)
{
    return fail_at(r, r->offset, error);
}

static struct slice rest(const struct json_reader *r)
{
    return slice_skip(r->text, r->offset);
}

/** The byte at the position, or -1 at the end. */
static inline int current(const struct json_reader *r)
{
    return r->offset < r->text.size ? (unsigned char)r->text.data[r->offset] : -1;
}

static inline void skip_space(struct json_reader *r)
{
    for (int c = current(r); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = current(r))
        r->offset++;
}

static bool in_object(const struct json_reader *r)
{
    return r->depth > 0 && (r->in_object >> (r->depth - 1) & 1);
}

static void value_taken(struct json_reader *r)
{
    r->expect = r->depth > 0 ? JSON_EXPECT_COMMA_OR_END : JSON_EXPECT_NOTHING;
}

/** At a quote; leaves the position behind the closing one. */
static int take_string(struct json_reader *r, struct slice *ret_raw)
{
    size_t start = r->offset + 1;
    uint32_t code_point;
    size_t escape;

    for (r->offset = start;; r->offset += escape) {
        r->offset += json_clean_run(rest(r));
        if (r->offset == r->text.size)
            return fail(r, "expected the string's closing quote");
        if (current(r) == '"')
            break;
        if (current(r) >= 0x80)
            return fail(r, "expected valid UTF-8");
        if (current(r) != '\\')
            return fail(r, "expected no control character in a string");
        escape = json_escape_decode(rest(r), &code_point);
        if (escape == 0)
            return fail(r, "expected a valid escape");
    }
    *ret_raw = slice_make(r->text.data + start, r->offset - start);
    r->offset++;
    return JSON_OK;
}

static int take_digits(struct json_reader *r)
{
    if (current(r) < '0' || current(r) > '9')
        return fail(r, "expected a digit");
    while (current(r) >= '0' && current(r) <= '9')
        r->offset++;
    return JSON_OK;
}

/** RFC 8259 section 6. A digit behind a leading zero is left over, and refused by what comes next. */
static int take_number(struct json_reader *r)
{
    int result = JSON_OK;

    if (current(r) == '-')
        r->offset++;
    if (current(r) == '0')
        r->offset++;
    else
        result = take_digits(r);
    if (!result && current(r) == '.') {
        r->offset++;
        result = take_digits(r);
    }
    if (!result && (current(r) == 'e' || current(r) == 'E')) {
        r->offset++;
        if (current(r) == '+' || current(r) == '-')
            r->offset++;
        result = take_digits(r);
    }
    return result;
}

static int take_word(struct json_reader *r, struct slice word)
{
    if (!slice_starts_with(rest(r), word))
        return fail(r, "expected a value");
    r->offset += word.size;
    return JSON_OK;
}

static int enter(struct json_reader *r, bool object)
{
    uint64_t level;

    if (r->depth >= r->depth_max)
        return fail(r, "expected less nesting");
    level = UINT64_C(1) << r->depth;
    r->offset++;
    r->in_object = object ? r->in_object | level : r->in_object & ~level;
    r->depth++;
    r->expect = JSON_EXPECT_FIRST_OR_END;
    return JSON_OK;
}

static int leave(struct json_reader *r)
{
    r->offset++;
    r->depth--;
    value_taken(r);
    return JSON_END;
}

/** To the next item of the container: JSON_OK with the position at its first byte, or JSON_END. */
static int next_item(struct json_reader *r, char closing, const char *expected)
{
    skip_space(r);
    if (current(r) == closing)
        return leave(r);
    if (r->expect == JSON_EXPECT_COMMA_OR_END) {
        if (current(r) != ',')
            return fail(r, expected);
        r->offset++;
        skip_space(r);
    }
    return JSON_OK;
}

static int next_name(struct json_reader *r, struct slice *ret_name)
{
    struct slice name;
    int result;

    result = next_item(r, '}', "expected ',' or '}'");
    if (result)
        return result;
    if (current(r) != '"')
        return fail(r, r->expect == JSON_EXPECT_FIRST_OR_END ? "expected a name or '}'" : "expected a name");
    result = take_string(r, &name);
    if (result)
        return result;
    skip_space(r);
    if (current(r) != ':')
        return fail(r, "expected ':'");
    r->offset++;
    skip_space(r);
    r->expect = JSON_EXPECT_VALUE;
    *ret_name = name;
    return JSON_OK;
}

static int next_element(struct json_reader *r)
{
    int result = next_item(r, ']', "expected ',' or ']'");

    if (result == JSON_OK)
        r->expect = JSON_EXPECT_VALUE;
    return result;
}

static int value_type(struct json_reader *r, enum json_type *ret_type)
{
    skip_space(r);
    switch (current(r)) {
    case '{':
        *ret_type = JSON_OBJECT;
        return JSON_OK;
    case '[':
        *ret_type = JSON_ARRAY;
        return JSON_OK;
    case '"':
        *ret_type = JSON_STRING;
        return JSON_OK;
    case 't':
    case 'f':
        *ret_type = JSON_BOOL;
        return JSON_OK;
    case 'n':
        *ret_type = JSON_NULL;
        return JSON_OK;
    default:
        if (current(r) != '-' && (current(r) < '0' || current(r) > '9'))
            return fail(r, "expected a value");
        *ret_type = JSON_NUMBER;
        return JSON_OK;
    }
}

/** Takes a scalar, enters a container. */
static int step_into(struct json_reader *r, enum json_type type)
{
    struct slice raw;
    int result = JSON_OK;

    switch (type) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return enter(r, type == JSON_OBJECT);
    case JSON_STRING:
        result = take_string(r, &raw);
        break;
    case JSON_NUMBER:
        result = take_number(r);
        break;
    case JSON_BOOL:
        result = take_word(r, current(r) == 't' ? SLICE_LITERAL("true") : SLICE_LITERAL("false"));
        break;
    case JSON_NULL:
        result = take_word(r, SLICE_LITERAL("null"));
        break;
    }
    if (result == JSON_OK)
        value_taken(r);
    return result;
}

static int take_value(struct json_reader *r, struct json_value *ret_value)
{
    unsigned depth = r->depth;
    enum json_type type, inner;
    struct slice name;
    size_t start;
    int result;

    result = value_type(r, &type);
    start = r->offset;
    if (result == JSON_OK)
        result = step_into(r, type);
    while (result == JSON_OK && r->depth > depth) {
        result = in_object(r) ? next_name(r, &name) : next_element(r);
        if (result == JSON_END) {
            result = JSON_OK;
            continue;
        }
        if (result == JSON_OK)
            result = value_type(r, &inner);
        if (result == JSON_OK)
            result = step_into(r, inner);
    }
    if (result == JSON_OK)
        *ret_value = (struct json_value){type, slice_make(r->text.data + start, r->offset - start)};
    return result;
}

int json_reader_peek(struct json_reader *r, enum json_type *ret_type)
{
    if (r->error)
        return JSON_E_SYNTAX;
    assert(r->expect == JSON_EXPECT_VALUE);
    return value_type(r, ret_type);
}

int json_reader_value(struct json_reader *r, struct json_value *ret_value)
{
    if (r->error)
        return JSON_E_SYNTAX;
    assert(r->expect == JSON_EXPECT_VALUE);
    return take_value(r, ret_value);
}

static int enter_type(struct json_reader *r, enum json_type type, const char *expected)
{
    enum json_type found;

    if (json_reader_peek(r, &found))
        return JSON_E_SYNTAX;
    if (found != type)
        return fail(r, expected);
    return enter(r, type == JSON_OBJECT);
}

int json_reader_enter_object(struct json_reader *r)
{
    return enter_type(r, JSON_OBJECT, "expected an object");
}

int json_reader_enter_array(struct json_reader *r)
{
    return enter_type(r, JSON_ARRAY, "expected an array");
}

int json_reader_member(struct json_reader *r, struct slice *ret_name, struct json_value *ret_value)
{
    struct slice name;
    int result = json_reader_member_name(r, &name);

    if (result == JSON_OK)
        result = take_value(r, ret_value);
    if (result == JSON_OK)
        *ret_name = name;
    return result;
}

int json_reader_member_name(struct json_reader *r, struct slice *ret_name)
{
    if (r->error)
        return JSON_E_SYNTAX;
    assert(in_object(r) && r->expect != JSON_EXPECT_VALUE);
    return next_name(r, ret_name);
}

int json_reader_element(struct json_reader *r, struct json_value *ret_value)
{
    int result = json_reader_element_follows(r);

    return result == JSON_OK ? take_value(r, ret_value) : result;
}

int json_reader_element_follows(struct json_reader *r)
{
    if (r->error)
        return JSON_E_SYNTAX;
    assert(r->depth > 0 && !in_object(r) && r->expect != JSON_EXPECT_VALUE);
    return next_element(r);
}

int json_reader_finish(struct json_reader *r)
{
    if (r->error)
        return JSON_E_SYNTAX;
    assert(r->expect == JSON_EXPECT_NOTHING);
    skip_space(r);
    return r->offset == r->text.size ? JSON_OK : fail(r, "expected the end of the text");
}

int json_validate(struct slice text, unsigned depth_max, const char **ret_error, size_t *ret_offset)
{
    struct json_reader r;
    struct json_value value;
    int result;

    json_reader_init(&r, text, depth_max);
    result = json_reader_value(&r, &value);
    if (result == JSON_OK)
        result = json_reader_finish(&r);
    if (result == JSON_E_SYNTAX && ret_error)
        *ret_error = r.error;
    if (result == JSON_E_SYNTAX && ret_offset)
        *ret_offset = r.error_offset;
    return result;
}
