#include "bench_event.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct seen {
    struct bench_event events[4];
    size_t count;
};

static void on_event(void *userdata, const struct bench_event *event)
{
    struct seen *s = userdata;

    assert_true(s->count < BASE_ARRAY_SIZE(s->events));
    s->events[s->count++] = *event;
}

/** The one event of a frame. */
static struct bench_event read_one(const char *frame)
{
    struct seen s = {.count = 0};

    assert_true(bench_event_each(slice_from(frame), on_event, &s));
    assert_int_equal(s.count, 1);
    return s.events[0];
}

static void test_message(void **state base_unused)
{
    struct bench_event e =
        read_one("{\"event\":\"message\",\"channel\":\"room:4\\u00e9\",\"epoch\":\"1\",\"offset\":2,"
                 "\"id\":\"01ABC\",\"from\":\"ann\",\"time\":5,\"data\": {\"n\":1 , \"t\":\"\\u0041\"} }");

    assert_int_equal(e.kind, BENCH_EVENT_MESSAGE);
    assert_true(json_string_equal(e.channel, "room:4é"));
    assert_true(slice_equal_text(e.from, "ann"));
    assert_true(slice_equal_text(e.data, "{\"n\":1 , \"t\":\"\\u0041\"}")); /* as it stands */
    assert_false(e.has_id);                                                 /* a message's id is no request's */
}

static void test_answers(void **state base_unused)
{
    struct bench_event e = read_one("{\"id\":7,\"ok\":{\"message\":\"x\",\"epoch\":\"1\",\"offset\":9}}");

    assert_int_equal(e.kind, BENCH_EVENT_OK);
    assert_true(e.has_id);
    assert_int_equal(e.id, 7);
    e = read_one("{\"id\":0,\"error\":{\"message\":\"m\",\"code\":\"busy\",\"retry_after_ms\":1}}");
    assert_int_equal(e.kind, BENCH_EVENT_ERROR);
    assert_true(e.has_id);
    assert_true(slice_equal_text(e.code, "busy"));
    e = read_one("{\"error\":\"no object\"}");
    assert_int_equal(e.kind, BENCH_EVENT_ERROR);
    assert_false(e.has_id);
    assert_false(slice_is_set(e.code));
}

static void test_others(void **state base_unused)
{
    assert_int_equal(read_one("{\"event\":\"welcome\",\"channels\":[{\"channel\":\"room:1\"}]}").kind,
                     BENCH_EVENT_WELCOME);
    assert_int_equal(read_one("{\"event\":\"online\",\"room\":\"1\",\"count\":3}").kind, BENCH_EVENT_OTHER);
    assert_int_equal(read_one("{\"event\":1}").kind, BENCH_EVENT_OTHER);
    assert_int_equal(read_one("{}").kind, BENCH_EVENT_OTHER);
}

static void test_array(void **state base_unused)
{
    struct seen s = {.count = 0};

    assert_true(bench_event_each(SLICE_LITERAL(" [ {\"id\":1,\"ok\":{}} , {\"event\":\"message\",\"data\":2} ] "),
                                 on_event, &s));
    assert_int_equal(s.count, 2);
    assert_int_equal(s.events[0].kind, BENCH_EVENT_OK);
    assert_true(slice_equal_text(s.events[1].data, "2"));
    s.count = 0;
    assert_true(bench_event_each(SLICE_LITERAL("[]"), on_event, &s));
    assert_int_equal(s.count, 0);
}

static void test_broken(void **state base_unused)
{
    static const char *const frames[] = {"",    "1",      "\"x\"",           "{",   "{\"event\":\"message\"",
                                         "{}x", "[{}",    "[{},]",           "[1]", "{\"event\":\"message\",\"data\":}",
                                         "[{}", "[{}] x", "{\"a\":\"\xff\"}"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(frames); i++) {
        struct seen s = {.count = 0};

        assert_false(bench_event_each(slice_from(frames[i]), on_event, &s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message), cmocka_unit_test(test_answers), cmocka_unit_test(test_others),
        cmocka_unit_test(test_array),   cmocka_unit_test(test_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
