/*
 * The contract of the logs in store/store.h, once over memory and once over Redis: `contract_store_log memory` or
 * `contract_store_log redis`, the latter at WARREN_TEST_REDIS_URL, with a prefix of its own each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_world_log.h"

#include <stdio.h>

#define SKIPPED 77
#define NODE "10.0.0.5:8091"
/** What a backend may keep beyond a log's length. */
#define SLACK 100

static const char *url; /* NULL: memory */

static const struct store_identity identity = {
    .node = NODE, .incarnation = 1, .seen_window_ms = 60000, .expiry_ms = 60000};
static const struct store_position none;
static const struct store_log_limits brief = {.length = 1000, .age_ms = 150};
/** Within this age something else is done in time, unless this machine sleeps. */
static const struct store_log_limits ample = {.length = 1000, .age_ms = 1500};

static void open_up(struct world *w, struct world_store *ws, const struct store_identity *who)
{
    world_open(w, ws, url, who);
    world_until_up(ws);
}

static struct world_message message(const char *channel, const char *key, const char *record)
{
    return (struct world_message){.channel = channel, .key = key, .record = slice_from(record)};
}

static void expect_at(const struct world_message *m, uint64_t epoch, uint64_t offset, bool is_repeat)
{
    assert_int_equal(m->result, 0);
    assert_int_equal(m->position.epoch, epoch);
    assert_int_equal(m->position.offset, offset);
    assert_int_equal(m->is_repeat, is_repeat);
}

/* ---- append ---- */

static void test_append(void **state)
{
    static struct world_log log;
    struct world_message a = message("room:a", "1", "first"), b = message("room:a", "2", ""),
                         c = message("room:{b} é", "1", "other"), d = message("room:a", "3", NULL);
    struct world *w = *state;
    struct world_store ws;

    d.record = slice_make("\0\r\n\xff", 4);
    open_up(w, &ws, &identity);
    assert_int_equal(world_append(&ws, &a), 0);
    assert_true(a.position.epoch > 1700000000000); /* milliseconds since 1970 */
    expect_at(&a, a.position.epoch, 1, false);
    assert_int_equal(world_append(&ws, &b), 0);
    expect_at(&b, a.position.epoch, 2, false);
    assert_int_equal(world_append(&ws, &c), 0);
    assert_int_equal(c.position.offset, 1);
    assert_int_equal(world_append(&ws, &d), 0);
    expect_at(&d, a.position.epoch, 3, false);
    assert_int_equal(d.node_count, 0);

    assert_int_equal(world_log_read(&ws, "room:a", none, 10, 1000000, false, &log), 0);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.first.offset, 1);
    assert_int_equal(log.last.offset, 3);
    assert_string_equal(log.at[0].text, "first");
    assert_int_equal(log.at[1].size, 0);
    assert_int_equal(log.at[2].size, 4);
    assert_int_equal(world_log_read(&ws, "room:nobody", none, 10, 1000000, false, &log), 0);
    assert_int_equal(log.count, 0);
    assert_int_equal(log.last.epoch, 0);
    assert_int_equal(log.first.epoch, 0);
    world_close(&ws);
}

static void test_repeats(void **state)
{
    static struct world_log log;
    struct world_message first = message("r", "k", "1"), again = message("r", "k", "2"), other = message("r", "k", "3"),
                         elsewhere = message("s", "k", "4"), ab = message("r", "b:c", "5"),
                         abc = message("r", "c", "6"), again_ab = message("r", "b:c", "7");
    struct world *w = *state;
    struct world_store ws;

    other.sender = "another";
    ab.sender = again_ab.sender = "a";
    abc.sender = "a:b";
    open_up(w, &ws, &identity);
    assert_int_equal(world_append(&ws, &first), 0);
    assert_int_equal(world_append(&ws, &again), 0);
    expect_at(&again, first.position.epoch, 1, true);
    assert_int_equal(world_append(&ws, &other), 0); /* another sender's */
    expect_at(&other, first.position.epoch, 2, false);
    assert_int_equal(world_append(&ws, &elsewhere), 0); /* in another channel */
    assert_false(elsewhere.is_repeat);
    assert_int_equal(world_append(&ws, &ab), 0);
    assert_int_equal(world_append(&ws, &abc), 0);
    expect_at(&ab, first.position.epoch, 3, false);
    expect_at(&abc, first.position.epoch, 4, false);
    assert_int_equal(world_append(&ws, &again_ab), 0);
    expect_at(&again_ab, first.position.epoch, 3, true);
    assert_int_equal(world_log_read(&ws, "r", none, 10, 1000000, false, &log), 0);
    assert_int_equal(log.count, 4);
    assert_string_equal(log.at[0].text, "1"); /* the first one stands */
    world_close(&ws);
}

