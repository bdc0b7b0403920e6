#include "hub_world.h"

#include <stdio.h>

/** The same tests with the ports on loops of their own, and all on the hub's. */
static bool is_one_loop;

static void open_world_with(struct world *w, int64_t online_interval_ms)
{
    world_init(w);
    w->is_one_loop = is_one_loop;
    w->config.online_interval_ms = online_interval_ms;
    world_open(w);
}

static void open_world(struct world *w)
{
    open_world_with(w, 600000); /* no online events between the messages */
}

static uint64_t channels_of(struct world *w)
{
    world_settle(w);
    return (uint64_t)world_metric(w, "warren_hub_channels");
}

static void test_open(void **state base_unused)
{
    struct world w;
    struct client a, b;

    open_world(&w);
    client_open(&a, &w, 0, "7", NULL);
    assert_int_equal(a.state_count, 2);
    assert_string_equal(a.states[0], "user:7");
    assert_string_equal(a.states[1], "all");
    client_open(&b, &w, 1, "8", "42");
    assert_int_equal(b.state_count, 3);
    assert_string_equal(b.states[2], "room:42");
    assert_true(hub_session_is_joined(&b.session, SLICE_LITERAL("42")));
    assert_false(hub_session_is_joined(&a.session, SLICE_LITERAL("42")));
    assert_true(slice_equal_text(hub_session_user(&b.session), "8"));
    assert_false(slice_is_set(hub_session_device(&b.session)));
    assert_int_equal(hub_port_session_count(w.ports[1]), 1);
    assert_int_equal(channels_of(&w), 3);
    client_close(&a);
    client_close(&b);
    assert_int_equal(channels_of(&w), 0);
    assert_int_equal(world_metric(&w, "warren_hub_sessions"), 0);
    world_close(&w);
}

static void test_send_and_leave(void **state base_unused)
{
    struct world w;
    struct client a, b, c;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", NULL);
    client_open(&c, &w, 1, "c", "other");
    assert_int_equal(client_send(&b, "42", "x", NULL), HUB_E_NOT_JOINED);
    assert_int_equal(client_join(&b, "42", "j1"), 0);
    /* what is sent behind a join needs no answer to it */
    assert_int_equal(client_send(&b, "42", "hello", NULL), 0);
    world_settle(&w);
    assert_string_equal(b.last_tag, "sent");
    assert_int_equal(b.last_result, 0);
    assert_int_equal(b.answers, 3);
    assert_string_equal(b.last_channel, "room:42");
    assert_int_equal(client_count(&a, "hello"), 1);
    assert_int_equal(client_count(&b, "hello"), 1); /* a sender hears its own */
    assert_int_equal(c.message_count, 0);
    assert_string_equal(a.messages[0].id, b.last_id);
    assert_string_equal(a.messages[0].from, "b");
    assert_string_equal(a.messages[0].channel, "room:42");
    assert_int_equal(w.fans_done, 2); /* once a loop */

    assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("42")), 0);
    assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("42")), HUB_E_NOT_JOINED);
    assert_int_equal(client_send(&b, "42", "again", NULL), 0);
    world_settle(&w);
    assert_int_equal(client_count(&a, "again"), 0);
    assert_int_equal(client_count(&b, "again"), 1);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    assert_int_equal(channels_of(&w), 0);
    world_close(&w);
}

static void note_published(void *userdata, int result, const struct hub_published *published)
{
    assert_int_equal(result, 0);
    assert_true(published->message_id.size > 0);
    ++*(size_t *)userdata;
}

