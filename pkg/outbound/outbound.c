/*
 * Outgoing HTTP over libevent's client. A request owns its connection; both end together, in a turn after the last
 * callback, because libevent does not like to be freed from inside one. https verifies against the system's
 * certificates, by name.
 */
#include "outbound/outbound.h"

#include "base/base64.h"
#include "base/list.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_BODY_BYTES (4u << 20)

struct outbound {
    struct loop *loop;
    struct evdns_base *dns;
    SSL_CTX *tls; /* made at the first https request */
    struct list requests;
    bool is_ending;
};

struct request {
    struct list link;
    struct outbound *owner;
    struct evhttp_connection *connection;
    struct evhttp_request *http;
    struct loop_timer timer;
    struct loop_deferred finish;
    outbound_done_fn *done;
    void *userdata;
    struct buffer body;
    unsigned status;
    int result;
    bool is_finished;
    char error[200];
};

static void request_free(struct request *r)
{
    list_remove(&r->link);
    loop_timer_deinit(&r->timer);
    loop_deferred_cancel(&r->finish);
    if (r->connection)
        evhttp_connection_free(r->connection); /* frees the request too, unless it was handed back */
    buffer_deinit(&r->body);
    free(r);
}

/** At the end of the turn: the answer, then the end. */
static void on_finish(void *userdata)
{
    struct request *r = userdata;

    list_remove(&r->link); /* first: done() may free the outbound, which answers whatever is on its list */
    r->done(r->userdata, r->result, r->status, buffer_slice(&r->body), r->result ? r->error : NULL);
    request_free(r);
}

static void request_finish(struct request *r, int result, const char *error)
{
    if (r->is_finished)
        return;
    r->is_finished = true;
    r->result = result;
    (void)snprintf(r->error, sizeof(r->error), "%s", error ? error : "");
    loop_timer_stop(&r->timer);
    loop_defer(r->owner->loop, &r->finish);
}

static void on_timeout(void *userdata)
{
    request_finish(userdata, OUTBOUND_E_TIMEOUT, "no answer in time");
}

static void on_http_error(enum evhttp_request_error error, void *userdata)
{
    struct request *r = userdata;

    r->http = NULL;
    switch (error) {
    case EVREQ_HTTP_DATA_TOO_LONG:
        request_finish(r, OUTBOUND_E_TOO_LARGE, "the answer is too large, or its chunks are broken");
        break;
    case EVREQ_HTTP_TIMEOUT:
        request_finish(r, OUTBOUND_E_TIMEOUT, "no answer in time");
        break;
    case EVREQ_HTTP_INVALID_HEADER:
        request_finish(r, OUTBOUND_E_UNREACHABLE, "the answer is not HTTP");
        break;
    case EVREQ_HTTP_EOF:
    case EVREQ_HTTP_BUFFER_ERROR:
    case EVREQ_HTTP_REQUEST_CANCEL:
    default:
        request_finish(r, OUTBOUND_E_UNREACHABLE, "could not connect, or the connection broke");
        break;
    }
}

static void on_http_done(struct evhttp_request *http, void *userdata)
{
    struct request *r = userdata;
    struct evbuffer *input;
    size_t size;
    char *space;

    r->http = NULL; /* libevent frees it after this call */
    if (!http || evhttp_request_get_response_code(http) == 0) {
        request_finish(r, OUTBOUND_E_UNREACHABLE, "could not connect, or the connection broke");
        return;
    }
    r->status = (unsigned)evhttp_request_get_response_code(http);
    input = evhttp_request_get_input_buffer(http);
    size = evbuffer_get_length(input);
    space = buffer_reserve(&r->body, size);
    if (!space) {
        request_finish(r, OUTBOUND_E_UNREACHABLE, "out of memory");
        return;
    }
    if (size)
        (void)evbuffer_remove(input, space, size);
    buffer_commit(&r->body, size);
    request_finish(r, 0, NULL);
}

/* ---- making one ---- */

struct target {
    struct evhttp_uri *uri;
    char host[256]; /* IPv6 without its brackets */
    uint16_t port;
    bool is_tls;
    char path[2048];
};

