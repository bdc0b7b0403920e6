/** Socket addresses: text to address and back, and the questions asked of them. */
#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

static struct sockaddr_in *address_v4(struct net_address *a)
{
    return (struct sockaddr_in *)(void *)&a->storage;
}

static struct sockaddr_in6 *address_v6(struct net_address *a)
{
    return (struct sockaddr_in6 *)(void *)&a->storage;
}

static const struct sockaddr_in *address_v4_const(const struct net_address *a)
{
    return (const struct sockaddr_in *)(const void *)&a->storage;
}

static const struct sockaddr_in6 *address_v6_const(const struct net_address *a)
{
    return (const struct sockaddr_in6 *)(const void *)&a->storage;
}

/** "127.0.0.1", or nothing for all addresses. */
static const char *parse_v4(struct slice ip, struct net_address *ret_address)
{
    char text[INET_ADDRSTRLEN] = "0.0.0.0";
    struct net_address a = {.size = sizeof(struct sockaddr_in)};

    if (ip.size >= sizeof(text))
        return "expected a numeric IP address";
    if (ip.size > 0) {
        memcpy(text, ip.data, ip.size);
        text[ip.size] = '\0';
    }
    address_v4(&a)->sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &address_v4(&a)->sin_addr) != 1)
        return "expected a numeric IP address";
    *ret_address = a;
    return NULL;
}

/** "fe80::1%eth0" or "fe80::1%2" or without a scope (RFC 4007 section 11). */
static const char *parse_v6(struct slice ip, struct net_address *ret_address)
{
    char text[INET6_ADDRSTRLEN], scope_name[IF_NAMESIZE];
    struct net_address a = {.size = sizeof(struct sockaddr_in6)};
    struct slice host, scope = ip;
    uint64_t number;

    if (!slice_split(&scope, '%', &host) || host.size >= sizeof(text) || scope.size >= sizeof(scope_name))
        return "expected a numeric IPv6 address in the brackets";
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    address_v6(&a)->sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, text, &address_v6(&a)->sin6_addr) != 1)
        return "expected a numeric IPv6 address in the brackets";
    if (slice_is_set(scope)) {
        memcpy(scope_name, scope.data, scope.size);
        scope_name[scope.size] = '\0';
        if (!slice_to_uint64(scope, UINT32_MAX, &number))
            number = if_nametoindex(scope_name);
        if (number == 0)
            return "expected an interface of this machine behind the '%'";
        address_v6(&a)->sin6_scope_id = (uint32_t)number;
    }
    *ret_address = a;
    return NULL;
}

const char *net_address_parse(struct slice text, struct net_address *ret_address)
{
    struct net_address a;
    const char *error;
    size_t colon = text.size;
    uint64_t port;
    bool brackets = text.size > 0 && text.data[0] == '[';

    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return "expected ip:port, [ipv6]:port or :port";
    colon--;
    if (!slice_to_uint64(slice_skip(text, colon + 1), UINT16_MAX, &port))
        return "expected a port from 0 to 65535";
    if (brackets && (colon < 3 || text.data[colon - 1] != ']'))
        return "expected ip:port, [ipv6]:port or :port";
    error = brackets ? parse_v6(slice_make(text.data + 1, colon - 2), &a) : parse_v4(slice_make(text.data, colon), &a);
    if (error)
        return error;
    net_address_set_port(&a, (uint16_t)port);
    *ret_address = a;
    return NULL;
}

const char *net_address_parse_ip(struct slice text, struct net_address *ret_address)
{
    bool is_v6 = text.size > 0 && memchr(text.data, ':', text.size);

    if (text.size >= 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        return parse_v6(slice_make(text.data + 1, text.size - 2), ret_address);
    if (text.size == 0)
        return "expected a numeric IP address"; /* which parse_v4() takes for all of them */
    return is_v6 ? parse_v6(text, ret_address) : parse_v4(text, ret_address);
}

static int resolve(const char *host, uint16_t port, int socket_type, struct addrinfo **ret_list)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = socket_type, .ai_flags = AI_NUMERICSERV};
    char service[6];

    snprintf(service, sizeof(service), "%u", port);
    return getaddrinfo(host, service, &hints, ret_list) == 0 ? 0 : -EHOSTUNREACH;
}

static void take_sockaddr(const struct sockaddr *from, socklen_t size, struct net_address *ret_address)
{
    *ret_address = (struct net_address){.size = size};
    memcpy(&ret_address->storage, from, size);
}

int net_address_resolve(const char *host, uint16_t port, struct net_address *ret_address)
{
    struct addrinfo *list;
    int result = resolve(host, port, SOCK_STREAM, &list);

    if (result < 0)
        return result;
    take_sockaddr(list->ai_addr, list->ai_addrlen, ret_address);
    freeaddrinfo(list);
    return 0;
}