static void test_whisper_and_all(void **state base_unused)
{
    struct hub_send send = send_text("psst");
    struct client a, b1, b2;
    struct world w;
    size_t published = 0;

    open_world(&w);
    client_open(&a, &w, 0, "a", NULL);
    client_open(&b1, &w, 0, "b", NULL);
    client_open(&b2, &w, 1, "b", NULL);
    assert_int_equal(hub_session_whisper(&a.session, SLICE_LITERAL("b"), &send, SLICE_LITERAL("w")), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, 0);
    assert_int_equal(client_count(&a, "psst"), 0);
    assert_int_equal(client_count(&b1, "psst"), 1);
    assert_int_equal(client_count(&b2, "psst"), 1);

    send = send_text("to all");
    assert_int_equal(hub_port_publish(w.ports[1], CHANNEL_ALL, SLICE_NONE, &send, note_published, &published), 0);
    world_settle(&w);
    assert_int_equal(published, 1);
    assert_int_equal(client_count(&a, "to all"), 1);
    assert_int_equal(client_count(&b1, "to all"), 1);
    assert_int_equal(client_count(&b2, "to all"), 1);
    client_close(&a);
    client_close(&b1);
    client_close(&b2);
    assert_int_equal(channels_of(&w), 0);
    world_close(&w);
}

static void test_relay(void **state base_unused)
{
    const struct hub_send send = {
        .kind = MESSAGE_KIND_RELAY, .content_type = CONTENT_TYPE_OCTETS, .data = SLICE_LITERAL("voice")};
    struct client a, b, c;
    struct world w;
    size_t answers;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 0, "b", "42");
    client_open(&c, &w, 1, "c", "42");
    answers = a.answers;
    assert_int_equal(hub_session_send(&a.session, SLICE_LITERAL("42"), &send, SLICE_NONE), 0);
    assert_int_equal(hub_session_send(&a.session, SLICE_LITERAL("42"), &send, SLICE_NONE), 0);
    world_settle(&w);
    assert_int_equal(a.answers, answers);
    assert_int_equal(a.message_count, 0);
    assert_int_equal(client_count(&b, "voice"), 2);
    assert_int_equal(client_count(&c, "voice"), 2);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void test_key_publishes_once(void **state base_unused)
{
    struct client a, b;
    struct world w;
    char id[600];

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", "42");
    assert_int_equal(client_send(&a, "42", "first", "k"), 0);
    world_settle(&w);
    snprintf(id, sizeof(id), "%s", a.last_id);
    assert_int_equal(client_send(&a, "42", "second", "k"), 0);
    /* another sender, and a triple that would be the same if it were only strung together */
    assert_int_equal(client_send(&b, "42", "third", "k"), 0);
    world_settle(&w);
    assert_string_equal(a.last_id, id);
    assert_string_not_equal(b.last_id, id);
    assert_int_equal(client_count(&b, "first"), 1);
    assert_int_equal(client_count(&b, "second"), 0);
    assert_int_equal(client_count(&a, "third"), 1);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void test_quota_and_size(void **state base_unused)
{
    struct client a, b, c;
    struct world w;
    char room[16], large[402] = {0};

    world_init(&w);
    w.is_one_loop = is_one_loop;
    w.config.sessions = 2;
    w.config.rooms_per_session = 3;
    w.config.channels = 4;
    world_open(&w);
    client_open(&a, &w, 0, "a", NULL);
    client_open(&b, &w, 1, "b", NULL);
    client_open_begin(&c, &w, 0, "c", NULL);
    assert_int_equal(client_join(&c, "early", "j"), 0);
    world_settle(&w);
    assert_int_equal(c.open_result, HUB_E_QUOTA);
    assert_int_equal(c.last_result, HUB_E_QUOTA); /* its join fares no better */
    client_close(&c);
    for (int i = 0; i < 3; i++) {
        snprintf(room, sizeof(room), "r%d", i);
        assert_int_equal(client_join(&a, room, room), 0);
        world_settle(&w);
        assert_int_equal(a.last_result, i < 2 ? 0 : HUB_E_QUOTA); /* two inboxes and two rooms are four channels */
    }
    assert_false(hub_session_is_joined(&a.session, SLICE_LITERAL("r2")));
    assert_int_equal(client_join(&b, "r0", "t"), 0);
    assert_int_equal(client_join(&b, "r1", "t"), 0);
    assert_int_equal(client_join(&b, "x", "t"), 0);
    assert_int_equal(client_join(&b, "y", "t"), HUB_E_QUOTA);
    assert_int_equal(client_join(&b, "r1", "t"), 0); /* joined already */
    memset(large, 'x', 401);
    assert_int_equal(client_send(&a, "r0", large, NULL), HUB_E_TOO_LARGE);
    large[400] = '\0';
    assert_int_equal(client_send(&a, "r0", large, NULL), 0);
    world_settle(&w);
    client_close(&a);
    client_close(&b);
    world_until(&w, world_metric(&w, "warren_hub_channels") == 0);
    world_close(&w);
}

static void test_join_twice_and_pending_leave(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", NULL);
    assert_int_equal(client_join(&a, "42", "one"), 0);
    assert_int_equal(client_join(&a, "42", "two"), 0);
    world_settle(&w);
    assert_string_equal(a.last_tag, "two");
    assert_int_equal(a.last_result, 0);
    assert_int_equal(client_send(&a, "42", "once", NULL), 0);
    world_settle(&w);
    assert_int_equal(client_count(&a, "once"), 1);

    /* left before the answer: the join is undone; joined again at once: it holds */
    assert_int_equal(client_join(&a, "43", "x"), 0);
    assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("43")), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, HUB_E_NOT_JOINED);
    assert_int_equal(client_join(&a, "44", "x"), 0);
    assert_int_equal(hub_session_leave(&a.session, SLICE_LITERAL("44")), 0);
    assert_int_equal(client_join(&a, "44", "y"), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, 0);
    assert_int_equal(channels_of(&w), 3);
    assert_int_equal(a.session.rooms, 2);
    client_close(&a);
    assert_int_equal(channels_of(&w), 0);
    world_close(&w);
}

