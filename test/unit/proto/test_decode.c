/*
 * The json dialect inwards. A frame becomes a transcript, a line per result, so that a table can hold what is expected.
 */
#include "proto/proto.h"

#include "support/alloc.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct proto_limits limits = {.data_bytes = 64, .depth = 8, .ops_per_frame = 4};

static const char *const kinds[] = {
    [PROTO_OP_JOIN] = "join",       [PROTO_OP_LEAVE] = "leave",   [PROTO_OP_SEND] = "send",
    [PROTO_OP_WHISPER] = "whisper", [PROTO_OP_ONLINE] = "online", [PROTO_OP_PING] = "ping",
    [PROTO_OP_HISTORY] = "history", [PROTO_OP_ACK] = "ack",       [PROTO_OP_LIKE] = "like",
};

static void tell(struct buffer *out, const char *name, struct slice value)
{
    if (slice_is_set(value))
        buffer_printf(out, " %s=%.*s", name, SLICE_PRINTF(value));
}

static void tell_op(struct buffer *out, const struct proto_op *op)
{
    buffer_append_text(out, kinds[op->kind]);
    tell(out, "id", op->id);
    tell(out, "room", op->room);
    tell(out, "user", op->user);
    tell(out, "data", op->data);
    tell(out, "type", op->content_type);
    tell(out, "key", op->key);
    if (op->has_since)
        buffer_printf(out, " since=%" PRIu64 ":%" PRIu64, op->since.epoch, op->since.offset);
    if (op->is_binary)
        buffer_append_text(out, " binary");
    if (op->limit)
        buffer_printf(out, " limit=%" PRIu64, op->limit);
    tell(out, "after", op->after);
    if (op->has_before)
        buffer_printf(out, " before=%" PRIu64 ":%" PRIu64, op->before.epoch, op->before.offset);
    tell(out, "channel", op->channel);
    if (op->kind == PROTO_OP_ACK)
        buffer_printf(out, " at=%" PRIu64 ":%" PRIu64, op->epoch, op->offset);
    if (op->kind == PROTO_OP_LIKE)
        buffer_printf(out, " n=%" PRIu64, op->likes);
    buffer_append_char(out, '\n');
}

/** Decodes to the end. 0 or -ENOMEM. */
static int transcribe(struct slice text, const struct proto_limits *l, struct buffer *out)
{
    struct proto_decoder d;
    struct proto_event error;
    struct proto_op op;
    int result;

    proto_codec_json.decoder_init(&d, l, text);
    while ((result = proto_codec_json.decoder_next(&d, &op, &error)) == 0 || result == PROTO_E_BAD) {
        if (result == 0) {
            tell_op(out, &op);
            continue;
        }
        assert_int_equal(error.kind, PROTO_EVENT_ERROR);
        assert_int_equal(error.error.retry_after_ms, 0);
        buffer_printf(out, "%s", proto_error_word(error.error.code));
        tell(out, "id", error.id);
        buffer_printf(out, ": %.*s\n", SLICE_PRINTF(error.error.message));
    }
    if (result == PROTO_END) /* and it stays at the end */
        assert_int_equal(proto_codec_json.decoder_next(&d, &op, &error), PROTO_END);
    proto_codec_json.decoder_deinit(&d);
    return result == PROTO_END ? 0 : result;
}

struct row {
    const char *text;
    const char *transcript;
};

