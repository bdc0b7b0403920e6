/*
 * Sessions as the hub sees them: counted, subscribed, and stated to the store under their user.
 *
 * A statement (begun, ended) is absolute and idempotent, so it is enough to know who the store has not heard the last
 * word of: those are in hub->unstated, or in hub->put_off when the store refused it, the others in hub->settled, and
 * while a statement is under way a client is in none. Statements travel in batches, of what came within a short time
 * and of what waited for the batches before: their number follows the time and not the clients, also when all the
 * clients of another node come at once. What was refused waits for the next renewal of the lease, where others pass it
 * by. When the store came back, or the lease did, all are unstated again.
 */
#include "hub/client_internal.h"
#include "hub/request_internal.h"
#include "hub/room_internal.h"
#include "hub/sequence_internal.h"

#include "base/clock.h"

/** Statements under way: about clients, which are in the hub's books meanwhile. */
struct client_put {
    struct store_session_put put;
    struct hub *hub;
    struct store_session_item items[];
};

static size_t client_size(size_t subscriptions, size_t names_size)
{
    return sizeof(struct hub_client) + subscriptions * sizeof(struct hub_subscription) + names_size;
}

struct hub_client *hub_client_alloc(struct hub *h, size_t subscriptions, size_t names_size)
{
    struct hub_client *c;

    pthread_mutex_lock(&h->clients_mutex);
    c = slab_calloc(&h->clients, client_size(subscriptions, names_size));
    pthread_mutex_unlock(&h->clients_mutex);
    if (c)
        c->own_count = (uint8_t)subscriptions;
    return c;
}

void hub_client_free(struct hub *h, struct hub_client *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&h->clients_mutex);
    slab_free(&h->clients, c, client_size(c->own_count, (size_t)c->user_size + c->device_size));
    pthread_mutex_unlock(&h->clients_mutex);
}

void hub_client_unref(struct hub *h, struct hub_client *c)
{
    assert(c->refs > 0);
    if (--c->refs > 0)
        return;
    assert(!list_is_linked(&c->link));
    hub_client_free(h, c);
}

/** Takes the client out of the books of what is to be stated. */
static void client_forget(struct hub *h, struct hub_client *c)
{
    list_remove(&c->link);
    if (c->counts_ended)
        h->ended--;
    c->counts_ended = false;
    hub_client_unref(h, c);
}

/** In the end of the turn at the earliest: what else comes in it goes along. */
void hub_client_pump(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    if (!h->may_state || h->is_stopped || h->puts >= HUB_PUTS_MAX || list_is_empty(&h->unstated) ||
        loop_timer_is_pending(&h->put_timer))
        return;
    loop_timer_start(&h->put_timer, h->next_put_ms > now_ms ? h->next_put_ms - now_ms : 0);
}

/** Where a client that is not being stated belongs: @list, or no list. It bears the books' reference. */
static void client_place(struct hub *h, struct hub_client *c, struct list *list)
{
    if (!c->is_ended) {
        list_append(list, &c->link);
        return;
    }
    if (list == &h->settled || !c->is_stated || h->is_stopped || h->ended >= HUB_ENDED_MAX) {
        client_forget(h, c);
        return;
    }
    if (!c->counts_ended)
        h->ended++;
    c->counts_ended = true;
    list_append(list, &c->link);
}

static void on_client_put(struct hub *h, struct hub_client *c, bool was_end, int result)
{
    c->is_putting = false;
    if (!result && was_end)
        c->is_stated = false;
    if (result)
        client_place(h, c, &h->put_off);
    else /* told that it began, but it has ended meanwhile: tell that too */
        client_place(h, c, was_end == c->is_ended ? &h->settled : &h->unstated);
}

static void on_session_put(struct store_session_put *put, int result)
{
    struct client_put *batch = container_of(put, struct client_put, put);
    struct hub *h = batch->hub;

    h->puts--;
    for (size_t i = 0; i < put->count; i++) {
        const struct store_session_item *item = &put->items[i];

        on_client_put(h, item->userdata, item->is_end, result ? result : item->result);
    }
    free(batch);
    /* After a failure the next renewal of the lease goes on; at once would be a storm against a full queue. */
    if (!result)
        hub_client_pump(h);
}

static void client_take(struct hub *h, struct hub_client *c, struct store_session_item *item)
{
    list_remove(&c->link);
    if (c->counts_ended)
        h->ended--;
    c->counts_ended = false;
    c->is_putting = true;
    c->is_stated = true;
    *item = (struct store_session_item){.session = {.user = hub_client_user(c),
                                                    .session = slice_make(c->id, ID_TEXT_SIZE),
                                                    .device = hub_client_device(c),
                                                    .since_ms = c->since_ms},
                                        .is_end = c->is_ended,
                                        .userdata = c};
}

/** Sends the first of the unstated. Return: whether the batch was full; without memory they stay where they are, and
 * the next renewal of the lease goes on. */
static bool send_batch(struct hub *h)
{
    struct client_put *batch;
    size_t count = 0;

    list_for_each (it, &h->unstated) {
        if (++count == STORE_SESSIONS_PUT_MAX)
            break;
    }
    batch = malloc(sizeof(*batch) + count * sizeof(batch->items[0]));
    if (!batch)
        return false;
    for (size_t i = 0; i < count; i++)
        client_take(h, container_of(h->unstated.next, struct hub_client, link), &batch->items[i]);
    batch->hub = h;
    batch->put = (struct store_session_put){.items = batch->items, .count = count, .done = on_session_put};
    h->puts++;
    store_session_put(h->store, &batch->put);
    return count == STORE_SESSIONS_PUT_MAX;
}

