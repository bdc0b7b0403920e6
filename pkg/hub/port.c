/*
 * A port: one loop's sessions and, per channel, who of them listens. The last step of every message: from one fan to
 * many sinks, without lock and without allocation.
 */
#include "hub/client_internal.h"
#include "hub/port_internal.h"

#define LOCAL_CAPACITY_FIRST 4
/** Rooms of a session that are told to who looks. */
#define LOOK_ROOMS 100

int hub_port_new(struct hub *h, struct loop *l, const struct hub_port_ops *ops, void *userdata,
                 struct hub_port **ret_port)
{
    struct hub_door *doors;
    struct hub_port *p;

    assert(!h->is_started);
    doors = realloc(h->doors, (h->door_count + 1) * sizeof(*doors));
    if (!doors)
        return -ENOMEM;
    h->doors = doors;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->cells = metrics_cells_new(h->metrics);
    if (!p->cells) {
        free(p);
        return -ENOMEM;
    }
    p->hub = h;
    p->loop = l;
    p->ops = ops;
    p->userdata = userdata;
    p->index = (uint32_t)h->door_count;
    list_init(&p->sessions);
    slab_init(&p->slab);
    hub_port_live_init(p);
    h->doors[h->door_count++] = (struct hub_door){.port = p};
    *ret_port = p;
    return 0;
}

struct hub_port *hub_port_free(struct hub_port *p)
{
    if (!p)
        return NULL;
    assert(list_is_empty(&p->sessions) && !p->session_count);
    assert(!p->delivering && !p->cursors && !p->like);
    while (p->spare_count > 0)
        free(p->spares[--p->spare_count]);
    slab_deinit(&p->slab);
    hub_words_deinit(&p->words);
    free(p);
    return NULL;
}

void *hub_port_userdata(struct hub_port *p)
{
    return p->userdata;
}

size_t hub_port_session_count(const struct hub_port *p)
{
    return p->session_count;
}

void hub_port_link_session(struct hub_port *p, struct hub_session *s)
{
    list_append(&p->sessions, &s->link);
    p->session_count++;
}

void hub_port_unlink_session(struct hub_port *p, struct hub_session *s)
{
    for (struct hub_cursor *c = p->cursors; c; c = c->outer) {
        if (c->next == &s->link)
            c->next = s->link.next;
    }
    list_remove(&s->link);
    p->session_count--;
}

/** The session that the walk has reached, or NULL at its end. */
static struct hub_session *cursor_next(struct hub_port *p, struct hub_cursor *c)
{
    struct list *it = c->next;

    if (it == &p->sessions)
        return NULL;
    c->next = it->next;
    return container_of(it, struct hub_session, link);
}

void hub_port_each_session(struct hub_port *p, void (*fn)(struct hub_session *s, void *userdata), void *userdata)
{
    struct hub_cursor cursor = {.outer = p->cursors, .next = p->sessions.next};

    p->cursors = &cursor;
    for (struct hub_session *s; (s = cursor_next(p, &cursor));)
        fn(s, userdata);
    p->cursors = cursor.outer;
}

/* ---- listeners of a channel ---- */

/*
 * Listeners stand side by side, because a message walks over all of them: a lone one in the local itself, more in an
 * array of sessions. Removing swaps the last one in; while a message is on its way through, removing leaves a hole
 * instead, and the holes are closed behind it: so on_message may end its own session and any other.
 */

static struct hub_session **local_entries(struct hub_local *local)
{
    return local->capacity ? local->many : &local->one;
}

/** The subscription by which @s stands among the listeners. */
static struct hub_subscription *subscription_of(const struct hub_session *s, const struct hub_local *local)
{
    struct hub_subscription *sub = s->subscriptions;

    while (!sub->is_listening || sub->local != local)
        sub = sub->next;
    return sub;
}

static void local_put(struct hub_local *local, uint32_t index, struct hub_session *s)
{
    local_entries(local)[index] = s;
    subscription_of(s, local)->index = index;
}

