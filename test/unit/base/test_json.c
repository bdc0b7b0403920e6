#include "base/json.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_accepted(base_unused void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-12",
        "10",
        "0.0",
        "1.5e10",
        "1E+2",
        "1e-2",
        "-0.1E5",
        "123456789012345678901234567890",
        "1e999",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        " \t\r\n[ ] \n",
        "[1,2]",
        "[[],{}]",
        "{\"\":0}",
        "{\"a\":1,\"a\":2}",
        "{ \"a\" : [ 1 , null ] }",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\\u00e9\\uD834\\uDd1E\"",
        "\"\x7f\"",
        "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"",
        "\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\"",
        "\"\xe2\x80\xa8\"",
        "[1,[2,[3,[4]]]]",
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(texts); i++) {
        const char *error = "";

        if (json_validate(slice_from(texts[i]), JSON_DEPTH_MAX, &error, NULL) != JSON_OK)
            fail_msg("%s: %s", texts[i], error);
    }
}

static void test_refused(base_unused void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *error;
    } rows[] = {
        {"", 0, "expected a value"},
        {"  ", 2, "expected a value"},
        {"\xef\xbb\xbf{}", 0, "expected a value"}, /* RFC 8259 section 8.1: no byte order mark */
        {"\v1", 0, "expected a value"},
        {"nul", 0, "expected a value"},
        {"[True]", 1, "expected a value"},
        {"NaN", 0, "expected a value"},
        {"Infinity", 0, "expected a value"},
        {"'a'", 0, "expected a value"},
        {"+1", 0, "expected a value"},
        {".5", 0, "expected a value"},
        {"-", 1, "expected a digit"},
        {"-a", 1, "expected a digit"},
        {"1.", 2, "expected a digit"},
        {"1.e1", 2, "expected a digit"},
        {"1e", 2, "expected a digit"},
        {"1e+", 3, "expected a digit"},
        {"01", 1, "expected the end of the text"},
        {"-01", 2, "expected the end of the text"},
        {"0x1", 1, "expected the end of the text"},
        {"truex", 4, "expected the end of the text"},
        {"1 2", 2, "expected the end of the text"},
        {"{}}", 2, "expected the end of the text"},
        {"null// no", 4, "expected the end of the text"},
        {"[", 1, "expected a value"},
        {"[,1]", 1, "expected a value"},
        {"[1,]", 3, "expected a value"},
        {"[1,,2]", 3, "expected a value"},
        {"[1 2]", 3, "expected ',' or ']'"},
        {"[1", 2, "expected ',' or ']'"},
        {"[1}", 2, "expected ',' or ']'"},
        {"[01]", 2, "expected ',' or ']'"},
        {"[1:2]", 2, "expected ',' or ']'"},
        {"{", 1, "expected a name or '}'"},
        {"{1:2}", 1, "expected a name or '}'"},
        {"{a:1}", 1, "expected a name or '}'"},
        {"{,}", 1, "expected a name or '}'"},
        {"{]", 1, "expected a name or '}'"},
        {"{\"a\"}", 4, "expected ':'"},
        {"{\"a\",1}", 4, "expected ':'"},
        {"{\"a\":}", 5, "expected a value"},
        {"{\"a\":1,}", 7, "expected a name"},
        {"{\"a\":1 \"b\":2}", 7, "expected ',' or '}'"},
        {"{\"a\":1]", 6, "expected ',' or '}'"},
        {"{\"a\":1", 6, "expected ',' or '}'"},
        {"\"", 1, "expected the string's closing quote"},
        {"\"abcdefghijklmnop", 17, "expected the string's closing quote"},
        {"\"a\nb\"", 2, "expected no control character in a string"},
        {"\"0123456789\x1f\"", 11, "expected no control character in a string"},
        {"\"\\", 1, "expected a valid escape"},
        {"\"\\x41\"", 1, "expected a valid escape"},
        {"\"a\\u12\"", 2, "expected a valid escape"},
        {"\"a\\u12g4\"", 2, "expected a valid escape"},
        {"\"a\\U0041\"", 2, "expected a valid escape"},
        {"\"\\ud800\"", 1, "expected a valid escape"},
        {"\"\\udc00\"", 1, "expected a valid escape"},
        {"\"\\ud800\\ud800\"", 1, "expected a valid escape"},
        {"\"\\ud800\\udbff\"", 1, "expected a valid escape"},
        {"\"\\ud800\\ue000\"", 1, "expected a valid escape"},
        {"\"\\udfff\"", 1, "expected a valid escape"},
        {"\"\\udbff\"", 1, "expected a valid escape"},
        {"\"\\ud800\\n\"", 1, "expected a valid escape"},
        {"\"\\ud800\\udc0\"", 1, "expected a valid escape"},
        {"\"\\ud800x\\udc00\"", 1, "expected a valid escape"},
        {"\"ab\xff\"", 3, "expected valid UTF-8"},
        {"\"\xc0\x80\"", 1, "expected valid UTF-8"},
        {"\"\xed\xa0\x80\"", 1, "expected valid UTF-8"},
        {"\"\xe4\xb8", 1, "expected valid UTF-8"},
        {"\"\xe4\xb8\xad\xf4\x90\x80\x80\"", 4, "expected valid UTF-8"},
        {"\xff", 0, "expected a value"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        const char *error = "accepted";
        size_t offset = SIZE_MAX;

        if (json_validate(slice_from(rows[i].text), JSON_DEPTH_MAX, &error, &offset) != JSON_E_SYNTAX ||
            offset != rows[i].offset || strcmp(error, rows[i].error) != 0)
            fail_msg("%s: %s at %zu", rows[i].text, error, offset);
        assert_int_equal(json_validate(slice_from(rows[i].text), JSON_DEPTH_MAX, NULL, NULL), JSON_E_SYNTAX);
    }
    assert_int_equal(json_validate(SLICE_NONE, 1, NULL, NULL), JSON_E_SYNTAX);
    assert_int_equal(json_validate(slice_make("1\0", 2), 1, NULL, NULL), JSON_E_SYNTAX);
    assert_int_equal(json_validate(slice_make("\"\0\"", 3), 1, NULL, NULL), JSON_E_SYNTAX);
}

