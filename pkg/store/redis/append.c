/*
 * Appends: gathered, sent in groups, kept over a lost connection.
 *
 * A group is the appends of one channel that were made in one turn: its first is the leader and stands in the store's
 * queue like any request, the others are its mates. Groups are written at the end of the turn, or before anything else
 * is (so that appends keep their place among other requests), in the order of their first.
 *
 * When the connection is lost, what was written without an answer and what was still gathered goes to the list
 * `unanswered`, one by one and in order; the next connection gathers it again before it is told to anybody. A message
 * whose first writing did arrive is found by its key. A message leaves the list by being sent again or when its
 * deadline has passed.
 */
#include "base/hash.h"
#include "store/redis/redis_internal.h"

#include <stdio.h>

/** Of a group; its script holds the server for less than a millisecond. */
#define GROUP_MAX_COUNT 64
#define GROUP_MAX_BYTES (256u * 1024)

static struct store_append *append_from(struct list *link)
{
    return container_of(link, struct store_append, base.link);
}

/* ---- gathering ---- */

/** The slot where a group of @channel is, or may begin. There is one: the table is never full. */
static struct redis_group *slot_of(struct redis_gathering *g, struct slice channel)
{
    for (uint64_t i = hash_bytes(channel.data, channel.size);; i++) {
        struct redis_group *group = &g->groups[i % REDIS_GATHERING_SLOTS];

        if (!group->leader || slice_equal(group->leader->channel, channel))
            return group;
    }
}

static bool has_room(const struct redis_group *group, const struct store_append *r)
{
    return group->count < GROUP_MAX_COUNT && group->bytes + r->record.size <= GROUP_MAX_BYTES;
}

static void gather(struct redis_store *s, struct store_append *r)
{
    struct redis_gathering *g = &s->gathering;
    struct redis_group *group = slot_of(g, r->channel);

    if ((group->leader && !has_room(group, r)) || (!group->leader && g->count == REDIS_GATHERING_SLOTS / 2)) {
        redis_append_write(s);
        group = slot_of(g, r->channel);
    }
    list_init(&r->base.mates);
    if (group->leader) {
        list_append(&group->leader->base.mates, &r->base.link);
    } else {
        group->leader = r;
        list_append(&g->leaders, &r->base.link);
        g->count++;
    }
    group->count++;
    group->bytes += r->record.size;
    loop_defer(s->base.owner, &g->write);
}

static void empty(struct redis_gathering *g)
{
    if (g->count > 0)
        memset(g->groups, 0, sizeof(g->groups));
    g->count = 0;
}

void redis_append_write(struct redis_store *s)
{
    struct list leaders;
    struct list *it;

    list_init(&leaders);
    list_splice(&leaders, &s->gathering.leaders);
    empty(&s->gathering);
    while ((it = list_pop(&leaders))) {
        struct store_request *leader = &append_from(it)->base;

        redis_queue_add(s, leader, redis_append_send(s, leader));
    }
}

static void on_write(void *userdata)
{
    redis_append_write(userdata);
}

void redis_append_gather(struct redis_store *s, struct store_append *r)
{
    gather(s, r);
}

/* ---- a group's script ---- */

static void add_publish_key(struct redis_store *s, const struct store_append *r)
{
    char size[24];
    int digits = snprintf(size, sizeof(size), "}:%zu:", r->sender.size);
    const struct slice parts[] = {s->prefix, SLICE_LITERAL("key:{"), r->channel, slice_make(size, (size_t)digits),
                                  r->sender, SLICE_LITERAL(":"),     r->key};

    redis_command_add_parts(&s->connection, parts, BASE_ARRAY_SIZE(parts));
}

static void add_message(struct redis_store *s, const struct store_append *r)
{
    char age[24];
    int digits = snprintf(age, sizeof(age), "?%llu", (unsigned long long)r->key_age_ms);

    redis_command_add(&s->connection, slice_skip(slice_make(age, (size_t)digits), !r->only_known));
    redis_command_add(&s->connection, r->record);
}

int redis_append_send(struct redis_store *s, struct store_request *request)
{
    struct store_append *leader = container_of(request, struct store_append, base);
    bool wants_interest = leader->wants_interest, only_known = leader->only_known;
    struct redis_connection *c = &s->connection;
    size_t count = 1;

    list_for_each (it, &request->mates) {
        wants_interest |= append_from(it)->wants_interest;
        only_known |= append_from(it)->only_known;
        count++;
    }
    redis_command_begin_script(c, REDIS_SCRIPT_APPEND, 3 + count + only_known, 5 + 2 * count);
    redis_add_tagged_key(s, SLICE_LITERAL("log:{"), leader->channel);
    redis_add_tagged_key(s, SLICE_LITERAL("interest:{"), leader->channel);
    redis_add_key(s, SLICE_LITERAL("epoch"));
    add_publish_key(s, leader);
    list_for_each (it, &request->mates) {
        add_publish_key(s, append_from(it));
    }
    if (only_known)
        redis_add_tagged_key(s, SLICE_LITERAL("known:{"), leader->channel);
    redis_command_add_number(c, c->life_ms);
    redis_command_add_number(c, leader->limits->length);
    redis_command_add_number(c, leader->limits->bytes);
    redis_command_add_number(c, leader->limits->age_ms);
    redis_command_add_number(c, wants_interest + UINT64_C(2) * only_known);
    add_message(s, leader);
    list_for_each (it, &request->mates) {
        add_message(s, append_from(it));
    }
    return redis_command_end(c);
}

