#include "bus/bus.h"

const char *bus_state_name(enum bus_state state)
{
    switch (state) {
    case BUS_STATE_STARTING:
        return "starting";
    case BUS_STATE_READY:
        return "ready";
    case BUS_STATE_BLOCKED:
        return "blocked";
    case BUS_STATE_DOWN:
        return "down";
    case BUS_STATE_NAME_LOCKED:
        return "name locked";
    default:
        return "unknown";
    }
}
