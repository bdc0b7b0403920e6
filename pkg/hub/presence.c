/*
 * Who is in the rooms, as far as this node knows, and how the others hear of it.
 *
 * A room whose members changed is dirty. A dirty room is due half an online interval after it became so; then what
 * changed is stated to the store, which answers how many users all living nodes have, one on two nodes counted once. To
 * one node an interval it gives leave to tell the room:
 *
 *     dirty ─ due ─▶ room_put ─┬─ leave ─▶ signal {"count","joined","left","more"} ─▶ clean
 *        ▲                     ├─ no leave: the names wait, and it is due again ──┐
 *        │                     └─ behind, store away ─ everything is stated ──────┤
 *        └────────────────────────────────────────────────────────────────────────┘
 *
 * So a room hears a count once an interval however many nodes it is on, and no two nodes tell at the same moment, of
 * which the older could arrive last. With the store away nothing is told: this node's own number is not the room's.
 *
 * hub->dirty is sorted by due time. A dirty room, and one being flushed, holds its channel: the last who leaves must
 * still be told.
 */
#include "hub/likes_internal.h"
#include "hub/room_internal.h"
#include "hub/watch_internal.h"

/* ---- dirt ---- */

void hub_presence_arm(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);
    struct hub_room *first;

    /* With the window full the next answer goes on; without store or lease the next grant does. */
    if (list_is_empty(&h->dirty) || h->is_stopped || !h->may_state || h->flushes >= HUB_FLUSHES_MAX ||
        loop_timer_is_pending(&h->presence_timer))
        return;
    first = container_of(h->dirty.next, struct hub_room, dirty_link);
    loop_timer_start(&h->presence_timer, first->due_ms > now_ms ? first->due_ms - now_ms : 0);
}

static void lingering_set(struct hub *h, struct hub_room *room, bool is_lingering)
{
    if (room->is_lingering && !is_lingering)
        h->lingering--;
    else if (!room->is_lingering && is_lingering)
        h->lingering++;
    room->is_lingering = is_lingering;
}

void hub_room_clean(struct hub *h, struct hub_room *room)
{
    if (!room->is_dirty)
        return;
    list_remove(&room->dirty_link);
    hub_count(h, HUB_METRIC_WAITING_ROOMS, -1);
    lingering_set(h, room, false);
    room->is_dirty = room->wants_event = false;
    hub_channel_release(h, room->channel);
}

/** Nothing is kept of an empty room that the store has never heard of, nor when too many empty ones wait for the store.
 */
void hub_room_changed_in(struct hub *h, struct hub_room *room, bool wants_event, uint64_t ms)
{
    struct list *at = h->dirty.previous;
    bool is_unheard_of = !room->is_stated && !room->is_flushing && !room->untold_count && !room->untold_more;

    if (hub_room_presence(room) == HUB_PRESENCE_OFF)
        return;
    if (h->is_stopped || (!room->connections && (is_unheard_of || h->lingering >= HUB_LINGERING_MAX))) {
        if (!room->is_flushing)
            hub_members_forget(h, room);
        hub_room_clean(h, room);
        return;
    }
    room->wants_event |= wants_event;
    if (!room->is_dirty) {
        room->is_dirty = true;
        hub_count(h, HUB_METRIC_WAITING_ROOMS, 1);
        room->due_ms = loop_now_ms(h->loop) + ms;
        hub_channel_hold(room->channel);
        while (at != &h->dirty && container_of(at, struct hub_room, dirty_link)->due_ms > room->due_ms)
            at = at->previous;
        list_append(at->next, &room->dirty_link);
    }
    if (h->dirty.next == &room->dirty_link)
        loop_timer_stop(&h->presence_timer); /* which waits for one that is due later */
    lingering_set(h, room, !room->connections);
    hub_presence_arm(h);
}

void hub_room_changed(struct hub *h, struct hub_room *room, bool wants_event)
{
    hub_room_changed_in(h, room, wants_event, ((uint64_t)h->config.online_interval_ms + 1) / 2);
}

void hub_room_hurry(struct hub *h, struct hub_room *room)
{
    if (!room->is_dirty)
        return;
    room->due_ms = loop_now_ms(h->loop);
    list_remove(&room->dirty_link);
    list_append(h->dirty.next, &room->dirty_link);
    loop_timer_stop(&h->presence_timer);
    hub_presence_arm(h);
}

/* ---- who comes and goes ---- */