static void test_group(void **state)
{
    static struct world_log log;
    struct world *w = *state;
    struct world_store ws;
    struct world_message m[] = {
        message("r", "1", "a"), message("s", "1", "x"), message("r", "2", "b"),     message("r", "1", "twice"),
        message("s", "2", "y"), message("r", "3", "c"), message("r", "3", "twice"), message("r", "4", "d"),
    };
    uint64_t r, s;

    open_up(w, &ws, &identity);
    world_append_all(&ws, m, BASE_ARRAY_SIZE(m));
    r = m[0].position.epoch;
    s = m[1].position.epoch;
    expect_at(&m[0], r, 1, false);
    expect_at(&m[2], r, 2, false);
    expect_at(&m[3], r, 1, true);
    expect_at(&m[5], r, 3, false); /* the duplicate took no number */
    expect_at(&m[6], r, 3, true);
    expect_at(&m[7], r, 4, false);
    expect_at(&m[1], s, 1, false);
    expect_at(&m[4], s, 2, false);
    assert_int_equal(world_log_read(&ws, "r", none, 10, 1000000, false, &log), 0);
    assert_int_equal(log.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(log.at[i].text[0], "abcd"[i]);
        assert_int_equal(log.at[i].position.offset, i + 1);
    }
    world_close(&ws);
}

/** More channels, and more messages of one channel, than travel together. */
static void test_large_turn(void **state)
{
    enum { CHANNELS = 300, EACH = 3, HOT = 400, ALL = CHANNELS * EACH + HOT };
    static struct world_message m[ALL];
    static char channels[CHANNELS + 1][16], keys[ALL][16];
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    for (size_t i = 0; i < ALL; i++) {
        size_t channel = i < CHANNELS * EACH ? i % CHANNELS : CHANNELS;

        (void)snprintf(channels[channel], sizeof(channels[channel]), "c%zu", channel);
        (void)snprintf(keys[i], sizeof(keys[i]), "%zu", i);
        m[i] = message(channels[channel], keys[i], "x");
    }
    world_append_all(&ws, m, ALL);
    for (size_t i = 0; i < ALL; i++) {
        size_t first = i < CHANNELS * EACH ? i % CHANNELS : CHANNELS * EACH;

        expect_at(&m[i], m[first].position.epoch, i < CHANNELS * EACH ? i / CHANNELS + 1 : i - first + 1, false);
    }
    world_close(&ws);
}

static void test_keys_age(void **state)
{
    struct world_message m = message("r", "k", "1"), later = message("r", "k", "2");
    struct world *w = *state;
    struct world_store ws;

    m.key_age_ms = later.key_age_ms = 2000;
    open_up(w, &ws, &identity);
    assert_int_equal(world_append(&ws, &m), 0);
    assert_int_equal(world_append(&ws, &later), 0);
    expect_at(&later, m.position.epoch, 1, true); /* which does not make the key younger */
    do {
        world_pass(w, 20);
        assert_int_equal(world_append(&ws, &later), 0);
    } while (later.is_repeat);
    expect_at(&later, m.position.epoch, 2, false);
    world_close(&ws);
}

