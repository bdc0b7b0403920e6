/** PROXY headers: written here byte by byte by the specification, read by the parser whole and in every cut. */
#include "net/proxy.h"

#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HEADER(text) (text), sizeof(text) - 1

static const char tcp4[] = SIGNATURE "\x21\x11\x00\x0c"
                                     "\xc0\x00\x02\x01"
                                     "\x0a\x00\x00\x09"
                                     "\xd4\x31"
                                     "\x01\xbb";

static int parse(const void *data, size_t size, struct net_proxy_header *h)
{
    const char *sentence = NULL;
    size_t wanted = 0;
    char *exact = malloc(size ? size : 1); /* for the sanitizer's eyes */
    int result;

    assert_non_null(exact);
    memcpy(exact, data, size);
    result = net_proxy_parse(exact, size, &wanted, h, &sentence);
    assert_true((result == NET_PROXY_E_BAD) == (sentence != NULL));
    if (result == NET_PROXY_MORE)
        assert_true(wanted > size && wanted <= NET_PROXY_MAX_BYTES);
    free(exact);
    return result;
}

static void assert_bad(const void *data, size_t size, const char *words)
{
    struct net_proxy_header h;
    const char *sentence = "";
    size_t wanted;

    assert_int_equal(net_proxy_parse(data, size, &wanted, &h, &sentence), NET_PROXY_E_BAD);
    if (!strstr(sentence, words))
        fail_msg("\"%s\" does not say \"%s\"", sentence, words);
}

/** All shorter pieces ask for more, and never for more than is the header's. */
static void assert_cuts(const char *data, size_t size)
{
    struct net_proxy_header h;
    const char *sentence;
    size_t wanted;

    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(net_proxy_parse(data, cut, &wanted, &h, &sentence), NET_PROXY_MORE);
        assert_int_equal(wanted, cut < NET_PROXY_MIN_BYTES ? NET_PROXY_MIN_BYTES : size);
    }
}

static void test_addresses(void **state base_unused)
{
    static const char tcp6[] = SIGNATURE "\x21\x21\x00\x24"
                                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
                                         "\x30\x39\x01\xbb";
    struct net_proxy_header h;
    char text[NET_ADDRESS_TEXT_SIZE];

    assert_int_equal(parse(HEADER(tcp4), &h), 0);
    assert_int_equal(h.size, sizeof(tcp4) - 1);
    assert_false(h.is_local);
    assert_string_equal(net_address_format(&h.source, true, text), "192.0.2.1:54321");
    assert_string_equal(net_address_format(&h.destination, true, text), "10.0.0.9:443");
    assert_cuts(HEADER(tcp4));
    assert_int_equal(parse(HEADER(tcp6), &h), 0);
    assert_string_equal(net_address_format(&h.source, true, text), "[2001:db8::1]:12345");
    assert_string_equal(net_address_format(&h.destination, true, text), "[2001:db8::2]:443");
    assert_cuts(HEADER(tcp6));
}

static void test_what_follows_is_left(void **state base_unused)
{
    char both[sizeof(tcp4) + 4];
    struct net_proxy_header h;

    memcpy(both, tcp4, sizeof(tcp4) - 1);
    memcpy(both + sizeof(tcp4) - 1, "GET /", 5);
    assert_int_equal(parse(both, sizeof(both), &h), 0);
    assert_int_equal(h.size, sizeof(tcp4) - 1);
}

static void test_local(void **state base_unused)
{
    struct net_proxy_header h;

    assert_int_equal(parse(HEADER(SIGNATURE "\x20\x00\x00\x00"), &h), 0);
    assert_true(h.is_local);
    /* whatever a LOCAL header says about addresses is not looked at */
    assert_int_equal(parse(HEADER(SIGNATURE "\x20\x11\x00\x03zzz"), &h), 0);
    assert_true(h.is_local);
    assert_int_equal(h.size, 19);
    assert_int_equal(parse(HEADER(SIGNATURE "\x21\x00\x00\x02zz"), &h), 0);
    assert_true(h.is_local);
}

