/* What back ends write: the table of shapes in both formats, ids, and poison between good ones. */
#include "reading.h"
#include "support/alloc.h"
#include "support/prng.h"

#include <msgpack.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FRESH NULL
#define POISON NULL

struct expected {
    const char *json;
    const char *routing_key;
    const char *message_id;
    const char *channel; /* POISON: it is none */
    const char *id;      /* FRESH: not stable */
    const char *from;
    const char *content_type;
    const char *data;
};

static const struct expected json_cases[] = {
    /* addresses */
    {"{\"room\":\"42\",\"data\":1}", NULL, NULL, "room:42", FRESH, NULL, "application/json", "1"},
    {"{\"room\":42,\"data\":1}", NULL, NULL, "room:42", FRESH, NULL, "application/json", "1"},
    {"{\"user\":-7,\"data\":1}", NULL, NULL, "user:-7", FRESH, NULL, "application/json", "1"},
    {" { \"broadcast\" : true , \"data\" : 1 } ", NULL, NULL, "all", FRESH, NULL, "application/json", "1"},
    {"{\"broadcast\":false,\"room\":\"a\",\"data\":1}", NULL, NULL, "room:a", FRESH, NULL, "application/json", "1"},
    {"{\"room\":\"\\u4e2d \\ud83d\\udc30\",\"data\":1}", NULL, NULL, "room:\xe4\xb8\xad \xf0\x9f\x90\xb0", FRESH, NULL,
     "application/json", "1"},
    {"{\"data\":1}", "room:9", NULL, "room:9", FRESH, NULL, "application/json", "1"},
    {"{\"room\":\"a\",\"data\":1}", "room:9", NULL, "room:a", FRESH, NULL, "application/json", "1"},
    {"{\"data\":1}", NULL, NULL, POISON},
    {"{\"data\":1}", "news", NULL, POISON},
    {"{\"broadcast\":false,\"data\":1}", NULL, NULL, POISON},
    {"{\"broadcast\":1,\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":\"a\",\"user\":\"b\",\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":\"a\",\"broadcast\":true,\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":\"\",\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":\"a\\u0000\",\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":1.5,\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":[],\"data\":1}", NULL, NULL, POISON},
    {"{\"room\":\"a\",\"room\":\"b\",\"data\":1}", NULL, NULL, POISON},
    /* data */
    {"{\"room\":1,\"data\":{ \"a\" : [1.0, \"\\u00e9\"] }}", NULL, NULL, "room:1", FRESH, NULL, "application/json",
     "{ \"a\" : [1.0, \"\\u00e9\"] }"},
    {"{\"room\":1,\"data\":null}", NULL, NULL, "room:1", FRESH, NULL, "application/json", "null"},
    {"{\"room\":1,\"data\":\"a\\nb\",\"content_type\":\"text/plain\"}", NULL, NULL, "room:1", FRESH, NULL, "text/plain",
     "a\nb"},
    {"{\"room\":1,\"data\":\"x\",\"content_type\":\"application/json\"}", NULL, NULL, "room:1", FRESH, NULL,
     "application/json", "\"x\""},
    {"{\"room\":1,\"data\":1,\"content_type\":\"text/plain\"}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":\"x\",\"content_type\":\"t\\u00e9\"}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":\"x\",\"content_type\":5}", NULL, NULL, POISON},
    {"{\"room\":1}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}", NULL, NULL,
     POISON},
    {"{\"room\":1,\"data\":1,\"unknown\":{\"room\":2}}", NULL, NULL, "room:1", FRESH, NULL, "application/json", "1"},
    /* senders and ids */
    {"{\"room\":1,\"data\":1,\"from\":\"\\u0041\"}", NULL, NULL, "room:1", FRESH, "A", "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"from\":7}", NULL, NULL, "room:1", FRESH, "7", "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"from\":null}", NULL, NULL, "room:1", FRESH, NULL, "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"from\":\"\"}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":1,\"from\":{}}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":1,\"id\":\"i1\",\"key\":\"k\"}", NULL, "m1", "room:1", "i1", NULL, "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"key\":\"k\"}", NULL, "m1", "room:1", "m1", NULL, "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"key\":\"k\"}", NULL, NULL, "room:1", "room:1/k", NULL, "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"key\":5}", NULL, NULL, "room:1", "room:1/5", NULL, "application/json", "1"},
    {"{\"room\":1,\"data\":1}", NULL, "\xff", "room:1", FRESH, NULL, "application/json", "1"},
    {"{\"room\":1,\"data\":1,\"id\":\"\"}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":1,\"id\":true}", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":1,\"key\":\"\"}", NULL, NULL, POISON},
    /* eventType */
    {"{\"eventType\":1,\"message\":\"hi\"}", NULL, NULL, "all", FRESH, NULL, "application/json",
     "{\"eventType\":1,\"message\":\"hi\"}"},
    {"{\"eventType\":2,\"sessionKey\":\"u1\",\"message\":\"h\\u0069\"}", NULL, NULL, "user:u1", FRESH, NULL,
     "text/plain", "hi"},
    {"{\"eventType\":2,\"sessionKey\":5,\"message\":{\"a\":1}}", NULL, NULL, "user:5", FRESH, NULL, "application/json",
     "{\"a\":1}"},
    {"{\"eventType\":1,\"message\":\"\"}", NULL, NULL, POISON},
    {"{\"eventType\":1,\"message\":null}", NULL, NULL, POISON},
    {"{\"eventType\":1}", NULL, NULL, POISON},
    {"{\"eventType\":2,\"message\":\"hi\"}", NULL, NULL, POISON},
    {"{\"eventType\":2,\"sessionKey\":\"\",\"message\":\"hi\"}", NULL, NULL, POISON},
    {"{\"eventType\":3,\"message\":\"hi\"}", NULL, NULL, POISON},
    {"{\"eventType\":\"1\",\"message\":\"hi\"}", NULL, NULL, POISON},
    /* no body at all */
    {"", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":1", NULL, NULL, POISON},
    {"{\"room\":1,\"data\":1}}", NULL, NULL, POISON},
    {"\"text\"", NULL, NULL, POISON},
    {"[5]", NULL, NULL, POISON},
    {"\xac\xed", NULL, NULL, POISON},
    {"text", NULL, NULL, POISON},
};

