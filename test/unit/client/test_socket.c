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
static ssize_t receive(int fd, void *data, size_t size)
{
    ssize_t got;

    do
        got = recv(fd, data, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool read_request(struct server *s, int fd)
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

static void write_bytes(const struct server *s, int fd, const char *data, size_t size)
{
    size_t step = s->splits ? 1 : size;

    for (size_t sent = 0; sent < size; sent += step)
        if (send(fd, data + sent, step, MSG_NOSIGNAL) < 0)
            return;
}

/** The response, and the frames in the same write when nothing splits them. */
static void write_response(const struct server *s, int fd)
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

static void *server_run(void *userdata)
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

static void server_start(struct server *s)
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

static void server_join(struct server *s)
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

static void on_open(struct client_socket *c)
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

static void on_message(struct client_socket *c, enum ws_opcode opcode, struct slice payload)
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

static void on_ping(struct client_socket *c)
{
    ((struct user *)client_socket_userdata(c))->pinged++;
}

static void on_closed(struct client_socket *c, unsigned code, unsigned http_status, struct slice text)
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

static void user_begin(struct user *u)
{
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_new("test", &u->loop), 0);
    assert_int_equal(net_loop_new(u->loop, &u->net), 0);
}

static void user_end(struct user *u)
{
    net_loop_free(u->net);
    loop_free(u->loop);
    buffer_deinit(&u->messages);
}

/** Connects, and runs until it is over. */
static void converse_with(struct server *s, struct user *u, struct client_socket_options options)
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

static void converse(struct server *s, struct user *u)
{
    converse_with(s, u, (struct client_socket_options){0});
}

static const char *messages_of(const struct user *u)
{
    return u->messages.data ? u->messages.data : "";
}

/** What the client sent, unmasked: a frame of at most 125 bytes at @offset. Return: where the next one begins. */
static size_t expect_fragment(struct server *s, size_t offset, unsigned first_byte, struct slice payload)
{
    uint8_t *frame = s->got + offset;

    assert_true(s->got_size >= offset + 6 + payload.size);
    assert_int_equal(frame[0], first_byte);
    assert_int_equal(frame[1], 0x80 | payload.size); /* masked, section 5.1 */
    for (size_t i = 0; i < payload.size; i++)
        assert_int_equal((uint8_t)(frame[6 + i] ^ frame[2 + i % 4]), (uint8_t)payload.data[i]);
    return offset + 6 + payload.size;
}

static size_t expect_frame(struct server *s, size_t offset, unsigned opcode, struct slice payload)
{
    return expect_fragment(s, offset, 0x80 | opcode, payload);
}

#define FRAMES(literal) .frames = (literal), .frames_size = sizeof(literal) - 1
#define CLOSE_1000 "\x88\x02\x03\xe8"

/* ---- the upgrade ---- */

static void test_upgrade(void **state base_unused)
{
    struct server s = {FRAMES("\x81\x05hello" CLOSE_1000)};
    struct user u = {.sends = "hi there"};
    char host[64];

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_string_equal(messages_of(&u), "hello|");
    assert_int_equal(u.opcodes[0], WS_OPCODE_TEXT);
    assert_int_equal(u.code, 1000);
    assert_int_equal(u.http_status, 0);
    assert_string_equal(u.text, "");
    assert_memory_equal(s.request, "GET /chat?a=b HTTP/1.1\r\n", 24);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", s.port);
    assert_non_null(strstr(s.request, host));
    assert_non_null(strstr(s.request, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strstr(s.request, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(s.request, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_null(strstr(s.request, "Sec-WebSocket-Protocol"));
    assert_int_equal(expect_frame(&s, expect_frame(&s, 0, 1, SLICE_LITERAL("hi there")), 8, SLICE_LITERAL("\x03\xe8")),
                     s.got_size);
    user_end(&u);
}

static void test_byte_by_byte(void **state base_unused)
{
    struct server s = {.splits = true, FRAMES("\x81\x05hello\x82\x01\xff" CLOSE_1000)};
    struct user u = {0};

    converse(&s, &u);
    assert_string_equal(messages_of(&u), "hello|\xff|");
    assert_int_equal(u.opcodes[1], WS_OPCODE_BINARY);
    assert_int_equal(u.code, 1000);
    user_end(&u);
}

static void test_subprotocol_and_headers(void **state base_unused)
{
    struct server s = {
        .response = "HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n"
                    "Sec-WebSocket-Protocol: warren.json.v1\r\nSec-WebSocket-Accept: %s\r\n\r\n",
        FRAMES(CLOSE_1000),
    };
    struct user u = {0};

    converse_with(
        &s, &u,
        (struct client_socket_options){.subprotocol = "warren.json.v1", .headers = "Cookie: a=b\r\nX-Y: z\r\n"});
    assert_int_equal(u.opened, 1);
    assert_non_null(strstr(s.request, "\r\nSec-WebSocket-Protocol: warren.json.v1\r\n"));
    assert_non_null(strstr(s.request, "\r\nCookie: a=b\r\nX-Y: z\r\n\r\n"));
    user_end(&u);
}

#define UPGRADE "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

/* Section 4.1: what a client must not take for an upgrade. */
static void test_wrong_upgrades(void **state base_unused)
{
    static const char *const rows[][2] = {
        {UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "Accept is wrong"},
        {UPGRADE "\r\n", "Accept is wrong"},
        {UPGRADE "Sec-WebSocket-Accept:\r\n\r\n", "Accept is wrong"},
        {"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", "lacks Upgrade"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", "lacks Upgrade"},
        {"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", "lacks Upgrade"},
        {UPGRADE "Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Accept: %s\r\n\r\n", "subprotocol"},
        {UPGRADE "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: %s\r\n\r\n", "extension"},
        {"HTTP/1.1 abc\r\n\r\n", ""},
        {"no HTTP at all\r\n\r\n", ""},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.response = rows[i][0], FRAMES("\x81\x05hello")};
        struct user u = {0};

        converse_with(&s, &u, (struct client_socket_options){.subprotocol = "mine"});
        assert_int_equal(u.opened, 0);
        assert_string_equal(messages_of(&u), "");
        assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
        assert_int_equal(u.http_status, 0);
        assert_true(u.text[0]);
        assert_non_null(strstr(u.text, rows[i][1]));
        assert_int_equal(s.got_size, 0);
        user_end(&u);
    }
}

/* ---- compression ---- */

#define DEFLATE UPGRADE "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: "
#define LONG_TEXT "the same again, the same again, the same again"

/* RFC 7692: offered, answered, both ways; with takeover as the server likes, and a window of ours as it says. */
static void test_deflate(void **state base_unused)
{
    static const struct {
        const char *response;
        bool keeps, is_none;
    } rows[] = {
        {DEFLATE "permessage-deflate\r\n\r\n", true, false},
        {DEFLATE "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n", false, false},
        {DEFLATE "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8\r\n\r\n", true, false},
        {UPGRADE "Sec-WebSocket-Accept: %s\r\n\r\n", false, true},
    };

    for (size_t i = 0; i < 2 * BASE_ARRAY_SIZE(rows); i++) {
        size_t row = i / 2;
        struct server s = {.response = rows[row].response, .splits = i % 2 != 0};
        struct user u = {.sends = LONG_TEXT};
        struct client_deflate *deflate = client_deflate_new();
        struct ws_inflate_pool pool = {0};
        const struct ws_parser_options server_side = {
            .expect_masked = true, .allowed_rsv = WS_RSV1, .max_message_bytes = 1000, .inflate = &pool};
        struct ws_parser p;
        struct ws_event e;
        size_t n;

        /* Section 7.2.3.2, or the first message twice */
        if (rows[row].is_none) {
            s.frames = "\x81\x05Hello\x81\x05Hello" CLOSE_1000;
            s.frames_size = 18;
        } else if (rows[row].keeps) {
            s.frames = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00" CLOSE_1000;
            s.frames_size = 20;
        } else {
            s.frames = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00" CLOSE_1000;
            s.frames_size = 22;
        }
        assert_non_null(deflate);
        converse_with(&s, &u, (struct client_socket_options){.deflate = deflate});
        assert_string_equal(u.text, "");
        assert_string_equal(messages_of(&u), "Hello|Hello|");
        assert_non_null(
            strstr(s.request, "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"));
        ws_parser_init(&p, &server_side);
        assert_int_equal(ws_parser_feed(&p, (char *)s.got, s.got_size, &n, &e), 0);
        assert_true(slice_equal_text(e.payload, LONG_TEXT));
        assert_int_equal(e.rsv, rows[row].is_none ? 0 : WS_RSV1);
        ws_parser_deinit(&p);
        ws_inflate_pool_deinit(&pool);
        user_end(&u);
        client_deflate_free(deflate);
    }
}

static void test_wrong_answers_to_deflate(void **state base_unused)
{
    static const char *const rows[] = {
        DEFLATE "foo\r\n\r\n",
        DEFLATE "permessage-deflate; foo\r\n\r\n",
        DEFLATE "permessage-deflate; client_max_window_bits\r\n\r\n",
        DEFLATE "permessage-deflate; server_max_window_bits=7\r\n\r\n",
        DEFLATE "permessage-deflate; server_no_context_takeover; server_no_context_takeover\r\n\r\n",
        DEFLATE "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        DEFLATE "permessage-deflate;\r\n\r\n",
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.response = rows[i]};
        struct user u = {0};
        struct client_deflate *deflate = client_deflate_new();

        assert_non_null(deflate);
        converse_with(&s, &u, (struct client_socket_options){.deflate = deflate});
        assert_int_equal(u.opened, 0);
        assert_string_equal(u.text, "the response has an extension that does not answer ours");
        user_end(&u);
        client_deflate_free(deflate);
    }
}

/* With a length, chunked, and up to the end of the stream. */
static void test_refusals(void **state base_unused)
{
    static const struct {
        const char *response;
        unsigned status;
        bool ends;
    } rows[] = {
        {"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nfull", 503, false},
        {"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 404, false},
        {"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno, not you", 403, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false},
        {"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 301, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.response = rows[i].response, .ends = rows[i].ends};
        struct user u = {0};

        converse(&s, &u);
        assert_int_equal(u.opened, 0);
        assert_int_equal(u.http_status, rows[i].status);
        assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
        assert_string_equal(u.text, "the upgrade was refused");
        user_end(&u);
    }
}

static void test_no_upgrade(void **state base_unused)
{
    struct server silent = {.response = ""}, ends = {.response = "HTTP/1.1 101", .ends = true};
    struct user u = {0}, v = {0};

    converse_with(&silent, &u, (struct client_socket_options){.timeout_ms = 200});
    assert_string_equal(u.text, "no upgrade in time");
    assert_int_equal(u.opened + u.http_status, 0);
    user_end(&u);
    converse(&ends, &v);
    assert_string_equal(v.text, "eof");
    assert_int_equal(v.opened + v.http_status, 0);
    user_end(&v);
}

static void test_nobody_listens(void **state base_unused)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const char *error = NULL;
    struct user u = {0};
    char url[64];

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0); /* bound, not listening: the port stays ours */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    (void)snprintf(url, sizeof(url), "ws://localhost:%u", ntohs(a.sin_port));
    user_begin(&u);
    assert_int_equal(client_socket_new(u.net, &(struct client_socket_options){.url = url}, &ops, &u, &error, &u.socket),
                     0);
    loop_run(u.loop);
    assert_int_equal(u.closed, 1);
    assert_string_equal(u.text, "Connection refused");
    user_end(&u);
    close(fd);
}

static void test_wrong_urls(void **state base_unused)
{
    static const char *const urls[] = {"",
                                       "http://127.0.0.1/",
                                       "ws://",
                                       "ws://127.0.0.1:x/",
                                       "wss://127.0.0.1/",
                                       "ws://127.0.0.1/a b",
                                       "ws://127.0.0.1/\r\nX: y"};
    struct user u = {0};

    user_begin(&u);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(urls); i++) {
        const char *error = NULL;

        assert_int_equal(
            client_socket_new(u.net, &(struct client_socket_options){.url = urls[i]}, &ops, &u, &error, &u.socket),
            -EINVAL);
        assert_non_null(error);
        assert_null(u.socket);
    }
    user_end(&u);
}

/* ---- messages ---- */

static void test_fragments(void **state base_unused)
{
    struct server s = {FRAMES("\x01\x03"
                              "abc"
                              "\x89\x02hi" /* between fragments, section 5.4 */
                              "\x00\x02"
                              "de"
                              "\x80\x01"
                              "f"
                              "\x81\x00" CLOSE_1000)};
    struct user u = {0};

    converse(&s, &u);
    assert_string_equal(messages_of(&u), "abcdef||");
    expect_frame(&s, 0, 10, SLICE_LITERAL("hi"));
    user_end(&u);
}

static void test_ping_is_answered_with_its_payload(void **state base_unused)
{
    struct server s = {FRAMES("\x89\x00\x89\x04ping\x8a\x03xyz" CLOSE_1000)};
    struct user u = {0};
    size_t next;

    converse(&s, &u);
    assert_int_equal(u.count, 0);
    assert_int_equal(u.pinged, 2);
    next = expect_frame(&s, 0, 10, SLICE_LITERAL(""));
    next = expect_frame(&s, next, 10, SLICE_LITERAL("ping"));
    assert_int_equal(expect_frame(&s, next, 8, SLICE_LITERAL("\x03\xe8")), s.got_size);
    user_end(&u);
}

static void test_fragments_out(void **state base_unused)
{
    struct server s = {FRAMES(CLOSE_1000)};
    struct user u = {.sends_fragments = true};
    size_t next;

    converse(&s, &u);
    next = expect_fragment(&s, 0, 0x01, SLICE_LITERAL("ab"));
    next = expect_fragment(&s, next, 0x89, SLICE_LITERAL("?"));
    next = expect_fragment(&s, next, 0x00, SLICE_LITERAL(""));
    next = expect_fragment(&s, next, 0x80, SLICE_LITERAL("c"));
    expect_frame(&s, next, 8, SLICE_LITERAL("\x03\xe8"));
    user_end(&u);
}

static void test_servers_that_break_rules(void **state base_unused)
{
    static const struct {
        const char *frames;
        size_t size;
        unsigned code;
    } rows[] = {
        {"\x81\x85mask\x05\x04\x1f\x07\x02", 11, 1002}, /* masked */
        {"\x91\x00", 2, 1002},                          /* RSV */
        {"\x83\x00", 2, 1002},                          /* opcode */
        {"\x80\x00", 2, 1002},                          /* nothing to continue */
        {"\x81\x01\xff", 3, 1007},                      /* UTF-8 */
        {"\x82\x7e\x00\x80", 4, 1009},                  /* 128 bytes where 100 are allowed */
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.frames = rows[i].frames, .frames_size = rows[i].size};
        struct user u = {0};

        converse_with(&s, &u, (struct client_socket_options){.max_message_bytes = 100});
        assert_int_equal(u.opened, 1);
        assert_int_equal(u.count, 0);
        assert_int_equal(u.code, WS_CLOSE_ABNORMAL); /* the peer gave none */
        assert_true(u.text[0]);
        assert_int_equal(s.got[0], 0x88);
        assert_int_equal((s.got[6] ^ s.got[2]) << 8 | (s.got[7] ^ s.got[3]), rows[i].code);
        user_end(&u);
    }
}

/* ---- ends ---- */

static void test_close_with_reason(void **state base_unused)
{
    struct server s = {FRAMES("\x88\x0a\x10\x04"
                              "draining"
                              "\x81\x01x")};
    struct user u = {0};

    converse(&s, &u);
    assert_int_equal(u.code, 4100);
    assert_string_equal(u.text, "draining");
    assert_int_equal(u.count, 0); /* nothing behind a close frame */
    assert_int_equal(expect_frame(&s, 0, 8, SLICE_LITERAL("\x10\x04")), s.got_size);
    user_end(&u);
}

static void test_close_without_code(void **state base_unused)
{
    struct server s = {FRAMES("\x88\x00")};
    struct user u = {0};

    converse(&s, &u);
    assert_int_equal(u.code, WS_CLOSE_NO_STATUS);
    assert_int_equal(expect_frame(&s, 0, 8, SLICE_LITERAL("")), s.got_size);
    user_end(&u);
}

/* The client closes; what is still under way arrives, until the peer's close frame. */
static void test_close_by_the_client(void **state base_unused)
{
    struct server s = {FRAMES("\x81\x01"
                              "a"
                              "\x81\x01"
                              "b" CLOSE_1000)};
    struct user u = {.closes_at = 1};

    converse(&s, &u);
    assert_string_equal(messages_of(&u), "a|b|");
    assert_int_equal(u.code, 1000);
    assert_int_equal(expect_frame(&s, 0, 8, SLICE_LITERAL("\x03\xe8")), s.got_size); /* one, not two */
    user_end(&u);
}

static void test_close_that_the_peer_ends_without_answer(void **state base_unused)
{
    struct server s = {.ends = true, .waits = true};
    struct user u = {.closes_at_open = true};

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
    expect_frame(&s, 0, 8, SLICE_LITERAL("\x03\xe8"));
    user_end(&u);
}

static void test_end_without_close(void **state base_unused)
{
    struct server s = {.ends = true, FRAMES("\x81\x05hel")};
    struct user u = {0};

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_int_equal(u.count, 0);
    assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
    assert_string_equal(u.text, "eof");
    user_end(&u);
}

static void test_abort_from_inside(void **state base_unused)
{
    struct server s = {FRAMES("\x81\x01x")};
    struct user u = {.aborts_at_open = true};

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_int_equal(u.count, 0);
    assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
    assert_string_equal(u.text, "aborted");
    user_end(&u);
}

static void test_close_before_it_is_open(void **state base_unused)
{
    struct server s = {.response = ""};
    struct user u = {0};
    const char *error;
    char url[64];

    server_start(&s);
    user_begin(&u);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", s.port);
    assert_int_equal(client_socket_new(u.net, &(struct client_socket_options){.url = url}, &ops, &u, &error, &u.socket),
                     0);
    assert_int_equal(client_socket_send(u.socket, WS_OPCODE_TEXT, SLICE_LITERAL("x")), -ENOTCONN);
    client_socket_close(u.socket, 1000);
    assert_int_equal(u.closed, 0); /* never from inside */
    loop_run(u.loop);
    assert_int_equal(u.closed, 1);
    assert_int_equal(u.opened, 0);
    server_join(&s);
    user_end(&u);
}

/* Each of the client's allocations fails in turn: one socket ends, nothing leaks. */
static void test_out_of_memory(void **state base_unused)
{
    unsigned began = 0;

    for (size_t n = 0;; n++) {
        struct server s = {FRAMES("\x01\x01"
                                  "a"
                                  "\x80\x01"
                                  "b" CLOSE_1000)};
        struct user u = {0};
        const struct client_socket_options options = {.subprotocol = "p"};
        struct client_socket_options with_url = options;
        const char *error = NULL;
        bool was_refused;
        char url[64];
        int result;

        server_start(&s);
        user_begin(&u);
        (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", s.port);
        with_url.url = url;
        alloc_fail_after(n);
        result = client_socket_new(u.net, &with_url, &ops, &u, &error, &u.socket);
        if (result == 0)
            loop_run(u.loop);
        was_refused = alloc_fail_disarm();
        if (result) {
            struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(s.port)};
            int fd = socket(AF_INET, SOCK_STREAM, 0);

            assert_int_equal(result, -ENOMEM);
            assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0); /* or the server waits for ever */
            close(fd);
        } else {
            began++;
            assert_int_equal(u.closed, 1);
        }
        server_join(&s);
        if (!was_refused)
            assert_int_equal(u.code, 1000);
        user_end(&u);
        if (!was_refused)
            break;
    }
    assert_true(began > 1); /* some failed after the beginning */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_subprotocol_and_headers),
        cmocka_unit_test(test_wrong_upgrades),
        cmocka_unit_test(test_deflate),
        cmocka_unit_test(test_wrong_answers_to_deflate),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_upgrade),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_wrong_urls),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_ping_is_answered_with_its_payload),
        cmocka_unit_test(test_fragments_out),
        cmocka_unit_test(test_servers_that_break_rules),
        cmocka_unit_test(test_close_with_reason),
        cmocka_unit_test(test_close_without_code),
        cmocka_unit_test(test_close_by_the_client),
        cmocka_unit_test(test_close_that_the_peer_ends_without_answer),
        cmocka_unit_test(test_end_without_close),
        cmocka_unit_test(test_abort_from_inside),
        cmocka_unit_test(test_close_before_it_is_open),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
