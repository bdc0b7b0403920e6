/*
 * What the contract suite does not show of the logs in memory: that they survive the lack of memory, and that what is
 * over does not stay. Their behaviour is in test/contract/store_log.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/memory_internal.h"
#include "support/alloc.h"

#include <stdio.h>

static const struct store_identity identity = {
    .node = "10.0.0.5:8091", .incarnation = 1, .seen_window_ms = 60000, .expiry_ms = 60000};
static const struct store_log_limits limits = {.length = 3, .bytes = 1000, .age_ms = 60000};

static struct loop *loop;
static struct store *store;
static struct loop_timer pause_timer;

static void on_state(void *userdata base_unused, const struct store_status *status base_unused)
{
    loop_stop(loop);
}

static void on_pause(void *userdata base_unused)
{
    loop_stop(loop);
}

static int set_up(void **state base_unused)
{
    assert_int_equal(loop_new("test", &loop), 0);
    assert_int_equal(memory_store_new(loop, &identity, &store), 0);
    store->callbacks.on_state = on_state;
    assert_int_equal(store_start(store), 0);
    loop_run(loop);
    loop_timer_init(&pause_timer, loop, on_pause, NULL);
    return 0;
}

static int tear_down(void **state base_unused)
{
    loop_timer_deinit(&pause_timer);
    store = store_free(store);
    loop_free(loop);
    return 0;
}

static void run_for(uint64_t ms)
{
    loop_timer_start(&pause_timer, ms);
    loop_run(loop);
}

/* ---- memory runs out ---- */

static struct {
    int append, interest, ack, sweep, read;
    size_t swept, records;
} answers;

static void on_append(struct store_append *r base_unused, int result, const struct slice *nodes base_unused,
                      size_t count base_unused)
{
    answers.append = result;
}

static void on_interest(struct store_interest_put *r base_unused, int result)
{
    answers.interest = result;
}

static void on_ack(struct store_ack_put *r base_unused, int result)
{
    answers.ack = result;
}

static void on_records(struct store_sweep *r base_unused, size_t index base_unused,
                       const struct store_record *records base_unused, size_t count)
{
    answers.swept += count;
}

static void on_swept(struct store_sweep *r base_unused, int result)
{
    answers.sweep = result;
}

static void on_read(struct store_log_read *r base_unused, int result, struct store_position last base_unused,
                    struct store_position first base_unused, const struct store_record *records base_unused,
                    size_t count)
{
    answers.read = result;
    answers.records = count;
    loop_stop(loop); /* the last one */
}

static struct store_append append;
static struct store_interest_put interest;
static struct store_ack_put ack;
static struct store_sweep sweep;
static struct store_log_read read_all;

static void ask_everything(struct slice channel, struct slice key)
{
    static struct slice channels[2];
    static struct store_position positions[2];
    static struct store_sweep_channel swept;

    channels[0] = swept.channel = channel;
    channels[1] = SLICE_LITERAL("another");
    append = (struct store_append){.channel = channel,
                                   .sender = SLICE_LITERAL("s"),
                                   .key = key,
                                   .key_age_ms = 60000,
                                   .record = SLICE_LITERAL("record"),
                                   .limits = &limits,
                                   .done = on_append};
    interest =
        (struct store_interest_put){.channels = channels, .count = 2, .positions = positions, .done = on_interest};
    ack = (struct store_ack_put){.user = channel, .device = key, .position = {1, 1}, .age_ms = 60000, .done = on_ack};
    sweep = (struct store_sweep){
        .channels = &swept, .count = 1, .limit_per_channel = 10, .on_records = on_records, .done = on_swept};
    read_all = (struct store_log_read){.channel = channel, .limit = 10, .max_bytes = 1000, .done = on_read};
    store_append(store, &append);
    store_interest_put(store, &interest);
    store_ack_put(store, &ack);
    store_sweep(store, &sweep);
    store_log_read(store, &read_all);
}

static void test_out_of_memory(void **state base_unused)
{
    for (size_t n = 0;; n++) {
        char channel[16];
        bool refused, was_added;

        (void)snprintf(channel, sizeof(channel), "c%zu", n);
        memset(&answers, 0, sizeof(answers));
        ask_everything(slice_from(channel), SLICE_LITERAL("k"));
        alloc_fail_after(n);
        loop_run(loop);
        refused = alloc_fail_disarm();
        assert_true(answers.append == 0 || answers.append == STORE_E_UNAVAILABLE);
        was_added = answers.append == 0;
        if (answers.sweep == 0)
            assert_int_equal(answers.swept, was_added);
        if (answers.read == 0)
            assert_int_equal(answers.records, was_added);

        /* What was refused did not happen: neither the entry nor the key. */
        memset(&answers, 0, sizeof(answers));
        ask_everything(slice_from(channel), SLICE_LITERAL("k"));
        loop_run(loop);
        assert_int_equal(answers.append, 0);
        assert_int_equal(append.is_repeat, was_added);
        assert_int_equal(append.position.offset, 1);
        assert_int_equal(answers.interest, 0);
        assert_int_equal(answers.ack, 0);
        assert_int_equal(answers.swept, 1);
        assert_int_equal(answers.records, 1);
        if (!refused)
            break;
    }
}

/* ---- what is over goes ---- */

static size_t length_of(const struct list *l)
{
    size_t length = 0;

    list_for_each (it, l)
        length++;
    return length;
}

static void test_nothing_stays(void **state base_unused)
{
    static const struct store_log_limits brief = {.length = 10, .age_ms = 1};
    const struct memory_store *s = container_of(store, struct memory_store, base);

    for (unsigned i = 0; i < 2000; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%u", i);
        append = (struct store_append){.channel = slice_from(name),
                                       .sender = SLICE_LITERAL("s"),
                                       .key = slice_from(name),
                                       .key_age_ms = 1,
                                       .record = SLICE_LITERAL("record"),
                                       .limits = &brief,
                                       .done = on_append};
        store_append(store, &append);
        if (i % 50 == 49)
            run_for(3);
        else
            run_for(0);
        assert_int_equal(answers.append, 0);
    }
    assert_in_range(length_of(&s->mark_turns), 1, 200);
    assert_in_range(length_of(&s->log_turns), 1, 200);
}

static struct slice name_of(unsigned user, char text[16])
{
    return slice_make(text, (size_t)snprintf(text, 16, "user:%u", user));
}

/** Of the users that were here those are forgotten that were not seen for longest, once they are too many. */
static void test_known_users_are_bounded(void **state base_unused)
{
    struct memory_store *s = container_of(store, struct memory_store, base);
    char text[16];

    for (unsigned i = 0; i < MEMORY_KNOWN_MAX; i++)
        assert_int_equal(memory_know(s, name_of(i, text), 60000), 0);
    assert_int_equal(memory_know(s, name_of(0, text), 60000), 0); /* seen again */
    assert_int_equal(s->known_count, MEMORY_KNOWN_MAX);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(memory_know(s, name_of(MEMORY_KNOWN_MAX + i, text), 60000), 0);
    assert_int_equal(s->known_count, MEMORY_KNOWN_MAX);
    assert_int_equal(length_of(&s->known_turns), MEMORY_KNOWN_MAX);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(memory_is_known(s, name_of(i, text)), i == 0 || i == 3);
    assert_true(memory_is_known(s, name_of(MEMORY_KNOWN_MAX + 1, text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_known_users_are_bounded, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("store/memory_log", tests, NULL, NULL);
}
