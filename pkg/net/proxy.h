#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net/address.h"

/**
 * The PROXY protocol, version 2: what a load balancer says about a connection before that connection's own bytes
 * (HAProxy's proxy-protocol.txt, section 2.2). Bytes in, a header out; no I/O.
 *
 * Strict: the signature must be there, nothing else is guessed; TCP over IPv4 or IPv6 only (a connection of the
 * balancer's own is LOCAL or of unspecified family); additional fields must fit exactly and are skipped, but a CRC32c
 * is verified.
 */

/** A header with all its additional fields, at most: enough for the names and certificates' subjects that balancers
 * tell. */
#define NET_PROXY_MAX_BYTES 2048
/** Every header has at least so many bytes; what they say decides how many more there are. */
#define NET_PROXY_MIN_BYTES 16

/** Outcomes beside 0. */
enum net_proxy_result {
    NET_PROXY_MORE = 1,  /* all is good so far */
    NET_PROXY_E_BAD = 2, /* the connection is not to be used */
};

struct net_proxy_header {
    size_t size;                            /* bytes of the header, at most NET_PROXY_MAX_BYTES */
    bool is_local;                          /* the balancer speaks for itself: the connection's own addresses hold */
    struct net_address source, destination; /* unless is_local */
};

/**
 * net_proxy_parse() - read the header at the beginning of @data
 *
 * @ret_size: set with 0 and NET_PROXY_MORE: how many bytes there must be before it is worth asking again, exactly the
 * header's size once its first 16 bytes are there; so a caller who never reads more than that reads nothing that
 * follows. @ret_sentence: set with NET_PROXY_E_BAD, of static lifetime. *@ret_header is set with 0 only.
 */
int net_proxy_parse(const void *data, size_t size, size_t *ret_size, struct net_proxy_header *ret_header,
                    const char **ret_sentence) base_must_check;

#endif
