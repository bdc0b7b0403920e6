/*
 * The order of a sequenced channel.
 *
 *     next      (last + 1)          delivered; what was held behind it follows
 *     old       (at most last)      was delivered: dropped, unless its offset was given up
 *     early     (beyond last + 1)   held; after HUB_STRAGGLER_MS the log is read past last
 *     elsewhere (another epoch)     held; the log is read at once, and what it says counts
 *
 * Epochs are never compared to decide about a message: of two lives of a numbering only the log knows which one is
 * lived. A held message that came before a read was sent and that the read does not explain will not be explained by
 * another one, since a message is in the log before anybody publishes it: so what lies between is gone, which the
 * listeners are told, and delivery goes on behind it. What was given up and comes after all is delivered without a
 * position, once.
 */
#include "hub/sequence_internal.h"

static struct store_position position_of(const struct message *m)
{
    return (struct store_position){.epoch = m->epoch, .offset = m->offset};
}

/* ---- to the listeners ---- */

static void fan(struct hub *h, struct hub_sequence *s, struct message *m)
{
    if (hub_channel_fan(h, s->channel, m) < 0)
        hub_note_out_of_memory(h, "a message to a loop");
}

static void deliver_in_place(struct hub *h, struct hub_sequence *s, struct message *m)
{
    s->last.offset++;
    if (!m)
        return;
    assert(m->epoch == s->last.epoch && m->offset == s->last.offset);
    fan(h, s, m);
    hub_ring_add(&h->slab, &s->ring, m, loop_now_ms(h->loop));
}

/** Out of its place: the listeners get it without a position, unless they have had it. */
static void deliver_apart(struct hub *h, struct hub_sequence *s, struct message *m)
{
    struct message fields = *m;
    struct message *apart;

    if (hub_ring_has_id(s->ring, m->id)) {
        hub_count(h, HUB_METRIC_SEQUENCE_OLD, 1);
        return;
    }
    fields.epoch = fields.offset = 0;
    apart = message_copy(&fields);
    if (!apart) {
        hub_note_out_of_memory(h, "a late message");
        return;
    }
    hub_count(h, HUB_METRIC_SEQUENCE_APART, 1);
    fan(h, s, apart);
    hub_ring_add(&h->slab, &s->ring, apart, loop_now_ms(h->loop));
    message_unref(apart);
}

/** A store that came back empty resets every channel: the log names one of them a period, and how many others. */
static void log_reset(struct hub *h, const struct hub_sequence *s)
{
    uint64_t suppressed;

    if (log_limit_pass(&h->reset_limit, loop_now_ms(h->loop), &suppressed))
        log_event(LOG_WARNING, "messages of a channel are gone, and its listeners are told",
                  LOG_SLICE("channel", slice_make(s->channel->name, s->channel->name_size)),
                  LOG_UINT("epoch", s->last.epoch), LOG_UINT("offset", s->last.offset),
                  LOG_UINT("suppressed", suppressed));
}

/** Tells the listeners that what lies between what they had and what comes next is gone. */
static void tell_reset(struct hub *h, struct hub_sequence *s)
{
    const struct message fields = {
        .kind = MESSAGE_KIND_CONTROL,
        .channel = slice_make(s->channel->name, s->channel->name_size),
        .epoch = s->last.epoch,
        .offset = s->last.offset,
    };
    struct message *m = message_copy(&fields);

    hub_count(h, HUB_METRIC_SEQUENCE_RESETS, 1);
    log_reset(h, s);
    if (!m) {
        hub_note_out_of_memory(h, "a reset");
        return;
    }
    fan(h, s, m);
    message_unref(m);
}

/** NULL when out of memory: then what comes late is taken for old. */
static struct hub_past *past_of(struct hub *h, struct hub_sequence *s)
{
    if (!s->past)
        s->past = calloc(1, sizeof(*s->past));
    if (!s->past)
        hub_note_out_of_memory(h, "the memory of what was given up");
    return s->past;
}

