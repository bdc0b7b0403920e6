/*
 * The Redis backend over servers that die, freeze, refuse and lie. Each test starts a server of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "contract/store_world.h"
#include "support/redis_server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77
#define NODE "10.0.0.5:8091"

static const struct store_identity identity = {
    .node = NODE, .incarnation = 1, .seen_window_ms = 60000, .expiry_ms = 60000};

struct fixture {
    struct world world;
    struct redis_server server;
    struct world_store ws;
    char url[256];
};

static void start(struct fixture *f, const char *const *arguments)
{
    redis_server_start(&f->server, arguments);
    (void)snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%d", f->server.port);
}

static void open_up(struct fixture *f)
{
    world_open(&f->world, &f->ws, f->url, &identity);
    world_until_up(&f->ws);
}

static struct store_status status_of(struct fixture *f)
{
    struct store_status status;

    store_status(f->ws.store, &status);
    return status;
}

/** Runs the loop until the store's last error contains @text. */
static void until_detail(struct fixture *f, const char *text)
{
    for (int i = 0; i < 6000 && !strstr(status_of(f).detail, text); i++)
        world_pass(&f->world, 10);
    if (!strstr(status_of(f).detail, text))
        fail_msg("expected an error with \"%s\", not \"%s\"", text, status_of(f).detail);
}

static redisContext *meddle(struct fixture *f)
{
    return redis_server_connect("127.0.0.1", f->server.port);
}

static long long ask_integer(redisContext *c, const char *command)
{
    redisReply *reply = redis_server_say(c, command);
    long long integer = reply->integer;

    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    return integer;
}

/** Keys that stay as long as the store does: life and epoch. */
#define STANDING_KEYS 2

static void tell(redisContext *c, const char *command)
{
    freeReplyObject(redis_server_say(c, command));
}

/* ---- many at once ---- */

enum { MANY = 300 };

struct one {
    struct store_seen r;
    struct slice id;
    bool seen;
    int result;
    char text[16];
    struct many *many;
};

struct many {
    struct fixture *f;
    struct one at[MANY];
    size_t answered;
    bool is_done;
};

static void on_one(struct store_seen *r, int result)
{
    struct one *one = container_of(r, struct one, r);
    struct many *many = one->many;

    assert_ptr_equal(one, &many->at[many->answered]); /* in order */
    one->result = result;
    if (++many->answered == MANY) {
        many->is_done = true;
        loop_stop(many->f->world.loop);
    }
}

static void ask_many(struct fixture *f, struct many *many)
{
    memset(many, 0, sizeof(*many));
    many->f = f;
    for (size_t i = 0; i < MANY; i++) {
        struct one *one = &many->at[i];

        (void)snprintf(one->text, sizeof(one->text), "%zu", i);
        one->many = many;
        one->id = slice_from(one->text);
        one->r = (struct store_seen){.ids = &one->id, .count = 1, .seen = &one->seen, .done = on_one};
        store_seen(f->ws.store, &one->r);
    }
}

static size_t count_results(const struct many *many, int result)
{
    size_t count = 0;

    for (size_t i = 0; i < MANY; i++)
        count += many->at[i].result == result;
    return count;
}

/* ---- the tests ---- */

static void test_killed_and_restarted(void **state)
{
    static struct many many;
    struct fixture *f = *state;
    bool seen = true;

    start(f, NULL);
    open_up(f);
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    redis_server_kill(&f->server);
    ask_many(f, &many); /* the first to notice */
    world_until(&f->world, &many.is_done);
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    assert_false(f->ws.is_up);
    assert_true(status_of(f).detail[0] != '\0');
    ask_many(f, &many);
    world_until(&f->world, &many.is_done);
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    world_pass(&f->world, 400); /* attempts fail */
    assert_int_equal(f->ws.changes, 2);

    redis_server_restart(&f->server, NULL);
    world_until_up(&f->ws);
    assert_int_equal(status_of(f).reconnects, 1);
    assert_int_equal(f->ws.changes, 3);
    ask_many(f, &many);
    world_until(&f->world, &many.is_done);
    assert_int_equal(count_results(&many, 0), MANY);
    world_close(&f->ws);
}