/** To room for @capacity entries, 0 for one in the local itself. 0, -ENOMEM. */
static int local_resize(struct hub_port *p, struct hub_local *local, uint32_t capacity)
{
    struct hub_session **entries = NULL;

    if (capacity) {
        entries = slab_calloc(&p->slab, capacity * sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        memcpy(entries, local_entries(local), local->count * sizeof(*entries));
    }
    if (local->capacity) {
        struct hub_session **old = local->many;

        local->one = local->count ? old[0] : NULL;
        slab_free(&p->slab, old, local->capacity * sizeof(*old));
    }
    if (capacity)
        local->many = entries;
    local->capacity = capacity;
    return 0;
}

/** Gives memory back when most of it is idle; without memory it stays as it is. */
static void local_trim(struct hub_port *p, struct hub_local *local)
{
    if (local->capacity && local->count <= local->capacity / 4)
        (void)local_resize(p, local, local->count <= 1 ? 0 : local->capacity / 2);
}

static int local_reserve(struct hub_port *p, struct hub_local *local)
{
    if (local->count < (local->capacity ? local->capacity : 1))
        return 0;
    return local_resize(p, local, local->capacity ? local->capacity * 2 : LOCAL_CAPACITY_FIRST);
}

int hub_local_add(struct hub_session *s, struct hub_subscription *sub)
{
    struct hub_local *local = sub->local;

    assert(local != s->port->delivering); /* answers and messages are letters of their own */
    if (local_reserve(s->port, local) < 0)
        return -ENOMEM;
    sub->is_listening = true;
    sub->index = local->count;
    local_entries(local)[local->count++] = s;
    return 0;
}

void hub_local_remove(struct hub_port *p, struct hub_session *s base_unused, struct hub_subscription *sub)
{
    struct hub_local *local = sub->local;

    assert(sub->is_listening && local_entries(local)[sub->index] == s);
    sub->is_listening = false;
    if (local == p->delivering) {
        local_entries(local)[sub->index] = NULL;
        p->holes++;
        return;
    }
    local->count--;
    if (sub->index < local->count)
        local_put(local, sub->index, local_entries(local)[local->count]);
    local_trim(p, local);
}

static void local_close_holes(struct hub_local *local)
{
    struct hub_session **entries = local_entries(local);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < local->count; i++) {
        if (entries[i])
            local_put(local, kept++, entries[i]);
    }
    local->count = kept;
}

/* ---- messages ---- */

/** A relay does not come back to who sent it; its id begins with the sender's session. */
static bool is_own_relay(const struct hub_session *s, const struct message *m)
{
    return m->kind == MESSAGE_KIND_RELAY && m->id.size > ID_TEXT_SIZE && m->id.data[ID_TEXT_SIZE] == '/' &&
           memcmp(m->id.data, s->client->id, ID_TEXT_SIZE) == 0;
}

/** A message; or, as a control message, that some are gone. */
static void session_tell(struct hub_session *s, struct hub_fan *fan)
{
    const struct message *m = fan->message;

    if (m->kind == MESSAGE_KIND_CONTROL)
        s->sink->on_reset(s, m->channel, m->epoch, m->offset);
    else
        s->sink->on_message(s, fan);
}

/** Behind a walk over the listeners, in which some may have ended. */
static void walk_end(struct hub_port *p, struct hub_local *local)
{
    p->delivering = NULL;
    if (!p->holes)
        return;
    local_close_holes(local);
    local_trim(p, local);
    p->holes = 0;
}

static size_t deliver_local(struct hub_port *p, struct hub_local *local, struct hub_fan *fan)
{
    size_t delivered = 0;

    p->delivering = local;
    for (uint32_t i = 0; i < local->count; i++) {
        struct hub_session *s = local_entries(local)[i];

        if (!s || is_own_relay(s, fan->message))
            continue;
        session_tell(s, fan);
        delivered++;
    }
    walk_end(p, local);
    return delivered;
}

