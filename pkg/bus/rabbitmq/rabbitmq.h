#ifndef BUS_RABBITMQ_RABBITMQ_H
#define BUS_RABBITMQ_RABBITMQ_H

#include "bus/bus.h"
#include "config/config.h"
#include "metrics/metrics.h"

/**
 * The bus over RabbitMQ (AMQP 0-9-1, rabbitmq-c).
 *
 * Threads with a connection each, because rabbitmq-c blocks: the consumer declares the exchanges and the node's queue,
 * binds it to <prefix>.fanout and (by the node's id) <prefix>.node, consumes with manual acks; the publisher publishes
 * persistent bodies with confirms. With amqp.ingress a third one consumes the queue <prefix>.ingress, and with that or
 * amqp.archive a fourth puts bodies into <prefix>.ingress.dead and <prefix>.archive; how these two fare does not touch
 * the state that the bus tells. They are spoken to by mailbox. A watchdog frees a stuck publish by shutdown(2) of
 * its socket. Any exception on a channel ends its connection; reconnects back off from 0.25 s to 0.5 s with jitter,
 * over all URLs in turn.
 */
enum rabbitmq_queue_mode { RABBITMQ_QUEUE_EXCLUSIVE, RABBITMQ_QUEUE_DURABLE };

struct rabbitmq_config {
    struct config_list url;     /* amqp.url */
    char *management_url;       /* amqp.management_url; for the API and the doctor */
    int queue;                  /* amqp.queue: enum rabbitmq_queue_mode */
    char *prefix;               /* amqp.prefix: "warren" */
    int64_t heartbeat_ms;       /* amqp.heartbeat */
    int64_t prefetch;           /* amqp.prefetch: bodies */
    int64_t confirm_window;     /* amqp.confirm_window: bodies without a confirm */
    int64_t max_pending;        /* amqp.max_pending: publications */
    int64_t max_pending_bytes;  /* amqp.max_pending_bytes */
    int64_t publish_timeout_ms; /* amqp.publish_timeout */
    int64_t max_body_bytes;     /* amqp.max_body_bytes: larger deliveries are poison */
    int64_t queue_expires_ms;   /* amqp.queue_expires: of durable queues */
    int64_t queue_max_length;   /* amqp.queue_max_length: of durable queues */
    char *tls_ca;               /* amqp.tls_ca: whom to trust; empty: the system's authorities */
    bool tls_verify;            /* amqp.tls_verify: certificate and host name */
    char *tls_certificate;      /* amqp.tls_certificate, amqp.tls_key: this node's own; empty: none */
    char *tls_key;
    bool ingress;                  /* amqp.ingress: this node reads the ingress queue, when it is its turn */
    int64_t ingress_prefetch;      /* amqp.ingress_prefetch: bodies */
    bool archive;                  /* amqp.archive: what this node accepts is kept in the archive queue as well */
    int64_t archive_pending;       /* amqp.archive_pending: records that wait to be kept */
    int64_t archive_pending_bytes; /* amqp.archive_pending_bytes */
};

extern const struct config_option rabbitmq_options[];
extern const size_t rabbitmq_option_count;

/**
 * rabbitmq_bus_new() - @node_id is "<ip>:<port>"; the queue is <prefix>.node.<node_id>
 *
 * Borrows @config and @metrics for its life. Return: 0; -EINVAL if a URL is none (config_finish() has refused that
 * before); -ENOMEM.
 */
int rabbitmq_bus_new(struct loop *owner, const struct rabbitmq_config *config, const char *node_id,
                     struct metrics *metrics, struct bus **ret_bus) base_must_check;

/**
 * rabbitmq_probe() - connect, log in, close: for the doctor
 *
 * Blocks up to @timeout_ms. Return: NULL if it works; else what does not, in @storage.
 */
const char *rabbitmq_probe(const struct rabbitmq_config *config, const char *url, int timeout_ms, char storage[256]);

#endif
