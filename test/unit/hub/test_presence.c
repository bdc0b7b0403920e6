#include "hub_world.h"

#include <stdio.h>
#include <time.h>

static void open_world_with(struct world *w, int64_t interval_ms, bool is_sequenced, int64_t lease_ms)
{
    world_init(w);
    w->is_sequenced = is_sequenced;
    w->config.online_interval_ms = interval_ms;
    w->config.lease_ms = lease_ms;
    world_open(w);
}

static void open_world(struct world *w, int64_t interval_ms)
{
    open_world_with(w, interval_ms, false, 1500);
}

static void wait_online(struct client *c, const char *expected)
{
    uint64_t deadline = world_deadline();

    while (!client_online(c) || strcmp(client_online(c), expected) != 0) {
        if (world_is_over(deadline))
            fail_msg("expected %s, last was %s", expected, client_online(c) ? client_online(c) : "none");
        world_settle(c->world);
    }
}

static void test_joined_and_left(void **state base_unused)
{
    struct client a, b, b2;
    struct world w;

    open_world(&w, 30);
    client_open(&a, &w, 0, "a", "42");
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    client_open(&b, &w, 1, "b", "42");
    wait_online(&a, "{\"count\":2,\"joined\":[\"b\"],\"left\":[],\"more\":0}");
    wait_online(&b, "{\"count\":2,\"joined\":[\"b\"],\"left\":[],\"more\":0}");
    assert_string_equal(b.messages[0].channel, "room:42");
    /* a user is counted once, however many connections there are, and has left with the last of them */
    client_open(&b2, &w, 0, "b", "42");
    world_pass(&w, 100);
    client_close(&b);
    world_pass(&w, 100);
    wait_online(&a, "{\"count\":2,\"joined\":[\"b\"],\"left\":[],\"more\":0}");
    assert_int_equal(hub_session_leave(&b2.session, SLICE_LITERAL("42")), 0);
    wait_online(&a, "{\"count\":1,\"joined\":[],\"left\":[\"b\"],\"more\":0}");
    client_close(&a);
    client_close(&b2);
    /* the last one's leaving is stated, and then nothing is kept of the room */
    world_until(&w, world_metric(&w, "warren_hub_channels") == 0);
    world_close(&w);
}

