/* Our own bodies: what is written is read; what is cut or damaged is refused without harm. */
#include "reading.h"
#include "support/alloc.h"
#include "support/prng.h"

#include <msgpack.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct message samples[] = {
    {
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = SLICE_LITERAL("room:42"),
        .id = SLICE_LITERAL("01J9Z3K4M5N6P7Q8R9S0T1V2W3"),
        .time_ms = 1760000000000,
        .from = SLICE_LITERAL("7"),
        .content_type = SLICE_LITERAL("application/json"),
        .data = SLICE_LITERAL("{\"text\": \"hi\"}"),
        .epoch = 1760000000001,
        .offset = 17,
    },
    {
        .kind = MESSAGE_KIND_SIGNAL,
        .channel = SLICE_LITERAL("all"),
        .id = SLICE_LITERAL("x"),
        .content_type = SLICE_LITERAL("text/plain"),
        .data = {"", 0},
    },
    {
        .kind = MESSAGE_KIND_RELAY,
        .channel = SLICE_LITERAL("user:\xe4\xb8\xad"),
        .id = SLICE_LITERAL("y"),
        .content_type = SLICE_LITERAL("application/octet-stream"),
        .data = SLICE_LITERAL("\0\x01\xff"),
        .meta = SLICE_LITERAL("\x81\xa1"
                              "a\x01"),
    },
    {
        .kind = MESSAGE_KIND_CONTROL,
        .channel = SLICE_LITERAL("node:10.0.0.5:8091"),
        .id = SLICE_LITERAL("z"),
        .content_type = SLICE_LITERAL("application/json"),
        .data = SLICE_LITERAL("{}"),
        .epoch = 5, /* an empty channel stands at <epoch>:0 */
    },
};

static void write_samples(struct buffer *body)
{
    bus_body_begin(body, BASE_ARRAY_SIZE(samples));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(samples); i++) {
        size_t before = body->size;

        bus_body_append(body, &samples[i]);
        if (!buffer_error(body))
            assert_true(body->size - before <= bus_body_message_bound(&samples[i]));
    }
}

static void assert_message_equal(const struct message *a, const struct message *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(slice_equal(a->channel, b->channel));
    assert_true(slice_equal(a->id, b->id));
    assert_true(a->time_ms == b->time_ms);
    assert_int_equal(slice_is_set(a->from), slice_is_set(b->from));
    assert_true(slice_equal(a->from, b->from));
    assert_true(slice_equal(a->content_type, b->content_type));
    assert_true(slice_equal(a->data, b->data));
    assert_true(a->epoch == b->epoch && a->offset == b->offset);
    assert_int_equal(slice_is_set(a->meta), slice_is_set(b->meta));
    assert_true(slice_equal(a->meta, b->meta));
}

static void test_roundtrip(base_unused void **state)
{
    struct buffer body = {0};
    struct bus_delivery d;
    struct bus_reader r;
    struct message m;

    write_samples(&body);
    d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
    bus_reader_init(&r, &d, 1000);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(samples); i++) {
        struct message *taken;

        assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), 0);
        assert_int_equal(r.index, i);
        assert_message_equal(&m, &samples[i]);
        assert_true(m.has_stable_id);
        taken = bus_reader_take(&r, &m);
        assert_non_null(taken);
        assert_message_equal(taken, &samples[i]);
        (void)message_unref(taken);
    }
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_BODY_END);
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_BODY_END);
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
    buffer_deinit(&body);
}

static bool wants_all(void *userdata, struct slice channel)
{
    (*(size_t *)userdata)++;
    return slice_equal(channel, CHANNEL_ALL);
}

static void test_only_what_is_wanted(base_unused void **state)
{
    struct buffer body = {0};
    struct bus_delivery d;
    struct bus_reader r;
    struct message m;
    size_t asked = 0;

    write_samples(&body);
    d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
    bus_reader_init(&r, &d, 0); /* what is skipped is not even measured */
    assert_int_equal(bus_reader_next(&r, wants_all, &asked, &m), 0);
    assert_message_equal(&m, &samples[1]);
    assert_int_equal(bus_reader_next(&r, wants_all, &asked, &m), BUS_BODY_END);
    assert_int_equal(asked, BASE_ARRAY_SIZE(samples));
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
    buffer_deinit(&body);
}

