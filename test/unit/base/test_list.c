#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct item {
    char letter;
    struct list link;
};

static void assert_order(struct list *head, const char *letters)
{
    const char *at = letters;

    list_for_each (it, head) {
        assert_ptr_equal(it->next->previous, it);
        assert_int_equal(container_of(it, struct item, link)->letter, *at++);
    }
    assert_int_equal(*at, '\0');
    assert_int_equal(list_is_empty(head), letters[0] == '\0');
}

static void test_verbs(base_unused void **state)
{
    struct item a = {.letter = 'a'}, b = {.letter = 'b'}, c = {.letter = 'c'};
    struct list head, other;

    list_init(&head);
    list_init(&other);
    list_init(&a.link);
    assert_order(&head, "");
    assert_null(list_pop(&head));
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_prepend(&head, &c.link);
    assert_order(&head, "cab");
    list_remove(&a.link);
    list_remove(&a.link);
    assert_false(list_is_linked(&a.link));
    assert_order(&head, "cb");
    list_insert_before(&b.link, &a.link);
    assert_true(list_is_linked(&a.link));
    assert_order(&head, "cab");
    assert_ptr_equal(list_pop(&head), &c.link);
    list_append(&other, &c.link);
    list_splice(&other, &head);
    assert_order(&head, "");
    assert_order(&other, "cab");
    list_splice(&other, &head);
    assert_order(&other, "cab");
    list_splice(&head, &other);
    assert_order(&head, "cab");
    list_for_each_safe (it, &head) {
        list_remove(it);
    }
    assert_order(&head, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verbs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
