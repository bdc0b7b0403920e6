#include "bench_payload.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct bench_payload payload;

static int set_up(void **state base_unused)
{
    return bench_payload_init(&payload, 64);
}

static int tear_down(void **state base_unused)
{
    bench_payload_deinit(&payload);
    return 0;
}

static void append_frame(struct buffer *out, uint32_t stream, uint64_t number, const char *behind)
{
    buffer_append_text(out, "{\"event\":\"message\",\"data\":");
    bench_payload_append(&payload, stream, number, out);
    buffer_append_text(out, behind);
}

static void expect(struct slice *rest, uint32_t wanted_stream, uint64_t wanted_number)
{
    uint64_t number = 0;
    uint32_t stream = 0;

    assert_int_equal(bench_payload_take(&payload, rest, &stream, &number), BENCH_PAYLOAD_FOUND);
    assert_int_equal(stream, wanted_stream);
    assert_int_equal(number, wanted_number);
}

static void expect_none(struct slice *rest)
{
    uint64_t number;
    uint32_t stream;

    assert_int_equal(bench_payload_take(&payload, rest, &stream, &number), BENCH_PAYLOAD_NONE);
}

static void test_it_is_json_of_its_size(void **state base_unused)
{
    for (size_t bytes = BENCH_PAYLOAD_MIN_BYTES; bytes < 300; bytes += 13) {
        struct bench_payload p;
        struct buffer out = {0};

        assert_int_equal(bench_payload_init(&p, bytes), 0);
        bench_payload_append(&p, UINT32_MAX, BENCH_PAYLOAD_NUMBER_MAX, &out);
        assert_int_equal(out.size, bytes);
        assert_int_equal(json_validate(buffer_slice(&out), 1, NULL, NULL), JSON_OK);
        buffer_deinit(&out);
        bench_payload_deinit(&p);
    }
}

static void test_frames(void **state base_unused)
{
    static const char *const ends[] = {"}", "}", ",\"later\":1}", "}", "}"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(ends); i++) { /* also when the place of the data changes */
        struct buffer frame = {0};
        struct slice rest;

        append_frame(&frame, 42, UINT64_C(0xabcdef012345) + i, ends[i]);
        rest = buffer_slice(&frame);
        expect(&rest, 42, UINT64_C(0xabcdef012345) + i);
        expect_none(&rest);
        buffer_deinit(&frame);
    }
}

static void test_arrays(void **state base_unused)
{
    struct buffer frame = {0};
    struct slice rest;

    append_frame(&frame, 1, 1, "}"); /* its place is known now */
    rest = buffer_slice(&frame);
    expect(&rest, 1, 1);
    buffer_truncate(&frame, 0);
    buffer_append_char(&frame, '[');
    append_frame(&frame, 1, 2, "},");
    append_frame(&frame, 2, 3, "},");
    append_frame(&frame, 3, 4, "}]");
    rest = buffer_slice(&frame);
    expect(&rest, 1, 2);
    expect(&rest, 2, 3);
    expect(&rest, 3, 4);
    expect_none(&rest);
    buffer_deinit(&frame);
}

/** Any byte of it that changes is noticed, or it is not this run's any more. */
static void test_changed(void **state base_unused)
{
    struct buffer frame = {0};
    size_t at;

    append_frame(&frame, 7, 9, "}");
    at = frame.size - 1 - 64;
    for (size_t i = 0; i < 64; i++) {
        struct slice rest = buffer_slice(&frame);
        uint64_t number = 9;
        uint32_t stream = 7;
        char was = frame.data[at + i];

        frame.data[at + i] = (char)(was == '8' ? '3' : '8');
        if (bench_payload_take(&payload, &rest, &stream, &number) == BENCH_PAYLOAD_FOUND)
            assert_true(stream != 7 || number != 9);
        frame.data[at + i] = was;
    }
    buffer_deinit(&frame);
}

static void test_cut(void **state base_unused)
{
    struct buffer frame = {0};

    append_frame(&frame, 7, 9, "");
    for (size_t size = 0; size < frame.size; size++) {
        struct slice rest = slice_make(frame.data, size);
        uint64_t number;
        uint32_t stream;

        assert_int_not_equal(bench_payload_take(&payload, &rest, &stream, &number), BENCH_PAYLOAD_FOUND);
    }
    buffer_deinit(&frame);
}

static void test_another_run(void **state base_unused)
{
    struct bench_payload other;
    struct buffer frame = {0};
    struct slice rest;

    do {
        assert_int_equal(bench_payload_init(&other, 64), 0);
        if (memcmp(other.marker, payload.marker, sizeof(other.marker)) != 0)
            break;
        bench_payload_deinit(&other);
    } while (true);
    bench_payload_append(&other, 1, 1, &frame);
    rest = buffer_slice(&frame);
    expect_none(&rest);
    buffer_deinit(&frame);
    bench_payload_deinit(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_json_of_its_size),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_another_run),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
