/*
 * One room: who is in it, where, and its likes; or how long each user was. All pages: for people as one table, for
 * programs an object a page, as the API gives it.
 */
#include "warrenctl.h"

#include "client/client.h"

#include <stdio.h>
#include <string.h>

#define PAGE "?limit=500"

static void print_node(void *userdata, struct slice node)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(node, "node"));
    table_set_value(t, 1, ctl_member(node, "users"));
    table_set_value(t, 2, ctl_member(node, "connections"));
}

/** What the first page says of the whole room. */
static int print_room(struct slice body)
{
    struct json_value count = ctl_member(body, "count"), connections = ctl_member(body, "connections"),
                      likes = ctl_member(body, "likes");
    struct table t = {.headings = {"NODE", "USERS", "CONNECTIONS"}, .columns = 3};
    int result = ctl_each(body, "nodes", print_node, &t);

    table_print(&t);
    if (!result)
        (void)printf("%.*s users, %.*s connections, %.*s likes\n\n", SLICE_PRINTF(count.text),
                     SLICE_PRINTF(connections.text), SLICE_PRINTF(likes.text));
    return result;
}

static int take_users(struct slice body, struct table *t)
{
    struct json_value users = ctl_member(body, "users"), value;
    struct json_reader reader;
    int result = 0;

    if (!t->rows)
        result = print_room(body);
    json_reader_init(&reader, users.text, JSON_DEPTH_MAX);
    if (!result)
        result = users.type == JSON_ARRAY ? json_reader_enter_array(&reader) : -EINVAL;
    while (!result && (result = json_reader_element(&reader, &value)) == JSON_OK) {
        table_add_row(t);
        table_set_value(t, 0, value);
    }
    return result == JSON_END ? 0 : -EINVAL;
}

static void take_watched_user(void *userdata, struct slice watched)
{
    struct table *t = userdata;

    table_add_row(t);
    table_set_value(t, 0, ctl_member(watched, "user"));
    table_set_value(t, 1, ctl_member(watched, "seconds"));
}

static int take_watched(struct slice body, struct table *t)
{
    return ctl_each(body, "watched", take_watched_user, t);
}

/** One page, for people through @take; @after is where it begins (empty: the first), and then where the next one does.
 */
static int take_page(const struct ctl_context *context, const char *what, struct buffer *after, struct table *t,
                     int (*take)(struct slice body, struct table *t))
{
    struct buffer body = {0}, path = {0};
    struct json_value next;
    int code;

    buffer_append_text(&path, "/v1/rooms/");
    client_path_append(&path, slice_from(context->argv[1]));
    buffer_append_text(&path, what);
    if (after->size > 0) {
        buffer_append_text(&path, "&after=");
        client_path_append(&path, buffer_slice(after));
    }
    code = buffer_error(&path) ? CTL_NO : ctl_get(context, path.data, &body);
    if (code == CTL_OK && !context->json && take(buffer_slice(&body), t))
        code = ctl_bad_answer();
    next = ctl_member(buffer_slice(&body), "next");
    buffer_reset(after, SIZE_MAX);
    if (code == CTL_OK && next.type == JSON_STRING)
        json_string_decode(json_string_raw(next), after);
    if (buffer_error(after))
        code = CTL_NO;
    buffer_deinit(&body);
    buffer_deinit(&path);
    return code;
}

static int show(const struct ctl_context *context, const char *what, struct table *t,
                int (*take)(struct slice body, struct table *t))
{
    struct buffer after = {0};
    int code;

    do
        code = take_page(context, what, &after, t, take);
    while (code == CTL_OK && after.size > 0);
    if (code == CTL_OK && !context->json)
        table_print(t);
    buffer_deinit(&after);
    return code;
}

static int run(const struct ctl_context *context)
{
    bool has_watch = context->argc == 3 && strcmp(context->argv[2], "--watch") == 0;
    struct table users = {.headings = {"USER"}, .columns = 1};
    struct table watched = {.headings = {"USER", "SECONDS"}, .columns = 2};

    if ((context->argc != 2 && !has_watch) || strncmp(context->argv[1], "--", 2) == 0)
        return ctl_usage(&ctl_room, "expected one room, and perhaps --watch");
    if (ctl_name_check(context->argv[1]))
        return ctl_usage(&ctl_room, ctl_name_check(context->argv[1]));
    return has_watch ? show(context, "/watch" PAGE, &watched, take_watched)
                     : show(context, "/users" PAGE, &users, take_users);
}

const struct ctl_command ctl_room = {"room", "ROOM [--watch]",
                                     "who is in a room, and its likes; or how long users were", run};
