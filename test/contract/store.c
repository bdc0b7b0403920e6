/*
 * The contract of store/store.h, once over memory and once over Redis: `contract_store memory` or `contract_store
 * redis`, the latter at WARREN_TEST_REDIS_URL, with a prefix of its own each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_world.h"

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
}

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
    enum { STEPS = 60, STEP_MS = 20, WINDOW_MS = 400 };
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

static void test_lease(void **state)
{
    static struct world_leases leases;
    struct world *w = *state;
    struct world_store ws;
    int result;

    open_up(w, &ws, &identity);
    assert_int_equal(world_leases(&ws, &leases), 0);
    assert_int_equal(leases.count, 0);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation + 1, 60000), STORE_E_TAKEN);
    assert_int_equal(world_lease(&ws, "[2001:db8::1]:8091", 1, 300), 0);
    assert_int_equal(world_leases(&ws, &leases), 0);
    assert_int_equal(leases.count, 2);
    for (size_t i = 0; i < leases.count; i++) {
        const struct store_lease *l = &leases.at[i].lease;
        bool is_first = strcmp(leases.at[i].node, NODE) == 0;

        assert_true(is_first || strcmp(leases.at[i].node, "[2001:db8::1]:8091") == 0);
        assert_true(l->incarnation == (is_first ? identity.incarnation : 1));
        assert_int_equal(l->lease_ms, is_first ? 60000 : 300);
        assert_true(l->is_cut && !l->is_draining && l->is_alive);
        assert_true(l->lease_left_ms > 0 && l->lease_left_ms <= (is_first ? 60000 : 300));
        assert_int_equal(l->sessions, 7);
        assert_int_equal(l->rooms, 3);
        assert_true(l->started_ms == 1700000000123);
        assert_string_equal(leases.at[i].version, "1.2 \"x\"");
        assert_string_equal(leases.at[i].internal, "[::1]:9091");
    }
    /* Another start of that node is refused until the lease is over, and not longer. */
    do {
        result = world_lease(&ws, "[2001:db8::1]:8091", 2, 60000);
        world_pass(w, 10);
    } while (result == STORE_E_TAKEN);
    assert_int_equal(result, 0);
    world_close(&ws);
}

static void test_lease_end_and_release(void **state)
{
    static struct world_leases leases;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, 5, 50), 0);
    do {
        assert_int_equal(world_leases(&ws, &leases), 0);
        assert_int_equal(leases.count, 1); /* ended ones are shown */
        world_pass(w, 5);
    } while (leases.at[0].lease.is_alive);
    assert_true(leases.at[0].lease.lease_left_ms <= 0);
    assert_int_equal(world_lease(&ws, NODE, 6, 60000), 0);
    store_lease_release(ws.store, NODE, 5); /* not its lease any more */
    assert_int_equal(world_leases(&ws, &leases), 0);
    assert_int_equal(leases.count, 1);
    assert_true(leases.at[0].lease.incarnation == 6);
    store_lease_release(ws.store, NODE, 6);
    assert_int_equal(world_leases(&ws, &leases), 0);
    assert_int_equal(leases.count, 0);
    assert_int_equal(world_lease(&ws, NODE, 7, 60000), 0);
    world_close(&ws);
}

static void test_sessions(void **state)
{
    static struct world_sessions found;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_session(&ws, "7", "s1", "phone \"é\"\\", false), 0);
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 0); /* not under a lease */
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.at[0].user, "7");
    assert_string_equal(found.at[0].session, "s1");
    assert_string_equal(found.at[0].device, "phone \"é\"\\");
    assert_string_equal(found.at[0].node, NODE);
    assert_true(found.at[0].since_ms == 1700000000456);

    assert_int_equal(world_session(&ws, "7", "s2", NULL, false), 0);
    assert_int_equal(world_session(&ws, "7", "s1", "phone", true), 0);
    assert_int_equal(world_session(&ws, "7", "s1", NULL, true), 0); /* twice is no error */
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.at[0].session, "s2");
    assert_false(found.at[0].has_device);
    assert_int_equal(world_user(&ws, "8", &found), 0);
    assert_int_equal(found.count, 0);
    world_close(&ws);
}

static void test_lease_hides(void **state)
{
    static const char *const names[] = {"7"};
    static struct world_sessions found;
    static struct world_parts parts;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 300), 0);
    assert_int_equal(world_session(&ws, "7", "s1", NULL, false), 0);
    assert_int_equal(world_room(&ws, "r", 1, names, 1), 0);
    do {
        assert_int_equal(world_user(&ws, "7", &found), 0);
        assert_int_equal(world_parts(&ws, "r", false, &parts), 0);
        world_pass(w, 10);
    } while (found.count == 1 || parts.count == 1);
    assert_int_equal(found.count, 0);
    assert_int_equal(parts.count, 0);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 1); /* it was hidden, not lost */
    assert_int_equal(world_parts(&ws, "r", false, &parts), 0);
    assert_int_equal(parts.count, 1);
    store_lease_release(ws.store, NODE, identity.incarnation);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation + 1, 60000), 0);
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 0); /* under a living lease, but of another incarnation */
    assert_int_equal(world_parts(&ws, "r", false, &parts), 0);
    assert_int_equal(parts.count, 0);
    world_close(&ws);
}

