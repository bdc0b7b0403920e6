#include "hub_world.h"

#include "base/clock.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/** Memory of the walls, which does not run out when the test makes it so (aligned_alloc() is not wrapped). */
static void *wall_alloc(size_t size)
{
    void *p = aligned_alloc(alignof(max_align_t), (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1));

    assert_non_null(p);
    memset(p, 0, size);
    return p;
}

/* ---- the wall before the bus ---- */

struct injected {
    struct bus_delivery delivery;
    uint32_t magic;
    bool is_ingress;
    size_t round; /* of the ingress */
};

#define INJECTED_MAGIC 0x1d1c7ed5u

static struct world_bus *bus_of(struct bus *b)
{
    return container_of(b, struct world_bus, base);
}

static void forward_delivery(void *userdata, struct bus_delivery *d)
{
    struct world_bus *b = userdata;

    if (b->is_deaf)
        bus_delivery_done(b->inner, d);
    else
        b->base.callbacks.on_delivery(b->base.callbacks.userdata, d);
}

static void forward_bus_state(void *userdata, const struct bus_status *status)
{
    struct world_bus *b = userdata;

    if (!b->is_starting)
        b->base.callbacks.on_state(b->base.callbacks.userdata, status);
}

void world_bus_ready(struct world *w)
{
    const struct bus_status status = {.state = BUS_STATE_READY};

    w->bus.is_starting = false;
    w->bus.base.callbacks.on_state(w->bus.base.callbacks.userdata, &status);
}

static int wall_bus_start(struct bus *b)
{
    struct world_bus *w = bus_of(b);

    w->inner->callbacks =
        (struct bus_callbacks){.on_delivery = forward_delivery, .on_state = forward_bus_state, .userdata = w};
    return bus_start(w->inner);
}

static int wall_bus_publish(struct bus *b, struct bus_publication *p)
{
    struct world_bus *w = bus_of(b);
    struct world_published *kept;
    int result = w->publish_result ? w->publish_result : bus_publish(w->inner, p);

    if (result || w->published++ >= BASE_ARRAY_SIZE(w->kept))
        return result;
    kept = &w->kept[w->published - 1];
    kept->route = p->route;
    (void)snprintf(kept->channel, sizeof(kept->channel), "%.*s", SLICE_PRINTF(p->message->channel));
    (void)snprintf(kept->data, sizeof(kept->data), "%.*s", SLICE_PRINTF(p->message->data));
    for (size_t i = 0; i < p->node_count; i++) {
        strncat(kept->nodes, p->nodes[i], sizeof(kept->nodes) - strlen(kept->nodes) - 1);
        strncat(kept->nodes, " ", sizeof(kept->nodes) - strlen(kept->nodes) - 1);
    }
    return 0;
}

size_t world_published(const struct world *w, const char *data, const struct world_published **ret_last)
{
    size_t count = 0;

    for (size_t i = 0; i < w->bus.published && i < BASE_ARRAY_SIZE(w->bus.kept); i++) {
        if (strcmp(w->bus.kept[i].data, data) != 0)
            continue;
        *ret_last = &w->bus.kept[i];
        count++;
    }
    return count;
}

static bool wall_bus_delivery_is_void(struct bus *b, const struct bus_delivery *d)
{
    return bus_of(b)->are_deliveries_void || container_of(d, struct injected, delivery)->round != bus_of(b)->round;
}

static void wall_bus_done(struct bus *b, struct bus_delivery *d)
{
    struct world_bus *w = bus_of(b);

    w->done_count++;
    /* Deliveries of the local bus always have an app_id, those of the test never. */
    if (slice_is_set(d->app_id)) {
        bus_delivery_done(w->inner, d);
        return;
    }
    assert_int_equal(container_of(d, struct injected, delivery)->magic, INJECTED_MAGIC);
    assert_true(w->deliveries_out > 0);
    w->deliveries_out--;
    w->acknowledged += container_of(d, struct injected, delivery)->is_ingress && !wall_bus_delivery_is_void(b, d);
    payload_unref(d->body);
    free(container_of(d, struct injected, delivery));
}

