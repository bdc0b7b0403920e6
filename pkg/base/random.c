#include "base/random.h"
#include "base/clock.h"
#include "base/log.h"

#include <sys/random.h>

void random_bytes(void *data, size_t size)
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
