/*
 * The scripts of rooms. KEYS[1] to [4] are nodes, online:{room}, users:{room} and names:{room}.
 *
 * A user's value names the nodes where the user is, so the number of users is the size of the hash, whatever the room's
 * size: a statement costs what has changed. That is true only as long as every part in `online` lives, so whoever looks
 * takes a dead node's users away first, once for each death; the node, should it live after all, finds its part gone.
 */
#include "store/redis/script.h"

/**
 * purge(node): takes its users away; false: there are too many for one time.
 * survey(me, expiry): connections of the others, told, the value of this node's part or nil, and node, value of each
 * other part. What is dead goes.
 */
#define SURVEY                                                                                                         \
    "local function has(list, node)\n"                                                                                 \
    "  return string.find(' ' .. list .. ' ', ' ' .. node .. ' ', 1, true)\n"                                          \
    "end\n"                                                                                                            \
    "local function take_away(user, list, node)\n"                                                                     \
    "  local rest = {}\n"                                                                                              \
    "  for other in string.gmatch(list, '%S+') do\n"                                                                   \
    "    if other ~= node then rest[#rest + 1] = other end\n"                                                          \
    "  end\n"                                                                                                          \
    "  if #rest > 0 then\n"                                                                                            \
    "    redis.call('HSET', KEYS[3], user, table.concat(rest, ' '))\n"                                                 \
    "  else\n"                                                                                                         \
    "    redis.call('HDEL', KEYS[3], user)\n"                                                                          \
    "    redis.call('ZREM', KEYS[4], user)\n"                                                                          \
    "  end\n"                                                                                                          \
    "  return #rest == 0\n"                                                                                            \
    "end\n"                                                                                                            \
    "local function purge(node)\n"                                                                                     \
    "  local cursor, pages = '0', 0\n"                                                                                 \
    "  repeat\n"                                                                                                       \
    "    local page = redis.call('HSCAN', KEYS[3], cursor, 'COUNT', 500)\n"                                            \
    "    cursor, pages = page[1], pages + 1\n"                                                                         \
    "    for i = 1, #page[2], 2 do\n"                                                                                  \
    "      if has(page[2][i + 1], node) then take_away(page[2][i], page[2][i + 1], node) end\n"                        \
    "    end\n"                                                                                                        \
    "  until cursor == '0' or pages == 400\n"                                                                          \
    "  return cursor == '0'\n"                                                                                         \
    "end\n"                                                                                                            \
    "local function connections_of(value)\n"                                                                           \
    "  return tonumber(string.match(value, '\"connections\":(%d+)') or 0)\n"                                           \
    "end\n"                                                                                                            \
    "local function survey(me, expiry)\n"                                                                              \
    "  local all, others, told, mine, parts = redis.call('HGETALL', KEYS[2]), 0, 0, nil, {}\n"                         \
    "  for i = 1, #all, 2 do\n"                                                                                        \
    "    local node, value = all[i], all[i + 1]\n"                                                                     \
    "    if node == 'told' then\n"                                                                                     \
    "      told = tonumber(value) or 0\n"                                                                              \
    "    elseif node == me then\n"                                                                                     \
    "      mine = value\n"                                                                                             \
    "    else\n"                                                                                                       \
    "      local incarnation, stated = read(value)\n"                                                                  \
    "      if incarnation and stated >= now - expiry and lives(node, incarnation) then\n"                              \
    "        others = others + connections_of(value)\n"                                                                \
    "        parts[#parts + 1] = node\n"                                                                               \
    "        parts[#parts + 1] = value\n"                                                                              \
    "      elseif purge(node) then\n"                                                                                  \
    "        redis.call('HDEL', KEYS[2], node)\n"                                                                      \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "  end\n"                                                                                                          \
    "  return others, told, mine, parts\n"                                                                             \
    "end\n"

/*
 * KEYS: …, the mirrors of count and likes, each or an empty name, and mirror:{room}  ARGV: node, incarnation, expiry,
 * mode (enum store_room_mode), connections, version, 1 if it is the first, 1 if it wants to tell, interval of telling,
 * JSON, how many joined, then their names, then of those who left. Answer: "behind", or users, connections, 1 if it may
 * tell, until when nobody may, and a digit for each name, 1 if that user is on no other node, separated by spaces.
 */
