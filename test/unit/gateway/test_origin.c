/* Whose page may connect: what an entry is, and what it allows. */
#include "gateway/origin_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/alloc.h"

static void test_entries(void **state base_unused)
{
    static const char *const good[] = {"https://example.com",
                                       "http://example.com:8080",
                                       "https://*.example.com",
                                       "HTTPS://Example.COM",
                                       "http://[::1]:80",
                                       "http://[::1]",
                                       "null",
                                       "app://shell"};
    static const char *const bad[] = {"",
                                      "example.com",
                                      "https://",
                                      "://example.com",
                                      "https://example.com/",
                                      "https://example.com/path",
                                      "https://user@example.com",
                                      "https://example.com:",
                                      "https://example.com:x",
                                      "https://example.com:123456",
                                      "https://a.*.example.com",
                                      "https://*",
                                      "https://ex ample.com",
                                      "*"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(good); i++)
        assert_null(gateway_origin_fault(slice_from(good[i])));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(bad); i++)
        if (!gateway_origin_fault(slice_from(bad[i])))
            fail_msg("%s is taken", bad[i]);
}

/** @headers end with CR LF each. */
static bool allows(const struct gateway_origins *o, const char *headers)
{
    const struct http_limits limits = {.head_bytes = 8192, .headers = 64};
    const struct http_message *request;
    struct http_parser *parser;
    size_t consumed;
    char text[512];
    bool result;

    snprintf(text, sizeof(text), "GET /ws HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);
    assert_int_equal(http_parser_new_request(&limits, &parser), 0);
    assert_int_equal(http_parser_feed(parser, text, strlen(text), &consumed, &request), 0);
    result = gateway_origins_allow(o, request);
    http_parser_free(parser);
    return result;
}

static void check(const struct config_list *list, const char *headers, bool expected)
{
    struct gateway_origins *o = gateway_origins_new(list, false);

    assert_non_null(o);
    if (allows(o, headers) != expected)
        fail_msg("%s is %s", headers, expected ? "refused" : "allowed");
    gateway_origins_free(o);
}

static void test_allows(void **state base_unused)
{
    char first[] = "https://example.com", second[] = "http://other.test:8080", wild[] = "https://*.example.com",
         nothing[] = "null";
    char *exact_items[] = {first, second}, *below_items[] = {wild}, *null_items[] = {nothing};
    const struct config_list exact = {exact_items, 2}, below = {below_items, 1}, null = {null_items, 1}, none = {0};

    check(&none, "Origin: https://anything.test\r\n", true);
    check(&none, "", true);
    check(&exact, "", true); /* no browser */
    check(&exact, "Origin: https://example.com\r\n", true);
    check(&exact, "Origin: HTTPS://EXAMPLE.com:443\r\n", true);
    check(&exact, "Origin: http://other.test:8080\r\n", true);
    check(&exact, "Origin: http://other.test\r\n", false);
    check(&exact, "Origin: http://example.com\r\n", false);
    check(&exact, "Origin: https://example.com:80\r\n", false);
    check(&exact, "Origin: https://example.com.evil.test\r\n", false);
    check(&exact, "Origin: https://evil-example.com\r\n", false);
    check(&exact, "Origin: https://example.com/\r\n", false);
    check(&exact, "Origin: https://www.example.com\r\n", false);
    check(&exact, "Origin: null\r\n", false);
    check(&exact, "Origin:\r\n", false);
    check(&exact, "Origin: https://example.com\r\nOrigin: https://evil.test\r\n", false);
    check(&below, "Origin: https://www.example.com\r\n", true);
    check(&below, "Origin: https://a.b.Example.com\r\n", true);
    check(&below, "Origin: https://example.com\r\n", false);
    check(&below, "Origin: https://.example.com\r\n", false);
    check(&below, "Origin: https://wwwexample.com\r\n", false);
    check(&below, "Origin: https://www.example.com:8443\r\n", false);
    check(&null, "Origin: null\r\n", true);
    check(&null, "Origin: https://example.com\r\n", false);
}

static void test_required(void **state base_unused)
{
    char item[] = "https://example.com", *items[] = {item};
    const struct config_list none = {0}, some = {items, 1};
    struct gateway_origins *any = gateway_origins_new(&none, true), *listed = gateway_origins_new(&some, true);

    assert_non_null(any);
    assert_non_null(listed);
    assert_false(allows(any, ""));
    assert_true(allows(any, "Origin: https://anything.test\r\n"));
    assert_false(allows(listed, ""));
    assert_true(allows(listed, "Origin: https://example.com\r\n"));
    gateway_origins_free(any);
    gateway_origins_free(listed);
}

static void test_without_memory(void **state base_unused)
{
    char item[] = "https://example.com", *items[] = {item, item};
    const struct config_list list = {items, 2};
    struct gateway_origins *o;

    for (size_t n = 0;; n++) {
        alloc_fail_after(n);
        o = gateway_origins_new(&list, false);
        if (!alloc_fail_disarm())
            break;
        assert_null(o);
    }
    assert_int_equal(o->count, 2);
    assert_null(gateway_origins_free(o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_allows),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
