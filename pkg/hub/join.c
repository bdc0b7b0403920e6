/*
 * Joins: a session begins to listen, and gets what it missed.
 *
 * A request's channels have to be whole at one moment: the hub answers when of each it has gathered everything up to
 * where the channel stands right then, and what comes later is delivered live, behind the answer in the same mailbox.
 * What was missed comes from the ring if that reaches so far, else from the log, page by page, while the channel goes
 * on; the last stretch always comes from the ring, in the turn of the answer. Readers of one channel share its reads.
 *
 * A join follows the log in the order of positions, as the channel itself does, through the rest of an epoch into the
 * next. That something is gone is decided by a read only that was sent for it, and reached so far (enum hub_join_read).
 *
 * A channel whose position cannot be had, since the store is away, is joined without: its messages come, and nothing is
 * promised about those before. But a store that was lost a moment ago is waited for, as a fail-over or a slow second
 * takes no longer: its clients would be told that they have not recovered, and everything is there.
 */
#include "hub/client_internal.h"
#include "hub/join_internal.h"
#include "hub/request_internal.h"
#include "hub/room_internal.h"
#include "hub/sequence_internal.h"

/** Bytes of one channel's catch-up at most: what is larger would not fit into a session's queue. */
#define CATCH_UP_BYTES_MAX (512u * 1024u)
#define CATCH_UP_OVERHEAD 128
/** How long joins wait for a store that has not come yet, or was lost; until the next look at it (hub.c). */
#define PATIENCE_MS 2000

static size_t cost(const struct message *m)
{
    return m->data.size + m->id.size + CATCH_UP_OVERHEAD;
}

static int gather(struct hub_join *j, struct message *m)
{
    struct message **messages;
    size_t capacity = j->capacity ? j->capacity * 2 : 16;

    if (j->count == j->capacity) {
        messages = realloc(j->messages, capacity * sizeof(*messages));
        if (!messages)
            return -ENOMEM;
        j->messages = messages;
        j->capacity = capacity;
    }
    j->messages[j->count++] = message_ref(m);
    j->bytes += cost(m);
    return 0;
}

/** The newest that fit are kept; with less than all of them it is no recovery. */
static void bound(struct hub_join *j)
{
    size_t drop = 0;

    while (j->bytes > CATCH_UP_BYTES_MAX && drop + 1 < j->count) {
        j->bytes -= cost(j->messages[drop]);
        message_unref(j->messages[drop]);
        drop++;
    }
    if (!drop)
        return;
    j->recovered = false;
    j->count -= drop;
    memmove(j->messages, j->messages + drop, j->count * sizeof(*j->messages));
}

static void add(struct hub_join *j, struct message *m, struct store_position at)
{
    bool is_next = at.epoch == j->at.epoch && at.offset == j->at.offset + 1;
    bool is_had = !m || gather(j, m) == 0;

    j->recovered = j->recovered && is_next && is_had;
    j->at = at;
    bound(j);
}

/** Goes on with what the ring has: the rest cannot be had. */
static void jump(struct hub_join *j, const struct hub_sequence *s)
{
    uint64_t oldest = hub_ring_oldest(s->ring, s->last.epoch, s->last.offset);

    if (j->at.epoch == s->last.epoch && j->at.offset + 1 >= oldest && j->at.offset <= s->last.offset)
        return;
    j->recovered = false;
    j->at = (struct store_position){.epoch = s->last.epoch, .offset = oldest - 1};
}

/** Until a read that is sent from now on has come. */
static void wait_for_channel(struct hub_sequence *s, struct hub_join *j)
{
    if (j->read != HUB_JOIN_READ_AHEAD && j->read != HUB_JOIN_READ_BEHIND)
        j->read = HUB_JOIN_READ_WANTED;
    if (!list_is_linked(&j->link))
        list_append(&s->joins, &j->link);
}

static void ack_ask(struct hub *h, struct hub_join *j);

/**
 * What was asked of the store has failed. Whether to ask again when it is back: if it was lost a moment ago, of which
 * those who asked hear first. That it refuses what it is asked, or has been away for long, is not waited for.
 */
static bool is_patient(struct hub *h)
{
    struct store_status status;

    if (h->is_stopped || (!h->early_until_ms && !h->is_store_known))
        return false;
    store_status(h->store, &status);
    if (status.is_up)
        return false;
    if (!h->early_until_ms)
        hub_join_be_patient(h);
    return true;
}

/** Whether the log has spoken, and has nothing to where @j stands. @order: of its position to the channel's. */
static bool is_gone(const struct hub_sequence *s, const struct hub_join *j, int order)
{
    if (order < 0)
        return j->read == HUB_JOIN_TOLD_NOTHING;
    return j->read >= HUB_JOIN_TOLD_AHEAD && !s->is_behind;
}

/**
 * At a place from which the channel's own epoch leads to where it stands, or may; else (false) the log has to be read
 * for it. An epoch that is not the channel's may be one that it has not heard of, or have a rest in the log.
 */
