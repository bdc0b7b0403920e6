/*
 * The idempotency set: `seen:<node>:<slot>`. A slot is half the window; the current and the two before it are looked
 * up, so an id is remembered for one window at least and for one and a half at most. (Two slots of a whole window each
 * would do too, and hold twice the window at most.)
 */
#include "store/redis/redis_internal.h"

int redis_seen_send(struct redis_store *s, struct store_request *r)
{
    struct store_seen *seen = container_of(r, struct store_seen, base);
    struct redis_connection *c = &s->connection;
    uint64_t slot_ms = (s->seen_window_ms + STORE_SEEN_PARTS - 1) / STORE_SEEN_PARTS;
    const struct slice key[] = {s->prefix, SLICE_LITERAL("seen:"), s->node, SLICE_LITERAL(":")};
    char digest[STORE_SEEN_DIGEST_BYTES];

    assert(seen->count > 0 && seen->count <= STORE_SEEN_MAX);
    redis_command_begin_script(c, REDIS_SCRIPT_SEEN, 1, 1 + seen->count);
    redis_command_add_parts(c, key, BASE_ARRAY_SIZE(key));
    redis_command_add_number(c, slot_ms > 0 ? slot_ms : 1);
    for (size_t i = 0; i < seen->count; i++)
        redis_command_add(c, store_seen_id(seen->ids[i], digest));
    return redis_command_end(c);
}

int redis_seen_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_seen *seen = container_of(r, struct store_seen, base);
    struct slice digits = redis_reply_slice(reply);

    if (digits.size != seen->count)
        return -EPROTO;
    for (size_t i = 0; i < seen->count; i++)
        seen->seen[i] = digits.data[i] == '1';
    seen->done(seen, 0);
    return 0;
}
