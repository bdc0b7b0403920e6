#ifndef GATEWAY_DEMO_INTERNAL_H
#define GATEWAY_DEMO_INTERNAL_H

#include "base/slice.h"

/** A file of the demonstration page, part of the program. */
struct gateway_asset {
    const char *path; /* exact */
    const char *content_type;
    const char *begin, *end;
};

/** NULL if there is none of this path. */
const struct gateway_asset *gateway_demo_find(struct slice path);

static inline struct slice gateway_asset_body(const struct gateway_asset *a)
{
    return slice_make(a->begin, (size_t)(a->end - a->begin));
}

#endif
