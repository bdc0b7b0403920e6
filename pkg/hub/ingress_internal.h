#ifndef HUB_INGRESS_INTERNAL_H
#define HUB_INGRESS_INTERNAL_H

#include "hub/hub_internal.h"

/* Bodies of back ends that came by the ingress queue. All of it is the hub thread's. */

/** 0, -ENOMEM. */
int hub_ingress_start(struct hub *h) base_must_check;
/** Bus and store are stopped. */
void hub_ingress_stop(struct hub *h);
/** A body; owned by the callee. */
void hub_ingress_delivery(void *userdata, struct bus_delivery *d);
/** Whether bodies are wanted may have changed: the broker's state, or a drain. */
void hub_ingress_update(struct hub *h);
void hub_ingress_store_state(struct hub *h, bool is_up);

#endif