static void test_close_with_open_requests(void **state base_unused)
{
    struct hub_send send = send_text("x");
    struct client a, b;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", NULL);
    assert_int_equal(client_join(&a, "42", "j"), 0);
    assert_int_equal(client_send(&a, "42", "x", NULL), 0);
    assert_int_equal(hub_session_whisper(&a.session, SLICE_LITERAL("a"), &send, SLICE_NONE), 0);
    assert_int_equal(hub_session_online(&a.session, SLICE_LITERAL("44"), 0, SLICE_NONE, SLICE_NONE), 0);
    assert_int_equal(a.session.open_requests, 4);
    client_close(&a); /* any call to the sink from here on fails in client_of() */
    memset(&a.session, 0x5a, sizeof(a.session));

    client_open_begin(&b, &w, 1, "b", "42");
    assert_int_equal(client_join(&b, "43", "j"), 0);
    client_close(&b); /* not even open yet */
    assert_int_equal(channels_of(&w), 0);
    assert_int_equal(world_metric(&w, "warren_hub_sessions"), 0);
    world_close(&w);
}

/** Whoever closes whomever inside on_message: each living session gets each message exactly once. */
static void test_close_inside_on_message(void **state base_unused)
{
    struct hub_send send = send_text("m");
    struct client c[5];
    struct world w;
    size_t published = 0;

    for (size_t by_room = 0; by_room < 2; by_room++) {
        for (size_t closer = 0; closer < 5; closer++) {
            for (size_t victim = 0; victim < 5; victim++) {
                open_world(&w);
                for (size_t i = 0; i < 5; i++)
                    client_open(&c[i], &w, 0, "u", "42");
                c[closer].closes[0] = &c[victim];
                c[closer].closes[1] = victim == (closer + 1) % 5 ? NULL : &c[(closer + 1) % 5];
                if (by_room)
                    assert_int_equal(client_send(&c[closer], "42", "m", NULL), 0);
                else
                    assert_int_equal(
                        hub_port_publish(w.ports[0], CHANNEL_ALL, SLICE_NONE, &send, note_published, &published), 0);
                world_settle(&w);
                for (size_t i = 0; i < 5; i++) {
                    if (!c[i].is_closed)
                        assert_int_equal(client_count(&c[i], "m"), 1);
                    else
                        assert_true(client_count(&c[i], "m") <= 1);
                }
                send = send_text("m2");
                assert_int_equal(hub_port_publish(w.ports[0], SLICE_LITERAL("room:42"), SLICE_NONE, &send,
                                                  note_published, &published),
                                 0);
                send = send_text("m");
                world_settle(&w);
                for (size_t i = 0; i < 5; i++) {
                    assert_int_equal(client_count(&c[i], "m2"), c[i].is_closed ? 0 : 1);
                    if (!c[i].is_closed)
                        client_close(&c[i]);
                }
                assert_int_equal(channels_of(&w), 0);
                world_close(&w);
            }
        }
    }
    assert_true(published > 0);
}

