/** Readers that are behind: what is replaced, what is dropped, who is ended, and that nothing begun is taken back. */
#include "fixture.h"

#define FILLER 4096

struct slow_peer {
    struct net_stream stream;
    struct raw raw; /* its other side */
    unsigned told, closed;
    enum net_slow cause;
    enum net_end end;
    const char *last_word;
    uint32_t close_timeout_ms; /* 0: long */
};

static size_t slow_on_data(struct net_stream *s base_unused, char *data base_unused, size_t size)
{
    return size;
}

static void slow_on_slow(struct net_stream *s, enum net_slow cause)
{
    struct slow_peer *p = container_of(s, struct slow_peer, stream);

    p->told++;
    p->cause = cause;
    assert_true(net_queue_count(s) <= 1); /* at most the one that was begun */
    if (p->last_word) {
        assert_int_equal(net_stream_send_bytes(s, slice_from(p->last_word)), 0);
        net_stream_close(s);
    } else {
        net_stream_abort(s);
    }
}

static void slow_on_closed(struct net_stream *s, enum net_end end, int error base_unused)
{
    struct slow_peer *p = container_of(s, struct slow_peer, stream);

    p->closed++;
    p->end = end;
}

static struct net_frame *slow_gap(struct net_stream *s base_unused, const struct net_place *what)
{
    char text[64];
    struct net_frame *frame;

    snprintf(text, sizeof(text), "(%.*s%d %d-%d)", (int)what->series.size, what->series.data, (int)what->epoch,
             (int)what->from, (int)what->to);
    frame = net_frame_new(strlen(text));
    assert_non_null(frame);
    memcpy(frame->data, text, strlen(text));
    return frame;
}

static const struct net_stream_ops slow_ops = {
    .on_data = slow_on_data, .on_slow = slow_on_slow, .gap = slow_gap, .on_closed = slow_on_closed};

static bool slow_is_closed(void *userdata)
{
    return ((struct slow_peer *)userdata)->closed > 0;
}

static bool slow_is_told(void *userdata)
{
    return ((struct slow_peer *)userdata)->told > 0;
}

static bool at_once(void *userdata base_unused)
{
    return true;
}

static struct net_frame *frame_of(enum net_frame_class delivery, uint64_t tag, const char *text)
{
    struct net_frame *frame = net_frame_new(strlen(text));

    assert_non_null(frame);
    memcpy(frame->data, text, strlen(text));
    frame->delivery = (uint8_t)delivery;
    frame->tag = tag;
    return frame;
}

static void put(struct slow_peer *p, enum net_frame_class delivery, uint64_t tag, const char *text)
{
    struct net_frame *frame = frame_of(delivery, tag, text);

    assert_int_equal(net_stream_send(&p->stream, frame), 0);
    net_frame_unref(frame);
}

/** The same of a series; its text is "<series><epoch>:<offset> ". */
static void put_placed(struct slow_peer *p, enum net_frame_class delivery, uint64_t tag, const char *series,
                       uint64_t epoch, uint64_t offset)
{
    char text[64];
    struct net_frame *frame;

    snprintf(text, sizeof(text), "%s%d:%d ", series, (int)epoch, (int)offset);
    frame = frame_of(delivery, tag, text);
    assert_int_equal(net_frame_set_place(frame, slice_from(series), epoch, offset, offset), 0);
    assert_int_equal(net_stream_send(&p->stream, frame), 0);
    net_frame_unref(frame);
}

/** A reader that stands still: its socket takes no more, and a filler was begun. */
static void stand_still(struct fixture *f, struct slow_peer *p, const struct net_queue_limits *limits)
{
    const struct net_stream_options options = {
        .limits = limits, .close_timeout_ms = p->close_timeout_ms ? p->close_timeout_ms : PATIENCE_MS};
    char filler[FILLER + 1];
    int fds[2], size = 4096;

    memset(filler, 'x', FILLER);
    filler[FILLER] = '\0';
    make_pair(fds, false);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    p->raw.fd = fds[1];
    assert_int_equal(net_stream_accept(&p->stream, f->net, fds[0], &options, &slow_ops), 0);
    run_until(f, at_once, NULL);
    while (!p->stream.want_write) {
        put(p, NET_FRAME_MUST, 0, filler);
        run_until(f, at_once, NULL);
    }
    assert_int_equal(net_queue_count(&p->stream), 1);
    assert_int_equal(net_loop_counters(f->net)->streams_behind, 1);
}

