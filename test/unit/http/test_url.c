/*
 * URLs of a configuration: taken apart, or refused with what was expected.
 */
#include "http/url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check(struct slice s, const char *expected)
{
    assert_int_equal(slice_is_set(s), expected != NULL);
    if (expected && !slice_equal_text(s, expected))
        fail_msg("got <%.*s>, want <%s>", SLICE_PRINTF(s), expected);
}

static void test_parts(void **state)
{
    static const struct {
        const char *text, *scheme, *user, *password, *host;
        uint16_t port;
        const char *target;
    } cases[] = {
        {"http://h", "http", NULL, NULL, "h", 80, "/"},
        {"https://h/", "https", NULL, NULL, "h", 443, "/"},
        {"ws://h:8091/ws?a=b&c", "ws", NULL, NULL, "h", 8091, "/ws?a=b&c"},
        {"WSS://H.example/x", "WSS", NULL, NULL, "H.example", 443, "/x"},
        {"amqp://guest:gu%40est@10.0.0.1:5672/%2Fv", "amqp", "guest", "gu%40est", "10.0.0.1", 5672, "/%2Fv"},
        {"amqp://u@h", "amqp", "u", NULL, "h", 0, "/"},
        {"redis://:secret@h:6379/0", "redis", "", "secret", "h", 6379, "/0"},
        {"redis://u:a:b@[::1]:1", "redis", "u", "a:b", "::1", 1, "/"},
        {"http://[2001:db8::1]/x", "http", NULL, NULL, "2001:db8::1", 80, "/x"},
        {"http://h/a//b?x=http://y@z:1/", "http", NULL, NULL, "h", 80, "/a//b?x=http://y@z:1/"},
        {"http://h:65535", "http", NULL, NULL, "h", 65535, "/"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct http_url url;
        const char *expected = http_url_parse(slice_from(cases[i].text), "http,https, ws,wss,amqp,redis", &url);

        if (expected)
            fail_msg("%s: %s", cases[i].text, expected);
        check(url.scheme, cases[i].scheme);
        check(url.user, cases[i].user);
        check(url.password, cases[i].password);
        check(url.host, cases[i].host);
        check(url.target, cases[i].target);
        assert_int_equal(url.port, cases[i].port);
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "h",
        "://h",
        "http:/h",
        "http:h",
        "ftp://h",
        "httpx://h",
        "http://",
        "http:///x",
        "http://:80",
        "http://u@",
        "http://h:",
        "http://h:0",
        "http://h:65536",
        "http://h:8o",
        "http://h:1:2",
        "http://u:p@ss@h",
        "http://h?x",
        "http://h#x",
        "http://h/x#y",
        "http://h /x",
        "http://h/x y",
        "http://\xc3\xa9/",
        "http://::1",
        "http://[::1",
        "http://[::1]x",
        "http://[x]",
        "http://h%/",
    };
    struct http_url url = {.port = 7};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const char *expected = http_url_parse(slice_from(cases[i]), "http,https", &url);

        if (!expected)
            fail_msg("<%s> was taken", cases[i]);
        assert_memory_equal(expected, "expected ", 9);
        assert_int_equal(url.port, 7); /* untouched */
    }
    assert_non_null(http_url_parse(SLICE_NONE, "http", &url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
