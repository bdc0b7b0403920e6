/*
 * The call: what a node appended and could not publish, it has the others look for as soon as it has a broker again.
 */
#include "hub_world.h"

#include <stdio.h>
#include <string.h>

static void tell_bus(struct world *w, enum bus_state state)
{
    struct bus_status status = {.state = state};

    w->bus.base.callbacks.on_state(w->bus.base.callbacks.userdata, &status);
    world_settle(w);
}

static size_t calls_published(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < w->bus.published && i < BASE_ARRAY_SIZE(w->bus.kept); i++)
        count += strcmp(w->bus.kept[i].channel, "node:*") == 0 && w->bus.kept[i].route == BUS_ROUTE_FANOUT;
    return count;
}

static void open_world(struct world *w)
{
    world_init(w);
    w->is_sequenced = true;
    w->store.interested[w->store.interested_count++] = SLICE_LITERAL("10.0.0.2:8091"); /* or nothing is published */
    w->config.online_interval_ms = 600000;
    world_open(w);
}

static void test_what_was_left_is_called_for(void **state base_unused)
{
    struct world w;
    struct client alice;

    open_world(&w);
    client_open(&alice, &w, 0, "alice", "42");
    tell_bus(&w, BUS_STATE_DOWN);
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    client_send(&alice, "42", "left", NULL);
    world_until(&w, alice.answers == 2);
    assert_int_equal(alice.last_result, 0);
    assert_int_equal(calls_published(&w), 0);
    w.bus.publish_result = 0;
    tell_bus(&w, BUS_STATE_READY);
    world_until(&w, calls_published(&w) == 1);
    tell_bus(&w, BUS_STATE_DOWN);
    tell_bus(&w, BUS_STATE_READY);
    assert_int_equal(calls_published(&w), 1);
    client_close(&alice);
    world_close(&w);
}

static void test_nothing_left_nobody_called(void **state base_unused)
{
    struct world w;
    struct client alice;

    open_world(&w);
    client_open(&alice, &w, 0, "alice", "42");
    client_send(&alice, "42", "published", NULL);
    world_until(&w, client_count(&alice, "published") == 1 && alice.answers == 2);
    tell_bus(&w, BUS_STATE_DOWN);
    tell_bus(&w, BUS_STATE_READY);
    assert_int_equal(calls_published(&w), 0);
    client_close(&alice);
    world_close(&w);
}

/** A call of the node with this incarnation arrives. */
static void call_arrives(struct world *w, unsigned long long incarnation)
{
    char text[32];
    struct message m = {
        .kind = MESSAGE_KIND_CONTROL,
        .channel = SLICE_LITERAL("node:*"),
        .id = SLICE_LITERAL("id"),
        .time_ms = 1,
        .content_type = CONTENT_TYPE_TEXT,
    };
    base_cleanup(buffer_deinit)
    struct buffer body = {0};

    snprintf(text, sizeof(text), "%016llx", incarnation);
    m.data = slice_from(text);
    bus_body_begin(&body, 1);
    bus_body_append(&body, &m);
    world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
}

static void test_who_is_called_sweeps(void **state base_unused)
{
    struct world w;
    struct client alice;
    int64_t before;

    open_world(&w);
    client_open(&alice, &w, 0, "alice", "42");
    before = world_metric(&w, "warren_hub_sweeps_total");
    for (unsigned i = 0; i < 20; i++)
        call_arrives(&w, 0x4242 + i);
    world_until(&w, world_metric(&w, "warren_hub_sweeps_total") == before + 1);
    world_pass(&w, 100);
    /* Together they are one. */
    assert_int_equal(world_metric(&w, "warren_hub_sweeps_total"), before + 1);
    client_close(&alice);
    world_close(&w);
}

/** While the store takes its time over what this node says of itself, that changes: it is said again, at once. */
static void test_others_learn_at_once(void **state base_unused)
{
    struct world w;

    world_init(&w);
    w.config.lease_ms = 3600000; /* not by the next renewal */
    world_open(&w);
    for (unsigned round = 0; round < 2; round++) {
        w.store.holds_lease = true;
        tell_bus(&w, round ? BUS_STATE_READY : BUS_STATE_DOWN);
        assert_non_null(w.store.held_lease);
        assert_int_equal(w.store.says_cut, round == 0);
        tell_bus(&w, round ? BUS_STATE_DOWN : BUS_STATE_READY);
        assert_int_equal(w.store.says_cut, round == 0);
        world_release_lease(&w);
        world_until(&w, w.store.says_cut == (round == 1));
        world_settle(&w);
        tell_bus(&w, BUS_STATE_DOWN);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_left_is_called_for),
        cmocka_unit_test(test_nothing_left_nobody_called),
        cmocka_unit_test(test_who_is_called_sweeps),
        cmocka_unit_test(test_others_learn_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
