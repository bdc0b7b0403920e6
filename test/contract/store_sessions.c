/*
 * Sessions stated in batches, over a backend each time: `contract_store_sessions memory`, or `redis` at
 * WARREN_TEST_REDIS_URL; and with `faults` over a Redis of its own that is meddled with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_world.h"
#include "support/redis_server.h"

#include <stdio.h>

#define SKIPPED 77
#define NODE "10.0.0.5:8091"

static const char *url; /* NULL: memory */

static const struct store_identity identity = {
    .node = NODE, .incarnation = 0xfedcba9876543210, .seen_window_ms = 60000, .expiry_ms = 60000};

static void open_up(struct world *w, struct world_store *ws, const struct store_identity *who)
{
    world_open(w, ws, url, who);
    world_until_up(ws);
    assert_int_equal(world_lease(ws, NODE, who->incarnation, 60000), 0);
}

static size_t count_of(struct world_store *ws, const char *user)
{
    static struct world_sessions found;

    assert_int_equal(world_user(ws, user, &found), 0);
    return found.count;
}

static void put_all(struct world_store *ws, struct store_session_item *items, size_t count)
{
    assert_int_equal(world_sessions(ws, items, count), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i].result, 0);
}

/** As many as fit, of three users; ends, and beginnings that were stated before, among them. */
static void test_batch(void **state)
{
    enum { COUNT = STORE_SESSIONS_PUT_MAX };
    static const char *const users[] = {"a", "b é", "c\"\\\n"};
    static struct store_session_item items[COUNT];
    static struct world_sessions found;
    static char ids[COUNT][16];
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "s%zu", i);
        items[i] = world_session_item(users[i % 3], ids[i], i % 2 ? "phone" : NULL, false);
    }
    put_all(&ws, items, COUNT);
    for (size_t u = 0; u < 3; u++) {
        bool was_found[COUNT] = {0};

        assert_int_equal(world_user(&ws, users[u], &found), 0);
        assert_int_equal(found.count, (COUNT - u + 2) / 3);
        for (size_t i = 0; i < found.count; i++) {
            size_t n = (size_t)strtoul(found.at[i].session + 1, NULL, 10);

            assert_true(n < COUNT && n % 3 == u && !was_found[n]);
            was_found[n] = true;
            assert_string_equal(found.at[i].session, ids[n]);
            assert_string_equal(found.at[i].node, NODE);
            assert_int_equal(found.at[i].has_device, n % 2);
            assert_true(found.at[i].since_ms == 1700000000456);
        }
    }
    for (size_t i = 0; i < COUNT; i++) { /* the same again, but every fourth has ended */
        items[i].result = -1;
        items[i].is_end = i % 4 == 0;
    }
    for (int round = 0; round < 2; round++) {
        put_all(&ws, items, COUNT);
        assert_int_equal(count_of(&ws, users[0]) + count_of(&ws, users[1]) + count_of(&ws, users[2]), COUNT * 3 / 4);
    }
    for (size_t i = 0; i < COUNT; i++)
        items[i].is_end = true;
    put_all(&ws, items, COUNT);
    for (size_t u = 0; u < 3; u++)
        assert_int_equal(count_of(&ws, users[u]), 0);
    world_close(&ws);
}

/** Of one session's statements the last one stands, whichever it is. */
static void test_one_session_in_a_batch(void **state)
{
    static struct world_sessions found;
    struct world *w = *state;
    struct world_store ws;
    struct store_session_item items[] = {
        world_session_item("7", "s1", "old", false), world_session_item("7", "s1", NULL, true),
        world_session_item("7", "s2", NULL, true),   world_session_item("7", "s2", "first", false),
        world_session_item("7", "s2", "new", false), world_session_item("7", "s3", NULL, false),
        world_session_item("7", "s3", NULL, true),   world_session_item("7", "s3", NULL, false),
    };

    open_up(w, &ws, &identity);
    put_all(&ws, items, BASE_ARRAY_SIZE(items));
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_second = strcmp(found.at[i].session, "s2") == 0;

        assert_string_equal(found.at[i].session, is_second ? "s2" : "s3");
        assert_string_equal(found.at[i].device, is_second ? "new" : "");
    }
    assert_string_not_equal(found.at[0].session, found.at[1].session);
    world_close(&ws);
}

