/*
 * The scripts. Arguments are in the comment above each. Work and answers are bounded: hashes are walked by HSCAN with a
 * limit of pages, and the answer with a limit of entries. What cannot be read (another program's value) is passed over.
 */
#include "store/redis/script.h"

/**
 * prune(key, expiry): drops what was stated too long ago, from a part of the hash @key, into which an entry was
 * just put. A small hash is looked at whole; of a large one about 32 entries, from a place that moves with the time, so
 * that every entry has its turn.
 */
#define PRUNE                                                                                                          \
    "local function prune(key, expiry)\n"                                                                              \
    "  local count = redis.call('HLEN', key)\n"                                                                        \
    "  if count == 1 then return end\n"                                                                                \
    "  local is_small = count <= 64\n"                                                                                 \
    "  local cursor = is_small and '0' or string.format('%.0f', now)\n"                                                \
    "  local page = redis.call('HSCAN', key, cursor, 'COUNT', is_small and 256 or 32)[2]\n"                            \
    "  for i = 1, #page, 2 do\n"                                                                                       \
    "    local incarnation, stated = read(page[i + 1])\n"                                                              \
    "    if not incarnation or stated < now - expiry then\n"                                                           \
    "      redis.call('HDEL', key, page[i])\n"                                                                         \
    "    end\n"                                                                                                        \
    "  end\n"                                                                                                          \
    "end\n"

/*
 * KEYS: seen:<node>:  ARGV: milliseconds of a slot, ids. Answer: a text, one digit an id.
 *
 * One script and not MULTI/EXEC, which costs the server a quarter less: the slot must be chosen by the server's clock
 * at the moment of the write, while MULTI would need this node's guess of that clock; and the hub, which is one thread,
 * parses one string instead of 3,000 integers. A slot that is not there is not asked: it would answer a zero for each
 * id, and making Lua's numbers of them is half of the script's time.
 */
static const char seen[] =
    REDIS_SCRIPT_NOW "local slot = math.floor(now / ARGV[1])\n"
                     "local function key(back) return KEYS[1] .. string.format('%.0f', slot - back) end\n"
                     "local known = redis.call('SMISMEMBER', key(0), unpack(ARGV, 2))\n"
                     "for back = 1, 2 do\n"
                     "  if redis.call('EXISTS', key(back)) == 1 then\n"
                     "    local older = redis.call('SMISMEMBER', key(back), unpack(ARGV, 2))\n"
                     "    for i = 1, #known do known[i] = known[i] + older[i] end\n"
                     "  end\n"
                     "end\n"
                     "redis.call('SADD', key(0), unpack(ARGV, 2))\n"
                     "redis.call('PEXPIRE', key(0), string.format('%.0f', 3 * ARGV[1]))\n"
                     "for i = 1, #known do known[i] = known[i] > 0 and '1' or '0' end\n"
                     "return table.concat(known)\n";

/** A full Redis refuses what grows (OOM). The lease is a few bytes a node, and without it every node would look dead.
 */
#define ALSO_WHEN_FULL "#!lua flags=allow-oom\n"

/* KEYS: nodes  ARGV: node, incarnation, lease ms, JSON, ms for which ended entries are kept, 0 or before when a holder
 * has to have started to be replaced although its lease has not ended. Answer: 1, or 0 if taken. */
static const char lease_put[] = ALSO_WHEN_FULL REDIS_SCRIPT_NOW REDIS_SCRIPT_STAMP("until") REDIS_SCRIPT_READ
    "local old = redis.call('HGET', KEYS[1], ARGV[1])\n"
    "if old then\n"
    "  local holder, finish = read(old)\n"
    "  if holder and holder ~= ARGV[2] and finish > now then\n"
    "    local started = string.match(old, '\"started\":(%d+)')\n"
    "    if not started or tonumber(started) >= tonumber(ARGV[6]) then return 0 end\n"
    "  end\n"
    "end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], stamp(ARGV[2], now + ARGV[3], ARGV[1], ARGV[4]))\n"
    "redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + ARGV[5]))\n"
    "return 1\n";

