/** Two configurations of the same tables: what differs, and what is taken over. */
#include "config/config.h"

#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct values {
    bool flag;
    int64_t number, time_ms;
    char *text, *secret, *fixed;
    struct config_list list;
    int choice;
};

static const char *const words[] = {"red", "blue", NULL};

static const struct config_option options[] = {
    {"a.flag", CONFIG_BOOL, offsetof(struct values, flag), "no", .reloadable = true},
    {"a.number", CONFIG_INTEGER, offsetof(struct values, number), "1", .reloadable = true},
    {"a.time", CONFIG_DURATION, offsetof(struct values, time_ms), "1m", .reloadable = true},
    {"a.text", CONFIG_TEXT, offsetof(struct values, text), "x", .reloadable = true},
    {"a.secret", CONFIG_TEXT, offsetof(struct values, secret), "", .secrecy = CONFIG_SECRET, .reloadable = true},
    {"a.fixed", CONFIG_TEXT, offsetof(struct values, fixed), "here"},
    {"a.list", CONFIG_LIST, offsetof(struct values, list), "", .reloadable = true},
    {"a.choice", CONFIG_CHOICE, offsetof(struct values, choice), "red", .choices = words, .reloadable = true},
};

struct section {
    int64_t size, age;
};

static const struct config_option section_options[] = {
    {"size", CONFIG_INTEGER, offsetof(struct section, size), "1", .reloadable = true},
    {"age", CONFIG_INTEGER, offsetof(struct section, age), "1"},
};

static struct config *load(const char *text, struct values *values)
{
    struct buffer errors = {0};
    struct config *c;

    assert_int_equal(config_new(&c), 0);
    assert_int_equal(config_add_table(c, options, BASE_ARRAY_SIZE(options), values), 0);
    assert_int_equal(
        config_add_family(c, "room", section_options, BASE_ARRAY_SIZE(section_options), sizeof(struct section)), 0);
    assert_int_equal(config_load_text(c, slice_from(text), "file", &errors), 0);
    assert_int_equal(config_finish(c, &errors), 0);
    buffer_deinit(&errors);
    return c;
}

static void write_change(void *userdata, const struct config_change *change)
{
    struct buffer *out = userdata;

    buffer_printf(out, "%.*s: %.*s -> %.*s%s\n", SLICE_PRINTF(change->key),
                  SLICE_PRINTF(slice_is_set(change->before) ? change->before : SLICE_LITERAL("none")),
                  SLICE_PRINTF(slice_is_set(change->after) ? change->after : SLICE_LITERAL("none")),
                  change->reloadable ? "" : " (restart)");
}

static void assert_changes(const struct config *a, const struct config *b, const char *expected)
{
    struct buffer out = {0};

    buffer_append_text(&out, "");
    assert_int_equal(config_compare(a, b, write_change, &out), 0);
    assert_string_equal(out.data ? out.data : "", expected);
    buffer_deinit(&out);
}

static void test_every_type(void **state base_unused)
{
    struct values old, new;
    struct config *a = load("[a]\ntext = one\nlist = p, q\nfixed = here\n", &old);
    struct config *b = load("[a]\nflag = on\nnumber = 2\ntime = 2m\ntext = two\nsecret = s3cret\nfixed = there\n"
                            "list = r\nchoice = blue\n",
                            &new);
    struct buffer json = {0};

    assert_changes(a, b,
                   "a.flag: no -> yes\na.number: 1 -> 2\na.time: 60s -> 2m\na.text: one -> two\n"
                   "a.secret:  -> ***\na.fixed: here -> there (restart)\na.list: p, q -> r\na.choice: red -> blue\n");
    config_adopt(a, b);
    assert_true(old.flag && old.number == 2 && old.time_ms == 120000 && old.choice == 1);
    assert_string_equal(old.text, "two");
    assert_string_equal(old.secret, "s3cret");
    assert_string_equal(old.fixed, "here");
    assert_int_equal(old.list.count, 1);
    assert_string_equal(old.list.items[0], "r");
    assert_string_equal(new.text, "one"); /* goes with the other */
    assert_changes(a, b,
                   "a.flag: yes -> no\na.number: 2 -> 1\na.time: 2m -> 60s\na.text: two -> one\n"
                   "a.secret: *** -> \na.fixed: here -> there (restart)\na.list: r -> p, q\na.choice: blue -> red\n");
    config_free(b);
    /* what is told of it is new as well, with its place */
    config_write_json(a, &json);
    assert_non_null(strstr(json.data, "\"key\":\"a.number\",\"value\":2,\"source\":\"file:3\""));
    assert_non_null(strstr(json.data, "\"key\":\"a.fixed\",\"value\":\"here\""));
    buffer_deinit(&json);
    config_free(a);
}

static void test_same_value_in_other_words(void **state base_unused)
{
    struct values old, new;
    struct config *a = load("[a]\ntime = 120s\nflag = off\nlist = p,q\n", &old);
    struct config *b = load("[a]\ntime = 2m\nflag = no\nlist = p , q\nsecret =\n", &new);

    assert_changes(a, b, "");
    config_free(a);
    config_free(b);
}

static void test_families(void **state base_unused)
{
    struct values old, new;
    struct config *a = load("[room.x]\nsize = 1\n[room.y]\nsize = 1\nage = 1\n", &old);
    struct config *b = load("[room.y]\nsize = 2\nage = 2\n[room.z]\nsize = 1\n", &new);
    const struct section *y;
    const char *name;

    assert_changes(a, b,
                   "[room.x]:  -> none (restart)\nroom.y.size: 1 -> 2\nroom.y.age: 1 -> 2 (restart)\n"
                   "[room.z]: none ->  (restart)\n");
    config_adopt(a, b);
    y = config_family_at(a, "room", 1, &name);
    assert_string_equal(name, "y");
    assert_true(y->size == 2 && y->age == 1);
    config_free(b);
    config_free(a);
}

/** Adopting cannot fail, and comparing fails whole. */
static void test_out_of_memory(void **state base_unused)
{
    struct values old, new;
    struct config *a = load("[a]\ntext = one\n", &old), *b = load("[a]\ntext = two\nnumber = 5\n", &new);
    struct buffer out = {0};
    int result = -ENOMEM;

    buffer_reserve(&out, 1000);
    for (size_t n = 0; result != 0; n++) {
        buffer_reset(&out, 4096);
        alloc_fail_after(n);
        result = config_compare(a, b, write_change, &out);
        alloc_fail_disarm();
        assert_true(result == 0 || result == -ENOMEM);
        assert_true(n < 1000);
    }
    alloc_fail_after(0);
    config_adopt(a, b);
    alloc_fail_disarm();
    assert_string_equal(old.text, "two");
    assert_int_equal(old.number, 5);
    buffer_deinit(&out);
    config_free(a);
    config_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_same_value_in_other_words),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
