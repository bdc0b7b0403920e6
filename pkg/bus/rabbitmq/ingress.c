/*
 * The ingress queue: what back ends publish to get order, log and retry.
 *
 * Every node declares it and consumes from it, and the broker gives one of them at a time its bodies (x-single-active-
 * consumer), so that a publisher's order holds. When that one's connection ends, what it has not acknowledged goes, in
 * its old order, to the next. The consumer's tag tells people whose turn it is.
 */
#include "bus/rabbitmq/rabbitmq_internal.h"

#include <stdio.h>

static int declare_queue(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    amqp_table_entry_t argument = {.key = amqp_cstring_bytes("x-single-active-consumer"),
                                   .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    amqp_table_t table = {.num_entries = 1, .entries = &argument};

    (void)amqp_queue_declare(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(bus->ingress), 0, 1, 0, 0, table);
    return rabbitmq_connection_reply(c, "queue.declare");
}

static int declare(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    int result = rabbitmq_declare_exchange(c, bus->ingress, "direct");

    if (!result)
        result = declare_queue(bus, c);
    /* An address may stand in the body alone: a direct exchange brings nothing by a key that was not bound. */
    if (!result)
        result = rabbitmq_bind_queue(c, bus->ingress, bus->ingress, "");
    if (!result)
        result = rabbitmq_bind_queue(c, bus->ingress, bus->ingress, bus->ingress);
    return result;
}

static int consume(struct rabbitmq_bus *bus, struct rabbitmq_connection *c)
{
    char tag[160];
    int result;

    (void)amqp_basic_qos(c->amqp, RABBITMQ_CHANNEL, 0, (uint16_t)bus->config->ingress_prefetch, 0);
    result = rabbitmq_connection_reply(c, "basic.qos");
    if (result)
        return result;
    (void)snprintf(tag, sizeof(tag), "warren %s", bus->node_id);
    (void)amqp_basic_consume(c->amqp, RABBITMQ_CHANNEL, amqp_cstring_bytes(bus->ingress), amqp_cstring_bytes(tag), 0, 0,
                             0, amqp_empty_table);
    return rabbitmq_connection_reply(c, "basic.consume");
}

static void deliver(struct rabbitmq_bus *bus, struct bus_delivery *d)
{
    bus->bus.callbacks.on_ingress(bus->bus.callbacks.userdata, d);
}

const struct rabbitmq_source rabbitmq_ingress_source = {
    .declare = declare,
    .consume = consume,
    .deliver = deliver,
    .keeps_oversized = true,
    .is_optional = true,
    .bodies = RABBITMQ_INGRESS_BODIES,
    .bytes = RABBITMQ_INGRESS_BYTES,
    .redelivered = RABBITMQ_INGRESS_REDELIVERED,
    .unacked = RABBITMQ_INGRESS_UNACKED,
};

const struct rabbitmq_role rabbitmq_ingress_role = {
    .name = "ingress",
    .thread_name = "amqp-ingress",
    .serve = rabbitmq_consumer_serve,
    .lost = rabbitmq_consumer_lost,
    .on_notify = rabbitmq_consumer_on_notify,
};
