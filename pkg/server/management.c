/*
 * GET /v1/bindings and /v1/queues: what the broker's management API knows, joined with the leases in the store.
 *
 * A read asks five questions at once (queues with live totals, consumers, the bindings of both exchanges, the leases)
 * and answers when the last one is back. The totals are the broker's own at that moment; consumers come from its
 * statistics, which lag by a few seconds.
 *
 *     exchange ─▶ queue ─▶ node      state: ok       a living node's queue
 *                                           orphan   the queue of a node that does not live
 *                                           missing  a living node without its queue, or without this binding
 *                                           foreign  somebody else's queue on our exchange
 */
#include "base/json.h"
#include "http/http.h"
#include "http/url.h"
#include "server/management_internal.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANAGEMENT_TIMEOUT_MS 5000
#define MANAGEMENT_PORT 15672

void server_management_url(const struct rabbitmq_config *amqp, struct buffer *out)
{
    struct http_url url;

    if (amqp->management_url[0]) {
        struct slice text = slice_from(amqp->management_url);

        while (text.size && text.data[text.size - 1] == '/')
            text.size--;
        buffer_append_slice(out, text);
        return;
    }
    if (amqp->url.count == 0 || http_url_parse(slice_from(amqp->url.items[0]), "amqp,amqps", &url))
        return;
    buffer_append_text(out, "http://");
    if (slice_is_set(url.user)) {
        buffer_append_slice(out, url.user);
        buffer_append_char(out, ':');
        if (slice_is_set(url.password))
            buffer_append_slice(out, url.password);
        buffer_append_char(out, '@');
    }
    if (memchr(url.host.data, ':', url.host.size))
        buffer_printf(out, "[%.*s]", SLICE_PRINTF(url.host));
    else
        buffer_append_slice(out, url.host);
    buffer_printf(out, ":%d", MANAGEMENT_PORT);
}

void server_management_vhost(const struct rabbitmq_config *amqp, struct buffer *out)
{
    struct http_url url;
    struct slice vhost;

    if (amqp->url.count == 0 || http_url_parse(slice_from(amqp->url.items[0]), "amqp,amqps", &url))
        return;
    vhost = url.target.size ? slice_skip(url.target, 1) : SLICE_NONE;
    if (vhost.size == 0)
        buffer_append_text(out, "%2F"); /* amqp://host/ and amqp://host both mean the virtual host "/" */
    else
        buffer_append_slice(out, vhost); /* percent-encoded already, as the AMQP URI says */
}

static void read_free(struct management_read *r)
{
    list_remove(&r->link);
    for (size_t i = 0; i < MANAGEMENT_PARTS; i++)
        buffer_deinit(&r->parts[i]);
    for (size_t i = 0; i < r->node_count; i++)
        free(r->nodes[i].node);
    free(r->nodes);
    buffer_deinit(&r->url);
    free(r);
}

static void read_fail(struct management_read *r, const char *what, const char *why)
{
    if (!r->failure[0])
        (void)snprintf(r->failure, sizeof(r->failure), "%s: %s", what, why);
}

static void read_finish(struct management_read *r)
{
    struct buffer json = {0};

    if (r->failure[0]) {
        api_reply_error(r->reply, 503, "unavailable", r->failure);
    } else {
        int result = r->is_bindings ? management_write_bindings(r, &json) : management_write_queues(r, &json);

        if (result || buffer_error(&json))
            api_reply_error(r->reply, 502, "unavailable", "the management API's answer was not understood");
        else
            api_reply_json(r->reply, 200, buffer_slice(&json));
    }
    buffer_deinit(&json);
    read_free(r);
}

static void read_part_done(struct management_read *r)
{
    if (--r->open == 0)
        read_finish(r);
}

static void on_fetched(struct management_read *r, enum management_part part, int result, unsigned status,
                       struct slice body, const char *error)
{
    char text[64];

    if (result) {
        read_fail(r, "management API", error ? error : "no answer");
    } else if (status == 404 && (part == MANAGEMENT_FANOUT || part == MANAGEMENT_NODE)) {
        buffer_append_text(&r->parts[part], "[]"); /* the exchange does not exist (yet): nothing is bound to it */
    } else if (status != 200) {
        (void)snprintf(text, sizeof(text), "HTTP status %u", status);
        read_fail(r, "management API", status == 401 ? "user or password refused (amqp.management_url)" : text);
    } else {
        buffer_append_slice(&r->parts[part], body);
    }
    read_part_done(r);
}

