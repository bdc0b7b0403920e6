/* What the Redis backend counts. */
#include "store/redis/redis_internal.h"

static const uint64_t round_trip_bounds[] = {100,   250,   500,    1000,   2500,    5000, 10000,
                                             25000, 50000, 100000, 250000, 1000000, 0};

#define COMMANDS(kind, word)                                                                                           \
    [REDIS_METRIC_COMMANDS + STORE_KIND_##kind] = {"warren_redis_commands_total", METRICS_COUNTER,                     \
                                                   "Commands sent, by what the node asks of the store.",               \
                                                   .labels = "request=\"" word "\""}

const struct metrics_row redis_metric_rows[REDIS_METRICS] = {
    COMMANDS(SEEN, "seen"),
    COMMANDS(LEASE_PUT, "lease_put"),
    COMMANDS(NODES_READ, "nodes_read"),
    COMMANDS(SESSION_PUT, "session_put"),
    COMMANDS(USER_READ, "user_read"),
    COMMANDS(ROOM_PUT, "room_put"),
    COMMANDS(ROOM_READ, "room_read"),
    COMMANDS(ROOMS_READ, "rooms_read"),
    COMMANDS(APPEND, "append"),
    COMMANDS(LOG_READ, "log_read"),
    COMMANDS(SWEEP, "sweep"),
    COMMANDS(INTEREST_PUT, "interest_put"),
    COMMANDS(ACK_PUT, "ack_put"),
    COMMANDS(ACK_READ, "ack_read"),
    COMMANDS(LIKES_ADD, "likes_add"),
    COMMANDS(WATCH_ADD, "watch_add"),
    COMMANDS(WATCH_READ, "watch_read"),
    COMMANDS(RELEASE, "lease_release"),
    [REDIS_METRIC_ERRORS] = {"warren_redis_errors_total", METRICS_COUNTER, "Commands answered with an error."},
    [REDIS_METRIC_REFUSED] = {"warren_redis_refused_total", METRICS_COUNTER,
                              "Requests that were not sent or got no answer: the store was away or the queue full."},
    [REDIS_METRIC_RECONNECTS] = {"warren_redis_reconnects_total", METRICS_COUNTER, "Connections after the first."},
    [REDIS_METRIC_UP] = {"warren_redis_up", METRICS_GAUGE, "1 while the store is connected."},
    [REDIS_METRIC_PENDING] = {"warren_redis_pending", METRICS_GAUGE, "Requests without an answer."},
    [REDIS_METRIC_ROUND_TRIP] = {"warren_redis_round_trip_seconds", METRICS_HISTOGRAM, "From a request to its answer.",
                                 .bounds = round_trip_bounds, .scale = 1e-6},
};
