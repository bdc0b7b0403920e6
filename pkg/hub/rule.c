/*
 * Which section [channel.<name>] a channel's options come from: the first in file order whose pattern fits. Looked up
 * once in a channel's life.
 */
#include "base/glob.h"
#include "hub/hub_internal.h"

static const struct hub_channel_config defaults = {.delivery = HUB_DELIVERY_MUST};

const struct hub_channel_config *hub_rule_find(const struct hub *h, struct slice channel)
{
    const struct hub_channel_config *rule;
    const char *name;

    for (size_t i = 0; h->config.sections; i++) {
        rule = config_family_at(h->config.sections, HUB_CHANNEL_FAMILY, i, &name);
        if (!rule)
            break;
        if (glob_matches(slice_from(rule->match), channel))
            return rule;
    }
    return &defaults;
}