/* KEYS: nodes  ARGV: node, incarnation. Answer: 1, or 0 if it was another's. */
static const char lease_release[] =
    ALSO_WHEN_FULL REDIS_SCRIPT_READ "local old = redis.call('HGET', KEYS[1], ARGV[1])\n"
                                     "if not old or read(old) ~= ARGV[2] then return 0 end\n"
                                     "return redis.call('HDEL', KEYS[1], ARGV[1])\n";

/* KEYS: nodes  ARGV: nodes at most, ms for which ended entries are kept. Answer: now as text, then values. */
static const char nodes_read[] = REDIS_SCRIPT_NOW REDIS_SCRIPT_READ
    "local out, old, cursor, limit = {string.format('%.0f', now)}, {}, '0', tonumber(ARGV[1])\n"
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

/*
 * KEYS: user:<id> of each statement  ARGV: incarnation, node, expiry ms, then of each: session, JSON (empty: it ended).
 * Answer: a digit of each, 1 or 0 for refused, and if there was any, a line with the first error. What is refused for
 * the sake of one key (or of memory, which an end needs none of) leaves the others alone; when nothing was done, or
 * the server is not the one to do it, the error itself is the answer.
 */
static const char session_put[] = REDIS_SCRIPT_NOW REDIS_SCRIPT_STAMP("stated") REDIS_SCRIPT_READ PRUNE
    "local function state(key, session, json)\n"
    "  if json == '' then return redis.pcall('HDEL', key, session) end\n"
    "  local done = redis.pcall('HSET', key, session, stamp(ARGV[1], now, ARGV[2], json))\n"
    "  if type(done) == 'table' then return done end\n"
    "  redis.call('PEXPIRE', key, ARGV[3])\n"
    "  prune(key, ARGV[3])\n"
    "  return done\n"
    "end\n"
    "local out, first, is_good = {}, nil, false\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local done = state(key, ARGV[2 * i + 2], ARGV[2 * i + 3])\n"
    "  if type(done) ~= 'table' then\n"
    "    out[i], is_good = '1', true\n"
    "  else\n"
    "    local code = string.match(done.err, '^%-?(%u+) ')\n"
    "    if code ~= 'OOM' and code ~= 'WRONGTYPE' then return done end\n"
    "    out[i], first = '0', first or done\n"
    "  end\n"
    "end\n"
    "if not is_good then return first end\n"
    "return table.concat(out) .. (first and '\\n' .. first.err or '')\n";

/* KEYS: nodes, user:<id>  ARGV: sessions at most, expiry ms. Answer: session, value, session, value … */
static const char user_read[] = REDIS_SCRIPT_NOW REDIS_SCRIPT_READ REDIS_SCRIPT_LIVES
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

const char *const redis_script_sources[REDIS_SCRIPTS] = {
    [REDIS_SCRIPT_SEEN] = seen,
    [REDIS_SCRIPT_LEASE_PUT] = lease_put,
    [REDIS_SCRIPT_LEASE_RELEASE] = lease_release,
    [REDIS_SCRIPT_NODES_READ] = nodes_read,
    [REDIS_SCRIPT_SESSION_PUT] = session_put,
    [REDIS_SCRIPT_USER_READ] = user_read,
    [REDIS_SCRIPT_ROOM_PUT] = redis_script_room_put,
    [REDIS_SCRIPT_ROOM_READ] = redis_script_room_read,
    [REDIS_SCRIPT_ROOMS_READ] = redis_script_rooms_read,
    [REDIS_SCRIPT_APPEND] = redis_script_append,
    [REDIS_SCRIPT_LOG_READ] = redis_script_log_read,
    [REDIS_SCRIPT_SWEEP] = redis_script_sweep,
    [REDIS_SCRIPT_INTEREST_PUT] = redis_script_interest_put,
    [REDIS_SCRIPT_INTEREST_END] = redis_script_interest_end,
    [REDIS_SCRIPT_ACK_PUT] = redis_script_ack_put,
    [REDIS_SCRIPT_ACK_READ] = redis_script_ack_read,
    [REDIS_SCRIPT_LIKES_ADD] = redis_script_likes_add,
    [REDIS_SCRIPT_WATCH_ADD] = redis_script_watch_add,
};
