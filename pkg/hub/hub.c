/*
 * The hub's life: built with its ports before any loop runs, at work on its own loop, stopped there, freed when no loop
 * runs any more.
 *
 * What is still on its way when everything ends lies in mailboxes that are emptied by loop_free(), after hub_free().
 * Every letter holds a reference, so the hub's memory outlives its owner until the last letter has been handled, on the
 * spot, without loop, bus or store.
 */
#include "hub/append_internal.h"
#include "hub/archive_internal.h"
#include "hub/client_internal.h"
#include "hub/ingress_internal.h"
#include "hub/intake_internal.h"
#include "hub/kick_internal.h"
#include "hub/lease_internal.h"
#include "hub/likes_internal.h"
#include "hub/port_internal.h"
#include "hub/room_internal.h"
#include "hub/sequence_internal.h"
#include "hub/targets_internal.h"
#include "hub/watch_internal.h"

#include "base/clock.h"

#define STATUS_INTERVAL_MS 500

static void hub_destroy(struct hub *h)
{
    assert(!h->sessions);
    h->all = hub_channel_free_all(h);
    assert(!h->channels.count && !h->members.count && !h->watchers.count);
    assert(list_is_empty(&h->settled) && list_is_empty(&h->unstated) && list_is_empty(&h->put_off));
    assert(list_is_empty(&h->intakes) && list_is_empty(&h->rooms));
    for (size_t i = 0; i < h->door_count; i++) {
        assert(!h->doors[i].batch);
        hub_port_free(h->doors[i].port);
    }
    slab_deinit(&h->slab);
    slab_deinit(&h->clients);
    pthread_mutex_destroy(&h->clients_mutex);
    hub_dedup_deinit(&h->dedup);
    pthread_mutex_destroy(&h->status_mutex);
    pthread_mutex_destroy(&h->words_mutex);
    wordlist_unref(h->words);
    hub_targets_free_all(h);
    free(h->living);
    free(h->doors);
    free(h);
}

struct hub *hub_unref(struct hub *h)
{
    if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
        hub_destroy(h);
    return NULL;
}

static void letter_send(struct hub *h, struct loop *to, struct hub_letter *letter, loop_task_fn *handler)
{
    letter->hub = h;
    letter->task.run = handler;
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    if (atomic_load_explicit(&h->is_freed, memory_order_acquire))
        handler(&letter->task);
    else
        loop_post(to, &letter->task);
}

void hub_letter_to_hub(struct hub *h, struct hub_letter *letter, loop_task_fn *handler)
{
    letter_send(h, h->loop, letter, handler);
}

void hub_letter_to_port(struct hub_port *p, struct hub_letter *letter, loop_task_fn *handler)
{
    letter_send(p->hub, p->loop, letter, handler);
}

void hub_count(struct hub *h, enum hub_metric metric, int64_t amount)
{
    if (!atomic_load_explicit(&h->is_freed, memory_order_relaxed))
        metrics_add(h->cells, metric, amount);
}

void hub_gauge(struct hub *h, enum hub_metric metric, uint64_t value)
{
    if (!atomic_load_explicit(&h->is_freed, memory_order_relaxed))
        metrics_set(h->cells, metric, (int64_t)value);
}

void hub_note_out_of_memory(struct hub *h, const char *what)
{
    uint64_t suppressed;

    hub_count(h, HUB_METRIC_OUT_OF_MEMORY, 1);
    if (log_limit_pass(&h->memory_limit, clock_monotonic_ms(), &suppressed))
        log_event(LOG_ERROR, "out of memory", LOG_TEXT("lost", what), LOG_UINT("suppressed", suppressed));
}

void hub_status_refresh(struct hub *h)
{
    struct hub_status status = {
        .is_name_taken = h->is_name_taken,
        .is_draining = h->is_draining,
        .canary_age_ms = UINT64_MAX,
        .updated_ms = clock_monotonic_ms(),
        .sessions = h->sessions,
        .channels = h->channel_count,
        .rooms = h->room_count,
    };
    uint64_t now_ms = loop_now_ms(h->loop);

    bus_status(h->bus, &status.bus);
    store_status(h->store, &status.store);
    status.is_lease_held = h->was_granted && now_ms - h->granted_ms < (uint64_t)h->config.lease_ms;
    if (h->was_canary_back)
        status.canary_age_ms = now_ms - h->canary_back_ms;
    pthread_mutex_lock(&h->status_mutex);
    h->status = status;
    pthread_mutex_unlock(&h->status_mutex);
}

void hub_status_read(struct hub *h, struct hub_status *ret_status)
{
    pthread_mutex_lock(&h->status_mutex);
    *ret_status = h->status;
    pthread_mutex_unlock(&h->status_mutex);
}

static void on_status_timer(void *userdata)
{
    struct hub *h = userdata;

    if (h->early_until_ms && loop_now_ms(h->loop) >= h->early_until_ms)
        hub_join_give_up(h);
    hub_status_refresh(h);
    loop_timer_start(&h->status_timer, STATUS_INTERVAL_MS);
}

static void on_bus_state(void *userdata, const struct bus_status *status)
{
    struct hub *h = userdata;

    if (h->is_stopped || !h->is_started)
        return;
    hub_lease_bus_state(h, status);
    hub_status_refresh(h);
}

static void on_drain(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);

    h->is_draining = true;
    if (!h->is_started || h->is_stopped)
        return;
    hub_lease_renew(h);
    hub_ingress_update(h);
    hub_status_refresh(h);
}

void hub_set_draining(struct hub *h)
{
    if (!atomic_exchange(&h->is_drain_sent, true))
        hub_letter_to_hub(h, &h->drain_letter, on_drain);
}

