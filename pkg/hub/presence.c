/*
 * Who is in the rooms, as far as this node knows, and how the others hear of it.
 *
 * A room whose members changed is dirty. A dirty room is due one online interval after it became so; then its part
 * (absolute counts and some names) is put into the store, all nodes' parts are read back, and the sum is published as a
 * signal together with who came and went meanwhile:
 *
 *     dirty ─ due ─▶ room_put ─▶ room_read ─▶ signal {"count","joined","left","more"} ─▶ clean
 *        ▲                          │ store away
 *        └──────────────────────────┘
 *
 * With the store away nothing is published: this node's own number is not the room's. This node's part of the sum is
 * what it knows now and not what it put, so count and names in one event belong together. Someone who came and went
 * within the interval is named in neither list.
 *
 * Two nodes may publish at the same moment, and the older sum may arrive last. So who published looks once more, an
 * interval later: if the count that was heard last is not what the store says by then, it is told again.
 *
 * hub->dirty is sorted by due time because every room gets the same interval. A dirty room, and one being flushed,
 * holds its channel: the last who leaves must still be told.
 */
#include "hub/hub_internal.h"

#include "base/clock.h"
#include "base/json.h"

#define CONTENT_TYPE_ONLINE SLICE_LITERAL("application/vnd.warren.online+json")

enum member_news { MEMBER_NO_NEWS, MEMBER_JOINED, MEMBER_LEFT, MEMBER_NEWS };

/** A user in a room: present (connections > 0), or gone and not yet told. */
struct hub_member {
    struct list link; /* room->members[news] */
    uint32_t connections;
    uint8_t news; /* enum member_news */
    uint8_t user_size;
    struct hub_room *room; /* with @user the key in hub->members */
    char user[];
};
static_assert(offsetof(struct hub_member, user) == offsetof(struct hub_member, room) + sizeof(struct hub_room *),
              "room and user are one key");

#define KEY_MAX_BYTES (sizeof(struct hub_room *) + NAME_MAX_BYTES)

struct hub_room {
    struct hub_channel *channel;
    struct list link;       /* hub->rooms */
    struct list dirty_link; /* hub->dirty */
    uint64_t due_ms;
    bool is_dirty, wants_event;
    bool is_stated; /* the store may have a part of ours */
    bool is_flushing;
    bool is_lingering; /* empty and dirty */
    bool is_checking;  /* an event of ours went out: is what was heard last what the store says? */
    bool has_heard;
    uint64_t heard; /* the count of the event that came last, whosever it was */
    uint64_t connections, users;
    struct list members[MEMBER_NEWS]; /* by what of them was not told yet */
    uint64_t joined, left;            /* how many have such news */
    uint64_t unnamed;                 /* left, and forgotten by name */
};

/** One statement of a room. */
struct room_flush {
    struct hub *hub;
    struct hub_room *room;
    struct store_room_put put;
    struct store_room_read read;
    bool wants_event, is_check, is_published;
    int put_result;
    char name[NAME_MAX_BYTES];
    char *texts;          /* of the roster */
    struct slice names[]; /* the roster */
};

/** An online event on its way. */
struct room_signal {
    struct bus_publication publication;
};

static struct slice member_user(const struct hub_member *m)
{
    return slice_make(m->user, m->user_size);
}

static struct slice member_key(const void *object)
{
    const struct hub_member *m = object;

    return slice_make(&m->room, sizeof(struct hub_room *) + m->user_size);
}

static struct hub_member *member_find(struct hub *h, const struct hub_room *room, struct slice user)
{
    char key[KEY_MAX_BYTES];

    assert(user.size <= NAME_MAX_BYTES);
    memcpy(key, &room, sizeof(struct hub_room *));
    memcpy(key + sizeof(struct hub_room *), user.data, user.size);
    return table_find(&h->members, slice_make(key, sizeof(struct hub_room *) + user.size));
}

static struct hub_member *member_new(struct hub *h, struct hub_room *room, struct slice user)
{
    struct hub_member *m = calloc(1, sizeof(*m) + user.size);

    if (!m)
        return NULL;
    m->room = room;
    m->user_size = (uint8_t)user.size;
    memcpy(m->user, user.data, user.size);
    if (table_add(&h->members, m) < 0) {
        free(m);
        return NULL;
    }
    list_init(&m->link);
    list_append(&room->members[MEMBER_NO_NEWS], &m->link);
    return m;
}

