/*
 * Which rooms there are, over a backend each time: `contract_store_rooms memory`, or `redis` at WARREN_TEST_REDIS_URL;
 * and with `faults` over a Redis of its own that has other things in it.
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
#define OTHER "10.0.0.5:809" /* the beginning of the other name */

static const char *url; /* NULL: memory */
static struct redis_server server;
static char server_url[64];

static const struct store_identity identity = {
    .node = NODE, .incarnation = 0xfedcba9876543210, .seen_window_ms = 60000, .expiry_ms = 60000};

static void open_up(struct world *w, struct world_store *ws, const struct store_identity *who, uint64_t lease_ms)
{
    world_open(w, ws, url, who);
    world_until_up(ws);
    assert_int_equal(world_lease(ws, who->node, who->incarnation, lease_ms), 0);
}

/** As a node states it: connections and users of its part. */
static void put(struct world_store *ws, enum store_room_mode mode, const char *room, uint64_t connections,
                const struct slice *users, size_t count)
{
    struct store_room_put put = {.room = slice_from(room),
                                 .mode = mode,
                                 .is_first = true,
                                 .version = 1,
                                 .connections = connections,
                                 .users = mode == STORE_ROOM_CONNECTIONS ? connections : count,
                                 .joined = users,
                                 .joined_count = count,
                                 .tell_interval_ms = 60000};

    assert_int_equal(world_change(ws, &put), 0);
}

static const struct world_line *line_of(const struct world_lines *all, const char *room)
{
    const struct world_line *found = NULL;

    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->at[i].room, room) != 0)
            continue;
        assert_null(found);
        found = &all->at[i];
    }
    return found;
}

static void assert_line(const struct world_lines *all, const char *room, uint64_t users, uint64_t connections,
                        uint64_t nodes)
{
    const struct world_line *line = line_of(all, room);

    assert_non_null(line);
    assert_int_equal(line->users, users);
    assert_int_equal(line->connections, connections);
    assert_int_equal(line->nodes, nodes);
}

/** All pages; of a room that stands in two of them the last line is kept. */
static void read_all(struct world_store *ws, size_t limit, struct world_lines *ret_all)
{
    static struct world_lines page;
    char cursor[32] = "";

    ret_all->count = 0;
    do {
        assert_int_equal(world_rooms(ws, cursor[0] ? cursor : NULL, limit, &page), 0);
        assert_true(page.count <= 2 * limit + 20); /* places of a hash table, of which one may have several */
        for (size_t i = 0; i < page.count; i++) {
            size_t at = 0;

            while (at < ret_all->count && strcmp(ret_all->at[at].room, page.at[i].room) != 0)
                at++;
            assert_true(at < BASE_ARRAY_SIZE(ret_all->at));
            ret_all->at[at] = page.at[i];
            ret_all->count += at == ret_all->count;
        }
        (void)snprintf(cursor, sizeof(cursor), "%s", page.next);
    } while (cursor[0]);
}

/** Whatever their names, and whatever the prefix of the keys: each as it was stated. */
static void test_names(void **state)
{
    static const char *const rooms[] = {"1", "kitchen/☕ \"", "{r} 1", "}", "{", "a*?[b]\\", "room:1}", "online:{1"};
    static const struct slice users[] = {SLICE_LITERAL("anna"), SLICE_LITERAL("bert")};
    static struct world_lines all;
    struct world *w = *state;
    struct world_store ws;
    size_t size = strlen(w->prefix);

    (void)snprintf(w->prefix + size, sizeof(w->prefix) - size, "a*[b]?^\\-c:");
    open_up(w, &ws, &identity, 60000);
    read_all(&ws, 10, &all);
    assert_int_equal(all.count, 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rooms); i++)
        put(&ws, i % 2 ? STORE_ROOM_ROSTER : STORE_ROOM_USERS, rooms[i], 2 + i, users, 1 + i % 2);
    put(&ws, STORE_ROOM_CONNECTIONS, "connections", 9, NULL, 0);
    read_all(&ws, 3, &all);
    assert_int_equal(all.count, BASE_ARRAY_SIZE(rooms) + 1);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rooms); i++)
        assert_line(&all, rooms[i], 1 + i % 2, 2 + i, 1);
    assert_line(&all, "connections", 9, 9, 1);
    put(&ws, STORE_ROOM_ROSTER, rooms[1], 0, NULL, 0);
    put(&ws, STORE_ROOM_CONNECTIONS, "connections", 4, NULL, 0);
    read_all(&ws, 500, &all);
    assert_int_equal(all.count, BASE_ARRAY_SIZE(rooms));
    assert_null(line_of(&all, rooms[1]));
    assert_line(&all, "connections", 4, 4, 1);
    world_close(&ws);
}

