/*
 * The queue and the interface of the memory backend; see memory_internal.h.
 */
#include "store/memory_internal.h"

#include <stdio.h>

static struct memory_store *memory_store_from(struct store *s)
{
    return container_of(s, struct memory_store, base);
}

static void run_append(struct memory_store *s, struct store_append *r)
{
    int result = memory_append_run(s, r);
    bool has_node = result == 0 && r->wants_interest && memory_interest_is_stated(s, r->channel);

    r->done(r, result, has_node ? &s->node : NULL, has_node);
}

static void run_request(struct memory_store *s, struct store_request *r)
{
    struct store_lease_put *lease = container_of(r, struct store_lease_put, base);
    struct store_session_put *session = container_of(r, struct store_session_put, base);
    struct store_room_put *room = container_of(r, struct store_room_put, base);
    struct store_interest_put *interest = container_of(r, struct store_interest_put, base);
    struct store_ack_put *ack = container_of(r, struct store_ack_put, base);
    struct store_ack_read *ack_read = container_of(r, struct store_ack_read, base);
    struct store_watch_add *watch_add = container_of(r, struct store_watch_add, base);
    struct store_likes_add *likes = container_of(r, struct store_likes_add, base);

    switch ((enum store_kind)r->kind) {
    case STORE_KIND_SEEN:
        memory_seen_run(s, container_of(r, struct store_seen, base));
        break;
    case STORE_KIND_LEASE_PUT:
        lease->done(lease, memory_lease_set(s, lease));
        break;
    case STORE_KIND_NODES_READ:
        memory_nodes_read_run(s, container_of(r, struct store_nodes_read, base));
        break;
    case STORE_KIND_SESSION_PUT:
        memory_session_put_run(s, session);
        session->done(session, 0);
        break;
    case STORE_KIND_USER_READ:
        memory_user_read_run(s, container_of(r, struct store_user_read, base));
        break;
    case STORE_KIND_ROOM_PUT:
        room->done(room, memory_room_put_run(s, room));
        break;
    case STORE_KIND_ROOM_READ:
        memory_room_read_run(s, container_of(r, struct store_room_read, base));
        break;
    case STORE_KIND_ROOMS_READ:
        memory_rooms_read_run(s, container_of(r, struct store_rooms_read, base));
        break;
    case STORE_KIND_APPEND:
        run_append(s, container_of(r, struct store_append, base));
        break;
    case STORE_KIND_LOG_READ:
        memory_log_read_run(s, container_of(r, struct store_log_read, base));
        break;
    case STORE_KIND_SWEEP:
        memory_sweep_run(s, container_of(r, struct store_sweep, base));
        break;
    case STORE_KIND_INTEREST_PUT:
        interest->done(interest, memory_interest_put_run(s, interest));
        break;
    case STORE_KIND_ACK_PUT:
        ack->done(ack, memory_ack_put_run(s, ack));
        break;
    case STORE_KIND_ACK_READ:
        ack_read->done(ack_read, 0, memory_ack_read_run(s, ack_read));
        break;
    case STORE_KIND_LIKES_ADD:
        likes->done(likes, memory_likes_add_run(s, likes));
        break;
    case STORE_KIND_WATCH_ADD:
        watch_add->done(watch_add, memory_watch_add_run(s, watch_add));
        break;
    case STORE_KIND_WATCH_READ:
        memory_watch_read_run(s, container_of(r, struct store_watch_read, base));
        break;
    case STORE_KIND_RELEASE:
        memory_release_run(s);
        break;
    case STORE_KINDS:
        break;
    }
}

static void tell_state(struct memory_store *s)
{
    struct store_status status;

    if (!s->base.callbacks.on_state)
        return;
    store_status(&s->base, &status);
    s->base.callbacks.on_state(s->base.callbacks.userdata, &status);
}