static bool find_place(const struct hub_sequence *s, struct hub_join *j)
{
    int order;

    if (!j->at.epoch) { /* from the beginning */
        j->recovered = false;
        if (!s->last.offset && !s->has_rest)
            j->at = s->last;
    }
    order = hub_position_compare(j->at, s->last);
    if (j->at.epoch == s->last.epoch && order <= 0)
        return true;
    if (!is_gone(s, j, order))
        return false;
    j->recovered = false;
    if (j->at.epoch == s->last.epoch) {
        j->at = s->last;
    } else {
        j->at = (struct store_position){.epoch = s->last.epoch};
        j->read = HUB_JOIN_NO_READ;
    }
    return true;
}

/** The last messages are a catch-up from that many before the last one, which the answer has in it. */
static void begin_history(struct hub_join *j, const struct hub_sequence *s)
{
    j->has_since = j->is_history = true;
    j->at.epoch = s->last.epoch;
    j->at.offset = s->last.offset > j->history ? s->last.offset - j->history : 0;
    j->history = 0;
}

/** Whether the catch-up can be whole now; if not, what it lacks was asked for. */
static bool is_whole(struct hub *h, struct hub_join *j)
{
    struct hub_sequence *s = j->channel ? j->channel->sequence : NULL;

    if (j->is_asking)
        return false;
    if (!s || j->is_blind)
        return true;
    if (h->is_stopped) {
        j->is_blind = true;
        return true;
    }
    if (s->status != HUB_SEQUENCE_LIVE) {
        wait_for_channel(s, j);
        hub_interest_want(h, s);
        return false;
    }
    if (j->wants_ack && (s->last.offset > 0 || s->has_rest)) {
        ack_ask(h, j);
        return false;
    }
    if (j->history && !j->has_since)
        begin_history(j, s);
    if (!j->has_since)
        return true;
    if (find_place(s, j)) {
        if (j->read == HUB_JOIN_TOLD_NOTHING)
            jump(j, s);
        if (hub_ring_covers(s->ring, s->last.epoch, j->at.offset, s->last.offset)) {
            /* It may wait for another channel yet, and this one go on: what the log said is said of now. */
            j->read = HUB_JOIN_NO_READ;
            return true;
        }
    }
    wait_for_channel(s, j);
    hub_log_want(h, s);
    return false;
}

static void add_rest(struct hub_join *j, const struct hub_sequence *s)
{
    for (uint32_t i = 0; i < hub_ring_count(s->ring); i++) {
        struct message *m = hub_ring_at(s->ring, i);

        if (m->epoch == j->at.epoch && m->offset > j->at.offset)
            add(j, m, (struct store_position){.epoch = m->epoch, .offset = m->offset});
    }
    /* the newest may be one that nobody could read */
    j->at = s->last;
}

static void finish(struct hub_join *j)
{
    struct hub_sequence *s = j->channel ? j->channel->sequence : NULL;

    list_remove(&j->link);
    if (j->channel && j->channel->room)
        hub_state_fill(j->channel->room, j);
    j->recovered &= !j->is_history;
    if (!s || s->status != HUB_SEQUENCE_LIVE || j->is_blind) {
        j->recovered = false;
        j->at = (struct store_position){0};
        if (s && s->status != HUB_SEQUENCE_LIVE)
            s->is_blind = true;
        return;
    }
    if (j->has_since)
        add_rest(j, s);
    else
        j->at = s->last;
}

/** Answers the request if all of it is whole. */
static void request_try(struct hub *h, struct hub_request *r)
{
    bool are_whole = true;

    for (size_t i = 0; i < r->listen.join_count; i++) {
        const struct hub_channel *c = r->listen.joins[i].channel;

        are_whole &= is_whole(h, &r->listen.joins[i]);
        are_whole &= !c || !c->room || hub_state_is_ready(h, r, c->room);
    }
    if (!are_whole)
        return;
    for (size_t i = 0; i < r->listen.join_count; i++)
        finish(&r->listen.joins[i]);
    hub_request_answer(h, r, 0);
}

void hub_join_retry(struct hub *h, struct hub_request *r)
{
    if (r->kind == HUB_REQUEST_REJOIN)
        hub_client_handle_rejoin(h, r);
    else
        request_try(h, r);
}

/** An inbox without a position begins where the device has taken it, or at its log's beginning. */
static void on_ack_read(struct store_ack_read *read, int result, struct store_position position)
{
    struct hub_request *r = container_of(read, struct hub_request, listen.ack_read);
    struct hub_join *j = &r->listen.joins[0];

    j->is_asking = false;
    if (result && is_patient(r->letter.hub)) {
        if (!list_is_linked(&j->link))
            list_append(&r->letter.hub->early_joins, &j->link);
        return;
    }
    j->wants_ack = false;
    if (!result) {
        j->has_since = true;
        j->recovered = position.epoch > 0;
        j->at = position;
    }
    request_try(r->letter.hub, r);
}

static void ack_ask(struct hub *h, struct hub_join *j)
{
    const struct hub_client *c = j->request->listen.client;
    struct slice device = hub_client_device(c);
    struct store_ack_read *read = &j->request->listen.ack_read;

    j->is_asking = true;
    *read = (struct store_ack_read){
        .user = hub_client_user(c),
        .device = slice_is_set(device) ? device : SLICE_LITERAL(""),
        .done = on_ack_read,
    };
    store_ack_read(h->store, read);
}