/** Goes on behind @offset of this epoch, without what is before it. */
static void give_up(struct hub *h, struct hub_sequence *s, uint64_t offset)
{
    struct hub_past *past = past_of(h, s);

    assert(offset > s->last.offset);
    if (past && past->given_up_count == HUB_GIVEN_UP_MAX)
        memmove(past->given_up, past->given_up + 1, --past->given_up_count * sizeof(past->given_up[0]));
    if (past)
        past->given_up[past->given_up_count++] =
            (struct hub_given_up){.epoch = s->last.epoch, .from = s->last.offset + 1, .to = offset};
    s->last.offset = offset;
    tell_reset(h, s);
}

static bool was_given_up(const struct hub_sequence *s, struct store_position at)
{
    for (unsigned i = 0; s->past && i < s->past->given_up_count; i++) {
        const struct hub_given_up *g = &s->past->given_up[i];

        if (g->epoch == at.epoch && g->from <= at.offset && at.offset <= g->to)
            return true;
    }
    return false;
}

/* ---- what is held ---- */

static struct hub_held *held_of(struct list *link)
{
    return container_of(link, struct hub_held, link);
}

/** Nothing is held any more. */
static void early_free(struct hub_sequence *s)
{
    assert(list_is_empty(&s->early->held) && !s->early->count && !s->early->bytes);
    list_remove(&s->early->straggler_link);
    free(s->early);
    s->early = NULL;
}

static struct hub_early *early_new(void)
{
    struct hub_early *early = calloc(1, sizeof(*early));

    if (!early)
        return NULL;
    list_init(&early->held);
    list_init(&early->straggler_link);
    return early;
}

/** Takes it out of the held ones; the message is the caller's. Who took the last one calls held_settle(). */
static struct message *held_take(struct hub_sequence *s, struct hub_held *held)
{
    struct message *m = held->message;

    list_remove(&held->link);
    s->early->count--;
    s->early->bytes -= m->data.size;
    free(held);
    return m;
}

static void held_settle(struct hub_sequence *s)
{
    if (s->early && list_is_empty(&s->early->held))
        early_free(s);
}

static void held_drop_all(struct hub_sequence *s)
{
    while (s->early && !list_is_empty(&s->early->held))
        message_unref(held_take(s, held_of(s->early->held.next)));
    held_settle(s);
}

static void straggler_arm(struct hub *h, struct hub_sequence *s)
{
    struct hub_early *early = s->early;

    if (!early || list_is_linked(&early->straggler_link) || s->reading || h->is_stopped)
        return;
    early->sequence = s;
    early->straggler_due_ms = loop_now_ms(h->loop) + HUB_STRAGGLER_MS;
    list_append(&h->stragglers, &early->straggler_link);
    if (!loop_timer_is_pending(&h->straggler_timer))
        loop_timer_start(&h->straggler_timer, HUB_STRAGGLER_MS);
}

/** Puts @m in its place among the held ones, unless it is there. 0, -ENOMEM. */
static int held_insert(struct hub_sequence *s, struct message *m)
{
    struct list *head = &s->early->held, *before = head;
    struct hub_held *held;

    while (before->previous != head) {
        int order = hub_position_compare(position_of(held_of(before->previous)->message), position_of(m));

        if (order == 0)
            return 0;
        if (order < 0)
            break;
        before = before->previous;
    }
    held = calloc(1, sizeof(*held));
    if (!held)
        return -ENOMEM;
    held->message = message_ref(m);
    held->reads = s->reads;
    list_init(&held->link);
    list_insert_before(before, &held->link);
    s->early->count++;
    s->early->bytes += m->data.size;
    return 0;
}

/** Keeps @m. Beyond the bounds the one that is furthest ahead goes: the log has it. */
static void hold(struct hub *h, struct hub_sequence *s, struct message *m)
{
    uint32_t before = s->early ? s->early->count : 0;

    if (!s->early)
        s->early = early_new();
    if (!s->early || held_insert(s, m) < 0) {
        held_settle(s);
        s->is_behind = s->is_short = true;
        hub_note_out_of_memory(h, "a message that came early");
        return;
    }
    if (s->early->count > before)
        hub_count(h, HUB_METRIC_SEQUENCE_HELD, 1);
    while (s->early->count > HUB_HELD_MAX || (s->early->bytes > HUB_HELD_BYTES_MAX && s->early->count > 1)) {
        message_unref(held_take(s, held_of(s->early->held.previous)));
        s->is_behind = s->is_short = true;
    }
}