static int wall_bus_deposit(struct bus *b, struct bus_deposit *d)
{
    struct world_bus *w = bus_of(b);
    struct world_deposit *kept = &w->deposits[w->deposit_count];

    assert_true(w->deposit_count < BASE_ARRAY_SIZE(w->deposits));
    w->deposit_count++;
    *kept = (struct world_deposit){.shelf = d->shelf, .waiting = d};
    (void)snprintf(kept->body, sizeof(kept->body), "%.*s", SLICE_PRINTF(d->body));
    kept->size = d->body.size;
    (void)snprintf(kept->reason, sizeof(kept->reason), "%.*s", SLICE_PRINTF(d->reason));
    (void)snprintf(kept->message_id, sizeof(kept->message_id), "%.*s", SLICE_PRINTF(d->message_id));
    return 0;
}

static void confirm_deposits(struct world_bus *b, int result)
{
    for (size_t i = 0; i < b->deposit_count; i++) {
        struct bus_deposit *d = base_take(b->deposits[i].waiting);

        if (d)
            d->done(d, result);
    }
}

void world_confirm_deposits(struct world *w)
{
    confirm_deposits(&w->bus, 0);
}

static void wall_bus_ingress(struct bus *b, bool is_wanted)
{
    bus_of(b)->is_ingress_wanted = is_wanted;
    bus_of(b)->round += !is_wanted;
}

static void wall_bus_status(struct bus *b, struct bus_status *ret_status)
{
    bus_status(bus_of(b)->inner, ret_status);
}

static void wall_bus_stop(struct bus *b)
{
    bus_stop(bus_of(b)->inner);
    confirm_deposits(bus_of(b), BUS_E_UNAVAILABLE);
}

static struct bus *wall_bus_free(struct bus *b)
{
    return bus_free(bus_of(b)->inner);
}

static const struct bus_ops wall_bus_ops = {
    .name = "wall",
    .start = wall_bus_start,
    .publish = wall_bus_publish,
    .delivery_done = wall_bus_done,
    .deposit = wall_bus_deposit,
    .ingress = wall_bus_ingress,
    .delivery_is_void = wall_bus_delivery_is_void,
    .status = wall_bus_status,
    .stop = wall_bus_stop,
    .free = wall_bus_free,
};

static struct injected *injected_new(struct world *w, const char *content_type, const void *body, size_t size)
{
    struct injected *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->magic = INJECTED_MAGIC;
    d->delivery.body = payload_copy(slice_make(body, size));
    assert_non_null(d->delivery.body);
    d->delivery.content_type = slice_from(content_type);
    list_init(&d->delivery.link);
    w->bus.deliveries_out++;
    return d;
}

void world_deliver(struct world *w, const char *content_type, const void *body, size_t size)
{
    struct injected *d = injected_new(w, content_type, body, size);

    w->bus.base.callbacks.on_delivery(w->bus.base.callbacks.userdata, &d->delivery);
}

void world_ingress(struct world *w, const char *message_id, const char *body)
{
    struct injected *d = injected_new(w, NULL, body, strlen(body));

    d->is_ingress = true;
    d->round = w->bus.round;
    d->delivery.message_id = slice_from(message_id);
    d->delivery.time_ms = 1;
    w->bus.base.callbacks.on_ingress(w->bus.base.callbacks.userdata, &d->delivery);
}

void world_deliver_messages(struct world *w, const char *channel, ...)
{
    struct message m = {.channel = slice_from(channel), .time_ms = 1, .content_type = CONTENT_TYPE_TEXT};
    base_cleanup(buffer_deinit)
    struct buffer body = {0};
    const char *id;
    size_t count = 0;
    va_list args;

    va_start(args, channel);
    while (va_arg(args, const char *))
        count++;
    va_end(args);
    bus_body_begin(&body, count / 2);
    va_start(args, channel);
    while ((id = va_arg(args, const char *))) {
        m.kind = *id ? MESSAGE_KIND_MESSAGE : MESSAGE_KIND_SIGNAL;
        m.id = *id ? slice_from(id) : SLICE_LITERAL("signal");
        m.data = slice_from(va_arg(args, const char *));
        bus_body_append(&body, &m);
    }
    va_end(args);
    assert_int_equal(buffer_error(&body), 0);
    world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
}

