/*
 * Sessions as the hub sees them: counted, subscribed, and stated to the store under their user.
 *
 * A statement (begun, ended) is absolute and idempotent, so it is enough to know who the store has not heard the last
 * word of: those are in hub->unstated, the others in hub->settled, and while a statement is under way a client is in
 * neither. A bounded window of statements is under way at one time; each answer makes the next one leave. When the
 * store came back, or the lease did, all are unstated again.
 */
#include "hub/sequence_internal.h"

#include "base/clock.h"

/** A statement under way: about a client, which is in the hub's books meanwhile. */
struct client_put {
    struct store_session_put put;
    struct hub *hub;
    struct hub_client *client;
};

void hub_client_unref(struct hub_client *c)
{
    assert(c->refs > 0);
    if (--c->refs > 0)
        return;
    assert(!list_is_linked(&c->link));
    free(c);
}

/** Takes the client out of the books of what is to be stated. */
static void client_forget(struct hub *h, struct hub_client *c)
{
    list_remove(&c->link);
    if (c->counts_ended)
        h->ended--;
    c->counts_ended = false;
    hub_client_unref(c);
}

static int client_put(struct hub *h, struct hub_client *c) base_must_check;

void hub_client_pump(struct hub *h)
{
    while (h->may_state && !h->is_stopped && h->puts < HUB_PUTS_MAX) {
        if (list_is_empty(&h->unstated) || client_put(h, container_of(h->unstated.next, struct hub_client, link)) < 0)
            return;
    }
}

/** Where a client that is not being stated belongs. It bears the books' reference. */
static void client_place(struct hub *h, struct hub_client *c, bool is_settled)
{
    if (!c->is_ended) {
        list_append(is_settled ? &h->settled : &h->unstated, &c->link);
        return;
    }
    if (is_settled || !c->is_stated || h->is_stopped || h->ended >= HUB_ENDED_MAX) {
        client_forget(h, c);
        return;
    }
    if (!c->counts_ended)
        h->ended++;
    c->counts_ended = true;
    list_append(&h->unstated, &c->link);
}

static void on_session_put(struct store_session_put *put, int result)
{
    struct client_put *statement = container_of(put, struct client_put, put);
    struct hub_client *c = statement->client;
    struct hub *h = statement->hub;
    bool was_end = put->is_end;

    c->is_putting = false;
    h->puts--;
    free(statement);
    if (!result && was_end)
        c->is_stated = false;
    /* Told that it began, but it has ended meanwhile: tell that too. */
    client_place(h, c, !result && was_end == c->is_ended);
    /* After a failure the next renewal of the lease goes on; at once would be a storm against a full queue. */
    if (!result)
        hub_client_pump(h);
}

/** Without memory the client stays where it is; the next renewal of the lease goes on. */
static int client_put(struct hub *h, struct hub_client *c)
{
    struct client_put *statement = malloc(sizeof(*statement));

    if (!statement)
        return -ENOMEM;
    list_remove(&c->link);
    if (c->counts_ended)
        h->ended--;
    c->counts_ended = false;
    c->is_putting = true;
    c->is_stated = true;
    *statement = (struct client_put){
        .put = {.session = {.user = hub_client_user(c),
                            .session = slice_make(c->id, ID_TEXT_SIZE),
                            .device = hub_client_device(c),
                            .since_ms = c->since_ms},
                .is_end = c->is_ended,
                .done = on_session_put},
        .hub = h,
        .client = c,
    };
    h->puts++;
    store_session_put(h->store, &statement->put);
    return 0;
}

void hub_client_restate(struct hub *h)
{
    list_splice(&h->unstated, &h->settled);
    hub_client_pump(h);
}

void hub_client_stop(struct hub *h)
{
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
    hub_request_answer(h, r, 0);
}

void hub_client_on_leave(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_subscription *s = container_of(task, struct hub_subscription, letter.task);

    hub_channel_unlisten(h, s);
    free(s);
}

void hub_client_on_end(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_client *c = container_of(task, struct hub_client, letter.task);

    if (!c->is_refused) {
        h->sessions--;
        h->doors[c->port_index].sessions--;
        h->all->listener_count--;
        hub_gauge(h, HUB_METRIC_SESSIONS, h->sessions);
        c->is_ended = true;
        if (!c->is_putting) {
            list_remove(&c->link);
            client_place(h, c, false);
            hub_client_pump(h);
        }
    }
    hub_client_unref(c);
}
