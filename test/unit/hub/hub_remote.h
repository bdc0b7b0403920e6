#ifndef HUB_REMOTE_H
#define HUB_REMOTE_H

#include "hub_world.h"

/* A world of sequenced channels, and a second node in it, whose messages are in the log before they arrive. */

#define WORLD_ROOM "room:42"

/** world_init() and world_open(), sequenced; nobody is told of who is online. */
void world_open_sequenced(struct world *w);
/** A message of the second node to WORLD_ROOM, whose data is its id. @id is borrowed. */
struct message world_remote_fields(const char *id);
/** The second node appends it. */
struct store_position world_remote_append(struct world *w, const char *id);
/** Its publication arrives. */
void world_remote_arrives(struct world *w, const char *id, struct store_position position);
/** The bus came: a sweep. */
void world_sweep(struct world *w);

#endif
