#ifndef NET_NETWORK_H
#define NET_NETWORK_H

#include "net/address.h"

/** A range of IP addresses, as in "10.0.0.0/8"; {0} contains nothing. An IPv4 address mapped into IPv6 is the IPv4
 * one. */
struct net_network {
    unsigned char prefix[16]; /* IPv4 mapped into IPv6 */
    uint8_t bits;             /* of those 128 */
    bool is_set;
};

/**
 * net_network_parse() - "10.0.0.0/8", "2001:db8::/32", or a lone address
 *
 * Return: NULL and *ret_network; else what is wrong, of static lifetime. Bits behind the prefix must be 0: a typing
 * error there would trust other machines than were meant.
 */
const char *net_network_parse(struct slice text, struct net_network *ret_network);
bool net_network_contains(const struct net_network *n, const struct net_address *a);

/**
 * net_network_client_key() - what an address counts as where clients are counted
 *
 * An IPv4 address is its own; of IPv6 the first 64 bits, since whoever has one address there has all of those.
 */
uint64_t net_network_client_key(const struct net_address *a);

#endif
