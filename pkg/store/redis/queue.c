/*
 * Queue, state and time of the Redis backend. See redis_internal.h for the idea; what a request says to the server is
 * in seen.c, presence.c, room.c, append.c, log.c, interest.c and live.c.
 *
 * Errors of the server are of two kinds. A refusal by rule (the list below) is the request's: it gets
 * STORE_E_UNAVAILABLE and the connection goes on. Everything else (READONLY, LOADING, MASTERDOWN, BUSY …) says that
 * this is not, or not now, a primary that we can use: the connection ends and is made anew. NOSCRIPT ends it too:
 * somebody flushed the scripts, and the next greeting loads them; sending the script behind commands that are on their
 * way already would change their order.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "store/redis/redis_internal.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1000
/** A connection that lasted so long was a good one: the next loss begins with the shortest wait again. */
#define BACKOFF_FORGET_MS 5000
#define STOP_MS 1000

static const struct redis_kind kinds[STORE_KINDS] = {
    [STORE_KIND_SEEN] = {redis_seen_send, redis_seen_take},
    [STORE_KIND_LEASE_PUT] = {redis_lease_put_send, redis_lease_put_take},
    [STORE_KIND_NODES_READ] = {redis_nodes_read_send, redis_nodes_read_take},
    [STORE_KIND_SESSION_PUT] = {redis_session_put_send, redis_session_put_take},
    [STORE_KIND_USER_READ] = {redis_user_read_send, redis_user_read_take},
    [STORE_KIND_ROOM_PUT] = {redis_room_put_send, redis_room_put_take},
    [STORE_KIND_ROOM_READ] = {redis_room_read_send, redis_room_read_take},
    [STORE_KIND_ROOMS_READ] = {redis_rooms_read_send, redis_rooms_read_take},
    [STORE_KIND_APPEND] = {redis_append_send, redis_append_take},
    [STORE_KIND_LOG_READ] = {redis_log_read_send, redis_log_read_take},
    [STORE_KIND_SWEEP] = {redis_sweep_send, redis_sweep_take},
    [STORE_KIND_INTEREST_PUT] = {redis_interest_put_send, redis_interest_put_take},
    [STORE_KIND_ACK_PUT] = {redis_ack_put_send, redis_ack_put_take},
    [STORE_KIND_ACK_READ] = {redis_ack_read_send, redis_ack_read_take},
    [STORE_KIND_LIKES_ADD] = {redis_likes_add_send, redis_likes_add_take},
    [STORE_KIND_WATCH_ADD] = {redis_watch_add_send, redis_watch_add_take},
    [STORE_KIND_WATCH_READ] = {redis_watch_read_send, redis_watch_read_take},
};

/* ---- what waits ---- */

static struct store_request *queue_head(struct redis_store *s)
{
    return list_is_empty(&s->queue) ? NULL : container_of(s->queue.next, struct store_request, link);
}

void redis_queue_count(struct redis_store *s, int64_t change)
{
    s->pending = (uint64_t)((int64_t)s->pending + change);
    metrics_set(s->cells, REDIS_METRIC_PENDING, (int64_t)s->pending);
}

/** Answers one request. */
static void refuse_one(struct redis_store *s, struct store_request *r)
{
    redis_queue_count(s, -1);
    metrics_add(s->cells, REDIS_METRIC_REFUSED, 1);
    store_request_refuse(r);
}

void redis_queue_refuse(struct redis_store *s, struct store_request *r)
{
    struct list mates;
    struct list *it;

    list_init(&mates);
    if (r->kind == STORE_KIND_APPEND)
        list_splice(&mates, &r->mates);
    refuse_one(s, r);
    while ((it = list_pop(&mates)))
        refuse_one(s, container_of(it, struct store_request, link));
}

/** Answers what was refused and has no command before it; not what callbacks add meanwhile, which has a later turn. */
static void refuse_heads(struct redis_store *s)
{
    struct list refused;
    struct list *it;

    list_init(&refused);
    for (struct store_request *r; (r = queue_head(s)) && r->is_refused;) {
        list_remove(&r->link);
        list_append(&refused, &r->link);
    }
    while ((it = list_pop(&refused)))
        redis_queue_refuse(s, container_of(it, struct store_request, link));
}

/** Answers everything with STORE_E_UNAVAILABLE. What callbacks ask meanwhile is refused as well, in a later turn. */
static void refuse_all(struct redis_store *s)
{
    list_for_each (it, &s->queue) {
        container_of(it, struct store_request, link)->is_refused = true;
    }
    refuse_heads(s);
}

static void on_refuse(void *userdata)
{
    refuse_heads(userdata);
}

/** Sees to it that refused requests whose turn has come are answered. */
static void schedule_refusals(struct redis_store *s)
{
    const struct store_request *head = queue_head(s);

    if (head && head->is_refused && !loop_timer_is_pending(&s->refuse))
        loop_timer_start(&s->refuse, 0);
}

