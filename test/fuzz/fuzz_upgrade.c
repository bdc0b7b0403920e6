/*
 * Any bytes as the request of a connection, all the way to the response: routes, names, positions, subprotocols,
 * extensions, origins. Whatever was asked, there is an answer, and it keeps what clients and proxies rely on.
 */
#include "gateway/handshake_internal.h"
#include "ws/ws.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct gateway_routes routes;
static struct gateway_origins *origins;

static void prepare(void)
{
    char exact[] = "https://example.com", below[] = "https://*.example.org", none[] = "null",
         *items[] = {exact, below, none};
    const struct config_list list = {.items = items, .count = BASE_ARRAY_SIZE(items)};
    struct buffer errors = {0};

    if (origins)
        return;
    require(gateway_routes_load(&routes, NULL, true, &errors) == 0);
    origins = gateway_origins_new(&list, false);
    require(origins != NULL);
}

static void check_name(struct slice name)
{
    require(!slice_is_set(name) || name_check(name) == NULL);
}

static void check_target(const struct gateway_decision *d)
{
    check_name(gateway_name_slice(&d->target.user));
    check_name(gateway_name_slice(&d->target.room));
    check_name(gateway_name_slice(&d->target.device));
}

static void check_upgrade(const struct gateway_decision *d, const struct http_message *request)
{
    require(slice_equal_text(request->method, "GET"));
    require(http_message_has_token(request, "Upgrade", "websocket") &&
            http_message_has_token(request, "Connection", "Upgrade"));
    require(ws_key_is_valid(d->key) && d->route != NULL);
    require(gateway_origins_allow(origins, request));
    if (d->codec)
        check_target(d);
    if (d->has_deflate)
        require(d->deflate.server_max_window_bits >= 8 && d->deflate.server_max_window_bits <= 15 &&
                d->deflate.client_max_window_bits >= 8 && d->deflate.client_max_window_bits <= 15);
}

/** One head, whose status is the decision's; nothing that the client sent can have put a line of its own into it. */
static void check_response(const struct gateway_decision *d, struct slice response)
{
    static const struct http_limits limits = {.head_bytes = 65536, .headers = 32, .body_bytes = 1 << 20};
    const struct http_message *m = NULL;
    struct http_parser *parser;
    char *copy = malloc(response.size);
    size_t consumed;

    require(copy != NULL);
    require(http_parser_new_response(&limits, d->head_only, &parser) == 0);
    memcpy(copy, response.data, response.size);
    require(http_parser_feed(parser, copy, response.size, &consumed, &m) == 0 && m);
    require(consumed == response.size);
    require(m->status == (d->answer == GATEWAY_ANSWER_UPGRADE ? 101 : d->status));
    require((m->status == 429 || m->status == 503) == (http_message_header_count(m, "Retry-After") == 1) ||
            d->answer == GATEWAY_ANSWER_TEXT);
    http_parser_free(parser);
    free(copy);
}

static void check(struct slice bytes, const struct gateway_site *site)
{
    static const struct http_limits limits = {.head_bytes = 4096, .headers = 32};
    const struct http_message *request = NULL;
    struct gateway_decision decision;
    struct http_parser *parser;
    struct buffer out = {0};
    char *copy = malloc(bytes.size + 1);
    size_t consumed;

    require(copy != NULL);
    require(http_parser_new_request(&limits, &parser) == 0);
    memcpy(copy, bytes.data, bytes.size);
    if (http_parser_feed(parser, copy, bytes.size, &consumed, &request) == 0 && request) {
        require(gateway_handshake_decide(site, request, &decision) == 0);
        if (decision.answer == GATEWAY_ANSWER_UPGRADE)
            check_upgrade(&decision, request);
        gateway_handshake_write(&decision, &out);
        require(!buffer_error(&out));
        check_response(&decision, buffer_slice(&out));
    }
    buffer_deinit(&out);
    http_parser_free(parser);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ws_deflate_policy deflate = {.client_context = true, .client_window_bits = 12};
    struct slice bytes = slice_make(data, size);
    struct gateway_site site;

    prepare();
    site = (struct gateway_site){.routes = &routes, .demo = true, .origins = origins, .deflate = &deflate};
    check(bytes, &site);
    site.refusing = "full";
    site.refusing_status = 503;
    check(bytes, &site);
    return 0;
}