static void assert_text(struct slice s, const char *text)
{
    assert_int_equal(slice_is_set(s), text != NULL);
    if (text && !slice_equal_text(s, text))
        fail_msg("'%.*s' instead of '%s'", SLICE_PRINTF(s), text);
}

static void check(const struct bus_delivery *d, const struct expected *e)
{
    struct message m, *taken;
    struct bus_reader r;

    bus_reader_init(&r, d, 64);
    if (!e->channel) {
        int result = bus_reader_next(&r, NULL, NULL, &m);

        if (result != BUS_E_POISON)
            fail_msg("%s was accepted", e->json);
    } else {
        int result = bus_reader_next(&r, NULL, NULL, &m);

        if (result)
            fail_msg("%s: %s", e->json, result == BUS_E_POISON ? r.error : "refused");
        assert_int_equal(m.kind, MESSAGE_KIND_MESSAGE);
        assert_text(m.channel, e->channel);
        assert_text(m.from, e->from);
        assert_text(m.content_type, e->content_type);
        assert_text(m.data, e->data);
        assert_true(m.time_ms == d->time_ms);
        assert_int_equal(m.has_stable_id, e->id != FRESH);
        if (e->id)
            assert_text(m.id, e->id);
        else
            assert_int_equal(m.id.size, 26);
        taken = bus_reader_take(&r, &m);
        assert_non_null(taken);
        assert_text(taken->data, e->data);
        (void)message_unref(taken);
    }
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_BODY_END);
    bus_reader_deinit(&r);
}

static void test_json(base_unused void **state)
{
    static const char *const types[] = {NULL, "application/json", "Application/JSON; charset=utf-8", "text/plain"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(json_cases); i++) {
        for (size_t t = 0; t < BASE_ARRAY_SIZE(types); t++) {
            const struct expected *e = &json_cases[i];
            struct bus_delivery d = delivery_of(slice_from(e->json), types[t]);

            d.routing_key = slice_from(e->routing_key);
            d.message_id = slice_from(e->message_id);
            check(&d, e);
            (void)payload_unref(d.body);
        }
    }
}

static void test_siblings(base_unused void **state)
{
    struct bus_delivery d = delivery_of(
        SLICE_LITERAL("[{\"room\":1,\"data\":1},{\"room\":\"\",\"data\":2},7,{\"room\":1,\"data\":3,\"key\":\"k\"}]"),
        NULL);
    struct bus_reader r;
    struct message m;

    d.message_id = SLICE_LITERAL("m");
    bus_reader_init(&r, &d, 64);
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), 0);
    assert_text(m.id, "m");
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_E_POISON);
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_E_POISON);
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), 0);
    assert_text(m.id, "m#3");
    assert_text(m.data, "3");
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_BODY_END);
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
}

