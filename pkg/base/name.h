#ifndef BASE_NAME_H
#define BASE_NAME_H

#include "base/slice.h"

/** Bytes of a room's, user's or device's name. */
#define NAME_MAX_BYTES 128
/** Bytes of a channel's name: "room:" or "user:" and a name, or "all". */
#define CHANNEL_MAX_BYTES (NAME_MAX_BYTES + 5)
#define CHANNEL_ALL SLICE_LITERAL("all")

/**
 * name_check() - the one rule for names, wherever they come from: 1 to 128 bytes of valid UTF-8, no control characters
 * (U+0000 to U+001F, U+007F, U+0080 to U+009F)
 *
 * Return: NULL if it is a name; else a sentence fragment of static lifetime that says what is wrong ("is empty", …).
 */
const char *name_check(struct slice name);

enum channel_kind { CHANNEL_KIND_NONE, CHANNEL_KIND_ROOM, CHANNEL_KIND_USER, CHANNEL_KIND_ALL };

/** What a channel's name names; *ret_name (may be NULL) is the room or user behind the prefix, SLICE_NONE for all. */
enum channel_kind channel_parse(struct slice channel, struct slice *ret_name);

/** Writes "room:" or "user:" and @name (already checked) into @storage, returns the slice of it. */
struct slice channel_format(enum channel_kind kind, struct slice name, char storage[CHANNEL_MAX_BYTES]);

#endif
