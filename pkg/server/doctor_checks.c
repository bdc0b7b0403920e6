/*
 * The doctor's checks: what a node needs from the machine, the broker and the store, and how to mend what is missing.
 * They block, each for a bounded time, so a live node runs them on a thread of their own.
 */
#include "base/clock.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls.h"
#include "server/server_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#define PROBE_TIMEOUT_MS 3000
/** Of a node of a stream, so that logs are cut close to their limits. */
#define STREAM_NODE_BYTES 512
/** Descriptors that a node needs beyond its connections. */
#define OTHER_DESCRIPTORS 256

static void add(struct server_checks *c, const char *name, enum server_check_result result, const char *mend,
                const char *format, ...) base_printf(5, 6);

static void add(struct server_checks *c, const char *name, enum server_check_result result, const char *mend,
                const char *format, ...)
{
    struct server_check *check;
    va_list args;

    if (c->count == SERVER_CHECKS_MAX)
        return;
    check = &c->checks[c->count++];
    check->name = name;
    check->result = result;
    va_start(args, format);
    (void)vsnprintf(check->detail, sizeof(check->detail), format, args);
    va_end(args);
    check->detail[strcspn(check->detail, "\n")] = '\0'; /* sentences of the configuration end their line */
    (void)snprintf(check->mend, sizeof(check->mend), "%s", mend ? mend : "");
    if (result == SERVER_CHECK_FAIL)
        c->failed++;
}

/** scheme://host:port without user and password. */
static void describe_url(const char *url, char ret_text[200])
{
    const char *at = strrchr(url, '@');
    const char *scheme_end = strstr(url, "://");

    if (at && scheme_end && at > scheme_end)
        (void)snprintf(ret_text, 200, "%.*s%s", (int)(scheme_end + 3 - url), url, at + 1);
    else
        (void)snprintf(ret_text, 200, "%s", url);
}

static void check_broker(struct server_checks *c, const struct server_settings *settings)
{
    size_t reached = 0;

    for (size_t i = 0; i < settings->amqp.url.count; i++) {
        char storage[256], url[200];
        const char *fault = rabbitmq_probe(&settings->amqp, settings->amqp.url.items[i], PROBE_TIMEOUT_MS, storage);

        describe_url(settings->amqp.url.items[i], url);
        if (!fault)
            reached++;
        add(c, "broker",
            !fault    ? SERVER_CHECK_OK
            : reached ? SERVER_CHECK_WARN
                      : SERVER_CHECK_FAIL,
            fault ? "start RabbitMQ there, or mend amqp.url (WARREN_AMQP_URL): amqp://user:password@host:5672/vhost"
                  : NULL,
            "%s: %s", url, fault ? fault : "logged in");
    }
}

/* ---- the management API: one question on a loop of its own ---- */

struct fetch {
    struct loop *loop;
    int result;
    unsigned status;
    char error[200];
};

static void on_fetched(void *userdata, int result, unsigned status, struct slice body base_unused, const char *error)
{
    struct fetch *f = userdata;

    f->result = result;
    f->status = status;
    (void)snprintf(f->error, sizeof(f->error), "%s", error ? error : "");
    loop_stop(f->loop);
}

static int fetch_blocking(const char *url, struct fetch *f)
{
    const struct outbound_request request = {.method = "GET", .url = url, .timeout_ms = PROBE_TIMEOUT_MS};
    struct outbound *outbound = NULL;
    int result = loop_new("doctor", &f->loop);

    if (result)
        return result;
    result = outbound_new(f->loop, &outbound);
    if (!result)
        result = outbound_fetch(outbound, &request, on_fetched, f);
    if (!result)
        loop_run(f->loop);
    outbound_free(outbound);
    loop_free(f->loop);
    return result;
}

