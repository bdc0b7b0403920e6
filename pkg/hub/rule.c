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

static const struct hub_channel_config defaults = {
    .delivery = HUB_DELIVERY_MUST,
    .is_sequenced = true,
    .log_bytes = 1024 * 1024,
    .key_age_ms = 10 * 60 * 1000,
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

struct store_log_limits hub_rule_limits(const struct hub_channel_config *rule, struct slice channel)
{
    bool is_inbox = channel_parse(channel, NULL) == CHANNEL_KIND_USER;
    int64_t length = rule->log_length ? rule->log_length : is_inbox ? LOG_LENGTH_INBOX : LOG_LENGTH;
    int64_t age_ms = rule->log_age_ms ? rule->log_age_ms : is_inbox ? LOG_AGE_INBOX_MS : LOG_AGE_MS;

    return (struct store_log_limits){
        .length = (uint64_t)length, .bytes = (uint64_t)rule->log_bytes, .age_ms = (uint64_t)age_ms};
}
