/*
 * Closing a user's sessions wherever they are.
 *
 *     request ─▶ this node's at once
 *             └▶ store: on which nodes ─▶ which of them are cut off ─▶ an order to each ─▶ their answers, or silence
 *
 * Orders and answers are control messages (control.c). What is not answered in ANSWER_MS counts as not reached, and
 * the answer says why, as far as it is known. Asking again is harmless: who is closed is closed.
 */
#include "hub/control_internal.h"
#include "hub/kick_internal.h"
#include "hub/request_internal.h"

#include "base/name.h"

#define ANSWER_MS 2000
#define KICKS_MAX 256

struct hub_kick {
    struct list link; /* hub->kicks */
    struct hub *hub;
    struct hub_request *request;
    uint64_t number;
    struct loop_timer timer;
    struct store_user_read user_read;
    struct store_nodes_read nodes_read;
    size_t waiting; /* steps without an answer */
    int result;
    uint64_t closed;
    struct hub_kick_node *nodes; /* the other ones; one allocation with their names */
    size_t node_count;
};

static const struct hub_kick_which *which_of(const struct hub_kick *k)
{
    return &k->request->kick.which;
}

/** The request takes the nodes along. */
static void kick_end(struct hub_kick *k)
{
    struct hub_request *r = k->request;
    struct hub *h = k->hub;

    list_remove(&k->link);
    h->kick_count--;
    loop_timer_deinit(&k->timer);
    r->kick.nodes = k->nodes;
    r->kick.kicked = (struct hub_kicked){.closed = k->closed, .nodes = k->nodes, .node_count = k->node_count};
    hub_request_answer(h, r, k->result);
    free(k);
}

static void step_done(struct hub_kick *k)
{
    assert(k->waiting > 0);
    if (--k->waiting == 0)
        kick_end(k);
}

static struct hub_kick *kick_find(struct hub *h, uint64_t number)
{
    list_for_each (it, &h->kicks) {
        struct hub_kick *k = container_of(it, struct hub_kick, link);

        if (k->number == number)
            return k;
    }
    return NULL;
}

/* ---- this node ---- */

/** The kick may have ended meanwhile, so it is known by its number. */
struct own_part {
    uint64_t number;
};

static void on_own_done(void *userdata, struct hub *h, uint64_t closed)
{
    struct own_part *part = userdata;
    struct hub_kick *k = kick_find(h, part->number);

    free(part);
    if (!k)
        return;
    k->closed += closed;
    step_done(k);
}

static void close_own(struct hub_kick *k)
{
    struct own_part *part = malloc(sizeof(*part));
    int result = -ENOMEM;

    k->waiting++;
    if (part) {
        part->number = k->number;
        result = hub_kick_local(k->hub, which_of(k), on_own_done, part);
    }
    if (!result)
        return;
    free(part);
    k->result = result;
    step_done(k);
}

/* ---- the others ---- */

static void write_order(const struct hub_kick *k, struct buffer *out)
{
    const struct hub_kick_which *which = which_of(k);
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "do", "kick");
    json_write_member_uint64(&w, "ask", k->number);
    json_write_member_text(&w, "by", k->hub->identity.node);
    json_write_member_string(&w, "user", which->user);
    if (slice_is_set(which->device))
        json_write_member_string(&w, "device", which->device);
    if (slice_is_set(which->session))
        json_write_member_string(&w, "session", which->session);
    if (slice_is_set(which->reason))
        json_write_member_string(&w, "reason", which->reason);
    json_write_object_end(&w);
}

static void on_timer(void *userdata)
{
    struct hub_kick *k = userdata;
    size_t silent = 0;

    for (size_t i = 0; i < k->node_count; i++) {
        struct hub_kick_node *n = &k->nodes[i];

        if (n->outcome != HUB_KICK_ASKED)
            continue;
        n->outcome = n->is_cut ? HUB_KICK_CUT : k->hub->is_bus_ready ? HUB_KICK_SILENT : HUB_KICK_NO_BROKER;
        silent++;
    }
    k->waiting++; /* so that it does not end between two of them */
    while (silent-- > 0)
        step_done(k);
    step_done(k);
}

