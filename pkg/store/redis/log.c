/*
 * Reading logs: one, or what is new in many.
 */
#include "store/redis/redis_internal.h"

/** Where a range begins: past @position (its own entry left out), or at @open. */
static void add_from(struct redis_store *s, struct store_position position, struct slice open)
{
    char text[REDIS_POSITION_TEXT];
    const struct slice parts[] = {SLICE_LITERAL("("), redis_position_format(position, text)};

    if (position.epoch == 0)
        redis_command_add(&s->connection, open);
    else
        redis_command_add_parts(&s->connection, parts, BASE_ARRAY_SIZE(parts));
}

int redis_log_read_send(struct redis_store *s, struct store_request *r)
{
    const struct store_log_read *read = container_of(r, struct store_log_read, base);
    struct slice begin = SLICE_LITERAL("-"), end = SLICE_LITERAL("+");
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_LOG_READ, 1, 5);
    redis_add_tagged_key(s, SLICE_LITERAL("log:{"), read->channel);
    redis_command_add(c, read->is_backwards ? SLICE_LITERAL("XREVRANGE") : SLICE_LITERAL("XRANGE"));
    add_from(s, read->after, read->is_backwards ? end : begin);
    redis_command_add(c, read->is_backwards ? begin : end);
    redis_command_add_number(c, read->limit);
    redis_command_add_number(c, read->max_bytes);
    return redis_command_end(c);
}

/**
 * read_records() - id, record, id, record … as records, in their order or the opposite one
 *
 * Return: 0; -EPROTO if that is not what @replies are; -ENOMEM.
 */
static int read_records(redisReply *const *replies, size_t reply_count, bool is_backwards, struct store_arena *arena,
                        const struct store_record **ret_records)
{
    size_t count = reply_count / 2;
    struct store_record *records = store_arena_take(arena, (count + 1) * sizeof(*records));

    if (!records)
        return -ENOMEM;
    if (reply_count % 2 != 0)
        return -EPROTO;
    for (size_t i = 0; i < count; i++) {
        struct store_record *record = &records[is_backwards ? count - 1 - i : i];

        record->record = redis_reply_slice(replies[2 * i + 1]);
        if (!redis_position_parse(redis_reply_slice(replies[2 * i]), &record->position) ||
            !slice_is_set(record->record))
            return -EPROTO;
    }
    *ret_records = records;
    return 0;
}

int redis_log_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_log_read *read = container_of(r, struct store_log_read, base);
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct store_position last = {0}, first = {0};
    const struct store_record *records;
    int result;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
        return -EPROTO;
    if (redis_reply_slice(reply->element[0]).size > 0 &&
        (!redis_position_parse(redis_reply_slice(reply->element[0]), &last) ||
         !redis_position_parse(redis_reply_slice(reply->element[1]), &first)))
        return -EPROTO;
    result = read_records(reply->element + 2, reply->elements - 2, read->is_backwards, &arena, &records);
    if (result == 0)
        read->done(read, 0, last, first, records, reply->elements / 2 - 1);
    return result;
}

/* ---- sweep ---- */

int redis_sweep_send(struct redis_store *s, struct store_request *r)
{
    const struct store_sweep *sweep = container_of(r, struct store_sweep, base);
    struct redis_connection *c = &s->connection;
    char text[REDIS_POSITION_TEXT];

    redis_command_begin_script(c, REDIS_SCRIPT_SWEEP, sweep->count, 2 + sweep->count);
    for (size_t i = 0; i < sweep->count; i++)
        redis_add_tagged_key(s, SLICE_LITERAL("log:{"), sweep->channels[i].channel);
    redis_command_add_number(c, sweep->limit_per_channel);
    redis_command_add_number(c, STORE_SWEEP_BYTES);
    for (size_t i = 0; i < sweep->count; i++)
        redis_command_add(c, redis_position_format(sweep->channels[i].after, text));
    return redis_command_end(c);
}

/** What a sweep found in one channel. */
struct swept {
    size_t index, count;
    const struct store_record *records;
};

/** All of the answer, before anybody is told any of it. Return: 0, -EPROTO, -ENOMEM. */
static int read_swept(const struct store_sweep *sweep, const redisReply *reply, struct store_arena *arena,
                      const struct swept **ret_swept, size_t *ret_count)
{
    struct swept *swept;
    size_t count = 0;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 1 || reply->element[0]->type != REDIS_REPLY_INTEGER)
        return -EPROTO;
    swept = store_arena_take(arena, (reply->elements / 2 + 1) * sizeof(*swept));
    if (!swept)
        return -ENOMEM;
    for (size_t i = 1; i < reply->elements; i += 2, count++) {
        const redisReply *number = reply->element[i], *entries = reply->element[i + 1];
        int result;

        if (number->type != REDIS_REPLY_INTEGER || number->integer < 1 || (size_t)number->integer > sweep->count ||
            entries->type != REDIS_REPLY_ARRAY)
            return -EPROTO;
        swept[count].index = (size_t)number->integer - 1;
        swept[count].count = entries->elements / 2;
        result = read_records(entries->element, entries->elements, false, arena, &swept[count].records);
        if (result < 0)
            return result;
    }
    *ret_swept = swept;
    *ret_count = count;
    return 0;
}

int redis_sweep_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_sweep *sweep = container_of(r, struct store_sweep, base);
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    const struct swept *swept;
    size_t count;
    int result = read_swept(sweep, reply, &arena, &swept, &count);

    if (result < 0)
        return result;
    sweep->has_more = reply->element[0]->integer != 0;
    for (size_t i = 0; i < count; i++)
        if (swept[i].count > 0)
            sweep->on_records(sweep, swept[i].index, swept[i].records, swept[i].count);
    sweep->done(sweep, 0);
    return 0;
}
