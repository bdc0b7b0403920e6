/*
 * The rooms that somebody is in: all pages of GET /v1/rooms, the largest room first. Pages have no order and may repeat
 * a room, so everything is gathered before anything is printed.
 */
#include "warrenctl.h"

#include "client/client.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define PAGE "500"

struct line {
    char *object;
    size_t size;
    int64_t connections;
};

struct gathering {
    struct line *lines;
    size_t count, capacity;
    bool failed; /* out of memory */
};

static struct json_value member_of(const struct line *line, const char *name)
{
    return ctl_member(slice_make(line->object, line->size), name);
}

static void take_line(void *userdata, struct slice object)
{
    struct gathering *g = userdata;
    struct line line = {.object = slice_dup(object), .size = object.size};

    if (g->count == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 500;
        struct line *grown = realloc(g->lines, capacity * sizeof(*grown));

        g->failed |= !grown;
        if (grown) {
            g->lines = grown;
            g->capacity = capacity;
        }
    }
    g->failed |= !line.object;
    if (g->failed) {
        free(line.object);
        return;
    }
    if (!json_number_int64(ctl_member(object, "connections"), 0, INT64_MAX, &line.connections))
        line.connections = 0;
    g->lines[g->count++] = line;
}

static int compare_name(const void *a, const void *b)
{
    struct slice x = member_of(a, "room").text, y = member_of(b, "room").text;
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);

    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static int compare_size(const void *a, const void *b)
{
    int64_t x = ((const struct line *)a)->connections, y = ((const struct line *)b)->connections;

    return x != y ? (x < y) - (x > y) : compare_name(a, b);
}

static void sort(struct gathering *g)
{
    size_t kept = 0;

    if (!g->count)
        return;
    qsort(g->lines, g->count, sizeof(*g->lines), compare_name);
    for (size_t i = 1; i < g->count; i++) {
        if (compare_name(&g->lines[kept], &g->lines[i]) == 0)
            free(g->lines[i].object);
        else
            g->lines[++kept] = g->lines[i];
    }
    g->count = kept + 1;
    qsort(g->lines, g->count, sizeof(*g->lines), compare_size);
}

/** One page; @cursor says where it begins ("": the first), and then where the next one does ("": there is none). */
static int take_page(const struct ctl_context *context, struct gathering *g, char cursor[32])
{
    struct buffer path = {0}, body = {0};
    struct json_value next;
    int code;

    buffer_printf(&path, "/v1/rooms?limit=" PAGE "%s%s", cursor[0] ? "&after=" : "", cursor);
    code = buffer_error(&path) ? CTL_NO : ctl_request(context, "GET", path.data, SLICE_NONE, &body);
    next = ctl_member(buffer_slice(&body), "next");
    if (code == CTL_OK &&
        (ctl_each(buffer_slice(&body), "rooms", take_line, g) || (next.type != JSON_NULL && next.type != JSON_STRING)))
        code = ctl_bad_answer();
    if (code == CTL_OK && g->failed) {
        (void)fprintf(stderr, "warrenctl rooms: out of memory\n");
        code = CTL_NO;
    }
    (void)snprintf(cursor, 32, "%.*s",
                   SLICE_PRINTF(next.type == JSON_STRING ? json_string_raw(next) : SLICE_LITERAL("")));
    buffer_deinit(&path);
    buffer_deinit(&body);
    return code;
}

static void print_table(const struct gathering *g, size_t shown)
{
    static const char *const members[] = {"room", "count", "connections", "nodes"};
    struct table t = {.headings = {"ROOM", "USERS", "CONNECTIONS", "NODES"}, .columns = BASE_ARRAY_SIZE(members)};

    for (size_t i = 0; i < shown; i++) {
        table_add_row(&t);
        for (size_t column = 0; column < t.columns; column++)
            table_set_value(&t, column, member_of(&g->lines[i], members[column]));
    }
    table_print(&t);
    if (shown < g->count)
        (void)printf("and %zu smaller ones\n", g->count - shown);
}

static void print_json(const struct gathering *g, size_t shown)
{
    (void)printf("{\"rooms\":[");
    for (size_t i = 0; i < shown; i++)
        (void)printf("%s%.*s", i ? "," : "", SLICE_PRINTF(slice_make(g->lines[i].object, g->lines[i].size)));
    (void)printf("],\"more\":%zu}\n", g->count - shown);
}

static const char *parse(const struct ctl_context *context, uint64_t *ret_limit)
{
    static const struct option options[] = {{"limit", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        if (option != 'l')
            return "see above";
        if (!slice_to_uint64(slice_from(optarg), UINT32_MAX, ret_limit) || !*ret_limit)
            return "--limit: expected a number above 0";
    }
    return optind == context->argc ? NULL : "takes options only; for one room: warrenctl room ROOM";
}

static int run(const struct ctl_context *context)
{
    uint64_t limit = SIZE_MAX;
    struct gathering g = {0};
    char cursor[32] = "";
    const char *fault = parse(context, &limit);
    int code;

    if (fault)
        return ctl_usage(&ctl_rooms, fault);
    do
        code = take_page(context, &g, cursor);
    while (code == CTL_OK && cursor[0]);
    if (code == CTL_OK) {
        sort(&g);
        (context->json ? print_json : print_table)(&g, g.count < limit ? g.count : (size_t)limit);
    }
    for (size_t i = 0; i < g.count; i++)
        free(g.lines[i].object);
    free(g.lines);
    return code;
}

const struct ctl_command ctl_rooms = {"rooms", "[--limit N]", "the rooms that somebody is in, the largest first", run};
