/*
 * The last words of a process that is about to die of its own mistake. The handler may run in any thread and at any
 * instruction, so it uses only what is async-signal-safe: write(2), and backtrace(3), which is once its library is
 * loaded (done at installation).
 *
 * The signal is raised again with its default action, so that the core dump, the exit status and the supervisor's view
 * are those of the real cause. A fault inside the handler kills at once, because the kernel does not let a blocked
 * fault signal wait.
 */
#include "base/log.h"

#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define FRAMES_MAX 64
#define STACK_BYTES (64u * 1024u)

static const struct {
    int number;
    const char *name;
    bool has_address; /* si_addr is the address that was touched, or of the instruction */
} signals[] = {
    {SIGSEGV, "SIGSEGV", true}, {SIGBUS, "SIGBUS", true},    {SIGILL, "SIGILL", true},
    {SIGFPE, "SIGFPE", true},   {SIGABRT, "SIGABRT", false},
};

/** The handler of the installing thread runs here, for its own stack may be what overflowed. */
static char handler_stack[STACK_BYTES];
static atomic_bool crashing;

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written; /* nobody is left to tell */
}

static void say_hex(uintptr_t value)
{
    char digits[2 * sizeof(value) + 1];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value > 0);
    say("0x");
    say(digits + at);
}

static void die_of(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    (void)sigaction(number, &action, NULL);
    (void)raise(number); /* waits, blocked, until the handler returns */
}

static void on_crash(int number, siginfo_t *info, base_unused void *context)
{
    void *frames[FRAMES_MAX];
    int saved_errno = errno;

    while (atomic_exchange(&crashing, true))
        (void)pause(); /* another thread is dying already; its report comes first and ends us too */
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        if (signals[i].number != number)
            continue;
        say("fatal signal ");
        say(signals[i].name);
        if (signals[i].has_address && info->si_code > 0) { /* from the kernel, not from kill(2) */
            say(" at address ");
            say_hex((uintptr_t)info->si_addr);
        }
        say("\n");
    }
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    die_of(number);
    errno = saved_errno;
}

void log_install_crash_handler(void)
{
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof(handler_stack)};
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction present;
    stack_t present_stack;
    void *frame[1];

    (void)backtrace(frame, 1); /* the first call loads libgcc, which allocates: now, not in the handler */
    if (sigaltstack(NULL, &present_stack) == 0 && (present_stack.ss_flags & SS_DISABLE))
        (void)sigaltstack(&stack, NULL);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++)
        (void)sigaddset(&action.sa_mask, signals[i].number);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++) {
        /* A handler that is there already is a sanitizer's, whose report says more than ours. */
        if (sigaction(signals[i].number, NULL, &present) == 0 && !(present.sa_flags & SA_SIGINFO) &&
            present.sa_handler == SIG_DFL)
            (void)sigaction(signals[i].number, &action, NULL);
    }
}
