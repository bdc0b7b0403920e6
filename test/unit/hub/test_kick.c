/* Closing a user's sessions: here, and through orders to other nodes, of which the test plays one. */
#include "hub_world.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

struct kicked {
    bool is_done;
    int result;
    uint64_t closed;
    size_t node_count;
    char node[64];
    uint64_t known, node_closed;
    enum hub_kick_outcome outcome;
};

/** A session that ends when it is told to. */
struct victim {
    struct client client;
    char reason[128];
    size_t kicks;
};

static void on_kicked(struct hub_session *s, struct slice reason)
{
    struct client *c = container_of(s, struct client, session);
    struct victim *v = container_of(c, struct victim, client);

    assert_true(reason.size < sizeof(v->reason));
    if (reason.size)
        memcpy(v->reason, reason.data, reason.size);
    v->reason[reason.size] = '\0';
    v->kicks++;
    client_close(c);
}

static struct hub_sink_ops victim_sink;

static void victim_open(struct victim *v, struct world *w, size_t port, const char *user, const char *device)
{
    const struct hub_session_info info = {.user = slice_from(user), .device = slice_from(device)};

    victim_sink = client_sink;
    victim_sink.on_kicked = on_kicked;
    *v = (struct victim){.client = {.world = w, .open_result = -1}};
    assert_int_equal(hub_session_open(&v->client.session, w->ports[port], &info, &victim_sink), 0);
    world_settle(w);
    assert_true(v->client.is_open);
}

static void on_done(void *userdata, int result, const struct hub_kicked *kicked)
{
    struct kicked *k = userdata;

    assert_false(k->is_done);
    k->is_done = true;
    k->result = result;
    k->closed = kicked->closed;
    k->node_count = kicked->node_count;
    if (!kicked->node_count)
        return;
    (void)snprintf(k->node, sizeof(k->node), "%.*s", SLICE_PRINTF(kicked->nodes[0].node));
    k->known = kicked->nodes[0].known;
    k->node_closed = kicked->nodes[0].closed;
    k->outcome = kicked->nodes[0].outcome;
}

static struct kicked kick(struct world *w, struct hub_kick_which which)
{
    struct kicked k = {0};

    assert_int_equal(hub_port_kick(w->ports[1], &which, on_done, &k), 0);
    world_until(w, k.is_done);
    world_settle(w);
    return k;
}

static void open_world(struct world *w)
{
    world_init(w);
    w->is_sequenced = true;
    world_open(w);
    world_settle(w);
}

static void test_all_of_a_user_on_two_loops(base_unused void **state)
{
    struct victim a, b, c, other;
    struct kicked k;
    struct world w;

    open_world(&w);
    victim_open(&a, &w, 0, "bob", "phone");
    victim_open(&b, &w, 0, "bob", "desk");
    victim_open(&c, &w, 1, "bob", NULL);
    victim_open(&other, &w, 0, "alice", NULL);
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob"), .reason = SLICE_LITERAL("be gone")});
    assert_int_equal(k.result, 0);
    assert_int_equal(k.closed, 3);
    assert_int_equal(k.node_count, 0);
    assert_string_equal(a.reason, "be gone");
    assert_true(a.client.is_closed && b.client.is_closed && c.client.is_closed && !other.client.is_closed);
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob")});
    assert_int_equal(k.closed, 0);
    client_close(&other.client);
    world_close(&w);
}

static void test_one_device_or_session(base_unused void **state)
{
    struct victim a, b, c;
    struct kicked k;
    struct world w;

    open_world(&w);
    victim_open(&a, &w, 0, "bob", "phone");
    victim_open(&b, &w, 0, "bob", "desk");
    victim_open(&c, &w, 0, "bob", NULL);
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob"), .device = SLICE_LITERAL("desk")});
    assert_int_equal(k.closed, 1);
    assert_true(b.client.is_closed && !a.client.is_closed && !c.client.is_closed);
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob"), .session = hub_session_id(&c.client.session)});
    assert_int_equal(k.closed, 1);
    assert_true(c.client.is_closed && !a.client.is_closed);
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob"),
                                         .device = SLICE_LITERAL("desk"),
                                         .session = hub_session_id(&a.client.session)});
    assert_int_equal(k.closed, 0);
    client_close(&a.client);
    world_close(&w);
}

