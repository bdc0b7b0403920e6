#include "replay_file.h"
#include "support/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static struct replay_file parse(struct slice content)
{
    struct replay_file f = {0};
    struct buffer error = {0};

    assert_int_equal(replay_file_parse(content, &f, &error), 0);
    assert_int_equal(error.size, 0);
    return f;
}

static void expect_comment(const struct replay_file *f, size_t index, uint64_t at_ms, const char *sender,
                           const char *text)
{
    assert_true(index < f->comment_count);
    assert_int_equal(f->comments[index].at_ms, at_ms);
    assert_true(slice_equal_text(f->senders[f->comments[index].sender], sender));
    assert_true(slice_equal_text(f->comments[index].text, text));
}

static void test_lines(void **state base_unused)
{
    struct replay_file f = parse(SLICE_LITERAL("0\tann\thello\n0\tbob\t\n\n15\tann\ttabs\tand\t\n15\t小明\t弹幕 ✈"));

    assert_int_equal(f.comment_count, 4);
    assert_int_equal(f.sender_count, 3);
    expect_comment(&f, 0, 0, "ann", "hello");
    expect_comment(&f, 1, 0, "bob", "");
    expect_comment(&f, 2, 15, "ann", "tabs\tand\t");
    expect_comment(&f, 3, 15, "小明", "弹幕 ✈");
    assert_int_equal(f.comments[2].sender, 0);
    replay_file_deinit(&f);
}

/* By time; of one time in the file's order, however many there are. */
static void test_order(void **state base_unused)
{
    struct buffer content = {0};
    struct replay_file f;

    buffer_append_text(&content, "9\tz\tlast\n");
    for (unsigned i = 0; i < 500; i++)
        buffer_printf(&content, "7\ts%u\t%u\n", i % 40, i);
    buffer_append_text(&content, "3\tz\tfirst\n");
    f = parse(buffer_slice(&content));
    buffer_deinit(&content); /* was copied */
    assert_int_equal(f.comment_count, 502);
    assert_int_equal(f.sender_count, 41);
    expect_comment(&f, 0, 3, "z", "first");
    expect_comment(&f, 501, 9, "z", "last");
    for (unsigned i = 0; i < 500; i++) {
        char sender[16], text[16];

        (void)snprintf(sender, sizeof(sender), "s%u", i % 40);
        (void)snprintf(text, sizeof(text), "%u", i);
        expect_comment(&f, i + 1, 7, sender, text);
    }
    replay_file_deinit(&f);
}

static void expect_refused(struct slice content, const char *wanted)
{
    struct replay_file f = {.comment_count = 77};
    struct buffer error = {0};

    assert_int_equal(replay_file_parse(content, &f, &error), -EINVAL);
    assert_non_null(strstr(error.data, wanted));
    assert_int_equal(f.comment_count, 77); /* untouched */
    buffer_deinit(&error);
}

static void test_wrong_lines(void **state base_unused)
{
    static const char *const lines[] = {"x\ta\tb", "-1\ta\tb", "1.5\ta\tb",           "1", "1\ta", "1\t\tb",
                                        "\ta\tb",  "1 a b",    "99999999999999\ta\tb"};
    char long_name[200];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lines); i++) {
        struct buffer content = {0};

        buffer_printf(&content, "0\ta\tfine\n%s\n", lines[i]);
        expect_refused(buffer_slice(&content), "line 2: expected");
        buffer_deinit(&content);
    }
    expect_refused(SLICE_LITERAL("0\ta\t\xff\n"), "UTF-8");
    (void)snprintf(long_name, sizeof(long_name), "1\t%0129d\tx", 7);
    expect_refused(slice_from(long_name), "128 bytes");
    expect_refused(SLICE_LITERAL(""), "at least one");
    expect_refused(SLICE_LITERAL("\n\n"), "at least one");
}

static void test_out_of_memory(void **state base_unused)
{
    const struct slice content = SLICE_LITERAL("1\ta\tx\n2\tb\ty\n3\tc\tz\n4\ta\tx\n");

    for (size_t n = 0;; n++) {
        struct replay_file f = {0};
        struct buffer error = {0};
        int result;

        alloc_fail_after(n);
        result = replay_file_parse(content, &f, &error);
        if (!alloc_fail_disarm()) {
            assert_int_equal(result, 0);
            replay_file_deinit(&f);
            break;
        }
        assert_int_equal(result, -ENOMEM);
        assert_int_equal(error.size, 0);
    }
}

static void test_load(void **state base_unused)
{
    char path[] = "/tmp/warren-replay-XXXXXX";
    int fd = mkstemp(path);
    struct buffer content = {0}, error = {0};
    struct replay_file f;

    assert_true(fd >= 0);
    for (unsigned i = 0; i < 9000; i++) /* more than one read(2) */
        buffer_printf(&content, "%u\tsender\ttext number %u\n", i, i);
    assert_int_equal(write(fd, content.data, content.size), content.size);
    close(fd);
    assert_int_equal(replay_file_load(path, &f, &error), 0);
    assert_int_equal(f.comment_count, 9000);
    expect_comment(&f, 8999, 8999, "sender", "text number 8999");
    replay_file_deinit(&f);
    unlink(path);
    assert_int_equal(replay_file_load(path, &f, &error), -ENOENT);
    assert_non_null(strstr(error.data, "No such file"));
    buffer_deinit(&content);
    buffer_deinit(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_order), cmocka_unit_test(test_wrong_lines),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