/** A message that is kept must not keep a large body alive, but one that is most of its body need not be copied. */
static void test_take_shares_or_copies(base_unused void **state)
{
    for (size_t count = 1; count <= 100; count += 99) {
        struct buffer body = {0};
        struct bus_delivery d;
        struct bus_reader r;
        struct message m, *taken;

        bus_body_begin(&body, count);
        for (size_t i = 0; i < count; i++)
            bus_body_append(&body, &samples[0]);
        d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
        bus_reader_init(&r, &d, 1000);
        assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), 0);
        taken = bus_reader_take(&r, &m);
        assert_non_null(taken);
        assert_int_equal(taken->backing == d.body, count == 1);
        bus_reader_deinit(&r);
        (void)payload_unref(d.body);
        assert_message_equal(taken, &samples[0]);
        (void)message_unref(taken);
        buffer_deinit(&body);
    }
}

static void test_cut_anywhere(base_unused void **state)
{
    struct buffer body = {0};

    write_samples(&body);
    for (size_t cut = 0; cut < body.size; cut++) {
        struct bus_delivery d = delivery_of(slice_make(body.data, cut), BUS_CONTENT_TYPE);
        size_t poison;

        assert_true(read_all(&d, 1000, &poison) < BASE_ARRAY_SIZE(samples));
        assert_int_equal(poison, 1);
        (void)payload_unref(d.body);
    }
    buffer_append_char(&body, '\xc0');
    {
        struct bus_delivery d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
        size_t poison;

        assert_int_equal(read_all(&d, 1000, &poison), BASE_ARRAY_SIZE(samples));
        assert_int_equal(poison, 1);
        (void)payload_unref(d.body);
    }
    buffer_deinit(&body);
}

static void test_damaged_anywhere(base_unused void **state)
{
    static const char *const types[] = {BUS_CONTENT_TYPE, "application/msgpack", NULL};
    struct prng prng = {1};
    struct buffer body = {0};

    write_samples(&body);
    for (size_t n = 0; n < 20000; n++) {
        char copy[1024];
        struct bus_delivery d;

        assert_true(body.size <= sizeof(copy));
        memcpy(copy, body.data, body.size);
        for (size_t i = 0; i <= n % 4; i++)
            copy[prng_below(&prng, body.size)] = (char)prng_next(&prng);
        d = delivery_of(slice_make(copy, body.size), types[n % BASE_ARRAY_SIZE(types)]);
        (void)read_all(&d, 1000, NULL);
        (void)payload_unref(d.body);
    }
    buffer_deinit(&body);
}

/** An envelope of the good elements with one replaced by @bytes. */
static void write_with(struct buffer *out, size_t element, struct slice bytes, size_t extra)
{
    static const struct slice elements[] = {
        SLICE_LITERAL("\xa6room:1"), SLICE_LITERAL("\x01"),           SLICE_LITERAL("\xa1i"),     SLICE_LITERAL("\x05"),
        SLICE_LITERAL("\xc0"),       SLICE_LITERAL("\xaatext/plain"), SLICE_LITERAL("\xc4\x01x"), SLICE_LITERAL("\xc0"),
        SLICE_LITERAL("\xc0"),       SLICE_LITERAL("\xc0"),
    };

    buffer_append_char(out, (char)(0x90 + BASE_ARRAY_SIZE(elements) + extra));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(elements); i++)
        buffer_append_slice(out, i == element ? bytes : elements[i]);
}