static void test_came_and_went(void **state base_unused)
{
    struct client a, b, c;
    struct world w;

    open_world(&w, 2000); /* two joins that shall be told together are, also by a busy machine */
    client_open(&a, &w, 0, "a", "42");
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    client_open(&b, &w, 1, "b", "42");
    client_open(&c, &w, 1, "c", "42");
    assert_int_equal(hub_session_leave(&c.session, SLICE_LITERAL("42")), 0);
    wait_online(&a, "{\"count\":2,\"joined\":[\"b\"],\"left\":[],\"more\":0}");
    assert_int_equal(a.message_count, 2);
    assert_int_equal(hub_session_leave(&b.session, SLICE_LITERAL("42")), 0);
    assert_int_equal(client_join(&b, "42", "again"), 0);
    assert_int_equal(client_join(&c, "42", "too"), 0);
    wait_online(&a, "{\"count\":3,\"joined\":[\"c\"],\"left\":[],\"more\":0}");
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void test_names_are_bounded(void **state base_unused)
{
    struct client a, c[6];
    struct world w;
    char user[16];

    world_init(&w);
    w.config.online_interval_ms = 2000;
    w.config.online_names = 3;
    world_open(&w);
    client_open(&a, &w, 0, "a", "42");
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    for (int i = 0; i < 5; i++) {
        snprintf(user, sizeof(user), "u%d", i);
        client_open(&c[i], &w, 0, user, "42");
    }
    wait_online(&a, "{\"count\":6,\"joined\":[\"u0\",\"u1\",\"u2\"],\"left\":[],\"more\":2}");
    for (int i = 0; i < 5; i++)
        client_close(&c[i]);
    client_open(&c[5], &w, 0, "u5", "42");
    wait_online(&a, "{\"count\":2,\"joined\":[\"u5\"],\"left\":[\"u0\",\"u1\"],\"more\":3}");
    client_close(&a);
    client_close(&c[5]);
    world_close(&w);
}

static void test_other_nodes_count(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, 30);
    w.store.is_other_alive = true;
    w.store.other_users = 40;
    client_open(&a, &w, 0, "a", "42");
    wait_online(&a, "{\"count\":41,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    world_until(&w, w.store.others_told > 0); /* the hub has seen the other one alive */
    /* it dies: nobody else can tell its users' leaving */
    w.store.is_other_alive = false;
    wait_online(&a, "{\"count\":1,\"joined\":[],\"left\":[],\"more\":0}");
    client_close(&a);
    world_close(&w);
}

/** What another node tells has of this one's users those who were stated; who came since is counted on top. */
static void test_a_count_from_elsewhere(void **state base_unused)
{
    const struct message event = {
        .kind = MESSAGE_KIND_SIGNAL,
        .channel = SLICE_LITERAL("room:42"),
        .id = SLICE_LITERAL("signal"),
        .time_ms = 1,
        .content_type = SLICE_LITERAL("application/vnd.warren.online+json"),
        .data = SLICE_LITERAL("{\"count\":7,\"joined\":[],\"left\":[],\"more\":0}"),
    };
    base_cleanup(buffer_deinit)
    struct buffer body = {0};
    struct client a, b;
    struct world w;

    open_world(&w, 600000); /* nothing is stated */
    client_open(&a, &w, 0, "a", "42");
    bus_body_begin(&body, 1);
    bus_body_append(&body, &event);
    assert_int_equal(buffer_error(&body), 0);
    world_deliver(&w, BUS_CONTENT_TYPE, body.data, body.size);
    wait_online(&a, "{\"count\":7,\"joined\":[],\"left\":[],\"more\":0}");
    client_open(&b, &w, 1, "b", "42");
    assert_true(b.positions[2].has_online);
    assert_int_equal(b.positions[2].online, 9);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void test_a_node_that_stood_still(void **state base_unused)
{
    const struct timespec longer_than_its_lease = {.tv_sec = 1, .tv_nsec = 600000000};
    struct client a;
    struct world w;

    open_world(&w, 30);
    client_open(&a, &w, 0, "a", "42");
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    world_until(&w, world_metric(&w, "warren_hub_waiting{what=\"rooms\"}") == 0); /* what was told was heard */
    /* Meanwhile the others took it for dead, and told a smaller count, which it may hear of late, or never. */
    (void)nanosleep(&longer_than_its_lease, NULL);
    wait_online(&a, "{\"count\":1,\"joined\":[],\"left\":[],\"more\":0}");
    client_close(&a);
    world_close(&w);
}

static void test_store_away(void **state base_unused)
{
    struct client a, b;
    struct world w;
    size_t puts;

    open_world(&w, 30);
    client_open(&a, &w, 0, "a", "42");
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    w.store.is_other_alive = true;
    w.store.other_users = 40;
    world_store_set_away_for_long(&w);
    client_open(&b, &w, 1, "b", "42");
    world_pass(&w, 200);
    assert_int_equal(a.message_count, 1); /* this node's own number would be wrong */
    assert_int_equal(world_metric(&w, "warren_hub_waiting{what=\"rooms\"}"), 1);
    assert_int_equal(hub_session_online(&a.session, SLICE_LITERAL("42"), 0, SLICE_NONE, SLICE_LITERAL("o")), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, HUB_E_UNAVAILABLE);
    puts = w.store.session_items;
    world_store_set_away(&w, false);
    wait_online(&a, "{\"count\":42,\"joined\":[\"b\"],\"left\":[],\"more\":0}");
    world_settle(&w);
    assert_true(w.store.session_items >= puts + 2); /* both sessions are stated again */
    client_close(&a);
    client_close(&b);
    world_until(&w, world_metric(&w, "warren_hub_channels") == 0);
    world_close(&w);
}

/** The store fails between two statements without ever going down: what failed is told again. */
static void test_a_refused_statement_is_repeated(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, 30);
    w.store.is_away = true;
    client_open(&a, &w, 0, "a", "42");
    world_pass(&w, 150);
    assert_null(client_online(&a));
    w.store.is_away = false;
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    client_close(&a);
    world_close(&w);
}

/** The store comes back: all are stated again, in as few requests as they fit in. */
static void test_sessions_travel_together(void **state base_unused)
{
    enum { COUNT = STORE_SESSIONS_PUT_MAX + 44 };
    static struct client clients[COUNT];
    static char users[COUNT][8];
    struct world w;
    size_t puts, items;

    open_world_with(&w, 30, true, 60000); /* a renewal that is late states all again */
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(users[i], sizeof(users[i]), "%zu", i);
        client_open_begin(&clients[i], &w, i % WORLD_PORTS, users[i], NULL);
    }
    world_until(&w, w.store.session_answers == COUNT);
    assert_true(w.store.session_puts < COUNT / 2);
    world_store_set_away(&w, true);
    puts = w.store.session_puts;
    items = w.store.session_items;
    world_store_set_away(&w, false);
    world_until(&w, w.store.session_answers == 2 * COUNT);
    assert_int_equal(w.store.session_puts - puts, 2);
    assert_int_equal(w.store.session_items - items, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        client_close(&clients[i]);
    world_until(&w, w.store.session_answers == 3 * COUNT);
    world_until(&w, w.store.interest_end_items == COUNT); /* nobody listens to their inboxes */
    assert_true(w.store.interest_ends < COUNT / 2);
    world_close(&w);
}

/** The end of interest waits for company, but not until the channel is listened to again. */
static void test_interest_ends_before_it_begins_again(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world_with(&w, 30, true, 1500);
    w.store.noted_channel = "room:42";
    client_open(&a, &w, 0, "a", "42");
    assert_string_equal(w.store.notes, "P");
    assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("42")), 0);
    assert_int_equal(client_join(&a, "42", "again"), 0);
    world_until(&w, strlen(w.store.notes) == 3);
    assert_string_equal(w.store.notes, "PEP");
    client_close(&a);
    world_until(&w, strlen(w.store.notes) == 4);
    assert_string_equal(w.store.notes, "PEPE");
    world_close(&w);
}

