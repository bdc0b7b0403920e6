#ifndef TEST_CONTRACT_PROXY_H
#define TEST_CONTRACT_PROXY_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct proxy - a TCP forwarder with a thread of its own, between a client and its server, that can be broken on
 * purpose
 */
struct proxy;

/** Listens on a port of the kernel's choice of 127.0.0.1. NULL: it could not. */
struct proxy *proxy_new(const char *host, int port);
void proxy_free(struct proxy *p);
int proxy_port(const struct proxy *p);
/** Forwards nothing any more, neither way, but keeps connections and accepts new ones: a server that hangs. */
void proxy_freeze(struct proxy *p, bool is_frozen);
/** Closes all connections now. */
void proxy_cut(struct proxy *p);
/** Writes bytes to every client, as if the server had. Only while nothing else is on its way. */
void proxy_inject(struct proxy *p, const void *data, size_t size);

#endif
