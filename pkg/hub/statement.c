/*
 * Statements: what changed in a room goes to the store, which answers what all nodes together know.
 *
 * One statement of a room is under way at a time: one request, or several when there are many names. When an answer
 * fails it is unknown what the store has: the next statement says everything.
 */
#include "hub/room_internal.h"

/** One statement of a room: one request, or several when there are many names. */
struct room_flush {
    struct hub *hub;
    struct hub_room *room;
    uint64_t more; /* joins and leaves without a name */
    bool wants_event, has_failed, is_behind;
    size_t put_count, answered;
    struct store_room_put *puts;
    struct slice *names; /* those who joined, then (of a first statement) all others, else those who left */
    bool *is_news;       /* of these */
    size_t joined_count, left_count;
    char room_name[NAME_MAX_BYTES];
    char mirror[HUB_MIRROR_MAX_BYTES], likes_mirror[HUB_MIRROR_MAX_BYTES];
};

static enum store_room_mode mode_of(const struct hub_room *room)
{
    if (hub_room_presence(room) == HUB_PRESENCE_CONNECTIONS)
        return STORE_ROOM_CONNECTIONS;
    return room->channel->rule->has_roster ? STORE_ROOM_ROSTER : STORE_ROOM_USERS;
}

static void flush_free(struct room_flush *f)
{
    free(f->puts);
    free(f->names);
    free(f->is_news);
    free(f);
}

static void note(struct room_flush *f, struct slice name, bool has_left)
{
    if (f->room->channel->rule->has_roster)
        hub_online_note(f->hub, f->room, name, has_left);
    else
        f->room->untold_more++;
}

/** The store has what was stated; who came or went, as far as the user is on no other node, is to be told. */
static void flush_commit(struct room_flush *f)
{
    const struct store_room_put *last = &f->puts[f->put_count - 1];
    bool is_first = f->puts[0].is_first;
    struct hub_room *room = f->room;

    for (size_t i = 0; i < f->joined_count; i++) {
        if (f->is_news[i])
            note(f, f->names[i], false);
    }
    for (size_t i = f->joined_count; i < f->joined_count + f->left_count; i++) {
        if (f->is_news[i])
            note(f, f->names[i], true);
    }
    list_for_each_safe (it, &room->members[MEMBER_JOINED]) {
        if (hub_member_from(it)->is_put)
            hub_member_set_news(f->hub, hub_member_from(it), MEMBER_NO_NEWS);
    }
    list_for_each_safe (it, &room->members[MEMBER_LEFT]) {
        struct hub_member *m = hub_member_from(it);

        if (!m->is_put)
            continue;
        if (is_first) /* they were not among the names; nobody knows whether they are elsewhere */
            note(f, hub_member_user(m), true);
        hub_member_free(f->hub, m);
    }
    room->untold_more += f->more;
    room->all_users = last->all_users;
    room->users_then = room->users_stated = last->users;
    room->is_known = true;
    if (!last->connections)
        room->is_stated = false;
}

/** It is unknown what the store has: all news are news still, and everything is to be stated. */
static void flush_revoke(struct room_flush *f)
{
    struct hub_room *room = f->room;

    for (enum member_news news = MEMBER_JOINED; news <= MEMBER_LEFT; news++) {
        list_for_each (it, &room->members[news])
            hub_member_from(it)->is_put = false;
    }
    room->more += f->more;
    room->is_behind = true;
}

/** Tells the room what there is to tell. The room is dirty again if that has to be tried again; or to look once more: a
 * signal may be lost, which shows in that it was not heard. */
static void tell(struct hub *h, struct hub_room *room, const struct store_room_put *put)
{
    bool has_news = room->untold_count || room->untold_more || room->must_tell || !room->has_heard ||
                    room->heard != room->all_users;
    int result;

    if (!has_news || !room->all_users)
        return;
    if (!put->may_tell) {
        hub_room_changed_in(h, room, true, put->wait_ms);
        return;
    }
    result = h->is_stopped ? BUS_E_UNAVAILABLE : hub_online_publish(h, room);
    if (result == -ENOMEM)
        hub_note_out_of_memory(h, "an online event");
    if (result || room->connections)
        hub_room_changed(h, room, result != 0);
}

static void flush_end(struct room_flush *f)
{
    struct hub *h = f->hub;
    struct hub_room *room = f->room;
    bool has_failed = f->has_failed || f->is_behind, is_behind = f->is_behind && !f->has_failed;

    h->flushes--;
    room->is_flushing = false;
    if (has_failed) {
        flush_revoke(f);
        hub_room_changed(h, room, f->wants_event);
    } else {
        flush_commit(f);
        tell(h, room, &f->puts[f->put_count - 1]);
    }
    if (is_behind)
        hub_room_hurry(h, room);
    if (!room->connections && !room->is_dirty)
        hub_members_forget(h, room);
    flush_free(f);
    hub_channel_release(h, room->channel);
    if (has_failed)
        hub_presence_arm(h);
    else
        hub_presence_run(h);
}

