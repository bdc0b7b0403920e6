/*
 * Channels that somebody here listens to, and the way from a channel to the ports.
 *
 * The hub counts listeners per port, no more: who they are the port knows. A channel lives while it has listeners or
 * something holds it (a message on its way to it, a presence count that the store has not heard). Its id names it to
 * the ports and is never used again, so a batch that meets a channel's successor of the same name delivers nothing
 * wrong.
 */
#include "hub/port_internal.h"

struct hub_channel *hub_channel_find(struct hub *h, struct slice name)
{
    struct hub_channel *c = NULL;

    if (slice_equal(name, CHANNEL_ALL))
        return h->all;
    HASH_FIND(hh, h->channels, name.data, name.size, c);
    return c;
}

static struct hub_channel *channel_alloc(struct hub *h, struct slice name, enum channel_kind kind)
{
    size_t listeners_size = h->door_count * sizeof(uint32_t);
    struct hub_channel *c = calloc(1, sizeof(*c) + listeners_size + name.size);

    if (!c)
        return NULL;
    c->id = h->next_channel_id++;
    c->kind = kind;
    c->rule = hub_rule_find(h, name);
    c->listeners = (uint32_t *)(c + 1);
    c->name = (char *)(c + 1) + listeners_size;
    c->name_size = name.size;
    memcpy(c->name, name.data, name.size);
    return c;
}

int hub_channel_new_all(struct hub *h)
{
    assert(!h->all && h->next_channel_id == HUB_CHANNEL_ID_ALL);
    h->all = channel_alloc(h, CHANNEL_ALL, CHANNEL_KIND_ALL);
    return h->all ? 0 : -ENOMEM;
}

struct hub_channel *hub_channel_free_all(struct hub *h)
{
    if (h->all)
        assert(!h->all->holds && !h->all->listener_count);
    free(h->all);
    return NULL;
}

static void channel_free(struct hub *h, struct hub_channel *c)
{
    HASH_DEL(h->channels, c);
    h->channel_count--;
    if (c->room) {
        hub_room_free(h, c->room);
        h->room_count--;
    }
    hub_gauge(h, HUB_METRIC_CHANNELS, h->channel_count);
    hub_gauge(h, HUB_METRIC_ROOMS, h->room_count);
    free(c);
}

static int channel_new(struct hub *h, struct slice name, enum channel_kind kind, struct hub_channel **ret_channel)
{
    struct hub_channel *c;
    int result;

    if (h->channel_count >= (uint64_t)h->config.channels)
        return HUB_E_QUOTA;
    c = channel_alloc(h, name, kind);
    if (!c)
        return -ENOMEM;
    HASH_ADD_KEYPTR(hh, h->channels, c->name, (unsigned)c->name_size, c);
    if (!MAP_ADDED(c)) {
        free(c);
        return -ENOMEM;
    }
    h->channel_count++;
    if (kind == CHANNEL_KIND_ROOM) {
        result = hub_room_new(h, c);
        if (result) {
            channel_free(h, c);
            return result;
        }
        h->room_count++;
    }
    hub_gauge(h, HUB_METRIC_CHANNELS, h->channel_count);
    hub_gauge(h, HUB_METRIC_ROOMS, h->room_count);
    *ret_channel = c;
    return 0;
}

void hub_channel_hold(struct hub_channel *c)
{
    c->holds++;
}

static void channel_collect(struct hub *h, struct hub_channel *c)
{
    if (!c->holds && !c->listener_count && c->kind != CHANNEL_KIND_ALL)
        channel_free(h, c);
}

void hub_channel_release(struct hub *h, struct hub_channel *c)
{
    assert(c->holds > 0);
    c->holds--;
    channel_collect(h, c);
}

static struct slice client_user(const struct hub_client *c)
{
    return slice_make(c->names, c->user_size);
}

