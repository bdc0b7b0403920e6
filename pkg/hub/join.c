/*
 * Joins: a session begins to listen, and gets what it missed.
 *
 * A request's channels have to be whole at one moment: the hub answers when of each it has gathered everything up to
 * where the channel stands right then, and what comes later is delivered live, behind the answer in the same mailbox.
 * What was missed comes from the ring if that reaches so far, else from the log, page by page, while the channel goes
 * on; the last stretch always comes from the ring, in the turn of the answer. Readers of one channel share its reads.
 *
 * A channel whose position cannot be had, since the store is away, is joined without: its messages come, and nothing is
 * promised about those before.
 */
#include "hub/sequence_internal.h"

/** Bytes of one channel's catch-up at most: what is larger would not fit into a session's queue. */
#define CATCH_UP_BYTES_MAX (512u * 1024u)
#define CATCH_UP_OVERHEAD 128

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
    if (at.offset != j->at.offset + 1 || (m && gather(j, m) < 0))
        j->recovered = false;
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
    j->was_read = j->has_moved = false;
    if (list_is_linked(&j->link))
        return;
    j->reads = s->reads;
    list_append(&s->joins, &j->link);
}

static void ack_ask(struct hub *h, struct hub_join *j);

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
    if (j->wants_ack && s->last.offset > 0) {
        ack_ask(h, j);
        return false;
    }
    if (!j->has_since)
        return true;
    if (!j->at.epoch) { /* from the beginning */
        j->recovered = false;
        j->at = (struct store_position){.epoch = s->last.epoch};
    }
    /* A position that this node has not seen may be of a life that it has not heard of: the log knows. */
    if ((j->at.epoch != s->last.epoch || j->at.offset > s->last.offset) && !j->was_read) {
        wait_for_channel(s, j);
        hub_log_want(h, s);
        return false;
    }
    if (j->at.epoch != s->last.epoch) {
        j->recovered = false;
        j->at = (struct store_position){.epoch = s->last.epoch};
        j->was_read = false;
    }
    if (j->at.offset > s->last.offset) {
        j->recovered = false;
        j->at.offset = s->last.offset;
    }
    if (hub_ring_covers(s->ring, s->last.epoch, j->at.offset, s->last.offset))
        return true;
    /* A read that brought nothing new will not bring more. */
    if (j->was_read && !j->has_moved) {
        jump(j, s);
        return true;
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

    for (size_t i = 0; i < r->listen.join_count; i++)
        are_whole &= is_whole(h, &r->listen.joins[i]);
    if (!are_whole)
        return;
    for (size_t i = 0; i < r->listen.join_count; i++)
        finish(&r->listen.joins[i]);
    hub_request_answer(h, r, 0);
}

/** An inbox without a position begins where the device has taken it, or at its log's beginning. */
static void on_ack_read(struct store_ack_read *read, int result, struct store_position position)
{
    struct hub_request *r = container_of(read, struct hub_request, listen.ack_read);
    struct hub_join *j = &r->listen.joins[0];

    j->is_asking = j->wants_ack = false;
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
    for (size_t i = 0; i < r->listen.join_count; i++) {
        struct hub_join *j = &r->listen.joins[i];

        list_init(&j->link);
        j->request = r;
        j->has_since = j->since.is_set;
        j->wants_ack = r->kind == HUB_REQUEST_OPEN && i == 0 && !j->has_since;
        j->recovered = j->has_since;
        j->at = (struct store_position){.epoch = j->since.epoch, .offset = j->since.offset};
    }
    request_try(h, r);
}

void hub_join_resume(struct hub *h, struct hub_sequence *s, bool has_failed)
{
    struct list waiting;

    list_init(&waiting);
    list_splice(&waiting, &s->joins);
    for (struct list *it; (it = list_pop(&waiting));) {
        struct hub_join *j = container_of(it, struct hub_join, link);

        j->was_read = s->status == HUB_SEQUENCE_LIVE && s->reads - (s->reading != NULL) > j->reads;
        if (has_failed && s->status != HUB_SEQUENCE_LIVE)
            j->is_blind = true;
        else if (has_failed)
            jump(j, s);
        request_try(h, j->request);
    }
}

struct store_position hub_join_oldest(const struct hub_sequence *s)
{
    struct store_position oldest = s->last;

    list_for_each (it, &s->joins) {
        const struct hub_join *j = container_of(it, struct hub_join, link);

        if (j->at.epoch == oldest.epoch && j->at.offset < oldest.offset)
            oldest.offset = j->at.offset;
    }
    return oldest;
}

void hub_join_take_log(struct hub_sequence *s, struct store_position after, const struct hub_record *records,
                       size_t count)
{
    list_for_each (it, &s->joins) {
        struct hub_join *j = container_of(it, struct hub_join, link);

        if (j->at.epoch != s->last.epoch)
            continue;
        /* One that came while the log was read from further on waits for the next. */
        if (after.epoch == j->at.epoch && after.offset > j->at.offset)
            continue;
        for (size_t i = 0; i < count; i++) {
            if (records[i].position.epoch != j->at.epoch || records[i].position.offset <= j->at.offset)
                continue;
            add(j, records[i].message, records[i].position);
            j->has_moved = true;
        }
    }
}
