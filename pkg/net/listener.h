#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "loop/loop.h"
#include "net/address.h"

/**
 * struct net_listener - a listening TCP socket on one loop
 *
 * Accepts in bounded batches per turn; accepted descriptors are non-blocking, close-on-exec, TCP_NODELAY. When
 * descriptors run out (EMFILE, ENFILE) it uses a reserve descriptor to accept and close one, then rests a moment
 * instead of spinning.
 */
struct net_listener;

/** Ownership of @fd goes to the callee. */
typedef void net_listener_accept_fn(void *userdata, int fd, const struct net_address *peer);

/**
 * net_listener_open() - bind and listen
 *
 * No SO_REUSEPORT: a second node on the same port is refused aloud (-EADDRINUSE). Port 0 takes a free one.
 * Return: 0; what socket(2), bind(2) or listen(2) say, negative; -ENOMEM.
 */
int net_listener_open(struct loop *l, const struct net_address *address, net_listener_accept_fn *accepted,
                      void *userdata, struct net_listener **ret_listener) base_must_check;
/** The address really bound. */
const struct net_address *net_listener_address(const struct net_listener *l);
/** Accepts nothing from now on, also within the batch under way: who comes waits in the kernel's backlog. */
void net_listener_pause(struct net_listener *l);
void net_listener_resume(struct net_listener *l);
/** How many connections wait in the kernel's backlog, and how many may; false if the kernel does not tell. */
bool net_listener_backlog(const struct net_listener *l, uint32_t *ret_waiting, uint32_t *ret_limit);
/** Stops accepting and closes the socket. Accepts NULL, returns NULL. */
struct net_listener *net_listener_close(struct net_listener *l);

#endif