uint64_t hub_port_kick_local(struct hub_port *p, struct hub_local *inbox, const struct hub_kick_which *which)
{
    uint64_t kicked = 0;

    p->delivering = inbox; /* they end meanwhile */
    for (uint32_t i = 0; i < inbox->count; i++) {
        struct hub_session *s = local_entries(inbox)[i];

        if (!s || (slice_is_set(which->device) && !slice_equal(which->device, hub_client_device(s->client))) ||
            (slice_is_set(which->session) && !slice_equal(which->session, hub_session_id(s))))
            continue;
        if (s->sink->on_kicked)
            s->sink->on_kicked(s, which->reason);
        kicked++;
    }
    walk_end(p, inbox);
    return kicked;
}

/** Its rooms, as far as they are joined. */
static void write_rooms(const struct hub_session *s, struct json_writer *w)
{
    uint64_t count = 0;

    json_write_name(w, "rooms");
    json_write_array_begin(w);
    for (const struct hub_subscription *sub = s->subscriptions; sub; sub = sub->next) {
        struct slice room;

        if (!sub->is_listening || sub->kind != CHANNEL_KIND_ROOM ||
            channel_parse(slice_make(sub->name, sub->name_size), &room) != CHANNEL_KIND_ROOM || count++ >= LOOK_ROOMS)
            continue;
        json_write_string(w, room);
    }
    json_write_array_end(w);
    json_write_member_uint64(w, "more_rooms", count > LOOK_ROOMS ? count - LOOK_ROOMS : 0);
}

void hub_port_look_local(struct hub_port *p base_unused, struct hub_local *inbox, size_t max_bytes,
                         struct buffer *objects)
{
    for (uint32_t i = 0; i < inbox->count && objects->size < max_bytes; i++) {
        struct hub_session *s = local_entries(inbox)[i];
        struct json_writer w;

        if (objects->size)
            buffer_append_char(objects, ',');
        json_writer_init(&w, objects);
        json_write_object_begin(&w);
        json_write_member_string(&w, "session", hub_session_id(s));
        if (slice_is_set(hub_session_device(s)))
            json_write_member_string(&w, "device", hub_session_device(s));
        write_rooms(s, &w);
        if (s->sink->on_look)
            s->sink->on_look(s, &w);
        json_write_object_end(&w);
    }
}

static size_t deliver_all(struct hub_port *p, struct hub_fan *fan)
{
    struct hub_cursor cursor = {.outer = p->cursors, .next = p->sessions.next};
    size_t delivered = 0;

    p->cursors = &cursor;
    for (struct hub_session *s; (s = cursor_next(p, &cursor));) {
        if (!s->is_open || is_own_relay(s, fan->message))
            continue;
        session_tell(s, fan);
        delivered++;
    }
    p->cursors = cursor.outer;
    return delivered;
}

void hub_port_deliver_run(struct hub_port *p, struct hub_local *local, struct message *const *messages, size_t count)
{
    struct hub_run run = {.messages = messages, .count = count};
    size_t delivered = 0;

    p->delivering = local;
    for (uint32_t i = 0; i < local->count; i++) {
        struct hub_session *s = local_entries(local)[i];

        if (!s)
            continue;
        s->sink->on_run(s, &run);
        delivered += count;
    }
    walk_end(p, local);
    metrics_add(p->cells, HUB_METRIC_DELIVERIES, (int64_t)delivered);
    p->ops->run_done(p->userdata, &run);
}

void hub_port_catch_up(struct hub_port *p, struct hub_session *const *session, struct message **messages, size_t count)
{
    size_t delivered = 0;

    for (size_t i = 0; i < count && *session; i++) {
        struct hub_fan fan = {.message = messages[i]};

        (*session)->sink->on_message(*session, &fan);
        delivered++;
        if (p->ops->fan_done)
            p->ops->fan_done(p->userdata, &fan);
    }
    metrics_add(p->cells, HUB_METRIC_DELIVERIES, (int64_t)delivered);
}

void hub_port_deliver(struct hub_port *p, struct hub_local *local, struct message *m, enum hub_delivery delivery)
{
    struct hub_fan fan = {.message = m, .delivery = delivery};
    size_t delivered = local ? deliver_local(p, local, &fan) : deliver_all(p, &fan);

    if (!delivered)
        return;
    metrics_add(p->cells, HUB_METRIC_DELIVERIES, (int64_t)delivered);
    if (p->ops->fan_done)
        p->ops->fan_done(p->userdata, &fan);
}
