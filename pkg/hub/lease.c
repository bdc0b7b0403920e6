/*
 * This node among the others: its lease, which of the others live, and the canary.
 *
 * The lease is renewed at a third of its length. While another living incarnation holds it this node serves its clients
 * but states nothing, for it would overwrite what the other one stated under the same name. But the queue is the lock
 * of the name: who has it takes the lease over from an incarnation that started earlier. So a node that was killed and
 * is back need not wait until what it said in its last life has ended; and one that was frozen meanwhile, and still
 * takes itself for the owner, is the elder one, and gets nothing back. The canary is a message to this node's own
 * queue: that it comes back shows the way through the broker, which neither a connection nor a confirm does.
 */
#include "hub/client_internal.h"
#include "hub/ingress_internal.h"
#include "hub/lease_internal.h"
#include "hub/likes_internal.h"
#include "hub/room_internal.h"
#include "hub/sequence_internal.h"
#include "hub/watch_internal.h"

#include "base/hash.h"

#include "base/clock.h"

/** The others' leases are read at least so often: what a node that is cut has to say is waited for by their clients. */
#define NODES_READ_MS 1000

static void lease_now_ours(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);
    /* A renewal was missed. The others may have believed this node dead and told rooms smaller counts, and nobody but
     * this node knows which rooms those are. */
    bool was_late = now_ms - h->granted_ms > (uint64_t)h->config.lease_ms * 2 / 3;

    h->granted_ms = now_ms;
    h->was_granted = true;
    h->is_name_taken = false;
    if (h->may_state && !was_late) {
        /* what failed since goes on here */
        hub_client_retry(h);
        hub_presence_run(h);
        hub_likes_run(h);
        hub_watch_run(h);
        return;
    }
    h->may_state = true;
    hub_client_restate(h);
    if (was_late)
        hub_presence_retell(h);
    else
        hub_presence_restate(h, true);
    hub_likes_restate(h);
    hub_watch_run(h);
}

static void lease_taken(struct hub *h)
{
    bool was_taken = h->is_name_taken;
    uint64_t suppressed;

    h->is_name_taken = true;
    h->was_granted = false;
    h->may_state = false;
    /* It may be the one of this node's own last life, until the queue is ours. */
    h->renewal_due_ms = loop_now_ms(h->loop) + NODES_READ_MS;
    if (was_taken && log_limit_pass(&h->taken_limit, loop_now_ms(h->loop), &suppressed))
        log_event(LOG_ERROR, "another living node has this node's address; set node.address",
                  LOG_TEXT("node", h->identity.node), LOG_UINT("suppressed", suppressed));
}

static void on_lease_put(struct store_lease_put *put, int result)
{
    struct hub *h = container_of(put, struct hub, lease_put);

    h->is_lease_putting = false;
    if (h->is_stopped)
        return;
    if (!result) {
        hub_count(h, HUB_METRIC_LEASE_OK, 1);
        lease_now_ours(h);
    } else if (result == STORE_E_TAKEN) {
        hub_count(h, HUB_METRIC_LEASE_TAKEN, 1);
        lease_taken(h);
    } else {
        hub_count(h, HUB_METRIC_LEASE_UNAVAILABLE, 1);
    }
    hub_status_refresh(h);
    if (h->is_lease_stale)
        hub_lease_renew(h);
}

static uint64_t lease_digest(const struct store_lease *lease)
{
    return hash_bytes_keyed(lease->incarnation, 0, lease->node, strlen(lease->node));
}

static bool is_among(uint64_t digest, const uint64_t *digests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (digests[i] == digest)
            return true;
    }
    return false;
}

/** Takes over who lives; tells whether somebody who lived does not any more. */
static int living_replace(struct hub *h, const struct store_lease *leases, size_t count, bool *ret_is_lost)
{
    uint64_t *living = malloc((count + 1) * sizeof(*living));
    size_t living_count = 0;
    bool is_lost = false;

    if (!living)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (leases[i].is_alive)
            living[living_count++] = lease_digest(&leases[i]);
    }
    for (size_t i = 0; i < h->living_count && !is_lost; i++)
        is_lost = !is_among(h->living[i], living, living_count);
    free(h->living);
    h->living = living;
    h->living_count = living_count;
    *ret_is_lost = is_lost;
    return 0;
}

