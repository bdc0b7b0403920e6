/*
 * The node's id, <ip>:<port>, determined once at start: node.address, else the address that the kernel's routing table
 * picks towards the first broker that resolves. That is right inside containers, needs no broker to be up, and sends
 * nothing.
 */
#include "http/url.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int address_towards_brokers(const struct rabbitmq_config *amqp, struct net_address *ret_address)
{
    int result = -EHOSTUNREACH;

    for (size_t i = 0; i < amqp->url.count; i++) {
        base_cleanup(base_free_p)
        char *host = NULL;
        struct http_url url;

        if (http_url_parse(slice_from(amqp->url.items[i]), "amqp,amqps", &url))
            continue;
        host = slice_dup(url.host);
        if (!host)
            return -ENOMEM;
        result = net_address_towards(host, url.port ? url.port : 5672, ret_address);
        if (!result)
            return 0;
    }
    return result;
}

int server_node_id(const struct server_settings *settings, bool standalone, char ret_node[SERVER_NODE_ID_SIZE],
                   struct buffer *errors)
{
    char ip[NET_ADDRESS_TEXT_SIZE] = "127.0.0.1";
    struct net_address listen, own;
    int result;

    if (net_address_parse(slice_from(settings->gateway.listen), &listen))
        return -EINVAL;
    if (settings->server.node_address[0]) {
        (void)snprintf(ip, sizeof(ip), "%s", settings->server.node_address);
    } else if (!standalone) {
        result = address_towards_brokers(&settings->amqp, &own);
        if (result == -ENOMEM)
            return result;
        if (result) {
            buffer_append_text(errors,
                               "node.address: not set, and none of the brokers in amqp.url resolves to a host that "
                               "this machine has a route to; set it to this machine's IP address\n");
            return CONFIG_E_INVALID;
        }
        net_address_format(&own, false, ip);
    }
    if ((size_t)snprintf(ret_node, SERVER_NODE_ID_SIZE, "%s:%u", ip, net_address_port(&listen)) >= SERVER_NODE_ID_SIZE)
        return -EINVAL;
    return 0;
}
