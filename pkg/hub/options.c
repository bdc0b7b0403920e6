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
    {"hub.likes_interval", CONFIG_DURATION, AT(likes_interval_ms), "300ms", .min = 20, .max = 600000,
     .help = "How often this node adds a room's likes to those in the store, and how often a room's total is told at "
             "most; a node that is killed loses what it took since."},
    {"hub.watch_interval", CONFIG_DURATION, AT(watch_interval_ms), "10s", .min = 20, .max = 60000,
     .help =
         "How often the times that users spent in rooms (watch, in a [channel.<name>] section) are added to those in "
         "the store; a node that is killed loses what came since."},
    {"hub.watch_gap", CONFIG_DURATION, AT(watch_gap_ms), "40s", .min = 6000, .max = 3600000,
     .help = "A user who gave no sign of life for longer than this was not there meanwhile. More than 5 s and "
             "session.heartbeat, at which the silent are asked for one, together."},
    {"limits.likes", CONFIG_INTEGER, AT(likes_per_op), "1000", .min = 1, .max = 1000000000,
     .help = "Likes that one operation may bring at most."},
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
    {"hub.interest_gather", CONFIG_DURATION, AT(interest_gather_ms), "10ms", .min = 0, .max = 1000,
     .help =
         "When many join at once, what so long asks Redis for their channels' positions travels together. The first "
         "after a rest does not wait, nor does anybody once a message is sent. 0: what a turn asks for."},
    {"hub.canary", CONFIG_DURATION, AT(canary_interval_ms), "2s", .min = 200, .max = 600000,
     .help = "How often a message travels through the broker back to this node, to see that it can."},
};
const size_t hub_option_count = BASE_ARRAY_SIZE(hub_options);

static const char *const deliveries[] = {"must", "latest", "drop-oldest", NULL};
static const char *const routings[] = {"auto", "fanout", "targeted", NULL};

static const char *const presences[] = {"users", "connections", "off", NULL}; /* as enum hub_presence */

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
    {"routing", CONFIG_CHOICE, CHANNEL_AT(routing), "auto", .choices = routings,
     .help = "Which nodes a message goes to: all (fanout), or those with a listener (targeted, of sequenced channels "
             "only). auto is targeted for rooms and inboxes that are sequenced."},
    {"log_length", CONFIG_INTEGER, CHANNEL_AT(log_length), "0", .min = 0, .max = 1000000,
     .help = "Messages kept in the log at least, as far as log_bytes goes; 0 is 1,000, of inboxes 100."},
    {"log_bytes", CONFIG_BYTES, CHANNEL_AT(log_bytes), "1m", .min = 1024, .max = 1073741824,
     .help = "Bytes of messages kept in the log, about."},
    {"log_age", CONFIG_DURATION, CHANNEL_AT(log_age_ms), "0", .min = 0, .max = 2592000000,
     .help = "A log without new messages and without listeners ends after this; 0 is 10m, of inboxes 24h."},
    {"key_age", CONFIG_DURATION, CHANNEL_AT(key_age_ms), "10m", .min = 60000, .max = 604800000,
     .help = "How long a sender's publish key is remembered, so that a repetition publishes nothing."},
    {"known_age", CONFIG_DURATION, CHANNEL_AT(known_age_ms), "0", .min = 0, .max = 31536000000,
     .help =
         "How long it is remembered that somebody listened. What a client whispers to a user who is not known waits "
         "for nobody. 0 is 30d of inboxes, and of other channels not at all."},
    {"words", CONFIG_BOOL, CHANNEL_AT(words), "yes",
     .help = "Whether what clients send here is looked at by the word list, if words.file names one."},
    {"text", CONFIG_TEXT, CHANNEL_AT(text), "",
     .help = "The word list looks at data that is a string. Of data that is a JSON object it looks at this member; "
             "of what clients of the live dialect say, always at what was said."},
    {"presence", CONFIG_CHOICE, CHANNEL_AT(presence), "users", .choices = presences,
     .help = "Of rooms: whether users are counted, one with several devices once; or connections, which costs less "
             "where there are very many; or nobody."},
    {"roster", CONFIG_BOOL, CHANNEL_AT(has_roster), "yes",
     .help = "Of rooms whose users are counted: whether those who come and go are named, and all can be listed."},
    {"watch", CONFIG_BOOL, CHANNEL_AT(has_watch), "no",
     .help = "Of rooms: whether it is added up how long each user is there."},
    {"live_age", CONFIG_DURATION, CHANNEL_AT(live_age_ms), "7d", .min = 60000, .max = 31536000000,
     .help = "A room's likes, and times, are kept this long after the last of them."},
};
const size_t hub_channel_option_count = BASE_ARRAY_SIZE(hub_channel_options);

