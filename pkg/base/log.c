/*
 * A line is put together on the caller's stack and leaves by one write(2). It is bounded: a field that no longer fits
 * is left out whole, and the line then ends with how many were (`fields_cut=N`). Nothing here allocates, so that "out
 * of memory" can be logged.
 *
 * Inside quotes stand `\"`, `\\`, and `\xNN` for each byte of a control character and of what is not UTF-8; so a line
 * is one line, whatever strangers send, and does nothing to a terminal.
 */
#include "base/log.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define LINE_RESERVE 40 /* for fields_cut=N and the line feed */
#define VALUE_MAX_BYTES 1024
#define CUT_MARK "\xe2\x80\xa6" /* an ellipsis, U+2026 */

static const struct {
    const char *name;
    char priority; /* of sd-daemon(3) */
} levels[LOG_LEVELS] = {
    [LOG_DEBUG] = {"debug", '7'},     [LOG_INFO] = {"info", '6'},   [LOG_NOTICE] = {"notice", '5'},
    [LOG_WARNING] = {"warning", '4'}, [LOG_ERROR] = {"error", '3'},
};

static atomic_int minimum_level = LOG_INFO;
static atomic_int output_fd = STDERR_FILENO;
/** Whether output_fd is the journal. */
static atomic_int output_journal = -1;
enum { JOURNAL_UNKNOWN = -1, JOURNAL_NO, JOURNAL_YES };

struct line {
    char data[LINE_MAX_BYTES];
    size_t size;
    bool overflow; /* the current field did not fit */
};

static void line_bytes(struct line *line, const char *data, size_t size)
{
    if (line->overflow || size > LINE_MAX_BYTES - LINE_RESERVE - line->size) {
        line->overflow = true;
        return;
    }
    memcpy(line->data + line->size, data, size);
    line->size += size;
}

static void line_text(struct line *line, const char *text)
{
    line_bytes(line, text, strlen(text));
}

base_printf(2, 3) static void line_printf(struct line *line, const char *format, ...)
{
    char text[64];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size > 0)
        line_bytes(line, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
}

/** Bytes of the character @s begins with if it may stand as it is, else 0. */
static size_t harmless(struct slice s)
{
    unsigned char c = (unsigned char)s.data[0];
    size_t size = utf8_character_size(s);

    if (c < 0x20 || c == 0x7f || (size == 2 && c == 0xc2 && (unsigned char)s.data[1] < 0xa0))
        return 0;
    return size;
}

static bool needs_quotes(struct slice s)
{
    for (size_t size; s.size > 0; s = slice_skip(s, size)) {
        size = harmless(s);
        if (size == 0 || memchr(" \"\\=", s.data[0], 4))
            return true;
    }
    return false;
}

static void line_quoted(struct line *line, struct slice s, const char *mark)
{
    line_bytes(line, "\"", 1);
    for (size_t size; s.size > 0; s = slice_skip(s, size)) {
        size = harmless(s);
        if (size == 0) {
            size = 1;
            line_printf(line, "\\x%02x", (unsigned char)s.data[0]);
            continue;
        }
        if (s.data[0] == '"' || s.data[0] == '\\')
            line_bytes(line, "\\", 1);
        line_bytes(line, s.data, size);
    }
    line_text(line, mark);
    line_bytes(line, "\"", 1);
}

/** @always: quotes even where they are not needed. */
static void line_value(struct line *line, struct slice s, bool always)
{
    const char *mark = "";

    if (!slice_is_set(s)) {
        line_text(line, "-");
        return;
    }
    if (s.size > VALUE_MAX_BYTES) {
        size_t size = VALUE_MAX_BYTES;

        /* Back to the beginning of a character, which in what is not UTF-8 may not be near. */
        while (size > VALUE_MAX_BYTES - 3 && ((unsigned char)s.data[size] & 0xc0) == 0x80)
            size--;
        s.size = size;
        mark = CUT_MARK;
    }
    if (always || s.size == 0 || needs_quotes(s)) {
        line_quoted(line, s, mark);
        return;
    }
    line_bytes(line, s.data, s.size);
    line_text(line, mark);
}