/** What the store refuses of a batch is told again with the next renewal of the lease, and holds nobody up. */
static void test_a_refused_session_is_repeated(void **state base_unused)
{
    struct client a, b, c;
    struct world w;

    open_world_with(&w, 30, false, 4500); /* a renewal that is late by a third of it states all again */
    w.store.refused_user = "a";
    client_open(&a, &w, 0, "a", NULL);
    client_open(&b, &w, 1, "b", NULL);
    world_until(&w, w.store.session_items >= 4); /* a, b, and a again twice */
    assert_int_equal(w.store.session_answers, 1);
    client_open(&c, &w, 1, "c", NULL);
    world_until(&w, w.store.session_answers == 2);
    client_close(&a); /* what is told again now is its end */
    world_until(&w, w.store.session_items >= 7);
    assert_int_equal(w.store.session_answers, 2);
    w.store.refused_user = NULL;
    world_until(&w, w.store.session_answers == 3);
    client_close(&b);
    client_close(&c);
    world_until(&w, w.store.session_answers == 5);
    world_close(&w);
}

static void test_bus_busy(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, 30);
    w.bus.publish_result = BUS_E_BUSY;
    client_open(&a, &w, 0, "a", "42");
    world_pass(&w, 150);
    assert_null(client_online(&a));
    w.bus.publish_result = 0;
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    client_close(&a);
    world_close(&w);
}

static void test_name_taken(void **state base_unused)
{
    struct hub_status status;
    struct client a;
    struct world w;

    world_init(&w);
    w.config.online_interval_ms = 30;
    w.config.lease_ms = 1500;
    w.store.is_taken = true;
    world_open(&w);
    client_open(&a, &w, 0, "a", "42");
    world_pass(&w, 200);
    hub_status_read(w.hub, &status);
    assert_true(status.is_name_taken);
    assert_false(status.is_lease_held);
    assert_int_equal(w.store.session_puts, 0);
    assert_int_equal(w.store.room_puts, 0);
    assert_int_equal(client_send(&a, "42", "still served", NULL), 0);
    world_settle(&w);
    assert_int_equal(client_count(&a, "still served"), 1);
    w.store.is_taken = false;
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    hub_status_read(w.hub, &status);
    assert_false(status.is_name_taken);
    assert_true(w.store.session_puts > 0);
    client_close(&a);
    world_close(&w);
}

