/*
 * Our JSON beside jansson's: texts are made at random, damaged at random, and both must agree on which are JSON and on
 * what they say.
 *
 * Where jansson is narrower than RFC 8259 by its own choice (numbers beyond its types, NUL in a name) its refusal says
 * nothing. Nor does its consent to a text with a NUL byte, which it takes for the end; RFC 8259 allows that byte
 * nowhere.
 */
/* Both call their types alike; jansson's step aside. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_NULL

#include "base/json.h"
#include "base/utf8.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DEPTH 12

static const char *const space[] = {"", "", "", "", " ", "\n", "\t\r\n  "};
static const char *const strings[] = {
    "",
    "a",
    "room",
    "hello world",
    "\\\"",
    "\\\\",
    "\\/",
    "\\n\\r\\t\\b\\f",
    "\\u0041",
    "\\u4e2d",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\xe4\xb8\xad\xe6\x96\x87",
    "\xc3\xa9",
    "\xf0\x9f\x98\x80",
    "0123456789abcdef",
    "\x7f",
    "\\uffff",
};
static const char *const scalars[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "42",
    "1.5",
    "-0.25",
    "1e3",
    "1E-3",
    "2.5e+2",
    "0.1",
    "9223372036854775807",
    "-9223372036854775808",
    "123456789.123",
};
/** What damage inserts: the tokens of the grammar, and pieces that are nearly right. */
static const char *const pieces[] = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "0",
    "1",
    "-",
    ".",
    "e",
    "+",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\u0000",
    "null",
    "tru",
    "\n",
    "\x01",
    "\x80",
    "\xff",
    "\xe4",
    "\xb8",
    "\xc0\xaf",
    "\xed\xa0\x80",
    "\xef\xbb\xbf",
    " ",
    "//",
    "1e999",
    "99999999999999999999",
};

#define PICK(random, table) ((table)[prng_below((random), BASE_ARRAY_SIZE(table))])

static void make_string(struct prng *random, struct buffer *b)
{
    buffer_append_char(b, '"');
    for (size_t count = prng_below(random, 4); count > 0; count--)
        buffer_append_text(b, PICK(random, strings));
    buffer_append_char(b, '"');
}

static void make_value(struct prng *random, struct buffer *b, unsigned depth)
{
    size_t kind = prng_below(random, depth > 0 ? 6 : 2);
    bool object = kind == 5;

    buffer_append_text(b, PICK(random, space));
    if (kind == 0) {
        make_string(random, b);
    } else if (kind == 1) {
        buffer_append_text(b, PICK(random, scalars));
    } else {
        size_t count = prng_below(random, 4);

        buffer_append_char(b, object ? '{' : '[');
        buffer_append_text(b, PICK(random, space));
        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                buffer_append_char(b, ',');
            if (object) {
                buffer_append_text(b, PICK(random, space));
                make_string(random, b);
                buffer_append_text(b, PICK(random, space));
                buffer_append_char(b, ':');
            }
            make_value(random, b, depth - 1);
        }
        buffer_append_char(b, object ? '}' : ']');
    }
    buffer_append_text(b, PICK(random, space));
}

static void damage(struct prng *random, struct buffer *b)
{
    struct buffer out = {0};
    size_t at = prng_below(random, b->size + 1);
    size_t end = at + prng_below(random, b->size - at + 1);

    switch (prng_below(random, 5)) {
    case 0: /* replace a byte */
        if (at < b->size)
            b->data[at] = (char)prng_next(random);
        return;
    case 1: /* cut a few bytes out */
        end = end > at + 4 ? at + 4 : end;
        buffer_append(&out, b->data, at);
        break;
    case 2: /* cut the end off */
        buffer_truncate(b, at);
        return;
    case 3: /* say something twice */
        buffer_append(&out, b->data, end);
        end = at;
        break;
    default:
        buffer_append(&out, b->data, at);
        buffer_append_text(&out, PICK(random, pieces));
        end = at;
        break;
    }
    buffer_append_slice(&out, slice_skip(buffer_slice(b), end));
    buffer_deinit(b);
    *b = out;
}

static json_t *read_tree(struct json_reader *r);

static json_t *decoded(struct slice raw)
{
    struct buffer b = {0};
    json_t *string;

    json_string_decode(raw, &b);
    assert_true(utf8_is_valid(buffer_slice(&b)));
    string = json_stringn(buffer_slice(&b).data, b.size);
    buffer_deinit(&b);
    return string;
}

