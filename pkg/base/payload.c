#include "base/payload.h"

struct payload *payload_new(size_t size)
{
    struct payload *p;

    if (size > PAYLOAD_MAX_BYTES)
        return NULL;
    p = malloc(sizeof(*p) + size);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->size = (uint32_t)size;
    return p;
}

struct payload *payload_copy(struct slice s)
{
    struct payload *p = payload_new(s.size);

    if (p && s.size > 0)
        memcpy(p->data, s.data, s.size);
    return p;
}

struct payload *payload_unref(struct payload *p)
{
    if (!p)
        return NULL;
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        free(p);
    return NULL;
}