void hub_join_begin(struct hub *h, struct hub_request *r)
{
    list_init(&r->listen.state_link);
    for (size_t i = 0; i < r->listen.join_count; i++) {
        struct hub_join *j = &r->listen.joins[i];

        list_init(&j->link);
        j->request = r;
        j->has_since = j->since.is_set;
        j->wants_ack = r->kind == HUB_REQUEST_OPEN && i == 0 && !j->has_since;
        j->recovered = j->has_since;
        j->at = (struct store_position){.epoch = j->since.epoch, .offset = j->since.offset};
    }
    /* A node that has just started would tell them that nothing is known of what they missed. */
    if (h->early_until_ms && r->listen.join_count)
        list_append(&h->early_joins, &r->listen.joins[0].link);
    else
        request_try(h, r);
}

void hub_join_be_patient(struct hub *h)
{
    h->is_store_known = false;
    if (!h->early_until_ms)
        h->early_until_ms = loop_now_ms(h->loop) + PATIENCE_MS;
}

void hub_join_give_up(struct hub *h)
{
    hub_join_release(h);
    list_for_each_safe (it, &h->sequences) {
        struct hub_sequence *s = container_of(it, struct hub_sequence, link);

        if (!list_is_empty(&s->joins))
            hub_join_resume(h, s, true);
    }
}

void hub_join_release(struct hub *h)
{
    struct list early;

    h->early_until_ms = 0;
    list_init(&early);
    list_splice(&early, &h->early_joins);
    for (struct list *it; (it = list_pop(&early));)
        request_try(h, container_of(it, struct hub_join, link)->request);
}

void hub_join_resume(struct hub *h, struct hub_sequence *s, bool has_failed)
{
    struct list waiting;

    list_for_each (it, &s->joins) {
        struct hub_join *j = container_of(it, struct hub_join, link);

        /* What was on its way has come, or will not: then it is asked for again. */
        if (j->read == HUB_JOIN_READ_AHEAD || j->read == HUB_JOIN_READ_BEHIND)
            j->read = HUB_JOIN_READ_WANTED;
    }
    if (has_failed && is_patient(h))
        return;
    list_init(&waiting);
    list_splice(&waiting, &s->joins);
    s->is_resuming = true;
    for (struct list *it; (it = list_pop(&waiting));) {
        struct hub_join *j = container_of(it, struct hub_join, link);

        if (has_failed && s->status != HUB_SEQUENCE_LIVE)
            j->is_blind = true;
        else if (has_failed)
            jump(j, s);
        request_try(h, j->request);
    }
    s->is_resuming = false;
    /* Those who wait again share one read. */
    if (!list_is_empty(&s->joins))
        hub_log_want(h, s);
}

static struct hub_join *join_of(struct list *link)
{
    return container_of(link, struct hub_join, link);
}

/**
 * The smallest position from which somebody wants to read. Those for whom a page was not enough go first: else whoever
 * comes newly, from further back, would hold them up.
 */
static struct store_position oldest_wanted(const struct hub_sequence *s)
{
    struct store_position veterans = s->last, all = s->last;
    bool has_veterans = false;

    list_for_each (it, &s->joins) {
        const struct hub_join *j = join_of(it);

        if (j->read != HUB_JOIN_READ_WANTED)
            continue;
        has_veterans |= j->took_part;
        if (hub_position_compare(j->at, all) < 0)
            all = j->at;
        if (j->took_part && hub_position_compare(j->at, veterans) < 0)
            veterans = j->at;
    }
    return has_veterans ? veterans : all;
}

struct store_position hub_join_read_from(struct hub_sequence *s)
{
    struct store_position from = oldest_wanted(s);

    list_for_each (it, &s->joins) {
        struct hub_join *j = join_of(it);

        if (j->read == HUB_JOIN_READ_WANTED && hub_position_compare(j->at, from) >= 0)
            j->read = hub_position_compare(j->at, s->last) < 0 ? HUB_JOIN_READ_BEHIND : HUB_JOIN_READ_AHEAD;
    }
    return from;
}

void hub_join_take_log(struct hub_sequence *s, const struct hub_record *records, size_t count, bool has_more)
{
    list_for_each (it, &s->joins) {
        struct hub_join *j = join_of(it);

        if (j->read != HUB_JOIN_READ_AHEAD && j->read != HUB_JOIN_READ_BEHIND)
            continue;
        j->took_part = true;
        if (j->read == HUB_JOIN_READ_AHEAD)
            j->read = HUB_JOIN_TOLD_AHEAD;
        else
            /* The page may have been filled for one who is further behind, and end before this one. */
            j->read = has_more ? HUB_JOIN_READ_WANTED : HUB_JOIN_TOLD_NOTHING;
        for (size_t i = 0; i < count; i++) {
            if (hub_position_compare(records[i].position, j->at) <= 0)
                continue;
            add(j, records[i].message, records[i].position);
            j->read = HUB_JOIN_TOLD_MORE;
        }
    }
}