/** What is appended and what is asked behind it in one turn keep their order. */
static void test_order_among_kinds(void **state)
{
    static struct world_log log;
    struct world_message m = message("r", "k", "1");
    struct world_batch batch;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    world_append_begin(&ws, &batch, &m, 1);
    assert_int_equal(world_log_read(&ws, "r", none, 10, 1000, false, &log), 0);
    assert_true(m.is_done);
    assert_int_equal(log.count, 1);
    world_close(&ws);
}

static void test_away_and_stopped(void **state)
{
    struct world_message m = message("r", "k", "1"), again = message("r", "k", "1"), last = message("r", "l", "1");
    struct world_batch batch;
    struct world *w = *state;
    struct store_status status;
    struct world_store ws;

    m.deadline_in_ms = last.deadline_in_ms = 5000;
    world_open(w, &ws, url, &identity);
    assert_int_equal(world_append(&ws, &m), STORE_E_UNAVAILABLE);
    world_until_up(&ws);
    assert_int_equal(world_append(&ws, &again), 0);
    assert_false(again.is_repeat); /* what was refused was not appended */
    world_append_begin(&ws, &batch, &last, 1);
    store_status(ws.store, &status);
    assert_int_equal(status.pending, 1);
    store_stop(ws.store);
    assert_true(last.is_done);
    store_status(ws.store, &status);
    assert_int_equal(status.pending, 0);
    world_close(&ws);
}

/* ---- bounds ---- */

static void test_length(void **state)
{
    static const struct store_log_limits limits = {.length = 10, .age_ms = 60000};
    static struct world_log log;
    struct store_position last;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    last = world_append_numbers(&ws, "r", 1, 700, &limits);
    assert_int_equal(last.offset, 700);
    assert_int_equal(world_log_read(&ws, "r", (struct store_position){last.epoch, 3}, 1000, 1000000, false, &log), 0);
    assert_in_range(log.count, 10, 10 + SLACK);
    assert_int_equal(log.first.offset, 700 - log.count + 1);
    assert_int_equal(log.at[0].position.offset, log.first.offset);
    assert_int_equal(log.at[log.count - 1].position.offset, 700);
    assert_string_equal(log.at[log.count - 1].text, "700");
    world_close(&ws);
}

static void test_bytes(void **state)
{
    static const struct store_log_limits limits = {.length = 1000, .bytes = 65536, .age_ms = 60000};
    static char big[100000];
    static struct world_log log;
    struct world *w = *state;
    struct world_store ws;
    char key[16];

    memset(big, 'x', sizeof(big));
    open_up(w, &ws, &identity);
    for (unsigned i = 1; i <= 600; i++) {
        struct world_message m = message("r", key, NULL);

        (void)snprintf(key, sizeof(key), "%u", i);
        m.record = slice_make(big, 500);
        m.limits = &limits;
        assert_int_equal(world_append(&ws, &m), 0);
        assert_int_equal(m.position.offset, i);
    }
    assert_int_equal(world_log_read(&ws, "r", none, 1000, 100000000, false, &log), 0);
    assert_in_range(log.count * 500, 65536 / 2, 65536 + 65536 / 4);
    assert_int_equal(log.last.offset, 600);
    for (unsigned i = 601; i <= 603; i++) { /* each alone is more than the limit */
        struct world_message m = message("r", key, NULL);

        (void)snprintf(key, sizeof(key), "%u", i);
        m.record = slice_make(big, sizeof(big));
        m.limits = &limits;
        assert_int_equal(world_append(&ws, &m), 0);
    }
    assert_int_equal(world_log_read(&ws, "r", none, 1000, 100000000, false, &log), 0);
    assert_in_range(log.count, 1, 2);
    assert_int_equal(log.last.offset, 603);
    assert_int_equal(log.at[log.count - 1].size, sizeof(big));
    world_close(&ws);
}

