#ifndef TEST_GATEWAY_NODE_H
#define TEST_GATEWAY_NODE_H

#include "base/buffer.h"
#include "gateway/gateway.h"
#include "ws/ws.h"

/*
 * A whole gateway over a hub with the bus and store of one node alone, on threads of its own, and blocking clients that
 * speak raw bytes to it over loopback. Nothing waits for a time to pass: reads block, with a limit after which the test
 * fails.
 */
struct node;

/** Newcomers are dealt out to them in turn. */
#define NODE_WORKERS 2

/** @assignments: "section.key=value", ended by NULL. */
struct node *node_start(const char *const *assignments);
/** Shuts the gateway down if that has not been done, and everything else. */
void node_stop(struct node *n);
/** Begins to shut the gateway down. */
void node_shutdown(struct node *n, uint64_t spread_ms);
/** Until the gateway said that it is down. */
void node_wait_down(struct node *n);
/** The value of a line of the metrics page, e.g. `warren_gateway_ended_total{reason="idle"}`. */
int64_t node_metric(struct node *n, const char *line);
/** Until the metric has that value. */
void node_wait_metric(struct node *n, const char *line, int64_t value);

struct client {
    int fd;
    struct ws_parser parser;
    char bytes[65536];
    size_t have, used;
};

struct client *client_connect(struct node *n);
void client_close(struct client *c);
void client_send(struct client *c, const void *data, size_t size);
void client_send_text(struct client *c, const char *text);
/** The request and the whole response to it; returns the status. */
unsigned client_request(struct client *c, const char *request, struct buffer *ret_response);
/** Upgrades at @target, which must succeed. */
struct client *client_upgrade(struct node *n, const char *target);
/** One masked frame. @first_byte: FIN, RSV and opcode. */
void client_send_frame(struct client *c, unsigned first_byte, const void *data, size_t size);
void client_send_json(struct client *c, const char *json);
/** The next message or control frame; its payload is valid until the next call. */
struct ws_event client_read(struct client *c);
/** The next text message that contains @part; others are passed over. Its text, until the next call. */
const char *client_expect(struct client *c, const char *part);
/** The next event is a close frame with this code; then the stream ends. */
void client_expect_close(struct client *c, unsigned code);
/** The stream ends, and nothing comes before. */
void client_expect_end(struct client *c);

#endif