static void others_cut(struct hub *h, const struct store_lease *leases, size_t count)
{
    bool were_cut = h->are_others_cut;

    h->are_others_cut = false;
    for (size_t i = 0; i < count; i++) {
        if (leases[i].is_alive && leases[i].incarnation != h->identity.incarnation)
            h->are_others_cut |= leases[i].is_cut;
    }
    if (h->are_others_cut && !were_cut)
        hub_sweep_pace(h);
}

static void on_nodes_read(struct store_nodes_read *read, int result, const struct store_lease *leases, size_t count)
{
    struct hub *h = container_of(read, struct hub, nodes_read);
    bool is_lost;

    h->is_nodes_reading = false;
    if (result || h->is_stopped)
        return;
    others_cut(h, leases, count);
    result = living_replace(h, leases, count, &is_lost);
    if (result < 0) {
        hub_note_out_of_memory(h, "the list of nodes");
    } else if (is_lost) {
        /* The users who were on it are gone from the rooms' counts, and only the others can say so; and what it
         * appended and did not publish is in the logs alone, as the likes that it did not tell are in the store. */
        hub_presence_restate(h, true);
        hub_likes_restate(h);
        hub_sweep_now(h);
    }
}

bool hub_is_any_cut(const struct hub *h)
{
    return !h->is_bus_ready || h->late > 0 || h->are_others_cut;
}

static void nodes_read(struct hub *h)
{
    if (h->is_nodes_reading)
        return;
    h->nodes_read = (struct store_nodes_read){.done = on_nodes_read};
    h->is_nodes_reading = true;
    store_nodes_read(h->store, &h->nodes_read);
}

void hub_lease_renew(struct hub *h)
{
    h->is_lease_stale = h->is_lease_putting;
    if (!h->is_lease_putting) {
        h->lease_put = (struct store_lease_put){
            .lease = {.node = h->identity.node,
                      .incarnation = h->identity.incarnation,
                      .lease_ms = (uint64_t)h->config.lease_ms,
                      .is_cut = !h->is_bus_ready || h->late > 0,
                      .is_draining = h->is_draining,
                      .sessions = h->sessions,
                      .rooms = h->room_count,
                      .started_ms = h->started_ms,
                      .version = h->identity.version,
                      .internal = h->identity.internal},
            .takes_over = h->is_bus_ready,
            .done = on_lease_put,
        };
        h->is_lease_putting = true;
        store_lease_put(h->store, &h->lease_put);
    }
    nodes_read(h);
}

static void on_lease_timer(void *userdata)
{
    struct hub *h = userdata;
    uint64_t now_ms = loop_now_ms(h->loop), third_ms = (uint64_t)h->config.lease_ms / 3;

    if (now_ms >= h->renewal_due_ms) {
        h->renewal_due_ms = now_ms + third_ms;
        hub_lease_renew(h);
    } else {
        nodes_read(h);
    }
    now_ms = h->renewal_due_ms - now_ms;
    loop_timer_start(&h->lease_timer, now_ms < NODES_READ_MS ? now_ms : NODES_READ_MS);
}

static void on_restate_timer(void *userdata)
{
    struct hub *h = userdata;

    if (h->may_state) {
        hub_client_restate(h);
        hub_presence_restate(h, false);
        hub_likes_restate(h);
    }
    hub_interest_restate(h, false);
    loop_timer_start(&h->restate_timer, (uint64_t)h->config.restate_ms);
}

void hub_lease_store_state(void *userdata, const struct store_status *status)
{
    struct hub *h = userdata;

    if (h->is_stopped || !h->is_started)
        return;
    /* The next lease that is granted makes this node state everything again: the store may have come back empty. */
    h->may_state = false;
    if (status->is_up) {
        hub_lease_renew(h);
        if (h->store_life && status->life != h->store_life)
            hub_sequence_suspect_all(h);
        h->store_life = status->life;
        h->is_store_known = true;
        hub_interest_restate(h, true);
        hub_join_release(h);
    } else if (h->is_store_known) {
        hub_join_be_patient(h);
    }
    hub_ingress_store_state(h, status->is_up);
    hub_status_refresh(h);
}

