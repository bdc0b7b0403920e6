/* The ring of ended sessions: the newest first, of one user, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/gateway_internal.h"
#include "support/alloc.h"

#include <stdio.h>

static void note(struct gateway *g, const char *user, unsigned number)
{
    char session[16];
    const struct gateway_end end = {
        .session = slice_make(session, (size_t)snprintf(session, sizeof(session), "s%u", number)),
        .user = slice_from(user),
        .device = number % 2 ? SLICE_LITERAL("phone") : SLICE_NONE,
        .reason = number % 2 ? GATEWAY_REASON_TOO_SLOW : GATEWAY_REASON_PEER_GONE,
        .age_ms = number,
        .peer = "10.0.0.1:5",
        .detail = "why",
    };

    gateway_ends_note(g->ends, &end);
}

static size_t count_of(struct gateway *g, const char *user, char first[512])
{
    struct buffer json = {0};
    struct json_writer w;
    struct json_reader reader;
    struct json_value value;
    size_t count = 0;

    json_writer_init(&w, &json);
    gateway_ends_write(g, slice_from(user), &w);
    assert_int_equal(buffer_error(&json), 0);
    json_reader_init(&reader, buffer_slice(&json), 4);
    assert_int_equal(json_reader_enter_array(&reader), JSON_OK);
    while (json_reader_element(&reader, &value) == JSON_OK) {
        if (count++ == 0)
            (void)snprintf(first, 512, "%.*s", SLICE_PRINTF(value.text));
    }
    buffer_deinit(&json);
    return count;
}

static void test_ring(void **state base_unused)
{
    struct gateway g = {.ends = gateway_ends_new()};
    char first[512] = "";

    assert_non_null(g.ends);
    assert_int_equal(count_of(&g, "ada", first), 0);
    note(&g, "ada", 1);
    note(&g, "bob", 2);
    assert_int_equal(count_of(&g, "ada", first), 1);
    assert_non_null(strstr(first, "\"session\":\"s1\",\"device\":\"phone\",\"peer\":\"10.0.0.1:5\",\"age_ms\":1,"
                                  "\"reason\":\"too_slow\",\"code\":4101,\"detail\":\"why\"}"));
    assert_int_equal(count_of(&g, "bob", first), 1);
    assert_null(strstr(first, "device"));
    for (unsigned i = 3; i < 100; i++)
        note(&g, "ada", i);
    assert_int_equal(count_of(&g, "ada", first), 20);
    assert_non_null(strstr(first, "\"s99\""));
    for (unsigned i = 0; i < 10000; i++)
        note(&g, "crowd", i);
    assert_int_equal(count_of(&g, "ada", first), 0);
    assert_int_equal(count_of(&g, "crowd", first), 20);
    assert_non_null(strstr(first, "\"s9999\""));
    g.ends = gateway_ends_free(g.ends);
    assert_null(gateway_ends_free(NULL));
}

static void test_longest_names(void **state base_unused)
{
    struct gateway g = {.ends = gateway_ends_new()};
    char text[NAME_MAX_BYTES + 1] = "", first[512], detail[300];
    const struct gateway_end end = {
        .session = SLICE_LITERAL("01234567890123456789"),
        .user = slice_make(text, NAME_MAX_BYTES),
        .device = slice_make(text, NAME_MAX_BYTES),
        .reason = GATEWAY_REASON_KICKED,
        .peer = "10.0.0.1:5",
        .detail = detail,
    };

    memset(text, 'n', NAME_MAX_BYTES);
    memset(detail, 'd', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    gateway_ends_note(g.ends, &end);
    assert_int_equal(count_of(&g, text, first), 1);
    g.ends = gateway_ends_free(g.ends);
}

static void test_out_of_memory(void **state base_unused)
{
    alloc_fail_after(0);
    assert_null(gateway_ends_new());
    assert_true(alloc_fail_disarm());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests_name("gateway/ends", tests, NULL, NULL);
}