/** A text that breaks later gives nothing at all: its author will send it again, whole. */
static void test_broken_json_gives_nothing(base_unused void **state)
{
    struct bus_delivery d = delivery_of(SLICE_LITERAL("[{\"room\":1,\"data\":1},{\"room\":1"), NULL);
    size_t poison;

    assert_int_equal(read_all(&d, 64, &poison), 0);
    assert_int_equal(poison, 1);
    (void)payload_unref(d.body);
}

/* ---- msgpack ---- */

static void pack_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str(p, strlen(text));
    msgpack_pack_str_body(p, text, strlen(text));
}

enum data { DATA_STRING, DATA_BINARY, DATA_NESTED, DATA_EXTENSION, DATA_BAD_STRING, DATA_JSON_OCTETS, DATA_BAD_JSON };

static void pack_data(msgpack_packer *p, enum data data)
{
    switch (data) {
    case DATA_STRING:
        pack_text(p, "hi");
        break;
    case DATA_BAD_STRING:
        pack_text(p, "\xff");
        break;
    case DATA_BINARY:
        msgpack_pack_bin(p, 2);
        msgpack_pack_bin_body(p, "\x01\xff", 2);
        break;
    case DATA_JSON_OCTETS:
        msgpack_pack_bin(p, 3);
        msgpack_pack_bin_body(p, "[1]", 3);
        break;
    case DATA_BAD_JSON:
        msgpack_pack_bin(p, 2);
        msgpack_pack_bin_body(p, "[1", 2);
        break;
    case DATA_NESTED:
        msgpack_pack_map(p, 4);
        pack_text(p, "a");
        msgpack_pack_array(p, 3);
        msgpack_pack_int(p, -1);
        msgpack_pack_true(p);
        msgpack_pack_array(p, 0);
        msgpack_pack_int(p, 5);
        msgpack_pack_nil(p);
        pack_text(p, "b");
        msgpack_pack_map(p, 0);
        pack_text(p, "c");
        msgpack_pack_bin(p, 1);
        msgpack_pack_bin_body(p, "x", 1);
        break;
    case DATA_EXTENSION:
        msgpack_pack_ext(p, 1, 5);
        msgpack_pack_ext_body(p, "x", 1);
        break;
    default:
        fail();
    }
}

static void test_msgpack(base_unused void **state)
{
    static const struct {
        enum data data;
        const char *type;
        struct expected expected;
    } cases[] = {
        {DATA_STRING, NULL, {"str", NULL, NULL, "room:42", FRESH, NULL, "text/plain", "hi"}},
        {DATA_BINARY, NULL, {"bin", NULL, NULL, "room:42", FRESH, NULL, "application/octet-stream", "\x01\xff"}},
        {DATA_NESTED,
         NULL,
         {"map", NULL, NULL, "room:42", FRESH, NULL, "application/json",
          "{\"a\":[-1,true,[]],\"5\":null,\"b\":{},\"c\":\"eA==\"}"}},
        {DATA_STRING,
         "application/json",
         {"str as JSON", NULL, NULL, "room:42", FRESH, NULL, "application/json", "\"hi\""}},
        {DATA_STRING, "text/html", {"str as HTML", NULL, NULL, "room:42", FRESH, NULL, "text/html", "hi"}},
        {DATA_BINARY, "image/png", {"bin as PNG", NULL, NULL, "room:42", FRESH, NULL, "image/png", "\x01\xff"}},
        {DATA_JSON_OCTETS,
         "application/json",
         {"bin as JSON", NULL, NULL, "room:42", FRESH, NULL, "application/json", "[1]"}},
        {DATA_BAD_JSON, "application/json", {"bin as bad JSON", NULL, NULL, POISON}},
        {DATA_BINARY, "text/plain", {"bin as bad text", NULL, NULL, POISON}},
        {DATA_EXTENSION, NULL, {"ext", NULL, NULL, POISON}},
        {DATA_BAD_STRING, NULL, {"bad str", NULL, NULL, POISON}},
        {DATA_NESTED, "text/plain", {"map as text", NULL, NULL, POISON}},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        msgpack_sbuffer bytes;
        msgpack_packer p;
        struct bus_delivery d;

        msgpack_sbuffer_init(&bytes);
        msgpack_packer_init(&p, &bytes, msgpack_sbuffer_write);
        msgpack_pack_map(&p, cases[i].type ? 3 : 2);
        pack_text(&p, "room");
        msgpack_pack_int(&p, 42);
        pack_text(&p, "data");
        pack_data(&p, cases[i].data);
        if (cases[i].type) {
            pack_text(&p, "content_type");
            pack_text(&p, cases[i].type);
        }
        d = delivery_of(slice_make(bytes.data, bytes.size), i % 2 ? "application/msgpack" : NULL);
        check(&d, &cases[i].expected);
        (void)payload_unref(d.body);
        for (size_t cut = 0; cut < bytes.size; cut++) {
            size_t poison;

            d = delivery_of(slice_make(bytes.data, cut), "application/msgpack");
            assert_int_equal(read_all(&d, 64, &poison), 0);
            assert_int_equal(poison, 1);
            (void)payload_unref(d.body);
        }
        msgpack_sbuffer_destroy(&bytes);
    }
}

