#include "base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/** Not static, so that the backtrace has a name for it. */
void crash_here(void (*crash)(void));

__attribute__((noinline)) void crash_here(void (*crash)(void))
{
    crash();
    __asm__ volatile("" ::: "memory"); /* no tail call: this frame must be there */
}

static void crash_by_abort(void)
{
    abort();
}

static void crash_by_access(void)
{
    volatile int *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *nowhere = 1;
}

static void crash_by_division(void)
{
    (void)raise(SIGFPE); /* not every processor traps on a division */
}

static void crash_by_instruction(void)
{
    __builtin_trap();
}

static size_t deeper(size_t depth)
{
    static volatile size_t bottom = SIZE_MAX;
    volatile char frame[4096];

    frame[0] = (char)depth;
    if (depth == bottom)
        return 0;
    return depth + deeper(depth + 1) + (size_t)frame[0];
}

static void crash_by_recursion(void)
{
    (void)deeper(0);
}

/** raise() and not abort(), which lets one thread in at a time. */
static void *crash_together(void *argument)
{
    (void)pthread_barrier_wait(argument);
    (void)raise(SIGABRT);
    return NULL;
}

static void crash_twice(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;

    (void)pthread_barrier_init(&barrier, NULL, 2);
    (void)pthread_create(&thread, NULL, crash_together, &barrier);
    (void)crash_together(&barrier);
    (void)pause();
}

/** Runs @crash in a child; fills @report with what it wrote to stderr and returns how it ended, as waitpid(2) tells. */
static int die_in_child(void (*crash)(void), char *report, size_t size)
{
    int fds[2], status = 0;
    size_t used = 0;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)alarm(120);
        (void)dup2(fds[1], STDERR_FILENO);
        for (int number = 1; number < NSIG; number++) /* the test framework's own handlers are not what is tested */
            if (!SANITIZED || number == SIGABRT)
                (void)signal(number, SIG_DFL);
        log_install_crash_handler();
        crash_here(crash);
        _exit(0);
    }
    (void)close(fds[1]);
    while ((got = read(fds[0], report + used, size - 1 - used)) > 0)
        used += (size_t)got;
    report[used] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/** Dies by @number, after exactly one report, which begins with @first_words. */
static void check(void (*crash)(void), int number, const char *first_words)
{
    static char report[65536];
    int status = die_in_child(crash, report, sizeof(report));

    if (!WIFSIGNALED(status) || WTERMSIG(status) != number || !strstr(report, first_words))
        fail_msg("status %#x, report:\n%s", (unsigned)status, report);
    assert_null(strstr(strstr(report, first_words) + 1, "fatal signal"));
    assert_non_null(strchr(strstr(report, first_words), '[')); /* at least one frame's address */
}

static void test_abort(base_unused void **state)
{
    static char report[65536];

    check(crash_by_abort, SIGABRT, "fatal signal SIGABRT\n");
    (void)die_in_child(crash_by_abort, report, sizeof(report));
    assert_non_null(strstr(report, "crash_here"));
}

static void test_faults(base_unused void **state)
{
    if (SANITIZED)
        skip(); /* the sanitizer's handlers stay */
    check(crash_by_access, SIGSEGV, "fatal signal SIGSEGV at address 0x");
    check(crash_by_division, SIGFPE, "fatal signal SIGFPE\n");
    check(crash_by_instruction, SIGILL, "fatal signal SIGILL at address 0x");
}

static void test_stack_overflow(base_unused void **state)
{
    if (SANITIZED)
        skip();
    check(crash_by_recursion, SIGSEGV, "fatal signal SIGSEGV at address 0x");
}

static void test_two_threads_at_once(base_unused void **state)
{
    for (int i = 0; i < 20; i++)
        check(crash_twice, SIGABRT, "fatal signal SIGABRT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_stack_overflow),
        cmocka_unit_test(test_two_threads_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