/** Delivers what has become next, drops what has become old. */
static void drain(struct hub *h, struct hub_sequence *s)
{
    if (!s->early)
        return;
    list_for_each_safe (it, &s->early->held) {
        struct hub_held *held = held_of(it);
        struct store_position at = position_of(held->message);
        struct message *m;

        if (at.epoch != s->last.epoch || at.offset > s->last.offset + 1)
            continue;
        m = held_take(s, held);
        if (at.offset == s->last.offset + 1)
            deliver_in_place(h, s, m);
        message_unref(m);
    }
    held_settle(s);
}

/** The smallest offset of this epoch that is held, if it is before @offset, else @offset. */
static uint64_t next_held(const struct hub_sequence *s, uint64_t offset)
{
    if (!s->early)
        return offset;
    list_for_each (it, &s->early->held) {
        const struct message *m = held_of(it)->message;

        if (m->epoch == s->last.epoch && m->offset < offset)
            offset = m->offset;
    }
    return offset;
}

/** The message at @offset comes next: what is held before it is delivered, what is not is given up. */
static void skip_to(struct hub *h, struct hub_sequence *s, uint64_t offset)
{
    for (;;) {
        drain(h, s);
        if (offset <= s->last.offset + 1)
            return;
        give_up(h, s, next_held(s, offset) - 1);
    }
}

/* ---- a message comes ---- */

/** Where an epoch before this one ended here; false if it is none of those that are known. */
static bool is_of_earlier(const struct hub_sequence *s, uint64_t epoch, uint64_t *ret_end)
{
    for (unsigned i = 0; s->past && i < s->past->earlier_count; i++) {
        if (s->past->earlier[i].epoch != epoch)
            continue;
        *ret_end = s->past->earlier[i].offset;
        return true;
    }
    return false;
}

static void feed_old(struct hub *h, struct hub_sequence *s, struct message *m)
{
    if (was_given_up(s, position_of(m)))
        deliver_apart(h, s, m);
    else
        hub_count(h, HUB_METRIC_SEQUENCE_OLD, 1);
}

void hub_sequence_feed(struct hub *h, struct hub_sequence *s, struct message *m)
{
    struct store_position at = position_of(m);
    uint64_t end;

    if (s->status != HUB_SEQUENCE_LIVE) {
        hold(h, s, m);
    } else if (at.epoch == s->last.epoch && at.offset <= s->last.offset) {
        feed_old(h, s, m);
    } else if (at.epoch == s->last.epoch && at.offset == s->last.offset + 1) {
        deliver_in_place(h, s, m);
        if (!hub_sequence_holds_nothing(s))
            drain(h, s);
    } else if (at.epoch == s->last.epoch) {
        hold(h, s, m);
        straggler_arm(h, s);
    } else if (is_of_earlier(s, at.epoch, &end)) {
        if (at.offset > end || was_given_up(s, at))
            deliver_apart(h, s, m);
        else
            hub_count(h, HUB_METRIC_SEQUENCE_OLD, 1);
    } else {
        hold(h, s, m);
        hub_log_want(h, s);
    }
}

static void on_straggler_timer(void *userdata)
{
    struct hub *h = userdata;
    uint64_t now_ms = loop_now_ms(h->loop);

    while (!list_is_empty(&h->stragglers)) {
        struct hub_early *early = container_of(h->stragglers.next, struct hub_early, straggler_link);

        if (early->straggler_due_ms > now_ms) {
            loop_timer_start(&h->straggler_timer, early->straggler_due_ms - now_ms);
            return;
        }
        list_remove(&early->straggler_link);
        hub_log_want(h, early->sequence);
    }
}

/* ---- the log speaks ---- */