/* clang-format off */
static const struct row good[] = {
    {"{\"id\":1,\"op\":\"join\",\"room\":\"42\"}", "join id=1 room=42\n"},
    {" \t\r\n{ \"op\" : \"leave\" , \"room\" : \"42\" } \n", "leave room=42\n"},
    {"{\"op\":\"ping\"}", "ping\n"},
    {"{\"op\":\"\\u0070ing\"}", "ping\n"},
    {"{\"\\u006fp\":\"ping\",\"i\\u0064\":7}", "ping id=7\n"},
    {"{\"room\":\"r\",\"op\":\"join\",\"since\":{\"epoch\":\"18446744073709551615\",\"offset\":17},\"binary\":true}",
     "join room=r since=18446744073709551615:17 binary\n"},
    {"{\"op\":\"join\",\"room\":\"r\",\"since\":{\"x\":[],\"offset\":0,\"epoch\":1760000000000},\"binary\":false}",
     "join room=r since=1760000000000:0\n"},
    {"{\"op\":\"join\",\"room\":\"r\",\"since\":null,\"binary\":null}", "join room=r\n"},
    {"{\"op\":\"send\",\"room\":\"r\",\"data\":{\"b\":1.50,\"a\":[ \"\\u00e9\\/\" ,1e5]}}",
     "send room=r data={\"b\":1.50,\"a\":[ \"\\u00e9\\/\" ,1e5]} type=application/json\n"},
    {"{\"op\":\"send\",\"room\":\"r\",\"data\": null ,\"key\":null}", "send room=r data=null type=application/json\n"},
    {"{\"op\":\"send\",\"room\":\"r\",\"data\":-0,\"key\":\"k\\n1\\u00e9\"}", "bad_request: send: key has a control character\n"},
    {"{\"op\":\"send\",\"room\":\"r\",\"data\":-0,\"key\":\"k\\\\1\\u00e9\"}", "send room=r data=-0 type=application/json key=k\\1é\n"},
    {"{\"op\":\"whisper\",\"user\":\"7\",\"data\":\"x\",\"id\":\"a\\u0062\"}",
     "whisper id=\"a\\u0062\" user=7 data=\"x\" type=application/json\n"},
    {"{\"op\":\"online\",\"room\":\"r\",\"limit\":50,\"after\":\"bob\"}", "online room=r limit=50 after=bob\n"},
    {"{\"op\":\"online\",\"room\":\"r\"}", "online room=r\n"},
    {"{\"op\":\"history\",\"room\":\"r\"}", "history room=r\n"},
    {"{\"op\":\"history\",\"room\":\"r\",\"limit\":7,\"before\":{\"epoch\":\"5\",\"offset\":9}}", "history room=r limit=7 before=5:9\n"},
    {"{\"op\":\"ack\",\"channel\":\"user:\\u0037\",\"offset\":9}", "ack channel=user:7 at=0:9\n"},
    {"{\"op\":\"ack\",\"channel\":\"user:7\",\"epoch\":\"5\",\"offset\":9}", "ack channel=user:7 at=5:9\n"},
    {"{\"op\":\"ack\",\"channel\":\"inbox\",\"offset\":9}", "bad_name: ack: channel is no channel's name\n"},
    {"{\"op\":\"ack\",\"channel\":\"user:7\"}", "bad_request: ack: expected a member \"offset\"\n"},
    /* names: integers as well, escapes, each decoded beside the others */
    {"{\"op\":\"join\",\"room\":42}", "join room=42\n"},
    {"{\"op\":\"join\",\"room\":-9223372036854775808}", "join room=-9223372036854775808\n"},
    {"{\"op\":\"join\",\"room\":-0}", "join room=0\n"},
    {"{\"op\":\"whisper\",\"user\":9223372036854775807,\"data\":1,\"key\":\"\\ud83d\\ude00\"}",
     "whisper user=9223372036854775807 data=1 type=application/json key=😀\n"},
    {"{\"op\":\"online\",\"room\":\"\\u5ba4 \\\"1\\\"\",\"after\":\"\\u00fc\"}", "online room=室 \"1\" after=ü\n"},
    /* what the op does not know is not looked at, whatever it is */
    {"{\"op\":\"ping\",\"room\":{},\"data\":[],\"x\":1,\"x\":2,\"\":{\"op\":\"join\"}}", "ping\n"},
    {"{\"op\":\"join\",\"room\":\"r\",\"user\":\"\",\"limit\":-1,\"key\":7}", "join room=r\n"},
    /* arrays */
    {"[]", ""},
    {" [ ] ", ""},
    {"[{\"op\":\"ping\"},{\"op\":\"leave\",\"room\":\"a\"}]", "ping\nleave room=a\n"},
    {"[{\"op\":\"ping\",\"id\":1},{\"op\":\"x\",\"id\":2},7,{\"op\":\"ping\",\"id\":3}]",
     "ping id=1\n"
     "unknown_op id=2: op: expected one of join, leave, send, whisper, online, history, ack, like, ping, got \"x\"\n"
     "bad_request: expected an object at byte 40\n"
     "ping id=3\n"},
    {"[{\"op\":\"ping\"},{\"op\":\"ping\"},{\"op\":\"ping\"},{\"op\":\"ping\"},{\"op\":\"ping\"},{]",
     "ping\nping\nping\nping\nbad_request: expected at most 4 operations in a frame\n"},
};