/** Nesting of exactly @depth, arrays and objects in turn. */
static void nest(struct buffer *b, unsigned depth)
{
    buffer_reset(b, SIZE_MAX);
    for (unsigned i = 0; i < depth; i++)
        buffer_append_text(b, i % 2 ? "{\"a\":" : "[");
    buffer_append_char(b, '1');
    for (unsigned i = depth; i-- > 0;)
        buffer_append_char(b, i % 2 ? '}' : ']');
}

static void test_depth(base_unused void **state)
{
    struct buffer b = {0};

    for (unsigned depth = 0; depth <= JSON_DEPTH_MAX + 1; depth++) {
        const char *error = NULL;

        nest(&b, depth);
        for (unsigned max = 0; max <= JSON_DEPTH_MAX; max++) {
            int result = json_validate(buffer_slice(&b), max, &error, NULL);

            assert_int_equal(result, depth <= max ? JSON_OK : JSON_E_SYNTAX);
            if (result)
                assert_string_equal(error, "expected less nesting");
        }
    }
    buffer_reset(&b, 0);
    for (int i = 0; i < 1000000; i++)
        buffer_append_char(&b, '[');
    assert_int_equal(json_validate(buffer_slice(&b), JSON_DEPTH_MAX, NULL, NULL), JSON_E_SYNTAX);
    buffer_deinit(&b);
}

/** A string's special byte at each place of each length: the reader looks at eight bytes at once. */
static void test_every_alignment(base_unused void **state)
{
    static const struct {
        const char *piece;
        bool good;
    } pieces[] = {{"\\n", true},   {"\xe4\xb8\xad", true},
                  {"\x7f", true},  {" ", true},
                  {"!", true},     {"#", true},
                  {"[", true},     {"]", true},
                  {"\n", false},   {"\x1f", false},
                  {"\x01", false}, {"\x80", false},
                  {"\xff", false}, {"\"", false}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(pieces); i++) {
        for (size_t size = 0; size < 40; size++) {
            for (size_t at = 0; at <= size; at++) {
                struct buffer b = {0};
                size_t offset = SIZE_MAX;
                int result;

                buffer_printf(&b, "\"%0*d", (int)at, 0);
                buffer_truncate(&b, at + 1);
                buffer_append_text(&b, pieces[i].piece);
                buffer_printf(&b, "%0*d", (int)(size - at), 0);
                buffer_truncate(&b, 1 + size + strlen(pieces[i].piece));
                buffer_append_char(&b, '"');
                result = json_validate(buffer_slice(&b), 0, NULL, &offset);
                assert_int_equal(result == JSON_OK, pieces[i].good);
                if (result)
                    assert_int_equal(offset, 1 + at + (pieces[i].piece[0] == '"'));
                buffer_deinit(&b);
            }
        }
    }
}

