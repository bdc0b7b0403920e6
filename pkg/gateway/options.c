/* What can be configured of the public side: a row an option, in the order of a sample file. */
#include "gateway/gateway.h"
#include "gateway/origin_internal.h"
#include "http/http.h"
#include "net/network.h"
#include "proto/proto.h"

static const char *check_address(struct slice value)
{
    struct net_address address;

    return net_address_parse(value, &address);
}

static const char *check_path(struct slice value)
{
    return value.size > 0 && value.data[0] == '/' ? NULL : "expected a path that begins with '/'";
}

static const char *check_dialect(struct slice value)
{
    return proto_codec_of_dialect(value) ? NULL : "expected json or live";
}

static const char *check_key(struct slice value)
{
    return value.size <= 256 ? NULL : "expected at most 256 bytes";
}

static const char *check_network(struct slice value)
{
    struct net_network network;

    return net_network_parse(value, &network);
}

static const char *check_origin(struct slice value)
{
    return gateway_origin_fault(value);
}

static const char *const proxy_protocols[] = {"off", "v2", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL}; /* as enum net_tls_version */

#define VALUE(member) offsetof(struct gateway_config, member)

const struct config_option gateway_options[] = {
    {"listen.public", CONFIG_TEXT, VALUE(listen), "0.0.0.0:8091", .check = check_address,
     .help = "Address and port for clients; the port is part of the node's id."},
    {"listen.demo", CONFIG_BOOL, VALUE(demo), "no", .reloadable = true, .help = "Serve a demonstration page at /."},
    {"listen.echo", CONFIG_BOOL, VALUE(echo), "no",
     .help = "Serve /echo, which returns each message; for conformance suites."},
    {"listen.proxy_protocol", CONFIG_CHOICE, VALUE(proxy_protocol), "off", .choices = proxy_protocols,
     .reloadable = true,
     .help = "Whether peers in listen.trusted begin each connection with a header of the PROXY protocol, which tells "
             "their client's address. Then they must; others must not."},
    {"listen.trusted", CONFIG_LIST, VALUE(trusted), "", .check = check_network, .reloadable = true,
     .help = "Networks of proxies, such as 10.0.0.0/8, whose word about their clients' addresses is taken: PROXY "
             "headers and X-Forwarded-For."},
    {"listen.origins", CONFIG_LIST, VALUE(origins), "", .check = check_origin, .reloadable = true,
     .help = "Origins of the pages whose scripts may connect, such as https://example.com, https://*.example.com, or "
             "null; if there are none, all may."},
    {"listen.require_origin", CONFIG_BOOL, VALUE(require_origin), "no", .reloadable = true,
     .help = "Refuse clients that send no Origin: those that are no browsers."},
    {"tls.certificate", CONFIG_LIST, VALUE(tls_certificate), "", .reloadable = true,
     .help = "PEM file of the certificate and its chain, or several with keys of different kinds (ECDSA, RSA), of "
             "which a client's abilities choose; once set, clients must use TLS."},
    {"tls.key", CONFIG_LIST, VALUE(tls_key), "", .reloadable = true,
     .help = "PEM file of the certificate's private key; of several, in the same order."},
    {"tls.minimum_version", CONFIG_CHOICE, VALUE(tls_minimum), "1.2", .choices = tls_versions, .reloadable = true,
     .help = "The oldest version of TLS that is spoken."},
    {"tls.tickets", CONFIG_BOOL, VALUE(tls_tickets), "yes", .reloadable = true,
     .help = "Clients may resume their TLS session, which saves both sides most of the handshake."},
    {"session.heartbeat", CONFIG_DURATION, VALUE(heartbeat_ms), "25s", .min = 1000, .max = 3600000, .reloadable = true,
     .help = "A client that was silent for this long is pinged; after twice this long its connection is closed."},
    {"limits.tls_timeout", CONFIG_DURATION, VALUE(tls_timeout_ms), "10s", .min = 100, .max = 600000, .reloadable = true,
     .help = "Time for a client's TLS handshake, with the wait for it."},
    {"limits.tls_handshakes", CONFIG_INTEGER, VALUE(tls_handshakes), "1000", .min = 1, .max = 1000000,
     .reloadable = true, .help = "TLS handshakes under way at once, each of some 50 KB; further clients wait."},
    {"limits.tls_waiting", CONFIG_INTEGER, VALUE(tls_waiting), "4000", .min = 0, .max = 1000000, .reloadable = true,
     .help = "Clients that may wait until their TLS handshake begins; more are closed."},
    {"limits.handshake_timeout", CONFIG_DURATION, VALUE(handshake_timeout_ms), "10s", .min = 100, .max = 600000,
     .reloadable = true, .help = "Time for a client's request to arrive, and for its session to begin."},
    {"limits.first_frame_timeout", CONFIG_DURATION, VALUE(first_frame_timeout_ms), "0", .min = 0, .max = 3600000,
     .reloadable = true,
     .help = "Time for a client's first frame; 0: clients may be silent, as those that only listen are."},
    {"limits.close_timeout", CONFIG_DURATION, VALUE(close_timeout_ms), "5s", .min = 100, .max = 60000,
     .reloadable = true, .help = "Time for a client to answer a close frame."},
    {"limits.head_bytes", CONFIG_BYTES, VALUE(head_bytes), "8k", .min = 1024, .max = 65536, .reloadable = true,
     .help = "Bytes of a request's line and headers."},
    {"limits.headers", CONFIG_INTEGER, VALUE(headers), "64", .min = 8, .max = HTTP_HEADERS_MAX, .reloadable = true,
     .help = "Header lines of a request."},
    {"limits.connections", CONFIG_INTEGER, VALUE(connections), "100000", .min = 1, .max = 10000000, .reloadable = true,
     .help = "Client connections of this node, if descriptors allow as many; more are refused with 503."},
    {"limits.connections_per_address", CONFIG_INTEGER, VALUE(connections_per_address), "0", .min = 0, .max = 10000000,
     .reloadable = true,
     .help =
         "Client connections of one IPv4 address or IPv6 /64; more are refused with 429. 0: no limit. Whole offices "
         "and mobile networks share an address; clients of a proxy do, unless it is in listen.trusted."},
    {"limits.accept_rate", CONFIG_INTEGER, VALUE(accept_rate), "0", .min = 0, .max = 1000000, .reloadable = true,
     .help = "Newcomers a second; more wait, and are refused with 503 when too many wait. 0: as many as this node can "
             "settle while it serves those who are here."},
    {"limits.memory", CONFIG_BYTES, VALUE(memory), "0", .min = 0, .max = INT64_MAX, .reloadable = true,
     .help = "Memory of the process from which on newcomers are refused with 503. 0: 80 % of the cgroup's or the "
             "machine's."},
    {"limits.queued_bytes", CONFIG_BYTES, VALUE(queued_bytes), "1m", .min = 4096, .max = 1073741824, .reloadable = true,
     .help = "Bytes waiting for one client to read them; a slower client is disconnected."},
    {"limits.queued_soft_bytes", CONFIG_BYTES, VALUE(queued_soft_bytes), "256k", .min = 0, .max = 1073741824,
     .reloadable = true,
     .help = "Bytes that may wait for one client for no longer than limits.queued_soft_time. 0: no such limit."},
    {"limits.queued_soft_time", CONFIG_DURATION, VALUE(queued_soft_time_ms), "10s", .min = 100, .max = 3600000,
     .reloadable = true,
     .help = "A client with more than limits.queued_soft_bytes waiting for this long is disconnected."},
    {"limits.queued_age", CONFIG_DURATION, VALUE(queued_age_ms), "30s", .min = 0, .max = 3600000, .reloadable = true,
     .help = "A client that leaves a message waiting for this long is disconnected. 0: no such limit."},
    {"limits.queued_total", CONFIG_BYTES, VALUE(queued_total), "256m", .min = 1048576, .max = 1099511627776,
     .help = "Bytes waiting for all clients of this node together; beyond, those with most waiting are disconnected."},
    {"limits.relay_bytes", CONFIG_BYTES, VALUE(relay_bytes), "64k", .min = 0, .max = 1073741824, .reloadable = true,
     .help =
         "Bytes of binary frames, and of messages of class drop-oldest, waiting for one client; beyond, the oldest are "
         "dropped. 0: only limits.queued_bytes counts."},
    {"limits.session_bytes_rate", CONFIG_BYTES, VALUE(session_bytes_rate), "16m", .min = 0, .max = 1073741824,
     .reloadable = true,
     .help = "Bytes a second from one client in the long run; one that sends more is not read from. 0: no limit."},
    {"limits.session_bytes_burst", CONFIG_BYTES, VALUE(session_bytes_burst), "64m", .min = 1024, .max = 1073741824,
     .reloadable = true, .help = "Bytes from one client that may come at once."},
    {"limits.session_messages_rate", CONFIG_INTEGER, VALUE(session_messages_rate), "5000", .min = 0, .max = 1000000,
     .reloadable = true,
     .help =
         "Operations, binary and control frames a second from one client in the long run; further ones are answered "
         "rate_limited. 0: no limit."},
    {"limits.session_messages_burst", CONFIG_INTEGER, VALUE(session_messages_burst), "10000", .min = 1, .max = 1000000,
     .reloadable = true,
     .help = "Of those, how many may come at once. A client that was refused as many without waiting is disconnected."},
    {"limits.frame_bytes", CONFIG_BYTES, VALUE(frame_bytes), "1m", .min = 1024, .max = 67108864, .reloadable = true,
     .help = "Bytes of one WebSocket message from a client, with all operations in it."},
    {"limits.fragments", CONFIG_INTEGER, VALUE(fragments), "1024", .min = 1, .max = 16777216, .reloadable = true,
     .help = "Frames that one WebSocket message may be cut into."},
    {"limits.message_timeout", CONFIG_DURATION, VALUE(message_timeout_ms), "2m", .min = 0, .max = 3600000,
     .reloadable = true,
     .help = "Time for the rest of a message whose first bytes have come, looked at every session.heartbeat. 0: no "
             "limit."},
    {"limits.unfinished_total", CONFIG_BYTES, VALUE(unfinished_total), "256m", .min = 1048576, .max = 1099511627776,
     .reloadable = true,
     .help = "Bytes of messages whose rest has not come yet, of all clients of this node together; beyond, who brings "
             "more of one is disconnected."},
    {"limits.ops_per_frame", CONFIG_INTEGER, VALUE(ops_per_frame), "100", .min = 1, .max = 10000, .reloadable = true,
     .help = "Operations in one WebSocket message."},
    {"limits.open_requests", CONFIG_INTEGER, VALUE(open_requests), "64", .min = 1, .max = 100000, .reloadable = true,
     .help = "Unanswered operations of a session; with more it is not read from until answers came."},
    {"deflate.enabled", CONFIG_BOOL, VALUE(deflate), "yes", .reloadable = true,
     .help = "Compress messages (permessage-deflate) for clients that offer it; each is compressed once for all."},
    {"deflate.level", CONFIG_INTEGER, VALUE(deflate_level), "1", .min = 1, .max = 9,
     .help = "Effort of compressing: 1 is fast, 9 is small."},
    {"deflate.min_bytes", CONFIG_BYTES, VALUE(deflate_min_bytes), "256", .min = 0, .max = 67108864, .reloadable = true,
     .help = "Messages shorter than this are not compressed."},
    {"deflate.memory_level", CONFIG_INTEGER, VALUE(deflate_memory_level), "8", .min = 1, .max = 9,
     .help = "Size of the compressor's table, which every message clears: 8 is 64 KiB, each step less halves it."},
    {"deflate.client_context", CONFIG_BOOL, VALUE(deflate_client_context), "no", .reloadable = true,
     .help = "Let clients compress over message boundaries; each that does holds some 40 KiB of this node."},
    {"deflate.client_window_bits", CONFIG_INTEGER, VALUE(deflate_client_window_bits), "15", .min = 8, .max = 15,
     .reloadable = true,
     .help = "The window of such a client, in bits, where it lets us say: 15 is 32 KiB, each step halves it."},
};
const size_t gateway_option_count = BASE_ARRAY_SIZE(gateway_options);

const struct config_option gateway_route_options[] = {
    {"path", CONFIG_TEXT, offsetof(struct gateway_route_config, path), "/", .check = check_path,
     .help = "Template of the URL's path: words, and {room}, {user}, {device} or other names, which are ignored."},
    {"dialect", CONFIG_TEXT, offsetof(struct gateway_route_config, dialect), "json", .check = check_dialect,
     .help = "What is spoken where the client offers no subprotocol that is known: json, or live (old clients of live "
             "commerce)."},
    {"online_key", CONFIG_TEXT, offsetof(struct gateway_route_config, online_key), "", .check = check_key,
     .help = "A plain Redis key, without redis.prefix, in which the number of users of a room that this route leads to "
             "is kept up to date for other programs, such as LiveActivityOnlineNum:{room}."},
    {"likes_key", CONFIG_TEXT, offsetof(struct gateway_route_config, likes_key), "", .check = check_key,
     .help = "Likewise, with the room's likes, such as LiveActivityZanNum:{room}."},
};
const size_t gateway_route_option_count = BASE_ARRAY_SIZE(gateway_route_options);
