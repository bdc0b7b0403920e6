/*
 * What a full TLS 1.3 handshake costs a server when there is nothing but OpenSSL: both sides in one thread, bytes
 * through memory, and only the server's calls are timed. What a node needs for one more than this is what its sockets,
 * its loop and its own code cost.
 *
 *     measure_handshake [SECONDS]
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "measure_handshake: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/** One step; whether it is done. */
static bool step(SSL *ssl)
{
    int result = SSL_do_handshake(ssl);

    check(result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ, "the handshake failed");
    return result == 1;
}

/** Return: nanoseconds of CPU time on the server's side, with its making and its end. */
static uint64_t handshake(SSL_CTX *server_context, SSL_CTX *client_context)
{
    SSL *client = SSL_new(client_context), *server;
    uint64_t begin = cpu_ns(), server_ns;
    bool is_client_done = false, is_server_done = false;
    BIO *near = NULL, *far = NULL;

    server = SSL_new(server_context);
    check(client && server && BIO_new_bio_pair(&near, 65536, &far, 65536) == 1, "out of memory");
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    SSL_set_bio(server, near, near);
    SSL_set_bio(client, far, far);
    server_ns = cpu_ns() - begin;
    while (!is_client_done || !is_server_done) {
        if (!is_client_done)
            is_client_done = step(client);
        begin = cpu_ns();
        if (!is_server_done)
            is_server_done = step(server);
        server_ns += cpu_ns() - begin;
    }
    check(!SSL_session_reused(server), "a session was resumed");
    SSL_set_quiet_shutdown(client, 1);
    SSL_free(client);
    begin = cpu_ns();
    SSL_set_quiet_shutdown(server, 1);
    SSL_free(server);
    return server_ns + cpu_ns() - begin;
}

static SSL_CTX *context(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);

    check(c && SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1, "no TLS 1.3");
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    return c;
}

/** A certificate that nobody verifies, with an ECDSA key on P-256. */
static void certify(SSL_CTX *c)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();

    check(key && certificate && X509_gmtime_adj(X509_getm_notBefore(certificate), 0) &&
              X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) && X509_set_pubkey(certificate, key) == 1 &&
              X509_sign(certificate, key, EVP_sha256()) > 0,
          "no certificate");
    check(SSL_CTX_use_certificate(c, certificate) == 1 && SSL_CTX_use_PrivateKey(c, key) == 1, "a bad certificate");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
    SSL_CTX *server, *client;
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    uint64_t count = 0, server_ns = 0, until;

    server = context(TLS_server_method());
    client = context(TLS_client_method());
    certify(server);
    until = cpu_ns() + (uint64_t)(seconds * 1e9);
    do {
        server_ns += handshake(server, client);
        count++;
    } while (cpu_ns() < until);
    printf("%llu full handshakes; %.1f us of CPU on the server's side, %.0f a second on a core\n",
           (unsigned long long)count, (double)server_ns / 1e3 / (double)count,
           (double)count / ((double)server_ns / 1e9));
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