static void member_free(struct hub *h, struct hub_member *m)
{
    table_remove(&h->members, m);
    list_remove(&m->link);
    free(m);
}

static void member_set_news(struct hub_member *m, enum member_news news)
{
    struct hub_room *room = m->room;

    room->joined -= m->news == MEMBER_JOINED;
    room->left -= m->news == MEMBER_LEFT;
    room->joined += news == MEMBER_JOINED;
    room->left += news == MEMBER_LEFT;
    m->news = (uint8_t)news;
    list_remove(&m->link);
    list_append(&room->members[news], &m->link);
}

/** All has been told. */
static void room_forget_news(struct hub *h, struct hub_room *room)
{
    list_for_each_safe (it, &room->members[MEMBER_JOINED])
        member_set_news(container_of(it, struct hub_member, link), MEMBER_NO_NEWS);
    list_for_each_safe (it, &room->members[MEMBER_LEFT])
        member_free(h, container_of(it, struct hub_member, link));
    room->left = room->unnamed = 0;
}

/* ---- dirt ---- */

static void dirty_arm(struct hub *h)
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

/** Not dirty any more; the room may be gone afterwards. */
static void room_clean(struct hub *h, struct hub_room *room)
{
    if (!room->is_dirty)
        return;
    list_remove(&room->dirty_link);
    lingering_set(h, room, false);
    room->is_dirty = room->wants_event = false;
    hub_channel_release(h, room->channel);
}

/** Something changed. Nothing is kept of an empty room that nobody has ever heard of, nor when too many empty ones wait
 * for the store. */
static void room_changed(struct hub *h, struct hub_room *room, bool wants_event)
{
    bool is_untold = !room->is_stated && !room->is_flushing && !room->left && !room->unnamed;

    if (h->is_stopped || (!room->users && (is_untold || h->lingering >= HUB_LINGERING_MAX))) {
        room_forget_news(h, room);
        room_clean(h, room);
        return;
    }
    room->wants_event |= wants_event;
    room->is_checking &= !wants_event; /* an event is wanted for a reason of its own */
    if (!room->is_dirty) {
        room->is_dirty = true;
        room->due_ms = loop_now_ms(h->loop) + (uint64_t)h->config.online_interval_ms;
        hub_channel_hold(room->channel);
        list_append(&h->dirty, &room->dirty_link);
    }
    lingering_set(h, room, !room->users);
    dirty_arm(h);
}

int hub_room_enter(struct hub *h, struct hub_room *room, struct slice user)
{
    struct hub_member *m = member_find(h, room, user);
    bool is_new = !m || !m->connections;

    if (!m)
        m = member_new(h, room, user);
    if (!m)
        return -ENOMEM;
    m->connections++;
    room->connections++;
    if (is_new) {
        room->users++;
        member_set_news(m, m->news == MEMBER_LEFT ? MEMBER_NO_NEWS : MEMBER_JOINED);
    }
    room_changed(h, room, is_new);
    return 0;
}

void hub_room_exit(struct hub *h, struct hub_room *room, struct slice user)
{
    struct hub_member *m = member_find(h, room, user);
    bool is_last;

    assert(m && m->connections > 0);
    m->connections--;
    room->connections--;
    is_last = m->connections == 0;
    if (is_last) {
        room->users--;
        if (m->news == MEMBER_JOINED) {
            member_set_news(m, MEMBER_NO_NEWS);
            member_free(h, m);
        } else if (room->left < HUB_LEFT_NAMES_MAX) {
            member_set_news(m, MEMBER_LEFT);
        } else {
            room->unnamed++;
            member_free(h, m);
        }
    }
    room_changed(h, room, is_last);
}

uint64_t hub_room_users(const struct hub_room *room, struct slice *names, size_t limit, size_t *ret_name_count)
{
    size_t count = 0;

    for (enum member_news news = MEMBER_NO_NEWS; news <= MEMBER_JOINED; news++) {
        const struct list *members = &room->members[news];

        for (struct list *it = members->next; it != members && count < limit; it = it->next)
            names[count++] = member_user(container_of(it, struct hub_member, link));
    }
    *ret_name_count = count;
    return room->users;
}

/* ---- the event ---- */

static void write_names(struct json_writer *w, const struct hub_room *room, enum member_news news, uint64_t limit)
{
    const struct list *members = &room->members[news];
    uint64_t named = 0;

    json_write_array_begin(w);
    for (struct list *it = members->next; it != members && named < limit; it = it->next, named++)
        json_write_string(w, member_user(container_of(it, struct hub_member, link)));
    json_write_array_end(w);
}

