/*
 * How long users are in rooms, where a section says that it is added up (watch = yes).
 *
 * A user's clock in a room runs from one sign of life to the next, of whichever of the user's sessions there; a gap
 * beyond hub.watch_gap stops it: the time in between does not count. So devices on one node count once here, and those
 * on several nodes in the store, which is told of spans of time and knows what it had.
 *
 *     sign ─▶ watcher's span grows ─ every hub.watch_interval, at a gap, at the end ─▶ spans ─▶ watch_add
 *                                                                            ▲           │ store away
 *                                                                            └───────────┘
 *
 * With the store away a watcher's span goes on growing. A span bears its names, and is nobody's.
 */
#include "hub/client_internal.h"
#include "hub/room_internal.h"
#include "hub/watch_internal.h"

struct hub_watcher {
    struct list link; /* hub->watchers_due, while the span has a length */
    uint64_t from_ms, last_ms;
    uint64_t due_ms;
    uint32_t connections;
    uint8_t user_size;
    const struct hub_room *room; /* with @user the key in hub->watchers */
    char user[];
};
static_assert(offsetof(struct hub_watcher, user) == offsetof(struct hub_watcher, room) + sizeof(struct hub_room *),
              "room and user are one key");

struct watch_span {
    struct list link; /* hub->spans, or a batch's */
    uint64_t from_ms, to_ms, age_ms;
    uint8_t room_size, user_size;
    char text[]; /* room, then user */
};

struct watch_batch {
    struct store_watch_add add;
    struct hub *hub;
    struct list spans;
    struct store_watch items[STORE_WATCH_MAX];
};

static struct slice watcher_key(const void *object)
{
    const struct hub_watcher *w = object;

    return slice_make(&w->room, sizeof(w->room) + w->user_size);
}

static struct hub_watcher *watcher_find(struct hub *h, const struct hub_room *room, struct slice user)
{
    char key[sizeof(struct hub_room *) + NAME_MAX_BYTES];

    assert(user.size <= NAME_MAX_BYTES);
    memcpy(key, &room, sizeof(room));
    memcpy(key + sizeof(room), user.data, user.size);
    return table_find(&h->watchers, slice_make(key, sizeof(room) + user.size));
}

/* ---- spans ---- */

static void span_free(struct hub *h, struct watch_span *span)
{
    list_remove(&span->link);
    hub_gauge(h, HUB_METRIC_WAITING_SPANS, --h->span_count);
    free(span);
}

static void lost(struct hub *h, uint64_t from_ms, uint64_t to_ms)
{
    hub_count(h, HUB_METRIC_WATCH_LOST, (int64_t)((to_ms - from_ms) / 1000));
}

/** The watcher's time so far becomes a span. */
static void span_close(struct hub *h, struct hub_watcher *w)
{
    const struct hub_channel *c = w->room->channel;
    struct watch_span *span;
    struct slice room;

    list_remove(&w->link);
    if (w->last_ms == w->from_ms)
        return;
    (void)channel_parse(hub_channel_name(c), &room);
    span =
        h->span_count < HUB_WATCH_SPANS_MAX && !h->is_stopped ? malloc(sizeof(*span) + room.size + w->user_size) : NULL;
    if (!span) {
        lost(h, w->from_ms, w->last_ms);
    } else {
        span->from_ms = w->from_ms;
        span->to_ms = w->last_ms;
        span->age_ms = (uint64_t)c->rule->live_age_ms;
        span->room_size = (uint8_t)room.size;
        span->user_size = w->user_size;
        memcpy(span->text, room.data, room.size);
        memcpy(span->text + room.size, w->user, w->user_size);
        if (list_is_empty(&h->spans))
            loop_timer_stop(&h->watch_timer); /* which waits for watchers */
        list_append(&h->spans, &span->link);
        hub_gauge(h, HUB_METRIC_WAITING_SPANS, ++h->span_count);
    }
    w->from_ms = w->last_ms;
}

static void on_added(struct store_watch_add *add, int result)
{
    struct watch_batch *batch = container_of(add, struct watch_batch, add);
    struct hub *h = batch->hub;

    h->watch_batches--;
    if (result && !h->is_stopped) { /* back to where they were; what was added all the same is known there */
        list_splice(&batch->spans, &h->spans);
        list_splice(&h->spans, &batch->spans);
    }
    for (struct list *it; (it = list_pop(&batch->spans));) {
        struct watch_span *span = container_of(it, struct watch_span, link);

        if (result)
            lost(h, span->from_ms, span->to_ms);
        span_free(h, span);
    }
    free(batch);
    if (!result)
        hub_watch_run(h); /* else the next grant of the lease goes on */
}

