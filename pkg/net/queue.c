/**
 * What waits to be sent on a stream: frames by reference, in order.
 *
 * A few stand in the stream itself, more in a backlog on the heap, which is gone as soon as all is sent: an idle
 * connection has none, and a message that leaves in the turn it came needs no memory. A frame is charged with its size
 * while any of it waits.
 *
 * Classes (net/frame.h) are looked at when a frame is queued. Nothing that was begun is taken out: of a plain stream
 * the first frame, once some of it is gone; of TLS all that a record was made of that OpenSSL holds.
 *
 * A frame with a place leaves a gap, which is a frame as well: it stands where the first one stood that it tells of,
 * so before all of the series that comes behind, and grows as long as the numbers do. There are never more gaps than
 * frames of the series around them.
 */
#include "net/net_internal.h"

#define BACKLOG_CAPACITY_FIRST 8

/* What a loop may queue before its budget hears of it within a turn. */
#define BUDGET_STEP (1u << 20)
#define QUEUED_BYTES_MAX (UINT32_C(1) << 31)

static uint32_t queue_limit(const struct net_stream *s)
{
    uint32_t limit = s->limits ? s->limits->bytes : 0;

    return limit && limit < QUEUED_BYTES_MAX ? limit : QUEUED_BYTES_MAX;
}

uint32_t net_queue_count(const struct net_stream *s)
{
    return s->backlog ? s->backlog->count : s->few_count;
}

static struct net_frame **queue_slot(struct net_stream *s, uint32_t index)
{
    struct net_backlog *b = s->backlog;

    return b ? &b->frames[(b->head + index) % b->capacity] : &s->few[index];
}

struct net_frame *net_queue_at(const struct net_stream *s, uint32_t index)
{
    const struct net_backlog *b = s->backlog;

    assert(index < net_queue_count(s));
    return b ? b->frames[(b->head + index) % b->capacity] : s->few[index];
}

/* ---- memory ---- */

static void tally(struct net_backlog *b, const struct net_frame *frame, bool is_added)
{
    if (frame->delivery == NET_FRAME_LATEST)
        b->replaceable += is_added ? 1u : UINT32_MAX;
    else if (frame->delivery == NET_FRAME_DROP_OLDEST)
        b->drop_oldest_bytes += is_added ? frame->size : 0u - frame->size;
}

static struct net_backlog *backlog_new(struct net_stream *s, uint32_t capacity)
{
    struct net_backlog *b = malloc(sizeof(*b) + capacity * sizeof(struct net_frame *));

    if (!b)
        return NULL;
    *b = (struct net_backlog){.stream = s, .capacity = capacity};
    list_init(&b->link);
    return b;
}

int net_queue_open_backlog(struct net_stream *s)
{
    struct net_backlog *b;

    if (s->backlog)
        return 0;
    b = backlog_new(s, BACKLOG_CAPACITY_FIRST);
    if (!b)
        return -ENOMEM;
    for (; b->count < s->few_count; b->count++) {
        b->frames[b->count] = s->few[b->count];
        tally(b, b->frames[b->count], true);
    }
    s->few_count = 0;
    s->backlog = b;
    return 0;
}

static int backlog_grow(struct net_stream *s)
{
    struct net_backlog *old = s->backlog, *b = backlog_new(s, old->capacity * 2);

    if (!b)
        return -ENOMEM;
    for (uint32_t i = 0; i < old->count; i++)
        b->frames[i] = net_queue_at(s, i);
    b->count = old->count;
    b->soft_since_ms = old->soft_since_ms;
    b->replaceable = old->replaceable;
    b->drop_oldest_bytes = old->drop_oldest_bytes;
    if (list_is_linked(&old->link)) {
        list_insert_before(&old->link, &b->link);
        list_remove(&old->link);
    }
    free(old);
    s->backlog = b;
    return 0;
}

static int queue_reserve(struct net_stream *s)
{
    if (!s->backlog)
        return s->few_count < NET_STREAM_FEW ? 0 : net_queue_open_backlog(s);
    return s->backlog->count < s->backlog->capacity ? 0 : backlog_grow(s);
}

void net_queue_settle(struct net_stream *s)
{
    assert(net_queue_count(s) == 0 && s->queued_bytes == 0);
    if (!s->backlog)
        return;
    net_watch_settled(s);
    free(s->backlog);
    s->backlog = NULL;
}

/* ---- in and out ---- */

static void charge(struct net_stream *s, uint32_t size)
{
    struct net_loop *n = s->owner;

    s->queued_bytes += size;
    n->counters.bytes_queued += size;
    if (n->budget && n->counters.bytes_queued > n->told_bytes + BUDGET_STEP)
        loop_defer(n->loop, &n->deferred);
}

