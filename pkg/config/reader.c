/*
 * The INI reader: lines in, texts of options out.
 *
 *     # a comment                        ; another
 *     [section]                          # behind white space too
 *     key = value with spaces            # both ends are trimmed
 *     key = "value; # and \"quotes\""    # in quotes only \" and \\ are escapes
 *
 * A line is judged on its own, so one bad line spoils nothing behind it and all errors are told. The keys of a section
 * that nobody knows are skipped: the section was the error, or is meant for others.
 */
#include "config/config_internal.h"
#include "config/file.h"

#define CONFIG_LINE_MAX_BYTES (64u * 1024u)
#define CONFIG_FILE_MAX_BYTES (1024u * 1024u)

struct reader {
    struct config_load load;
    struct slice section; /* of the lines to come; not set: none yet */
    bool is_skipping;     /* that section is unknown, or the lack of one was told */
    struct buffer key;    /* the full key of the line */
    struct buffer value;  /* of a value in quotes, without them */
};

struct slice config_key_section(struct slice key)
{
    const char *dot = key.size ? memrchr(key.data, '.', key.size) : NULL;

    return dot ? slice_make(key.data, (size_t)(dot - key.data)) : slice_make(key.data, 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_comment_sign(char c)
{
    return c == '#' || c == ';';
}

/** Whether nothing but white space and a comment behind it follows. */
static bool is_rest_empty(struct slice rest)
{
    struct slice trimmed = slice_trim(rest);

    return trimmed.size == 0 || (is_comment_sign(trimmed.data[0]) && is_blank(rest.data[0]));
}

static int open_section(struct reader *r, struct slice name)
{
    struct config *c = r->load.config;
    char storage[CONFIG_KEY_MAX_BYTES];
    struct config_section *section;
    struct config_family *family;
    struct slice nearest, member;
    int result;

    r->section = name;
    r->is_skipping = true;
    if (name.size > CONFIG_KEY_MAX_BYTES) {
        config_complain(&r->load, SLICE_NONE, "the section's name is longer than %d bytes", CONFIG_KEY_MAX_BYTES);
        return CONFIG_E_INVALID;
    }
    for (size_t i = 0; i < c->section_count; i++) {
        for (size_t k = 0; !c->sections[i]->family && k < c->sections[i]->count; k++) {
            if (!slice_equal(config_key_section(slice_from(c->sections[i]->options[k].key)), name))
                continue;
            r->is_skipping = false;
            return 0;
        }
    }
    family = config_find_family(c, name, &member);
    if (!family && c->passes_over_others)
        return 0;
    if (!family) {
        nearest = config_nearest_section(c, name, storage);
        if (slice_is_set(nearest))
            config_complain(&r->load, SLICE_NONE, "unknown section [%.*s]; did you mean [%.*s]?", SLICE_PRINTF(name),
                            SLICE_PRINTF(nearest));
        else
            config_complain(&r->load, SLICE_NONE, "unknown section [%.*s]", SLICE_PRINTF(name));
        return CONFIG_E_INVALID;
    }
    result = config_open_section(&r->load, family, member, &section);
    if (result != 0)
        return result;
    if (section->load == r->load.number) {
        config_complain(&r->load, SLICE_NONE, "section [%.*s] is given twice; first in line %zu", SLICE_PRINTF(name),
                        section->line);
        return CONFIG_E_INVALID;
    }
    section->load = r->load.number;
    section->line = r->load.line;
    r->is_skipping = false;
    return 0;
}

static int read_section_line(struct reader *r, struct slice line)
{
    const char *end = memchr(line.data, ']', line.size);

    if (!end || !is_rest_empty(slice_skip(line, (size_t)(end + 1 - line.data)))) {
        r->section = SLICE_LITERAL("");
        r->is_skipping = true;
        config_complain(&r->load, SLICE_NONE, "expected a section as [name]");
        return CONFIG_E_INVALID;
    }
    return open_section(r, slice_trim(slice_make(line.data + 1, (size_t)(end - line.data - 1))));
}

/** The inside of `"…"` at the beginning of @text into r->value. NULL, or what is wrong. */
static const char *read_quoted(struct reader *r, struct slice text)
{
    size_t i = 1;

    for (; i < text.size && text.data[i] != '"'; i++) {
        if (text.data[i] == '\\' && (++i >= text.size || (text.data[i] != '"' && text.data[i] != '\\')))
            return "expected \\\" or \\\\ behind a backslash in quotes";
        buffer_append_char(&r->value, text.data[i]);
    }
    if (i >= text.size)
        return "expected a closing quote";
    if (!is_rest_empty(slice_skip(text, i + 1)))
        return "expected nothing behind the closing quote";
    return NULL;
}

/** Cuts a comment off an unquoted value that begins right behind '='. */
static struct slice cut_comment(struct slice text)
{
    for (size_t i = 1; i < text.size; i++) {
        if (is_comment_sign(text.data[i]) && is_blank(text.data[i - 1]))
            return slice_make(text.data, i);
    }
    return text;
}

static int read_value_line(struct reader *r, struct slice line)
{
    struct slice code = line, key, value;
    const char *equals = memchr(line.data, '=', line.size), *error = NULL;

    if (equals)
        code = slice_make(line.data, (size_t)(equals - line.data));
    key = slice_trim(code);
    if (!equals || key.size == 0 || cut_comment(code).size != code.size) {
        config_complain(&r->load, SLICE_NONE, "expected key = value, [section] or a comment");
        return CONFIG_E_INVALID;
    }
    if (!slice_is_set(r->section)) {
        config_complain(&r->load, SLICE_NONE, "expected a [section] before the first option");
        r->section = SLICE_LITERAL("");
        r->is_skipping = true;
        return CONFIG_E_INVALID;
    }
    if (r->is_skipping)
        return 0;
    buffer_reset(&r->key, CONFIG_LINE_MAX_BYTES);
    buffer_reset(&r->value, CONFIG_LINE_MAX_BYTES);
    buffer_append_slice(&r->key, r->section);
    buffer_append_char(&r->key, '.');
    buffer_append_slice(&r->key, key);
    value = slice_skip(line, code.size + 1);
    if (slice_trim(value).size > 0 && slice_trim(value).data[0] == '"') {
        error = read_quoted(r, slice_trim(value));
        value = buffer_slice(&r->value);
    } else {
        value = slice_trim(cut_comment(value));
    }
    if (buffer_error(&r->key) || buffer_error(&r->value))
        return -ENOMEM;
    if (error) {
        config_complain(&r->load, SLICE_NONE, "%s", error);
        return CONFIG_E_INVALID;
    }
    return config_load_value(&r->load, buffer_slice(&r->key), value);
}

static int read_line(struct reader *r, struct slice line)
{
    const char *error = NULL;

    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size > CONFIG_LINE_MAX_BYTES)
        error = "the line is longer than 65536 bytes";
    else if (line.size > 0 && memchr(line.data, '\0', line.size))
        error = "the line holds a NUL";
    else if (!config_is_printable(line))
        error = "the line is not valid UTF-8 without control characters";
    if (error) {
        config_complain(&r->load, SLICE_NONE, "%s", error);
        return CONFIG_E_INVALID;
    }
    line = slice_trim(line);
    if (line.size == 0 || is_comment_sign(line.data[0]))
        return 0;
    return line.data[0] == '[' ? read_section_line(r, line) : read_value_line(r, line);
}

int config_load_text(struct config *c, struct slice text, const char *source, struct buffer *errors)
{
    struct reader r = {
        .load = {.config = c, .rank = CONFIG_RANK_FILE, .source = source, .number = ++c->loads, .errors = errors}};
    struct slice line;
    int result = 0;

    assert(!c->is_finished);
    if (slice_starts_with(text, SLICE_LITERAL("\xef\xbb\xbf"))) /* editors that mark UTF-8 mean well */
        text = slice_skip(text, 3);
    while (result >= 0 && slice_split(&text, '\n', &line)) {
        r.load.line++;
        result = read_line(&r, line);
    }
    buffer_deinit(&r.key);
    buffer_deinit(&r.value);
    return result < 0 ? result : config_load_result(&r.load);
}

int config_load_file(struct config *c, const char *path, struct buffer *errors)
{
    struct config_load load = {.config = c, .rank = CONFIG_RANK_FILE, .source = path, .errors = errors};
    struct buffer text = BUFFER_WITH_LIMIT(CONFIG_FILE_MAX_BYTES);
    int result = config_file_read(path, &text);

    if (result == CONFIG_FILE_E_UNREADABLE)
        config_complain(&load, SLICE_NONE, "cannot be read: %s", strerror(errno));
    else if (result == CONFIG_FILE_E_TOO_LONG)
        config_complain(&load, SLICE_NONE, "is longer than %u bytes", CONFIG_FILE_MAX_BYTES);
    else if (result == 0)
        result = config_load_text(c, buffer_slice(&text), path, errors);
    if (load.error_count > 0)
        result = config_load_result(&load);
    buffer_deinit(&text);
    return result;
}
