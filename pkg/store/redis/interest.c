/*
 * Who listens where, and how far a device has come.
 */
#include "store/redis/redis_internal.h"

static bool is_known(const struct store_interest_put *put, size_t index)
{
    return put->known_ms && put->known_ms[index];
}

static size_t count_known(const struct store_interest_put *put)
{
    size_t count = 0;

    for (size_t i = 0; i < put->count; i++)
        count += is_known(put, i);
    return count;
}

int redis_interest_put_send(struct redis_store *s, struct store_request *r)
{
    const struct store_interest_put *put = container_of(r, struct store_interest_put, base);
    struct redis_connection *c = &s->connection;
    size_t known = count_known(put);

    if (put->is_end) {
        redis_command_begin_script(c, REDIS_SCRIPT_INTEREST_END, put->count + known, 2 + known);
    } else {
        redis_command_begin_script(c, REDIS_SCRIPT_INTEREST_PUT, 1 + 2 * put->count + known, 4 + known);
        redis_add_key(s, SLICE_LITERAL("epoch"));
    }
    for (size_t i = 0; i < put->count; i++) {
        redis_add_tagged_key(s, SLICE_LITERAL("interest:{"), put->channels[i]);
        if (!put->is_end)
            redis_add_tagged_key(s, SLICE_LITERAL("log:{"), put->channels[i]);
    }
    for (size_t i = 0; i < put->count; i++)
        if (is_known(put, i))
            redis_add_tagged_key(s, SLICE_LITERAL("known:{"), put->channels[i]);
    redis_command_add(c, s->node);
    if (!put->is_end) {
        redis_command_add_number(c, s->expiry_ms);
        redis_command_add_number(c, c->life_ms);
    }
    redis_command_add_number(c, put->count);
    for (size_t i = 0; i < put->count; i++)
        if (is_known(put, i))
            redis_command_add_number(c, put->known_ms[i]);
    return redis_command_end(c);
}

/** The next word of @positions. */
static bool take_position(struct slice *positions, const struct store_interest_put *put, size_t index)
{
    struct slice word;
    bool has_rest;

    if (!slice_split(positions, ' ', &word))
        return false;
    has_rest = slice_starts_with(word, SLICE_LITERAL("~"));
    if (put->have_rest)
        put->have_rest[index] = has_rest;
    return redis_position_parse(slice_skip(word, has_rest), &put->positions[index]);
}

int redis_interest_put_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_interest_put *put = container_of(r, struct store_interest_put, base);
    struct slice rest = redis_reply_slice(reply);
    size_t count = 0;

    if (!put->is_end) {
        while (count < put->count && take_position(&rest, put, count))
            count++;
        if (count < put->count || slice_is_set(rest))
            return -EPROTO;
    } else if (reply->type != REDIS_REPLY_INTEGER) {
        return -EPROTO;
    }
    put->done(put, 0);
    return 0;
}

/* ---- acks ---- */

int redis_ack_put_send(struct redis_store *s, struct store_request *r)
{
    const struct store_ack_put *put = container_of(r, struct store_ack_put, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_ACK_PUT, 1, 4);
    redis_add_named_key(s, SLICE_LITERAL("acks:"), put->user);
    redis_command_add(c, put->device);
    redis_command_add_number(c, put->position.epoch);
    redis_command_add_number(c, put->position.offset);
    redis_command_add_number(c, put->age_ms);
    return redis_command_end(c);
}

int redis_ack_put_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_ack_put *put = container_of(r, struct store_ack_put, base);

    if (reply->type != REDIS_REPLY_INTEGER)
        return -EPROTO;
    put->done(put, 0);
    return 0;
}

int redis_ack_read_send(struct redis_store *s, struct store_request *r)
{
    const struct store_ack_read *read = container_of(r, struct store_ack_read, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_ACK_READ, 1, 1);
    redis_add_named_key(s, SLICE_LITERAL("acks:"), read->user);
    redis_command_add(c, read->device);
    return redis_command_end(c);
}

int redis_ack_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_ack_read *read = container_of(r, struct store_ack_read, base);
    struct store_position position = {0};
    struct slice text = redis_reply_slice(reply);

    if (!slice_is_set(text) || (text.size > 0 && !redis_position_parse(text, &position)))
        return -EPROTO;
    read->done(read, 0, position);
    return 0;
}