static int target_parse(const char *url, struct target *t)
{
    const char *scheme, *host, *path, *query;
    size_t host_size;
    int port;

    t->uri = evhttp_uri_parse(url);
    if (!t->uri)
        return -EINVAL;
    scheme = evhttp_uri_get_scheme(t->uri);
    host = evhttp_uri_get_host(t->uri);
    host_size = host ? strlen(host) : 0;
    path = evhttp_uri_get_path(t->uri);
    query = evhttp_uri_get_query(t->uri);
    if (!scheme || host_size == 0 || host_size >= sizeof(t->host) ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return -EINVAL;
    if (host_size > 2 && host[0] == '[') {
        host++;
        host_size -= 2;
    }
    memcpy(t->host, host, host_size);
    t->host[host_size] = '\0';
    t->is_tls = strcmp(scheme, "https") == 0;
    port = evhttp_uri_get_port(t->uri);
    t->port = port > 0 ? (uint16_t)port : t->is_tls ? 443 : 80;
    if ((size_t)snprintf(t->path, sizeof(t->path), "%s%s%s", path && path[0] ? path : "/", query ? "?" : "",
                         query ? query : "") >= sizeof(t->path))
        return -EINVAL;
    return 0;
}

static SSL_CTX *tls_context(struct outbound *o)
{
    if (!o->tls) {
        o->tls = SSL_CTX_new(TLS_client_method());
        if (o->tls) {
            (void)SSL_CTX_set_default_verify_paths(o->tls);
            SSL_CTX_set_verify(o->tls, SSL_VERIFY_PEER, NULL);
            (void)SSL_CTX_set_min_proto_version(o->tls, TLS1_2_VERSION);
        }
    }
    return o->tls;
}

/** The name to send and to verify. An address is only verified (RFC 6066 section 3). */
static bool set_name(SSL *ssl, const char *host)
{
    struct in6_addr address;

    /* SSL_set_tlsext_host_name(), whose macro casts const away; OpenSSL copies the name. */
    if (inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1 &&
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)host) != 1)
        return false;
    return SSL_set1_host(ssl, host) == 1; /* also takes addresses */
}

/** A bufferevent for the connection: plain, or TLS with name and certificate checked. */
static struct bufferevent *make_bufferevent(struct outbound *o, struct target *t)
{
    struct event_base *base = loop_event_base(o->loop);
    struct bufferevent *bev;
    SSL_CTX *context;
    SSL *ssl;

    if (!t->is_tls)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    context = tls_context(o);
    ssl = context ? SSL_new(context) : NULL;
    if (!ssl || !set_name(ssl, t->host)) {
        SSL_free(ssl);
        return NULL;
    }
    bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev)
        SSL_free(ssl);
    else
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

static int add_header(struct request *r, const char *name, const char *value)
{
    return evhttp_add_header(evhttp_request_get_output_headers(r->http), name, value) == 0 ? 0 : -ENOMEM;
}

static int add_authorization(struct request *r, const struct outbound_request *request, const struct target *t)
{
    const char *userinfo = evhttp_uri_get_userinfo(t->uri);
    struct buffer value = {0};
    int result = 0;

    if (request->bearer) {
        buffer_printf(&value, "Bearer %s", request->bearer);
    } else if (userinfo) {
        base_cleanup(base_free_p)
        char *decoded = NULL;
        size_t size = 0;

        decoded = evhttp_uridecode(userinfo, 0, &size);
        buffer_append_text(&value, "Basic ");
        if (decoded)
            base64_encode(decoded, size, &value);
        else
            value.error = -ENOMEM;
    }
    if (value.size || value.error)
        result = buffer_error(&value) ? -ENOMEM : add_header(r, "Authorization", value.data);
    buffer_deinit(&value);
    return result;
}

static int fill_request(struct request *r, const struct outbound_request *request, const struct target *t)
{
    char host[300];
    bool is_ipv6 = strchr(t->host, ':');
    int result;

    (void)snprintf(host, sizeof(host), is_ipv6 ? "[%s]:%u" : "%s:%u", t->host, t->port);
    result = add_header(r, "Host", host);
    if (!result)
        result = add_header(r, "Connection", "close");
    if (!result)
        result = add_header(r, "User-Agent", "warren/" WARREN_VERSION);
    if (!result && request->content_type)
        result = add_header(r, "Content-Type", request->content_type);
    if (!result)
        result = add_authorization(r, request, t);
    if (!result && request->body.size &&
        evbuffer_add(evhttp_request_get_output_buffer(r->http), request->body.data, request->body.size))
        result = -ENOMEM;
    return result;
}

