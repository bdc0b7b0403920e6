/*
 * Chunks from malloc, cut from the front. What is larger than a chunk gets one of its own.
 */
#include "store/arena.h"

#include <stdalign.h>

#define CHUNK_BYTES 4000

struct store_chunk {
    struct store_chunk *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

void *store_arena_take(struct store_arena *arena, size_t size)
{
    struct store_chunk *chunk = arena->chunks;
    size_t aligned;

    if (size > SIZE_MAX / 2)
        return NULL;
    aligned = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (!chunk || chunk->size - chunk->used < aligned) {
        size_t wanted = aligned > CHUNK_BYTES ? aligned : CHUNK_BYTES;

        chunk = malloc(sizeof(*chunk) + wanted);
        if (!chunk)
            return NULL;
        *chunk = (struct store_chunk){.next = arena->chunks, .size = wanted};
        arena->chunks = chunk;
    }
    chunk->used += aligned;
    return chunk->data + chunk->used - aligned;
}

struct slice store_arena_copy(struct store_arena *arena, struct slice s)
{
    char *copy = store_arena_take(arena, s.size + 1);

    if (!copy)
        return SLICE_NONE;
    if (s.size > 0)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return slice_make(copy, s.size);
}

void store_arena_deinit(struct store_arena *arena)
{
    while (arena->chunks) {
        struct store_chunk *chunk = arena->chunks;

        arena->chunks = chunk->next;
        free(chunk);
    }
}
