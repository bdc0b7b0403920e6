/*
 * Drains the archive queue into a file of JSON lines: at the broker itself, not through a node.
 *
 * What is acknowledged is on the disk. Whoever is killed in the middle leaves at most a torn last line, which the next
 * run cuts off, because its body was not acknowledged and comes again; and lines that it repeats. A lock on the file
 * keeps a second run out.
 */
#include "warrenctl.h"

#include "bus/body.h"
#include "bus/rabbitmq/drain.h"
#include "bus/rabbitmq/settings.h"
#include "bus/record.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATA_MAX_BYTES (64u * 1024u * 1024u)
#define AGAIN_MS 1000

struct archive {
    const char *out, *config, *url, *url_file, *prefix; /* as they were asked for; NULL: not */
    struct rabbitmq_settings settings;
    bool follows;
    int fd;
    bool is_file; /* can be synchronised and cut */
    struct buffer lines;
    uint64_t records, unreadable;
    char queue[160];
};

static volatile sig_atomic_t is_ended;

static void on_signal(int number base_unused)
{
    is_ended = 1;
}

static bool is_stopping(void *userdata base_unused)
{
    return is_ended != 0;
}

/* ---- the file ---- */

static bool say_errno(const struct archive *a, const char *what)
{
    (void)fprintf(stderr, "warrenctl archive: %s: %s: %s\n", a->out, what, strerror(errno));
    return false;
}

/** Cuts what stands behind the last line feed. */
static bool cut_torn_line(struct archive *a)
{
    off_t end = lseek(a->fd, 0, SEEK_END);
    char piece[4096];

    while (end > 0) {
        size_t size = end < (off_t)sizeof(piece) ? (size_t)end : sizeof(piece);
        const char *last;

        if (pread(a->fd, piece, size, end - (off_t)size) != (ssize_t)size)
            return say_errno(a, "reading its end");
        last = memrchr(piece, '\n', size);
        if (last) {
            end -= (off_t)(size - (size_t)(last - piece) - 1);
            break;
        }
        end -= (off_t)size;
    }
    if (end < 0 || ftruncate(a->fd, end))
        return say_errno(a, "cutting a torn last line");
    return lseek(a->fd, 0, SEEK_END) >= 0 || say_errno(a, "seeking");
}

/** A new file is there after a crash only if its folder is on the disk too. */
static bool sync_folder(const struct archive *a)
{
    char folder[4096];
    char *slash;
    int fd;
    bool is_good;

    (void)snprintf(folder, sizeof(folder), "%s", a->out);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return is_good || say_errno(a, "synchronising its folder");
}

static bool open_file(struct archive *a)
{
    struct stat status;

    a->fd = strcmp(a->out, "-") == 0 ? dup(STDOUT_FILENO) : open(a->out, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (a->fd < 0 || fstat(a->fd, &status))
        return say_errno(a, "opening");
    a->is_file = S_ISREG(status.st_mode) && strcmp(a->out, "-") != 0;
    if (!a->is_file)
        return true;
    if (flock(a->fd, LOCK_EX | LOCK_NB))
        return say_errno(a, "another one writes to it");
    return cut_torn_line(a) && sync_folder(a);
}

static bool write_lines(struct archive *a)
{
    struct slice rest = buffer_slice(&a->lines);

    while (rest.size > 0) {
        ssize_t written = write(a->fd, rest.data, rest.size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return say_errno(a, "writing");
        rest = slice_skip(rest, (size_t)written);
    }
    buffer_reset(&a->lines, (size_t)1024 * 1024);
    return true;
}

/* ---- bodies ---- */

static bool on_body(void *userdata, const struct bus_delivery *d)
{
    struct archive *a = userdata;
    struct bus_reader reader;
    struct message m;
    int result;

    bus_reader_init(&reader, d, DATA_MAX_BYTES);
    while ((result = bus_reader_next(&reader, NULL, NULL, &m)) == 0 || result == BUS_E_POISON) {
        if (result == 0) {
            bus_record_write(&m, &a->lines);
            a->records++;
        } else {
            bus_record_write_unreadable(reader.error, d->content_type, reader.item, &a->lines);
            a->unreadable++;
        }
    }
    bus_reader_deinit(&reader);
    if (result < 0 || buffer_error(&a->lines)) {
        (void)fprintf(stderr, "warrenctl archive: out of memory\n");
        return false;
    }
    return write_lines(a);
}

static bool on_batch(void *userdata)
{
    struct archive *a = userdata;

    return !a->is_file || fdatasync(a->fd) == 0 || say_errno(a, "synchronising");
}

/* ---- the command ---- */

static const char *parse(const struct ctl_context *context, struct archive *a)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'},
        {"config", required_argument, NULL, 'c'},
        {"url", required_argument, NULL, 'u'},
        {"url-file", required_argument, NULL, 'U'},
        {"prefix", required_argument, NULL, 'p'},
        {"follow", no_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            a->out = optarg;
            break;
        case 'c':
            a->config = optarg;
            break;
        case 'u':
            a->url = optarg;
            a->url_file = NULL;
            break;
        case 'U':
            a->url_file = optarg;
            a->url = NULL; /* what was asked for last */
            break;
        case 'p':
            a->prefix = optarg;
            break;
        case 'f':
            a->follows = true;
            break;
        default:
            return "see above";
        }
    }
    if (optind != context->argc)
        return "takes no argument but its options";
    if (!a->out)
        return "expected --out FILE (- is the standard output)";
    if (!a->config && !a->url && !a->url_file && !getenv("WARREN_AMQP_URL") && !getenv("WARREN_AMQP_URL_FILE"))
        return "expected --config with a node's configuration file, --url amqp://user:password@host:port/vhost, or "
               "--url-file with the path of a file that holds it "
               "(or either in $WARREN_AMQP_URL, $WARREN_AMQP_URL_FILE, as a node has them)";
    return NULL;
}