/** What is beyond the end of the old epoch has lost its place, and not its listeners. */
static void deliver_beyond_end(struct hub *h, struct hub_sequence *s, struct store_position ended)
{
    if (!s->early)
        return;
    list_for_each_safe (it, &s->early->held) {
        struct message *m;

        if (held_of(it)->message->epoch != ended.epoch)
            continue;
        m = held_take(s, held_of(it));
        if (m->offset > ended.offset)
            deliver_apart(h, s, m);
        message_unref(m);
    }
    held_settle(s);
}

/** The log goes on in a later epoch, and has no more of this one. */
static void enter_epoch(struct hub *h, struct hub_sequence *s, uint64_t epoch)
{
    struct store_position ended = s->last;
    struct hub_past *past;

    deliver_beyond_end(h, s, ended);
    /* An epoch without a message has no past: a channel's first one does not count as a change. */
    past = ended.offset > 0 ? past_of(h, s) : NULL;
    if (past && past->earlier_count == HUB_EARLIER_MAX)
        memmove(past->earlier, past->earlier + 1, --past->earlier_count * sizeof(past->earlier[0]));
    if (past)
        past->earlier[past->earlier_count++] = ended;
    s->last = (struct store_position){.epoch = epoch};
    /* With the store there all the time nothing was lost with the old one. */
    if (s->is_suspect)
        tell_reset(h, s);
    s->is_suspect = false;
}

/** Of what of this epoch came before the read was sent, nothing is left open: the log has spoken. */
static void settle_epoch(struct hub *h, struct hub_sequence *s)
{
    drain(h, s);
    if (!s->early)
        return;
    list_for_each_safe (it, &s->early->held) {
        struct hub_held *held = held_of(it);
        struct message *m = held->message;

        if (held->reads >= s->reads || m->epoch != s->last.epoch)
            continue;
        if (m->offset > s->last.offset + 1)
            give_up(h, s, m->offset - 1);
        m = held_take(s, held);
        if (m->offset == s->last.offset + 1)
            deliver_in_place(h, s, m);
        message_unref(m);
    }
    held_settle(s);
    drain(h, s);
}

/**
 * What the log has nothing of belongs to another life of it. To one before this node's first position: then all who
 * listen have had it, or were told that it is gone. Else to one that was lost again: they have not.
 */
static void settle_others(struct hub *h, struct hub_sequence *s)
{
    if (!s->early)
        return;
    list_for_each_safe (it, &s->early->held) {
        struct message *m = held_of(it)->message;

        if (held_of(it)->reads >= s->reads || m->epoch == s->last.epoch)
            continue;
        m = held_take(s, held_of(it));
        if (m->epoch < s->began)
            hub_count(h, HUB_METRIC_SEQUENCE_OLD, 1);
        else
            deliver_apart(h, s, m);
        message_unref(m);
    }
    held_settle(s);
}

static void take_record(struct hub *h, struct hub_sequence *s, const struct hub_record *record, bool has_more)
{
    struct store_position at = record->position;

    if (at.epoch > s->last.epoch) {
        if (!has_more)
            settle_epoch(h, s);
        enter_epoch(h, s, at.epoch);
    }
    if (at.epoch != s->last.epoch || at.offset <= s->last.offset)
        return;
    skip_to(h, s, at.offset);
    if (at.offset <= s->last.offset)
        return;
    hub_count(h, HUB_METRIC_SEQUENCE_REPAIRED, 1);
    deliver_in_place(h, s, record->message);
}

void hub_sequence_take_log(struct hub *h, struct hub_sequence *s, struct store_position last,
                           const struct hub_record *records, size_t count)
{
    bool has_more = count > 0 && hub_position_compare(records[count - 1].position, last) < 0;

    for (size_t i = 0; i < count; i++)
        take_record(h, s, &records[i], has_more);
    drain(h, s);
    /* A page that ends before the log does may still end behind what this channel has. */
    has_more = has_more && hub_position_compare(s->last, last) < 0;
    if (!has_more) {
        settle_epoch(h, s);
        settle_others(h, s);
    }
    s->is_behind = has_more || s->is_short;
    /* What came while the log was read waits for its stragglers like anything else. */
    if (!hub_sequence_holds_nothing(s))
        straggler_arm(h, s);
}