static void test_members(base_unused void **state)
{
    struct slice text = SLICE_LITERAL(" { \"event\" : \"send\" , \"\\u0064ata\":{\"a\": [1, 2.50 ]},\"n\":-7} ");
    struct slice name = SLICE_NONE;
    struct json_value value;
    struct json_reader r;
    int64_t number;

    json_reader_init(&r, text, 8);
    assert_int_equal(json_reader_enter_object(&r), JSON_OK);
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_OK);
    assert_true(slice_equal_text(name, "event") && json_string_equal(name, "event"));
    assert_int_equal(value.type, JSON_STRING);
    assert_true(slice_equal_text(value.text, "\"send\"") && slice_equal_text(json_string_raw(value), "send"));
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_OK);
    assert_true(slice_equal_text(name, "\\u0064ata") && json_string_equal(name, "data"));
    assert_int_equal(value.type, JSON_OBJECT);
    assert_true(slice_equal_text(value.text, "{\"a\": [1, 2.50 ]}")); /* byte for byte */
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_OK);
    assert_true(json_number_int64(value, -10, 10, &number));
    assert_int_equal(number, -7);
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_END);
    assert_true(slice_equal_text(name, "n")); /* untouched */
    assert_int_equal(json_reader_finish(&r), JSON_OK);
}

static void test_going_down(base_unused void **state)
{
    struct json_reader r;
    struct slice name;
    struct json_value value;
    enum json_type type;

    json_reader_init(&r, SLICE_LITERAL("{\"list\":[{\"x\":1},[],null],\"s\":\"t\"}"), 8);
    assert_int_equal(json_reader_peek(&r, &type), JSON_OK);
    assert_int_equal(type, JSON_OBJECT);
    assert_int_equal(json_reader_enter_object(&r), JSON_OK);
    assert_int_equal(json_reader_member_name(&r, &name), JSON_OK);
    assert_true(slice_equal_text(name, "list"));
    assert_int_equal(json_reader_enter_array(&r), JSON_OK);
    assert_int_equal(json_reader_element_follows(&r), JSON_OK);
    assert_int_equal(json_reader_enter_object(&r), JSON_OK);
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_OK);
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_END);
    assert_int_equal(json_reader_element_follows(&r), JSON_OK);
    assert_int_equal(json_reader_peek(&r, &type), JSON_OK);
    assert_int_equal(type, JSON_ARRAY);
    assert_int_equal(json_reader_enter_array(&r), JSON_OK);
    assert_int_equal(json_reader_element(&r, &value), JSON_END);
    assert_int_equal(json_reader_element(&r, &value), JSON_OK);
    assert_int_equal(value.type, JSON_NULL);
    assert_int_equal(json_reader_element_follows(&r), JSON_END);
    assert_int_equal(json_reader_member_name(&r, &name), JSON_OK);
    assert_int_equal(json_reader_value(&r, &value), JSON_OK);
    assert_true(slice_equal_text(value.text, "\"t\""));
    assert_int_equal(json_reader_member_name(&r, &name), JSON_END);
    assert_int_equal(json_reader_finish(&r), JSON_OK);
}