static void discharge(struct net_stream *s, uint32_t size)
{
    s->queued_bytes -= size;
    s->owner->counters.bytes_queued -= size;
}

/** Takes the frame at @index out; the shorter side moves up. */
static void queue_take_out(struct net_stream *s, uint32_t index)
{
    struct net_frame *frame = net_queue_at(s, index);
    struct net_backlog *b = s->backlog;
    uint32_t count = net_queue_count(s);

    if (b && index < count / 2) {
        for (uint32_t i = index; i > 0; i--)
            *queue_slot(s, i) = net_queue_at(s, i - 1);
        b->head = (b->head + 1) % b->capacity;
    } else {
        for (uint32_t i = index; i + 1 < count; i++)
            *queue_slot(s, i) = net_queue_at(s, i + 1);
    }
    if (b) {
        b->count--;
        tally(b, frame, false);
    } else {
        s->few_count--;
    }
    net_frame_unref(frame);
}

void net_queue_consume(struct net_stream *s, size_t size)
{
    struct net_loop_counters *counters = &s->owner->counters;

    discharge(s, (uint32_t)size);
    counters->writes++;
    counters->bytes_out += size;
    while (size > 0) {
        uint32_t rest = net_queue_at(s, 0)->size - s->sent_of_head;

        if (size < rest) {
            s->sent_of_head += (uint32_t)size;
            return;
        }
        size -= rest;
        counters->frames_out += net_queue_at(s, 0)->count;
        s->sent_of_head = 0;
        queue_take_out(s, 0);
    }
}

/** How many frames from the front were begun. */
static uint32_t queue_begun(const struct net_stream *s)
{
    if (s->record_frames)
        return s->record_frames;
    return s->sent_of_head > 0 ? 1 : 0;
}

void net_queue_drop(struct net_stream *s)
{
    uint32_t begun = queue_begun(s);

    for (uint32_t count = net_queue_count(s); count > begun; count--) {
        discharge(s, net_queue_at(s, count - 1)->size);
        queue_take_out(s, count - 1);
    }
}

void net_queue_clear(struct net_stream *s)
{
    discharge(s, s->queued_bytes);
    for (uint32_t count = net_queue_count(s); count > 0; count--)
        queue_take_out(s, count - 1);
    s->sent_of_head = 0;
    net_queue_settle(s);
}

/* ---- by class ---- */

/** Puts @frame at @index instead of what is there. */
static void queue_exchange(struct net_stream *s, uint32_t index, struct net_frame *frame)
{
    struct net_frame *old = net_queue_at(s, index);

    discharge(s, old->size);
    charge(s, frame->size);
    if (s->backlog) {
        tally(s->backlog, old, false);
        tally(s->backlog, frame, true);
    }
    *queue_slot(s, index) = net_frame_ref(frame);
    net_frame_unref(old);
}

static bool is_gap_of(const struct net_frame *frame, const struct net_place *place)
{
    return frame->delivery == NET_FRAME_GAP && frame->place->epoch == place->epoch &&
           slice_equal(frame->place->series, place->series);
}

/** The gap before @index that ends where @place begins; @index if there is none. */
static uint32_t gap_before(const struct net_stream *s, uint32_t index, const struct net_place *place)
{
    for (uint32_t i = index, begun = queue_begun(s); i > begun; i--) {
        const struct net_frame *frame = net_queue_at(s, i - 1);

        if (is_gap_of(frame, place) && frame->place->to + 1 == place->from)
            return i - 1;
    }
    return index;
}

/** The same behind it, which begins where @place ends. */
static uint32_t gap_behind(const struct net_stream *s, uint32_t index, const struct net_place *place)
{
    for (uint32_t i = index + 1; i < net_queue_count(s); i++) {
        const struct net_frame *frame = net_queue_at(s, i);

        if (is_gap_of(frame, place) && frame->place->from == place->to + 1)
            return i;
    }
    return index;
}

/** NULL when out of memory. */
static struct net_frame *gap_new(struct net_stream *s, const struct net_place *place, uint64_t from, uint64_t to)
{
    const struct net_place what = {.series = place->series, .epoch = place->epoch, .from = from, .to = to};
    struct net_frame *gap = s->ops->gap(s, &what);

    if (!gap)
        return NULL;
    assert(gap->refs == 1);
    if (net_frame_set_place(gap, what.series, what.epoch, from, to) < 0)
        return net_frame_unref(gap);
    gap->delivery = NET_FRAME_GAP;
    gap->born_ms = (uint32_t)loop_now_ms(s->owner->loop) | 1u;
    return gap;
}

static void queue_remove(struct net_stream *s, uint32_t index)
{
    discharge(s, net_queue_at(s, index)->size);
    queue_take_out(s, index);
}

