/* Routes: which template fits a path, what is read from a URL, and what is refused, by name. */
#include "gateway/gateway.h"
#include "gateway/route_internal.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct gateway_routes routes;
    struct buffer errors = {0};

    routes = (struct gateway_routes){0};
    assert_int_equal(gateway_routes_load(&routes, NULL, true, &errors), 0);
    assert_int_equal(errors.size, 0);
    *state = &routes;
    return 0;
}

static int teardown(void **state)
{
    gateway_routes_deinit(*state);
    return 0;
}

static const char *found(const struct gateway_routes *routes, const char *path)
{
    const struct gateway_route *route = gateway_routes_find(routes, slice_from(path));

    return route ? route->path : "-";
}

static void test_defaults(void **state)
{
    static const struct {
        const char *path, *expected;
    } rows[] = {
        {"/ws", "/ws"},
        {"/%77s", "/ws"},
        {"/%7", "-"},
        {"/w%73x", "-"},
        {"/ws/", "-"},
        {"/WS", "-"},
        {"/", "-"},
        {"", "-"},
        {"*", "-"},
        {"ws", "-"},
        {"/echo", "/echo"},
        {"/websocket/42/7", "/websocket/{room}/{user}"},
        {"/websocket/42", "-"},
        {"/websocket//", "/websocket/{room}/{user}"}, /* found, and refused for its empty room */
        {"/websocket/a/b/c", "-"},
        {"/demo/websocket/1/2/3/4/5", "/demo/websocket/{room}/{type}/{user}/{token}/{device}"},
        {"/demo/websocket/1/2/3//5", "/demo/websocket/{room}/{type}/{user}/{token}/{device}"},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "-"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++)
        assert_string_equal(found(*state, rows[i].path), rows[i].expected);
}

static void test_preference(void **state base_unused)
{
    struct gateway_routes routes = {0};
    struct buffer errors = {0};
    static const char *const paths[] = {"/{room}/{user}", "/{user}/{room}", "/a/{user}", "/{room}/b", "/a/b"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(paths); i++)
        assert_int_equal(gateway_routes_add(&routes, "test", paths[i], &proto_codec_json, &errors), 0);
    assert_string_equal(found(&routes, "/a/b"), "/a/b");
    assert_string_equal(found(&routes, "/a/c"), "/a/{user}");
    assert_string_equal(found(&routes, "/c/b"), "/{room}/b");
    assert_string_equal(found(&routes, "/c/d"), "/{room}/{user}");
    gateway_routes_deinit(&routes);
}

static void test_bad_templates(void **state base_unused)
{
    static const char *const paths[] = {
        "",
        "ws",
        "/a//b",
        "/a/",
        "/{}",
        "/{room",
        "/room}",
        "/x{room}",
        "/{room}x",
        "/{{room}",
        "/a?b",
        "/a%20b",
        "/{room}/{room}",
        "/{user}/{user}",
        "/a b",
        "/a#b",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
    };
    struct gateway_routes routes = {0};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(paths); i++) {
        struct buffer errors = {0};

        assert_int_equal(gateway_routes_add(&routes, "route.x", paths[i], &proto_codec_json, &errors),
                         CONFIG_E_INVALID);
        assert_non_null(strstr(errors.data, "route.x: path"));
        buffer_deinit(&errors);
    }
    assert_int_equal(routes.count, 0);
    gateway_routes_deinit(&routes);
}

/* A configured path replaces the default of the same path; one of two equal ones is an error. */
static void test_configured(void **state base_unused)
{
    struct config *config;
    struct gateway_routes routes = {0};
    struct buffer errors = {0};

    assert_int_equal(config_new(&config), 0);
    assert_int_equal(config_add_family(config, GATEWAY_ROUTE_FAMILY, gateway_route_options, gateway_route_option_count,
                                       sizeof(struct gateway_route_config)),
                     0);
    assert_int_equal(config_load_text(config,
                                      SLICE_LITERAL("[route.plain]\npath = /ws\n[route.chat]\npath = /chat/{room}\n"),
                                      "test", &errors),
                     0);
    assert_int_equal(config_finish(config, &errors), 0);
    assert_int_equal(gateway_routes_load(&routes, config, false, &errors), 0);
    assert_int_equal(routes.count, 4);
    assert_string_equal(found(&routes, "/chat/1"), "/chat/{room}");
    assert_string_equal(found(&routes, "/echo"), "-");
    gateway_routes_deinit(&routes);
    config_free(config);

    assert_int_equal(config_new(&config), 0);
    assert_int_equal(config_add_family(config, GATEWAY_ROUTE_FAMILY, gateway_route_options, gateway_route_option_count,
                                       sizeof(struct gateway_route_config)),
                     0);
    assert_int_equal(
        config_load_text(config, SLICE_LITERAL("[route.a]\npath = /x\n[route.b]\npath = /x\n"), "test", &errors), 0);
    assert_int_equal(config_finish(config, &errors), 0);
    assert_int_equal(errors.size, 0);
    assert_int_equal(gateway_routes_load(&routes, config, false, &errors), CONFIG_E_INVALID);
    assert_non_null(strstr(errors.data, "route.b: path \"/x\" is that of another route"));
    gateway_routes_deinit(&routes);
    config_free(config);
    buffer_deinit(&errors);
}

static int read_url(const struct gateway_routes *routes, const char *url, char sentence[GATEWAY_SENTENCE_SIZE],
                    struct gateway_target *ret_target)
{
    struct slice rest = slice_from(url), path;
    const struct gateway_route *route;

