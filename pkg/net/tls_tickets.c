/**
 * Session tickets (RFC 8446 section 4.6.1, RFC 5077): what a client brings back is the session itself, encrypted under
 * a key that only this process has, so resuming costs no memory here. Whoever learns a key can read the sessions that
 * were resumed under it with TLS 1.2; so keys are young, and never written down.
 *
 * The keys are shared by all loops, under a mutex: a handshake holds it for the copying of 80 bytes.
 */
#include "net/net_internal.h"

#include "base/clock.h"
#include "base/random.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#define ROTATE_AFTER_MS (UINT64_C(3600) * 1000)
/** The one in use, and those whose tickets still resume. */
#define KEYS 3
/** No longer than the youngest of those keys lives. */
#define LIFETIME_S (2 * 3600)

struct ticket_key {
    unsigned char name[16];
    unsigned char cipher[32]; /* AES-256-CBC */
    unsigned char mac[32];    /* HMAC-SHA-256 */
};

struct net_tls_tickets {
    atomic_uint refs;
    pthread_mutex_t mutex;
    struct ticket_key keys[KEYS]; /* the youngest first */
    size_t count;
    uint64_t rotate_at_ms;
};

static void rotate(struct net_tls_tickets *t)
{
    memmove(&t->keys[1], &t->keys[0], sizeof(t->keys) - sizeof(t->keys[0]));
    random_bytes(&t->keys[0], sizeof(t->keys[0]));
    t->count += t->count < KEYS;
}

/** Makes the keys that time asked for; after long silence none of the old ones is left. */
static void refresh(struct net_tls_tickets *t)
{
    uint64_t now_ms = clock_monotonic_ms();

    for (unsigned i = 0; i < KEYS && now_ms >= t->rotate_at_ms; i++) {
        rotate(t);
        t->rotate_at_ms += ROTATE_AFTER_MS;
    }
    if (now_ms >= t->rotate_at_ms)
        t->rotate_at_ms = now_ms + ROTATE_AFTER_MS;
}

int net_tls_tickets_new(struct net_tls_tickets **ret_tickets)
{
    struct net_tls_tickets *t = calloc(1, sizeof(*t));
    int result;

    if (!t)
        return -ENOMEM;
    result = pthread_mutex_init(&t->mutex, NULL);
    if (result) {
        free(t);
        return -result;
    }
    atomic_init(&t->refs, 1);
    t->rotate_at_ms = clock_monotonic_ms() + ROTATE_AFTER_MS;
    rotate(t);
    *ret_tickets = t;
    return 0;
}

struct net_tls_tickets *net_tls_tickets_ref(struct net_tls_tickets *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct net_tls_tickets *net_tls_tickets_unref(struct net_tls_tickets *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    pthread_mutex_destroy(&t->mutex);
    OPENSSL_cleanse(t->keys, sizeof(t->keys));
    free(t);
    return NULL;
}

void net_tls_tickets_rotate(struct net_tls_tickets *t)
{
    pthread_mutex_lock(&t->mutex);
    rotate(t);
    pthread_mutex_unlock(&t->mutex);
}

static void key_for_new(struct net_tls_tickets *t, struct ticket_key *ret_key)
{
    pthread_mutex_lock(&t->mutex);
    refresh(t);
    *ret_key = t->keys[0];
    pthread_mutex_unlock(&t->mutex);
}

/** Return: whether a ticket of that name still resumes; *ret_is_old: a new one should be given for it. */
static bool key_by_name(struct net_tls_tickets *t, const unsigned char name[16], struct ticket_key *ret_key,
                        bool *ret_is_old)
{
    bool found = false;

    pthread_mutex_lock(&t->mutex);
    refresh(t);
    for (size_t i = 0; i < t->count && !found; i++) {
        found = memcmp(t->keys[i].name, name, sizeof(t->keys[i].name)) == 0;
        if (found) {
            *ret_key = t->keys[i];
            *ret_is_old = i > 0;
        }
    }
    pthread_mutex_unlock(&t->mutex);
    return found;
}

static bool set_mac_key(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int tickets_index;

/** By OpenSSL, when the last session that uses the context is gone: that may be after the context's owner. */
static void on_context_free(void *parent base_unused, void *tickets, CRYPTO_EX_DATA *data base_unused,
                            int index base_unused, long argument base_unused, void *pointer base_unused)
{
    net_tls_tickets_unref(tickets);
}

static void make_index(void)
{
    tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_free);
}

/** As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) asks: 1 goes on, 2 goes on and gives a new ticket, 0 does without a
 * ticket (a full handshake), -1 ends the handshake. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int is_new)
{
    struct net_tls_tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_index);
    struct ticket_key key;
    bool is_old = false;
    int result;

    if (is_new) {
        key_for_new(t, &key);
        memcpy(name, key.name, sizeof(key.name));
        random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
        result = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv);
    } else if (key_by_name(t, name, &key, &is_old)) {
        result = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv);
    } else {
        return 0;
    }
    result = result == 1 && set_mac_key(mac, &key) ? 1 : -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return result == 1 && is_old ? 2 : result;
}

int net_tls_tickets_use(struct net_tls_tickets *t, SSL_CTX *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const unsigned char name[] = "warren";

    if (!t) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(context, 0) == 1 ? 0 : -ENOMEM;
    }
    pthread_once(&once, make_index);
    SSL_CTX_set_timeout(context, LIFETIME_S);
    /* One ticket: a client of this node opens one connection at a time. */
    if (tickets_index < 0 || SSL_CTX_set_num_tickets(context, 1) != 1 ||
        SSL_CTX_set_session_id_context(context, name, sizeof(name) - 1) != 1 ||
        SSL_CTX_set_ex_data(context, tickets_index, t) != 1)
        return -ENOMEM;
    net_tls_tickets_ref(t);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1 ? 0 : -ENOMEM;
}
