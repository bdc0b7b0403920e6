/** Ranges of addresses: all are compared as 128 bits, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2). */
#include "net/network.h"

#include <string.h>

static bool bytes_of(const struct net_address *a, unsigned char ret_bytes[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (a->storage.ss_family == AF_INET) {
        memcpy(ret_bytes, mapped, sizeof(mapped));
        memcpy(ret_bytes + 12, &((const struct sockaddr_in *)(const void *)&a->storage)->sin_addr, 4);
        return true;
    }
    if (a->storage.ss_family != AF_INET6)
        return false;
    memcpy(ret_bytes, &((const struct sockaddr_in6 *)(const void *)&a->storage)->sin6_addr, 16);
    return true;
}

/** Whether the first @bits of both are equal. */
static bool is_prefix(const unsigned char *prefix, unsigned bits, const unsigned char *bytes)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(prefix, bytes, whole) != 0)
        return false;
    return rest == 0 || ((prefix[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

const char *net_network_parse(struct slice text, struct net_network *ret_network)
{
    struct net_network n = {.bits = 128, .is_set = true};
    struct net_address a;
    struct slice ip, rest = text;
    unsigned char cut[16] = {0};
    uint64_t bits = 0;
    unsigned first;

    if (!slice_split(&rest, '/', &ip) || net_address_parse_ip(ip, &a) || !bytes_of(&a, n.prefix))
        return "expected a network such as 10.0.0.0/8 or 2001:db8::/32";
    first = a.storage.ss_family == AF_INET ? 96 : 0;
    if (slice_is_set(rest)) {
        if (!slice_to_uint64(rest, 128 - first, &bits))
            return first ? "expected 0 to 32 bits behind the slash" : "expected 0 to 128 bits behind the slash";
        n.bits = (uint8_t)(first + bits);
    }
    memcpy(cut, n.prefix, n.bits / 8);
    if (n.bits % 8)
        cut[n.bits / 8] = (unsigned char)(n.prefix[n.bits / 8] & (0xff << (8 - n.bits % 8)));
    if (memcmp(cut, n.prefix, sizeof(cut)) != 0)
        return "expected only zero bits behind the prefix";
    *ret_network = n;
    return NULL;
}

bool net_network_contains(const struct net_network *n, const struct net_address *a)
{
    unsigned char bytes[16];

    return n->is_set && bytes_of(a, bytes) && is_prefix(n->prefix, n->bits, bytes);
}

uint64_t net_network_client_key(const struct net_address *a)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char bytes[16] = {0};
    uint64_t key = 0;

    (void)bytes_of(a, bytes);
    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        memmove(bytes + 4, bytes + 12, 4);
        memset(bytes, 0xff, 4); /* ffff:ffff::/32 is nobody's */
    }
    for (unsigned i = 0; i < 8; i++)
        key = key << 8 | bytes[i];
    return key;
}