static void event_write(const struct hub *h, const struct hub_room *room, uint64_t count, struct buffer *out)
{
    uint64_t names = (uint64_t)h->config.online_names;
    uint64_t joined = room->joined < names ? room->joined : names;
    uint64_t left = room->left < names - joined ? room->left : names - joined;
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, "count", count);
    json_write_name(&w, "joined");
    write_names(&w, room, MEMBER_JOINED, joined);
    json_write_name(&w, "left");
    write_names(&w, room, MEMBER_LEFT, left);
    json_write_member_uint64(&w, "more", room->joined + room->left + room->unnamed - joined - left);
    json_write_object_end(&w);
}

static struct message *event_message(struct hub *h, struct hub_room *room, uint64_t count)
{
    char id[ID_TEXT_SIZE + 1];
    struct message fields = {
        .kind = MESSAGE_KIND_SIGNAL,
        .channel = hub_channel_name(room->channel),
        .time_ms = clock_realtime_ms(),
        .content_type = CONTENT_TYPE_ONLINE,
    };
    base_cleanup(buffer_deinit)
    struct buffer data = {0};

    id_generate(id);
    fields.id = slice_from(id);
    event_write(h, room, count, &data);
    if (buffer_error(&data))
        return NULL;
    fields.data = buffer_slice(&data);
    return message_copy(&fields);
}

static void on_signal_out(struct bus_publication *p, int result base_unused)
{
    struct room_signal *signal = container_of(p, struct room_signal, publication);

    /* Not repeated: the next event of the room has the right number again. */
    message_unref(p->message);
    free(signal);
}

void hub_room_hear(struct hub_room *room, const struct message *m)
{
    struct json_reader reader;
    struct json_value value;
    struct slice name;
    int64_t count;

    if (!slice_equal(m->content_type, CONTENT_TYPE_ONLINE))
        return;
    json_reader_init(&reader, m->data, 4);
    if (json_reader_enter_object(&reader))
        return;
    while (json_reader_member(&reader, &name, &value) == JSON_OK) {
        if (!json_string_equal(name, "count") || value.type != JSON_NUMBER ||
            !json_number_int64(value, 0, INT64_MAX, &count))
            continue;
        room->heard = (uint64_t)count;
        room->has_heard = true;
        return;
    }
}

/** Publishes the event and forgets what it told. 0, BUS_E_*, -ENOMEM. */
static int event_publish(struct hub *h, struct hub_room *room, uint64_t count)
{
    struct room_signal *signal = calloc(1, sizeof(*signal));
    int result;

    if (!signal)
        return -ENOMEM;
    signal->publication.route = BUS_ROUTE_FANOUT;
    signal->publication.done = on_signal_out;
    signal->publication.message = event_message(h, room, count);
    result = signal->publication.message ? bus_publish(h->bus, &signal->publication) : -ENOMEM;
    if (result) {
        message_unref(signal->publication.message);
        free(signal);
        return result;
    }
    hub_count(h, HUB_METRIC_ONLINE_EVENTS, 1);
    room_forget_news(h, room);
    return 0;
}

/* ---- flushes ---- */

static void flush_end(struct room_flush *f, bool is_done)
{
    struct hub *h = f->hub;
    struct hub_room *room = f->room;
    bool wants_event = f->wants_event, is_published = f->is_published;

    free(f->texts);
    free(f);
    h->flushes--;
    room->is_flushing = false;
    if (!is_done) {
        room_changed(h, room, wants_event);
    } else if (is_published && room->users && !room->wants_event) {
        room_changed(h, room, true);
        room->is_checking = true;
    }
    hub_channel_release(h, room->channel);
    if (is_done)
        hub_presence_run(h);
    else
        dirty_arm(h);
}

static void on_flush_put(struct store_room_put *put, int result)
{
    struct room_flush *f = container_of(put, struct room_flush, put);

    f->put_result = result;
    if (!result && !put->connections)
        f->room->is_stated = false;
    if (!f->wants_event)
        flush_end(f, result == 0);
}

