#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/redis/value.h"
#include "store/store_internal.h"
#include "support/alloc.h"

#include <stdio.h>

#define STAMP(name, ms) "{\"incarnation\":\"fedcba9876543210\",\"" name "\":" ms ",\"node\":\"10.0.0.5:8091\","

/** What a script makes of a node's part: the stamp in place of its first byte. */
static void stamp(const char *head, struct buffer *json, struct buffer *out)
{
    assert_int_equal(buffer_error(json), 0);
    assert_int_equal(json->data[0], '{');
    buffer_append_text(out, head);
    buffer_append_slice(out, slice_skip(buffer_slice(json), 1));
}

static void test_incarnation(void **state base_unused)
{
    static const uint64_t values[] = {0, 1, 0xfedcba9876543210, UINT64_MAX, (1ull << 53) + 1};
    uint64_t back = 42;
    char text[REDIS_INCARNATION_SIZE + 1];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(values); i++) {
        redis_incarnation_format(values[i], text);
        assert_int_equal(strlen(text), REDIS_INCARNATION_SIZE);
        assert_true(redis_incarnation_parse(slice_from(text), &back));
        assert_true(back == values[i]);
    }
    back = 42;
    assert_false(redis_incarnation_parse(SLICE_LITERAL("fedcba987654321"), &back));
    assert_false(redis_incarnation_parse(SLICE_LITERAL("fedcba98765432100"), &back));
    assert_false(redis_incarnation_parse(SLICE_LITERAL("FEDCBA9876543210"), &back));
    assert_false(redis_incarnation_parse(SLICE_NONE, &back));
    assert_true(back == 42);
}

static void test_position(void **state base_unused)
{
    static const struct {
        struct store_position position;
        const char *text;
    } good[] = {
        {{0, 0}, "0-0"},
        {{1700000000123, 42}, "1700000000123-42"},
        {{UINT64_MAX, UINT64_MAX}, "18446744073709551615-18446744073709551615"},
    };
    static const char *const bad[] = {
        "", "-", "1", "1-", "-1", "1-2-3", "1-2 ", " 1-2", "01-2", "1-+2", "1-x", "18446744073709551616-1", "=1-2"};
    struct store_position back = {7, 8};
    char storage[REDIS_POSITION_TEXT];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(good); i++) {
        assert_true(slice_equal_text(redis_position_format(good[i].position, storage), good[i].text));
        assert_true(redis_position_parse(slice_from(good[i].text), &back));
        assert_true(back.epoch == good[i].position.epoch && back.offset == good[i].position.offset);
    }
    back = (struct store_position){7, 8};
    for (size_t i = 0; i < BASE_ARRAY_SIZE(bad); i++)
        assert_false(redis_position_parse(slice_from(bad[i]), &back));
    assert_false(redis_position_parse(SLICE_NONE, &back));
    assert_true(back.epoch == 7 && back.offset == 8);
}

static void test_node(void **state base_unused)
{
    assert_true(redis_node_check(SLICE_LITERAL("10.0.0.5:8091")));
    assert_true(redis_node_check(SLICE_LITERAL("[2001:db8::1]:8091")));
    assert_false(redis_node_check(SLICE_LITERAL("")));
    assert_false(redis_node_check(SLICE_LITERAL("a b")));
    assert_false(redis_node_check(SLICE_LITERAL("a\"b")));
    assert_false(redis_node_check(SLICE_LITERAL("a\\b")));
    assert_false(redis_node_check(SLICE_LITERAL("a\nb")));
    assert_false(redis_node_check(SLICE_LITERAL("\xc3\xa9")));
}

static void test_lease(void **state base_unused)
{
    const struct store_lease lease = {
        .lease_ms = 6000,
        .is_draining = true,
        .sessions = 1ull << 40,
        .rooms = 3,
        .started_ms = 1700000000123,
        .version = "1.0 \"é\"",
        .internal = "127.0.0.1:9091",
    };
    base_cleanup(buffer_deinit)
    struct buffer json = {0}, value = {0};
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct store_lease back;

    redis_lease_write(&lease, &json);
    stamp(STAMP("until", "1700000005000"), &json, &value);
    assert_int_equal(redis_lease_parse(buffer_slice(&value), 1700000004000, &arena, &back), 0);
    assert_string_equal(back.node, "10.0.0.5:8091");
    assert_true(back.incarnation == 0xfedcba9876543210);
    assert_int_equal(back.lease_ms, 6000);
    assert_true(back.is_draining && !back.is_cut && back.is_alive);
    assert_true(back.sessions == 1ull << 40);
    assert_int_equal(back.rooms, 3);
    assert_true(back.started_ms == 1700000000123);
    assert_string_equal(back.version, "1.0 \"é\"");
    assert_string_equal(back.internal, "127.0.0.1:9091");
    assert_int_equal(back.lease_left_ms, 1000);
    assert_int_equal(redis_lease_parse(buffer_slice(&value), 1700000005000, &arena, &back), 0);
    assert_false(back.is_alive);
    assert_int_equal(redis_lease_parse(buffer_slice(&value), 1700000006000, &arena, &back), 0);
    assert_int_equal(back.lease_left_ms, -1000);
}