static void test_last_leaves_inside_on_message(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    a.leaves = "42";
    assert_int_equal(client_send(&a, "42", "m", NULL), 0);
    world_settle(&w);
    assert_int_equal(client_count(&a, "m"), 1);
    assert_int_equal(channels_of(&w), 1);
    client_close(&a);
    world_close(&w);
}

static void close_it(struct hub_session *s, void *userdata)
{
    client_close(container_of(s, struct client, session));
    ++*(size_t *)userdata;
}

static void test_each_session(void **state base_unused)
{
    struct client c[4];
    struct world w;
    size_t closed = 0;

    open_world(&w);
    for (size_t i = 0; i < 4; i++)
        client_open(&c[i], &w, 0, "u", NULL);
    hub_port_each_session(w.ports[0], close_it, &closed);
    assert_int_equal(closed, 4);
    assert_int_equal(hub_port_session_count(w.ports[0]), 0);
    assert_int_equal(channels_of(&w), 0);
    world_close(&w);
}

static void test_many_joins_leave_nothing(void **state base_unused)
{
    struct client a;
    struct world w;
    char room[24];

    open_world(&w);
    client_open(&a, &w, 0, "a", NULL);
    for (int i = 0; i < 10000; i++) {
        snprintf(room, sizeof(room), "room-%d", i);
        assert_int_equal(client_join(&a, room, "j"), 0);
        if (i % 5 == 0)
            world_turn(w.loops[0]);
        if (i % 7 == 0)
            world_turn(w.hub_loop);
        assert_int_equal(hub_session_leave(&a.session, slice_from(room)), 0);
    }
    world_settle(&w);
    assert_int_equal(channels_of(&w), 1);
    assert_int_equal(world_metric(&w, "warren_hub_rooms"), 0);
    client_close(&a);
    assert_int_equal(channels_of(&w), 0);
    world_close(&w);
}

