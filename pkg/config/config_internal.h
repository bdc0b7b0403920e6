#ifndef CONFIG_CONFIG_INTERNAL_H
#define CONFIG_CONFIG_INTERNAL_H

#include "config/config.h"

/**
 * How the parts of this package see a configuration.
 *
 * Every table, and every section of a family, is one struct config_section: the rows, the struct they describe, and
 * beside each row what the sources said about it. Values stay texts (already checked) until config_finish() writes them
 * into the structs; what is told to people is formatted from the texts, so that describing needs no knowledge of the
 * structs.
 */

/** Where a text came from; a higher one wins, whatever the order of loading. */
enum config_rank { CONFIG_RANK_DEFAULT, CONFIG_RANK_FILE, CONFIG_RANK_ENVIRONMENT, CONFIG_RANK_ASSIGNMENT };

/** One text given by a source; text == NULL: none was. */
struct config_slot {
    char *text;
    char *where; /* "warren.conf:12", "WARREN_AMQP_URL", "--set" */
    enum config_rank rank;
    size_t line;
    unsigned load; /* which config_load_*() call; tells a key given twice from one that overrides another source's */
};

struct config_setting {
    struct config_slot value;
    struct config_slot file; /* of the twin x_file */
    char *content;           /* what that file held; read at config_finish() */
    bool is_written;         /* the struct's member holds memory of ours */
};

struct config_family {
    const char *prefix;
    const struct config_option *options;
    size_t count;
    size_t values_size;
    size_t section_count;
};

struct config_section {
    const struct config_option *options;
    size_t count;
    void *values;
    struct config_setting *settings;    /* one per option */
    const struct config_family *family; /* NULL: a table */
    char *name;                         /* of a family's section; else NULL */
    unsigned load; /* the file that opened it last, and where: a family's section stands once in a file */
    size_t line;
};

struct config {
    struct config_section **sections; /* in the order of their making */
    size_t section_count;
    struct config_family **families;
    size_t family_count;
    unsigned loads;
    bool passes_over_others;
    bool is_finished;
};

/** Sections of one family at most, and errors told per source at most. */
#define CONFIG_FAMILY_MAX_SECTIONS 1000
#define CONFIG_MAX_ERRORS 100
/** Characters of a full key that is compared, suggested or printed. */
#define CONFIG_KEY_MAX_BYTES 256

/** An option of one section, found by its full key. */
struct config_place {
    struct config_section *section;
    const struct config_option *option;
    struct config_setting *setting;
    bool is_file; /* the twin x_file is meant */
};

/** struct config_load - one source while it is read, and what was wrong with it */
struct config_load {
    struct config *config;
    enum config_rank rank;
    const char *source; /* the file's name */
    size_t line;        /* 0: none */
    unsigned number;
    struct buffer *errors;
    size_t error_count;
};

/* config.c */

/** Whether @full names an option, or the twin of a secret one. */
bool config_find(const struct config *c, struct slice full, struct config_place *ret_place);
/** The family to which the section @name belongs by its prefix, and the rest behind the dot; NULL if none. */
struct config_family *config_find_family(const struct config *c, struct slice section, struct slice *ret_name);
/** The family's section of that name, made if it is new. 0, CONFIG_E_INVALID (told to @load), -ENOMEM. */
int config_open_section(struct config_load *load, struct config_family *family, struct slice name,
                        struct config_section **ret_section) base_must_check;
/** What holds for the option now: of a secret file its content, else a source's text, else the default. */
struct slice config_text(const struct config_setting *setting, const struct config_option *option);
/** The source whose text holds, NULL if it is the default. */
const struct config_slot *config_winner(const struct config_setting *setting);
/** The full key: "amqp.url", "route.chat.path". */
void config_write_key(const struct config_section *section, const struct config_option *option, struct buffer *out);

/* load.c */

/** Gives one option its text by full key. 0, CONFIG_E_INVALID (told to @load), -ENOMEM. */
int config_load_value(struct config_load *load, struct slice full, struct slice text) base_must_check;
/** One line of errors: where it is, @key (may be not set), the sentence. */
void config_complain(struct config_load *load, struct slice key, const char *format, ...) base_printf(3, 4);
/** What a load function returns. */
int config_load_result(const struct config_load *load) base_must_check;

/** UTF-8 without control characters but tabs: what lines of a file are, so nothing else is taken from other sources. */
bool config_is_printable(struct slice text);

/* value.c */

/** 0; CONFIG_E_INVALID and a sentence appended to @reason, e.g. `expected yes or no, got "maybe"` (a secret is not
 * repeated). */
int config_value_check(const struct config_option *option, struct slice text, struct buffer *reason) base_must_check;
/** Writes a text that was checked into the option's member of @values. 0, -ENOMEM. */
int config_value_store(const struct config_option *option, struct slice text, void *values) base_must_check;
/** Frees the memory of the option's member and clears it. */
void config_value_clear(const struct config_option *option, void *values);
/** What is accepted: "a duration from 1s to 60s such as 25s". */
void config_value_write_expected(const struct config_option *option, struct buffer *out);
/** A number, size or duration in its unit: 25s, 64k. */
void config_value_write_number(enum config_type type, int64_t value, struct buffer *out);
/** A number, size or duration. false if it is none or does not fit. */
bool config_value_parse_number(enum config_type type, struct slice text, int64_t *ret_value) base_must_check;
bool config_value_parse_bool(struct slice text, bool *ret_value) base_must_check;
/** Appends @text in quotes for a sentence: control characters escaped, cut when long. */
void config_write_quoted(struct slice text, struct buffer *out);

/* shown.c */

/** One text (of a list: one item) as it may be shown. */
void config_write_shown(const struct config_option *option, struct slice text, struct buffer *out);
/** The whole text as it may be shown; numbers in their unit. */
void config_write_text(const struct config_option *option, struct slice text, struct buffer *out);

/* nearest.c */

/** The known full key nearest to @full, written into @storage; not set if none is near. */
struct slice config_nearest_key(const struct config *c, struct slice full, char storage[CONFIG_KEY_MAX_BYTES]);
/** The variable nearest to @name (both without WARREN_), @name itself if it names an option; likewise. */
struct slice config_nearest_variable(const struct config *c, struct slice name, char storage[CONFIG_KEY_MAX_BYTES]);
/** How the environment spells a character of a key: upper case, what is no letter or digit as '_'. */
static inline char config_variable_char(char c)
{
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
}
/** The known section nearest to @section ("route.<name>" stands for a family); likewise. */
struct slice config_nearest_section(const struct config *c, struct slice section, char storage[CONFIG_KEY_MAX_BYTES]);

/* reader.c */

/** The part of a table's key before its last dot. */
struct slice config_key_section(struct slice key);

#endif
