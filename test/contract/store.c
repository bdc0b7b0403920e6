/*
 * The contract of store/store.h, once over memory and once over Redis: `contract_store memory` or `contract_store
 * redis`, the latter at WARREN_TEST_REDIS_URL, with a prefix of its own each time. Here what is remembered, and the
 * order of it all; the rest is in store_presence.c and store_live.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_suite.h"

#include <stdio.h>

#define SKIPPED 77

const char *store_url;

static void test_seen(void **state)
{
    struct world *w = *state;
    struct world_store ws;
    bool seen = true;
    char big[3000], other[3000];

    memset(big, 'a', sizeof(big));
    memset(other, 'a', sizeof(other));
    other[sizeof(other) - 1] = 'b';
    open_up(w, &ws, &identity);
    const struct slice ids[] = {SLICE_LITERAL("one"),  SLICE_LITERAL("two"),         SLICE_LITERAL(""),
                                SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c\r\n"),    slice_make(big, STORE_SEEN_MAX),
                                slice_make(big, 2000), slice_make(big, sizeof(big)), slice_make(other, sizeof(other))};

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BASE_ARRAY_SIZE(ids); i++) {
            assert_int_equal(world_seen(&ws, ids[i], &seen), 0);
            assert_int_equal(seen, round > 0);
        }
    }
    world_close(&ws);
}

struct batch {
    struct store_seen r;
    struct world *w;
    bool is_done;
    int result;
};

static void on_batch(struct store_seen *r, int result)
{
    struct batch *b = container_of(r, struct batch, r);

    b->is_done = true;
    b->result = result;
    loop_stop(b->w->loop);
}

static void test_seen_batch(void **state)
{
    struct world *w = *state;
    struct world_store ws;
    static char texts[STORE_SEEN_MAX + 2][16];
    static struct slice ids[STORE_SEEN_MAX + 2];
    static bool seen[STORE_SEEN_MAX];

    open_up(w, &ws, &identity);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(ids); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "id-%zu", i);
        ids[i] = slice_from(texts[i]);
    }
    for (size_t shift = 0; shift < 3; shift++) {
        struct batch b = {.r = {.ids = ids + shift, .count = STORE_SEEN_MAX, .seen = seen, .done = on_batch}, .w = w};

        store_seen(ws.store, &b.r);
        assert_false(b.is_done);
        world_until(w, &b.is_done);
        assert_int_equal(b.result, 0);
        for (size_t i = 0; i < STORE_SEEN_MAX; i++) /* each round has one new id, the last */
            assert_int_equal(seen[i], shift > 0 && i < STORE_SEEN_MAX - 1);
    }
    world_close(&ws);
}

/* An id is asked for once only, since asking remembers it anew; so each moment has an id of its own, all remembered at
 * the beginning. */
static void test_seen_window(void **state)
{
    enum { STEPS = 60, STEP_MS = 60, WINDOW_MS = 2000 };
    struct store_identity who = identity;
    struct world *w = *state;
    struct world_store ws;
    uint64_t before, after, begun;
    unsigned kept = 0, gone = 0;
    char text[16];
    bool seen;

    who.seen_window_ms = WINDOW_MS;
    open_up(w, &ws, &who);
    before = world_now_ms();
    for (int i = 0; i < STEPS; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(world_seen(&ws, slice_from(text), &seen), 0);
        assert_false(seen);
    }
    after = world_now_ms();
    for (int i = 0; i < STEPS; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        begun = world_now_ms();
        assert_int_equal(world_seen(&ws, slice_from(text), &seen), 0);
        if (world_now_ms() - before < WINDOW_MS) { /* whenever it was asked, the window was not over */
            assert_true(seen);
            kept++;
        } else if (begun - after > WINDOW_MS * 3 / 2 + 50) {
            assert_false(seen);
            gone++;
        }
        world_pass(w, STEP_MS);
    }
    assert_true(kept > 0 && gone > 0);
    world_close(&ws);
}

