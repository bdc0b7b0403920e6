#ifndef BUS_RABBITMQ_SETTINGS_H
#define BUS_RABBITMQ_SETTINGS_H

#include "bus/rabbitmq/rabbitmq.h"

/** struct rabbitmq_settings - what a node's configuration says of the broker, for a program that is no node */
struct rabbitmq_settings {
    struct config *config; /* owns what @amqp points to */
    struct rabbitmq_config amqp;
};

/**
 * rabbitmq_settings_load() - read [amqp] as a node reads it
 *
 * From the file at @path (NULL: none; its other sections are passed over), then the environment, then @assignments
 * ("amqp.prefix=x", ended by NULL), the later ones being stronger. @s is what rabbitmq_settings_deinit() ends, in any
 * case. Return: 0; CONFIG_E_INVALID, with a line in @errors for each thing that is wrong; -ENOMEM.
 */
int rabbitmq_settings_load(struct rabbitmq_settings *s, const char *path, char *const *environment,
                           const char *const *assignments, struct buffer *errors) base_must_check;
/** Accepts one that was zeroed. */
void rabbitmq_settings_deinit(struct rabbitmq_settings *s);

#endif