static void check_management(struct server_checks *c, const struct server_settings *settings)
{
    static const char mend[] =
        "enable it (rabbitmq-plugins enable rabbitmq_management) or set amqp.management_url; without it "
        "`warrenctl bindings` and `queues` have nothing to show";
    struct buffer url = {0};
    struct fetch f = {0};
    char shown[200];
    int result;

    server_management_url(&settings->amqp, &url);
    buffer_append_text(&url, "/api/overview");
    result = buffer_error(&url) ? -ENOMEM : fetch_blocking(url.data, &f);
    describe_url(url.data ? url.data : "", shown);
    if (result)
        add(c, "management", SERVER_CHECK_WARN, mend, "%s: %s", shown,
            result == -EINVAL ? "not a URL" : strerror(-result));
    else if (f.result)
        add(c, "management", SERVER_CHECK_WARN, mend, "%s: %s", shown, f.error[0] ? f.error : "no answer");
    else if (f.status != 200)
        add(c, "management", SERVER_CHECK_WARN,
            f.status == 401 ? "the user needs the tag \"monitoring\" (rabbitmqctl set_user_tags USER monitoring)"
                            : mend,
            "%s: HTTP status %u", shown, f.status);
    else
        add(c, "management", SERVER_CHECK_OK, NULL, "%s: answers", shown);
    buffer_deinit(&url);
}

/** The number before the first dot; 0 if there is none. */
static uint64_t major_of(const char *version)
{
    struct slice rest = slice_from(version), part;
    uint64_t major;

    return slice_split(&rest, '.', &part) && slice_to_uint64(part, 1000, &major) ? major : 0;
}

static void check_eviction(struct server_checks *c, const char *policy)
{
    if (!policy[0])
        add(c, "redis eviction", SERVER_CHECK_WARN,
            "let the user run CONFIG GET, or check that maxmemory-policy is noeviction",
            "maxmemory-policy could not be read");
    else if (strcmp(policy, "noeviction") != 0)
        add(c, "redis eviction", SERVER_CHECK_FAIL,
            "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf: other policies throw state away "
            "silently",
            "maxmemory-policy is %s", policy);
    else
        add(c, "redis eviction", SERVER_CHECK_OK, NULL, "maxmemory-policy is noeviction");
}

/** A stream is trimmed by whole nodes, and has one at least: what is in them is kept beyond the limits. */
static void check_streams(struct server_checks *c, const char *bytes)
{
    static const char *const mend =
        "redis-cli CONFIG SET stream-node-max-bytes 512, and in redis.conf: small logs take a quarter of the memory";
    uint64_t value;

    if (!slice_to_uint64(slice_from(bytes), UINT64_MAX, &value))
        add(c, "redis streams", SERVER_CHECK_WARN, mend, "stream-node-max-bytes could not be read");
    else if (value == 0 || value > STREAM_NODE_BYTES)
        add(c, "redis streams", SERVER_CHECK_WARN, mend, "stream-node-max-bytes is %s", bytes);
    else
        add(c, "redis streams", SERVER_CHECK_OK, NULL, "stream-node-max-bytes is %s", bytes);
}

static void check_store(struct server_checks *c, const struct server_settings *settings)
{
    struct redis_findings found = {0};
    char storage[256], url[200];
    const char *fault = redis_probe(settings->redis.url, PROBE_TIMEOUT_MS, &found, storage);

    describe_url(settings->redis.url, url);
    if (fault) {
        add(c, "redis", SERVER_CHECK_FAIL,
            "start Redis there, or mend redis.url (WARREN_REDIS_URL): redis://:password@host:6379/0", "%s: %s", url,
            fault);
        return;
    }
    if (major_of(found.version) < 7)
        add(c, "redis", SERVER_CHECK_FAIL, "Warren needs Redis 7 or later", "%s: version %s", url, found.version);
    else
        add(c, "redis", SERVER_CHECK_OK, NULL, "%s: version %s", url, found.version);
    check_eviction(c, found.policy);
    check_streams(c, found.stream_node_bytes);
}

static void ignore_accepted(void *userdata base_unused, int fd, const struct net_address *peer base_unused)
{
    (void)close(fd);
}

static void check_port(struct server_checks *c, const char *name, const char *key, const char *text, bool live)
{
    struct net_address address;
    struct net_listener *listener = NULL;
    struct loop *loop = NULL;
    char mend[200];
    int result;

    if (live) {
        add(c, name, SERVER_CHECK_OK, NULL, "%s: listening", text);
        return;
    }
    if (net_address_parse(slice_from(text), &address) || loop_new("doctor", &loop)) {
        add(c, name, SERVER_CHECK_WARN, NULL, "%s: could not be tried", text);
        return;
    }
    result = net_listener_open(loop, &address, ignore_accepted, NULL, &listener);
    net_listener_close(listener);
    loop_free(loop);
    (void)snprintf(mend, sizeof(mend), "end what listens there (ss -ltnp), or set %s", key);
    if (result)
        add(c, name, SERVER_CHECK_FAIL, mend, "%s: %s", text, strerror(-result));
    else
        add(c, name, SERVER_CHECK_OK, NULL, "%s: free", text);
}

