/*
 * Rooms: arguments and answers of the scripts that know the rules (script_room.c).
 */
#include "store/redis/redis_internal.h"

static void add_room_keys(struct redis_store *s, struct slice room)
{
    redis_add_key(s, SLICE_LITERAL("nodes"));
    redis_add_tagged_key(s, SLICE_LITERAL("online:{"), room);
    redis_add_tagged_key(s, SLICE_LITERAL("users:{"), room);
    redis_add_tagged_key(s, SLICE_LITERAL("names:{"), room);
}

int redis_room_put_send(struct redis_store *s, struct store_request *r)
{
    struct store_room_put *put = container_of(r, struct store_room_put, base);
    base_cleanup(buffer_deinit)
    struct buffer counts = {0};
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_ROOM_PUT, 7, 11 + put->joined_count + put->left_count);
    add_room_keys(s, put->room);
    redis_command_add(c, slice_is_set(put->mirror) ? put->mirror : SLICE_LITERAL(""));
    redis_command_add(c, slice_is_set(put->likes_mirror) ? put->likes_mirror : SLICE_LITERAL(""));
    redis_add_tagged_key(s, SLICE_LITERAL("mirror:{"), put->room);
    redis_command_add(c, s->node);
    redis_command_add(c, slice_from(s->incarnation));
    redis_command_add_number(c, s->expiry_ms);
    redis_command_add_number(c, put->mode);
    redis_command_add_number(c, put->connections);
    redis_command_add_number(c, put->version);
    redis_command_add_number(c, put->is_first);
    redis_command_add_number(c, put->wants_to_tell);
    redis_command_add_number(c, put->tell_interval_ms);
    redis_counts_write(put, &counts);
    redis_add_buffer(s, &counts);
    redis_command_add_number(c, put->joined_count);
    for (size_t i = 0; i < put->joined_count; i++)
        redis_command_add(c, put->joined[i]);
    for (size_t i = 0; i < put->left_count; i++)
        redis_command_add(c, put->left[i]);
    return redis_command_end(c);
}

static bool take_number(struct slice *text, uint64_t *ret_number)
{
    struct slice word;

    return slice_split(text, ' ', &word) && slice_to_uint64(word, UINT64_MAX, ret_number);
}

int redis_room_put_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_room_put *put = container_of(r, struct store_room_put, base);
    struct slice text = redis_reply_slice(reply);
    uint64_t may_tell = 0;

    put->is_behind = slice_equal_text(text, "behind");
    if (!put->is_behind && (!take_number(&text, &put->all_users) || !take_number(&text, &put->all_connections) ||
                            !take_number(&text, &may_tell) || !take_number(&text, &put->wait_ms)))
        return -EPROTO;
    put->may_tell = may_tell == 1;
    for (size_t i = 0; put->is_news && i < put->joined_count + put->left_count; i++)
        put->is_news[i] = i < text.size && text.data[i] == '1';
    put->done(put, 0);
    return 0;
}

int redis_room_read_send(struct redis_store *s, struct store_request *r)
{
    struct store_room_read *read = container_of(r, struct store_room_read, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_ROOM_READ, 5, 5);
    add_room_keys(s, read->room);
    redis_add_tagged_key(s, SLICE_LITERAL("likes:{"), read->room);
    redis_command_add_number(c, s->expiry_ms);
    redis_command_add_number(c, read->mode);
    redis_command_add_number(c, read->limit);
    redis_command_add_number(c, slice_is_set(read->after));
    redis_command_add(c, slice_is_set(read->after) ? read->after : SLICE_LITERAL(""));
    return redis_command_end(c);
}

static int take_parts(const redisReply *reply, struct store_arena *arena, struct store_room *room)
{
    struct store_room_part *parts = store_arena_take(arena, (reply->elements / 2 + 1) * sizeof(*parts));
    size_t count = 0;

    if (!parts)
        return -ENOMEM;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        parts[count].node = redis_reply_slice(reply->element[i]);
        redis_counts_parse(redis_reply_slice(reply->element[i + 1]), &parts[count]);
        count++;
    }
    room->parts = parts;
    room->part_count = count;
    return 0;
}