static json_t *read_container(struct json_reader *r, bool object)
{
    json_t *tree = object ? json_object() : json_array();
    struct slice raw;
    int result;

    assert_int_equal(object ? json_reader_enter_object(r) : json_reader_enter_array(r), JSON_OK);
    while ((result = object ? json_reader_member_name(r, &raw) : json_reader_element_follows(r)) == JSON_OK) {
        if (object) {
            json_t *name = decoded(raw);

            assert_int_equal(json_object_set_new(tree, json_string_value(name), read_tree(r)), 0);
            json_decref(name);
        } else {
            assert_int_equal(json_array_append_new(tree, read_tree(r)), 0);
        }
    }
    assert_int_equal(result, JSON_END);
    return tree;
}

/** What our reader reads, as jansson would hold it. */
static json_t *read_tree(struct json_reader *r)
{
    enum json_type type;
    struct json_value value;
    int64_t integer;
    char text[64];

    assert_int_equal(json_reader_peek(r, &type), JSON_OK);
    if (type == JSON_OBJECT || type == JSON_ARRAY)
        return read_container(r, type == JSON_OBJECT);
    assert_int_equal(json_reader_value(r, &value), JSON_OK);
    assert_int_equal(value.type, type);
    if (type == JSON_STRING)
        return decoded(json_string_raw(value));
    if (type == JSON_NULL)
        return json_null();
    if (type == JSON_BOOL)
        return json_boolean(value.text.data[0] == 't');
    if (json_number_int64(value, INT64_MIN, INT64_MAX, &integer))
        return json_integer(integer);
    assert_true(value.text.size < sizeof(text));
    memcpy(text, value.text.data, value.text.size);
    text[value.text.size] = '\0';
    return json_real(strtod(text, NULL));
}

struct tally {
    unsigned accepted, refused, silent;
};

static void compare(struct slice text, struct tally *tally)
{
    json_error_t error;
    json_t *theirs = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    const char *expected = "";
    size_t offset = 0;
    int result = json_validate(text, DEPTH, &expected, &offset);

    if (text.size > 0 && memchr(text.data, 0, text.size)) {
        assert_int_equal(result, JSON_E_SYNTAX);
        json_decref(theirs);
        return;
    }
    if (theirs && result == JSON_OK) {
        struct json_reader r;
        json_t *ours;

        json_reader_init(&r, text, DEPTH);
        ours = read_tree(&r);
        assert_int_equal(json_reader_finish(&r), JSON_OK);
        if (!json_equal(ours, theirs))
            fail_msg("read differently: %.*s", SLICE_PRINTF(text));
        json_decref(ours);
        tally->accepted++;
    } else if (theirs) {
        if (strcmp(expected, "expected less nesting") != 0)
            fail_msg("refused (%s at %zu): %.*s", expected, offset, SLICE_PRINTF(text));
        tally->silent++;
    } else if (result == JSON_OK) {
        if (json_error_code(&error) != json_error_numeric_overflow &&
            json_error_code(&error) != json_error_null_byte_in_key)
            fail_msg("accepted (%s): %.*s", error.text, SLICE_PRINTF(text));
        tally->silent++;
    } else {
        assert_true(offset <= text.size);
        tally->refused++;
    }
    json_decref(theirs);
}

static void test_made_texts(base_unused void **state)
{
    struct prng random = {5};
    struct tally tally = {0};

    for (int round = 0; round < 20000; round++) {
        struct buffer b = {0};

        make_value(&random, &b, 5);
        compare(buffer_slice(&b), &tally);
        buffer_deinit(&b);
    }
    assert_int_equal(tally.accepted, 20000);
}

static void test_damaged_texts(base_unused void **state)
{
    struct prng random = {6};
    struct tally tally = {0};

    for (int round = 0; round < 60000; round++) {
        struct buffer b = {0};

        make_value(&random, &b, 4);
        for (size_t times = 1 + prng_below(&random, 3); times > 0; times--)
            damage(&random, &b);
        compare(buffer_slice(&b), &tally);
        buffer_deinit(&b);
    }
    assert_true(tally.accepted > 5000 && tally.refused > 20000 && tally.silent < 1000);
}