static void test_busy_and_unavailable(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    w.bus.publish_result = BUS_E_BUSY;
    assert_int_equal(client_send(&a, "42", "x", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, HUB_E_BUSY);
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    assert_int_equal(client_send(&a, "42", "x", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, HUB_E_UNAVAILABLE);
    w.bus.publish_result = 0;
    assert_int_equal(client_send(&a, "42", "y", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, 0);
    assert_int_equal(client_count(&a, "x"), 0);
    assert_int_equal(client_count(&a, "y"), 1);
    assert_int_equal(world_metric(&w, "warren_hub_published_total{result=\"busy\"}"), 1);
    assert_int_equal(world_metric(&w, "warren_hub_published_total{result=\"unavailable\"}"), 1);
    client_close(&a);
    world_close(&w);
}

static size_t answered;

static void note_nodes(void *userdata base_unused, int result, const struct store_lease *leases, size_t count)
{
    assert_int_equal(result, 0);
    assert_int_equal(count, 1);
    assert_string_equal(leases[0].node, WORLD_NODE);
    assert_string_equal(leases[0].version, "test");
    assert_true(leases[0].is_alive);
    assert_false(leases[0].is_cut);
    answered++;
}

static void note_user(void *userdata, int result, const struct store_session *sessions, size_t count)
{
    struct client *a = userdata;

    assert_int_equal(result, 0);
    assert_int_equal(count, 1);
    assert_true(slice_equal(sessions[0].session, hub_session_id(&a->session)));
    assert_true(slice_equal_text(sessions[0].node, WORLD_NODE));
    answered++;
}

static void test_status_nodes_user(void **state base_unused)
{
    struct hub_status status;
    struct client a;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    world_settle(&w);
    answered = 0;
    assert_int_equal(hub_port_nodes(w.ports[1], note_nodes, NULL), 0);
    assert_int_equal(hub_port_user(w.ports[1], SLICE_LITERAL("a"), note_user, &a), 0);
    world_settle(&w);
    assert_int_equal(answered, 2);
    hub_set_draining(w.hub);
    hub_set_draining(w.hub);
    world_settle(&w);
    hub_status_read(w.hub, &status);
    assert_true(status.is_draining);
    assert_true(status.is_lease_held);
    assert_false(status.is_name_taken);
    assert_int_equal(status.bus.state, BUS_STATE_READY);
    assert_true(status.store.is_up);
    assert_true(status.canary_age_ms < 60000);
    assert_int_equal(status.sessions, 1);
    assert_int_equal(status.channels, 2);
    assert_int_equal(status.rooms, 1);
    client_close(&a);
    world_close(&w);
}

/** Stopped in the middle of everything: what is still in a mailbox is handled when the loops are freed. */
static void test_stop_with_letters_under_way(void **state base_unused)
{
    struct client a, b;
    struct world w;

    open_world(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", "42");
    assert_int_equal(client_join(&a, "43", "j"), 0);
    assert_int_equal(client_send(&b, "42", "x", NULL), 0);
    world_turn(w.hub_loop);
    assert_int_equal(client_join(&b, "44", "j"), 0);
    assert_int_equal(client_send(&b, "42", "y", NULL), 0);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

/** Each allocation fails in turn, from opening to closing: nothing crashes, nothing stays. */
static void test_out_of_memory(void **state base_unused)
{
    const struct hub_session_info info = {.user = SLICE_LITERAL("a"), .room = SLICE_LITERAL("42")};
    bool was_refused = true;

    for (size_t n = 0; was_refused; n++) {
        struct client a = {.open_result = -1}, b = {0};
        struct world w;
        bool is_there;

        open_world_with(&w, 20);
        client_open(&b, &w, 1, "b", "42");
        alloc_fail_after(n);
        a.world = &w;
        is_there = hub_session_open(&a.session, w.ports[0], &info, &client_sink) == 0;
        world_settle(&w);
        if (is_there) {
            (void)!client_join(&a, "43", "j");
            (void)!client_send(&a, "42", "hello", "k");
            (void)!hub_session_online(&a.session, SLICE_LITERAL("42"), 10, SLICE_NONE, SLICE_NONE);
            world_settle(&w);
        }
        was_refused = alloc_fail_disarm();
        if (!was_refused) {
            assert_int_equal(a.open_result, 0);
            assert_int_equal(client_count(&b, "hello"), 1);
            assert_int_equal(a.online_count, 2);
        }
        if (is_there)
            client_close(&a);
        client_close(&b);
        world_until(&w, channels_of(&w) == 0); /* asking who is there made the store hear of the room */
        world_close(&w);
        assert_true(n < 2000);
    }
}

static int with_loops(void **state base_unused)
{
    is_one_loop = false;
    return 0;
}

static int with_one_loop(void **state base_unused)
{
    is_one_loop = true;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_send_and_leave),
        cmocka_unit_test(test_whisper_and_all),
        cmocka_unit_test(test_relay),
        cmocka_unit_test(test_key_publishes_once),
        cmocka_unit_test(test_quota_and_size),
        cmocka_unit_test(test_join_twice_and_pending_leave),
        cmocka_unit_test(test_close_with_open_requests),
        cmocka_unit_test(test_close_inside_on_message),
        cmocka_unit_test(test_last_leaves_inside_on_message),
        cmocka_unit_test(test_each_session),
        cmocka_unit_test(test_many_joins_leave_nothing),
        cmocka_unit_test(test_busy_and_unavailable),
        cmocka_unit_test(test_status_nodes_user),
        cmocka_unit_test(test_stop_with_letters_under_way),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests_name("loops of their own", tests, with_loops, NULL) +
           cmocka_run_group_tests_name("one loop", tests, with_one_loop, NULL);
}