void hub_sequence_fill_ring(struct hub *h, struct hub_sequence *s, const struct hub_record *records, size_t count)
{
    uint64_t oldest = hub_ring_oldest(s->ring, s->last.epoch, s->last.offset);

    /* Nothing else may be in it: what is without position, or of an earlier epoch, came before. */
    if (hub_ring_count(s->ring) != s->last.offset + 1 - oldest)
        return;
    for (size_t i = count; i-- > 0 && records[i].position.epoch == s->last.epoch;) {
        uint64_t offset = records[i].position.offset;

        if (offset >= oldest)
            continue;
        if (offset + 1 != oldest || !records[i].message ||
            !hub_ring_add_before(&h->slab, &s->ring, records[i].message, loop_now_ms(h->loop)))
            return;
        oldest--;
    }
}

void hub_sequence_begin(struct hub *h, struct hub_sequence *s, struct store_position position, bool has_rest)
{
    s->last = position;
    s->began = s->is_blind ? 0 : position.epoch;
    s->has_rest = has_rest;
    if (s->is_blind && !hub_sequence_holds_nothing(s)) {
        const struct message *m = held_of(s->early->held.next)->message;

        /* Whoever listened without a position goes on with the first message that came since. */
        if (m->epoch == position.epoch && m->offset <= position.offset) {
            s->last.offset = m->offset - 1;
            s->is_behind = true;
        }
    }
    s->status = HUB_SEQUENCE_LIVE;
    s->is_blind = s->is_suspect = false;
    drain(h, s);
    hub_join_resume(h, s, false);
    if (s->is_behind || !hub_sequence_holds_nothing(s))
        hub_log_want(h, s);
}

/* ---- life ---- */

int hub_sequence_new(struct hub *h, struct hub_channel *c)
{
    struct hub_sequence *s = slab_calloc(&h->slab, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->channel = c;
    s->sweep_round = h->sweep_round;
    list_init(&s->link);
    list_init(&s->due_link);
    list_init(&s->joins);
    list_append(&h->sequences, &s->link);
    c->sequence = s;
    return 0;
}

struct hub_sequence *hub_sequence_free(struct hub *h, struct hub_sequence *s)
{
    if (!s)
        return NULL;
    assert(!s->reading && list_is_empty(&s->joins));
    held_drop_all(s);
    s->ring = hub_ring_free(&h->slab, s->ring);
    list_remove(&s->link);
    list_remove(&s->due_link);
    free(s->past);
    slab_free(&h->slab, s, sizeof(*s));
    return NULL;
}

void hub_sequence_idle(struct hub *h, struct hub_sequence *s)
{
    bool was_asked =
        s->status == HUB_SEQUENCE_LIVE || (s->status == HUB_SEQUENCE_POSITIONING && !list_is_linked(&s->due_link));

    held_drop_all(s);
    s->ring = hub_ring_free(&h->slab, s->ring);
    list_remove(&s->due_link);
    free(s->past);
    s->past = NULL;
    s->is_blind = s->is_behind = s->is_short = s->is_suspect = s->has_rest = false;
    s->status = HUB_SEQUENCE_UNKNOWN;
    s->generation++;
    if (was_asked && !h->is_stopped)
        hub_interest_end(h, s);
}

void hub_sequence_suspect_all(struct hub *h)
{
    list_for_each (it, &h->sequences) {
        struct hub_sequence *s = container_of(it, struct hub_sequence, link);

        s->is_suspect = s->status == HUB_SEQUENCE_LIVE;
    }
}

void hub_sequence_start(struct hub *h)
{
    loop_timer_init(&h->straggler_timer, h->loop, on_straggler_timer, h);
}

void hub_sequence_stop(struct hub *h)
{
    loop_timer_deinit(&h->straggler_timer);
    list_for_each (it, &h->sequences) {
        struct hub_sequence *s = container_of(it, struct hub_sequence, link);

        hub_join_resume(h, s, true);
        held_drop_all(s);
        s->ring = hub_ring_free(&h->slab, s->ring);
        list_remove(&s->due_link);
        s->status = HUB_SEQUENCE_UNKNOWN;
    }
}
