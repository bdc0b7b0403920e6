/*
 * A port: one loop's sessions and, per channel, who of them listens. The last step of every message: from one fan to
 * many sinks, without lock and without allocation.
 */
#include "hub/port_internal.h"

#define LOCAL_CAPACITY_FIRST 4

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
    h->doors[h->door_count++] = (struct hub_door){.port = p};
    *ret_port = p;
    return 0;
}

struct hub_port *hub_port_free(struct hub_port *p)
{
    if (!p)
        return NULL;
    assert(list_is_empty(&p->sessions) && !p->session_count);
    assert(!p->locals && !p->delivering && !p->cursors);
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

static struct hub_local *local_find(struct hub_port *p, uint64_t id)
{
    struct hub_local *local = NULL;

    HASH_FIND(hh, p->locals, &id, sizeof(id), local);
    return local;
}

static struct hub_local *local_new(struct hub_port *p, uint64_t id)
{
    struct hub_local *local = calloc(1, sizeof(*local));

    if (!local)
        return NULL;
    local->id = id;
    HASH_ADD_KEYPTR(hh, p->locals, &local->id, sizeof(local->id), local);
    if (!MAP_ADDED(local)) {
        free(local);
        return NULL;
    }
    return local;
}

/** Frees it if nobody listens; gives memory back when most of it is idle. */
static void local_trim(struct hub_port *p, struct hub_local *local)
{
    struct hub_listener *entries;

    if (!local->count) {
        HASH_DEL(p->locals, local);
        free(local->entries);
        free(local);
        return;
    }
    if (local->capacity <= LOCAL_CAPACITY_FIRST || local->count > local->capacity / 4)
        return;
    entries = realloc(local->entries, local->capacity / 2 * sizeof(*entries));
    if (!entries)
        return;
    local->entries = entries;
    local->capacity /= 2;
}

static int local_reserve(struct hub_local *local)
{
    size_t capacity = local->capacity ? local->capacity * 2 : LOCAL_CAPACITY_FIRST;
    struct hub_listener *entries;

    if (local->count < local->capacity)
        return 0;
    entries = realloc(local->entries, capacity * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    local->entries = entries;
    local->capacity = capacity;
    return 0;
}

int hub_local_add(struct hub_port *p, struct hub_subscription *s)
{
    struct hub_local *local = local_find(p, s->channel_id);

    if (!local)
        local = local_new(p, s->channel_id);
    if (!local)
        return -ENOMEM;
    assert(local != p->delivering); /* answers and messages are letters of their own */
    if (local_reserve(local) < 0) {
        local_trim(p, local);
        return -ENOMEM;
    }
    s->local = local;
    s->index = local->count;
    local->entries[local->count++] = (struct hub_listener){s->session, s};
    return 0;
}

void hub_local_remove(struct hub_port *p, struct hub_subscription *s)
{
    struct hub_local *local = base_take(s->local);

    assert(local->entries[s->index].subscription == s);
    if (local == p->delivering) {
        local->entries[s->index] = (struct hub_listener){NULL, NULL};
        local->holes++;
        return;
    }
    local->count--;
    local->entries[s->index] = local->entries[local->count];
    local->entries[s->index].subscription->index = s->index;
    local_trim(p, local);
}

static void local_close_holes(struct hub_local *local)
{
    size_t kept = 0;

    for (size_t i = 0; i < local->count; i++) {
        if (!local->entries[i].session)
            continue;
        local->entries[kept] = local->entries[i];
        local->entries[kept].subscription->index = kept;
        kept++;
    }
    local->count = kept;
    local->holes = 0;
}

/* ---- messages ---- */

/** A relay does not come back to who sent it; its id begins with the sender's session. */
static bool is_own_relay(const struct hub_session *s, const struct message *m)
{
    return m->kind == MESSAGE_KIND_RELAY && m->id.size > ID_TEXT_SIZE && m->id.data[ID_TEXT_SIZE] == '/' &&
           memcmp(m->id.data, s->id, ID_TEXT_SIZE) == 0;
}

static size_t deliver_local(struct hub_port *p, struct hub_local *local, struct hub_fan *fan)
{
    size_t delivered = 0;

    p->delivering = local;
    for (size_t i = 0; i < local->count; i++) {
        struct hub_session *s = local->entries[i].session;

        if (!s || is_own_relay(s, fan->message))
            continue;
        s->sink->on_message(s, fan);
        delivered++;
    }
    p->delivering = NULL;
    if (local->holes) {
        local_close_holes(local);
        local_trim(p, local);
    }
    return delivered;
}

static size_t deliver_all(struct hub_port *p, struct hub_fan *fan)
{
    struct hub_cursor cursor = {.outer = p->cursors, .next = p->sessions.next};
    size_t delivered = 0;

    p->cursors = &cursor;
    for (struct hub_session *s; (s = cursor_next(p, &cursor));) {
        if (!s->is_open || is_own_relay(s, fan->message))
            continue;
        s->sink->on_message(s, fan);
        delivered++;
    }
    p->cursors = cursor.outer;
    return delivered;
}

void hub_port_deliver(struct hub_port *p, uint64_t channel_id, struct message *m, enum hub_delivery delivery)
{
    struct hub_fan fan = {.message = m, .delivery = delivery};
    struct hub_local *local;
    size_t delivered;

    if (channel_id == HUB_CHANNEL_ID_ALL) {
        delivered = deliver_all(p, &fan);
    } else {
        local = local_find(p, channel_id);
        /* the last listener left while the message was on its way */
        if (!local)
            return;
        delivered = deliver_local(p, local, &fan);
    }
    if (!delivered)
        return;
    metrics_add(p->cells, HUB_METRIC_DELIVERIES, (int64_t)delivered);
    if (p->ops->fan_done)
        p->ops->fan_done(p->userdata, &fan);
}