/** Who is in a batch again stays, who is not goes; and another incarnation's statements do not count. */
static void test_expiry_and_incarnation(void **state)
{
    struct store_identity who = identity;
    static struct world_sessions found;
    struct world *w = *state;
    struct world_store ws;
    struct store_session_item items[] = {world_session_item("7", "kept", NULL, false),
                                         world_session_item("8", "other", NULL, false),
                                         world_session_item("7", "old", NULL, false)};

    who.expiry_ms = 3000;
    open_up(w, &ws, &who);
    put_all(&ws, items, 3);
    assert_int_equal(count_of(&ws, "7"), 2);
    do {
        put_all(&ws, items, 2);
        assert_int_equal(world_user(&ws, "7", &found), 0);
        world_pass(w, 20);
    } while (found.count == 2);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.at[0].session, "kept");
    assert_int_equal(count_of(&ws, "8"), 1);
    store_lease_release(ws.store, NODE, who.incarnation);
    assert_int_equal(world_lease(&ws, NODE, who.incarnation + 1, 60000), 0);
    put_all(&ws, items, 3);
    assert_int_equal(count_of(&ws, "7"), 0);
    assert_int_equal(count_of(&ws, "8"), 0);
    world_close(&ws);
}

/** Asked while it is away: refused as a whole, and nothing of it is there afterwards. */
static void test_away(void **state)
{
    struct world *w = *state;
    struct world_store ws;
    struct store_session_item items[] = {world_session_item("7", "s1", NULL, false),
                                         world_session_item("8", "s2", NULL, false)};

    world_open(w, &ws, url, &identity);
    assert_int_equal(world_sessions(&ws, items, 2), STORE_E_UNAVAILABLE);
    world_until_up(&ws);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(count_of(&ws, "7") + count_of(&ws, "8"), 0);
    put_all(&ws, items, 2);
    assert_int_equal(count_of(&ws, "7") + count_of(&ws, "8"), 2);
    world_close(&ws);
}

/* ---- a server that is meddled with ---- */

static struct redis_server server;
static char server_url[256];

