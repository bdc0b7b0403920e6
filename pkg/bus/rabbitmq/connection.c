/*
 * One AMQP 0-9-1 connection with one channel, over rabbitmq-c. Its calls block, so it belongs to a worker's thread.
 *
 * Any exception of the broker, on the channel or the connection, ends the connection: there is one way to begin anew,
 * and it is taken often enough to be known to work. What the broker said is kept as text; passwords are in none of
 * these texts.
 */
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <sys/time.h>

#define CHANNEL_MAX 8
/* A body of our own fits into one; buffers on both sides of each connection are as large. */
#define FRAME_MAX 40960
/** Where Debian keeps the certificate authorities; OpenSSL's own variable overrides it. */
#define CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#define CA_FILE_VARIABLE "SSL_CERT_FILE"

amqp_bytes_t rabbitmq_bytes(struct slice s)
{
    return (amqp_bytes_t){.len = s.size, .bytes = (void *)(uintptr_t)s.data};
}

struct slice rabbitmq_slice(amqp_bytes_t b)
{
    return slice_make(b.bytes ? b.bytes : "", b.len);
}

static struct timeval timeval_of(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static void set_error(struct rabbitmq_connection *c, const char *what, const char *text)
{
    (void)snprintf(c->error, sizeof(c->error), "%s: %s", what, text);
}

/** "connection.close" and "channel.close" have the same fields. */
static void set_exception(struct rabbitmq_connection *c, const char *what, int code, amqp_bytes_t text)
{
    struct slice s = rabbitmq_slice(text);

    c->reply_code = code;
    (void)snprintf(c->error, sizeof(c->error), "%s: %d %.*s", what, code, SLICE_PRINTF(s));
}

static void set_method_exception(struct rabbitmq_connection *c, const char *what, const amqp_method_t *method)
{
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = method->decoded;

        set_exception(c, what, m->reply_code, m->reply_text);
    } else if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = method->decoded;

        set_exception(c, what, m->reply_code, m->reply_text);
    } else {
        set_error(c, what, "an unexpected answer");
    }
}

int rabbitmq_connection_status(struct rabbitmq_connection *c, const char *what, int status)
{
    if (status == AMQP_STATUS_OK)
        return RABBITMQ_OK;
    set_error(c, what, amqp_error_string2(status));
    return RABBITMQ_E_LOST;
}

int rabbitmq_connection_check(struct rabbitmq_connection *c, const char *what, amqp_rpc_reply_t reply)
{
    switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return RABBITMQ_OK;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        return rabbitmq_connection_status(c, what,
                                          reply.library_error ? reply.library_error : AMQP_STATUS_SOCKET_ERROR);
    case AMQP_RESPONSE_SERVER_EXCEPTION:
        set_method_exception(c, what, &reply.reply);
        return RABBITMQ_E_LOST;
    case AMQP_RESPONSE_NONE:
    default:
        set_error(c, what, "no answer");
        return RABBITMQ_E_LOST;
    }
}

int rabbitmq_connection_reply(struct rabbitmq_connection *c, const char *what)
{
    return rabbitmq_connection_check(c, what, amqp_get_rpc_reply(c->amqp));
}

/* ---- URLs ---- */

/** A copy of the URL taken apart in place; the caller frees it. RabbitMQ's "/" is meant where the vhost is left empty.
 */
static char *parse_url(const char *url, struct amqp_connection_info *ret_info)
{
    static char root[] = "/";
    char *copy = strdup(url);

    if (!copy)
        return NULL;
    if (amqp_parse_url(copy, ret_info) != AMQP_STATUS_OK || !ret_info->host[0]) {
        free(copy);
        return NULL;
    }
    if (!ret_info->vhost[0])
        ret_info->vhost = root;
    return copy;
}

const char *rabbitmq_url_check(struct slice url)
{
    struct amqp_connection_info info;
    char *text base_cleanup(base_free_p)
    = slice_dup(url);
    char *copy base_cleanup(base_free_p)
    = text ? parse_url(text, &info) : NULL;

    return copy ? NULL : "expected amqp://user:password@host:port/vhost, or amqps://";
}