static void test_msgpack_events(base_unused void **state)
{
    struct bus_delivery d = delivery_of(SLICE_LITERAL("\x92\x82\xa9"
                                                      "eventType\x01\xa7"
                                                      "message\xa2hi\x83\xa9"
                                                      "eventType\x02\xaasessionKey\x05\xa7message\xa2hi"),
                                        NULL);
    struct bus_reader r;
    struct message m;

    bus_reader_init(&r, &d, 64);
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), 0);
    assert_text(m.channel, "all");
    assert_text(m.data, "{\"eventType\":1,\"message\":\"hi\"}");
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), 0);
    assert_text(m.channel, "user:5");
    assert_text(m.content_type, "text/plain");
    assert_text(m.data, "hi");
    assert_int_equal(bus_reader_next(&r, NULL, NULL, &m), BUS_BODY_END);
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
}

static bool wants_nothing(base_unused void *userdata, base_unused struct slice channel)
{
    return false;
}

static void test_unwanted(base_unused void **state)
{
    struct bus_delivery d = delivery_of(SLICE_LITERAL("[{\"room\":1,\"data\":1},{}]"), NULL);
    struct bus_reader r;
    struct message m;

    bus_reader_init(&r, &d, 64);
    assert_int_equal(bus_reader_next(&r, wants_nothing, NULL, &m), BUS_E_POISON);
    assert_int_equal(bus_reader_next(&r, wants_nothing, NULL, &m), BUS_BODY_END);
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
}

static void test_damaged_anywhere(base_unused void **state)
{
    static const char text[] =
        "[{\"room\":\"4\\u0032\",\"data\":{\"a\":[1,\"b\"]},\"from\":7,\"key\":\"k\",\"content_type\":"
        "\"application/json\"},{\"eventType\":2,\"sessionKey\":\"u\",\"message\":\"m\"}]";
    struct prng prng = {2};

    for (size_t n = 0; n < 20000; n++) {
        char copy[sizeof(text) - 1];
        struct bus_delivery d;

        memcpy(copy, text, sizeof(copy));
        for (size_t i = 0; i <= n % 3; i++)
            copy[prng_below(&prng, sizeof(copy))] =
                n % 2 ? (char)prng_next(&prng) : "{}[]\",:\\u0 1"[prng_below(&prng, 13)];
        d = delivery_of(slice_make(copy, sizeof(copy)), NULL);
        (void)read_all(&d, 64, NULL);
        (void)payload_unref(d.body);
    }
}

/** Without memory for one message the reader says so, and reads the next. */
static void test_out_of_memory(base_unused void **state)
{
    static const struct slice bodies[] = {
        SLICE_LITERAL("[{\"room\":\"a\",\"data\":1,\"from\":\"f\"},{\"room\":\"b\",\"data\":\"x\",\"content_type\":"
                      "\"text/plain\"}]"),
        SLICE_LITERAL("\x92\x82\xa4room\xa1"
                      "a\xa4"
                      "data\x01\x82\xa4room\xa1"
                      "b\xa4"
                      "data\xa1x"),
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(bodies); i++) {
        for (size_t n = 0;; n++) {
            struct bus_delivery d = delivery_of(bodies[i], NULL);
            struct bus_reader r;
            struct message m;
            bool was_refused;
            int result, taken = 0, failed = 0;

            bus_reader_init(&r, &d, 64);
            alloc_fail_after(n);
            while ((result = bus_reader_next(&r, NULL, NULL, &m)) != BUS_BODY_END) {
                struct message *copy = result ? NULL : bus_reader_take(&r, &m);

                taken += copy != NULL;
                failed += copy == NULL;
                (void)message_unref(copy);
                if (result && result != -ENOMEM)
                    break;
            }
            was_refused = alloc_fail_disarm();
            assert_int_equal(result, BUS_BODY_END);
            assert_int_equal(taken + failed, 2);
            assert_int_equal(failed > 0, was_refused);
            bus_reader_deinit(&r);
            (void)payload_unref(d.body);
            if (!was_refused)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_broken_json_gives_nothing),
        cmocka_unit_test(test_msgpack),
        cmocka_unit_test(test_msgpack_events),
        cmocka_unit_test(test_unwanted),
        cmocka_unit_test(test_damaged_anywhere),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
