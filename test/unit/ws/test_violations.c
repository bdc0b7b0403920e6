/*
 * What a peer must not send, and that it is noticed at once: each case ends with the byte that breaks the rule.
 */
#include "unit/ws/transcript.h"
#include "ws/parser_internal.h"

#include <stdio.h>

static const struct ws_parser_options options = {.max_message_bytes = 70000};

#define CASE(code, text)                                                                                               \
    {                                                                                                                  \
        code, text, sizeof(text) - 1                                                                                   \
    }

static const struct {
    unsigned code;
    const char *bytes;
    size_t size;
} cases[] = {
    /* the first byte */
    CASE(1002, "\xc1"),
    CASE(1002, "\xa1"),
    CASE(1002, "\x91"),
    CASE(1002, "\xf1"),
    CASE(1002, "\xc9"),
    CASE(1002, "\x83"),
    CASE(1002, "\x87"),
    CASE(1002, "\x8b"),
    CASE(1002, "\x8f"),
    CASE(1002, "\x80"),
    CASE(1002, "\x00"),
    CASE(1002, "\x81\x00\x80"),
    CASE(1002, "\x01\x01z\x81"),
    CASE(1002, "\x01\x00\x02"),
    CASE(1002, "\x01\x00\xc0"),
    CASE(1002, "\x08"),
    CASE(1002, "\x09"),
    CASE(1002, "\x0a"),
    CASE(1002, "\x01\x00\x89\x00\x09"),
    /* lengths */
    CASE(1002, "\x88\x7e"),
    CASE(1002, "\x89\x7e"),
    CASE(1002, "\x8a\x7f"),
    CASE(1002, "\x81\x7e\x00\x00"),
    CASE(1002, "\x81\x7e\x00\x7d"),
    CASE(1002, "\x81\x7f\x80"),
    CASE(1002, "\x81\x7f\xff"),
    CASE(1002, "\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x7e"),
    CASE(1002, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"),
    /* too long, by its header alone */
    CASE(1009, "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x71"),
    CASE(1009, "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
    CASE(1009, "\x01\x01z\x80\x7f\x00\x00\x00\x00\x00\x01\x11\x70"),
    /* text */
    CASE(1007, "\x81\x01\x80"),
    CASE(1007, "\x81\x01\xff"),
    CASE(1007, "\x81\x10"
               "ab\xc3"
               "d"),
    CASE(1007, "\x81\x10\xc0"),
    CASE(1007, "\x81\x10\xc1"),
    CASE(1007, "\x81\x10\xe0\x9f"),
    CASE(1007, "\x81\x10\xed\xa0"),
    CASE(1007, "\x81\x10\xf0\x8f"),
    CASE(1007, "\x81\x10\xf4\x90"),
    CASE(1007, "\x81\x10\xf5"),
    CASE(1007, "\x81\x01\xc3"),
    CASE(1007, "\x01\x01\xe2\x80\x01\x82"),
    CASE(1007, "\x01\x01\xe2\x00\x01"
               "a"),
    CASE(1007, "\x01\x02\xe2\x82\x89\x01p\x80\x02\xacz\x81\x01\xfe"),
    /* closing */
    CASE(1002, "\x88\x01"),
    CASE(1002, "\x88\x02\x00\x00"),
    CASE(1002, "\x88\x02\x03\xe7"),
    CASE(1002, "\x88\x02\x03\xec"),
    CASE(1002, "\x88\x02\x03\xed"),
    CASE(1002, "\x88\x02\x03\xee"),
    CASE(1002, "\x88\x02\x03\xf7"),
    CASE(1002, "\x88\x02\x0b\xb7"),
    CASE(1002, "\x88\x02\x13\x88"),
    CASE(1002, "\x88\x0a\x03\xed"),
    CASE(1007, "\x88\x03\x03\xe8\xff"),
    CASE(1007, "\x88\x0a\x03\xe8\xe2"
               "a"),
    CASE(1007, "\x01\x01\xe2\x88\x0a\x03\xe8\x82"),
    CASE(1007, "\x88\x03\x03\xe8\xc3"),
};

static bool ends_with_code(struct slice transcript, unsigned code)
{
    char expected[32];
    int n = snprintf(expected, sizeof(expected), "refused %u\n", code);

    return transcript.size >= (size_t)n &&
           memcmp(transcript.data + transcript.size - (size_t)n, expected, (size_t)n) == 0;
}

static void check(bool masked, struct slice bytes, unsigned code)
{
    struct ws_parser_options o = options;

    o.expect_masked = masked;
    for (uint64_t round = 0; round < 12; round++) {
        struct buffer out = {0};
        struct ws_parser p;

        ws_parser_init(&p, &o);
        transcript_feed(&p, slice_make(bytes.data, bytes.size - 1), round == 0 ? bytes.size : 1,
                        round < 2 ? 0 : round * 7919, &out);
        assert_false(p.parse && p.parse->error); /* not before */
        transcript_feed(&p, slice_skip(bytes, bytes.size - 1), 1, 0, &out);
        assert_true(ends_with_code(buffer_slice(&out), code));
        assert_null(p.parse->message.data);
        ws_parser_deinit(&p);
        buffer_deinit(&out);
    }
}

static void test_violations(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct slice bytes = slice_make(cases[i].bytes, cases[i].size);
        struct buffer masked = {0};

        check(false, bytes, cases[i].code);
        transcript_mask(bytes, true, &masked);
        check(true, buffer_slice(&masked), cases[i].code);
        buffer_deinit(&masked);
    }
}

/* Section 5.1: a client masks, a server does not. */
static void test_masking_is_by_side(void **state)
{
    struct ws_parser_options o = options;

    (void)state;
    transcript_check_side(&o, SLICE_LITERAL("\x81\x80"), "refused 1002\n");
    o.expect_masked = true;
    transcript_check_side(&o, SLICE_LITERAL("\x81\x00"), "refused 1002\n");
}

static void test_fragment_limit(void **state)
{
    struct ws_parser_options o = options;

    (void)state;
    o.max_fragments = 3;
    transcript_check(&o,
                     SLICE_LITERAL("\x01\x01"
                                   "a\x00\x01"
                                   "b\x89\x00\x80\x01"
                                   "c\x01\x00\x00\x00\x80\x00"),
                     "ping \ntext abc\ntext \n");
    transcript_check(&o, SLICE_LITERAL("\x01\x00\x00\x00\x00\x00\x00\x00"), "refused 1009\n");
    transcript_check(&o,
                     SLICE_LITERAL("\x01\x00\x00\x00\x00\x00\x80\x01"
                                   "a"),
                     "refused 1009\n");
    /* one that only ends the message */
    transcript_check(&o, SLICE_LITERAL("\x01\x00\x00\x00\x00\x00\x80\x00"), "text \n");
}

/* The edge, over fragments too; a control frame between them does not count. */
static void test_message_limit(void **state)
{
    struct ws_parser_options o = {.max_message_bytes = 4};

    (void)state;
    transcript_check(&o,
                     SLICE_LITERAL("\x82\x04"
                                   "abcd"),
                     "binary abcd\n");
    transcript_check(&o,
                     SLICE_LITERAL("\x82\x05"
                                   "abcde"),
                     "refused 1009\n");
    transcript_check(&o,
                     SLICE_LITERAL("\x02\x03"
                                   "abc\x89\x05hello\x80\x01"
                                   "d"),
                     "ping hello\nbinary abcd\n");
    transcript_check(&o,
                     SLICE_LITERAL("\x02\x03"
                                   "abc\x80\x02"),
                     "refused 1009\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_violations),
        cmocka_unit_test(test_masking_is_by_side),
        cmocka_unit_test(test_fragment_limit),
        cmocka_unit_test(test_message_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
