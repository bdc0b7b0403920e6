/*
 * The list's life, and its file.
 */
#include "wordlist/wordlist_internal.h"

#include "base/utf8.h"

#define ERRORS_MAX 10

/** struct reading - a file on its way to a list */
struct reading {
    struct wordlist_word *words;
    size_t count, capacity;
    char *folded; /* the words' bytes, one behind the other */
    size_t folded_size;
    size_t line, error_count;
    bool refuses;
    struct buffer *errors;
};

static void complain(struct reading *r, const char *what)
{
    if (r->error_count++ < ERRORS_MAX)
        buffer_printf(r->errors, "line %zu: %s\n", r->line, what);
}

static int reading_add(struct reading *r, struct slice word, bool is_whole)
{
    char *at = r->folded + r->folded_size;
    size_t size = wordlist_fold(word, at, NULL);

    if (size == 0) {
        complain(r, "expected a word with a character that can be seen");
        return 0;
    }
    if (size > WORDLIST_WORD_MAX_BYTES) {
        complain(r, "expected a word of at most 128 bytes");
        return 0;
    }
    if (r->count == WORDLIST_WORDS_MAX) {
        complain(r, "expected at most 200000 words");
        return WORDLIST_E_BAD;
    }
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 64;
        struct wordlist_word *words = realloc(r->words, capacity * sizeof(*words));

        if (!words)
            return -ENOMEM;
        r->words = words;
        r->capacity = capacity;
    }
    r->words[r->count++] =
        (struct wordlist_word){.text = at, .size = (uint32_t)size, .is_whole = is_whole, .refuses = r->refuses};
    r->folded_size += size;
    return 0;
}

static int reading_line(struct reading *r, struct slice line)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    line = slice_trim(line);
    if (line.size == 0 || line.data[0] == '#')
        return 0;
    if (!utf8_is_valid(line)) {
        complain(r, "expected UTF-8");
        return 0;
    }
    if (line.data[0] == '[') {
        r->refuses = slice_equal_text(line, "[refuse]");
        if (!r->refuses && !slice_equal_text(line, "[mask]"))
            complain(r,
                     "expected [mask] or [refuse]; a word that begins with '[' is written with a backslash before it");
        return 0;
    }
    if (line.data[0] == '\\')
        return reading_add(r, slice_skip(line, 1), false);
    if (line.data[0] != '"')
        return reading_add(r, line, false);
    if (line.size < 3 || line.data[line.size - 1] != '"') {
        complain(r, "expected a closing '\"'; a word that begins with '\"' is written with a backslash before it");
        return 0;
    }
    return reading_add(r, slice_make(line.data + 1, line.size - 2), true);
}

static int reading_run(struct reading *r, struct slice text)
{
    struct slice line;
    int result = 0;

    if (text.size > WORDLIST_FILE_MAX_BYTES) {
        buffer_append_text(r->errors, "expected at most 8 MiB\n");
        return WORDLIST_E_BAD;
    }
    r->folded = malloc(text.size + WORDLIST_PADDING);
    if (!r->folded)
        return -ENOMEM;
    if (slice_starts_with(text, SLICE_LITERAL("\xef\xbb\xbf"))) /* a byte order mark */
        text = slice_skip(text, 3);
    while (result == 0 && slice_split(&text, '\n', &line)) {
        r->line++;
        result = reading_line(r, line);
    }
    if (r->error_count > ERRORS_MAX)
        buffer_printf(r->errors, "and %zu more\n", r->error_count - ERRORS_MAX);
    return result != 0 ? result : r->error_count > 0 ? WORDLIST_E_BAD : 0;
}

int wordlist_parse(struct slice text, enum wordlist_action action, struct buffer *errors, struct wordlist **ret_list)
{
    struct reading reading = {.errors = errors, .refuses = action == WORDLIST_ACTION_REFUSE};
    struct wordlist *w = calloc(1, sizeof(*w));
    int result = w ? reading_run(&reading, text) : -ENOMEM;

    if (result == 0) {
        atomic_init(&w->refs, 1);
        result = wordlist_build(w, reading.words, reading.count);
    }
    free(reading.words);
    free(reading.folded);
    if (result == 0) {
        *ret_list = w;
        return 0;
    }
    if (w) {
        free(w->nodes);
        free(w->labels);
    }
    free(w);
    return result;
}

struct wordlist *wordlist_ref(struct wordlist *w)
{
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
    return w;
}

struct wordlist *wordlist_unref(struct wordlist *w)
{
    if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    free(w->nodes);
    free(w->labels);
    free(w);
    return NULL;
}

size_t wordlist_count(const struct wordlist *w)
{
    return w->word_count;
}
