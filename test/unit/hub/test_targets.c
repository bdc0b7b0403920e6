/* Whom messages are published to: the nodes that listen, all, or nobody. */
#include "hub_world.h"

#include "hub/targets_internal.h"

#include <stdio.h>
#include <string.h>

#define NODE(n) SLICE_LITERAL("10.0.0." n ":8091")

static void open_world(struct world *w, const char *section)
{
    world_init(w);
    w->section = section;
    w->is_sequenced = true;
    w->config.online_interval_ms = 600000;
    world_open(w);
}

static void interested(struct world *w, size_t count, ...)
{
    va_list args;

    va_start(args, count);
    w->store.interested_count = count;
    for (size_t i = 0; i < count; i++)
        w->store.interested[i] = va_arg(args, struct slice);
    va_end(args);
}

static void whisper(struct client *c, const char *user, const char *data)
{
    struct hub_send send = send_text(data);

    c->last_result = -1;
    assert_int_equal(hub_session_whisper(&c->session, slice_from(user), &send, SLICE_LITERAL("w")), 0);
    world_until(c->world, c->last_result != -1);
}

static void say(struct client *c, const char *data, const char *key)
{
    c->last_result = -1;
    assert_int_equal(client_send(c, "42", data, key), 0);
    world_until(c->world, c->last_result != -1);
}

static void on_published(void *userdata base_unused, int result, const struct hub_published *published base_unused)
{
    assert_int_equal(result, 0);
}

static void test_an_inbox_goes_to_the_nodes_that_listen(base_unused void **state)
{
    const struct world_published *p = NULL;
    struct client alice, bob;
    struct world w;

    open_world(&w, NULL);
    client_open(&alice, &w, 0, "alice", NULL);
    client_open(&bob, &w, 1, "bob", NULL);
    interested(&w, 2, NODE("3"), NODE("2"));
    whisper(&alice, "bob", "hello");
    assert_int_equal(alice.last_result, 0);
    assert_int_equal(world_published(&w, "hello", &p), 1);
    assert_int_equal(p->route, BUS_ROUTE_NODES);
    assert_string_equal(p->nodes, "10.0.0.2:8091 10.0.0.3:8091 "); /* ascending, and without this one */
    assert_string_equal(p->channel, "user:bob");
    assert_int_equal(client_count(&bob, "hello"), 1); /* and this one feeds itself */
    assert_int_equal(world_metric(&w, "warren_hub_routed_total{to=\"listeners\"}"), 1);
    {
        struct hub_send send = send_text("to all");

        assert_int_equal(hub_port_publish(w.ports[0], CHANNEL_ALL, SLICE_NONE, &send, on_published, NULL), 0);
        world_until(&w, world_published(&w, "to all", &p) == 1);
        assert_int_equal(p->route, BUS_ROUTE_FANOUT);
        world_settle(&w);
    }
    client_close(&alice);
    client_close(&bob);
    world_close(&w);
}

static void test_nobody_else_listens(base_unused void **state)
{
    const struct world_published *p = NULL;
    struct client alice, bob, gone;
    struct world w;

    open_world(&w, NULL);
    client_open(&alice, &w, 0, "alice", NULL);
    client_open(&bob, &w, 1, "bob", NULL);
    client_open(&gone, &w, 1, "gone", NULL);
    client_close(&gone);
    world_settle(&w);
    whisper(&alice, "bob", "here");
    whisper(&alice, "gone", "nowhere");
    assert_int_equal(alice.last_result, 0);
    assert_true(alice.sent_epoch > 0 && alice.sent_offset == 1);
    /* It waits for one who was here; for one who never was it does not. */
    whisper(&alice, "made up", "nowhere");
    assert_int_equal(alice.last_result, 0);
    assert_true(alice.sent_epoch == 0 && alice.sent_offset == 0);
    client_open(&gone, &w, 1, "gone", NULL);
    assert_int_equal(client_count(&gone, "nowhere"), 1);
    client_close(&gone);
    client_open(&gone, &w, 1, "made up", NULL);
    assert_int_equal(gone.message_count, 0);
    client_close(&gone);
    world_settle(&w);
    assert_int_equal(world_published(&w, "here", &p) + world_published(&w, "nowhere", &p), 0);
    assert_int_equal(client_count(&bob, "here"), 1);
    assert_int_equal(world_metric(&w, "warren_hub_routed_total{to=\"nobody\"}"), 2);
    /* Without a broker it makes no difference. */
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    whisper(&alice, "bob", "still here");
    assert_int_equal(alice.last_result, 0);
    assert_int_equal(client_count(&bob, "still here"), 1);
    client_close(&alice);
    client_close(&bob);
    world_close(&w);
}

static void test_rooms_go_as_their_section_says(base_unused void **state)
{
    static const struct {
        const char *section;
        enum bus_route route;
    } cases[] = {{NULL, BUS_ROUTE_NODES}, {"routing=fanout", BUS_ROUTE_FANOUT}, {"routing=targeted", BUS_ROUTE_NODES}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct world_published *p = NULL;
        struct client alice;
        struct world w;

        open_world(&w, cases[i].section);
        client_open(&alice, &w, 0, "alice", "42");
        interested(&w, 1, NODE("2"));
        say(&alice, "hello", NULL);
        assert_int_equal(alice.last_result, 0);
        assert_int_equal(world_published(&w, "hello", &p), 1);
        assert_int_equal(p->route, cases[i].route);
        assert_int_equal(client_count(&alice, "hello"), 1);
        client_close(&alice);
        world_close(&w);
    }
}

