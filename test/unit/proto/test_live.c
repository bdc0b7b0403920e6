/*
 * The live dialect both ways: what old clients send becomes operations, events become the objects they know.
 */
#include "proto/proto.h"

#include "support/alloc.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct proto_limits limits = {.data_bytes = 100, .depth = 8, .ops_per_frame = 4};

static void tell(struct buffer *out, const char *name, struct slice value)
{
    if (slice_is_set(value))
        buffer_printf(out, " %s=%.*s", name, SLICE_PRINTF(value));
}

/** The map's texts, one after the other; they are short ones here. */
static void tell_meta(struct buffer *out, struct slice meta)
{
    const uint8_t *at = (const uint8_t *)meta.data, *end = at + meta.size;

    if (!slice_is_set(meta))
        return;
    assert_int_equal(*at & 0xf0, 0x80); /* fixmap */
    buffer_printf(out, " meta=%d", *at++ & 15);
    while (at < end) {
        size_t size;

        if ((*at & 0xe0) == 0xa0) { /* fixstr */
            size = *at++ & 31;
        } else {
            assert_int_equal(*at, 0xd9); /* str 8 */
            size = at[1];
            at += 2;
        }
        assert_true(size <= (size_t)(end - at));
        buffer_printf(out, "/%.*s", (int)size, (const char *)at);
        at += size;
    }
}

static int transcribe(struct slice text, struct buffer *out)
{
    struct proto_decoder d;
    struct proto_event error;
    struct proto_op op;
    int result;

    proto_codec_live.decoder_init(&d, &limits, text);
    while ((result = proto_codec_live.decoder_next(&d, &op, &error)) == 0 || result == PROTO_E_BAD) {
        if (result == PROTO_E_BAD) {
            buffer_printf(out, "%s: %.*s\n", proto_error_word(error.error.code), SLICE_PRINTF(error.error.message));
            continue;
        }
        assert_false(slice_is_set(op.room) || slice_is_set(op.id));
        buffer_append_text(out, op.kind == PROTO_OP_SEND ? "text" : op.kind == PROTO_OP_LIKE ? "like" : "heartbeat");
        tell(out, "data", op.data);
        tell_meta(out, op.meta);
        assert_true(op.kind != PROTO_OP_LIKE || op.likes == 1);
        assert_true((op.kind == PROTO_OP_SEND) == (op.text != NULL));
        tell(out, "record", op.record);
        buffer_append_char(out, '\n');
    }
    proto_codec_live.decoder_deinit(&d);
    return result == PROTO_END ? 0 : result;
}

static void expect_ops(const char *text, const char *expected)
{
    struct buffer out = {0};

    assert_int_equal(transcribe(slice_from(text), &out), 0);
    assert_string_equal(out.size ? out.data : "", expected);
    buffer_deinit(&out);
}

static void test_operations(void **state base_unused)
{
    expect_ops("{\"messageType\":4,\"message\":\"hi\",\"company_id\":\"c\",\"openid\":\"o\",\"unionid\":\"u\","
               "\"avatar\":\"a.png\"}",
               "text data={\"message\":\"hi\",\"avatar\":\"a.png\"} meta=3/company_id/c/openid/o/unionid/u record="
               "{\"messageType\":4,\"message\":\"hi\",\"company_id\":\"c\",\"openid\":\"o\",\"unionid\":\"u\","
               "\"avatar\":\"a.png\"}\n");
    expect_ops(" {\"messageType\":\"4\",\"message\":\"h\\u0069\"} ",
               "text data={\"message\":\"h\\u0069\",\"avatar\":\"\"} "
               "record={\"messageType\":\"4\",\"message\":\"h\\u0069\"}\n");
    expect_ops("{\"messageType\":6,\"openid\":17}", "like record={\"messageType\":6,\"openid\":17}\n");
    expect_ops("{\"messageType\":7,\"message\":null}", "heartbeat record={\"messageType\":7,\"message\":null}\n");
    expect_ops("{\"messageType\":4,\"message\":\"x\",\"company_id\":17,\"openid\":\"\\u00e9\"}",
               "text data={\"message\":\"x\",\"avatar\":\"\"} meta=2/company_id/17/openid/\xc3\xa9 record="
               "{\"messageType\":4,\"message\":\"x\",\"company_id\":17,\"openid\":\"\\u00e9\"}\n");
}

