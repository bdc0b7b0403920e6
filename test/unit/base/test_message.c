#include "base/message.h"
#include "support/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct message sample = {
    .kind = MESSAGE_KIND_SIGNAL,
    .has_stable_id = true,
    .channel = {"room:42", 7},
    .id = {"01J", 3},
    .time_ms = -5,
    .content_type = {"text/plain", 10},
    .data = {"he\0lo", 5},
    .epoch = UINT64_MAX,
    .offset = 9,
    .meta = {"", 0}, /* set, and empty */
};

static void assert_same(const struct message *a, const struct message *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->has_stable_id, b->has_stable_id);
    assert_int_equal(a->time_ms, b->time_ms);
    assert_true(a->epoch == b->epoch && a->offset == b->offset);
    assert_true(slice_equal(a->channel, b->channel) && slice_equal(a->id, b->id) && slice_equal(a->from, b->from));
    assert_true(slice_equal(a->content_type, b->content_type) && slice_equal(a->data, b->data));
    assert_true(slice_equal(a->meta, b->meta));
    assert_int_equal(slice_is_set(a->from), slice_is_set(b->from));
    assert_int_equal(slice_is_set(a->meta), slice_is_set(b->meta));
    assert_int_equal(slice_is_set(a->data), slice_is_set(b->data));
}

static void test_payload(base_unused void **state)
{
    struct payload *p = payload_copy(slice_make("a\0b", 3));

    assert_non_null(p);
    assert_true(slice_equal(payload_slice(p), slice_make("a\0b", 3)));
    assert_ptr_equal(payload_ref(p), p);
    assert_null(payload_unref(p));
    assert_int_equal(payload_slice(p).size, 3);
    assert_null(payload_unref(p));
    assert_null(payload_unref(NULL));
    p = payload_copy(SLICE_NONE);
    assert_non_null(p);
    assert_int_equal(payload_slice(p).size, 0);
    assert_null(payload_unref(p));
}

static void test_payload_bounds(base_unused void **state)
{
    struct payload *p = payload_new(PAYLOAD_MAX_BYTES);

    assert_non_null(p);
    assert_int_equal(p->size, PAYLOAD_MAX_BYTES);
    assert_null(payload_unref(p));
    assert_null(payload_new(PAYLOAD_MAX_BYTES + 1));
    assert_null(payload_new(SIZE_MAX));
}

static void test_new_shares_the_backing(base_unused void **state)
{
    struct payload *backing = payload_copy(SLICE_LITERAL("room:42hello"));
    struct message fields = sample;
    struct message *m;

    fields.channel = slice_make(backing->data, 7);
    fields.data = slice_make(backing->data + 7, 5);
    m = message_new(&fields, payload_ref(backing));
    assert_non_null(m);
    assert_same(m, &fields);
    assert_ptr_equal(m->data.data, backing->data + 7);
    assert_null(payload_unref(backing));
    assert_null(message_unref(message_ref(m)));
    assert_true(slice_equal_text(m->data, "hello")); /* the message's own reference keeps it */
    assert_null(message_unref(m));
    assert_null(message_unref(NULL));
}

static void test_copy(base_unused void **state)
{
    char data[] = "bytes";
    struct message fields = sample;
    struct message *m;

    fields.data = slice_make(data, 5);
    m = message_copy(&fields);
    assert_non_null(m);
    assert_same(m, &fields);
    memset(data, 'x', 5);
    assert_true(slice_equal_text(m->data, "bytes"));
    assert_null(message_unref(m));

    fields = (struct message){.kind = MESSAGE_KIND_CONTROL};
    m = message_copy(&fields); /* nothing set at all */
    assert_non_null(m);
    assert_same(m, &fields);
    assert_null(message_unref(m));
}

static void test_copy_too_large(base_unused void **state)
{
    struct message fields = sample;

    fields.data.size = PAYLOAD_MAX_BYTES; /* refused before a byte of it is read */
    assert_null(message_copy(&fields));
    fields.data.size = SIZE_MAX - 10;
    assert_null(message_copy(&fields));
}

static void test_out_of_memory(base_unused void **state)
{
    size_t n;

    for (n = 0;; n++) {
        struct payload *backing = payload_copy(SLICE_LITERAL("x"));
        struct message *copy, *shared;
        bool refused;

        alloc_fail_after(n);
        shared = message_new(&sample, backing);
        copy = message_copy(&sample);
        refused = alloc_fail_disarm();
        assert_int_equal(!copy || !shared, refused);
        assert_null(message_unref(copy));
        assert_null(message_unref(shared));
        if (!refused)
            break;
    }
    assert_int_equal(n, 3);
}

static void *take_and_drop(void *argument)
{
    struct message *m = argument;

    for (int i = 0; i < 20000; i++)
        (void)message_unref(message_ref(m));
    return message_unref(m);
}

static void test_threads(base_unused void **state)
{
    struct message *m = message_copy(&sample);
    pthread_t threads[4];

    assert_non_null(m);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, message_ref(m)), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&m->refs), 1);
    assert_null(message_unref(m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_payload_bounds),
        cmocka_unit_test(test_new_shares_the_backing),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_copy_too_large),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
