/*
 * The options and metrics of the hub.
 */
#include "hub/hub_internal.h"

#define AT(field) offsetof(struct hub_config, field)
#define CHANNEL_AT(field) offsetof(struct hub_channel_config, field)

const struct config_option hub_options[] = {
    {"hub.lease", CONFIG_DURATION, AT(lease_ms), "6s", .min = 1500, .max = 300000,
     .help = "How long other nodes believe that this one lives without hearing of it; renewed at a third."},
    {"hub.restate", CONFIG_DURATION, AT(restate_ms), "5m", .min = 1000, .max = 86400000,
     .help = "How often this node states its sessions and rooms again; what is not restated expires after three times "
             "that."},
    {"hub.idempotency_window", CONFIG_DURATION, AT(dedup_window_ms), "10m", .min = 1000, .max = 86400000,
     .help = "How long a message's id is remembered, so that a second copy is not delivered."},
    {"hub.idempotency_local", CONFIG_INTEGER, AT(dedup_local), "200000", .min = 10000, .max = 100000000,
     .help = "Message ids remembered in memory at most (16 to 43 bytes each); older ones are asked of the store."},
    {"hub.online_interval", CONFIG_DURATION, AT(online_interval_ms), "1s", .min = 20, .max = 600000,
     .help = "A room's online count is told at most this often."},
    {"hub.online_names", CONFIG_INTEGER, AT(online_names), "20", .min = 0, .max = 500,
     .help = "Users named in one online event at most; the rest is a number."},
    {"hub.roster", CONFIG_INTEGER, AT(roster_names), "200", .min = 0, .max = STORE_ROOM_NAMES_MAX,
     .help = "Names that a node states of one room at most; a larger room is known by its counts and these names."},
    {"limits.rooms_per_session", CONFIG_INTEGER, AT(rooms_per_session), "100", .min = 1, .max = 100000,
     .help = "Rooms that one session may be in at a time."},
    {"limits.channels", CONFIG_INTEGER, AT(channels), "1000000", .min = 1, .max = 1000000000,
     .help = "Channels with listeners on this node at most: rooms, and inboxes of users."},
    {"limits.sessions", CONFIG_INTEGER, AT(sessions), "1000000", .min = 1, .max = 100000000,
     .help = "Sessions on this node at most."},
    {"limits.sessions_per_user", CONFIG_INTEGER, AT(sessions_per_user), "1000", .min = 1, .max = 100000000,
     .help = "Sessions of one user on this node at most; the next one is closed with 4505."},
    {"limits.message_bytes", CONFIG_BYTES, AT(message_bytes), "64k", .min = 128, .max = 16777216,
     .help = "Bytes of one message's data at most."},
    {"hub.canary", CONFIG_DURATION, AT(canary_interval_ms), "5s", .min = 200, .max = 600000,
     .help = "How often a message travels through the broker back to this node, to see that it can."},
};
const size_t hub_option_count = BASE_ARRAY_SIZE(hub_options);

static const char *const deliveries[] = {"must", "latest", "drop-oldest", NULL};

static const char *check_pattern(struct slice value)
{
    return value.size > 0 && value.size <= CHANNEL_MAX_BYTES ? NULL : "expected a pattern of 1 to 133 bytes";
}

const struct config_option hub_channel_options[] = {
    {"match", CONFIG_TEXT, CHANNEL_AT(match), "*", .check = check_pattern,
     .help =
         "Names of channels that these options are for, such as room:flood-*; '*' is any text, '?' one byte. The first "
         "section that fits a channel counts."},
    {"class", CONFIG_CHOICE, CHANNEL_AT(delivery), "must", .choices = deliveries,
     .help = "What becomes of messages that a slow reader has not read: it is disconnected (must), a newer message "
             "replaces "
             "an older one (latest), or the oldest go (drop-oldest)."},
    {"sequenced", CONFIG_BOOL, CHANNEL_AT(is_sequenced), "yes",
     .help = "Whether messages get positions, a log and repair. Without, a message may be lost when a node or the "
             "broker fails, and is sent without asking Redis."},
    {"log_length", CONFIG_INTEGER, CHANNEL_AT(log_length), "0", .min = 0, .max = 1000000,
     .help = "Messages kept in the log at least, as far as log_bytes goes; 0 is 1,000, of inboxes 100."},
    {"log_bytes", CONFIG_BYTES, CHANNEL_AT(log_bytes), "1m", .min = 1024, .max = 1073741824,
     .help = "Bytes of messages kept in the log, about."},
    {"log_age", CONFIG_DURATION, CHANNEL_AT(log_age_ms), "0", .min = 0, .max = 2592000000,
     .help = "A log without new messages and without listeners ends after this; 0 is 10m, of inboxes 24h."},
    {"key_age", CONFIG_DURATION, CHANNEL_AT(key_age_ms), "10m", .min = 60000, .max = 604800000,
     .help = "How long a sender's publish key is remembered, so that a repetition publishes nothing."},
};
const size_t hub_channel_option_count = BASE_ARRAY_SIZE(hub_channel_options);