static void test_failed_stays_failed(base_unused void **state)
{
    struct json_reader r;
    struct slice name = SLICE_LITERAL("untouched");
    struct json_value value = {.type = JSON_NULL};
    enum json_type type;

    json_reader_init(&r, SLICE_LITERAL("{\"a\":1,\"b\":tru}"), 8);
    assert_int_equal(json_reader_enter_object(&r), JSON_OK);
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_OK);
    assert_int_equal(json_reader_member(&r, &name, &value), JSON_E_SYNTAX);
    assert_true(slice_equal_text(name, "a") && slice_equal_text(value.text, "1")); /* as they were before */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(json_reader_member(&r, &name, &value), JSON_E_SYNTAX);
        assert_int_equal(json_reader_member_name(&r, &name), JSON_E_SYNTAX);
        assert_int_equal(json_reader_element(&r, &value), JSON_E_SYNTAX);
        assert_int_equal(json_reader_element_follows(&r), JSON_E_SYNTAX);
        assert_int_equal(json_reader_enter_object(&r), JSON_E_SYNTAX);
        assert_int_equal(json_reader_enter_array(&r), JSON_E_SYNTAX);
        assert_int_equal(json_reader_value(&r, &value), JSON_E_SYNTAX);
        assert_int_equal(json_reader_peek(&r, &type), JSON_E_SYNTAX);
        assert_int_equal(json_reader_finish(&r), JSON_E_SYNTAX);
        assert_string_equal(r.error, "expected a value");
        assert_int_equal(r.error_offset, 11);
    }
}

static void test_wrong_type(base_unused void **state)
{
    struct json_reader r;

    json_reader_init(&r, SLICE_LITERAL(" [1]"), 8);
    assert_int_equal(json_reader_enter_object(&r), JSON_E_SYNTAX);
    assert_string_equal(r.error, "expected an object");
    assert_int_equal(r.error_offset, 1);
    json_reader_init(&r, SLICE_LITERAL("{}"), 8);
    assert_int_equal(json_reader_enter_array(&r), JSON_E_SYNTAX);
    assert_string_equal(r.error, "expected an array");
}

static void test_strings(base_unused void **state)
{
    static const struct {
        struct slice raw, plain;
    } rows[] = {
        {{"", 0}, {"", 0}},
        {{"abc", 3}, {"abc", 3}},
        {{"a\\\"\\\\\\/\\b\\f\\n\\r\\tz", 18}, {"a\"\\/\b\f\n\r\tz", 10}},
        {{"\\u0041\\u00e9\\u4e2d\\ud83d\\ude00", 30}, {"A\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", 10}},
        {{"x\\u0000y", 8}, {"x\0y", 3}},
        {{"\xe4\xb8\xad\\n", 5}, {"\xe4\xb8\xad\n", 4}},
        {{"\\uDBFF\\uDFFF\\uFFFF", 18}, {"\xf4\x8f\xbf\xbf\xef\xbf\xbf", 7}},
        {{"\\uD800\\uDC00\\uD7FF\\uE000", 24}, {"\xf0\x90\x80\x80\xed\x9f\xbf\xee\x80\x80", 10}},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct buffer out = {0};

        json_string_decode(rows[i].raw, &out);
        assert_true(slice_equal(buffer_slice(&out), rows[i].plain));
        if (!memchr(rows[i].plain.data, 0, rows[i].plain.size)) {
            assert_true(json_string_equal(rows[i].raw, rows[i].plain.data));
            buffer_append_char(&out, '!');
            assert_false(json_string_equal(rows[i].raw, out.data));
            if (out.size > 1) {
                buffer_truncate(&out, out.size - 2);
                assert_false(json_string_equal(rows[i].raw, out.data));
            }
        }
        buffer_deinit(&out);
    }
    assert_true(json_string_equal(SLICE_NONE, ""));
    assert_false(json_string_equal(SLICE_LITERAL("x\\u0000y"), "x"));
}

static void test_numbers(base_unused void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct json_reader r;
        struct json_value value;
        int64_t number = 55;

        json_reader_init(&r, slice_from(rows[i].text), 1);
        assert_int_equal(json_reader_value(&r, &value), JSON_OK);
        assert_int_equal(json_number_int64(value, INT64_MIN, INT64_MAX, &number), rows[i].good);
        assert_true(number == (rows[i].good ? rows[i].value : 55));
        if (rows[i].good && rows[i].value < INT64_MAX)
            assert_false(json_number_int64(value, rows[i].value + 1, INT64_MAX, &number));
        if (rows[i].good && rows[i].value > INT64_MIN)
            assert_false(json_number_int64(value, INT64_MIN, rows[i].value - 1, &number));
    }
}

