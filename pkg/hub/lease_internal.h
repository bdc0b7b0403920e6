#ifndef HUB_LEASE_INTERNAL_H
#define HUB_LEASE_INTERNAL_H

#include "base/message.h"
#include "bus/bus.h"
#include "store/store.h"

struct hub;

void hub_lease_start(struct hub *h);
void hub_lease_stop(struct hub *h);
void hub_lease_renew(struct hub *h);
void hub_lease_store_state(void *userdata, const struct store_status *status);
void hub_lease_bus_state(struct hub *h, const struct bus_status *status);
void hub_canary_came_back(struct hub *h, const struct message *m);
/** Whether this node, or another living one, has to do without the broker. */
bool hub_is_any_cut(const struct hub *h);

#endif
