/*
 * What a reload may change, as one immutable object. The acceptor makes it and sends each worker a reference; a worker
 * puts it in place of the old one between two pieces of work, so within one everything is of one configuration.
 * Connections that are open keep the certificate they were greeted with, and see new limits from then on.
 */
#include "gateway/gateway_internal.h"

int gateway_tls_load(const struct gateway_config *config, struct net_tls_tickets *tickets, struct buffer *errors,
                     struct net_tls **ret_tls)
{
    struct net_tls_pair pairs[NET_TLS_PAIRS_MAX] = {0};
    const struct net_tls_server_options options = {
        .pairs = pairs,
        .pair_count = config->tls_certificate.count,
        .minimum = (enum net_tls_version)config->tls_minimum,
        .tickets = config->tls_tickets ? tickets : NULL,
    };
    struct buffer sentence = {0};
    int result;

    if (config->tls_certificate.count != config->tls_key.count || options.pair_count > NET_TLS_PAIRS_MAX) {
        buffer_printf(errors, "tls.certificate and tls.key: expected as many of one as of the other, at most %d\n",
                      NET_TLS_PAIRS_MAX);
        return CONFIG_E_INVALID;
    }
    if (options.pair_count == 0) {
        *ret_tls = NULL;
        return 0;
    }
    for (size_t i = 0; i < options.pair_count; i++)
        pairs[i] = (struct net_tls_pair){config->tls_certificate.items[i], config->tls_key.items[i]};
    result = net_tls_server_new(&options, &sentence, ret_tls);
    if (result < 0 && result != -ENOMEM) {
        buffer_printf(errors, "tls.certificate: %.*s\n", SLICE_PRINTF(buffer_slice(&sentence)));
        result = CONFIG_E_INVALID;
    }
    buffer_deinit(&sentence);
    return result;
}

/** The scalars; texts and lists are the configuration's own, which may go. */
static void take_values(struct gateway_live *live, const struct gateway_config *config)
{
    live->config = *config;
    live->config.listen = NULL;
    live->config.origins = live->config.trusted = live->config.tls_certificate = live->config.tls_key =
        (struct config_list){0};
}

int gateway_live_new(const struct gateway_config *config, struct net_tls_tickets *tickets, struct buffer *errors,
                     struct gateway_live **ret_live)
{
    struct gateway_live *live = calloc(1, sizeof(*live) + config->trusted.count * sizeof(live->trusted[0]));
    int result;

    if (!live)
        return -ENOMEM;
    atomic_init(&live->refs, 1);
    take_values(live, config);
    live->trusted_count = config->trusted.count;
    for (size_t i = 0; i < live->trusted_count; i++) {
        if (!net_network_parse(slice_from(config->trusted.items[i]), &live->trusted[i]))
            continue;
        buffer_printf(errors, "listen.trusted: %s is no network\n", config->trusted.items[i]);
        gateway_live_unref(live);
        return CONFIG_E_INVALID;
    }
    live->origins = gateway_origins_new(&config->origins, config->require_origin);
    if (!live->origins) {
        gateway_live_unref(live);
        return -ENOMEM;
    }
    result = gateway_tls_load(config, tickets, errors, &live->tls);
    if (result != 0) {
        gateway_live_unref(live);
        return result;
    }
    *ret_live = live;
    return 0;
}

struct gateway_live *gateway_live_ref(struct gateway_live *live)
{
    atomic_fetch_add_explicit(&live->refs, 1, memory_order_relaxed);
    return live;
}

struct gateway_live *gateway_live_unref(struct gateway_live *live)
{
    if (!live || atomic_fetch_sub_explicit(&live->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    net_tls_unref(live->tls);
    gateway_origins_free(live->origins);
    free(live);
    return NULL;
}

bool gateway_live_trusts(const struct gateway_live *live, const struct net_address *a)
{
    for (size_t i = 0; i < live->trusted_count; i++)
        if (net_network_contains(&live->trusted[i], a))
            return true;
    return false;
}

/* ---- reloading ---- */

struct gateway_reload *gateway_reload_free(struct gateway_reload *r)
{
    if (!r)
        return NULL;
    for (struct gateway_live_letter **it = r->letters; *it; it++)
        free(*it);
    gateway_live_unref(r->live);
    free(r);
    return NULL;
}

int gateway_reload_new(struct gateway *g, const struct gateway_config *config, struct buffer *errors,
                       struct gateway_reload **ret_reload)
{
    struct gateway_reload *r = calloc(1, sizeof(*r) + (g->worker_count + 1) * sizeof(r->letters[0]));
    int result;

    if (!r)
        return -ENOMEM;
    result = gateway_live_new(config, g->tickets, errors, &r->live);
    for (size_t i = 0; result == 0 && i < g->worker_count; i++) {
        r->letters[i] = malloc(sizeof(*r->letters[i]));
        if (!r->letters[i])
            result = -ENOMEM;
    }
    if (result != 0) {
        gateway_reload_free(r);
        return result;
    }
    *ret_reload = r;
    return 0;
}

static void on_letter(struct loop_task *task)
{
    struct gateway_live_letter *letter = container_of(task, struct gateway_live_letter, task);

    gateway_worker_set_live(letter->worker, letter->live);
    free(letter);
}

void gateway_reload_commit(struct gateway *g, struct gateway_reload *r)
{
    assert(loop_is_current(g->acceptor));
    take_values(r->live, g->config); /* nobody else sees it yet */
    for (size_t i = 0; i < g->worker_count; i++) {
        *r->letters[i] = (struct gateway_live_letter){
            .task = {.run = on_letter}, .worker = g->workers[i], .live = gateway_live_ref(r->live)};
        loop_post(g->workers[i]->loop, &r->letters[i]->task);
        r->letters[i] = NULL;
    }
    gateway_live_unref(g->live);
    g->live = base_take(r->live);
    gateway_reload_free(r);
    gateway_admission_reload(g);
}