/** A log that nobody wrote to is gone, and what follows is of a later epoch. */
static void test_log_ages(void **state)
{
    static struct world_log log;
    struct store_position old, young;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    old = world_append_numbers(&ws, "r", 1, 5, &brief);
    do {
        world_pass(w, 20);
        assert_int_equal(world_log_read(&ws, "r", none, 10, 1000, false, &log), 0);
    } while (log.count > 0);
    assert_int_equal(log.last.epoch, 0);
    young = world_append_numbers(&ws, "r", 6, 2, &brief);
    assert_true(young.epoch > old.epoch);
    assert_int_equal(young.offset, 2);
    /* Messages keep it. */
    for (unsigned i = 1; i <= 8; i++) {
        young = world_append_numbers(&ws, "kept", i, 1, &ample);
        assert_int_equal(young.offset, i);
        world_pass(w, 300);
    }
    world_close(&ws);
}

/* ---- reading ---- */

static void test_paging(void **state)
{
    static struct world_log log;
    struct store_position after = none, last;
    struct world *w = *state;
    struct world_store ws;
    unsigned next = 1;

    open_up(w, &ws, &identity);
    last = world_append_numbers(&ws, "r", 1, 250, NULL);
    for (unsigned page = 0; page < 4; page++) {
        assert_int_equal(world_log_read(&ws, "r", after, 100, 1000000, false, &log), 0);
        assert_int_equal(log.count, page < 2 ? 100 : page == 2 ? 50 : 0);
        assert_int_equal(log.first.offset, 1);
        assert_int_equal(log.last.offset, 250);
        for (size_t i = 0; i < log.count; i++, next++) {
            assert_int_equal(log.at[i].position.offset, next);
            assert_int_equal(log.at[i].position.epoch, last.epoch);
            assert_int_equal(atoi(log.at[i].text), next);
            after = log.at[i].position;
        }
    }
    assert_int_equal(world_log_read(&ws, "r", none, 1000, 1, false, &log), 0);
    assert_int_equal(log.count, 1); /* one at least */
    assert_int_equal(world_log_read(&ws, "r", (struct store_position){last.epoch, 100}, 1000, 12, false, &log), 0);
    assert_int_equal(log.count, 4); /* of three bytes each */
    assert_int_equal(world_log_read(&ws, "r", (struct store_position){last.epoch - 1, 999}, 3, 1000, false, &log), 0);
    assert_int_equal(log.at[0].position.offset, 1); /* of a later epoch */
    assert_int_equal(world_log_read(&ws, "r", (struct store_position){last.epoch + 1, 0}, 3, 1000, false, &log), 0);
    assert_int_equal(log.count, 0);
    assert_int_equal(log.last.epoch, last.epoch);
    world_close(&ws);
}

static void test_backwards(void **state)
{
    static struct world_log log;
    struct store_position before = none;
    struct world *w = *state;
    struct world_store ws;
    unsigned end = 250;

    open_up(w, &ws, &identity);
    (void)world_append_numbers(&ws, "r", 1, 250, NULL);
    for (unsigned page = 0; page < 4; page++) {
        assert_int_equal(world_log_read(&ws, "r", before, 100, 1000000, true, &log), 0);
        assert_int_equal(log.count, page < 2 ? 100 : page == 2 ? 50 : 0);
        for (size_t i = 0; i < log.count; i++) /* the log's order */
            assert_int_equal(log.at[i].position.offset, end - log.count + 1 + i);
        end -= (unsigned)log.count;
        before = log.at[0].position;
    }
    assert_int_equal(world_log_read(&ws, "r", none, 1000, 7, true, &log), 0);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.at[2].position.offset, 250);
    assert_int_equal(world_log_read(&ws, "nobody", none, 10, 7, true, &log), 0);
    assert_int_equal(log.count, 0);
    world_close(&ws);
}