static int method_parse(const char *method, enum evhttp_cmd_type *ret_type)
{
    static const struct {
        const char *name;
        enum evhttp_cmd_type type;
    } methods[] = {
        {"GET", EVHTTP_REQ_GET}, {"POST", EVHTTP_REQ_POST}, {"PUT", EVHTTP_REQ_PUT}, {"DELETE", EVHTTP_REQ_DELETE}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(methods); i++) {
        if (strcmp(method, methods[i].name) == 0) {
            *ret_type = methods[i].type;
            return 0;
        }
    }
    return -EINVAL;
}

static int request_start(struct request *r, const struct outbound_request *request, struct target *t)
{
    struct outbound *o = r->owner;
    enum evhttp_cmd_type type;
    struct bufferevent *bev;
    int result = method_parse(request->method, &type);

    if (result)
        return result;
    bev = make_bufferevent(o, t);
    if (!bev)
        return -ENOMEM;
    r->connection = evhttp_connection_base_bufferevent_new(loop_event_base(o->loop), o->dns, bev, t->host, t->port);
    if (!r->connection) {
        bufferevent_free(bev);
        return -ENOMEM;
    }
    evhttp_connection_set_max_body_size(
        r->connection, (ev_ssize_t)(request->max_body_bytes ? request->max_body_bytes : DEFAULT_BODY_BYTES));
    evhttp_connection_set_max_headers_size(r->connection, 65536);
    evhttp_connection_set_timeout(r->connection,
                                  INT_MAX); /* ours is the one for the whole; libevent's is 50 s a step */
    r->http = evhttp_request_new(on_http_done, r);
    if (!r->http)
        return -ENOMEM;
    evhttp_request_set_error_cb(r->http, on_http_error);
    result = fill_request(r, request, t);
    if (result) {
        evhttp_request_free(r->http);
        return result;
    }
    /* From here on the connection owns the request; a failure to begin calls back or is told here, never both. */
    if (evhttp_make_request(r->connection, r->http, type, t->path))
        request_finish(r, OUTBOUND_E_UNREACHABLE, "could not begin to connect");
    return 0;
}

int outbound_fetch(struct outbound *o, const struct outbound_request *request, outbound_done_fn *done, void *userdata)
{
    struct target target = {0};
    struct request *r = NULL;
    int result = o->is_ending ? -ECANCELED : target_parse(request->url, &target);

    if (!result) {
        r = calloc(1, sizeof(*r));
        result = r ? 0 : -ENOMEM;
    }
    if (!result) {
        r->owner = o;
        r->done = done;
        r->userdata = userdata;
        list_append(&o->requests, &r->link);
        loop_deferred_init(&r->finish, on_finish, r);
        loop_timer_init(&r->timer, o->loop, on_timeout, r);
        loop_timer_start(&r->timer, request->timeout_ms ? request->timeout_ms : DEFAULT_TIMEOUT_MS);
        result = request_start(r, request, &target);
        if (result)
            request_free(r);
    }
    if (target.uri)
        evhttp_uri_free(target.uri);
    return result;
}

int outbound_new(struct loop *l, struct outbound **ret_outbound)
{
    struct outbound *o = calloc(1, sizeof(*o));

    if (!o)
        return -ENOMEM;
    o->loop = l;
    list_init(&o->requests);
    /* Not started while idle: its descriptors must not keep a loop alive. Without a resolv.conf numeric addresses and
     * /etc/hosts still work. */
    o->dns = evdns_base_new(loop_event_base(l), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!o->dns) {
        free(o);
        return -ENOMEM;
    }
    (void)evdns_base_resolv_conf_parse(o->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    *ret_outbound = o;
    return 0;
}

struct outbound *outbound_free(struct outbound *o)
{
    if (!o)
        return NULL;
    o->is_ending = true;
    while (!list_is_empty(&o->requests)) {
        struct request *r = container_of(o->requests.next, struct request, link);

        if (!r->is_finished) {
            r->is_finished = true;
            r->result = OUTBOUND_E_CANCELLED;
            (void)snprintf(r->error, sizeof(r->error), "cancelled");
        }
        on_finish(r);
    }
    evdns_base_free(o->dns, 1); /* open questions are answered, by which they let go of their connections */
    SSL_CTX_free(o->tls);
    free(o);
    return NULL;
}
