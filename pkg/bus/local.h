#ifndef BUS_LOCAL_H
#define BUS_LOCAL_H

#include "bus/bus.h"

/** The bus of one node alone (--standalone): what is published comes back as a delivery, in order, in a later turn. At
 * most @max_pending open publications. */
int bus_local_new(struct loop *owner, size_t max_pending, struct bus **ret_bus) base_must_check;

#endif