/* ---- the canary ---- */

static void on_canary_out(struct bus_publication *p, int result base_unused)
{
    struct hub *h = container_of(p, struct hub, canary);

    p->message = message_unref(p->message);
    h->is_canary_out = false;
}

static int canary_send(struct hub *h)
{
    char id[ID_TEXT_SIZE + 1], incarnation[32];
    struct message fields = {
        .kind = MESSAGE_KIND_CONTROL,
        .channel = slice_from(h->node_channel),
        .time_ms = clock_realtime_ms(),
        .content_type = CONTENT_TYPE_TEXT,
    };
    int result;

    id_generate(id);
    fields.id = slice_from(id);
    snprintf(incarnation, sizeof(incarnation), "%016llx", (unsigned long long)h->identity.incarnation);
    fields.data = slice_from(incarnation);
    h->canary = (struct bus_publication){
        .message = message_copy(&fields),
        .route = BUS_ROUTE_NODES,
        .nodes = &h->canary_node,
        .node_count = 1,
        .done = on_canary_out,
    };
    if (!h->canary.message)
        return -ENOMEM;
    result = bus_publish(h->bus, &h->canary);
    if (result)
        h->canary.message = message_unref(h->canary.message);
    h->is_canary_out = result == 0;
    return result;
}

static void on_canary_timer(void *userdata)
{
    struct hub *h = userdata;

    /* That it cannot leave is told by the age of the last one that came back. */
    if (!h->is_canary_out && canary_send(h) == -ENOMEM)
        hub_note_out_of_memory(h, "a canary");
    loop_timer_start(&h->canary_timer, (uint64_t)h->config.canary_interval_ms);
}

void hub_lease_bus_state(struct hub *h, const struct bus_status *status)
{
    bool was_ready = h->is_bus_ready;

    h->is_bus_ready = status->state == BUS_STATE_READY;
    /* The others sweep while a node is cut, so they learn of it, and of its end, at once. */
    hub_lease_renew(h);
    /* What was published while the queue was away came to nobody here. */
    if (h->is_bus_ready) {
        hub_sweep_now(h);
        hub_call_others(h);
    } else if (was_ready) {
        hub_sweep_pace(h);
    }
    if (h->is_bus_ready && !h->is_canary_out)
        loop_timer_start(&h->canary_timer, 0);
    /* Counts that were told meanwhile were heard by nobody. */
    if (h->is_bus_ready && !was_ready && h->may_state) {
        hub_presence_restate(h, true);
        hub_likes_restate(h);
    }
    hub_ingress_update(h);
}

void hub_canary_came_back(struct hub *h, const struct message *m)
{
    char incarnation[32];

    /* A durable queue may still hold one of an earlier start, which proves nothing. */
    snprintf(incarnation, sizeof(incarnation), "%016llx", (unsigned long long)h->identity.incarnation);
    if (!slice_equal_text(m->data, incarnation))
        return;
    hub_count(h, HUB_METRIC_CANARIES, 1);
    h->canary_back_ms = loop_now_ms(h->loop);
    if (!h->was_canary_back && !h->is_stopped) {
        h->was_canary_back = true;
        hub_status_refresh(h);
    }
}

void hub_lease_start(struct hub *h)
{
    loop_timer_init(&h->lease_timer, h->loop, on_lease_timer, h);
    loop_timer_init(&h->restate_timer, h->loop, on_restate_timer, h);
    loop_timer_init(&h->canary_timer, h->loop, on_canary_timer, h);
    loop_timer_start(&h->lease_timer, 0);
    loop_timer_start(&h->restate_timer, (uint64_t)h->config.restate_ms);
    loop_timer_start(&h->canary_timer, 0);
}

void hub_lease_stop(struct hub *h)
{
    loop_timer_deinit(&h->lease_timer);
    loop_timer_deinit(&h->restate_timer);
    loop_timer_deinit(&h->canary_timer);
    /* With the name taken the lease is the other one's; the store tells by the incarnation. */
    store_lease_release(h->store, h->identity.node, h->identity.incarnation);
}