/* ---- other nodes ---- */

#define OTHER "10.0.0.2:8091"

static void control_arrives(struct world *w, const char *json)
{
    struct message m = {.kind = MESSAGE_KIND_CONTROL,
                        .channel = SLICE_LITERAL("node:" WORLD_NODE),
                        .id = SLICE_LITERAL("c"),
                        .time_ms = 1,
                        .content_type = CONTENT_TYPE_JSON,
                        .data = slice_from(json)};
    base_cleanup(buffer_deinit)
    struct buffer body = {0};

    bus_body_begin(&body, 1);
    bus_body_append(&body, &m);
    world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
    world_settle(w);
}

/** The newest control message to the other node, if one was published behind the first @from. */
static const struct world_published *ordered(const struct world *w, size_t from)
{
    for (size_t i = w->bus.published; i-- > from;) {
        if (strcmp(w->bus.kept[i].channel, "node:" OTHER) == 0)
            return &w->bus.kept[i];
    }
    return NULL;
}

static void test_another_node_closes_and_answers(base_unused void **state)
{
    const struct hub_kick_which which = {.user = SLICE_LITERAL("bob"), .reason = SLICE_LITERAL("why")};
    const struct world_published *order;
    struct kicked k = {0};
    struct victim a;
    struct world w;

    open_world(&w);
    victim_open(&a, &w, 0, "bob", NULL);
    w.store.other_sessions = 2;
    assert_int_equal(hub_port_kick(w.ports[0], &which, on_done, &k), 0);
    world_until(&w, ordered(&w, 0));
    order = ordered(&w, 0);
    assert_int_equal(order->route, BUS_ROUTE_NODES);
    assert_string_equal(order->nodes, OTHER " ");
    assert_string_equal(order->data,
                        "{\"do\":\"kick\",\"ask\":1,\"by\":\"" WORLD_NODE "\",\"user\":\"bob\",\"reason\":\"why\"}");
    assert_true(a.client.is_closed);
    assert_false(k.is_done);
    control_arrives(&w, "{\"do\":\"kicked\",\"ask\":2,\"node\":\"" OTHER "\",\"closed\":9}");  /* another question's */
    control_arrives(&w, "{\"do\":\"kicked\",\"ask\":1,\"node\":\"10.0.0.9:1\",\"closed\":9}"); /* nobody asked it */
    assert_false(k.is_done);
    control_arrives(&w, "{\"do\":\"kicked\",\"ask\":1,\"node\":\"" OTHER "\",\"closed\":2}");
    assert_true(k.is_done);
    assert_int_equal(k.result, 0);
    assert_int_equal(k.closed, 3);
    assert_int_equal(k.node_count, 1);
    assert_string_equal(k.node, OTHER);
    assert_int_equal(k.known, 2);
    assert_int_equal(k.node_closed, 2);
    assert_int_equal(k.outcome, HUB_KICK_DONE);
    control_arrives(&w, "{\"do\":\"kicked\",\"ask\":1,\"node\":\"" OTHER "\",\"closed\":2}"); /* once more */
    world_close(&w);
}

static void test_silence(base_unused void **state)
{
    uint64_t began = clock_monotonic_ms();
    struct kicked k;
    struct world w;

    open_world(&w);
    w.store.other_sessions = 1;
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob")});
    assert_in_range(clock_monotonic_ms() - began, 1900, 20000);
    assert_int_equal(k.result, 0);
    assert_int_equal(k.closed, 0);
    assert_int_equal(k.outcome, HUB_KICK_SILENT);
    w.store.is_other_alive = w.store.is_other_cut = true;
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob")});
    assert_int_equal(k.outcome, HUB_KICK_CUT);
    world_close(&w);
}