int hub_room_enter(struct hub *h, struct hub_room *room, struct slice user)
{
    struct hub_member *m;
    bool is_new = true;

    if (hub_room_has_members(room)) {
        m = hub_member_find(h, room, user);
        is_new = !m || !m->connections;
        if (!m)
            m = hub_member_new(h, room, user);
        if (!m)
            return -ENOMEM;
        m->connections++;
        /* Who left a moment ago is still there, unless the store is just told otherwise. */
        if (is_new)
            hub_member_set_news(h, m, m->news == MEMBER_LEFT && !m->is_put ? MEMBER_NO_NEWS : MEMBER_JOINED);
    } else {
        room->more++;
    }
    if (room->channel->rule->has_watch)
        hub_watch_enter(h, room, user);
    room->connections++;
    room->users += is_new;
    hub_room_changed(h, room, is_new);
    return 0;
}

void hub_room_exit(struct hub *h, struct hub_room *room, struct slice user)
{
    struct hub_member *m;
    bool is_last = true;

    if (hub_room_has_members(room)) {
        m = hub_member_find(h, room, user);
        assert(m && m->connections > 0);
        is_last = --m->connections == 0;
        if (is_last)
            hub_member_leave(h, room, m);
    } else {
        room->more++;
    }
    if (room->channel->rule->has_watch)
        hub_watch_exit(h, room, user);
    room->connections--;
    room->users -= is_last;
    hub_room_changed(h, room, is_last);
}

uint64_t hub_room_count(const struct hub_room *room)
{
    uint64_t all = room->all_users + room->users;

    return all > room->users_then ? all - room->users_then : 0;
}

bool hub_room_hear(struct hub *h, struct hub_room *room, const struct message *m)
{
    hub_online_hear(room, m);
    return hub_likes_hear(h, room, m);
}

/* ---- what is due ---- */

void hub_presence_run(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    while (!list_is_empty(&h->dirty) && h->may_state && !h->is_stopped && h->flushes < HUB_FLUSHES_MAX) {
        struct hub_room *room = container_of(h->dirty.next, struct hub_room, dirty_link);

        if (room->due_ms > now_ms)
            break;
        /* One statement of a room at a time; and without memory, later. */
        if (room->is_flushing || hub_statement_start(h, room) < 0) {
            room->due_ms = now_ms + (uint64_t)h->config.online_interval_ms;
            list_remove(&room->dirty_link);
            list_append(&h->dirty, &room->dirty_link);
        }
    }
    hub_presence_arm(h);
}

void hub_room_state_now(struct hub *h, struct hub_room *room)
{
    if (room->is_dirty && !room->is_flushing && h->may_state && !h->is_stopped)
        (void)hub_statement_start(h, room); /* without memory it is stated later */
}

static void on_presence_timer(void *userdata)
{
    hub_presence_run(userdata);
}

void hub_presence_init(struct hub *h)
{
    hub_members_init(h);
}

void hub_presence_start(struct hub *h)
{
    loop_timer_init(&h->presence_timer, h->loop, on_presence_timer, h);
}

void hub_presence_restate(struct hub *h, bool with_event)
{
    list_for_each_safe (it, &h->rooms)
        hub_room_changed(h, container_of(it, struct hub_room, link), with_event);
}

void hub_presence_retell(struct hub *h)
{
    list_for_each (it, &h->rooms)
        container_of(it, struct hub_room, link)->must_tell = true;
    hub_presence_restate(h, true);
}

void hub_presence_stop(struct hub *h)
{
    loop_timer_deinit(&h->presence_timer);
    list_for_each_safe (it, &h->dirty) {
        struct hub_room *room = container_of(it, struct hub_room, dirty_link);

        hub_members_forget(h, room);
        hub_room_clean(h, room);
    }
}

int hub_room_new(struct hub *h, struct hub_channel *c)
{
    struct hub_room *room = slab_calloc(&h->slab, sizeof(*room));

    if (!room)
        return -ENOMEM;
    room->channel = c;
    list_init(&room->dirty_link);
    list_init(&room->untold);
    for (size_t i = 0; i < MEMBER_NEWS; i++)
        list_init(&room->members[i]);
    list_append(&h->rooms, &room->link);
    c->room = room;
    return 0;
}

void hub_room_free(struct hub *h, struct hub_room *room)
{
    hub_likes_free(h, room->likes);
    hub_online_forget(room);
    for (size_t i = 0; i < MEMBER_NEWS; i++)
        assert(list_is_empty(&room->members[i]));
    assert(!room->is_dirty && !room->is_flushing && !room->users && !room->connections && !room->ask);
    list_remove(&room->link);
    slab_free(&h->slab, room, sizeof(*room));
}
