/*
 * The internal listener: its table of routes and its life. Whoever reaches it may do everything, so it listens on
 * loopback by default, refuses public addresses unless told, and takes no orders from a browser's page (a request that
 * changes something and bears an Origin).
 */
#include "api/api_internal.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct metrics_row rows[API_METRICS] = {
    [API_REQUESTS] = {.name = "warren_api_requests_total",
                      .type = METRICS_COUNTER,
                      .help = "Requests to the internal listener."},
    [API_REFUSED] =
        {.name = "warren_api_refused_total",
         .type = METRICS_COUNTER,
         .help = "Requests to the internal listener that could not be parsed, and connections beyond the limit."},
    [API_PUBLISHED] = {.name = "warren_api_published_total",
                       .type = METRICS_COUNTER,
                       .help = "Messages accepted over HTTP."},
    [API_CONNECTIONS] = {.name = "warren_api_connections",
                         .type = METRICS_GAUGE,
                         .help = "Open connections to the internal listener."},
};

struct route {
    const char *method;
    const char *before; /* the path up to a name, or all of it */
    const char *after;  /* behind the name; NULL: the path has none */
    api_handler_fn *handle;
};

static const struct route routes[] = {
    {"POST", "/v1/rooms/", "/messages", api_post_room_message},
    {"POST", "/v1/users/", "/messages", api_post_user_message},
    {"POST", "/v1/broadcast", NULL, api_post_broadcast},
    {"POST", "/push/", "", api_post_push},
    {"GET", "/v1/rooms/", "/messages", api_get_room_messages},
    {"GET", "/v1/users/", "/messages", api_get_user_messages},
    {"GET", "/v1/broadcast", NULL, api_get_broadcast},
    {"GET", "/v1/rooms/", "/users", api_get_room_users},
    {"GET", "/v1/rooms/", "/watch", api_get_room_watch},
    {"GET", "/v1/rooms/", "", api_get_room},
    {"GET", "/v1/rooms", NULL, api_get_rooms},
    {"GET", "/v1/users/", "/here", api_get_user_here},
    {"GET", "/v1/users/", "", api_get_user},
    {"DELETE", "/v1/users/", "/sessions", api_delete_user_sessions},
    {"GET", "/v1/nodes", NULL, api_get_nodes},
    {"GET", "/metrics", NULL, api_get_metrics},
    {"GET", "/healthz", NULL, api_get_healthz},
    {"GET", "/readyz", NULL, api_get_readyz},
};

/** Whether @path fits, and the raw name in it (one segment, not empty). */
static bool route_matches(const struct route *route, struct slice path, struct slice *ret_name)
{
    struct slice before = slice_from(route->before), after = slice_from(route->after ? route->after : "");
    struct slice name;

    if (!route->after) {
        *ret_name = SLICE_NONE;
        return slice_equal(path, before);
    }
    if (!slice_starts_with(path, before) || path.size <= before.size + after.size)
        return false;
    name = slice_make(path.data + before.size, path.size - before.size - after.size);
    if (memcmp(name.data + name.size, after.data, after.size) != 0 || memchr(name.data, '/', name.size))
        return false;
    *ret_name = name;
    return true;
}

static void call_route(struct api *a, const struct route *route, const struct http_message *message,
                       struct slice raw_name, struct api_reply *reply)
{
    struct api_request request = {.message = message};
    struct buffer name = BUFFER_WITH_LIMIT(4 * NAME_MAX_BYTES);
    const char *fault = NULL;

    if (slice_is_set(raw_name)) {
        if (!http_percent_decode(raw_name, false, &name))
            fault = "has a bad percent escape";
        else
            fault = buffer_error(&name) ? "is too long" : name_check(buffer_slice(&name));
        request.name = buffer_slice(&name);
    }
    if (fault) {
        char sentence[200];

        (void)snprintf(sentence, sizeof(sentence), "the name in the path %s", fault);
        api_reply_error(reply, 400, "bad_name", sentence);
    } else {
        route->handle(a, &request, reply);
    }
    buffer_deinit(&name);
}

/** Among the pages that the server handed in; NULL if none has this path. One path may have two, to ask and to order.
 */
static const struct api_page *find_page(const struct api *a, struct slice path, bool is_order)
{
    for (const struct api_page *page = a->environment.pages; page && page->path; page++) {
        if (page->is_order == is_order && slice_equal_text(path, page->path))
            return page;
    }
    return NULL;
}

/** The methods of a path, one more. At most GET and another one have one path. */
static const char *allow_also(const char *allow, const char *method)
{
    const char *methods = strcmp(method, "GET") == 0 ? "GET, HEAD" : method;

    if (!allow)
        return methods;
    return strcmp(allow, "POST") == 0 && methods[0] == 'G' ? "GET, HEAD, POST" : allow;
}

