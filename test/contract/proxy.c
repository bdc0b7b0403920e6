/*
 * All state stands under one lock that the thread holds while it forwards; it wakes every 5 ms at the latest, which is
 * soon enough for tests and needs no second channel to it.
 */
#include "contract/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_MAX 32

struct link {
    int client;
    int server;
};

struct proxy {
    pthread_t thread;
    pthread_mutex_t lock;
    int listener;
    int port;
    struct sockaddr_in target;
    struct link links[LINKS_MAX];
    size_t count;
    bool is_frozen;
    bool is_ending;
};

static void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = send(fd, data, size, MSG_NOSIGNAL);

        if (written <= 0)
            return;
        data += written;
        size -= (size_t)written;
    }
}

/** false: one side has closed. */
static bool forward(int from, int to)
{
    char bytes[65536];
    ssize_t got = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    write_all(to, bytes, (size_t)got);
    return true;
}

static void drop(struct proxy *p, size_t index)
{
    (void)close(p->links[index].client);
    (void)close(p->links[index].server);
    p->links[index] = p->links[--p->count];
}

static void accept_one(struct proxy *p)
{
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (client < 0 || server < 0 || p->count == LINKS_MAX ||
        connect(server, (struct sockaddr *)&p->target, sizeof(p->target)) < 0) {
        if (client >= 0)
            (void)close(client);
        if (server >= 0)
            (void)close(server);
        return;
    }
    p->links[p->count++] = (struct link){client, server};
}

static void *run(void *argument)
{
    struct proxy *p = argument;

    for (;;) {
        struct pollfd fds[1 + 2 * LINKS_MAX];
        nfds_t count = 0;

        (void)pthread_mutex_lock(&p->lock);
        if (p->is_ending) {
            (void)pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        fds[count++] = (struct pollfd){.fd = p->listener, .events = POLLIN};
        for (size_t i = 0; i < p->count && !p->is_frozen; i++) {
            fds[count++] = (struct pollfd){.fd = p->links[i].client, .events = POLLIN};
            fds[count++] = (struct pollfd){.fd = p->links[i].server, .events = POLLIN};
        }
        (void)pthread_mutex_unlock(&p->lock);
        (void)poll(fds, count, 5);
        (void)pthread_mutex_lock(&p->lock);
        for (size_t i = p->count; i > 0 && !p->is_frozen; i--) {
            struct link link = p->links[i - 1];

            if (!forward(link.client, link.server) || !forward(link.server, link.client))
                drop(p, i - 1);
        }
        if (fds[0].revents)
            accept_one(p);
        (void)pthread_mutex_unlock(&p->lock);
    }
}

struct proxy *proxy_new(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    struct proxy *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &p->target.sin_addr) != 1 ||
        p->listener < 0 || bind(p->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(p->listener, 16) < 0 || getsockname(p->listener, (struct sockaddr *)&address, &size) < 0 ||
        pthread_mutex_init(&p->lock, NULL) || pthread_create(&p->thread, NULL, run, p)) {
        free(p);
        return NULL;
    }
    p->port = ntohs(address.sin_port);
    return p;
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->is_ending = true;
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    while (p->count > 0)
        drop(p, 0);
    (void)close(p->listener);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

int proxy_port(const struct proxy *p)
{
    return p->port;
}

void proxy_freeze(struct proxy *p, bool is_frozen)
{
    (void)pthread_mutex_lock(&p->lock);
    p->is_frozen = is_frozen;
    (void)pthread_mutex_unlock(&p->lock);
}

void proxy_cut(struct proxy *p)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->count > 0)
        drop(p, 0);
    (void)pthread_mutex_unlock(&p->lock);
}

void proxy_inject(struct proxy *p, const void *data, size_t size)
{
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->count; i++)
        write_all(p->links[i].client, data, size);
    (void)pthread_mutex_unlock(&p->lock);
}
