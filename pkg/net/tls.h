#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buffer.h"

/** struct net_tls - a TLS context (OpenSSL), for a listener or for outgoing connections. TLS 1.2 and 1.3. Thread: any
 * once made; counted with atomics. */
struct net_tls;

/**
 * net_tls_server_new() - from PEM files: certificate chain and private key
 *
 * Return: 0; -EINVAL or another errno with a sentence in @error that names the file and what OpenSSL or the kernel
 * said.
 */
int net_tls_server_new(const char *certificate_path, const char *key_path, struct buffer *error,
                       struct net_tls **ret_tls) base_must_check;
/** For clients: verifies against @ca_path (NULL: the system's), or not at all if @verify is false. */
int net_tls_client_new(const char *ca_path, bool verify, struct buffer *error,
                       struct net_tls **ret_tls) base_must_check;
struct net_tls *net_tls_ref(struct net_tls *tls);
struct net_tls *net_tls_unref(struct net_tls *tls);

#endif
