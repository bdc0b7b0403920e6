/*
 * The frame parser on what is right, and what it promises about memory.
 */
#include "support/alloc.h"
#include "unit/ws/transcript.h"

static const struct ws_parser_options options = {.max_message_bytes = 70000};

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t size;
    const char *transcript;
} cases[] = {
    /* RFC 6455 section 5.7 */
    {BYTES("\x81\x05Hello"), "text Hello\n"},
    {BYTES("\x01\x03Hel\x80\x02lo"), "text Hello\n"},
    {BYTES("\x89\x05Hello\x8a\x05Hello"), "ping Hello\npong Hello\n"},
    /* empty ones */
    {BYTES("\x81\x00\x82\x00\x89\x00\x8a\x00"), "text \nbinary \nping \npong \n"},
    {BYTES("\x01\x00\x00\x00\x80\x00\x81\x01z"), "text \ntext z\n"},
    {BYTES("\x01\x00\x80\x01x\x02\x01y\x80\x00"), "text x\nbinary y\n"},
    /* control frames between fragments */
    {BYTES("\x01\x01"
           "a\x89\x01p\x00\x01"
           "b\x8a\x00\x80\x01"
           "c"),
     "ping p\npong \ntext abc\n"},
    {BYTES("\x01\x01"
           "a\x88\x02\x03\xe8"),
     "close 1000 \n"},
    /* a character across fragments, and the fragment between them empty */
    {BYTES("\x01\x01\xe2\x00\x00\x00\x01\x82\x80\x01\xac"), "text \\xe2\\x82\\xac\n"},
    {BYTES("\x81\x04\xf0\x9f\x98\x80"), "text \\xf0\\x9f\\x98\\x80\n"},
    {BYTES("\x81\x01\x00"), "text \\x00\n"},
    {BYTES("\x82\x02\xff\xfe"), "binary \\xff\\xfe\n"},
    /* a frame is cut */
    {BYTES("\x81"), ""},
    {BYTES("\x81\x02z"), ""},
    {BYTES("\x81\x01z\x81"), "text z\n"},
    /* closing */
    {BYTES("\x88\x00"), "close \n"},
    {BYTES("\x88\x02\x03\xe8"), "close 1000 \n"},
    {BYTES("\x88\x05\x10\x04"
           "bye"),
     "close 4100 bye\n"},
    {BYTES("\x88\x04\x03\xe9\xc3\xa9"), "close 1001 \\xc3\\xa9\n"},
    {BYTES("\x88\x00\x81\x01z\xff\xff\xff"), "close \n"}, /* nothing counts behind it */
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        transcript_check(&options, slice_make(cases[i].bytes, cases[i].size), cases[i].transcript);
}

static void append_payload(struct buffer *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_append_char(out, (char)('a' + i % 26));
}

static void test_lengths(void **state)
{
    static const size_t sizes[] = {124, 125, 126, 127, 128, 255, 256, 257, 65535, 65536, 70000};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(sizes); i++) {
        struct buffer payload = {0}, bytes = {0}, expected = {0};

        append_payload(&payload, sizes[i]);
        ws_frame_append(&bytes, WS_OPCODE_TEXT, buffer_slice(&payload), NULL);
        buffer_printf(&expected, "text %s\n", payload.data);
        transcript_check(&options, buffer_slice(&bytes), expected.data);
        buffer_deinit(&payload);
        buffer_deinit(&bytes);
        buffer_deinit(&expected);
    }
}

/* A bit that an extension negotiated marks a message by its first frame, and its text is not judged: it is not text
 * yet. */
static void test_reserved_bit(void **state)
{
    struct ws_parser_options o = options;

    (void)state;
    o.allowed_rsv = 0x40;
    transcript_check(&o, SLICE_LITERAL("\xc1\x02\xff\xfe"), "text+40 \\xff\\xfe\n");
    transcript_check(&o, SLICE_LITERAL("\x41\x01\xff\x80\x01\xfe\x81\x01z"), "text+40 \\xff\\xfe\ntext z\n");
    transcript_check(&o, SLICE_LITERAL("\xa1"), "refused 1002\n");
    transcript_check(&o, SLICE_LITERAL("\x41\x00\xc0"), "refused 1002\n");
    transcript_check(&o, SLICE_LITERAL("\xc9"), "refused 1002\n");
    transcript_check(&o, SLICE_LITERAL("\x81\x01\xff"), "refused 1007\n");
}

