/* Requests to a server on loopback that answers what the test wrote. */
#include "support/alloc.h"
#include "unit/outbound/fixture.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

static void expect_ok(struct answer *a, unsigned status, const char *body)
{
    assert_string_equal(a->error, "");
    assert_int_equal(a->result, 0);
    assert_int_equal(a->status, status);
    assert_string_equal(a->body.data ? a->body.data : "", body);
    buffer_deinit(&a->body);
}

static void expect_failure(struct answer *a, int result, const char *sentence)
{
    assert_int_equal(a->result, result);
    assert_non_null(strstr(a->error, sentence));
    buffer_deinit(&a->body);
}

static bool asked(const struct canned_server *s, const char *text)
{
    return strstr(s->request, text) != NULL;
}

/* ---- answers ---- */

static void test_ok(void **state base_unused)
{
    struct canned_server s = {.response = OK_HEAD "hello"};
    struct answer a = ask_server(&s, (struct outbound_request){0});
    char host[64];

    expect_ok(&a, 200, "hello");
    assert_int_equal(s.connections, 1);
    assert_memory_equal(s.request, "GET /x HTTP/1.1\r\n", 17);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", s.port);
    assert_true(asked(&s, host));
    assert_true(asked(&s, "\r\nConnection: close\r\n"));
    assert_false(asked(&s, "Authorization"));
    assert_false(asked(&s, "Content-Type"));
}