/** The local address of a UDP socket connected to @target. */
static bool local_address_towards(const struct addrinfo *target, struct net_address *ret_address)
{
    struct net_address a = {.size = sizeof(a.storage)};
    int fd = socket(target->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found;

    if (fd < 0)
        return false;
    found = connect(fd, target->ai_addr, target->ai_addrlen) == 0 &&
            getsockname(fd, (struct sockaddr *)&a.storage, &a.size) == 0;
    close(fd);
    if (found) {
        net_address_set_port(&a, 0);
        *ret_address = a;
    }
    return found;
}

int net_address_towards(const char *host, uint16_t port, struct net_address *ret_address)
{
    struct addrinfo *list;
    bool found = false;
    int result = resolve(host, port, SOCK_DGRAM, &list);

    if (result < 0)
        return result;
    for (const struct addrinfo *it = list; it && !found; it = it->ai_next)
        found = local_address_towards(it, ret_address);
    freeaddrinfo(list);
    return found ? 0 : -EHOSTUNREACH;
}

static const char *format_ip(const struct net_address *a, char ret_text[NET_ADDRESS_TEXT_SIZE])
{
    char ip[INET6_ADDRSTRLEN];
    uint32_t scope;

    switch (a->storage.ss_family) {
    case AF_INET:
        return inet_ntop(AF_INET, &address_v4_const(a)->sin_addr, ret_text, NET_ADDRESS_TEXT_SIZE);
    case AF_INET6:
        inet_ntop(AF_INET6, &address_v6_const(a)->sin6_addr, ip, sizeof(ip));
        scope = address_v6_const(a)->sin6_scope_id;
        if (scope)
            snprintf(ret_text, NET_ADDRESS_TEXT_SIZE, "[%s%%%u]", ip, scope);
        else
            snprintf(ret_text, NET_ADDRESS_TEXT_SIZE, "[%s]", ip);
        return ret_text;
    default:
        snprintf(ret_text, NET_ADDRESS_TEXT_SIZE, "%s", a->storage.ss_family == AF_UNIX ? "unix" : "?");
        return ret_text;
    }
}

const char *net_address_format(const struct net_address *a, bool with_port, char ret_text[NET_ADDRESS_TEXT_SIZE])
{
    size_t length;

    format_ip(a, ret_text);
    if (with_port && (a->storage.ss_family == AF_INET || a->storage.ss_family == AF_INET6)) {
        length = strlen(ret_text);
        snprintf(ret_text + length, NET_ADDRESS_TEXT_SIZE - length, ":%u", net_address_port(a));
    }
    return ret_text;
}

uint16_t net_address_port(const struct net_address *a)
{
    switch (a->storage.ss_family) {
    case AF_INET:
        return ntohs(address_v4_const(a)->sin_port);
    case AF_INET6:
        return ntohs(address_v6_const(a)->sin6_port);
    default:
        return 0;
    }
}

void net_address_set_port(struct net_address *a, uint16_t port)
{
    if (a->storage.ss_family == AF_INET)
        address_v4(a)->sin_port = htons(port);
    else if (a->storage.ss_family == AF_INET6)
        address_v6(a)->sin6_port = htons(port);
}

/** Its IPv4 address in host order, also one mapped into IPv6, as a socket bound to [::] reports it (RFC 4291
 * section 2.5.5.2). */
static bool address_as_v4(const struct net_address *a, uint32_t *ret_ip)
{
    const struct in6_addr *v6 = &address_v6_const(a)->sin6_addr;
    uint32_t ip;

    if (a->storage.ss_family == AF_INET) {
        *ret_ip = ntohl(address_v4_const(a)->sin_addr.s_addr);
        return true;
    }
    if (a->storage.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(v6))
        return false;
    memcpy(&ip, &v6->s6_addr[12], sizeof(ip));
    *ret_ip = ntohl(ip);
    return true;
}

bool net_address_is_loopback(const struct net_address *a)
{
    uint32_t ip;

    if (address_as_v4(a, &ip))
        return ip >> 24 == 127;
    return a->storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address_v6_const(a)->sin6_addr);
}

bool net_address_is_private(const struct net_address *a)
{
    const struct in6_addr *v6 = &address_v6_const(a)->sin6_addr;
    uint32_t ip;

    if (net_address_is_loopback(a))
        return true;
    if (address_as_v4(a, &ip))
        return ip >> 24 == 10 || ip >> 20 == (172 << 4 | 1) || ip >> 16 == (192 << 8 | 168) ||
               ip >> 16 == (169 << 8 | 254);
    /* fc00::/7 and fe80::/10 */
    return a->storage.ss_family == AF_INET6 && ((v6->s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LINKLOCAL(v6));
}