/** One poisonous envelope between two good ones: exactly it is refused. */
static void test_elements(base_unused void **state)
{
    static const struct {
        size_t element;
        struct slice bytes;
        size_t messages;
    } cases[] = {
        {99, {"", 0}, 3},
        {0, SLICE_LITERAL("\xa5room:"), 2},
        {0, SLICE_LITERAL("\xa4none"), 2},
        {0,
         SLICE_LITERAL("\xc4\x03"
                       "all"),
         2},
        {0, SLICE_LITERAL("\xa7room:\xff\xfe"), 2},
        {1, SLICE_LITERAL("\x00"), 2},
        {1, SLICE_LITERAL("\x05"), 2},
        {1, SLICE_LITERAL("\xff"), 2},
        {2, SLICE_LITERAL("\xa0"), 2},
        {2, SLICE_LITERAL("\xc0"), 2},
        {2, SLICE_LITERAL("\xa1\n"), 2},
        {3, SLICE_LITERAL("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), 2},
        {3, SLICE_LITERAL("\xff"), 2},
        {4, SLICE_LITERAL("\xa0"), 2},
        {4, SLICE_LITERAL("\xa1u"), 3},
        {4, SLICE_LITERAL("\x01"), 2},
        {5, SLICE_LITERAL("\xc0"), 2},
        {5, SLICE_LITERAL("\xa0"), 2},
        {5, SLICE_LITERAL("\xa2\xc3\xa9"), 2},
        {6, SLICE_LITERAL("\xa1x"), 2},
        {6, SLICE_LITERAL("\xc4\x01\xff"), 2}, /* text that is not UTF-8 */
        {6,
         SLICE_LITERAL("\xc4\x0b"
                       "elevenbytes"),
         2}, /* above the limit */
        {7, SLICE_LITERAL("\x05"), 3},
        {7, SLICE_LITERAL("\xa1x"), 2},
        {8, SLICE_LITERAL("\x05"), 2}, /* an offset without an epoch */
        {9, SLICE_LITERAL("\x80"), 3},
        {9, SLICE_LITERAL("\x90"), 2},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct buffer body = {0};
        struct bus_delivery d;
        size_t poison;

        buffer_append_char(&body, '\x93');
        write_with(&body, 99, SLICE_NONE, 0);
        write_with(&body, cases[i].element, cases[i].bytes, 0);
        write_with(&body, 99, SLICE_NONE, 0);
        d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
        assert_int_equal(read_all(&d, 10, &poison), cases[i].messages);
        assert_int_equal(poison, 3 - cases[i].messages);
        (void)payload_unref(d.body);
        buffer_deinit(&body);
    }
}

static void test_later_elements_are_skipped(base_unused void **state)
{
    struct buffer body = {0};
    struct bus_delivery d;
    size_t poison;

    buffer_append_char(&body, '\x92');
    write_with(&body, 99, SLICE_NONE, 2);
    buffer_append_text(&body, "\x93\x01\x90\xc0\xa3new");
    write_with(&body, 99, SLICE_NONE, 0);
    d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
    assert_int_equal(read_all(&d, 10, &poison), 2);
    assert_int_equal(poison, 0);
    (void)payload_unref(d.body);
    buffer_deinit(&body);
}

static void test_too_many(base_unused void **state)
{
    for (size_t count = BUS_BODY_MAX_MESSAGES; count <= BUS_BODY_MAX_MESSAGES + 1; count++) {
        struct buffer body = {0};
        struct bus_delivery d;
        size_t poison;

        bus_body_begin(&body, count);
        for (size_t i = 0; i < count; i++)
            bus_body_append(&body, &samples[1]);
        d = delivery_of(buffer_slice(&body), BUS_CONTENT_TYPE);
        assert_int_equal(read_all(&d, 10, &poison), count == BUS_BODY_MAX_MESSAGES ? count : 0);
        assert_int_equal(poison, count > BUS_BODY_MAX_MESSAGES);
        (void)payload_unref(d.body);
        buffer_deinit(&body);
    }
}

static void test_out_of_memory(base_unused void **state)
{
    for (size_t n = 0;; n++) {
        struct buffer body = {0};
        bool was_refused;

        alloc_fail_after(n);
        write_samples(&body);
        was_refused = alloc_fail_disarm();
        assert_int_equal(buffer_error(&body), was_refused ? -ENOMEM : 0);
        buffer_deinit(&body);
        if (!was_refused)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roundtrip),
        cmocka_unit_test(test_only_what_is_wanted),
        cmocka_unit_test(test_take_shares_or_copies),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_damaged_anywhere),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_later_elements_are_skipped),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
