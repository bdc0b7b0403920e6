/*
 * The json dialect outwards, byte for byte, and the small things that all dialects share.
 */
#include "proto/proto.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S(text) SLICE_LITERAL(text)

static void assert_encoded(const struct proto_event *event, const char *expected)
{
    struct buffer out = {0};

    proto_codec_json.encode(event, &out);
    assert_int_equal(buffer_error(&out), 0);
    assert_string_equal(out.data, expected);
    assert_int_equal(json_validate(buffer_slice(&out), JSON_DEPTH_MAX, NULL, NULL), JSON_OK);
    buffer_deinit(&out);
}

static void assert_message(const struct message *message, const char *expected)
{
    struct proto_event event = {.kind = PROTO_EVENT_MESSAGE, .message = message};

    assert_encoded(&event, expected);
}

static void test_welcome(void **state)
{
    const struct proto_channel_state channels[] = {
        {S("room:42"), {1760000000000, 21}, true},
        {S("user:7"), {UINT64_MAX, 0}, false},
        {S("all"), {0, 0}, false},
    };
    struct proto_event event = {.kind = PROTO_EVENT_WELCOME};

    (void)state;
    event.welcome.session = S("01J");
    event.welcome.user = S("7");
    event.welcome.node = S("10.0.0.5:8091");
    event.welcome.heartbeat_s = 25;
    assert_encoded(&event, "{\"event\":\"welcome\",\"session\":\"01J\",\"user\":\"7\",\"node\":\"10.0.0.5:8091\","
                           "\"heartbeat_s\":25,\"channels\":[]}");
    event.welcome.channels = channels;
    event.welcome.channel_count = 3;
    assert_encoded(&event,
                   "{\"event\":\"welcome\",\"session\":\"01J\",\"user\":\"7\",\"node\":\"10.0.0.5:8091\","
                   "\"heartbeat_s\":25,\"channels\":["
                   "{\"channel\":\"room:42\",\"epoch\":\"1760000000000\",\"offset\":21,\"recovered\":true},"
                   "{\"channel\":\"user:7\",\"epoch\":\"18446744073709551615\",\"offset\":0,\"recovered\":false},"
                   "{\"channel\":\"all\",\"recovered\":false}]}");
}

static struct message plain_message(void)
{
    return (struct message){
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = S("room:42"),
        .id = S("01JX"),
        .time_ms = 1760000000000,
        .from = S("7"),
        .content_type = CONTENT_TYPE_JSON,
        .data = S("{ \"b\":1.50,\"a\":\"\\u00e9\\/\",\"b\":1e400 }"),
        .epoch = 5,
        .offset = 22,
    };
}

static void test_message(void **state)
{
    struct message m = plain_message();

    (void)state;
    assert_message(&m, "{\"event\":\"message\",\"channel\":\"room:42\",\"epoch\":\"5\",\"offset\":22,\"id\":\"01JX\","
                       "\"from\":\"7\",\"time\":1760000000000,\"data\":"
                       "{ \"b\":1.50,\"a\":\"\\u00e9\\/\",\"b\":1e400 }}");
    m.epoch = 0;
    m.from = SLICE_NONE;
    m.data = S("null");
    assert_message(&m, "{\"event\":\"message\",\"channel\":\"room:42\",\"id\":\"01JX\",\"time\":1760000000000,"
                       "\"data\":null}");
    m.channel = S("room:\"\xff\"");
    assert_message(&m, "{\"event\":\"message\",\"channel\":\"room:\\\"\xef\xbf\xbd\\\"\",\"id\":\"01JX\","
                       "\"time\":1760000000000,\"data\":null}");
}

