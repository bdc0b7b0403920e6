#ifndef STORE_REDIS_VALUE_H
#define STORE_REDIS_VALUE_H

#include "base/buffer.h"
#include "store/arena.h"
#include "store/store.h"

/**
 * The values in Redis are JSON objects. Their first three members are the stamp, which scripts put in front and read
 * again (redis/script.h); the rest is written and read here. Old and new nodes share a cluster: unknown members are
 * skipped, missing ones are empty.
 */

/** Digits of an incarnation, without NUL. (As text: 64 bits do not fit into Lua's numbers.) */
#define REDIS_INCARNATION_SIZE 16
void redis_incarnation_format(uint64_t incarnation, char ret_text[REDIS_INCARNATION_SIZE + 1]);
/** false if @text is not exactly that. */
bool redis_incarnation_parse(struct slice text, uint64_t *ret_incarnation);
/** Whether a node's name may stand in a stamp: printable, without spaces, quotes and backslashes. */
bool redis_node_check(struct slice node);

/** A position as text: a stream's id, "<epoch>-<offset>". */
#define REDIS_POSITION_TEXT 42
struct slice redis_position_format(struct store_position position, char storage[REDIS_POSITION_TEXT]);
/** false if @text is not exactly that. */
bool redis_position_parse(struct slice text, struct store_position *ret_position);

/* Writers append a JSON object without stamp to @out, whose error tells if memory ran out. */
void redis_lease_write(const struct store_lease *lease, struct buffer *out);
void redis_session_write(const struct store_session *session, struct buffer *out);
void redis_counts_write(const struct store_room_put *room, struct buffer *out);

/*
 * Readers take a value with its stamp; what they return lives as long as @value and @arena. Return: 0; -EBADMSG if it
 * is no such value (its reader passes over it); -ENOMEM.
 */
int redis_lease_parse(struct slice value, int64_t now_ms, struct store_arena *arena, struct store_lease *ret_lease);
int redis_session_parse(struct slice session, struct slice value, struct store_arena *arena,
                        struct store_session *ret_session);
/** Connections and users of a part; 0 where they cannot be read. Needs no memory. */
void redis_counts_parse(struct slice value, struct store_room_part *part);

#endif