static void set_broker(struct rabbitmq_connection *c, const struct amqp_connection_info *info)
{
    const char *bracket = strchr(info->host, ':') ? "[" : "";

    (void)snprintf(c->broker, sizeof(c->broker), "%s://%s@%s%s%s:%d/%s", info->ssl ? "amqps" : "amqp", info->user,
                   bracket, info->host, *bracket ? "]" : "", info->port, strcmp(info->vhost, "/") ? info->vhost : "");
}

/* ---- opening ---- */

static amqp_table_entry_t entry_text(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)},
    };
}

static amqp_table_entry_t entry_true(const char *key)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1},
    };
}

static int login(struct rabbitmq_connection *c, const struct amqp_connection_info *info,
                 const struct rabbitmq_connect *how)
{
    amqp_table_entry_t capabilities[] = {
        entry_true("connection.blocked"),
        entry_true("consumer_cancel_notify"),
        entry_true("publisher_confirms"),
    };
    amqp_table_entry_t properties[] = {
        entry_text("product", "Warren"),
        entry_text("version", WARREN_VERSION),
        entry_text("connection_name", how->name),
        {
            .key = amqp_cstring_bytes("capabilities"),
            .value = {.kind = AMQP_FIELD_KIND_TABLE,
                      .value.table = {.num_entries = BASE_ARRAY_SIZE(capabilities), .entries = capabilities}},
        },
    };
    amqp_table_t table = {.num_entries = BASE_ARRAY_SIZE(properties), .entries = properties};
    int result = rabbitmq_connection_check(c, "login",
                                           amqp_login_with_properties(c->amqp, info->vhost, CHANNEL_MAX, FRAME_MAX,
                                                                      how->heartbeat_s, &table, AMQP_SASL_METHOD_PLAIN,
                                                                      info->user, info->password));

    c->is_logged_in = !result;
    return result;
}

static bool is_set(const char *text)
{
    return text && text[0];
}

