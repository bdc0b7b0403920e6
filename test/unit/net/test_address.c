/** Addresses: text and back, and what is asked of them. */
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_round(const char *text, const char *expected)
{
    struct net_address a;
    char formatted[NET_ADDRESS_TEXT_SIZE];

    assert_null(net_address_parse(slice_from(text), &a));
    assert_string_equal(net_address_format(&a, true, formatted), expected);
}

static void assert_refused(const char *text)
{
    struct net_address a = {.size = 77};

    if (!net_address_parse(slice_from(text), &a))
        fail_msg("%s was taken", text);
    assert_int_equal(a.size, 77);
}

static void test_text(void **state base_unused)
{
    struct net_address a;
    char text[NET_ADDRESS_TEXT_SIZE];

    assert_round("127.0.0.1:80", "127.0.0.1:80");
    assert_round(":8091", "0.0.0.0:8091");
    assert_round("255.255.255.255:65535", "255.255.255.255:65535");
    assert_round("[::1]:1", "[::1]:1");
    assert_round("[2001:DB8:0:0:0:0:0:1]:0", "[2001:db8::1]:0");
    assert_round("[fe80::1%lo]:5", "[fe80::1%1]:5");
    assert_round("[fe80::1%7]:5", "[fe80::1%7]:5");
    assert_round("[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]:5");
    assert_null(net_address_parse(SLICE_LITERAL("[::1]:99"), &a));
    assert_string_equal(net_address_format(&a, false, text), "[::1]");
    assert_int_equal(net_address_port(&a), 99);
    net_address_set_port(&a, 100);
    assert_int_equal(net_address_port(&a), 100);
}

static void test_lone_ip(void **state base_unused)
{
    static const char *const wrong[] = {"",      "1.2.3.4:80", "[::1]:80", "[1.2.3.4]", "::g",
                                        "1.2.3", "[]",         "unknown",  "_x"};
    struct net_address a = {.size = 77};
    char text[NET_ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(wrong); i++) {
        assert_non_null(net_address_parse_ip(slice_from(wrong[i]), &a));
        assert_int_equal(a.size, 77);
    }
    assert_null(net_address_parse_ip(SLICE_LITERAL("1.2.3.4"), &a));
    assert_string_equal(net_address_format(&a, true, text), "1.2.3.4:0");
    assert_null(net_address_parse_ip(SLICE_LITERAL("2001:db8::1"), &a));
    assert_string_equal(net_address_format(&a, true, text), "[2001:db8::1]:0");
    assert_null(net_address_parse_ip(SLICE_LITERAL("[::1]"), &a));
    assert_string_equal(net_address_format(&a, true, text), "[::1]:0");
}

static void test_refused_text(void **state base_unused)
{
    static const char *const wrong[] = {
        "",
        "80",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:080",
        "1.2.3:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[]:80",
        "[::1:80",
        "localhost:80",
        "1.2.3.4 :80",
        "1.2.3.4:-1",
        "[1.2.3.4]:80",
        "1.2.3.4:8 0",
        "[::1%]:80",
        "[::1%nosuchif]:80",
        "[::1]x:80",
        "1.2.3.4.5.6.7.8.9:1",
        "[::1%0]:80",
        "[aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa]:1",
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(wrong); i++)
        assert_refused(wrong[i]);
}

static struct net_address address_of(const char *ip)
{
    struct net_address a;
    char text[NET_ADDRESS_TEXT_SIZE];

    strcpy(text, ip);
    strcat(text, ":1");
    assert_null(net_address_parse(slice_from(text), &a));
    return a;
}

static void test_classes(void **state base_unused)
{
    static const struct {
        const char *ip;
        bool loopback, is_private;
    } rows[] = {
        {"127.0.0.1", true, true},
        {"127.255.0.9", true, true},
        {"128.0.0.1", false, false},
        {"10.1.2.3", false, true},
        {"11.0.0.1", false, false},
        {"172.16.0.1", false, true},
        {"172.31.255.255", false, true},
        {"172.32.0.1", false, false},
        {"172.15.0.1", false, false},
        {"192.168.9.9", false, true},
        {"192.169.0.1", false, false},
        {"169.254.1.1", false, true},
        {"8.8.8.8", false, false},
        {"[::1]", true, true},
        {"[::2]", false, false},
        {"[fd00::1]", false, true},
        {"[fc00::1]", false, true},
        {"[fe00::1]", false, false},
        {"[fe80::1]", false, true},
        {"[2001:db8::1]", false, false},
        {"[::ffff:127.0.0.1]", true, true},
        {"[::ffff:10.0.0.1]", false, true},
        {"[::ffff:8.8.8.8]", false, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct net_address a = address_of(rows[i].ip);

        assert_int_equal(net_address_is_loopback(&a), rows[i].loopback);
        assert_int_equal(net_address_is_private(&a), rows[i].is_private);
    }
}

static void test_resolve(void **state base_unused)
{
    struct net_address a;
    char text[NET_ADDRESS_TEXT_SIZE];

    assert_int_equal(net_address_resolve("localhost", 42, &a), 0);
    assert_true(net_address_is_loopback(&a));
    assert_int_equal(net_address_port(&a), 42);
    assert_int_equal(net_address_resolve("127.0.0.2", 1, &a), 0);
    assert_string_equal(net_address_format(&a, true, text), "127.0.0.2:1");
    assert_int_equal(net_address_resolve("no such name", 1, &a), -EHOSTUNREACH);
    assert_int_equal(net_address_towards("127.0.0.1", 5672, &a), 0);
    assert_string_equal(net_address_format(&a, true, text), "127.0.0.1:0");
    assert_int_equal(net_address_towards("no such name", 1, &a), -EHOSTUNREACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_refused_text), cmocka_unit_test(test_lone_ip),
        cmocka_unit_test(test_classes), cmocka_unit_test(test_resolve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
