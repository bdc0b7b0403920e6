/*
 * How many connections each client's address has. Counted by the acceptor, and by the workers for clients behind
 * proxies, who are known only when their request is read; hence the mutexes, each of a part of the addresses and held
 * for one look-up.
 */
#include "base/map.h"
#include "gateway/admission_internal.h"

struct gateway_address {
    uint64_t key;
    size_t count;
    UT_hash_handle hh;
};

/* The upper half of the product depends on all bits of the key. */
static struct gateway_address_shard *shard_of(struct gateway_addresses *a, uint64_t key)
{
    return &a->shards[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 60];
}
static_assert(GATEWAY_ADDRESS_SHARDS == 16, "the shift above takes four bits");

void gateway_addresses_init(struct gateway_addresses *a)
{
    for (size_t i = 0; i < GATEWAY_ADDRESS_SHARDS; i++)
        pthread_mutex_init(&a->shards[i].mutex, NULL);
}

void gateway_addresses_deinit(struct gateway_addresses *a)
{
    for (size_t i = 0; i < GATEWAY_ADDRESS_SHARDS; i++) {
        assert(!a->shards[i].map);
        pthread_mutex_destroy(&a->shards[i].mutex);
    }
}

/** The counter of @key, made if there is none; NULL when out of memory. */
static struct gateway_address *address_open(struct gateway_address_shard *shard, uint64_t key)
{
    struct gateway_address *address;

    HASH_FIND(hh, shard->map, &key, sizeof(key), address);
    if (address)
        return address;
    address = calloc(1, sizeof(*address));
    if (!address)
        return NULL;
    address->key = key;
    HASH_ADD(hh, shard->map, key, sizeof(address->key), address);
    if (MAP_ADDED(address))
        return address;
    free(address);
    return NULL;
}

bool gateway_addresses_take(struct gateway_addresses *a, uint64_t key, size_t limit)
{
    struct gateway_address_shard *shard = shard_of(a, key);
    struct gateway_address *address;
    bool is_taken;

    assert(limit > 0);
    pthread_mutex_lock(&shard->mutex);
    address = address_open(shard, key);
    is_taken = address && address->count < limit;
    if (is_taken)
        address->count++;
    pthread_mutex_unlock(&shard->mutex);
    return is_taken;
}

void gateway_addresses_give(struct gateway_addresses *a, uint64_t key)
{
    struct gateway_address_shard *shard = shard_of(a, key);
    struct gateway_address *address;

    pthread_mutex_lock(&shard->mutex);
    HASH_FIND(hh, shard->map, &key, sizeof(key), address);
    assert(address && address->count > 0);
    if (--address->count == 0) {
        HASH_DEL(shard->map, address);
        free(address);
    }
    pthread_mutex_unlock(&shard->mutex);
}