static const struct row bad[] = {
    /* no JSON: once, and the end */
    {"", "bad_json: expected a value at byte 0\n"},
    {"  ", "bad_json: expected a value at byte 2\n"},
    {"{", "bad_json: expected a name or '}' at byte 1\n"},
    {"{\"op\":\"ping\"", "bad_json: expected ',' or '}' at byte 12\n"},
    {"{\"op\":\"ping\" x", "bad_json: expected ',' or '}' at byte 13\n"},
    {"{\"op\":\"ping\"} x", "bad_json: expected the end of the text at byte 14\n"},
    {"{\"op\":\"ping\"}{\"op\":\"ping\"}", "bad_json: expected the end of the text at byte 13\n"},
    {"{\"op\":\"ping\",}", "bad_json: expected a name at byte 13\n"},
    {"{\"op\":\"ping\",\"data\":01}", "bad_json: expected ',' or '}' at byte 21\n"},
    {"{\"op\":\"ping\",\"x\":\"\\ud800\"}", "bad_json: expected a valid escape at byte 18\n"},
    {"{\"op\":\"ping\",\"x\":[[[[[[[[]]]]]]]]}", "bad_json: expected less nesting at byte 24\n"},
    {"[{\"op\":\"ping\"},{\"op\":]", "ping\nbad_json: expected a value at byte 21\n"},
    {"[{\"op\":\"ping\"}", "ping\nbad_json: expected ',' or ']' at byte 14\n"},
    {"[{\"op\":\"ping\"},]", "ping\nbad_json: expected a value at byte 15\n"},
    {"[{\"op\":\"ping\"}] ]", "ping\nbad_json: expected the end of the text at byte 16\n"},
    {"[1,2", "bad_request: expected an object at byte 1\nbad_request: expected an object at byte 3\n"
             "bad_json: expected ',' or ']' at byte 4\n"},
    /* no request */
    {"42", "bad_request: expected an object at byte 0\n"},
    {" \"ping\"", "bad_request: expected an object at byte 1\n"},
    {"null x", "bad_json: expected the end of the text at byte 5\n"},
    {"[[{\"op\":\"ping\"}]]", "bad_request: expected an object at byte 1\n"},
    {"{}", "bad_request: expected a string as member \"op\"\n"},
    {"{\"id\":5}", "bad_request id=5: expected a string as member \"op\"\n"},
    {"{\"id\":5,\"op\":1}", "bad_request id=5: expected a string as member \"op\"\n"},
    {"{\"id\":5,\"op\":\"Ping\"}",
     "unknown_op id=5: op: expected one of join, leave, send, whisper, online, history, ack, like, ping, got \"Ping\"\n"},
    {"{\"op\":\"éééééééééééééééééééé\"}",
     "unknown_op: op: expected one of join, leave, send, whisper, online, history, ack, like, ping, got \"éééééééééééééééé\"\n"},
    /* ids */
    {"{\"id\":null,\"op\":\"ping\"}", "bad_request: id: expected one number or string of at most 64 bytes\n"},
    {"{\"id\":{},\"op\":\"ping\"}", "bad_request: id: expected one number or string of at most 64 bytes\n"},
    {"{\"id\":1,\"op\":\"ping\",\"id\":2}", "bad_request: id: expected one number or string of at most 64 bytes\n"},
    {"{\"id\":\"012345678901234567890123456789012345678901234567890123456789012\",\"op\":\"ping\"}",
     "bad_request: id: expected one number or string of at most 64 bytes\n"},
    {"{\"id\":\"01234567890123456789012345678901234567890123456789012345678901\",\"op\":\"ping\"}",
     "ping id=\"01234567890123456789012345678901234567890123456789012345678901\"\n"},
    /* members */
    {"{\"op\":\"ping\",\"op\":\"ping\",\"id\":9}", "bad_request id=9: expected \"op\" only once\n"},
    {"{\"op\":\"join\",\"room\":\"a\",\"ro\\u006fm\":\"a\",\"id\":9}", "bad_request id=9: expected \"room\" only once\n"},
    {"{\"op\":\"ping\",\"key\":1,\"key\":1}", "bad_request: expected \"key\" only once\n"},
    {"{\"op\":\"join\",\"id\":1}", "bad_request id=1: join: expected a member \"room\"\n"},
    {"{\"op\":\"leave\"}", "bad_request: leave: expected a member \"room\"\n"},
    {"{\"op\":\"send\",\"room\":\"a\"}", "bad_request: send: expected a member \"data\"\n"},
    {"{\"op\":\"send\",\"data\":\"a\"}", "bad_request: send: expected a member \"room\"\n"},
    {"{\"op\":\"whisper\",\"data\":\"a\",\"room\":\"a\"}", "bad_request: whisper: expected a member \"user\"\n"},
    {"{\"op\":\"online\"}", "bad_request: online: expected a member \"room\"\n"},
    /* names */
    {"{\"op\":\"join\",\"room\":\"\",\"id\":1}", "bad_name id=1: join: room is empty\n"},
    {"{\"op\":\"join\",\"room\":\"a\\u0000b\"}", "bad_name: join: room has a control character\n"},
    {"{\"op\":\"join\",\"room\":\"a\\u009fb\"}", "bad_name: join: room has a control character\n"},
    {"{\"op\":\"join\",\"room\":null}", "bad_name: join: room must be a string or an integer\n"},
    {"{\"op\":\"join\",\"room\":1.5}", "bad_name: join: room must be a string or an integer\n"},
    {"{\"op\":\"join\",\"room\":1e3}", "bad_name: join: room must be a string or an integer\n"},
    {"{\"op\":\"join\",\"room\":9223372036854775808}", "bad_name: join: room must be a string or an integer\n"},
    {"{\"op\":\"join\",\"room\":[\"a\"]}", "bad_name: join: room must be a string or an integer\n"},
    {"{\"op\":\"whisper\",\"user\":true,\"data\":1}", "bad_name: whisper: user must be a string or an integer\n"},
    {"{\"op\":\"online\",\"room\":\"a\",\"after\":\"\"}", "bad_name: online: after is empty\n"},
    /* the rest */
    {"{\"op\":\"send\",\"room\":\"r\",\"data\":1,\"key\":\"\"}", "bad_request: send: key is empty\n"},
    {"{\"op\":\"send\",\"room\":\"r\",\"data\":1,\"key\":1}", "bad_request: send: key must be a string\n"},
    {"{\"op\":\"online\",\"room\":\"a\",\"limit\":-1}", "bad_request: online: limit must be a whole number\n"},
    {"{\"op\":\"online\",\"room\":\"a\",\"limit\":\"5\"}", "bad_request: online: limit must be a whole number\n"},
    {"{\"op\":\"join\",\"room\":\"a\",\"binary\":1}", "bad_request: join: binary must be true or false\n"},
#define BAD_SINCE(since) \
    {"{\"op\":\"join\",\"room\":\"a\",\"since\":" since "}", \
     "bad_request: join: since must be an object like {\"epoch\":\"1\",\"offset\":17}\n"}
    BAD_SINCE("\"1:2\""), BAD_SINCE("{}"), BAD_SINCE("[1,2]"), BAD_SINCE("{\"epoch\":\"1\"}"), BAD_SINCE("{\"offset\":1}"),
    BAD_SINCE("{\"epoch\":\"x\",\"offset\":1}"), BAD_SINCE("{\"epoch\":\"01\",\"offset\":1}"),
    BAD_SINCE("{\"epoch\":\"18446744073709551616\",\"offset\":1}"), BAD_SINCE("{\"epoch\":-1,\"offset\":1}"),
    BAD_SINCE("{\"epoch\":\"\",\"offset\":1}"), BAD_SINCE("{\"epoch\":1,\"offset\":\"1\"}"),
    BAD_SINCE("{\"epoch\":1,\"offset\":-1}"), BAD_SINCE("{\"epoch\":1,\"offset\":1.0}"),
    BAD_SINCE("{\"epoch\":1,\"offset\":1,\"offset\":1}"), BAD_SINCE("{\"epoch\":1,\"epoch\":1,\"offset\":1}"),
};
/* clang-format on */

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer out = {0};

        assert_int_equal(transcribe(slice_from(rows[i].text), &limits, &out), 0);
        assert_string_equal(out.data ? out.data : "", rows[i].transcript);
        buffer_deinit(&out);
    }
}