/** Reads everything up to @last and gives what is not filler. */
static void expect_behind_fillers(struct fixture *f, struct slow_peer *p, const char *expected)
{
    size_t at = 0;

    p->raw.want = SIZE_MAX;
    for (unsigned turns = 0; turns < 10000 && net_queue_count(&p->stream) > 0; turns++) {
        raw_read(&p->raw);
        run_until(f, at_once, NULL);
    }
    raw_read(&p->raw);
    while (at < p->raw.in.size && p->raw.in.data[at] == 'x')
        at++;
    assert_int_equal(at % FILLER, 0); /* fillers are whole */
    assert_int_equal(p->raw.in.size - at, strlen(expected));
    assert_memory_equal(p->raw.in.data + at, expected, strlen(expected));
}

static void slow_deinit(struct fixture *f, struct slow_peer *p)
{
    net_stream_abort(&p->stream);
    if (!p->closed)
        run_until(f, slow_is_closed, p);
    assert_int_equal(net_loop_counters(f->net)->bytes_queued, 0);
    assert_int_equal(net_loop_counters(f->net)->streams_behind, 0);
    raw_deinit(&p->raw);
}

static void test_latest_goes_behind(void **state)
{
    struct fixture *f = *state;
    struct slow_peer p = {0};
    char number[16];

    stand_still(f, &p, NULL);
    put(&p, NET_FRAME_MUST, 0, "m1 ");
    put(&p, NET_FRAME_LATEST, 7, "s1 ");
    put(&p, NET_FRAME_LATEST, 8, "t1 ");
    put(&p, NET_FRAME_MUST, 0, "m2 ");
    put(&p, NET_FRAME_LATEST, 7, "s2 ");
    assert_int_equal(net_loop_counters(f->net)->frames_replaced, 1);
    for (int i = 0; i < 1000; i++) {
        snprintf(number, sizeof(number), "s%d ", 3 + i);
        put(&p, NET_FRAME_LATEST, 7, number);
    }
    put(&p, NET_FRAME_MUST, 0, "m3 ");
    assert_int_equal(net_queue_count(&p.stream), 6);
    assert_int_equal(net_loop_counters(f->net)->frames_replaced, 1001);
    assert_int_equal(net_loop_counters(f->net)->frames_dropped, 0);
    expect_behind_fillers(f, &p, "m1 t1 m2 s1002 m3 ");
    assert_null(p.stream.backlog);
    slow_deinit(f, &p);
}

/** A part of what has arrived. */
static void read_some(struct slow_peer *p, size_t size)
{
    char part[4096];
    ssize_t got = recv(p->raw.fd, part, size < sizeof(part) ? size : sizeof(part), MSG_DONTWAIT);

    if (got > 0)
        buffer_append(&p->raw.in, part, (size_t)got);
}

/**
 * Messages (m) and signals (of three tags) with one number running through all of them, to a reader who takes a little
 * now and then: whatever is replaced, what arrives is in the order in which it was sent, with each message and the
 * last of each tag's signals.
 */
static void test_signals_never_overtake(void **state)
{
    struct fixture *f = *state;
    struct slow_peer p = {0};
    uint64_t random = 1, messages = 0, arrived = 0, last[4] = {0}, heard[4] = {0};
    char text[400];
    size_t at = 0;
    long before = 0;

    stand_still(f, &p, NULL);
    for (uint64_t number = 1; number <= 5000; number++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t tag = (random >> 33) % 6 < 4 ? (random >> 33) % 6 : 0; /* 0: a message */
        int padding = (int)((random >> 40) % 300);

        snprintf(text, sizeof(text), "%c%llu%*s;", "mabc"[tag], (unsigned long long)number, padding, "");
        put(&p, tag ? NET_FRAME_LATEST : NET_FRAME_MUST, tag, text);
        messages += !tag;
        last[tag] = number;
        if ((random >> 50) % 4 == 0) {
            read_some(&p, (random >> 52) % 1500);
            run_until(f, at_once, NULL);
        }
    }
    assert_true(net_loop_counters(f->net)->frames_replaced > 100);
    p.raw.want = SIZE_MAX;
    for (unsigned turns = 0; turns < 10000 && net_queue_count(&p.stream) > 0; turns++) {
        raw_read(&p.raw);
        run_until(f, at_once, NULL);
    }
    raw_read(&p.raw);
    buffer_append(&p.raw.in, "", 1);
    while (p.raw.in.data[at] == 'x')
        at++;
    for (const char *frame = p.raw.in.data + at; *frame; frame = strchr(frame, ';') + 1) {
        long number = strtol(frame + 1, NULL, 10);
        size_t tag = (size_t)(strchr("mabc", *frame) - "mabc");

        assert_true(number > before);
        before = number;
        arrived += !tag;
        heard[tag] = (uint64_t)number;
    }
    assert_int_equal(arrived, messages);
    assert_memory_equal(heard, last, sizeof(last));
    slow_deinit(f, &p);
}

