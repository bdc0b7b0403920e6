/* https: the certificate must be trusted and be of that name. A process reads SSL_CERT_FILE as the system's
 * certificates, which is how the test's own one becomes trusted. */
#include "unit/outbound/fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static SSL_CTX *server_context;
static char certificate_path[] = "/tmp/warren-outbound-XXXXXX";

/** Self-signed, for 127.0.0.1 alone. */
static int make_certificate(void **state base_unused)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    int fd = mkstemp(certificate_path);
    FILE *file = fdopen(fd, "w");

    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_set_pubkey(x509, key);
    X509_add_ext(x509, extension, -1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, x509), 1);
    fclose(file);
    server_context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server_context, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_context, key), 1);
    X509_EXTENSION_free(extension);
    X509_free(x509);
    EVP_PKEY_free(key);
    return 0;
}

static int remove_certificate(void **state base_unused)
{
    SSL_CTX_free(server_context);
    unlink(certificate_path);
    return 0;
}

static struct answer ask_https(struct canned_server *s)
{
    s->response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    return ask_server(s, (struct outbound_request){0});
}

static void test_trusted(void **state base_unused)
{
    struct canned_server s = {.tls = server_context};
    struct answer a;

    setenv("SSL_CERT_FILE", certificate_path, 1);
    a = ask_https(&s);
    assert_string_equal(a.error, "");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.data, "hello");
    buffer_deinit(&a.body);
}

static void test_not_trusted(void **state base_unused)
{
    struct canned_server s = {.tls = server_context};
    struct answer a;

    setenv("SSL_CERT_FILE", "/dev/null", 1);
    a = ask_https(&s);
    assert_int_equal(a.result, OUTBOUND_E_UNREACHABLE);
    assert_int_equal(s.request_size, 0); /* nothing was told to a stranger */
    buffer_deinit(&a.body);
}

static void test_of_another_name(void **state base_unused)
{
    struct canned_server s = {.tls = server_context, .response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    struct fixture f;
    struct answer a;
    char url[64];

    setenv("SSL_CERT_FILE", certificate_path, 1);
    canned_server_start(&s);
    (void)snprintf(url, sizeof(url), "https://localhost:%u/", s.port);
    fixture_begin(&f);
    a = ask(&f, &(struct outbound_request){.method = "GET", .url = url});
    assert_int_equal(a.result, OUTBOUND_E_UNREACHABLE);
    fixture_end(&f);
    canned_server_stop(&s);
    assert_int_equal(s.request_size, 0);
    buffer_deinit(&a.body);
}

static void test_no_tls_there(void **state base_unused)
{
    struct canned_server s = {.response = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", .drops = true};
    struct fixture f;
    struct answer a;
    char url[64];

    canned_server_start(&s);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", s.port);
    fixture_begin(&f);
    a = ask(&f, &(struct outbound_request){.method = "GET", .url = url});
    assert_int_equal(a.result, OUTBOUND_E_UNREACHABLE);
    fixture_end(&f);
    canned_server_stop(&s);
    buffer_deinit(&a.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_not_trusted),
        cmocka_unit_test(test_of_another_name),
        cmocka_unit_test(test_no_tls_there),
    };

    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