static void test_good(void **state)
{
    (void)state;
    assert_rows(good, BASE_ARRAY_SIZE(good));
}

static void test_bad(void **state)
{
    (void)state;
    assert_rows(bad, BASE_ARRAY_SIZE(bad));
}

/** A name or key of @count letters: the limits themselves, also where each letter is an escape. */
static void assert_length(const char *format_before, const char *letter, size_t count, const char *after,
                          const char *expected)
{
    struct buffer text = {0}, out = {0};

    buffer_append_text(&text, format_before);
    for (size_t i = 0; i < count; i++)
        buffer_append_text(&text, letter);
    buffer_append_text(&text, after);
    assert_int_equal(transcribe(buffer_slice(&text), &limits, &out), 0);
    assert_true(slice_starts_with(buffer_slice(&out), slice_from(expected)));
    buffer_deinit(&text);
    buffer_deinit(&out);
}

static void test_limits(void **state)
{
    static const char join[] = "{\"op\":\"join\",\"room\":\"", send[] = "{\"op\":\"send\",\"room\":\"r\",\"data\":\"";
    static const char keyed[] = "{\"op\":\"send\",\"room\":\"r\",\"data\":1,\"key\":\"";

    (void)state;
    assert_length(join, "a", 128, "\"}", "join room=aaaa");
    assert_length(join, "a", 129, "\"}", "bad_name: join: room is longer than 128 bytes\n");
    assert_length(join, "\\u0061", 128, "\"}", "join room=aaaa");
    assert_length(join, "\\u0061", 129, "\"}", "bad_name: join: room is longer than 128 bytes\n");
    assert_length(keyed, "a", 128, "\"}", "send room=r data=1 type=application/json key=aaaa");
    assert_length(keyed, "a", 129, "\"}", "bad_request: send: key is longer than 128 bytes\n");
    assert_length(send, "a", 62, "\"}", "send room=r data=\"aaaa");
    assert_length(send, "a", 63, "\",\"id\":3}", "too_large id=3: send: data is larger than a message may be\n");
}

