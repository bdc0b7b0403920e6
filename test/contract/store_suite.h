#ifndef TEST_CONTRACT_STORE_SUITE_H
#define TEST_CONTRACT_STORE_SUITE_H

#include "contract/store_world.h"

/** What the parts of the suite share. */
#define NODE "10.0.0.5:8091"

extern const char *store_url; /* NULL: memory */

static const struct store_identity identity base_unused = {
    .node = NODE, .incarnation = 0xfedcba9876543210, .seen_window_ms = 60000, .expiry_ms = 60000};

static inline void open_up(struct world *w, struct world_store *ws, const struct store_identity *who)
{
    world_open(w, ws, store_url, who);
    world_until_up(ws);
}

/** cmocka's set-up and tear-down: a world. */
int store_set_up(void **state);
int store_tear_down(void **state);

/** Each a group of its own: how many failed. */
int store_presence_run(void);
int store_live_run(void);

#endif