/** Every text of up to four tokens. */
static void test_every_short_text(base_unused void **state)
{
    static const char *const tokens[] = {"",  "{", "}",    "[", "]", ",", ":", "\"a\"",
                                         "1", "-", "null", " ", "0", ".", "\""};
    const size_t base = BASE_ARRAY_SIZE(tokens);
    struct tally tally = {0};

    for (size_t n = 0; n < base * base * base * base; n++) {
        struct buffer b = {0};

        for (size_t rest = n, i = 0; i < 4; i++, rest /= base)
            buffer_append_text(&b, tokens[rest % base]);
        compare(buffer_slice(&b), &tally);
        buffer_deinit(&b);
    }
    assert_true(tally.accepted > 500 && tally.refused > 10000);
}

static json_t *write_value(struct prng *random, struct json_writer *w, unsigned depth)
{
    size_t kind = prng_below(random, depth > 0 ? 8 : 6);
    char bytes[24];
    size_t size = prng_below(random, sizeof(bytes));
    uint64_t bits = prng_next(random) >> prng_below(random, 64);
    json_t *tree;

    switch (kind) {
    case 0:
        json_write_null(w);
        return json_null();
    case 1:
        json_write_bool(w, bits & 1);
        return json_boolean(bits & 1);
    case 2:
        json_write_int64(w, (int64_t)bits);
        return json_integer((json_int_t)bits);
    case 3:
        json_write_double(w, (double)(bits >> 14) + 0.5);
        return json_real((double)(bits >> 14) + 0.5);
    case 4:
    case 5: /* any ASCII, with the kinds of character that need care */
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(prng_next(random) & 0x7f);
        json_write_string(w, slice_make(bytes, size));
        return json_stringn(bytes, size);
    case 6:
        tree = json_array();
        json_write_array_begin(w);
        for (size_t count = size / 5; count > 0; count--)
            assert_int_equal(json_array_append_new(tree, write_value(random, w, depth - 1)), 0);
        json_write_array_end(w);
        return tree;
    default:
        tree = json_object();
        json_write_object_begin(w);
        for (size_t i = 0; i < size / 5; i++) {
            const char name[] = {(char)('a' + i), (char)(1 + bits % 127), '\0'};

            json_write_name(w, name);
            assert_int_equal(json_object_set_new(tree, name, write_value(random, w, depth - 1)), 0);
        }
        json_write_object_end(w);
        return tree;
    }
}

static void test_written_texts(base_unused void **state)
{
    struct prng random = {7};

    for (int round = 0; round < 20000; round++) {
        struct buffer b = {0};
        struct json_writer w;
        json_error_t error;
        json_t *wanted, *read;

        json_writer_init(&w, &b);
        wanted = write_value(&random, &w, 4);
        assert_int_equal(buffer_error(&b), 0);
        read = json_loadb(b.data, b.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!read || !json_equal(read, wanted)) {
            fail_msg("written (%s): %s", read ? "differs" : error.text, b.data);
        }
        assert_int_equal(json_validate(buffer_slice(&b), DEPTH, NULL, NULL), JSON_OK);
        json_decref(read);
        json_decref(wanted);
        buffer_deinit(&b);
    }
}

/** Strings of any bytes at all become JSON; those that were UTF-8 come back unchanged. */
static void test_written_bytes(base_unused void **state)
{
    struct prng random = {8};

    for (int round = 0; round < 20000; round++) {
        struct buffer b = {0}, source = {0};
        struct json_writer w;
        json_error_t error;
        json_t *read;

        for (size_t count = prng_below(&random, 6); count > 0; count--)
            buffer_append_text(&source, prng_below(&random, 3) ? PICK(&random, strings) : PICK(&random, pieces));
        json_writer_init(&w, &b);
        json_write_string(&w, buffer_slice(&source));
        read = json_loadb(b.data, b.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert_non_null(read);
        if (utf8_is_valid(buffer_slice(&source)))
            assert_true(
                slice_equal(slice_make(json_string_value(read), json_string_length(read)), buffer_slice(&source)));
        json_decref(read);
        buffer_deinit(&source);
        buffer_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_texts),       cmocka_unit_test(test_damaged_texts),
        cmocka_unit_test(test_every_short_text), cmocka_unit_test(test_written_texts),
        cmocka_unit_test(test_written_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
