/*
 * Keys and their acceptance; the pair of RFC 6455 section 1.3.
 */
#include "base/base64.h"
#include "ws/ws.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_accept_of_the_rfc(void **state)
{
    char accept[WS_ACCEPT_TEXT_SIZE + 1];

    (void)state;
    ws_accept_value(SLICE_LITERAL("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_key_validity(void **state)
{
    static const char *const valid[] = {
        "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA==", "+/+/+/+/+/+/+/+/+/+/+w==", "1234567890123456789012=="};
    static const char *const invalid[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQ==A",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBsZSBub25j=Q==",
        "dGhlIHNhbXBsZSBub25 ZQ==",
        "dGhlIHNhbXBsZSBub25-ZQ==",
        "dGhlIHNhbXBsZSBub25_ZQ==",
        "dGhlIHNhbXBsZQ==",
        "dGhlIHNhbXBsZSBub25jZWFiY2Q=",
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(valid); i++)
        assert_true(ws_key_is_valid(slice_from(valid[i])));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(invalid); i++)
        if (ws_key_is_valid(slice_from(invalid[i])))
            fail_msg("<%s> was taken", invalid[i]);
    assert_false(ws_key_is_valid(SLICE_NONE));
}

static void test_generated_keys(void **state)
{
    char key[WS_KEY_TEXT_SIZE + 1], other[WS_KEY_TEXT_SIZE + 1];
    struct buffer decoded = {0};

    (void)state;
    ws_key_generate(key);
    ws_key_generate(other);
    assert_true(ws_key_is_valid(slice_from(key)));
    assert_string_not_equal(key, other);
    assert_true(base64_decode(slice_from(key), &decoded));
    assert_int_equal(decoded.size, 16);
    buffer_deinit(&decoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_of_the_rfc),
        cmocka_unit_test(test_key_validity),
        cmocka_unit_test(test_generated_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
