#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/list.h"

/**
 * struct slab - memory for the many small objects that stay for long
 *
 * From malloc they would lie between what is needed for a moment, and when that is gone its room is in nobody's reach:
 * neither large enough for the next nor a whole page that the kernel could have. Here objects of one size share a page
 * and have no header; an empty page goes back. Of sizes above SLAB_OBJECT_MAX malloc gets the memory.
 *
 * Sanitizers see what is free here as they do with malloc, but for leaks, so slab_deinit() asserts that all came back.
 * Thread: whoever owns it.
 */
#define SLAB_OBJECT_MAX 512
#define SLAB_STEP 8

struct slab {
    struct list pages[SLAB_OBJECT_MAX / SLAB_STEP]; /* of each size, those with room */
    size_t objects;                                 /* in use */
    size_t bytes;                                   /* of pages */
};

void slab_init(struct slab *s);
/** Everything has been given back. */
void slab_deinit(struct slab *s);
/** @size zeroed bytes, aligned to eight; NULL when out of memory. */
void *slab_calloc(struct slab *s, size_t size) base_must_check;
/** @size is what it was taken with. Accepts NULL, returns NULL. */
void *slab_free(struct slab *s, void *object, size_t size);

#endif
