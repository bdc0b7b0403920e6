/*
 * What is added up in rooms.
 */
#include "store/redis/redis_internal.h"

int redis_likes_add_send(struct redis_store *s, struct store_request *r)
{
    const struct store_likes_add *add = container_of(r, struct store_likes_add, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_LIKES_ADD, 3 * add->count, 2 + 4 * add->count);
    for (size_t i = 0; i < add->count; i++) {
        redis_add_tagged_key(s, SLICE_LITERAL("likes:{"), add->items[i].room);
        redis_command_add(c, slice_is_set(add->items[i].mirror) ? add->items[i].mirror : SLICE_LITERAL(""));
        redis_add_tagged_key(s, SLICE_LITERAL("mirror:{"), add->items[i].room);
    }
    redis_command_add(c, slice_from(s->incarnation));
    redis_command_add_number(c, add->tell_interval_ms);
    for (size_t i = 0; i < add->count; i++) {
        redis_command_add_number(c, add->items[i].count);
        redis_command_add_number(c, add->items[i].sequence);
        redis_command_add_number(c, add->items[i].age_ms);
        redis_command_add_number(c, add->items[i].wants_to_tell);
    }
    return redis_command_end(c);
}

int redis_likes_add_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_likes_add *add = container_of(r, struct store_likes_add, base);
    struct slice rest = redis_reply_slice(reply), word;

    for (size_t i = 0; i < add->count; i++) {
        struct store_likes *item = &add->items[i];

        if (!slice_split(&rest, ' ', &word) || !slice_to_uint64(word, UINT64_MAX, &item->total) ||
            !slice_split(&rest, ' ', &word))
            return -EPROTO;
        item->may_tell = slice_equal_text(word, "1");
    }
    add->done(add, 0);
    return 0;
}

/* ---- times ---- */

int redis_watch_add_send(struct redis_store *s, struct store_request *r)
{
    const struct store_watch_add *add = container_of(r, struct store_watch_add, base);
    struct redis_connection *c = &s->connection;

    redis_command_begin_script(c, REDIS_SCRIPT_WATCH_ADD, 2 * add->count, 4 * add->count);
    for (size_t i = 0; i < add->count; i++) {
        redis_add_tagged_key(s, SLICE_LITERAL("watch:{"), add->items[i].room);
        redis_add_tagged_key(s, SLICE_LITERAL("watching:{"), add->items[i].room);
    }
    for (size_t i = 0; i < add->count; i++) {
        redis_command_add(c, add->items[i].user);
        redis_command_add_number(c, add->items[i].from_ago_ms);
        redis_command_add_number(c, add->items[i].to_ago_ms);
        redis_command_add_number(c, add->items[i].age_ms);
    }
    return redis_command_end(c);
}

int redis_watch_add_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_watch_add *add = container_of(r, struct store_watch_add, base);

    if (reply->type != REDIS_REPLY_INTEGER)
        return -EPROTO;
    add->done(add, 0);
    return 0;
}

/** One user is asked for by HGET, a page by HSCAN, whose cursor is what the next page begins behind. */
int redis_watch_read_send(struct redis_store *s, struct store_request *r)
{
    const struct store_watch_read *read = container_of(r, struct store_watch_read, base);
    struct redis_connection *c = &s->connection;
    bool is_one = slice_is_set(read->user);

    redis_command_begin(c, is_one ? 3 : 5);
    redis_command_add(c, is_one ? SLICE_LITERAL("HGET") : SLICE_LITERAL("HSCAN"));
    redis_add_tagged_key(s, SLICE_LITERAL("watch:{"), read->room);
    if (is_one) {
        redis_command_add(c, read->user);
    } else {
        uint64_t cursor = 0;

        if (slice_is_set(read->after) && !slice_to_uint64(read->after, UINT64_MAX, &cursor))
            cursor = 0; /* none that we gave: from the beginning */
        redis_command_add_number(c, cursor);
        redis_command_add(c, SLICE_LITERAL("COUNT"));
        redis_command_add_number(c, read->limit);
    }
    return redis_command_end(c);
}

static int take_one(struct store_watch_read *read, const redisReply *reply)
{
    struct store_watched one = {.user = read->user};
    struct slice text = redis_reply_slice(reply);

    if (!slice_is_set(text) && reply->type != REDIS_REPLY_NIL)
        return -EPROTO;
    if (slice_is_set(text) && !slice_to_uint64(text, UINT64_MAX, &one.seconds))
        return -EPROTO;
    read->done(read, 0, &one, slice_is_set(text), SLICE_NONE);
    return 0;
}

static int take_page(struct store_watch_read *read, const redisReply *reply)
{
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    const redisReply *page;
    struct store_watched *watched;
    struct slice next;
    size_t count = 0;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_ARRAY)
        return -EPROTO;
    next = redis_reply_slice(reply->element[0]);
    page = reply->element[1];
    watched = store_arena_take(&arena, (page->elements / 2 + 1) * sizeof(*watched));
    if (!watched)
        return -ENOMEM;
    for (size_t i = 0; i + 1 < page->elements; i += 2) {
        watched[count].user = redis_reply_slice(page->element[i]);
        count += slice_to_uint64(redis_reply_slice(page->element[i + 1]), UINT64_MAX, &watched[count].seconds);
    }
    read->done(read, 0, watched, count, slice_equal_text(next, "0") ? SLICE_NONE : next);
    return 0;
}

int redis_watch_read_take(struct redis_store *s base_unused, struct store_request *r, const redisReply *reply)
{
    struct store_watch_read *read = container_of(r, struct store_watch_read, base);

    return slice_is_set(read->user) ? take_one(read, reply) : take_page(read, reply);
}