static void test_without_a_broker_or_a_store(base_unused void **state)
{
    struct victim a, b;
    struct kicked k;
    struct world w;

    open_world(&w);
    victim_open(&a, &w, 0, "bob", NULL);
    w.store.other_sessions = 1;
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob")});
    assert_int_equal(k.closed, 1);
    assert_int_equal(k.outcome, HUB_KICK_NO_BROKER);
    w.bus.publish_result = 0;
    victim_open(&b, &w, 0, "bob", NULL);
    world_store_set_away(&w, true);
    k = kick(&w, (struct hub_kick_which){.user = SLICE_LITERAL("bob")});
    assert_int_equal(k.result, HUB_E_UNAVAILABLE);
    assert_int_equal(k.closed, 1);
    assert_true(b.client.is_closed);
    world_close(&w);
}

static void test_an_order_of_another_node(base_unused void **state)
{
    const struct world_published *answer;
    struct victim a, b;
    struct world w;
    size_t from;

    open_world(&w);
    victim_open(&a, &w, 0, "bob", "phone");
    victim_open(&b, &w, 1, "bob", "desk");
    from = w.bus.published;
    control_arrives(&w, "{\"do\":\"kick\",\"ask\":7,\"by\":\"" OTHER
                        "\",\"user\":\"bob\",\"device\":\"phone\",\"reason\":\"r\"}");
    assert_true(a.client.is_closed && !b.client.is_closed);
    assert_string_equal(a.reason, "r");
    answer = ordered(&w, from);
    assert_non_null(answer);
    assert_string_equal(answer->data, "{\"do\":\"kicked\",\"ask\":7,\"node\":\"" WORLD_NODE "\",\"closed\":1}");
    client_close(&b.client);
    world_close(&w);
}

static void test_broken_orders_close_nobody(base_unused void **state)
{
    static const char *const orders[] = {
        "",
        "[]",
        "{}",
        "{\"do\":\"dance\"}",
        "{\"do\":7}",
        "{\"do\":\"kick\",\"ask\":7,\"by\":\"" OTHER "\"}",
        "{\"do\":\"kick\",\"ask\":-1,\"by\":\"" OTHER "\",\"user\":\"bob\"}",
        "{\"do\":\"kick\",\"ask\":7,\"user\":\"bob\"}",
        "{\"do\":\"kick\",\"ask\":7,\"by\":\"\",\"user\":\"bob\"}",
        "{\"do\":\"kick\",\"ask\":7,\"by\":\"" OTHER "\",\"user\":\"\"}",
        "{\"do\":\"kick\",\"ask\":7,\"by\":\"" OTHER "\",\"user\":\"bob\",\"device\":7}",
        "{\"do\":\"kick\",\"ask\":7,\"by\":\"" OTHER "\",\"user\":\"bob\",\"session\":null}",
        "{\"do\":\"kicked\",\"ask\":7,\"node\":\"" OTHER "\"}",
    };
    struct victim a;
    struct world w;

    open_world(&w);
    victim_open(&a, &w, 0, "bob", "phone");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(orders); i++) {
        control_arrives(&w, orders[i]);
        assert_int_equal(world_metric(&w, "warren_hub_poison_total"), i + 1);
    }
    assert_false(a.client.is_closed);
    client_close(&a.client);
    world_close(&w);
}

/** The end of the node answers what is under way. */
static void test_the_end_answers(base_unused void **state)
{
    const struct hub_kick_which which = {.user = SLICE_LITERAL("bob")};
    struct kicked k = {0};
    struct world w;

    open_world(&w);
    w.store.other_sessions = 1;
    assert_int_equal(hub_port_kick(w.ports[0], &which, on_done, &k), 0);
    world_until(&w, ordered(&w, 0));
    assert_false(k.is_done);
    hub_stop(w.hub);
    world_settle(&w);
    assert_true(k.is_done);
    assert_int_equal(k.result, HUB_E_UNAVAILABLE);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_a_user_on_two_loops),      cmocka_unit_test(test_one_device_or_session),
        cmocka_unit_test(test_another_node_closes_and_answers), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_without_a_broker_or_a_store),     cmocka_unit_test(test_an_order_of_another_node),
        cmocka_unit_test(test_broken_orders_close_nobody),      cmocka_unit_test(test_the_end_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
