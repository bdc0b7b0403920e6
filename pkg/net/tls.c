/**
 * TLS contexts.
 *
 * OpenSSL works straight on the descriptor. Its buffers are released while a connection is idle (34 KB a connection
 * otherwise); it reads ahead, so that a record costs one read and not two; it takes what the kernel takes (partial
 * writes). Sessions resume by ticket (tls_tickets.c); there is no cache that would grow. A peer that closes TCP without
 * close_notify has ended the stream: the protocols above know whether something is missing.
 */
#include "net/net_internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <unistd.h>

/* Forward secrecy and authenticated encryption only. AES with 128 bits first: nobody breaks it, and it is the
 * fastest; a client without AES in hardware says so by asking for ChaCha20 first, and gets that. */
#define CIPHERS_1_2 "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* Not const, because OpenSSL's macro casts that away. */
static char groups[] = "X25519:P-256:P-384";

struct net_tls {
    atomic_uint refs;
    SSL_CTX *context;
    bool verify;
};

struct net_tls *net_tls_ref(struct net_tls *tls)
{
    atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    return tls;
}

struct net_tls *net_tls_unref(struct net_tls *tls)
{
    if (!tls || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    SSL_CTX_free(tls->context);
    free(tls);
    return NULL;
}

BASE_DEFINE_CLEANUP(struct net_tls *, net_tls_unref)

/** A key with a passphrase cannot be used: nobody is there to be asked. */
static int no_passphrase(char *text base_unused, int size base_unused, int writing base_unused,
                         void *userdata base_unused)
{
    return 0;
}

static struct net_tls *tls_new(const SSL_METHOD *method)
{
    struct net_tls *tls = calloc(1, sizeof(*tls));

    if (!tls)
        return NULL;
    atomic_init(&tls->refs, 1);
    tls->context = SSL_CTX_new(method);
    if (!tls->context)
        return net_tls_unref(tls);
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Else one SSL_read() goes on for as long as records come that bring no bytes, such as KeyUpdates. */
    SSL_CTX_clear_mode(tls->context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(tls->context, 1);
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    return tls;
}

/** Whether the kernel lets us read a file: OpenSSL's own words for that are poor. */
static int check_readable(const char *what, const char *path, struct buffer *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), result;

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    result = -errno;
    buffer_printf(error, "cannot read the %s %s: %s", what, path, strerror(-result));
    return result;
}

static int refuse(const char *what, const char *path, struct buffer *error)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error()); /* the later ones say where it was noticed */

    buffer_printf(error, "cannot use the %s %s: %s", what, path, reason ? reason : "it is not what was expected");
    return -EINVAL;
}

/** RFC 7301: of what a client offers, HTTP/1.1; a client that offers only other protocols is refused. One that offers
 * nothing does not get here. */
static int choose_protocol(SSL *ssl base_unused, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *offered, unsigned offered_size, void *userdata base_unused)
{
    static const unsigned char http[] = "\x08http/1.1";
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_size, http, sizeof(http) - 1, offered, offered_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/** One certificate with its key. The context has a place for each kind of key. */
static int load_pair(struct net_tls *tls, const struct net_tls_pair *pair, int *kinds, size_t kind_count,
                     struct buffer *error)
{
    int result = check_readable("certificate", pair->certificate_path, error);
    X509 *certificate;

    if (result == 0)
        result = check_readable("key", pair->key_path, error);
    if (result < 0)
        return result;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(tls->context, pair->certificate_path) != 1)
        return refuse("certificate", pair->certificate_path, error);
    certificate = SSL_CTX_get0_certificate(tls->context);
    if (SSL_CTX_use_PrivateKey_file(tls->context, pair->key_path, SSL_FILETYPE_PEM) != 1)
        return refuse("key", pair->key_path, error);
    /* Not SSL_CTX_check_private_key(): that looks for a certificate of the key's kind, and misses the one beside it. */
    if (X509_check_private_key(certificate, SSL_CTX_get0_privatekey(tls->context)) != 1) {
        buffer_printf(error, "the key %s does not belong to the certificate %s", pair->key_path,
                      pair->certificate_path);
        return -EINVAL;
    }
    kinds[kind_count] = EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(tls->context)));
    for (size_t i = 0; i < kind_count; i++) {
        if (kinds[i] != kinds[kind_count])
            continue;
        buffer_printf(error, "cannot use the certificate %s beside another one: both have a key of the kind %s",
                      pair->certificate_path, OBJ_nid2sn(kinds[i]));
        return -EINVAL;
    }
    return 0;
}

int net_tls_server_new(const struct net_tls_server_options *options, struct buffer *error, struct net_tls **ret_tls)
{
    base_cleanup(net_tls_unref_p)
    struct net_tls *tls = tls_new(TLS_server_method());
    int kinds[NET_TLS_PAIRS_MAX], result = 0;

    assert(options->pair_count > 0);
    if (!tls)
        return -ENOMEM;
    if (options->pair_count > NET_TLS_PAIRS_MAX) {
        buffer_printf(error, "at most %d certificates: one for each kind of key", NET_TLS_PAIRS_MAX);
        return -EINVAL;
    }
    if (options->minimum == NET_TLS_1_3)
        SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION);
    SSL_CTX_set_options(tls->context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set_cipher_list(tls->context, CIPHERS_1_2) != 1 ||
        SSL_CTX_set_ciphersuites(tls->context, CIPHERS_1_3) != 1 || SSL_CTX_set1_groups_list(tls->context, groups) != 1)
        return -ENOMEM; /* all else about them is known to be right */
    SSL_CTX_set_alpn_select_cb(tls->context, choose_protocol, NULL);
    result = net_tls_tickets_use(options->tickets, tls->context);
    for (size_t i = 0; result == 0 && i < options->pair_count; i++)
        result = load_pair(tls, &options->pairs[i], kinds, i, error);
    if (result < 0)
        return result;
    *ret_tls = base_take(tls);
    return 0;
}

int net_tls_client_new(const char *ca_path, bool verify, struct buffer *error, struct net_tls **ret_tls)
{
    base_cleanup(net_tls_unref_p)
    struct net_tls *tls = tls_new(TLS_client_method());
    int result;

    if (!tls)
        return -ENOMEM;
    tls->verify = verify;
    ERR_clear_error();
    if (verify && ca_path) {
        result = check_readable("CA certificates", ca_path, error);
        if (result < 0)
            return result;
        if (SSL_CTX_load_verify_file(tls->context, ca_path) != 1)
            return refuse("CA certificates", ca_path, error);
    } else if (verify && SSL_CTX_set_default_verify_paths(tls->context) != 1) {
        return refuse("CA certificates", "of the system", error);
    }
    SSL_CTX_set_verify(tls->context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    *ret_tls = base_take(tls);
    return 0;
}

/** The name to send and to verify. An IP address is never sent as SNI (RFC 6066 section 3). */
static bool set_server_name(SSL *ssl, const char *name, bool verify)
{
    unsigned char ip[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    /* SSL_set_tlsext_host_name(), whose macro casts const away; OpenSSL copies the name. */
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name) == 1 &&
           (!verify || SSL_set1_host(ssl, name) == 1);
}

int net_tls_session_new(const struct net_tls *tls, int fd, bool client, const char *server_name, SSL **ret_ssl)
{
    SSL *ssl = SSL_new(tls->context);

    if (!ssl)
        return -ENOMEM;
    if (SSL_set_fd(ssl, fd) != 1 || (client && server_name && !set_server_name(ssl, server_name, tls->verify))) {
        SSL_free(ssl);
        return -ENOMEM;
    }
    if (client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    *ret_ssl = ssl;
    return 0;
}
