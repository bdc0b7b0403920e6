/*
 * The online event: a room's count, who came and went, and how many more.
 *
 * Names are gathered as the store learns of them, until the store gives leave to tell; no more of them than an event
 * has. Who came and went in between is named in neither list.
 */
#include "hub/room_internal.h"

#include "base/json.h"

#define CONTENT_TYPE_ONLINE SLICE_LITERAL("application/vnd.warren.online+json")

static void name_drop(struct hub_room *room, struct hub_name *name)
{
    list_remove(&name->link);
    room->untold_count--;
    free(name);
}

void hub_online_note(struct hub *h, struct hub_room *room, struct slice text, bool has_left)
{
    struct hub_name *name;

    list_for_each_safe (it, &room->untold) {
        name = container_of(it, struct hub_name, link);
        if (slice_equal(slice_make(name->text, name->size), text) && name->has_left != has_left) {
            name_drop(room, name);
            return;
        }
    }
    name = room->untold_count < (uint64_t)h->config.online_names ? malloc(sizeof(*name) + text.size) : NULL;
    if (!name) { /* no memory is no reason to tell a wrong number */
        room->untold_more++;
        return;
    }
    name->has_left = has_left;
    name->size = (uint8_t)text.size;
    memcpy(name->text, text.data, text.size);
    list_append(&room->untold, &name->link);
    room->untold_count++;
}

static void write_names(struct json_writer *w, const struct hub_room *room, bool has_left)
{
    json_write_array_begin(w);
    list_for_each (it, &room->untold) {
        const struct hub_name *name = container_of(it, const struct hub_name, link);

        if (name->has_left == has_left)
            json_write_string(w, slice_make(name->text, name->size));
    }
    json_write_array_end(w);
}

void hub_online_forget(struct hub_room *room)
{
    list_for_each_safe (it, &room->untold)
        name_drop(room, container_of(it, struct hub_name, link));
    room->untold_more = 0;
}

int hub_online_publish(struct hub *h, struct hub_room *room)
{
    base_cleanup(buffer_deinit)
    struct buffer data = {0};
    struct json_writer w;
    int result;

    json_writer_init(&w, &data);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, "count", room->all_users);
    json_write_name(&w, "joined");
    write_names(&w, room, false);
    json_write_name(&w, "left");
    write_names(&w, room, true);
    json_write_member_uint64(&w, "more", room->untold_more);
    json_write_object_end(&w);
    if (buffer_error(&data))
        return -ENOMEM;
    result = hub_room_signal(h, room, CONTENT_TYPE_ONLINE, buffer_slice(&data));
    if (result)
        return result;
    hub_count(h, HUB_METRIC_ONLINE_EVENTS, 1);
    hub_online_forget(room);
    room->must_tell = false;
    return 0;
}

void hub_online_hear(struct hub_room *room, const struct message *m)
{
    uint64_t count;

    if (!slice_equal(m->content_type, CONTENT_TYPE_ONLINE) || !hub_signal_number(m->data, "count", &count))
        return;
    room->heard = room->all_users = count;
    room->users_then = room->users_stated; /* who came since is in nobody's count */
    room->has_heard = true;
}
