/*
 * The scripts of logs, interest and acks. Numbers stay below 10^14, up to where Lua's own `..` writes them without an
 * exponent: milliseconds until the year 5138, and offsets.
 *
 * Epochs. `epoch` is the highest that this store has seen given; a new one is the clock's milliseconds, above the
 * channel's last one, not below the store's life (redis/life.c), and above `epoch` should the clock have gone back. So
 * a log that was copied before a fail-over, by a server whose clock was ahead, is not continued either: life is above
 * all of its epochs.
 */
#include "store/redis/script.h"

/**
 * collect(key, command, from, to, limit, left, out): entries as id, record, id, record … at the end of @out, until
 * @limit entries or @left bytes are there, and one at least. Returns how many and what is left of @left. A page at a
 * time, so that large records are not all read to be dropped.
 */
#define COLLECT                                                                                                        \
    "local function collect(key, command, from, to, limit, left, out)\n"                                               \
    "  local taken = 0\n"                                                                                              \
    "  repeat\n"                                                                                                       \
    "    local size = math.min(limit - taken, 32)\n"                                                                   \
    "    local page = redis.call(command, key, from, to, 'COUNT', size)\n"                                             \
    "    for i = 1, #page do\n"                                                                                        \
    "      local record = page[i][2][2]\n"                                                                             \
    "      out[#out + 1] = page[i][1]\n"                                                                               \
    "      out[#out + 1] = record\n"                                                                                   \
    "      taken, left = taken + 1, left - #record\n"                                                                  \
    "      if left <= 0 then break end\n"                                                                              \
    "    end\n"                                                                                                        \
    "    if #page == size then from = '(' .. page[size][1] end\n"                                                      \
    "  until #page < size or taken >= limit or left <= 0\n"                                                            \
    "  return taken, left\n"                                                                                           \
    "end\n"

/*
 * KEYS: log:{ch}, interest:{ch}, epoch, for each message key:{ch}:…, then known:{ch} if it is needed. ARGV: life,
 * length, bytes or 0, age, 1 if interest is wanted, else 0, and 2 more if known is needed; for each message: age of the
 * key, behind a ? if the channel must be known, and the record. Answer: a text of positions, with = before a repeated
 * one, 0-0 where the channel is not known, separated by spaces; then, if it is wanted, a line feed, now, and each node
 * and when it stated its interest, separated by spaces. (The nodes have more time than the server to look which of them
 * are too old.)
 *
 * What can fail by the key's type is read first, so that a refused script wrote nothing. `SET … NX GET` is the question
 * and the answer in one: the position is known beforehand, for the whole batch, from the last entry. Bytes are counted
 * by the server, at every sixteenth message and when much comes at once; the share that is too much goes, which may
 * take several rounds where large messages follow small ones.
 */
