/*
 * The word list's file: read at the start, at a reload, and when the file is another one than it was a moment ago. What
 * cannot be read, or is no list, changes nothing: the words of before stay in force.
 */
#include "base/log.h"
#include "config/file.h"
#include "server/server_internal.h"

#include <string.h>

#define WATCH_MS 1000

int server_words_load(const struct server_config *config, struct buffer *errors, struct wordlist **ret_list)
{
    struct buffer text = BUFFER_WITH_LIMIT(WORDLIST_FILE_MAX_BYTES), sentences = BUFFER_WITH_LIMIT(1 << 14);
    struct slice rest, line;
    int result;

    *ret_list = NULL;
    if (!config->words_file[0])
        return 0;
    result = config_file_read(config->words_file, &text);
    if (result == CONFIG_FILE_E_UNREADABLE)
        buffer_printf(errors, "words.file: %s: %s\n", config->words_file, strerror(errno));
    else if (result == CONFIG_FILE_E_TOO_LONG)
        buffer_printf(errors, "words.file: %s: expected at most 8 MiB\n", config->words_file);
    if (result > 0)
        result = CONFIG_E_INVALID;
    if (!result)
        result = wordlist_parse(buffer_slice(&text), (enum wordlist_action)config->words_action, &sentences, ret_list);
    if (result == WORDLIST_E_BAD) {
        result = CONFIG_E_INVALID;
        rest = buffer_slice(&sentences);
        while (slice_split(&rest, '\n', &line))
            if (line.size > 0)
                buffer_printf(errors, "words.file: %s: %.*s\n", config->words_file, SLICE_PRINTF(line));
    }
    buffer_deinit(&sentences);
    buffer_deinit(&text);
    return result;
}

/** Of no file: all zero. */
static struct server_file_state file_state(const char *path)
{
    struct server_file_state state = {0};
    struct stat status;

    if (path[0] && stat(path, &status) == 0) {
        state.inode = status.st_ino;
        state.size = status.st_size;
        state.changed = status.st_mtim;
    }
    return state;
}

static bool is_same(const struct server_file_state *a, const struct server_file_state *b)
{
    return a->inode == b->inode && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

void server_words_apply(struct server *s, struct wordlist *list)
{
    if (list)
        log_event(LOG_NOTICE, "word list in force", LOG_TEXT("file", s->settings->server.words_file),
                  LOG_UINT("words", wordlist_count(list)));
    hub_words_set(s->hub, list);
}

static void words_read_again(struct server *s)
{
    struct buffer errors = BUFFER_WITH_LIMIT(1 << 14);
    struct slice rest, line;
    struct wordlist *list;
    int result = server_words_load(&s->settings->server, &errors, &list);

    rest = buffer_slice(&errors);
    while (result > 0 && slice_split(&rest, '\n', &line))
        if (line.size > 0)
            log_event(LOG_ERROR, "the word list is not taken, the words of before stay in force",
                      LOG_SLICE("error", line));
    if (result < 0)
        log_event(LOG_ERROR, "the word list is not taken, the words of before stay in force", LOG_ERRNO(result));
    else if (!result)
        server_words_apply(s, list);
    buffer_deinit(&errors);
}

static void on_watch(void *userdata)
{
    struct server *s = userdata;
    struct server_file_state now = file_state(s->settings->server.words_file);

    if (!is_same(&now, &s->words_state)) {
        s->words_state = now;
        words_read_again(s);
    }
    loop_timer_start(&s->words_timer, WATCH_MS);
}

int server_words_start(struct server *s, struct buffer *errors)
{
    struct wordlist *list;
    int result;

    s->words_state = file_state(s->settings->server.words_file);
    result = server_words_load(&s->settings->server, errors, &list);
    if (result)
        return result;
    server_words_apply(s, list);
    loop_timer_init(&s->words_timer, s->main_loop, on_watch, s);
    loop_timer_start(&s->words_timer, WATCH_MS);
    return 0;
}
