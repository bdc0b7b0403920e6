/*
 * Who listens where, and how far a device has come.
 */
#include "store/redis/redis_internal.h"

int redis_interest_put_send(struct redis_store *s, struct store_request *r)
{
    const struct store_interest_put *put = container_of(r, struct store_interest_put, base);
    struct redis_connection *c = &s->connection;

    if (put->is_end) {
        redis_command_begin_script(c, REDIS_SCRIPT_INTEREST_END, put->count, 1);
    } else {
        redis_command_begin_script(c, REDIS_SCRIPT_INTEREST_PUT, 1 + 2 * put->count, 3);
        redis_add_key(s, SLICE_LITERAL("epoch"));
    }
    for (size_t i = 0; i < put->count; i++) {
        redis_add_tagged_key(s, SLICE_LITERAL("interest:{"), put->channels[i]);
        if (!put->is_end)
            redis_add_tagged_key(s, SLICE_LITERAL("log:{"), put->channels[i]);
    }
    redis_command_add(c, s->node);
    if (!put->is_end) {
        redis_command_add_number(c, s->expiry_ms);
        redis_command_add_number(c, c->life_ms);
    }
    return redis_command_end(c);
}

int redis_interest_put_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_interest_put *put = container_of(r, struct store_interest_put, base);
    struct slice rest = redis_reply_slice(reply), word;
    size_t count = 0;

    if (!put->is_end) {
        while (count < put->count && slice_split(&rest, ' ', &word) &&
               redis_position_parse(word, &put->positions[count]))
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