/* ---- the wall before the store ---- */

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

/* ---- the world ---- */

static void on_fan_done(void *userdata, struct hub_fan *fan base_unused)
{
    struct world *w = userdata;

    atomic_fetch_add(&w->fans_done, 1);
}

static const struct hub_port_ops port_ops = {.fan_done = on_fan_done};

void world_init(struct world *w)
{
    *w = (struct world){.config = {
                            .lease_ms = 6000,
                            .restate_ms = 300000,
                            .dedup_window_ms = 600000,
                            .dedup_local = 20000,
                            .online_interval_ms = 20,
                            .likes_interval_ms = 20,
                            .watch_interval_ms = 50,
                            .watch_gap_ms = 40000,
                            .likes_per_op = 1000,
                            .online_names = 20,
                            .rooms_per_session = 10,
                            .channels = 1000,
                            .sessions = 1000,
                            .sessions_per_user = 100,
                            .message_bytes = 400,
                            .canary_interval_ms = 1000,
                        }};
}

void world_open(struct world *w)
{
    const struct hub_identity identity = {
        .node = WORLD_NODE, .incarnation = 77, .internal = "127.0.0.1:9091", .version = "test"};
    const struct store_identity store_identity = {
        .node = WORLD_NODE, .incarnation = 77, .seen_window_ms = 600000, .expiry_ms = 900000};

    base_cleanup(buffer_deinit)
    struct buffer errors = {0};
    base_cleanup(buffer_deinit)
    struct buffer text = {0};

    assert_int_equal(config_new(&w->sections), 0);
    assert_int_equal(config_add_family(w->sections, HUB_CHANNEL_FAMILY, hub_channel_options, hub_channel_option_count,
                                       sizeof(struct hub_channel_config)),
                     0);
    if (!w->is_sequenced && !w->section)
        assert_int_equal(
            config_load_text(w->sections, SLICE_LITERAL("[channel.every]\nmatch=*\nsequenced=no\n"), "test", &errors),
            0);
    if (w->section) {
        buffer_printf(&text, "[channel.every]\nmatch=*\n%s\n", w->section);
        assert_int_equal(config_load_text(w->sections, buffer_slice(&text), "test", &errors), 0);
    }
    assert_int_equal(config_finish(w->sections, &errors), 0);
    w->config.sections = w->sections;
    assert_int_equal(loop_new("hub", &w->hub_loop), 0);
    w->metrics = metrics_new();
    assert_non_null(w->metrics);
    w->bus.base = (struct bus){.ops = &wall_bus_ops, .owner = w->hub_loop};
    w->store.base = (struct store){.ops = &wall_store_ops, .owner = w->hub_loop};
    list_init(&w->store.refusals);
    list_init(&w->store.reads);
    loop_timer_init(&w->store.refuse, w->hub_loop, refuse_all, &w->store);
    assert_int_equal(bus_local_new(w->hub_loop, 10000, &w->bus.inner), 0);
    assert_int_equal(memory_store_new(w->hub_loop, &store_identity, &w->store.inner), 0);
    assert_int_equal(hub_new(w->hub_loop, &w->config, &identity, &w->bus.base, &w->store.base, w->metrics, &w->hub), 0);
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        if (w->is_one_loop)
            w->loops[i] = w->hub_loop;
        else
            assert_int_equal(loop_new("port", &w->loops[i]), 0);
        assert_int_equal(hub_port_new(w->hub, w->loops[i], &port_ops, w, &w->ports[i]), 0);
    }
    assert_int_equal(hub_start(w->hub), 0);
    world_settle(w);
}