/* A signal that was begun is finished, and the newer one follows it. */
static void test_what_was_begun_stays(void **state)
{
    struct fixture *f = *state;
    struct slow_peer p = {0};
    static char large[300000];

    memset(large, 'y', sizeof(large) - 1);
    stand_still(f, &p, NULL);
    put(&p, NET_FRAME_LATEST, 7, large);
    p.raw.want = 1;
    while (net_queue_count(&p.stream) != 1 || p.stream.sent_of_head == 0 || net_queue_at(&p.stream, 0)->tag != 7) {
        raw_read(&p.raw);
        run_until(f, at_once, NULL);
    }
    buffer_reset(&p.raw.in, SIZE_MAX);
    put(&p, NET_FRAME_LATEST, 7, "new");
    put(&p, NET_FRAME_LATEST, 7, "newer");
    assert_int_equal(net_loop_counters(f->net)->frames_replaced, 1);
    for (unsigned turns = 0; turns < 10000 && net_queue_count(&p.stream) > 0; turns++) {
        raw_read(&p.raw);
        run_until(f, at_once, NULL);
    }
    raw_read(&p.raw);
    assert_true(p.raw.in.size > 5 && p.raw.in.data[p.raw.in.size - 6] == 'y');
    assert_memory_equal(p.raw.in.data + p.raw.in.size - 5, "newer", 5);
    slow_deinit(f, &p);
}

static void test_the_oldest_go(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = 20000, .drop_oldest_bytes = 12};
    struct slow_peer p = {0};

    stand_still(f, &p, &limits);
    put(&p, NET_FRAME_DROP_OLDEST, 0, "r1  ");
    put(&p, NET_FRAME_MUST, 0, "m1 ");
    put(&p, NET_FRAME_DROP_OLDEST, 0, "r2  ");
    put(&p, NET_FRAME_DROP_OLDEST, 0, "r3  ");
    assert_int_equal(net_loop_counters(f->net)->frames_dropped, 0); /* exactly the share */
    put(&p, NET_FRAME_DROP_OLDEST, 0, "r4  ");
    assert_int_equal(net_loop_counters(f->net)->frames_dropped, 1);
    put(&p, NET_FRAME_DROP_OLDEST, 0, "r5      ");
    assert_int_equal(net_loop_counters(f->net)->frames_dropped, 3);
    put(&p, NET_FRAME_MUST, 0, "m2 ");
    put(&p, NET_FRAME_DROP_OLDEST, 0, "too large for it");
    assert_int_equal(net_loop_counters(f->net)->frames_dropped, 6); /* it takes the others along */
    put(&p, NET_FRAME_DROP_OLDEST, 0, "r6");
    expect_behind_fillers(f, &p, "m1 m2 r6");
    assert_int_equal(p.told, 0);
    slow_deinit(f, &p);
}

static void test_what_was_dropped_is_told(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = 20000, .drop_oldest_bytes = 10};
    struct slow_peer p = {0};

    stand_still(f, &p, &limits);
    for (uint64_t offset = 1; offset <= 3; offset++) { /* two have room, of both series together */
        put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "a", 1, offset);
        put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "b", 1, offset);
        put(&p, NET_FRAME_MUST, 0, "m ");
    }
    put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "a", 2, 1);
    put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "a", 2, 2);
    assert_int_equal(net_loop_counters(f->net)->frames_dropped, 6);
    expect_behind_fillers(f, &p, "(a1 1-3)(b1 1-3)m m m a2:1 a2:2 ");
    slow_deinit(f, &p);
}