/** The next word of @positions. */
static bool take_position(struct slice *positions, struct store_append *r)
{
    struct slice word;

    if (!slice_split(positions, ' ', &word))
        return false;
    r->is_repeat = slice_starts_with(word, SLICE_LITERAL("="));
    return redis_position_parse(slice_skip(word, r->is_repeat), &r->position);
}

static bool take_positions(struct slice positions, struct store_request *leader)
{
    bool is_good = take_position(&positions, container_of(leader, struct store_append, base));

    list_for_each (it, &leader->mates) {
        is_good = is_good && take_position(&positions, append_from(it));
    }
    return is_good && !slice_is_set(positions);
}

/**
 * read_nodes() - now, node, when stated, node, when stated …: the nodes whose statement is not too old
 *
 * Return: 0; -EPROTO; -ENOMEM.
 */
static int read_nodes(struct slice text, uint64_t expiry_ms, struct store_arena *arena, const struct slice **ret_nodes,
                      size_t *ret_count)
{
    struct slice *nodes, word, node;
    uint64_t now_ms, stated_ms;
    size_t count = 0;

    if (!slice_split(&text, ' ', &word) || !slice_to_uint64(word, INT64_MAX, &now_ms))
        return -EPROTO;
    nodes = store_arena_take(arena, (text.size / 4 + 1) * sizeof(*nodes)); /* each takes two words */
    if (!nodes)
        return -ENOMEM;
    while (count < STORE_NODES_MAX && text.size > 0 && slice_split(&text, ' ', &node) &&
           slice_split(&text, ' ', &word)) {
        if (slice_to_uint64(word, INT64_MAX, &stated_ms) && stated_ms + expiry_ms > now_ms)
            nodes[count++] = node;
    }
    *ret_nodes = nodes;
    *ret_count = count;
    return 0;
}

int redis_append_take(struct redis_store *s, struct store_request *request, const redisReply *reply)
{
    base_cleanup(store_arena_deinit)
    struct store_arena arena = {0};
    struct slice text = redis_reply_slice(reply), positions;
    const struct slice *nodes = NULL;
    struct store_append *r = container_of(request, struct store_append, base);
    struct list mates;
    size_t count = 0;
    int result;

    if (!slice_split(&text, '\n', &positions) || !take_positions(positions, request))
        return -EPROTO;
    if (slice_is_set(text)) {
        result = read_nodes(text, s->expiry_ms, &arena, &nodes, &count);
        if (result < 0)
            return result;
    }
    list_init(&mates);
    list_splice(&mates, &request->mates);
    for (;;) { /* once answered, an append may be gone */
        struct list *next = list_pop(&mates);

        r->done(r, 0, r->wants_interest ? nodes : NULL, r->wants_interest ? count : 0);
        if (!next)
            return 0;
        r = append_from(next);
    }
}

/* ---- lost connections ---- */

/** Moves a group to the end of @list, one by one. */
static void scatter(struct list *list, struct store_request *leader)
{
    list_append(list, &leader->link);
    list_splice(list, &leader->mates);
}

/** Moves those whose time is over, or all, to @list. */
static void take_overdue(struct redis_store *s, bool is_all, struct list *list)
{
    uint64_t now_ms = loop_now_ms(s->base.owner), next_ms = UINT64_MAX;

    list_for_each_safe (it, &s->unanswered) {
        uint64_t deadline_ms = append_from(it)->deadline_ms;

        if (is_all || deadline_ms <= now_ms) {
            list_remove(it);
            list_append(list, it);
        } else if (deadline_ms < next_ms) {
            next_ms = deadline_ms;
        }
    }
    loop_timer_stop(&s->overdue);
    if (!list_is_empty(&s->unanswered))
        loop_timer_start(&s->overdue, next_ms - now_ms);
}

static void refuse_overdue(struct redis_store *s, bool is_all)
{
    struct list overdue;
    struct list *it;

    list_init(&overdue);
    take_overdue(s, is_all, &overdue);
    while ((it = list_pop(&overdue)))
        redis_queue_refuse(s, &append_from(it)->base);
}

static void on_overdue(void *userdata)
{
    refuse_overdue(userdata, false);
}

void redis_append_keep(struct redis_store *s)
{
    list_for_each_safe (it, &s->queue) {
        struct store_request *r = container_of(it, struct store_request, link);

        if (r->kind == STORE_KIND_APPEND && !r->is_refused) {
            list_remove(it);
            scatter(&s->unanswered, r);
        }
    }
    for (struct list *it; (it = list_pop(&s->gathering.leaders));)
        scatter(&s->unanswered, &append_from(it)->base);
    empty(&s->gathering);
    refuse_overdue(s, false);
}

void redis_append_resend(struct redis_store *s)
{
    refuse_overdue(s, false);
    for (struct list *it; (it = list_pop(&s->unanswered));)
        gather(s, append_from(it));
    loop_timer_stop(&s->overdue);
    redis_append_write(s);
}

void redis_append_refuse_all(struct redis_store *s)
{
    refuse_overdue(s, true);
    for (struct list *it; (it = list_pop(&s->gathering.leaders));)
        redis_queue_add(s, &append_from(it)->base, -ECANCELED);
    empty(&s->gathering);
}

void redis_append_init(struct redis_store *s)
{
    list_init(&s->gathering.leaders);
    list_init(&s->unanswered);
    loop_deferred_init(&s->gathering.write, on_write, s);
    loop_timer_init(&s->overdue, s->base.owner, on_overdue, s);
}

void redis_append_deinit(struct redis_store *s)
{
    loop_deferred_cancel(&s->gathering.write);
    loop_timer_deinit(&s->overdue);
}
