#include "base/base64.h"
#include "support/alloc.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_rfc_vectors(base_unused void **state)
{
    /* RFC 4648 section 10 */
    static const struct {
        const char *plain, *encoded;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xfb\xff\xbf", "+/+/"}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct buffer encoded = {0}, plain = {0};

        base64_encode(rows[i].plain, strlen(rows[i].plain), &encoded);
        assert_int_equal(base64_encoded_size(strlen(rows[i].plain)), encoded.size);
        assert_true(slice_equal_text(buffer_slice(&encoded), rows[i].encoded));
        assert_true(base64_decode(slice_from(rows[i].encoded), &plain));
        assert_true(slice_equal_text(buffer_slice(&plain), rows[i].plain));
        buffer_deinit(&encoded);
        buffer_deinit(&plain);
    }
}

static void test_refused(base_unused void **state)
{
    static const char *const refused[] = {
        "Z",    "Zg",   "Zg=",    "Zm8",   "Zg==Zg==", "Z===", "====", "=Zg=", "Zm9v=",   "Zm9v====",
        "Zh==", "Zm9=", "Zm9v\n", "Zm 9v", "Zm-v",     "Zm_v", "Z=g=", "Zg=a", "Zm9\xc3", "Zm9vZ",
    };
    struct buffer out = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(refused); i++)
        assert_false(base64_decode(slice_from(refused[i]), &out));
    assert_false(base64_decode(slice_make("Zm9\0", 4), &out));
    assert_true(base64_decode(SLICE_NONE, &out));
    buffer_deinit(&out);
}

static void test_round_trip(base_unused void **state)
{
    struct prng random = {3};

    for (size_t size = 0; size < 600; size++) {
        struct buffer encoded = {0}, plain = {0};
        char data[600];

        for (size_t i = 0; i < size; i++)
            data[i] = (char)prng_next(&random);
        base64_encode(data, size, &encoded);
        assert_true(base64_decode(buffer_slice(&encoded), &plain));
        assert_true(slice_equal(buffer_slice(&plain), slice_make(data, size)));
        buffer_deinit(&encoded);
        buffer_deinit(&plain);
    }
}

/** Strict means that there is one text for each value: whatever decodes encodes to itself. */
static void test_one_text_per_value(base_unused void **state)
{
    static const char alphabet[] = "AQgwZ+/=9 ";
    size_t accepted = 0;

    for (unsigned n = 0; n < 10000; n++) {
        const char text[4] = {alphabet[n / 1000], alphabet[n / 100 % 10], alphabet[n / 10 % 10], alphabet[n % 10]};
        struct buffer plain = {0}, again = {0};

        if (base64_decode(slice_make(text, 4), &plain)) {
            base64_encode(plain.data, plain.size, &again);
            assert_true(slice_equal(buffer_slice(&again), slice_make(text, 4)));
            accepted++;
        }
        buffer_deinit(&plain);
        buffer_deinit(&again);
    }
    assert_true(accepted >= 8 * 8 * 8 * 8); /* all without padding, and some with */
}

static void test_out_of_memory(base_unused void **state)
{
    struct buffer out = {0};

    alloc_fail_after(0);
    base64_encode("abc", 3, &out);
    assert_true(alloc_fail_disarm());
    assert_int_equal(buffer_error(&out), -ENOMEM);
    buffer_reset(&out, 0);
    alloc_fail_after(0);
    assert_true(base64_decode(SLICE_LITERAL("Zm9v"), &out)); /* it is base64; the buffer tells the rest */
    assert_true(alloc_fail_disarm());
    assert_int_equal(buffer_error(&out), -ENOMEM);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_vectors),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_one_text_per_value),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
