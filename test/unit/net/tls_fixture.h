#ifndef UNIT_NET_TLS_FIXTURE_H
#define UNIT_NET_TLS_FIXTURE_H

/** TLS on both sides of one loop, with certificates made here: one ECDSA, one RSA. */

#include "support/alloc.h"
#include "unit/net/fixture.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

struct certificate {
    char folder[64];
    char certificate_path[96];
    char key_path[96];
};

static struct certificate made, made_rsa;

static void write_pem(const char *path, X509 *x509, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    if (x509)
        assert_int_equal(PEM_write_X509(file, x509), 1);
    else
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

/** Self-signed, for warren.test and 127.0.0.1. */
static void make_certificate(struct certificate *c, EVP_PKEY *key)
{
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);

    strcpy(c->folder, "/tmp/warren-tls-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    snprintf(c->certificate_path, sizeof(c->certificate_path), "%s/certificate.pem", c->folder);
    snprintf(c->key_path, sizeof(c->key_path), "%s/key.pem", c->folder);
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"warren.test", -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_set_pubkey(x509, key);
    add_extension(x509, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x509, NID_subject_alt_name, "DNS:warren.test,IP:127.0.0.1");
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    write_pem(c->certificate_path, x509, NULL);
    write_pem(c->key_path, NULL, key);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static int make_certificates(void **state base_unused)
{
    make_certificate(&made, EVP_EC_gen("P-256"));
    make_certificate(&made_rsa, EVP_RSA_gen(2048));
    return 0;
}

static void remove_certificate(struct certificate *c)
{
    unlink(c->certificate_path);
    unlink(c->key_path);
    rmdir(c->folder);
}

static int remove_certificates(void **state base_unused)
{
    remove_certificate(&made);
    remove_certificate(&made_rsa);
    return 0;
}

static inline int load(const char *certificate_path, const char *key_path, struct buffer *error,
                       struct net_tls **ret_tls)
{
    const struct net_tls_pair pair = {certificate_path, key_path};
    const struct net_tls_server_options options = {.pairs = &pair, .pair_count = 1};

    return net_tls_server_new(&options, error, ret_tls);
}

struct tls_fixture {
    struct fixture f;
    struct net_tls *server;
    struct net_tls *client;
};

static int setup(void **state)
{
    static struct tls_fixture t;
    struct buffer error = {0};

    fixture_begin(&t.f);
    assert_int_equal(load(made.certificate_path, made.key_path, &error, &t.server), 0);
    assert_int_equal(net_tls_client_new(made.certificate_path, true, &error, &t.client), 0);
    assert_int_equal(error.size, 0);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    struct tls_fixture *t = *state;

    t->server = net_tls_unref(t->server);
    t->client = net_tls_unref(t->client);
    return fixture_end(&t->f);
}

/** A connecting stream over a descriptor that is connected already: what net_stream_connect() does, to a listener of
 * our own. */
static void connect_pair(struct tls_fixture *t, struct peer *server, struct peer *client, const char *name)
{
    const struct net_stream_options server_options = {.tls = t->server};
    const struct net_stream_options client_options = {.tls = t->client, .server_name = name};
    struct net_address address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd;

    assert_null(net_address_parse(SLICE_LITERAL("127.0.0.1:0"), &address));
    assert_int_equal(bind(listener, (struct sockaddr *)&address.storage, address.size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address.storage, &address.size), 0);
    assert_int_equal(net_stream_connect(&client->stream, t->f.net, &address, &client_options, &peer_ops), 0);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    set_nonblocking(fd);
    close(listener);
    peer_accept(&t->f, server, fd, &server_options);
}

/** For run_until(): a turn. */
static base_unused bool at_once(void *userdata base_unused)
{
    return true;
}

static bool has_read_or_ended(void *userdata)
{
    struct expectation *e = userdata;

    return e->peer->in.size >= e->size || e->peer->closed;
}

static void expect(struct tls_fixture *t, struct peer *p, size_t size)
{
    run_until(&t->f, has_read_or_ended, &(struct expectation){p, size});
    assert_int_equal(p->in.size, size);
}

#endif
