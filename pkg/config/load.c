/*
 * One text for one option, from whichever source; and the two sources that are not files: the environment and --set.
 *
 * A text is checked when it is loaded, so that every error names the place where it stands, even where a stronger
 * source overrides it.
 */
#include "base/utf8.h"
#include "config/config_internal.h"

#include <stdio.h>

#define VARIABLE_PREFIX "WARREN_"

void config_complain(struct config_load *load, struct slice key, const char *format, ...)
{
    va_list args;

    if (load->error_count++ >= CONFIG_MAX_ERRORS) {
        if (load->error_count == CONFIG_MAX_ERRORS + 1)
            buffer_append_text(load->errors, "further errors are not told\n");
        return;
    }
    if (load->rank == CONFIG_RANK_ASSIGNMENT)
        buffer_append_text(load->errors, "--set ");
    buffer_append_text(load->errors, load->source);
    if (load->line > 0)
        buffer_printf(load->errors, ":%zu", load->line);
    buffer_append_text(load->errors, ": ");
    if (slice_is_set(key) && load->rank == CONFIG_RANK_FILE) { /* elsewhere the source is the key */
        buffer_append_slice(load->errors, key);
        buffer_append_text(load->errors, ": ");
    }
    va_start(args, format);
    buffer_vprintf(load->errors, format, args);
    va_end(args);
    buffer_append_char(load->errors, '\n');
}

int config_load_result(const struct config_load *load)
{
    if (buffer_error(load->errors) == -ENOMEM)
        return -ENOMEM;
    return load->error_count > 0 ? CONFIG_E_INVALID : 0;
}

static int complain_unknown(struct config_load *load, struct slice full)
{
    char storage[CONFIG_KEY_MAX_BYTES];
    struct slice nearest = config_nearest_key(load->config, full, storage);
    struct buffer sentence = {0};
    int result;

    buffer_append_text(&sentence, "unknown option ");
    config_write_quoted(full, &sentence);
    if (slice_is_set(nearest)) {
        buffer_append_text(&sentence, "; did you mean ");
        config_write_quoted(nearest, &sentence);
        buffer_append_char(&sentence, '?');
    } else if (load->rank == CONFIG_RANK_ASSIGNMENT) { /* in a file the section was looked at by itself */
        nearest = config_nearest_section(load->config, config_key_section(full), storage);
        if (slice_is_set(nearest) && !slice_equal(nearest, config_key_section(full)))
            buffer_printf(&sentence, "; did you mean the section [%.*s]?", SLICE_PRINTF(nearest));
    }
    result = buffer_error(&sentence);
    if (result == 0) {
        config_complain(load, SLICE_NONE, "%.*s", SLICE_PRINTF(buffer_slice(&sentence)));
        result = CONFIG_E_INVALID;
    }
    buffer_deinit(&sentence);
    return result;
}

bool config_is_printable(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];

        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return utf8_is_valid(text);
}

static int check(const struct config_place *place, struct slice text, struct buffer *sentence)
{
    if (!config_is_printable(text)) {
        buffer_append_text(sentence, "expected valid UTF-8 without control characters");
        return CONFIG_E_INVALID;
    }
    if (!place->is_file)
        return config_value_check(place->option, text, sentence);
    if (text.size > 0)
        return 0;
    buffer_append_text(sentence, "expected the path of a file");
    return CONFIG_E_INVALID;
}

static int slot_set(struct config_slot *slot, const struct config_load *load, struct slice text)
{
    char *copy, *where = NULL;

    if (slot->text && slot->rank > load->rank)
        return 0;
    copy = slice_dup(text);
    if (!copy)
        return -ENOMEM;
    if (load->rank == CONFIG_RANK_FILE) {
        struct buffer place = {0};

        buffer_printf(&place, "%s:%zu", load->source, load->line);
        where = buffer_steal(&place);
    } else {
        where = slice_dup(slice_from(load->rank == CONFIG_RANK_ENVIRONMENT ? load->source : "--set"));
    }
    if (!where) {
        free(copy);
        return -ENOMEM;
    }
    free(slot->text);
    free(slot->where);
    *slot = (struct config_slot){copy, where, load->rank, load->line, load->number};
    return 0;
}

int config_load_value(struct config_load *load, struct slice full, struct slice text)
{
    struct buffer sentence = {0};
    struct config_place place;
    struct config_slot *slot;
    int result;

    if (!config_find(load->config, full, &place))
        return complain_unknown(load, full);
    slot = place.is_file ? &place.setting->file : &place.setting->value;
    if (load->rank == CONFIG_RANK_FILE && slot->text && slot->load == load->number) {
        config_complain(load, full, "is given twice; first in line %zu", slot->line);
        return CONFIG_E_INVALID;
    }
    result = check(&place, text, &sentence);
    if (buffer_error(&sentence) != 0)
        result = buffer_error(&sentence);
    else if (result == CONFIG_E_INVALID)
        config_complain(load, full, "%.*s", SLICE_PRINTF(buffer_slice(&sentence)));
    else if (result == 0)
        result = slot_set(slot, load, text);
    buffer_deinit(&sentence);
    return result;
}

