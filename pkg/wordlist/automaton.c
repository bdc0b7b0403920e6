/*
 * The automaton's steps, and the filter before it.
 */
#include "wordlist/wordlist_internal.h"

/** Up to so many children are looked at one after the other. */
#define LINEAR_MAX 8

static uint64_t load(const char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t hash_prefix(const char *at, unsigned bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t prefix = load(at) << (64 - 8 * bytes);
#else
    uint64_t prefix = load(at) >> (64 - 8 * bytes);
#endif

    return (uint32_t)((prefix * 0x9e3779b97f4a7c15u + bytes) * 0xff51afd7ed558ccdu >> (64 - WORDLIST_FILTER_BITS));
}

static uint32_t pair_of(const char *at)
{
    return (uint32_t)(uint8_t)at[0] << 8 | (uint8_t)at[1];
}

static void bit_set(uint64_t *bits, uint32_t bit)
{
    bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

static bool bit_is_set(const uint64_t *bits, uint32_t bit)
{
    return bits[bit / 64] >> bit % 64 & 1;
}

void wordlist_filter_add(struct wordlist_filter *f, const struct wordlist_word *word)
{
    char text[WORDLIST_PADDING] = {0};

    memcpy(text, word->text, word->size < sizeof(text) ? word->size : sizeof(text));
    if (word->size >= WORDLIST_PREFIX_LONG) {
        f->has_long = true;
        bit_set(f->bits, hash_prefix(text, WORDLIST_PREFIX_LONG));
    } else if (word->size >= WORDLIST_PREFIX_SHORT) {
        f->has_short = true;
        bit_set(f->bits, hash_prefix(text, WORDLIST_PREFIX_SHORT));
    } else {
        f->has_tiny = true;
        if (word->size == 2)
            bit_set(f->pairs, pair_of(text));
        else
            f->singles[(uint8_t)text[0]] = true;
    }
}

bool wordlist_filter_admits(const struct wordlist_filter *f, const char *at)
{
    return (f->has_long && bit_is_set(f->bits, hash_prefix(at, WORDLIST_PREFIX_LONG))) ||
           (f->has_short && bit_is_set(f->bits, hash_prefix(at, WORDLIST_PREFIX_SHORT))) ||
           (f->has_tiny && (f->singles[(uint8_t)at[0]] || bit_is_set(f->pairs, pair_of(at))));
}

uint32_t wordlist_child(const struct wordlist *w, uint32_t state, uint8_t byte)
{
    const struct wordlist_node *node = &w->nodes[state];
    const uint8_t *labels = w->labels + node->first_child;
    uint32_t low = 0, high = node->child_count;

    if (state == 0)
        return w->root[byte];
    if (high <= LINEAR_MAX) {
        for (uint32_t i = 0; i < high; i++)
            if (labels[i] == byte)
                return node->first_child + i;
        return 0;
    }
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (labels[middle] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < node->child_count && labels[low] == byte ? node->first_child + low : 0;
}