/* In the bytes fed, though two frames lie there and the header of the first came before. */
static void test_whole_frames_are_not_copied(void **state)
{
    char bytes[] = "\x82\x85\x01\x02\x03\x04\x60\x60\x60\x60\x60\x89\x81\x00\x00\x00\x00x";
    struct ws_parser_options o = {.expect_masked = true, .max_message_bytes = 5};
    struct ws_parser p;
    struct ws_event e;
    size_t n;

    (void)state;
    ws_parser_init(&p, &o);
    alloc_fail_after(1); /* for the header, kept from one call to the next */
    assert_int_equal(ws_parser_feed(&p, bytes, 6, &n, &e), WS_MORE);
    assert_int_equal(n, 6);
    assert_int_equal(ws_parser_feed(&p, bytes + 6, sizeof(bytes) - 7, &n, &e), 0);
    assert_int_equal(n, 5);
    assert_ptr_equal(e.payload.data, bytes + 6);
    assert_memory_equal(bytes + 6, "abcda", 5);
    assert_int_equal(ws_parser_feed(&p, bytes + 11, sizeof(bytes) - 12, &n, &e), 0);
    assert_ptr_equal(e.payload.data, bytes + sizeof(bytes) - 2);
    assert_false(alloc_fail_disarm());
    ws_parser_deinit(&p);
}

/* What an event showed goes with the next call, or at once. */
static void test_memory_only_while_incomplete(void **state)
{
    char bytes[] = "\x82\x02"
                   "ab\x89\x02"
                   "cd";
    struct ws_parser p;
    struct ws_event e;
    size_t n;

    (void)state;
    ws_parser_init(&p, &options);
    assert_int_equal(ws_parser_feed(&p, bytes, 3, &n, &e), WS_MORE);
    assert_int_equal(ws_parser_feed(&p, bytes + 3, 1, &n, &e), 0);
    assert_true(slice_equal_text(e.payload, "ab"));
    assert_non_null(p.parse); /* what the event shows */
    ws_parser_settle(&p);
    assert_null(p.parse);
    assert_int_equal(ws_parser_feed(&p, bytes + 4, 3, &n, &e), WS_MORE);
    assert_int_equal(ws_parser_feed(&p, bytes + 7, 1, &n, &e), 0);
    assert_true(slice_equal_text(e.payload, "cd"));
    ws_parser_settle(&p);
    assert_null(p.parse);
    ws_parser_deinit(&p);
}

static void test_out_of_memory(void **state)
{
    bool refused = true;

    (void)state;
    for (size_t a = 0; refused; a++) {
        struct buffer bytes = {0}, payload = {0};
        struct ws_event e = {.payload = SLICE_NONE};
        struct ws_parser p;
        size_t n;
        int r = WS_MORE;

        append_payload(&payload, 300);
        ws_frame_append(&bytes, WS_OPCODE_TEXT, buffer_slice(&payload), NULL);
        ws_parser_init(&p, &options);
        alloc_fail_after(a);
        for (size_t i = 0; i < bytes.size && r == WS_MORE; i++)
            r = ws_parser_feed(&p, bytes.data + i, 1, &n, &e);
        refused = alloc_fail_disarm();
        assert_int_equal(r, refused ? -ENOMEM : 0);
        if (refused)
            assert_int_equal(ws_parser_feed(&p, bytes.data, 1, &n, &e), -ENOMEM); /* for good */
        else
            assert_true(slice_equal(e.payload, buffer_slice(&payload)));
        ws_parser_deinit(&p);
        buffer_deinit(&bytes);
        buffer_deinit(&payload);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_reserved_bit),
        cmocka_unit_test(test_whole_frames_are_not_copied),
        cmocka_unit_test(test_memory_only_while_incomplete),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