static void test_fields(void **state base_unused)
{
    static const char fields[] = SIGNATURE "\x21\x11\x00\x19"
                                           "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
                                           "\x02\x00\x03"
                                           "abc"
                                           "\x04\x00\x00"
                                           "\xee\x00\x01z";
    struct net_proxy_header h;

    assert_int_equal(parse(HEADER(fields), &h), 0);
    assert_int_equal(h.size, 16 + 0x19);
    assert_cuts(HEADER(fields));
    assert_bad(HEADER(SIGNATURE "\x21\x11\x00\x0e"
                                "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
                                "\x04\x00"),
               "cut off");
    assert_bad(HEADER(SIGNATURE "\x21\x11\x00\x10"
                                "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
                                "\x04\x00\x02z"),
               "longer");
}

/** The CRC-32C of this header was computed by other code, whose check value for "123456789" is e3069283. */
static void test_checksum(void **state base_unused)
{
    char header[] = SIGNATURE "\x21\x11\x00\x13"
                              "\xc0\x00\x02\x01\x0a\x00\x00\x09\xd4\x31\x01\xbb"
                              "\x03\x00\x04\0\0\0\0";
    const size_t size = sizeof(header) - 1;
    struct net_proxy_header h;

    assert_bad(header, size, "checksum");
    memcpy(header + size - 4, "\xfd\x01\xb6\x1c", 4);
    assert_int_equal(parse(header, size, &h), 0);
    for (size_t i = NET_PROXY_MIN_BYTES; i < size; i++) {
        header[i] = (char)(header[i] ^ 0x10);
        if (i < 28 || i >= size - 4)
            assert_bad(header, size, "checksum");
        header[i] = (char)(header[i] ^ 0x10);
    }
    assert_bad(HEADER(SIGNATURE "\x21\x11\x00\x11"
                                "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
                                "\x03\x00\x02zz"),
               "4 bytes");
}

static void test_refused(void **state base_unused)
{
    assert_bad(HEADER("G"), "must come first");
    assert_bad(HEADER("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "must come first");
    assert_bad(HEADER("\r\n\r\n\0\r\nQUIX"), "must come first");
    assert_bad(HEADER(SIGNATURE "\x11"), "version");
    assert_bad(HEADER(SIGNATURE "\x31"), "version");
    assert_bad(HEADER(SIGNATURE "\x22"), "command");
    assert_bad(HEADER(SIGNATURE "\x21\x12"), "TCP");
    assert_bad(HEADER(SIGNATURE "\x21\x31"), "TCP");
    assert_bad(HEADER(SIGNATURE "\x21\x10"), "TCP");
    assert_bad(HEADER(SIGNATURE "\x21\x11\xff\xff"), "too long");
    assert_bad(HEADER(SIGNATURE "\x20\x00\x07\xf1"), "too long");
    assert_bad(HEADER(SIGNATURE "\x21\x11\x00\x0b"
                                "12345678901"),
               "too short");
    assert_bad(HEADER(SIGNATURE "\x21\x21\x00\x0c"
                                "123456789012"),
               "too short");
}

static void test_random(void **state base_unused)
{
    struct net_proxy_header h;
    struct prng random = {1};
    char bytes[64];

    for (unsigned round = 0; round < 20000; round++) {
        size_t size = prng_below(&random, sizeof(bytes) + 1);

        memcpy(bytes, tcp4, sizeof(tcp4) - 1);
        for (size_t i = sizeof(tcp4) - 1; i < sizeof(bytes); i++)
            bytes[i] = (char)prng_below(&random, 256);
        bytes[15] = (char)prng_below(&random, 64);
        bytes[prng_below(&random, sizeof(bytes))] ^= (char)prng_below(&random, 256);
        if (parse(bytes, size, &h) == 0)
            assert_true(h.size <= size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_what_follows_is_left),
        cmocka_unit_test(test_local),     cmocka_unit_test(test_fields),
        cmocka_unit_test(test_checksum),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
