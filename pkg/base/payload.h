#ifndef BASE_PAYLOAD_H
#define BASE_PAYLOAD_H

#include "base/slice.h"

#include <stdatomic.h>

/**
 * struct payload - immutable bytes shared between threads
 *
 * Written by its maker before it is shared, never changed afterwards. Counted with atomics, so take a reference per
 * thread and batch, not per delivery. Memory order: ref is relaxed (the caller holds one already), unref is release,
 * and the last one acquires before it frees.
 */
struct payload {
    atomic_uint refs;
    uint32_t size;
    char data[];
};

/** Bytes at most in one payload. */
#define PAYLOAD_MAX_BYTES (64u * 1024u * 1024u)

/** A payload of @size uninitialised bytes with one reference, or NULL (no memory, or above PAYLOAD_MAX_BYTES). */
struct payload *payload_new(size_t size) base_must_check;
/** The same, filled from @s. */
struct payload *payload_copy(struct slice s) base_must_check;

static inline struct payload *payload_ref(struct payload *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

/** Drops a reference; accepts NULL, returns NULL. */
struct payload *payload_unref(struct payload *p);

static inline struct slice payload_slice(const struct payload *p)
{
    return slice_make(p->data, p->size);
}

BASE_DEFINE_CLEANUP(struct payload *, payload_unref)

#endif