/** The part is told by which of a read's slots the callback was given. */
static void on_part(void *userdata, int result, unsigned status, struct slice body, const char *error)
{
    struct management_slot *slot = userdata;

    on_fetched(slot->read, slot->part, result, status, body, error);
}

static void on_nodes(void *userdata, int result, const struct store_lease *leases, size_t count)
{
    struct management_read *r = userdata;

    if (result) {
        read_fail(r, "store", "away, so nobody knows which nodes live");
    } else if (count) {
        r->nodes = calloc(count, sizeof(*r->nodes));
        if (!r->nodes)
            read_fail(r, "node", "out of memory");
        for (size_t i = 0; r->nodes && i < count; i++) {
            r->nodes[i].node = strdup(leases[i].node);
            r->nodes[i].is_alive = leases[i].is_alive;
            if (!r->nodes[i].node)
                read_fail(r, "node", "out of memory");
            else
                r->node_count = i + 1;
        }
    }
    read_part_done(r);
}

static void fetch(struct management_read *r, enum management_part part, const char *path_format, ...) base_printf(3, 4);

static void fetch(struct management_read *r, enum management_part part, const char *path_format, ...)
{
    struct outbound_request request = {.method = "GET", .timeout_ms = MANAGEMENT_TIMEOUT_MS};
    va_list args;
    int result;

    buffer_reset(&r->url, SIZE_MAX);
    server_management_url(&r->server->settings->amqp, &r->url);
    va_start(args, path_format);
    buffer_vprintf(&r->url, path_format, args);
    va_end(args);
    request.url = r->url.data;
    r->slots[part] = (struct management_slot){r, part};
    result = buffer_error(&r->url) ? -ENOMEM : outbound_fetch(r->server->outbound, &request, on_part, &r->slots[part]);
    if (result == 0) {
        r->open++;
        return;
    }
    read_fail(r, "amqp.management_url", result == -EINVAL ? "not a URL" : "out of memory");
}

static void read_start(struct server *s, struct api_reply *reply, bool is_bindings)
{
    const char *prefix = s->settings->amqp.prefix;
    struct management_read *r;
    struct buffer vhost = {0};

    if (s->is_standalone || s->is_stopping) {
        if (s->is_standalone)
            api_reply_error(reply, 409, "standalone", "this node runs alone, without a broker");
        else
            api_reply_error(reply, 503, "unavailable", "the node is ending");
        return;
    }
    r = calloc(1, sizeof(*r));
    if (!r) {
        api_reply_error(reply, 500, "internal", "out of memory");
        return;
    }
    r->server = s;
    r->reply = reply;
    r->is_bindings = is_bindings;
    r->open = 1; /* this function, so that nothing is finished before all is asked */
    list_append(&s->management_reads, &r->link);
    server_management_vhost(&s->settings->amqp, &vhost);
    if (buffer_error(&vhost)) {
        read_fail(r, "node", "out of memory");
    } else {
        const char *v = vhost.data ? vhost.data : "";

        fetch(r, MANAGEMENT_QUEUES, "/api/queues/%s?disable_stats=true&enable_queue_totals=true", v);
        fetch(r, MANAGEMENT_CONSUMERS, "/api/consumers/%s", v);
        fetch(r, MANAGEMENT_FANOUT, "/api/exchanges/%s/%s.fanout/bindings/source", v, prefix);
        fetch(r, MANAGEMENT_NODE, "/api/exchanges/%s/%s.node/bindings/source", v, prefix);
    }
    buffer_deinit(&vhost);
    if (hub_port_nodes(s->port, on_nodes, r) == 0)
        r->open++;
    else
        read_fail(r, "node", "out of memory");
    read_part_done(r);
}

void server_bindings_page(void *userdata, struct api_reply *reply)
{
    read_start(userdata, reply, true);
}

void server_queues_page(void *userdata, struct api_reply *reply)
{
    read_start(userdata, reply, false);
}
