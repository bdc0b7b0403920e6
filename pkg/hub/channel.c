/*
 * Channels that somebody here listens to, and the way from a channel to the ports.
 *
 * The hub counts listeners per port, no more: who they are the port knows, which keeps them in the channel's local of
 * that port. A channel lives while it has listeners or something holds it (a message on its way to it, a presence count
 * that the store has not heard): what a port was told of it (the local, the name) stays good until the port's last
 * leave has come here and its last batch is back.
 */
#include "hub/client_internal.h"
#include "hub/intake_internal.h"
#include "hub/likes_internal.h"
#include "hub/port_internal.h"
#include "hub/room_internal.h"
#include "hub/sequence_internal.h"

static struct slice channel_key(const void *object)
{
    return hub_channel_name(object);
}

void hub_channels_init(struct hub *h)
{
    h->channels = TABLE_OF(channel_key);
}

struct hub_channel *hub_channel_find(struct hub *h, struct slice name)
{
    if (slice_equal(name, CHANNEL_ALL))
        return h->all;
    return table_find(&h->channels, name);
}

static size_t channel_size(size_t name_size)
{
    return sizeof(struct hub_channel) + name_size;
}

/** All of it but what belongs to others. NULL when out of memory. */
static struct hub_channel *channel_alloc(struct hub *h, struct slice name, enum channel_kind kind)
{
    struct hub_channel *c = slab_calloc(&h->slab, channel_size(name.size));

    assert(name.size <= CHANNEL_MAX_BYTES);
    if (!c)
        return NULL;
    c->kind = (uint8_t)kind;
    c->rule = hub_rule_find(h, name);
    c->name_size = (uint8_t)name.size;
    memcpy(c->name, name.data, name.size);
    return c;
}

int hub_channel_new_all(struct hub *h)
{
    assert(!h->all);
    h->all = channel_alloc(h, CHANNEL_ALL, CHANNEL_KIND_ALL);
    if (!h->all)
        return -ENOMEM;
    return h->all->rule->is_sequenced ? hub_sequence_new(h, h->all) : 0;
}

struct hub_channel *hub_channel_free_all(struct hub *h)
{
    if (h->all) {
        assert(!h->all->holds && !h->all->listener_count);
        hub_sequence_free(h, h->all->sequence);
    }
    if (h->all)
        slab_free(&h->slab, h->all, channel_size(h->all->name_size));
    return NULL;
}