/** Where @data came from: the frame itself, untouched. */
static void test_data_is_borrowed(void **state)
{
    struct slice text = SLICE_LITERAL("{\"op\":\"send\",\"room\":\"\\u0072\",\"data\":[1 , \"\\u0041\"]}");
    struct proto_event error;
    struct proto_decoder d;
    struct proto_op op;

    (void)state;
    proto_codec_json.decoder_init(&d, &limits, text);
    assert_int_equal(proto_codec_json.decoder_next(&d, &op, &error), 0);
    assert_ptr_equal(op.data.data, strstr(text.data, "[1"));
    assert_true(slice_equal_text(op.room, "r"));
    proto_codec_json.decoder_deinit(&d);
}

/** Every table text with each byte replaced, removed, doubled, or the text cut: any end is fine that is one (under a
 * sanitizer). */
static void assert_survives(struct slice text)
{
    static const char bytes[] = {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', ' ', 'u', '\x7f', '\xc3'};
    char *copy = malloc(text.size + 1);
    struct buffer out = {0};

    assert_non_null(copy);
    for (size_t at = 0; at < text.size; at++) {
        for (size_t b = 0; b < sizeof(bytes); b++) {
            memcpy(copy, text.data, text.size);
            copy[at] = bytes[b];
            assert_int_equal(transcribe(slice_make(copy, text.size), &limits, &out), 0);
        }
        memcpy(copy, text.data, at);
        memcpy(copy + at, text.data + at + 1, text.size - at - 1);
        assert_int_equal(transcribe(slice_make(copy, text.size - 1), &limits, &out), 0);
        memcpy(copy, text.data, at + 1);
        memcpy(copy + at + 1, text.data + at, text.size - at);
        assert_int_equal(transcribe(slice_make(copy, text.size + 1), &limits, &out), 0);
        buffer_reset(&out, SIZE_MAX);
    }
    free(copy);
    for (size_t cut = 0; cut < text.size; cut++) {
        copy = malloc(cut ? cut : 1); /* of its exact size */
        assert_non_null(copy);
        memcpy(copy, text.data, cut);
        buffer_reset(&out, SIZE_MAX);
        assert_int_equal(transcribe(slice_make(copy, cut), &limits, &out), 0);
        if (text.data[0] == '{') /* a cut object is never acted upon */
            assert_true(slice_starts_with(buffer_slice(&out), SLICE_LITERAL("bad_json: ")));
        free(copy);
    }
    buffer_deinit(&out);
}

static void test_mutations(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(good); i++)
        assert_survives(slice_from(good[i].text));
}

/** Decodes without telling; 0 or -ENOMEM. */
static int drain(struct slice text)
{
    struct proto_event error;
    struct proto_decoder d;
    struct proto_op op;
    int result;

    proto_codec_json.decoder_init(&d, &limits, text);
    do
        result = proto_codec_json.decoder_next(&d, &op, &error);
    while (result == 0 || result == PROTO_E_BAD);
    proto_codec_json.decoder_deinit(&d);
    return result == PROTO_END ? 0 : result;
}

static void test_failing_allocations(void **state)
{
    size_t refused = 0;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(good) + BASE_ARRAY_SIZE(bad); i++) {
        const struct row *row = i < BASE_ARRAY_SIZE(good) ? &good[i] : &bad[i - BASE_ARRAY_SIZE(good)];

        for (size_t n = 0;; n++) {
            int result;

            alloc_fail_after(n);
            result = drain(slice_from(row->text));
            if (!alloc_fail_disarm()) {
                assert_int_equal(result, 0);
                break;
            }
            assert_int_equal(result, -ENOMEM);
            refused++;
        }
    }
    assert_true(refused > BASE_ARRAY_SIZE(bad)); /* each error's sentence needs memory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_data_is_borrowed),
        cmocka_unit_test(test_mutations), cmocka_unit_test(test_failing_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
