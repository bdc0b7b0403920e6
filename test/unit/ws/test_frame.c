/*
 * Frames out and masking: the examples of RFC 6455 section 5.7, every form of length, every alignment.
 */
#include "support/alloc.h"
#include "ws/ws.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_frame(enum ws_opcode opcode, const char *payload, const uint8_t *key, const char *bytes, size_t size)
{
    struct buffer out = {0};

    ws_frame_append(&out, opcode, slice_from(payload), key);
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, bytes, size);
    buffer_deinit(&out);
}

static void test_examples_of_the_rfc(void **state)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    char header[WS_HEADER_MAX_BYTES];

    (void)state;
    check_frame(WS_OPCODE_TEXT, "Hello", NULL, "\x81\x05Hello", 7);
    check_frame(WS_OPCODE_TEXT, "Hello", key, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    check_frame(WS_OPCODE_PING, "Hello", NULL, "\x89\x05Hello", 7);
    check_frame(WS_OPCODE_PONG, "Hello", key, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    assert_int_equal(ws_header_write(header, WS_OPCODE_TEXT, false, 0, 3, NULL), 2);
    assert_memory_equal(header, "\x01\x03", 2);
    assert_int_equal(ws_header_write(header, WS_OPCODE_CONTINUATION, true, 0, 2, NULL), 2);
    assert_memory_equal(header, "\x80\x02", 2);
    assert_int_equal(ws_header_write(header, WS_OPCODE_BINARY, true, 0, 256, NULL), 4);
    assert_memory_equal(header, "\x82\x7e\x01\x00", 4);
    assert_int_equal(ws_header_write(header, WS_OPCODE_BINARY, true, 0, 65536, NULL), 10);
    assert_memory_equal(header, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void test_lengths_are_minimal(void **state)
{
    static const uint8_t key[4] = {1, 2, 3, 4};
    static const struct {
        uint64_t payload;
        size_t header;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {127, 4}, {65535, 4}, {65536, 10}, {UINT32_MAX, 10}, {INT64_MAX, 10}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char header[WS_HEADER_MAX_BYTES];

        assert_int_equal(ws_header_size(cases[i].payload, false), cases[i].header);
        assert_int_equal(ws_header_size(cases[i].payload, true), cases[i].header + 4);
        assert_int_equal(ws_header_write(header, WS_OPCODE_BINARY, true, 0x40, cases[i].payload, key),
                         cases[i].header + 4);
        assert_int_equal((uint8_t)header[0], 0xc2);
        assert_memory_equal(header + cases[i].header, key, 4);
    }
}

/* Against the definition of section 5.3, for each size, alignment and phase; bytes around it stay. */
static void test_mask(void **state)
{
    static const uint8_t key[4] = {0x9d, 0x01, 0xff, 0x42};
    uint8_t data[160], expected[160];

    (void)state;
    for (size_t size = 0; size <= 100; size++) {
        for (size_t align = 0; align < 16; align++) {
            size_t phase = (size * 5 + align) % 11;

            for (size_t i = 0; i < sizeof(data); i++)
                data[i] = expected[i] = (uint8_t)(i * 37 + size);
            for (size_t i = 0; i < size; i++)
                expected[align + i] ^= key[(phase + i) % 4];
            ws_mask(data + align, size, key, phase);
            assert_memory_equal(data, expected, sizeof(data));
        }
    }
}

static void test_out_of_memory(void **state)
{
    struct buffer out = {0};

    (void)state;
    alloc_fail_after(0);
    ws_frame_append(&out, WS_OPCODE_TEXT, SLICE_LITERAL("Hello"), NULL);
    assert_true(alloc_fail_disarm());
    assert_int_equal(buffer_error(&out), -ENOMEM);
    assert_int_equal(out.size, 0);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_the_rfc),
        cmocka_unit_test(test_lengths_are_minimal),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