    assert_true(slice_split(&rest, '?', &path));
    route = gateway_routes_find(routes, path);
    assert_non_null(route);
    return gateway_route_read(route, path, rest, sentence, ret_target);
}

static void assert_name(const struct gateway_name *name, const char *expected)
{
    assert_int_equal(name->size, strlen(expected));
    assert_memory_equal(name->text, expected, name->size);
}

static void test_targets(void **state)
{
    static const struct {
        const char *url, *room, *user, *device;
        uint64_t epoch, offset; /* 0: no since for the room */
    } rows[] = {
        {"/websocket/42/7", "42", "7", "", 0, 0},
        {"/websocket/a%20b/%E5%BC%A0", "a b", "\xe5\xbc\xa0", "", 0, 0},
        {"/websocket/a+b/7?user=9&device=d+1", "a+b", "7", "d 1", 0, 0},
        {"/ws?user=Ann%20Lee&device=phone", "", "Ann Lee", "phone", 0, 0},
        {"/demo/websocket/r/t/u/tok/d?device=x", "r", "u", "d", 0, 0},
        {"/websocket/42/7?since=17:3", "42", "7", "", 17, 3},
        {"/websocket/42/7?since=room:42@18:4", "42", "7", "", 18, 4},
        {"/websocket/42/7?since=room:43@18:4", "42", "7", "", 0, 0},
        {"/websocket/a@b/7?since=room:a%40b@5:6&since=user:7@1:1&since=all@1:2", "a@b", "7", "", 5, 6},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        char sentence[GATEWAY_SENTENCE_SIZE];
        struct gateway_target target;

        assert_int_equal(read_url(*state, rows[i].url, sentence, &target), 0);
        assert_name(&target.room, rows[i].room);
        assert_name(&target.user, rows[i].user);
        assert_name(&target.device, rows[i].device);
        assert_int_equal(target.has_since, rows[i].epoch != 0);
        if (target.has_since) {
            assert_int_equal(target.since.epoch, rows[i].epoch);
            assert_int_equal(target.since.offset, rows[i].offset);
        }
    }
}

static void test_anonymous(void **state)
{
    char sentence[GATEWAY_SENTENCE_SIZE];
    struct gateway_target one, two;

    assert_int_equal(read_url(*state, "/ws", sentence, &one), 0);
    assert_int_equal(read_url(*state, "/ws?other=1", sentence, &two), 0);
    assert_true(slice_starts_with(gateway_name_slice(&one.user), SLICE_LITERAL("anon-")));
    assert_int_equal(one.user.size, 5 + 26);
    assert_false(slice_equal(gateway_name_slice(&one.user), gateway_name_slice(&two.user)));
}

static void test_bad_urls(void **state)
{
    static const struct {
        const char *url, *begins;
    } rows[] = {
        {"/websocket//7", "room "},
        {"/websocket/42/", "user "},
        {"/websocket/42/%00", "user "},
        {"/websocket/%0a/7", "room "},
        {"/websocket/%c3/7", "room "},
        {"/websocket/%zz/7", "room has a bad percent-escape"},
        {"/websocket/42/%4", "user has a bad percent-escape"},
        {"/ws?user=", "user "},
        {"/ws?user=a&device=%7f", "device "},
        {"/ws?user=a&since=1:2", "since names no channel"},
        {"/websocket/42/7?since=1", "since is not"},
        {"/websocket/42/7?since=nonsense@1:2", "since does not begin with a channel"},
        {"/websocket/42/7?since=room:@1:2", "since does not begin with a channel"},
        {"/websocket/42/7?since=%", "since has a bad percent-escape"},
    };
    char url[512], sentence[GATEWAY_SENTENCE_SIZE];
    struct gateway_target target;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        assert_int_equal(read_url(*state, rows[i].url, sentence, &target), GATEWAY_E_BAD_URL);
        assert_memory_equal(sentence, rows[i].begins, strlen(rows[i].begins));
    }
    snprintf(url, sizeof(url), "/websocket/%0128d/7", 1);
    assert_int_equal(read_url(*state, url, sentence, &target), 0);
    snprintf(url, sizeof(url), "/websocket/%0129d/7", 1);
    assert_int_equal(read_url(*state, url, sentence, &target), GATEWAY_E_BAD_URL);
}

static void test_out_of_memory(void **state base_unused)
{
    for (size_t n = 0;; n++) {
        struct gateway_routes routes = {0};
        struct buffer errors = {0};
        int result;

        alloc_fail_after(n);
        result = gateway_routes_load(&routes, NULL, true, &errors);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            gateway_routes_deinit(&routes);
            break;
        }
        assert_int_equal(result, -ENOMEM);
        gateway_routes_deinit(&routes);
        buffer_deinit(&errors);
    }
}

static void test_url_out_of_memory(void **state)
{
    const char *url = "/websocket/a%20b/7?since=1:2&device=d";

    for (size_t n = 0;; n++) {
        char sentence[GATEWAY_SENTENCE_SIZE];
        struct gateway_target target;
        int result;

        alloc_fail_after(n);
        result = read_url(*state, url, sentence, &target);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),          cmocka_unit_test(test_preference),
        cmocka_unit_test(test_bad_templates),     cmocka_unit_test(test_configured),
        cmocka_unit_test(test_targets),           cmocka_unit_test(test_anonymous),
        cmocka_unit_test(test_bad_urls),          cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_url_out_of_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
