/*
 * The Redis backend as the interface sees it: what is asked becomes a request in the queue (queue.c).
 */
#include "store/redis/redis_internal.h"

static struct redis_store *redis_store_from(struct store *s)
{
    return container_of(s, struct redis_store, base);
}

/* ---- the interface ---- */

static int redis_start(struct store *base)
{
    redis_queue_start(redis_store_from(base));
    return 0;
}

static void redis_seen(struct store *s, struct store_seen *r)
{
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_SEEN);
}

static void redis_lease_put(struct store *s, struct store_lease_put *r)
{
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_LEASE_PUT);
}

static void redis_lease_release(struct store *base, const char *node, uint64_t incarnation)
{
    struct redis_store *s = redis_store_from(base);

    if (!redis_queue_can_send(s) || list_is_linked(&s->release.link))
        return;
    redis_append_write(s);
    if (redis_lease_release_send(s, node, incarnation) < 0)
        return;
    redis_queue_add(s, &s->release, 0);
    redis_queue_count(s, 1);
}

static void redis_nodes_read(struct store *s, struct store_nodes_read *r)
{
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_NODES_READ);
}

static void redis_session_put(struct store *s, struct store_session_put *r)
{
    store_session_put_check(r);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_SESSION_PUT);
}

static void redis_user_read(struct store *s, struct store_user_read *r)
{
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_USER_READ);
}

static void redis_room_put(struct store *s, struct store_room_put *r)
{
    store_room_put_check(r);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_ROOM_PUT);
}

static void redis_room_read(struct store *s, struct store_room_read *r)
{
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_ROOM_READ);
}

static void redis_rooms_read(struct store *s, struct store_rooms_read *r)
{
    store_rooms_read_check(r);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_ROOMS_READ);
}

static void redis_append(struct store *base, struct store_append *r)
{
    struct redis_store *s = redis_store_from(base);

    assert(loop_is_current(base->owner));
    store_append_check(r);
    r->base.kind = STORE_KIND_APPEND;
    list_init(&r->base.mates);
    if (redis_queue_can_send(s)) {
        redis_append_gather(s, r);
    } else {
        redis_append_write(s);
        redis_queue_add(s, &r->base, -EAGAIN);
    }
    redis_queue_count(s, 1);
}

static void redis_log_read(struct store *s, struct store_log_read *r)
{
    assert(r->limit > 0 && r->limit <= STORE_LOG_READ_MAX);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_LOG_READ);
}

static void redis_sweep(struct store *s, struct store_sweep *r)
{
    assert(r->count > 0 && r->count <= STORE_SWEEP_MAX && r->limit_per_channel > 0);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_SWEEP);
}

static void redis_interest_put(struct store *s, struct store_interest_put *r)
{
    assert(r->count > 0 && r->count <= STORE_INTEREST_MAX);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_INTEREST_PUT);
}

static void redis_ack_put(struct store *s, struct store_ack_put *r)
{
    assert(r->age_ms > 0);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_ACK_PUT);
}

static void redis_ack_read(struct store *s, struct store_ack_read *r)
{
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_ACK_READ);
}

static void redis_likes_add(struct store *s, struct store_likes_add *r)
{
    assert(r->count > 0 && r->count <= STORE_LIKES_MAX);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_LIKES_ADD);
}

static void redis_watch_add(struct store *s, struct store_watch_add *r)
{
    assert(r->count > 0 && r->count <= STORE_WATCH_MAX);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_WATCH_ADD);
}

static void redis_watch_read(struct store *s, struct store_watch_read *r)
{
    assert(r->limit <= STORE_WATCH_PAGE_MAX);
    redis_queue_submit(redis_store_from(s), &r->base, STORE_KIND_WATCH_READ);
}

static void redis_status(struct store *base, struct store_status *ret_status)
{
    struct redis_store *s = redis_store_from(base);
    struct store_status status = {
        .is_up = s->state == REDIS_STATE_UP,
        .since_ms = s->since_ms,
        .life = s->connection.life_ms,
        .reconnects = s->reconnects,
        .pending = s->pending,
    };

    (void)snprintf(status.server, sizeof(status.server), "%s", s->server);
    (void)snprintf(status.detail, sizeof(status.detail), "%s", s->detail);
    (void)snprintf(status.eviction_policy, sizeof(status.eviction_policy), "%s", s->connection.policy);
    *ret_status = status;
}

static void redis_stop(struct store *base)
{
    redis_queue_stop(redis_store_from(base));
}

static struct store *redis_free(struct store *base)
{
    struct redis_store *s = redis_store_from(base);

    redis_stop(base);
    assert(list_is_empty(&s->queue) && s->pending == 0);
    redis_connection_deinit(&s->connection);
    explicit_bzero(&s->url, sizeof(s->url));
    free(s);
    return NULL;
}

static const struct store_ops redis_ops = {
    .name = "redis",
    .start = redis_start,
    .seen = redis_seen,
    .lease_put = redis_lease_put,
    .lease_release = redis_lease_release,
    .nodes_read = redis_nodes_read,
    .session_put = redis_session_put,
    .user_read = redis_user_read,
    .room_put = redis_room_put,
    .room_read = redis_room_read,
    .rooms_read = redis_rooms_read,
    .append = redis_append,
    .log_read = redis_log_read,
    .sweep = redis_sweep,
    .interest_put = redis_interest_put,
    .ack_put = redis_ack_put,
    .ack_read = redis_ack_read,
    .likes_add = redis_likes_add,
    .watch_add = redis_watch_add,
    .watch_read = redis_watch_read,
    .status = redis_status,
    .stop = redis_stop,
    .free = redis_free,
};

int redis_store_new(struct loop *owner, const struct redis_config *config, const struct store_identity *identity,
                    struct metrics *metrics, struct store **ret_store)
{
    size_t node_size = strlen(identity->node);
    struct metrics_group *group;
    struct redis_store *s;
    struct redis_url url;

    if (redis_url_parse(slice_from(config->url), &url) || !redis_node_check(slice_from(identity->node)))
        return -EINVAL;
    s = calloc(1, sizeof(*s) + node_size + 1);
    if (!s)
        return -ENOMEM;
    group = metrics_group_new(metrics, redis_metric_rows, REDIS_METRICS);
    s->cells = group ? metrics_cells_new(group) : NULL;
    if (!s->cells) {
        free(s);
        return -ENOMEM;
    }
    s->base = (struct store){.ops = &redis_ops, .owner = owner};
    s->config = config;
    s->url = url;
    s->prefix = slice_from(config->prefix);
    memcpy(s->node_text, identity->node, node_size + 1);
    s->node = slice_make(s->node_text, node_size);
    redis_incarnation_format(identity->incarnation, s->incarnation);
    s->seen_window_ms = identity->seen_window_ms;
    s->expiry_ms = identity->expiry_ms;
    redis_url_describe(&s->url, s->server);
    redis_append_init(s);
    redis_queue_init(s);
    *ret_store = &s->base;
    return 0;
}
