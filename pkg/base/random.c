#include "base/random.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Ids, masks and delays take a few bytes at a time, ids once a message: a call for each would cost more than what it
 * brings. */
#define POOL_SIZE 512
#define POOLED_MAX 16

/* What the kernel gave and nobody took yet: the last @left bytes. What was taken is wiped. */
static _Thread_local struct {
    size_t left;
    char bytes[POOL_SIZE];
} pool;
static pthread_once_t is_prepared = PTHREAD_ONCE_INIT;

static void ask_kernel(void *data, size_t size)
{
    char *to = data;

    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);

        if (got < 0) {
            if (errno == EINTR)
                continue;
            log_event(LOG_ERROR, "the kernel gives no random bytes", LOG_ERRNO(errno));
            abort();
        }
        to += got;
        size -= (size_t)got;
    }
}

/** Of a child's threads there is only the one that forked; what it gives out must not be its parent's. */
static void forget_pool(void)
{
    pool.left = 0;
}

static void prepare(void)
{
    if (pthread_atfork(NULL, NULL, forget_pool) != 0)
        abort(); /* out of memory, at the first use */
}

void random_bytes(void *data, size_t size)
{
    char *from;

    if (size == 0)
        return;
    if (size > POOLED_MAX) {
        ask_kernel(data, size);
        return;
    }
    if (pool.left < size) {
        (void)pthread_once(&is_prepared, prepare);
        ask_kernel(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
    }
    from = pool.bytes + POOL_SIZE - pool.left;
    memcpy(data, from, size);
    explicit_bzero(from, size);
    pool.left -= size;
}

uint64_t random_uint64(void)
{
    uint64_t value;

    random_bytes(&value, sizeof(value));
    return value;
}

uint64_t random_below(uint64_t bound)
{
    uint64_t excess, value;

    assert(bound > 0);
    /* 2^64 mod bound values are one too many for a uniform remainder; the lowest ones are drawn again. */
    excess = (0 - bound) % bound;
    do {
        value = random_uint64();
    } while (value < excess);
    return value % bound;
}

/*
 *      48 bits of time      80 random bits
 *     +-------------------+--------------------------------+
 *     | 16 octets, most significant first                  |   128 bits, written as 26 digits of 5 bits: the first
 *     +-------------------+--------------------------------+   digit has only 3 of them
 */
void id_generate(char ret_text[ID_TEXT_SIZE + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t now = (uint64_t)clock_realtime_ms();
    uint64_t high, low, random[2];

    random_bytes(random, sizeof(random)); /* one call for both */
    low = random[0];
    high = now << 16 | (random[1] & 0xffff);
    ret_text[ID_TEXT_SIZE] = '\0';
    for (size_t i = ID_TEXT_SIZE; i-- > 0;) {
        ret_text[i] = digits[low & 31];
        low = low >> 5 | high << 59;
        high >>= 5;
    }
}