static void test_what_has_no_room_at_all_is_told(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = 20000, .drop_oldest_bytes = 4};
    struct slow_peer p = {0};

    stand_still(f, &p, &limits);
    for (uint64_t offset = 1; offset <= 3; offset++)
        put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "a", 1, offset);
    put(&p, NET_FRAME_MUST, 0, "m ");
    put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "a", 1, 4);
    put_placed(&p, NET_FRAME_DROP_OLDEST, 0, "a", 1, 6);
    expect_behind_fillers(f, &p, "(a1 1-4)m (a1 6-6)");
    slow_deinit(f, &p);
}

static void test_what_was_replaced_is_told(void **state)
{
    struct fixture *f = *state;
    struct slow_peer p = {0};

    stand_still(f, &p, NULL);
    put_placed(&p, NET_FRAME_LATEST, 7, "a", 1, 1);
    put_placed(&p, NET_FRAME_LATEST, 8, "a", 1, 2); /* of another type */
    put(&p, NET_FRAME_MUST, 0, "m ");
    put_placed(&p, NET_FRAME_LATEST, 7, "a", 1, 3);
    put_placed(&p, NET_FRAME_LATEST, 7, "a", 1, 4);
    put_placed(&p, NET_FRAME_LATEST, 7, "a", 1, 5);
    assert_int_equal(net_queue_count(&p.stream), 6); /* filler, gap, 2, m, gap, 5 */
    put_placed(&p, NET_FRAME_LATEST, 8, "a", 1, 6);  /* the two gaps become one */
    put_placed(&p, NET_FRAME_LATEST, 9, "b", 1, 1);
    put_placed(&p, NET_FRAME_LATEST, 9, "b", 1, 2);
    assert_int_equal(net_loop_counters(f->net)->frames_replaced, 5);
    expect_behind_fillers(f, &p, "(a1 1-4)m a1:5 a1:6 (b1 1-1)b1:2 ");
    slow_deinit(f, &p);
}

/* However long it goes on, there are no more gaps than frames around them. */
static void test_gaps_do_not_heap_up(void **state)
{
    struct fixture *f = *state;
    struct slow_peer p = {0};
    uint64_t random = 1;

    stand_still(f, &p, NULL);
    for (uint64_t offset = 1; offset <= 5000; offset++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        put_placed(&p, NET_FRAME_LATEST, 1 + (random >> 33) % 4, "a", 1, offset);
        assert_true(net_queue_count(&p.stream) <= 1 + 4 + 4);
    }
    slow_deinit(f, &p);
}

/* Frames that may be dropped never end a reader: there is room for them or there is not. */
static void test_relays_do_not_end_a_reader(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = FILLER + 10};
    struct slow_peer p = {0};

    stand_still(f, &p, &limits);
    for (int i = 0; i < 5000; i++)
        put(&p, NET_FRAME_DROP_OLDEST, 0, "relay");
    assert_int_equal(p.stream.slow, NET_SLOW_NOT);
    assert_true(p.stream.queued_bytes <= limits.bytes);
    put(&p, NET_FRAME_MUST, 0, "too much for it");
    assert_int_equal(p.stream.slow, NET_SLOW_BYTES);
    run_until(f, slow_is_closed, &p);
    slow_deinit(f, &p);
}

static void test_too_much_at_once(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = 20000};
    struct slow_peer p = {.last_word = "bye"};

    stand_still(f, &p, &limits);
    while (!p.stream.slow)
        put(&p, NET_FRAME_MUST, 0, "one of many");
    assert_int_equal(p.told, 0); /* at the end of the turn */
    assert_true(net_stream_is_ending(&p.stream));
    assert_int_equal(net_queue_count(&p.stream), 1);
    put(&p, NET_FRAME_MUST, 0, "ignored");
    run_until(f, slow_is_told, &p);
    assert_int_equal(p.cause, NET_SLOW_BYTES);
    /* It reads after all: the filler that was begun, whole, and the last word. */
    expect_behind_fillers(f, &p, "bye");
    run_until(f, at_once, NULL);
    raw_read(&p.raw);
    assert_true(p.raw.ended);
    close(p.raw.fd);
    p.raw.fd = -1;
    run_until(f, slow_is_closed, &p);
    assert_int_equal(p.end, NET_END_CLOSED);
    assert_int_equal(p.told, 1);
    slow_deinit(f, &p);
}

