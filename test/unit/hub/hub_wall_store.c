/* The wall before the store. */
#include "hub_wall.h"

#include <stdalign.h>
#include <string.h>

/* aligned_alloc() is not wrapped. */
void *wall_alloc(size_t size)
{
    void *p = aligned_alloc(alignof(max_align_t), (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1));

    assert_non_null(p);
    memset(p, 0, size);
    return p;
}

enum refusal_kind {
    REFUSE_SEEN,
    REFUSE_LEASE,
    REFUSE_NODES,
    REFUSE_SESSION,
    REFUSE_USER,
    REFUSE_PUT,
    REFUSE_READ,
    REFUSE_APPEND,
    REFUSE_LOG_READ,
    REFUSE_SWEEP,
    REFUSE_INTEREST,
    REFUSE_ACK_PUT,
    REFUSE_ACK_READ,
    REFUSE_LIKES,
    REFUSE_WATCH,
    REFUSE_WATCH_READ,
    REFUSE_ROOMS_READ,
};

#define OTHER_NODE "10.0.0.2:8091"

struct refusal {
    struct list link;
    enum refusal_kind kind;
    int result;
    void *request;
};

static struct world_store *store_of(struct store *s)
{
    return container_of(s, struct world_store, base);
}

static void refuse_one(const struct refusal *r)
{
    switch (r->kind) {
    case REFUSE_SEEN:
        ((struct store_seen *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_LEASE:
        ((struct store_lease_put *)r->request)->done(r->request, r->result);
        break;
    case REFUSE_NODES:
        ((struct store_nodes_read *)r->request)->done(r->request, STORE_E_UNAVAILABLE, NULL, 0);
        break;
    case REFUSE_SESSION:
        ((struct store_session_put *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_USER:
        ((struct store_user_read *)r->request)->done(r->request, STORE_E_UNAVAILABLE, NULL, 0);
        break;
    case REFUSE_PUT:
        ((struct store_room_put *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_READ:
        ((struct store_room_read *)r->request)->done(r->request, STORE_E_UNAVAILABLE, NULL);
        break;
    case REFUSE_APPEND:
        ((struct store_append *)r->request)->done(r->request, STORE_E_UNAVAILABLE, NULL, 0);
        break;
    case REFUSE_LOG_READ:
        ((struct store_log_read *)r->request)
            ->done(r->request, STORE_E_UNAVAILABLE, (struct store_position){0}, (struct store_position){0}, NULL, 0);
        break;
    case REFUSE_SWEEP:
        ((struct store_sweep *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_INTEREST:
        ((struct store_interest_put *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_ACK_PUT:
        ((struct store_ack_put *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_ACK_READ:
        ((struct store_ack_read *)r->request)->done(r->request, STORE_E_UNAVAILABLE, (struct store_position){0});
        break;
    case REFUSE_WATCH:
        ((struct store_watch_add *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    case REFUSE_WATCH_READ:
        ((struct store_watch_read *)r->request)->done(r->request, STORE_E_UNAVAILABLE, NULL, 0, SLICE_NONE);
        break;
    case REFUSE_ROOMS_READ:
        ((struct store_rooms_read *)r->request)->done(r->request, STORE_E_UNAVAILABLE, NULL, 0, SLICE_NONE);
        break;
    case REFUSE_LIKES:
        ((struct store_likes_add *)r->request)->done(r->request, STORE_E_UNAVAILABLE);
        break;
    }
}

static void refuse_all(void *userdata)
{
    struct world_store *s = userdata;

    for (struct list *it; (it = list_pop(&s->refusals));) {
        struct refusal *r = container_of(it, struct refusal, link);

        refuse_one(r);
        free(r);
    }
}

/** Refuses it later if the store is away. */
static bool refused(struct world_store *s, enum refusal_kind kind, void *request)
{
    bool is_taken = kind == REFUSE_LEASE &&
                    (s->is_taken || (s->is_taken_by_dead && !((struct store_lease_put *)request)->takes_over));
    struct refusal *r;

    if (!s->is_away && !is_taken)
        return false;
    r = wall_alloc(sizeof(*r));
    r->kind = kind;
    r->result = s->is_away ? STORE_E_UNAVAILABLE : STORE_E_TAKEN;
    r->request = request;
    list_init(&r->link);
    list_append(&s->refusals, &r->link);
    if (!loop_timer_is_pending(&s->refuse))
        loop_timer_start(&s->refuse, s->refuse_delay_ms);
    return true;
}

static void forward_store_state(void *userdata, const struct store_status *status)
{
    struct world_store *s = userdata;

    s->base.callbacks.on_state(s->base.callbacks.userdata, status);
}

static int wall_store_start(struct store *s)
{
    struct world_store *w = store_of(s);

    w->inner->callbacks = (struct store_callbacks){forward_store_state, w};
    return store_start(w->inner);
}

static void wall_seen(struct store *s, struct store_seen *r)
{
    struct world_store *w = store_of(s);

    w->seen_requests++;
    w->seen_ids += r->count;
    if (refused(w, REFUSE_SEEN, r))
        return;
    if (w->holds_seen) {
        assert_true(w->held_count < BASE_ARRAY_SIZE(w->held));
        w->held[w->held_count++] = r;
        return;
    }
    store_seen(w->inner, r);
}

static void wall_lease_put(struct store *s, struct store_lease_put *r)
{
    struct world_store *w = store_of(s);

    w->lease_puts++;
    if (refused(w, REFUSE_LEASE, r))
        return;
    w->says_cut = r->lease.is_cut;
    if (w->holds_lease && !w->held_lease)
        w->held_lease = r;
    else
        store_lease_put(w->inner, r);
}

static void wall_lease_release(struct store *s, const char *node, uint64_t incarnation)
{
    store_lease_release(store_of(s)->inner, node, incarnation);
}

/* What the second node adds is put into the answer: the request is answered to the wall first. */
struct read {
    struct list link;
    struct world_store *store;
    void *request;
    void (*nodes_done)(struct store_nodes_read *r, int result, const struct store_lease *leases, size_t count);
    void (*session_done)(struct store_session_put *r, int result);
    void (*user_done)(struct store_user_read *r, int result, const struct store_session *sessions, size_t count);
    void (*room_done)(struct store_room_read *r, int result, const struct store_room *room);
    void (*put_done)(struct store_room_put *r, int result);
    void (*append_done)(struct store_append *r, int result, const struct slice *nodes, size_t count);
    void (*interest_done)(struct store_interest_put *r, int result);
};

static struct list *all_reads; /* answers bring the request only */

static struct read *read_new(struct world_store *s, void *request)
{
    struct read *read = wall_alloc(sizeof(*read));

    read->store = s;
    read->request = request;
    list_init(&read->link);
    list_append(&s->reads, &read->link);
    all_reads = &s->reads;
    return read;
}

static struct read read_take(const void *request)
{
    struct read found = {0};

    list_for_each_safe (it, all_reads) {
        struct read *read = container_of(it, struct read, link);

        if (read->request == request && !found.request) {
            found = *read;
            list_remove(&read->link);
            free(read);
        }
    }
    assert_non_null(found.request);
    return found;
}

static void on_nodes(struct store_nodes_read *r, int result, const struct store_lease *leases, size_t count)
{
    struct read read = read_take(r);
    struct store_lease both[8];

    assert_true(count < 8);
    if (count)
        memcpy(both, leases, count * sizeof(*leases));
    both[count] =
        (struct store_lease){.node = OTHER_NODE, .incarnation = 5, .is_alive = true, .version = "test", .internal = ""};
    both[count].is_cut = read.store->is_other_cut;
    read.store->others_told += !result && read.store->is_other_alive;
    read.nodes_done(r, result, both, result ? 0 : count + read.store->is_other_alive);
}

/** The second node's part. */
static uint64_t others(const struct world_store *s)
{
    return s->is_other_alive ? s->other_users : 0;
}

static void on_room(struct store_room_read *r, int result, const struct store_room *room)
{
    struct read read = read_take(r);
    struct store_room both;

    if (result) {
        read.room_done(r, result, NULL);
        return;
    }
    both = *room;
    both.users += others(read.store);
    both.connections += others(read.store);
    read.room_done(r, result, &both);
}

static void on_room_put(struct store_room_put *r, int result)
{
    struct read read = read_take(r);

    r->all_users += others(read.store);
    r->all_connections += others(read.store);
    read.put_done(r, result);
}

static void wall_nodes_read(struct store *s, struct store_nodes_read *r)
{
    if (refused(store_of(s), REFUSE_NODES, r))
        return;
    read_new(store_of(s), r)->nodes_done = r->done;
    r->done = on_nodes;
    store_nodes_read(store_of(s)->inner, r);
}

static void on_session(struct store_session_put *r, int result)
{
    struct read read = read_take(r);

    for (size_t i = 0; i < r->count && !result; i++) {
        struct store_session_item *item = &r->items[i];

        if (read.store->refused_user && slice_equal(item->session.user, slice_from(read.store->refused_user)))
            item->result = STORE_E_UNAVAILABLE;
        read.store->session_answers += !item->result;
    }
    read.session_done(r, result);
}

static void wall_session_put(struct store *s, struct store_session_put *r)
{
    store_of(s)->session_puts++;
    store_of(s)->session_items += r->count;
    if (refused(store_of(s), REFUSE_SESSION, r))
        return;
    read_new(store_of(s), r)->session_done = r->done;
    r->done = on_session;
    store_session_put(store_of(s)->inner, r);
}

static void on_user(struct store_user_read *r, int result, const struct store_session *sessions, size_t count)
{
    struct read read = read_take(r);
    struct store_session all[16];

    assert_true(count + read.store->other_sessions < 16);
    if (count)
        memcpy(all, sessions, count * sizeof(*sessions));
    for (size_t i = 0; i < read.store->other_sessions; i++)
        all[count++] = (struct store_session){
            .user = r->user, .session = SLICE_LITERAL("other"), .node = SLICE_LITERAL(OTHER_NODE)};
    read.user_done(r, result, all, result ? 0 : count);
}

static void wall_user_read(struct store *s, struct store_user_read *r)
{
    if (refused(store_of(s), REFUSE_USER, r))
        return;
    read_new(store_of(s), r)->user_done = r->done;
    r->done = on_user;
    store_user_read(store_of(s)->inner, r);
}

static void wall_room_put(struct store *s, struct store_room_put *r)
{
    struct world_store *w = store_of(s);

    w->room_puts++;
    if (refused(w, REFUSE_PUT, r))
        return;
    if (w->forgets_room) { /* somebody took this node for dead */
        w->forgets_room = false;
        r->version += 7;
    }
    read_new(w, r)->put_done = r->done;
    r->done = on_room_put;
    store_room_put(w->inner, r);
}

static void wall_room_read(struct store *s, struct store_room_read *r)
{
    if (refused(store_of(s), REFUSE_READ, r))
        return;
    read_new(store_of(s), r)->room_done = r->done;
    r->done = on_room;
    store_room_read(store_of(s)->inner, r);
}

static void wall_rooms_read(struct store *s, struct store_rooms_read *r)
{
    if (!refused(store_of(s), REFUSE_ROOMS_READ, r))
        store_rooms_read(store_of(s)->inner, r);
}

static void on_append(struct store_append *r, int result, const struct slice *nodes, size_t count)
{
    struct read read = read_take(r);
    struct slice all[BASE_ARRAY_SIZE(read.store->interested) + 1];

    assert_true(count <= 1);
    memcpy(all, read.store->interested, sizeof(read.store->interested));
    if (count)
        all[read.store->interested_count] = nodes[0];
    read.append_done(r, result, all, result ? 0 : read.store->interested_count + count);
}

static void wall_append(struct store *s, struct store_append *r)
{
    if (refused(store_of(s), REFUSE_APPEND, r))
        return;
    if (r->wants_interest) {
        read_new(store_of(s), r)->append_done = r->done;
        r->done = on_append;
    }
    store_append(store_of(s)->inner, r);
}

static void wall_log_read(struct store *s, struct store_log_read *r)
{
    struct world_store *w = store_of(s);

    w->log_reads++;
    if (refused(w, REFUSE_LOG_READ, r))
        return;
    if (!w->holds_reads) {
        store_log_read(w->inner, r);
        return;
    }
    assert_true(w->held_read_count < BASE_ARRAY_SIZE(w->held_reads));
    w->held_reads[w->held_read_count++] = r;
}

static void wall_sweep(struct store *s, struct store_sweep *r)
{
    if (!refused(store_of(s), REFUSE_SWEEP, r))
        store_sweep(store_of(s)->inner, r);
}

static void on_interest(struct store_interest_put *r, int result)
{
    struct read read = read_take(r);

    for (size_t i = 0; i < r->count && !result; i++) {
        if (!slice_equal_text(r->channels[i], read.store->stands))
            continue;
        r->positions[i] = read.store->stand;
        r->have_rest[i] = read.store->has_rest;
    }
    read.interest_done(r, result);
}

static void wall_interest_put(struct store *s, struct store_interest_put *r)
{
    struct world_store *w = store_of(s);

    w->interest_ends += r->is_end;
    w->interest_end_items += r->is_end ? r->count : 0;
    for (size_t i = 0; i < r->count && w->noted_channel; i++) {
        if (slice_equal(r->channels[i], slice_from(w->noted_channel)) && strlen(w->notes) + 1 < sizeof(w->notes))
            w->notes[strlen(w->notes)] = r->is_end ? 'E' : 'P';
    }
    if (refused(w, REFUSE_INTEREST, r))
        return;
    if (w->stand.epoch && !r->is_end) {
        read_new(w, r)->interest_done = r->done;
        r->done = on_interest;
    }
    store_interest_put(w->inner, r);
}

static void wall_ack_put(struct store *s, struct store_ack_put *r)
{
    if (!refused(store_of(s), REFUSE_ACK_PUT, r))
        store_ack_put(store_of(s)->inner, r);
}

static void wall_ack_read(struct store *s, struct store_ack_read *r)
{
    if (!refused(store_of(s), REFUSE_ACK_READ, r))
        store_ack_read(store_of(s)->inner, r);
}

/** Carried out, but the answer is lost with the connection. */
static void on_likes_lost(struct store_likes_add *r base_unused, int result base_unused)
{
}

static void wall_likes_add(struct store *s, struct store_likes_add *r)
{
    static struct store_likes_add lost;
    static struct store_likes items[STORE_LIKES_MAX];
    struct world_store *w = store_of(s);

    w->likes_adds++;
    if (w->is_away || !w->loses_likes) {
        if (!refused(w, REFUSE_LIKES, r))
            store_likes_add(w->inner, r);
        return;
    }
    w->loses_likes = false;
    memcpy(items, r->items, r->count * sizeof(*items));
    lost = (struct store_likes_add){
        .items = items, .count = r->count, .tell_interval_ms = r->tell_interval_ms, .done = on_likes_lost};
    store_likes_add(w->inner, &lost);
    w->is_away = true;
    (void)refused(w, REFUSE_LIKES, r);
    w->is_away = false;
}

static void wall_watch_add(struct store *s, struct store_watch_add *r)
{
    if (!refused(store_of(s), REFUSE_WATCH, r))
        store_watch_add(store_of(s)->inner, r);
}

static void wall_watch_read(struct store *s, struct store_watch_read *r)
{
    if (!refused(store_of(s), REFUSE_WATCH_READ, r))
        store_watch_read(store_of(s)->inner, r);
}

static void wall_store_status(struct store *s, struct store_status *ret_status)
{
    store_status(store_of(s)->inner, ret_status);
    ret_status->is_up = ret_status->is_up && !store_of(s)->is_away;
    ret_status->life += store_of(s)->life;
}

static void wall_store_stop(struct store *s)
{
    struct world_store *w = store_of(s);

    while (w->held_count > 0) {
        struct store_seen *r = w->held[0];

        memmove(w->held, w->held + 1, --w->held_count * sizeof(w->held[0]));
        r->done(r, STORE_E_UNAVAILABLE);
    }
    for (size_t i = 0; i < w->held_read_count; i++)
        w->held_reads[i]->done(w->held_reads[i], STORE_E_UNAVAILABLE, (struct store_position){0},
                               (struct store_position){0}, NULL, 0);
    w->held_read_count = 0;
    refuse_all(w);
    store_stop(w->inner);
}

static struct store *wall_store_free(struct store *s)
{
    return store_free(store_of(s)->inner);
}

static const struct store_ops wall_store_ops = {
    .name = "wall",
    .start = wall_store_start,
    .seen = wall_seen,
    .lease_put = wall_lease_put,
    .lease_release = wall_lease_release,
    .nodes_read = wall_nodes_read,
    .session_put = wall_session_put,
    .user_read = wall_user_read,
    .room_put = wall_room_put,
    .room_read = wall_room_read,
    .rooms_read = wall_rooms_read,
    .append = wall_append,
    .log_read = wall_log_read,
    .sweep = wall_sweep,
    .interest_put = wall_interest_put,
    .ack_put = wall_ack_put,
    .ack_read = wall_ack_read,
    .likes_add = wall_likes_add,
    .watch_add = wall_watch_add,
    .watch_read = wall_watch_read,
    .status = wall_store_status,
    .stop = wall_store_stop,
    .free = wall_store_free,
};

void world_release_seen(struct world *w, bool is_seen)
{
    struct store_seen *r = w->store.held[0];

    assert_true(w->store.held_count > 0);
    memmove(w->store.held, w->store.held + 1, --w->store.held_count * sizeof(w->store.held[0]));
    for (size_t i = 0; i < r->count; i++)
        r->seen[i] = is_seen;
    r->done(r, 0);
}

void world_release_lease(struct world *w)
{
    struct store_lease_put *r = base_take(w->store.held_lease);

    w->store.holds_lease = false;
    assert_non_null(r);
    store_lease_put(w->store.inner, r);
}

void world_release_reads(struct world *w)
{
    size_t count = w->store.held_read_count;

    w->store.held_read_count = 0;
    for (size_t i = 0; i < count; i++)
        store_log_read(w->store.inner, w->store.held_reads[i]);
}

void world_store_set_away(struct world *w, bool is_away)
{
    struct store_status status;

    w->store.is_away = is_away;
    store_status(&w->store.base, &status);
    w->store.base.callbacks.on_state(w->store.base.callbacks.userdata, &status);
}

void world_store_set_away_for_long(struct world *w)
{
    world_store_set_away(w, true);
    world_pass(w, 2700);
}

void wall_store_init(struct world_store *s, struct loop *l)
{
    s->base = (struct store){.ops = &wall_store_ops, .owner = l};
    list_init(&s->refusals);
    list_init(&s->reads);
    loop_timer_init(&s->refuse, l, refuse_all, s);
}
