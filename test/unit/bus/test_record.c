#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "bus/record.h"
#include "support/alloc.h"

static const struct message message = {
    .kind = MESSAGE_KIND_MESSAGE,
    .channel = {"room:\"42\"", 9},
    .id = {"i", 1},
    .time_ms = 1760000000000,
    .content_type = {"application/json", 16},
    .data = {"{\r\n\"a\":\n1.50}", 13},
    .epoch = 7,
    .offset = 3,
};

static void check(const struct message *m, const char *expected)
{
    struct buffer out = {0};

    bus_record_write(m, &out);
    assert_int_equal(buffer_error(&out), 0);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_deinit(&out);
}

static void test_lines(void **state base_unused)
{
    struct message m = message;

    check(&m,
          "{\"channel\":\"room:\\\"42\\\"\",\"id\":\"i\",\"time\":1760000000000,\"content_type\":\"application/json\","
          "\"data\":{  \"a\": 1.50},\"epoch\":\"7\",\"offset\":3}\n");
    m.from = SLICE_LITERAL("u");
    m.content_type = CONTENT_TYPE_TEXT;
    m.data = SLICE_LITERAL("one\ntwo");
    m.epoch = m.offset = 0;
    m.kind = MESSAGE_KIND_SIGNAL;
    m.meta = SLICE_LITERAL("\x81\xa1k\x93\x01\xc3\xc4\x01\xff");
    check(&m, "{\"channel\":\"room:\\\"42\\\"\",\"id\":\"i\",\"time\":1760000000000,\"from\":\"u\",\"content_type\":"
              "\"text/plain\","
              "\"data\":\"one\\ntwo\",\"kind\":\"signal\",\"meta\":{\"k\":[1,true,\"/w==\"]}}\n");
    m = message;
    m.data = SLICE_LITERAL("{");
    check(&m,
          "{\"channel\":\"room:\\\"42\\\"\",\"id\":\"i\",\"time\":1760000000000,\"content_type\":\"application/json\","
          "\"data\":\"ew==\",\"encoding\":\"base64\",\"epoch\":\"7\",\"offset\":3}\n");
}

static void test_unreadable(void **state base_unused)
{
    struct buffer out = {0};

    bus_record_write_unreadable("why", SLICE_NONE, SLICE_LITERAL("\xff"), &out);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, "{\"unreadable\":\"why\",\"data\":\"/w==\",\"encoding\":\"base64\"}\n");
    buffer_deinit(&out);
}

/** Without memory no line looks whole. */
static void test_no_memory(void **state base_unused)
{
    for (size_t n = 0;; n++) {
        struct buffer out = {0};
        bool has_failed;

        alloc_fail_after(n);
        bus_record_write(&message, &out);
        has_failed = alloc_fail_disarm();
        assert_true(!has_failed || buffer_error(&out));
        buffer_deinit(&out);
        if (!has_failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("bus/record", tests, NULL, NULL);
}
