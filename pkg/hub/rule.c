/*
 * Which section [channel.<name>] a channel's options come from: the first in file order whose pattern fits. Looked up
 * once in a channel's life, and for each message that is sent.
 */
#include "base/glob.h"
#include "hub/hub_internal.h"

#define LOG_LENGTH 1000
#define LOG_LENGTH_INBOX 100
#define LOG_AGE_MS (10 * 60 * 1000)
#define LOG_AGE_INBOX_MS (24 * 60 * 60 * 1000)
#define KNOWN_AGE_INBOX_MS (INT64_C(30) * 24 * 60 * 60 * 1000)

static const struct hub_channel_config defaults = {
    .delivery = HUB_DELIVERY_MUST,
    .is_sequenced = true,
    .log_bytes = 1024 * 1024,
    .key_age_ms = 10 * 60 * 1000,
    .words = true,
    .has_roster = true,
    .live_age_ms = INT64_C(7) * 24 * 60 * 60 * 1000,
};

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

bool hub_rule_is_targeted(const struct hub_channel_config *rule, struct slice channel)
{
    if (!rule->is_sequenced || rule->routing == HUB_ROUTING_FANOUT)
        return false;
    /* Every node listens to `all`. */
    return rule->routing == HUB_ROUTING_TARGETED || !slice_equal(channel, CHANNEL_ALL);
}

int hub_config_check(const struct config *sections, struct buffer *errors)
{
    const struct hub_channel_config *rule;
    const char *name;
    int result = 0;

    for (size_t i = 0; (rule = config_family_at(sections, HUB_CHANNEL_FAMILY, i, &name)); i++) {
        if (rule->is_sequenced || rule->routing != HUB_ROUTING_TARGETED)
            continue;
        buffer_printf(errors,
                      "channel.%s.routing: targeted needs sequenced = yes, because it is the append to the log that "
                      "tells who listens\n",
                      name);
        result = CONFIG_E_INVALID;
    }
    return result;
}

uint64_t hub_rule_known_ms(const struct hub_channel_config *rule, enum channel_kind kind)
{
    if (rule->known_age_ms || kind != CHANNEL_KIND_USER)
        return (uint64_t)rule->known_age_ms;
    return KNOWN_AGE_INBOX_MS;
}

struct store_log_limits hub_rule_limits(const struct hub_channel_config *rule, struct slice channel)
{
    bool is_inbox = channel_parse(channel, NULL) == CHANNEL_KIND_USER;
    int64_t length = rule->log_length ? rule->log_length : is_inbox ? LOG_LENGTH_INBOX : LOG_LENGTH;
    int64_t age_ms = rule->log_age_ms ? rule->log_age_ms : is_inbox ? LOG_AGE_INBOX_MS : LOG_AGE_MS;

    return (struct store_log_limits){
        .length = (uint64_t)length, .bytes = (uint64_t)rule->log_bytes, .age_ms = (uint64_t)age_ms};
}