const char redis_script_append[] =
    "local log, life, bytes, age = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]\n"
    "local flags, messages = tonumber(ARGV[5]), #KEYS\n"
    "local all = flags % 2 == 1 and redis.call('HGETALL', KEYS[2])\n"
    "if flags >= 2 then messages = messages - 1 end\n"
    "local now, high, epoch, offset\n"
    "local added, size, out = 0, 0, {}\n"
    "local function clock()\n"
    "  local time = redis.call('TIME')\n"
    "  now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "end\n"
    "if last then\n"
    "  epoch, offset = string.match(last[1], '(%d+)-(%d+)')\n"
    "  epoch, offset = tonumber(epoch), tonumber(offset)\n"
    "end\n"
    "if not last or epoch < life then\n"
    "  clock()\n"
    "  high = tonumber(redis.call('GET', KEYS[3]) or 0)\n"
    "  epoch, offset = math.max(now, life, (epoch or 0) + 1), 0\n"
    "  if now < high then epoch = math.max(epoch, high + 1) end\n"
    "end\n"
    "local function is_known()\n"
    "  if last or added > 0 or redis.call('EXISTS', KEYS[2], KEYS[#KEYS]) > 0 then return true end\n"
    "  if not now then clock() end\n"
    "  return now - life < 60000\n"
    "end\n"
    "for i = 4, messages do\n"
    "  local id, key_age, old = epoch .. '-' .. offset + 1, ARGV[2 * i - 2], nil\n"
    "  local is_for_nobody = false\n"
    "  if string.byte(key_age) == 63 then\n"
    "    is_for_nobody, key_age = not is_known(), string.sub(key_age, 2)\n"
    "  end\n"
    "  if not is_for_nobody then old = redis.call('SET', KEYS[i], id, 'NX', 'GET', 'PX', key_age) end\n"
    "  if is_for_nobody then\n"
    "    out[#out + 1] = '0-0'\n"
    "  elseif old then\n"
    "    out[#out + 1] = '=' .. old\n"
    "  else\n"
    "    local record = ARGV[2 * i - 1]\n"
    "    redis.call('XADD', log, 'MAXLEN', '~', ARGV[2], id, 'r', record)\n"
    "    out[#out + 1] = id\n"
    "    offset, added, size = offset + 1, added + 1, size + #record\n"
    "  end\n"
    "end\n"
    "if added > 0 then\n"
    "  if high and epoch > high then redis.call('SET', KEYS[3], epoch) end\n"
    "  if last then\n"
    "    redis.call('PEXPIRE', log, ARGV[4], 'GT')\n"
    "  else\n"
    "    redis.call('PEXPIRE', log, math.max(age, redis.call('PTTL', KEYS[2])))\n"
    "  end\n"
    "  if bytes > 0 and (offset % 16 < added or size * 16 > bytes) then\n"
    "    for round = 1, 8 do\n"
    "      local used = redis.call('MEMORY', 'USAGE', log)\n"
    "      if used <= bytes then break end\n"
    "      local keep = math.max(math.floor(redis.call('XLEN', log) * bytes / used), 1)\n"
    "      if redis.call('XTRIM', log, 'MAXLEN', '~', keep) == 0 then break end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "local answer = table.concat(out, ' ')\n"
    "if all then\n"
    "  if not now then clock() end\n"
    "  answer = answer .. '\\n' .. now .. ' ' .. table.concat(all, ' ')\n"
    "end\n"
    "return answer\n";

/*
 * KEYS: log:{ch}  ARGV: XRANGE or XREVRANGE, from, to, limit, bytes. Answer: the log's last id and its first one (both
 * empty: there is none), then id, record, id, record … in the order of the command.
 */
const char redis_script_log_read[] =
    COLLECT "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]\n"
            "if not last then return {'', ''} end\n"
            "local out = {last[1], redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]}\n"
            "collect(KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), out)\n"
            "return out\n";

/*
 * KEYS: log:{ch} …  ARGV: limit of each, bytes of all, positions. Answer: 1 if something may have been left out, else
 * 0; then, for each that has something: its number from 1, {id, record, id, record …}. One XREAD finds those few.
 */
const char redis_script_sweep[] =
    COLLECT "local limit, left, count, number = tonumber(ARGV[1]), tonumber(ARGV[2]), #KEYS, {}\n"
            "local arguments, out = {'COUNT', 1, 'STREAMS'}, {0}\n"
            "for i = 1, count do\n"
            "  number[KEYS[i]] = i\n"
            "  arguments[3 + i] = KEYS[i]\n"
            "  arguments[3 + count + i] = ARGV[2 + i]\n"
            "end\n"
            "local found = redis.call('XREAD', unpack(arguments)) or {}\n"
            "for i = 1, #found do\n"
            "  local key, records, taken = found[i][1], {}, 0\n"
            "  if left > 0 then\n"
            "    taken, left = collect(key, 'XRANGE', '(' .. ARGV[2 + number[key]], '+', limit, left, records)\n"
            "    out[#out + 1] = number[key]\n"
            "    out[#out + 1] = records\n"
            "  end\n"
            "  if left <= 0 or taken >= limit then out[1] = 1 end\n"
            "end\n"
            "return out\n";

/*
 * KEYS: epoch, for each channel interest:{ch}, log:{ch}, then known:{ch} of those that are to be remembered. ARGV:
 * node, expiry, life, how many channels, for each known:{ch} how long. Answer: a text of positions, separated by
 * spaces, with ~ before one past which the log has only what an earlier life left. Each statement looks at four of the
 * channel's nodes and drops those that were not stated again.
 */
