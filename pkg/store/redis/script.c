/*
 * The scripts. Arguments are in the comment above each. Work and answers are bounded: hashes are walked by HSCAN with a
 * limit of pages, and the answer with a limit of entries. What cannot be read (another program's value) is passed over.
 */
#include "store/redis/script.h"

/** stamp(incarnation, ms, node, json): the whole value. An integer up to 2^53 must not be written with an exponent. */
#define STAMP(name)                                                                                                    \
    "local function stamp(incarnation, ms, node, json)\n"                                                              \
    "  return '{\"incarnation\":\"' .. incarnation .. '\",\"" name "\":' .. string.format('%.0f', ms)\n"               \
    "    .. ',\"node\":\"' .. node .. '\",' .. string.sub(json, 2)\n"                                                  \
    "end\n"

/** read(value): incarnation, ms, node; or nil. Not by cjson, which would parse 500 names to get at three members. */
#define READ                                                                                                           \
    "local function read(value)\n"                                                                                     \
    "  local incarnation, ms, node = string.match(value,\n"                                                            \
    "    '^{\"incarnation\":\"(%x+)\",\"%l+\":(%d+),\"node\":\"([^\"]+)\"')\n"                                         \
    "  return incarnation, tonumber(ms), node\n"                                                                       \
    "end\n"

/** lives(node, incarnation): under a living lease of this incarnation. KEYS[1] is nodes. Each node is asked for once.
 */
#define LIVES                                                                                                          \
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

/**
 * prune(key, other, expiry): drops what was stated too long ago, from a part of the hash @key (and from the hash
 * @other, unless nil). A small hash is looked at whole; of a large one about 32 entries, from a place that moves with
 * the time, so that every entry has its turn.
 */
#define PRUNE                                                                                                          \
    "local function prune(key, other, expiry)\n"                                                                       \
    "  local is_small = redis.call('HLEN', key) <= 64\n"                                                               \
    "  local cursor = is_small and '0' or string.format('%.0f', now)\n"                                                \
    "  local page = redis.call('HSCAN', key, cursor, 'COUNT', is_small and 256 or 32)[2]\n"                            \
    "  for i = 1, #page, 2 do\n"                                                                                       \
    "    local incarnation, stated = read(page[i + 1])\n"                                                              \
    "    if not incarnation or stated < now - expiry then\n"                                                           \
    "      redis.call('HDEL', key, page[i])\n"                                                                         \
    "      if other then redis.call('HDEL', other, page[i]) end\n"                                                     \
    "    end\n"                                                                                                        \
    "  end\n"                                                                                                          \
    "end\n"

/*
 * KEYS: seen:<node>:  ARGV: milliseconds of a slot, ids. Answer: a text, one digit an id.
 *
 * One script and not MULTI/EXEC, which costs the server a quarter less: the slot must be chosen by the server's clock
 * at the moment of the write, while MULTI would need this node's guess of that clock; and the hub, which is one thread,
 * parses one string instead of 3,000 integers.
 */
static const char seen[] =
    REDIS_SCRIPT_NOW "local slot = math.floor(now / ARGV[1])\n"
                     "local function key(back) return KEYS[1] .. string.format('%.0f', slot - back) end\n"
                     "local a = redis.call('SMISMEMBER', key(0), unpack(ARGV, 2))\n"
                     "local b = redis.call('SMISMEMBER', key(1), unpack(ARGV, 2))\n"
                     "local c = redis.call('SMISMEMBER', key(2), unpack(ARGV, 2))\n"
                     "redis.call('SADD', key(0), unpack(ARGV, 2))\n"
                     "redis.call('PEXPIRE', key(0), string.format('%.0f', 3 * ARGV[1]))\n"
                     "for i = 1, #a do a[i] = a[i] + b[i] + c[i] > 0 and '1' or '0' end\n"
                     "return table.concat(a)\n";

/** A full Redis refuses what grows (OOM). The lease is a few bytes a node, and without it every node would look dead.
 */
#define ALSO_WHEN_FULL "#!lua flags=allow-oom\n"

/* KEYS: nodes  ARGV: node, incarnation, lease ms, JSON, ms for which ended entries are kept. Answer: 1, or 0 if taken.
 */
static const char lease_put[] = ALSO_WHEN_FULL REDIS_SCRIPT_NOW STAMP("until") READ
    "local old = redis.call('HGET', KEYS[1], ARGV[1])\n"
    "if old then\n"
    "  local holder, finish = read(old)\n"
    "  if holder and holder ~= ARGV[2] and finish > now then return 0 end\n"
    "end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], stamp(ARGV[2], now + ARGV[3], ARGV[1], ARGV[4]))\n"
    "redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + ARGV[5]))\n"
    "return 1\n";

/* KEYS: nodes  ARGV: node, incarnation. Answer: 1, or 0 if it was another's. */
static const char lease_release[] = ALSO_WHEN_FULL READ "local old = redis.call('HGET', KEYS[1], ARGV[1])\n"
                                                        "if not old or read(old) ~= ARGV[2] then return 0 end\n"
                                                        "return redis.call('HDEL', KEYS[1], ARGV[1])\n";

