/* The join of the management API's answers with the leases: what is ok, orphaned, missing, foreign; and answers that
 * are none. */
#include "server/management_internal.h"

#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define QUEUE(name, ready, unacked)                                                                                    \
    "{\"arguments\":{},\"auto_delete\":false,\"durable\":false,\"exclusive\":true,\"messages_ready\":" #ready          \
    ",\"messages_unacknowledged\":" #unacked ",\"name\":\"" name "\",\"type\":\"classic\",\"vhost\":\"/\"}"
#define BOUND(queue, key)                                                                                              \
    "{\"source\":\"x\",\"destination\":\"" queue "\",\"destination_type\":\"queue\",\"routing_key\":\"" key "\"}"
#define A "10.0.0.1:8091"
#define B "10.0.0.2:8091"
#define QA "warren.node." A
#define QB "warren.node." B

static char name_a[] = A, name_b[] = B;
static const struct management_node both[] = {{name_a, true}, {name_b, true}};
static const struct management_node first_lives[] = {{name_a, true}, {name_b, false}};

static const struct management_texts good = {
    .prefix = "warren",
    .queues = SLICE_LITERAL("[" QUEUE(QA, 3, 4) "," QUEUE(QB, 0, 0) "," QUEUE("orders", 9, 0) "]"),
    .consumers = SLICE_LITERAL("[{\"queue\":{\"name\":\"" QA "\",\"vhost\":\"/\"},\"prefetch_count\":500}]"),
    .fanout = SLICE_LITERAL("[" BOUND(QA, "") "," BOUND(QB, "") "," BOUND("spy", "") "]"),
    .node = SLICE_LITERAL("[" BOUND(QA, A) "," BOUND(QB, B) "]"),
    .nodes = both,
    .node_count = 2,
};

static void assert_has(struct slice json, const char *part)
{
    if (!memmem(json.data, json.size, part, strlen(part)))
        fail_msg("no %s in %.*s", part, SLICE_PRINTF(json));
}

static void check_bindings(const struct management_texts *texts, const char *const *parts)
{
    struct buffer out = {0};

    assert_int_equal(management_join_bindings(texts, &out), 0);
    for (; *parts; parts++)
        assert_has(buffer_slice(&out), *parts);
    buffer_deinit(&out);
}

static void test_all_is_well(void **state base_unused)
{
    const char *const parts[] = {
        "{\"exchange\":\"warren.fanout\",\"routing_key\":\"\",\"queue\":\"" QA "\",\"node\":\"" A
        "\",\"alive\":true,\"consumers\":1,\"ready\":3,\"unacked\":4,\"state\":\"ok\"}",
        "{\"exchange\":\"warren.node\",\"routing_key\":\"" B "\",\"queue\":\"" QB "\"",
        "{\"exchange\":\"warren.fanout\",\"routing_key\":\"\",\"queue\":\"spy\",\"node\":null,\"alive\":null,"
        "\"state\":\"foreign\"}",
        "\"problems\":0}",
        NULL,
    };

    check_bindings(&good, parts);
}

static void test_an_orphan_stands_out(void **state base_unused)
{
    struct management_texts texts = good;
    const char *const parts[] = {"\"queue\":\"" QB "\",\"node\":\"" B
                                 "\",\"alive\":false,\"consumers\":0,\"ready\":0,\"unacked\":0,\"state\":\"orphan\"}",
                                 "\"problems\":2}", NULL};

    texts.nodes = first_lives;
    check_bindings(&texts, parts);
}

static void test_an_orphan_that_is_bound_to_nothing(void **state base_unused)
{
    struct management_texts texts = good;
    const char *const parts[] = {"{\"exchange\":\"\",\"routing_key\":\"\",\"queue\":\"" QB "\"", "\"problems\":1}",
                                 NULL};

    texts.nodes = first_lives;
    texts.fanout = SLICE_LITERAL("[" BOUND(QA, "") "]");
    texts.node = SLICE_LITERAL("[" BOUND(QA, A) "]");
    check_bindings(&texts, parts);
}

static void test_missing_bindings(void **state base_unused)
{
    struct management_texts texts = good;
    const char *const no_fanout[] = {
        "{\"exchange\":\"warren.fanout\",\"routing_key\":\"\",\"queue\":\"" QB "\",\"node\":\"" B
        "\",\"alive\":true,\"consumers\":0,\"ready\":0,\"unacked\":0,\"state\":\"missing\"}",
        "\"problems\":1}", NULL};
    const char *const wrong_key[] = {
        "{\"exchange\":\"warren.node\",\"routing_key\":\"" B "\",\"queue\":\"" QB "\",\"node\":\"" B
        "\",\"alive\":true,\"consumers\":0,\"ready\":0,\"unacked\":0,\"state\":\"missing\"}",
        NULL};
    const char *const no_queue[] = {"\"queue\":\"" QB "\",\"node\":\"" B "\",\"alive\":true,\"state\":\"missing\"}",
                                    "\"problems\":2}", NULL};

    texts.fanout = SLICE_LITERAL("[" BOUND(QA, "") "]");
    check_bindings(&texts, no_fanout);
    texts = good;
    texts.node = SLICE_LITERAL("[" BOUND(QA, A) "," BOUND(QB, A) "]");
    check_bindings(&texts, wrong_key);
    texts = good;
    texts.queues = SLICE_LITERAL("[" QUEUE(QA, 0, 0) "]");
    texts.fanout = SLICE_LITERAL("[" BOUND(QA, "") "]");
    texts.node = SLICE_LITERAL("[" BOUND(QA, A) "]");
    check_bindings(&texts, no_queue);
}

static void test_queues(void **state base_unused)
{
    struct buffer out = {0};

    assert_int_equal(management_join_queues(&good, &out), 0);
    assert_has(buffer_slice(&out),
               "{\"queue\":\"" QA "\",\"node\":\"" A
               "\",\"alive\":true,\"type\":\"classic\",\"durable\":false,\"exclusive\":true,\"consumers\":1,"
               "\"ready\":3,\"unacked\":4,\"state\":\"ok\"}");
    assert_has(buffer_slice(&out), "\"problems\":0}");
    assert_null(memmem(out.data, out.size, "orders", 6)); /* somebody else's, and not on our exchange */
    buffer_deinit(&out);
}

static void test_answers_that_are_none(void **state base_unused)
{
    static const char *const broken[] = {"", "{}", "[", "[1]", "[{}]", "null", "[{\"name\":1}", "[{\"name\":\"x\"},]"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(broken); i++) {
        struct management_texts texts = good;
        struct buffer out = {0};

        texts.queues = slice_from(broken[i]);
        assert_int_equal(management_join_bindings(&texts, &out), -EINVAL);
        buffer_deinit(&out);
    }
}

static void test_out_of_memory(void **state base_unused)
{
    for (size_t n = 0;; n++) {
        struct buffer out = {0};
        int result;

        alloc_fail_after(n);
        result = management_join_bindings(&good, &out);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            buffer_deinit(&out);
            return;
        }
        assert_int_equal(result, -ENOMEM);
        buffer_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_an_orphan_stands_out),
        cmocka_unit_test(test_an_orphan_that_is_bound_to_nothing),
        cmocka_unit_test(test_missing_bindings),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_answers_that_are_none),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