static void test_idle_connection_is_missed(void **state)
{
    struct fixture *f = *state;
    redisContext *c;
    bool seen = true;

    start(f, NULL);
    c = meddle(f);
    open_up(f);
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    assert_false(seen);
    tell(c, "CLIENT KILL TYPE normal SKIPME yes");
    world_until_down(&f->ws);
    world_until_up(&f->ws);
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    assert_true(seen); /* what was handled is remembered across connections */
    redisFree(c);
    world_close(&f->ws);
}

static void test_frozen(void **state)
{
    static struct many many;
    struct fixture *f = *state;
    uint64_t begun, took;

    start(f, NULL);
    world_open_with(&f->world, &f->ws, f->url, &identity, 1500, 100000);
    world_until_up(&f->ws);
    redis_server_freeze(&f->server);
    begun = world_now_ms();
    ask_many(f, &many);
    world_until(&f->world, &many.is_done);
    took = world_now_ms() - begun;
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    assert_in_range(took, 1490, 20000);
    assert_string_equal(status_of(f).detail, "no answer in time");
    until_detail(f, "greeting: no answer in time"); /* the kernel still accepts for it */
    redis_server_thaw(&f->server);
    world_until_up(&f->ws);
    ask_many(f, &many);
    world_until(&f->world, &many.is_done);
    assert_int_equal(count_results(&many, 0), MANY);

    /* Its end waits for a second at most. */
    redis_server_freeze(&f->server);
    ask_many(f, &many);
    begun = world_now_ms();
    store_stop(f->ws.store);
    took = world_now_ms() - begun;
    assert_in_range(took, 900, 20000);
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    redis_server_thaw(&f->server);
    world_close(&f->ws);
}

static void test_stop_flushes(void **state)
{
    static struct many many;
    struct fixture *f = *state;
    redisContext *c;

    start(f, NULL);
    c = meddle(f);
    open_up(f);
    assert_int_equal(world_lease(&f->ws, NODE, 1, 60000), 0);
    ask_many(f, &many);
    store_lease_release(f->ws.store, NODE, 1);
    store_stop(f->ws.store);
    assert_int_equal(count_results(&many, 0), MANY); /* answered truly */
    freeReplyObject(redis_server_ask(c, "PING"));
    {
        redisReply *reply = redis_server_ask(c, "HLEN %snodes", f->world.prefix);

        assert_int_equal(reply->integer, 0);
        freeReplyObject(reply);
    }
    redisFree(c);
    world_close(&f->ws);
}

static void test_pending_is_bounded(void **state)
{
    static struct many many;
    struct fixture *f = *state;

    start(f, NULL);
    world_open_with(&f->world, &f->ws, f->url, &identity, 5000, 10);
    world_until_up(&f->ws);
    ask_many(f, &many);
    assert_int_equal(many.answered, 0);
    world_until(&f->world, &many.is_done);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(many.at[i].result, i < 10 ? 0 : STORE_E_UNAVAILABLE);
    assert_true(f->ws.is_up);
    world_close(&f->ws);
}

/** What the log said while @f's test ran. */
static char *read_log(int fd)
{
    char *text = calloc(1, 65536);

    assert_true(pread(fd, text, 65535, 0) >= 0);
    return text;
}

