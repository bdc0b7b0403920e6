#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/redis/url.h"

#include <stdio.h>

static void test_good(void **state base_unused)
{
    static const struct {
        const char *text, *user, *password, *host, *path;
        unsigned port, database;
        const char *shown;
    } rows[] = {
        {"redis://127.0.0.1:6379/0", "", "", "127.0.0.1", "", 6379, 0, "redis://127.0.0.1:6379/0"},
        {"redis://h", "", "", "h", "", 6379, 0, "redis://h:6379/0"},
        {"redis://h/", "", "", "h", "", 6379, 0, "redis://h:6379/0"},
        {"redis://h:1/15", "", "", "h", "", 1, 15, "redis://h:1/15"},
        {"redis://:secret@h", "", "secret", "h", "", 6379, 0, "redis://h:6379/0"},
        {"redis://bob:secret@h:7/3", "bob", "secret", "h", "", 7, 3, "redis://bob@h:7/3"},
        {"redis://bob:a:b@c@h", "bob", "a:b@c", "h", "", 6379, 0, "redis://bob@h:6379/0"},
        {"redis://b%40b:%3A%2f%25@h", "b@b", ":/%", "h", "", 6379, 0, "redis://b@b@h:6379/0"},
        {"redis://[::1]:7/2", "", "", "::1", "", 7, 2, "redis://[::1]:7/2"},
        {"redis://:p@[2001:db8::1]", "", "p", "2001:db8::1", "", 6379, 0, "redis://[2001:db8::1]:6379/0"},
        {"unix:///run/redis.sock", "", "", "", "/run/redis.sock", 0, 0, "unix:///run/redis.sock?db=0"},
        {"unix:///run/a%20b?db=4", "", "", "", "/run/a b", 0, 4, "unix:///run/a b?db=4"},
        {"unix://bob:secret@/run/r?db=4", "bob", "secret", "", "/run/r", 0, 4, "unix://bob@/run/r?db=4"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        char shown[REDIS_URL_TEXT];
        struct redis_url url;

        assert_null(redis_url_parse(slice_from(rows[i].text), &url));
        assert_string_equal(url.user, rows[i].user);
        assert_string_equal(url.password, rows[i].password);
        assert_string_equal(url.host, rows[i].host);
        assert_string_equal(url.path, rows[i].path);
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.database, rows[i].database);
        redis_url_describe(&url, shown);
        assert_string_equal(shown, rows[i].shown);
    }
}

static void test_bad(void **state base_unused)
{
    static const char *const rows[] = {
        "",
        "redis",
        "redis://",
        "redis:///0",
        "redis://:6379",
        "http://h",
        "rediss://h",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:",
        "redis://h:x",
        "redis://h:1:2",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/01",
        "redis://h/65536",
        "redis://h/1/2",
        "redis://h?db=1",
        "redis://bob@h",
        "redis://bob:@h",
        "redis://a:%4@h",
        "redis://a:%zz@h",
        "redis://a:%00@h",
        "redis://a:p%4",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[]:1",
        "unix://",
        "unix:///",
        "unix://relative",
        "unix://host/path",
        "unix:///p?db=",
        "unix:///p?x=1",
        "unix:///p?db=1&x=2",
        "unix:///p%",
    };
    struct redis_url untouched = {.port = 42}, url = untouched;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        const char *wrong = redis_url_parse(slice_from(rows[i]), &url);

        if (!wrong)
            fail_msg("\"%s\" was taken", rows[i]);
        assert_memory_equal(&url, &untouched, sizeof(url));
    }
}

static void test_too_long(void **state base_unused)
{
    static char text[8192];
    struct redis_url url;

    memset(text, 'a', sizeof(text));
    memcpy(text, "redis://", 8);
    assert_null(redis_url_parse(slice_make(text, 8 + 255), &url));
    assert_non_null(redis_url_parse(slice_make(text, 8 + 256), &url));
    memcpy(text, "unix:///", 8);
    assert_null(redis_url_parse(slice_make(text, 7 + 107), &url));
    assert_non_null(redis_url_parse(slice_make(text, 7 + 108), &url)); /* sun_path, with its NUL */
    memcpy(text, "redis://:", 9);
    memcpy(text + 9 + 4095, "@h", 2);
    assert_null(redis_url_parse(slice_make(text, 9 + 4095 + 2), &url));
    memset(text + 9, 'a', 4096);
    memcpy(text + 9 + 4096, "@h", 2);
    assert_non_null(redis_url_parse(slice_make(text, 9 + 4096 + 2), &url));
}

/** A URL cut anywhere is taken or refused, and nothing is read behind its end (the copy has no room there). */
static void test_cuts(void **state base_unused)
{
    static const char text[] = "redis://b%40b:%3A%2f@[2001:db8::1]:6379/12";

    for (size_t size = 0; size < sizeof(text); size++) {
        char *exact = malloc(size ? size : 1);
        struct redis_url url;

        memcpy(exact, text, size);
        (void)redis_url_parse(slice_make(exact, size), &url);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_cuts),
    };

    return cmocka_run_group_tests_name("store/url", tests, NULL, NULL);
}
