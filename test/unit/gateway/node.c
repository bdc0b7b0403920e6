#include "unit/gateway/node.h"

#include "base/clock.h"
#include "bus/local.h"
#include "hub/hub.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <semaphore.h>
#include <time.h>

#define PATIENCE_S 60

struct node {
    struct metrics *metrics;
    struct config *config;
    struct gateway_config gateway_config;
    struct hub_config hub_config;
    struct loop *main, *hub_loop, *workers[NODE_WORKERS];
    struct bus *bus;
    struct store *store;
    struct hub *hub;
    struct gateway *gateway;
    struct loop_task shutdown;
    uint64_t spread_ms;
    bool is_shut_down;
    sem_t down;
};

static const struct store_identity identity = {
    .node = "127.0.0.1:1", .incarnation = 7, .seen_window_ms = 60000, .expiry_ms = 60000};

static bool always_ready(void *userdata base_unused, char reason[128] base_unused)
{
    return true;
}

static void node_configure(struct node *n, const char *const *assignments)
{
    struct buffer errors = {0};

    assert_int_equal(config_new(&n->config), 0);
    assert_int_equal(config_add_table(n->config, gateway_options, gateway_option_count, &n->gateway_config), 0);
    assert_int_equal(config_add_table(n->config, hub_options, hub_option_count, &n->hub_config), 0);
    assert_int_equal(config_add_family(n->config, GATEWAY_ROUTE_FAMILY, gateway_route_options,
                                       gateway_route_option_count, sizeof(struct gateway_route_config)),
                     0);
    assert_int_equal(config_add_family(n->config, HUB_CHANNEL_FAMILY, hub_channel_options, hub_channel_option_count,
                                       sizeof(struct hub_channel_config)),
                     0);
    assert_int_equal(config_load_assignment(n->config, "listen.public=127.0.0.1:0", &errors), 0);
    for (; assignments && *assignments; assignments++)
        assert_int_equal(config_load_assignment(n->config, *assignments, &errors), 0);
    assert_int_equal(config_finish(n->config, &errors), 0);
    n->gateway_config.message_bytes = n->hub_config.message_bytes;
    n->hub_config.sections = n->config;
    buffer_deinit(&errors);
}

struct node *node_start(const char *const *assignments)
{
    static const struct hub_identity hub_identity = {
        .node = "127.0.0.1:1", .incarnation = 7, .internal = "127.0.0.1:2", .version = "0"};
    struct node *n = calloc(1, sizeof(*n));
    struct gateway_environment environment = {.node = hub_identity.node, .is_ready = always_ready};
    struct buffer errors = {0};

    assert_non_null(n);
    node_configure(n, assignments);
    sem_init(&n->down, 0, 0);
    n->metrics = metrics_new();
    assert_non_null(n->metrics);
    assert_int_equal(loop_new("main", &n->main), 0);
    assert_int_equal(loop_new("hub", &n->hub_loop), 0);
    assert_int_equal(bus_local_new(n->hub_loop, 1024, &n->bus), 0);
    assert_int_equal(memory_store_new(n->hub_loop, &identity, &n->store), 0);
    assert_int_equal(hub_new(n->hub_loop, &n->hub_config, &hub_identity, n->bus, n->store, n->metrics, &n->hub), 0);
    environment.metrics = n->metrics;
    environment.config = n->config;
    assert_int_equal(gateway_new(&n->gateway_config, &environment, &errors, &n->gateway), 0);
    for (size_t i = 0; i < NODE_WORKERS; i++) {
        assert_int_equal(loop_new("worker", &n->workers[i]), 0);
        assert_int_equal(gateway_add_worker(n->gateway, n->workers[i], n->hub), 0);
    }
    assert_int_equal(hub_start(n->hub), 0);
    assert_int_equal(gateway_listen(n->gateway, n->main, &errors), 0);
    assert_int_equal(loop_start(n->hub_loop), 0);
    for (size_t i = 0; i < NODE_WORKERS; i++)
        assert_int_equal(loop_start(n->workers[i]), 0);
    assert_int_equal(loop_start(n->main), 0);
    return n;
}

static void on_down(void *userdata)
{
    struct node *n = userdata;

    sem_post(&n->down);
}

static void on_shutdown(struct loop_task *task)
{
    struct node *n = container_of(task, struct node, shutdown);

    gateway_shutdown(n->gateway, n->spread_ms, 0, on_down, n);
}

void node_shutdown(struct node *n, uint64_t spread_ms)
{
    n->is_shut_down = true;
    n->spread_ms = spread_ms;
    n->shutdown.run = on_shutdown;
    loop_post(n->main, &n->shutdown);
}

void node_wait_down(struct node *n)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    assert_int_equal(sem_timedwait(&n->down, &until), 0);
    sem_post(&n->down);
}

void node_stop(struct node *n)
{
    if (!n->is_shut_down)
        node_shutdown(n, 0);
    node_wait_down(n);
    for (size_t i = 0; i < NODE_WORKERS; i++)
        loop_stop(n->workers[i]);
    for (size_t i = 0; i < NODE_WORKERS; i++)
        loop_join(n->workers[i]);
    loop_stop(n->main);
    loop_join(n->main);
    loop_stop(n->hub_loop);
    loop_join(n->hub_loop);
    hub_stop(n->hub);
    assert_int_equal(node_metric(n, "warren_gateway_connections"), 0);
    assert_int_equal(node_metric(n, "warren_gateway_sessions"), 0);
    gateway_free(n->gateway);
    hub_free(n->hub);
    bus_free(n->bus);
    store_free(n->store);
    for (size_t i = 0; i < NODE_WORKERS; i++)
        loop_free(n->workers[i]);
    loop_free(n->hub_loop);
    loop_free(n->main);
    metrics_free(n->metrics);
    config_free(n->config);
    sem_destroy(&n->down);
    free(n);
}

