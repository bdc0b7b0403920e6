#include "replay_file.h"

#include "base/map.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <unistd.h>

#define CONTENT_BYTES_MAX (256u << 20)
#define SENDER_BYTES_MAX 128 /* of a name */
#define AT_MS_MAX (UINT64_C(366) * 24 * 3600 * 1000)

/** Senders by name, while parsing. */
struct sender_entry {
    struct slice name;
    size_t number;
    UT_hash_handle hh;
};

struct parse {
    struct replay_file file;
    struct sender_entry *senders;
    size_t line;
    struct buffer *error;
};

/** Room for one more; arrays double when their count is a power of two. */
static int grow(void **array, size_t count, size_t size)
{
    void *grown;

    if (count > 0 && (count & (count - 1)) != 0)
        return 0;
    grown = realloc(*array, (count ? count * 2 : 1) * size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

static int add_sender(struct parse *p, struct slice name, size_t *ret_number)
{
    struct sender_entry *entry;
    void *senders = p->file.senders;

    HASH_FIND(hh, p->senders, name.data, name.size, entry);
    if (entry) {
        *ret_number = entry->number;
        return 0;
    }
    if (grow(&senders, p->file.sender_count, sizeof(*p->file.senders)))
        return -ENOMEM;
    p->file.senders = senders;
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->name = name;
    entry->number = p->file.sender_count;
    HASH_ADD_KEYPTR(hh, p->senders, entry->name.data, entry->name.size, entry);
    if (!MAP_ADDED(entry)) {
        free(entry);
        return -ENOMEM;
    }
    p->file.senders[p->file.sender_count++] = name;
    *ret_number = entry->number;
    return 0;
}

static int complain(struct parse *p, const char *what)
{
    buffer_printf(p->error, "line %zu: expected %s", p->line, what);
    return -EINVAL;
}

static int parse_line(struct parse *p, struct slice line)
{
    struct replay_comment comment;
    struct slice rest = line, at, sender;
    void *comments = p->file.comments;
    int result;

    if (!slice_split(&rest, '\t', &at) || !slice_to_uint64(at, AT_MS_MAX, &comment.at_ms))
        return complain(p, "milliseconds, a tab, a sender, a tab, a text");
    if (!slice_split(&rest, '\t', &sender) || sender.size == 0 || sender.size > SENDER_BYTES_MAX)
        return complain(p, "a sender of 1 to 128 bytes between two tabs");
    if (!slice_is_set(rest))
        return complain(p, "a tab and a text behind the sender");
    if (!utf8_is_valid(line))
        return complain(p, "UTF-8");
    comment.text = rest;
    result = add_sender(p, sender, &comment.sender);
    if (!result)
        result = grow(&comments, p->file.comment_count, sizeof(*p->file.comments));
    if (result)
        return result;
    p->file.comments = comments;
    p->file.comments[p->file.comment_count++] = comment;
    return 0;
}

/** By time; qsort(3) is not stable, but texts lie in the content in the file's order. */
static int compare(const void *left, const void *right)
{
    const struct replay_comment *a = left, *b = right;

    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return a->text.data < b->text.data ? -1 : a->text.data > b->text.data;
}

static int parse_content(struct parse *p)
{
    struct slice rest = buffer_slice(&p->file.content), line;
    int result = 0;

    while (!result && slice_split(&rest, '\n', &line)) {
        p->line++;
        if (line.size > 0)
            result = parse_line(p, line);
    }
    if (!result && p->file.comment_count == 0)
        result = complain(p, "at least one comment");
    if (!result)
        qsort(p->file.comments, p->file.comment_count, sizeof(*p->file.comments), compare);
    return result;
}

/** Takes @content over. */
static int parse_buffer(struct buffer *content, struct replay_file *ret_file, struct buffer *error)
{
    struct parse p = {.file = {.content = *content}, .error = error};
    struct sender_entry *entry, *next;
    int result = parse_content(&p);

    *content = (struct buffer){0};
    HASH_ITER (hh, p.senders, entry, next) {
        HASH_DEL(p.senders, entry);
        free(entry);
    }
    if (result)
        replay_file_deinit(&p.file);
    else
        *ret_file = p.file;
    return result;
}

int replay_file_parse(struct slice content, struct replay_file *ret_file, struct buffer *error)
{
    struct buffer copy = {0};

    buffer_append_slice(&copy, content);
    if (buffer_error(&copy)) {
        buffer_deinit(&copy);
        return -ENOMEM;
    }
    return parse_buffer(&copy, ret_file, error);
}

static int read_all(int fd, struct buffer *content)
{
    for (;;) {
        char *space = buffer_reserve(content, 65536);
        ssize_t size = space ? read(fd, space, 65536) : 0;

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return -errno;
        if (!space || size == 0)
            return buffer_error(content);
        buffer_commit(content, (size_t)size);
    }
}

int replay_file_load(const char *path, struct replay_file *ret_file, struct buffer *error)
{
    struct buffer content = BUFFER_WITH_LIMIT(CONTENT_BYTES_MAX);
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : read_all(fd, &content);

    if (fd >= 0 && !is_stdin)
        close(fd);
    if (result) {
        buffer_append_text(error, result == -EMSGSIZE ? "more than 256 MiB" : strerror(-result));
        buffer_deinit(&content);
        return result;
    }
    return parse_buffer(&content, ret_file, error);
}

void replay_file_deinit(struct replay_file *f)
{
    free(f->comments);
    free(f->senders);
    buffer_deinit(&f->content);
    *f = (struct replay_file){0};
}