static void on_flush_read(struct store_room_read *read, int result, const struct store_room_part *parts, size_t count)
{
    struct room_flush *f = container_of(read, struct room_flush, read);
    uint64_t users = f->room->users;

    if (!result)
        result = f->put_result;
    for (size_t i = 0; i < count && !result; i++) {
        if (!slice_equal_text(parts[i].node, f->hub->identity.node))
            users += parts[i].users;
    }
    f->is_published = !f->is_check || !f->room->has_heard || f->room->heard != users;
    if (!result && f->is_published)
        result = f->hub->is_stopped ? BUS_E_UNAVAILABLE : event_publish(f->hub, f->room, users);
    if (result < 0)
        hub_note_out_of_memory(f->hub, "an online event");
    flush_end(f, result == 0);
}

static struct room_flush *flush_new(struct hub *h, struct hub_room *room)
{
    size_t limit = (size_t)h->config.roster_names, bytes = 0, count = 0;
    struct room_flush *f;
    char *texts;

    if (limit > room->users)
        limit = (size_t)room->users;
    f = calloc(1, sizeof(*f) + limit * sizeof(f->names[0]));
    if (!f)
        return NULL;
    (void)hub_room_users(room, f->names, limit, &count);
    for (size_t i = 0; i < count; i++)
        bytes += f->names[i].size;
    f->texts = texts = malloc(bytes + 1);
    if (!texts) {
        free(f);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(texts, f->names[i].data, f->names[i].size);
        f->names[i].data = texts;
        texts += f->names[i].size;
    }
    f->put.names = f->names;
    f->put.name_count = count;
    return f;
}

/** States a dirty room; what changes from here on makes it dirty anew. */
static int flush_start(struct hub *h, struct hub_room *room)
{
    struct room_flush *f = flush_new(h, room);
    struct slice name;

    if (!f)
        return -ENOMEM;
    (void)channel_parse(hub_channel_name(room->channel), &name);
    memcpy(f->name, name.data, name.size);
    name.data = f->name;
    f->hub = h;
    f->room = room;
    f->wants_event = room->wants_event;
    f->is_check = room->is_checking;
    room->is_checking = false;
    f->put.room = f->read.room = name;
    f->put.connections = room->connections;
    f->put.users = room->users;
    f->put.done = on_flush_put;
    f->read.done = on_flush_read;
    room->is_flushing = room->is_stated = true;
    h->flushes++;
    hub_channel_hold(room->channel);
    room_clean(h, room);
    store_room_put(h->store, &f->put);
    if (f->wants_event)
        store_room_read(h->store, &f->read);
    return 0;
}

void hub_presence_run(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    while (!list_is_empty(&h->dirty) && h->may_state && !h->is_stopped && h->flushes < HUB_FLUSHES_MAX) {
        struct hub_room *room = container_of(h->dirty.next, struct hub_room, dirty_link);

        if (room->due_ms > now_ms)
            break;
        /* One statement of a room at a time; and without memory, later. */
        if (room->is_flushing || flush_start(h, room) < 0) {
            room->due_ms = now_ms + (uint64_t)h->config.online_interval_ms;
            list_remove(&room->dirty_link);
            list_append(&h->dirty, &room->dirty_link);
        }
    }
    dirty_arm(h);
}

static void on_presence_timer(void *userdata)
{
    hub_presence_run(userdata);
}

void hub_presence_init(struct hub *h)
{
    h->members = TABLE_OF(member_key);
}

void hub_presence_start(struct hub *h)
{
    loop_timer_init(&h->presence_timer, h->loop, on_presence_timer, h);
}

void hub_presence_restate(struct hub *h, bool with_event)
{
    list_for_each_safe (it, &h->rooms)
        room_changed(h, container_of(it, struct hub_room, link), with_event);
}

void hub_presence_stop(struct hub *h)
{
    loop_timer_deinit(&h->presence_timer);
    list_for_each_safe (it, &h->dirty) {
        struct hub_room *room = container_of(it, struct hub_room, dirty_link);

        room_forget_news(h, room);
        room_clean(h, room);
    }
}

int hub_room_new(struct hub *h, struct hub_channel *c)
{
    struct hub_room *room = calloc(1, sizeof(*room));

    if (!room)
        return -ENOMEM;
    room->channel = c;
    list_init(&room->dirty_link);
    for (size_t i = 0; i < MEMBER_NEWS; i++)
        list_init(&room->members[i]);
    list_append(&h->rooms, &room->link);
    c->room = room;
    return 0;
}

void hub_room_free(struct hub *h base_unused, struct hub_room *room)
{
    for (size_t i = 0; i < MEMBER_NEWS; i++)
        assert(list_is_empty(&room->members[i]));
    assert(!room->is_dirty && !room->is_flushing && !room->users && !room->connections);
    list_remove(&room->link);
    free(room);
}
