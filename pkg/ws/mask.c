/*
 * Masking (RFC 6455 section 5.3): XOR with a key of four bytes, repeated.
 *
 * Blocks of four 8-byte words are one vector to the compiler, which makes of it what the target has; then single words,
 * then bytes. The key is turned to the phase first, so that word after word begins with the same key byte. The bytes
 * may lie anywhere.
 */
#include "ws/ws.h"

typedef uint64_t block __attribute__((vector_size(32)));

void ws_mask(void *data, size_t size, const uint8_t masking_key[4], size_t phase)
{
    uint8_t key[8], *at = data;
    uint64_t word, key_word;
    block words;

    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = masking_key[(phase + i) & 3];
    memcpy(&key_word, key, sizeof(key_word));
    for (; size >= sizeof(words); size -= sizeof(words), at += sizeof(words)) {
        memcpy(&words, at, sizeof(words));
        words ^= key_word;
        memcpy(at, &words, sizeof(words));
    }
    for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        word ^= key_word;
        memcpy(at, &word, sizeof(word));
    }
    for (size_t i = 0; i < size; i++)
        at[i] ^= key[i];
}