static void test_an_unsequenced_inbox_goes_to_all(base_unused void **state)
{
    const struct world_published *p = NULL;
    struct client alice;
    struct world w;

    open_world(&w, "sequenced=no");
    client_open(&alice, &w, 0, "alice", NULL);
    whisper(&alice, "alice", "hello");
    assert_int_equal(world_published(&w, "hello", &p), 1);
    assert_int_equal(p->route, BUS_ROUTE_FANOUT);
    client_close(&alice);
    world_close(&w);
}

static void test_a_repetition_goes_to_those_of_now(base_unused void **state)
{
    const struct world_published *p = NULL;
    struct client alice;
    struct world w;

    open_world(&w, "routing=targeted");
    client_open(&alice, &w, 0, "alice", "42");
    interested(&w, 1, NODE("2"));
    say(&alice, "hello", "k");
    interested(&w, 1, NODE("3"));
    say(&alice, "hello", "k");
    assert_int_equal(alice.sent_offset, 1);
    assert_int_equal(world_published(&w, "hello", &p), 2);
    assert_string_equal(p->nodes, "10.0.0.3:8091 ");
    assert_int_equal(client_count(&alice, "hello"), 1);
    client_close(&alice);
    world_close(&w);
}

/** Names from the store that are no node's id are left out; the same nodes are the same set. */
static void test_sets(base_unused void **state)
{
    char text[BUS_NODES_MAX + 2][32], longer[200];
    struct slice names[BUS_NODES_MAX + 2];
    struct hub_targets *a = NULL, *b = NULL;
    struct world w;

    open_world(&w, NULL);
    memset(longer, 'x', sizeof(longer));
    names[0] = SLICE_LITERAL("b");
    names[1] = SLICE_LITERAL("a");
    names[2] = slice_make(longer, sizeof(longer));
    names[3] = SLICE_LITERAL("");
    names[4] = slice_make("c\0d", 3);
    names[5] = SLICE_LITERAL(WORLD_NODE);
    assert_int_equal(hub_targets_of(w.hub, names, 6, &a), HUB_TO_NODES);
    assert_int_equal(a->count, 2);
    assert_string_equal(a->nodes[0], "a");
    assert_string_equal(a->nodes[1], "b");
    names[0] = SLICE_LITERAL("a");
    names[1] = SLICE_LITERAL("b");
    assert_int_equal(hub_targets_of(w.hub, names, 2, &b), HUB_TO_NODES);
    assert_ptr_equal(a, b);
    hub_targets_unref(a);
    hub_targets_unref(b);
    assert_int_equal(hub_targets_of(w.hub, names + 5, 1, &b), HUB_TO_NOBODY);
    assert_int_equal(hub_targets_of(w.hub, NULL, 0, &b), HUB_TO_NOBODY);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(names); i++) {
        (void)snprintf(text[i], sizeof(text[i]), "10.0.%zu.9:8091", i);
        names[i] = slice_from(text[i]);
    }
    assert_int_equal(hub_targets_of(w.hub, names, BUS_NODES_MAX, &a), HUB_TO_NODES);
    assert_int_equal(a->count, BUS_NODES_MAX);
    assert_int_equal(hub_targets_of(w.hub, names, BUS_NODES_MAX + 1, &b), HUB_TO_ALL);
    /* More sets than are remembered: one that is in use lives on. */
    for (size_t i = 0; i < BUS_NODES_MAX; i++) {
        assert_int_equal(hub_targets_of(w.hub, names + i, 1, &b), HUB_TO_NODES);
        assert_string_equal(b->nodes[0], text[i]);
        hub_targets_unref(b);
    }
    assert_int_equal(a->count, BUS_NODES_MAX);
    alloc_fail_after(0);
    assert_int_equal(hub_targets_of(w.hub, names, 7, &b), HUB_TO_ALL);
    assert_true(alloc_fail_disarm());
    hub_targets_unref(a);
    world_close(&w);
}

static void test_unsequenced_and_targeted_is_refused(base_unused void **state)
{
    static const char text[] = "[channel.voice]\nmatch=room:voice-*\nsequenced=no\nrouting=targeted\n"
                               "[channel.chat]\nmatch=room:*\nrouting=targeted\n";
    struct buffer errors = {0};
    struct config *c;

    assert_int_equal(config_new(&c), 0);
    assert_int_equal(config_add_family(c, HUB_CHANNEL_FAMILY, hub_channel_options, hub_channel_option_count,
                                       sizeof(struct hub_channel_config)),
                     0);
    assert_int_equal(config_load_text(c, slice_from(text), "test", &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);
    assert_int_equal(hub_config_check(c, &errors), CONFIG_E_INVALID);
    assert_non_null(strstr(errors.data, "channel.voice.routing: targeted needs sequenced = yes"));
    assert_null(strstr(errors.data, "chat"));
    buffer_deinit(&errors);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_inbox_goes_to_the_nodes_that_listen),
        cmocka_unit_test(test_nobody_else_listens),
        cmocka_unit_test(test_rooms_go_as_their_section_says),
        cmocka_unit_test(test_an_unsequenced_inbox_goes_to_all),
        cmocka_unit_test(test_a_repetition_goes_to_those_of_now),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_unsequenced_and_targeted_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