enum { ROOMS = 400 };

static void note_seen(const struct world_lines *page, bool seen[ROOMS])
{
    for (size_t i = 0; i < page->count; i++) {
        size_t number;

        if (sscanf(page->at[i].room, "stays %zu", &number) == 1)
            seen[number] = true;
    }
}

/** Every room is in a page, however small the pages, and no page is large; the same while rooms come and go. */
static void test_pages(void **state)
{
    static struct world_lines all, page;
    static bool seen[ROOMS];
    struct world *w = *state;
    struct world_store ws;
    char name[32];

    open_up(w, &ws, &identity, 60000);
    for (size_t i = 0; i < ROOMS; i++) {
        (void)snprintf(name, sizeof(name), "stays %zu", i);
        put(&ws, STORE_ROOM_CONNECTIONS, name, 1 + i, NULL, 0);
    }
    for (size_t limit = 1; limit <= STORE_ROOMS_PAGE_MAX; limit += limit < 3 ? 1 : 166) {
        read_all(&ws, limit, &all);
        assert_int_equal(all.count, ROOMS);
    }
    assert_int_equal(world_rooms(&ws, NULL, 7, &page), 0);
    for (unsigned n = 0; page.next[0]; n++) { /* one goes, one comes, with each page */
        (void)snprintf(name, sizeof(name), "stays %u", ROOMS / 2 + n);
        if (n < ROOMS / 2)
            put(&ws, STORE_ROOM_CONNECTIONS, name, 0, NULL, 0);
        (void)snprintf(name, sizeof(name), "comes %u", n);
        if (n < ROOMS / 2)
            put(&ws, STORE_ROOM_CONNECTIONS, name, 1, NULL, 0);
        note_seen(&page, seen);
        assert_int_equal(world_rooms(&ws, page.next, 7, &page), 0);
    }
    note_seen(&page, seen);
    for (size_t i = 0; i < ROOMS / 2; i++)
        assert_true(seen[i]);
    assert_int_equal(world_rooms(&ws, "nonsense", 500, &page), 0); /* from the beginning */
    assert_true(page.count > 0);
    world_close(&ws);
}

/** A room is where a lease is, and ends with what was stated. */
static void test_lease_and_expiry(void **state)
{
    struct store_identity short_lived = identity;
    static struct world_lines all;
    struct world *w = *state;
    struct world_store ws;

    short_lived.expiry_ms = 300;
    world_open(w, &ws, url, &short_lived);
    world_until_up(&ws);
    put(&ws, STORE_ROOM_CONNECTIONS, "r", 1, NULL, 0);
    read_all(&ws, 10, &all);
    assert_int_equal(all.count, 0);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    do { /* stated again before it expires, unless this machine sleeps */
        put(&ws, STORE_ROOM_CONNECTIONS, "r", 1, NULL, 0);
        read_all(&ws, 10, &all);
    } while (all.count == 0);
    assert_line(&all, "r", 1, 1, 1);
    do {
        world_pass(w, 10);
        read_all(&ws, 10, &all);
    } while (all.count > 0);
    world_close(&ws);
}