/** The end of a turn: what was gathered leaves as one batch a port and as few questions to the store as possible. */
static void on_turn_end(void *userdata)
{
    struct hub *h = userdata;

    hub_intake_ask(h);
    hub_intake_run(h);
    hub_interest_pace(h);
    for (size_t i = 0; i < h->door_count; i++)
        hub_door_flush(h, &h->doors[i]);
}

static void hub_init(struct hub *h, struct loop *l, const struct hub_config *config,
                     const struct hub_identity *identity, struct bus *bus, struct store *store)
{
    h->loop = l;
    h->config = *config;
    h->identity = *identity;
    h->bus = bus;
    h->store = store;
    h->started_ms = clock_realtime_ms();
    h->poison_limit.period_ms = h->memory_limit.period_ms = h->taken_limit.period_ms = 10000;
    h->reset_limit.period_ms = 10000;
    h->status.canary_age_ms = UINT64_MAX;
    h->canary_node = identity->node;
    atomic_init(&h->refs, 1);
    slab_init(&h->slab);
    slab_init(&h->clients);
    pthread_mutex_init(&h->clients_mutex, NULL);
    hub_channels_init(h);
    hub_presence_init(h);
    hub_likes_init(h);
    hub_watch_init(h);
    list_init(&h->intakes);
    list_init(&h->asking);
    list_init(&h->settled);
    list_init(&h->unstated);
    list_init(&h->put_off);
    list_init(&h->rooms);
    list_init(&h->dirty);
    list_init(&h->sequences);
    list_init(&h->stragglers);
    list_init(&h->unpositioned);
    list_init(&h->idle_names);
    list_init(&h->unread);
    list_init(&h->early_joins);
    list_init(&h->kicks);
    list_init(&h->confirming);
    list_init(&h->unpublished);
    loop_deferred_init(&h->turn_end, on_turn_end, h);
    hub_dedup_init(&h->dedup, (uint64_t)config->dedup_window_ms, (size_t)config->dedup_local, loop_now_ms(l));
    snprintf(h->node_channel, sizeof(h->node_channel), "node:%s", identity->node);
    pthread_mutex_init(&h->status_mutex, NULL);
    pthread_mutex_init(&h->words_mutex, NULL);
}

int hub_new(struct loop *l, const struct hub_config *config, const struct hub_identity *identity, struct bus *bus,
            struct store *store, struct metrics *metrics, struct hub **ret_hub)
{
    struct hub *h = calloc(1, sizeof(*h));

    if (!h)
        return -ENOMEM;
    hub_init(h, l, config, identity, bus, store);
    h->metrics = metrics_group_new(metrics, hub_metrics_rows, HUB_METRICS);
    h->cells = h->metrics ? metrics_cells_new(h->metrics) : NULL;
    if (!h->cells) {
        hub_free(h);
        return -ENOMEM;
    }
    bus->callbacks = (struct bus_callbacks){.on_delivery = hub_intake_delivery,
                                            .on_ingress = hub_ingress_delivery,
                                            .on_state = on_bus_state,
                                            .userdata = h};
    store->callbacks = (struct store_callbacks){.on_state = hub_lease_store_state, .userdata = h};
    *ret_hub = h;
    return 0;
}

int hub_start(struct hub *h)
{
    struct store_status store;
    int result = hub_channel_new_all(h);

    if (!result)
        result = hub_archive_start(h);
    if (!result)
        result = hub_ingress_start(h);
    if (result) {
        hub_archive_stop(h);
        return result;
    }
    result = bus_start(h->bus);
    if (!result) {
        result = store_start(h->store);
        if (result)
            bus_stop(h->bus);
    }
    if (result) {
        hub_ingress_stop(h);
        hub_archive_stop(h);
        return result;
    }
    h->is_started = true;
    loop_timer_init(&h->status_timer, h->loop, on_status_timer, h);
    store_status(h->store, &store);
    if (store.is_up)
        h->is_store_known = true;
    else
        hub_join_be_patient(h);
    hub_status_refresh(h);
    loop_timer_start(&h->status_timer, STATUS_INTERVAL_MS);
    hub_client_start(h);
    hub_presence_start(h);
    hub_likes_start(h);
    hub_watch_start(h);
    hub_sequence_start(h);
    hub_interest_start(h);
    hub_append_start(h);
    hub_sweep_start(h);
    hub_lease_start(h);
    if (h->all->sequence)
        hub_interest_want(h, h->all->sequence);
    return 0;
}

void hub_stop(struct hub *h)
{
    if (!h->is_started || h->is_stopped)
        return;
    h->is_stopped = true;
    hub_join_release(h);
    hub_lease_stop(h);
    hub_sweep_stop(h);
    loop_timer_deinit(&h->status_timer);
    hub_likes_flush(h);
    hub_watch_flush(h);
    hub_interest_flush(h);
    /* What bus and store still answer comes before these return, and goes on to the ports. */
    hub_archive_flush(h);
    bus_stop(h->bus);
    store_stop(h->store);
    hub_kick_stop(h);
    hub_append_stop(h);
    hub_ingress_stop(h);
    hub_archive_stop(h);
    hub_intake_stop(h);
    hub_sequence_stop(h);
    hub_interest_stop(h);
    hub_presence_stop(h);
    hub_likes_stop(h);
    hub_watch_stop(h);
    hub_client_stop(h);
    loop_deferred_cancel(&h->turn_end);
    for (size_t i = 0; i < h->door_count; i++)
        hub_door_flush(h, &h->doors[i]);
    hub_status_refresh(h);
}

struct hub *hub_free(struct hub *h)
{
    if (!h)
        return NULL;
    assert(!h->is_started || h->is_stopped);
    h->is_stopped = true;
    atomic_store_explicit(&h->is_freed, true, memory_order_release);
    hub_unref(h);
    return NULL;
}
