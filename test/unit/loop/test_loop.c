/** Turns, deferred work, descriptors, signals, threads. */
#include "base/clock.h"
#include "loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct script {
    struct loop *loop;
    struct loop_task task;
    struct loop_deferred first, second, never;
    char log[64];
};

static void note(struct script *s, char c)
{
    size_t length = strlen(s->log);

    assert_true(length + 1 < sizeof(s->log));
    s->log[length] = c;
}

static void script_first(void *userdata)
{
    struct script *s = userdata;

    note(s, '1');
    loop_defer(s->loop, &s->second); /* still in this turn */
    loop_deferred_cancel(&s->never);
}

static void script_second(void *userdata)
{
    note(userdata, '2');
}

static void script_never(void *userdata)
{
    note(userdata, '!');
}

static void script_task(struct loop_task *task)
{
    struct script *s = container_of(task, struct script, task);

    note(s, 't');
    loop_defer(s->loop, &s->first);
    loop_defer(s->loop, &s->never);
    loop_defer(s->loop, &s->first); /* once a turn */
    loop_stop(s->loop);             /* after this turn */
    note(s, 'u');
}

static void test_deferred(void **state base_unused)
{
    struct script s = {.task.run = script_task};
    struct loop_deferred zeroed = {0};

    assert_int_equal(loop_new("script", &s.loop), 0);
    loop_deferred_init(&s.first, script_first, &s);
    loop_deferred_init(&s.second, script_second, &s);
    loop_deferred_init(&s.never, script_never, &s);
    loop_post(s.loop, &s.task);
    loop_run(s.loop);
    assert_string_equal(s.log, "tu12");
    loop_deferred_cancel(&s.first); /* not pending any more: nothing happens */
    loop_deferred_cancel(&zeroed);

    /* What is deferred before the loop runs does not wait for an event; nor does it get lost when the loop is only
     * freed. */
    loop_defer(s.loop, &s.second);
    loop_stop(s.loop);
    loop_run(s.loop);
    assert_string_equal(s.log, "tu122");
    loop_defer(s.loop, &s.second);
    loop_free(s.loop);
    assert_string_equal(s.log, "tu1222");
    assert_null(loop_free(NULL));
}

struct watched {
    struct loop *loop;
    struct loop_io io;
    int fds[2];
    unsigned reads, writes;
};

static void watched_on_io(struct loop_io *io, unsigned events)
{
    struct watched *w = container_of(io, struct watched, io);
    char byte;

    if (events & LOOP_IO_WRITE) {
        w->writes++;
        assert_int_equal(loop_io_want(&w->io, LOOP_IO_READ), 0);
        assert_int_equal(write(w->fds[1], "ab", 2), 2);
    }
    if (events & LOOP_IO_READ) { /* level-triggered: once for each byte left unread */
        w->reads++;
        assert_int_equal(read(w->fds[0], &byte, 1), 1);
        if (byte == 'b') {
            assert_int_equal(loop_io_want(&w->io, 0), 0);
            loop_stop(w->loop);
        }
    }
}

static void test_descriptors(void **state base_unused)
{
    struct watched w = {0};
    struct loop_io zeroed = {0};

    assert_int_equal(loop_new("io", &w.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fds), 0);
    loop_io_init(&w.io, w.loop, w.fds[0], watched_on_io);
    assert_int_equal(loop_io_want(&w.io, LOOP_IO_READ | LOOP_IO_WRITE), 0);
    assert_int_equal(loop_io_want(&w.io, LOOP_IO_READ | LOOP_IO_WRITE), 0);
    loop_run(w.loop);
    assert_int_equal(w.writes, 1);
    assert_int_equal(w.reads, 2);
    assert_int_equal(loop_io_want(&w.io, LOOP_IO_READ), 0);
    loop_io_deinit(&w.io);
    loop_io_deinit(&w.io);
    loop_io_deinit(&zeroed);
    loop_free(w.loop);
    close(w.fds[0]);
    close(w.fds[1]);
}

struct rival;
struct rival_io {
    struct loop_io io;
    struct rival *rival;
};

struct rival {
    struct loop *loop;
    struct rival_io *io;
    int fds[2];
    struct rival *other;
    unsigned *calls;
};

/** The first to be called takes the other one out, though it stands ready in the same batch. */
static void rival_on_io(struct loop_io *io, unsigned events base_unused)
{
    struct rival *r = container_of(io, struct rival_io, io)->rival;

    (*r->calls)++;
    loop_io_deinit(&r->other->io->io);
    free(r->other->io);
    r->other->io = NULL;
    assert_int_equal(loop_io_want(io, 0), 0);
    loop_stop(r->loop);
}