static void order_all(struct hub_kick *k)
{
    base_cleanup(buffer_deinit)
    struct buffer order = {0};

    write_order(k, &order);
    for (size_t i = 0; i < k->node_count; i++) {
        if (buffer_error(&order) || hub_control_send(k->hub, k->nodes[i].node, buffer_slice(&order))) {
            k->nodes[i].outcome = HUB_KICK_NO_BROKER;
            continue;
        }
        k->nodes[i].outcome = HUB_KICK_ASKED;
        k->waiting++;
    }
    loop_timer_start(&k->timer, ANSWER_MS);
}

static void on_nodes_read(struct store_nodes_read *read, int result, const struct store_lease *leases, size_t count)
{
    struct hub_kick *k = container_of(read, struct hub_kick, nodes_read);

    for (size_t i = 0; !result && i < count; i++) {
        for (size_t n = 0; n < k->node_count; n++) {
            if (slice_equal_text(k->nodes[n].node, leases[i].node))
                k->nodes[n].is_cut = leases[i].is_cut;
        }
    }
    order_all(k);
    step_done(k);
}

static bool is_meant(const struct hub_kick *k, const struct store_session *s)
{
    const struct hub_kick_which *which = which_of(k);

    return !slice_equal_text(s->node, k->hub->identity.node) &&
           (!slice_is_set(which->device) || (slice_is_set(s->device) && slice_equal(which->device, s->device))) &&
           (!slice_is_set(which->session) || slice_equal(which->session, s->session));
}

static struct hub_kick_node *node_of(struct hub_kick *k, struct slice node)
{
    for (size_t i = 0; i < k->node_count; i++) {
        if (slice_equal(k->nodes[i].node, node))
            return &k->nodes[i];
    }
    return NULL;
}

/** On which other nodes they are, and how many on each. */
static int gather_nodes(struct hub_kick *k, const struct store_session *sessions, size_t count)
{
    size_t meant = 0, bytes = 0;
    char *text;

    for (size_t i = 0; i < count; i++) {
        if (is_meant(k, &sessions[i])) {
            meant++;
            bytes += sessions[i].node.size;
        }
    }
    if (!meant)
        return 0;
    k->nodes = calloc(1, meant * sizeof(*k->nodes) + bytes);
    if (!k->nodes)
        return -ENOMEM;
    text = (char *)(k->nodes + meant);
    for (size_t i = 0; i < count; i++) {
        struct hub_kick_node *n;

        if (!is_meant(k, &sessions[i]))
            continue;
        n = node_of(k, sessions[i].node);
        if (!n) {
            n = &k->nodes[k->node_count++];
            memcpy(text, sessions[i].node.data, sessions[i].node.size);
            n->node = slice_make(text, sessions[i].node.size);
            text += sessions[i].node.size;
        }
        n->known++;
    }
    return 0;
}

static void on_user_read(struct store_user_read *read, int result, const struct store_session *sessions, size_t count)
{
    struct hub_kick *k = container_of(read, struct hub_kick, user_read);

    if (!result)
        result = gather_nodes(k, sessions, count);
    if (result)
        k->result = result > 0 ? HUB_E_UNAVAILABLE : result;
    if (k->node_count > 0 && !k->hub->is_stopped) {
        k->waiting++;
        k->nodes_read = (struct store_nodes_read){.done = on_nodes_read};
        store_nodes_read(k->hub->store, &k->nodes_read);
    }
    step_done(k);
}

void hub_kick_handle(struct hub *h, struct hub_request *r)
{
    struct hub_kick *k;

    if (h->is_stopped || h->kick_count >= KICKS_MAX) {
        hub_request_answer(h, r, h->is_stopped ? HUB_E_UNAVAILABLE : HUB_E_BUSY);
        return;
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        hub_request_answer(h, r, -ENOMEM);
        return;
    }
    k->hub = h;
    k->request = r;
    k->number = ++h->kick_number;
    loop_timer_init(&k->timer, h->loop, on_timer, k);
    list_init(&k->link);
    list_append(&h->kicks, &k->link);
    h->kick_count++;
    k->waiting = 1;
    close_own(k);
    k->user_read = (struct store_user_read){.user = which_of(k)->user, .done = on_user_read};
    store_user_read(h->store, &k->user_read);
}