/* ---- order ---- */

enum { ORDERED = 400 };

struct ordered {
    union {
        struct store_seen seen;
        struct store_session_put session;
        struct store_user_read user;
        struct store_room_read room;
        struct store_nodes_read nodes;
    };
    struct order *order;
    int result;
    struct slice id;
    struct store_session_item item;
    bool is_seen;
};

struct order {
    struct world *w;
    struct ordered at[ORDERED];
    size_t answered;
    bool is_asking, is_done;
};

static void on_ordered(struct ordered *o, int result)
{
    struct order *order = o->order;

    assert_false(order->is_asking); /* never from inside the request's function */
    assert_ptr_equal(o, &order->at[order->answered]);
    o->result = result;
    if (++order->answered == ORDERED) {
        order->is_done = true;
        loop_stop(order->w->loop);
    }
}

static void on_ordered_seen(struct store_seen *r, int result)
{
    on_ordered(container_of(r, struct ordered, seen), result);
}

static void on_ordered_session(struct store_session_put *r, int result)
{
    on_ordered(container_of(r, struct ordered, session), result);
}

static void on_ordered_user(struct store_user_read *r, int result, const struct store_session *at base_unused, size_t n)
{
    if (result != 0)
        assert_int_equal(n, 0);
    on_ordered(container_of(r, struct ordered, user), result);
}

static void on_ordered_room(struct store_room_read *r, int result, const struct store_room *room)
{
    assert_true((result == 0) == (room != NULL));
    on_ordered(container_of(r, struct ordered, room), result);
}

static void on_ordered_nodes(struct store_nodes_read *r, int result, const struct store_lease *at base_unused, size_t n)
{
    if (result != 0)
        assert_int_equal(n, 0);
    on_ordered(container_of(r, struct ordered, nodes), result);
}

static void ask_in_order(struct order *order, struct world *w, struct store *s)
{
    memset(order, 0, sizeof(*order));
    order->w = w;
    order->is_asking = true;
    for (size_t i = 0; i < ORDERED; i++) {
        struct ordered *o = &order->at[i];

        o->order = order;
        o->result = -1;
        o->id = SLICE_LITERAL("x");
        switch (i % 5) {
        case 0:
            o->seen = (struct store_seen){.ids = &o->id, .count = 1, .seen = &o->is_seen, .done = on_ordered_seen};
            store_seen(s, &o->seen);
            break;
        case 1:
            o->item = (struct store_session_item){.session = {.user = o->id, .session = o->id}};
            o->session = (struct store_session_put){.items = &o->item, .count = 1, .done = on_ordered_session};
            store_session_put(s, &o->session);
            break;
        case 2:
            o->user = (struct store_user_read){.user = o->id, .done = on_ordered_user};
            store_user_read(s, &o->user);
            break;
        case 3:
            o->room = (struct store_room_read){.room = o->id, .done = on_ordered_room};
            store_room_read(s, &o->room);
            break;
        default:
            o->nodes = (struct store_nodes_read){.done = on_ordered_nodes};
            store_nodes_read(s, &o->nodes);
            break;
        }
    }
    order->is_asking = false;
}

static void test_order(void **state)
{
    static struct order order;
    struct world *w = *state;
    struct store_status status;
    struct world_store ws;

    world_open(w, &ws, store_url, &identity);
    ask_in_order(&order, w, ws.store); /* before it is up: refused, in order, later */
    store_status(ws.store, &status);
    assert_int_equal(status.pending, ORDERED);
    world_until(w, &order.is_done);
    for (size_t i = 0; i < ORDERED; i++)
        assert_int_equal(order.at[i].result, STORE_E_UNAVAILABLE);
    world_until_up(&ws);
    ask_in_order(&order, w, ws.store);
    world_until(w, &order.is_done);
    for (size_t i = 0; i < ORDERED; i++)
        assert_int_equal(order.at[i].result, 0);
    store_status(ws.store, &status);
    assert_int_equal(status.pending, 0);
    assert_true(status.is_up);
    ask_in_order(&order, w, ws.store);
    store_stop(ws.store); /* whatever is open is answered before it returns */
    assert_int_equal(order.answered, ORDERED);
    store_status(ws.store, &status);
    assert_false(status.is_up);
    world_close(&ws);
}

