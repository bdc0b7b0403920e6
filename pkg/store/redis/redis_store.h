#ifndef STORE_REDIS_REDIS_STORE_H
#define STORE_REDIS_REDIS_STORE_H

#include "config/config.h"
#include "metrics/metrics.h"
#include "store/store.h"

/**
 * The store over one Redis 7 primary: pipelined, commands of one turn leave together. Keys begin with redis.prefix.
 *
 *     seen:<node>:<slot>   set of ids this node has handled; a slot is half the window of Redis time
 *     nodes                hash, node -> incarnation, end of the lease, and what the lease says
 *     user:<id>            hash, session -> incarnation, stated, node, device, since
 *     online:{room}        hash, node -> incarnation, stated, connections, users, version; told: when leave to tell was
 *                          given last
 *     users:{room}         hash, user -> the nodes where the user is, separated by spaces
 *     names:{room}         sorted set of the users, all with score 0
 *     log:{ch}             stream, ids <epoch>-<offset>, one field r: the record
 *     key:{ch}:<size of sender>:<sender>:<key>   position, for the age of the key
 *     interest:{ch}        hash, node -> when stated, milliseconds
 *     known:{ch}           there for a time after somebody listened, of channels where that is to be remembered
 *     acks:<user>          hash, device -> position, until when
 *     likes:{room}         hash, total; told: when leave to tell it was given last; incarnation -> "<sequence> <ms>"
 *     mirror:{room}        hash, online and likes -> the plain keys that other programs read, where a node named some
 *     watch:{room}         hash, user -> seconds
 *     watching:{room}      hash, user -> "<milliseconds below a second> <from> <to> …": what was counted just now
 *     life                 "<run_id> <milliseconds>" of the server process, see redis/life.c
 *     epoch                the highest epoch given
 *
 * The current slot and two before it are looked up: an id is remembered for one window at least, for one and a half at
 * most. Values of hashes are JSON, for eyes and for Lua. Each request is one script (redis/script.h), by the server's
 * clock. hiredis, the only library that this package may see, reads the protocol; the socket is ours.
 *
 * Logs are bounded by whole nodes of the stream (MAXLEN ~), so set stream-node-max-bytes to 512: less is kept beyond
 * the limit, and idle logs take less. Bytes are what MEMORY USAGE says.
 *
 * A command without an answer for redis.timeout, or any error but a refusal by rule, ends the connection: open requests
 * get STORE_E_UNAVAILABLE (but appends before their deadline are sent again), and it reconnects with backoff (0.1 to
 * 2 s, jitter). A refusal by rule (OOM, MISCONF,
 * NOREPLICAS, NOPERM, WRONGTYPE) is STORE_E_UNAVAILABLE for that request alone.
 *
 * Answers are bounded: 1,000 sessions of a user, 1,000 nodes, 500 names of a room. A
 * host that is a name is resolved by getaddrinfo(3), which blocks the loop meanwhile: give an address where that
 * matters.
 */
struct redis_config {
    char *url;           /* redis.url: redis://[user:password@]host:port[/db], unix:///path[?db=n] */
    char *prefix;        /* redis.prefix: "warren:" */
    int64_t timeout_ms;  /* redis.timeout */
    int64_t max_pending; /* redis.max_pending: requests */
};

extern const struct config_option redis_options[];
extern const size_t redis_option_count;

/** Borrows @config and @metrics, copies @identity. Return: 0; -EINVAL if the URL is none; -ENOMEM. */
int redis_store_new(struct loop *owner, const struct redis_config *config, const struct store_identity *identity,
                    struct metrics *metrics, struct store **ret_store) base_must_check;

/** What a server says of itself; a text is empty where it does not. */
struct redis_findings {
    char version[32], policy[64], stream_node_bytes[32]; /* maxmemory-policy, stream-node-max-bytes */
};

/** For the doctor: connects, PING, reads version and configuration. Blocks up to @timeout_ms. NULL, or what does not
 * work, in @storage. */
const char *redis_probe(const char *url, int timeout_ms, struct redis_findings *ret_findings, char storage[256]);

#endif