static void test_all_of_a_batch(void **state base_unused)
{
    expect_ops("[{\"messageType\":6},{\"messageType\":8},{\"messageType\":4,\"message\":\"a\"},7]",
               "like record={\"messageType\":6}\n"
               "unknown_op: messageType: expected 4 (text), 6 (like) or 7 (heartbeat)\n"
               "text data={\"message\":\"a\",\"avatar\":\"\"} record={\"messageType\":4,\"message\":\"a\"}\n"
               "bad_request: expected an object at byte 69\n");
    expect_ops("[{\"messageType\":6},{\"messageType\":6},{\"messageType\":6},{\"messageType\":6},{\"messageType\":6}]",
               "like record={\"messageType\":6}\nlike record={\"messageType\":6}\nlike record={\"messageType\":6}\n"
               "like record={\"messageType\":6}\nbad_request: expected at most 4 operations in a frame\n");
    expect_ops("[]", "");
}

static void test_refusals(void **state base_unused)
{
    expect_ops("{\"messageType\":4}", "bad_request: message: expected a string\n");
    expect_ops("{\"messageType\":4,\"message\":5}", "bad_request: message: expected a string\n");
    expect_ops("{\"messageType\":4,\"message\":\"\u3000\\u200b\\u00A0\ufeff \u3164\"}",
               "bad_request: message: expected a text that is not empty\n");
    expect_ops("{\"messageType\":4,\"message\":\"\"}", "bad_request: message: expected a text that is not empty\n");
    expect_ops("{\"messageType\":4,\"message\":\" \\n\\u0020\"}",
               "bad_request: message: expected a text that is not empty\n");
    expect_ops("{\"message\":\"x\"}", "unknown_op: messageType: expected 4 (text), 6 (like) or 7 (heartbeat)\n");
    expect_ops("{\"messageType\":4.5}", "unknown_op: messageType: expected 4 (text), 6 (like) or 7 (heartbeat)\n");
    expect_ops("{\"messageType\":6,\"openid\":[1]}",
               "bad_request: openid: expected a string or a number of at most 256 bytes\n");
    expect_ops("{\"messageType\":4,\"message\":\"x\",\"avatar\":7}", "bad_request: avatar: expected a string\n");
    expect_ops("{\"messageType\":4,\"message\":\"0123456789012345678901234567890123456789012345678901234567890123456789"
               "01234567890123456789012345678\"}",
               "too_large: message: is larger than a message may be\n");
    expect_ops("{\"messageType\":4,", "bad_json: expected a name at byte 17\n");
}

static void test_without_memory(void **state base_unused)
{
    struct slice text = SLICE_LITERAL("[{\"messageType\":4,\"message\":\"a\",\"openid\":\"o\"},{\"messageType\":9}]");

    for (size_t n = 0;; n++) {
        struct buffer out = {0};
        int result;

        buffer_reserve(&out, 4096);
        alloc_fail_after(n);
        result = transcribe(text, &out);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            buffer_deinit(&out);
            break;
        }
        assert_int_equal(result, -ENOMEM);
        buffer_deinit(&out);
    }
}

/* ---- out ---- */

/** @expected: objects one behind the other, each on a line. */
static void expect_event(const struct proto_event *event, const char *expected)
{
    struct buffer out = {0};

    proto_codec_live.encode(event, &out);
    for (size_t i = 0; i < out.size; i++)
        if (out.data[i] == '\0')
            out.data[i] = '\n';
    assert_string_equal(out.size ? out.data : "", expected);
    buffer_deinit(&out);
}

static void expect_message(enum message_kind kind, struct slice type, const char *data, const char *expected)
{
    const struct message m = {
        .kind = kind,
        .channel = SLICE_LITERAL("room:1"),
        .id = SLICE_LITERAL("i"),
        .from = SLICE_LITERAL("bob"),
        .content_type = type,
        .data = slice_from(data),
    };

    expect_event(&(struct proto_event){.kind = PROTO_EVENT_MESSAGE, .message = &m}, expected);
}

