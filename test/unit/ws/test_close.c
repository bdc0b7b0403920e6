/*
 * Close codes and close payloads.
 */
#include "ws/ws.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_codes(void **state)
{
    static const unsigned sendable[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011,
                                        1012, 1013, 1014, 3000, 3999, 4000, 4100, 4505, 4999};
    static const unsigned not_sendable[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(sendable); i++)
        assert_true(ws_close_code_is_sendable(sendable[i]));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(not_sendable); i++)
        assert_false(ws_close_code_is_sendable(not_sendable[i]));
}

static void test_payload(void **state)
{
    char payload[WS_CONTROL_MAX_BYTES], reason[200];

    (void)state;
    assert_int_equal(ws_close_payload(WS_CLOSE_NO_STATUS, SLICE_LITERAL("ignored"), payload), 0);
    assert_int_equal(ws_close_payload(WS_CLOSE_NORMAL, SLICE_NONE, payload), 2);
    assert_memory_equal(payload, "\x03\xe8", 2);
    assert_int_equal(ws_close_payload(4100, SLICE_LITERAL("draining"), payload), 10);
    assert_memory_equal(payload,
                        "\x10\x04"
                        "draining",
                        10);
    memset(reason, 'a', sizeof(reason));
    assert_int_equal(ws_close_payload(1001, slice_make(reason, sizeof(reason)), payload), WS_CONTROL_MAX_BYTES);
    memcpy(reason + WS_REASON_MAX_BYTES - 1, "\xc3\xa9", 2); /* would be cut in half */
    assert_int_equal(ws_close_payload(1001, slice_make(reason, sizeof(reason)), payload), WS_CONTROL_MAX_BYTES - 1);
    assert_int_equal(payload[WS_CONTROL_MAX_BYTES - 2], 'a');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