/** What this node said in its last life is gone by once it has the queue, and not a moment before. */
static void test_name_of_a_former_life(void **state base_unused)
{
    struct hub_status status;
    struct client a;
    struct world w;

    world_init(&w);
    w.config.online_interval_ms = 30;
    w.config.lease_ms = 60000;
    w.store.is_taken_by_dead = true;
    w.bus.is_starting = true;
    world_open(&w);
    client_open(&a, &w, 0, "a", "42");
    world_pass(&w, 100);
    hub_status_read(w.hub, &status);
    assert_true(status.is_name_taken);
    assert_int_equal(w.store.room_puts, 0);
    /* The queue comes while the lease is asked for without it. */
    w.store.refuse_delay_ms = 50;
    world_until(&w, w.store.lease_puts > 1);
    world_bus_ready(&w);
    wait_online(&a, "{\"count\":1,\"joined\":[\"a\"],\"left\":[],\"more\":0}");
    hub_status_read(w.hub, &status);
    assert_false(status.is_name_taken);
    assert_true(status.is_lease_held);
    client_close(&a);
    world_close(&w);
}

static void test_pages(void **state base_unused)
{
    static const char *const users[] = {"delta", "alpha", "echo", "bravo", "charlie"};
    struct slice after = SLICE_NONE;
    struct client c[5];
    struct world w;
    size_t total = 0;

    open_world(&w, 30);
    w.store.is_other_alive = true;
    w.store.other_users = 3;
    for (size_t i = 0; i < 5; i++)
        client_open(&c[i], &w, i % 2, users[i], "42");
    do {
        assert_int_equal(hub_session_online(&c[0].session, SLICE_LITERAL("42"), 3, after, SLICE_LITERAL("page")), 0);
        world_settle(&w);
        assert_string_equal(c[0].last_tag, "page");
        assert_int_equal(c[0].last_result, 0);
        assert_int_equal(c[0].online_count, 8);
        assert_true(c[0].user_count <= 3 && c[0].user_count > 0);
        for (size_t i = 0; i < c[0].user_count; i++) {
            static const char *const sorted[] = {"alpha", "bravo", "charlie", "delta", "echo"};

            assert_true(total < 5);
            assert_string_equal(c[0].users[i], sorted[total++]);
        }
        after = slice_from(c[0].next);
    } while (c[0].next[0]);
    assert_int_equal(total, 5);
    assert_int_equal(hub_session_online(&c[0].session, SLICE_LITERAL("empty"), 0, SLICE_NONE, SLICE_NONE), 0);
    w.store.is_other_alive = false;
    world_settle(&w);
    assert_int_equal(c[0].online_count, 0);
    assert_int_equal(c[0].user_count, 0);
    for (size_t i = 0; i < 5; i++)
        client_close(&c[i]);
    world_close(&w);
}

/** The store has lost what this node stated, in part or whole: everything is stated again, and told nothing wrong. */
struct rooms_answer {
    bool is_there;
    int result;
    size_t count;
    char rooms[4][16], next[24];
    uint64_t users[4], connections[4];
};

static void on_rooms(void *userdata, int result, const struct store_room_line *lines, size_t count, struct slice next)
{
    struct rooms_answer *a = userdata;

    *a = (struct rooms_answer){.is_there = true, .result = result, .count = count};
    for (size_t i = 0; i < count && i < BASE_ARRAY_SIZE(a->rooms); i++) {
        (void)snprintf(a->rooms[i], sizeof(a->rooms[i]), "%.*s", SLICE_PRINTF(lines[i].room));
        a->users[i] = lines[i].users;
        a->connections[i] = lines[i].connections;
    }
    if (slice_is_set(next))
        (void)snprintf(a->next, sizeof(a->next), "%.*s", SLICE_PRINTF(next));
}

static struct rooms_answer rooms(struct world *w, const char *after, uint64_t limit)
{
    struct rooms_answer a = {0};

    assert_int_equal(hub_port_rooms(w->ports[0], slice_from(after), limit, on_rooms, &a), 0);
    world_until(w, a.is_there);
    return a;
}

