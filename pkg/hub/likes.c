/*
 * Likes: added up here, then in the store, and the total told.
 *
 *     like ─▶ pending ─ due ─▶ sending, under a sequence ─▶ likes_add ─▶ total ─ leave to tell ─▶ signal {"total"}
 *                                 ▲                           │ store away
 *                                 └───────────────────────────┘ again, with the same number and sequence
 *
 * A room with something to say is due an interval after it became so; rooms that are due travel together. What was sent
 * and not answered may have been added: it is sent again as it was, and the store knows it by its sequence. A sequence
 * is a number of this node's life, so that a room which was forgotten in between does not begin anew.
 *
 * The store gives leave to tell, to one node an interval. Whoever gets none asks again, unless it has heard the total
 * by then; so has who told it, for a signal may be lost.
 *
 * A total that is less than one that listeners here were told is not given to them, for theirs would go back: two
 * nodes' signals may overtake each other, and a newcomer was told what the store has. The store is asked instead, and
 * what it says counts, should it have lost likes.
 */
#include "hub/likes_internal.h"
#include "hub/room_internal.h"

#include "base/json.h"

#define CONTENT_TYPE_LIKES SLICE_LITERAL("application/vnd.warren.likes+json")
/** What Lua and JavaScript can count. */
#define LIKES_MAX (UINT64_C(1) << 53)
/** Intervals between questions become longer by so many doublings while nobody hears what is told. */
#define MISSES_MAX 5

struct hub_likes {
    struct list link; /* hub->likes_due; then the channel is held, and so it is while @is_asking */
    struct hub_room *room;
    uint64_t due_ms;
    uint64_t pending;           /* which only this node knows of */
    uint64_t sending, sequence; /* which the store may know of, under this sequence */
    uint64_t total;             /* as the store says */
    uint64_t heard;             /* as listeners know */
    uint64_t most;              /* that any of them was told: what newcomers are told may be more */
    uint8_t misses;             /* tellings that were not heard */
    bool is_asking;             /* in a batch */
    bool is_untold;             /* the total has to be told */
    bool is_stale;              /* the store is to be asked: it shall not forget, or it may have */
    bool is_lingering;          /* due, without listeners */
};

/** One question about many rooms. */
struct likes_batch {
    struct store_likes_add add;
    struct hub *hub;
    struct hub_likes *likes[STORE_LIKES_MAX]; /* their channels are held */
    struct store_likes items[STORE_LIKES_MAX];
    char *mirrors; /* room for as many keys; NULL: none is needed */
};

static struct hub_likes *likes_of(struct hub_room *room)
{
    if (room->likes)
        return room->likes;
    room->likes = calloc(1, sizeof(*room->likes));
    if (!room->likes)
        return NULL;
    room->likes->room = room;
    list_init(&room->likes->link);
    return room->likes;
}

void hub_likes_free(struct hub *h base_unused, struct hub_likes *l)
{
    if (!l)
        return;
    assert(!list_is_linked(&l->link) && !l->is_asking);
    free(l);
}

static bool has_listeners(const struct hub_likes *l)
{
    return l->room->channel->listener_count > 0;
}

static bool owes(const struct hub_likes *l)
{
    return l->pending || l->sending || l->is_untold || l->is_stale;
}

/* ---- who is due ---- */

static void arm(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);
    const struct hub_likes *first;

    /* With as many batches as may be the next answer goes on; without store or lease the next grant does. */
    if (list_is_empty(&h->likes_due) || h->is_stopped || !h->may_state || h->likes_batches >= HUB_LIKES_BATCHES_MAX)
        return;
    first = container_of(h->likes_due.next, struct hub_likes, link);
    if (!loop_timer_is_pending(&h->likes_timer))
        loop_timer_start(&h->likes_timer, first->due_ms > now_ms ? first->due_ms - now_ms : 0);
}

static void linger(struct hub *h, struct hub_likes *l, bool is_lingering)
{
    h->likes_lingering += (size_t)is_lingering - (size_t)l->is_lingering;
    l->is_lingering = is_lingering;
}

/** From the list; the channel stays held. */
static void unlist(struct hub *h, struct hub_likes *l)
{
    list_remove(&l->link);
    linger(h, l, false);
}

/** Not due any more; the room may be gone afterwards. */
static void settle(struct hub *h, struct hub_likes *l)
{
    unlist(h, l);
    hub_channel_release(h, l->room->channel);
}

static void give_up(struct hub *h, struct hub_likes *l)
{
    hub_count(h, HUB_METRIC_LIKES_LOST, (int64_t)(l->pending + l->sending));
    hub_count(h, HUB_METRIC_WAITING_LIKES, -(int64_t)(l->pending + l->sending));
    l->pending = l->sending = 0;
    l->is_untold = l->is_stale = false;
    settle(h, l);
}

