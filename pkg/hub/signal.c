/*
 * Signals of rooms, from node to node: a small JSON object on the room's channel, by fanout, neither kept nor repeated.
 */
#include "hub/room_internal.h"

#include "base/clock.h"
#include "base/json.h"

struct room_signal {
    struct bus_publication publication;
};

static void on_signal_out(struct bus_publication *p, int result base_unused)
{
    struct room_signal *signal = container_of(p, struct room_signal, publication);

    message_unref(p->message);
    free(signal);
}

int hub_room_signal(struct hub *h, struct hub_room *room, struct slice content_type, struct slice data)
{
    struct room_signal *signal = calloc(1, sizeof(*signal));
    char id[ID_TEXT_SIZE + 1];
    struct message fields = {
        .kind = MESSAGE_KIND_SIGNAL,
        .channel = hub_channel_name(room->channel),
        .time_ms = clock_realtime_ms(),
        .content_type = content_type,
        .data = data,
    };
    int result;

    if (!signal)
        return -ENOMEM;
    id_generate(id);
    fields.id = slice_from(id);
    signal->publication.route = BUS_ROUTE_FANOUT;
    signal->publication.done = on_signal_out;
    signal->publication.message = message_copy(&fields);
    result = signal->publication.message ? bus_publish(h->bus, &signal->publication) : -ENOMEM;
    if (result) {
        message_unref(signal->publication.message);
        free(signal);
    }
    return result;
}

bool hub_signal_number(struct slice data, const char *name, uint64_t *ret_number)
{
    struct json_reader reader;
    struct json_value value;
    struct slice member;
    int64_t number;

    json_reader_init(&reader, data, 4);
    if (json_reader_enter_object(&reader))
        return false;
    while (json_reader_member(&reader, &member, &value) == JSON_OK) {
        if (!json_string_equal(member, name) || value.type != JSON_NUMBER ||
            !json_number_int64(value, 0, INT64_MAX, &number))
            continue;
        *ret_number = (uint64_t)number;
        return true;
    }
    return false;
}
