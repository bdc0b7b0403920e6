/*
 * Sessions as the hub sees them: counted, subscribed, and stated to the store under their user.
 *
 * A statement (begun, ended) is absolute and idempotent, so it is enough to know who the store has not heard the last
 * word of: those are in hub->unstated, the others in hub->settled, and while a statement is under way a client is in
 * neither. A bounded window of statements is under way at one time; each answer makes the next one leave. When the
 * store came back, or the lease did, all are unstated again.
 */
#include "hub/hub_internal.h"

#include "base/clock.h"

static struct slice client_user(const struct hub_client *c)
{
    return slice_make(c->names, c->user_size);
}

static struct slice client_device(const struct hub_client *c)
{
    return c->device_size ? slice_make(c->names + c->user_size + 1, c->device_size) : SLICE_NONE;
}

void hub_client_unref(struct hub *h base_unused, struct hub_client *c)
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
    hub_client_unref(h, c);
}

static void client_put(struct hub *h, struct hub_client *c);

void hub_client_pump(struct hub *h)
{
    while (h->may_state && !h->is_stopped && h->puts < HUB_PUTS_MAX) {
        struct list *it = list_pop(&h->unstated);

        if (!it)
            return;
        client_put(h, container_of(it, struct hub_client, link));
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
    struct hub_client *c = container_of(put, struct hub_client, put);
    struct hub *h = c->hub;
    bool was_end = put->is_end;

    c->is_putting = false;
    h->puts--;
    if (!result && was_end)
        c->is_stated = false;
    /* Told that it began, but it has ended meanwhile: tell that too. */
    client_place(h, c, !result && was_end == c->is_ended);
    /* After a failure the next renewal of the lease goes on; at once would be a storm against a full queue. */
    if (!result)
        hub_client_pump(h);
}

static void client_put(struct hub *h, struct hub_client *c)
{
    if (c->counts_ended)
        h->ended--;
    c->counts_ended = false;
    c->is_putting = true;
    c->is_stated = true;
    c->put = (struct store_session_put){
        .session = {.user = client_user(c),
                    .session = slice_make(c->id, ID_TEXT_SIZE),
                    .device = client_device(c),
                    .since_ms = c->since_ms},
        .is_end = c->is_ended,
        .done = on_session_put,
    };
    h->puts++;
    store_session_put(h->store, &c->put);
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
        if (!result)
            done++;
    }
    if (!result)
        return 0;
    while (done > 0)
        hub_channel_unlisten(h, r->listen.subscriptions[--done]);
    return result;
}

void hub_client_handle_open(struct hub *h, struct hub_request *r)
{
    struct hub_client *c = r->listen.client;
    int result = h->is_stopped ? HUB_E_UNAVAILABLE : 0;

    c->hub = h;
    c->refs = 1;
    list_init(&c->link);
    if (!result && h->sessions >= (uint64_t)h->config.sessions)
        result = HUB_E_QUOTA;
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
    h->all->listeners[c->port_index]++;
    h->all->listener_count++;
    hub_gauge(h, HUB_METRIC_SESSIONS, h->sessions);
    hub_request_answer(h, r, 0);
    hub_client_pump(h);
}

void hub_client_handle_join(struct hub *h, struct hub_request *r)
{
    int result = h->is_stopped ? HUB_E_UNAVAILABLE : 0;

    if (!result && r->listen.client->is_refused)
        result = HUB_E_QUOTA;
    hub_request_answer(h, r, result ? result : client_subscribe(h, r));
}

void hub_client_on_leave(struct hub_letter *letter)
{
    struct hub_subscription *s = container_of(letter, struct hub_subscription, letter);

    hub_channel_unlisten(letter->hub, s);
    free(s);
}

void hub_client_on_end(struct hub_letter *letter)
{
    struct hub_client *c = container_of(letter, struct hub_client, letter);
    struct hub *h = letter->hub;

    if (!c->is_refused) {
        h->sessions--;
        h->all->listeners[c->port_index]--;
        h->all->listener_count--;
        hub_gauge(h, HUB_METRIC_SESSIONS, h->sessions);
        c->is_ended = true;
        if (!c->is_putting) {
            list_remove(&c->link);
            client_place(h, c, false);
            hub_client_pump(h);
        }
    }
    hub_client_unref(h, c);
}
