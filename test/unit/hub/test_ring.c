#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hub/ring_internal.h"
#include "support/alloc.h"

#include <stdio.h>

static struct slab memory;

static struct message *message(uint64_t offset)
{
    char id[16];
    int size = snprintf(id, sizeof(id), "id-%u", (unsigned)offset);
    const struct message fields = {
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = SLICE_LITERAL("room:1"),
        .id = slice_make(id, (size_t)size),
        .data = SLICE_LITERAL("\"x\""),
        .epoch = 7,
        .offset = offset,
    };
    struct message *m = message_copy(&fields);

    assert_non_null(m);
    return m;
}

static void add(struct hub_ring **r, uint64_t offset, uint64_t now_ms)
{
    struct message *m = message(offset);

    hub_ring_add(&memory, r, m, now_ms);
    message_unref(m);
}

static bool has(const struct hub_ring *r, uint64_t offset)
{
    struct message *m = message(offset);
    bool result = hub_ring_has_id(r, m->id);

    message_unref(m);
    return result;
}

static void test_older_ones_fill_what_is_free(void **state base_unused)
{
    struct hub_ring *r = NULL;
    uint64_t oldest = 100;

    slab_init(&memory);
    add(&r, 100, 1);
    while (oldest > 1) {
        struct message *m = message(oldest - 1);
        bool was_added = hub_ring_add_before(&memory, &r, m, 1);

        message_unref(m);
        if (!was_added)
            break;
        oldest--;
        assert_int_equal(hub_ring_at(r, 0)->offset, oldest);
        assert_int_equal(hub_ring_oldest(r, 7, 100), oldest);
    }
    assert_int_equal(hub_ring_count(r), HUB_RING_MAX);
    add(&r, 101, 2); /* a newer one takes the place of the oldest */
    assert_int_equal(hub_ring_oldest(r, 7, 101), oldest + 1);
    hub_ring_free(&memory, r);
    slab_deinit(&memory);
}

static void test_keeps_the_newest(void **state base_unused)
{
    struct hub_ring *r = NULL;

    slab_init(&memory);
    assert_false(has(r, 1));
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t oldest = i > HUB_RING_MAX ? i - HUB_RING_MAX + 1 : 1;

        add(&r, i, i);
        assert_int_equal(hub_ring_count(r), i - oldest + 1);
        assert_int_equal(hub_ring_at(r, 0)->offset, oldest);
        assert_int_equal(hub_ring_at(r, hub_ring_count(r) - 1)->offset, i);
        assert_int_equal(hub_ring_oldest(r, 7, i), oldest);
        assert_true(has(r, oldest) && has(r, i) && !has(r, i + 1));
        assert_true(oldest == 1 || !has(r, oldest - 1));
    }
    assert_null(hub_ring_free(&memory, r));
    slab_deinit(&memory);
}

static void test_settles(void **state base_unused)
{
    struct hub_ring *r = NULL;

    slab_init(&memory);
    assert_int_equal(hub_ring_settle(&memory, &r, HUB_RING_QUIET_MS * 10), 0);
    for (uint64_t i = 1; i <= 10; i++)
        add(&r, i, 1000);
    assert_int_equal(hub_ring_settle(&memory, &r, 1000 + HUB_RING_QUIET_MS - 1), 0);
    assert_int_equal(hub_ring_count(r), 10);
    assert_true(hub_ring_settle(&memory, &r, 1000 + HUB_RING_QUIET_MS) > 0);
    /* what was said is gone, and nobody is caught up by it; that it was heard is known */
    assert_int_equal(hub_ring_count(r), 0);
    assert_false(hub_ring_covers(r, 7, 9, 10));
    assert_true(hub_ring_covers(r, 7, 10, 10));
    for (uint64_t i = 1; i <= 10; i++)
        assert_true(has(r, i));
    assert_false(has(r, 11));
    assert_int_equal(hub_ring_settle(&memory, &r, 1000 + 2 * HUB_RING_QUIET_MS), 0);
    /* goes on behind it */
    add(&r, 11, 50000);
    assert_true(hub_ring_covers(r, 7, 10, 11));
    assert_false(hub_ring_covers(r, 7, 9, 11));
    assert_true(has(r, 10) && has(r, 11));
    /* no more than the newest are remembered */
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 10; i++)
            add(&r, 12 + round * 10 + i, 50000 * (round + 1));
        assert_true(hub_ring_settle(&memory, &r, 50000 * (round + 1) + HUB_RING_QUIET_MS) > 0);
    }
    assert_int_equal(r->past->count, HUB_RING_MAX);
    assert_true(has(r, 211) && has(r, 212 - HUB_RING_MAX));
    assert_false(has(r, 211 - HUB_RING_MAX));
    hub_ring_free(&memory, r);
    slab_deinit(&memory);
}

static void test_without_memory(void **state base_unused)
{
    for (size_t failing = 1; failing <= 24; failing++) {
        struct hub_ring *r = NULL;
        struct message *m[8];

        slab_init(&memory);
        for (uint64_t i = 0; i < 8; i++)
            m[i] = message(i + 1);
        alloc_fail_after(failing - 1);
        for (uint64_t i = 0; i < 8; i++) {
            hub_ring_add(&memory, &r, m[i], 0);
            if (i % 3 == 2)
                hub_ring_settle(&memory, &r, HUB_RING_QUIET_MS);
        }
        (void)alloc_fail_disarm();
        /* whatever is missing, what is there is whole */
        for (uint32_t i = 0; i < hub_ring_count(r); i++)
            assert_true(hub_ring_has_id(r, hub_ring_at(r, i)->id));
        hub_ring_free(&memory, r);
        slab_deinit(&memory);
        for (size_t i = 0; i < 8; i++)
            message_unref(m[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older_ones_fill_what_is_free),
        cmocka_unit_test(test_keeps_the_newest),
        cmocka_unit_test(test_settles),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
