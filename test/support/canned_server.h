#ifndef SUPPORT_CANNED_SERVER_H
#define SUPPORT_CANNED_SERVER_H

#include "base/macros.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/**
 * struct canned_server - a listener on loopback that reads a request and answers with bytes that the test wrote
 *
 * On a thread of its own, one connection after the other, over TLS if @tls is set. It knows of HTTP only the empty line
 * and Content-Length. Read what it noted after canned_server_stop().
 */
struct canned_server {
    const char *response;
    size_t response_size; /* 0: strlen() */
    bool holds;           /* leaves the connection open after the response, until it is stopped or the peer ends */
    bool drops;           /* ends the connection without reading */
    SSL_CTX *tls;

    char url[64]; /* http://127.0.0.1:port */
    uint16_t port;
    unsigned connections;
    char request[65536]; /* the last one, ended by a NUL */
    size_t request_size;
    int listener;
    int stop[2];
    pthread_t thread;
};

/** Waits for input. false: the test wants an end. */
static inline bool canned_wait(const struct canned_server *s, int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return !(fds[1].revents);
}

static inline bool canned_is_complete(const struct canned_server *s)
{
    const char *end = strstr(s->request, "\r\n\r\n"), *length = strstr(s->request, "Content-Length: ");
    size_t body = length && length < end ? strtoul(length + strlen("Content-Length: "), NULL, 10) : 0;

    return end && s->request_size >= (size_t)(end - s->request) + 4 + body;
}

static inline ssize_t canned_read(int fd, SSL *ssl, void *data, size_t size)
{
    return ssl ? SSL_read(ssl, data, (int)size) : recv(fd, data, size, 0);
}

static inline void canned_answer(struct canned_server *s, int fd, SSL *ssl)
{
    size_t sent = 0, size = s->response_size ? s->response_size : strlen(s->response);
    char byte;

    s->request_size = 0;
    s->request[0] = '\0';
    while (!canned_is_complete(s)) {
        ssize_t got;

        if (!canned_wait(s, fd))
            return;
        got = canned_read(fd, ssl, s->request + s->request_size, sizeof(s->request) - 1 - s->request_size);
        if (got <= 0)
            return;
        s->request_size += (size_t)got;
        s->request[s->request_size] = '\0';
    }
    while (sent < size) {
        ssize_t put = ssl ? SSL_write(ssl, s->response + sent, (int)(size - sent))
                          : send(fd, s->response + sent, size - sent, MSG_NOSIGNAL);

        if (put <= 0)
            return;
        sent += (size_t)put;
    }
    while (s->holds && canned_wait(s, fd) && canned_read(fd, ssl, &byte, 1) > 0)
        ;
}

static inline void *canned_run(void *userdata)
{
    struct canned_server *s = userdata;

    while (canned_wait(s, s->listener)) {
        int fd = accept(s->listener, NULL, NULL);
        SSL *ssl = s->tls ? SSL_new(s->tls) : NULL;

        if (fd < 0)
            break;
        s->connections++;
        if (ssl)
            SSL_set_fd(ssl, fd);
        if (!s->drops && (!ssl || SSL_accept(ssl) == 1)) {
            canned_answer(s, fd, ssl);
            if (ssl)
                SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

/** A listening socket of 127.0.0.1 on a port that the kernel chose. */
static inline int canned_listen(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) < 0)
        abort();
    *ret_port = ntohs(a.sin_port);
    return fd;
}

/** The fields above the empty line are set. */
static inline void canned_server_start(struct canned_server *s)
{
    s->listener = canned_listen(&s->port);
    (void)snprintf(s->url, sizeof(s->url), "%s://127.0.0.1:%u", s->tls ? "https" : "http", s->port);
    if (pipe(s->stop) < 0 || pthread_create(&s->thread, NULL, canned_run, s) != 0)
        abort();
}

static inline void canned_server_stop(struct canned_server *s)
{
    close(s->stop[1]);
    pthread_join(s->thread, NULL);
    close(s->stop[0]);
    close(s->listener);
}

#endif
