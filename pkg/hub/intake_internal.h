#ifndef HUB_INTAKE_INTERNAL_H
#define HUB_INTAKE_INTERNAL_H

#include "bus/bus.h"

struct hub;

void hub_intake_delivery(void *userdata, struct bus_delivery *d);
/** Hands over what is ready at the head of the line. */
void hub_intake_run(struct hub *h);
/** Asks the store about the ids of this turn. */
void hub_intake_ask(struct hub *h);
/** Gives everything back. */
void hub_intake_stop(struct hub *h);

#endif
