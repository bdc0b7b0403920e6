/* The pages of the internal listener that only the composed node can fill. */
#include "base/json.h"
#include "server/server_internal.h"

static void config_page(void *userdata, struct api_reply *reply)
{
    struct server *s = userdata;
    struct buffer json = {0};

    config_write_json(s->settings->config, &json);
    if (buffer_error(&json))
        api_reply_error(reply, 500, "internal", "out of memory");
    else
        api_reply_json(reply, 200, buffer_slice(&json));
    buffer_deinit(&json);
}

void server_write_ends(void *userdata, struct slice user, struct json_writer *w)
{
    struct server *s = userdata;

    gateway_ends_write(s->gateway, user, w);
}

const struct api_page server_pages[] = {
    {"/v1/config", config_page},
    {"/v1/config/reload", server_reload_page, .is_order = true},
    {"/v1/doctor", server_doctor_page},
    {"/v1/bindings", server_bindings_page},
    {"/v1/queues", server_queues_page},
    {"/v1/ingress", .consider = server_ingress_page},
    {"/v1/ingress/requeue", .consider = server_ingress_requeue_page, .is_order = true},
    {"/v1/ingress/drop", .consider = server_ingress_drop_page, .is_order = true},
    {"/v1/node/drain", server_drain_read_page},
    {"/v1/node/drain", server_drain_page, .is_order = true},
    {NULL, NULL},
};