const char redis_script_interest_put[] =
    REDIS_SCRIPT_NOW "local out, node, expiry, life, stand = {}, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), nil\n"
                     "local first_known = 2 + 2 * ARGV[4]\n"
                     "for i = 2, first_known - 1, 2 do\n"
                     "  local interest, log = KEYS[i], KEYS[i + 1]\n"
                     "  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]\n"
                     "  redis.call('HSET', interest, node, now)\n"
                     "  redis.call('PEXPIRE', interest, expiry)\n"
                     "  local some = redis.call('HRANDFIELD', interest, 4, 'WITHVALUES')\n"
                     "  for j = 1, #some, 2 do\n"
                     "    if tonumber(some[j + 1]) <= now - expiry then redis.call('HDEL', interest, some[j]) end\n"
                     "  end\n"
                     "  if last then redis.call('PEXPIRE', log, expiry, 'GT') end\n"
                     "  if last and tonumber(string.match(last[1], '%d+')) >= life then\n"
                     "    out[#out + 1] = last[1]\n"
                     "  else\n"
                     "    if not stand then\n"
                     "      local high = tonumber(redis.call('GET', KEYS[1]) or 0)\n"
                     "      stand = math.max(now, life, high)\n"
                     "      if stand > high then redis.call('SET', KEYS[1], stand) end\n"
                     "    end\n"
                     "    out[#out + 1] = (last and '~' or '') .. stand .. '-0'\n"
                     "  end\n"
                     "end\n"
                     "for i = first_known, #KEYS do\n"
                     "  redis.call('SET', KEYS[i], 1, 'PX', ARGV[5 + i - first_known])\n"
                     "end\n"
                     "return table.concat(out, ' ')\n";

/* KEYS: interest:{ch} …, known:{ch} …  ARGV: node, how many channels, for each known:{ch} how long. Answer: a number.
 */
const char redis_script_interest_end[] =
    "local count = tonumber(ARGV[2])\n"
    "for i = 1, count do redis.call('HDEL', KEYS[i], ARGV[1]) end\n"
    "for i = count + 1, #KEYS do redis.call('SET', KEYS[i], 1, 'PX', ARGV[2 + i - count]) end\n"
    "return count\n";

/*
 * KEYS: acks:<user>  ARGV: device, epoch, offset, age. Answer: a number. A value is "<epoch>-<offset> <until>". Beyond
 * 64 devices the one that would go first goes now.
 */
const char redis_script_ack_put[] = REDIS_SCRIPT_NOW
    "local device, epoch, offset, age = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])\n"
    "local old_epoch, old_offset = string.match(redis.call('HGET', KEYS[1], device) or '', '^(%d+)-(%d+) ')\n"
    "if old_epoch == epoch and tonumber(old_offset) > tonumber(offset) then offset = old_offset end\n"
    "redis.call('HSET', KEYS[1], device, epoch .. '-' .. offset .. ' ' .. now + age)\n"
    "if redis.call('PTTL', KEYS[1]) < age then redis.call('PEXPIRE', KEYS[1], age) end\n"
    "if redis.call('HLEN', KEYS[1]) > 64 then\n"
    "  local all, first, first_until = redis.call('HGETALL', KEYS[1]), nil, math.huge\n"
    "  for i = 1, #all, 2 do\n"
    "    local finish = tonumber(string.match(all[i + 1], ' (%d+)$') or 0)\n"
    "    if finish < first_until and all[i] ~= device then first, first_until = all[i], finish end\n"
    "  end\n"
    "  redis.call('HDEL', KEYS[1], first)\n"
    "end\n"
    "return 1\n";

/* KEYS: acks:<user>  ARGV: device. Answer: a position, or an empty text. */
const char redis_script_ack_read[] = REDIS_SCRIPT_NOW
    "local position, finish = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+-%d+) (%d+)$')\n"
    "if not position or tonumber(finish) <= now then return '' end\n"
    "return position\n";