/** Whether @name (without WARREN_) is how the environment spells @key. */
static bool variable_equal(struct slice name, struct slice key)
{
    if (name.size != key.size)
        return false;
    for (size_t i = 0; i < key.size; i++) {
        if (name.data[i] != config_variable_char(key.data[i]))
            return false;
    }
    return true;
}

/** Loads the variable into every option it names (two sections of a family may differ in a '-' and a '_' only). */
static int load_variable(struct config_load *load, struct slice name, struct slice text, struct buffer *key)
{
    const struct config *c = load->config;
    int result;

    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        for (size_t k = 0; k < s->count; k++) {
            bool is_named;

            buffer_reset(key, SIZE_MAX);
            config_write_key(s, &s->options[k], key);
            is_named = variable_equal(name, buffer_slice(key));
            if (!is_named && s->options[k].secrecy != CONFIG_PUBLIC) {
                buffer_append_text(key, "_file");
                is_named = variable_equal(name, buffer_slice(key));
            }
            if (buffer_error(key) != 0)
                return buffer_error(key);
            if (!is_named)
                continue;
            result = config_load_value(load, buffer_slice(key), text);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

int config_load_environment(struct config *c, char *const *environment, struct buffer *errors)
{
    struct config_load load = {.config = c, .rank = CONFIG_RANK_ENVIRONMENT, .number = ++c->loads, .errors = errors};
    struct slice prefix = SLICE_LITERAL(VARIABLE_PREFIX);
    struct buffer key = {0};
    int result = 0;

    assert(!c->is_finished);
    for (; result == 0 && *environment; environment++) {
        struct slice rest = slice_from(*environment), name;
        char *variable;

        if (!slice_starts_with(rest, prefix) || !slice_split(&rest, '=', &name) || !slice_is_set(rest))
            continue;
        variable = slice_dup(name);
        if (!variable) {
            result = -ENOMEM;
            break;
        }
        load.source = variable;
        result = load_variable(&load, slice_skip(name, prefix.size), rest, &key);
        free(variable);
    }
    buffer_deinit(&key);
    return result < 0 ? result : config_load_result(&load);
}

void config_note_variables(const struct config *c, char *const *environment, struct buffer *notes)
{
    struct slice prefix = SLICE_LITERAL(VARIABLE_PREFIX);
    char storage[CONFIG_KEY_MAX_BYTES];

    for (; *environment; environment++) {
        struct slice rest = slice_from(*environment), name, known;

        if (!slice_starts_with(rest, prefix) || !slice_split(&rest, '=', &name) || !config_is_printable(name))
            continue;
        name = slice_skip(name, prefix.size);
        known = config_nearest_variable(c, name, storage);
        if (slice_is_set(known) && !slice_equal(known, name))
            buffer_printf(
                notes, VARIABLE_PREFIX "%.*s: names no option, and is ignored; did you mean " VARIABLE_PREFIX "%.*s?\n",
                SLICE_PRINTF(name), SLICE_PRINTF(known));
    }
}

/** Makes the family's section that the assignment names, if the family knows the key. */
static int open_assigned_section(struct config_load *load, struct slice full)
{
    struct slice section = config_key_section(full), key, name;
    struct config_family *family = config_find_family(load->config, section, &name);
    struct config_section *opened;

    if (!family)
        return 0;
    key = slice_skip(full, section.size + 1);
    for (size_t i = 0; i < family->count; i++) {
        if (slice_equal_text(key, family->options[i].key))
            return config_open_section(load, family, name, &opened);
        if (family->options[i].secrecy != CONFIG_PUBLIC && key.size > 5 &&
            slice_equal_text(slice_make(key.data, key.size - 5), family->options[i].key))
            return config_open_section(load, family, name, &opened);
    }
    return 0;
}

int config_load_assignment(struct config *c, const char *assignment, struct buffer *errors)
{
    struct config_load load = {
        .config = c, .rank = CONFIG_RANK_ASSIGNMENT, .source = "", .number = ++c->loads, .errors = errors};
    struct slice rest = slice_from(assignment), full;
    char *key = NULL;
    int result = 0;

    assert(!c->is_finished);
    (void)slice_split(&rest, '=', &full);
    full = slice_trim(full);
    key = slice_dup(full);
    if (!key)
        return -ENOMEM;
    load.source = key;
    if (!slice_is_set(rest) || full.size == 0)
        config_complain(&load, SLICE_NONE, "expected section.key=value");
    else if (!config_is_printable(full))
        config_complain(&load, SLICE_NONE, "expected valid UTF-8 without control characters");
    else
        result = open_assigned_section(&load, full);
    if (load.error_count == 0 && result == 0)
        result = config_load_value(&load, full, slice_trim(rest));
    free(key);
    return result < 0 ? result : config_load_result(&load);
}
