#ifndef GATEWAY_ADMISSION_INTERNAL_H
#define GATEWAY_ADMISSION_INTERNAL_H

#include "base/log.h"
#include "gateway/reason.h"
#include "loop/loop.h"
#include "net/address.h"

#include <pthread.h>

/**
 * Who is let in. Clients who are here go first: what newcomers may cost is bounded, in number, in memory, and in what
 * this node has to do for them at one time.
 */

struct gateway;
struct gateway_address;

#define GATEWAY_ADDRESS_SHARDS 16

/** struct gateway_addresses - how many connections each client's address has. Thread: any */
struct gateway_addresses {
    struct gateway_address_shard {
        pthread_mutex_t mutex;
        struct gateway_address *map;
    } shards[GATEWAY_ADDRESS_SHARDS];
};

void gateway_addresses_init(struct gateway_addresses *a);
/** Everything was given back. */
void gateway_addresses_deinit(struct gateway_addresses *a);
/** One more connection of @key, unless it has @limit of them. false also when out of memory. */
bool gateway_addresses_take(struct gateway_addresses *a, uint64_t key, size_t limit);
void gateway_addresses_give(struct gateway_addresses *a, uint64_t key);

/** struct gateway_admission - the acceptor's state of it */
struct gateway_admission {
    struct loop_timer look; /* at the memory */
    struct loop_timer pace; /* while the listener pauses */
    uint64_t memory_limit, resident;
    size_t connections_limit; /* limits.connections, or what the descriptors allow */
    size_t refusals_max;      /* newcomers who are refused but still listened to, so that they read a whole answer */
    uint64_t descriptors;
    /* the bucket: a newcomer takes a million, a microsecond brings limits.accept_rate */
    uint64_t tokens, filled_us;
    /* whether newcomers settle */
    size_t settled_seen;
    uint64_t settled_ms;
    bool is_memory_short;
    bool is_turning_away; /* waiting has become too long: who comes now is refused */
    struct log_limit full_log, memory_log, storm_log;
};

/** Looks at the machine and tells the limits that hold. On the acceptor's loop. */
void gateway_admission_start(struct gateway *g);
void gateway_admission_stop(struct gateway *g);
/** The configuration has changed. */
void gateway_admission_reload(struct gateway *g);
/** After each accepted connection: pauses the listener if this node has enough to do for those who came. */
void gateway_admission_pace(struct gateway *g);
/** GATEWAY_REASONS: let in; else why not. @connections: how many there are with this one. */
enum gateway_reason gateway_admission_judge(struct gateway *g, size_t connections);

#endif
