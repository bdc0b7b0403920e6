/*
 * SipHash-c-d keeps four words of state. Each word of input is mixed in before and after c rounds; the last word
 * carries the input's size in its top byte; d rounds finish. Here c = 1 and d = 3, the variant for hash tables: an
 * attacker sees no hash values, only time, for which one round a word is ample.
 */
#include "base/hash.h"
#include "base/random.h"

#include <endian.h>
#include <pthread.h>

static uint64_t process_key[2];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void process_key_draw(void)
{
    random_bytes(process_key, sizeof(process_key));
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void sip_mix(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t hash_bytes_keyed(uint64_t k0, uint64_t k1, const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t last = (uint64_t)size << 56;
    uint64_t word;
    uint64_t v[4] = {
        k0 ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes" */
        k1 ^ 0x646f72616e646f6du,
        k0 ^ 0x6c7967656e657261u,
        k1 ^ 0x7465646279746573u,
    };

    for (; size >= sizeof(word); p += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sip_mix(v, le64toh(word));
    }
    for (size_t i = 0; i < size; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_mix(v, last);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(const void *data, size_t size)
{
    (void)pthread_once(&process_key_once, process_key_draw);
    return hash_bytes_keyed(process_key[0], process_key[1], data, size);
}