/** The time left for the oldest command, or 0. */
static uint64_t oldest_left_ms(const struct redis_store *s)
{
    uint64_t now_us = clock_monotonic_us(), limit_us = (uint64_t)s->config->timeout_ms * 1000;

    list_for_each (it, &s->queue) {
        const struct store_request *r = container_of(it, const struct store_request, link);

        if (!r->is_refused) /* the first one or soon behind it */
            return now_us - r->made_us >= limit_us ? 0 : (limit_us - (now_us - r->made_us)) / 1000 + 1;
    }
    return (uint64_t)s->config->timeout_ms;
}

bool redis_queue_can_send(const struct redis_store *s)
{
    return s->state == REDIS_STATE_UP && !s->is_stopping && s->pending < (uint64_t)s->config->max_pending;
}

void redis_queue_add(struct redis_store *s, struct store_request *r, int sent)
{
    r->made_us = clock_monotonic_us();
    r->is_refused = sent != 0;
    list_append(&s->queue, &r->link);
    if (r->is_refused) {
        schedule_refusals(s);
        return;
    }
    metrics_add(s->cells, REDIS_METRIC_COMMANDS + r->kind, 1);
    if (!loop_timer_is_pending(&s->timeout))
        loop_timer_start(&s->timeout, (uint64_t)s->config->timeout_ms);
}

void redis_queue_submit(struct redis_store *s, struct store_request *r, enum store_kind kind)
{
    assert(loop_is_current(s->base.owner));
    r->kind = kind;
    redis_append_write(s);
    redis_queue_add(s, r, redis_queue_can_send(s) ? kinds[kind].send(s, r) : -EAGAIN);
    redis_queue_count(s, 1);
}

/* ---- coming and going ---- */

static void tell_state(struct redis_store *s)
{
    struct store_status status;

    s->since_ms = loop_now_ms(s->base.owner);
    metrics_set(s->cells, REDIS_METRIC_UP, s->state == REDIS_STATE_UP);
    if (!s->base.callbacks.on_state)
        return;
    store_status(&s->base, &status);
    s->base.callbacks.on_state(s->base.callbacks.userdata, &status);
}

/** What follows a failed attempt and a lost connection alike; the connection is closed. */
static void wait_and_retry(struct redis_store *s, const char *detail)
{
    bool was_up = s->state == REDIS_STATE_UP;
    uint64_t lasted_ms = loop_now_ms(s->base.owner) - s->since_ms;

    assert(s->connection.state == REDIS_CLOSED);
    (void)snprintf(s->detail, sizeof(s->detail), "%s", detail);
    s->state = REDIS_STATE_WAITING;
    loop_timer_stop(&s->timeout);
    if (was_up && lasted_ms >= BACKOFF_FORGET_MS)
        s->backoff_ms = BACKOFF_MIN_MS;
    /* Half of it is jitter: the nodes of a cluster lose a server at the same moment. */
    loop_timer_start(&s->retry, s->backoff_ms / 2 + random_below(s->backoff_ms / 2 + 1));
    s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
    if (!s->is_told)
        log_event(LOG_WARNING, was_up ? "redis lost" : "redis is away", LOG_TEXT("server", s->server),
                  LOG_TEXT("reason", s->detail));
    s->is_told = true;
    redis_append_keep(s);
    refuse_all(s);
    if (was_up)
        tell_state(s);
}

static void on_open(void *userdata)
{
    struct redis_store *s = userdata;

    s->state = REDIS_STATE_UP;
    s->is_told = false;
    s->detail[0] = '\0';
    loop_timer_stop(&s->timeout);
    if (s->was_up) {
        s->reconnects++;
        metrics_add(s->cells, REDIS_METRIC_RECONNECTS, 1);
    }
    s->was_up = true;
    log_event(LOG_NOTICE, "redis connected", LOG_TEXT("server", s->server),
              LOG_TEXT("eviction_policy", s->connection.policy[0] ? s->connection.policy : "unknown"));
    redis_append_resend(s);
    tell_state(s);
}

static void on_lost(void *userdata, const char *detail)
{
    wait_and_retry(userdata, detail);
}

static void try_connect(struct redis_store *s)
{
    int r;

    s->state = REDIS_STATE_CONNECTING;
    r = redis_connection_open(&s->connection);
    if (r < 0)
        wait_and_retry(s, r == -ENOMEM ? "out of memory" : s->connection.detail);
    else
        loop_timer_start(&s->timeout, (uint64_t)s->config->timeout_ms);
}

static void on_retry(void *userdata)
{
    try_connect(userdata);
}

static void give_up(struct redis_store *s, const char *detail)
{
    redis_connection_close(&s->connection);
    wait_and_retry(s, detail);
}

static void on_timeout(void *userdata)
{
    struct redis_store *s = userdata;
    uint64_t left_ms;

    if (s->state == REDIS_STATE_CONNECTING) {
        give_up(s,
                s->connection.state == REDIS_CONNECTING ? "connect: no answer in time" : "greeting: no answer in time");
        return;
    }
    if (s->state != REDIS_STATE_UP)
        return;
    left_ms = oldest_left_ms(s);
    if (left_ms == 0) {
        /* If it was this thread that slept, the answers are here. */
        redis_connection_pump(&s->connection);
        if (s->state != REDIS_STATE_UP)
            return;
        left_ms = oldest_left_ms(s);
    }
    if (left_ms == 0)
        give_up(s, "no answer in time");
    else if (s->pending > 0)
        loop_timer_start(&s->timeout, left_ms);
}

