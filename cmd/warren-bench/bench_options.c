#include "bench_options.h"

#include "bench.h"
#include "client/client.h"

#include <getopt.h>
#include <stdio.h>

#define OPTIONS_MAX 48
#define HELP_COLUMN 26

#define COMMON(member) offsetof(struct bench_common, member)

static const struct bench_option common_rows[] = {
    {"nodes", BENCH_OPTION_NODES, COMMON(nodes), 0, 0, "URLS",
     "the nodes, ws://host:port or wss://host:port separated by commas; clients take turns over them",
     BENCH_PART_NODES},
    {"room", BENCH_OPTION_TEXT, COMMON(room), 1, 100, "R", "the room, or what the rooms' names begin with",
     BENCH_PART_NODES},
    {"path-template", BENCH_OPTION_TEXT, COMMON(path_template), 1, 1000, "PATH", "the path that joins {room} as {user}",
     BENCH_PART_NODES},
    {"connect-rate", BENCH_OPTION_NUMBER, COMMON(connect_rate), 1, 1e6, "N", "connections begun a second",
     BENCH_PART_RATE},
    {"timeout", BENCH_OPTION_NUMBER, COMMON(timeout_s), 0.1, 3600, "S",
     "give up after so many seconds in which nothing comes", BENCH_PART_NODES},
    {"settle", BENCH_OPTION_NUMBER, COMMON(settle_s), 0, 3600, "S", "how long to look out for duplicates at the end",
     BENCH_PART_NODES},
    {"warmup", BENCH_OPTION_NUMBER, COMMON(warmup_s), 0, 3600, "S",
     "run so many seconds first, not counted; 0: bare figures", BENCH_PART_WARMUP},
    {"metrics", BENCH_OPTION_LIST, COMMON(metrics), 0, 0, "URLS",
     "the nodes' internal listeners, http://host:port: where their CPU time is read", BENCH_PART_PROBES},
    {"pid", BENCH_OPTION_LIST, COMMON(pids), 0, 0, "PIDS",
     "the nodes' processes, if they run here: CPU time by the kernel, and memory", BENCH_PART_PROBES},
    {"ca", BENCH_OPTION_TEXT, COMMON(ca_file), 1, 4000, "FILE", "the certificates that wss:// nodes are verified by",
     BENCH_PART_NODES},
    {"insecure", BENCH_OPTION_FLAG, COMMON(insecure), 0, 0, NULL, "do not verify the certificates of wss:// nodes",
     BENCH_PART_NODES},
    {"pin", BENCH_OPTION_COUNT, COMMON(pin), 0, 1023, "CPU", "keep this tool on one CPU", 0},
    {"json", BENCH_OPTION_FLAG, COMMON(json), 0, 0, NULL, "print the report as one JSON object", 0},
};

/** The rows of one command: the scenario's own, then the common ones that it has. */
struct table {
    const struct bench_option *rows[OPTIONS_MAX];
    size_t count;
};

static struct table table_of(const struct bench_arguments *a)
{
    struct table t = {.count = 0};

    assert(a->count + BASE_ARRAY_SIZE(common_rows) < OPTIONS_MAX);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(common_rows); i++) {
        if (i == 1) /* behind the nodes, which come first */
            for (size_t own = 0; own < a->count; own++)
                t.rows[t.count++] = &a->rows[own];
        if (common_rows[i].parts == 0 || (common_rows[i].parts & a->parts))
            t.rows[t.count++] = &common_rows[i];
    }
    return t;
}

static void print_default(FILE *out, const struct bench_option *row, const void *options)
{
    const void *at = (const char *)options + row->offset;

    if (row->type == BENCH_OPTION_NUMBER)
        (void)fprintf(out, " (default: %g)", *(const double *)at);
    else if (row->type == BENCH_OPTION_COUNT && *(const size_t *)at != SIZE_MAX)
        (void)fprintf(out, " (default: %zu)", *(const size_t *)at);
    else if (row->type == BENCH_OPTION_TEXT && *(const char *const *)at)
        (void)fprintf(out, " (default: %s)", *(const char *const *)at);
}

