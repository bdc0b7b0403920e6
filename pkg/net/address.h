#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>

/** An IPv4 or IPv6 socket address. */
struct net_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/** "[" + 45 + "%scope" + "]:65535" fits. */
#define NET_ADDRESS_TEXT_SIZE 80

/**
 * net_address_parse() - numeric "ip:port", "[ipv6]:port", or ":port" (all IPv4 addresses)
 *
 * Return: NULL and *ret_address; else what is wrong, of static lifetime, e.g. "expected a port from 0 to 65535".
 */
const char *net_address_parse(struct slice text, struct net_address *ret_address);
/** The same for a lone address: "1.2.3.4", "2001:db8::1", "[2001:db8::1]"; port 0. */
const char *net_address_parse_ip(struct slice text, struct net_address *ret_address);
/** Host name or numeric, resolved by getaddrinfo(3): may block; for commands and for start only. 0, or -EHOSTUNREACH.
 */
int net_address_resolve(const char *host, uint16_t port, struct net_address *ret_address) base_must_check;
/** "ip:port", IPv6 in brackets; with_port false: the ip alone (IPv6 still in brackets). Returns @ret_text. */
const char *net_address_format(const struct net_address *a, bool with_port, char ret_text[NET_ADDRESS_TEXT_SIZE]);
uint16_t net_address_port(const struct net_address *a);
void net_address_set_port(struct net_address *a, uint16_t port);
bool net_address_is_loopback(const struct net_address *a);
/** Loopback, RFC 1918, RFC 4193 or link-local. */
bool net_address_is_private(const struct net_address *a);

/**
 * net_address_towards() - which address of this machine the kernel would use to reach @host
 *
 * connect(2) of a UDP socket and getsockname(2): asks the routing table, sends nothing. May block on name resolution.
 * Return: 0 and *ret_address (port 0); -EHOSTUNREACH if the host does not resolve or has no route.
 */
int net_address_towards(const char *host, uint16_t port, struct net_address *ret_address) base_must_check;

#endif
