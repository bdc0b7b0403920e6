/*
 * The documented sample file. It comes from the rows and the texts, so it cannot disagree with what is parsed: read
 * back, it means the same configuration, but for the secrets, whose lines are comments.
 */
#include "config/config_internal.h"

#define COLUMNS 100

/** Appends @text as lines of a comment of at most COLUMNS columns, broken at spaces. */
static void write_comment(struct slice text, struct buffer *out)
{
    size_t column = 0;
    struct slice rest = text, word;

    while (slice_split(&rest, ' ', &word)) {
        size_t width = 0;

        for (size_t i = 0; i < word.size; i++) /* characters, not bytes */
            width += ((unsigned char)word.data[i] & 0xc0) != 0x80;
        if (word.size == 0)
            continue;
        if (column > 0 && column + 1 + width > COLUMNS) {
            buffer_append_char(out, '\n');
            column = 0;
        }
        buffer_append_text(out, column > 0 ? " " : "# ");
        buffer_append_slice(out, word);
        column += (column > 0 ? 1 : 2) + width;
    }
    if (column > 0)
        buffer_append_char(out, '\n');
}

/** Appends a value so that the reader gets it back. */
static void write_value(struct slice text, struct buffer *out)
{
    bool needs_quotes = text.size > 0 && (slice_trim(text).size != text.size || text.data[0] == '"');

    for (size_t i = 0; i < text.size; i++)
        needs_quotes |= text.data[i] == '#' || text.data[i] == ';';
    if (!needs_quotes) {
        buffer_append_slice(out, text);
        return;
    }
    buffer_append_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, text.data[i]);
    }
    buffer_append_char(out, '"');
}

static void write_option_comment(const struct config_option *option, struct slice name, struct buffer *out)
{
    struct buffer text = {0};

    buffer_append_text(&text, option->help ? option->help : "");
    write_comment(buffer_slice(&text), out);
    buffer_reset(&text, SIZE_MAX);
    buffer_append_text(&text, "Expects ");
    config_value_write_expected(option, &text);
    buffer_append_text(&text, "; default: ");
    if (option->default_text && *option->default_text)
        config_write_text(option, slice_from(option->default_text), &text);
    else
        buffer_append_text(&text, "none");
    buffer_append_char(&text, '.');
    if (option->secrecy != CONFIG_PUBLIC)
        buffer_printf(&text, " A secret: %.*s_file names a file that holds it.", SLICE_PRINTF(name));
    if (option->reloadable)
        buffer_append_text(&text, " Taken over at a reload.");
    write_comment(buffer_slice(&text), out);
    if (buffer_error(&text) && !out->error)
        out->error = buffer_error(&text);
    buffer_deinit(&text);
}

/** One option: its comment, and its line. @setting is NULL in an example of a family. */
static void write_sample_option(const struct config_option *option, const struct config_setting *setting,
                                struct buffer *out)
{
    struct slice section = config_key_section(slice_from(option->key)), name = slice_from(option->key);
    const struct config_slot *winner = setting ? config_winner(setting) : NULL;
    bool is_file = winner && winner == &setting->file;
    bool is_hidden = winner && !is_file && option->secrecy != CONFIG_PUBLIC;
    struct buffer text = {0};

    if (section.size > 0)
        name = slice_skip(name, section.size + 1);
    write_option_comment(option, name, out);
    if (!winner || is_hidden) /* a line that was masked must not be taken for the value */
        buffer_append_text(out, "# ");
    buffer_append_slice(out, name);
    buffer_append_text(out, is_file ? "_file = " : " = ");
    if (is_file)
        buffer_append_text(&text, winner->text);
    else if (winner)
        config_write_text(option, slice_from(winner->text), &text);
    else
        config_write_text(option, slice_from(option->default_text ? option->default_text : ""), &text);
    write_value(buffer_slice(&text), out);
    buffer_append_text(out, "\n\n");
    if (buffer_error(&text) && !out->error)
        out->error = buffer_error(&text);
    buffer_deinit(&text);
}

/** Whether a table before this place has an option of the same section. */
static bool is_section_written(const struct config *c, size_t table, size_t index, struct slice section)
{
    for (size_t i = 0; i <= table; i++) {
        const struct config_section *s = c->sections[i];

        for (size_t k = 0; !s->family && k < s->count && (i < table || k < index); k++) {
            if (slice_equal(config_key_section(slice_from(s->options[k].key)), section))
                return true;
        }
    }
    return false;
}

static void write_sample_section(const struct config *c, struct slice section, struct buffer *out)
{
    buffer_printf(out, "[%.*s]\n\n", SLICE_PRINTF(section));
    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        for (size_t k = 0; !s->family && k < s->count; k++) {
            if (slice_equal(config_key_section(slice_from(s->options[k].key)), section))
                write_sample_option(&s->options[k], &s->settings[k], out);
        }
    }
}

static void write_sample_family(const struct config *c, const struct config_family *family, struct buffer *out)
{
    if (family->section_count == 0) {
        buffer_printf(out, "# Any number of sections of this kind, each with a name of its own:\n# [%s.example]\n\n",
                      family->prefix);
        for (size_t k = 0; k < family->count; k++)
            write_sample_option(&family->options[k], NULL, out);
        return;
    }
    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        if (s->family != family)
            continue;
        buffer_printf(out, "[%s.%s]\n\n", family->prefix, s->name);
        for (size_t k = 0; k < s->count; k++)
            write_sample_option(&s->options[k], &s->settings[k], out);
    }
}

void config_write_sample(const struct config *c, struct buffer *out)
{
    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        for (size_t k = 0; !s->family && k < s->count; k++) {
            struct slice section = config_key_section(slice_from(s->options[k].key));

            if (!is_section_written(c, i, k, section))
                write_sample_section(c, section, out);
        }
    }
    for (size_t i = 0; i < c->family_count; i++)
        write_sample_family(c, c->families[i], out);
}
