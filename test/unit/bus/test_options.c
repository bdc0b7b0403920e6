#include "bus/rabbitmq/rabbitmq.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int load(const char *text, struct rabbitmq_config *values, struct config **ret_config)
{
    struct buffer errors = {0};
    struct config *c;
    int result;

    assert_int_equal(config_new(&c), 0);
    assert_int_equal(config_add_table(c, rabbitmq_options, rabbitmq_option_count, values), 0);
    result = config_load_text(c, slice_from(text), "test", &errors);
    if (!result)
        result = config_finish(c, &errors);
    buffer_deinit(&errors);
    *ret_config = c;
    return result;
}

static void test_defaults(base_unused void **state)
{
    struct rabbitmq_config values;
    struct config *c;

    assert_int_equal(load("", &values, &c), 0);
    assert_int_equal(values.url.count, 1);
    assert_string_equal(values.url.items[0], "amqp://guest:guest@127.0.0.1:5672/");
    assert_string_equal(values.management_url, "");
    assert_int_equal(values.queue, RABBITMQ_QUEUE_EXCLUSIVE);
    assert_string_equal(values.prefix, "warren");
    assert_int_equal(values.heartbeat_ms, 10000);
    assert_int_equal(values.prefetch, 500);
    assert_int_equal(values.confirm_window, 256);
    assert_int_equal(values.max_pending, 10000);
    assert_int_equal(values.max_pending_bytes, 64 * 1024 * 1024);
    assert_int_equal(values.publish_timeout_ms, 10000);
    assert_int_equal(values.max_body_bytes, 1024 * 1024);
    assert_int_equal(values.queue_expires_ms, 600000);
    assert_int_equal(values.queue_max_length, 100000);
    (void)config_free(c);
}

static void test_checks(base_unused void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"[amqp]\nurl = amqp://a:b@h:1/v, amqps://h\n", true},
        {"[amqp]\nurl = amqp://[::1]:5672/%2f\n", true},
        {"[amqp]\nurl = http://h/\n", false},
        {"[amqp]\nurl = amqp://h, nonsense\n", false},
        {"[amqp]\nurl = amqp://h:99999/\n", false},
        {"[amqp]\nqueue = durable\n", true},
        {"[amqp]\nqueue = lazy\n", false},
        {"[amqp]\nprefix = my.gate-way_1\n", true},
        {"[amqp]\nprefix = a b\n", false},
        {"[amqp]\nprefetch = 0\n", false},
        {"[amqp]\nprefetch = 65536\n", false},
        {"[amqp]\nheartbeat = 500ms\n", false},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct rabbitmq_config values;
        struct config *c;
        int result = load(cases[i].text, &values, &c);

        if (result != (cases[i].is_good ? 0 : CONFIG_E_INVALID))
            fail_msg("%s gave %d", cases[i].text, result);
        (void)config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_checks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