static void test_sweep(void **state)
{
    static struct world_swept swept;
    struct store_position a, b, c;
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    a = world_append_numbers(&ws, "a", 1, 5, NULL);
    b = world_append_numbers(&ws, "b", 1, 90, NULL);
    c = world_append_numbers(&ws, "{c}", 1, 3, NULL);
    const struct store_sweep_channel channels[] = {
        {SLICE_LITERAL("a"), a},
        {SLICE_LITERAL("nobody"), none},
        {SLICE_LITERAL("b"), {b.epoch, 10}},
        {SLICE_LITERAL("{c}"), none},
    };

    assert_int_equal(world_sweep(&ws, channels, 4, 1000, &swept), 0);
    assert_int_equal(swept.count, 2);
    assert_false(swept.has_more);
    assert_int_equal(swept.at[0].index, 2);
    assert_int_equal(swept.at[0].count, 80);
    assert_int_equal(swept.at[0].first.offset, 11);
    assert_int_equal(swept.at[0].last.offset, 90);
    assert_int_equal(swept.at[1].index, 3);
    assert_int_equal(swept.at[1].count, 3);
    assert_true(swept.at[1].last.epoch == c.epoch);
    assert_int_equal(world_sweep(&ws, channels, 4, 50, &swept), 0);
    assert_int_equal(swept.at[0].count, 50);
    assert_int_equal(swept.at[0].last.offset, 60);
    assert_true(swept.has_more);
    assert_int_equal(world_sweep(&ws, channels, 2, 50, &swept), 0);
    assert_int_equal(swept.count, 0);
    assert_false(swept.has_more);
    world_close(&ws);
}

/** Many channels, and more than one answer can hold: going on from where it ended brings everything. */
static void test_large_sweep(void **state)
{
    enum { EACH = 3, BYTES = 60000 };
    static struct store_sweep_channel channels[STORE_SWEEP_MAX];
    static char names[STORE_SWEEP_MAX][16], big[BYTES];
    static struct world_swept swept;
    struct world *w = *state;
    struct world_store ws;
    size_t records = 0, rounds = 0;

    memset(big, 'x', sizeof(big));
    open_up(w, &ws, &identity);
    for (size_t i = 0; i < STORE_SWEEP_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "c%zu", i);
        channels[i].channel = slice_from(names[i]);
    }
    for (size_t i = 0; i < STORE_SWEEP_MAX; i += 10) {
        struct world_message m[EACH] = {message(names[i], "1", NULL), message(names[i], "2", NULL),
                                        message(names[i], "3", NULL)};

        for (size_t j = 0; j < EACH; j++)
            m[j].record = slice_make(big, sizeof(big));
        world_append_all(&ws, m, EACH);
    }
    do {
        assert_int_equal(world_sweep(&ws, channels, STORE_SWEEP_MAX, 2, &swept), 0);
        for (size_t i = 0; i < swept.count; i++) {
            assert_int_equal(swept.at[i].index % 10, 0);
            assert_int_equal(swept.at[i].first.offset, channels[swept.at[i].index].after.offset + 1);
            channels[swept.at[i].index].after = swept.at[i].last;
            records += swept.at[i].count;
        }
        rounds++;
    } while (swept.has_more);
    assert_int_equal(records, STORE_SWEEP_MAX / 10 * EACH);
    assert_in_range(rounds, 3, 8);
    world_close(&ws);
}

/* ---- interest ---- */

static void test_interest(void **state)
{
    static const char *const channels[] = {"a", "empty {b}", "c"};
    struct world_message m = message("a", "6", "x"), quiet = message("a", "7", "x"), b = message("empty {b}", "1", "x"),
                         c = message("c", "1", "x");
    struct store_position positions[3] = {0}, last;
    struct world *w = *state;
    struct world_store ws;
    bool have_rest[2] = {true, true};

    m.wants_interest = b.wants_interest = c.wants_interest = true;
    open_up(w, &ws, &identity);
    last = world_append_numbers(&ws, "a", 1, 5, NULL);
    assert_int_equal(world_interest_rest(&ws, channels, 2, false, positions, have_rest), 0);
    assert_false(have_rest[0] || have_rest[1]);
    assert_true(positions[0].epoch == last.epoch && positions[0].offset == 5);
    assert_true(positions[1].epoch >= last.epoch && positions[1].offset == 0);

    assert_int_equal(world_append(&ws, &m), 0);
    assert_int_equal(m.node_count, 1);
    assert_string_equal(m.nodes[0], NODE);
    assert_int_equal(world_append(&ws, &quiet), 0);
    assert_int_equal(quiet.node_count, 0);
    assert_int_equal(world_append(&ws, &b), 0);
    assert_int_equal(b.node_count, 1);
    assert_int_equal(b.position.offset, 1);
    assert_true(b.position.epoch >= positions[1].epoch);
    assert_int_equal(world_append(&ws, &c), 0);
    assert_int_equal(c.node_count, 0);

    assert_int_equal(world_interest(&ws, channels, 2, true, NULL), 0);
    assert_int_equal(world_interest(&ws, channels, 3, true, NULL), 0); /* twice, and of nothing, is no error */
    assert_int_equal(world_append(&ws, &m), 0);
    assert_true(m.is_repeat);
    assert_int_equal(m.node_count, 0);
    world_close(&ws);
}

