#ifndef UNIT_CLIENT_SOCKET_FIXTURE_H
#define UNIT_CLIENT_SOCKET_FIXTURE_H

/*
 * The WebSocket client against a server that is nothing but a script: it reads the upgrade, then writes and reads
 * exactly the bytes that the test says, on a thread of its own.
 */
#include "client/client.h"
#include "support/alloc.h"
#include "ws/deflate.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/** The server's side. It writes @response (%s: the right accept value), then @frames, and reads until the peer ends. */
struct server {
    const char *response;
    const char *frames;
    size_t frames_size;
    bool splits; /* writes byte by byte */
    bool ends;   /* shuts its sending side after writing */
    bool waits;  /* with @ends: for a first frame of the client */
    char request[4096];
    uint8_t got[65536]; /* what the client sent behind the upgrade */
    size_t got_size;
    uint16_t port;
    int listener;
    pthread_t thread;
};

/** recv(2); with a limit of time it is broken off when the process is stopped and goes on. */
static base_unused ssize_t receive(int fd, void *data, size_t size)
{
    ssize_t got;

    do
        got = recv(fd, data, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static base_unused bool read_request(struct server *s, int fd)
{
    size_t size = 0;

    while (!strstr(s->request, "\r\n\r\n")) {
        ssize_t got = receive(fd, s->request + size, sizeof(s->request) - 1 - size);

        if (got <= 0)
            return false;
        size += (size_t)got;
        s->request[size] = '\0';
    }
    return true;
}

static base_unused void write_bytes(const struct server *s, int fd, const char *data, size_t size)
{
    size_t step = s->splits ? 1 : size;

    for (size_t sent = 0; sent < size; sent += step)
        if (send(fd, data + sent, step, MSG_NOSIGNAL) < 0)
            return;
}

/** The response, and the frames in the same write when nothing splits them. */
static base_unused void write_response(const struct server *s, int fd)
{
    static const char good[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: %s\r\n\r\n";
    const char *key = strstr(s->request, "Sec-WebSocket-Key: ") + strlen("Sec-WebSocket-Key: ");
    const char *format = s->response ? s->response : good, *mark = strstr(format, "%s");
    char accept[WS_ACCEPT_TEXT_SIZE + 1], bytes[8192];
    size_t size = 0;

    ws_accept_value(slice_make(key, WS_KEY_TEXT_SIZE), accept);
    if (mark) {
        memcpy(bytes, format, (size_t)(mark - format));
        size = (size_t)(mark - format);
        memcpy(bytes + size, accept, WS_ACCEPT_TEXT_SIZE);
        size += WS_ACCEPT_TEXT_SIZE;
        format = mark + 2;
    }
    memcpy(bytes + size, format, strlen(format));
    size += strlen(format);
    if (s->frames_size)
        memcpy(bytes + size, s->frames, s->frames_size);
    write_bytes(s, fd, bytes, size + s->frames_size);
}

static base_unused void *server_run(void *userdata)
{
    struct server *s = userdata;
    const struct timeval patience = {.tv_sec = 10};
    int fd = accept(s->listener, NULL, NULL), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on));
    if (read_request(s, fd)) {
        write_response(s, fd);
        for (;;) {
            ssize_t got;

            if (s->ends && (!s->waits || s->got_size > 0))
                shutdown(fd, SHUT_WR);
            got = receive(fd, s->got + s->got_size, sizeof(s->got) - s->got_size);
            if (got <= 0)
                break;
            s->got_size += (size_t)got;
        }
    }
    close(fd);
    return NULL;
}

static base_unused void server_start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);

    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &size), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static base_unused void server_join(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
}

/** The client's side: what it was told, and what it does about it. */
struct user {
    struct loop *loop;
    struct net_loop *net;
    struct client_socket *socket;
    unsigned opened, closed, pinged;
    enum ws_opcode opcodes[8];
    struct buffer messages; /* each followed by '|' */
    unsigned count;
    unsigned code, http_status;
    char text[256];
    const char *sends; /* when open */
    bool sends_fragments;
    unsigned closes_at; /* message at which it closes; 0: never */
    bool aborts_at_open;
    bool closes_at_open;
};

