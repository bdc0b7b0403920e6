#ifndef WARREN_BENCH_BENCH_OPTIONS_H
#define WARREN_BENCH_BENCH_OPTIONS_H

#include "base/buffer.h"

/**
 * What the scenarios can be told. An option is a row that says where its value goes; a scenario's own rows follow those
 * that all have in common. Defaults are what the structure held before; the help is printed from the rows.
 */

#define BENCH_NODES_MAX 64

/** A comma-separated list, as slices of the argument. */
struct bench_nodes {
    struct slice urls[BENCH_NODES_MAX];
    size_t count;
};

/** What all scenarios have in common; the first member of a scenario's own options. */
struct bench_common {
    const char *scenario;
    char *command; /* as it was typed; see bench_options_deinit() */
    struct bench_nodes nodes;
    struct bench_nodes metrics; /* of each node: http://host:port of its internal listener */
    struct bench_nodes pids;    /* of each node: its process id, where it runs on this machine */
    const char *path_template;
    const char *room;
    const char *ca_file;
    double connect_rate; /* connections a second; 0: as fast as it goes */
    double timeout_s;
    double settle_s;
    double warmup_s;
    size_t pin; /* the tool's CPU; BENCH_NO_CPU: wherever the kernel puts it */
    bool insecure;
    bool json;
};

#define BENCH_NO_CPU SIZE_MAX

enum bench_option_type {
    BENCH_OPTION_FLAG,   /* bool */
    BENCH_OPTION_NUMBER, /* double */
    BENCH_OPTION_COUNT,  /* size_t */
    BENCH_OPTION_TEXT,   /* const char * */
    BENCH_OPTION_NODES,  /* struct bench_nodes of ws:// and wss:// */
    BENCH_OPTION_LIST,   /* struct bench_nodes of anything */
};

struct bench_option {
    const char *name; /* without its two hyphens */
    enum bench_option_type type;
    size_t offset;
    double min, max;   /* of numbers; of texts: bytes */
    const char *value; /* what the help calls it; NULL for flags */
    const char *help;
    unsigned parts; /* of the common rows: which part it belongs to */
};

/** Which of the common rows a scenario has, beyond those that all have. */
enum { BENCH_PART_NODES = 1, BENCH_PART_WARMUP = 2, BENCH_PART_PROBES = 4, BENCH_PART_RATE = 8 };

struct bench_arguments {
    const char *scenario;
    const char *operand; /* what stands there without hyphens, e.g. "FILE"; NULL: nothing may */
    const char *about;   /* what the help begins with */
    const char *ending;  /* what it ends with; NULL: nothing */
    unsigned parts;
    const struct bench_option *rows;
    size_t count;
};

/**
 * bench_options_parse() - the command line into @options, which begins with a struct bench_common
 *
 * argv[0] is the scenario's name. Borrows argv. Return: BENCH_PARSED; else the exit code, what is wrong having been
 * said, or the help printed.
 */
#define BENCH_PARSED (-1)
int bench_options_parse(const struct bench_arguments *a, int argc, char **argv, void *options,
                        const char **ret_operand) base_must_check;
void bench_options_deinit(struct bench_common *c);

/** Takes a comma-separated list of ws://host:port or wss://host:port. Return: NULL, or what was expected, of static
 * lifetime. */
const char *bench_nodes_parse(const char *list, struct bench_nodes *ret_nodes);
/** Whether any of them wants TLS. */
bool bench_nodes_have_tls(const struct bench_nodes *nodes);

/** A plain decimal number, with a fraction if it likes, within [min, max]. */
bool bench_number_parse(const char *text, double min, double max, double *ret_number) base_must_check;

/** Appends @template with {room} and {user} replaced by their percent-encoded names; other braces stay. */
void bench_path_append(struct buffer *path, const char *template, struct slice room, struct slice user);

#endif
