/* The contract of store/store.h: leases, sessions, rooms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_suite.h"

#include <stdio.h>

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
    assert_int_equal(world_lease(&ws, "[2001:db8::1]:8091", 1, 3000), 0);
    assert_int_equal(world_leases(&ws, &leases), 0);
    assert_int_equal(leases.count, 2);
    for (size_t i = 0; i < leases.count; i++) {
        const struct store_lease *l = &leases.at[i].lease;
        bool is_first = strcmp(leases.at[i].node, NODE) == 0;

        assert_true(is_first || strcmp(leases.at[i].node, "[2001:db8::1]:8091") == 0);
        assert_true(l->incarnation == (is_first ? identity.incarnation : 1));
        assert_int_equal(l->lease_ms, is_first ? 60000 : 3000);
        assert_true(l->is_cut && !l->is_draining && l->is_alive);
        assert_true(l->lease_left_ms > 0 && l->lease_left_ms <= (is_first ? 60000 : 3000));
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

/** Who has the queue takes the lease of one that started earlier; the elder one gets it back from nobody. */
static void test_lease_taken_over(void **state)
{
    static struct world_leases leases;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, 1, 60000), 0);
    assert_int_equal(world_lease(&ws, NODE, 2, 60000), STORE_E_TAKEN);
    assert_int_equal(world_lease_over(&ws, NODE, 2, 60000, 0), STORE_E_TAKEN);
    assert_int_equal(world_lease_over(&ws, NODE, 2, 60000, 1), 0);
    assert_int_equal(world_lease(&ws, NODE, 1, 60000), STORE_E_TAKEN);
    assert_int_equal(world_lease_over(&ws, NODE, 1, 60000, 0), STORE_E_TAKEN);
    assert_int_equal(world_lease_over(&ws, NODE, 2, 60000, 1), 0);
    assert_int_equal(world_leases(&ws, &leases), 0);
    assert_int_equal(leases.count, 1);
    assert_true(leases.at[0].lease.incarnation == 2 && leases.at[0].lease.is_alive);
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
    /* of a room that may be otherwise, which the next statement is told: see test_room_of_two_nodes */
    assert_int_equal(world_room(&ws, "r", 1, names, 1), 0);
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

    who.expiry_ms = 3000;
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
        (void)snprintf(texts[i], sizeof(texts[i]), "%03zu 🦊 \"\\}%0100zu", i, i);
        names[i] = texts[i];
    }
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_room(&ws, "{r} 1", 900, names, STORE_ROOM_NAMES_MAX), 0);
    assert_int_equal(world_parts(&ws, "{r} 1", true, &parts), 0);
    assert_int_equal(parts.count, 1);
    assert_string_equal(parts.at[0].node, NODE);
    assert_int_equal(parts.at[0].connections, 900);
    assert_int_equal(parts.at[0].users, STORE_ROOM_NAMES_MAX);
    assert_int_equal(parts.users, STORE_ROOM_NAMES_MAX);
    assert_int_equal(parts.name_count, STORE_ROOM_NAMES_MAX);
    for (size_t i = 0; i < STORE_ROOM_NAMES_MAX; i++)
        assert_string_equal(parts.names[i], texts[i]);
    for (size_t i = 0; i < STORE_ROOM_NAMES_MAX; i += 7) {
        assert_int_equal(world_names(&ws, "{r} 1", i ? texts[i - 1] : NULL, 7, &parts), 0);
        assert_int_equal(parts.name_count, STORE_ROOM_NAMES_MAX - i < 7 ? STORE_ROOM_NAMES_MAX - i : 7);
        assert_string_equal(parts.names[0], texts[i]);
    }
    assert_int_equal(world_names(&ws, "{r} 1", "zzz", 7, &parts), 0);
    assert_int_equal(parts.name_count, 0);

    assert_int_equal(world_room(&ws, "{r} 1", 2, names + 3, 1), 0); /* absolute, not added */
    assert_int_equal(world_parts(&ws, "{r} 1", false, &parts), 0);
    assert_int_equal(parts.at[0].connections, 2);
    assert_int_equal(parts.name_count, 0);
    assert_int_equal(world_parts(&ws, "{r} 1", true, &parts), 0);
    assert_int_equal(parts.name_count, 1);
    assert_string_equal(parts.names[0], texts[3]);
    assert_int_equal(world_room(&ws, "empty", 1, NULL, 0), 0);
    assert_int_equal(world_parts(&ws, "empty", true, &parts), 0);
    assert_int_equal(parts.count, 1);
    assert_int_equal(parts.name_count, 0);

    assert_int_equal(world_room(&ws, "{r} 1", 0, NULL, 0), 0);
    assert_int_equal(world_parts(&ws, "{r} 1", true, &parts), 0);
    assert_int_equal(parts.count, 0);
    world_close(&ws);
}