static int take_names(const redisReply *reply, struct store_arena *arena, struct store_room *room)
{
    struct slice *names = store_arena_take(arena, (reply->elements + 1) * sizeof(*names));

    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < reply->elements; i++)
        names[i] = redis_reply_slice(reply->element[i]);
    room->names = names;
    room->name_count = reply->elements;
    return 0;
}

int redis_room_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_room_read *read = container_of(r, struct store_room_read, base);
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct store_room room = {0};
    struct slice counts;
    int result;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[1]->type != REDIS_REPLY_ARRAY ||
        reply->element[2]->type != REDIS_REPLY_ARRAY)
        return -EPROTO;
    counts = redis_reply_slice(reply->element[0]);
    if (!take_number(&counts, &room.users) || !take_number(&counts, &room.connections) ||
        !take_number(&counts, &room.likes))
        return -EPROTO;
    result = take_parts(reply->element[1], &arena, &room);
    if (!result)
        result = take_names(reply->element[2], &arena, &room);
    if (!result)
        read->done(read, 0, &room);
    return result;
}

/* ---- which rooms there are ---- */

/** What SCAN is to match: the prefix as it stands, for it may have characters that mean something in a pattern. */
static void write_pattern(struct slice prefix, struct buffer *pattern)
{
    for (size_t i = 0; i < prefix.size; i++) {
        if (strchr("*?[]^-\\", prefix.data[i]) && prefix.data[i])
            buffer_append_char(pattern, '\\');
        buffer_append_char(pattern, prefix.data[i]);
    }
    buffer_append_text(pattern, "online:{*}");
}

int redis_rooms_read_send(struct redis_store *s, struct store_request *r)
{
    const struct store_rooms_read *read = container_of(r, struct store_rooms_read, base);
    base_cleanup(buffer_deinit)
    struct buffer pattern = {0};
    struct redis_connection *c = &s->connection;
    uint64_t cursor = 0;

    if (slice_is_set(read->after) && !slice_to_uint64(read->after, UINT64_MAX, &cursor))
        cursor = 0; /* none that we gave: from the beginning */
    write_pattern(s->prefix, &pattern);
    redis_command_begin_script(c, REDIS_SCRIPT_ROOMS_READ, 1, 5);
    redis_add_key(s, SLICE_LITERAL("nodes"));
    redis_command_add(c, s->prefix);
    redis_add_buffer(s, &pattern);
    redis_command_add_number(c, s->expiry_ms);
    redis_command_add_number(c, read->limit);
    redis_command_add_number(c, cursor);
    return redis_command_end(c);
}

static bool take_line(struct slice room, struct slice counts, struct store_room_line *ret_line)
{
    struct store_room_line line = {.room = room};

    if (!slice_is_set(room) || !take_number(&counts, &line.users) || !take_number(&counts, &line.connections) ||
        !take_number(&counts, &line.nodes))
        return false;
    *ret_line = line;
    return true;
}

int redis_rooms_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_rooms_read *read = container_of(r, struct store_rooms_read, base);
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct store_room_line *lines;
    struct slice next;
    size_t count = 0;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 1)
        return -EPROTO;
    next = redis_reply_slice(reply->element[0]);
    lines = store_arena_take(&arena, (reply->elements / 2 + 1) * sizeof(*lines));
    if (!lines)
        return -ENOMEM;
    for (size_t i = 1; i < reply->elements; i += 2) {
        if (!take_line(redis_reply_slice(reply->element[i]), redis_reply_slice(reply->element[i + 1]), &lines[count]))
            return -EPROTO;
        count++;
    }
    read->done(read, 0, lines, count, slice_equal_text(next, "0") ? SLICE_NONE : next);
    return 0;
}