static void test_expiry(void **state)
{
    static const char *const names[] = {"7"};
    struct store_identity who = identity;
    static struct world_sessions found;
    static struct world_parts parts;
    struct world *w = *state;
    struct world_store ws;

    who.expiry_ms = 300;
    open_up(w, &ws, &who);
    assert_int_equal(world_lease(&ws, NODE, who.incarnation, 60000), 0);
    assert_int_equal(world_session(&ws, "7", "old", NULL, false), 0);
    assert_int_equal(world_room(&ws, "r", 1, names, 1), 0);
    do { /* what is stated again stays, what is not goes */
        assert_int_equal(world_session(&ws, "7", "kept", NULL, false), 0);
        assert_int_equal(world_user(&ws, "7", &found), 0);
        assert_int_equal(world_parts(&ws, "r", false, &parts), 0);
        world_pass(w, 20);
    } while (found.count == 2 || parts.count == 1);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.at[0].session, "kept");
    assert_int_equal(parts.count, 0);
    world_close(&ws);
}

static void test_rooms(void **state)
{
    static char texts[STORE_ROOM_NAMES_MAX][140];
    static const char *names[STORE_ROOM_NAMES_MAX];
    static struct world_parts parts;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    for (size_t i = 0; i < STORE_ROOM_NAMES_MAX; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%zu 🦊 \"\\}%0100zu", i, i);
        names[i] = texts[i];
    }
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_room(&ws, "{r} 1", 900, names, STORE_ROOM_NAMES_MAX), 0);
    assert_int_equal(world_parts(&ws, "{r} 1", true, &parts), 0);
    assert_int_equal(parts.count, 1);
    assert_string_equal(parts.at[0].node, NODE);
    assert_int_equal(parts.at[0].connections, 900);
    assert_int_equal(parts.at[0].users, STORE_ROOM_NAMES_MAX);
    assert_int_equal(parts.at[0].name_count, STORE_ROOM_NAMES_MAX);
    for (size_t i = 0; i < STORE_ROOM_NAMES_MAX; i++)
        assert_string_equal(parts.at[0].names[i], texts[i]);

    assert_int_equal(world_room(&ws, "{r} 1", 2, names + 3, 1), 0); /* absolute, not added */
    assert_int_equal(world_parts(&ws, "{r} 1", false, &parts), 0);
    assert_int_equal(parts.at[0].connections, 2);
    assert_int_equal(parts.at[0].name_count, 0);
    assert_int_equal(world_parts(&ws, "{r} 1", true, &parts), 0);
    assert_int_equal(parts.at[0].name_count, 1);
    assert_string_equal(parts.at[0].names[0], texts[3]);
    assert_int_equal(world_room(&ws, "empty", 1, NULL, 0), 0);
    assert_int_equal(world_parts(&ws, "empty", true, &parts), 0);
    assert_int_equal(parts.count, 1);
    assert_int_equal(parts.at[0].name_count, 0);

    assert_int_equal(world_room(&ws, "{r} 1", 0, NULL, 0), 0);
    assert_int_equal(world_parts(&ws, "{r} 1", true, &parts), 0);
    assert_int_equal(parts.count, 0);
    world_close(&ws);
}

static void test_answers_are_bounded(void **state)
{
    enum { SESSIONS = 1200 };
    static char texts[SESSIONS][16];
    static struct world_sessions found;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    for (size_t i = 0; i < SESSIONS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "s%zu", i);
        assert_int_equal(world_session(&ws, "7", texts[i], NULL, false), 0);
    }
    assert_int_equal(world_user(&ws, "7", &found), 0);
    assert_int_equal(found.count, 1000);
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

static void on_ordered_room(struct store_room_read *r, int result, const struct store_room_part *at base_unused,
                            size_t n)
{
    if (result != 0)
        assert_int_equal(n, 0);
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
            o->session =
                (struct store_session_put){.session = {.user = o->id, .session = o->id}, .done = on_ordered_session};
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

    world_open(w, &ws, url, &identity);
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

    if (!url)
        skip(); /* the memory of one node has no other */
    other.node = "10.0.0.6:8091";
    other.incarnation = 2;
    open_up(w, &a, &identity);
    open_up(w, &b, &other);
    assert_int_equal(world_lease(&a, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 400), 0);
    assert_int_equal(world_session(&a, "7", "s1", NULL, false), 0);
    assert_int_equal(world_session(&b, "7", "s2", NULL, false), 0);
    assert_int_equal(world_room(&a, "r", 1, anna, 1), 0);
    assert_int_equal(world_room(&b, "r", 2, bert, 2), 0);
    assert_int_equal(world_user(&a, "7", &found), 0);
    assert_int_equal(world_parts(&b, "r", true, &parts), 0);
    assert_int_equal(found.count, 2);
    assert_int_equal(parts.count, 2);
    assert_int_equal(parts.at[0].connections + parts.at[1].connections, 3);
    assert_int_equal(parts.at[0].name_count + parts.at[1].name_count, 3);

    /* What one node handled the other has yet to handle. */
    assert_int_equal(world_seen(&a, SLICE_LITERAL("m"), &seen), 0);
    assert_false(seen);
    assert_int_equal(world_seen(&b, SLICE_LITERAL("m"), &seen), 0);
    assert_false(seen);

    /* The second node dies: its lease ends, and what it stated with it. */
    world_close(&b);
    do {
        assert_int_equal(world_user(&a, "7", &found), 0);
        assert_int_equal(world_parts(&a, "r", true, &parts), 0);
        world_pass(w, 10);
    } while (found.count == 2 || parts.count == 2);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.at[0].session, "s1");
    assert_int_equal(parts.count, 1);
    assert_string_equal(parts.at[0].names[0], "anna");

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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seen_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seen_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease_end_and_release, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sessions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease_hides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expiry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rooms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_nodes, set_up, tear_down),
    };

    if (argc > 1 && strcmp(argv[1], "redis") == 0) {
        url = getenv("WARREN_TEST_REDIS_URL");
        if (!url || !*url) {
            fprintf(stderr, "skipped: WARREN_TEST_REDIS_URL is not set\n");
            return SKIPPED;
        }
    }
    return cmocka_run_group_tests_name(url ? "store/redis" : "store/memory", tests, NULL, NULL);
}
