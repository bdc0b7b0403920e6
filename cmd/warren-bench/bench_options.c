#include "bench_options.h"

#include "client/client.h"

const char *bench_nodes_parse(const char *list, struct bench_nodes *ret_nodes)
{
    struct bench_nodes nodes = {.count = 0};
    struct slice rest = slice_from(list), part;

    while (slice_split(&rest, ',', &part)) {
        struct slice url = slice_trim(part);

        if (!slice_starts_with(url, SLICE_LITERAL("ws://")))
            return "expected ws://host:port";
        while (url.data[url.size - 1] == '/' && url.size > strlen("ws://"))
            url.size--;
        if (url.size == strlen("ws://") || memchr(url.data + strlen("ws://"), '/', url.size - strlen("ws://")))
            return "expected ws://host:port without a path (see --path-template)";
        if (nodes.count == BENCH_NODES_MAX)
            return "expected at most 64 nodes";
        nodes.urls[nodes.count++] = url;
    }
    *ret_nodes = nodes;
    return NULL;
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