static void test_other_ways_to_frame_a_body(void **state base_unused)
{
    struct canned_server chunked = {
        .response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"};
    struct canned_server closed = {.response = "HTTP/1.0 200 OK\r\n\r\nhello"};
    struct canned_server none = {.response = "HTTP/1.1 204 No Content\r\n\r\n", .holds = true};
    struct answer a = ask_server(&chunked, (struct outbound_request){0});

    expect_ok(&a, 200, "hello");
    a = ask_server(&closed, (struct outbound_request){0});
    expect_ok(&a, 200, "hello");
    a = ask_server(&none, (struct outbound_request){0});
    expect_ok(&a, 204, "");
}

/* The server does not end the connection; the request ends all the same. */
static void test_held_connection(void **state base_unused)
{
    struct canned_server s = {.response = OK_HEAD "hello", .holds = true};
    struct answer a = ask_server(&s, (struct outbound_request){0});

    expect_ok(&a, 200, "hello");
}

/* A refusal is an answer: what it means is the caller's. */
static void test_refusals_are_answers(void **state base_unused)
{
    struct canned_server unauthorized = {
        .response = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno"};
    struct canned_server moved = {
        .response = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"};
    struct canned_server broken = {.response = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"};
    struct answer a = ask_server(&unauthorized, (struct outbound_request){0});

    expect_ok(&a, 401, "no");
    assert_int_equal(unauthorized.connections, 1);
    a = ask_server(&moved, (struct outbound_request){0}); /* not followed */
    expect_ok(&a, 302, "");
    a = ask_server(&broken, (struct outbound_request){0});
    expect_ok(&a, 500, "");
    assert_int_equal(broken.connections, 1); /* not repeated */
}

/* ---- what is asked ---- */

static void test_body_and_type(void **state base_unused)
{
    struct canned_server s = {.response = OK_HEAD "hello"};
    struct answer a = ask_server(&s, (struct outbound_request){.method = "POST",
                                                               .content_type = "application/json",
                                                               .body = SLICE_LITERAL("{\"a\":\0001}")});

    expect_ok(&a, 200, "hello");
    assert_memory_equal(s.request, "POST /x HTTP/1.1\r\n", 18);
    assert_true(asked(&s, "\r\nContent-Type: application/json\r\n"));
    assert_true(asked(&s, "\r\nContent-Length: 8\r\n"));
    assert_memory_equal(s.request + s.request_size - 8, "{\"a\":\0001}", 8);
}

static void test_methods(void **state base_unused)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(methods); i++) {
        struct canned_server s = {.response = OK_HEAD "hello"};
        struct answer a = ask_server(&s, (struct outbound_request){.method = methods[i]});

        expect_ok(&a, 200, "hello");
        assert_memory_equal(s.request, methods[i], strlen(methods[i]));
    }
}

/** Asks the server by its URL with something put in before the host and behind the port. */
static struct answer ask_with(struct canned_server *s, const char *userinfo, const char *target, const char *bearer)
{
    struct fixture f;
    struct answer a;
    char url[256];

    canned_server_start(s);
    fixture_begin(&f);
    (void)snprintf(url, sizeof(url), "http://%s127.0.0.1:%u%s", userinfo, s->port, target);
    a = ask(&f, &(struct outbound_request){.method = "GET", .url = url, .bearer = bearer});
    fixture_end(&f);
    canned_server_stop(s);
    return a;
}

static void test_authorization(void **state base_unused)
{
    struct canned_server basic = {.response = OK_HEAD "hello"}, escaped = basic, bearer = basic;
    struct answer a = ask_with(&basic, "guest:secret@", "/", NULL);

    expect_ok(&a, 200, "hello");
    assert_true(asked(&basic, "\r\nAuthorization: Basic Z3Vlc3Q6c2VjcmV0\r\n"));
    assert_false(asked(&basic, "guest"));
    a = ask_with(&escaped, "a%40b:c%2F%C3%A9@", "/", NULL); /* a@b:c/é */
    expect_ok(&a, 200, "hello");
    assert_true(asked(&escaped, "\r\nAuthorization: Basic YUBiOmMvw6k=\r\n"));
    a = ask_with(&bearer, "guest:secret@", "/", "t0ken");
    expect_ok(&a, 200, "hello");
    assert_true(asked(&bearer, "\r\nAuthorization: Bearer t0ken\r\n"));
    assert_false(asked(&bearer, "Basic"));
}

static void test_targets(void **state base_unused)
{
    static const char *const targets[][2] = {
        {"", "GET / HTTP"},
        {"?a=1", "GET /?a=1 HTTP"},
        {"/a%2Fb/c?d=%20&e", "GET /a%2Fb/c?d=%20&e HTTP"},
        {"/a#b", "GET /a HTTP"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(targets); i++) {
        struct canned_server s = {.response = OK_HEAD "hello"};
        struct answer a = ask_with(&s, "", targets[i][0], NULL);

        expect_ok(&a, 200, "hello");
        assert_memory_equal(s.request, targets[i][1], strlen(targets[i][1]));
    }
}

static void test_wrong_requests(void **state base_unused)
{
    static const char *const urls[] = {
        "",          "127.0.0.1",   "ftp://127.0.0.1/",          "http://",
        "http:///x", "http://a b/", "http://127.0.0.1/\r\nX: y", "http://127.0.0.1:99999/"};
    struct fixture f;
    struct answer a = {.fixture = &f};

    fixture_begin(&f);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(urls); i++)
        assert_int_equal(
            outbound_fetch(f.outbound, &(struct outbound_request){.method = "GET", .url = urls[i]}, on_done, &a),
            -EINVAL);
    assert_int_equal(outbound_fetch(f.outbound,
                                    &(struct outbound_request){.method = "BREW", .url = "http://127.0.0.1:1/"}, on_done,
                                    &a),
                     -EINVAL);
    fixture_end(&f);
    assert_int_equal(a.times, 0);
}

static void test_name_of_the_hosts_file(void **state base_unused)
{
    struct canned_server s = {.response = OK_HEAD "hello"};
    struct fixture f;
    struct answer a;
    char url[64];

    canned_server_start(&s);
    fixture_begin(&f);
    (void)snprintf(url, sizeof(url), "http://localhost:%u/", s.port);
    a = ask(&f, &(struct outbound_request){.method = "GET", .url = url});
    expect_ok(&a, 200, "hello");
    fixture_end(&f);
    canned_server_stop(&s);
}

/* ---- what goes wrong ---- */

static void test_too_large(void **state base_unused)
{
    static char flood[300000];
    struct canned_server told = {.response = OK_HEAD "hello"}, fits = told;
    struct canned_server chunked = {
        .response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n3\r\nloo\r\n0\r\n\r\n"};
    struct canned_server untold = {.response = flood, .response_size = sizeof(flood)};
    struct answer a = ask_server(&told, (struct outbound_request){.max_body_bytes = 4});

    expect_failure(&a, OUTBOUND_E_TOO_LARGE, "too large");
    a = ask_server(&fits, (struct outbound_request){.max_body_bytes = 5});
    expect_ok(&a, 200, "hello");
    a = ask_server(&chunked, (struct outbound_request){.max_body_bytes = 4});
    expect_failure(&a, OUTBOUND_E_TOO_LARGE, "too large");
    memset(flood, 'x', sizeof(flood));
    memcpy(flood, "HTTP/1.1 200 OK\r\n\r\n", 19);
    a = ask_server(&untold, (struct outbound_request){.max_body_bytes = 100000});
    expect_failure(&a, OUTBOUND_E_TOO_LARGE, "too large");
}

static void test_timeout(void **state base_unused)
{
    static const char *const responses[] = {"", "HTTP/1.1 200 OK\r\nContent-", OK_HEAD "hel"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(responses); i++) {
        struct canned_server s = {.response = responses[i], .holds = true};
        uint64_t begin_ms = clock_monotonic_ms();
        struct answer a = ask_server(&s, (struct outbound_request){.timeout_ms = 150});

        expect_failure(&a, OUTBOUND_E_TIMEOUT, "in time");
        assert_true(clock_monotonic_ms() - begin_ms >= 150);
    }
}

static void test_nobody_listens(void **state base_unused)
{
    uint16_t port;
    int listener = canned_listen(&port);
    struct fixture f;
    struct answer a;
    char url[64];

    close(listener);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    fixture_begin(&f);
    a = ask(&f, &(struct outbound_request){.method = "GET", .url = url});
    expect_failure(&a, OUTBOUND_E_UNREACHABLE, "connect");
    fixture_end(&f);
}

static void test_broken_answers(void **state base_unused)
{
    static const char *const responses[] = {
        "nonsense\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 two OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", /* ends too early */
        "HTTP/1.1 200 OK\r\nConten",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(responses); i++) {
        struct canned_server s = {.response = responses[i]};
        struct answer a = ask_server(&s, (struct outbound_request){0});

        if (a.result != OUTBOUND_E_UNREACHABLE)
            fail_msg("%s: result %d, status %u", responses[i], a.result, a.status);
        buffer_deinit(&a.body);
    }
}

/* Which libevent does not tell from one that is too large. */
static void test_broken_chunk(void **state base_unused)
{
    struct canned_server s = {.response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    struct answer a = ask_server(&s, (struct outbound_request){0});

    expect_failure(&a, OUTBOUND_E_TOO_LARGE, "broken");
}

static void test_connection_that_breaks_at_once(void **state base_unused)
{
    struct canned_server s = {.drops = true, .response = ""};
    struct answer a = ask_server(&s, (struct outbound_request){0});

    expect_failure(&a, OUTBOUND_E_UNREACHABLE, "broke");
}

/* ---- ends ---- */

static void test_free_cancels(void **state base_unused)
{
    struct canned_server s = {.response = "", .holds = true};
    struct fixture f;
    struct answer answers[3] = {{.fixture = &f}, {.fixture = &f, .repeats = true}, {.fixture = &f}};

    canned_server_start(&s);
    fixture_begin(&f);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answers); i++) {
        answers[i].url = s.url;
        assert_int_equal(
            outbound_fetch(f.outbound, &(struct outbound_request){.method = "GET", .url = s.url}, on_done, &answers[i]),
            0);
    }
    f.outbound = outbound_free(f.outbound);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answers); i++) {
        assert_int_equal(answers[i].times, 1);
        expect_failure(&answers[i], OUTBOUND_E_CANCELLED, "cancelled");
    }
    fixture_end(&f);
    canned_server_stop(&s);
}

