/*
 * Every package's table of options over one struct of values. What must agree between packages is settled here, so that
 * no package needs to know another's options.
 */
#include "base/log.h"
#include "http/url.h"
#include "server/server_internal.h"

#include <stdlib.h>

static const char *const schedulings[] = {"normal", "batch", NULL};
static const char *const log_levels[] = {"debug", "info", "notice", "warning", "error", NULL};

static const char *const words_actions[] = {"mask", "refuse", NULL};

static const char *check_node_address(struct slice value)
{
    struct net_address address;
    struct buffer text = BUFFER_WITH_LIMIT(256);
    const char *fault;

    if (value.size == 0)
        return NULL;
    buffer_append_slice(&text, value);
    buffer_append_text(&text, ":1");
    fault = buffer_error(&text) ? "too long" : net_address_parse(buffer_slice(&text), &address);
    buffer_deinit(&text);
    return fault ? "expected an IP address without port, IPv6 in brackets" : NULL;
}

const struct config_option server_options[] = {
    {.key = "node.address",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct server_config, node_address),
     .default_text = "",
     .check = check_node_address,
     .help =
         "This node's IP address, without port: half of its id. Empty: the address that the kernel would use to reach "
         "the first broker that resolves."},
    {.key = "loop.workers",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct server_config, workers),
     .default_text = "0",
     .min = 0,
     .max = SERVER_WORKERS_MAX,
     .help = "Threads that own client connections. 0: one per core but one, at least one."},
    {.key = "loop.scheduling",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct server_config, scheduling),
     .default_text = "batch",
     .choices = schedulings,
     .help =
         "How the kernel schedules this process. batch: on a busy core a thread that has got work lets the running one "
         "finish its own first, so that more travels together. normal: it takes the core at once."},
    {.key = "loop.io_uring",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct server_config, io_uring),
     .default_text = "yes",
     .help =
         "Writes to clients that fall due together go to the kernel in one call, where it lets this process have an "
         "io_uring (Linux 6.1; the profiles of container runtimes often forbid it). Else each is a call."},
    {.key = "log.level",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct server_config, log_level),
     .default_text = "info",
     .choices = log_levels,
     .reloadable = true,
     .help = "Lines below this level are not written."},
    {.key = "drain.period",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct server_config, drain_period_ms),
     .default_text = "30s",
     .min = 0,
     .max = 3600000,
     .reloadable = true,
     .help = "A node that ends sends its clients away over this time, each at its own moment, at an even rate. The "
             "service manager's patience must be longer."},
    {.key = "drain.rate",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct server_config, drain_rate),
     .default_text = "10",
     .min = 0,
     .max = 1000000,
     .reloadable = true,
     .help = "At least so many clients a second are sent away, so that a node with few of them ends before the period "
             "is over. 0: it always takes the whole period."},
    {.key = "words.file",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct server_config, words_file),
     .default_text = "",
     .reloadable = true,
     .help = "File of words that clients may not say, one a line; read again when it changes. Empty: there are none."},
    {.key = "words.action",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct server_config, words_action),
     .default_text = "mask",
     .choices = words_actions,
     .reloadable = true,
     .help = "What becomes of a text with one of the words, unless the file says otherwise: the word is masked, or the "
             "text refused."},
};
const size_t server_option_count = BASE_ARRAY_SIZE(server_options);

static int add_tables(struct server_settings *s)
{
    const struct {
        const struct config_option *options;
        size_t count;
        void *values;
    } tables[] = {
        {server_options, server_option_count, &s->server}, {gateway_options, gateway_option_count, &s->gateway},
        {api_options, api_option_count, &s->api},          {rabbitmq_options, rabbitmq_option_count, &s->amqp},
        {redis_options, redis_option_count, &s->redis},    {hub_options, hub_option_count, &s->hub},
    };
    int result;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(tables); i++) {
        result = config_add_table(s->config, tables[i].options, tables[i].count, tables[i].values);
        if (result)
            return result;
    }
    result = config_add_family(s->config, HUB_CHANNEL_FAMILY, hub_channel_options, hub_channel_option_count,
                               sizeof(struct hub_channel_config));
    if (result)
        return result;
    return config_add_family(s->config, GATEWAY_ROUTE_FAMILY, gateway_route_options, gateway_route_option_count,
                             sizeof(struct gateway_route_config));
}

int server_settings_new(struct server_settings **ret_settings)
{
    struct server_settings *s = calloc(1, sizeof(*s));
    int result;

    if (!s)
        return -ENOMEM;
    result = config_new(&s->config);
    if (!result)
        result = add_tables(s);
    if (result) {
        server_settings_free(s);
        return result;
    }
    *ret_settings = s;
    return 0;
}

struct config *server_settings_config(struct server_settings *s)
{
    return s->config;
}

/** The addresses parse by their tables' checks; here only what concerns two of them, or the mode. */
static int check_together(const struct server_settings *s, struct buffer *errors)
{
    struct net_address address;
    struct http_url url;

    if (!net_address_parse(slice_from(s->gateway.listen), &address) && net_address_port(&address) == 0) {
        buffer_append_text(errors, "listen.public: expected a port, because the node's id needs one, got 0\n");
        return CONFIG_E_INVALID;
    }
    if (s->gateway.tls_certificate.count != s->gateway.tls_key.count) {
        buffer_append_text(errors, "tls.certificate and tls.key: expected as many of one as of the other\n");
        return CONFIG_E_INVALID;
    }
    if (!s->amqp.tls_certificate[0] != !s->amqp.tls_key[0]) {
        buffer_append_text(errors, "amqp.tls_certificate and amqp.tls_key: expected both or neither\n");
        return CONFIG_E_INVALID;
    }
    if (s->amqp.management_url[0] && http_url_parse(slice_from(s->amqp.management_url), "http,https", &url)) {
        buffer_append_text(errors, "amqp.management_url: expected http://user:password@host:port, or https://\n");
        return CONFIG_E_INVALID;
    }
    return 0;
}

int server_settings_finish(struct server_settings *s, bool standalone, struct buffer *errors)
{
    int result = config_finish(s->config, errors);

    if (result)
        return result;
    s->gateway.message_bytes = s->hub.message_bytes;
    s->hub.sections = s->config;
    s->hub.ingress = s->amqp.ingress && !standalone;
    s->hub.archive = s->amqp.archive && !standalone;
    s->hub.archive_pending = s->amqp.archive_pending;
    s->hub.archive_pending_bytes = s->amqp.archive_pending_bytes;
    result = check_together(s, errors);
    return result ? result : hub_config_check(s->config, errors);
}

int server_settings_load(struct server_settings *s, const struct server_sources *sources, struct buffer *errors)
{
    int result = 0, first = 0;

    if (sources->path)
        first = config_load_file(s->config, sources->path, errors);
    result = config_load_environment(s->config, sources->environment, errors);
    first = first ? first : result;
    for (size_t i = 0; i < sources->assignment_count; i++) {
        result = config_load_assignment(s->config, sources->assignments[i], errors);
        first = first ? first : result;
    }
    return first ? first : server_settings_finish(s, sources->standalone, errors);
}

int server_settings_check(const struct server_settings *s, struct buffer *errors)
{
    int gateway = gateway_config_check(&s->gateway, s->config, errors);
    int api = api_config_check(&s->api, errors);
    struct wordlist *list = NULL;
    int words = server_words_load(&s->server, errors, &list);

    wordlist_unref(list);
    return gateway ? gateway : api ? api : words;
}

struct server_settings *server_settings_free(struct server_settings *s)
{
    if (!s)
        return NULL;
    config_free(s->config);
    free(s);
    return NULL;
}