int64_t node_metric(struct node *n, const char *line)
{
    struct buffer page = {0};
    char pattern[160];
    const char *at;
    int64_t value = -1;

    snprintf(pattern, sizeof(pattern), "\n%s ", line);
    metrics_write_page(n->metrics, &page);
    at = strstr(page.data, pattern);
    if (at)
        value = strtoll(at + strlen(pattern), NULL, 10);
    buffer_deinit(&page);
    return value;
}

void node_wait_metric(struct node *n, const char *line, int64_t value)
{
    uint64_t until_ms = clock_monotonic_ms() + PATIENCE_S * 1000;

    while (node_metric(n, line) != value) {
        if (clock_monotonic_ms() > until_ms)
            fail_msg("%s is %lld, not %lld", line, (long long)node_metric(n, line), (long long)value);
        usleep(2000);
    }
}

/* ---- clients ---- */

struct client *client_connect(struct node *n)
{
    const struct net_address *address = gateway_address(n->gateway);
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    static const struct ws_parser_options options = {.max_message_bytes = 1 << 24};
    struct client *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    ws_parser_init(&c->parser, &options);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&address->storage, address->size), 0);
    return c;
}

void client_close(struct client *c)
{
    close(c->fd);
    ws_parser_deinit(&c->parser);
    free(c);
}

void client_send(struct client *c, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t sent = send(c->fd, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        assert_true(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

void client_send_text(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

/** More bytes, behind those that are left. False at the end of the stream. */
static bool client_fill(struct client *c)
{
    ssize_t got;

    memmove(c->bytes, c->bytes + c->used, c->have - c->used);
    c->have -= c->used;
    c->used = 0;
    assert_true(c->have < sizeof(c->bytes));
    do /* with a limit of time it is broken off when the process is stopped and goes on */
        got = recv(c->fd, c->bytes + c->have, sizeof(c->bytes) - c->have, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        fail_msg("nothing came for %d seconds", PATIENCE_S);
    if (got <= 0)
        return false;
    c->have += (size_t)got;
    return true;
}

unsigned client_request(struct client *c, const char *request, struct buffer *ret_response)
{
    const char *end;
    char *length;
    size_t head, body = 0;
    unsigned status;

    client_send_text(c, request);
    while (!(end = memmem(c->bytes + c->used, c->have - c->used, "\r\n\r\n", 4)))
        assert_true(client_fill(c));
    head = (size_t)(end + 4 - (c->bytes + c->used));
    buffer_reset(ret_response, 0);
    buffer_append(ret_response, c->bytes + c->used, head);
    length = strstr(ret_response->data, "Content-Length: ");
    if (length)
        body = strtoul(length + 16, NULL, 10);
    while (c->have - c->used < head + body)
        assert_true(client_fill(c));
    buffer_append(ret_response, c->bytes + c->used + head, body);
    c->used += head + body;
    assert_int_equal(sscanf(ret_response->data, "HTTP/1.1 %u", &status), 1);
    return status;
}

struct client *client_upgrade(struct node *n, const char *target)
{
    struct client *c = client_connect(n);
    struct buffer response = {0};
    char request[512];

    snprintf(
        request, sizeof(request),
        "GET %s HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target);
    assert_int_equal(client_request(c, request, &response), 101);
    buffer_deinit(&response);
    return c;
}

void client_send_frame(struct client *c, unsigned first_byte, const void *data, size_t size)
{
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};
    char *frame = malloc(WS_HEADER_MAX_BYTES + size);
    size_t header;

    assert_non_null(frame);
    header = ws_header_write(frame, (enum ws_opcode)(first_byte & 15), (first_byte & 0x80) != 0, first_byte & 0x70,
                             size, key);
    if (size > 0)
        memcpy(frame + header, data, size);
    ws_mask(frame + header, size, key, 0);
    client_send(c, frame, header + size);
    free(frame);
}

void client_send_json(struct client *c, const char *json)
{
    client_send_frame(c, 0x80 | WS_OPCODE_TEXT, json, strlen(json));
}

struct ws_event client_read(struct client *c)
{
    struct ws_event event;

    for (;;) {
        size_t consumed;
        int result = ws_parser_feed(&c->parser, c->bytes + c->used, c->have - c->used, &consumed, &event);

        c->used += consumed;
        if (result == 0)
            return event;
        assert_int_equal(result, WS_MORE);
        assert_true(client_fill(c));
    }
}

const char *client_expect(struct client *c, const char *part)
{
    static char text[65536];

    for (;;) {
        struct ws_event event = client_read(c);

        assert_int_equal(event.type, WS_EVENT_MESSAGE);
        assert_int_equal(event.opcode, WS_OPCODE_TEXT);
        assert_true(event.payload.size < sizeof(text));
        memcpy(text, event.payload.data, event.payload.size);
        text[event.payload.size] = '\0';
        if (strstr(text, part))
            return text;
    }
}

void client_expect_close(struct client *c, unsigned code)
{
    struct ws_event event;

    do
        event = client_read(c);
    while (event.type == WS_EVENT_MESSAGE);
    assert_int_equal(event.type, WS_EVENT_CLOSE);
    assert_int_equal(event.close_code, code);
}

void client_expect_end(struct client *c)
{
    assert_int_equal(c->have, c->used);
    assert_false(client_fill(c));
}
