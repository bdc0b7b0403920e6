/*
 * Masking (RFC 6455 section 5.3): XOR with a key of four bytes, repeated.
 *
 * Pairs of 8-byte words are one vector, as wide as every 64-bit target has them; then come a word and single bytes. The
 * key is turned to the phase first, so that word after word begins with the same key byte. The bytes may lie anywhere.
 */
#include "ws/ws.h"

typedef uint64_t block __attribute__((vector_size(16), aligned(1), may_alias));

void ws_mask(void *data, size_t size, const uint8_t masking_key[4], size_t phase)
{
    uint8_t key[8], *at = data;
    uint64_t word, key_word;

    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = masking_key[(phase + i) & 3];
    memcpy(&key_word, key, sizeof(key_word));
    for (; size >= sizeof(block); size -= sizeof(block), at += sizeof(block))
        *(block *)at ^= key_word;
    for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        word ^= key_word;
        memcpy(at, &word, sizeof(word));
    }
    for (size_t i = 0; i < size; i++)
        at[i] ^= key[i];
}