int hub_channel_listen(struct hub *h, struct hub_subscription *s)
{
    struct slice name = slice_make(s->name, s->name_size);
    struct hub_channel *c = hub_channel_find(h, name);
    int result;

    if (!c) {
        result = channel_new(h, name, s->kind, &c);
        if (result)
            return result;
    }
    if (c->room) {
        result = hub_room_enter(h, c->room, client_user(s->client));
        if (result) {
            channel_collect(h, c);
            return result;
        }
    }
    c->listeners[s->client->port_index]++;
    c->listener_count++;
    s->client->refs++;
    s->channel = c;
    s->channel_id = c->id;
    return 0;
}

void hub_channel_unlisten(struct hub *h, struct hub_subscription *s)
{
    struct hub_channel *c = s->channel;

    assert(c->listeners[s->client->port_index] > 0);
    c->listeners[s->client->port_index]--;
    c->listener_count--;
    /* held, for leaving may make the room dirty and clean again */
    hub_channel_hold(c);
    if (c->room)
        hub_room_exit(h, c->room, client_user(s->client));
    hub_channel_release(h, c);
    hub_client_unref(h, s->client);
    s->channel = NULL;
}

/** A batch has come back from its port. */
static void on_batch_back(struct hub_letter *letter)
{
    struct hub_batch *batch = container_of(letter, struct hub_batch, letter);
    struct hub *h = letter->hub;
    struct hub_door *door = &h->doors[batch->port->index];
    bool were_full = hub_doors_are_full(h);

    door->fans_out -= batch->count;
    door->bytes_out -= batch->bytes;
    free(batch);
    if (were_full && !h->is_stopped)
        hub_intake_run(h);
}

/** The port's side of a batch: read it, and send it home. */
static void on_batch(struct hub_letter *letter)
{
    struct hub_batch *batch = container_of(letter, struct hub_batch, letter);

    for (size_t i = 0; i < batch->count; i++) {
        hub_port_deliver(batch->port, batch->items[i].channel_id, batch->items[i].message, batch->items[i].delivery);
        message_unref(batch->items[i].message);
    }
    hub_letter_to_hub(batch->port->hub, &batch->letter, on_batch_back);
}

void hub_door_flush(struct hub *h base_unused, struct hub_door *door)
{
    struct hub_batch *batch = base_take(door->batch);

    if (!batch)
        return;
    door->fans_out += batch->count;
    door->bytes_out += batch->bytes;
    hub_letter_to_port(door->port, &batch->letter, on_batch);
}

bool hub_doors_are_full(const struct hub *h)
{
    for (size_t i = 0; i < h->door_count; i++) {
        if (h->doors[i].fans_out >= HUB_PORT_FANS_MAX || h->doors[i].bytes_out >= HUB_PORT_BYTES_MAX)
            return true;
    }
    return false;
}

static enum hub_delivery delivery_of(const struct hub_channel *c, const struct message *m)
{
    if (m->kind == MESSAGE_KIND_SIGNAL)
        return HUB_DELIVERY_LATEST;
    return m->kind == MESSAGE_KIND_RELAY ? HUB_DELIVERY_DROP_OLDEST : (enum hub_delivery)c->rule->delivery;
}

static int door_add(struct hub *h, struct hub_door *door, struct hub_channel *c, struct message *m)
{
    struct hub_batch *batch = door->batch;

    if (!batch) {
        batch = malloc(sizeof(*batch));
        if (!batch)
            return -ENOMEM;
        batch->port = door->port;
        batch->count = batch->bytes = 0;
        door->batch = batch;
        if (!h->is_stopped)
            loop_defer(h->loop, &h->turn_end);
    }
    batch->items[batch->count].channel_id = c->id;
    batch->items[batch->count].message = message_ref(m);
    batch->items[batch->count].delivery = delivery_of(c, m);
    batch->count++;
    batch->bytes += m->data.size;
    hub_count(h, HUB_METRIC_FANS, 1);
    if (batch->count == HUB_BATCH_MAX)
        hub_door_flush(h, door);
    return 0;
}

int hub_channel_fan(struct hub *h, struct hub_channel *c, struct message *m)
{
    int result = 0;

    for (size_t i = 0; i < h->door_count; i++) {
        if (c->listeners[i] > 0 && door_add(h, &h->doors[i], c, m) < 0)
            result = -ENOMEM;
    }
    return result;
}
