#include "base/hash.h"
#include "support/prng.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/** OpenSSL's SipHash with the rounds asked for: an implementation that is not ours. */
static uint64_t oracle(unsigned c, unsigned d, const unsigned char key[16], const void *data, size_t size)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    unsigned char out[8];
    size_t out_size = sizeof(out);
    unsigned width = sizeof(out);
    OSSL_PARAM params[] = {
        OSSL_PARAM_uint(OSSL_MAC_PARAM_SIZE, &width),
        OSSL_PARAM_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
        OSSL_PARAM_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
        OSSL_PARAM_END,
    };
    uint64_t value = 0;

    assert_int_equal(EVP_MAC_init(context, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(context, data, size), 1);
    assert_int_equal(EVP_MAC_final(context, out, &out_size, sizeof(out)), 1);
    assert_int_equal(out_size, sizeof(out));
    for (size_t i = sizeof(out); i-- > 0;)
        value = value << 8 | out[i];
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    return value;
}

static uint64_t word(const unsigned char *p)
{
    uint64_t value = 0;

    for (size_t i = 8; i-- > 0;)
        value = value << 8 | p[i];
    return value;
}

/** The paper's example (appendix A) is for SipHash-2-4: it shows that the oracle is SipHash. */
static void test_oracle(base_unused void **state)
{
    unsigned char bytes[16];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    assert_true(oracle(2, 4, bytes, bytes, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void test_vectors(base_unused void **state)
{
    /* SipHash-1-3, key 00 01 … 0f, input 00 01 … of the row's number of bytes */
    static const uint64_t expected[] = {
        UINT64_C(0xabac0158050fc4dc), UINT64_C(0xc9f49bf37d57ca93), UINT64_C(0x82cb9b024dc7d44d),
        UINT64_C(0x8bf80ab8e7ddf7fb), UINT64_C(0xcf75576088d38328), UINT64_C(0xdef9d52f49533b67),
        UINT64_C(0xc50d2b50c59f22a7), UINT64_C(0xd3927d989bb11140), UINT64_C(0x369095118d299a8e),
        UINT64_C(0x25a48eb36c063de4), UINT64_C(0x79de85ee92ff097f), UINT64_C(0x70c118c1f94dc352),
        UINT64_C(0x78a384b157b4d9a2), UINT64_C(0x306f760c1229ffa7), UINT64_C(0x605aa111c0f95d34),
        UINT64_C(0xd320d86d2a519956), UINT64_C(0xcc4fdd1a7d908b66),
    };
    unsigned char bytes[64];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(expected); i++)
        assert_true(hash_bytes_keyed(word(bytes), word(bytes + 8), bytes, i) == expected[i]);
}

static void test_random_inputs(base_unused void **state)
{
    struct prng random = {4};
    unsigned char data[300 + 8], key[16];

    for (size_t size = 0; size < 300; size++) {
        size_t shift = prng_below(&random, 8); /* unaligned too */

        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (unsigned char)prng_next(&random);
        for (size_t i = 0; i < sizeof(key); i++)
            key[i] = (unsigned char)prng_next(&random);
        assert_true(hash_bytes_keyed(word(key), word(key + 8), data + shift, size) ==
                    oracle(1, 3, key, data + shift, size));
    }
}

static void *hash_in_thread(void *argument)
{
    uint64_t *value = argument;

    *value = hash_bytes("warren", 6);
    return NULL;
}

/** One key for all threads of the process, and not a fixed one. */
static void test_process_key(base_unused void **state)
{
    uint64_t values[4];
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, &values[i]), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_true(values[i] == hash_bytes("warren", 6));
    assert_true(hash_bytes("warren", 6) != hash_bytes_keyed(0, 0, "warren", 6));
    assert_true(hash_bytes(NULL, 0) == hash_bytes("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_random_inputs),
        cmocka_unit_test(test_process_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
