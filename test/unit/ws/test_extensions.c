/* Sec-WebSocket-Extensions: offers and what a server answers, answers and what a client makes of them, as tables. */
#include "ws/deflate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PD "permessage-deflate"
#define S "; server_no_context_takeover"
#define C "; client_no_context_takeover"
#define SW "; server_max_window_bits"
#define CW "; client_max_window_bits"
#define NONE ""
#define SYNTAX NULL

static const struct ws_deflate_policy plain = {.client_context = false, .client_window_bits = 15};
static const struct ws_deflate_policy context = {.client_context = true, .client_window_bits = 15};
static const struct ws_deflate_policy context12 = {.client_context = true, .client_window_bits = 12};

static const struct {
    const struct ws_deflate_policy *policy;
    const char *offer, *response; /* NONE: declined; SYNTAX: no list of extensions */
} offers[] = {
    {&plain, PD, PD S C},
    {&context, PD, PD S},
    {NULL, PD, NONE},
    /* every parameter */
    {&plain, PD S, PD S C},
    {&plain, PD C, PD S C},
    {&context, PD S C, PD S C},
    {&context, PD C, PD S C},
    {&plain, PD CW, PD S C},
    {&plain, PD CW "=8", PD S C CW "=8"},
    {&plain, PD CW "=15", PD S C},
    {&context, PD CW "=10", PD S CW "=10"},
    {&context12, PD, PD S},
    {&context12, PD CW, PD S CW "=12"},
    {&context12, PD CW "=15", PD S CW "=12"},
    {&context12, PD CW "=9", PD S CW "=9"},
    {&plain, PD SW "=8", PD S C SW "=8"},
    {&plain, PD SW "=9", PD S C SW "=9"},
    {&plain, PD SW "=14", PD S C SW "=14"},
    {&plain, PD SW "=15", PD S C SW "=15"},
    {&context12, PD S C SW "=10" CW "=11", PD S C SW "=10" CW "=11"},
    /* bad values */
    {&plain, PD SW, NONE},
    {&plain, PD SW "=7", NONE},
    {&plain, PD SW "=16", NONE},
    {&plain, PD SW "=0", NONE},
    {&plain, PD SW "=09", NONE},
    {&plain, PD SW "=+9", NONE},
    {&plain, PD SW "=1e1", NONE},
    {&plain, PD SW "=100", NONE},
    {&plain, PD SW "=18446744073709551625", NONE},
    {&plain, PD CW "=7", NONE},
    {&plain, PD CW "=16", NONE},
    {&plain, PD CW "=x", NONE},
    {&plain, PD S "=1", NONE},
    {&plain, PD C "=true", NONE},
    {&plain, PD S "=\"x\"", NONE},
    /* unknown or repeated, in spelling too */
    {&plain, PD "; x", NONE},
    {&plain, PD "; x=1", NONE},
    {&plain, PD S "; x=\"y\"", NONE},
    {&plain, PD S S, NONE},
    {&plain, PD C C, NONE},
    {&plain, PD SW "=10" SW "=10", NONE},
    {&plain, PD CW CW "=9", NONE},
    {&plain, PD "; Server_No_Context_Takeover", NONE},
    {&plain, "permessage-bzip2", NONE},
    {&plain, "x-webkit-deflate-frame", NONE},
    {&plain, "permessage-deflat", NONE},
    {&plain, "permessage-deflate2", NONE},
    /* quoted values are tokens, escaped or not */
    {&plain, PD SW "=\"10\"", PD S C SW "=10"},
    {&plain, PD SW "=\"1\\0\"", PD S C SW "=10"},
    {&plain, PD SW "=\"010\"", NONE},
    /* several offers: the first that we can serve */
    {&plain, PD "; x, " PD SW "=9", PD S C SW "=9"},
    {&plain, PD SW "=9, " PD, PD S C SW "=9"},
    {&plain, PD SW "=7," PD SW "=16," PD, PD S C},
    {&plain, "foo; a=\"b\"; c, bar, " PD, PD S C},
    /* white space and empty elements */
    {&plain, " ," PD " ;server_max_window_bits\t=  9 ,, ", PD S C SW "=9"},
    {&plain, PD ";server_no_context_takeover;client_no_context_takeover", PD S C},
    /* no list of extensions, before or behind a good offer */
    {&plain, PD ";", SYNTAX},
    {&plain, ";" PD, SYNTAX},
    {&plain, PD "; =9", SYNTAX},
    {&plain, PD SW "=", SYNTAX},
    {&plain, PD SW "=\"9", SYNTAX},
    {&plain, PD SW "=\"9\\", SYNTAX},
    {&plain, PD SW "=\"\"", SYNTAX},
    {&plain, PD SW "=\"1 0\"", SYNTAX},
    {&plain, PD SW "=\"9\"9", SYNTAX},
    {&plain, PD " " PD, SYNTAX},
    {&plain, PD ", \"x\"", SYNTAX},
    {&plain, PD ", x y", SYNTAX},
    {&plain, "=", SYNTAX},
    {&plain, PD "\x80", SYNTAX},
    {NULL, PD ";", SYNTAX},
};