void world_close(struct world *w)
{
    struct hub_status status;

    hub_stop(w->hub);
    hub_status_read(w->hub, &status);
    assert_int_equal(w->bus.deliveries_out, 0);
    hub_free(w->hub);
    loop_timer_deinit(&w->store.refuse);
    bus_free(&w->bus.base);
    store_free(&w->store.base);
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        if (!w->is_one_loop)
            loop_free(w->loops[i]);
    }
    loop_free(w->hub_loop);
    metrics_free(w->metrics);
    config_free(w->sections);
}

struct turn_end {
    struct loop_task task;
    struct loop *loop;
};

static void end_turn(struct loop_task *task)
{
    loop_stop(container_of(task, struct turn_end, task)->loop);
}

void world_turn(struct loop *l)
{
    struct turn_end end = {.task.run = end_turn, .loop = l};

    loop_post(l, &end.task);
    loop_run(l);
}

void world_settle(struct world *w)
{
    const struct timespec moment = {.tv_nsec = 100000};

    for (int i = 0; i < 8; i++) {
        world_turn(w->hub_loop);
        for (size_t k = 0; k < WORLD_PORTS && !w->is_one_loop; k++)
            world_turn(w->loops[k]);
        nanosleep(&moment, NULL); /* timers of no delay are due a moment later */
    }
}

uint64_t world_deadline(void)
{
    return clock_monotonic_ms() + 60000;
}

bool world_is_over(uint64_t deadline_ms)
{
    return clock_monotonic_ms() > deadline_ms;
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;

    while (clock_monotonic_ms() < end_ms)
        world_settle(w);
}

int64_t world_metric(struct world *w, const char *name_and_labels)
{
    base_cleanup(buffer_deinit)
    struct buffer page = {0};
    size_t size = strlen(name_and_labels);

    metrics_write_page(w->metrics, &page);
    assert_int_equal(buffer_error(&page), 0);
    for (const char *line = page.data; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name_and_labels, size) == 0 && line[size] == ' ')
            return strtoll(line + size, NULL, 10);
    }
    fail_msg("no metric %s", name_and_labels);
    return -1;
}

/* ---- clients ---- */

static void copy_text(char *to, size_t size, struct slice s)
{
    assert_true(s.size < size);
    if (s.size)
        memcpy(to, s.data, s.size);
    to[s.size] = '\0';
}

static struct client *client_of(struct hub_session *s)
{
    struct client *c = container_of(s, struct client, session);

    assert_false(c->is_closed);
    return c;
}

static void on_open(struct hub_session *s, int result, const struct hub_channel_state *channels, size_t count)
{
    struct client *c = client_of(s);

    c->is_open = result == 0;
    c->open_result = result;
    c->state_count = count;
    for (size_t i = 0; i < count; i++) {
        copy_text(c->states[i], sizeof(c->states[i]), channels[i].channel);
        c->positions[i] = channels[i];
        c->positions[i].channel = SLICE_NONE;
    }
    c->answers++;
}

static void on_message(struct hub_session *s, struct hub_fan *fan)
{
    struct client *c = client_of(s);
    const struct message *m = fan->message;
    struct client_message *kept = &c->messages[c->message_count % BASE_ARRAY_SIZE(c->messages)];
    struct client *closes[BASE_ARRAY_SIZE(c->closes)];
    const char *leaves = c->leaves;

    kept->kind = m->kind;
    copy_text(kept->channel, sizeof(kept->channel), m->channel);
    copy_text(kept->id, sizeof(kept->id), m->id);
    copy_text(kept->from, sizeof(kept->from), m->from);
    copy_text(kept->data, sizeof(kept->data), m->data);
    kept->epoch = m->epoch;
    kept->offset = m->offset;
    c->message_count++;
    c->leaves = NULL;
    if (leaves)
        assert_int_equal(hub_session_leave(s, slice_from(leaves)), 0);
    memcpy(closes, c->closes, sizeof(closes));
    memset(c->closes, 0, sizeof(c->closes));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(closes); i++) {
        if (closes[i])
            client_close(closes[i]);
    }
}