static void tell(redisContext *c, const char *command)
{
    redisReply *reply = redis_server_say(c, command);

    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

static struct store_status status_of(struct world_store *ws)
{
    struct store_status status;

    store_status(ws->store, &status);
    return status;
}

/** Another program's value in the place of one user takes nobody else along. */
static void test_foreign_value(void **state)
{
    struct world *w = *state;
    struct world_store ws;
    redisContext *c = redis_server_connect("127.0.0.1", server.port);
    struct store_session_item items[] = {
        world_session_item("1", "s1", NULL, false), world_session_item("8", "s2", NULL, false),
        world_session_item("3", "s3", NULL, false), world_session_item("8", "s4", NULL, true),
        world_session_item("1", "s5", NULL, false)};

    open_up(w, &ws, &identity);
    freeReplyObject(redis_server_ask(c, "SET %suser:8 text", w->prefix));
    assert_int_equal(world_sessions(&ws, items, BASE_ARRAY_SIZE(items)), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(items); i++)
        assert_int_equal(items[i].result, i % 2 ? STORE_E_UNAVAILABLE : 0);
    assert_non_null(strstr(status_of(&ws).detail, "WRONGTYPE"));
    assert_int_equal(count_of(&ws, "1"), 2);
    assert_int_equal(count_of(&ws, "3"), 1);
    assert_int_equal(world_sessions(&ws, items + 1, 1), STORE_E_UNAVAILABLE); /* alone it is refused as a whole */
    freeReplyObject(redis_server_ask(c, "DEL %suser:8", w->prefix));
    put_all(&ws, items, BASE_ARRAY_SIZE(items));
    assert_int_equal(count_of(&ws, "8"), 1);
    assert_int_equal(status_of(&ws).reconnects, 0);
    redisFree(c);
    world_close(&ws);
}

/** A server that is full takes no beginnings; ends need no memory. */
static void test_full(void **state)
{
    struct world *w = *state;
    struct world_store ws;
    redisContext *c = redis_server_connect("127.0.0.1", server.port);
    struct store_session_item begun = world_session_item("1", "s1", NULL, false);
    struct store_session_item items[] = {world_session_item("2", "s2", NULL, false),
                                         world_session_item("3", "s3", NULL, false),
                                         world_session_item("1", "s1", NULL, true)};

    open_up(w, &ws, &identity);
    put_all(&ws, &begun, 1);
    tell(c, "CONFIG SET maxmemory 1");
    assert_int_equal(world_sessions(&ws, items, 2), STORE_E_UNAVAILABLE);
    assert_non_null(strstr(status_of(&ws).detail, "OOM"));
    assert_int_equal(count_of(&ws, "2") + count_of(&ws, "3"), 0);
    assert_int_equal(world_sessions(&ws, items, 3), 0);
    assert_int_equal(items[0].result, STORE_E_UNAVAILABLE);
    assert_int_equal(items[1].result, STORE_E_UNAVAILABLE);
    assert_int_equal(items[2].result, 0);
    assert_int_equal(count_of(&ws, "1") + count_of(&ws, "2") + count_of(&ws, "3"), 0);
    tell(c, "CONFIG SET maxmemory 0");
    put_all(&ws, items, 3);
    assert_int_equal(count_of(&ws, "2") + count_of(&ws, "3"), 2);
    assert_int_equal(status_of(&ws).reconnects, 0);
    redisFree(c);
    world_close(&ws);
}

/** What is no primary any more is no matter of one session: all is refused, and the connection is made anew. */
static void test_became_a_replica(void **state)
{
    struct world *w = *state;
    struct world_store ws;
    redisContext *c = redis_server_connect("127.0.0.1", server.port);
    struct store_session_item items[] = {world_session_item("2", "s2", NULL, false),
                                         world_session_item("3", "s3", NULL, true)};

    open_up(w, &ws, &identity);
    tell(c, "REPLICAOF 127.0.0.1 1");
    assert_int_equal(world_sessions(&ws, items, 2), STORE_E_UNAVAILABLE);
    assert_non_null(strstr(status_of(&ws).detail, "READONLY"));
    world_until_down(&ws);
    tell(c, "REPLICAOF NO ONE");
    world_until_up(&ws);
    put_all(&ws, items, 2);
    assert_int_equal(count_of(&ws, "2"), 1);
    redisFree(c);
    world_close(&ws);
}

static int set_up(void **state)
{
    static struct world w;

    world_init(&w);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world_deinit(*state);
    return 0;
}

static int server_up(void **state)
{
    redis_server_start(&server, NULL);
    (void)snprintf(server_url, sizeof(server_url), "redis://127.0.0.1:%d", server.port);
    url = server_url;
    return set_up(state);
}

static int server_down(void **state)
{
    redis_server_end(&server);
    return tear_down(state);
}

static int skipped(const char *why)
{
    fprintf(stderr, "skipped: %s\n", why);
    return SKIPPED;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_session_in_a_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expiry_and_incarnation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away, set_up, tear_down),
    };
    const struct CMUnitTest faults[] = {
        cmocka_unit_test_setup_teardown(test_foreign_value, server_up, server_down),
        cmocka_unit_test_setup_teardown(test_full, server_up, server_down),
        cmocka_unit_test_setup_teardown(test_became_a_replica, server_up, server_down),
    };

    if (argc > 1 && strcmp(argv[1], "faults") == 0) {
        if (!redis_server_is_installed())
            return skipped("there is no redis-server");
        return cmocka_run_group_tests_name("store_sessions/faults", faults, NULL, NULL);
    }
    if (argc > 1 && strcmp(argv[1], "redis") == 0) {
        url = getenv("WARREN_TEST_REDIS_URL");
        if (!url || !*url)
            return skipped("WARREN_TEST_REDIS_URL is not set");
    }
    return cmocka_run_group_tests_name(url ? "store_sessions/redis" : "store_sessions/memory", tests, NULL, NULL);
}
