#ifndef HUB_WALL_H
#define HUB_WALL_H

#include "hub_world.h"

/* The walls: what stands between a hub under test and the backends of one node. They hold, lose, refuse and invent. */

/** In front of world_bus.inner. */
extern const struct bus_ops wall_bus_ops;

/** In front of @s->inner; on the hub's loop. */
void wall_store_init(struct world_store *s, struct loop *l);

/** Memory of the walls, zeroed, to be freed: it does not run out when the test makes it so. */
void *wall_alloc(size_t size);

#endif
