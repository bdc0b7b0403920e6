#ifndef HUB_KICK_INTERNAL_H
#define HUB_KICK_INTERNAL_H

#include "hub/hub_internal.h"

struct hub_request;

/** All that could be closed here was; on the hub. */
typedef void hub_kick_local_fn(void *userdata, struct hub *h, uint64_t closed);

/** struct hub_kick_local - under way on this node; frees itself */
struct hub_kick_local {
    struct hub *hub;
    struct hub_channel *channel; /* held; NULL: nobody */
    size_t letters_out;
    uint64_t closed;
    struct hub_kick_which which; /* in @text; read by ports while letters are out */
    hub_kick_local_fn *done;
    void *userdata;
    char text[];
};

/** Closes the sessions on this node. @done may come from inside. Return: 0, -ENOMEM (@done does not come). */
int hub_kick_local(struct hub *h, const struct hub_kick_which *which, hub_kick_local_fn *done,
                   void *userdata) base_must_check;

/* ---- kick.c ---- */

void hub_kick_handle(struct hub *h, struct hub_request *r);
void hub_kick_stop(struct hub *h);

#endif