const char redis_script_room_put[] =
    REDIS_SCRIPT_NOW REDIS_SCRIPT_STAMP("stated") REDIS_SCRIPT_READ REDIS_SCRIPT_LIVES SURVEY
    "local me, incarnation, expiry, mode = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local connections, version, interval = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[9])\n"
    "local others, told, mine, parts = survey(me, expiry)\n"
    "if ARGV[7] == '1' then\n"
    "  if #parts == 0 then redis.call('DEL', KEYS[3], KEYS[4]) elseif mine then purge(me) end\n"
    "elseif not mine or read(mine) ~= incarnation\n"
    "    or tonumber(string.match(mine, '\"version\":(%d+)') or 0) ~= version - 1 then\n"
    "  return 'behind'\n"
    "end\n"
    "local last, news = 11 + tonumber(ARGV[11]), {}\n"
    "for i = 12, last do\n"
    "  local user = ARGV[i]\n"
    "  local list = redis.call('HGET', KEYS[3], user)\n"
    "  if not list then\n"
    "    redis.call('HSET', KEYS[3], user, me)\n"
    "    if mode == 2 then redis.call('ZADD', KEYS[4], 0, user) end\n"
    "  elseif not has(list, me) then\n"
    "    redis.call('HSET', KEYS[3], user, list .. ' ' .. me)\n"
    "  end\n"
    "  news[#news + 1] = (not list or list == me) and '1' or '0'\n"
    "end\n"
    "for i = last + 1, #ARGV do\n"
    "  local list = redis.call('HGET', KEYS[3], ARGV[i])\n"
    "  news[#news + 1] = (not list or take_away(ARGV[i], list, me)) and '1' or '0'\n"
    "end\n"
    "local all = others + connections\n"
    "if all == 0 then\n"
    "  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
    "elseif connections == 0 then\n"
    "  redis.call('HDEL', KEYS[2], me)\n"
    "else\n"
    "  redis.call('HSET', KEYS[2], me, stamp(incarnation, now, me, ARGV[10]))\n"
    "  for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end\n"
    "end\n"
    "local users = mode == 0 and all or redis.call('HLEN', KEYS[3])\n"
    "local may = ARGV[8] == '1' and all > 0 and (now - told >= interval or told > now)\n"
    "if may then redis.call('HSET', KEYS[2], 'told', string.format('%.0f', now)) end\n"
    "local mirror = KEYS[5]\n"
    "if mirror ~= '' then redis.call('HSET', KEYS[7], 'online', mirror)\n"
    "else mirror = redis.call('HGET', KEYS[7], 'online') or '' end\n"
    "if KEYS[6] ~= '' then redis.call('HSET', KEYS[7], 'likes', KEYS[6]) end\n"
    "if mirror ~= '' then redis.call('SET', mirror, string.format('%.0f', users), 'PX', ARGV[3]) end\n"
    "redis.call('PEXPIRE', KEYS[7], ARGV[3])\n"
    "local wait = may and 0 or math.min(math.max(told + interval - now, 0), interval)\n"
    "return string.format('%.0f %.0f %d %.0f %s', users, all, may and 1 or 0, wait, table.concat(news))\n";

/*
 * KEYS: …, likes:{room}  ARGV: expiry, mode, names at most, 1 if there is a name to begin behind, that name. Answer:
 * users, connections and likes as one text, an array of node, value … of the parts, and one of names.
 */
const char redis_script_room_read[] = REDIS_SCRIPT_NOW REDIS_SCRIPT_READ REDIS_SCRIPT_LIVES SURVEY
    "local all, told, mine, parts = survey('', tonumber(ARGV[1]))\n"
    "local mode, limit, names = tonumber(ARGV[2]), tonumber(ARGV[3]), {}\n"
    "local users = mode == 0 and all or all > 0 and redis.call('HLEN', KEYS[3]) or 0\n"
    "if mode == 2 and limit > 0 and all > 0 then\n"
    "  names = redis.call('ZRANGEBYLEX', KEYS[4], ARGV[4] == '1' and '(' .. ARGV[5] or '-', '+', 'LIMIT', 0, limit)\n"
    "end\n"
    "local likes = tonumber(redis.call('HGET', KEYS[5], 'total') or 0)\n"
    "return {string.format('%.0f %.0f %.0f', users, all, likes), parts, names}\n";

/*
 * KEYS: nodes  ARGV: prefix, pattern of the rooms' keys, expiry, rooms at most (about), cursor. Answer: the cursor to
 * go on with, then of each room its name and, as one text, users, connections and nodes.
 *
 * The only key that is named is nodes: which others there are is the question. They are looked for among all keys, two
 * thousand an answer, which is about a microsecond a key; nothing is written. Of users there are as many
 * as the hash has, and not more than the living parts say; where only connections are counted there is no hash.
 */
const char redis_script_rooms_read[] = REDIS_SCRIPT_NOW REDIS_SCRIPT_READ REDIS_SCRIPT_LIVES
    "local expiry, limit, cursor, visited, have = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], 0, {}\n"
    "local out = {}\n"
    "local function number(value, name) return tonumber(string.match(value, '\"' .. name .. '\":(%d+)') or 0) end\n"
    "local function look(key)\n"
    "  local all, users, connections, nodes = redis.pcall('HGETALL', key), 0, 0, 0\n"
    "  for i = 1, #all, 2 do\n"
    "    local incarnation, stated = read(all[i + 1])\n"
    "    if incarnation and stated >= now - expiry and lives(all[i], incarnation) then\n"
    "      users = users + number(all[i + 1], 'users')\n"
    "      connections, nodes = connections + number(all[i + 1], 'connections'), nodes + 1\n"
    "    end\n"
    "  end\n"
    "  if nodes == 0 then return end\n"
    "  local room = string.sub(key, #ARGV[1] + 9, -2)\n"
    "  local distinct = nodes > 1 and redis.pcall('HLEN', ARGV[1] .. 'users:{' .. room .. '}') or 0\n"
    "  if type(distinct) == 'number' and distinct > 0 then users = math.min(users, distinct) end\n"
    "  out[#out + 1] = room\n"
    "  out[#out + 1] = string.format('%.0f %.0f %d', users, connections, nodes)\n"
    "end\n"
    "repeat\n"
    "  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[2], 'COUNT', limit)\n"
    "  cursor, visited = page[1], visited + limit\n"
    "  for _, key in ipairs(page[2]) do\n"
    "    if not have[key] then look(key) end\n"
    "    have[key] = true\n"
    "  end\n"
    "until cursor == '0' or #out >= 2 * limit or visited >= 2000\n"
    "table.insert(out, 1, cursor)\n"
    "return out\n";