/** Leaves out the frame at @index, and tells so. 0, -ENOMEM. */
static int queue_leave_out(struct net_stream *s, uint32_t index)
{
    const struct net_place *place = net_queue_at(s, index)->place;
    uint32_t before, behind;
    base_cleanup(net_frame_unref_p)
    struct net_frame *gap = NULL;

    if (!place || !s->ops->gap) {
        queue_remove(s, index);
        return 0;
    }
    before = gap_before(s, index, place);
    /* The oldest has none of its series behind it. */
    behind = net_queue_at(s, index)->delivery == NET_FRAME_LATEST ? gap_behind(s, index, place) : index;
    gap = gap_new(s, place, net_queue_at(s, before)->place->from, net_queue_at(s, behind)->place->to);
    if (!gap)
        return -ENOMEM;
    if (behind != index)
        queue_remove(s, behind);
    if (before != index)
        queue_remove(s, index);
    queue_exchange(s, before, gap);
    return 0;
}

/** Takes out the one that @frame is newer than. 0, -ENOMEM. */
static int queue_replace(struct net_stream *s, const struct net_frame *frame)
{
    uint32_t begun;

    /* A reader that keeps up gets each one. */
    if (!s->want_write || !s->backlog || s->backlog->replaceable == 0)
        return 0;
    begun = queue_begun(s);
    for (uint32_t i = net_queue_count(s); i > begun; i--) {
        const struct net_frame *old = net_queue_at(s, i - 1);

        if (old->delivery != NET_FRAME_LATEST || old->tag != frame->tag)
            continue;
        s->owner->counters.frames_replaced++;
        return queue_leave_out(s, i - 1); /* there is never more than one, but for one that was begun */
    }
    return 0;
}

static bool fits(const struct net_stream *s, uint32_t size)
{
    uint32_t limit = queue_limit(s);

    return size <= limit && s->queued_bytes <= limit - size;
}

/** Whether frames that may be dropped have their share: only a reader that is behind is held to it. */
static bool fits_share(const struct net_stream *s, uint32_t size)
{
    uint32_t share = s->limits ? s->limits->drop_oldest_bytes : 0;
    uint32_t used = s->backlog ? s->backlog->drop_oldest_bytes : 0;

    return !share || !s->want_write || (size <= share && used <= share - size);
}

/** Drops the oldest until there is room. 0; NET_E_FULL: there is none; -ENOMEM. */
static int queue_make_room(struct net_stream *s, uint32_t size)
{
    uint32_t i = queue_begun(s);

    while (!fits(s, size) || !fits_share(s, size)) {
        while (i < net_queue_count(s) && net_queue_at(s, i)->delivery != NET_FRAME_DROP_OLDEST)
            i++;
        if (i == net_queue_count(s))
            return NET_E_FULL;
        if (queue_leave_out(s, i) < 0)
            return -ENOMEM;
        s->owner->counters.frames_dropped++;
    }
    return 0;
}

static int queue_add(struct net_stream *s, struct net_frame *frame)
{
    if (!fits(s, frame->size))
        return NET_E_FULL;
    if (queue_reserve(s) < 0)
        return -ENOMEM;
    if (!frame->born_ms)
        frame->born_ms = (uint32_t)loop_now_ms(s->owner->loop) | 1u;
    if (s->backlog) {
        s->backlog->count++;
        tally(s->backlog, frame, true);
    } else {
        s->few_count++;
    }
    *queue_slot(s, net_queue_count(s) - 1) = net_frame_ref(frame);
    charge(s, frame->size);
    return 0;
}

/** @frame is not even queued: tells so. 0, NET_E_FULL, -ENOMEM. */
static int queue_miss(struct net_stream *s, const struct net_frame *frame)
{
    uint32_t count = net_queue_count(s), before;
    base_cleanup(net_frame_unref_p)
    struct net_frame *gap = NULL;

    s->owner->counters.frames_dropped++;
    if (!frame->place || !s->ops->gap)
        return 0;
    before = gap_before(s, count, frame->place);
    gap = gap_new(s, frame->place, before < count ? net_queue_at(s, before)->place->from : frame->place->from,
                  frame->place->to);
    if (!gap)
        return -ENOMEM;
    if (before == count)
        return queue_add(s, gap);
    queue_exchange(s, before, gap);
    return 0;
}

int net_queue_push(struct net_stream *s, struct net_frame *frame)
{
    int result = 0;

    if (frame->delivery == NET_FRAME_LATEST)
        result = queue_replace(s, frame);
    else if (frame->delivery == NET_FRAME_DROP_OLDEST)
        result = queue_make_room(s, frame->size);
    if (result == NET_E_FULL)
        return queue_miss(s, frame);
    return result < 0 ? result : queue_add(s, frame);
}