/** What waits now; what callbacks add has a later turn. */
static void on_work(void *userdata)
{
    struct memory_store *s = userdata;
    struct list waiting;
    struct list *it;

    if (s->state == MEMORY_COMING) {
        s->state = MEMORY_UP;
        s->since_ms = memory_now_ms(s);
        tell_state(s);
    }
    list_init(&waiting);
    list_splice(&waiting, &s->queue);
    while ((it = list_pop(&waiting))) {
        struct store_request *r = container_of(it, struct store_request, link);

        s->pending--;
        if (r->is_refused || s->state != MEMORY_UP)
            store_request_refuse(r);
        else
            run_request(s, r);
    }
}

static void submit(struct store *base, struct store_request *r, enum store_kind kind)
{
    struct memory_store *s = memory_store_from(base);

    assert(loop_is_current(base->owner));
    r->kind = kind;
    r->is_refused = s->state != MEMORY_UP;
    list_append(&s->queue, &r->link);
    s->pending++;
    if (!loop_timer_is_pending(&s->work))
        loop_timer_start(&s->work, 0);
}

/* ---- the interface ---- */

static int memory_start(struct store *base)
{
    struct memory_store *s = memory_store_from(base);

    assert(s->state == MEMORY_IDLE);
    s->state = MEMORY_COMING;
    loop_timer_start(&s->work, 0);
    return 0;
}

static void memory_seen(struct store *s, struct store_seen *r)
{
    assert(r->count > 0 && r->count <= STORE_SEEN_MAX);
    submit(s, &r->base, STORE_KIND_SEEN);
}

static void memory_lease_put(struct store *s, struct store_lease_put *r)
{
    submit(s, &r->base, STORE_KIND_LEASE_PUT);
}

static void memory_lease_release(struct store *base, const char *node, uint64_t incarnation)
{
    struct memory_store *s = memory_store_from(base);

    if (list_is_linked(&s->release.link))
        return;
    free(s->release_node);
    s->release_node = strdup(node);
    s->release_incarnation = incarnation;
    if (s->release_node) /* else it ends by itself */
        submit(base, &s->release, STORE_KIND_RELEASE);
}

static void memory_nodes_read(struct store *s, struct store_nodes_read *r)
{
    submit(s, &r->base, STORE_KIND_NODES_READ);
}

static void memory_session_put(struct store *s, struct store_session_put *r)
{
    store_session_put_check(r);
    submit(s, &r->base, STORE_KIND_SESSION_PUT);
}

static void memory_user_read(struct store *s, struct store_user_read *r)
{
    submit(s, &r->base, STORE_KIND_USER_READ);
}

static void memory_room_put(struct store *s, struct store_room_put *r)
{
    store_room_put_check(r);
    submit(s, &r->base, STORE_KIND_ROOM_PUT);
}

static void memory_room_read(struct store *s, struct store_room_read *r)
{
    submit(s, &r->base, STORE_KIND_ROOM_READ);
}

static void memory_rooms_read(struct store *s, struct store_rooms_read *r)
{
    store_rooms_read_check(r);
    submit(s, &r->base, STORE_KIND_ROOMS_READ);
}

static void memory_append(struct store *s, struct store_append *r)
{
    store_append_check(r);
    submit(s, &r->base, STORE_KIND_APPEND);
}

static void memory_log_read(struct store *s, struct store_log_read *r)
{
    assert(r->limit > 0 && r->limit <= STORE_LOG_READ_MAX);
    submit(s, &r->base, STORE_KIND_LOG_READ);
}

static void memory_sweep(struct store *s, struct store_sweep *r)
{
    assert(r->count > 0 && r->count <= STORE_SWEEP_MAX && r->limit_per_channel > 0);
    submit(s, &r->base, STORE_KIND_SWEEP);
}

static void memory_interest_put(struct store *s, struct store_interest_put *r)
{
    assert(r->count > 0 && r->count <= STORE_INTEREST_MAX);
    submit(s, &r->base, STORE_KIND_INTEREST_PUT);
}

static void memory_ack_put(struct store *s, struct store_ack_put *r)
{
    assert(r->age_ms > 0);
    submit(s, &r->base, STORE_KIND_ACK_PUT);
}