static void print_help(const struct bench_arguments *a, const struct table *t, const void *options)
{
    (void)printf("Usage: warren-bench %s%s%s%s [OPTION]...\n%s\n\n", a->scenario, a->operand ? " " : "",
                 a->operand ? a->operand : "", a->parts & BENCH_PART_NODES ? " --nodes URL[,URL]..." : "", a->about);
    for (size_t i = 0; i < t->count; i++) {
        const struct bench_option *row = t->rows[i];
        int width = printf("  --%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");

        (void)printf("%*s%s", width < HELP_COLUMN ? HELP_COLUMN - width : 1, "", row->help);
        print_default(stdout, row, options);
        (void)fputc('\n', stdout);
    }
    (void)printf("  --help%*sprint this, and end\n\n", HELP_COLUMN - (int)strlen("  --help"), "");
    if (a->ending)
        (void)printf("%s\n\n", a->ending);
    (void)printf("Exit codes: 0 ok; 1 something was lost, doubled, disordered, changed, refused, or somebody was\n"
                 "disconnected, or the run was interrupted; 2 usage; 3 a node does not answer.\n");
}

static int usage_error(const struct bench_arguments *a, const char *hyphens, const char *what, const char *expected)
{
    (void)fprintf(stderr, "warren-bench %s: %s%s: %s\nTry: warren-bench %s --help\n", a->scenario, hyphens, what,
                  expected, a->scenario);
    return BENCH_USAGE;
}

static const char *list_parse(const char *list, struct bench_nodes *ret_list)
{
    struct bench_nodes parts = {.count = 0};
    struct slice rest = slice_from(list), part;

    while (slice_split(&rest, ',', &part)) {
        if (parts.count == BENCH_NODES_MAX || slice_trim(part).size == 0)
            return "expected a list of 1 to 64, separated by commas";
        parts.urls[parts.count++] = slice_trim(part);
    }
    *ret_list = parts;
    return NULL;
}

/** A number of @row. Return: NULL, or what was expected: valid until the next call. */
static const char *number_parse(const struct bench_option *row, const char *text, double *ret_number)
{
    static char expected[80];
    bool is_count = row->type == BENCH_OPTION_COUNT;

    if (bench_number_parse(text, row->min, row->max, ret_number) && !(is_count && strchr(text, '.')))
        return NULL;
    (void)snprintf(expected, sizeof(expected), "expected a %snumber from %.12g to %.12g", is_count ? "whole " : "",
                   row->min, row->max);
    return expected;
}

/** Puts an option's value where its row says. Return: NULL, or what was expected. */
static const char *take(const struct bench_option *row, const char *text, void *options)
{
    void *at = (char *)options + row->offset;
    const char *expected = NULL;
    double number = 0;

    switch (row->type) {
    case BENCH_OPTION_FLAG:
        *(bool *)at = true;
        break;
    case BENCH_OPTION_NUMBER:
        expected = number_parse(row, text, at);
        break;
    case BENCH_OPTION_COUNT:
        expected = number_parse(row, text, &number);
        if (!expected)
            *(size_t *)at = (size_t)number;
        break;
    case BENCH_OPTION_TEXT:
        *(const char **)at = text;
        if ((double)strlen(text) < row->min || (double)strlen(text) > row->max)
            expected = "it is empty, or too long";
        break;
    case BENCH_OPTION_NODES:
        expected = bench_nodes_parse(text, at);
        break;
    case BENCH_OPTION_LIST:
        expected = list_parse(text, at);
        break;
    }
    return expected;
}

/** The command as it could be typed again, for the report. */
static char *command_line(int argc, char **argv)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.,:/@%+[]";
    struct buffer line = {0};

    buffer_append_text(&line, "warren-bench");
    for (int i = 0; i < argc; i++) {
        bool is_plain = argv[i][0] && argv[i][strspn(argv[i], plain)] == '\0';

        buffer_printf(&line, is_plain ? " %s" : " '%s'", argv[i]);
    }
    return buffer_steal(&line);
}

