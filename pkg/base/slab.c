/*
 * Slabs (Bonwick: "The slab allocator", 1994, without its caches and colours).
 *
 * A page stands at a multiple of its size, so that an object finds it by its own address:
 *
 *     ┌──────┬────────┬────────┬────────┬╌╌╌╌╌╌╌╌┐
 *     │ head │ object │ object │ free ──┼▶ fresh │
 *     └──────┴────────┴────────┴────────┴╌╌╌╌╌╌╌╌┘
 *
 * Free objects are a list through themselves; behind @fresh nothing has been touched yet. A full page is on no list.
 */
#include "base/slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HIDE(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define SHOW(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define HIDE(at, size) ((void)(at))
#define SHOW(at, size) ((void)(at))
#endif

#define PAGE_SIZE 65536u
/** What malloc keeps beside a piece of memory fits behind each page, so that the next one can follow at once. */
#define PAGE_ROOM (PAGE_SIZE - 64u)

struct slab_page {
    struct list link;
    void *free;     /* or NULL */
    uint32_t used;  /* objects */
    uint32_t fresh; /* offset of what was never used */
};

static size_t class_of(size_t size)
{
    return size ? (size - 1) / SLAB_STEP : 0;
}

static size_t class_size(size_t class)
{
    return (class + 1) * SLAB_STEP;
}

static struct slab_page *page_of(const void *object)
{
    return (struct slab_page *)((uintptr_t)object & ~(uintptr_t)(PAGE_SIZE - 1));
}

static bool page_is_full(const struct slab_page *p, size_t size)
{
    return !p->free && p->fresh + size > PAGE_ROOM;
}

void slab_init(struct slab *s)
{
    *s = (struct slab){0};
    for (size_t i = 0; i < BASE_ARRAY_SIZE(s->pages); i++)
        list_init(&s->pages[i]);
}

void slab_deinit(struct slab *s base_unused)
{
    assert(!s->objects && !s->bytes);
}

static struct slab_page *page_new(struct slab *s)
{
    struct slab_page *p;
    void *memory;

    if (posix_memalign(&memory, PAGE_SIZE, PAGE_ROOM))
        return NULL;
    p = memory;
    *p = (struct slab_page){.fresh = sizeof(*p)};
    list_init(&p->link);
    HIDE(p + 1, PAGE_ROOM - sizeof(*p));
    s->bytes += PAGE_SIZE;
    return p;
}

static void *page_take(struct slab_page *p, size_t size)
{
    void *object = p->free;

    if (object) {
        SHOW(object, size);
        memcpy(&p->free, object, sizeof(p->free));
    } else {
        object = (char *)p + p->fresh;
        SHOW(object, size);
        p->fresh += (uint32_t)size;
    }
    p->used++;
    return object;
}

void *slab_calloc(struct slab *s, size_t size)
{
    size_t rounded = class_size(class_of(size));
    struct slab_page *p;
    struct list *pages;
    void *object;

    if (size > SLAB_OBJECT_MAX) {
        object = calloc(1, size);
        s->objects += object != NULL;
        return object;
    }
    pages = &s->pages[class_of(size)];
    if (list_is_empty(pages)) {
        p = page_new(s);
        if (!p)
            return NULL;
        list_append(pages, &p->link);
    }
    p = container_of(pages->next, struct slab_page, link);
    object = page_take(p, rounded);
    if (page_is_full(p, rounded))
        list_remove(&p->link);
    s->objects++;
    memset(object, 0, rounded);
    return object;
}

void *slab_free(struct slab *s, void *object, size_t size)
{
    size_t rounded = class_size(class_of(size));
    struct slab_page *p;

    if (!object)
        return NULL;
    assert(s->objects > 0);
    s->objects--;
    if (size > SLAB_OBJECT_MAX) {
        free(object);
        return NULL;
    }
    p = page_of(object);
    if (page_is_full(p, rounded))
        list_prepend(&s->pages[class_of(size)], &p->link);
    memcpy(object, &p->free, sizeof(p->free));
    p->free = object;
    HIDE(object, rounded);
    if (--p->used > 0)
        return NULL;
    list_remove(&p->link);
    s->bytes -= PAGE_SIZE;
    SHOW(p + 1, PAGE_ROOM - sizeof(*p));
    free(p);
    return NULL;
}