static void test_data(void **state)
{
#define HEAD "{\"event\":\"message\",\"channel\":\"room:42\",\"id\":\"01JX\",\"time\":1760000000000,\"data\":"
    static const struct {
        struct slice type, data;
        const char *expected;
    } rows[] = {
        {S("application/json"), S("\"x\""), HEAD "\"x\"}"},
        {S("Application/JSON; charset=utf-8"), S("[1 ]"), HEAD "[1 ]}"},
        {S("application/json"), S(""), HEAD "null}"},
        {S("text/plain"), S("a\"b\n\xc3\xa9"), HEAD "\"a\\\"b\\n\xc3\xa9\"}"},
        {S("text/plain;charset=utf-8"), S(""), HEAD "\"\"}"},
        {S("text/plain"), S("\xff"), HEAD "\"/w==\",\"encoding\":\"base64\",\"content_type\":\"text/plain\"}"},
        {S("application/octet-stream"), S("\0\1\2\3"), HEAD "\"AAECAw==\",\"encoding\":\"base64\"}"},
        {S("application/octet-stream"), S(""), HEAD "\"\",\"encoding\":\"base64\"}"},
        {SLICE_NONE, S("abc"), HEAD "\"YWJj\",\"encoding\":\"base64\"}"},
        {S(""), S("abc"), HEAD "\"YWJj\",\"encoding\":\"base64\"}"},
        {S("image/png"), S("abc"), HEAD "\"YWJj\",\"encoding\":\"base64\",\"content_type\":\"image/png\"}"},
        {S("x/y+json"), S("{}"), HEAD "\"e30=\",\"encoding\":\"base64\",\"content_type\":\"x/y+json\"}"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct message m = plain_message();

        m.epoch = 0;
        m.from = SLICE_NONE;
        m.content_type = rows[i].type;
        m.data = rows[i].data;
        assert_message(&m, rows[i].expected);
    }
}

/** The event that a node tells itself and the signal that another node sent read the same. */
static void test_online(void **state)
{
    const struct slice joined[] = {S("7"), S("\"x\"")}, left[] = {S("8")};
    struct proto_event event = {.kind = PROTO_EVENT_ONLINE};
    struct message m = plain_message();
    struct buffer data = {0};

    (void)state;
    event.online.room = S("4 2");
    event.online.count = 1500;
    event.online.joined = joined;
    event.online.joined_count = 2;
    event.online.left = left;
    event.online.left_count = 1;
    event.online.more = 447;
#define ONLINE                                                                                                         \
    "{\"event\":\"online\",\"room\":\"4 "                                                                              \
    "2\",\"count\":1500,\"joined\":[\"7\",\"\\\"x\\\"\"],\"left\":[\"8\"],\"more\":447}"
    assert_encoded(&event, ONLINE);

    proto_online_write(&event, &data);
    assert_string_equal(data.data, "{\"count\":1500,\"joined\":[\"7\",\"\\\"x\\\"\"],\"left\":[\"8\"],\"more\":447}");
    m.kind = MESSAGE_KIND_SIGNAL;
    m.channel = S("room:4 2");
    m.content_type = PROTO_CONTENT_TYPE_ONLINE;
    m.data = buffer_slice(&data);
    assert_message(&m, ONLINE);
    m.data = S(" { } \n");
    assert_message(&m, "{\"event\":\"online\",\"room\":\"4 2\"}");
    buffer_deinit(&data);
}

/** What only looks like the signal is spliced nowhere. */
static void test_online_forged(void **state)
{
    static const char *const data[] = {"", "{", "[]", "\"count\":1", "{}}", "{\"a\":1}{", "{\"count\":\xff}"};
    struct message m = plain_message();
    struct buffer out = {0};

    (void)state;
    m.content_type = PROTO_CONTENT_TYPE_ONLINE;
    m.kind = MESSAGE_KIND_SIGNAL;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(data); i++) {
        struct proto_event event = {.kind = PROTO_EVENT_MESSAGE, .message = &m};

        m.data = slice_from(data[i]);
        buffer_reset(&out, SIZE_MAX);
        proto_codec_json.encode(&event, &out);
        assert_int_equal(json_validate(buffer_slice(&out), JSON_DEPTH_MAX, NULL, NULL), JSON_OK);
        assert_non_null(strstr(out.data, "\"event\":\"message\""));
        assert_non_null(strstr(out.data, "\"encoding\":\"base64\""));
    }
    buffer_deinit(&out);
    m.data = S("{}");
    m.channel = S("user:7");
    m.epoch = 0;
    assert_message(&m, "{\"event\":\"message\",\"channel\":\"user:7\",\"id\":\"01JX\",\"from\":\"7\","
                       "\"time\":1760000000000,\"data\":\"e30=\",\"encoding\":\"base64\","
                       "\"content_type\":\"application/vnd.warren.online+json\"}");
}

