/* What can be configured of the public side: a row an option, in the order of a sample file. */
#include "gateway/gateway.h"
#include "http/http.h"
#include "net/address.h"

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
    return slice_equal_text(value, "json") ? NULL : "expected json";
}

static const char *const tls_versions[] = {"1.2", "1.3", NULL}; /* as enum net_tls_version */

#define VALUE(member) offsetof(struct gateway_config, member)

const struct config_option gateway_options[] = {
    {"listen.public", CONFIG_TEXT, VALUE(listen), "0.0.0.0:8091", .check = check_address,
     .help = "Address and port for clients; the port is part of the node's id."},
    {"listen.demo", CONFIG_BOOL, VALUE(demo), "no", .help = "Serve a demonstration page at /."},
    {"listen.echo", CONFIG_BOOL, VALUE(echo), "no",
     .help = "Serve /echo, which returns each message; for conformance suites."},
    {"tls.certificate", CONFIG_LIST, VALUE(tls_certificate), "",
     .help = "PEM file of the certificate and its chain, or several with keys of different kinds (ECDSA, RSA), of "
             "which a client's abilities choose; once set, clients must use TLS."},
    {"tls.key", CONFIG_LIST, VALUE(tls_key), "",
     .help = "PEM file of the certificate's private key; of several, in the same order."},
    {"tls.minimum_version", CONFIG_CHOICE, VALUE(tls_minimum), "1.2", .choices = tls_versions,
     .help = "The oldest version of TLS that is spoken."},
    {"tls.tickets", CONFIG_BOOL, VALUE(tls_tickets), "yes",
     .help = "Clients may resume their TLS session, which saves both sides most of the handshake."},
    {"session.heartbeat", CONFIG_DURATION, VALUE(heartbeat_ms), "25s", .min = 1000, .max = 3600000,
     .help = "A client that was silent for this long is pinged; after twice this long its connection is closed."},
    {"limits.handshake_timeout", CONFIG_DURATION, VALUE(handshake_timeout_ms), "10s", .min = 100, .max = 600000,
     .help = "Time for a client's TLS handshake, and for its request to arrive."},
    {"limits.close_timeout", CONFIG_DURATION, VALUE(close_timeout_ms), "5s", .min = 100, .max = 60000,
     .help = "Time for a client to answer a close frame."},
    {"limits.head_bytes", CONFIG_BYTES, VALUE(head_bytes), "8k", .min = 1024, .max = 65536,
     .help = "Bytes of a request's line and headers."},
    {"limits.headers", CONFIG_INTEGER, VALUE(headers), "64", .min = 8, .max = HTTP_HEADERS_MAX,
     .help = "Header lines of a request."},
    {"limits.connections", CONFIG_INTEGER, VALUE(connections), "100000", .min = 1, .max = 10000000,
     .help = "Client connections of this node; more are refused with 503."},
    {"limits.queued_bytes", CONFIG_BYTES, VALUE(queued_bytes), "1m", .min = 4096, .max = 1073741824,
     .help = "Bytes waiting for one client to read them; a slower client is disconnected."},
    {"limits.queued_soft_bytes", CONFIG_BYTES, VALUE(queued_soft_bytes), "256k", .min = 0, .max = 1073741824,
     .help = "Bytes that may wait for one client for no longer than limits.queued_soft_time. 0: no such limit."},
    {"limits.queued_soft_time", CONFIG_DURATION, VALUE(queued_soft_time_ms), "10s", .min = 100, .max = 3600000,
     .help = "A client with more than limits.queued_soft_bytes waiting for this long is disconnected."},
    {"limits.queued_age", CONFIG_DURATION, VALUE(queued_age_ms), "30s", .min = 0, .max = 3600000,
     .help = "A client that leaves a message waiting for this long is disconnected. 0: no such limit."},
    {"limits.queued_total", CONFIG_BYTES, VALUE(queued_total), "256m", .min = 1048576, .max = 1099511627776,
     .help = "Bytes waiting for all clients of this node together; beyond, those with most waiting are disconnected."},
    {"limits.relay_bytes", CONFIG_BYTES, VALUE(relay_bytes), "64k", .min = 0, .max = 1073741824,
     .help =
         "Bytes of binary frames, and of messages of class drop-oldest, waiting for one client; beyond, the oldest are "
         "dropped. 0: only limits.queued_bytes counts."},
    {"limits.frame_bytes", CONFIG_BYTES, VALUE(frame_bytes), "1m", .min = 1024, .max = 67108864,
     .help = "Bytes of one WebSocket message from a client, with all operations in it."},
    {"limits.fragments", CONFIG_INTEGER, VALUE(fragments), "1024", .min = 1, .max = 16777216,
     .help = "Frames that one WebSocket message may be cut into."},
    {"limits.ops_per_frame", CONFIG_INTEGER, VALUE(ops_per_frame), "100", .min = 1, .max = 10000,
     .help = "Operations in one WebSocket message."},
    {"limits.open_requests", CONFIG_INTEGER, VALUE(open_requests), "64", .min = 1, .max = 100000,
     .help = "Unanswered operations of a session; with more it is not read from until answers came."},
    {"deflate.enabled", CONFIG_BOOL, VALUE(deflate), "yes",
     .help = "Compress messages (permessage-deflate) for clients that offer it; each is compressed once for all."},
    {"deflate.level", CONFIG_INTEGER, VALUE(deflate_level), "1", .min = 1, .max = 9,
     .help = "Effort of compressing: 1 is fast, 9 is small."},
    {"deflate.min_bytes", CONFIG_BYTES, VALUE(deflate_min_bytes), "256", .min = 0, .max = 67108864,
     .help = "Messages shorter than this are not compressed."},
    {"deflate.memory_level", CONFIG_INTEGER, VALUE(deflate_memory_level), "8", .min = 1, .max = 9,
     .help = "Size of the compressor's table, which every message clears: 8 is 64 KiB, each step less halves it."},
    {"deflate.client_context", CONFIG_BOOL, VALUE(deflate_client_context), "no",
     .help = "Let clients compress over message boundaries; each that does holds some 40 KiB of this node."},
    {"deflate.client_window_bits", CONFIG_INTEGER, VALUE(deflate_client_window_bits), "15", .min = 8, .max = 15,
     .help = "The window of such a client, in bits, where it lets us say: 15 is 32 KiB, each step halves it."},
};
const size_t gateway_option_count = BASE_ARRAY_SIZE(gateway_options);

const struct config_option gateway_route_options[] = {
    {"path", CONFIG_TEXT, offsetof(struct gateway_route_config, path), "/", .check = check_path,
     .help = "Template of the URL's path: words, and {room}, {user}, {device} or other names, which are ignored."},
    {"dialect", CONFIG_TEXT, offsetof(struct gateway_route_config, dialect), "json", .check = check_dialect,
     .help = "What is spoken where the client offers no subprotocol that is known."},
};
const size_t gateway_route_option_count = BASE_ARRAY_SIZE(gateway_route_options);
