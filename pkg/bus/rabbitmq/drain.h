#ifndef BUS_RABBITMQ_DRAIN_H
#define BUS_RABBITMQ_DRAIN_H

#include "bus/bus.h"
#include "bus/rabbitmq/rabbitmq.h"

enum rabbitmq_drain_result {
    RABBITMQ_DRAIN_DONE = 0,       /* the queue is empty, or @is_stopping said so */
    RABBITMQ_DRAIN_E_BROKER = 1,   /* no connection, or it was lost: again later */
    RABBITMQ_DRAIN_E_NO_QUEUE = 2, /* there is no such queue */
    RABBITMQ_DRAIN_E_RECEIVER = 3, /* one of the callbacks said no */
};

/** struct rabbitmq_drain - what to take out of a queue, and who takes it */
struct rabbitmq_drain {
    const struct rabbitmq_config *config; /* which brokers, the first that takes us, and how */
    const char *queue;
    const char *name; /* of the connection */
    bool follows;     /* an empty queue is waited for */
    /** A body, valid during the call. false: end, nothing of this batch is acknowledged. */
    bool (*on_body)(void *userdata, const struct bus_delivery *d);
    /** All of the batch is safe now, and may be acknowledged; false as above. */
    bool (*on_batch)(void *userdata);
    /** Asked several times a second. */
    bool (*is_stopping)(void *userdata);
    void *userdata;
};

/**
 * rabbitmq_drain() - empty a durable queue, for a command of its own: blocks
 *
 * A body is acknowledged after @on_batch said that it is safe, so whoever dies at any moment loses nothing and may get
 * some again. Return: enum rabbitmq_drain_result; of those that are not 0 @error says why.
 */
int rabbitmq_drain(const struct rabbitmq_drain *drain, char error[256]) base_must_check;

#endif