static void memory_ack_read(struct store *s, struct store_ack_read *r)
{
    submit(s, &r->base, STORE_KIND_ACK_READ);
}

static void memory_likes_add(struct store *s, struct store_likes_add *r)
{
    assert(r->count > 0 && r->count <= STORE_LIKES_MAX);
    submit(s, &r->base, STORE_KIND_LIKES_ADD);
}

static void memory_watch_add(struct store *s, struct store_watch_add *r)
{
    assert(r->count > 0 && r->count <= STORE_WATCH_MAX);
    submit(s, &r->base, STORE_KIND_WATCH_ADD);
}

static void memory_watch_read(struct store *s, struct store_watch_read *r)
{
    assert(r->limit <= STORE_WATCH_PAGE_MAX);
    submit(s, &r->base, STORE_KIND_WATCH_READ);
}

static void memory_status(struct store *base, struct store_status *ret_status)
{
    struct memory_store *s = memory_store_from(base);
    struct store_status status = {
        .is_up = s->state == MEMORY_UP, .since_ms = s->since_ms, .life = 1, .pending = s->pending};

    (void)snprintf(status.server, sizeof(status.server), "memory");
    *ret_status = status;
}

static void memory_stop(struct store *base)
{
    struct memory_store *s = memory_store_from(base);

    s->state = MEMORY_STOPPED;
    while (!list_is_empty(&s->queue)) /* callbacks may ask again; whoever always does, never ends */
        on_work(s);
    loop_timer_deinit(&s->work);
}

static struct store *memory_free(struct store *base)
{
    struct memory_store *s = memory_store_from(base);

    memory_stop(base);
    assert(s->pending == 0);
    for (size_t i = 0; i < STORE_SEEN_SLOTS; i++)
        memory_slot_clear(&s->slots[i]);
    memory_presence_clear(s);
    memory_logs_clear(s);
    memory_marks_clear(s);
    memory_live_clear(s);
    free(s->release_node);
    free(s);
    return NULL;
}

static const struct store_ops memory_ops = {
    .name = "memory",
    .start = memory_start,
    .seen = memory_seen,
    .lease_put = memory_lease_put,
    .lease_release = memory_lease_release,
    .nodes_read = memory_nodes_read,
    .session_put = memory_session_put,
    .user_read = memory_user_read,
    .room_put = memory_room_put,
    .room_read = memory_room_read,
    .rooms_read = memory_rooms_read,
    .append = memory_append,
    .log_read = memory_log_read,
    .sweep = memory_sweep,
    .interest_put = memory_interest_put,
    .ack_put = memory_ack_put,
    .ack_read = memory_ack_read,
    .likes_add = memory_likes_add,
    .watch_add = memory_watch_add,
    .watch_read = memory_watch_read,
    .status = memory_status,
    .stop = memory_stop,
    .free = memory_free,
};

int memory_store_new(struct loop *owner, const struct store_identity *identity, struct store **ret_store)
{
    size_t node_size = strlen(identity->node);
    struct memory_store *s = calloc(1, sizeof(*s) + node_size + 1);
    uint64_t slot_ms = (identity->seen_window_ms + STORE_SEEN_PARTS - 1) / STORE_SEEN_PARTS;

    if (!s)
        return -ENOMEM;
    s->base = (struct store){.ops = &memory_ops, .owner = owner};
    s->incarnation = identity->incarnation;
    s->slot_ms = slot_ms > 0 ? slot_ms : 1;
    s->expiry_ms = identity->expiry_ms;
    memcpy(s->node_text, identity->node, node_size + 1);
    s->node = slice_make(s->node_text, node_size);
    list_init(&s->queue);
    memory_presence_init(s);
    list_init(&s->release.link);
    list_init(&s->log_turns);
    list_init(&s->mark_turns);
    list_init(&s->known_turns);
    list_init(&s->likes_turns);
    list_init(&s->watch_turns);
    loop_timer_init(&s->work, owner, on_work, s);
    *ret_store = &s->base;
    return 0;
}