/** A statement of what changed. */
static struct store_room_put change(uint64_t version, uint64_t connections, const struct slice *joined,
                                    size_t joined_count, const struct slice *left, size_t left_count)
{
    return (struct store_room_put){.room = SLICE_LITERAL("r"),
                                   .mode = STORE_ROOM_ROSTER,
                                   .version = version,
                                   .connections = connections,
                                   .users = connections,
                                   .joined = joined,
                                   .joined_count = joined_count,
                                   .left = left,
                                   .left_count = left_count,
                                   .tell_interval_ms = 60000};
}

static void test_room_changes(void **state)
{
    static const struct slice abc[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b"), SLICE_LITERAL("c")};
    static struct world_parts parts;
    struct store_room_put put;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    put = change(1, 2, abc, 2, NULL, 0);
    assert_int_equal(world_change(&ws, &put), 0);
    assert_true(put.is_behind); /* of what? */
    put.is_first = true;
    assert_int_equal(world_change(&ws, &put), 0);
    assert_false(put.is_behind);
    assert_int_equal(put.all_users, 2);
    assert_int_equal(put.all_connections, 2);
    put = change(2, 3, abc + 1, 2, abc, 1);
    assert_int_equal(world_change(&ws, &put), 0);
    assert_false(put.is_behind);
    assert_int_equal(put.all_users, 2);
    assert_int_equal(put.all_connections, 3);
    put = change(2, 9, abc, 1, NULL, 0); /* the same once more */
    assert_int_equal(world_change(&ws, &put), 0);
    assert_true(put.is_behind);
    put = change(4, 9, abc, 1, NULL, 0); /* one is missing */
    assert_int_equal(world_change(&ws, &put), 0);
    assert_true(put.is_behind);
    assert_int_equal(world_parts(&ws, "r", true, &parts), 0);
    assert_int_equal(parts.users, 2);
    assert_int_equal(parts.connections, 3);
    assert_int_equal(parts.name_count, 2);
    assert_string_equal(parts.names[0], "b");
    assert_string_equal(parts.names[1], "c");
    put = change(3, 0, NULL, 0, abc + 1, 2);
    assert_int_equal(world_change(&ws, &put), 0);
    assert_int_equal(put.all_users, 0);
    assert_int_equal(world_parts(&ws, "r", true, &parts), 0);
    assert_int_equal(parts.users, 0);
    assert_int_equal(parts.name_count, 0);
    assert_int_equal(parts.count, 0);
    world_close(&ws);
}

static void test_room_of_connections(void **state)
{
    static struct world_parts parts;
    struct store_room_put put = change(1, 5, NULL, 0, NULL, 0);
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    put.mode = STORE_ROOM_CONNECTIONS;
    put.is_first = true;
    assert_int_equal(world_change(&ws, &put), 0);
    assert_int_equal(put.all_users, 5);
    assert_int_equal(put.all_connections, 5);
    assert_int_equal(world_parts(&ws, "r", true, &parts), 0);
    assert_int_equal(parts.connections, 5);
    assert_int_equal(parts.name_count, 0);
    world_close(&ws);
}

static void test_room_leave(void **state)
{
    static const struct slice a = SLICE_LITERAL("a");
    struct store_room_put put = change(1, 1, &a, 1, NULL, 0);
    uint64_t before_ms, after_ms, version = 1;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    put.is_first = true;
    put.tell_interval_ms = 200;
    assert_int_equal(world_change(&ws, &put), 0);
    assert_false(put.may_tell); /* it was not asked for */
    put.is_first = false;
    put.wants_to_tell = true;
    put.version = ++version;
    before_ms = world_now_ms();
    assert_int_equal(world_change(&ws, &put), 0);
    after_ms = world_now_ms();
    assert_true(put.may_tell);
    do {
        put.version = ++version;
        assert_int_equal(world_change(&ws, &put), 0);
        assert_false(put.is_behind);
        assert_true(!put.may_tell || world_now_ms() - before_ms >= 200 - WORLD_CLOCKS_MS);
        assert_true(put.may_tell || world_now_ms() - after_ms < 20000);
        world_pass(w, 5);
    } while (!put.may_tell);
    world_close(&ws);
}

/** One user on two nodes counts once; who dies takes its users away, and no others; and may come back. */
static void test_room_of_two_nodes(void **state)
{
    static const struct slice here[] = {SLICE_LITERAL("anna"), SLICE_LITERAL("both")};
    static const struct slice there[] = {SLICE_LITERAL("bert"), SLICE_LITERAL("both")};
    struct store_room_put a_put = change(1, 3, here, 2, NULL, 0), b_put = change(1, 2, there, 2, NULL, 0);
    static struct world_parts parts;
    struct world *w = *state;
    struct store_identity other = identity;
    struct world_store a, b;
    bool is_news[2];

    if (!store_url)
        skip();                  /* the memory of one node has no other */
    other.node = "10.0.0.5:809"; /* the beginning of the other name */
    other.incarnation = 2;
    open_up(w, &a, &identity);
    open_up(w, &b, &other);
    assert_int_equal(world_lease(&a, NODE, identity.incarnation, 60000), 0);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 60000), 0);
    a_put.is_first = b_put.is_first = a_put.wants_to_tell = b_put.wants_to_tell = true;
    a_put.is_news = b_put.is_news = is_news;
    assert_int_equal(world_change(&a, &a_put), 0);
    assert_true(is_news[0] && is_news[1]);
    assert_int_equal(world_change(&b, &b_put), 0);
    assert_true(is_news[0] && !is_news[1]);         /* who is on the other node already */
    assert_true(a_put.may_tell && !b_put.may_tell); /* one node an interval */
    assert_int_equal(a_put.all_users, 2);
    assert_int_equal(b_put.all_users, 3);
    assert_int_equal(b_put.all_connections, 5);
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 100), 0);
    do { /* the second one's lease ends */
        assert_int_equal(world_parts(&a, "r", true, &parts), 0);
        world_pass(w, 10);
    } while (parts.count == 2);
    assert_int_equal(parts.users, 2);
    assert_int_equal(parts.connections, 3);
    assert_string_equal(parts.names[0], "anna");
    assert_string_equal(parts.names[1], "both");
    /* it was only frozen, and goes on where it was: it is told that this is not where it stands */
    assert_int_equal(world_lease(&b, other.node, other.incarnation, 60000), 0);
    b_put = change(2, 1, NULL, 0, there, 1);
    assert_int_equal(world_change(&b, &b_put), 0);
    assert_true(b_put.is_behind);
    b_put = change(3, 1, there + 1, 1, NULL, 0);
    b_put.is_first = true;
    assert_int_equal(world_change(&b, &b_put), 0);
    assert_int_equal(b_put.all_users, 2);
    assert_int_equal(b_put.all_connections, 4);
    /* the user leaves one of the two nodes */
    a_put = change(2, 1, NULL, 0, here + 1, 1);
    a_put.is_news = is_news;
    assert_int_equal(world_change(&a, &a_put), 0);
    assert_int_equal(a_put.all_users, 2);
    assert_false(is_news[0]);
    b_put = change(4, 0, NULL, 0, there + 1, 1);
    b_put.is_news = is_news;
    assert_int_equal(world_change(&b, &b_put), 0);
    assert_true(is_news[0]);
    assert_int_equal(b_put.all_users, 1);
    /* everything anew, by both: nothing is doubled */
    for (unsigned i = 0; i < 3; i++) {
        a_put = change(7 + i, 3, here, 2, NULL, 0);
        b_put = change(9 + i, 2, there, 2, NULL, 0);
        a_put.is_first = b_put.is_first = true;
        assert_int_equal(world_change(&a, &a_put), 0);
        assert_int_equal(world_change(&b, &b_put), 0);
    }
    assert_int_equal(b_put.all_users, 3);
    assert_int_equal(b_put.all_connections, 5);
    assert_int_equal(world_parts(&a, "r", true, &parts), 0);
    assert_int_equal(parts.name_count, 3);
    world_close(&b);
    world_close(&a);
}