static void test_password(void **state)
{
    static const char *const wanted[] = {"--requirepass", "se:c/r@t", "--user", "bob",     "on",
                                         ">b0b",          "~*",       "+@all",  "-config", NULL};
    struct fixture *f = *state;
    char path[] = "/tmp/warren-log-XXXXXX";
    int fd = mkstemp(path);
    char *log;

    assert_true(fd >= 0);
    (void)unlink(path);
    log_set_fd(fd);
    start(f, wanted);
    world_open(&f->world, &f->ws, f->url, &identity);
    until_detail(f, "PING: NOAUTH");
    world_close(&f->ws);

    (void)snprintf(f->url, sizeof(f->url), "redis://:wrong-w0rd@127.0.0.1:%d", f->server.port);
    world_open(&f->world, &f->ws, f->url, &identity);
    until_detail(f, "AUTH: WRONGPASS");
    assert_false(f->ws.is_up);
    assert_null(strstr(status_of(f).detail, "wrong-w0rd"));
    assert_null(strstr(status_of(f).server, "wrong-w0rd"));
    world_close(&f->ws);

    (void)snprintf(f->url, sizeof(f->url), "redis://:se%%3Ac%%2Fr%%40t@127.0.0.1:%d/2", f->server.port);
    open_up(f);
    assert_string_equal(status_of(f).eviction_policy, "noeviction");
    world_close(&f->ws);

    (void)snprintf(f->url, sizeof(f->url), "redis://bob:b0b@127.0.0.1:%d", f->server.port);
    open_up(f); /* who may not CONFIG is served, and knows no policy */
    assert_string_equal(status_of(f).eviction_policy, "");
    assert_non_null(strstr(status_of(f).server, "bob@127.0.0.1"));
    assert_int_equal(world_lease(&f->ws, NODE, 1, 1000), 0);
    world_close(&f->ws);

    log_set_fd(-1);
    log = read_log(fd);
    assert_non_null(strstr(log, "redis connected"));
    assert_non_null(strstr(log, "WRONGPASS"));
    assert_null(strstr(log, "wrong-w0rd"));
    assert_null(strstr(log, "se:c/r@t"));
    assert_null(strstr(log, "se%3Ac"));
    assert_null(strstr(log, "b0b"));
    free(log);
    (void)close(fd);
}

static void test_database(void **state)
{
    struct fixture *f = *state;
    redisContext *c;

    start(f, NULL);
    c = meddle(f);
    (void)snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%d/5", f->server.port);
    open_up(f);
    assert_int_equal(world_lease(&f->ws, NODE, 1, 1000), 0);
    assert_int_equal(ask_integer(c, "DBSIZE"), 0);
    tell(c, "SELECT 5");
    assert_int_equal(ask_integer(c, "DBSIZE"), STANDING_KEYS + 1);
    world_close(&f->ws);
    (void)snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%d/4000", f->server.port);
    world_open(&f->world, &f->ws, f->url, &identity);
    until_detail(f, "SELECT: ERR");
    world_close(&f->ws);
    redisFree(c);
}

static void test_unix_socket(void **state)
{
    struct fixture *f = *state;
    redisContext *c;

    start(f, NULL);
    c = meddle(f);
    (void)snprintf(f->url, sizeof(f->url), "unix://%s?db=3", f->server.socket);
    open_up(f);
    assert_string_equal(status_of(f).server, f->url);
    assert_int_equal(world_lease(&f->ws, NODE, 1, 1000), 0);
    tell(c, "SELECT 3");
    assert_int_equal(ask_integer(c, "DBSIZE"), STANDING_KEYS + 1);
    redis_server_kill(&f->server);
    world_until_down(&f->ws);
    until_detail(f, "connect: Connection refused");
    redisFree(c);
    world_close(&f->ws);
}

static void test_host_name(void **state)
{
    struct fixture *f = *state;

    start(f, NULL);
    /* "localhost" may be ::1 first, where this server does not listen: the next address is tried in the same attempt.
     */
    (void)snprintf(f->url, sizeof(f->url), "redis://localhost:%d", f->server.port);
    open_up(f);
    world_close(&f->ws);
    world_open(&f->world, &f->ws, "redis://name.invalid", &identity);
    until_detail(f, "cannot resolve name.invalid");
    world_close(&f->ws);
}

static void test_out_of_memory(void **state)
{
    static struct world_leases leases;
    struct fixture *f = *state;
    redisContext *c;
    bool seen;

    start(f, NULL);
    c = meddle(f);
    open_up(f);
    tell(c, "CONFIG SET maxmemory 1");
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), STORE_E_UNAVAILABLE);
    assert_non_null(strstr(status_of(f).detail, "OOM"));
    assert_int_equal(world_leases(&f->ws, &leases), 0); /* a read is not refused */
    assert_true(f->ws.is_up);
    tell(c, "CONFIG SET maxmemory 0");
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    assert_false(seen);
    assert_int_equal(status_of(f).reconnects, 0);
    redisFree(c);
    world_close(&f->ws);
}