/** Sorted, so that the few who wait longer do not keep the others; who is due already is not made to wait longer. */
static void due_in(struct hub *h, struct hub_likes *l, uint64_t ms)
{
    uint64_t due_ms = loop_now_ms(h->loop) + ms;
    struct list *at;

    if (l->is_asking || (list_is_linked(&l->link) && l->due_ms <= due_ms))
        return;
    if (list_is_linked(&l->link))
        list_remove(&l->link);
    else
        hub_channel_hold(l->room->channel);
    l->due_ms = due_ms;
    at = h->likes_due.previous;
    while (at != &h->likes_due && container_of(at, struct hub_likes, link)->due_ms > due_ms)
        at = at->previous;
    list_append(at->next, &l->link);
    linger(h, l, !has_listeners(l));
    if (h->likes_due.next == &l->link)
        loop_timer_stop(&h->likes_timer); /* which waits for one that is due later */
    arm(h);
}

static uint64_t interval_ms(const struct hub *h)
{
    return (uint64_t)h->config.likes_interval_ms;
}

void hub_likes_left(struct hub *h, struct hub_room *room)
{
    struct hub_likes *l = room->likes;

    if (!l || !list_is_linked(&l->link))
        return;
    if (h->likes_lingering >= HUB_LINGERING_MAX)
        give_up(h, l);
    else
        linger(h, l, true);
}

/* ---- the store ---- */

/** Publishes the total. */
static void tell(struct hub *h, struct hub_likes *l)
{
    char text[48];
    int result;

    (void)snprintf(text, sizeof(text), "{\"total\":%llu}", (unsigned long long)l->total);
    result = h->is_stopped ? BUS_E_UNAVAILABLE : hub_room_signal(h, l->room, CONTENT_TYPE_LIKES, slice_from(text));
    if (result == -ENOMEM)
        hub_note_out_of_memory(h, "a total of likes");
    if (result)
        return;
    hub_count(h, HUB_METRIC_LIKES_EVENTS, 1);
    if (!has_listeners(l))
        l->is_untold = false; /* this node will not hear it */
    else if (l->misses < MISSES_MAX)
        l->misses++;
}

static void answered(struct hub *h, struct hub_likes *l, int result, const struct store_likes *item)
{
    struct hub_channel *c = l->room->channel;

    l->is_asking = false;
    if (!result) {
        hub_count(h, HUB_METRIC_WAITING_LIKES, -(int64_t)l->sending);
        l->sending = 0;
        l->is_stale = false;
        l->total = item->total;
        if (l->most > l->total)
            l->most = l->total;
        l->is_untold = l->total != l->heard;
        if (l->is_untold && item->may_tell)
            tell(h, l);
    }
    if (owes(l) && !h->is_stopped) /* likes do not wait because nobody hears what is told */
        due_in(h, l, interval_ms(h) << (result || l->pending || l->sending ? 0 : l->misses));
    else if (owes(l))
        hub_count(h, HUB_METRIC_LIKES_LOST, (int64_t)(l->pending + l->sending));
    hub_channel_release(h, c);
}

static void on_added(struct store_likes_add *add, int result)
{
    struct likes_batch *batch = container_of(add, struct likes_batch, add);
    struct hub *h = batch->hub;

    h->likes_batches--;
    for (size_t i = 0; i < add->count; i++)
        answered(h, batch->likes[i], result, &batch->items[i]);
    free(batch->mirrors);
    free(batch);
    arm(h);
}

static void put_into(struct hub *h, struct likes_batch *batch, struct hub_likes *l)
{
    const struct hub_channel *c = l->room->channel;
    struct slice room;

    unlist(h, l);
    l->is_asking = true;
    if (!l->sending && l->pending) {
        l->sending = l->pending;
        l->pending = 0;
        l->sequence = ++h->likes_sequence;
    }
    (void)channel_parse(hub_channel_name(c), &room);
    batch->likes[batch->add.count] = l;
    batch->items[batch->add.count++] = (struct store_likes){
        .room = room,
        .count = l->sending,
        .sequence = l->sequence ? l->sequence : 1,
        .age_ms = (uint64_t)c->rule->live_age_ms,
        .wants_to_tell = l->sending > 0 || l->is_untold || l->is_stale,
    };
}

/** The keys that others read. Without memory the next flush has them. */
static void mirror(struct likes_batch *batch)
{
    for (size_t i = 0; i < batch->add.count; i++) {
        const struct hub_mirror *m = batch->likes[i]->room->mirror;

        if (!m || !m->likes_key)
            continue;
        if (!batch->mirrors)
            batch->mirrors = malloc(STORE_LIKES_MAX * HUB_MIRROR_MAX_BYTES);
        if (!batch->mirrors)
            return;
        batch->items[i].mirror =
            hub_mirror_key(m->likes_key, batch->items[i].room, batch->mirrors + i * HUB_MIRROR_MAX_BYTES);
    }
}