static void write_sample(struct buffer *b)
{
    struct json_writer w;

    json_writer_init(&w, b);
    json_write_object_begin(&w);
    json_write_member_text(&w, "event", "message");
    json_write_member_text(&w, "none", NULL);
    json_write_member_string(&w, "s", SLICE_LITERAL("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f\xe4\xb8\xad"));
    json_write_member_int64(&w, "min", INT64_MIN);
    json_write_member_uint64(&w, "max", UINT64_MAX);
    json_write_member_bool(&w, "yes", true);
    json_write_name(&w, "list");
    json_write_array_begin(&w);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_raw(&w, SLICE_LITERAL("{ \"as\":\"is\" }"));
    json_write_null(&w);
    json_write_bool(&w, false);
    json_write_double(&w, 0.1);
    json_write_array_end(&w);
    json_write_name(&w, "q\"");
    json_write_int64(&w, -1);
    json_write_object_end(&w);
}

static void test_writer(base_unused void **state)
{
    struct buffer b = {0};

    write_sample(&b);
    assert_string_equal(b.data,
                        "{\"event\":\"message\",\"none\":null,\"s\":\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f"
                        "\xe4\xb8\xad\",\"min\":-9223372036854775808,\"max\":18446744073709551615,\"yes\":true,"
                        "\"list\":[[],{},{ \"as\":\"is\" },null,false,0.1],\"q\\\"\":-1}");
    assert_int_equal(json_validate(buffer_slice(&b), 3, NULL, NULL), JSON_OK);
    buffer_deinit(&b);
}

static void test_writer_repairs_utf8(base_unused void **state)
{
    struct buffer b = {0};
    struct json_writer w;

    json_writer_init(&w, &b);
    json_write_string(&w, SLICE_LITERAL("a\xff\xe4\xb8z\xed\xa0\x80"));
    assert_string_equal(b.data, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    buffer_deinit(&b);
}

static void test_writer_doubles(base_unused void **state)
{
    static const double values[] = {
        0, 1, -1, 0.1, 1.0 / 3, 1e300, -5e-324, 1.7976931348623157e308, 123456789012345680.0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(values); i++) {
        struct buffer b = {0};
        struct json_writer w;
        double again;

        json_writer_init(&w, &b);
        json_write_double(&w, values[i]);
        assert_int_equal(json_validate(buffer_slice(&b), 0, NULL, NULL), JSON_OK);
        again = strtod(b.data, NULL);
        assert_memory_equal(&again, &values[i], sizeof(again)); /* to the last bit */
        buffer_deinit(&b);
    }
}

static void test_writer_no_number(base_unused void **state)
{
    static const double values[] = {__builtin_inf(), -__builtin_inf(), __builtin_nan("")};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(values); i++) {
        struct buffer b = {0};
        struct json_writer w;

        json_writer_init(&w, &b);
        json_write_double(&w, values[i]);
        assert_string_equal(b.data, "null");
        buffer_deinit(&b);
    }
}

static void test_writer_depth(base_unused void **state)
{
    struct buffer b = {0};
    struct json_writer w;

    json_writer_init(&w, &b);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_write_array_begin(&w);
    json_write_null(&w);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_write_array_end(&w);
    assert_int_equal(json_validate(buffer_slice(&b), JSON_DEPTH_MAX, NULL, NULL), JSON_OK);
    buffer_deinit(&b);
}

static void test_writer_out_of_memory(base_unused void **state)
{
    struct buffer whole = {0};
    size_t n;

    write_sample(&whole);
    for (n = 0;; n++) {
        struct buffer b = {0};
        bool refused;

        alloc_fail_after(n);
        write_sample(&b);
        refused = alloc_fail_disarm();
        assert_int_equal(buffer_error(&b), refused ? -ENOMEM : 0);
        buffer_deinit(&b);
        if (!refused)
            break;
    }
    assert_true(n >= 2);
    for (n = 1; n < whole.size; n++) {
        struct buffer b = BUFFER_WITH_LIMIT(n);

        write_sample(&b);
        assert_int_equal(buffer_error(&b), -EMSGSIZE);
        assert_true(b.size <= n && memcmp(b.data ? b.data : "", whole.data, b.size) == 0);
        buffer_deinit(&b);
    }
    buffer_deinit(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_every_alignment),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_going_down),
        cmocka_unit_test(test_failed_stays_failed),
        cmocka_unit_test(test_wrong_type),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_writer_repairs_utf8),
        cmocka_unit_test(test_writer_doubles),
        cmocka_unit_test(test_writer_no_number),
        cmocka_unit_test(test_writer_depth),
        cmocka_unit_test(test_writer_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