void api_dispatch(struct api *a, const struct http_message *message, struct api_reply *reply)
{
    bool is_read = slice_equal_text(message->method, "GET") || slice_equal_text(message->method, "HEAD");
    const struct api_page *question = find_page(a, message->path, false), *order = find_page(a, message->path, true);
    const struct api_page *page = is_read ? question : slice_equal_text(message->method, "POST") ? order : NULL;
    const char *allow = question && order ? "GET, HEAD, POST" : question ? "GET, HEAD" : order ? "POST" : NULL;
    struct slice name;

    if (!is_read && http_message_header_count(message, "Origin") > 0) {
        api_reply_error(reply, 403, "forbidden",
                        "the internal listener takes no orders from web pages (the request bears an Origin)");
        return;
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(routes); i++) {
        if (!route_matches(&routes[i], message->path, &name))
            continue;
        if (slice_equal_text(message->method, routes[i].method) || (is_read && strcmp(routes[i].method, "GET") == 0)) {
            call_route(a, &routes[i], message, name, reply);
            return;
        }
        allow = allow_also(allow, routes[i].method);
    }
    if (page && page->consider)
        page->consider(a->environment.userdata, &(struct api_question){.query = message->query, .body = message->body},
                       reply);
    else if (page)
        page->produce(a->environment.userdata, reply);
    else if (allow)
        api_reply_full(
            reply, 405, "application/json", allow,
            SLICE_LITERAL("{\"error\":{\"code\":\"bad_request\",\"message\":\"not with this method; see Allow\"}}"));
    else
        api_reply_error(reply, 404, "bad_request", "no such path; docs/protocol.md lists them");
}

static int check_listen(const struct api_config *config, struct net_address *ret_address, struct buffer *errors)
{
    const char *fault = net_address_parse(slice_from(config->listen), ret_address);

    if (fault) {
        buffer_printf(errors, "listen.internal: %s, got \"%s\"\n", fault, config->listen);
        return CONFIG_E_INVALID;
    }
    if (!config->listen_anywhere && !net_address_is_loopback(ret_address) && !net_address_is_private(ret_address)) {
        buffer_printf(
            errors,
            "listen.internal: %s is neither loopback nor private, and whoever reaches it may do everything; set "
            "listen.internal_anywhere = on if that is meant\n",
            config->listen);
        return CONFIG_E_INVALID;
    }
    return 0;
}

int api_config_check(const struct api_config *config, struct buffer *errors)
{
    struct net_address address;

    return check_listen(config, &address, errors);
}

static const struct hub_port_ops port_ops = {NULL}; /* no sessions here, so no fans */

int api_new(struct loop *main_loop, struct hub *h, const struct api_config *config,
            const struct api_environment *environment, struct buffer *errors, struct api **ret_api)
{
    struct metrics_group *group;
    struct api *a = calloc(1, sizeof(*a));
    int result;

    if (!a)
        return -ENOMEM;
    a->loop = main_loop;
    a->config = config;
    a->environment = *environment;
    list_init(&a->connections);
    result = check_listen(config, &a->address, errors);
    group = result ? NULL : metrics_group_new(environment->metrics, rows, API_METRICS);
    a->cells = group ? metrics_cells_new(group) : NULL;
    if (!result && !a->cells)
        result = -ENOMEM;
    if (!result)
        result = net_loop_new(main_loop, &a->net);
    if (!result)
        result = hub_port_new(h, main_loop, &port_ops, a, &a->port);
    if (result) {
        api_free(a);
        return result;
    }
    *ret_api = a;
    return 0;
}

int api_listen(struct api *a, struct buffer *errors)
{
    int result = net_listener_open(a->loop, &a->address, api_connection_accept, a, &a->listener);

    if (result) {
        buffer_printf(errors, "listen.internal: %s: %s\n", a->config->listen, strerror(-result));
        return result;
    }
    a->address = *net_listener_address(a->listener);
    return 0;
}

const struct net_address *api_address(const struct api *a)
{
    return &a->address;
}

void api_close(struct api *a)
{
    a->listener = net_listener_close(a->listener);
    a->is_closed = true;
    list_for_each_safe (it, &a->connections)
        api_connection_abort(container_of(it, struct api_connection, link));
}

struct api *api_free(struct api *a)
{
    if (!a)
        return NULL;
    net_listener_close(a->listener);
    assert(list_is_empty(&a->connections));
    assert(a->replies_owed == 0);
    net_loop_free(a->net);
    free(a);
    return NULL;
}