/** Which rooms there are, as far as they were stated. */
static void test_rooms(void **state base_unused)
{
    struct client c[4];
    struct rooms_answer a;
    struct world w;

    open_world(&w, 30);
    client_open(&c[0], &w, 0, "ada", "1");
    client_open(&c[1], &w, 1, "ada", "1");
    client_open(&c[2], &w, 0, "bob", "2");
    client_open(&c[3], &w, 0, "bob", NULL);
    world_until(&w, (a = rooms(&w, NULL, 0)).count == 2 && a.connections[0] + a.connections[1] == 3);
    assert_string_equal(a.next, "");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(a.users[i], 1);
        assert_int_equal(a.connections[i], strcmp(a.rooms[i], "1") == 0 ? 2 : 1);
    }
    a = rooms(&w, NULL, 1);
    assert_int_equal(a.count, 1);
    assert_true(a.next[0]);
    a = rooms(&w, a.next, 1);
    assert_int_equal(a.count, 1);
    assert_string_equal(a.next, "");
    world_store_set_away(&w, true);
    assert_int_equal(rooms(&w, NULL, 0).result, HUB_E_UNAVAILABLE);
    world_store_set_away(&w, false);
    for (size_t i = 0; i < 4; i++)
        client_close(&c[i]);
    world_until(&w, (a = rooms(&w, NULL, 0)).result == 0 && a.count == 0);
    world_close(&w);
}

static void test_behind(void **state base_unused)
{
    struct client a, b, c;
    struct world w;

    open_world(&w, 1500);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", "42");
    wait_online(&a, "{\"count\":2,\"joined\":[\"a\",\"b\"],\"left\":[],\"more\":0}");
    w.store.forgets_room = true;
    client_open(&c, &w, 1, "c", "42");
    wait_online(&a, "{\"count\":3,\"joined\":[\"c\"],\"left\":[],\"more\":0}");
    w.store.forgets_room = true;
    client_close(&b);
    wait_online(&a, "{\"count\":2,\"joined\":[],\"left\":[\"b\"],\"more\":0}");
    client_close(&a);
    w.store.forgets_room = true;
    client_close(&c);
    world_until(&w, world_metric(&w, "warren_hub_channels") == 0);
    world_close(&w);
}

/** A day's churn in small: names that only came and went cost nothing, with the store away too. */
static void test_churn_with_the_store_away(void **state base_unused)
{
    struct client a;
    struct world w;
    char room[24];

    open_world(&w, 30);
    client_open(&a, &w, 0, "a", NULL);
    world_store_set_away_for_long(&w);
    for (int i = 0; i < 3000; i++) {
        snprintf(room, sizeof(room), "room-%d", i);
        assert_int_equal(client_join(&a, room, "j"), 0);
        world_turn(w.hub_loop);
        world_turn(w.loops[0]);
        assert_int_equal(hub_session_leave(&a.session, slice_from(room)), 0);
        world_turn(w.hub_loop);
    }
    world_settle(&w);
    assert_int_equal(world_metric(&w, "warren_hub_channels"), 1);
    client_close(&a);
    world_close(&w);
}

/** With each allocation failing in turn a room is told in the end. */
static void test_out_of_memory(void **state base_unused)
{
    bool was_refused = true;

    for (size_t n = 0; was_refused; n++) {
        struct client a, b;
        struct world w;

        open_world(&w, 20);
        client_open(&a, &w, 0, "a", "42");
        alloc_fail_after(n);
        for (int i = 0; i < 30; i++)
            world_settle(&w);
        was_refused = alloc_fail_disarm();
        assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("42")), 0);
        assert_int_equal(client_join(&a, "42", "again"), 0);
        client_open(&b, &w, 1, "b", "42");
        world_until(&w, client_online(&a) && strstr(client_online(&a), "{\"count\":2,"));
        client_close(&a);
        client_close(&b);
        world_until(&w, world_metric(&w, "warren_hub_channels") == 0);
        world_close(&w);
        assert_true(n < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_and_left),
        cmocka_unit_test(test_came_and_went),
        cmocka_unit_test(test_names_are_bounded),
        cmocka_unit_test(test_other_nodes_count),
        cmocka_unit_test(test_a_count_from_elsewhere),
        cmocka_unit_test(test_a_node_that_stood_still),
        cmocka_unit_test(test_store_away),
        cmocka_unit_test(test_a_refused_statement_is_repeated),
        cmocka_unit_test(test_sessions_travel_together),
        cmocka_unit_test(test_a_refused_session_is_repeated),
        cmocka_unit_test(test_interest_ends_before_it_begins_again),
        cmocka_unit_test(test_bus_busy),
        cmocka_unit_test(test_name_taken),
        cmocka_unit_test(test_name_of_a_former_life),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_rooms),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_churn_with_the_store_away),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