/* The first answer frees everything: the second request is cancelled within, and nothing comes twice. */
static void test_free_from_done(void **state base_unused)
{
    struct canned_server s = {.response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    struct canned_server slow = {.response = "", .holds = true};
    struct fixture f;
    struct answer first = {.fixture = &f, .frees = true}, second = {.fixture = &f};

    canned_server_start(&s);
    canned_server_start(&slow);
    fixture_begin(&f);
    assert_int_equal(
        outbound_fetch(f.outbound, &(struct outbound_request){.method = "GET", .url = slow.url}, on_done, &second), 0);
    assert_int_equal(
        outbound_fetch(f.outbound, &(struct outbound_request){.method = "GET", .url = s.url}, on_done, &first), 0);
    loop_run(f.loop);
    assert_int_equal(first.times, 1);
    assert_int_equal(second.times, 1);
    expect_ok(&first, 200, "");
    expect_failure(&second, OUTBOUND_E_CANCELLED, "cancelled");
    fixture_end(&f);
    canned_server_stop(&s);
    canned_server_stop(&slow);
}

static void stop_loop(void *userdata)
{
    loop_stop(userdata);
}

/* A name is being looked up while everything is freed. What libevent keeps for it goes in the turns that follow. */
static void test_free_while_resolving(void **state base_unused)
{
    struct fixture f;
    struct answer a = {.fixture = &f};
    struct loop_timer timer;

    fixture_begin(&f);
    loop_timer_init(&timer, f.loop, stop_loop, f.loop);
    assert_int_equal(outbound_fetch(f.outbound,
                                    &(struct outbound_request){.method = "GET", .url = "http://warren.invalid/"},
                                    on_done, &a),
                     0);
    f.outbound = outbound_free(f.outbound);
    assert_int_equal(a.times, 1);
    assert_true(a.result != 0);
    buffer_deinit(&a.body);
    loop_timer_start(&timer, 20);
    loop_run(f.loop); /* also takes the stop that the answer asked for */
    if (loop_timer_is_pending(&timer))
        loop_run(f.loop);
    fixture_end(&f);
}

static void test_many_at_once(void **state base_unused)
{
    struct canned_server s = {.response = OK_HEAD "hello"};
    struct fixture f;
    struct answer answers[12];

    canned_server_start(&s);
    fixture_begin(&f);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answers); i++) {
        answers[i] = (struct answer){.fixture = &f};
        assert_int_equal(
            outbound_fetch(f.outbound, &(struct outbound_request){.method = "GET", .url = s.url}, on_done, &answers[i]),
            0);
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answers); i++)
        while (answers[i].times == 0)
            loop_run(f.loop);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answers); i++) {
        assert_int_equal(answers[i].times, 1);
        expect_ok(&answers[i], 200, "hello");
    }
    fixture_end(&f);
    canned_server_stop(&s);
    assert_int_equal(s.connections, 12);
}

