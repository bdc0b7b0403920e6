/** Networks: text, what they contain, and what a client counts as. */
#include "net/network.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct net_address address(const char *text)
{
    struct net_address a;

    assert_null(net_address_parse_ip(slice_from(text), &a));
    return a;
}

static bool contains(const char *network, const char *ip)
{
    struct net_network n;
    struct net_address a = address(ip);

    assert_null(net_network_parse(slice_from(network), &n));
    return net_network_contains(&n, &a);
}

static void test_contains(void **state base_unused)
{
    const struct net_network none = {0};
    const struct net_address any = address("0.0.0.0");

    assert_true(contains("10.0.0.0/8", "10.255.0.1"));
    assert_false(contains("10.0.0.0/8", "11.0.0.1"));
    assert_true(contains("192.168.4.0/22", "192.168.7.255"));
    assert_false(contains("192.168.4.0/22", "192.168.8.0"));
    assert_true(contains("1.2.3.4", "1.2.3.4"));
    assert_false(contains("1.2.3.4", "1.2.3.5"));
    assert_true(contains("0.0.0.0/0", "255.255.255.255"));
    assert_false(contains("0.0.0.0/0", "::1"));
    assert_true(contains("::/0", "2001:db8::1"));
    assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(contains("10.0.0.0/8", "::ffff:10.1.2.3")); /* as a socket bound to [::] reports it */
    assert_true(contains("[::1]", "::1"));
    assert_false(net_network_contains(&none, &any));
}

static void test_refused(void **state base_unused)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/-1",
                                        "10.0.0.1/8",
                                        "10.0.0/8",
                                        "::/129",
                                        "2001:db8::1/64",
                                        "/8",
                                        "10.0.0.0/8/8",
                                        "10.0.0.0/08",
                                        "10.0.0.0:80",
                                        "[::1",
                                        "10.0.0.0 /8"};
    struct net_network n = {.bits = 77};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(wrong); i++) {
        if (!net_network_parse(slice_from(wrong[i]), &n))
            fail_msg("%s was taken", wrong[i]);
        assert_int_equal(n.bits, 77);
    }
}

static uint64_t key(const char *ip)
{
    struct net_address a = address(ip);

    return net_network_client_key(&a);
}

static void test_client_key(void **state base_unused)
{
    assert_true(key("1.2.3.4") == key("::ffff:1.2.3.4"));
    assert_true(key("1.2.3.4") != key("1.2.3.5"));
    assert_true(key("2001:db8:0:1::1") == key("2001:db8:0:1:ffff::9"));
    assert_true(key("2001:db8:0:1::1") != key("2001:db8:0:2::1"));
    assert_true(key("0.0.0.0") != key("::"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_client_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