#define WAITING_HELP                                                                                                   \
    "What Redis is yet to be told: rooms whose users changed, likes, and spans of time that users were in rooms."

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
    [HUB_METRIC_LIKES] = {"warren_hub_likes_total", METRICS_COUNTER, "Likes taken from clients of this node."},
    [HUB_METRIC_LIKES_LOST] = {"warren_hub_likes_lost_total", METRICS_COUNTER,
                               "Likes given up: too many rooms waited for the store, or this node ended without it."},
    [HUB_METRIC_WATCH_LOST] = {"warren_hub_watch_lost_seconds_total", METRICS_COUNTER,
                               "Time of users in rooms given up, as likes are."},
    [HUB_METRIC_WAITING_ROOMS] = {"warren_hub_waiting", METRICS_GAUGE, WAITING_HELP, "what=\"rooms\""},
    [HUB_METRIC_WAITING_LIKES] = {"warren_hub_waiting", METRICS_GAUGE, WAITING_HELP, "what=\"likes\""},
    [HUB_METRIC_WAITING_SPANS] = {"warren_hub_waiting", METRICS_GAUGE, WAITING_HELP, "what=\"times\""},
    [HUB_METRIC_LIKES_EVENTS] = {"warren_hub_likes_events_total", METRICS_COUNTER, "Totals of likes published."},
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
    [HUB_METRIC_WORDS_MASKED] = {"warren_hub_words_total", METRICS_COUNTER,
                                 "Messages of clients in which the word list found something.", "action=\"mask\""},
    [HUB_METRIC_WORDS_REFUSED] = {"warren_hub_words_total", METRICS_COUNTER,
                                  "Messages of clients in which the word list found something.", "action=\"refuse\""},
    [HUB_METRIC_ROUTED_ALL] = {"warren_hub_routed_total", METRICS_COUNTER,
                               "Messages of sequenced channels, by the nodes that they were published to.",
                               "to=\"all\""},
    [HUB_METRIC_ROUTED_NODES] = {"warren_hub_routed_total", METRICS_COUNTER,
                                 "Messages of sequenced channels, by the nodes that they were published to.",
                                 "to=\"listeners\""},
    [HUB_METRIC_ROUTED_NOBODY] = {"warren_hub_routed_total", METRICS_COUNTER,
                                  "Messages of sequenced channels, by the nodes that they were published to.",
                                  "to=\"nobody\""},
    [HUB_METRIC_INGRESS_OK] = {"warren_ingress_messages_total", METRICS_COUNTER,
                               "Messages of back ends that came by the ingress queue.", "result=\"ok\""},
    [HUB_METRIC_INGRESS_DEAD] = {"warren_ingress_messages_total", METRICS_COUNTER,
                                 "Messages of back ends that came by the ingress queue.", "result=\"dead\""},
    [HUB_METRIC_INGRESS_RETRIES] =
        {"warren_ingress_retries_total", METRICS_COUNTER,
         "Times that the store or the broker was not there for such a message, or refused it."},
    [HUB_METRIC_INGRESS_LINE] = {"warren_ingress_line_bodies", METRICS_GAUGE,
                                 "Bodies of back ends that are not acknowledged yet."},
    [HUB_METRIC_INGRESS_READING] = {"warren_ingress_reading", METRICS_GAUGE,
                                    "1 if this node stands in line for the ingress queue, or has it."},
    [HUB_METRIC_ARCHIVE_OK] = {"warren_archive_records_total", METRICS_COUNTER, "Records for the archive queue.",
                               "result=\"ok\""},
    [HUB_METRIC_ARCHIVE_LOST] = {"warren_archive_records_total", METRICS_COUNTER, "Records for the archive queue.",
                                 "result=\"lost\""},
    [HUB_METRIC_ARCHIVE_PENDING] = {"warren_archive_pending", METRICS_GAUGE,
                                    "Records that the archive queue does not have yet."},
    [HUB_METRIC_ARCHIVE_PENDING_BYTES] = {"warren_archive_pending_bytes", METRICS_GAUGE, "Bytes of these records."},
    [HUB_METRIC_CANARIES] = {"warren_hub_canaries_total", METRICS_COUNTER, "Canaries that came back."},
};