static base_unused void on_open(struct client_socket *c)
{
    struct user *u = client_socket_userdata(c);

    u->opened++;
    assert_true(client_socket_is_open(c));
    if (u->sends)
        assert_int_equal(client_socket_send(c, WS_OPCODE_TEXT, slice_from(u->sends)), 0);
    if (u->sends_fragments) {
        assert_int_equal(client_socket_send_frame(c, WS_OPCODE_TEXT, false, SLICE_LITERAL("ab")), 0);
        assert_int_equal(client_socket_send_frame(c, WS_OPCODE_PING, true, SLICE_LITERAL("?")), 0);
        assert_int_equal(client_socket_send_frame(c, WS_OPCODE_CONTINUATION, false, SLICE_LITERAL("")), 0);
        assert_int_equal(client_socket_send_frame(c, WS_OPCODE_CONTINUATION, true, SLICE_LITERAL("c")), 0);
    }
    if (u->closes_at_open)
        client_socket_close(c, 1000);
    if (u->aborts_at_open)
        client_socket_abort(c);
}

static base_unused void on_message(struct client_socket *c, enum ws_opcode opcode, struct slice payload)
{
    struct user *u = client_socket_userdata(c);

    assert_int_equal(u->opened, 1);
    assert_int_equal(u->closed, 0);
    assert_true(u->count < BASE_ARRAY_SIZE(u->opcodes));
    u->opcodes[u->count++] = opcode;
    buffer_append_slice(&u->messages, payload);
    buffer_append_char(&u->messages, '|');
    if (u->count == u->closes_at)
        client_socket_close(c, 1000);
}

static base_unused void on_ping(struct client_socket *c)
{
    ((struct user *)client_socket_userdata(c))->pinged++;
}

static base_unused void on_closed(struct client_socket *c, unsigned code, unsigned http_status, struct slice text)
{
    struct user *u = client_socket_userdata(c);

    u->closed++;
    u->code = code;
    u->http_status = http_status;
    (void)snprintf(u->text, sizeof(u->text), "%.*s", SLICE_PRINTF(text));
    assert_false(client_socket_is_open(c));
    assert_int_equal(client_socket_send(c, WS_OPCODE_TEXT, SLICE_LITERAL("x")), -ENOTCONN);
    u->socket = client_socket_free(c);
    loop_stop(u->loop);
}

static const struct client_socket_ops ops = {
    .on_open = on_open, .on_message = on_message, .on_ping = on_ping, .on_closed = on_closed};

static base_unused void user_begin(struct user *u)
{
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_new("test", &u->loop), 0);
    assert_int_equal(net_loop_new(u->loop, &u->net), 0);
}

static base_unused void user_end(struct user *u)
{
    net_loop_free(u->net);
    loop_free(u->loop);
    buffer_deinit(&u->messages);
}

/** Connects, and runs until it is over. */
static base_unused void converse_with(struct server *s, struct user *u, struct client_socket_options options)
{
    const char *error = NULL;
    char url[64];

    server_start(s);
    user_begin(u);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/chat?a=b", s->port);
    options.url = url;
    assert_int_equal(client_socket_new(u->net, &options, &ops, u, &error, &u->socket), 0);
    assert_null(error);
    loop_run(u->loop);
    assert_int_equal(u->closed, 1);
    server_join(s);
}

static base_unused void converse(struct server *s, struct user *u)
{
    converse_with(s, u, (struct client_socket_options){0});
}

static base_unused const char *messages_of(const struct user *u)
{
    return u->messages.data ? u->messages.data : "";
}

/** What the client sent, unmasked: a frame of at most 125 bytes at @offset. Return: where the next one begins. */
static base_unused size_t expect_fragment(struct server *s, size_t offset, unsigned first_byte, struct slice payload)
{
    uint8_t *frame = s->got + offset;

    assert_true(s->got_size >= offset + 6 + payload.size);
    assert_int_equal(frame[0], first_byte);
    assert_int_equal(frame[1], 0x80 | payload.size); /* masked, section 5.1 */
    for (size_t i = 0; i < payload.size; i++)
        assert_int_equal((uint8_t)(frame[6 + i] ^ frame[2 + i % 4]), (uint8_t)payload.data[i]);
    return offset + 6 + payload.size;
}

static base_unused size_t expect_frame(struct server *s, size_t offset, unsigned opcode, struct slice payload)
{
    return expect_fragment(s, offset, 0x80 | opcode, payload);
}

#define FRAMES(literal) .frames = (literal), .frames_size = sizeof(literal) - 1
#define CLOSE_1000 "\x88\x02\x03\xe8"

#endif