static void add_assignment(const char *assignments[], struct buffer *text, const char *key, const char *value)
{
    size_t at = 0;

    if (!value)
        return;
    buffer_printf(text, "%s=%s", key, value);
    while (assignments[at])
        at++;
    assignments[at] = buffer_error(text) ? NULL : text->data;
}

/** A line each; what was asked for here has its name here. */
static void say_errors(struct slice errors)
{
    const struct slice own = SLICE_LITERAL("--set amqp.");
    struct slice line;

    while (slice_split(&errors, '\n', &line)) {
        bool is_own = slice_starts_with(line, own);

        if (is_own)
            line = slice_skip(line, own.size);
        if (line.size > 0)
            (void)fprintf(stderr, "warrenctl archive: %s%.*s\n", is_own ? "--" : "", SLICE_PRINTF(line));
    }
}

/** As a node reads it; what was asked for here is the strongest. Anything but CTL_OK: it has said what is wrong, and no
 * password. */
static int load_settings(struct archive *a)
{
    base_cleanup(buffer_deinit)
    struct buffer url = {0};
    base_cleanup(buffer_deinit)
    struct buffer prefix = {0};
    base_cleanup(buffer_deinit)
    struct buffer errors = {0};
    const char *assignments[3] = {NULL};
    int result;

    add_assignment(assignments, &url, a->url ? "amqp.url" : "amqp.url_file", a->url ? a->url : a->url_file);
    add_assignment(assignments, &prefix, "amqp.prefix", a->prefix);
    result = buffer_error(&url) || buffer_error(&prefix)
                 ? -ENOMEM
                 : rabbitmq_settings_load(&a->settings, a->config, environ, assignments, &errors);
    if (result < 0)
        (void)fprintf(stderr, "warrenctl archive: out of memory\n");
    else if (result)
        say_errors(buffer_slice(&errors));
    else
        (void)snprintf(a->queue, sizeof(a->queue), "%s.archive", a->settings.amqp.prefix);
    if (!result)
        return CTL_OK;
    /* Without a file it is what was said on the command line. */
    return result < 0 || a->config || (a->url_file && access(a->url_file, R_OK)) ? CTL_NO : CTL_USAGE;
}

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};

    (void)nanosleep(&time, NULL); /* a signal ends it */
}

static int drain(struct archive *a)
{
    const struct rabbitmq_drain how = {
        .config = &a->settings.amqp,
        .queue = a->queue,
        .name = "warrenctl archive",
        .follows = a->follows,
        .on_body = on_body,
        .on_batch = on_batch,
        .is_stopping = is_stopping,
        .userdata = a,
    };
    char error[256];
    int result;

    for (;;) {
        result = rabbitmq_drain(&how, error);
        if (result == RABBITMQ_DRAIN_DONE)
            return CTL_OK;
        if (result == RABBITMQ_DRAIN_E_RECEIVER)
            return CTL_NO; /* it has said why */
        (void)fprintf(stderr, "warrenctl archive: %s\n",
                      result == RABBITMQ_DRAIN_E_NO_QUEUE
                          ? "there is no archive queue; nodes with amqp.archive = yes make it"
                          : error);
        if (!a->follows || is_ended)
            return is_ended ? CTL_OK : result == RABBITMQ_DRAIN_E_NO_QUEUE ? CTL_NO : CTL_UNREACHABLE;
        pause_ms(AGAIN_MS);
    }
}

static int run(const struct ctl_context *context)
{
    struct archive a = {.fd = -1};
    struct sigaction action = {.sa_handler = on_signal};
    const char *fault = parse(context, &a);
    int code;

    if (fault)
        return ctl_usage(&ctl_archive, fault);
    code = load_settings(&a);
    if (code) {
        rabbitmq_settings_deinit(&a.settings);
        return code;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    code = open_file(&a) ? drain(&a) : CTL_NO;
    if (context->json)
        (void)fprintf(stderr, "{\"records\":%llu,\"unreadable\":%llu}\n", (unsigned long long)a.records,
                      (unsigned long long)a.unreadable);
    else
        (void)fprintf(stderr, "%llu records%s\n", (unsigned long long)a.records,
                      a.unreadable ? ", some of them unreadable" : "");
    if (a.fd >= 0 && close(a.fd) && code == CTL_OK) {
        (void)say_errno(&a, "closing");
        code = CTL_NO;
    }
    buffer_deinit(&a.lines);
    rabbitmq_settings_deinit(&a.settings);
    return code;
}

const struct ctl_command ctl_archive = {
    "archive", "--out FILE [--config FILE] [--url AMQP-URL|--url-file FILE] [--prefix P] [--follow]",
    "move the archive queue to a file of JSON lines", run};
