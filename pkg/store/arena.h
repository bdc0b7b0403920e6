#ifndef STORE_ARENA_H
#define STORE_ARENA_H

#include "base/slice.h"

/** struct store_arena - memory of many small things that go at once; {0} is empty */
struct store_arena {
    struct store_chunk *chunks;
};

/** @size bytes for any type, or NULL. */
void *store_arena_take(struct store_arena *arena, size_t size) base_must_check;
/** A copy of @s followed by a NUL; SLICE_NONE when out of memory. */
struct slice store_arena_copy(struct store_arena *arena, struct slice s);
/** Frees everything; empty again. */
void store_arena_deinit(struct store_arena *arena);

#endif
