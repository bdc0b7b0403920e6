#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buffer.h"

/** struct net_tls - a TLS context (OpenSSL), for a listener or for outgoing connections. TLS 1.2 and 1.3. Thread: any
 * once made; counted with atomics. */
struct net_tls;

/**
 * struct net_tls_tickets - the keys under which sessions are given to clients, to be resumed without a full handshake
 *
 * They live apart from the context, so that sessions of before a reload resume after it. A new key is made every hour;
 * tickets under the two keys before still resume, so one does for two hours at least and three at most. Thread: any;
 * counted with atomics.
 */
struct net_tls_tickets;

int net_tls_tickets_new(struct net_tls_tickets **ret_tickets) base_must_check;
struct net_tls_tickets *net_tls_tickets_ref(struct net_tls_tickets *t);
struct net_tls_tickets *net_tls_tickets_unref(struct net_tls_tickets *t);
/** A new key now. */
void net_tls_tickets_rotate(struct net_tls_tickets *t);

enum net_tls_version { NET_TLS_1_2, NET_TLS_1_3 };

/** PEM files: certificate with its chain, and the private key. */
struct net_tls_pair {
    const char *certificate_path;
    const char *key_path;
};

#define NET_TLS_PAIRS_MAX 4

struct net_tls_server_options {
    const struct net_tls_pair
        *pairs; /* at most NET_TLS_PAIRS_MAX, of different kinds of keys (ECDSA, RSA); the client's abilities choose */
    size_t pair_count;
    enum net_tls_version minimum;
    struct net_tls_tickets *tickets; /* NULL: sessions do not resume */
};

/**
 * net_tls_server_new() - for a listener that speaks HTTP/1.1
 *
 * Takes its own reference of the tickets. Return: 0; -EINVAL or another errno with a sentence in @error that names the
 * file and what OpenSSL or the kernel said; -ENOMEM.
 */
int net_tls_server_new(const struct net_tls_server_options *options, struct buffer *error,
                       struct net_tls **ret_tls) base_must_check;
/** For clients: verifies against @ca_path (NULL: the system's), or not at all if @verify is false. */
int net_tls_client_new(const char *ca_path, bool verify, struct buffer *error,
                       struct net_tls **ret_tls) base_must_check;
struct net_tls *net_tls_ref(struct net_tls *tls);
struct net_tls *net_tls_unref(struct net_tls *tls);

#endif
