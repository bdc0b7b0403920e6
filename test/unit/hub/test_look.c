/* What a node knows of a user's sessions right now: asked of their loops, while they come, go and join. */
#include "hub_world.h"

#include "support/alloc.h"

#include <stdio.h>

struct look {
    bool is_done;
    int result;
    char objects[16384];
};

static void on_looked(void *userdata, int result, struct slice objects)
{
    struct look *l = userdata;

    assert_false(l->is_done);
    l->is_done = true;
    l->result = result;
    (void)snprintf(l->objects, sizeof(l->objects), "%.*s", SLICE_PRINTF(objects));
}

static struct look look(struct world *w, const char *user)
{
    struct look l = {0};

    assert_int_equal(hub_port_look(w->ports[0], slice_from(user), on_looked, &l), 0);
    world_until(w, l.is_done);
    return l;
}

static size_t count_of(const struct look *l, const char *text)
{
    size_t count = 0;

    for (const char *at = l->objects; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static void on_look(struct hub_session *s base_unused, struct json_writer *w)
{
    json_write_member_uint64(w, "queued_bytes", 17);
}

static void test_of_all_loops(void **state base_unused)
{
    struct hub_sink_ops sink = client_sink;
    const struct hub_session_info info = {.user = SLICE_LITERAL("ada"), .device = SLICE_LITERAL("desk \"1\"")};
    struct client a, b, other, told = {.open_result = -1};
    struct world w;
    struct look l;

    world_init(&w);
    world_open(&w);
    l = look(&w, "ada");
    assert_int_equal(l.result, 0);
    assert_string_equal(l.objects, "");
    client_open(&a, &w, 0, "ada", "1");
    client_open(&b, &w, 1, "ada", NULL);
    client_open(&other, &w, 1, "bob", "secret");
    sink.on_look = on_look;
    told.world = &w;
    assert_int_equal(hub_session_open(&told.session, w.ports[1], &info, &sink), 0);
    world_until(&w, told.is_open);
    assert_int_equal(client_join(&b, "2 \"é\"", "j"), 0);
    world_settle(&w);
    l = look(&w, "ada");
    assert_int_equal(l.result, 0);
    assert_int_equal(count_of(&l, "{\"session\":\""), 3);
    assert_int_equal(count_of(&l, "\"rooms\":[\"1\"],\"more_rooms\":0}"), 1);
    assert_int_equal(count_of(&l, "\"rooms\":[\"2 \\\"é\\\"\"],\"more_rooms\":0}"), 1);
    assert_int_equal(count_of(&l, "\"device\":\"desk \\\"1\\\"\",\"rooms\":[],\"more_rooms\":0,\"queued_bytes\":17}"),
                     1);
    assert_int_equal(count_of(&l, "},{"), 2);
    assert_int_equal(count_of(&l, "secret"), 0);
    assert_int_equal(hub_session_leave(&b.session, SLICE_LITERAL("2 \"é\"")), 0);
    client_close(&a);
    l = look(&w, "ada");
    assert_int_equal(count_of(&l, "{\"session\":\""), 2);
    assert_int_equal(count_of(&l, "\"rooms\":[]"), 2);
    client_close(&b);
    client_close(&told);
    client_close(&other);
    l = look(&w, "ada");
    assert_string_equal(l.objects, "");
    world_close(&w);
}

static void test_many_rooms(void **state base_unused)
{
    struct client a;
    struct world w;
    struct look l;
    char room[32];

    world_init(&w);
    w.config.rooms_per_session = 200;
    world_open(&w);
    client_open(&a, &w, 0, "ada", NULL);
    for (unsigned i = 0; i < 130; i++) {
        (void)snprintf(room, sizeof(room), "room %u", i);
        assert_int_equal(client_join(&a, room, NULL), 0);
        world_settle(&w);
    }
    l = look(&w, "ada");
    assert_int_equal(count_of(&l, "\"room "), 100);
    assert_int_equal(count_of(&l, "\"more_rooms\":30}"), 1);
    client_close(&a);
    world_close(&w);
}

/** Closed while the question is on its way; and asked for while it opens. */
static void test_in_between(void **state base_unused)
{
    struct client a, b;
    struct world w;
    struct look before = {0}, after = {0};

    world_init(&w);
    world_open(&w);
    client_open(&a, &w, 1, "ada", "1");
    assert_int_equal(hub_port_look(w.ports[0], SLICE_LITERAL("ada"), on_looked, &before), 0);
    client_close(&a);
    client_open_begin(&b, &w, 1, "ada", "1");
    assert_int_equal(hub_port_look(w.ports[0], SLICE_LITERAL("ada"), on_looked, &after), 0);
    world_until(&w, before.is_done && after.is_done && b.is_open);
    assert_int_equal(before.result | after.result, 0);
    assert_true(count_of(&before, "{\"session\":\"") <= 1 && count_of(&after, "{\"session\":\"") <= 1);
    client_close(&b);
    world_close(&w);
}

static void test_out_of_memory(void **state base_unused)
{
    bool refused = true;

    for (size_t n = 0; refused; n++) {
        struct client a, b;
        struct world w;
        struct look l = {0};
        int result;

        world_init(&w);
        world_open(&w);
        client_open(&a, &w, 0, "ada", "1");
        client_open(&b, &w, 1, "ada", "1");
        world_settle(&w);
        alloc_fail_after(n);
        result = hub_port_look(w.ports[0], SLICE_LITERAL("ada"), on_looked, &l);
        for (unsigned i = 0; !result && i < 50 && !l.is_done; i++)
            world_settle(&w);
        refused = alloc_fail_disarm();
        assert_true(result == 0 || result == -ENOMEM);
        if (!result)
            world_until(&w, l.is_done);
        assert_true(l.result == 0 || l.result == -ENOMEM);
        if (!refused)
            assert_int_equal(count_of(&l, "{\"session\":\""), 2);
        client_close(&a);
        client_close(&b);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_all_loops),
        cmocka_unit_test(test_many_rooms),
        cmocka_unit_test(test_in_between),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests_name("hub/look", tests, NULL, NULL);
}
