/*
 * What the contract suite does not show of the memory backend: that it survives the lack of memory. Its behaviour is in
 * test/contract/store.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/memory.h"
#include "support/alloc.h"

static const struct store_identity identity = {
    .node = "10.0.0.5:8091", .incarnation = 1, .seen_window_ms = 60000, .expiry_ms = 60000};

struct script {
    struct loop *loop;
    struct store_seen seen;
    struct store_lease_put lease;
    struct store_session_put session, session_end;
    struct store_room_put room;
    struct store_user_read user;
    struct store_room_read room_read;
    struct store_rooms_read rooms_read;
    struct store_nodes_read nodes;
    struct store_likes_add likes;
    struct store_watch_add watch;
    struct store_watch_read watch_read;
    unsigned answers, refusals;
    size_t sessions, parts, leases, names, watched, rooms;
    bool is_seen;
};

static struct script script;

static void count(int result)
{
    assert_true(result == 0 || result == STORE_E_UNAVAILABLE);
    script.answers++;
    script.refusals += result != 0;
}

static void on_seen(struct store_seen *r base_unused, int result)
{
    count(result);
}

static void on_lease(struct store_lease_put *r base_unused, int result)
{
    count(result);
}

static void on_session(struct store_session_put *r, int result)
{
    count(result ? result : r->items[0].result);
}

static void on_room(struct store_room_put *r base_unused, int result)
{
    count(result);
}

static void on_user(struct store_user_read *r base_unused, int result, const struct store_session *at base_unused,
                    size_t n)
{
    script.sessions = n;
    count(result);
}

static void on_room_read(struct store_room_read *r base_unused, int result, const struct store_room *room)
{
    script.parts = room ? room->part_count : 0;
    script.names = room ? room->name_count : 0;
    count(result);
}

static void on_rooms_read(struct store_rooms_read *r base_unused, int result,
                          const struct store_room_line *at base_unused, size_t n, struct slice next base_unused)
{
    script.rooms = n;
    count(result);
}

static void on_likes(struct store_likes_add *r base_unused, int result)
{
    count(result);
}

static void on_watch(struct store_watch_add *r base_unused, int result)
{
    count(result);
}

static void on_watch_read(struct store_watch_read *r base_unused, int result,
                          const struct store_watched *at base_unused, size_t n, struct slice next base_unused)
{
    script.watched = n;
    count(result);
}

static void on_nodes(struct store_nodes_read *r base_unused, int result, const struct store_lease *at base_unused,
                     size_t n)
{
    script.leases = n;
    count(result);
    loop_stop(script.loop); /* the last one */
}

static void ask_everything(struct store *s)
{
    static const struct slice ids[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b")};
    static struct store_session_item session;
    static struct store_likes likes;
    static struct store_watch watch;
    static bool seen[2];

    likes = (struct store_likes){.room = ids[0], .count = 1, .sequence = 1, .age_ms = 60000};
    watch = (struct store_watch){.room = ids[0], .user = ids[1], .from_ago_ms = 1000, .age_ms = 60000};
    script.seen = (struct store_seen){.ids = ids, .count = 2, .seen = seen, .done = on_seen};
    script.lease = (struct store_lease_put){
        .lease = {.node = identity.node, .incarnation = 1, .lease_ms = 60000, .version = "1", .internal = "i"},
        .done = on_lease};
    session =
        (struct store_session_item){.session = {.user = ids[0], .session = ids[1], .device = ids[0]}, .result = -1};
    script.session = (struct store_session_put){.items = &session, .count = 1, .done = on_session};
    script.room = (struct store_room_put){.room = ids[0],
                                          .mode = STORE_ROOM_ROSTER,
                                          .is_first = true,
                                          .version = 1,
                                          .connections = 2,
                                          .joined = ids,
                                          .joined_count = 2,
                                          .done = on_room};
    script.user = (struct store_user_read){.user = ids[0], .done = on_user};
    script.room_read =
        (struct store_room_read){.room = ids[0], .mode = STORE_ROOM_ROSTER, .limit = 5, .done = on_room_read};
    script.rooms_read = (struct store_rooms_read){.limit = 5, .done = on_rooms_read};
    script.nodes = (struct store_nodes_read){.done = on_nodes};
    store_seen(s, &script.seen);
    store_lease_put(s, &script.lease);
    store_session_put(s, &script.session);
    store_room_put(s, &script.room);
    store_user_read(s, &script.user);
    store_room_read(s, &script.room_read);
    store_rooms_read(s, &script.rooms_read);
    script.likes = (struct store_likes_add){.items = &likes, .count = 1, .done = on_likes};
    script.watch = (struct store_watch_add){.items = &watch, .count = 1, .done = on_watch};
    script.watch_read = (struct store_watch_read){.room = ids[0], .limit = 10, .done = on_watch_read};
    store_likes_add(s, &script.likes);
    store_watch_add(s, &script.watch);
    store_watch_read(s, &script.watch_read);
    store_nodes_read(s, &script.nodes);
}

static void on_state(void *userdata, const struct store_status *status base_unused)
{
    loop_stop(userdata);
}

static void test_out_of_memory(void **state base_unused)
{
    for (size_t n = 0;; n++) {
        struct store *s;
        bool refused;

        script = (struct script){0};
        assert_int_equal(loop_new("test", &script.loop), 0);
        assert_int_equal(memory_store_new(script.loop, &identity, &s), 0);
        s->callbacks = (struct store_callbacks){.on_state = on_state, .userdata = script.loop};
        assert_int_equal(store_start(s), 0);
        loop_run(script.loop);
        ask_everything(s);
        alloc_fail_after(n);
        loop_run(script.loop);
        refused = alloc_fail_disarm();
        assert_int_equal(script.answers, 11);
        if (!refused) {
            assert_int_equal(script.refusals, 0);
            assert_int_equal(script.sessions, 1);
            assert_int_equal(script.parts, 1);
            assert_int_equal(script.names, 2);
            assert_int_equal(script.watched, 1);
            assert_int_equal(script.rooms, 1);
            assert_int_equal(script.leases, 1);
        } else {
            assert_true(script.refusals > 0);
        }
        s = store_free(s);
        loop_free(script.loop);
        if (!refused)
            break;
    }
}

static void test_new_out_of_memory(void **state base_unused)
{
    struct store *s = NULL;
    struct loop *l;

    assert_int_equal(loop_new("test", &l), 0);
    alloc_fail_after(0);
    assert_int_equal(memory_store_new(l, &identity, &s), -ENOMEM);
    assert_true(alloc_fail_disarm());
    assert_null(s);
    assert_null(store_free(s));
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_new_out_of_memory),
    };

    return cmocka_run_group_tests_name("store/memory", tests, NULL, NULL);
}
