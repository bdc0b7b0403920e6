/*
 * The order to drain, and how far it has come: POST and GET /v1/node/drain. The order does what SIGTERM does; a signal
 * afterwards is the first one, not the second that would end at once, because a service manager sends one anyhow.
 */
#include "base/json.h"
#include "base/log.h"
#include "server/server_internal.h"

#include <stdio.h>

/** What a node may still need when the last client has gone: flushing to broker and store, and what is slow. */
#define END_GRACE_MS 10000

/** systemd's TimeoutStopSec is for the default period; a longer one asks for more time (sd_notify(3)). */
static void notify_stopping(const struct server *s)
{
    struct gateway_shutdown_status status;
    uint64_t needed_ms;
    char state[80];

    gateway_shutdown_read(s->gateway, &status);
    needed_ms = status.period_ms + (uint64_t)s->settings->gateway.close_timeout_ms + END_GRACE_MS;
    server_notify("STOPPING=1");
    (void)snprintf(state, sizeof(state), "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)needed_ms * 1000);
    server_notify(state);
}

void server_drain(struct server *s, const char *why)
{
    struct gateway_shutdown_status status;

    if (s->is_stopping)
        return;
    s->is_stopping = true;
    hub_set_draining(s->hub);
    gateway_shutdown(s->gateway, (uint64_t)s->settings->server.drain_period_ms,
                     (uint64_t)s->settings->server.drain_rate, server_on_gateway_down, s);
    gateway_shutdown_read(s->gateway, &status);
    log_event(LOG_NOTICE, "draining", LOG_TEXT("because", why), LOG_TEXT("node", s->node),
              LOG_UINT("clients", status.clients), LOG_UINT("period_ms", status.period_ms));
    notify_stopping(s);
}

static void answer(struct server *s, unsigned http_status, struct api_reply *reply)
{
    struct gateway_shutdown_status status;
    struct buffer json = {0};
    struct json_writer w;

    gateway_shutdown_read(s->gateway, &status);
    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_member_text(&w, "node", s->node);
    json_write_member_bool(&w, "draining", status.is_draining);
    json_write_member_uint64(&w, "clients", status.is_draining ? status.clients : status.left);
    json_write_member_uint64(&w, "left", status.left);
    json_write_member_uint64(&w, "period_ms", status.period_ms);
    json_write_member_uint64(&w, "elapsed_ms", status.elapsed_ms);
    json_write_object_end(&w);
    if (buffer_error(&json))
        api_reply_error(reply, 500, "internal", "out of memory");
    else
        api_reply_json(reply, http_status, buffer_slice(&json));
    buffer_deinit(&json);
}

void server_drain_read_page(void *userdata, struct api_reply *reply)
{
    answer(userdata, 200, reply);
}

void server_drain_page(void *userdata, struct api_reply *reply)
{
    server_drain(userdata, "POST /v1/node/drain");
    answer(userdata, 202, reply);
}