static void test_taken_out_of_its_batch(void **state base_unused)
{
    struct loop *l;
    struct rival rivals[2];
    unsigned calls = 0;

    assert_int_equal(loop_new("rivals", &l), 0);
    for (size_t i = 0; i < 2; i++) {
        rivals[i] =
            (struct rival){.loop = l, .io = malloc(sizeof(struct rival_io)), .other = &rivals[1 - i], .calls = &calls};
        assert_non_null(rivals[i].io);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, rivals[i].fds), 0);
        rivals[i].io->rival = &rivals[i];
        loop_io_init(&rivals[i].io->io, l, rivals[i].fds[0], rival_on_io);
        assert_int_equal(loop_io_want(&rivals[i].io->io, LOOP_IO_READ), 0);
        assert_int_equal(write(rivals[i].fds[1], "x", 1), 1);
    }
    loop_run(l);
    assert_int_equal(calls, 1);
    loop_free(l);
    for (size_t i = 0; i < 2; i++) {
        free(rivals[i].io);
        close(rivals[i].fds[0]);
        close(rivals[i].fds[1]);
    }
}

static void test_a_descriptor_that_cannot_be_watched(void **state base_unused)
{
    struct watched w = {0};
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(loop_new("refused", &w.loop), 0);
    loop_io_init(&w.io, w.loop, fileno(file), watched_on_io);
    assert_int_equal(loop_io_want(&w.io, LOOP_IO_READ), -EPERM); /* epoll(7) takes no plain files */
    loop_io_deinit(&w.io);
    loop_free(w.loop);
    fclose(file);
}

#define ALWAYS_READY_MAX 1000

struct always_ready {
    struct loop *loop;
    struct loop_io io;
    struct loop_deferred next, end;
    unsigned met, turns;
};

static void on_always_ready(struct loop_io *io, unsigned events base_unused)
{
    struct always_ready *a = container_of(io, struct always_ready, io);

    if (++a->met == ALWAYS_READY_MAX) /* nothing else would end a turn that has no end */
        (void)loop_io_want(io, 0);
    loop_defer(a->loop, &a->end);
}

static void on_always_ready_next(void *userdata)
{
    struct always_ready *a = userdata;

    loop_defer_next(a->loop, &a->next);
}

static void on_always_ready_end(void *userdata)
{
    struct always_ready *a = userdata;

    assert_int_equal(a->met, ++a->turns);
    if (a->turns == 10)
        loop_stop(a->loop);
}

/* A turn that does not wait ends all the same, although there is always something ready. */
static void test_always_ready(void **state base_unused)
{
    struct always_ready a = {0};
    int fds[2];

    assert_int_equal(loop_new("ready", &a.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1); /* which nobody reads */
    loop_io_init(&a.io, a.loop, fds[0], on_always_ready);
    assert_int_equal(loop_io_want(&a.io, LOOP_IO_READ), 0);
    loop_deferred_init(&a.next, on_always_ready_next, &a);
    loop_deferred_init(&a.end, on_always_ready_end, &a);
    loop_defer(a.loop, &a.next);
    loop_run(a.loop);
    assert_int_equal(a.turns, 10);
    loop_deferred_cancel(&a.next);
    loop_io_deinit(&a.io);
    loop_free(a.loop);
    close(fds[0]);
    close(fds[1]);
}

static void on_signal(void *userdata, int signal_number)
{
    struct loop *l = userdata;

    assert_true(loop_is_current(l));
    assert_int_equal(signal_number, SIGUSR1);
    loop_stop(l);
}

static void test_signal(void **state base_unused)
{
    struct loop *l;
    struct loop_signal *s;

    assert_int_equal(loop_new("signals", &l), 0);
    assert_int_equal(loop_signal_new(l, SIGUSR1, on_signal, l, &s), 0);
    kill(getpid(), SIGUSR1);
    loop_run(l);
    assert_null(loop_signal_free(s));
    assert_null(loop_signal_free(NULL));
    loop_free(l);
}

struct inspection {
    struct loop_task task;
    struct loop *loop;
    char name[16];
    bool current, blocked;
    uint64_t now_before_ms, now_after_ms;
};

static void inspect(struct loop_task *task)
{
    struct inspection *i = container_of(task, struct inspection, task);
    sigset_t mask;
    uint64_t until_ms;

    pthread_getname_np(pthread_self(), i->name, sizeof(i->name));
    i->current = loop_is_current(i->loop);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    i->blocked = sigismember(&mask, SIGTERM) == 1;
    i->now_before_ms = loop_now_ms(i->loop);
    until_ms = clock_monotonic_ms() + 3;
    while (clock_monotonic_ms() < until_ms)
        ;
    i->now_after_ms = loop_now_ms(i->loop);
    loop_stop(i->loop);
}

static void test_thread(void **state base_unused)
{
    struct inspection i = {.task.run = inspect};
    sigset_t mask;

    assert_int_equal(loop_new("fifteen letters", &i.loop), 0);
    assert_true(loop_is_current(i.loop));
    assert_int_equal(loop_start(i.loop), 0);
    assert_false(loop_is_current(i.loop));
    loop_post(i.loop, &i.task);
    loop_join(i.loop);
    assert_true(loop_is_current(i.loop));
    assert_true(i.current);
    assert_true(i.blocked);
    assert_string_equal(i.name, "fifteen letters");
    assert_int_equal(i.now_before_ms, i.now_after_ms); /* one time a turn */
    assert_true(loop_now_ms(i.loop) > i.now_after_ms);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
    loop_free(i.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_taken_out_of_its_batch),
        cmocka_unit_test(test_a_descriptor_that_cannot_be_watched),
        cmocka_unit_test(test_always_ready),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