static void test_only_known(void **state)
{
    struct world *w = *state;
    struct world_store ws;

    if (url) /* it would be young: see store_log_faults.c */
        skip();
    open_up(w, &ws, &identity);
    world_check_known(&ws);
    world_close(&ws);
}

static void test_interest_expires(void **state)
{
    static const char *const both[] = {"a", "b"};
    struct world_message m[] = {message("a", "1", "x"), message("b", "1", "x")};
    struct store_identity who = identity;
    struct store_position positions[2];
    struct world *w = *state;
    struct world_store ws;

    who.expiry_ms = 3000;
    m[0].wants_interest = m[1].wants_interest = true;
    open_up(w, &ws, &who);
    assert_int_equal(world_interest(&ws, both, 2, false, positions), 0);
    world_append_all(&ws, m, 2);
    assert_int_equal(m[0].node_count, 1);
    assert_int_equal(m[1].node_count, 1);
    do { /* what is stated again stays, what is not goes */
        world_pass(w, 20);
        assert_int_equal(world_interest(&ws, both + 1, 1, false, positions), 0);
        world_append_all(&ws, m, 2);
        assert_int_equal(m[1].node_count, 1);
    } while (m[0].node_count > 0);
    world_close(&ws);
}

/** Interest keeps a log beyond its age, also one that begins later. */
static void test_interest_keeps_the_log(void **state)
{
    static const char *const channels[] = {"old", "young"};
    static struct world_log log;
    struct store_position positions[2];
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    (void)world_append_numbers(&ws, "old", 1, 1, &ample);
    (void)world_append_numbers(&ws, "alone", 1, 1, &ample);
    assert_int_equal(world_interest(&ws, channels, 2, false, positions), 0);
    assert_int_equal(positions[0].offset, 1);
    (void)world_append_numbers(&ws, "young", 1, 1, &ample);
    do {
        world_pass(w, 50);
        assert_int_equal(world_log_read(&ws, "alone", none, 1, 1, false, &log), 0);
    } while (log.count > 0);
    world_pass(w, ample.age_ms);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(world_log_read(&ws, channels[i], none, 1, 1, false, &log), 0);
        assert_int_equal(log.count, 1);
    }
    world_close(&ws);
}

static void test_two_nodes(void **state)
{
    static const char *const channels[] = {"r"};
    struct store_identity other = identity;
    struct world_message m = message("r", "1", "x"), again = message("r", "1", "x");
    struct store_position position;
    struct world *w = *state;
    struct world_store a, b;

    if (!url)
        skip(); /* the memory of one node has no other */
    other.node = "10.0.0.6:8091";
    m.wants_interest = true;
    open_up(w, &a, &identity);
    open_up(w, &b, &other);
    assert_int_equal(world_interest(&a, channels, 1, false, &position), 0);
    assert_int_equal(world_interest(&b, channels, 1, false, &position), 0);
    assert_int_equal(world_append(&a, &m), 0);
    assert_int_equal(m.node_count, 2);
    assert_string_not_equal(m.nodes[0], m.nodes[1]);
    assert_int_equal(world_append(&b, &again), 0); /* to any node */
    expect_at(&again, m.position.epoch, 1, true);
    assert_int_equal(world_interest(&b, channels, 1, true, NULL), 0);
    m.key = "2";
    assert_int_equal(world_append(&b, &m), 0);
    assert_int_equal(m.node_count, 1);
    assert_string_equal(m.nodes[0], NODE);
    world_close(&b);
    world_close(&a);
}

