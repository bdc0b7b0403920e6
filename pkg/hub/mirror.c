/*
 * The names of plain keys that other programs read.
 */
#include "hub/room_internal.h"

#define PLACE SLICE_LITERAL("{room}")

/** Appends what fits. */
static void put(char storage[HUB_MIRROR_MAX_BYTES], size_t *size, struct slice text)
{
    size_t room = HUB_MIRROR_MAX_BYTES - *size;

    memcpy(storage + *size, text.data, text.size < room ? text.size : room);
    *size += text.size < room ? text.size : room;
}

struct slice hub_mirror_key(const char *key, struct slice room, char storage[HUB_MIRROR_MAX_BYTES])
{
    struct slice rest = slice_from(key);
    size_t size = 0;

    if (!key || !key[0])
        return SLICE_NONE;
    while (rest.size > 0) {
        if (slice_starts_with(rest, PLACE)) {
            put(storage, &size, room);
            rest = slice_skip(rest, PLACE.size);
        } else {
            put(storage, &size, slice_make(rest.data, 1));
            rest = slice_skip(rest, 1);
        }
    }
    return slice_make(storage, size);
}
