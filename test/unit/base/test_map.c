#include "base/map.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT 3000

struct element {
    char key[16];
    bool in_map;
    UT_hash_handle hh;
};

static void element_name(struct element *e, unsigned number)
{
    (void)snprintf(e->key, sizeof(e->key), "key%u", number);
}

static struct element *find(struct element *map, const char *key)
{
    struct element *found;

    HASH_FIND(hh, map, key, strlen(key), found);
    return found;
}

/** The map holds exactly the elements marked in_map, by key and in its list. */
static void assert_consistent(struct element *map, struct element *elements, unsigned count)
{
    unsigned marked = 0, listed = 0;

    for (unsigned i = 0; i < count; i++) {
        assert_ptr_equal(find(map, elements[i].key), elements[i].in_map ? &elements[i] : NULL);
        marked += elements[i].in_map;
    }
    for (struct element *e = map; e; e = e->hh.next) {
        assert_true(e->in_map);
        listed++;
    }
    assert_int_equal(HASH_COUNT(map), marked);
    assert_int_equal(listed, marked);
}

static void test_add_find_delete(base_unused void **state)
{
    struct element *elements = calloc(COUNT, sizeof(*elements));
    struct element *map = NULL;

    for (unsigned i = 0; i < COUNT; i++) {
        element_name(&elements[i], i);
        HASH_ADD_KEYPTR(hh, map, elements[i].key, strlen(elements[i].key), &elements[i]);
        assert_true(MAP_ADDED(&elements[i]));
        elements[i].in_map = true;
    }
    assert_consistent(map, elements, COUNT);
    for (unsigned i = 0; i < COUNT; i += 2) {
        HASH_DEL(map, &elements[i]);
        elements[i].in_map = false;
    }
    assert_consistent(map, elements, COUNT);
    HASH_CLEAR(hh, map);
    assert_null(map);
    free(elements);
}

/** Every add that needs memory is refused at first; what was refused is nowhere, and the map works on. */
static void test_out_of_memory(base_unused void **state)
{
    struct element *elements = calloc(COUNT, sizeof(*elements));
    struct element *map = NULL;
    unsigned refusals = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        size_t allowed;

        element_name(&elements[i], i);
        for (allowed = 0;; allowed++) {
            bool refused;

            memset(&elements[i].hh, 0xa5, sizeof(elements[i].hh));
            alloc_fail_after(allowed);
            HASH_ADD_KEYPTR(hh, map, elements[i].key, strlen(elements[i].key), &elements[i]);
            refused = alloc_fail_disarm();
            assert_int_equal(MAP_ADDED(&elements[i]), !refused);
            if (!refused)
                break;
            refusals++;
            assert_consistent(map, elements, i + 1); /* the new one is not marked yet, so it must not be found */
            memset(&elements[i].hh, 0xa5, sizeof(elements[i].hh));
            assert_consistent(map, elements, i + 1); /* and nothing leads to its handle */
        }
        elements[i].in_map = true;
    }
    assert_true(refusals >= 2 + 5); /* table and buckets at first, then each doubling from 32 */
    assert_consistent(map, elements, COUNT);
    while (map) {
        struct element *e = map;

        HASH_DEL(map, e);
        e->in_map = false;
    }
    assert_consistent(map, elements, COUNT);
    free(elements);
}

static void test_refused_for_long(base_unused void **state)
{
    struct element *elements = calloc(COUNT, sizeof(*elements));
    struct element *map = NULL;
    unsigned added = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        element_name(&elements[i], i);
        alloc_fail_after(i == 0 ? 2 : 0); /* it may begin, never grow */
        HASH_ADD_KEYPTR(hh, map, elements[i].key, strlen(elements[i].key), &elements[i]);
        (void)alloc_fail_disarm();
        elements[i].in_map = MAP_ADDED(&elements[i]);
        added += elements[i].in_map;
    }
    assert_in_range(added, 32, COUNT - 1);
    assert_consistent(map, elements, COUNT);
    HASH_CLEAR(hh, map);
    free(elements);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_find_delete),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_refused_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