static void line_errno(struct line *line, const char *key, int64_t value)
{
    int number = (int)(value < 0 ? -value : value);
    const char *text = strerrordesc_np(number);
    const char *name = strerrorname_np(number);
    char lowered[128];

    line_printf(line, " %.40s=", key);
    if (!text || !name) {
        line_printf(line, "\"error %d\" errno=%d", number, number);
        return;
    }
    (void)snprintf(lowered, sizeof(lowered), "%s", text);
    if (lowered[0] >= 'A' && lowered[0] <= 'Z' && lowered[1] >= 'a' && lowered[1] <= 'z')
        lowered[0] = (char)(lowered[0] - 'A' + 'a');
    line_value(line, slice_from(lowered), true);
    line_printf(line, " errno=%s", name);
}

static void line_field(struct line *line, const struct log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_SLICE:
        line_printf(line, " %.40s=", field->key);
        line_value(line, field->slice, false);
        break;
    case LOG_FIELD_INT:
        line_printf(line, " %.40s=%" PRId64, field->key, field->integer);
        break;
    case LOG_FIELD_UINT:
        line_printf(line, " %.40s=%" PRIu64, field->key, field->unsigned_integer);
        break;
    case LOG_FIELD_ERRNO:
        line_errno(line, field->key, field->integer);
        break;
    }
}

static void line_time(struct line *line)
{
    int64_t now_ms = clock_realtime_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm))
        return;
    line_printf(line, "time=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now_ms % 1000));
}

/** systemd.exec(5): JOURNAL_STREAM holds the device and inode of the stream, so that a redirected stderr is told apart.
 */
static bool fd_is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct slice rest = slice_from(stream), part;
    uint64_t device, inode;
    struct stat st;

    return slice_split(&rest, ':', &part) && slice_to_uint64(part, UINT64_MAX, &device) &&
           slice_to_uint64(rest, UINT64_MAX, &inode) && fstat(fd, &st) == 0 && st.st_dev == device &&
           st.st_ino == inode;
}

static bool output_is_journal(int fd)
{
    int known = atomic_load_explicit(&output_journal, memory_order_relaxed);

    if (known == JOURNAL_UNKNOWN) {
        known = fd_is_journal(fd) ? JOURNAL_YES : JOURNAL_NO;
        atomic_store_explicit(&output_journal, known, memory_order_relaxed);
    }
    return known == JOURNAL_YES;
}

static void line_fields(struct line *line, const struct log_field *fields)
{
    unsigned cut = 0;

    for (; fields->key; fields++) {
        size_t before = line->size;

        line_field(line, fields);
        if (line->overflow) {
            line->overflow = false;
            line->size = before;
            cut++;
        }
    }
    if (cut > 0) /* the reserve was kept for this */
        line->size += (size_t)snprintf(line->data + line->size, LINE_RESERVE - 1, " fields_cut=%u", cut);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    int fd = atomic_load_explicit(&output_fd, memory_order_relaxed);
    int saved_errno = errno;
    struct line line;
    ssize_t written;

    line.size = 0;
    line.overflow = false;
    if (output_is_journal(fd))
        line_printf(&line, "<%c>", levels[level].priority);
    else
        line_time(&line);
    line_printf(&line, "level=%s msg=", levels[level].name);
    line_value(&line, slice_from(message), true);
    line_fields(&line, fields);
    line.data[line.size++] = '\n';
    do {
        written = write(fd, line.data, line.size);
    } while (written < 0 && errno == EINTR);
    errno = saved_errno; /* where the log itself is broken there is nobody to tell */
}

bool log_is_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&minimum_level, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&minimum_level, (int)level, memory_order_relaxed);
}

bool log_level_parse(struct slice word, enum log_level *ret_level)
{
    for (unsigned i = 0; i < LOG_LEVELS; i++) {
        if (slice_equal_text(word, levels[i].name)) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

void log_set_fd(int fd)
{
    atomic_store(&output_fd, fd < 0 ? STDERR_FILENO : fd);
    atomic_store(&output_journal, JOURNAL_UNKNOWN);
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t *ret_suppressed)
{
    if (now_ms < limit->next_ms) {
        limit->suppressed++;
        return false;
    }
    *ret_suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->next_ms = now_ms + limit->period_ms;
    return true;
}