static void test_messages(void **state base_unused)
{
    static const char plain[] = "{\"messageType\":4,\"textMessage\":\"hi\",\"avatar\":\"\",\"fromusername\":\"bob\"}";

    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_JSON, "{\"message\":\"h\\u0069\",\"avatar\":\"a.png\"}",
                   "{\"messageType\":4,\"textMessage\":\"h\\u0069\",\"avatar\":\"a.png\",\"fromusername\":\"bob\"}");
    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_JSON, "{\"text\":\"hi\",\"n\":1}", plain);
    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_JSON, " \"hi\" ", plain);
    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_TEXT, "hi", plain);
    expect_message(
        MESSAGE_KIND_MESSAGE, CONTENT_TYPE_JSON, "{\"order\":\"17\"}",
        "{\"messageType\":4,\"textMessage\":\"{\\\"order\\\":\\\"17\\\"}\",\"avatar\":\"\",\"fromusername\":\"bob\"}");
    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_JSON, "[1]",
                   "{\"messageType\":4,\"textMessage\":\"[1]\",\"avatar\":\"\",\"fromusername\":\"bob\"}");
    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_OCTETS, "\x01\x02", "");
    expect_message(MESSAGE_KIND_MESSAGE, CONTENT_TYPE_TEXT, "\xff", "");
}

static void test_signals(void **state base_unused)
{
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_ONLINE,
                   "{\"count\":17,\"joined\":[\"a\",\"b\\\"\"],\"left\":[\"c\"],\"more\":3}",
                   "{\"messageType\":1,\"username\":\"a\"}\n{\"messageType\":1,\"username\":\"b\\\"\"}\n"
                   "{\"messageType\":2,\"username\":\"c\"}\n{\"messageType\":5,\"onlineNumber\":17}");
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_ONLINE, "{\"count\":0}",
                   "{\"messageType\":5,\"onlineNumber\":0}");
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_ONLINE, "{\"count\":\"x\"}", "");
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_ONLINE, "[", "");
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_LIKES, "{\"total\":99}",
                   "{\"messageType\":6,\"zanNumber\":99}");
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_LIKES, "{\"total\":-1}", "");
    expect_message(MESSAGE_KIND_SIGNAL, CONTENT_TYPE_JSON, "{\"total\":1}", "");
}

static void test_names_are_bounded(void **state base_unused)
{
    struct buffer data = {0}, expected = {0};

    buffer_append_text(&data, "{\"count\":99,\"joined\":[\"x\"");
    for (int i = 1; i < 30; i++)
        buffer_append_text(&data, ",\"x\"");
    buffer_append_text(&data, "],\"left\":[\"y\"]}");
    for (int i = 0; i < 20; i++)
        buffer_append_text(&expected, "{\"messageType\":1,\"username\":\"x\"}\n");
    buffer_append_text(&expected, "{\"messageType\":5,\"onlineNumber\":99}");
    expect_message(MESSAGE_KIND_SIGNAL, PROTO_CONTENT_TYPE_ONLINE, data.data, expected.data);
    buffer_deinit(&data);
    buffer_deinit(&expected);
}

static void test_answers(void **state base_unused)
{
    const struct proto_channel_state states[] = {
        {.channel = SLICE_LITERAL("user:a")},
        {.channel = SLICE_LITERAL("room:1"), .has_online = true, .online = 2, .has_likes = true, .likes = 7},
    };
    const struct slice users[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b")};
    struct proto_event event = {.kind = PROTO_EVENT_OK_ONLINE,
                                .online_page = {.count = 9, .users = users, .user_count = 2}};

    expect_event(&event, "{\"messageType\":3,\"usernames\":[\"a\",\"b\"]}");
    event = (struct proto_event){.kind = PROTO_EVENT_ERROR,
                                 .error = {.code = PROTO_ERROR_FORBIDDEN, .message = SLICE_LITERAL("no")}};
    expect_event(&event, "{\"messageType\":0,\"error\":{\"code\":\"forbidden\",\"message\":\"no\"}}");
    for (enum proto_event_kind kind = PROTO_EVENT_RESET; kind <= PROTO_EVENT_GOODBYE; kind++)
        expect_event(&(struct proto_event){.kind = kind}, "");
    expect_event(&(struct proto_event){.kind = PROTO_EVENT_OK_SENT}, "");
    event = (struct proto_event){.kind = PROTO_EVENT_WELCOME, .welcome = {.channels = states, .channel_count = 2}};
    expect_event(&event, "{\"messageType\":6,\"zanNumber\":7}\n{\"messageType\":5,\"onlineNumber\":2}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),        cmocka_unit_test(test_all_of_a_batch),
        cmocka_unit_test(test_refusals),          cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_messages),          cmocka_unit_test(test_signals),
        cmocka_unit_test(test_names_are_bounded), cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
