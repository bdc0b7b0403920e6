/*
 * The scripts of what is added up in rooms.
 */
#include "store/redis/script.h"

/*
 * KEYS: for each room likes:{room}, its mirror or an empty name, and mirror:{room}  ARGV: incarnation, interval of
 * telling, and for each room: likes, sequence, age, 1 if it wants to tell, else 0. Answer: a text, for each room its
 * total and 1 if it may tell, separated by spaces.
 *
 * What can fail by the key's type is read first, so that a refused script added nothing to that room; those before it
 * are known by their sequence. Of writers no more than some sixty are remembered: the sequence of one that was silent
 * for ten minutes goes, for nobody makes a request again after so long.
 */
const char redis_script_likes_add[] =
    REDIS_SCRIPT_NOW "local me, interval, out = ARGV[1], tonumber(ARGV[2]), {}\n"
                     "for i = 1, #KEYS, 3 do\n"
                     "  local key, mirror, at = KEYS[i], KEYS[i + 1], (i - 1) / 3 * 4 + 2\n"
                     "  if mirror == '' then mirror = redis.call('HGET', KEYS[i + 2], 'likes') or '' end\n"
                     "  local count, sequence, age = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]\n"
                     "  local known = redis.call('HMGET', key, 'total', 'told', me)\n"
                     "  local total, told = tonumber(known[1] or 0), tonumber(known[2] or 0)\n"
                     "  local last = tonumber(known[3] and string.match(known[3], '^%d+') or 0)\n"
                     "  if count > 0 and sequence > last then\n"
                     "    total = total + count\n"
                     "    redis.call('HSET', key, 'total', string.format('%.0f', total), me,\n"
                     "      string.format('%.0f %.0f', sequence, now))\n"
                     "    if redis.call('HLEN', key) > 64 then\n"
                     "      local all = redis.call('HGETALL', key)\n"
                     "      for j = 1, #all, 2 do\n"
                     "        local ms = string.match(all[j + 1], '^%d+ (%d+)$')\n"
                     "        if ms and tonumber(ms) < now - 600000 then redis.call('HDEL', key, all[j]) end\n"
                     "      end\n"
                     "    end\n"
                     "  end\n"
                     "  local may = ARGV[at + 4] == '1' and total > 0 and (now - told >= interval or told > now)\n"
                     "  if may then redis.call('HSET', key, 'told', string.format('%.0f', now)) end\n"
                     "  if total > 0 then\n"
                     "    redis.call('PEXPIRE', key, age)\n"
                     "    if mirror ~= '' then redis.call('SET', mirror, string.format('%.0f', total), 'PX', age) end\n"
                     "  end\n"
                     "  out[#out + 1] = string.format('%.0f %d', total, may and 1 or 0)\n"
                     "end\n"
                     "return table.concat(out, ' ')\n";

/*
 * KEYS: for each interval watch:{room} and watching:{room}  ARGV: for each: user, from and to as milliseconds ago, age.
 * Answer: a number.
 *
 * What lies in an interval that was counted before is not counted again. Intervals that nearly meet become one, and
 * those that ended two minutes ago are forgotten, so there are few. Whole seconds go to `watch`, the rest stays here.
 */
const char redis_script_watch_add[] = REDIS_SCRIPT_NOW
    "for i = 1, #KEYS, 2 do\n"
    "  local watch, watching, at = KEYS[i], KEYS[i + 1], 2 * i - 2\n"
    "  local user, from, to, age = ARGV[at + 1], now - ARGV[at + 2], now - ARGV[at + 3], ARGV[at + 4]\n"
    "  local numbers, kept = {}, {}\n"
    "  for number in string.gmatch(redis.call('HGET', watching, user) or '0', '%d+') do\n"
    "    numbers[#numbers + 1] = tonumber(number)\n"
    "  end\n"
    "  local added, first, last = to - from, from, to\n"
    "  for j = 2, #numbers - 1, 2 do\n"
    "    local a, b = numbers[j], numbers[j + 1]\n"
    "    added = added - math.max(0, math.min(b, to) - math.max(a, from))\n"
    "    if a <= last + 1000 and b >= first - 1000 then\n"
    "      first, last = math.min(a, first), math.max(b, last)\n"
    "    elseif b > now - 120000 then\n"
    "      kept[#kept + 1] = string.format('%.0f %.0f', a, b)\n"
    "    end\n"
    "  end\n"
    "  kept[#kept + 1] = string.format('%.0f %.0f', first, last)\n"
    "  local ms = (numbers[1] or 0) + math.max(added, 0)\n"
    "  if ms >= 1000 then\n"
    "    redis.call('HINCRBY', watch, user, math.floor(ms / 1000))\n"
    "    redis.call('PEXPIRE', watch, age)\n"
    "  end\n"
    "  redis.call('HSET', watching, user, string.format('%.0f ', ms % 1000) .. table.concat(kept, ' '))\n"
    "  redis.call('PEXPIRE', watching, 600000)\n"
    "end\n"
    "return 1\n";
