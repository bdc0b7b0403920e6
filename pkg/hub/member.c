/*
 * The users of a room on this node, and what of each the store has not been told.
 *
 * A member has news for the store: joined, left, or none; by these it stands in one of its room's lists. A statement
 * takes the news that there are (is_put); what happens to such a member before the answer is news again, for the next
 * statement.
 */
#include "hub/room_internal.h"

#define KEY_MAX_BYTES (sizeof(struct hub_room *) + NAME_MAX_BYTES)

static struct slice member_key(const void *object)
{
    const struct hub_member *m = object;

    return slice_make(&m->room, sizeof(struct hub_room *) + m->user_size);
}

struct hub_member *hub_member_find(struct hub *h, const struct hub_room *room, struct slice user)
{
    char key[KEY_MAX_BYTES];

    assert(user.size <= NAME_MAX_BYTES);
    memcpy(key, &room, sizeof(struct hub_room *));
    memcpy(key + sizeof(struct hub_room *), user.data, user.size);
    return table_find(&h->members, slice_make(key, sizeof(struct hub_room *) + user.size));
}

struct hub_member *hub_member_new(struct hub *h, struct hub_room *room, struct slice user)
{
    struct hub_member *m = slab_calloc(&h->slab, sizeof(*m) + user.size);

    if (!m)
        return NULL;
    m->room = room;
    m->user_size = (uint8_t)user.size;
    memcpy(m->user, user.data, user.size);
    if (table_add(&h->members, m) < 0) {
        slab_free(&h->slab, m, sizeof(*m) + user.size);
        return NULL;
    }
    list_init(&m->link);
    list_append(&room->members[MEMBER_NO_NEWS], &m->link);
    return m;
}

void hub_member_set_news(struct hub *h, struct hub_member *m, enum member_news news)
{
    struct hub_room *room = m->room;

    room->joined -= m->news == MEMBER_JOINED;
    room->left -= m->news == MEMBER_LEFT;
    h->left_members -= m->news == MEMBER_LEFT;
    room->joined += news == MEMBER_JOINED;
    room->left += news == MEMBER_LEFT;
    h->left_members += news == MEMBER_LEFT;
    m->news = (uint8_t)news;
    m->is_put = false;
    list_remove(&m->link);
    list_append(&room->members[news], &m->link);
}

void hub_member_free(struct hub *h, struct hub_member *m)
{
    hub_member_set_news(h, m, MEMBER_NO_NEWS);
    table_remove(&h->members, m);
    list_remove(&m->link);
    slab_free(&h->slab, m, sizeof(*m) + m->user_size);
}

void hub_members_forget(struct hub *h, struct hub_room *room)
{
    list_for_each_safe (it, &room->members[MEMBER_JOINED])
        hub_member_set_news(h, hub_member_from(it), MEMBER_NO_NEWS);
    list_for_each_safe (it, &room->members[MEMBER_LEFT])
        hub_member_free(h, hub_member_from(it));
    room->more = 0;
    hub_online_forget(room);
}

void hub_member_leave(struct hub *h, struct hub_room *room, struct hub_member *m)
{
    if (m->news == MEMBER_JOINED && !m->is_put) { /* the store never heard of it */
        hub_member_free(h, m);
        return;
    }
    hub_member_set_news(h, m, MEMBER_LEFT);
    if (h->left_members <= HUB_LEFT_MEMBERS_MAX)
        return;
    room->more++;
    room->is_behind = true;
    hub_member_free(h, m);
}

void hub_members_init(struct hub *h)
{
    h->members = TABLE_OF(member_key);
}
