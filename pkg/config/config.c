/*
 * The object: tables, families and their sections, what each source said, and the moment when texts become values.
 *
 * Loading never touches the callers' structs. config_finish() decides between the sources, reads the files that hold
 * secrets, checks those contents, and stores everything; which members hold memory of ours is remembered per setting,
 * so config_free() is right at any point.
 */
#include "config/config.h"

#include "base/name.h"
#include "base/utf8.h"
#include "config/config_internal.h"
#include "config/file.h"

#include <stdint.h>

/** Bytes of a file that holds a secret. */
#define CONFIG_SECRET_MAX_BYTES (64u * 1024u)

int config_new(struct config **ret_config)
{
    struct config *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    *ret_config = c;
    return 0;
}

static void slot_clear(struct config_slot *slot)
{
    free(slot->text);
    free(slot->where);
    *slot = (struct config_slot){0};
}

static void section_free(struct config_section *s)
{
    for (size_t i = 0; s->settings && i < s->count; i++) {
        struct config_setting *setting = &s->settings[i];

        if (setting->is_written)
            config_value_clear(&s->options[i], s->values);
        slot_clear(&setting->value);
        slot_clear(&setting->file);
        free(setting->content);
    }
    free(s->settings);
    if (s->family)
        free(s->values);
    free(s->name);
    free(s);
}

struct config *config_free(struct config *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->section_count; i++)
        section_free(c->sections[i]);
    free(c->sections);
    for (size_t i = 0; i < c->family_count; i++)
        free(c->families[i]);
    free(c->families);
    free(c);
    return NULL;
}

/** A section with nothing set, at the end of c->sections; a family's gets values of its own. */
static int add_section(struct config *c, const struct config_option *options, size_t count, void *values,
                       struct config_family *family, struct slice name, struct config_section **ret_section)
{
    struct config_section **grown = realloc(c->sections, (c->section_count + 1) * sizeof(*grown));
    struct config_section *s;

    if (!grown)
        return -ENOMEM;
    c->sections = grown;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct config_section){.options = options, .count = count, .values = values, .family = family};
    s->settings = calloc(count ? count : 1, sizeof(*s->settings));
    if (!s->settings)
        goto fail;
    if (family) {
        s->values = calloc(1, family->values_size);
        s->name = slice_dup(name);
        if (!s->values || !s->name)
            goto fail;
        family->section_count++;
    }
    c->sections[c->section_count++] = s;
    *ret_section = s;
    return 0;

fail:
    section_free(s);
    return -ENOMEM;
}

int config_add_table(struct config *c, const struct config_option *options, size_t count, void *values)
{
    struct config_section *section;

    assert(!c->is_finished);
    for (size_t i = 0; i < count; i++)
        assert(strchr(options[i].key, '.'));
    return add_section(c, options, count, values, NULL, SLICE_NONE, &section);
}

void config_pass_over_other_sections(struct config *c)
{
    c->passes_over_others = true;
}