static void test_answers(void **state)
{
    const struct slice users[] = {S("a"), S("b")};
    struct proto_event event = {.kind = PROTO_EVENT_OK, .id = S("\"a\\u0062\"")};

    (void)state;
    assert_encoded(&event, "{\"id\":\"a\\u0062\",\"ok\":{}}");
    event = (struct proto_event){.kind = PROTO_EVENT_OK_JOINED, .id = S("1")};
    event.joined = (struct proto_channel_state){S("room:42"), {9, 21}, true};
    assert_encoded(&event,
                   "{\"id\":1,\"ok\":{\"channel\":\"room:42\",\"epoch\":\"9\",\"offset\":21,\"recovered\":true}}");
    event = (struct proto_event){.kind = PROTO_EVENT_OK_SENT, .id = S("2")};
    event.sent.message = S("01JX");
    event.sent.position = (struct proto_position){9, 22};
    assert_encoded(&event, "{\"id\":2,\"ok\":{\"message\":\"01JX\",\"epoch\":\"9\",\"offset\":22}}");
    event.sent.position.epoch = 0;
    assert_encoded(&event, "{\"id\":2,\"ok\":{\"message\":\"01JX\"}}");
    event = (struct proto_event){.kind = PROTO_EVENT_OK_ONLINE, .id = S("3")};
    event.online_page.count = 2;
    assert_encoded(&event, "{\"id\":3,\"ok\":{\"count\":2,\"connections\":0,\"users\":[]}}");
    event.online_page.users = users;
    event.online_page.user_count = 2;
    event.online_page.next = S("b");
    assert_encoded(&event, "{\"id\":3,\"ok\":{\"count\":2,\"connections\":0,\"users\":[\"a\",\"b\"],\"next\":\"b\"}}");
}

static void test_goodbye(void **state)
{
    struct proto_event event = {.kind = PROTO_EVENT_GOODBYE};

    (void)state;
    event.goodbye.code = 4100;
    event.goodbye.reason = S("draining");
    event.goodbye.retry_after_ms = 1830;
    assert_encoded(&event, "{\"event\":\"goodbye\",\"code\":4100,\"reason\":\"draining\",\"retry_after_ms\":1830}");
}

static void test_reset_and_gap(void **state)
{
    struct proto_event event = {.kind = PROTO_EVENT_RESET};

    (void)state;
    event.reset.channel = S("room:42");
    event.reset.position.epoch = 17;
    event.reset.position.offset = 5;
    assert_encoded(&event, "{\"event\":\"reset\",\"channel\":\"room:42\",\"epoch\":\"17\",\"offset\":5}");
    event = (struct proto_event){.kind = PROTO_EVENT_GAP};
    event.gap.channel = S("room:42");
    event.gap.epoch = 17;
    event.gap.from = 3;
    event.gap.to = 9;
    assert_encoded(&event, "{\"event\":\"gap\",\"channel\":\"room:42\",\"epoch\":\"17\",\"from\":3,\"to\":9}");
}