static int check(const struct bench_arguments *a, const struct bench_common *c, int operands)
{
    if (operands != (a->operand != NULL))
        return usage_error(a, "", a->operand ? a->operand : "arguments",
                           a->operand ? "expected exactly one" : "expected options only");
    if ((a->parts & BENCH_PART_NODES) && c->nodes.count == 0)
        return usage_error(a, "--", "nodes", "expected the nodes' URLs");
    if ((a->parts & BENCH_PART_NODES) && c->path_template[0] != '/')
        return usage_error(a, "--", "path-template", "expected a path that begins with /");
    return BENCH_PARSED;
}

int bench_options_parse(const struct bench_arguments *a, int argc, char **argv, void *options, const char **ret_operand)
{
    struct bench_common *c = options;
    const struct table t = table_of(a);
    struct option table[OPTIONS_MAX + 2] = {{NULL, 0, NULL, 0}};
    int option, index = 0, result;

    for (size_t i = 0; i < t.count; i++)
        table[i] = (struct option){t.rows[i]->name, t.rows[i]->value ? required_argument : no_argument, NULL, 'o'};
    table[t.count] = (struct option){"help", no_argument, NULL, 'h'};
    c->scenario = a->scenario;
    c->command = command_line(argc, argv);
    while ((option = getopt_long(argc, argv, "h", table, &index)) != -1) {
        const char *expected;

        if (option == 'h') {
            print_help(a, &t, options);
            return BENCH_OK;
        }
        if (option == '?')
            return usage_error(a, "", argv[optind - 1], "no such option, or it needs a value");
        expected = take(t.rows[index], optarg, options);
        if (expected)
            return usage_error(a, "--", t.rows[index]->name, expected);
    }
    result = check(a, c, argc - optind);
    if (result == BENCH_PARSED && a->operand)
        *ret_operand = argv[optind];
    return result;
}

void bench_options_deinit(struct bench_common *c)
{
    free(base_take(c->command));
}

const char *bench_nodes_parse(const char *list, struct bench_nodes *ret_nodes)
{
    struct bench_nodes nodes = {.count = 0};
    struct slice rest = slice_from(list), part;

    while (slice_split(&rest, ',', &part)) {
        struct slice url = slice_trim(part);
        size_t scheme = slice_starts_with(url, SLICE_LITERAL("wss://"))  ? strlen("wss://")
                        : slice_starts_with(url, SLICE_LITERAL("ws://")) ? strlen("ws://")
                                                                         : 0;

        if (scheme == 0)
            return "expected ws://host:port or wss://host:port";
        while (url.data[url.size - 1] == '/' && url.size > scheme)
            url.size--;
        if (url.size == scheme || memchr(url.data + scheme, '/', url.size - scheme))
            return "expected ws://host:port without a path (see --path-template)";
        if (nodes.count == BENCH_NODES_MAX)
            return "expected at most 64 nodes";
        nodes.urls[nodes.count++] = url;
    }
    *ret_nodes = nodes;
    return NULL;
}

bool bench_nodes_have_tls(const struct bench_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (slice_starts_with(nodes->urls[i], SLICE_LITERAL("wss://")))
            return true;
    return false;
}

bool bench_number_parse(const char *text, double min, double max, double *ret_number)
{
    char *end;
    double number;

    /* strtod(3) also takes signs, exponents, hexadecimal, "inf" and "nan". */
    if (!text[0] || text[strspn(text, "0123456789.")] || text[0] == '.')
        return false;
    number = strtod(text, &end);
    if (*end || !(number >= min) || !(number <= max))
        return false;
    *ret_number = number;
    return true;
}

void bench_path_append(struct buffer *path, const char *template, struct slice room, struct slice user)
{
    static const struct slice room_word = SLICE_LITERAL("{room}"), user_word = SLICE_LITERAL("{user}");
    struct slice rest = slice_from(template);

    while (rest.size > 0) {
        if (slice_starts_with(rest, room_word)) {
            client_path_append(path, room);
            rest = slice_skip(rest, room_word.size);
        } else if (slice_starts_with(rest, user_word)) {
            client_path_append(path, user);
            rest = slice_skip(rest, user_word.size);
        } else {
            buffer_append_char(path, rest.data[0]);
            rest = slice_skip(rest, 1);
        }
    }
}
