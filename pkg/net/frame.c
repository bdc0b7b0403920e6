/** Frames: see the header. */
#include "net/frame.h"

struct net_frame *net_frame_new(size_t size)
{
    struct net_frame *f;

    if (size > UINT32_C(1) << 31)
        return NULL;
    f = malloc(sizeof(*f) + size);
    if (!f)
        return NULL;
    *f = (struct net_frame){.refs = 1, .size = (uint32_t)size, .delivery = NET_FRAME_MUST};
    return f;
}

struct net_frame *net_frame_unref(struct net_frame *f)
{
    if (!f)
        return NULL;
    assert(f->refs > 0);
    if (--f->refs == 0)
        free(f);
    return NULL;
}