static void test_errors(void **state)
{
    static const struct {
        enum proto_error_code code;
        const char *word;
        unsigned status;
    } rows[] = {
        {PROTO_ERROR_BAD_JSON, "bad_json", 400},
        {PROTO_ERROR_BAD_REQUEST, "bad_request", 400},
        {PROTO_ERROR_UNKNOWN_OP, "unknown_op", 400},
        {PROTO_ERROR_BAD_NAME, "bad_name", 400},
        {PROTO_ERROR_NOT_JOINED, "not_joined", 409},
        {PROTO_ERROR_FORBIDDEN, "forbidden", 403},
        {PROTO_ERROR_UNAUTHORIZED, "unauthorized", 401},
        {PROTO_ERROR_RATE_LIMITED, "rate_limited", 429},
        {PROTO_ERROR_TOO_LARGE, "too_large", 413},
        {PROTO_ERROR_MUTED, "muted", 403},
        {PROTO_ERROR_BANNED, "banned", 403},
        {PROTO_ERROR_QUOTA, "quota", 403},
        {PROTO_ERROR_UNAVAILABLE, "unavailable", 503},
        {PROTO_ERROR_BUSY, "busy", 503},
        {PROTO_ERROR_INTERNAL, "internal", 500},
    };
    struct proto_event event = {.kind = PROTO_EVENT_ERROR, .id = S("2")};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct buffer expected = {0};

        assert_string_equal(proto_error_word(rows[i].code), rows[i].word);
        assert_int_equal(proto_error_http_status(rows[i].code), rows[i].status);
        event.error.code = rows[i].code;
        event.error.message = S("x \"y\"");
        event.error.retry_after_ms = 500;
        event.id = S("2");
        buffer_printf(&expected,
                      "{\"id\":2,\"error\":{\"code\":\"%s\",\"message\":\"x \\\"y\\\"\",\"retry_after_ms\":500}}",
                      rows[i].word);
        assert_encoded(&event, expected.data);
        event.id = SLICE_NONE;
        event.error.retry_after_ms = 0;
        buffer_reset(&expected, 0);
        buffer_printf(&expected, "{\"error\":{\"code\":\"%s\",\"message\":\"x \\\"y\\\"\"}}", rows[i].word);
        assert_encoded(&event, expected.data);
        buffer_deinit(&expected);
    }
}

static void test_full_buffer(void **state)
{
    struct message m = plain_message();
    struct proto_event event = {.kind = PROTO_EVENT_MESSAGE, .message = &m};

    (void)state;
    for (size_t limit = 1; limit < 100; limit++) {
        struct buffer out = BUFFER_WITH_LIMIT(limit);

        proto_codec_json.encode(&event, &out);
        assert_int_equal(buffer_error(&out), -EMSGSIZE);
        buffer_deinit(&out);
    }
}

static void test_find(void **state)
{
    (void)state;
    assert_ptr_equal(proto_codec_find(S("warren.json.v1")), &proto_codec_json);
    assert_null(proto_codec_find(S("warren.json.v2")));
    assert_null(proto_codec_find(S("Warren.json.v1")));
    assert_null(proto_codec_find(S("")));
    assert_null(proto_codec_find(SLICE_NONE));
    assert_true(proto_codec_json.is_text);
}

static void test_position(void **state)
{
    static const char *const none[] = {"",     ":",    "1",    "1:",   ":1",   "1:2:3", " 1:2",
                                       "1: 2", "+1:2", "01:2", "1:02", "1:-2", "x:2",   "1:18446744073709551616"};
    struct proto_position p = {3, 4};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(none); i++)
        assert_false(proto_position_parse(slice_from(none[i]), &p));
    assert_false(proto_position_parse(SLICE_NONE, &p));
    assert_true(p.epoch == 3 && p.offset == 4);
    assert_true(proto_position_parse(S("18446744073709551615:0"), &p));
    assert_true(p.epoch == UINT64_MAX && p.offset == 0);
    assert_true(proto_position_parse(S("0:17"), &p));
    assert_true(p.epoch == 0 && p.offset == 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_welcome),     cmocka_unit_test(test_message),       cmocka_unit_test(test_data),
        cmocka_unit_test(test_online),      cmocka_unit_test(test_online_forged), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_goodbye),     cmocka_unit_test(test_reset_and_gap), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_full_buffer), cmocka_unit_test(test_find),          cmocka_unit_test(test_position),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