/* ---- answers ---- */

/** Whether the server refused this request only. */
static bool is_refusal_by_rule(const redisReply *reply)
{
    static const char *const codes[] = {"OOM ", "MISCONF ", "NOREPLICAS ", "NOPERM ", "WRONGTYPE "};
    struct slice text = slice_make(reply->str, reply->len);

    for (size_t i = 0; i < BASE_ARRAY_SIZE(codes); i++)
        if (slice_starts_with(text, slice_from(codes[i])))
            return true;
    return false;
}

static void on_error_reply(struct redis_store *s, struct store_request *r, const redisReply *reply)
{
    metrics_add(s->cells, REDIS_METRIC_ERRORS, 1);
    redis_connection_explain(&s->connection, "request", reply);
    if (is_refusal_by_rule(reply)) {
        (void)snprintf(s->detail, sizeof(s->detail), "%s", s->connection.detail);
        redis_queue_refuse(s, r);
        return;
    }
    /* Back to the front: it is refused with the others, or sent again, in order. */
    list_prepend(&s->queue, &r->link);
    give_up(s, s->connection.detail);
}

void redis_queue_note(struct redis_store *s, struct slice error)
{
    metrics_add(s->cells, REDIS_METRIC_ERRORS, 1);
    (void)snprintf(s->detail, sizeof(s->detail), "request: %.*s", error.size < 200 ? (int)error.size : 200, error.data);
}

/** Requests that a reply answers. */
static int64_t weight_of(const struct store_request *r)
{
    int64_t weight = 1;

    if (r->kind == STORE_KIND_APPEND)
        list_for_each (it, &r->mates)
            weight++;
    return weight;
}

static void answer(struct redis_store *s, struct store_request *r, const redisReply *reply)
{
    int64_t weight = weight_of(r);

    redis_queue_count(s, -weight);
    if (r->kind == STORE_KIND_RELEASE || kinds[r->kind].take(s, r, reply) == 0)
        return;
    redis_queue_count(s, weight);
    redis_queue_refuse(s, r);
}

static void on_reply(void *userdata, const redisReply *reply)
{
    struct redis_store *s = userdata;
    struct store_request *r;
    unsigned life = s->connection.life;

    refuse_heads(s);
    if (s->connection.life != life)
        return;
    r = queue_head(s);
    if (!r) { /* a server that speaks unasked */
        give_up(s, "a reply to nothing");
        return;
    }
    list_remove(&r->link);
    metrics_observe(s->cells, REDIS_METRIC_ROUND_TRIP, clock_monotonic_us() - r->made_us);
    if (reply->type == REDIS_REPLY_ERROR)
        on_error_reply(s, r, reply);
    else
        answer(s, r, reply);
    if (s->connection.life == life)
        schedule_refusals(s);
}

static const struct redis_connection_callbacks connection_callbacks = {
    .on_open = on_open,
    .on_reply = on_reply,
    .on_lost = on_lost,
};

/* ---- life ---- */

void redis_queue_init(struct redis_store *s)
{
    struct loop *owner = s->base.owner;

    s->backoff_ms = BACKOFF_MIN_MS;
    list_init(&s->queue);
    list_init(&s->release.link);
    s->release.kind = STORE_KIND_RELEASE;
    redis_connection_init(&s->connection, owner, &s->url, s->prefix, &connection_callbacks, s);
    loop_timer_init(&s->refuse, owner, on_refuse, s);
    loop_timer_init(&s->timeout, owner, on_timeout, s);
    loop_timer_init(&s->retry, owner, on_retry, s);
}

void redis_queue_start(struct redis_store *s)
{
    assert(s->state == REDIS_STATE_IDLE);
    s->since_ms = loop_now_ms(s->base.owner);
    try_connect(s);
}

void redis_queue_stop(struct redis_store *s)
{
    uint64_t now = clock_monotonic_ms(), deadline = now + STOP_MS;

    if (s->state == REDIS_STATE_STOPPED)
        return;
    redis_append_write(s);
    s->is_stopping = true;
    while (s->state == REDIS_STATE_UP && (redis_connection_has_output(&s->connection) || s->pending > 0) &&
           now < deadline) {
        redis_connection_pump(&s->connection);
        refuse_heads(s);
        if (s->state == REDIS_STATE_UP && s->pending > 0)
            redis_connection_wait(&s->connection, (int)(deadline - now));
        now = clock_monotonic_ms();
    }
    redis_connection_close(&s->connection);
    s->state = REDIS_STATE_STOPPED;
    metrics_set(s->cells, REDIS_METRIC_UP, 0);
    redis_append_refuse_all(s);
    while (!list_is_empty(&s->queue)) /* callbacks may ask again; whoever always does, never ends */
        refuse_all(s);
    loop_timer_deinit(&s->refuse);
    loop_timer_deinit(&s->timeout);
    loop_timer_deinit(&s->retry);
    redis_append_deinit(s);
}