/* KEYS: nodes  ARGV: nodes at most, ms for which ended entries are kept. Answer: now as text, then values. */
static const char nodes_read[] =
    REDIS_SCRIPT_NOW READ "local out, old, cursor, limit = {string.format('%.0f', now)}, {}, '0', tonumber(ARGV[1])\n"
                          "repeat\n"
                          "  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', 250)\n"
                          "  cursor = page[1]\n"
                          "  for i = 1, #page[2], 2 do\n"
                          "    local holder, finish = read(page[2][i + 1])\n"
                          "    if not holder or finish < now - ARGV[2] then\n"
                          "      old[#old + 1] = page[2][i]\n"
                          "    elseif #out <= limit then\n"
                          "      out[#out + 1] = page[2][i + 1]\n"
                          "    end\n"
                          "  end\n"
                          "until cursor == '0' or #out > limit or #old > 1000\n"
                          "for _, node in ipairs(old) do redis.call('HDEL', KEYS[1], node) end\n"
                          "return out\n";

/* KEYS: user:<id>  ARGV: session, and if it is not the end: incarnation, node, expiry ms, JSON. Answer: a number. */
static const char session_put[] = REDIS_SCRIPT_NOW STAMP("stated") READ PRUNE
    "if not ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], stamp(ARGV[2], now, ARGV[3], ARGV[5]))\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
    "prune(KEYS[1], nil, ARGV[4])\n"
    "return 1\n";

/* KEYS: nodes, user:<id>  ARGV: sessions at most, expiry ms. Answer: session, value, session, value … */
static const char user_read[] = REDIS_SCRIPT_NOW READ LIVES
    "local out, cursor, pages, limit = {}, '0', 0, 2 * ARGV[1]\n"
    "repeat\n"
    "  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 500)\n"
    "  cursor, pages = page[1], pages + 1\n"
    "  for i = 1, #page[2], 2 do\n"
    "    local incarnation, stated, node = read(page[2][i + 1])\n"
    "    if incarnation and stated >= now - ARGV[2] and #out < limit and lives(node, incarnation) then\n"
    "      out[#out + 1] = page[2][i]\n"
    "      out[#out + 1] = page[2][i + 1]\n"
    "    end\n"
    "  end\n"
    "until cursor == '0' or #out >= limit or pages == 20\n"
    "return out\n";

/* KEYS: online:{room}, roster:{room}  ARGV: node, and if there is anyone: incarnation, expiry ms, JSON of each. Answer:
 * a number. */
static const char room_put[] = REDIS_SCRIPT_NOW STAMP("stated") READ PRUNE
    "if not ARGV[2] then\n"
    "  redis.call('HDEL', KEYS[2], ARGV[1])\n"
    "  return redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "end\n"
    "for i = 1, 2 do\n"
    "  redis.call('HSET', KEYS[i], ARGV[1], stamp(ARGV[2], now, ARGV[1], ARGV[3 + i]))\n"
    "  redis.call('PEXPIRE', KEYS[i], ARGV[3])\n"
    "end\n"
    "prune(KEYS[1], KEYS[2], ARGV[3])\n"
    "return 1\n";

/*
 * KEYS: nodes, online:{room}, roster:{room}  ARGV: nodes at most, expiry ms, bytes of names at most or 0 for none.
 * Answer: value, roster's value or '', value …
 */
static const char room_read[] = REDIS_SCRIPT_NOW READ LIVES
    "local out, cursor, pages, limit, room = {}, '0', 0, 2 * ARGV[1], tonumber(ARGV[3])\n"
    "repeat\n"
    "  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 250)\n"
    "  cursor, pages = page[1], pages + 1\n"
    "  for i = 1, #page[2], 2 do\n"
    "    local incarnation, stated, node = read(page[2][i + 1])\n"
    "    if incarnation and stated >= now - ARGV[2] and #out < limit and lives(node, incarnation) then\n"
    "      local names = room > 0 and redis.call('HGET', KEYS[3], node) or ''\n"
    "      if #names > room or read(names) ~= incarnation then names = '' end\n"
    "      room = room - #names\n"
    "      out[#out + 1] = page[2][i + 1]\n"
    "      out[#out + 1] = names\n"
    "    end\n"
    "  end\n"
    "until cursor == '0' or #out >= limit or pages == 20\n"
    "return out\n";

const char *const redis_script_sources[REDIS_SCRIPTS] = {
    [REDIS_SCRIPT_SEEN] = seen,
    [REDIS_SCRIPT_LEASE_PUT] = lease_put,
    [REDIS_SCRIPT_LEASE_RELEASE] = lease_release,
    [REDIS_SCRIPT_NODES_READ] = nodes_read,
    [REDIS_SCRIPT_SESSION_PUT] = session_put,
    [REDIS_SCRIPT_USER_READ] = user_read,
    [REDIS_SCRIPT_ROOM_PUT] = room_put,
    [REDIS_SCRIPT_ROOM_READ] = room_read,
    [REDIS_SCRIPT_APPEND] = redis_script_append,
    [REDIS_SCRIPT_LOG_READ] = redis_script_log_read,
    [REDIS_SCRIPT_SWEEP] = redis_script_sweep,
    [REDIS_SCRIPT_INTEREST_PUT] = redis_script_interest_put,
    [REDIS_SCRIPT_INTEREST_END] = redis_script_interest_end,
    [REDIS_SCRIPT_ACK_PUT] = redis_script_ack_put,
    [REDIS_SCRIPT_ACK_READ] = redis_script_ack_read,
};
