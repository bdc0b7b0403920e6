/*
 * The store's life: `life` holds "<run_id> <milliseconds>", the server process that nodes met last and when the first
 * of them met it. Another process may have come back with less than the last one had, and its logs must not be
 * continued as if nothing were missing: numbers that listeners have seen would be given a second time. So every node
 * asks at each connection, before anything else, and its appends continue no epoch that began before the life did.
 *
 * The script may run with the server's memory full (allow-oom, Redis 7): reading is possible then, and only reading.
 */
#include "store/redis/redis_internal.h"

static const char source[] = "#!lua flags=allow-oom\n" REDIS_SCRIPT_NOW
                             "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')\n"
                             "local known, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%w+) (%d+)$')\n"
                             "if known == run then return since end\n"
                             "local high = tonumber(redis.call('GET', KEYS[2]) or 0)\n"
                             "local life = string.format('%.0f', math.max(now, tonumber(since or 0) + 1, high + 1))\n"
                             "redis.call('SET', KEYS[1], run .. ' ' .. life)\n"
                             "redis.call('SET', KEYS[2], life)\n"
                             "return life\n";

int redis_life_send(struct redis_connection *c)
{
    const struct slice life[] = {c->prefix, SLICE_LITERAL("life")}, epoch[] = {c->prefix, SLICE_LITERAL("epoch")};

    redis_command_begin(c, 5);
    redis_command_add(c, SLICE_LITERAL("EVAL"));
    redis_command_add(c, slice_from(source));
    redis_command_add_number(c, 2);
    redis_command_add_parts(c, life, BASE_ARRAY_SIZE(life));
    redis_command_add_parts(c, epoch, BASE_ARRAY_SIZE(epoch));
    return redis_command_end(c);
}

int redis_life_take(struct redis_connection *c, const redisReply *reply)
{
    uint64_t life_ms;

    if (!slice_to_uint64(redis_reply_slice(reply), INT64_MAX, &life_ms)) {
        redis_connection_explain(c, "life", reply);
        return -EPROTO;
    }
    c->life_ms = life_ms;
    return 0;
}