/** TLS 1.2 or later; the host's name is held against the certificate. NULL and c->error: one of the files. */
static amqp_socket_t *tls_socket_new(struct rabbitmq_connection *c, const struct rabbitmq_config *config)
{
    const char *file = getenv(CA_FILE_VARIABLE), *ca = config && is_set(config->tls_ca) ? config->tls_ca : NULL;
    bool is_verified = !config || config->tls_verify;
    amqp_socket_t *s = amqp_ssl_socket_new(c->amqp);

    if (!s)
        return NULL;
    (void)amqp_ssl_socket_set_ssl_versions(s, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    amqp_ssl_socket_set_verify_peer(s, is_verified);
    amqp_ssl_socket_set_verify_hostname(s, is_verified);
    if (!ca)
        ca = is_set(file) ? file : CA_FILE;
    if (is_verified && amqp_ssl_socket_set_cacert(s, ca) != AMQP_STATUS_OK) {
        set_error(c, "connect", "no certificate authorities (amqp.tls_ca)");
        return NULL; /* the connection frees it */
    }
    if (config && is_set(config->tls_certificate) &&
        amqp_ssl_socket_set_key(s, config->tls_certificate, config->tls_key) != AMQP_STATUS_OK) {
        set_error(c, "connect", "amqp.tls_certificate and amqp.tls_key cannot be read, or do not fit");
        return NULL;
    }
    return s;
}

static int open_socket(struct rabbitmq_connection *c, const struct amqp_connection_info *info,
                       const struct rabbitmq_connect *how)
{
    struct timeval connect_timeout = timeval_of(how->connect_timeout_ms);
    struct timeval handshake_timeout = timeval_of(how->handshake_timeout_ms);
    struct timeval rpc_timeout = timeval_of(how->rpc_timeout_ms);
    amqp_socket_t *s;
    int result;

    c->amqp = amqp_new_connection();
    s = !c->amqp ? NULL : info->ssl ? tls_socket_new(c, how->config) : amqp_tcp_socket_new(c->amqp);
    if (!s) {
        if (!c->error[0])
            set_error(c, "connect", "out of memory");
        return RABBITMQ_E_LOST;
    }
    result = amqp_socket_open_noblock(s, info->host, info->port, &connect_timeout);
    if (result == AMQP_STATUS_SOCKET_ERROR) { /* the library has lost errno by now, and its own words tell nothing */
        set_error(c, "connect", "refused, or no route: nothing listens there");
        return RABBITMQ_E_LOST;
    }
    result = rabbitmq_connection_status(c, "connect", result);
    if (result)
        return result;
    c->fd = amqp_get_sockfd(c->amqp);
    if (how->on_socket && !how->on_socket(how->userdata, c->fd)) {
        set_error(c, "connect", "given up");
        return RABBITMQ_E_LOST;
    }
    result = rabbitmq_connection_status(c, "connect", amqp_set_handshake_timeout(c->amqp, &handshake_timeout));
    if (!result)
        result = rabbitmq_connection_status(c, "connect", amqp_set_rpc_timeout(c->amqp, &rpc_timeout));
    return result;
}

int rabbitmq_connection_open(struct rabbitmq_connection *c, const struct rabbitmq_connect *how)
{
    struct amqp_connection_info info;
    char *copy base_cleanup(base_free_p)
    = parse_url(how->url, &info);
    int result;

    *c = (struct rabbitmq_connection){.fd = -1};
    if (!copy) {
        set_error(c, "connect", "the URL is none, or out of memory");
        return RABBITMQ_E_LOST;
    }
    set_broker(c, &info);
    result = open_socket(c, &info, how);
    if (!result)
        result = login(c, &info, how);
    if (!result) {
        (void)amqp_channel_open(c->amqp, RABBITMQ_CHANNEL);
        result = rabbitmq_connection_reply(c, "channel.open");
    }
    return result;
}

int rabbitmq_connection_open_any(struct rabbitmq_connection *c, const struct rabbitmq_connect *how)
{
    struct rabbitmq_connect at = *how;
    int result = RABBITMQ_E_LOST;

    *c = (struct rabbitmq_connection){.fd = -1};
    for (size_t i = 0; result && i < how->config->url.count; i++) {
        rabbitmq_connection_close(c, false);
        at.url = how->config->url.items[i];
        result = rabbitmq_connection_open(c, &at);
    }
    return result;
}

void rabbitmq_connection_close(struct rabbitmq_connection *c, bool politely)
{
    if (!c->amqp)
        return;
    if (politely && c->is_logged_in)
        (void)amqp_connection_close(c->amqp, AMQP_REPLY_SUCCESS);
    (void)amqp_destroy_connection(c->amqp); /* closes the socket */
    c->amqp = NULL;
    c->fd = -1;
    c->is_logged_in = false;
}

/* ---- frames ---- */

bool rabbitmq_connection_has_input(struct rabbitmq_connection *c)
{
    return c->amqp && (amqp_frames_enqueued(c->amqp) || amqp_data_in_buffer(c->amqp));
}

/** The broker closes channel or connection: answer, so that it forgets us at once, and end. */
static int on_exception(struct rabbitmq_connection *c, const amqp_frame_t *frame)
{
    bool is_channel = frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD;

    set_method_exception(c, is_channel ? "channel closed" : "connection closed", &frame->payload.method);
    if (!is_channel) {
        amqp_connection_close_ok_t ok = {0};

        (void)amqp_send_method(c->amqp, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
        c->is_logged_in = false;
    } else {
        amqp_channel_close_ok_t ok = {0};

        (void)amqp_send_method(c->amqp, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    }
    return RABBITMQ_E_LOST;
}

int rabbitmq_connection_next(struct rabbitmq_connection *c, amqp_frame_t *ret_frame, bool *ret_is_frame)
{
    struct timeval no_time = {0};
    amqp_frame_t frame;
    int status;

    /* Frees what the last frame was decoded into: callers copy. Without it the library's pool grows for ever. */
    amqp_maybe_release_buffers(c->amqp);
    status = amqp_simple_wait_frame_noblock(c->amqp, &frame, &no_time);
    if (status == AMQP_STATUS_TIMEOUT) {
        *ret_is_frame = false;
        return RABBITMQ_OK;
    }
    if (status != AMQP_STATUS_OK)
        return rabbitmq_connection_status(c, "connection lost", status);
    if (frame.frame_type == AMQP_FRAME_METHOD && (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD ||
                                                  frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD))
        return on_exception(c, &frame);
    *ret_frame = frame;
    *ret_is_frame = true;
    return RABBITMQ_OK;
}
