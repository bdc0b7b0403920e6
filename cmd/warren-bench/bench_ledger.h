#ifndef WARREN_BENCH_BENCH_LEDGER_H
#define WARREN_BENCH_BENCH_LEDGER_H

#include "base/macros.h"

/**
 * struct bench_ledger - which viewer got which message how often, and in which order
 *
 * Messages are numbered in the order of sending. Every viewer has to get every message once, and the messages of one
 * sender in their order; those of different senders may come in any.
 */
struct bench_ledger {
    size_t viewers, senders, messages;
    uint8_t *times;    /* [viewer][message]: how often it came, at most 255 */
    uint32_t *newest;  /* [viewer][sender]: 1 + the newest message of this sender that came; 0: none */
    uint32_t *arrived; /* [message]: at how many viewers */
    uint64_t received; /* all arrivals */
    uint64_t duplicated;
    uint64_t out_of_order; /* came for the first time, but after a newer one of its sender */
};

/** {0} until then. Return: 0; -ENOMEM (also when the numbers are beyond all memory). */
int bench_ledger_init(struct bench_ledger *l, size_t viewers, size_t senders, size_t messages) base_must_check;
/** Accepts a zeroed one. */
void bench_ledger_deinit(struct bench_ledger *l);
/** @message of @sender came to @viewer. Return: whether for the first time. */
bool bench_ledger_take(struct bench_ledger *l, size_t viewer, size_t sender, size_t message);
bool bench_ledger_has(const struct bench_ledger *l, size_t viewer, size_t message);

#endif
