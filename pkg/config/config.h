#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buffer.h"

/**
 * Options are rows beside the code they describe. A package declares a struct of values and a table of rows over it;
 * the server puts the tables together and reads, in rising precedence: defaults, a file, the environment, --set.
 *
 *     struct amqp_values { struct config_list url; int64_t heartbeat_ms; };
 *     const struct config_option amqp_options[] = {
 *         {"amqp.url", CONFIG_LIST, offsetof(struct amqp_values, url), "amqp://127.0.0.1/",
 *          .secrecy = CONFIG_SECRET_URL, .help = "…"},
 *         {"amqp.heartbeat", CONFIG_DURATION, offsetof(…), "10s", .min = 1000, .max = 60000, .help = "…"},
 *     };
 *
 * File: INI. `[section]`, `key = value`, comments by '#' or ';' at the beginning of a line or behind white space,
 * values optionally in double quotes (\" and \\ inside), lists by comma. UTF-8. A key twice, an unknown key or section,
 * or a bad value is an error with file, line and, for names, the nearest known one. Sections of a family,
 * `[route.<name>]`, may occur any number of times with different names.
 *
 * Environment: WARREN_SECTION_KEY (upper case; dots and whatever is no letter or digit become underscores); unknown
 * WARREN_* names are left alone, and a family's section must exist already (load the file first).
 *
 * A secret option `x.y` has a twin `x.y_file`, the path of a file whose content (without a last newline) is the value.
 * One source may give only one of the two; between sources the stronger one's wins.
 */
enum config_type {
    CONFIG_BOOL,     /* bool: yes/no, true/false, on/off, 1/0 */
    CONFIG_INTEGER,  /* int64_t */
    CONFIG_BYTES,    /* int64_t: 512, 64k, 16m, 1g (powers of 1,024) */
    CONFIG_DURATION, /* int64_t milliseconds: 500ms, 25s, 10m, 24h, 7d; a bare number is an error except 0 */
    CONFIG_TEXT,     /* char *, never NULL */
    CONFIG_LIST,     /* struct config_list */
    CONFIG_CHOICE,   /* int: the index into choices */
};

enum config_secrecy {
    CONFIG_PUBLIC,
    CONFIG_SECRET,     /* never shown */
    CONFIG_SECRET_URL, /* shown without the password (each item of a list) */
};

struct config_list {
    char **items;
    size_t count;
};

struct config_option {
    const char *key; /* "section.key"; in a family only "key" */
    enum config_type type;
    size_t offset;              /* of the value in the table's struct */
    const char *default_text;   /* parsed like any other value */
    int64_t min, max;           /* of numbers, bytes, durations; max 0 (and min not negative): no upper bound */
    const char *const *choices; /* ended by NULL */
    /**
     * A further check; NULL if @value is good, else what was expected, e.g. "expected ip:port". May be NULL. Of a list
     * it sees each item. It is not asked about an empty text or list where the default is empty (that means "not
     * set"); elsewhere @value may be empty, and an empty list is asked about once.
     */
    const char *(*check)(struct slice value);
    enum config_secrecy secrecy;
    bool reloadable;
    const char *help; /* one sentence */
};

/** An outcome: something is wrong with the configuration, the errors buffer says what, a line each. */
#define CONFIG_E_INVALID 1

struct config;

int config_new(struct config **ret_config) base_must_check;
/** Frees the values (texts, lists) in all tables as well. Accepts NULL, returns NULL. */
struct config *config_free(struct config *c);
/** Borrows @options and @values for the life of @c; fills @values with the defaults at config_finish(). */
int config_add_table(struct config *c, const struct config_option *options, size_t count, void *values) base_must_check;
/** For a program that needs only some of a node's options: sections of files that no table or family here knows are
 * passed over instead of being errors. Before loading. */
void config_pass_over_other_sections(struct config *c);
/** Sections `[<prefix>.<name>]`, each with a struct of @values_size bytes that belongs to @c. */
int config_add_family(struct config *c, const char *prefix, const struct config_option *options, size_t count,
                      size_t values_size) base_must_check;

/**
 * Each returns 0, CONFIG_E_INVALID (all errors of that source are appended to @errors, up to 100), or -ENOMEM. @source
 * names the text in errors. Of two sources of the same kind the later one wins.
 */
int config_load_text(struct config *c, struct slice text, const char *source, struct buffer *errors) base_must_check;
/** A file that cannot be read is CONFIG_E_INVALID too. At most 1 MiB. */
int config_load_file(struct config *c, const char *path, struct buffer *errors) base_must_check;
int config_load_environment(struct config *c, char *const *environment, struct buffer *errors) base_must_check;
/** A line to @notes about each variable WARREN_… that names no option, but nearly. (Others may be anybody's: WARREN_API
 * is warrenctl's.) */
void config_note_variables(const struct config *c, char *const *environment, struct buffer *notes);
/** One `section.key=value` from the command line; family keys are `route.<name>.path=…`. */
int config_load_assignment(struct config *c, const char *assignment, struct buffer *errors) base_must_check;
/** Checks, reads secret files, and writes every value into its table's struct. Call once, last. */
int config_finish(struct config *c, struct buffer *errors) base_must_check;

/** After config_finish(): the sections of a family in file order; NULL beyond the last. Borrowed. */
const void *config_family_at(const struct config *c, const char *prefix, size_t index, const char **ret_name);

/** One option that two configurations do not agree in. */
struct config_change {
    struct slice key;           /* "limits.connections"; of a whole section that one side lacks "[route.chat]" */
    struct slice before, after; /* as they may be shown; not set: the side that lacks the section */
    bool reloadable;            /* by its row */
};
/** Borrows what @change points to, until it returns. */
typedef void config_change_fn(void *userdata, const struct config_change *change);

/** Tells each difference between two finished configurations of the same tables. 0, -ENOMEM. */
int config_compare(const struct config *before, const struct config *after, config_change_fn *callee,
                   void *userdata) base_must_check;
/**
 * config_adopt() - take over what a newer configuration says of reloadable options
 *
 * Their members in the structs of @c's tables get the new values, and those of @from's the old ones, to be freed with
 * them. So such a member is read only by the thread that adopts; others get copies. Cannot fail.
 */
void config_adopt(struct config *c, struct config *from);

/** A documented sample file: every option with help, type, bounds and default, commented out unless it was set. */
void config_write_sample(const struct config *c, struct buffer *out);
/** {"options":[{"key","value","source","default","reloadable","help"}…]}; secrets are masked. */
void config_write_json(const struct config *c, struct buffer *out);

#endif