static void test_last_word_times_out(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.bytes = 10000};
    struct slow_peer p = {.last_word = "bye", .close_timeout_ms = 500};

    stand_still(f, &p, &limits);
    while (!p.stream.slow)
        put(&p, NET_FRAME_MUST, 0, "one of many");
    run_until(f, slow_is_closed, &p);
    assert_int_equal(p.end, NET_END_TIMEOUT);
    slow_deinit(f, &p);
}

static void test_behind_for_too_long(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.soft_bytes = 6000, .soft_ms = 300};
    struct slow_peer p = {0}, within = {0};
    uint64_t began_ms = clock_monotonic_ms();

    stand_still(f, &p, &limits);
    while (p.stream.queued_bytes <= limits.soft_bytes)
        put(&p, NET_FRAME_MUST, 0, "one of many");
    run_until(f, slow_is_closed, &p);
    assert_int_equal(p.cause, NET_SLOW_SOFT);
    assert_true(clock_monotonic_ms() - began_ms >= 300);
    slow_deinit(f, &p);
    /* Below the soft limit it may stay behind. */
    stand_still(f, &within, &limits);
    began_ms = clock_monotonic_ms();
    while (clock_monotonic_ms() - began_ms < 3 * 300)
        run_until(f, at_once, NULL);
    assert_int_equal(within.told, 0);
    slow_deinit(f, &within);
}

static void test_age(void **state)
{
    struct fixture *f = *state;
    const struct net_queue_limits limits = {.age_ms = 300};
    struct slow_peer p = {0};
    uint64_t began_ms = clock_monotonic_ms();

    stand_still(f, &p, &limits);
    run_until(f, slow_is_closed, &p);
    assert_int_equal(p.cause, NET_SLOW_AGE);
    assert_true(clock_monotonic_ms() - began_ms >= 300);
    slow_deinit(f, &p);
}

/* Of all together too much waits: who has most goes, the other stays. */
struct budget_case {
    struct net_budget budget;
    struct slow_peer small;
};

/** The budget is told of at the end of turns, and a turn's output may take more than one. */
static bool is_counted(void *userdata)
{
    struct budget_case *c = userdata;

    return atomic_load(&c->budget.queued) == c->small.stream.queued_bytes;
}

static void test_budget(void **state)
{
    struct fixture *f = *state;
    struct budget_case c = {.budget = {.limit = 1 << 20, .loops = 1}};
    struct slow_peer worst = {0};
    char text[1001];

    memset(text, 'z', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    net_loop_set_budget(f->net, &c.budget);
    stand_still(f, &worst, NULL);
    for (int i = 0; i < 900; i++)
        put(&worst, NET_FRAME_MUST, 0, text);
    run_until(f, at_once, NULL);
    assert_int_equal(worst.told, 0);
    const struct net_stream_options options = {0};
    int fds[2];

    make_pair(fds, false);
    c.small.raw.fd = fds[1];
    assert_int_equal(net_stream_accept(&c.small.stream, f->net, fds[0], &options, &slow_ops), 0);
    run_until(f, at_once, NULL);
    for (int i = 0; i < 500; i++) {
        put(&c.small, NET_FRAME_MUST, 0, text);
        run_until(f, at_once, NULL);
    }
    run_until(f, slow_is_closed, &worst);
    assert_int_equal(worst.cause, NET_SLOW_TOTAL);
    assert_int_equal(c.small.told, 0);
    run_until(f, is_counted, &c);
    raw_deinit(&worst.raw);
    slow_deinit(f, &c.small);
}

static int setup(void **state)
{
    static struct fixture f;

    fixture_begin(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    return fixture_end(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_latest_goes_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals_never_overtake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_begun_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_dropped_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_no_room_at_all_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_replaced_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gaps_do_not_heap_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relays_do_not_end_a_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_word_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_behind_for_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