static bool send_some(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);
    struct watch_batch *batch;
    size_t count = 0;

    if (list_is_empty(&h->spans))
        return false;
    batch = malloc(sizeof(*batch));
    if (!batch) {
        hub_note_out_of_memory(h, "a flush of times");
        return false;
    }
    batch->hub = h;
    list_init(&batch->spans);
    while (count < STORE_WATCH_MAX && !list_is_empty(&h->spans)) {
        struct watch_span *span = container_of(list_pop(&h->spans), struct watch_span, link);

        list_append(&batch->spans, &span->link);
        batch->items[count++] = (struct store_watch){
            .room = slice_make(span->text, span->room_size),
            .user = slice_make(span->text + span->room_size, span->user_size),
            .from_ago_ms = now_ms - span->from_ms,
            .to_ago_ms = now_ms - span->to_ms,
            .age_ms = span->age_ms,
        };
    }
    batch->add = (struct store_watch_add){.items = batch->items, .count = count, .done = on_added};
    h->watch_batches++;
    store_watch_add(h->store, &batch->add);
    return true;
}

/* ---- who is due ---- */

static void arm(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);
    const struct hub_watcher *first;

    if (!h->may_state || h->is_stopped || h->watch_batches >= HUB_WATCH_BATCHES_MAX ||
        loop_timer_is_pending(&h->watch_timer))
        return;
    if (!list_is_empty(&h->spans)) {
        loop_timer_start(&h->watch_timer, HUB_WATCH_GATHER_MS);
    } else if (!list_is_empty(&h->watchers_due)) {
        first = container_of(h->watchers_due.next, struct hub_watcher, link);
        loop_timer_start(&h->watch_timer, first->due_ms > now_ms ? first->due_ms - now_ms : 0);
    }
}

void hub_watch_run(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    while (h->may_state && !h->is_stopped && !list_is_empty(&h->watchers_due)) {
        struct hub_watcher *w = container_of(h->watchers_due.next, struct hub_watcher, link);

        if (w->due_ms > now_ms)
            break;
        span_close(h, w);
    }
    while (h->may_state && !h->is_stopped && h->watch_batches < HUB_WATCH_BATCHES_MAX) {
        if (!send_some(h))
            break;
    }
    arm(h);
}

static void on_timer(void *userdata)
{
    hub_watch_run(userdata);
}

/* ---- signs of life ---- */

static void sign(struct hub *h, struct hub_watcher *w)
{
    uint64_t now_ms = loop_now_ms(h->loop);

    if (now_ms - w->last_ms > (uint64_t)h->config.watch_gap_ms) {
        span_close(h, w);
        w->from_ms = now_ms;
    }
    w->last_ms = now_ms;
    if (w->from_ms < now_ms && !list_is_linked(&w->link)) {
        w->due_ms = now_ms + (uint64_t)h->config.watch_interval_ms;
        list_append(&h->watchers_due, &w->link);
    }
    arm(h);
}

void hub_watch_enter(struct hub *h, const struct hub_room *room, struct slice user)
{
    struct hub_watcher *w = watcher_find(h, room, user);

    if (!w) {
        w = calloc(1, sizeof(*w) + user.size);
        if (!w || (w->room = room, w->user_size = (uint8_t)user.size, memcpy(w->user, user.data, user.size),
                   table_add(&h->watchers, w) < 0)) {
            free(w);
            hub_note_out_of_memory(h, "a watcher");
            return; /* later sessions of the user may be luckier */
        }
        list_init(&w->link);
        w->from_ms = w->last_ms = loop_now_ms(h->loop);
    }
    w->connections++;
    sign(h, w);
}

void hub_watch_exit(struct hub *h, const struct hub_room *room, struct slice user)
{
    struct hub_watcher *w = watcher_find(h, room, user);

    if (!w)
        return;
    sign(h, w);
    if (--w->connections > 0)
        return;
    span_close(h, w);
    table_remove(&h->watchers, w);
    free(w);
    arm(h);
}

void hub_watch_on_sign(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct hub_sign *letter = container_of(task, struct hub_sign, letter.task);
    struct hub_watcher *w = watcher_find(h, letter->channel->room, hub_client_user(letter->client));

    if (w && !h->is_stopped)
        sign(h, w);
    free(letter);
}

void hub_watch_init(struct hub *h)
{
    h->watchers = TABLE_OF(watcher_key);
    list_init(&h->watchers_due);
    list_init(&h->spans);
}

void hub_watch_start(struct hub *h)
{
    loop_timer_init(&h->watch_timer, h->loop, on_timer, h);
}

void hub_watch_flush(struct hub *h)
{
    loop_timer_deinit(&h->watch_timer);
    while (h->may_state && send_some(h))
        ;
}

void hub_watch_stop(struct hub *h)
{
    while (!list_is_empty(&h->spans)) {
        struct watch_span *span = container_of(h->spans.next, struct watch_span, link);

        lost(h, span->from_ms, span->to_ms);
        span_free(h, span);
    }
}