/** Of an older or newer node: what is unknown is skipped, what is missing or of another type is empty. */
static void test_lease_of_another_version(void **state base_unused)
{
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct store_lease back;

    assert_int_equal(redis_lease_parse(SLICE_LITERAL(STAMP("until", "5") "\"new\":{\"a\":[1]},\"sessions\":\"7\","
                                                                         "\"rooms\":-1,\"version\":null,\"cut\":1}"),
                                       0, &arena, &back),
                     0);
    assert_int_equal(back.sessions, 0);
    assert_int_equal(back.rooms, 0);
    assert_string_equal(back.version, "");
    assert_string_equal(back.internal, "");
    assert_false(back.is_cut);
}

static void test_bad_values(void **state base_unused)
{
    static const char *const rows[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"incarnation\":\"fedcba9876543210\"}",
        "{\"node\":\"a\"",
        "{\"node\":\"\xff\"}",
        "{\"node\":\"a\"} x",
        "{\"node\":7}",
    };
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct store_session session;
    struct store_room_part part;
    struct store_lease lease;

    /* A lease is nothing without its holder; of the others the scripts have looked at it already. */
    assert_int_equal(redis_lease_parse(SLICE_LITERAL("{\"incarnation\":7,\"node\":\"a\"}"), 0, &arena, &lease),
                     -EBADMSG);
    assert_int_equal(redis_lease_parse(SLICE_LITERAL("{\"incarnation\":\"x\",\"node\":\"a\"}"), 0, &arena, &lease),
                     -EBADMSG);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        assert_int_equal(redis_lease_parse(slice_from(rows[i]), 0, &arena, &lease), -EBADMSG);
        assert_int_equal(redis_session_parse(SLICE_LITERAL("s"), slice_from(rows[i]), &arena, &session), -EBADMSG);
        redis_counts_parse(slice_from(rows[i]), &part);
        assert_true(part.connections == 0 && part.users == 0);
    }
}

static void test_room(void **state base_unused)
{
    const struct store_room_put put = {.connections = 5, .users = 3, .version = 8};
    base_cleanup(buffer_deinit)
    struct buffer json = {0}, counts = {0};
    struct store_room_part part;

    redis_counts_write(&put, &json);
    stamp(STAMP("stated", "1"), &json, &counts);
    redis_counts_parse(buffer_slice(&counts), &part);
    assert_int_equal(part.connections, 5);
    assert_int_equal(part.users, 3);
    redis_counts_parse(SLICE_LITERAL("{\"connections\":-1,\"users\":\"3\"}"), &part);
    assert_true(part.connections == 0 && part.users == 0);
}

static void test_out_of_memory(void **state base_unused)
{
    const struct slice session = SLICE_LITERAL(STAMP("stated", "1") "\"since\":5,\"device\":\"phone\"}");
    const struct slice lease = SLICE_LITERAL(STAMP("until", "1") "\"version\":\"1\",\"internal\":\"i\"}");

    for (size_t n = 0;; n++) {
        struct store_arena arena = {0};
        struct store_session s;
        struct store_lease l;
        int r;

        alloc_fail_after(n);
        r = redis_session_parse(SLICE_LITERAL("s"), session, &arena, &s);
        if (r == 0)
            r = redis_lease_parse(lease, 0, &arena, &l);
        if (!alloc_fail_disarm()) {
            assert_int_equal(r, 0);
            assert_int_equal(s.since_ms, 5);
            store_arena_deinit(&arena);
            break;
        }
        assert_int_equal(r, -ENOMEM);
        store_arena_deinit(&arena);
    }
}

static void test_seen_id(void **state base_unused)
{
    char big[STORE_SEEN_MAX + 1], one[STORE_SEEN_DIGEST_BYTES], two[STORE_SEEN_DIGEST_BYTES];
    struct slice a, b;

    memset(big, 'x', sizeof(big));
    a = store_seen_id(slice_make(big, STORE_SEEN_MAX), one);
    assert_ptr_equal(a.data, big);
    a = store_seen_id(slice_make(big, sizeof(big)), one);
    /* The same at every start of every node: what Redis has is found again. */
    assert_true(slice_equal_text(a, "#def25d3f9f0d7db269f58da953019989"));
    big[7] = 'y';
    b = store_seen_id(slice_make(big, sizeof(big)), two);
    assert_int_equal(a.size, STORE_SEEN_DIGEST_BYTES - 1);
    assert_int_equal(b.size, a.size);
    assert_false(slice_equal(a, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_incarnation),   cmocka_unit_test(test_node),
        cmocka_unit_test(test_lease),         cmocka_unit_test(test_lease_of_another_version),
        cmocka_unit_test(test_bad_values),    cmocka_unit_test(test_room),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_seen_id),
        cmocka_unit_test(test_position),
    };

    return cmocka_run_group_tests_name("store/value", tests, NULL, NULL);
}