const struct metrics_row hub_metrics_rows[HUB_METRICS] = {
    [HUB_METRIC_SESSIONS] = {"warren_hub_sessions", METRICS_GAUGE, "Sessions on this node."},
    [HUB_METRIC_CHANNELS] = {"warren_hub_channels", METRICS_GAUGE, "Rooms and inboxes with a listener here."},
    [HUB_METRIC_ROOMS] = {"warren_hub_rooms", METRICS_GAUGE, "Rooms with a listener here."},
    [HUB_METRIC_FANS] = {"warren_hub_fans_total", METRICS_COUNTER, "Messages handed to a loop with listeners."},
    [HUB_METRIC_DELIVERIES] = {"warren_hub_deliveries_total", METRICS_COUNTER, "Messages handed to a session."},
    [HUB_METRIC_DUPLICATES_LOCAL] = {"warren_hub_duplicates_total", METRICS_COUNTER,
                                     "Copies of a message that were not delivered again.", "known_by=\"memory\""},
    [HUB_METRIC_DUPLICATES_STORE] = {"warren_hub_duplicates_total", METRICS_COUNTER,
                                     "Copies of a message that were not delivered again.", "known_by=\"store\""},
    [HUB_METRIC_UNCHECKED] = {"warren_hub_unchecked_total", METRICS_COUNTER,
                              "Messages delivered without asking the store for copies, because it was away."},
    [HUB_METRIC_POISON] = {"warren_hub_poison_total", METRICS_COUNTER, "Items from the broker that are no message."},
    [HUB_METRIC_OUT_OF_MEMORY] = {"warren_hub_out_of_memory_total", METRICS_COUNTER,
                                  "Messages and statements given up for lack of memory."},
    [HUB_METRIC_PUBLISHED_OK] = {"warren_hub_published_total", METRICS_COUNTER, "Messages published by this node.",
                                 "result=\"ok\""},
    [HUB_METRIC_PUBLISHED_UNAVAILABLE] = {"warren_hub_published_total", METRICS_COUNTER,
                                          "Messages published by this node.", "result=\"unavailable\""},
    [HUB_METRIC_PUBLISHED_BUSY] = {"warren_hub_published_total", METRICS_COUNTER, "Messages published by this node.",
                                   "result=\"busy\""},
    [HUB_METRIC_INTAKE_QUEUE] = {"warren_hub_intake_queue", METRICS_GAUGE,
                                 "Bodies from the broker that are not handed over yet."},
    [HUB_METRIC_LEASE_OK] = {"warren_hub_lease_renewals_total", METRICS_COUNTER, "Renewals of this node's lease.",
                             "result=\"ok\""},
    [HUB_METRIC_LEASE_UNAVAILABLE] = {"warren_hub_lease_renewals_total", METRICS_COUNTER,
                                      "Renewals of this node's lease.", "result=\"unavailable\""},
    [HUB_METRIC_LEASE_TAKEN] = {"warren_hub_lease_renewals_total", METRICS_COUNTER, "Renewals of this node's lease.",
                                "result=\"taken\""},
    [HUB_METRIC_ONLINE_EVENTS] = {"warren_hub_online_events_total", METRICS_COUNTER, "Online events published."},
    [HUB_METRIC_SEQUENCE_OLD] = {"warren_hub_sequence_old_total", METRICS_COUNTER,
                                 "Messages of sequenced channels that were delivered before, and not again."},
    [HUB_METRIC_SEQUENCE_HELD] = {"warren_hub_sequence_held_total", METRICS_COUNTER,
                                  "Messages that came before one that precedes them, and waited."},
    [HUB_METRIC_SEQUENCE_APART] = {"warren_hub_sequence_apart_total", METRICS_COUNTER,
                                   "Messages delivered without a position, since theirs had passed."},
    [HUB_METRIC_SEQUENCE_RESETS] = {"warren_hub_sequence_resets_total", METRICS_COUNTER,
                                    "Times that listeners were told that messages are gone."},
    [HUB_METRIC_SEQUENCE_REPAIRED] = {"warren_hub_sequence_repaired_total", METRICS_COUNTER,
                                      "Messages taken from a log, for they had not come by the broker."},
    [HUB_METRIC_LOG_READS] = {"warren_hub_log_reads_total", METRICS_COUNTER, "Reads of channels' logs."},
    [HUB_METRIC_SWEEPS] = {"warren_hub_sweeps_total", METRICS_COUNTER, "Questions to the store about many channels."},
    [HUB_METRIC_APPENDS] = {"warren_hub_appends_total", METRICS_COUNTER, "Messages added to a log by this node."},
    [HUB_METRIC_CANARIES] = {"warren_hub_canaries_total", METRICS_COUNTER, "Canaries that came back."},
};
