#ifndef STORE_REDIS_SCRIPT_H
#define STORE_REDIS_SCRIPT_H

/**
 * What runs inside the server. Every request is one script and one answer: one clock (the server's), one moment, and no
 * order in which two nodes' commands could meet badly. They are loaded at each connection and called by their digest.
 *
 * A value in `nodes`, `user:` and `online:` is a JSON object that begins with a stamp, written by the script
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
    REDIS_SCRIPT_ROOMS_READ,
    REDIS_SCRIPT_APPEND,
    REDIS_SCRIPT_LOG_READ,
    REDIS_SCRIPT_SWEEP,
    REDIS_SCRIPT_INTEREST_PUT,
    REDIS_SCRIPT_INTEREST_END,
    REDIS_SCRIPT_ACK_PUT,
    REDIS_SCRIPT_ACK_READ,
    REDIS_SCRIPT_LIKES_ADD,
    REDIS_SCRIPT_WATCH_ADD,
    REDIS_SCRIPTS,
};

extern const char *const redis_script_sources[REDIS_SCRIPTS];

/* Those of script_log.c. */
extern const char redis_script_append[], redis_script_log_read[], redis_script_sweep[], redis_script_interest_put[],
    redis_script_interest_end[], redis_script_ack_put[], redis_script_ack_read[];

/* Those of script_live.c. */
extern const char redis_script_likes_add[], redis_script_watch_add[];

/* Those of script_room.c. */
extern const char redis_script_room_put[], redis_script_room_read[], redis_script_rooms_read[];

/** now: milliseconds of Redis time. */
#define REDIS_SCRIPT_NOW                                                                                               \
    "local time = redis.call('TIME')\n"                                                                                \
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"

/** stamp(incarnation, ms, node, json): the whole value. An integer up to 2^53 must not be written with an exponent. */
#define REDIS_SCRIPT_STAMP(name)                                                                                       \
    "local function stamp(incarnation, ms, node, json)\n"                                                              \
    "  return '{\"incarnation\":\"' .. incarnation .. '\",\"" name "\":' .. string.format('%.0f', ms)\n"               \
    "    .. ',\"node\":\"' .. node .. '\",' .. string.sub(json, 2)\n"                                                  \
    "end\n"

/** read(value): incarnation, ms, node; or nil. Not by cjson, which would parse 500 names to get at three members. */
#define REDIS_SCRIPT_READ                                                                                              \
    "local function read(value)\n"                                                                                     \
    "  local incarnation, ms, node = string.match(value,\n"                                                            \
    "    '^{\"incarnation\":\"(%x+)\",\"%l+\":(%d+),\"node\":\"([^\"]+)\"')\n"                                         \
    "  return incarnation, tonumber(ms), node\n"                                                                       \
    "end\n"

/** lives(node, incarnation): under a living lease of this incarnation. KEYS[1] is nodes. Each node is asked for once.
 */
#define REDIS_SCRIPT_LIVES                                                                                             \
    "local holders = {}\n"                                                                                             \
    "local function lives(node, incarnation)\n"                                                                        \
    "  if holders[node] == nil then\n"                                                                                 \
    "    local value = redis.call('HGET', KEYS[1], node)\n"                                                            \
    "    local holder, finish\n"                                                                                       \
    "    if value then holder, finish = read(value) end\n"                                                             \
    "    holders[node] = holder and finish > now and holder or false\n"                                                \
    "  end\n"                                                                                                          \
    "  return holders[node] == incarnation\n"                                                                          \
    "end\n"

#endif