void hub_kick_stop(struct hub *h)
{
    while (!list_is_empty(&h->kicks)) {
        struct hub_kick *k = container_of(h->kicks.next, struct hub_kick, link);

        k->result = HUB_E_UNAVAILABLE;
        kick_end(k);
    }
}

bool hub_kick_on_answer(struct hub *h, struct slice json)
{
    base_cleanup(buffer_deinit)
    struct buffer node = {0};
    struct hub_kick_node *n;
    uint64_t number, closed;
    struct hub_kick *k;

    if (!hub_control_text(json, "node", HUB_NODE_ID_MAX_BYTES, &node) || !hub_control_number(json, "ask", &number) ||
        !hub_control_number(json, "closed", &closed))
        return false;
    k = kick_find(h, number);
    n = k ? node_of(k, buffer_slice(&node)) : NULL;
    if (!n || n->outcome != HUB_KICK_ASKED)
        return true; /* too late, or a second time */
    n->outcome = HUB_KICK_DONE;
    n->closed = closed;
    k->closed += closed;
    step_done(k);
    return true;
}

/* ---- asked by another node ---- */

struct asked {
    uint64_t number;
    size_t by_size;
    char by[HUB_NODE_ID_MAX_BYTES];
};

static void on_asked_done(void *userdata, struct hub *h, uint64_t closed)
{
    struct asked *asked = userdata;
    base_cleanup(buffer_deinit)
    struct buffer answer = {0};
    struct json_writer w;

    json_writer_init(&w, &answer);
    json_write_object_begin(&w);
    json_write_member_text(&w, "do", "kicked");
    json_write_member_uint64(&w, "ask", asked->number);
    json_write_member_text(&w, "node", h->identity.node);
    json_write_member_uint64(&w, "closed", closed);
    json_write_object_end(&w);
    /* If it cannot leave, the other one counts this node as silent, which it is. */
    if (!buffer_error(&answer))
        (void)!hub_control_send(h, slice_make(asked->by, asked->by_size), buffer_slice(&answer));
    free(asked);
}

static int close_asked(struct hub *h, const struct hub_kick_which *which, uint64_t number, struct slice by)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    int result;

    if (!asked)
        return -ENOMEM;
    asked->number = number;
    asked->by_size = by.size;
    memcpy(asked->by, by.data, by.size);
    result = hub_kick_local(h, which, on_asked_done, asked);
    if (result)
        free(asked);
    return result;
}

bool hub_kick_on_order(struct hub *h, struct slice json)
{
    struct buffer user = {0}, device = {0}, session = {0}, reason = {0}, by = {0};
    struct hub_kick_which which = {0};
    struct json_value value;
    uint64_t number = 0;
    bool is_good = hub_control_number(json, "ask", &number);

    is_good = hub_control_text(json, "user", NAME_MAX_BYTES, &user) && is_good;
    is_good = hub_control_text(json, "by", HUB_NODE_ID_MAX_BYTES, &by) && by.size > 0 && is_good;
    which.user = buffer_slice(&user);
    is_good = is_good && !name_check(which.user);
    if (hub_control_text(json, "device", NAME_MAX_BYTES, &device))
        which.device = buffer_slice(&device);
    else
        is_good = is_good && !hub_control_member(json, "device", &value); /* or more would be closed than was meant */
    if (hub_control_text(json, "session", NAME_MAX_BYTES, &session))
        which.session = buffer_slice(&session);
    else
        is_good = is_good && !hub_control_member(json, "session", &value);
    if (hub_control_text(json, "reason", HUB_KICK_REASON_MAX_BYTES, &reason))
        which.reason = buffer_slice(&reason);
    if (is_good && close_asked(h, &which, number, buffer_slice(&by)) < 0)
        hub_note_out_of_memory(h, "closing sessions");
    buffer_deinit(&user);
    buffer_deinit(&device);
    buffer_deinit(&session);
    buffer_deinit(&reason);
    buffer_deinit(&by);
    return is_good;
}