static void check_tls(struct server_checks *c, const struct server_settings *settings)
{
    struct buffer error = {0};
    struct net_tls *tls = NULL;

    if (settings->gateway.tls_certificate.count == 0) {
        add(c, "tls", SERVER_CHECK_OK, NULL, "off: the public listener speaks plain WebSocket");
        return;
    }
    if (gateway_tls_load(&settings->gateway, NULL, &error, &tls))
        add(c, "tls", SERVER_CHECK_FAIL, "mend tls.certificate and tls.key: PEM files that this user may read", "%s",
            error.data ? error.data : "could not be loaded");
    else
        add(c, "tls", SERVER_CHECK_OK, NULL, "%s%s", settings->gateway.tls_certificate.items[0],
            settings->gateway.tls_certificate.count > 1 ? " and others" : "");
    net_tls_unref(tls);
    buffer_deinit(&error);
}

static void check_descriptors(struct server_checks *c, const struct server_settings *settings)
{
    struct rlimit limit;
    uint64_t needed = (uint64_t)settings->gateway.connections + OTHER_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit)) {
        add(c, "descriptors", SERVER_CHECK_WARN, NULL, "getrlimit: %s", strerror(errno));
        return;
    }
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed)
        add(c, "descriptors", SERVER_CHECK_WARN,
            "raise LimitNOFILE in the unit (or ulimit -n), or lower limits.connections",
            "the limit is %" PRIu64 ", limits.connections of %" PRId64 " need %" PRIu64, (uint64_t)limit.rlim_max,
            settings->gateway.connections, needed);
    else
        add(c, "descriptors", SERVER_CHECK_OK, NULL, "enough for %" PRId64 " connections",
            settings->gateway.connections);
}

static void check_ring(struct server_checks *c, const struct server_settings *settings)
{
    int result = settings->server.io_uring ? net_ring_probe() : 0;

    if (!settings->server.io_uring)
        add(c, "io_uring", SERVER_CHECK_OK, NULL, "not asked for (loop.io_uring)");
    else if (result == 0)
        add(c, "io_uring", SERVER_CHECK_OK, NULL, "writes to clients share calls");
    else
        add(c, "io_uring", SERVER_CHECK_OK, NULL,
            "not to be had (%s): each write to a client is a call, which is dearer", strerror(-result));
}

static void check_clock(struct server_checks *c)
{
    struct timex t = {0};
    int state = adjtimex(&t); /* only reads: no mode is set */

    if (clock_realtime_ms() < INT64_C(1704067200000))
        add(c, "clock", SERVER_CHECK_FAIL, "set the clock; run an NTP client (chrony, systemd-timesyncd)",
            "it is before 2024");
    else if (state < 0 || (t.status & STA_UNSYNC))
        add(c, "clock", SERVER_CHECK_WARN,
            "run an NTP client (chrony, systemd-timesyncd); times told to clients are the node's", "not synchronised");
    else
        add(c, "clock", SERVER_CHECK_OK, NULL, "synchronised, error at most %ld ms", t.maxerror / 1000);
}

static void check_node(struct server_checks *c, const struct server_settings *settings, bool standalone)
{
    char node[SERVER_NODE_ID_SIZE];
    struct buffer errors = {0};

    if (server_node_id(settings, standalone, node, &errors))
        add(c, "node", SERVER_CHECK_FAIL, "set node.address to this machine's IP address", "%s",
            errors.data ? errors.data : "no address");
    else
        add(c, "node", SERVER_CHECK_OK, NULL, "id %s", node);
    buffer_deinit(&errors);
}

void server_checks_run(const struct server_settings *settings, bool standalone, bool live,
                       struct server_checks *ret_checks)
{
    memset(ret_checks, 0, sizeof(*ret_checks));
    check_node(ret_checks, settings, standalone);
    if (!standalone) {
        check_broker(ret_checks, settings);
        check_management(ret_checks, settings);
        check_store(ret_checks, settings);
    }
    check_port(ret_checks, "public port", "listen.public", settings->gateway.listen, live);
    check_port(ret_checks, "internal port", "listen.internal", settings->api.listen, live);
    check_tls(ret_checks, settings);
    check_descriptors(ret_checks, settings);
    check_ring(ret_checks, settings);
    check_clock(ret_checks);
}
