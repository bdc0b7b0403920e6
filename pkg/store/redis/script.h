#ifndef STORE_REDIS_SCRIPT_H
#define STORE_REDIS_SCRIPT_H

/**
 * What runs inside the server. Every request is one script and one answer: one clock (the server's), one moment, and no
 * order in which two nodes' commands could meet badly. They are loaded at each connection and called by their digest.
 *
 * A value in `nodes`, `user:`, `online:` and `roster:` is a JSON object that begins with a stamp, written by the script
 * with the server's clock:
 *
 *     {"incarnation":"<16 hexadecimal digits>","stated":<milliseconds of Redis time>,"node":"<ip>:<port>", …
 *
 * In `nodes` it is "until", the end of the lease. Scripts find these three by their place and leave the rest to the
 * nodes (redis/value.h).
 */
enum redis_script {
    REDIS_SCRIPT_SEEN,
    REDIS_SCRIPT_LEASE_PUT,
    REDIS_SCRIPT_LEASE_RELEASE,
    REDIS_SCRIPT_NODES_READ,
    REDIS_SCRIPT_SESSION_PUT,
    REDIS_SCRIPT_USER_READ,
    REDIS_SCRIPT_ROOM_PUT,
    REDIS_SCRIPT_ROOM_READ,
    REDIS_SCRIPT_APPEND,
    REDIS_SCRIPT_LOG_READ,
    REDIS_SCRIPT_SWEEP,
    REDIS_SCRIPT_INTEREST_PUT,
    REDIS_SCRIPT_INTEREST_END,
    REDIS_SCRIPT_ACK_PUT,
    REDIS_SCRIPT_ACK_READ,
    REDIS_SCRIPTS,
};

extern const char *const redis_script_sources[REDIS_SCRIPTS];

/* Those of script_log.c. */
extern const char redis_script_append[], redis_script_log_read[], redis_script_sweep[], redis_script_interest_put[],
    redis_script_interest_end[], redis_script_ack_put[], redis_script_ack_read[];

/** now: milliseconds of Redis time. */
#define REDIS_SCRIPT_NOW                                                                                               \
    "local time = redis.call('TIME')\n"                                                                                \
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"

#endif