/** Sends the first of the list, until one that is due later than @until_ms. false: nothing was sent. */
static bool send_some(struct hub *h, uint64_t until_ms)
{
    struct likes_batch *batch;

    if (list_is_empty(&h->likes_due) || container_of(h->likes_due.next, struct hub_likes, link)->due_ms > until_ms)
        return false;
    batch = malloc(sizeof(*batch));
    if (!batch) {
        hub_note_out_of_memory(h, "a flush of likes");
        return false;
    }
    batch->hub = h;
    batch->mirrors = NULL;
    batch->add = (struct store_likes_add){.items = batch->items, .tell_interval_ms = interval_ms(h), .done = on_added};
    while (batch->add.count < STORE_LIKES_MAX && !list_is_empty(&h->likes_due)) {
        struct hub_likes *l = container_of(h->likes_due.next, struct hub_likes, link);

        if (l->due_ms > until_ms)
            break;
        put_into(h, batch, l);
    }
    mirror(batch);
    h->likes_batches++;
    store_likes_add(h->store, &batch->add);
    return true;
}

void hub_likes_run(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    while (h->may_state && !h->is_stopped && h->likes_batches < HUB_LIKES_BATCHES_MAX) {
        if (!send_some(h, now_ms))
            break;
    }
    arm(h);
}

static void on_timer(void *userdata)
{
    hub_likes_run(userdata);
}

/* ---- likes and totals ---- */

void hub_likes_on_like(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_like *like = container_of(task, struct hub_like, letter.task);
    struct hub_channel *c = hub_channel_find(h, slice_make(like->name, like->name_size));
    struct hub_likes *l = c && c->room && !h->is_stopped ? likes_of(c->room) : NULL;

    if (l) {
        uint64_t taken = like->count < LIKES_MAX - l->pending ? like->count : LIKES_MAX - l->pending;

        l->pending += taken;
        hub_count(h, HUB_METRIC_LIKES, (int64_t)like->count);
        hub_count(h, HUB_METRIC_WAITING_LIKES, (int64_t)taken);
        due_in(h, l, interval_ms(h));
    } else {
        hub_count(h, HUB_METRIC_LIKES_LOST, (int64_t)like->count);
    }
    free(like);
}

bool hub_likes_hear(struct hub *h, struct hub_room *room, const struct message *m)
{
    struct hub_likes *l;
    uint64_t total;

    if (!slice_equal(m->content_type, CONTENT_TYPE_LIKES) || !hub_signal_number(m->data, "total", &total))
        return true;
    l = likes_of(room);
    if (!l)
        return true;
    if (total < l->most) { /* it was long on its way, or the store came back older: which of them the store knows */
        l->is_stale = has_listeners(l);
        if (l->is_stale)
            due_in(h, l, interval_ms(h));
        return false;
    }
    l->heard = l->most = total;
    l->misses = 0;
    if (total < l->total)
        return true; /* ours will be told */
    l->total = total;
    l->is_untold = false;
    if (list_is_linked(&l->link) && !owes(l))
        settle(h, l);
    return true;
}

void hub_likes_learn(struct hub_room *room, uint64_t total)
{
    struct hub_likes *l = room->likes || total ? likes_of(room) : NULL;

    if (!l || l->total >= total)
        return;
    l->total = l->heard = total; /* each listener is told as it joins */
}

uint64_t hub_likes_for_newcomer(struct hub_room *room)
{
    struct hub_likes *l = room->likes;

    if (!l)
        return 0;
    if (l->most < l->total)
        l->most = l->total;
    return l->total;
}

void hub_likes_restate(struct hub *h)
{
    list_for_each (it, &h->rooms) {
        struct hub_likes *l = container_of(it, struct hub_room, link)->likes;

        if (!l || (!l->total && !owes(l)))
            continue;
        l->is_stale = true;
        due_in(h, l, 0);
    }
    arm(h);
}

void hub_likes_init(struct hub *h)
{
    list_init(&h->likes_due);
}

void hub_likes_start(struct hub *h)
{
    loop_timer_init(&h->likes_timer, h->loop, on_timer, h);
}

void hub_likes_flush(struct hub *h)
{
    loop_timer_deinit(&h->likes_timer);
    while (h->may_state && send_some(h, UINT64_MAX))
        ;
}

void hub_likes_stop(struct hub *h)
{
    while (!list_is_empty(&h->likes_due))
        give_up(h, container_of(h->likes_due.next, struct hub_likes, link));
}
