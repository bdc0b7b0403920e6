/*
 * permessage-deflate: messages in by the parser, at all cuts, and messages out. zlib itself, asked here without our
 * code between, is what writes for the former and reads the latter.
 */
#include "support/alloc.h"
#include "unit/ws/transcript.h"
#include "ws/parser_internal.h"

#include <zlib.h>

static struct ws_inflate_pool pool;

static struct ws_parser_options options_of(unsigned keep_window_bits)
{
    return (struct ws_parser_options){
        .allowed_rsv = WS_RSV1,
        .max_message_bytes = 70000,
        .inflate = &pool,
        .inflate_window_bits = (uint8_t)keep_window_bits,
        .inflate_keeps_window = keep_window_bits != 0,
    };
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(pool.held, 0);
    ws_inflate_pool_deinit(&pool);
    return 0;
}

/** A sender of its own: raw DEFLATE, a sync flush a message, the tail cut off. */
static void sender_init(z_stream *z, int window_bits, int level)
{
    memset(z, 0, sizeof(*z));
    assert_int_equal(deflateInit2(z, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
}

static void sender_message(z_stream *z, struct slice message, struct buffer *out)
{
    uInt room = (uInt)deflateBound(z, message.size) + 64;
    char *at = buffer_reserve(out, room);

    assert_non_null(at);
    z->next_in = (Bytef *)(uintptr_t)message.data;
    z->avail_in = (uInt)message.size;
    z->next_out = (Bytef *)at;
    z->avail_out = room;
    assert_int_equal(deflate(z, Z_SYNC_FLUSH), Z_OK);
    assert_int_equal(z->avail_in, 0);
    assert_true(z->avail_out > 0);
    buffer_commit(out, room - z->avail_out);
    assert_memory_equal(out->data + out->size - 4, "\x00\x00\xff\xff", 4);
    buffer_truncate(out, out->size - 4);
}

/** A frame as a server sends it. */
static void frame(struct buffer *out, unsigned first_byte, struct slice payload)
{
    char header[WS_HEADER_MAX_BYTES];
    size_t size = ws_header_write(header, (enum ws_opcode)(first_byte & 15), (first_byte & 0x80) != 0,
                                  first_byte & 0x70, payload.size, NULL);

    buffer_append(out, header, size);
    buffer_append_slice(out, payload);
}

/** Each message's text; the reserved bit is shown as +40 since it came with one. */
static void check(unsigned keep_window_bits, struct slice bytes, const char *expected)
{
    struct ws_parser_options o = options_of(keep_window_bits);

    transcript_check(&o, bytes, expected);
    assert_int_equal(pool.held, 0);
}

#define CHECK(bits, bytes, expected) check(bits, SLICE_LITERAL(bytes), expected)

static void test_examples(void **state)
{
    (void)state;
    /* RFC 7692 section 7.2.3.1: one block; the same in two frames */
    CHECK(0, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", "text+40 Hello\n");
    CHECK(0, "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", "text+40 Hello\n");
    /* 7.2.3.2: the second message looks back into the first; without its window that is no data */
    CHECK(15, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", "text+40 Hello\ntext+40 Hello\n");
    CHECK(8, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", "text+40 Hello\ntext+40 Hello\n");
    CHECK(0, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", "text+40 Hello\nrefused 1007\n");
    /* 7.2.3.3: a block without compression */
    CHECK(0, "\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "text+40 Hello\n");
    /* 7.2.3.4: a block with BFINAL set, and one behind it */
    CHECK(0, "\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "text+40 Hello\n");
    /* 7.2.3.5: two blocks */
    CHECK(0, "\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "text+40 Hello\n");
    /* 7.2.3.6: nothing */
    CHECK(0, "\xc1\x01\x00", "text+40 \n");
    CHECK(15, "\xc1\x01\x00\xc2\x01\x00", "text+40 \nbinary+40 \n");
}

static void test_ends(void **state)
{
    (void)state;
    /* the window outlives BFINAL, within a message and, where it is kept, between two */
    CHECK(0, "\xc1\x0d\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00\x00", "refused 1007\n"); /* a byte too many */
    CHECK(0, "\xc1\x0c\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", "text+40 HelloHello\n");
    CHECK(15, "\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00\xc1\x05\xf2\x00\x11\x00\x00", "text+40 Hello\ntext+40 Hello\n");
    /* whole blocks: nothing was left out, nothing is put back */
    CHECK(15, "\xc1\x00\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x00\xc1\x05\xf2\x00\x11\x00\x00",
          "text+40 \ntext+40 Hello\ntext+40 \ntext+40 Hello\n");
    CHECK(15, "\xc1\x07\xf3\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", "text+40 Hello\ntext+40 Hello\n");
    CHECK(0, "\xc1\x0b\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", "text+40 Hello\n");
    /* cut: in a code, in a stored block's length, in its bytes, which the tail must not become */
    CHECK(0, "\xc1\x05\xf2\x48\xcd\xc9\xc9", "refused 1007\n");
    CHECK(0, "\xc1\x06\xf2\x48\xcd\xc9\xc9\x07", "refused 1007\n");
    CHECK(0, "\xc1\x08\xf2\x48\xcd\xc9\xc9\x07\x00\x00", "refused 1007\n");
    CHECK(0, "\xc1\x06\x00\x05\x00\xfa\xff\x48", "refused 1007\n");
    CHECK(0, "\xc2\x06\x00\x05\x00\xfa\xff\x48", "refused 1007\n");
    /* no DEFLATE: a block type that is none, a length that is not its own complement, a look before the beginning */
    CHECK(0, "\xc2\x01\x06", "refused 1007\n");
    CHECK(0, "\xc2\x06\x00\x05\x00\xfa\xfe\x48", "refused 1007\n");
    CHECK(0, "\xc2\x05\xf2\x00\x11\x00\x00", "refused 1007\n");
}

static void test_bits_and_text(void **state)
{
    (void)state;
    /* compressed and plain ones, control frames between */
    CHECK(0, "\x41\x03\xf2\x48\xcd\x89\x01p\x80\x04\xc9\xc9\x07\x00\x81\x01z", "ping p\ntext+40 Hello\ntext z\n");
    /* RFC 7692 section 6: the bit is a message's, on its first frame */
    CHECK(0, "\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00", "refused 1002\n");
    CHECK(0, "\xc9\x00", "refused 1002\n");
    CHECK(0, "\xc8\x00", "refused 1002\n");
    CHECK(0, "\xa1\x00", "refused 1002\n");
    CHECK(0, "\xf1\x00", "refused 1002\n");
    /* UTF-8 is that of the inflated text: over blocks, at its end, at once */
    CHECK(0, "\xc1\x07\x00\x02\x00\xfd\xff\xe2\x82", "refused 1007\n");
    CHECK(0, "\xc1\x0e\x00\x02\x00\xfd\xff\xe2\x82\x00\x01\x00\xfe\xff\xac\x00", "text+40 \\xe2\\x82\\xac\n");
    CHECK(0, "\x41\x07\x00\x02\x00\xfd\xff\xe2\x82\x80\x07\x00\x01\x00\xfe\xff\xac\x00", "text+40 \\xe2\\x82\\xac\n");
    CHECK(0, "\xc1\x08\x00\x02\x00\xfd\xff\xe2\x82\x00", "refused 1007\n");
    CHECK(0, "\x41\x07\x00\x02\x00\xfd\xff\xe2\x41", "refused 1007\n"); /* though the message goes on */
    CHECK(0, "\xc2\x08\x00\x02\x00\xfd\xff\xe2\x82\x00", "binary+40 \\xe2\\x82\n");
}

/* Random text of words that repeat, through every window, kept or not, cut into frames at random. */
static void test_random(void **state)
{
    uint64_t random = 42;

    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        unsigned bits = round % 2 ? 9 + round / 2 % 7 : 0;
        struct buffer bytes = {0}, expected = {0};
        z_stream z;

        sender_init(&z, bits ? (int)bits : 15, (int)(round % 10));
        for (unsigned m = 0; m < 6; m++) {
            struct buffer text = {0}, payload = {0};
            size_t at = 0, n = (size_t)(transcript_random(&random) % (m == 3 ? 9000 : 300));

            while (text.size < n)
                buffer_printf(&text, "%x ", (unsigned)(transcript_random(&random) % 300));
            sender_message(&z, buffer_slice(&text), &payload);
            if (!bits)
                deflateReset(&z);
            for (unsigned first = 0x41; first != 0x80; first = at == payload.size ? 0x80 : 0) {
                size_t piece = (size_t)(transcript_random(&random) % (payload.size - at + 1));

                frame(&bytes, first, slice_make(payload.data + at, piece));
                at += piece;
            }
            frame(&bytes, 0x80, SLICE_NONE);
            buffer_printf(&expected, "text+40 %s\n", text.size ? text.data : "");
            buffer_deinit(&text);
            buffer_deinit(&payload);
        }
        deflateEnd(&z);
        check(bits, buffer_slice(&bytes), expected.data);
        buffer_deinit(&bytes);
        buffer_deinit(&expected);
    }
}

/* ---- limits ---- */

/** @size zeros (as digits), compressed into one frame. */
static void bomb(size_t size, struct buffer *out)
{
    struct buffer zeros = {0}, payload = {0};
    z_stream z;

    memset(buffer_reserve(&zeros, size), '0', size);
    buffer_commit(&zeros, size);
    sender_init(&z, 15, 9);
    sender_message(&z, buffer_slice(&zeros), &payload);
    deflateEnd(&z);
    frame(out, 0xc1, buffer_slice(&payload));
    buffer_deinit(&zeros);
    buffer_deinit(&payload);
}

static void test_bomb(void **state)
{
    struct ws_parser_options o = options_of(0);
    struct buffer bytes = {0};
    struct ws_parser p;
    struct ws_event e;
    const char *sentence;
    uint64_t refused = pool.refused;
    size_t n;

    (void)state;
    o.max_message_bytes = 5000;
    /* to the byte */
    bomb(5000, &bytes);
    ws_parser_init(&p, &o);
    assert_int_equal(ws_parser_feed(&p, bytes.data, bytes.size, &n, &e), 0);
    assert_int_equal(e.payload.size, 5000);
    assert_int_equal(p.parse->message.capacity, 5001);
    ws_parser_deinit(&p);
    bytes.size = 0;
    bomb(5001, &bytes);
    transcript_check(&o, buffer_slice(&bytes), "refused 1009\n");
    assert_true(pool.refused - refused == 44); /* each of those runs was counted */
    /* ten megabytes in ten kilobytes: at the first pieces, and with nothing of it kept */
    bytes.size = 0;
    bomb(10 << 20, &bytes);
    assert_true(bytes.size < 11000);
    ws_parser_init(&p, &o);
    n = 0;
    for (size_t at = 0; at < bytes.size; at++) {
        int r = ws_parser_feed(&p, bytes.data + at, 1, &n, &e);

        assert_true(p.parse->message.capacity <= 5001);
        if (r == WS_E_CLOSE) {
            assert_true(at < 100);
            break;
        }
        assert_int_equal(r, WS_MORE);
    }
    assert_int_equal(ws_parser_error(&p, &sentence), WS_CLOSE_TOO_BIG);
    assert_null(p.parse->message.data);
    assert_int_equal(pool.held, 0);
    ws_parser_deinit(&p);
    buffer_deinit(&bytes);
}

/* What cannot become a message within the limit is refused by its length, before it comes. */
static void test_length_of_compressed(void **state)
{
    struct ws_parser_options o = options_of(0);

    (void)state;
    o.max_message_bytes = 1000; /* 1000 + 125 + 16 + 64 */
    transcript_check(&o, SLICE_LITERAL("\xc1\x7e\x04\xb5"), "");
    transcript_check(&o, SLICE_LITERAL("\xc1\x7e\x04\xb6"), "refused 1009\n");
    transcript_check(&o, SLICE_LITERAL("\xc1\x7f\x00\x00\x00\x00\x00\x10\x00\x00"), "refused 1009\n");
    /* over frames: 5 bytes came, a frame more */
    transcript_check(&o, SLICE_LITERAL("\x41\x05\x00\x00\x00\xff\xff\x80\x7e\x04\xc0"), "");
    transcript_check(&o, SLICE_LITERAL("\x41\x05\x00\x00\x00\xff\xff\x80\x7e\x04\xc1"), "refused 1009\n");
}

/* A message may be all blocks that hold nothing: no window is copied for each, nothing is kept. */
static void test_empty_blocks(void **state)
{
    struct ws_parser_options o = options_of(15);
    struct buffer bytes = {0}, payload = {0};
    struct ws_parser p;
    struct ws_event e;
    size_t n;

    (void)state;
    o.max_message_bytes = 1 << 20;
    for (size_t i = 0; i < 500000; i++)
        buffer_append(&payload, "\x03\x00", 2);
    frame(&bytes, 0xc1, buffer_slice(&payload));
    ws_parser_init(&p, &o);
    assert_int_equal(ws_parser_feed(&p, bytes.data, bytes.size, &n, &e), 0);
    assert_int_equal(e.payload.size, 0);
    ws_parser_deinit(&p);
    buffer_deinit(&bytes);
    buffer_deinit(&payload);
}

static void test_memory_of_the_idle(void **state)
{
    struct ws_parser_options without = options_of(0), with = options_of(10);
    char hello[] = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", copy[sizeof(hello)];
    struct ws_parser p, q;
    struct ws_event e;
    size_t n;

    (void)state;
    ws_parser_init(&p, &without);
    ws_parser_init(&q, &with);
    memcpy(copy, hello, sizeof(hello));
    assert_int_equal(ws_parser_feed(&p, copy, 9, &n, &e), 0);
    assert_int_equal(pool.held, 0);
    assert_non_null(p.parse); /* what the event shows */
    ws_parser_settle(&p);
    assert_null(p.parse);
    assert_int_equal(ws_parser_feed(&p, hello, 4, &n, &e), WS_MORE); /* held while incomplete */
    assert_int_equal(pool.held, 1);
    assert_int_equal(ws_parser_feed(&p, hello + 4, 5, &n, &e), 0);
    assert_int_equal(pool.held, 0);
    memcpy(copy, hello, sizeof(hello));
    assert_int_equal(ws_parser_feed(&q, copy, 9, &n, &e), 0);
    assert_int_equal(pool.held, 1);
    ws_parser_deinit(&p);
    ws_parser_deinit(&q);
    assert_int_equal(pool.held, 0);
    assert_true(pool.idle_count > 0);
}

/* Every allocation fails in turn: ours, and zlib's by way of ours. */
static void test_out_of_memory(void **state)
{
    struct ws_parser_options o = options_of(15);
    struct buffer bytes = {0}, one = {0};
    bool refused = true;

    (void)state;
    bomb(3000, &bytes);
    bomb(9000, &one);
    buffer_append_slice(&bytes, buffer_slice(&one));
    for (size_t a = 0; refused; a++) {
        struct ws_parser p;
        struct ws_event e;
        size_t n, messages = 0;
        int r = WS_MORE;
        char *copy = test_malloc(bytes.size);

        ws_inflate_pool_deinit(&pool); /* nothing idle: it must be allocated */
        memcpy(copy, bytes.data, bytes.size);
        ws_parser_init(&p, &o);
        alloc_fail_after(a);
        for (size_t i = 0; i < bytes.size && r != -ENOMEM; i++) {
            r = ws_parser_feed(&p, copy + i, 1, &n, &e);
            messages += r == 0;
        }
        refused = alloc_fail_disarm();
        assert_true(refused ? r == -ENOMEM : messages == 2);
        if (refused)
            assert_int_equal(ws_parser_feed(&p, copy, 1, &n, &e), -ENOMEM);
        ws_parser_deinit(&p);
        test_free(copy);
    }
    buffer_deinit(&bytes);
    buffer_deinit(&one);
}

/* ---- out ---- */

/** What a receiver with a window of @bits makes of a message. */
static void receive(struct slice payload, int bits, struct buffer *out)
{
    struct buffer whole = {0};
    z_stream z = {0};
    int result;

    buffer_append_slice(&whole, payload);
    buffer_append(&whole, "\x00\x00\xff\xff", 4);
    assert_int_equal(inflateInit2(&z, -bits), Z_OK);
    z.next_in = (Bytef *)whole.data;
    z.avail_in = (uInt)whole.size;
    do { /* a byte at a time, so that it can look back into its window alone */
        z.next_out = (Bytef *)buffer_reserve(out, 1);
        z.avail_out = 1;
        result = inflate(&z, Z_SYNC_FLUSH);
        assert_true(result == Z_OK || result == Z_BUF_ERROR);
        buffer_commit(out, 1 - z.avail_out);
    } while (z.avail_out == 0);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
    buffer_deinit(&whole);
}

static void test_deflater(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (unsigned bits = 8; bits <= 15; bits++) {
        for (unsigned level = 1; level <= 9; level++) {
            const struct ws_deflate_effort effort = {(uint8_t)bits, (uint8_t)level, (uint8_t)level};
            struct ws_deflater *d;

            assert_int_equal(ws_deflater_new(&effort, &d), 0);
            for (unsigned m = 0; m < 4; m++) {
                struct buffer text = {0}, payload = BUFFER_WITH_LIMIT(1 << 20), back = {0};

                while (text.size < 5000 * m + 200)
                    buffer_printf(&text, "word %x ", (unsigned)(transcript_random(&random) % 200));
                buffer_append_text(&payload, "before");
                assert_int_equal(ws_deflater_message(d, buffer_slice(&text), &payload), 0);
                assert_true(payload.size - 6 < text.size);
                assert_memory_equal(payload.data, "before", 6);
                receive(slice_skip(buffer_slice(&payload), 6), (int)bits, &back);
                assert_true(slice_equal(buffer_slice(&back), buffer_slice(&text)));
                buffer_deinit(&text);
                buffer_deinit(&payload);
                buffer_deinit(&back);
            }
            ws_deflater_free(d);
        }
    }
}

static void test_no_gain(void **state)
{
    const struct ws_deflate_effort effort = {15, 6, 8};
    struct buffer noise = {0}, out = {0};
    uint64_t random = 1;
    struct ws_deflater *d;

    (void)state;
    while (noise.size < 8000)
        buffer_append_char(&noise, (char)(transcript_random(&random) >> 20));
    assert_int_equal(ws_deflater_new(&effort, &d), 0);
    buffer_append_text(&out, "x");
    assert_int_equal(ws_deflater_message(d, SLICE_LITERAL(""), &out), WS_DEFLATE_E_NO_GAIN);
    assert_int_equal(ws_deflater_message(d, SLICE_LITERAL("abc"), &out), WS_DEFLATE_E_NO_GAIN);
    assert_int_equal(ws_deflater_message(d, buffer_slice(&noise), &out), WS_DEFLATE_E_NO_GAIN);
    assert_true(slice_equal_text(buffer_slice(&out), "x"));
    /* and is as good as new for the next one */
    assert_int_equal(ws_deflater_message(d, SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &out), 0);
    ws_deflater_free(d);
    buffer_deinit(&noise);
    buffer_deinit(&out);
}

static void test_deflater_out_of_memory(void **state)
{
    const struct ws_deflate_effort effort = {15, 1, 8};
    bool refused = true;

    (void)state;
    for (size_t a = 0; refused; a++) {
        struct buffer out = {0};
        struct ws_deflater *d = NULL;
        int r;

        alloc_fail_after(a);
        r = ws_deflater_new(&effort, &d);
        if (r == 0)
            r = ws_deflater_message(d, SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &out);
        refused = alloc_fail_disarm();
        assert_int_equal(r, refused ? -ENOMEM : 0);
        ws_deflater_free(d);
        buffer_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),      cmocka_unit_test(test_ends),
        cmocka_unit_test(test_bits_and_text), cmocka_unit_test(test_random),
        cmocka_unit_test(test_bomb),          cmocka_unit_test(test_length_of_compressed),
        cmocka_unit_test(test_empty_blocks),  cmocka_unit_test(test_memory_of_the_idle),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_deflater),
        cmocka_unit_test(test_no_gain),       cmocka_unit_test(test_deflater_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
