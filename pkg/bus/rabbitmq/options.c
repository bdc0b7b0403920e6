/* The options of [amqp]; what each one means stands in its help. */
#include "bus/rabbitmq/rabbitmq_internal.h"

static const char *const queue_modes[] = {
    [RABBITMQ_QUEUE_EXCLUSIVE] = "exclusive",
    [RABBITMQ_QUEUE_DURABLE] = "durable",
    NULL,
};

/** One URL or a list of them. */
static const char *check_urls(struct slice value)
{
    struct slice rest = value, part;
    const char *error = NULL;

    while (!error && slice_split(&rest, ',', &part))
        error = rabbitmq_url_check(slice_trim(part));
    return error;
}

static const char *check_prefix(struct slice value)
{
    if (value.size == 0 || value.size > 64)
        return "expected 1 to 64 characters";
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strchr("._-", c))
            return "expected letters, digits, '.', '_' and '-'";
    }
    return NULL;
}

#define AT(member) offsetof(struct rabbitmq_config, member)

const struct config_option rabbitmq_options[] = {
    {
        .key = "amqp.url",
        .type = CONFIG_LIST,
        .offset = AT(url),
        .default_text = "amqp://guest:guest@127.0.0.1:5672/",
        .check = check_urls,
        .secrecy = CONFIG_SECRET_URL,
        .help = "Brokers, of one cluster if several, tried in turn: amqp[s]://user:password@host:port/vhost; an empty "
                "vhost is \"/\".",
    },
    {
        .key = "amqp.management_url",
        .type = CONFIG_TEXT,
        .offset = AT(management_url),
        .default_text = "",
        .secrecy = CONFIG_SECRET_URL,
        .help = "The broker's management API, http://user:password@host:port, for bindings and queues; empty: none.",
    },
    {
        .key = "amqp.queue",
        .type = CONFIG_CHOICE,
        .offset = AT(queue),
        .default_text = "exclusive",
        .choices = queue_modes,
        .help = "The node's queue: exclusive dies with its connection, durable outlives a restart of the node.",
    },
    {
        .key = "amqp.prefix",
        .type = CONFIG_TEXT,
        .offset = AT(prefix),
        .default_text = "warren",
        .check = check_prefix,
        .help = "What names of exchanges and queues begin with.",
    },
    {
        .key = "amqp.heartbeat",
        .type = CONFIG_DURATION,
        .offset = AT(heartbeat_ms),
        .default_text = "10s",
        .min = 1000,
        .max = 60000,
        .help = "Heartbeat of the broker connections, in whole seconds; a dead one is noticed after two.",
    },
    {
        .key = "amqp.prefetch",
        .type = CONFIG_INTEGER,
        .offset = AT(prefetch),
        .default_text = "500",
        .min = 1,
        .max = 65535,
        .help = "Bodies that the broker sends ahead of their acknowledgement.",
    },
    {
        .key = "amqp.confirm_window",
        .type = CONFIG_INTEGER,
        .offset = AT(confirm_window),
        .default_text = "256",
        .min = 1,
        .max = 10000,
        .help = "Bodies published ahead of their confirm.",
    },
    {
        .key = "amqp.max_pending",
        .type = CONFIG_INTEGER,
        .offset = AT(max_pending),
        .default_text = "10000",
        .min = 1,
        .max = 1000000,
        .help = "Messages waiting to be published or confirmed; beyond, senders are told that the node is busy.",
    },
    {
        .key = "amqp.max_pending_bytes",
        .type = CONFIG_BYTES,
        .offset = AT(max_pending_bytes),
        .default_text = "64m",
        .min = 65536,
        .max = 4294967296,
        .help = "The same in bytes.",
    },
    {
        .key = "amqp.publish_timeout",
        .type = CONFIG_DURATION,
        .offset = AT(publish_timeout_ms),
        .default_text = "10s",
        .min = 100,
        .max = 600000,
        .help = "How long a message waits for the broker's confirm before its sender is told that it is unavailable.",
    },
    {
        .key = "amqp.max_body_bytes",
        .type = CONFIG_BYTES,
        .offset = AT(max_body_bytes),
        .default_text = "1m",
        .min = 1024,
        .max = 67108864,
        .help = "Larger bodies from the broker are counted and dropped unread.",
    },
    {
        .key = "amqp.queue_expires",
        .type = CONFIG_DURATION,
        .offset = AT(queue_expires_ms),
        .default_text = "10m",
        .min = 1000,
        .max = 604800000,
        .help = "After how long without its node a durable queue is deleted (x-expires).",
    },
    {
        .key = "amqp.queue_max_length",
        .type = CONFIG_INTEGER,
        .offset = AT(queue_max_length),
        .default_text = "100000",
        .min = 1,
        .max = 100000000,
        .help = "Bodies that a durable queue holds; the oldest are dropped beyond (x-max-length).",
    },
    {
        .key = "amqp.tls_ca",
        .type = CONFIG_TEXT,
        .offset = AT(tls_ca),
        .default_text = "",
        .help = "File of the certificate authorities that amqps:// brokers are trusted by; empty: the system's.",
    },
    {
        .key = "amqp.tls_verify",
        .type = CONFIG_BOOL,
        .offset = AT(tls_verify),
        .default_text = "on",
        .help = "Whether an amqps:// broker must show a certificate that is trusted and bears its host's name.",
    },
    {
        .key = "amqp.tls_certificate",
        .type = CONFIG_TEXT,
        .offset = AT(tls_certificate),
        .default_text = "",
        .help = "File of the certificate that this node shows to amqps:// brokers; empty: none.",
    },
    {
        .key = "amqp.tls_key",
        .type = CONFIG_TEXT,
        .offset = AT(tls_key),
        .default_text = "",
        .help = "File of its key.",
    },
    {
        .key = "amqp.ingress",
        .type = CONFIG_BOOL,
        .offset = AT(ingress),
        .default_text = "on",
        .help = "Whether this node takes part in reading the queue <prefix>.ingress; one node at a time does.",
    },
    {
        .key = "amqp.ingress_prefetch",
        .type = CONFIG_INTEGER,
        .offset = AT(ingress_prefetch),
        .default_text = "200",
        .min = 1,
        .max = 10000,
        .help = "Bodies of the ingress queue that the broker sends ahead of their acknowledgement.",
    },
    {
        .key = "amqp.archive",
        .type = CONFIG_BOOL,
        .offset = AT(archive),
        .default_text = "off",
        .help = "Whether a copy of every message that this node accepts is kept in the queue <prefix>.archive.",
    },
    {
        .key = "amqp.archive_pending",
        .type = CONFIG_INTEGER,
        .offset = AT(archive_pending),
        .default_text = "100000",
        .min = 1,
        .max = 10000000,
        .help =
            "Records that wait in memory to be archived, as while the broker is away; more are counted, logged and not "
            "archived.",
    },
    {
        .key = "amqp.archive_pending_bytes",
        .type = CONFIG_BYTES,
        .offset = AT(archive_pending_bytes),
        .default_text = "64m",
        .min = 65536,
        .max = 4294967296,
        .help = "The same in bytes.",
    },
};

const size_t rabbitmq_option_count = BASE_ARRAY_SIZE(rabbitmq_options);
