/** Letters from several threads: none lost, each writer's order kept, few wake-ups. Run it with the thread sanitizer
 * too. */
#include "loop/loop_internal.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <unistd.h>

#include <cmocka.h>

#define WRITERS 4
#define LETTERS 20000

struct exchange {
    struct loop *loop;
    unsigned next[WRITERS]; /* the number expected from each */
    unsigned total;
    bool disorder;
    bool outside; /* run on another thread than the loop's */
};

struct letter {
    struct loop_task task;
    struct exchange *exchange;
    unsigned writer, number;
};

struct writer {
    pthread_t thread;
    struct exchange *exchange;
    unsigned index;
};

static void letter_run(struct loop_task *task)
{
    struct letter *letter = container_of(task, struct letter, task);
    struct exchange *e = letter->exchange;

    if (e->next[letter->writer]++ != letter->number)
        e->disorder = true;
    if (!loop_is_current(e->loop))
        e->outside = true;
    free(letter);
    if (++e->total == WRITERS * LETTERS)
        loop_stop(e->loop);
}

static void post(struct exchange *e, unsigned writer, unsigned number)
{
    struct letter *letter = calloc(1, sizeof(*letter));

    *letter = (struct letter){.task.run = letter_run, .exchange = e, .writer = writer, .number = number};
    loop_post(e->loop, &letter->task);
}

static void *writer_main(void *userdata)
{
    struct writer *w = userdata;

    for (unsigned i = 0; i < LETTERS; i++)
        post(w->exchange, w->index, i);
    return NULL;
}

static void assert_delivered(const struct exchange *e)
{
    assert_int_equal(e->total, WRITERS * LETTERS);
    assert_false(e->disorder);
    assert_false(e->outside);
}

static void test_many_writers(void **state base_unused)
{
    struct exchange e = {0};
    struct writer writers[WRITERS];

    assert_int_equal(loop_new("reader", &e.loop), 0);
    assert_int_equal(loop_start(e.loop), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.exchange = &e, .index = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    loop_join(e.loop);
    assert_delivered(&e);
    loop_free(e.loop);
}

/* A loop that has ended runs what is left when it is freed. */
static void test_letters_outlive_the_run(void **state base_unused)
{
    struct exchange e = {0};

    assert_int_equal(loop_new("reader", &e.loop), 0);
    assert_int_equal(loop_start(e.loop), 0);
    loop_stop(e.loop);
    loop_join(e.loop);
    for (unsigned i = 0; i < 100; i++)
        post(&e, 1, i);
    assert_int_equal(e.total, 0);
    loop_free(e.loop);
    assert_int_equal(e.total, 100);
    assert_false(e.disorder);
}

struct pong {
    struct loop_task task;
    struct loop *here, *there;
    unsigned left;
};

/** Travels between two loops, then stops both. */
static void pong_run(struct loop_task *task)
{
    struct pong *p = container_of(task, struct pong, task);
    struct loop *next = p->there;

    if (p->left-- == 0) {
        loop_stop(p->here);
        loop_stop(p->there);
        return;
    }
    p->there = p->here;
    p->here = next;
    loop_post(next, task);
}

static void test_a_letter_is_posted_on(void **state base_unused)
{
    struct loop *loops[2];
    struct pong p = {.task.run = pong_run, .left = 1000};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_new("player", &loops[i]), 0);
        assert_int_equal(loop_start(loops[i]), 0);
    }
    p.here = loops[0];
    p.there = loops[1];
    loop_post(loops[0], &p.task);
    for (int i = 0; i < 2; i++)
        loop_join(loops[i]);
    assert_int_equal(p.left, UINT32_MAX);
    for (int i = 0; i < 2; i++)
        loop_free(loops[i]);
}

struct again {
    struct loop_task task;
    struct loop *loop;
    struct loop_deferred end_of_turn;
    unsigned runs, turns;
};

static void again_run(struct loop_task *task)
{
    struct again *a = container_of(task, struct again, task);

    loop_defer(a->loop, &a->end_of_turn);
    if (++a->runs == 5)
        loop_stop(a->loop);
    else
        loop_post(a->loop, task);
}

static void again_turn(void *userdata)
{
    ((struct again *)userdata)->turns++;
}

/* What a letter posts to its own loop is for the next turn: a batch is what was there when it was taken. */
static void test_own_posts_wait_a_turn(void **state base_unused)
{
    struct again a = {.task.run = again_run};

    assert_int_equal(loop_new("self", &a.loop), 0);
    loop_deferred_init(&a.end_of_turn, again_turn, &a);
    loop_post(a.loop, &a.task);
    loop_run(a.loop);
    assert_int_equal(a.runs, 5);
    assert_int_equal(a.turns, 5);
    loop_free(a.loop);
}

struct ringer {
    struct loop_task task;
    struct ringer *all;
    size_t index, count;
    struct loop *loop, *reader;
    struct letter_box {
        struct loop_task task;
        unsigned *received;
    } letter;
    int rung_after; /* the reader is rung when this one has posted; -1: not yet */
};

static bool is_rung(struct loop *l)
{
    struct pollfd fd = {.fd = l->wake_fd, .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

static void letter_box_run(struct loop_task *task)
{
    (*container_of(task, struct letter_box, task)->received)++;
}

static void ringer_run(struct loop_task *task)
{
    struct ringer *r = container_of(task, struct ringer, task);

    r->letter.task.run = letter_box_run;
    loop_post(r->reader, &r->letter.task);
    r->rung_after = is_rung(r->reader);
    if (r->index + 1 == r->count)
        loop_stop(r->loop);
}

/** @count letters of one turn of a loop, to another that sleeps. Return: how many were posted before it was rung. */
static size_t ring(size_t count)
{
    struct ringer *all = calloc(count, sizeof(*all));
    struct loop *writer, *reader;
    unsigned received = 0;
    uint64_t rings;
    size_t quiet = 0;

    assert_non_null(all);
    assert_int_equal(loop_new("writer", &writer), 0);
    assert_int_equal(loop_new("reader", &reader), 0);
    for (size_t i = 0; i < count; i++) {
        all[i] = (struct ringer){.task.run = ringer_run,
                                 .index = i,
                                 .count = count,
                                 .loop = writer,
                                 .reader = reader,
                                 .letter.received = &received};
        loop_post(writer, &all[i].task);
    }
    loop_run(writer);
    while (quiet < count && !all[quiet].rung_after)
        quiet++;
    assert_true(is_rung(reader));
    assert_int_equal(read(reader->wake_fd, &rings, sizeof(rings)), sizeof(rings));
    assert_int_equal(rings, 1);
    loop_free(reader); /* which takes what is there */
    assert_int_equal(received, count);
    loop_free(writer);
    free(all);
    return quiet;
}

/* One ring for all letters of a turn, at its end; but who is written to does not wait for long. */
static void test_a_turn_rings_once(void **state base_unused)
{
    assert_int_equal(ring(5), 5);
    assert_in_range(ring(100), 1, LOOP_RING_PATIENCE + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_writers),          cmocka_unit_test(test_letters_outlive_the_run),
        cmocka_unit_test(test_a_letter_is_posted_on), cmocka_unit_test(test_own_posts_wait_a_turn),
        cmocka_unit_test(test_a_turn_rings_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
