#ifndef WARRENCTL_WARRENCTL_H
#define WARRENCTL_WARRENCTL_H

#include "base/buffer.h"
#include "base/json.h"

/** Exit codes. */
enum { CTL_OK = 0, CTL_NO = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

struct ctl_context {
    const char *api; /* base URL without a slash at the end */
    bool json;       /* print the answer as it came */
    int argc;        /* of the command, argv[0] is its name */
    char **argv;
};

/** A command is a row: name, the rest of its usage line, one sentence, and what does it. */
struct ctl_command {
    const char *name;
    const char *usage;
    const char *help;
    int (*run)(const struct ctl_context *context);
};

extern const struct ctl_command ctl_archive, ctl_history, ctl_ingress, ctl_node, ctl_tail, ctl_bindings, ctl_config,
    ctl_doctor, ctl_kick, ctl_drain, ctl_nodes, ctl_publish, ctl_queues, ctl_reload, ctl_room, ctl_rooms, ctl_user;

/* channel.c: what commands about one channel have in common */

/** The channel that the options name; one of the three. */
struct ctl_channel {
    const char *room, *user;
    bool all;
};

/** Takes one of the options r, u, a (--room R, --user U, --all). Return: whether it is one of them. */
bool ctl_channel_option(struct ctl_channel *c, int option, const char *value);
/** NULL, or what is missing. */
const char *ctl_channel_check(const struct ctl_channel *c);
/** NULL, or why @name is none of a room, user or device. */
const char *ctl_name_check(const char *name);
/** NULL, or what a number of messages has to be. */
const char *ctl_limit_check(const char *limit);
/** Appends its path in the API. */
void ctl_channel_path(const struct ctl_channel *c, struct buffer *path);
/** Prints one of its messages on a line; for ctl_each(). */
void ctl_message_print(void *userdata, struct slice object);

/* request.c */
/**
 * ctl_request() - one request to the node's API
 *
 * Says on stderr what went wrong. Return: CTL_OK with the body appended to @body (a status below 300), CTL_NO for an
 * error from the node, CTL_UNREACHABLE.
 */
int ctl_request(const struct ctl_context *context, const char *method, const char *path, struct slice request_body,
                struct buffer *body);
/** The same, silent about a node that does not answer. */
int ctl_request_quiet(const struct ctl_context *context, const char *method, const char *path,
                      struct slice request_body, struct buffer *body);
/** GET; with --json the answer is printed as it came. Results as ctl_request(). */
int ctl_get(const struct ctl_context *context, const char *path, struct buffer *body);
/** Complains about the command's arguments. Return: CTL_USAGE. */
int ctl_usage(const struct ctl_command *command, const char *why);
/** A broken answer. Return: CTL_NO. */
int ctl_bad_answer(void);

/* table.c */
#define TABLE_COLUMNS_MAX 12

/** struct table - rows of text, printed with aligned columns; on the stack, {0} with headings */
struct table {
    const char *headings[TABLE_COLUMNS_MAX];
    size_t columns;
    char **cells;
    size_t rows;
    bool failed; /* out of memory */
};

/** Appends a row; the cells are filled by table_set(). */
void table_add_row(struct table *t);
/** A cell of the last row; control characters are shown as '?', so that nobody's name can write to the terminal. */
void table_set(struct table *t, size_t column, struct slice text);
void table_set_value(struct table *t, size_t column, struct json_value value);
/** Milliseconds since 1970, as a time in UTC; "-" for what is none. */
void table_set_time(struct table *t, size_t column, struct json_value value);
/** Prints and frees. */
void table_print(struct table *t);

/** The array member @name of the object @json, walked: calls @row for each of its objects. Return: 0 or -EINVAL. */
int ctl_each(struct slice json, const char *name, void (*row)(void *userdata, struct slice object), void *userdata);
/** The member @name of an object; type JSON_NULL with an empty text if there is none. */
struct json_value ctl_member(struct slice object, const char *name);
/** Whether a value is the text or word @text ("ok", "true"). */
bool ctl_value_is(struct json_value value, const char *text);

#endif
