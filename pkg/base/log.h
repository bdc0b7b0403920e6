#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

#include <stdarg.h>

/**
 * One line per event, logfmt: `time=… level=… msg="…" key=value …`. Where stderr is the journal (JOURNAL_STREAM names
 * its inode), lines begin with <N> (sd-daemon(3)) and carry no time. A line is written by one write(2), so threads do
 * not mix. Libraries return; edges log, once.
 *
 * Fields follow the message as pairs built by the LOG_* macros, ended by the macro log_event():
 *     log_event(LOG_WARNING, "broker connection lost", LOG_TEXT("url", url), LOG_INT("attempt", n));
 * Values are quoted and escaped as needed (\" and \\; control characters and what is not UTF-8 byte by byte as \xNN),
 * cut at 1,024 bytes, which an ellipsis shows. A value that is not set is written as `-`, an empty one as "". A line
 * has 8 KiB at most: fields that do not fit are left out, and `fields_cut=N` ends the line. Secrets are the caller's
 * duty.
 */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR, LOG_LEVELS };

struct log_field {
    const char *key;
    enum { LOG_FIELD_SLICE, LOG_FIELD_INT, LOG_FIELD_UINT, LOG_FIELD_ERRNO } type;
    struct slice slice;
    int64_t integer;
    uint64_t unsigned_integer;
};

#define LOG_SLICE(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_SLICE, .slice = (v)})
#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_SLICE, .slice = slice_from(v)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .integer = (int64_t)(v)})
#define LOG_UINT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_UINT, .unsigned_integer = (uint64_t)(v)})
/** @v is an errno value, of either sign; written as text and name: error="connection refused" errno=ECONNREFUSED. */
#define LOG_ERRNO(v) ((struct log_field){.key = "error", .type = LOG_FIELD_ERRNO, .integer = (int64_t)(v)})

/** log_event(level, message, fields…). Cheap when the level is off; keeps errno. Thread: any. Async-signal: no. */
#define log_event(level, message, ...)                                                                                 \
    do {                                                                                                               \
        if (log_is_enabled(level)) {                                                                                   \
            const struct log_field log_fields_[] = {__VA_ARGS__ __VA_OPT__(, ){.key = NULL}};                          \
            log_write((level), (message), log_fields_);                                                                \
        }                                                                                                              \
    } while (0)

bool log_is_enabled(enum log_level level);
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/** Lines below @level are dropped from now on. Default LOG_INFO. Thread: any. */
void log_set_level(enum log_level level);
/** "debug", "info", "notice", "warning", "error"; false for another word. */
bool log_level_parse(struct slice word, enum log_level *ret_level);
const char *log_level_name(enum log_level level);
/** Where lines go instead of stderr; -1 is stderr again. For tests. */
void log_set_fd(int fd);

/**
 * struct log_limit - reports a repeated failure once a period
 *
 * {.period_ms = 10000} embedded or static, of one thread. log_limit_pass() is true if the caller should log now; then
 * *ret_suppressed is how many were not logged since the last line.
 */
struct log_limit {
    uint64_t period_ms;
    uint64_t next_ms;
    uint64_t suppressed;
};
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t *ret_suppressed);

/** Installs handlers for SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT that write a backtrace to stderr and die by the
 * same signal. */
void log_install_crash_handler(void);

#endif
