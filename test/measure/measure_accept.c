/*
 * What the kernel and a SHA-1 take for a WebSocket connection that comes: accept, wait for the request, read it, answer
 * 101. The bare loop beside which a node's CPU time for a join stands, which is this and a session, a room and a
 * welcome.
 *
 *   measure_accept [CONNECTIONS]
 *
 * The clients are a process of its own, on another CPU where there is one; they come as fast as they are answered.
 */
#include "measure.h"
#include "ws/ws.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MAX 256
#define UNDER_WAY 500 /* connections that may wait for their answers */

static const char request[] =
    "GET /websocket/lobby/somebody HTTP/1.1\r\nHost: 127.0.0.1:8091\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static void come(const struct sockaddr_in *address, unsigned count)
{
    int *connections = calloc(count, sizeof(*connections));
    char answer[512];

    if (!connections)
        fail("calloc");
    pin(1);
    for (unsigned begun = 0, answered = 0; answered < count; answered++) {
        for (; begun < count && begun < answered + UNDER_WAY; begun++) {
            connections[begun] = socket(AF_INET, SOCK_STREAM, 0);
            if (connections[begun] < 0 ||
                connect(connections[begun], (const struct sockaddr *)address, sizeof(*address)) < 0 ||
                send(connections[begun], request, sizeof(request) - 1, 0) < 0)
                fail("connect");
        }
        if (recv(connections[answered], answer, sizeof(answer), 0) <= 0)
            fail("an answer");
    }
    for (unsigned i = 0; i < count; i++)
        close(connections[i]);
    free(connections);
}

static void answer(int fd)
{
    char text[1024], accept_value[WS_ACCEPT_TEXT_SIZE + 1], head[256];
    ssize_t size = recv(fd, text, sizeof(text) - 1, 0);
    const char *key;
    int length;

    if (size <= 0)
        fail("a request");
    text[size] = '\0';
    key = strstr(text, "Sec-WebSocket-Key: ");
    if (!key)
        fail("a request without a key");
    ws_accept_value(slice_make(key + strlen("Sec-WebSocket-Key: "), WS_KEY_TEXT_SIZE), accept_value);
    length = snprintf(head, sizeof(head),
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                      "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                      accept_value);
    if (send(fd, head, (size_t)length, MSG_NOSIGNAL) != length)
        fail("send");
}

static void serve(int listener, unsigned count)
{
    int poll = epoll_create1(0);
    struct epoll_event ready[READY_MAX], event = {.events = EPOLLIN, .data.fd = listener};
    unsigned answered = 0;

    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    while (answered < count) {
        int found = epoll_wait(poll, ready, READY_MAX, -1);

        for (int i = 0; i < found; i++) {
            if (ready[i].data.fd != listener) {
                answer(ready[i].data.fd);
                answered++;
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                event.data.fd = fd;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
    close(poll); /* the connections end with the process */
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5000;
    double cpu;
    pid_t clients;

    if (!count || argc > 2) {
        fputs("expected: [CONNECTIONS]\n", stderr);
        return 2;
    }
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        fail("listen");
    clients = fork();
    if (clients == 0) {
        come(&address, count);
        return 0;
    }
    pin(0);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    serve(listener, count);
    printf("%u connections accepted and upgraded; %.4f ms of CPU each\n", count,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3 / count);
    waitpid(clients, NULL, 0);
    return 0;
}
