#include "base/name.h"
#include "base/utf8.h"

#define ROOM_PREFIX SLICE_LITERAL("room:")
#define USER_PREFIX SLICE_LITERAL("user:")

/** In valid UTF-8: C0 and DEL are single bytes, U+0080 to U+009F are C2 80 to C2 9F. */
static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];

        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)s.data[i + 1] < 0xa0))
            return true;
    }
    return false;
}

const char *name_check(struct slice name)
{
    if (name.size == 0)
        return "is empty";
    if (name.size > NAME_MAX_BYTES)
        return "is longer than 128 bytes";
    if (!utf8_is_valid(name))
        return "is not valid UTF-8";
    if (has_control(name))
        return "has a control character";
    return NULL;
}

enum channel_kind channel_parse(struct slice channel, struct slice *ret_name)
{
    enum channel_kind kind;
    struct slice name;

    if (slice_equal(channel, CHANNEL_ALL)) {
        kind = CHANNEL_KIND_ALL;
        name = SLICE_NONE;
    } else if (slice_starts_with(channel, ROOM_PREFIX)) {
        kind = CHANNEL_KIND_ROOM;
        name = slice_skip(channel, ROOM_PREFIX.size);
    } else if (slice_starts_with(channel, USER_PREFIX)) {
        kind = CHANNEL_KIND_USER;
        name = slice_skip(channel, USER_PREFIX.size);
    } else {
        return CHANNEL_KIND_NONE;
    }
    if (kind != CHANNEL_KIND_ALL && name_check(name))
        return CHANNEL_KIND_NONE;
    if (ret_name)
        *ret_name = name;
    return kind;
}

struct slice channel_format(enum channel_kind kind, struct slice name, char storage[CHANNEL_MAX_BYTES])
{
    struct slice prefix = kind == CHANNEL_KIND_ROOM   ? ROOM_PREFIX
                          : kind == CHANNEL_KIND_USER ? USER_PREFIX
                                                      : CHANNEL_ALL;

    assert(kind != CHANNEL_KIND_NONE);
    memcpy(storage, prefix.data, prefix.size);
    if (kind == CHANNEL_KIND_ALL)
        return slice_make(storage, prefix.size);
    assert(name.size > 0 && name.size <= NAME_MAX_BYTES);
    memcpy(storage + prefix.size, name.data, name.size);
    return slice_make(storage, prefix.size + name.size);
}