static void on_put(struct store_room_put *put, int result)
{
    struct room_flush *f = put->userdata;

    f->has_failed |= result != 0;
    f->is_behind |= !result && put->is_behind;
    if (++f->answered == f->put_count)
        flush_end(f);
}

/** Lays out the requests: as many as the names need, one at least. */
static int flush_divide(struct room_flush *f, size_t joined, size_t left, bool is_first)
{
    struct hub_room *room = f->room;
    size_t total = joined + left, done = 0;
    struct slice name;

    (void)channel_parse(hub_channel_name(room->channel), &name);
    memcpy(f->room_name, name.data, name.size);
    name.data = f->room_name;
    f->put_count = total ? (total + STORE_ROOM_NAMES_MAX - 1) / STORE_ROOM_NAMES_MAX : 1;
    f->puts = calloc(f->put_count, sizeof(*f->puts));
    if (!f->puts)
        return -ENOMEM;
    for (size_t i = 0; i < f->put_count; i++) {
        size_t count = total - done < STORE_ROOM_NAMES_MAX ? total - done : STORE_ROOM_NAMES_MAX;
        size_t of_joined = done >= joined ? 0 : joined - done < count ? joined - done : count;

        f->puts[i] = (struct store_room_put){
            .room = name,
            .mode = mode_of(room),
            .is_first = is_first && i == 0,
            .version = room->version + 1 + i,
            .connections = room->connections,
            .users = room->users,
            .joined = f->names + done,
            .joined_count = of_joined,
            .left = f->names + done + of_joined,
            .left_count = count - of_joined,
            .is_news = f->is_news + done,
            .mirror = room->mirror ? hub_mirror_key(room->mirror->online_key, name, f->mirror) : SLICE_NONE,
            .likes_mirror = room->mirror ? hub_mirror_key(room->mirror->likes_key, name, f->likes_mirror) : SLICE_NONE,
            .tell_interval_ms = (uint64_t)f->hub->config.online_interval_ms,
            .userdata = f,
            .done = on_put,
        };
        done += count;
    }
    f->puts[f->put_count - 1].wants_to_tell = f->wants_event;
    room->version += f->put_count;
    return 0;
}

/** A copy of the members' names: they may be gone before the answer is there. */
static size_t copy_names(const struct list *members, struct slice *names, char **texts)
{
    size_t count = 0;

    for (struct list *it = members->next; it != members; it = it->next) {
        struct slice user = hub_member_user(hub_member_from(it));

        memcpy(*texts, user.data, user.size);
        names[count++] = slice_make(*texts, user.size);
        *texts += user.size;
    }
    return count;
}

static size_t names_bytes(const struct list *members, size_t *count)
{
    size_t bytes = 0;

    for (struct list *it = members->next; it != members; it = it->next) {
        bytes += hub_member_from(it)->user_size;
        ++*count;
    }
    return bytes;
}

static struct room_flush *flush_new(struct hub *h, struct hub_room *room)
{
    bool is_first = room->is_behind || !room->is_stated;
    struct list *members = room->members;
    struct room_flush *f = calloc(1, sizeof(*f));
    size_t count = 0, joined = 0, left = 0, bytes;
    char *texts;

    if (!f)
        return NULL;
    f->hub = h;
    f->room = room;
    f->wants_event = room->wants_event;
    bytes = names_bytes(&members[MEMBER_JOINED], &count);
    bytes += names_bytes(&members[is_first ? MEMBER_NO_NEWS : MEMBER_LEFT], &count);
    f->names = malloc(count * sizeof(*f->names) + bytes + 1);
    f->is_news = calloc(count + 1, sizeof(*f->is_news));
    if (!f->names || !f->is_news) {
        flush_free(f);
        return NULL;
    }
    texts = (char *)(f->names + count);
    f->joined_count = joined = copy_names(&members[MEMBER_JOINED], f->names, &texts);
    if (is_first)
        joined += copy_names(&members[MEMBER_NO_NEWS], f->names + joined, &texts);
    else
        f->left_count = left = copy_names(&members[MEMBER_LEFT], f->names + joined, &texts);
    if (flush_divide(f, joined, left, is_first) < 0) {
        flush_free(f);
        return NULL;
    }
    return f;
}

int hub_statement_start(struct hub *h, struct hub_room *room)
{
    struct room_flush *f = flush_new(h, room);
    size_t put_count;

    if (!f)
        return -ENOMEM;
    for (enum member_news news = MEMBER_JOINED; news <= MEMBER_LEFT; news++) {
        list_for_each (it, &room->members[news])
            hub_member_from(it)->is_put = true;
    }
    f->more = room->more;
    room->more = 0;
    room->is_behind = false;
    room->is_flushing = room->is_stated = true;
    h->flushes++;
    hub_channel_hold(room->channel);
    hub_room_clean(h, room);
    put_count = f->put_count;
    for (size_t i = 0; i < put_count; i++)
        store_room_put(h->store, &f->puts[i]);
    return 0;
}