/* ---- acks ---- */

static void test_acks(void **state)
{
    struct store_position at = {.epoch = 1};
    struct world *w = *state;
    struct world_store ws;

    open_up(w, &ws, &identity);
    assert_int_equal(world_acked(&ws, "7", "phone", &at), 0);
    assert_int_equal(at.epoch, 0);
    assert_int_equal(world_ack(&ws, "7", "phone", (struct store_position){1700000000000, 10}, 60000), 0);
    assert_int_equal(world_ack(&ws, "7", "", (struct store_position){1700000000000, 3}, 60000), 0);
    assert_int_equal(world_acked(&ws, "7", "phone", &at), 0);
    assert_true(at.epoch == 1700000000000 && at.offset == 10);
    assert_int_equal(world_ack(&ws, "7", "phone", (struct store_position){1700000000000, 9}, 60000), 0);
    assert_int_equal(world_acked(&ws, "7", "phone", &at), 0);
    assert_int_equal(at.offset, 10); /* not back */
    assert_int_equal(world_ack(&ws, "7", "phone", (struct store_position){1700000000001, 2}, 60000), 0);
    assert_int_equal(world_acked(&ws, "7", "phone", &at), 0);
    assert_true(at.epoch == 1700000000001 && at.offset == 2);
    assert_int_equal(world_acked(&ws, "7", "", &at), 0);
    assert_int_equal(at.offset, 3);
    assert_int_equal(world_acked(&ws, "8", "phone", &at), 0);
    assert_int_equal(at.epoch, 0);

    assert_int_equal(world_ack(&ws, "7", "watch", (struct store_position){1, 1}, 100), 0);
    for (unsigned i = 0; i < 100; i++) { /* the last 64 of a user are kept */
        char device[16];

        (void)snprintf(device, sizeof(device), "d%u", i);
        assert_int_equal(world_ack(&ws, "9", device, (struct store_position){5, i + 1}, 60000 + i), 0);
    }
    for (unsigned i = 100 - 64; i < 100; i++) {
        char device[16];

        (void)snprintf(device, sizeof(device), "d%u", i);
        assert_int_equal(world_acked(&ws, "9", device, &at), 0);
        assert_int_equal(at.offset, i + 1);
    }
    do {
        world_pass(w, 20);
        assert_int_equal(world_acked(&ws, "7", "watch", &at), 0);
    } while (at.epoch != 0);
    assert_int_equal(world_acked(&ws, "7", "phone", &at), 0);
    assert_int_equal(at.offset, 2);
    world_close(&ws);
}

static int set_up(void **state)
{
    static struct world w;

    world_init(&w);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world_deinit(*state);
    return 0;
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_append),
        LOG_TEST(test_repeats),
        LOG_TEST(test_group),
        LOG_TEST(test_large_turn),
        LOG_TEST(test_keys_age),
        LOG_TEST(test_order_among_kinds),
        LOG_TEST(test_away_and_stopped),
        LOG_TEST(test_length),
        LOG_TEST(test_bytes),
        LOG_TEST(test_log_ages),
        LOG_TEST(test_paging),
        LOG_TEST(test_backwards),
        LOG_TEST(test_sweep),
        LOG_TEST(test_large_sweep),
        LOG_TEST(test_interest),
        LOG_TEST(test_only_known),
        LOG_TEST(test_interest_expires),
        LOG_TEST(test_interest_keeps_the_log),
        LOG_TEST(test_two_nodes),
        LOG_TEST(test_acks),
    };

    if (argc > 1 && strcmp(argv[1], "redis") == 0) {
        url = getenv("WARREN_TEST_REDIS_URL");
        if (!url || !*url) {
            fprintf(stderr, "skipped: WARREN_TEST_REDIS_URL is not set\n");
            return SKIPPED;
        }
    }
    return cmocka_run_group_tests_name(url ? "store_log/redis" : "store_log/memory", tests, NULL, NULL);
}