/** Who is on two nodes counts once; what is on a node that died counts no more. */
static void test_two_nodes(void **state)
{
    static const struct slice here[] = {SLICE_LITERAL("anna"), SLICE_LITERAL("both")};
    static const struct slice there[] = {SLICE_LITERAL("bert"), SLICE_LITERAL("both")};
    struct store_identity other = identity;
    static struct world_lines all;
    struct world *w = *state;
    struct world_store a, b;

    if (!url)
        skip(); /* the memory of one node has no other */
    other.node = OTHER;
    other.incarnation = 2;
    open_up(w, &a, &identity, 60000);
    open_up(w, &b, &other, 60000);
    put(&a, STORE_ROOM_ROSTER, "r", 3, here, 2);
    put(&b, STORE_ROOM_ROSTER, "r", 2, there, 2);
    put(&a, STORE_ROOM_CONNECTIONS, "counted", 5, NULL, 0);
    put(&b, STORE_ROOM_CONNECTIONS, "counted", 6, NULL, 0);
    put(&b, STORE_ROOM_USERS, "there", 1, there, 1);
    read_all(&a, 10, &all);
    assert_int_equal(all.count, 3);
    assert_line(&all, "r", 3, 5, 2);
    assert_line(&all, "counted", 11, 11, 2);
    assert_line(&all, "there", 1, 1, 1);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 100), 0);
    do {
        world_pass(w, 10);
        read_all(&a, 10, &all);
    } while (all.count > 2);
    read_all(&a, 10, &all); /* for of the pages read before some may be from before the lease's end */
    assert_line(&all, "r", 2, 3, 1);
    assert_line(&all, "counted", 5, 5, 1);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 60000), 0); /* it was only frozen */
    read_all(&b, 10, &all);
    assert_line(&all, "r", 3, 5, 2);
    world_close(&b);
    world_close(&a);
}

static void test_away(void **state)
{
    static struct world_lines page;
    struct world *w = *state;
    struct world_store ws;

    world_open(w, &ws, url, &identity); /* and is not up yet */
    assert_int_equal(world_rooms(&ws, NULL, 1, &page), STORE_E_UNAVAILABLE);
    assert_int_equal(page.count, 0);
    assert_string_equal(page.next, "");
    world_close(&ws);
}

/* ---- over a server with other things in it ---- */

/** Values that are none of ours take no room with them; and many other keys make pages empty, not long. */
static void test_among_others(void **state)
{
    static struct world_lines all, page;
    struct world *w = *state;
    struct world_store ws;
    redisContext *c = redis_server_connect("127.0.0.1", server.port);
    unsigned empty = 0;

    open_up(w, &ws, &identity, 60000);
    put(&ws, STORE_ROOM_CONNECTIONS, "r", 1, NULL, 0);
    freeReplyObject(redis_server_ask(c, "SET %sonline:{text} 1", w->prefix));
    freeReplyObject(redis_server_ask(c, "HSET %sonline:{hash} told 1 10.0.0.5:8091 nonsense", w->prefix));
    freeReplyObject(redis_server_ask(c, "HSET online:{r} a b"));
    freeReplyObject(redis_server_ask(c, "SET %susers:{r} 1", w->prefix));
    freeReplyObject(redis_server_ask(c, "DEBUG POPULATE 20000 other"));
    read_all(&ws, 500, &all);
    assert_int_equal(all.count, 1);
    assert_line(&all, "r", 1, 1, 1);
    assert_int_equal(world_rooms(&ws, NULL, 100, &page), 0);
    for (unsigned pages = 1; page.next[0]; pages++) {
        assert_true(pages < 40);
        empty += page.count == 0;
        assert_int_equal(world_rooms(&ws, page.next, 100, &page), 0);
    }
    assert_true(empty > 0);
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
    static const char *const arguments[] = {"--enable-debug-command", "yes", NULL};

    redis_server_start(&server, arguments);
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
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease_and_expiry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away, set_up, tear_down),
    };
    const struct CMUnitTest faults[] = {
        cmocka_unit_test_setup_teardown(test_among_others, server_up, server_down),
    };

    if (argc > 1 && strcmp(argv[1], "faults") == 0) {
        if (!redis_server_is_installed())
            return skipped("there is no redis-server");
        return cmocka_run_group_tests_name("store_rooms/faults", faults, NULL, NULL);
    }
    if (argc > 1 && strcmp(argv[1], "redis") == 0) {
        url = getenv("WARREN_TEST_REDIS_URL");
        if (!url || !*url)
            return skipped("WARREN_TEST_REDIS_URL is not set");
    }
    return cmocka_run_group_tests_name(url ? "store_rooms/redis" : "store_rooms/memory", tests, NULL, NULL);
}