static void on_put_timer(void *userdata)
{
    struct hub *h = userdata;
    bool is_full = true;

    while (is_full && h->may_state && !h->is_stopped && h->puts < HUB_PUTS_MAX && !list_is_empty(&h->unstated))
        is_full = send_batch(h);
    h->next_put_ms = is_full ? 0 : loop_now_ms(h->loop) + HUB_PUT_GATHER_MS;
}

void hub_client_retry(struct hub *h)
{
    list_splice(&h->unstated, &h->put_off);
    hub_client_pump(h);
}

void hub_client_restate(struct hub *h)
{
    list_splice(&h->unstated, &h->settled);
    hub_client_retry(h);
}

void hub_client_start(struct hub *h)
{
    loop_timer_init(&h->put_timer, h->loop, on_put_timer, h);
}

void hub_client_stop(struct hub *h)
{
    loop_timer_deinit(&h->put_timer);
    list_splice(&h->unstated, &h->put_off);
    /* The lease was released, which takes back all that was stated under it. */
    list_for_each_safe (it, &h->unstated) {
        struct hub_client *c = container_of(it, struct hub_client, link);

        if (c->is_ended)
            client_forget(h, c);
    }
}

static int client_subscribe(struct hub *h, struct hub_request *r)
{
    int result = 0;
    size_t done = 0;

    while (!result && done < BASE_ARRAY_SIZE(r->listen.subscriptions) && r->listen.subscriptions[done]) {
        result = hub_channel_listen(h, r->listen.subscriptions[done]);
        if (!result) {
            r->listen.joins[done].channel = r->listen.subscriptions[done]->channel;
            done++;
        }
    }
    r->listen.join_count = done;
    if (!result)
        return 0;
    while (done > 0)
        hub_channel_unlisten(h, r->listen.subscriptions[--done]);
    return result;
}

/** On this node: each listens to the inbox. */
static uint64_t user_sessions(struct hub *h, const struct hub_subscription *inbox)
{
    const struct hub_channel *c = hub_channel_find(h, slice_make(inbox->name, inbox->name_size));

    return c ? c->listener_count : 0;
}

void hub_client_handle_open(struct hub *h, struct hub_request *r)
{
    struct hub_client *c = r->listen.client;
    int result = h->is_stopped ? HUB_E_UNAVAILABLE : 0;
    struct hub_join *all;

    c->refs = 1;
    list_init(&c->link);
    if (!result && h->sessions >= (uint64_t)h->config.sessions)
        result = HUB_E_QUOTA;
    if (!result && user_sessions(h, r->listen.subscriptions[0]) >= (uint64_t)h->config.sessions_per_user)
        result = HUB_E_USER_QUOTA;
    if (!result)
        result = client_subscribe(h, r);
    if (result) {
        c->is_refused = true;
        hub_request_answer(h, r, result);
        return;
    }
    c->since_ms = clock_realtime_ms();
    c->refs++; /* the books' */
    list_append(&h->unstated, &c->link);
    h->sessions++;
    h->doors[c->port_index].sessions++;
    h->all->listener_count++;
    hub_gauge(h, HUB_METRIC_SESSIONS, h->sessions);
    if (r->listen.mirror && r->listen.joins[1].channel)
        r->listen.joins[1].channel->room->mirror = r->listen.mirror;
    all = &r->listen.joins[r->listen.join_count++];
    all->since = r->listen.joins[HUB_JOIN_ALL].since;
    all->channel = h->all;
    hub_join_begin(h, r);
    hub_client_pump(h);
}

void hub_client_handle_join(struct hub *h, struct hub_request *r)
{
    int result = h->is_stopped ? HUB_E_UNAVAILABLE : 0;

    if (!result && r->listen.client->is_refused)
        result = HUB_E_QUOTA;
    if (!result)
        result = client_subscribe(h, r);
    if (result)
        hub_request_answer(h, r, result);
    else
        hub_join_begin(h, r);
}

void hub_client_handle_rejoin(struct hub *h, struct hub_request *r)
{
    char storage[CHANNEL_MAX_BYTES];
    struct slice name = channel_format(CHANNEL_KIND_ROOM, slice_from(r->text), storage);

    struct hub_channel *c = hub_channel_find(h, name);

    if (c && c->sequence && c->sequence->status == HUB_SEQUENCE_LIVE)
        r->listen.joins[0].at = c->sequence->last;
    /* Like the join, whose answer came before or is still awaited: so the two come in order. */
    if (c && c->room) {
        list_init(&r->listen.state_link);
        if (!hub_state_is_ready(h, r, c->room))
            return;
        hub_state_fill(c->room, &r->listen.joins[0]);
    }
    hub_request_answer(h, r, 0);
}

void hub_client_on_leave(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_subscription *s = container_of(task, struct hub_subscription, letter.task);
    bool is_own = hub_subscription_is_own(s);

    hub_channel_unlisten(h, s); /* may free one that is the client's */
    if (!is_own)
        free(s);
}

void hub_client_on_end(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_subscription *inbox = container_of(task, struct hub_subscription, letter.task);
    struct hub_client *c = inbox->client;

    if (inbox->channel)
        hub_channel_unlisten(h, inbox);
    if (!c->is_refused) {
        h->sessions--;
        h->doors[c->port_index].sessions--;
        h->all->listener_count--;
        hub_gauge(h, HUB_METRIC_SESSIONS, h->sessions);
        c->is_ended = true;
        if (!c->is_putting) {
            list_remove(&c->link);
            client_place(h, c, &h->unstated);
            hub_client_pump(h);
        }
    }
    hub_client_unref(h, c);
}
