#ifndef STORE_REDIS_REDIS_STORE_H
#define STORE_REDIS_REDIS_STORE_H

#include "config/config.h"
#include "metrics/metrics.h"
#include "store/store.h"

/**
 * The store over one Redis primary (hiredis, asynchronous, pipelined; commands of one turn leave together). Keys begin with redis.prefix:
 *
 *     seen:<node>:<slot>   set of ids, slots of Redis time of half the window, kept three slots; looked up in current and previous, in one MULTI a request
 *     nodes                hash, node -> incarnation, lease end, and what the lease says (JSON, for eyes and for Lua)
 *     user:<id>            hash, session -> node, incarnation, device, since, stated (JSON, for eyes and for Lua)
 *     online:{room}        hash, node -> incarnation, stated, connections, users (JSON, for eyes and for Lua)
 *     roster:{room}        hash, node -> incarnation, names (JSON, for eyes and for Lua)
 *
 * (hiredis is the only library that this package may see: no msgpack, no libevent here.)
 * A command without an answer for redis.timeout, or any error but a refusal by rule, ends the connection: open requests get STORE_E_UNAVAILABLE,
 * and it reconnects with backoff (0.1 to 2 s, jitter).
 */
struct redis_config {
    char *url;             /* redis.url: redis://[user:password@]host:port[/db], unix:///path[?db=n] */
    char *prefix;          /* redis.prefix: "warren:" */
    int64_t timeout_ms;    /* redis.timeout */
    int64_t max_pending;   /* redis.max_pending: requests */
};

extern const struct config_option redis_options[];
extern const size_t redis_option_count;

/** Borrows @config and @metrics, copies @identity. Return: 0; -EINVAL if the URL is none; -ENOMEM. */
int redis_store_new(struct loop *owner, const struct redis_config *config, const struct store_identity *identity,
                    struct metrics *metrics, struct store **ret_store) base_must_check;

/** For the doctor: connects, PING, reads maxmemory-policy and version. Blocks up to @timeout_ms. NULL, or what does not work, in @storage. */
const char *redis_probe(const char *url, int timeout_ms, char ret_policy[64], char ret_version[32], char storage[256]);

#endif
