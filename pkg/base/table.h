#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/slice.h"

/**
 * struct table - a set of objects found by a key inside them
 *
 * For what there are very many of: open addressing, 14 to 27 bytes an object, and nothing inside the object (uthash
 * takes 56 bytes there and 8 to 16 outside). Hashed with hash_bytes(), so strangers cannot choose collisions. Objects
 * are borrowed; their keys do not change while they are in. Thread: whoever owns it.
 */
struct table;

/** The key of an object. */
typedef struct slice table_key_fn(const void *object);

struct table {
    table_key_fn *key;
    void **objects;    /* NULL: an empty slot */
    uint32_t *hashes;  /* of the objects; behind them in the same memory */
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t count;
};

#define TABLE_OF(key_fn) ((struct table){.key = (key_fn)})

/** The object with @key, or NULL. */
void *table_find(const struct table *t, struct slice key);
/** Adds @object; no other in the table has its key. Return: 0; -ENOMEM (also beyond 2^31 objects). */
int table_add(struct table *t, void *object) base_must_check;
/** Takes out @object, which is in. Needs no memory; gives back what is not needed any more. */
void table_remove(struct table *t, const void *object);
/** The next object at or behind *position (start with 0), or NULL; the table does not change meanwhile. */
void *table_next(const struct table *t, size_t *position);
/** Frees the table, not the objects; empty again. */
void table_deinit(struct table *t);

#endif
