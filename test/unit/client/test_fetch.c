#include "client/client.h"
#include "outbound/outbound.h"
#include "support/canned_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

struct fetched {
    int result;
    unsigned status;
    struct buffer body;
    struct buffer error;
};

static struct fetched fetch(const char *url, const char *method, struct slice body, uint64_t timeout_ms)
{
    struct fetched f = {.status = 7};

    f.result = client_http_fetch(method, url, "text/plain", body, timeout_ms, &f.status, &f.body, &f.error);
    return f;
}

static void fetched_deinit(struct fetched *f)
{
    buffer_deinit(&f->body);
    buffer_deinit(&f->error);
}

static void test_answer(void **state base_unused)
{
    struct canned_server s = {.response = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", .holds = true};
    struct fetched f;

    canned_server_start(&s);
    f = fetch(s.url, "POST", SLICE_LITERAL("question"), 60000);
    canned_server_stop(&s);
    assert_int_equal(f.result, 0);
    assert_int_equal(f.status, 404);
    assert_string_equal(f.body.data, "none");
    assert_int_equal(f.error.size, 0);
    assert_non_null(strstr(s.request, "\r\n\r\nquestion"));
    fetched_deinit(&f);
}

static void test_body_is_appended(void **state base_unused)
{
    struct canned_server s = {.response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend"};
    struct buffer body = {0}, error = {0};
    unsigned status;

    buffer_append_text(&body, "begin, ");
    canned_server_start(&s);
    assert_int_equal(client_http_fetch("GET", s.url, NULL, SLICE_NONE, 60000, &status, &body, &error), 0);
    canned_server_stop(&s);
    assert_string_equal(body.data, "begin, end");
    buffer_deinit(&body);
    buffer_deinit(&error);
}

/* A body that the caller's buffer does not take is no answer. */
static void test_body_beyond_the_callers_limit(void **state base_unused)
{
    struct canned_server s = {.response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend"};
    struct buffer body = BUFFER_WITH_LIMIT(2), error = {0};
    unsigned status = 7;

    canned_server_start(&s);
    assert_int_equal(client_http_fetch("GET", s.url, NULL, SLICE_NONE, 60000, &status, &body, &error), -EMSGSIZE);
    canned_server_stop(&s);
    assert_int_equal(status, 7);
    buffer_deinit(&body);
    buffer_deinit(&error);
}

static void test_nobody_there(void **state base_unused)
{
    uint16_t port;
    int listener = canned_listen(&port);
    struct fetched f;
    char url[64];

    close(listener);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    f = fetch(url, "GET", SLICE_NONE, 60000);
    assert_int_equal(f.result, OUTBOUND_E_UNREACHABLE);
    assert_int_equal(f.status, 7); /* untouched */
    assert_true(f.error.size > 0);
    fetched_deinit(&f);
}

static void test_timeout(void **state base_unused)
{
    struct canned_server s = {.response = "", .holds = true};
    struct fetched f;

    canned_server_start(&s);
    f = fetch(s.url, "GET", SLICE_NONE, 100);
    canned_server_stop(&s);
    assert_int_equal(f.result, OUTBOUND_E_TIMEOUT);
    fetched_deinit(&f);
}

static void test_wrong_url(void **state base_unused)
{
    struct fetched f = fetch("nowhere", "GET", SLICE_NONE, 100);

    assert_int_equal(f.result, -EINVAL);
    fetched_deinit(&f);
}

/** The thread that fetches. */
struct fetcher {
    pthread_t thread;
    pid_t tid;
};

/** Whether that thread has SIGPIPE blocked, and not everything, as for a moment in pthread_create(3). */
static bool is_blocked(pid_t tid)
{
    unsigned long long blocked = 0;
    char path[64], line[256];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "SigBlk: %llx", &blocked) != 1)
        ;
    if (file)
        fclose(file);
    return (blocked >> (SIGPIPE - 1) & 1) && !(blocked >> (SIGUSR1 - 1) & 1);
}

static void *send_sigpipe(void *userdata)
{
    const struct fetcher *f = userdata;

    while (!is_blocked(f->tid)) /* before, it would kill */
        usleep(1000);
    pthread_kill(f->thread, SIGPIPE);
    return NULL;
}

/* As a write to a peer that has ended sends it. It must not kill a command, and must not be left over. */
static void test_sigpipe(void **state base_unused)
{
    struct canned_server s = {.response = "", .holds = true};
    struct fetcher self = {pthread_self(), gettid()};
    pthread_t thread;
    struct fetched f;
    sigset_t pending, mask;

    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    canned_server_start(&s);
    assert_int_equal(pthread_create(&thread, NULL, send_sigpipe, &self), 0);
    f = fetch(s.url, "GET", SLICE_NONE, 1500);
    pthread_join(thread, NULL);
    canned_server_stop(&s);
    assert_int_equal(f.result, OUTBOUND_E_TIMEOUT);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGPIPE), 0); /* as it was */
    fetched_deinit(&f);
}

/* The server ends without reading, while megabytes are on their way. */
static void test_peer_that_does_not_read(void **state base_unused)
{
    struct canned_server s = {.response = "", .drops = true};
    size_t size = 32u << 20;
    char *body = calloc(1, size);
    struct fetched f;

    assert_non_null(body);
    canned_server_start(&s);
    f = fetch(s.url, "POST", slice_make(body, size), 60000);
    canned_server_stop(&s);
    assert_int_equal(f.result, OUTBOUND_E_UNREACHABLE);
    fetched_deinit(&f);
    free(body);
}

static void test_path(void **state base_unused)
{
    struct buffer path = {0};

    buffer_append_text(&path, "/v1/rooms/");
    client_path_append(&path, SLICE_LITERAL("a/b?c d~é"));
    assert_string_equal(path.data, "/v1/rooms/a%2Fb%3Fc%20d~%C3%A9");
    buffer_deinit(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_body_is_appended),
        cmocka_unit_test(test_body_beyond_the_callers_limit),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_wrong_url),
        cmocka_unit_test(test_sigpipe),
        cmocka_unit_test(test_peer_that_does_not_read),
        cmocka_unit_test(test_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