static void channel_free(struct hub *h, struct hub_channel *c)
{
    table_remove(&h->channels, c);
    h->channel_count--;
    while (c->local.next) {
        struct hub_local *local = c->local.next;

        assert(!local->count && !local->capacity);
        c->local.next = local->next;
        free(local);
    }
    assert(!c->local.count && !c->local.capacity);
    if (c->room) {
        hub_room_free(h, c->room);
        h->room_count--;
    }
    c->sequence = hub_sequence_free(h, c->sequence);
    hub_gauge(h, HUB_METRIC_CHANNELS, h->channel_count);
    hub_gauge(h, HUB_METRIC_ROOMS, h->room_count);
    slab_free(&h->slab, c, channel_size(c->name_size));
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
    result = table_add(&h->channels, c);
    if (result) {
        slab_free(&h->slab, c, channel_size(c->name_size));
        return result;
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
    if (c->rule->is_sequenced && hub_sequence_new(h, c) < 0) {
        channel_free(h, c);
        return -ENOMEM;
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

/** The channel's local of a port, made if there is none; NULL when out of memory. */
static struct hub_local *channel_local(struct hub_channel *c, uint16_t port_index)
{
    struct hub_local *last = &c->local;

    if (!c->listener_count && !c->local.count && !c->local.next)
        c->local.port_index = port_index; /* nobody's yet */
    for (struct hub_local *local = last; local; last = local, local = local->next) {
        if (local->port_index == port_index)
            return local;
    }
    last->next = calloc(1, sizeof(*last));
    if (last->next)
        last->next->port_index = port_index;
    return last->next;
}

int hub_channel_listen(struct hub *h, struct hub_subscription *s)
{
    struct slice name = slice_make(s->name, s->name_size);
    struct hub_channel *c = hub_channel_find(h, name);
    struct hub_local *local;
    int result = 0;

    if (!c) {
        result = channel_new(h, name, s->kind, &c);
        if (result)
            return result;
    }
    local = channel_local(c, s->client->port_index);
    if (!local || c->listener_count == UINT32_MAX)
        result = -ENOMEM;
    else if (c->room)
        result = hub_room_enter(h, c->room, hub_client_user(s->client));
    if (result) {
        channel_collect(h, c);
        return result;
    }
    local->listeners++;
    c->listener_count++;
    s->client->refs++;
    s->channel = c;
    s->local = local;
    return 0;
}

void hub_channel_unlisten(struct hub *h, struct hub_subscription *s)
{
    struct hub_channel *c = s->channel;

    assert(s->local->listeners > 0);
    s->local->listeners--;
    c->listener_count--;
    /* held, for leaving may make the room dirty and clean again */
    hub_channel_hold(c);
    if (c->room)
        hub_room_exit(h, c->room, hub_client_user(s->client));
    if (c->room && !c->listener_count)
        hub_likes_left(h, c->room);
    if (c->sequence && !c->listener_count)
        hub_sequence_idle(h, c->sequence);
    hub_channel_release(h, c);
    s->channel = NULL;
    hub_client_unref(h, s->client);
}

/** A batch has come back from its port. */
static void on_batch_back(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_batch *batch = container_of(task, struct hub_batch, letter.task);
    struct hub_door *door = &h->doors[batch->port->index];
    bool were_full = hub_doors_are_full(h);

    door->fans_out -= batch->count;
    door->bytes_out -= batch->bytes;
    for (size_t i = 0; i < batch->count; i++)
        hub_channel_release(h, batch->items[i].channel);
    free(batch);
    if (were_full && !h->is_stopped)
        hub_intake_run(h);
}

/** Whether the item may travel with others of its channel. */
static bool is_of_run(const struct hub_batch *batch, size_t index, const struct hub_local *local)
{
    return batch->items[index].local == local && batch->items[index].delivery == HUB_DELIVERY_MUST &&
           batch->items[index].message->kind == MESSAGE_KIND_MESSAGE;
}

/** Messages from @from on that are a run; 0 or 1: there is none. */
static size_t batch_run(const struct hub_batch *batch, size_t from, struct message *messages[HUB_RUN_MAX])
{
    const struct hub_local *local = batch->items[from].local;
    size_t count = 0, bytes = 0;

    if (!local || !batch->port->ops->run_done)
        return 0;
    for (size_t i = from; i < batch->count && count < HUB_RUN_MAX && is_of_run(batch, i, local); i++) {
        bytes += batch->items[i].message->data.size;
        if (bytes > HUB_RUN_BYTES)
            break;
        messages[count++] = batch->items[i].message;
    }
    return count;
}

/** The port's side of a batch: read it, and send it home. */
static void on_batch(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_batch *batch = container_of(task, struct hub_batch, letter.task);

    for (size_t i = 0, count; i < batch->count; i += count) {
        struct message *messages[HUB_RUN_MAX];

        count = batch_run(batch, i, messages);
        if (count > 1) {
            hub_port_deliver_run(batch->port, batch->items[i].local, messages, count);
            continue;
        }
        count = 1;
        hub_port_deliver(batch->port, batch->items[i].local, batch->items[i].message, batch->items[i].delivery);
    }
    for (size_t i = 0; i < batch->count; i++)
        message_unref(batch->items[i].message);
    hub_letter_to_hub(h, &batch->letter, on_batch_back);
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

/** @local: NULL for all sessions of the door's port. */
static int door_add(struct hub *h, struct hub_door *door, struct hub_channel *c, struct hub_local *local,
                    struct message *m)
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
    hub_channel_hold(c);
    batch->items[batch->count].channel = c;
    batch->items[batch->count].local = local;
    batch->items[batch->count].message = message_ref(m);
    batch->items[batch->count].delivery = delivery_of(c, m);
    batch->count++;
    batch->bytes += m->data.size;
    hub_count(h, HUB_METRIC_FANS, 1);
    if (batch->count == HUB_BATCH_MAX)
        hub_door_flush(h, door);
    return 0;
}

static int fan_all(struct hub *h, struct message *m)
{
    int result = 0;

    for (size_t i = 0; i < h->door_count; i++) {
        if (h->doors[i].sessions > 0 && door_add(h, &h->doors[i], h->all, NULL, m) < 0)
            result = -ENOMEM;
    }
    return result;
}

int hub_channel_fan(struct hub *h, struct hub_channel *c, struct message *m)
{
    int result = 0;

    if (c == h->all)
        return fan_all(h, m);
    for (struct hub_local *local = &c->local; local; local = local->next) {
        if (local->listeners > 0 && door_add(h, &h->doors[local->port_index], c, local, m) < 0)
            result = -ENOMEM;
    }
    return result;
}