/** Many names, in several statements; and of one node out of two it is known who is there. */
static void test_room_of_many(void **state)
{
    enum { MANY = 2200 };
    static char texts[MANY][24];
    static struct slice names[MANY];
    static struct world_parts parts;
    struct store_room_put put;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_lease(&ws, NODE, identity.incarnation, 60000), 0);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "user %05zu", i);
        names[i] = slice_from(texts[i]);
    }
    for (unsigned round = 0; round < 2; round++) {
        uint64_t version = 100 * (round + 1);

        for (size_t i = 0; i < MANY; i += STORE_ROOM_NAMES_MAX) {
            size_t count = MANY - i < STORE_ROOM_NAMES_MAX ? MANY - i : STORE_ROOM_NAMES_MAX;

            put = change(version++, MANY, names + i, count, NULL, 0);
            put.is_first = i == 0;
            assert_int_equal(world_change(&ws, &put), 0);
            assert_false(put.is_behind);
            assert_int_equal(put.all_users, i + count);
        }
    }
    assert_int_equal(world_names(&ws, "r", texts[2099], 500, &parts), 0);
    assert_int_equal(parts.users, MANY);
    assert_int_equal(parts.name_count, 100);
    assert_string_equal(parts.names[0], texts[2100]);
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

int store_presence_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lease, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_lease_taken_over, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_lease_end_and_release, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_sessions, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_lease_hides, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_expiry, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_rooms, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_room_changes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_room_of_connections, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_room_leave, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_room_of_two_nodes, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_room_of_many, store_set_up, store_tear_down),
        cmocka_unit_test_setup_teardown(test_answers_are_bounded, store_set_up, store_tear_down),
    };

    return cmocka_run_group_tests_name(store_url ? "store/redis: presence" : "store/memory: presence", tests, NULL,
                                       NULL);
}