static void test_offers(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(offers); i++) {
        struct ws_deflate_offers o = {.policy = offers[i].policy};
        char response[WS_DEFLATE_TEXT_SIZE] = "";
        int result = ws_deflate_offers_read(&o, slice_from(offers[i].offer));

        if (!offers[i].response) {
            if (result != WS_DEFLATE_E_SYNTAX)
                fail_msg("not refused: %s", offers[i].offer);
            continue;
        }
        assert_true(result == 0 && o.extensions > 0);
        if (o.is_accepted)
            ws_deflate_response_write(&o.params, response);
        if (strcmp(response, offers[i].response) != 0)
            fail_msg("%s\n got: %s\nwant: %s", offers[i].offer, response, offers[i].response);
    }
}

/* Lines are one list: the first good offer wins, a bad line counts behind it. */
static void test_lines(void **state)
{
    struct ws_deflate_offers o = {.policy = &plain};

    (void)state;
    assert_int_equal(ws_deflate_offers_read(&o, SLICE_LITERAL(" , ")), 0);
    assert_int_equal(o.extensions, 0);
    assert_int_equal(ws_deflate_offers_read(&o, SLICE_LITERAL(PD "; x")), 0);
    assert_false(o.is_accepted);
    assert_int_equal(ws_deflate_offers_read(&o, SLICE_LITERAL(PD SW "=11")), 0);
    assert_int_equal(ws_deflate_offers_read(&o, SLICE_LITERAL(PD SW "=12, foo")), 0);
    assert_true(o.is_accepted && o.params.server_max_window_bits == 11);
    assert_int_equal(o.extensions, 4);
    assert_int_equal(ws_deflate_offers_read(&o, SLICE_LITERAL("foo;")), WS_DEFLATE_E_SYNTAX);
}

/* Cut anywhere it is read without a step too far; what is left is a list or not, and no more is accepted than before.
 */
static void test_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(offers); i++) {
        for (size_t n = 0; n <= strlen(offers[i].offer); n++) {
            struct ws_deflate_offers o = {.policy = &context};
            char *exact = malloc(n + 1);
            int result;

            memcpy(exact, offers[i].offer, n);
            result = ws_deflate_offers_read(&o, slice_make(exact, n));
            assert_true(result == 0 || result == WS_DEFLATE_E_SYNTAX);
            free(exact);
        }
    }
}

static const struct {
    const char *answer;
    int result;
    struct ws_deflate_params params;
} answers[] = {
    {PD, 0, {false, false, false, 15, 15}},
    {PD S, 0, {true, false, false, 15, 15}},
    {PD S C, 0, {true, true, false, 15, 15}},
    {PD SW "=8" CW "=9", 0, {false, false, true, 8, 9}},
    {PD S C SW "=\"10\"" CW "=15", 0, {true, true, true, 10, 15}},
    {PD CW, WS_DEFLATE_E_RESPONSE, {0}},
    {PD SW, WS_DEFLATE_E_RESPONSE, {0}},
    {PD SW "=16", WS_DEFLATE_E_RESPONSE, {0}},
    {PD S S, WS_DEFLATE_E_RESPONSE, {0}},
    {PD S "=1", WS_DEFLATE_E_RESPONSE, {0}},
    {PD "; x", WS_DEFLATE_E_RESPONSE, {0}},
    {"foo", WS_DEFLATE_E_RESPONSE, {0}},
    {PD ", foo", WS_DEFLATE_E_RESPONSE, {0}},
    {PD ", " PD, WS_DEFLATE_E_RESPONSE, {0}},
    {PD ";", WS_DEFLATE_E_SYNTAX, {0}},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(answers); i++) {
        struct ws_deflate_answer a = {0}, unasked = {0};

        if (ws_deflate_answer_read(&a, true, slice_from(answers[i].answer)) != answers[i].result)
            fail_msg("%s", answers[i].answer);
        assert_int_not_equal(ws_deflate_answer_read(&unasked, false, slice_from(answers[i].answer)), 0);
        if (answers[i].result != 0)
            continue;
        assert_int_equal(a.extensions, 1);
        assert_memory_equal(&a.params, &answers[i].params, sizeof(a.params));
        /* a second line with a second answer */
        assert_int_equal(ws_deflate_answer_read(&a, true, SLICE_LITERAL(PD)), WS_DEFLATE_E_RESPONSE);
    }
}

/* What our server answers our client takes, with the same meaning. */
static void test_both(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(offers); i++) {
        struct ws_deflate_offers o = {.policy = offers[i].policy};
        struct ws_deflate_answer a = {0};
        char response[WS_DEFLATE_TEXT_SIZE];

        if (ws_deflate_offers_read(&o, slice_from(offers[i].offer)) != 0 || !o.is_accepted)
            continue;
        ws_deflate_response_write(&o.params, response);
        assert_int_equal(ws_deflate_answer_read(&a, true, slice_from(response)), 0);
        assert_memory_equal(&a.params, &o.params, sizeof(a.params));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers),  cmocka_unit_test(test_lines), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_answers), cmocka_unit_test(test_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
