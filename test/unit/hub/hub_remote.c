#include "hub_remote.h"

#include <string.h>

struct remote {
    struct store_append request;
    struct store_position position;
    bool is_done;
};

static void on_remote(struct store_append *r, int result, const struct slice *nodes base_unused,
                      size_t count base_unused)
{
    struct remote *remote = container_of(r, struct remote, request);

    assert_int_equal(result, 0);
    remote->position = r->position;
    remote->is_done = true;
}

struct message world_remote_fields(const char *id)
{
    return (struct message){
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = SLICE_LITERAL(WORLD_ROOM),
        .id = slice_from(id),
        .time_ms = 1,
        .content_type = CONTENT_TYPE_TEXT,
        .data = slice_from(id),
    };
}

struct store_position world_remote_append(struct world *w, const char *id)
{
    const struct store_log_limits limits = {.length = 1000, .bytes = 1 << 20, .age_ms = 600000};
    struct message m = world_remote_fields(id);
    struct remote remote = {0};
    base_cleanup(buffer_deinit)
    struct buffer record = {0};

    bus_body_begin(&record, 1);
    bus_body_append(&record, &m);
    assert_int_equal(buffer_error(&record), 0);
    remote.request = (struct store_append){
        .channel = m.channel,
        .sender = SLICE_LITERAL("remote"),
        .key = m.id,
        .key_age_ms = 60000,
        .record = buffer_slice(&record),
        .limits = &limits,
        .done = on_remote,
    };
    store_append(w->store.inner, &remote.request);
    while (!remote.is_done)
        world_turn(w->hub_loop);
    return remote.position;
}

void world_remote_arrives(struct world *w, const char *id, struct store_position position)
{
    struct message m = world_remote_fields(id);
    base_cleanup(buffer_deinit)
    struct buffer body = {0};

    m.epoch = position.epoch;
    m.offset = position.offset;
    bus_body_begin(&body, 1);
    bus_body_append(&body, &m);
    assert_int_equal(buffer_error(&body), 0);
    world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
}

void world_sweep(struct world *w)
{
    const struct bus_status status = {.state = BUS_STATE_READY};

    w->bus.base.callbacks.on_state(w->bus.base.callbacks.userdata, &status);
}

void world_open_sequenced(struct world *w)
{
    world_init(w);
    w->is_sequenced = true;
    w->config.online_interval_ms = 600000;
    world_open(w);
}