static void test_became_a_replica(void **state)
{
    static struct many many;
    struct fixture *f = *state;
    redisContext *c;
    bool seen;

    start(f, NULL);
    c = meddle(f);
    open_up(f);
    tell(c, "REPLICAOF 127.0.0.1 1");
    ask_many(f, &many);
    world_until(&f->world, &many.is_done);
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    assert_int_equal(f->ws.changes, 2);
    assert_false(f->ws.is_up);
    assert_non_null(strstr(status_of(f).detail, "READONLY"));
    tell(c, "REPLICAOF NO ONE");
    world_until_up(&f->ws);
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    redisFree(c);
    world_close(&f->ws);
}

static void test_scripts_are_flushed(void **state)
{
    struct fixture *f = *state;
    redisContext *c;
    bool seen;

    start(f, NULL);
    c = meddle(f);
    open_up(f);
    tell(c, "SCRIPT FLUSH");
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), STORE_E_UNAVAILABLE);
    world_until_up(&f->ws);
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    redisFree(c);
    world_close(&f->ws);
}

static void test_foreign_values(void **state)
{
    static struct world_sessions sessions;
    static struct world_leases leases;
    static struct world_parts parts;
    struct fixture *f = *state;
    const char *prefix = f->world.prefix;
    redisContext *c;

    start(f, NULL);
    c = meddle(f);
    open_up(f);
    assert_int_equal(world_lease(&f->ws, NODE, 1, 60000), 0);
    freeReplyObject(redis_server_ask(c,
                                     "HSET %snodes a garbage b {\"incarnation\":\"1\",\"until\":1,\"node\":\"b\"} "
                                     "c {\"incarnation\":\"0000000000000001\",\"until\":9999999999999,\"node\":\"c\"",
                                     prefix));
    freeReplyObject(redis_server_ask(c, "HSET %suser:7 s1 garbage s2 %s", prefix, "{\xff\xc1"));
    freeReplyObject(redis_server_ask(c, "HSET %sonline:{r} %s []", prefix, NODE));
    freeReplyObject(redis_server_ask(c, "SET %suser:8 text", prefix));
    assert_int_equal(world_leases(&f->ws, &leases), 0);
    assert_int_equal(leases.count, 1);
    {
        redisReply *reply = redis_server_ask(c, "HLEN %snodes", prefix);

        assert_int_equal(reply->integer, 2); /* garbage, and what ended long ago, was dropped */
        freeReplyObject(reply);
    }
    assert_int_equal(world_user(&f->ws, "7", &sessions), 0);
    assert_int_equal(sessions.count, 0);
    assert_int_equal(world_parts(&f->ws, "r", true, &parts), 0);
    assert_int_equal(parts.count, 0);
    assert_int_equal(world_user(&f->ws, "8", &sessions), STORE_E_UNAVAILABLE);
    assert_non_null(strstr(status_of(f).detail, "WRONGTYPE"));
    assert_int_equal(world_session(&f->ws, "7", "s3", NULL, false), 0);
    assert_int_equal(world_user(&f->ws, "7", &sessions), 0);
    assert_int_equal(sessions.count, 1);
    {
        redisReply *reply = redis_server_ask(c, "HLEN %suser:7", prefix);

        assert_int_equal(reply->integer, 1); /* the garbage was pruned */
        freeReplyObject(reply);
    }
    assert_true(f->ws.is_up);
    assert_int_equal(status_of(f).reconnects, 0);
    redisFree(c);
    world_close(&f->ws);
}

/** Everything that is stated is gone by itself when nobody restates it. */
static void test_keys_expire(void **state)
{
    static const char *const names[] = {"7"};
    struct store_identity who = identity;
    struct fixture *f = *state;
    redisContext *c;
    bool seen;

    who.expiry_ms = 200;
    who.seen_window_ms = 200;
    start(f, NULL);
    c = meddle(f);
    world_open(&f->world, &f->ws, f->url, &who);
    world_until_up(&f->ws);
    assert_int_equal(world_seen(&f->ws, SLICE_LITERAL("a"), &seen), 0);
    assert_int_equal(world_session(&f->ws, "7", "s", NULL, false), 0);
    assert_int_equal(world_room(&f->ws, "r", 1, names, 1), 0);
    for (int i = 0; i < 500 && ask_integer(c, "DBSIZE") > STANDING_KEYS; i++)
        world_pass(&f->world, 10);
    assert_int_equal(ask_integer(c, "DBSIZE"), STANDING_KEYS);
    redisFree(c);
    world_close(&f->ws);
}