/* Each of our allocations fails in turn; libevent's own are not reached. */
static void test_out_of_memory(void **state base_unused)
{
    struct canned_server s = {.response = OK_HEAD "hello"};
    struct fixture f;
    char url[80];

    canned_server_start(&s);
    (void)snprintf(url, sizeof(url), "http://user:password@127.0.0.1:%u/", s.port);
    fixture_begin(&f);
    for (size_t n = 0;; n++) {
        struct answer a = {.fixture = &f};
        int result;
        bool was_refused;

        alloc_fail_after(n);
        result = outbound_fetch(f.outbound, &(struct outbound_request){.method = "GET", .url = url}, on_done, &a);
        if (result == 0)
            loop_run(f.loop);
        was_refused = alloc_fail_disarm();
        if (result) {
            assert_int_equal(result, -ENOMEM);
            assert_int_equal(a.times, 0);
            continue;
        }
        assert_int_equal(a.times, 1);
        buffer_deinit(&a.body);
        if (!was_refused) {
            assert_int_equal(a.result, 0);
            break;
        }
    }
    fixture_end(&f);
    canned_server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok),
        cmocka_unit_test(test_other_ways_to_frame_a_body),
        cmocka_unit_test(test_held_connection),
        cmocka_unit_test(test_refusals_are_answers),
        cmocka_unit_test(test_body_and_type),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_wrong_requests),
        cmocka_unit_test(test_name_of_the_hosts_file),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_broken_chunk),
        cmocka_unit_test(test_connection_that_breaks_at_once),
        cmocka_unit_test(test_free_cancels),
        cmocka_unit_test(test_free_from_done),
        cmocka_unit_test(test_free_while_resolving),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
