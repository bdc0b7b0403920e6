/*
 * What a newcomer is told of a room: how many users there are, and likes.
 *
 * A node with a listener knows both from statements and signals. The first listener of a room waits for the store; so
 * do those who come meanwhile, and all share one read. With the store away nobody waits: then it is not told.
 */
#include "hub/likes_internal.h"
#include "hub/request_internal.h"
#include "hub/room_internal.h"

struct hub_room_ask {
    struct store_room_read read;
    struct hub *hub;
    struct hub_room *room; /* its channel is held */
    struct list requests;
    char name[NAME_MAX_BYTES];
};

static void on_read(struct store_room_read *read, int result, const struct store_room *answer)
{
    struct hub_room_ask *ask = container_of(read, struct hub_room_ask, read);
    struct hub_room *room = ask->room;
    struct hub *h = ask->hub;

    room->ask = NULL;
    /* What came meanwhile is newer, and has those in it who were here already. */
    if (!result && !room->is_known) {
        room->all_users = answer->users;
        room->users_then = 0;
        for (size_t i = 0; i < answer->part_count; i++) {
            if (slice_equal_text(answer->parts[i].node, h->identity.node))
                room->users_then = answer->parts[i].users;
        }
        room->users_stated = room->users_then;
        hub_likes_learn(room, answer->likes);
        room->is_known = true;
    }
    for (struct list *it; (it = list_pop(&ask->requests));) {
        struct hub_request *r = container_of(it, struct hub_request, listen.state_link);

        r->listen.is_stated = true;
        hub_join_retry(h, r);
    }
    hub_channel_release(h, room->channel);
    free(ask);
}

/** Without memory nobody waits. */
static struct hub_room_ask *ask_new(struct hub *h, struct hub_room *room)
{
    struct hub_room_ask *ask = calloc(1, sizeof(*ask));
    struct slice name;

    if (!ask)
        return NULL;
    (void)channel_parse(hub_channel_name(room->channel), &name);
    memcpy(ask->name, name.data, name.size);
    ask->hub = h;
    ask->room = room;
    list_init(&ask->requests);
    hub_channel_hold(room->channel);
    ask->read = (struct store_room_read){
        .room = slice_make(ask->name, name.size),
        .mode = hub_room_presence(room) == HUB_PRESENCE_USERS ? STORE_ROOM_USERS : STORE_ROOM_CONNECTIONS,
        .done = on_read,
    };
    room->ask = ask;
    store_room_read(h->store, &ask->read);
    return ask;
}

bool hub_state_is_ready(struct hub *h, struct hub_request *r, struct hub_room *room)
{
    struct hub_room_ask *ask = room->ask;

    if (room->is_known || r->listen.is_stated || h->is_stopped)
        return true;
    if (list_is_linked(&r->listen.state_link))
        return false;
    if (!ask && (!h->may_state || !(ask = ask_new(h, room)))) {
        r->listen.is_stated = true;
        return true;
    }
    list_append(&ask->requests, &r->listen.state_link);
    return false;
}

void hub_state_fill(struct hub_room *room, struct hub_join *j)
{
    j->has_state = room->is_known;
    j->has_online = hub_room_presence(room) != HUB_PRESENCE_OFF;
    j->online = hub_room_count(room);
    j->likes = hub_likes_for_newcomer(room);
}