/* ---- servers that are none ---- */

/** A child that accepts on a port and says @begin, then @again for ever (or closes, if that is empty). */
static pid_t lie(int *ret_port, const char *begin, const char *again)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        (void)close(listener);
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        ssize_t n = send(fd, begin, strlen(begin), MSG_NOSIGNAL);

        while (n > 0 && *again)
            n = send(fd, again, strlen(again), MSG_NOSIGNAL);
        (void)close(fd);
    }
}

static void test_no_redis(void **state)
{
    static char zeros[65537];
    struct fixture *f = *state;
    const struct {
        const char *begin, *again, *detail;
    } lies[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "", "Protocol error"},
        {"+", "", "closed by the server"},
        {"+PONG\r\n+OK\r\n", "+OK\r\n", "SCRIPT LOAD: unexpected reply"},
        {"$500000000\r\n", zeros, "a reply without end"},
        {"*2\r\n$1\r\na\r\n", "", "closed by the server"},
        {"-LOADING Redis is loading the dataset in memory\r\n", "", "PING: LOADING"},
    };

    memset(zeros, '0', sizeof(zeros) - 1);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(lies); i++) {
        int port;
        pid_t pid = lie(&port, lies[i].begin, lies[i].again);

        (void)snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%d", port);
        world_open_with(&f->world, &f->ws, f->url, &identity, 60000, 100000); /* 64 MiB take a busy machine long */
        until_detail(f, lies[i].detail);
        assert_false(f->ws.is_up);
        assert_int_equal(f->ws.changes, 0);
        world_close(&f->ws);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
}

static void test_probe(void **state)
{
    static const char *const wanted[] = {
        "--requirepass", "secret", "--maxmemory-policy", "allkeys-lru", "--stream-node-max-bytes", "512", NULL};
    struct redis_findings found = {0};
    char storage[256] = "";
    struct fixture *f = *state;
    uint64_t begun;
    const char *wrong;

    start(f, wanted);
    wrong = redis_probe(f->url, 10000, &found, storage);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, "NOAUTH"));
    (void)snprintf(f->url, sizeof(f->url), "redis://:secret@127.0.0.1:%d/1", f->server.port);
    assert_null(redis_probe(f->url, 10000, &found, storage));
    assert_string_equal(found.policy, "allkeys-lru");
    assert_string_equal(found.stream_node_bytes, "512");
    assert_true(found.version[0] >= '1' && found.version[0] <= '9');
    redis_server_freeze(&f->server);
    begun = world_now_ms();
    wrong = redis_probe(f->url, 200, &found, storage);
    assert_in_range(world_now_ms() - begun, 150, 20000);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, "no answer in time"));
    redis_server_thaw(&f->server);
    redis_server_kill(&f->server);
    wrong = redis_probe(f->url, 200, &found, storage);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, "connect"));
    assert_non_null(redis_probe("nonsense", 200, &found, storage));
}

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    world_init(&f.world);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->ws.store) /* the test failed half-way */
        world_close(&f->ws);
    if (f->server.port)
        redis_server_end(&f->server);
    world_deinit(&f->world);
    return 0;
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_killed_and_restarted),
        FAULT_TEST(test_idle_connection_is_missed),
        FAULT_TEST(test_frozen),
        FAULT_TEST(test_stop_flushes),
        FAULT_TEST(test_pending_is_bounded),
        FAULT_TEST(test_password),
        FAULT_TEST(test_database),
        FAULT_TEST(test_unix_socket),
        FAULT_TEST(test_host_name),
        FAULT_TEST(test_out_of_memory),
        FAULT_TEST(test_became_a_replica),
        FAULT_TEST(test_scripts_are_flushed),
        FAULT_TEST(test_foreign_values),
        FAULT_TEST(test_keys_expire),
        FAULT_TEST(test_no_redis),
        FAULT_TEST(test_probe),
    };

    if (!redis_server_is_installed()) {
        fprintf(stderr, "skipped: there is no redis-server\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("store/faults", tests, NULL, NULL);
}
