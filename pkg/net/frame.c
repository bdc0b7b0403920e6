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
    *f = (struct net_frame){.refs = 1, .size = (uint32_t)size, .delivery = NET_FRAME_MUST, .count = 1};
    return f;
}

struct net_frame *net_frame_unref(struct net_frame *f)
{
    if (!f)
        return NULL;
    assert(f->refs > 0);
    if (--f->refs == 0) {
        free(f->place);
        free(f);
    }
    return NULL;
}

int net_frame_set_place(struct net_frame *f, struct slice series, uint64_t epoch, uint64_t from, uint64_t to)
{
    struct net_place *place = malloc(sizeof(*place) + series.size);

    if (!place)
        return -ENOMEM;
    *place = (struct net_place){.epoch = epoch, .from = from, .to = to};
    memcpy(place->text, series.data, series.size);
    place->series = slice_make(place->text, series.size);
    free(f->place);
    f->place = place;
    return 0;
}