static void on_reset(struct hub_session *s, struct slice channel base_unused, uint64_t epoch, uint64_t offset)
{
    struct client *c = client_of(s);

    c->reset_count++;
    c->reset_epoch = epoch;
    c->reset_offset = offset;
}

static void note_answer(struct client *c, struct slice tag, int result)
{
    c->answers++;
    c->last_result = result;
    copy_text(c->last_tag, sizeof(c->last_tag), tag);
}

static void on_joined(struct hub_session *s, struct slice tag, int result, const struct hub_channel_state *state)
{
    struct client *c = client_of(s);

    note_answer(c, tag, result);
    copy_text(c->last_channel, sizeof(c->last_channel), state->channel);
    c->joined = *state;
    c->joined.channel = SLICE_NONE;
}

static void on_sent(struct hub_session *s, struct slice tag, int result, struct slice message_id, uint64_t epoch,
                    uint64_t offset)
{
    struct client *c = client_of(s);

    c->sent_epoch = epoch;
    c->sent_offset = offset;
    note_answer(c, tag, result);
    copy_text(c->last_id, sizeof(c->last_id), message_id);
}

static void on_online(struct hub_session *s, struct slice tag, int result, const struct hub_room_info *info)
{
    struct client *c = client_of(s);

    note_answer(c, tag, result);
    if (!info)
        return;
    c->online_count = info->users;
    c->user_count = info->name_count;
    for (size_t i = 0; i < info->name_count && i < BASE_ARRAY_SIZE(c->users); i++)
        copy_text(c->users[i], sizeof(c->users[i]), info->names[i]);
    copy_text(c->next, sizeof(c->next), info->next);
}

const struct hub_sink_ops client_sink = {on_open, on_message, on_reset, on_joined, on_sent, on_online};

void client_open_begin(struct client *c, struct world *w, size_t port, const char *user, const char *room)
{
    const struct hub_session_info info = {.user = slice_from(user), .room = slice_from(room)};

    *c = (struct client){.world = w, .open_result = -1};
    assert_int_equal(hub_session_open(&c->session, w->ports[port], &info, &client_sink), 0);
}

void client_open(struct client *c, struct world *w, size_t port, const char *user, const char *room)
{
    client_open_begin(c, w, port, user, room);
    world_settle(w);
    assert_true(c->is_open);
}

void client_close(struct client *c)
{
    c->is_open = false;
    hub_session_close(&c->session);
    c->is_closed = true;
}

int client_join(struct client *c, const char *room, const char *tag)
{
    return hub_session_join(&c->session, slice_from(room), NULL, slice_from(tag));
}

int client_join_since(struct client *c, const char *room, uint64_t epoch, uint64_t offset)
{
    const struct hub_since since = {.is_set = true, .epoch = epoch, .offset = offset};

    return hub_session_join(&c->session, slice_from(room), &since, SLICE_LITERAL("since"));
}

struct hub_send send_text(const char *data)
{
    return (struct hub_send){.kind = MESSAGE_KIND_MESSAGE, .content_type = CONTENT_TYPE_TEXT, .data = slice_from(data)};
}

int client_send(struct client *c, const char *room, const char *data, const char *key)
{
    struct hub_send send = send_text(data);

    send.key = slice_from(key);
    return hub_session_send(&c->session, slice_from(room), &send, SLICE_LITERAL("sent"));
}

size_t client_count(const struct client *c, const char *data)
{
    size_t count = 0;

    assert_true(c->message_count <= BASE_ARRAY_SIZE(c->messages));
    for (size_t i = 0; i < c->message_count; i++)
        count += strcmp(c->messages[i].data, data) == 0;
    return count;
}

const char *client_online(const struct client *c)
{
    for (size_t i = c->message_count; i-- > 0;) {
        if (c->messages[i % BASE_ARRAY_SIZE(c->messages)].kind == MESSAGE_KIND_SIGNAL)
            return c->messages[i % BASE_ARRAY_SIZE(c->messages)].data;
    }
    return NULL;
}