int config_add_family(struct config *c, const char *prefix, const struct config_option *options, size_t count,
                      size_t values_size)
{
    struct config_family **grown, *family;

    assert(!c->is_finished && values_size > 0);
    for (size_t i = 0; i < count; i++)
        assert(!strchr(options[i].key, '.')); /* the last dot of a full key is where the section's name ends */
    grown = realloc(c->families, (c->family_count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    c->families = grown;
    family = calloc(1, sizeof(*family));
    if (!family)
        return -ENOMEM;
    *family = (struct config_family){.prefix = prefix, .options = options, .count = count, .values_size = values_size};
    c->families[c->family_count++] = family;
    return 0;
}

static bool skip_text(struct slice *s, const char *text)
{
    struct slice prefix = slice_from(text);

    if (!slice_starts_with(*s, prefix))
        return false;
    *s = slice_skip(*s, prefix.size);
    return true;
}

static bool find_in(const struct config_section *s, struct slice key, struct config_place *ret_place)
{
    struct slice twin = SLICE_NONE;

    if (key.size > 5 && memcmp(key.data + key.size - 5, "_file", 5) == 0)
        twin = slice_make(key.data, key.size - 5);
    for (size_t i = 0; i < s->count; i++) {
        const struct config_option *option = &s->options[i];
        bool is_twin = option->secrecy != CONFIG_PUBLIC && slice_is_set(twin) && slice_equal_text(twin, option->key);

        if (!is_twin && !slice_equal_text(key, option->key))
            continue;
        ret_place->option = option;
        ret_place->setting = &s->settings[i];
        ret_place->is_file = is_twin;
        return true;
    }
    return false;
}

bool config_find(const struct config *c, struct slice full, struct config_place *ret_place)
{
    for (size_t i = 0; i < c->section_count; i++) {
        struct config_section *s = c->sections[i];
        struct slice key = full;

        if (s->family && (!skip_text(&key, s->family->prefix) || !skip_text(&key, ".") || !skip_text(&key, s->name) ||
                          !skip_text(&key, ".")))
            continue;
        if (find_in(s, key, ret_place)) {
            ret_place->section = s;
            return true;
        }
    }
    return false;
}

struct config_family *config_find_family(const struct config *c, struct slice section, struct slice *ret_name)
{
    for (size_t i = 0; i < c->family_count; i++) {
        struct slice name = section;

        if (!skip_text(&name, c->families[i]->prefix) || !skip_text(&name, "."))
            continue;
        *ret_name = name;
        return c->families[i];
    }
    return NULL;
}

int config_open_section(struct config_load *load, struct config_family *family, struct slice name,
                        struct config_section **ret_section)
{
    struct config *c = load->config;
    const char *reason = name_check(name);

    for (size_t i = 0; i < c->section_count; i++) {
        if (c->sections[i]->family == family && slice_equal_text(name, c->sections[i]->name)) {
            *ret_section = c->sections[i];
            return 0;
        }
    }
    if (reason) {
        config_complain(load, SLICE_NONE, "the name of a section [%s.<name>] %s", family->prefix, reason);
        return CONFIG_E_INVALID;
    }
    if (family->section_count >= CONFIG_FAMILY_MAX_SECTIONS) {
        config_complain(load, SLICE_NONE, "more than %d sections [%s.<name>]", CONFIG_FAMILY_MAX_SECTIONS,
                        family->prefix);
        return CONFIG_E_INVALID;
    }
    return add_section(c, family->options, family->count, NULL, family, name, ret_section);
}

const struct config_slot *config_winner(const struct config_setting *setting)
{
    if (setting->value.text && (!setting->file.text || setting->value.rank >= setting->file.rank))
        return &setting->value;
    return setting->file.text ? &setting->file : NULL;
}

struct slice config_text(const struct config_setting *setting, const struct config_option *option)
{
    const struct config_slot *winner = config_winner(setting);

    if (!winner)
        return option->default_text ? slice_from(option->default_text) : SLICE_LITERAL("");
    if (winner == &setting->file)
        return setting->content ? slice_from(setting->content) : SLICE_LITERAL("");
    return slice_from(winner->text);
}

void config_write_key(const struct config_section *section, const struct config_option *option, struct buffer *out)
{
    if (section->family) {
        buffer_append_text(out, section->family->prefix);
        buffer_append_char(out, '.');
        buffer_append_text(out, section->name);
        buffer_append_char(out, '.');
    }
    buffer_append_text(out, option->key);
}

/** One error of config_finish(): the slot's place, the key unless the place is the key, the sentence. */
static void finish_complain(const struct config_place *place, const struct config_slot *slot, struct slice sentence,
                            struct buffer *errors)
{
    if (slot) {
        buffer_append_text(errors, slot->where);
        buffer_append_text(errors, slot->rank == CONFIG_RANK_ASSIGNMENT ? " " : ": ");
    } else {
        buffer_append_text(errors, "default of ");
    }
    if (!slot || slot->rank != CONFIG_RANK_ENVIRONMENT) {
        config_write_key(place->section, place->option, errors);
        if (slot == &place->setting->file)
            buffer_append_text(errors, "_file");
        buffer_append_text(errors, ": ");
    }
    buffer_append_slice(errors, sentence);
    buffer_append_char(errors, '\n');
}

/** Reads the file of the twin into setting->content. 0, CONFIG_E_INVALID with a sentence, -ENOMEM. */
static int read_secret(struct config_setting *setting, struct buffer *sentence)
{
    struct buffer content = BUFFER_WITH_LIMIT(CONFIG_SECRET_MAX_BYTES);
    struct slice text;
    int result = config_file_read(setting->file.text, &content);

    if (result == CONFIG_FILE_E_UNREADABLE || result == CONFIG_FILE_E_TOO_LONG) {
        buffer_append_text(sentence, "cannot read ");
        config_write_quoted(slice_from(setting->file.text), sentence);
        if (result == CONFIG_FILE_E_TOO_LONG)
            buffer_printf(sentence, ": it is longer than %u bytes", CONFIG_SECRET_MAX_BYTES);
        else
            buffer_printf(sentence, ": %s", strerror(errno));
        result = CONFIG_E_INVALID;
        goto finish;
    }
    if (result < 0)
        goto finish;
    text = buffer_slice(&content);
    if (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    if (text.size > 0 && text.data[text.size - 1] == '\r')
        text.size--;
    if (memchr(text.data, '\0', text.size) || !utf8_is_valid(text)) {
        buffer_append_text(sentence, "expected a file of UTF-8 text without NUL");
        result = CONFIG_E_INVALID;
        goto finish;
    }
    setting->content = slice_dup(text);
    result = setting->content ? 0 : -ENOMEM;

finish:
    buffer_deinit(&content);
    return result;
}

/** Decides between the sources of one option and stores the value. 0, CONFIG_E_INVALID with a sentence, -ENOMEM. */
static int finish_option(const struct config_place *place, const struct config_slot *winner, struct buffer *sentence)
{
    struct config_setting *setting = place->setting;
    int result;

    if (winner && setting->value.text && setting->file.text && setting->value.rank == setting->file.rank) {
        buffer_append_text(sentence, "expected either this or the same option with _file, got both");
        return CONFIG_E_INVALID;
    }
    if (winner == &setting->file) {
        result = read_secret(setting, sentence);
        if (result != 0)
            return result;
    }
    /* The texts of sources were checked when they were loaded; defaults and contents of files were not. */
    if (winner != &setting->value || !winner) {
        result = config_value_check(place->option, config_text(setting, place->option), sentence);
        if (result != 0)
            return result;
    }
    result = config_value_store(place->option, config_text(setting, place->option), place->section->values);
    if (result == 0)
        setting->is_written = true;
    return result;
}

int config_finish(struct config *c, struct buffer *errors)
{
    struct buffer sentence = {0};
    bool is_valid = true;
    int result = 0;

    assert(!c->is_finished);
    for (size_t i = 0; result >= 0 && i < c->section_count; i++) {
        struct config_section *s = c->sections[i];

        for (size_t k = 0; result >= 0 && k < s->count; k++) {
            struct config_place place = {.section = s, .option = &s->options[k], .setting = &s->settings[k]};
            const struct config_slot *winner = config_winner(place.setting);

            buffer_reset(&sentence, 4096);
            result = finish_option(&place, winner, &sentence);
            if (result == CONFIG_E_INVALID) {
                finish_complain(&place, winner, buffer_slice(&sentence), errors);
                is_valid = false;
            }
            if (buffer_error(&sentence) == -ENOMEM || buffer_error(errors) == -ENOMEM)
                result = -ENOMEM;
        }
    }
    buffer_deinit(&sentence);
    if (result < 0)
        return result;
    c->is_finished = true;
    return is_valid ? 0 : CONFIG_E_INVALID;
}

const void *config_family_at(const struct config *c, const char *prefix, size_t index, const char **ret_name)
{
    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        if (!s->family || strcmp(s->family->prefix, prefix) != 0 || index-- > 0)
            continue;
        *ret_name = s->name;
        return s->values;
    }
    return NULL;
}