/* ---- two nodes ---- */

static void test_two_nodes(void **state)
{
    static const char *const anna[] = {"anna"}, *const bert[] = {"bert", "berta"};
    static struct world_sessions found;
    static struct world_parts parts;
    struct world *w = *state;
    struct store_identity other = identity;
    struct world_store a, b;
    bool seen = true;

    if (!store_url)
        skip(); /* the memory of one node has no other */
    other.node = "10.0.0.6:8091";
    other.incarnation = 2;
    open_up(w, &a, &identity);
    open_up(w, &b, &other);
    assert_int_equal(world_lease(&a, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 60000), 0);
    assert_int_equal(world_session(&a, "7", "s1", NULL, false), 0);
    assert_int_equal(world_session(&b, "7", "s2", NULL, false), 0);
    assert_int_equal(world_room(&a, "r", 1, anna, 1), 0);
    assert_int_equal(world_room(&b, "r", 2, bert, 2), 0);
    assert_int_equal(world_user(&a, "7", &found), 0);
    assert_int_equal(world_parts(&b, "r", true, &parts), 0);
    assert_int_equal(found.count, 2);
    assert_int_equal(parts.count, 2);
    assert_int_equal(parts.at[0].connections + parts.at[1].connections, 3);
    assert_int_equal(parts.name_count, 3);

    /* What one node handled the other has yet to handle. */
    assert_int_equal(world_seen(&a, SLICE_LITERAL("m"), &seen), 0);
    assert_false(seen);
    assert_int_equal(world_seen(&b, SLICE_LITERAL("m"), &seen), 0);
    assert_false(seen);

    /* The second node dies: its lease ends, and what it stated with it. */
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 100), 0);
    world_close(&b);
    do {
        assert_int_equal(world_user(&a, "7", &found), 0);
        assert_int_equal(world_parts(&a, "r", true, &parts), 0);
        world_pass(w, 10);
    } while (found.count == 2 || parts.count == 2);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.at[0].session, "s1");
    assert_int_equal(parts.count, 1);
    assert_int_equal(parts.name_count, 1);
    assert_string_equal(parts.names[0], "anna");

    /* It starts again: a new life does not vouch for the old one's sessions, but remembers what was handled. */
    other.incarnation = 3;
    open_up(w, &b, &other);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 60000), 0);
    assert_int_equal(world_user(&b, "7", &found), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(world_seen(&b, SLICE_LITERAL("m"), &seen), 0);
    assert_true(seen);
    assert_int_equal(world_session(&b, "7", "s3", NULL, false), 0);
    assert_int_equal(world_session(&b, "7", "s2", NULL, true), 0); /* the end of the old one, late */
    assert_int_equal(world_user(&a, "7", &found), 0);
    assert_int_equal(found.count, 2);
    world_close(&b);
    world_close(&a);
}

int store_set_up(void **state)
{
    static struct world w;

    world_init(&w);
    *state = &w;
    return 0;
}

int store_tear_down(void **state)
{
    world_deinit(*state);
    return 0;
}

static int store_own_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seen, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_seen_batch, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_seen_window, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_order, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_two_nodes, store_set_up, store_tear_down),
    };

    return cmocka_run_group_tests_name(store_url ? "store/redis" : "store/memory", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "redis") == 0) {
        store_url = getenv("WARREN_TEST_REDIS_URL");
        if (!store_url || !*store_url) {
            fprintf(stderr, "skipped: WARREN_TEST_REDIS_URL is not set\n");
            return SKIPPED;
        }
    }
    return store_own_run() + store_presence_run() + store_live_run() > 0;
}
