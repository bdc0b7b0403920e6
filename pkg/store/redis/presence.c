/*
 * What nodes state of themselves: leases and sessions; rooms are in room.c. The rules (who may take a lease, what
 * stands under one) are in the scripts; here are their arguments and answers.
 */
#include "store/redis/redis_internal.h"

void redis_add_buffer(struct redis_store *s, struct buffer *json)
{
    if (buffer_error(json) < 0)
        redis_command_fail(&s->connection, buffer_error(json));
    redis_command_add(&s->connection, buffer_slice(json));
}

/* ---- leases ---- */

int redis_lease_put_send(struct redis_store *s, struct store_request *r)
{
    const struct store_lease_put *put = container_of(r, struct store_lease_put, base);
    const struct store_lease *lease = &put->lease;
    base_cleanup(buffer_deinit)
    struct buffer json = {0};
    char incarnation[REDIS_INCARNATION_SIZE + 1];

    assert(redis_node_check(slice_from(lease->node)));
    redis_incarnation_format(lease->incarnation, incarnation);
    redis_lease_write(lease, &json);
    redis_command_begin_script(&s->connection, REDIS_SCRIPT_LEASE_PUT, 1, 6);
    redis_add_key(s, SLICE_LITERAL("nodes"));
    redis_command_add(&s->connection, slice_from(lease->node));
    redis_command_add(&s->connection, slice_from(incarnation));
    redis_command_add_number(&s->connection, lease->lease_ms);
    redis_add_buffer(s, &json);
    redis_command_add_number(&s->connection, STORE_ENDED_KEPT_MS);
    redis_command_add_number(&s->connection,
                             put->takes_over && lease->started_ms > 0 ? (uint64_t)lease->started_ms : 0);
    return redis_command_end(&s->connection);
}

int redis_lease_put_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_lease_put *put = container_of(r, struct store_lease_put, base);

    if (reply->type != REDIS_REPLY_INTEGER)
        return -EPROTO;
    put->done(put, reply->integer == 1 ? 0 : STORE_E_TAKEN);
    return 0;
}

int redis_lease_release_send(struct redis_store *s, const char *node, uint64_t incarnation)
{
    char text[REDIS_INCARNATION_SIZE + 1];

    redis_incarnation_format(incarnation, text);
    redis_command_begin_script(&s->connection, REDIS_SCRIPT_LEASE_RELEASE, 1, 2);
    redis_add_key(s, SLICE_LITERAL("nodes"));
    redis_command_add(&s->connection, slice_from(node));
    redis_command_add(&s->connection, slice_from(text));
    return redis_command_end(&s->connection);
}

int redis_nodes_read_send(struct redis_store *s, struct store_request *r base_unused)
{
    redis_command_begin_script(&s->connection, REDIS_SCRIPT_NODES_READ, 1, 2);
    redis_add_key(s, SLICE_LITERAL("nodes"));
    redis_command_add_number(&s->connection, STORE_NODES_MAX);
    redis_command_add_number(&s->connection, STORE_ENDED_KEPT_MS);
    return redis_command_end(&s->connection);
}

static int read_leases(const redisReply *reply, struct store_arena *arena, const struct store_lease **ret_leases,
                       size_t *ret_count)
{
    struct store_lease *leases;
    uint64_t now_ms;
    size_t count = 0;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
        !slice_to_uint64(redis_reply_slice(reply->element[0]), INT64_MAX, &now_ms))
        return -EPROTO;
    leases = store_arena_take(arena, reply->elements * sizeof(*leases));
    if (!leases)
        return -ENOMEM;
    for (size_t i = 1; i < reply->elements; i++) {
        int r = redis_lease_parse(redis_reply_slice(reply->element[i]), (int64_t)now_ms, arena, &leases[count]);

        if (r == 0)
            count++;
        else if (r != -EBADMSG)
            return r;
    }
    *ret_leases = leases;
    *ret_count = count;
    return 0;
}

int redis_nodes_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_nodes_read *read = container_of(r, struct store_nodes_read, base);
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    const struct store_lease *leases;
    size_t count;
    int result = read_leases(reply, &arena, &leases, &count);

    if (result == 0)
        read->done(read, 0, leases, count);
    return result;
}

/* ---- sessions ---- */

static void add_session(struct redis_store *s, const struct store_session_item *item)
{
    base_cleanup(buffer_deinit)
    struct buffer json = {0};

    redis_command_add(&s->connection, item->session.session);
    if (!item->is_end)
        redis_session_write(&item->session, &json);
    redis_add_buffer(s, &json);
}

int redis_session_put_send(struct redis_store *s, struct store_request *r)
{
    const struct store_session_put *put = container_of(r, struct store_session_put, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_SESSION_PUT, put->count, 3 + 2 * put->count);
    for (size_t i = 0; i < put->count; i++)
        redis_add_named_key(s, SLICE_LITERAL("user:"), put->items[i].session.user);
    redis_command_add(c, slice_from(s->incarnation));
    redis_command_add(c, s->node);
    redis_command_add_number(c, s->expiry_ms);
    for (size_t i = 0; i < put->count; i++)
        add_session(s, &put->items[i]);
    return redis_command_end(c);
}

int redis_session_put_take(struct redis_store *s, struct store_request *r, const redisReply *reply)
{
    struct store_session_put *put = container_of(r, struct store_session_put, base);
    struct slice text = redis_reply_slice(reply), digits;

    if (!slice_split(&text, '\n', &digits) || digits.size != put->count)
        return -EPROTO;
    for (size_t i = 0; i < put->count; i++)
        put->items[i].result = digits.data[i] == '1' ? 0 : STORE_E_UNAVAILABLE;
    if (slice_is_set(text))
        redis_queue_note(s, text);
    put->done(put, 0);
    return 0;
}

int redis_user_read_send(struct redis_store *s, struct store_request *r)
{
    struct store_user_read *read = container_of(r, struct store_user_read, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_USER_READ, 2, 2);
    redis_add_key(s, SLICE_LITERAL("nodes"));
    redis_add_named_key(s, SLICE_LITERAL("user:"), read->user);
    redis_command_add_number(c, STORE_SESSIONS_MAX);
    redis_command_add_number(c, s->expiry_ms);
    return redis_command_end(c);
}

static int read_sessions(const redisReply *reply, struct slice user, struct store_arena *arena,
                         const struct store_session **ret_sessions, size_t *ret_count)
{
    struct store_session *sessions;
    size_t count = 0;

    if (reply->type != REDIS_REPLY_ARRAY)
        return -EPROTO;
    sessions = store_arena_take(arena, (reply->elements / 2 + 1) * sizeof(*sessions));
    if (!sessions)
        return -ENOMEM;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        int r = redis_session_parse(redis_reply_slice(reply->element[i]), redis_reply_slice(reply->element[i + 1]),
                                    arena, &sessions[count]);

        if (r == 0)
            sessions[count++].user = user;
        else if (r != -EBADMSG)
            return r;
    }
    *ret_sessions = sessions;
    *ret_count = count;
    return 0;
}

int redis_user_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_user_read *read = container_of(r, struct store_user_read, base);
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    const struct store_session *sessions;
    size_t count;
    int result = read_sessions(reply, read->user, &arena, &sessions, &count);

    if (result == 0)
        read->done(read, 0, sessions, count);
    return result;
}
